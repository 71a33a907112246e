/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds Softmax and LogSoftmax, float32, along any axis. */
#include "cpu/kernels/common.h"
#include "cpu/kernels/vmath.h"

#define COLUMNS 128 /* columns normalised together when the axis is not the last */
#define ROWS 4      /* rows, when it is */

typedef struct softmax_state {
  int64_t outer, n, inner;
  int32_t log;
} softmax_state;

static int32_t supports(const cpu_node *node) {
  if (!op_ports(node, 1, 1) || !op_is(node, 0, IEC_F32) || node->outputs[0]->dtype != IEC_F32) return 0;
  int64_t axis = op_int(node, "axis", -1);
  return axis >= 0 && axis < node->inputs[0]->ndim && op_count(node->inputs[0]) == op_count(node->outputs[0])
             ? 10
             : 0;
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(softmax_state), out, err);
  if (status != IEC_OK) return status;
  softmax_state *s = out->state;
  const cpu_tensor *x = node->inputs[0];
  int axis = (int)op_int(node, "axis", 0);
  s->outer = op_product(x->shape, 0, axis);
  s->n = x->shape[axis];
  s->inner = op_product(x->shape, axis + 1, x->ndim);
  s->log = strcmp(node->kind, "LogSoftmax") == 0;
  out->cost = (double)(20 * op_count(x));
  out->exec_type = "softmax_" CPU_ISA_NAME;
  out->in_place = 1;
  return IEC_OK;
}

/* `count` rows along a contiguous axis side by side: each alone would wait for its own sums. A NaN may be
 * missed by the greatest: it makes the sum, and so the whole row, NaN anyway. */
static inline __attribute__((always_inline)) void rows(const softmax_state *s, const float *x, float *y,
                                                       const int count, const int log) {
  vf top[ROWS], sum[ROWS];
  const int64_t n = s->n, whole = n / VL * VL;
  for (int k = 0; k < count; k++) top[k] = vf_set(-INFINITY), sum[k] = vf_set(0);
  for (int64_t i = 0; i < whole; i += VL)
    for (int k = 0; k < count; k++) top[k] = vf_at_least(vf_load(x + k * n + i), top[k]);
  for (int half = VL / 2; half; half /= 2) /* lane k meets lane k + half */
    for (int k = 0; k < count; k++) top[k] = vf_at_least(vf_turn(top[k], half), top[k]);
  for (int k = 0; k < count; k++)
    for (int64_t i = whole; i < n; i++) top[k] = vf_at_least(vf_set(x[k * n + i]), top[k]);
  for (int64_t i = 0; i < whole; i += VL)
#pragma GCC unroll 4
    for (int k = 0; k < count; k++) {
      vf e = vm_exp_below(vf_load(x + k * n + i) - top[k]);
      sum[k] += e;
      if (!log) vf_store(y + k * n + i, e);
    }
  for (int k = 0; k < count; k++, x += n, y += n) {
    float total = vf_sum(sum[k]);
    if (whole < n) {
      vf e = vm_exp_below(vf_load_n(x + whole, n - whole) - top[k]);
      for (int64_t i = 0; i < n - whole; i++) total += e[i];
      if (!log) vf_store_n(y + whole, e, n - whole);
    }
    float scale = log ? logf(total) : 1 / total, most = top[k][0];
    if (log) {
      for (int64_t i = 0; i < n; i++) y[i] = x[i] - most - scale;
      continue;
    }
    for (int64_t i = 0; i < whole; i += VL) vf_store(y + i, vf_load(y + i) * scale);
    for (int64_t i = whole; i < n; i++) y[i] *= scale;
  }
}

/* Not inlined twice: what is constant leaves little else of each. */
static __attribute__((noinline)) void some_rows(const softmax_state *s, const float *x, float *y,
                                                int64_t count) {
  for (; count >= ROWS; count -= ROWS, x += ROWS * s->n, y += ROWS * s->n)
    if (s->log)
      rows(s, x, y, ROWS, 1);
    else
      rows(s, x, y, ROWS, 0);
  for (; count; count--, x += s->n, y += s->n)
    if (s->log)
      rows(s, x, y, 1, 1);
    else
      rows(s, x, y, 1, 0);
}

/* Columns [0, w) of a block [n][inner], w <= COLUMNS. */
static void columns(const softmax_state *s, const float *x, float *y, int64_t w) {
  float top[COLUMNS], sum[COLUMNS] = {0};
  for (int64_t j = 0; j < COLUMNS; j++) top[j] = -INFINITY;
  for (int64_t i = 0; i < s->n; i++)
    for (int64_t j = 0; j < w; j++) {
      float v = x[i * s->inner + j];
      top[j] = v > top[j] || v != v ? v : top[j];
    }
  for (int64_t i = 0; i < s->n; i++) {
    const float *xi = x + i * s->inner;
    float *yi = y + i * s->inner;
    for (int64_t j = 0; j < w; j += VL) {
      int64_t part = op_min(VL, w - j);
      vf v = part == VL ? vf_load(xi + j) : vf_load_n(xi + j, part);
      vf e = vm_exp_below(v - vf_load(top + j));
      vf_store(sum + j, vf_load(sum + j) + e);
      if (s->log) continue;
      if (part == VL)
        vf_store(yi + j, e);
      else
        vf_store_n(yi + j, e, part);
    }
  }
  for (int64_t j = 0; j < w; j++) sum[j] = s->log ? logf(sum[j]) : 1 / sum[j];
  for (int64_t i = 0; i < s->n; i++) {
    const float *xi = x + i * s->inner;
    float *yi = y + i * s->inner;
    if (s->log)
      for (int64_t j = 0; j < w; j++) yi[j] = xi[j] - top[j] - sum[j];
    else
      for (int64_t j = 0; j < w; j++) yi[j] *= sum[j];
  }
}

static void run(const void *state, const cpu_run *r) {
  const softmax_state *s = state;
  const float *x = r->inputs[0];
  float *y = r->outputs[0];
  int64_t b, e, strips = op_div_up(s->inner, COLUMNS), grain = op_max(1, 2048 / op_max(s->n, 1));
  if (s->inner == 1) {
    while (cpu_next(r, s->outer, grain, &b, &e)) some_rows(s, x + b * s->n, y + b * s->n, e - b);
    return;
  }
  while (cpu_next(r, s->outer * strips, 1, &b, &e)) {
    int64_t at = b / strips * s->n * s->inner + b % strips * COLUMNS;
    columns(s, x + at, y + at, op_min(COLUMNS, s->inner - b % strips * COLUMNS));
  }
}

const cpu_kernel IEC_ISA(cpu_kernel_softmax) = {
    .kind = "Softmax", .name = "softmax", .supports = supports, .prepare = prepare, .run = run};
const cpu_kernel IEC_ISA(cpu_kernel_log_softmax) = {
    .kind = "LogSoftmax", .name = "log_softmax", .supports = supports, .prepare = prepare, .run = run};
