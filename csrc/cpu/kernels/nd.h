/* SPDX-License-Identifier: Apache-2.0 */
/* Copying an n-dimensional piece between two strided tensors: the engine of all data movement kernels. */
#ifndef IEC_CPU_ND_H
#define IEC_CPU_ND_H
#include "cpu/kernels/common.h"

#define ND_MAX (2 * IEC_MAX_NDIM) /* Tile doubles the axes */

/* dst[sum i*dst_stride] = src[sum i*src_stride], strides in elements; source strides may be 0 or negative. */
typedef struct nd_copy {
  int32_t rank, size; /* size: bytes of an element */
  int32_t fast;       /* axis on which the source is contiguous; rank - 1, or a transposition */
  int64_t dims[ND_MAX], src[ND_MAX], dst[ND_MAX]; /* outermost first */
  int64_t items, parts, part;                     /* units of work: rows cut into parts */
} nd_copy;

/* Completes a copy whose rank, dims, strides and size are set: merges axes and plans the units of work. */
static inline void nd_plan(nd_copy *c) {
  int rank = 0;
  for (int i = 0; i < c->rank; i++) {
    if (c->dims[i] == 1) continue;
    if (rank && c->src[rank - 1] == c->src[i] * c->dims[i] && c->dst[rank - 1] == c->dst[i] * c->dims[i]) {
      c->dims[rank - 1] *= c->dims[i];
      c->src[rank - 1] = c->src[i];
      c->dst[rank - 1] = c->dst[i];
      continue;
    }
    c->dims[rank] = c->dims[i];
    c->src[rank] = c->src[i];
    c->dst[rank] = c->dst[i];
    rank++;
  }
  if (!rank) {
    c->dims[0] = c->src[0] = c->dst[0] = 1;
    rank = 1;
  }
  c->rank = rank;
  c->fast = rank - 1;
  if (c->src[rank - 1] != 1 && c->dst[rank - 1] == 1 && c->size <= 8)
    for (int i = 0; i < rank - 1; i++)
      if (c->src[i] == 1 && c->dims[i] > 1) c->fast = i;
  if (c->fast != rank - 1) { /* transposition of the axes fast and last: tiles of 32 rows */
    c->part = 32;
    c->parts = op_div_up(c->dims[c->fast], c->part);
    c->items = c->parts;
    for (int i = 0; i < rank - 1; i++)
      if (i != c->fast) c->items *= c->dims[i];
    return;
  }
  c->part = op_min(c->dims[rank - 1], 16384);
  c->parts = c->dims[rank - 1] ? op_div_up(c->dims[rank - 1], c->part) : 0;
  c->items = op_product(c->dims, 0, rank - 1) * c->parts;
}

/* Units of work worth one atomic operation. */
static inline int64_t nd_grain(const nd_copy *c) {
  int64_t unit = c->fast == c->rank - 1 ? c->part : c->part * c->dims[c->rank - 1];
  return op_max(1, 16384 / op_max(unit, 1));
}

static inline void nd_row(int32_t size, int64_t n, const char *src, int64_t ss, char *dst, int64_t ds) {
  if (ss == 1 && ds == 1) {
    memcpy(dst, src, (size_t)(n * size));
    return;
  }
#define ND_ROW(type) \
  for (int64_t i = 0; i < n; i++) ((type *)dst)[i * ds] = ((const type *)src)[i * ss]
  switch (size) {
    case 1: ND_ROW(uint8_t); break;
    case 2: ND_ROW(uint16_t); break;
    case 4: ND_ROW(uint32_t); break;
    default: ND_ROW(uint64_t); break;
  }
#undef ND_ROW
}

/* dst[i * ds + j] = src[i + j * ss] for i < n, j < m, in squares that fit the first cache. */
static inline void nd_square(int32_t size, int64_t n, int64_t m, const char *src, int64_t ss, char *dst,
                             int64_t ds) {
#define ND_SQUARE(type)                                                                              \
  for (int64_t j0 = 0; j0 < m; j0 += 32) {                                                           \
    int64_t j1 = op_min(j0 + 32, m);                                                                 \
    for (int64_t i = 0; i < n; i++)                                                                  \
      for (int64_t j = j0; j < j1; j++) ((type *)dst)[i * ds + j] = ((const type *)src)[i + j * ss]; \
  }
  switch (size) {
    case 1: ND_SQUARE(uint8_t) break;
    case 2: ND_SQUARE(uint16_t) break;
    case 4: ND_SQUARE(uint32_t) break;
    default: ND_SQUARE(uint64_t) break;
  }
#undef ND_SQUARE
}

/* Units [begin, end) of the copy. Indices count on from unit to unit: rows are short, divisions are not. */
static inline void nd_run(const nd_copy *c, int64_t begin, int64_t end, const void *source, void *target) {
  if (begin >= end) return;
  int last = c->rank - 1;
  int64_t index[ND_MAX], left = begin / c->parts, at = begin % c->parts * c->part, s = 0, d = 0;
  for (int i = last - 1; i >= 0; i--) {
    if (i == c->fast) continue;
    index[i] = left % c->dims[i];
    left /= c->dims[i];
    s += index[i] * c->src[i];
    d += index[i] * c->dst[i];
  }
  for (int64_t item = begin; item < end; item++) {
    int64_t n = op_min(c->part, c->dims[c->fast] - at);
    const char *src = (const char *)source + (s + at * c->src[c->fast]) * c->size;
    char *dst = (char *)target + (d + at * c->dst[c->fast]) * c->size;
    if (c->fast == last)
      nd_row(c->size, n, src, c->src[last], dst, c->dst[last]);
    else
      nd_square(c->size, n, c->dims[last], src, c->src[last], dst, c->dst[c->fast]);
    at += c->part;
    if (at < c->dims[c->fast]) continue;
    at = 0;
    for (int i = last - 1; i >= 0; i--) {
      if (i == c->fast) continue;
      s += c->src[i];
      d += c->dst[i];
      if (++index[i] < c->dims[i]) break;
      s -= index[i] * c->src[i];
      d -= index[i] * c->dst[i];
      index[i] = 0;
    }
  }
}

/* Several copies that together are one step: the pieces of Concat and Split. */
typedef struct nd_piece {
  nd_copy copy;
  int64_t first;    /* its first unit among those of all pieces */
  int64_t src, dst; /* offsets in bytes */
  int32_t input, output;
} nd_piece;

typedef struct nd_pieces {
  int64_t items, grain;
  int32_t count;
  nd_piece piece[];
} nd_pieces;

/* Numbers the units of all pieces, which are planned. */
static inline void nd_pieces_plan(nd_pieces *p) {
  int64_t grain = INT64_MAX;
  p->items = 0;
  for (int i = 0; i < p->count; i++) {
    p->piece[i].first = p->items;
    p->items += p->piece[i].copy.items;
    grain = op_min(grain, nd_grain(&p->piece[i].copy));
  }
  p->grain = p->count ? grain : 1;
}

static inline void nd_pieces_run(const void *state, const cpu_run *r) {
  const nd_pieces *p = state;
  int64_t b, e;
  while (cpu_next(r, p->items, p->grain, &b, &e)) {
    int low = 0, high = p->count - 1;
    while (low < high) {
      int middle = (low + high + 1) / 2;
      if (p->piece[middle].first <= b)
        low = middle;
      else
        high = middle - 1;
    }
    for (; b < e; low++) {
      const nd_piece *one = &p->piece[low];
      int64_t to = op_min(e, one->first + one->copy.items);
      nd_run(&one->copy, b - one->first, to - one->first, (const char *)r->inputs[one->input] + one->src,
             (char *)r->outputs[one->output] + one->dst);
      b = op_max(b, to);
    }
  }
}

/* One copy that is a whole step. */
static inline void nd_copy_run(const nd_copy *c, const cpu_run *r, int64_t src, int64_t dst) {
  int64_t b, e;
  while (cpu_next(r, c->items, nd_grain(c), &b, &e))
    nd_run(c, b, e, (const char *)r->inputs[0] + src * c->size, (char *)r->outputs[0] + dst * c->size);
}

/* Row-major strides of `dims`. */
static inline void nd_strides(const int64_t *dims, int rank, int64_t *strides) {
  int64_t step = 1;
  for (int i = rank - 1; i >= 0; i--) {
    strides[i] = step;
    step *= dims[i];
  }
}
#endif
