/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels of one instruction set, as a NULL-terminated table. AVX512-VNNI takes all but the dot products
 * of bytes from AVX-512. */
#include "cpu/select.h"

#define CPU_KERNEL_DOT(name) extern const cpu_kernel IEC_ISA(cpu_kernel_##name);
#if defined(__AVX512VNNI__)
#define CPU_KERNEL(name) extern const cpu_kernel cpu_kernel_##name##_avx512;
#else
#define CPU_KERNEL(name) extern const cpu_kernel IEC_ISA(cpu_kernel_##name);
#endif
#include "cpu/kernels/list.h"
#undef CPU_KERNEL
#undef CPU_KERNEL_DOT

#define CPU_KERNEL_DOT(name) &IEC_ISA(cpu_kernel_##name),
#if defined(__AVX512VNNI__)
#define CPU_KERNEL(name) &cpu_kernel_##name##_avx512,
#else
#define CPU_KERNEL(name) &IEC_ISA(cpu_kernel_##name),
#endif
extern const cpu_kernel *const IEC_ISA(cpu_kernels)[];
const cpu_kernel *const IEC_ISA(cpu_kernels)[] = {
#include "cpu/kernels/list.h"
    NULL};
