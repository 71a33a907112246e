/* SPDX-License-Identifier: Apache-2.0 */
/* The processors that this process may use, and their cores. */
#include "cpu/machine.h"

#include <sched.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

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

typedef struct place { /* of a processor; rank: how many of its core come before it */
  int32_t cpu, package, core, rank;
} place;

static int before(const void *a, const void *b) {
  const place *x = a, *y = b;
  if (x->rank != y->rank) return x->rank < y->rank ? -1 : 1;
  if (x->package != y->package) return x->package < y->package ? -1 : 1;
  return x->cpu < y->cpu ? -1 : x->cpu > y->cpu;
}

/* The processors that this process may use, CPU_SETSIZE at most. A processor whose topology cannot be read
 * counts as a core of its own. */
static int32_t places(place *out) {
  cpu_set_t set;
  int32_t count = 0;
  if (sched_getaffinity(0, sizeof set, &set)) return 0;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET((unsigned)cpu, &set)) continue;
    place p = {cpu, read_number(cpu, "physical_package_id", 0), read_number(cpu, "core_id", -1 - cpu), 0};
    for (int32_t i = 0; i < count; ++i) p.rank += out[i].package == p.package && out[i].core == p.core;
    out[count++] = p;
  }
  qsort(out, (size_t)count, sizeof *out, before);
  return count;
}

size_t cpu_machine_memory(void) {
  long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  return pages > 0 && page > 0 ? (size_t)pages * (size_t)page : SIZE_MAX;
}

int32_t cpu_machine_cores(void) {
  place *all = malloc(CPU_SETSIZE * sizeof *all);
  int32_t count = all ? places(all) : 0, cores = 0;
  while (cores < count && all[cores].rank == 0) ++cores;
  free(all);
  return cores ? cores : 1;
}

int32_t cpu_machine_cpus(int32_t *out, int32_t capacity) {
  place *all = malloc(CPU_SETSIZE * sizeof *all);
  int32_t count = all ? places(all) : 0;
  if (count > capacity) count = capacity;
  for (int32_t i = 0; i < count; ++i) out[i] = all[i].cpu;
  free(all);
  return count;
}

int32_t *cpu_machine_members(const iec_host_api *host, int32_t members) {
  int32_t *cpus = host->alloc(host->self, (size_t)members * sizeof *cpus, alignof(max_align_t));
  if (cpus && cpu_machine_cpus(cpus, members) == members) return cpus;
  host->release(host->self, cpus);
  return NULL;
}

int32_t cpu_machine_packages(void) {
  place *all = malloc(CPU_SETSIZE * sizeof *all);
  int32_t count = all ? places(all) : 0, packages = 0;
  for (int32_t i = 0; i < count && all[i].rank == 0; ++i)
    packages += i == 0 || all[i].package != all[i - 1].package;
  free(all);
  return packages ? packages : 1;
}
