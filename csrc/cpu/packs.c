/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of packed weights: found in a cache file or made anew. */
#include "cpu/cache.h"
#include "cpu/pages.h"

struct cpu_chunk {
  struct cpu_chunk *before;
  void *memory;
};

void cpu_room_close(cpu_room *room) {
  if (room->chunks) {
    char *begin = room->chunks->memory;
    cpu_pages_made(room->paging, begin, (size_t)(room->next - begin));
  }
  if (room->left) cpu_pages_unused(room->next, room->left);
  room->left = 0;
}

/* Pages for what is taken up to now. */
static void make_pages(cpu_room *room) {
  if (room->next <= room->made) return;
  size_t pages = ((size_t)(room->next - room->made) + CPU_HUGE_PAGE - 1) / CPU_HUGE_PAGE,
         there = (size_t)(room->next + room->left - room->made) / CPU_HUGE_PAGE;
  if (pages > there) pages = there; /* the end of a chunk may be less than a page */
  cpu_pages_make(room->paging, room->made, pages * CPU_HUGE_PAGE);
  room->made += pages * CPU_HUGE_PAGE;
}

void *cpu_room_take(cpu_room *room, size_t bytes) {
  const iec_host_api *host = room->host;
  if (bytes > SIZE_MAX - 63) return NULL;
  bytes = (bytes + 63) / 64 * 64;
  if (bytes > room->left || !room->next) {
    cpu_room_close(room);
    size_t size = bytes > room->chunk_size ? bytes : room->chunk_size;
    struct cpu_chunk *chunk = host->alloc(host->self, sizeof *chunk, sizeof(void *));
    void *memory = chunk ? host->alloc(host->self, size, 64) : NULL;
    if (!memory) {
      host->release(host->self, chunk);
      return NULL;
    }
    *chunk = (struct cpu_chunk){.before = room->chunks, .memory = memory};
    room->chunks = chunk;
    room->next = room->made = memory;
    room->left = size;
  }
  void *piece = room->next;
  room->next += bytes;
  room->left -= bytes;
  make_pages(room);
  return piece;
}

void cpu_room_release(cpu_room *room) {
  for (struct cpu_chunk *chunk = room->chunks, *before; chunk; chunk = before) {
    before = chunk->before;
    room->host->release(room->host->self, chunk->memory);
    room->host->release(room->host->self, chunk);
  }
  room->chunks = NULL;
}

void *cpu_pack(const cpu_node *node, const char *what, size_t bytes, int32_t *ready) {
  cpu_packs *packs = node->packs;
  cpu_packed *packed = &packs->list[packs->count];
  *ready = 0;
  if (packs->count == CPU_MAX_PACKS) return NULL;
  *packed = (cpu_packed){.bytes = bytes, .what = what};
  const void *found =
      packs->cache ? cpu_cache_find(packs->cache, packs->op, packs->count, what, bytes) : NULL;
  if (found) {
    packed->data = (void *)(uintptr_t)found; /* the kernel only reads it */
    packed->is_shared = *ready = 1;
  } else {
    packed->data = cpu_room_take(packs->room, bytes);
  }
  if (packed->data) packs->count++;
  return packed->data;
}
