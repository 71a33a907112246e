/* SPDX-License-Identifier: Apache-2.0 */
/* Numpy broadcasting of several operands against an output, plain or blocked, with axes merged. */
#ifndef IEC_CPU_BCAST_H
#define IEC_CPU_BCAST_H
#include "cpu/kernels/common.h"

#define BCAST_MAX 5

/* Work is a number of blocks of rows x cols output elements, which are contiguous. */
typedef struct bcast {
  int32_t rank, operands;
  int64_t dims[IEC_MAX_NDIM + 1];
  int64_t stride[BCAST_MAX][IEC_MAX_NDIM + 1]; /* elements; 0 on repeated axes */
  int64_t rows, cols, row_part, row_parts, items;
} bcast;

/* 1 when operand shapes broadcast to the output's. */
static inline int bcast_fits(const cpu_node *node, int operands) {
  const cpu_tensor *y = node->outputs[0];
  for (int k = 0; k < operands; k++) {
    const cpu_tensor *x = node->inputs[k];
    if (x->ndim > y->ndim) return 0;
    for (int i = 0; i < x->ndim; i++)
      if (x->shape[i] != 1 && x->shape[i] != y->shape[y->ndim - x->ndim + i]) return 0;
  }
  return 1;
}

/* 1 when the operand can be read beside a blocked output: blocked itself, one channel for all, or a constant
 * (see bcast_pack). */
static inline int bcast_ok_blocked(const cpu_tensor *x, const cpu_tensor *y) {
  if (x->data || op_count(x) == 1) return 1;
  if (x->ndim != y->ndim) return x->ndim < y->ndim - 1;
  return x->shape[1] == y->shape[1] || x->shape[1] == 1;
}

/* Layouts of a kernel of `operands` broadcast inputs that follows its inputs: blocked when the widest ones
 * come so. */
static inline void bcast_layouts(const cpu_node *node, int operands, cpu_layout *in, cpu_layout *out) {
  const cpu_tensor *y = node->outputs[0];
  int64_t blocked = 0, plain = 0;
  if (y->dtype != IEC_F32 || y->ndim < 3 || y->ndim > 5) return;
  for (int k = 0; k < operands; k++) {
    const cpu_tensor *x = node->inputs[k];
    if (!bcast_ok_blocked(x, y)) return;
    if (x->data) continue;
    *(op_blocked(x) ? &blocked : &plain) += op_count(x);
  }
  if (blocked <= plain) return;
  out[0] = CPU_BLOCKED16;
  for (int k = 0; k < operands; k++) {
    const cpu_tensor *x = node->inputs[k];
    if (x->ndim == y->ndim && x->shape[1] == y->shape[1] && y->shape[1] > 1) in[k] = CPU_BLOCKED16;
  }
}

/* Floats that the packed form of operand `k` takes beside a blocked output; 0: it is read as it is. */
static inline int64_t bcast_packed(const cpu_node *node, int k) {
  const cpu_tensor *x = node->inputs[k], *y = node->outputs[0];
  int axis = x->ndim - y->ndim + 1;
  if (!op_blocked(y) || !x->data || axis < 0 || x->shape[axis] == 1) return 0;
  return op_count(x) / op_max(x->shape[axis], 1) * op_div_up(x->shape[axis], 16) * 16;
}

/* Writes a constant in blocked form, channels past C zero. */
static inline void bcast_pack(const cpu_node *node, int k, float *target) {
  const cpu_tensor *x = node->inputs[k], *y = node->outputs[0];
  int axis = x->ndim - y->ndim + 1;
  int64_t outer = op_product(x->shape, 0, axis), c = x->shape[axis],
          inner = op_product(x->shape, axis + 1, x->ndim);
  int64_t blocks = op_div_up(c, 16);
  for (int64_t n = 0; n < outer; n++)
    for (int64_t i = 0; i < blocks * 16; i++)
      for (int64_t p = 0; p < inner; p++)
        target[((n * blocks + i / 16) * inner + p) * 16 + i % 16] =
            i < c ? ((const float *)x->data)[(n * c + i) * inner + p] : 0.0f;
}

/* Plans the walk over output 0; layouts are decided. */
static inline void bcast_plan(const cpu_node *node, int operands, bcast *b) {
  const cpu_tensor *y = node->outputs[0];
  int64_t full[IEC_MAX_NDIM + 1], step[BCAST_MAX][IEC_MAX_NDIM + 1];
  int rank = op_physical(y, full), blocked = op_blocked(y);
  b->operands = operands;
  for (int k = 0; k < operands; k++) {
    const cpu_tensor *x = node->inputs[k];
    int64_t at = 1;
    /* lanes of a channel block: repeated when the operand has one channel */
    int c = x->ndim - y->ndim + 1, lanes = blocked && c >= 0 && x->shape[c] != 1;
    if (blocked) {
      step[k][rank - 1] = lanes ? 1 : 0;
      at = lanes ? 16 : 1;
    }
    for (int i = y->ndim - 1; i >= 0; i--) {
      int from = i - (y->ndim - x->ndim);
      int64_t n = from < 0 ? 1 : x->shape[from];
      if (blocked && i == 1 && lanes) n = op_div_up(n, 16);
      int repeated = from < 0 || x->shape[from] == 1;
      step[k][i] = repeated ? 0 : at;
      at *= n;
    }
  }
  b->rank = 0;
  for (int i = 0; i < rank; i++) {
    if (full[i] == 1) continue;
    int merge = b->rank > 0;
    for (int k = 0; merge && k < operands; k++) merge = b->stride[k][b->rank - 1] == step[k][i] * full[i];
    if (merge) {
      b->dims[b->rank - 1] *= full[i];
    } else {
      b->dims[b->rank++] = full[i];
    }
    for (int k = 0; k < operands; k++) b->stride[k][b->rank - 1] = step[k][i];
  }
  while (b->rank < 2) { /* at least rows and columns */
    for (int i = b->rank; i > 0; i--) {
      b->dims[i] = b->dims[i - 1];
      for (int k = 0; k < operands; k++) b->stride[k][i] = b->stride[k][i - 1];
    }
    b->dims[0] = 1;
    for (int k = 0; k < operands; k++) b->stride[k][0] = 0;
    if (!b->rank) {
      b->dims[1] = 1;
      for (int k = 0; k < operands; k++) b->stride[k][1] = 0;
    }
    b->rank = b->rank ? b->rank + 1 : 2;
  }
  int64_t columns = b->dims[b->rank - 1];
  int flat = b->dims[b->rank - 2] == 1 && b->rank == 2;
  if (flat && columns > 8192) { /* one long row: cut it, so that several threads find work */
    b->cols = 4096;
    b->rows = 1;
    b->row_part = 1;
    b->row_parts = op_div_up(columns, 4096);
  } else {
    b->cols = columns;
    b->rows = b->dims[b->rank - 2];
    b->row_part = op_max(1, op_min(b->rows, 4096 / op_max(columns, 1)));
    b->row_parts = b->rows ? op_div_up(b->rows, b->row_part) : 0;
  }
  b->items = op_product(b->dims, 0, b->rank - 2) * b->row_parts;
  if (!columns) b->items = 0;
}

typedef struct bcast_block {                             /* one unit of work */
  int64_t rows, cols, out;                               /* out: first output element */
  int64_t at[BCAST_MAX], row[BCAST_MAX], col[BCAST_MAX]; /* first element and strides of each operand */
} bcast_block;

static inline void bcast_at(const bcast *b, int64_t item, bcast_block *block) {
  int last = b->rank - 1;
  int64_t left = item / b->row_parts, part = item % b->row_parts, columns = b->dims[last];
  int flat = b->cols != columns;
  block->rows = flat ? 1 : op_min(b->row_part, b->rows - part * b->row_part);
  block->cols = flat ? op_min(b->cols, columns - part * b->cols) : columns;
  block->out = flat ? part * b->cols : (left * b->rows + part * b->row_part) * columns;
  for (int k = 0; k < b->operands; k++) {
    block->row[k] = b->stride[k][last - 1];
    block->col[k] = b->stride[k][last];
    block->at[k] = flat ? part * b->cols * block->col[k] : part * b->row_part * block->row[k];
  }
  for (int i = last - 2; i >= 0; i--) {
    int64_t index = left % b->dims[i];
    left /= b->dims[i];
    for (int k = 0; k < b->operands; k++) block->at[k] += index * b->stride[k][i];
  }
}
#endif
