/* SPDX-License-Identifier: Apache-2.0 */
/* What the CPU driver knows of the machine. */
#ifndef IEC_CPU_MACHINE_H
#define IEC_CPU_MACHINE_H
#include <stddef.h>
#include <stdint.h>

#include "iec/driver.h"

/* Physical cores behind the processors that this process may use; at least 1. Threads: any. */
int32_t cpu_machine_cores(void);

/* Writes up to `capacity` processors that this process may use and returns how many: one of each core first,
 * package by package, then their siblings. Threads: any. */
int32_t cpu_machine_cpus(int32_t *out, int32_t capacity);

/* A processor for each of `members` threads, to be released; NULL when there are not enough. Threads: any. */
int32_t *cpu_machine_members(const iec_host_api *host, int32_t members);

/* Bytes of memory that the machine has; SIZE_MAX when the system does not tell. */
size_t cpu_machine_memory(void);

/* Packages (sockets) among them; at least 1. */
int32_t cpu_machine_packages(void);

#endif
