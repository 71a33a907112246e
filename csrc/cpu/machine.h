/* SPDX-License-Identifier: Apache-2.0 */
/* What the CPU driver knows of the machine. */
#ifndef IEC_CPU_MACHINE_H
#define IEC_CPU_MACHINE_H
#include <stdint.h>

/* Physical cores behind the processors that this process may use; at least 1. Threads: any. */
int32_t cpu_machine_cores(void);

#endif
