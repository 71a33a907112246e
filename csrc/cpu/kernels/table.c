/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels of one instruction set, as a NULL-terminated table. */
#include "cpu/select.h"

#define CPU_KERNEL(name) extern const cpu_kernel IEC_ISA(cpu_kernel_##name);
#include "cpu/kernels/list.h"
#undef CPU_KERNEL

#define CPU_KERNEL(name) &IEC_ISA(cpu_kernel_##name),
extern const cpu_kernel *const IEC_ISA(cpu_kernels)[];
const cpu_kernel *const IEC_ISA(cpu_kernels)[] = {
#include "cpu/kernels/list.h"
    NULL};
