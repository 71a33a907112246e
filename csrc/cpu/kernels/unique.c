/* SPDX-License-Identifier: Apache-2.0 */
/* Kind Unique: the different rows of a matrix, where each stands first, where each row went, how often. */
#include "cpu/kernels/common.h"

typedef struct unique_state {
  int64_t rows, inner;
  int32_t dtype, sorted, wide;
} unique_state;

static int32_t supports(const cpu_node *node) {
  if (!op_ports(node, 1, 4)) return 0;
  const cpu_tensor *x = node->inputs[0], *y = node->outputs[0];
  int32_t index = node->outputs[1]->dtype;
  if (x->ndim != 2 || y->dtype != x->dtype || op_count(y) != op_count(x)) return 0;
  if (op_size(x->dtype) != 1 && x->dtype != IEC_F32 && x->dtype != IEC_I32 && x->dtype != IEC_I64) return 0;
  if (index != IEC_I32 && index != IEC_I64) return 0;
  for (int i = 1; i < 4; i++)
    if (node->outputs[i]->dtype != index || op_count(node->outputs[i]) != x->shape[0]) return 0;
  return 10;
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(unique_state), out, err);
  if (status != IEC_OK) return status;
  unique_state *s = out->state;
  const cpu_tensor *x = node->inputs[0];
  s->rows = x->shape[0];
  s->inner = x->shape[1];
  s->dtype = x->dtype;
  s->sorted = op_int(node, "sorted", 1) != 0;
  s->wide = node->outputs[1]->dtype == IEC_I64;
  out->scratch_size = (size_t)s->rows * 3 * sizeof(int64_t);
  out->exec_type = "unique_" CPU_ISA_NAME;
  return IEC_OK;
}

/* -1, 0, 1: row i before, equal to, behind row j. NaN is behind every number. */
static int compare(const unique_state *s, const void *x, int64_t i, int64_t j) {
#define ORDER(type)                                                                                    \
  for (int64_t k = 0; k < s->inner; k++) {                                                             \
    type a = ((const type *)x)[i * s->inner + k], b = ((const type *)x)[j * s->inner + k];             \
    if (a != a || b != b ? (a != a) != (b != b) : a != b) return a < b || (a == a && b != b) ? -1 : 1; \
  }                                                                                                    \
  return 0
  switch (s->dtype) {
    case IEC_F32: ORDER(float);
    case IEC_I32: ORDER(int32_t);
    case IEC_I64: ORDER(int64_t);
    case IEC_I8: ORDER(int8_t);
    default: ORDER(uint8_t);
  }
#undef ORDER
}

/* 1 when the rows hold the same numbers; a row with NaN equals none. */
static int equal(const unique_state *s, const void *x, int64_t i, int64_t j) {
  if (compare(s, x, i, j) != 0) return 0;
  for (int64_t k = 0; s->dtype == IEC_F32 && k < s->inner; k++)
    if (((const float *)x)[i * s->inner + k] != ((const float *)x)[i * s->inner + k]) return 0;
  return 1;
}

/* Merge sort of the row numbers: equal rows keep their order. The sorted list is returned. */
static int64_t *sort(const unique_state *s, const void *x, int64_t *from, int64_t *to) {
  for (int64_t i = 0; i < s->rows; i++) from[i] = i;
  for (int64_t width = 1; width < s->rows; width *= 2) {
    for (int64_t begin = 0; begin < s->rows; begin += 2 * width) {
      int64_t middle = op_min(begin + width, s->rows), end = op_min(begin + 2 * width, s->rows);
      int64_t a = begin, b = middle;
      for (int64_t k = begin; k < end; k++)
        to[k] = a < middle && (b >= end || compare(s, x, from[a], from[b]) <= 0) ? from[a++] : from[b++];
    }
    int64_t *swap = from;
    from = to;
    to = swap;
  }
  return from;
}

static void put(const unique_state *s, void *y, int64_t at, int64_t value) {
  if (s->wide)
    ((int64_t *)y)[at] = value;
  else
    ((int32_t *)y)[at] = (int32_t)value;
}

static void run(const void *state, const cpu_run *r) {
  const unique_state *s = state;
  if (r->member != 0 || s->rows == 0) return;
  const char *x = r->inputs[0];
  int64_t row = s->inner * op_size(s->dtype), *group = (int64_t *)r->scratch + 2 * s->rows, found = 0,
          last = 0;
  int64_t *order = sort(s, x, r->scratch, (int64_t *)r->scratch + s->rows);
  /* group[i]: first place of the rows that equal row i. */
  for (int64_t k = 0; k < s->rows; k++)
    group[order[k]] = k && equal(s, x, order[k - 1], order[k]) ? group[order[k - 1]] : order[k];
  for (int64_t i = 0; i < s->rows; i++) put(s, r->outputs[3], i, 0);
  for (int64_t k = 0; k < s->rows; k++) {
    int64_t i = s->sorted ? order[k] : k;
    if (group[i] != i) continue;
    memcpy((char *)r->outputs[0] + found * row, x + i * row, (size_t)row);
    put(s, r->outputs[1], found, i);
    put(s, r->outputs[2], i, found++);
    last = i;
  }
  for (int64_t i = 0; i < s->rows; i++) {
    int64_t at = s->wide ? ((int64_t *)r->outputs[2])[group[i]] : ((int32_t *)r->outputs[2])[group[i]];
    int64_t count = s->wide ? ((int64_t *)r->outputs[3])[at] : ((int32_t *)r->outputs[3])[at];
    put(s, r->outputs[2], i, at);
    put(s, r->outputs[3], at, count + 1);
  }
  for (; found < s->rows; found++) {
    memcpy((char *)r->outputs[0] + found * row, x + last * row, (size_t)row);
    put(s, r->outputs[1], found, last);
  }
}

const cpu_kernel IEC_ISA(cpu_kernel_unique) = {
    .kind = "Unique", .name = "unique", .supports = supports, .prepare = prepare, .run = run};
