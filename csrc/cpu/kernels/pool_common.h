/* SPDX-License-Identifier: Apache-2.0 */
/* What the plain and the blocked pools share: geometry and divisors. */
#ifndef IEC_CPU_POOL_COMMON_H
#define IEC_CPU_POOL_COMMON_H
#include "cpu/kernels/conv_common.h"

#define POOL_MAX_KERNEL ((int64_t)1 << 20) /* three of them multiply without overflow */

typedef enum { POOL_VALID, POOL_KERNEL, POOL_LEGACY } pool_divisor;

/* Geometry of MaxPool or AvgPool; 0 when the node is malformed. */
static inline int pool_geometry(const cpu_node *node, conv_geom *geom) {
  if (!conv_sizes(node, geom) || geom->c != geom->o || node->inputs[0]->dtype != node->outputs[0]->dtype)
    return 0;
  if (!conv_ints(node, "kernel", node->inputs[0]->ndim - 2, 0, 1, geom->k)) return 0;
  for (int a = 0; a < 3; a++)
    if (geom->k[a] < 1 || geom->k[a] > POOL_MAX_KERNEL) return 0;
  geom->g = geom->c;
  geom->cg = geom->og = 1;
  return conv_window(node, geom);
}

static inline int pool_divisor_code(const cpu_node *node) {
  static const char *const names[] = {"valid", "kernel", "legacy"};
  return op_choice(op_text(node, "divisor", "valid"), names, 3);
}

/* The part of an axis' divisor for output `o`: taps inside the input, the kernel's length, or that of the
 * padded input. */
static inline int64_t pool_extent(const conv_geom *q, pool_divisor divisor, int axis, int64_t o) {
  int64_t first, end, start = o * q->stride[axis] - q->pad[axis];
  switch (divisor) {
    case POOL_KERNEL: return q->k[axis];
    case POOL_LEGACY: return op_max(0, op_min(start + q->k[axis], q->in[axis] + q->pad[axis]) - start);
    default: conv_valid_taps(q, axis, o, &first, &end); return end - first;
  }
}
#endif
