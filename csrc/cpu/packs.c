/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of packed weights: found in a cache file or made anew. */
#include "cpu/cache.h"

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
    packed->data = packs->host->alloc(packs->host->self, bytes, 64);
  }
  if (packed->data) packs->count++;
  return packed->data;
}

void cpu_packs_release(cpu_packs *packs) {
  for (int32_t i = 0; i < packs->count; ++i)
    if (!packs->list[i].is_shared) packs->host->release(packs->host->self, packs->list[i].data);
  packs->count = 0;
}
