/* SPDX-License-Identifier: Apache-2.0 */
/* The register tile behind matrix products and recurrent cells. */
#include "cpu/kernels/gemm_rows.h"

#include "cpu/kernels/vec.h"

#define PARTS (16 / VL) /* vectors of a block */
#define MOST_ACC 24     /* sums that a tile holds in registers */
#define PREFETCH 256    /* floats ahead */

/* Inlined with constant rows, nb and chains only, so that `acc` is registers. Chain c sums inner elements
 * c, c + chains, ... */
static inline __attribute__((always_inline)) void tile(const gemm_rows_args *g, const int rows, const int nb,
                                                       const int chains) {
  vf acc[MOST_ACC];
  const int width = nb * PARTS, one = rows * width;
  const float *a[9], *w = g->w;
#pragma GCC unroll 9
  for (int p = 0; p < rows; p++) {
    a[p] = g->a + p * g->a_row;
#pragma GCC unroll 8
    for (int v = 0; v < width; v++) {
      if (g->accumulate)
        acc[p * width + v] = vf_load(g->y + p * g->y_row + v * VL);
      else
        acc[p * width + v] = g->bias ? vf_load(g->bias + v * VL) : (vf){0};
    }
  }
#pragma GCC unroll 24
  for (int i = one; i < one * chains; i++) acc[i] = (vf){0};
  int64_t k = 0;
/* One row uses each weight once: the memory behind them is what counts. */
#define STEP(c)                                                                                             \
  {                                                                                                         \
    vf row[8];                                                                                              \
    if (rows == 1)                                                                                          \
      _Pragma("GCC unroll 4") for (int v = 0; v < nb; v++)                                                  \
          __builtin_prefetch(w + (c) * nb * 16 + v * 16 + PREFETCH);                                        \
    _Pragma("GCC unroll 8") for (int v = 0; v < width; v++) row[v] = vf_load(w + (c) * nb * 16 + v * VL);   \
    _Pragma("GCC unroll 9") for (int p = 0; p < rows; p++) {                                                \
      vf s = vf_pinned(vf_set(a[p][k + (c)]));                                                              \
      _Pragma("GCC unroll 8") for (int v = 0; v < width; v++) acc[(c) * one + p * width + v] += s * row[v]; \
    }                                                                                                       \
  }
  const float *fetch = g->w + g->ahead;
#pragma GCC unroll 1
  for (; k + chains <= g->inner; k += chains, w += chains * nb * 16) {
    if (chains == 1) __builtin_prefetch(fetch + k * 16);
#pragma GCC unroll 8
    for (int c = 0; c < chains; c++) STEP(c)
  }
  if (chains > 1)
#pragma GCC unroll 1
    for (; k < g->inner; k++, w += nb * 16) STEP(0)
#undef STEP
#pragma GCC unroll 24
  for (int i = one; i < one * chains; i++) acc[i % one] += acc[i];
  float *y = vf_place(g->y);
  const int64_t y_row = g->y_row;
#pragma GCC unroll 9
  for (int p = 0; p < rows; p++, y += y_row)
#pragma GCC unroll 8
    for (int v = 0; v < width; v++) vf_store(y + v * VL, acc[p * width + v]);
}

/* One function a tile, never inlined: several tiles in one function make gcc spill. */
#define TILE(P, NB, CHAINS) \
  static __attribute__((noinline)) void tile_##P##x##NB(const gemm_rows_args *g) { tile(g, P, NB, CHAINS); }

typedef void (*tile_fn)(const gemm_rows_args *);

/* clang-format off */
/* The most rows of a tile, by blocks: its sums fit the registers together with weights and input, and its
 * row pointers fit as well. */
#if defined(__AVX512F__)
TILE(1, 1, 8) TILE(2, 1, 4) TILE(3, 1, 3) TILE(4, 1, 2) TILE(5, 1, 2) TILE(6, 1, 1) TILE(7, 1, 1)
TILE(8, 1, 1) TILE(9, 1, 1)
TILE(1, 2, 4) TILE(2, 2, 3) TILE(3, 2, 2) TILE(4, 2, 1) TILE(5, 2, 1) TILE(6, 2, 1) TILE(7, 2, 1)
TILE(8, 2, 1) TILE(9, 2, 1)
TILE(1, 3, 4) TILE(2, 3, 2) TILE(3, 3, 1) TILE(4, 3, 1) TILE(5, 3, 1) TILE(6, 3, 1) TILE(7, 3, 1)
TILE(8, 3, 1)
TILE(1, 4, 3) TILE(2, 4, 2) TILE(3, 4, 1) TILE(4, 4, 1) TILE(5, 4, 1) TILE(6, 4, 1)
static const int64_t widest[] = {0, 9, 9, 8, 6};
static const tile_fn tiles[5][10] = {
    {NULL},
    {NULL, tile_1x1, tile_2x1, tile_3x1, tile_4x1, tile_5x1, tile_6x1, tile_7x1, tile_8x1, tile_9x1},
    {NULL, tile_1x2, tile_2x2, tile_3x2, tile_4x2, tile_5x2, tile_6x2, tile_7x2, tile_8x2, tile_9x2},
    {NULL, tile_1x3, tile_2x3, tile_3x3, tile_4x3, tile_5x3, tile_6x3, tile_7x3, tile_8x3},
    {NULL, tile_1x4, tile_2x4, tile_3x4, tile_4x4, tile_5x4, tile_6x4}};
#elif defined(__AVX2__)
TILE(1, 1, 4) TILE(2, 1, 2) TILE(3, 1, 2) TILE(4, 1, 1) TILE(5, 1, 1) TILE(6, 1, 1)
static const int64_t widest[] = {0, 6};
static const tile_fn tiles[2][7] = {{NULL},
                                    {NULL, tile_1x1, tile_2x1, tile_3x1, tile_4x1, tile_5x1, tile_6x1}};
#elif defined(__aarch64__)
TILE(1, 1, 2) TILE(2, 1, 1) TILE(3, 1, 1) TILE(4, 1, 1) TILE(5, 1, 1)
static const int64_t widest[] = {0, 5};
static const tile_fn tiles[2][6] = {{NULL}, {NULL, tile_1x1, tile_2x1, tile_3x1, tile_4x1, tile_5x1}};
#else
TILE(1, 1, 1) TILE(2, 1, 1)
static const int64_t widest[] = {0, 2};
static const tile_fn tiles[2][3] = {{NULL}, {NULL, tile_1x1, tile_2x1}};
#endif
/* clang-format on */

void gemm_rows(const gemm_rows_args *args, int32_t nb, int64_t rows) {
  if (rows <= 1) { /* a call of a recurrent cell is so short that the divisions below show */
    if (rows == 1) tiles[nb][1](args);
    return;
  }
  gemm_rows_args g = *args;
  int64_t count = (rows + widest[nb] - 1) / widest[nb], least = rows / count, longer = rows % count;
  for (int64_t i = 0; i < count; i++) {
    int64_t p = least + (i < longer);
    /* each of the first nb tiles fetches a line an inner element: every line of the next call, and once */
    g.ahead = args->ahead && i < nb ? args->ahead + i * g.inner * 16 : 0;
    tiles[nb][p](&g);
    g.a += p * g.a_row;
    g.y += p * g.y_row;
  }
}
