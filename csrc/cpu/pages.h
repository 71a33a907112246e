/* SPDX-License-Identifier: Apache-2.0 */
/* The pages of constants and packed weights: which ones are made, and which are given back. */
#ifndef IEC_CPU_PAGES_H
#define IEC_CPU_PAGES_H
#include <stdatomic.h>

#include "cpu/kernel.h"

/* Which pages fresh memory gets. Huge ones save walks of the page table. But one that the system must gather
 * first, or whose memory the host of a virtual machine has taken back, may take longer than the small pages
 * in its place. One alone is borne; where the last ones took longer on the whole than small ones, the next
 * probably do too. */
typedef struct cpu_paging {
  atomic_size_t small;       /* bytes that get small pages before a huge one is tried again */
  atomic_size_t pause;       /* what that becomes next; 0: it was nothing yet */
  atomic_int_least64_t mean; /* ns that the last huge ones took */
} cpu_paging;

enum { CPU_HUGE_PAGE = 2 << 20 };

/* Makes the pages of `bytes` at `from` that nobody has touched, both multiples of CPU_HUGE_PAGE, or says that
 * they are to be small ones. Threads: any. */
void cpu_pages_make(cpu_paging *paging, char *from, size_t bytes);
/* All of them are in use: small ones among them may become huge ones when the system finds the time. */
void cpu_pages_made(cpu_paging *paging, char *from, size_t bytes);

/* The constant's whole pages that are unchanged pages of a file leave this process's memory; the next read
 * brings them back from the file. Pages that somebody has written to, and memory that is no file, stay.
 * Nobody may write to the constant meanwhile. Threads: any. */
void cpu_pages_drop(const cpu_tensor *constant);

/* 1 when none of the pages of the bytes is a private copy, which somebody has written to. pages: of
 * /proc/self/pagemap, open. */
int cpu_pages_are_files(int pages, const void *from, size_t bytes);

/* Gives back what whole pages of memory of the process' own take; its content is lost. */
void cpu_pages_unused(void *memory, size_t bytes);

#endif
