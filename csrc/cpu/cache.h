/* SPDX-License-Identifier: Apache-2.0 */
/* Files of packed weights: written after a load, mapped by later loads of the same network.
 * docs/cpu-engine.md says why they look like this. */
#ifndef IEC_CPU_CACHE_H
#define IEC_CPU_CACHE_H
#include "cpu/graph.h"

typedef struct cpu_cache cpu_cache; /* an open file, read-only */

/* What a file is good for: the same graph, the same decisions about it, the same build of this library. */
typedef struct cpu_cache_key {
  uint64_t words[2];
} cpu_cache_key;

/* The key of a graph on which all passes have run: its constants are read from end to end, by so many
 * threads. IEC_NOT_IMPLEMENTED when this build cannot be told from others. */
iec_status cpu_cache_key_of(const cpu_graph *graph, int32_t threads, cpu_cache_key *out, iec_error *err);

/* Maps the file that starts `offset` bytes (whole pages) into `path`. Fails with words when it is not there,
 * damaged, cut short, or made for another network, build or instruction set. Blobs are checked when they are
 * asked for: all their pages, or with `trusted` a few of them. Nobody may change the file in place while it
 * is open. */
iec_status cpu_cache_open(const iec_host_api *host, const char *path, uint64_t offset,
                          const cpu_cache_key *key, int trusted, cpu_cache **out, iec_error *err);
void cpu_cache_release(cpu_cache *cache); /* NULL accepted */

/* The blob that pack `number` of op `op` made; NULL when it is not there or damaged. Threads: any. */
const void *cpu_cache_find(cpu_cache *cache, int32_t op, int32_t number, const char *what, size_t bytes);
/* 1 when a blob that was asked for is damaged. */
int cpu_cache_is_damaged(const cpu_cache *cache);

/* The file of a graph whose kernels are prepared: `put` gets it piece by piece and returns 0 on failure. */
typedef int (*cpu_cache_put)(void *arg, const void *data, size_t size);
iec_status cpu_cache_write(const cpu_graph *graph, const cpu_cache_key *key, cpu_cache_put put, void *arg,
                           iec_error *err);
/* Its size. */
size_t cpu_cache_size(const cpu_graph *graph);

/* The same into `folder`, which is made when it is not there: under a name of its own first, so that no
 * reader sees a part. */
iec_status cpu_cache_store(const cpu_graph *graph, const char *folder, const cpu_cache_key *key,
                           iec_error *err);
/* Path of the file for `key` in `folder`, to be released with host->release; NULL when out of memory. */
char *cpu_cache_path(const iec_host_api *host, const char *folder, const cpu_cache_key *key,
                     const char *ending);

#endif
