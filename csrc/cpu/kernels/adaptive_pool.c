/* SPDX-License-Identifier: Apache-2.0 */
/* Kind AdaptivePool: mean or maximum of windows that share the spatial axes out evenly. */
#include "cpu/kernels/common.h"

typedef struct adaptive_state {
  int64_t planes, in[3], out[3]; /* spatial sizes, with 1 in front */
  int32_t largest, indices, wide;
} adaptive_state;

static int32_t supports(const cpu_node *node) {
  if (!op_ports(node, 1, 1) || !op_is(node, 0, IEC_F32)) return 0;
  const cpu_tensor *x = node->inputs[0], *y = node->outputs[0];
  const char *mode = op_text(node, "mode", "");
  if (strcmp(mode, "avg") != 0 && strcmp(mode, "max") != 0) return 0;
  if (x->ndim < 3 || x->ndim > 5 || y->ndim != x->ndim || y->dtype != IEC_F32) return 0;
  if (x->shape[0] != y->shape[0] || x->shape[1] != y->shape[1]) return 0;
  for (int i = 2; i < x->ndim; i++)
    if (x->shape[i] < 1 || x->shape[i] > INT32_MAX || y->shape[i] < 1 || y->shape[i] > INT32_MAX) return 0;
  const cpu_tensor *at = node->output_count > 1 ? node->outputs[1] : NULL;
  return !at || ((at->dtype == IEC_I32 || at->dtype == IEC_I64) && op_count(at) == op_count(y)) ? 10 : 0;
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(adaptive_state), out, err);
  if (status != IEC_OK) return status;
  adaptive_state *s = out->state;
  const cpu_tensor *x = node->inputs[0], *y = node->outputs[0];
  s->planes = x->shape[0] * x->shape[1];
  for (int i = 0; i < 3; i++) {
    int axis = x->ndim - 3 + i;
    s->in[i] = axis < 2 ? 1 : x->shape[axis];
    s->out[i] = axis < 2 ? 1 : y->shape[axis];
  }
  s->largest = strcmp(op_text(node, "mode", ""), "max") == 0;
  s->indices = node->output_count > 1 && node->outputs[1];
  s->wide = s->indices && node->outputs[1]->dtype == IEC_I64;
  out->cost = (double)op_max(op_count(x), op_count(y));
  out->exec_type = "adaptive_pool_" CPU_ISA_NAME;
  return IEC_OK;
}

/* Window [begin, end) of position `i` on an axis. */
static void window(const adaptive_state *s, int axis, int64_t i, int64_t *begin, int64_t *end) {
  *begin = i * s->in[axis] / s->out[axis];
  *end = op_div_up((i + 1) * s->in[axis], s->out[axis]);
}

static float mean_or_max(const adaptive_state *s, const float *x, const int64_t *b, const int64_t *e,
                         int64_t *at) {
  double sum = 0;
  *at = (b[0] * s->in[1] + b[1]) * s->in[2] + b[2];
  for (int64_t d = b[0]; d < e[0]; d++)
    for (int64_t h = b[1]; h < e[1]; h++)
      for (int64_t w = b[2]; w < e[2]; w++) {
        int64_t i = (d * s->in[1] + h) * s->in[2] + w;
        sum += x[i];
        if (x[*at] == x[*at] && !(x[i] <= x[*at])) *at = i; /* the first NaN stays */
      }
  return s->largest ? x[*at] : (float)(sum / (double)((e[0] - b[0]) * (e[1] - b[1]) * (e[2] - b[2])));
}

static void run(const void *state, const cpu_run *r) {
  const adaptive_state *s = state;
  int64_t first, last, plane = s->out[0] * s->out[1] * s->out[2], size = s->in[0] * s->in[1] * s->in[2];
  while (cpu_next(r, s->planes, op_max(1, 4096 / op_max(size, plane)), &first, &last))
    for (int64_t y = first * plane; y < last * plane; y++) {
      int64_t i = y % plane, b[3], e[3], at;
      for (int axis = 2; axis >= 0; axis--) {
        window(s, axis, i % s->out[axis], &b[axis], &e[axis]);
        i /= s->out[axis];
      }
      ((float *)r->outputs[0])[y] = mean_or_max(s, (const float *)r->inputs[0] + y / plane * size, b, e, &at);
      if (!s->indices) continue;
      if (s->wide)
        ((int64_t *)r->outputs[1])[y] = at;
      else
        ((int32_t *)r->outputs[1])[y] = (int32_t)at;
    }
}

const cpu_kernel IEC_ISA(cpu_kernel_adaptive_pool) = {
    .kind = "AdaptivePool", .name = "adaptive_pool", .supports = supports, .prepare = prepare, .run = run};
