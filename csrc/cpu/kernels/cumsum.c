/* SPDX-License-Identifier: Apache-2.0 */
/* Kind CumSum: running sums along an axis of float32, int32 and int64. */
#include "cpu/kernels/common.h"

typedef struct cumsum_state {
  int64_t outer, n, inner;
  int32_t dtype, exclusive, reverse;
} cumsum_state;

static int32_t supports(const cpu_node *node) {
  if (!op_ports(node, 1, 1)) return 0;
  const cpu_tensor *x = node->inputs[0], *y = node->outputs[0];
  int64_t axis = op_int(node, "axis", -1);
  if (x->dtype != IEC_F32 && x->dtype != IEC_I32 && x->dtype != IEC_I64) return 0;
  return x->dtype == y->dtype && axis >= 0 && axis < x->ndim && op_count(x) == op_count(y) ? 10 : 0;
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(cumsum_state), out, err);
  if (status != IEC_OK) return status;
  cumsum_state *s = out->state;
  const cpu_tensor *x = node->inputs[0];
  int axis = (int)op_int(node, "axis", 0);
  s->outer = op_product(x->shape, 0, axis);
  s->n = x->shape[axis];
  s->inner = op_product(x->shape, axis + 1, x->ndim);
  s->dtype = x->dtype;
  s->exclusive = op_int(node, "exclusive", 0) != 0;
  s->reverse = op_int(node, "reverse", 0) != 0;
  out->cost = (double)op_count(x);
  out->exec_type = "cumsum_" CPU_ISA_NAME;
  return IEC_OK;
}

/* One column; `sum` is unsigned for integers, so that they wrap. */
#define COLUMN(name, type, total)                                                    \
  static void name(int64_t n, int64_t step, int exclusive, const type *x, type *y) { \
    total sum = 0;                                                                   \
    for (int64_t i = 0; i < n; i++, x += step, y += step) {                          \
      total v = (total) * x;                                                         \
      *y = (type)(exclusive ? sum : sum + v);                                        \
      sum += v;                                                                      \
    }                                                                                \
  }
COLUMN(column_float, float, float)
COLUMN(column_int, int32_t, uint32_t)
COLUMN(column_long, int64_t, uint64_t)

static void run(const void *state, const cpu_run *r) {
  const cumsum_state *s = state;
  int64_t b, e, step = s->reverse ? -s->inner : s->inner, first = s->reverse ? (s->n - 1) * s->inner : 0;
  while (s->n && cpu_next(r, s->outer * s->inner, op_max(1, 4096 / s->n), &b, &e))
    for (; b < e; b++) {
      int64_t at = b / s->inner * s->n * s->inner + b % s->inner + first;
      if (s->dtype == IEC_F32)
        column_float(s->n, step, s->exclusive, (const float *)r->inputs[0] + at, (float *)r->outputs[0] + at);
      else if (s->dtype == IEC_I32)
        column_int(s->n, step, s->exclusive, (const int32_t *)r->inputs[0] + at,
                   (int32_t *)r->outputs[0] + at);
      else
        column_long(s->n, step, s->exclusive, (const int64_t *)r->inputs[0] + at,
                    (int64_t *)r->outputs[0] + at);
    }
}

const cpu_kernel IEC_ISA(cpu_kernel_cumsum) = {
    .kind = "CumSum", .name = "cumsum", .supports = supports, .prepare = prepare, .run = run};
