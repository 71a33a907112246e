/* SPDX-License-Identifier: Apache-2.0 */
/* Gives back the memory of constants that are not read any more: the weights of a file are mapped, and once
 * they are packed their pages would only be there twice. */
#include "cpu/pages.h"

#ifdef __linux__
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cpu/graph.h"

enum { PART = 1024 }; /* pages asked for at once */
static const size_t LEAST = 64 * 1024;

/* A bit of /proc/self/pagemap: the page is the file's (or shared memory's), not a private copy. */
static const uint64_t OF_FILE = (uint64_t)1 << 61;

void cpu_pages_drop(const cpu_tensor *constant) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = cpu_tensor_bytes(constant);
  uintptr_t first = ((uintptr_t)constant->data + page - 1) / page,
            end = ((uintptr_t)constant->data + bytes) / page;
  if (bytes < LEAST || first >= end) return;
  int map = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  if (map < 0) return;
  uint64_t entries[PART];
  for (uintptr_t at = first; at < end; at += PART) {
    size_t count = end - at < PART ? end - at : PART;
    if (pread(map, entries, count * sizeof *entries, (off_t)(at * sizeof *entries)) !=
        (ssize_t)(count * sizeof *entries))
      break;
    for (size_t i = 0, j; i < count; i = j + 1) { /* runs [i, j) */
      for (j = i; j < count && entries[j] & OF_FILE;) j++;
      if (j > i) madvise((void *)((at + i) * page), (j - i) * page, MADV_DONTNEED);
    }
  }
  close(map);
}

void cpu_pages_unused(void *memory, size_t bytes) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  uintptr_t first = ((uintptr_t)memory + page - 1) / page, end = ((uintptr_t)memory + bytes) / page;
  if (first < end) madvise((void *)(first * page), (end - first) * page, MADV_DONTNEED);
}
#else
void cpu_pages_drop(const cpu_tensor *constant) { (void)constant; }
void cpu_pages_unused(void *memory, size_t bytes) { (void)memory, (void)bytes; }
#endif
