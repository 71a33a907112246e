/* SPDX-License-Identifier: Apache-2.0 */
/* The weights of a file are mapped, and once they are packed their pages would only be there twice: constants
 * that are not read any more give back their memory. Packed weights get huge pages while those are quick. */
#include "cpu/pages.h"

#ifdef __linux__
#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "cpu/graph.h"

enum { PART = 1024 }; /* pages asked for at once */
static const size_t LEAST = 64 * 1024;

/* A bit of /proc/self/pagemap: the page is the file's (or shared memory's), not a private copy. */
static const uint64_t OF_FILE = (uint64_t)1 << 61;

static const uint64_t THERE = (uint64_t)3 << 62; /* in memory or swapped */

int cpu_pages_are_files(int pages, const void *from, size_t bytes) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  uintptr_t at = (uintptr_t)from / page, end = ((uintptr_t)from + bytes + page - 1) / page;
  uint64_t entries[PART];
  for (size_t count; at < end; at += count) {
    count = end - at < PART ? end - at : PART;
    if (pread(pages, entries, count * sizeof *entries, (off_t)(at * sizeof *entries)) !=
        (ssize_t)(count * sizeof *entries))
      return 0;
    for (size_t i = 0; i < count; i++)
      if (entries[i] & THERE && !(entries[i] & OF_FILE)) return 0;
  }
  return 1;
}

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

/* Of this thread, in ns: a thread that waits for its core must not look slow. */
static int64_t processor_time(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ns. Processors take 90000 to 1500000 to clear a huge page; as many small ones take up to 800000 in a
 * virtual machine. */
static const int64_t SLOW = 2000000, SMALL_ONES = 800000;
enum { LAST = 8 }; /* pages, about, of whose time the mean is taken */
enum { FIRST_PAUSE = 16 << 20, GROWTH = 8 };

/* Touches the huge page; 0 when it is the turn of small ones. */
static int make_huge(cpu_paging *paging, char *page) {
  size_t small = atomic_load(&paging->small);
  if (small) {
    atomic_store(&paging->small, small - CPU_HUGE_PAGE);
    return 0;
  }
  int64_t before = processor_time();
  *(volatile char *)page = 0;
  int64_t took = processor_time() - before, mean = atomic_load(&paging->mean);
  mean += (took - mean) / LAST;
  atomic_store(&paging->mean, mean);
  size_t pause = atomic_load(&paging->pause);
  if (took > SLOW && mean > SMALL_ONES) {
    if (!pause) pause = FIRST_PAUSE;
    atomic_store(&paging->small, pause);
    atomic_store(&paging->pause, GROWTH * pause);
  } else if (took <= SLOW && pause > FIRST_PAUSE) {
    atomic_store(&paging->pause, (size_t)FIRST_PAUSE);
  }
  return 1;
}

void cpu_pages_make(cpu_paging *paging, char *from, size_t bytes) {
  char *small = NULL; /* where a run of small pages begins */
  for (char *page = from; page < from + bytes; page += CPU_HUGE_PAGE) {
    int huge = make_huge(paging, page);
    if (huge && small) madvise(small, (size_t)(page - small), MADV_NOHUGEPAGE);
    small = huge ? NULL : small ? small : page;
  }
  if (small) madvise(small, (size_t)(from + bytes - small), MADV_NOHUGEPAGE);
}

void cpu_pages_made(cpu_paging *paging, char *from, size_t bytes) {
  if (atomic_load(&paging->pause)) madvise(from, bytes / CPU_HUGE_PAGE * CPU_HUGE_PAGE, MADV_HUGEPAGE);
}

void cpu_pages_unused(void *memory, size_t bytes) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  uintptr_t first = ((uintptr_t)memory + page - 1) / page, end = ((uintptr_t)memory + bytes) / page;
  if (first < end) madvise((void *)(first * page), (end - first) * page, MADV_DONTNEED);
}
#else
void cpu_pages_make(cpu_paging *paging, char *from, size_t bytes) { (void)paging, (void)from, (void)bytes; }
void cpu_pages_made(cpu_paging *paging, char *from, size_t bytes) { (void)paging, (void)from, (void)bytes; }
void cpu_pages_drop(const cpu_tensor *constant) { (void)constant; }
void cpu_pages_unused(void *memory, size_t bytes) { (void)memory, (void)bytes; }
#endif
