/* SPDX-License-Identifier: Apache-2.0 */
/* Reading files of packed weights: checks and the mapping. */
#include "cpu/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdalign.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cpu/build_id.h"
#include "cpu/cache_format.h"

struct cpu_cache {
  const iec_host_api *host;
  const unsigned char *map;
  size_t size;
  const cache_entry *entries;
  uint64_t count;
  int trusted;
  atomic_int damaged;
};

/* ---- opening */

static int equal(const char *text, const char *field, size_t size) {
  return strncmp(text, field, size - 1) == 0;
}

static iec_status check_header(const cache_header *h, uint64_t size, const cpu_cache_key *key,
                               const char *path, iec_error *err) {
  if (memcmp(h->magic, CACHE_MAGIC, sizeof h->magic) != 0)
    return cpu_fail(err, IEC_NETWORK_NOT_READ, path, "not a file of packed weights");
  if (h->format != CACHE_FORMAT || h->header_size != sizeof *h)
    return cpu_fail(err, IEC_NETWORK_NOT_READ, path, "packed weights of format %u, this library reads %u",
                    h->format, CACHE_FORMAT);
  if (h->size != size)
    return cpu_fail(err, IEC_NETWORK_NOT_READ, path, "packed weights of %llu bytes, expected %llu",
                    (unsigned long long)size, (unsigned long long)h->size);
  if (!equal(IEC_VERSION, h->version, sizeof h->version) || !equal(cpu_build_id(), h->build, sizeof h->build))
    return cpu_fail(err, IEC_NETWORK_NOT_READ, path,
                    "packed by ie_ctypes %.*s (build %.12s), this is %s (build %.12s)",
                    (int)sizeof h->version - 1, h->version, h->build, IEC_VERSION, cpu_build_id());
  if (!equal(cpu_isa(), h->isa, sizeof h->isa))
    return cpu_fail(err, IEC_NETWORK_NOT_READ, path,
                    "packed for the instruction set %.*s, this machine uses %s", (int)sizeof h->isa - 1,
                    h->isa, cpu_isa());
  if (h->count > (size - sizeof *h) / sizeof(cache_entry))
    return cpu_fail(err, IEC_NETWORK_NOT_READ, path, "damaged: %llu blobs in %llu bytes",
                    (unsigned long long)h->count, (unsigned long long)size);
  if (memcmp(h->key, key->words, sizeof h->key) != 0)
    return cpu_fail(err, IEC_NETWORK_NOT_READ, path, "packed weights of another network");
  return IEC_OK;
}

static iec_status check_entries(const cpu_cache *cache, const char *path, iec_error *err) {
  const cache_header *h = (const cache_header *)(const void *)cache->map;
  uint64_t hash[2];
  cache_hash_table(cache->host, h, cache->entries, hash);
  if (memcmp(hash, h->hash, sizeof hash) != 0)
    return cpu_fail(err, IEC_NETWORK_NOT_READ, path, "damaged: wrong checksum");
  for (uint64_t i = 0; i < cache->count; ++i) {
    const cache_entry *e = &cache->entries[i];
    int in_order = !i || e[-1].op < e->op || (e[-1].op == e->op && e[-1].number < e->number);
    if (e->offset % CACHE_ALIGN || e->offset > cache->size || e->bytes > cache->size - e->offset || !in_order)
      return cpu_fail(err, IEC_NETWORK_NOT_READ, path, "damaged: blob %llu", (unsigned long long)i);
  }
  return IEC_OK;
}

static iec_status map_file(cpu_cache *cache, int file, uint64_t offset, const cpu_cache_key *key,
                           const char *path, iec_error *err) {
  struct stat info;
  cache_header header;
  if (fstat(file, &info)) return cpu_fail(err, IEC_NETWORK_NOT_READ, path, "%s", strerror(errno));
  if (offset % CACHE_ALIGN || (uint64_t)info.st_size < offset + sizeof header ||
      pread(file, &header, sizeof header, (off_t)offset) != (ssize_t)sizeof header)
    return cpu_fail(err, IEC_NETWORK_NOT_READ, path, "the file is cut short: %lld bytes",
                    (long long)info.st_size);
  uint64_t size = (uint64_t)info.st_size - offset;
  iec_status status = check_header(&header, size, key, path, err);
  if (status) return status;
  void *map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, file, (off_t)offset);
  if (map == MAP_FAILED) return cpu_fail(err, IEC_NETWORK_NOT_READ, path, "cannot map %s", strerror(errno));
  cache->map = map;
  cache->size = size;
  cache->count = header.count;
  cache->entries = (const cache_entry *)(const void *)(cache->map + sizeof header);
  return check_entries(cache, path, err);
}

iec_status cpu_cache_open(const iec_host_api *host, const char *path, uint64_t offset,
                          const cpu_cache_key *key, int trusted, cpu_cache **out, iec_error *err) {
  *out = NULL;
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return cpu_fail(err, IEC_NOT_FOUND, path, "%s", strerror(errno));
  cpu_cache *cache = host->alloc(host->self, sizeof *cache, alignof(max_align_t));
  iec_status status = IEC_OK;
  if (cache) {
    memset(cache, 0, sizeof *cache);
    cache->host = host;
    cache->trusted = trusted;
    status = map_file(cache, file, offset, key, path, err);
  } else {
    status = cpu_fail(err, IEC_OUT_OF_MEMORY, path, "out of memory");
  }
  close(file);
  if (status)
    cpu_cache_release(cache);
  else
    *out = cache;
  return status;
}

void cpu_cache_release(cpu_cache *cache) {
  if (!cache) return;
  if (cache->map) munmap((void *)(uintptr_t)cache->map, cache->size);
  cache->host->release(cache->host->self, cache);
}

const void *cpu_cache_find(cpu_cache *cache, int32_t op, int32_t number, const char *what, size_t bytes) {
  uint64_t low = 0, high = cache->count;
  while (low < high) {
    uint64_t middle = low + (high - low) / 2;
    const cache_entry *e = &cache->entries[middle];
    if (e->op < op || (e->op == op && e->number < number))
      low = middle + 1;
    else
      high = middle;
  }
  const cache_entry *e = &cache->entries[low];
  if (low == cache->count || e->op != op || e->number != number || e->bytes != bytes ||
      strncmp(e->what, what, sizeof e->what) != 0)
    return NULL;
  uint64_t hash[2];
  cache_hash_blob(cache->host, cache->map + e->offset, bytes, cache->trusted ? CACHE_SPARSE : 1, hash);
  if (memcmp(hash, cache->trusted ? e->sparse_hash : e->hash, sizeof hash) == 0)
    return cache->map + e->offset;
  atomic_store(&cache->damaged, 1);
  return NULL;
}

int cpu_cache_is_damaged(const cpu_cache *cache) { return cache && atomic_load(&cache->damaged); }
