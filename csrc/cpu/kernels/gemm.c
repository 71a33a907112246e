/* SPDX-License-Identifier: Apache-2.0 */
/* The register tile behind convolutions and matrix products. */
#include "cpu/kernels/gemm.h"
#include "cpu/kernels/vec.h"

#define PARTS (16 / VL) /* vectors of a block */

/* Keeps a broadcast value in a register: gcc 12 otherwise loads it again inside every multiply-add. */
static inline vf pinned(float x) {
  vf v = x - (vf){0};
#if defined(__AVX512F__)
  __asm__("" : "+v"(v));
#elif defined(__x86_64__)
  __asm__("" : "+x"(v));
#elif defined(__aarch64__)
  __asm__("" : "+w"(v));
#endif
  return v;
}

/* Inlined with constant p_count, nb and lanes only, so that `acc` is registers. */
static inline __attribute__((always_inline)) void tile(const gemm_args *a, const int p_count, const int nb,
                                                       const int lanes) {
  vf acc[28];
  const int width = nb * PARTS;
  const float *x = a->x, *w = a->w;
#pragma GCC unroll 28
  for (int p = 0; p < p_count; p++)
#pragma GCC unroll 4
    for (int v = 0; v < width; v++) {
      if (a->accumulate)
        acc[p * width + v] = vf_load(a->y + p * a->y_pixel + v / PARTS * a->y_block + v % PARTS * VL);
      else
        acc[p * width + v] = a->bias ? vf_load(a->bias + v * VL) : (vf){0};
    }
  if (a->addend)
#pragma GCC unroll 28
    for (int p = 0; p < p_count; p++)
#pragma GCC unroll 4
      for (int v = 0; v < width; v++)
        acc[p * width + v] += vf_load(a->addend + p * a->y_pixel + v / PARTS * a->y_block + v % PARTS * VL);
  for (int64_t b = 0; b < a->blocks; b++, x += a->block_step) {
    const int64_t used = lanes == 1 ? 1 : b + 1 < a->blocks ? lanes : a->last_lanes;
    for (int64_t t = 0; t < a->tap_count; t++) {
      const float *from = x + a->taps[t];
#pragma GCC unroll 1
      for (int64_t c = 0; c < used; c++, from++, w += nb * 16) {
        vf row[4];
#pragma GCC unroll 4
        for (int v = 0; v < width; v++) row[v] = vf_load(w + v * VL);
#pragma GCC unroll 28
        for (int p = 0; p < p_count; p++) {
          vf s = pinned(from[p * lanes]);
#pragma GCC unroll 4
          for (int v = 0; v < width; v++) acc[p * width + v] += s * row[v];
        }
      }
    }
  }
  if (a->limits) {
    vf low = vf_set(a->limits[0]), high = vf_set(a->limits[1]);
#pragma GCC unroll 28
    for (int i = 0; i < p_count * width; i++) acc[i] = vf_at_most(vf_at_least(acc[i], low), high);
  }
#pragma GCC unroll 28
  for (int p = 0; p < p_count; p++)
#pragma GCC unroll 4
    for (int v = 0; v < width; v++)
      vf_store(a->y + p * a->y_pixel + v / PARTS * a->y_block + v % PARTS * VL, acc[p * width + v]);
}

/* One function a tile, never inlined: several tiles in one function make gcc spill. */
#define TILE(P, NB)                                                                                         \
  static __attribute__((noinline)) void tile_##P##x##NB##_block(const gemm_args *a) { tile(a, P, NB, 16); } \
  static __attribute__((noinline)) void tile_##P##x##NB##_plain(const gemm_args *a) { tile(a, P, NB, 1); }
#define PAIR(P, NB) {tile_##P##x##NB##_plain, tile_##P##x##NB##_block}

typedef void (*tile_fn)(const gemm_args *);

/* clang-format off */
#if defined(__AVX512F__)
TILE(1, 1) TILE(2, 1) TILE(3, 1) TILE(4, 1) TILE(5, 1) TILE(6, 1) TILE(7, 1)
TILE(8, 1) TILE(9, 1) TILE(10, 1) TILE(11, 1) TILE(12, 1) TILE(13, 1) TILE(14, 1)
TILE(1, 2) TILE(2, 2) TILE(3, 2) TILE(4, 2) TILE(5, 2) TILE(6, 2) TILE(7, 2)
TILE(8, 2) TILE(9, 2) TILE(10, 2) TILE(11, 2) TILE(12, 2) TILE(13, 2) TILE(14, 2)
TILE(1, 3) TILE(2, 3) TILE(3, 3) TILE(4, 3) TILE(5, 3) TILE(6, 3) TILE(7, 3) TILE(8, 3) TILE(9, 3)
TILE(1, 4) TILE(2, 4) TILE(3, 4) TILE(4, 4) TILE(5, 4) TILE(6, 4)
/* The most pixels of a tile, by blocks: its sums fit 32 registers together with weights and input. */
static const int64_t widest[] = {0, 14, 14, 9, 6};
static const tile_fn tiles[5][15][2] = {
  {{NULL}},
  {{NULL}, PAIR(1, 1), PAIR(2, 1), PAIR(3, 1), PAIR(4, 1), PAIR(5, 1), PAIR(6, 1), PAIR(7, 1),
   PAIR(8, 1), PAIR(9, 1), PAIR(10, 1), PAIR(11, 1), PAIR(12, 1), PAIR(13, 1), PAIR(14, 1)},
  {{NULL}, PAIR(1, 2), PAIR(2, 2), PAIR(3, 2), PAIR(4, 2), PAIR(5, 2), PAIR(6, 2), PAIR(7, 2),
   PAIR(8, 2), PAIR(9, 2), PAIR(10, 2), PAIR(11, 2), PAIR(12, 2), PAIR(13, 2), PAIR(14, 2)},
  {{NULL}, PAIR(1, 3), PAIR(2, 3), PAIR(3, 3), PAIR(4, 3), PAIR(5, 3), PAIR(6, 3), PAIR(7, 3),
   PAIR(8, 3), PAIR(9, 3)},
  {{NULL}, PAIR(1, 4), PAIR(2, 4), PAIR(3, 4), PAIR(4, 4), PAIR(5, 4), PAIR(6, 4)}};
#elif defined(__AVX2__) || defined(__aarch64__)
TILE(1, 1) TILE(2, 1) TILE(3, 1) TILE(4, 1) TILE(5, 1) TILE(6, 1)
static const int64_t widest[] = {0, 6};
static const tile_fn tiles[2][7][2] = {
  {{NULL}}, {{NULL}, PAIR(1, 1), PAIR(2, 1), PAIR(3, 1), PAIR(4, 1), PAIR(5, 1), PAIR(6, 1)}};
#else
TILE(1, 1) TILE(2, 1)
static const int64_t widest[] = {0, 2};
static const tile_fn tiles[2][3][2] = {{{NULL}}, {{NULL}, PAIR(1, 1), PAIR(2, 1)}};
#endif
/* clang-format on */

void gemm_pixels(const gemm_args *args, int32_t lanes, int32_t nb, int64_t pixels) {
  gemm_args a = *args;
  int64_t count = (pixels + widest[nb] - 1) / widest[nb];
  for (int64_t i = 0; i < count; i++) {
    int64_t begin = pixels * i / count, p = pixels * (i + 1) / count - begin;
    a.x = args->x + begin * lanes;
    a.y = args->y + begin * args->y_pixel;
    if (a.addend) a.addend = args->addend + begin * args->y_pixel;
    tiles[nb][p][lanes == 16](&a);
  }
}
