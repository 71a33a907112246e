/* SPDX-License-Identifier: Apache-2.0 */
/* Geometry of matrix products: rank-1 rules, transposes and broadcast batches as steps in elements. */
#ifndef IEC_CPU_MATMUL_COMMON_H
#define IEC_CPU_MATMUL_COMMON_H
#include "cpu/kernels/common.h"

typedef struct matmul_geom {
  int64_t m, k, n, batch;
  int64_t a_row, a_col, b_row, b_col; /* steps from one row or column of op(a), op(b) to the next */
  int64_t y_row;                      /* columns of y are one behind the other */
  int32_t dims;                       /* batch axes */
  int64_t size[IEC_MAX_NDIM], a_step[IEC_MAX_NDIM], b_step[IEC_MAX_NDIM],
      y_step[IEC_MAX_NDIM]; /* of each; step 0 where it is broadcast */
} matmul_geom;

/* A tensor as the product sees it. */
typedef struct matmul_view {
  int32_t ndim;
  int64_t shape[IEC_MAX_NDIM], step[IEC_MAX_NDIM];
} matmul_view;

/* `order`: the attribute with the order of a transpose; `behind`: the tensor is its result, not its input. 0
 * when it is no order of the tensor's axes. */
static inline int matmul_view_of(const cpu_node *node, const cpu_tensor *t, const char *order, int behind,
                                 matmul_view *view) {
  size_t count;
  const int64_t *axes = op_ints(node, order, &count);
  int64_t step = 1;
  view->ndim = t->ndim;
  if (axes && count != (size_t)t->ndim) return 0;
  int64_t steps[IEC_MAX_NDIM];
  unsigned seen = 0;
  for (int i = t->ndim - 1; i >= 0; step *= t->shape[i--]) steps[i] = step;
  for (int i = 0; i < t->ndim; i++) {
    int64_t from = !axes || behind ? i : axes[i], to = axes && behind ? axes[i] : i;
    if (from < 0 || from >= t->ndim || to < 0 || to >= t->ndim) return 0;
    if (axes && seen >> axes[i] & 1) return 0;
    if (axes) seen |= 1u << axes[i];
    view->shape[to] = t->shape[from];
    view->step[to] = steps[from];
  }
  return 1;
}

/* Rows, columns and steps of one operand after its transpose. */
static inline void matmul_operand(const matmul_view *t, int transpose, int is_b, int64_t *rows, int64_t *cols,
                                  int64_t *row_step, int64_t *col_step) {
  int vector = t->ndim == 1, last = t->ndim - 1;
  int64_t r = vector ? (is_b ? t->shape[0] : 1) : t->shape[last - 1];
  int64_t c = vector ? (is_b ? 1 : t->shape[0]) : t->shape[last];
  int64_t r_step = vector ? c : t->step[last - 1], c_step = vector ? 1 : t->step[last];
  int swap = transpose && !vector;
  *rows = swap ? c : r;
  *cols = swap ? r : c;
  *row_step = swap ? c_step : r_step;
  *col_step = swap ? r_step : c_step;
}

/* 0 when the node is malformed or not of `dtype`. */
static inline int matmul_geometry(const cpu_node *node, int32_t dtype, matmul_geom *q) {
  if (!op_ports(node, 2, 1) || !op_is(node, 0, dtype) || !op_is(node, 1, dtype) ||
      node->outputs[0]->dtype != dtype)
    return 0;
  matmul_view a, b, y;
  const cpu_tensor *bias = op_in(node, 2);
  if (node->inputs[0]->ndim < 1 || node->inputs[1]->ndim < 1) return 0;
  if (!matmul_view_of(node, node->inputs[0], "order_a", 0, &a) ||
      !matmul_view_of(node, node->inputs[1], "order_b", 0, &b) ||
      !matmul_view_of(node, node->outputs[0], "order_y", 1, &y))
    return 0;
  int64_t inner;
  memset(q, 0, sizeof *q);
  matmul_operand(&a, op_int(node, "transpose_a", 0) != 0, 0, &q->m, &q->k, &q->a_row, &q->a_col);
  matmul_operand(&b, op_int(node, "transpose_b", 0) != 0, 1, &inner, &q->n, &q->b_row, &q->b_col);
  int tail = (a.ndim > 1) + (b.ndim > 1);
  if (inner != q->k || y.ndim < tail || (bias && (bias->dtype != dtype || op_count(bias) != q->n))) return 0;
  q->dims = y.ndim - tail;
  if ((a.ndim > 1 && y.shape[q->dims] != q->m) || (b.ndim > 1 && y.shape[y.ndim - 1] != q->n)) return 0;
  q->batch = 1;
  q->y_row = a.ndim > 1 && b.ndim > 1 ? y.step[y.ndim - 2] : q->n;
  for (int i = q->dims - 1; i >= 0; i--) {
    int ai = i - q->dims + a.ndim - 2,
        bi = i - q->dims + b.ndim - 2; /* the axis of a and b, negative: absent */
    int64_t as = ai < 0 ? 1 : a.shape[ai], bs = bi < 0 ? 1 : b.shape[bi];
    q->size[i] = y.shape[i];
    if ((as != 1 && as != q->size[i]) || (bs != 1 && bs != q->size[i])) return 0;
    q->a_step[i] = as == 1 ? 0 : a.step[ai];
    q->b_step[i] = bs == 1 ? 0 : b.step[bi];
    q->y_step[i] = y.step[i];
    q->batch *= q->size[i];
  }
  return 1;
}

/* Where matrix `batch` begins in a tensor with these steps. */
static inline int64_t matmul_offset(const matmul_geom *q, const int64_t *step, int64_t batch) {
  int64_t at = 0;
  for (int i = q->dims - 1; i >= 0; i--) {
    at += batch % q->size[i] * step[i];
    batch /= q->size[i];
  }
  return at;
}

/* Where the operands of matrix `batch` begin. */
static inline void matmul_offsets(const matmul_geom *q, int64_t batch, int64_t *a, int64_t *b) {
  *a = matmul_offset(q, q->a_step, batch);
  *b = matmul_offset(q, q->b_step, batch);
}
#endif
