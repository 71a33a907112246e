/* SPDX-License-Identifier: Apache-2.0 */
/* Geometry of matrix products: rank-1 rules, transposes and broadcast batches as steps in elements. */
#ifndef IEC_CPU_MATMUL_COMMON_H
#define IEC_CPU_MATMUL_COMMON_H
#include "cpu/kernels/common.h"

typedef struct matmul_geom {
  int64_t m, k, n, batch;
  int64_t a_row, a_col, b_row, b_col; /* steps from one row or column of op(a), op(b) to the next */
  int32_t dims;                       /* batch axes */
  int64_t size[IEC_MAX_NDIM], a_step[IEC_MAX_NDIM],
      b_step[IEC_MAX_NDIM]; /* of each; step 0 where it is broadcast */
} matmul_geom;

/* Rows, columns and steps of one operand after its transpose. */
static inline void matmul_operand(const cpu_tensor *t, int transpose, int is_b, int64_t *rows, int64_t *cols,
                                  int64_t *row_step, int64_t *col_step) {
  int vector = t->ndim == 1;
  int64_t r = vector ? (is_b ? t->shape[0] : 1) : t->shape[t->ndim - 2];
  int64_t c = vector ? (is_b ? 1 : t->shape[0]) : t->shape[t->ndim - 1];
  int swap = transpose && !vector;
  *rows = swap ? c : r;
  *cols = swap ? r : c;
  *row_step = swap ? 1 : c;
  *col_step = swap ? c : 1;
}

/* 0 when the node is malformed or not of `dtype`. */
static inline int matmul_geometry(const cpu_node *node, int32_t dtype, matmul_geom *q) {
  if (!op_ports(node, 2, 1) || !op_is(node, 0, dtype) || !op_is(node, 1, dtype) ||
      node->outputs[0]->dtype != dtype)
    return 0;
  const cpu_tensor *a = node->inputs[0], *b = node->inputs[1], *y = node->outputs[0], *bias = op_in(node, 2);
  if (a->ndim < 1 || b->ndim < 1) return 0;
  int64_t inner;
  memset(q, 0, sizeof *q);
  matmul_operand(a, op_int(node, "transpose_a", 0) != 0, 0, &q->m, &q->k, &q->a_row, &q->a_col);
  matmul_operand(b, op_int(node, "transpose_b", 0) != 0, 1, &inner, &q->n, &q->b_row, &q->b_col);
  int tail = (a->ndim > 1) + (b->ndim > 1);
  if (inner != q->k || y->ndim < tail || (bias && (bias->dtype != dtype || op_count(bias) != q->n))) return 0;
  q->dims = y->ndim - tail;
  q->batch = 1;
  int64_t a_step = q->m * q->k, b_step = q->k * q->n;
  for (int i = q->dims - 1; i >= 0; i--) {
    int ai = i - q->dims + a->ndim - 2,
        bi = i - q->dims + b->ndim - 2; /* the axis of a and b, negative: absent */
    int64_t as = ai < 0 ? 1 : a->shape[ai], bs = bi < 0 ? 1 : b->shape[bi];
    q->size[i] = y->shape[i];
    if ((as != 1 && as != q->size[i]) || (bs != 1 && bs != q->size[i])) return 0;
    q->a_step[i] = as == 1 ? 0 : a_step;
    q->b_step[i] = bs == 1 ? 0 : b_step;
    a_step *= as;
    b_step *= bs;
    q->batch *= q->size[i];
  }
  return op_count(y) == q->batch * q->m * q->n;
}

/* Where the operands of matrix `batch` begin. */
static inline void matmul_offsets(const matmul_geom *q, int64_t batch, int64_t *a, int64_t *b) {
  *a = *b = 0;
  for (int i = q->dims - 1; i >= 0; i--) {
    *a += batch % q->size[i] * q->a_step[i];
    *b += batch % q->size[i] * q->b_step[i];
    batch /= q->size[i];
  }
}
#endif
