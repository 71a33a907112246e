/* SPDX-License-Identifier: Apache-2.0 */
/* Writing files of packed weights. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cpu/build_id.h"
#include "cpu/cache.h"
#include "cpu/cache_format.h"

static size_t pages(size_t size) { return (size + CACHE_ALIGN - 1) / CACHE_ALIGN * CACHE_ALIGN; }

static uint64_t count_blobs(const cpu_graph *graph) {
  uint64_t count = 0;
  for (int32_t i = 0; i < graph->op_count; ++i) count += (uint64_t)graph->ops[i]->packs.count;
  return count;
}

static size_t table_size(const cpu_graph *graph) {
  return sizeof(cache_header) + count_blobs(graph) * sizeof(cache_entry);
}

size_t cpu_cache_size(const cpu_graph *graph) {
  size_t size = pages(table_size(graph));
  for (int32_t i = 0; i < graph->op_count; ++i)
    for (int32_t j = 0; j < graph->ops[i]->packs.count; ++j)
      size += pages(graph->ops[i]->packs.list[j].bytes);
  return size;
}

/* Header and table, in memory of `pages(table_size)` bytes. */
static void fill_table(const cpu_graph *graph, const cpu_cache_key *key, cache_header *h) {
  const iec_host_api *host = graph->host;
  cache_entry *e = (cache_entry *)(void *)(h + 1);
  size_t at = pages(table_size(graph));
  memcpy(h->magic, CACHE_MAGIC, sizeof h->magic);
  h->format = CACHE_FORMAT;
  h->header_size = sizeof *h;
  h->size = cpu_cache_size(graph);
  memcpy(h->key, key->words, sizeof h->key);
  h->count = count_blobs(graph);
  snprintf(h->isa, sizeof h->isa, "%s", cpu_isa());
  snprintf(h->version, sizeof h->version, "%s", IEC_VERSION);
  snprintf(h->build, sizeof h->build, "%s", cpu_build_id());
  for (int32_t i = 0; i < graph->op_count; ++i)
    for (int32_t j = 0; j < graph->ops[i]->packs.count; ++j, ++e) {
      const cpu_packed *p = &graph->ops[i]->packs.list[j];
      *e = (cache_entry){.op = i, .number = j, .offset = at, .bytes = p->bytes};
      snprintf(e->what, sizeof e->what, "%s", p->what);
      cache_hash_blob(host, p->data, p->bytes, 1, e->hash);
      cache_hash_blob(host, p->data, p->bytes, CACHE_SPARSE, e->sparse_hash);
      at += pages(p->bytes);
    }
  cache_hash_table(host, h, (const cache_entry *)(const void *)(h + 1), h->hash);
}

iec_status cpu_cache_write(const cpu_graph *graph, const cpu_cache_key *key, cpu_cache_put put, void *arg,
                           iec_error *err) {
  static const char zeros[CACHE_ALIGN];
  const iec_host_api *host = graph->host;
  size_t table = pages(table_size(graph));
  cache_header *h = host->alloc(host->self, table, 64);
  if (!h) return cpu_fail(err, IEC_OUT_OF_MEMORY, "export", "out of memory for %zu bytes", table);
  memset(h, 0, table);
  fill_table(graph, key, h);
  int good = put(arg, h, table);
  host->release(host->self, h);
  for (int32_t i = 0; i < graph->op_count; ++i)
    for (int32_t j = 0; good && j < graph->ops[i]->packs.count; ++j) {
      const cpu_packed *p = &graph->ops[i]->packs.list[j];
      good = put(arg, p->data, p->bytes) && put(arg, zeros, pages(p->bytes) - p->bytes);
    }
  return good ? IEC_OK : cpu_fail(err, IEC_GENERAL_ERROR, "export", "cannot write: %s", strerror(errno));
}

/* ---- into a folder */

char *cpu_cache_path(const iec_host_api *host, const char *folder, const cpu_cache_key *key,
                     const char *ending) {
  size_t size = strlen(folder) + strlen(ending) + 36;
  char *path = host->alloc(host->self, size, 8);
  if (path)
    snprintf(path, size, "%s/%016llx%016llx%s", folder, (unsigned long long)key->words[0],
             (unsigned long long)key->words[1], ending);
  return path;
}

/* The folders above `path` that are not there yet. */
static int make_folders(char *path) {
  for (char *end = strchr(path + 1, '/'); end; end = strchr(end + 1, '/')) {
    *end = 0;
    int failed = mkdir(path, 0777) && errno != EEXIST;
    *end = '/';
    if (failed) return 0;
  }
  return 1;
}

static int put_file(void *arg, const void *data, size_t size) {
  const int *file = arg;
  for (const char *at = data; size;) {
    ssize_t done = write(*file, at, size);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return 0;
    at += done;
    size -= (size_t)done;
  }
  return 1;
}

static iec_status write_new(const cpu_graph *graph, const cpu_cache_key *key, const char *part,
                            const char *path, iec_error *err) {
  int file = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (file < 0) return cpu_fail(err, IEC_GENERAL_ERROR, part, "%s", strerror(errno));
  iec_status status = cpu_cache_write(graph, key, put_file, &file, err);
  if (close(file) && !status) status = cpu_fail(err, IEC_GENERAL_ERROR, part, "%s", strerror(errno));
  if (!status && rename(part, path)) status = cpu_fail(err, IEC_GENERAL_ERROR, path, "%s", strerror(errno));
  if (status) unlink(part);
  return status;
}

iec_status cpu_cache_store(const cpu_graph *graph, const char *folder, const cpu_cache_key *key,
                           iec_error *err) {
  static atomic_uint number; /* loads of one process may store the same network at once */
  const iec_host_api *host = graph->host;
  struct timespec now; /* a part that a killed process of this number left is not in the way */
  clock_gettime(CLOCK_REALTIME, &now);
  char ending[96];
  snprintf(ending, sizeof ending, ".%ld.%u.%lld%09ld.part", (long)getpid(), atomic_fetch_add(&number, 1),
           (long long)now.tv_sec, now.tv_nsec);
  char *path = cpu_cache_path(host, folder, key, ".blob"), *part = cpu_cache_path(host, folder, key, ending);
  iec_status status;
  if (!path || !part)
    status = cpu_fail(err, IEC_OUT_OF_MEMORY, folder, "out of memory");
  else if (!make_folders(path))
    status = cpu_fail(err, IEC_GENERAL_ERROR, folder, "cannot make the folder: %s", strerror(errno));
  else
    status = write_new(graph, key, part, path, err);
  host->release(host->self, path);
  host->release(host->self, part);
  return status;
}
