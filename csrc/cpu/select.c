/* SPDX-License-Identifier: Apache-2.0 */
/* Choice of the instruction set and of the kernel that serves a node. */
#include "cpu/select.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

#include "cpu/extension.h"

/* Weak: NULL in a build without that instruction set. */
#define TABLE(isa) extern const cpu_kernel *const cpu_kernels_##isa[] __attribute__((weak))
extern const cpu_kernel *const cpu_kernels_scalar[];
#if defined(__x86_64__)
TABLE(avx2);
TABLE(avx2_vnni);
TABLE(avx512);
TABLE(avx512_vnni);

/* __builtin_cpu_supports says no where the operating system does not save the registers; not every compiler's
 * knows f16c. */
static int has_avx2(void) {
  unsigned a, b, c = 0, d;
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __get_cpuid(1, &a, &b, &c, &d) &&
         c & bit_F16C;
}

/* Not every compiler's __builtin_cpu_supports knows it. */
static int has_avx2_vnni(void) {
  unsigned a, b, c, d;
  return has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && a & 1u << 4;
}

static int has_avx512(void) {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

static int has_avx512_vnni(void) { return has_avx512() && __builtin_cpu_supports("avx512vnni"); }
#elif defined(__aarch64__)
TABLE(neon);
TABLE(neon_dot);

static int has_neon_dot(void) { return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0; }
#endif

static int always(void) { return 1; }

static const struct isa {
  const char *name;
  int (*present)(void);
  const cpu_kernel *const *kernels;
} isas[] = {/* best first */
#if defined(__x86_64__)
            {"avx512_vnni", has_avx512_vnni, cpu_kernels_avx512_vnni},
            {"avx512", has_avx512, cpu_kernels_avx512},
            {"avx2_vnni", has_avx2_vnni, cpu_kernels_avx2_vnni},
            {"avx2", has_avx2, cpu_kernels_avx2},
#elif defined(__aarch64__)
            {"neon_dot", has_neon_dot, cpu_kernels_neon_dot},
            {"neon", always, cpu_kernels_neon},
#endif
            {"scalar", always, cpu_kernels_scalar}};

static iec_status unknown_isa(const char *wanted, iec_error *err) {
  char known[128];
  size_t used = 0;
  for (size_t i = 0; i < sizeof isas / sizeof isas[0] && used < sizeof known; ++i)
    used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", isas[i].name);
  return cpu_fail(err, IEC_NOT_FOUND, "IE_CTYPES_ISA", "unknown instruction set '%s', known are %s", wanted,
                  known);
}

static const struct isa *find_isa(iec_error *err) {
  const char *wanted = getenv("IE_CTYPES_ISA");
  int any = !wanted || !*wanted;
  for (size_t i = 0; i < sizeof isas / sizeof isas[0]; ++i) {
    if (!any && strcmp(wanted, isas[i].name) != 0) continue;
    if (isas[i].kernels && isas[i].present()) return &isas[i];
    if (any) continue;
    cpu_fail(err, IEC_NOT_FOUND, "IE_CTYPES_ISA", "this machine has no %s, or this build", wanted);
    return NULL;
  }
  unknown_isa(wanted, err);
  return NULL;
}

const cpu_kernel *const *cpu_kernels(iec_error *err) {
  const struct isa *isa = find_isa(err);
  return isa ? isa->kernels : NULL;
}

const char *cpu_isa(void) {
  const struct isa *isa = find_isa(NULL);
  return isa ? isa->name : "";
}

static void choose(const cpu_kernel *const *kernels, cpu_node *asked, const cpu_node *node,
                   const cpu_kernel **best, int32_t *best_priority) {
  for (; *kernels; ++kernels) {
    if (strcmp((*kernels)->kind, node->kind) != 0) continue;
    if (asked) asked->closure = (*kernels)->closure;
    int32_t priority = (*kernels)->supports(asked ? asked : node);
    if (priority <= *best_priority) continue;
    *best = *kernels;
    *best_priority = priority;
  }
}

const cpu_kernel *cpu_select(const cpu_kernel *const *kernels, const cpu_node *node) {
  const cpu_kernel *best = NULL;
  int32_t best_priority = 0;
  choose(kernels, NULL, node, &best, &best_priority);
  if (!node->extensions) return best;
  cpu_node asked = *node;
  choose(cpu_extensions_kernels(node->extensions), &asked, node, &best, &best_priority);
  return best;
}
