/* SPDX-License-Identifier: Apache-2.0 */
/* Joining axes. */
#include "opencl/ops/nd.h"

#include <string.h>

void gpu_nd_strides(const int64_t *sizes, int32_t rank, int64_t *strides) {
  int64_t stride = 1;
  for (int32_t i = rank - 1; i >= 0; i--) {
    strides[i] = stride;
    stride *= sizes[i];
  }
}

int gpu_nd_broadcast(const gpu_value *value, const gpu_value *out, int64_t *strides) {
  int64_t own[IEC_MAX_NDIM];
  int32_t shift = out->ndim - value->ndim;
  if (shift < 0) return 0;
  gpu_nd_strides(value->shape, value->ndim, own);
  for (int32_t i = 0; i < out->ndim; i++) {
    int64_t size = i < shift ? 1 : value->shape[i - shift];
    if (size != 1 && size != out->shape[i]) return 0;
    strides[i] = size == 1 ? 0 : own[i - shift];
  }
  return 1;
}

int32_t gpu_nd_join(int32_t rank, const int64_t *sizes, int32_t tensors, int64_t (*strides)[GPU_ND],
                    int32_t (*lists)[8]) {
  int32_t joined = 0;
  int64_t size[GPU_ND] = {1}, stride[8][GPU_ND] = {{0}};
  for (int32_t i = 0; i < rank; i++) {
    if (sizes[i] == 1) continue;
    int together = joined > 0;
    for (int32_t t = 0; t < tensors && together; t++)
      together = stride[t][joined - 1] == strides[t][i] * sizes[i];
    int32_t at = together ? joined - 1 : joined++;
    size[at] = together ? size[at] * sizes[i] : sizes[i];
    for (int32_t t = 0; t < tensors; t++) stride[t][at] = strides[t][i];
  }
  if (!joined) joined = 1;
  if (joined > 8) return -1;
  memset(lists, 0, (size_t)(tensors + 1) * sizeof *lists);
  for (int32_t i = 0; i < joined; i++) {
    if (size[i] > INT32_MAX) return -1;
    lists[0][i] = (int32_t)size[i];
    for (int32_t t = 0; t < tensors; t++) {
      if (stride[t][i] > INT32_MAX || stride[t][i] < -INT32_MAX) return -1;
      lists[1 + t][i] = (int32_t)stride[t][i];
    }
  }
  return joined;
}

void gpu_bias_post(gpu_op *op, const gpu_value *bias) {
  if (!bias) return;
  memmove(op->posts + 1, op->posts, (size_t)op->post_count * sizeof *op->posts);
  op->posts[0] = (gpu_post){.type = GPU_POST_CHANNEL, .data = {{.fixed = 1}, {.value = bias}}};
  op->post_count++;
}
