/* SPDX-License-Identifier: Apache-2.0 */
/* Counts the cores that this process may use. */
#include "cpu/machine.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

static int32_t read_number(int cpu, const char *file, int32_t absent) {
  char path[128];
  snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/%s", cpu, file);
  FILE *f = fopen(path, "r");
  int value = absent;
  if (!f) return absent;
  if (fscanf(f, "%d", &value) != 1) value = absent;
  fclose(f);
  return value;
}

typedef struct place {
  int32_t package, core;
} place;

static int is_new(const place *seen, int32_t count, place p) {
  for (int32_t i = 0; i < count; ++i)
    if (seen[i].package == p.package && seen[i].core == p.core) return 0;
  return 1;
}

/* A processor whose topology cannot be read counts as a core of its own. */
int32_t cpu_machine_cores(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set)) return 1;
  place *seen = malloc(CPU_SETSIZE * sizeof *seen);
  int32_t count = 0;
  for (int cpu = 0; seen && cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET((unsigned)cpu, &set)) continue;
    place p = {read_number(cpu, "physical_package_id", 0), read_number(cpu, "core_id", -1 - cpu)};
    if (is_new(seen, count, p)) seen[count++] = p;
  }
  free(seen);
  return count ? count : 1;
}
