/* SPDX-License-Identifier: Apache-2.0 */
/* Gives back memory that is not needed any more. */
#ifndef IEC_CPU_PAGES_H
#define IEC_CPU_PAGES_H
#include "cpu/kernel.h"

/* The constant's whole pages that are unchanged pages of a file leave this process's memory; the next read
 * brings them back from the file. Pages that somebody has written to, and memory that is no file, stay.
 * Nobody may write to the constant meanwhile. Threads: any. */
void cpu_pages_drop(const cpu_tensor *constant);

/* Gives back what whole pages of memory of the process' own take; its content is lost. */
void cpu_pages_unused(void *memory, size_t bytes);

#endif
