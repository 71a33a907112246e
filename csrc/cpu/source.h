/* SPDX-License-Identifier: Apache-2.0 */
/* Constants that are read from their file while they are packed. They are mapped; but where each page is
 * looked at once, mapping and dropping it costs the system more than copying it into a buffer that stays in a
 * cache. */
#ifndef IEC_CPU_SOURCE_H
#define IEC_CPU_SOURCE_H
#include "cpu/graph.h"

typedef struct cpu_source {
  uintptr_t begin, end; /* of the mapping */
  int64_t offset;       /* of its begin in the file */
  int file, pages;      /* descriptors, pages: of /proc/self/pagemap; -1: constants are read where they lie */
} cpu_source;

/* The file that is mapped where the largest of the host's constants lies; those of other files are read where
 * they lie. */
void cpu_source_open(cpu_source *source, const cpu_graph *graph);
void cpu_source_close(cpu_source *source);

enum { CPU_SLOTS = 2 };

/* A thread's buffers for cpu_read. */
typedef struct cpu_reader {
  const iec_host_api *host;
  const cpu_source *source;
  void *slots[CPU_SLOTS];
  size_t sizes[CPU_SLOTS];
} cpu_reader;

void cpu_reader_close(cpu_reader *reader);
#endif
