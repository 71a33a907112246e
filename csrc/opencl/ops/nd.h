/* SPDX-License-Identifier: Apache-2.0 */
/* Walks over tensors as kernels take them: sizes and strides of few joined axes. */
#ifndef IEC_OPENCL_OPS_ND_H
#define IEC_OPENCL_OPS_ND_H
#include "opencl/kind.h"

enum { GPU_ND = 16 }; /* axes before joining */

/* Strides in elements of a dense tensor. */
void gpu_nd_strides(const int64_t *sizes, int32_t rank, int64_t *strides);
/* Strides of a value under an output of that shape, 0 where it is repeated; 0 when it does not fit. */
int gpu_nd_broadcast(const gpu_value *value, const gpu_value *out, int64_t *strides);
/* Drops axes of size 1 and joins those that all tensors have in one piece. lists[0] receives the sizes,
 * lists[1 + t] the strides of tensor t. Returns the rank, at least 1; -1 when it is above 8 or a number above
 * 31 bits. */
int32_t gpu_nd_join(int32_t rank, const int64_t *sizes, int32_t tensors, int64_t (*strides)[GPU_ND],
                    int32_t (*lists)[8]);

/* move.c: elements of `sizes` from one value to another; strides of x, then of y. */
iec_status gpu_move(gpu_plan *plan, gpu_op *op, const gpu_value *x, int64_t x_offset, const gpu_value *y,
                    int64_t y_offset, int32_t rank, const int64_t *sizes, int64_t (*strides)[GPU_ND],
                    iec_error *err);

/* move.c: a block of an axis between a whole tensor and a part of it, which is x or y; `offset` elements into
 * the whole one. */
iec_status gpu_move_part(gpu_plan *plan, gpu_op *op, const gpu_value *x, const gpu_value *y,
                         const gpu_value *part, int64_t offset, iec_error *err);

/* Puts a constant bias in front of the posts. */
void gpu_bias_post(gpu_op *op, const gpu_value *bias);

#endif
