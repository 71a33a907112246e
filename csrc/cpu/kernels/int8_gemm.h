/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of products of unsigned bytes (activations) and signed bytes (weights) in 32-bit integers: the tile
 * behind integer convolutions and matrix products. Exact: every instruction set gives the same sums.
 *
 * An output block is 16 channels. Its sum runs over steps; a step multiplies four bytes that lie side by side
 * in the input, `offset` bytes behind each pixel's first, by four weights for each of the 16 outputs. Which
 * steps there are, pack decides: where the instructions add pairs of products in 16 bits (AVX2), a step whose
 * pairs could pass them becomes two of about half the weights. */
#ifndef IEC_CPU_INT8_GEMM_H
#define IEC_CPU_INT8_GEMM_H
#include "cpu/kernels/common.h"

#define INT8_STEP 64 /* bytes of weights of a step: [16 outputs][4 inputs] */

typedef struct int8_panel { /* the steps of one output block */
  const int8_t *w;          /* [step][16][4], 64-byte aligned */
  const int32_t *offsets;   /* [step] bytes behind a pixel's first */
  int64_t steps;
} int8_panel;

/* Writes the steps of four inputs at `offset` with `weights` [16][4]; returns how many, at most
 * INT8_MOST_STEPS. */
#define INT8_MOST_STEPS 2
int64_t IEC_ISA(int8_pack)(const int8_t *weights, int32_t offset, int8_t *w, int32_t *offsets);
#define int8_pack IEC_ISA(int8_pack)

/* y[p][0..15] for `count` pixels, pixel p beginning at x + pixels[p]. */
void IEC_ISA(int8_sums)(const int8_panel *panel, const uint8_t *x, const int32_t *pixels, int64_t count,
                        int32_t *y);
#define int8_sums IEC_ISA(int8_sums)
#endif
