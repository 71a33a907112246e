/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a file of packed weights: a header, a table of blobs in the order of ops, the blobs. Numbers
 * are as this machine has them: the file is for the build that wrote it. */
#ifndef IEC_CPU_CACHE_FORMAT_H
#define IEC_CPU_CACHE_FORMAT_H
#include <string.h>

#include "cpu/kernel.h"

#define CACHE_MAGIC "IECPACKS" /* 8 bytes */
#define CACHE_FORMAT 1u
#define CACHE_ALIGN 4096u /* of the header in its file and of every blob: pages */
#define CACHE_SPARSE 64   /* one page of so many is in the sparse hash */

typedef struct cache_header {
  char magic[8];
  uint32_t format, header_size;
  uint64_t size; /* of header, table and blobs: up to the end of the file */
  uint64_t key[2];
  uint64_t count; /* of blobs */
  char isa[16], version[32], build[48];
  uint64_t hash[2]; /* of all above and the table */
} cache_header;

typedef struct cache_entry {
  int32_t op, number;
  uint64_t offset, bytes, hash[2], sparse_hash[2];
  char what[24];
} cache_entry;

/* Every `step`-th page of a blob, and the last one. */
static inline void cache_hash_blob(const iec_host_api *host, const void *data, size_t bytes, size_t step,
                                   uint64_t out[2]) {
  memset(out, 0, 2 * sizeof *out);
  const unsigned char *from = data;
  if (step == 1) {
    host->hash(from, bytes, out);
    return;
  }
  for (size_t at = 0; at < bytes; at += step * CACHE_ALIGN)
    host->hash(from + at, bytes - at < CACHE_ALIGN ? bytes - at : CACHE_ALIGN, out);
  size_t last = bytes ? (bytes - 1) / CACHE_ALIGN * CACHE_ALIGN : 0;
  host->hash(from + last, bytes - last, out);
}

static inline void cache_hash_table(const iec_host_api *host, const cache_header *h,
                                    const cache_entry *entries, uint64_t out[2]) {
  memset(out, 0, 2 * sizeof *out);
  host->hash(h, offsetof(cache_header, hash), out);
  host->hash(entries, h->count * sizeof *entries, out);
}
#endif
