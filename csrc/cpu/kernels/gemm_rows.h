/* SPDX-License-Identifier: Apache-2.0 */
/* The register tile behind matrix products and recurrent cells: rows as they lie in memory times NB blocks of
 * 16 packed columns. Few rows keep several partial sums a column, so that multiply-adds do not wait for each
 * other. */
#ifndef IEC_CPU_GEMM_ROWS_H
#define IEC_CPU_GEMM_ROWS_H
#include "cpu/kernels/gemm.h"

/* Inner elements that one pass over the rows uses: a panel of weights stays in the L1 cache where registers
 * hold one block; wider panels come from L2 anyway. */
#if GEMM_MAX_BLOCKS == 1
#define GEMM_ROWS_DEPTH 384
#else
#define GEMM_ROWS_DEPTH 1024
#endif

typedef struct gemm_rows_args {
  const float *a;    /* row i at a + i * a_row, its inner elements one behind the other */
  const float *w;    /* [inner][nb * 16] */
  const float *bias; /* nb * 16 floats, NULL: zero. Not read when accumulate is set */
  float *y;          /* row i at y + i * y_row */
  int64_t inner, a_row, y_row;
  int32_t accumulate; /* add to y */
  int64_t ahead; /* floats from w to the weights of the next call, which are fetched on the way; 0: none */
} gemm_rows_args;

/* y[i][j] = bias[j] + sum over k of a[i][k] * w[k][j], for `rows` rows. nb: 1 to GEMM_MAX_BLOCKS. */
void IEC_ISA(gemm_rows)(const gemm_rows_args *args, int32_t nb, int64_t rows);
#define gemm_rows IEC_ISA(gemm_rows)
#endif
