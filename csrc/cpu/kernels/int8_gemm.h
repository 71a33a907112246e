/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of products of unsigned bytes (activations) and signed bytes (weights) in 32-bit integers: the tile
 * behind integer convolutions and matrix products. Exact: every instruction set gives the same sums.
 *
 * An output block is 16 channels. Its sum runs over steps; a step multiplies four bytes that lie side by side
 * in the input, `offset` bytes behind each pixel's first, by four weights for each of the 16 outputs. */
#ifndef IEC_CPU_INT8_GEMM_H
#define IEC_CPU_INT8_GEMM_H
#include "cpu/kernels/common.h"

#define INT8_STEP 64 /* weights of a step: [16 outputs][4 inputs] */

/* What the instruction set makes of the steps of an output block. Where products are added in 16 bits (AVX2):
 * two halves of 8 outputs, each with its steps in groups of three, two and one whose sums fit 16 bits. */
typedef struct int8_panel {
  int8_t *w; /* 64-byte aligned, the memory of the panel */
  int32_t *offsets;
  int64_t steps;
  int64_t groups[2][3]; /* of each half: how many of 3, 2 and 1 steps */
  int32_t start[16];    /* what the sums begin with (AVX2, NEON) */
} int8_panel;

/* Packs `steps` steps of weights, [step][16][4]. IEC_OUT_OF_MEMORY when the host has none. */
iec_status IEC_ISA(int8_pack)(const iec_host_api *host, const int8_t *weights, const int32_t *at,
                              int64_t steps, int8_panel *out);
/* Zeroed panels are fine. */
void IEC_ISA(int8_panel_release)(int8_panel *panel, const iec_host_api *host);

/* y[p][0..15] for `count` pixels, pixel p beginning at x + pixels[p]. */
void IEC_ISA(int8_sums)(const int8_panel *panel, const uint8_t *x, const int32_t *pixels, int64_t count,
                        int32_t *y);
#define int8_pack IEC_ISA(int8_pack)
#define int8_panel_release IEC_ISA(int8_panel_release)
#define int8_sums IEC_ISA(int8_sums)
#endif
