/* SPDX-License-Identifier: Apache-2.0 */
/* The register tile behind convolutions and matrix products. */
#include "cpu/kernels/gemm.h"

#include <math.h>

#include "cpu/kernels/vec.h"

#define PARTS (16 / VL) /* vectors of a block */

/* Keeps a broadcast value in a register: gcc 12 otherwise loads it again inside every multiply-add. */
static inline vf pinned(float x) {
#if defined(__aarch64__)
  __asm__("" : "+w"(x)); /* a scalar in a vector register: fmla takes it by element, no dup */
#endif
  vf v = x - (vf){0};
#if defined(__AVX512F__)
  __asm__("" : "+v"(v));
#elif defined(__x86_64__)
  __asm__("" : "+x"(v));
#endif
  return v;
}

#define AT_ONCE 4 /* input lanes of one turn of the inner loop */
#define SPREAD 8  /* tiles that fetch the next call's weights: an even pace, and no line twice */

/* One input lane of every pixel times its row of weights. */
static inline __attribute__((always_inline)) void add_products(vf *acc, const float *from, const int64_t *at,
                                                               const float *w, const int p_count,
                                                               const int width) {
  vf row[4];
#pragma GCC unroll 4
  for (int v = 0; v < width; v++) row[v] = vf_load(w + v * VL);
#pragma GCC unroll 28
  for (int p = 0; p < p_count; p++) {
    vf s = pinned(from[at[p]]);
#pragma GCC unroll 4
    for (int v = 0; v < width; v++) acc[p * width + v] += s * row[v];
  }
}

/* Inlined with constant p_count, blocks, lanes and spread only, so that `acc` is registers. spread: the
 * pixels lie where a->at says. blocks 0: the first half of one. */
static inline __attribute__((always_inline)) void tile(const gemm_args *a, const int p_count,
                                                       const int blocks, const int lanes, const int spread) {
  vf acc[28];
  int64_t at[28];
  const int nb = blocks ? blocks : 1, width = blocks ? nb * PARTS : PARTS / 2;
  const float *x = a->x, *w = a->w;
#pragma GCC unroll 28
  for (int p = 0; p < p_count; p++) at[p] = spread ? (int64_t)a->at[p] * lanes : p * lanes;
  const int biased = a->bias && !a->accumulate;
#pragma GCC unroll 4
  for (int v = 0; v < width; v++)
#pragma GCC unroll 28
    for (int p = 0; p < p_count; p++) acc[p * width + v] = biased ? vf_load(a->bias + v * VL) : (vf){0};
  const float *begun = a->accumulate ? a->y : a->addend;
  if (begun)
#pragma GCC unroll 4
    for (int v = 0; v < width; v++)
#pragma GCC unroll 28
      for (int p = 0; p < p_count; p++)
        acc[p * width + v] += vf_load(begun + v / PARTS * a->y_block + p * 16 + v % PARTS * VL);
  const float *fetch = a->fetch;
  const int64_t fetched = a->fetched;
  for (int64_t b = 0; b < a->blocks; b++, x += a->block_step) {
    const int64_t used = lanes == 1 ? 1 : b + 1 < a->blocks ? lanes : a->last_lanes;
    for (int64_t t = 0; t < a->tap_count; t++) {
      const float *from = x + a->taps[t], *stop = w + used * nb * 16;
      if (lanes == 16)
#pragma GCC unroll 1
        for (const float *whole = w + used / AT_ONCE * AT_ONCE * nb * 16; w != whole;
             from += AT_ONCE, w += AT_ONCE * nb * 16) {
#pragma GCC unroll 1
          for (const float *end = fetch + fetched; fetch != end; fetch += 16) __builtin_prefetch(fetch);
#pragma GCC unroll 4
          for (int c = 0; c < AT_ONCE; c++) add_products(acc, from + c, at, w + c * nb * 16, p_count, width);
        }
#pragma GCC unroll 1
      for (; w != stop; from++, w += nb * 16) add_products(acc, from, at, w, p_count, width);
    }
  }
  if (a->limits) {
    vf low = vf_set(a->limits[0]), high = vf_set(a->limits[1]);
#pragma GCC unroll 28
    for (int i = 0; i < p_count * width; i++) acc[i] = vf_at_least(acc[i], low);
    if (a->limits[1] < INFINITY)
#pragma GCC unroll 28
      for (int i = 0; i < p_count * width; i++) acc[i] = vf_at_most(acc[i], high);
  }
  float *y = vf_place(a->y);
#pragma GCC unroll 4
  for (int v = 0; v < width; v++)
#pragma GCC unroll 28
    for (int p = 0; p < p_count; p++)
      vf_store(y + v / PARTS * a->y_block + p * 16 + v % PARTS * VL, acc[p * width + v]);
#pragma GCC unroll 4
  for (int v = width; v < nb * PARTS; v++)
#pragma GCC unroll 28
    for (int p = 0; p < p_count; p++) vf_store(y + p * 16 + v * VL, (vf){0});
}

/* One function a tile, never inlined: several tiles in one function make gcc spill. */
#define PLAIN(P, NB)                                                                     \
  static __attribute__((noinline)) void tile_##P##x##NB##_plain(const gemm_args *a) {    \
    tile(a, P, NB, 1, 0);                                                                \
  }                                                                                      \
  static __attribute__((noinline)) void tile_##P##x##NB##_plain_at(const gemm_args *a) { \
    tile(a, P, NB, 1, 1);                                                                \
  }
#define TILE(P, NB)                                                                      \
  PLAIN(P, NB)                                                                           \
  static __attribute__((noinline)) void tile_##P##x##NB##_block(const gemm_args *a) {    \
    tile(a, P, NB, 16, 0);                                                               \
  }                                                                                      \
  static __attribute__((noinline)) void tile_##P##x##NB##_block_at(const gemm_args *a) { \
    tile(a, P, NB, 16, 1);                                                               \
  }
#define PAIR(P, NB) \
  {tile_##P##x##NB##_plain, tile_##P##x##NB##_block, tile_##P##x##NB##_plain_at, tile_##P##x##NB##_block_at}
#define HALF(P, NB) {tile_##P##x##NB##_plain, NULL, tile_##P##x##NB##_plain_at, NULL}

typedef void (*tile_fn)(const gemm_args *);

/* clang-format off */
#if defined(__AVX512F__)
TILE(1, 1) TILE(2, 1) TILE(3, 1) TILE(4, 1) TILE(5, 1) TILE(6, 1) TILE(7, 1)
TILE(8, 1) TILE(9, 1) TILE(10, 1) TILE(11, 1) TILE(12, 1) TILE(13, 1) TILE(14, 1)
TILE(1, 2) TILE(2, 2) TILE(3, 2) TILE(4, 2) TILE(5, 2) TILE(6, 2) TILE(7, 2)
TILE(8, 2) TILE(9, 2) TILE(10, 2) TILE(11, 2) TILE(12, 2) TILE(13, 2) TILE(14, 2)
TILE(1, 3) TILE(2, 3) TILE(3, 3) TILE(4, 3) TILE(5, 3) TILE(6, 3) TILE(7, 3) TILE(8, 3) TILE(9, 3)
TILE(1, 4) TILE(2, 4) TILE(3, 4) TILE(4, 4) TILE(5, 4) TILE(6, 4)
PLAIN(15, 1) PLAIN(16, 1) PLAIN(17, 1) PLAIN(18, 1) PLAIN(19, 1) PLAIN(20, 1) PLAIN(21, 1)
PLAIN(22, 1) PLAIN(23, 1) PLAIN(24, 1) PLAIN(25, 1) PLAIN(26, 1) PLAIN(27, 1) PLAIN(28, 1)
/* The most pixels of a tile, by blocks: its sums fit 32 registers together with weights and input. */
static const int64_t widest[] = {0, 14, 14, 9, 6};
static const tile_fn tiles[5][29][4] = {
  {{NULL}},
  {{NULL}, PAIR(1, 1), PAIR(2, 1), PAIR(3, 1), PAIR(4, 1), PAIR(5, 1), PAIR(6, 1), PAIR(7, 1),
   PAIR(8, 1), PAIR(9, 1), PAIR(10, 1), PAIR(11, 1), PAIR(12, 1), PAIR(13, 1), PAIR(14, 1),
   HALF(15, 1), HALF(16, 1), HALF(17, 1), HALF(18, 1), HALF(19, 1), HALF(20, 1), HALF(21, 1),
   HALF(22, 1), HALF(23, 1), HALF(24, 1), HALF(25, 1), HALF(26, 1), HALF(27, 1), HALF(28, 1)},
  {{NULL}, PAIR(1, 2), PAIR(2, 2), PAIR(3, 2), PAIR(4, 2), PAIR(5, 2), PAIR(6, 2), PAIR(7, 2),
   PAIR(8, 2), PAIR(9, 2), PAIR(10, 2), PAIR(11, 2), PAIR(12, 2), PAIR(13, 2), PAIR(14, 2)},
  {{NULL}, PAIR(1, 3), PAIR(2, 3), PAIR(3, 3), PAIR(4, 3), PAIR(5, 3), PAIR(6, 3), PAIR(7, 3),
   PAIR(8, 3), PAIR(9, 3)},
  {{NULL}, PAIR(1, 4), PAIR(2, 4), PAIR(3, 4), PAIR(4, 4), PAIR(5, 4), PAIR(6, 4)}};
#elif defined(__AVX2__) || defined(__aarch64__)
TILE(1, 0) TILE(2, 0) TILE(3, 0) TILE(4, 0) TILE(5, 0) TILE(6, 0)
TILE(7, 0) TILE(8, 0) TILE(9, 0) TILE(10, 0) TILE(11, 0) TILE(12, 0)
TILE(1, 1) TILE(2, 1) TILE(3, 1) TILE(4, 1) TILE(5, 1) TILE(6, 1)
static const int64_t widest[] = {12, 6};
static const tile_fn tiles[2][13][4] = {
  {{NULL}, PAIR(1, 0), PAIR(2, 0), PAIR(3, 0), PAIR(4, 0), PAIR(5, 0), PAIR(6, 0),
   PAIR(7, 0), PAIR(8, 0), PAIR(9, 0), PAIR(10, 0), PAIR(11, 0), PAIR(12, 0)},
  {{NULL}, PAIR(1, 1), PAIR(2, 1), PAIR(3, 1), PAIR(4, 1), PAIR(5, 1), PAIR(6, 1)}};
#else
TILE(1, 1) TILE(2, 1)
static const int64_t widest[] = {0, 2};
static const tile_fn tiles[2][3][4] = {{{NULL}}, {{NULL}, PAIR(1, 1), PAIR(2, 1)}};
#endif
/* clang-format on */

/* A plain input has few taps: a tile of twice as many pixels begins and ends half as often. */
int64_t gemm_tile(int32_t lanes, int64_t nb) {
#if defined(__AVX512F__)
  if (lanes == 1 && nb == 1) return 28;
#else
  (void)lanes;
#endif
  return widest[nb];
}

/* Tile `i` of `count` fetches its part of the next call's weights, some lines in every turn: each line once.
 */
static void fetch_ahead(gemm_args *a, int64_t ahead, int64_t nb, int64_t i, int64_t count) {
  a->fetch = a->w;
  a->fetched = 0;
  if (!ahead || i >= SPREAD) return;
  int64_t shares = count < SPREAD ? count : SPREAD;
  int64_t lines = a->ahead_lines ? a->ahead_lines : AT_ONCE * nb; /* of a turn of all */
  int64_t turns = a->tap_count * ((a->blocks - 1) * (16 / AT_ONCE) + a->last_lanes / AT_ONCE);
  int64_t begin = lines * i / shares, end = lines * (i + 1) / shares;
  a->fetch += ahead + begin * turns * 16;
  a->fetched = (end - begin) * 16;
}

void gemm_pixels(const gemm_args *args, int32_t lanes, int32_t nb, int64_t pixels) {
  gemm_args a = *args;
  if (pixels < 1) return;
  int32_t half = GEMM_HALVES && a.half;
  int64_t most = gemm_tile(lanes, half ? 0 : nb), count = (pixels + most - 1) / most;
  int64_t least = pixels / count, longer = pixels % count;
  const float *x = a.x;
  for (int64_t i = 0; i < count; i++) {
    int64_t p = least + (i < longer);
    int spread = 0;
    if (a.at) {
      spread = a.at[p - 1] - a.at[0] != p - 1;
      a.x = spread ? x : x + a.at[0] * lanes;
    }
    fetch_ahead(&a, args->ahead, nb, i, count);
    tiles[half ? 0 : nb][p][(lanes == 16) + 2 * spread](&a);
    if (a.at)
      a.at += p;
    else
      a.x += p * lanes;
    a.y += p * 16;
    if (a.addend) a.addend += p * 16;
  }
}
