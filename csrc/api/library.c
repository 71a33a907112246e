/* SPDX-License-Identifier: Apache-2.0 */
/* The library itself and the machine it runs on. */
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

#include "../core/core.h"

uint32_t iec_abi_version(void) { return IEC_ABI_VERSION; }

const char *iec_version(void) { return IEC_VERSION; }

#if defined(__x86_64__)
static void read_brand(char out[64]) {
  unsigned regs[12] = {0};
  if ((unsigned)__get_cpuid_max(0x80000000u, NULL) < 0x80000004u) return;
  for (unsigned i = 0; i < 3; i++)
    __get_cpuid(0x80000002u + i, &regs[4 * i], &regs[4 * i + 1], &regs[4 * i + 2], &regs[4 * i + 3]);
  char text[49] = "";
  memcpy(text, regs, 48);
  const char *start = text + strspn(text, " ");
  snprintf(out, 64, "%s", start);
  for (size_t end = strlen(out); end && out[end - 1] == ' ';) out[--end] = 0;
}

/* The builtin does not know it in every compiler; whether its registers are saved is what "avx" says. */
static int has_f16c(void) {
  unsigned a, b, c = 0, d;
  return __get_cpuid(1, &a, &b, &c, &d) && c & bit_F16C && __builtin_cpu_supports("avx");
}

static int has_avx_vnni(void) {
  unsigned a = 0, b, c, d;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) && a & 1u << 4 && __builtin_cpu_supports("avx");
}

static void read_isa(char *out, size_t size) {
  /* __builtin_cpu_supports asks the operating system too: a set whose registers it does not save is not
   * usable. */
  __builtin_cpu_init();
  struct {
    const char *name;
    int usable;
  } sets[] = {
      {"sse4.1", __builtin_cpu_supports("sse4.1")},
      {"sse4.2", __builtin_cpu_supports("sse4.2")},
      {"avx", __builtin_cpu_supports("avx")},
      {"avx2", __builtin_cpu_supports("avx2")},
      {"fma", __builtin_cpu_supports("fma")},
      {"f16c", has_f16c()},
      {"avx_vnni", has_avx_vnni()},
      {"avx512f", __builtin_cpu_supports("avx512f")},
      {"avx512bw", __builtin_cpu_supports("avx512bw")},
      {"avx512dq", __builtin_cpu_supports("avx512dq")},
      {"avx512vl", __builtin_cpu_supports("avx512vl")},
      {"avx512_vnni", __builtin_cpu_supports("avx512vnni")},
      {"avx512_bf16", __builtin_cpu_supports("avx512bf16")},
  };
  size_t at = 0;
  for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++)
    if (sets[i].usable) at += (size_t)snprintf(out + at, size - at, "%s%s", at ? " " : "", sets[i].name);
}
#else
static void read_brand(char out[64]) { (void)out; }
static void read_isa(char *out, size_t size) {
#if defined(__aarch64__)
  static const struct {
    const char *name;
    unsigned long bit;
  } sets[] = {{"asimdhp", HWCAP_ASIMDHP}, {"asimddp", HWCAP_ASIMDDP}, {"sve", HWCAP_SVE}};
  size_t at = (size_t)snprintf(out, size, "neon");
  for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++)
    if (getauxval(AT_HWCAP) & sets[i].bit) at += (size_t)snprintf(out + at, size - at, " %s", sets[i].name);
#else
  (void)out, (void)size;
#endif
}
#endif

/* A number from /sys about one hardware thread; -1 where there is none (containers may hide it). */
static int topology(int cpu, const char *what) {
  char path[96];
  snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/%s", cpu, what);
  FILE *file = fopen(path, "re");
  if (!file) return -1;
  int value = -1;
  if (fscanf(file, "%d", &value) != 1) value = -1;
  fclose(file);
  return value;
}

static void read_topology(iec_cpu_info *info) {
  int cores[CPU_SETSIZE][2];
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set)) CPU_SET(0, &set);
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (!CPU_ISSET((unsigned)cpu, &set)) continue;
    int package = topology(cpu, "physical_package_id");
    int core = topology(cpu, "core_id");
    if (core < 0) core = cpu;
    int new_core = 1, new_package = 1;
    for (int i = 0; i < info->physical; i++) {
      if (cores[i][0] == package) new_package = 0;
      if (cores[i][0] == package && cores[i][1] == core) new_core = 0;
    }
    info->usable++;
    info->sockets += new_package;
    if (new_core) {
      cores[info->physical][0] = package;
      cores[info->physical++][1] = core;
    }
  }
}

iec_status iec_cpu_info_get(iec_cpu_info *out, iec_error *err) {
  if (!out || out->struct_size < sizeof *out)
    return iec_fail(err, IEC_ABI_MISMATCH, "cpu_info", "record of %u bytes, expected %zu",
                    out ? out->struct_size : 0, sizeof *out);
  memset(out, 0, sizeof *out);
  out->struct_size = sizeof *out;
  read_brand(out->brand);
  read_isa(out->isa, sizeof out->isa);
  read_topology(out);
  long logical = sysconf(_SC_NPROCESSORS_ONLN);
  out->logical = logical > 0 ? (int32_t)logical : out->usable;
  return IEC_OK;
}
