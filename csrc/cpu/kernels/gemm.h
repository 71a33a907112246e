/* SPDX-License-Identifier: Apache-2.0 */
/* The register tile behind convolutions and matrix products: P pixels times NB blocks of 16 output channels.
 *
 * A pixel is `lanes` floats (16: a block of input channels; 1: one channel of a plain tensor); pixels lie one
 * behind the other or where a table says. A tap is a distance from the pixel; every tap of every input block
 * has a panel of lanes x NB x 16 weights, in that order. The last of the blocks may use fewer lanes, and its
 * panels have no more. */
#ifndef IEC_CPU_GEMM_H
#define IEC_CPU_GEMM_H
#include "cpu/kernel.h"

#if defined(__AVX512F__)
#define GEMM_MAX_BLOCKS 4
#else
#define GEMM_MAX_BLOCKS 1 /* a block is several registers already */
#endif
/* Half of a block is whole registers, which there are tiles for. */
#if (defined(__AVX2__) && !defined(__AVX512F__)) || defined(__aarch64__)
#define GEMM_HALVES 1
#else
#define GEMM_HALVES 0
#endif

/* Weights that one call should use at most: half of the L1 cache, so that they stay there for all pixels. */
#define GEMM_PANEL_BYTES (16 * 1024 * (GEMM_MAX_BLOCKS > 1 ? 2 : 1))

/* Input blocks that a call uses of `blocks`, of which one has `bytes` bytes of weights: at most what fits,
 * all calls nearly the same, for each fetches as much as it uses. */
static inline int64_t gemm_slab(int64_t blocks, int64_t bytes) {
  int64_t most = bytes < GEMM_PANEL_BYTES ? GEMM_PANEL_BYTES / bytes : 1, calls = (blocks + most - 1) / most;
  return (blocks + calls - 1) / calls;
}

typedef struct gemm_args {
  const float *x, *w;
  float *y;
  const int32_t *at;   /* where each pixel lies, in pixels from x; NULL: one behind the other */
  const float *bias;   /* NB * 16 floats, NULL: zero. Not read when accumulate is set */
  const int64_t *taps; /* floats from the pixel */
  int64_t tap_count;
  int64_t blocks, block_step; /* input blocks, floats from one to the next */
  int64_t last_lanes;         /* used lanes of the last block, 1 to 16 */
  int64_t y_block;            /* floats from one output block to the next; its pixels are neighbours */
  int32_t accumulate;         /* add to y */
  int32_t half;               /* only the first 8 outputs of the block exist; the others become zero */
  const float *addend;        /* laid out like y, added; NULL: nothing. Not read when accumulate is set */
  const float *limits;        /* least and greatest result; NULL: none */
  int64_t ahead; /* floats from w to the weights of the next call, which are fetched on the way; 0: none */
  int64_t ahead_lines; /* cache lines of them for every four input lanes; 0: as many as w has */
  const float *fetch;  /* set by gemm_pixels: weights that the tile fetches, so many floats a turn */
  int64_t fetched;
} gemm_args;

/* y[p][o] = bias[o] + sum over blocks, taps, lanes of x * w, for `pixels` pixels. lanes: 16 or 1; nb: 1 to
 * GEMM_MAX_BLOCKS. */
void IEC_ISA(gemm_pixels)(const gemm_args *args, int32_t lanes, int32_t nb, int64_t pixels);
#define gemm_pixels IEC_ISA(gemm_pixels)

/* 1 when of the blocks from `first` on, `nb` of them, half of the only one is enough for `channels` channels.
 */
static inline int32_t gemm_is_half(int64_t channels, int64_t first, int64_t nb) {
  return GEMM_HALVES && nb == 1 && channels - first * 16 <= 8;
}

/* The most pixels of a tile: it is least to begin and end where a call has a multiple of them. */
int64_t IEC_ISA(gemm_tile)(int32_t lanes, int64_t nb);
#define gemm_tile IEC_ISA(gemm_tile)

/* Output blocks come in groups of nearly equal width: how many groups, and the first block of each. */
static inline int64_t gemm_groups(int64_t blocks) { return (blocks + GEMM_MAX_BLOCKS - 1) / GEMM_MAX_BLOCKS; }
static inline int64_t gemm_group_start(int64_t blocks, int64_t group) {
  return blocks * group / gemm_groups(blocks);
}
/* Blocks of the widest group. */
static inline int64_t gemm_width(int64_t blocks) {
  return (blocks + gemm_groups(blocks) - 1) / gemm_groups(blocks);
}
#endif
