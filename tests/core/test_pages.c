/* SPDX-License-Identifier: Apache-2.0 */
/* Which pages packed weights get, with a clock and a madvise that are the test's. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "cpu/pages.h"
#include "tap.h"

enum { PAGES = 96 };

static long took; /* ns between two looks at the clock */
static char *memory;
static char asked[PAGES + 1]; /* of each page: '.' nothing, 's' small pages, 'h' huge ones */

int __wrap_clock_gettime(clockid_t clock, struct timespec *t);
int __wrap_madvise(void *from, size_t bytes, int advice);

int __wrap_clock_gettime(clockid_t clock, struct timespec *t) {
  static long now;
  (void)clock;
  now += took;
  *t = (struct timespec){.tv_sec = now / 1000000000, .tv_nsec = now % 1000000000};
  return 0;
}

int __wrap_madvise(void *from, size_t bytes, int advice) {
  size_t first = (size_t)((char *)from - memory) / CPU_HUGE_PAGE;
  memset(asked + first,
         advice == MADV_NOHUGEPAGE ? 's'
         : advice == MADV_HUGEPAGE ? 'h'
                                   : '?',
         bytes / CPU_HUGE_PAGE);
  return 0;
}

/* Is each of the pages touched that nothing was asked for, and no other one? */
static int touched_are_the_others(size_t pages) {
  for (size_t i = 0; i < pages; i++) {
    unsigned char there;
    if (mincore(memory + i * CPU_HUGE_PAGE, 1, &there)) return 0;
    if ((there & 1) != (asked[i] == '.')) return 0;
  }
  return 1;
}

int main(void) {
  size_t bytes = (size_t)PAGES * CPU_HUGE_PAGE;
  char *space = mmap(NULL, bytes + CPU_HUGE_PAGE, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (space == MAP_FAILED) return 1;
  memory = space + (CPU_HUGE_PAGE - (size_t)space % CPU_HUGE_PAGE) % CPU_HUGE_PAGE;

  cpu_paging paging = {0};
  memset(asked, '.', PAGES);
  took = 90000;
  cpu_pages_make(&paging, memory, 4 * CPU_HUGE_PAGE);
  cpu_pages_made(&paging, memory, 4 * CPU_HUGE_PAGE);
  tap_ok(strcspn(asked, "sh?") == PAGES, "quick pages are huge");
  tap_ok(touched_are_the_others(4), "and made");

  took = 5000000;
  cpu_pages_make(&paging, memory + 4 * CPU_HUGE_PAGE, CPU_HUGE_PAGE);
  took = 90000;
  cpu_pages_make(&paging, memory + 5 * CPU_HUGE_PAGE, 3 * CPU_HUGE_PAGE);
  tap_ok(strcspn(asked, "sh?") == PAGES && touched_are_the_others(8), "a slow one alone is borne");

  took = 5000000;
  cpu_pages_make(&paging, memory + 8 * CPU_HUGE_PAGE, 3 * CPU_HUGE_PAGE);
  tap_ok(!strncmp(asked, ".........ss.", 12), "behind the next come small ones");
  took = 90000;
  cpu_pages_make(&paging, memory + 11 * CPU_HUGE_PAGE, 10 * CPU_HUGE_PAGE);
  tap_ok(!strncmp(asked, ".........ssssssss....", 21), "until 16 MB have them");
  tap_ok(touched_are_the_others(21), "which whoever writes makes");

  took = 5000000;
  cpu_pages_make(&paging, memory + 21 * CPU_HUGE_PAGE, 9 * CPU_HUGE_PAGE);
  tap_ok(!strncmp(asked + 21, ".ssssssss.", 10), "quick ones between two pauses: the second is no longer");
  cpu_pages_make(&paging, memory + 30 * CPU_HUGE_PAGE, 66 * CPU_HUGE_PAGE);
  tap_ok(asked[30] == '.' && strspn(asked + 31, "s") == 64 && asked[95] == '.',
         "a slow one behind a pause: the next is eight times as long");

  cpu_pages_made(&paging, memory, 30 * CPU_HUGE_PAGE + 1);
  tap_ok(strspn(asked, "h") == 30, "all may become huge when they are in use");
  munmap(space, bytes + CPU_HUGE_PAGE);
  return tap_end();
}
