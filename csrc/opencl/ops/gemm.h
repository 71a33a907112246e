/* SPDX-License-Identifier: Apache-2.0 */
/* The tiled matrix product, shared by convolutions and MatMul. Structures as in kernels/gemm.cl. */
#ifndef IEC_OPENCL_OPS_GEMM_H
#define IEC_OPENCL_OPS_GEMM_H
#include "opencl/ops/nd.h"

typedef struct gpu_gemm { /* element (r, c) of a matrix is at r * row + c * col */
  int32_t m, n, k;
  int32_t a_row, a_col, b_row, b_col, c_row, c_col;
  int32_t by_column; /* posts' channel: 0 row, 1 column */
} gpu_gemm;

typedef struct gpu_gemm_batch { /* places of the matrices in their tensors, and of the first channel */
  int32_t a, b, c, channel;
} gpu_gemm_batch;

typedef struct gpu_gemm_image { /* a convolution: sizes are depth, height, width */
  int32_t in[3], out[3], stride[3], pad[3];
} gpu_gemm_image;

typedef struct gpu_gemm_tap { /* place of a row of the right matrix in the image, distances from the window's
                                 corner */
  int32_t at, z, y, x;
} gpu_gemm_tap;

/* Adds the launch. `taps` NULL: a plain product; else one a row of the right matrix (k of them). */
iec_status gpu_gemm_plan(gpu_plan *plan, gpu_op *op, const gpu_value *a, const gpu_value *b,
                         const gpu_value *c, const gpu_gemm *p, const gpu_gemm_batch *batches,
                         int64_t batch_count, const gpu_gemm_image *image, const gpu_gemm_tap *taps,
                         iec_error *err);
/* c [rows][n] = a [rows][k] times b, [n][k] when `by_rows`, else [k][n]: for few rows. */
iec_status gpu_gemv_plan(gpu_plan *plan, gpu_op *op, const gpu_value *a, const gpu_value *b,
                         const gpu_value *c, int64_t rows, int64_t n, int64_t k, int by_rows, iec_error *err);

#endif
