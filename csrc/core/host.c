/* SPDX-License-Identifier: Apache-2.0 */
/* The services that drivers get from the host. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "core.h"

enum { HUGE_PAGE = 2 * 1024 * 1024 };

struct iec_host {
  char unused; /* one host, without state */
};

static void *host_alloc(iec_host *self, size_t size, size_t align) {
  (void)self;
  void *memory = NULL;
  if (align < sizeof(void *)) align = sizeof(void *);
  if (size >= HUGE_PAGE && align < HUGE_PAGE) align = HUGE_PAGE;
  if (posix_memalign(&memory, align, size ? size : 1)) return NULL;
#ifdef MADV_HUGEPAGE
  /* Weights are read from end to end: fewer pages, fewer walks of the page table. The rest of the last page
   * stays as it is. Where the system has no huge pages nothing happens. */
  if (size >= HUGE_PAGE) madvise(memory, size / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
#endif
  return memory;
}

static void host_release(iec_host *self, void *memory) {
  (void)self;
  free(memory);
}

/* Messages up to the level that IE_CTYPES_LOG names (1 errors to 4 details) go to stderr; without it nothing
 * is written. */
static void host_log(iec_host *self, int32_t level, const char *message) {
  (void)self;
  const char *limit = getenv("IE_CTYPES_LOG");
  if (limit && level <= atoi(limit)) fprintf(stderr, "ie_ctypes: %s\n", message);
}

static iec_host the_host;

const iec_host_api iec_host_table = {
    .struct_size = sizeof(iec_host_api),
    .abi_version = IEC_ABI_VERSION,
    .self = &the_host,
    .alloc = host_alloc,
    .release = host_release,
    .log = host_log,
    .graph = &iec_graph_table,
    .team_create = iec_team_create,
    .team_release = iec_team_release,
    .team_run = iec_team_run,
    .team_barrier = iec_team_barrier,
    .hash = iec_hash,
    .team_share = iec_team_share,
    .team_settle = iec_team_settle,
};
