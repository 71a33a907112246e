/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels of one instruction set, as a NULL-terminated table. Those with dot products of bytes take all
 * else from the set that they extend. */
#include "cpu/select.h"

#if defined(__AVX512VNNI__)
#define FOUNDATION(name) cpu_kernel_##name##_avx512
#elif defined(__AVXVNNI__)
#define FOUNDATION(name) cpu_kernel_##name##_avx2
#elif defined(__ARM_FEATURE_DOTPROD)
#define FOUNDATION(name) cpu_kernel_##name##_neon
#else
#define FOUNDATION(name) IEC_ISA(cpu_kernel_##name)
#endif

#define CPU_KERNEL_DOT(name) extern const cpu_kernel IEC_ISA(cpu_kernel_##name);
#define CPU_KERNEL(name) extern const cpu_kernel FOUNDATION(name);
#include "cpu/kernels/list.h"
#undef CPU_KERNEL
#undef CPU_KERNEL_DOT

#define CPU_KERNEL_DOT(name) &IEC_ISA(cpu_kernel_##name),
#define CPU_KERNEL(name) &FOUNDATION(name),
extern const cpu_kernel *const IEC_ISA(cpu_kernels)[];
const cpu_kernel *const IEC_ISA(cpu_kernels)[] = {
#include "cpu/kernels/list.h"
    NULL};
