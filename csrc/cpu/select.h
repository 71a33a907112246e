/* SPDX-License-Identifier: Apache-2.0 */
/* Which kernel serves a node on this machine. */
#ifndef IEC_CPU_SELECT_H
#define IEC_CPU_SELECT_H
#include "cpu/kernel.h"

/* The kernels of the best instruction set here, NULL-terminated; IE_CTYPES_ISA (scalar, avx2, avx512, neon)
 * chooses another. NULL and an error when that one is unknown or the machine lacks it. Threads: any. */
const cpu_kernel *const *cpu_kernels(iec_error *err);

/* Name of that instruction set, "" when there is none. */
const char *cpu_isa(void);

/* The kernel with the highest priority for the node among `kernels` and those of node->extensions, NULL when
 * none can run it. */
const cpu_kernel *cpu_select(const cpu_kernel *const *kernels, const cpu_node *node);

#endif
