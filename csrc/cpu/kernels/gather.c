/* SPDX-License-Identifier: Apache-2.0 */
/* Kind Gather: rows of any type picked by int32 or int64 indices; an index out of range gives zeros. */
#include "cpu/kernels/common.h"

typedef struct gather_state {
  int64_t batch, outer, axis, picks; /* data [batch][outer][axis][inner], indices [batch][picks] */
  int64_t inner;                     /* bytes */
  int32_t wide, wrap;
} gather_state;

static int32_t supports(const cpu_node *node) {
  if (!op_ports(node, 2, 1)) return 0;
  const cpu_tensor *x = node->inputs[0], *index = node->inputs[1], *y = node->outputs[0];
  int64_t axis = op_int(node, "axis", 0), batch = op_int(node, "batch_dims", 0);
  if (!op_size(x->dtype) || y->dtype != x->dtype || (index->dtype != IEC_I32 && index->dtype != IEC_I64))
    return 0;
  if (batch < 0 || axis < batch || axis >= x->ndim || batch > index->ndim) return 0;
  for (int i = 0; i < batch; i++)
    if (x->shape[i] != index->shape[i]) return 0;
  int64_t rows =
      op_times(op_product(x->shape, 0, (int)axis), op_product(index->shape, (int)batch, index->ndim));
  return op_times(rows, op_product(x->shape, (int)axis + 1, x->ndim)) == op_count(y) ? 10 : 0;
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(gather_state), out, err);
  if (status != IEC_OK) return status;
  gather_state *s = out->state;
  const cpu_tensor *x = node->inputs[0], *index = node->inputs[1];
  int axis = (int)op_int(node, "axis", 0), batch = (int)op_int(node, "batch_dims", 0);
  s->batch = op_product(x->shape, 0, batch);
  s->outer = op_product(x->shape, batch, axis);
  s->axis = x->shape[axis];
  s->inner = op_product(x->shape, axis + 1, x->ndim) * op_size(x->dtype);
  s->picks = op_product(index->shape, batch, index->ndim);
  s->wide = index->dtype == IEC_I64;
  s->wrap = op_int(node, "wrap", 0) != 0;
  out->cost = (double)(op_count(node->outputs[0]) * op_size(x->dtype));
  out->exec_type = "gather_" CPU_ISA_NAME;
  return IEC_OK;
}

static void run(const void *state, const cpu_run *r) {
  const gather_state *s = state;
  int64_t b, e, rows = s->batch * s->outer * s->picks, grain = op_max(1, 32768 / op_max(s->inner, 1));
  while (cpu_next(r, rows, grain, &b, &e))
    for (int64_t row = b; row < e; row++) {
      int64_t block = row / s->picks, pick = block / s->outer * s->picks + row % s->picks;
      int64_t at = s->wide ? ((const int64_t *)r->inputs[1])[pick] : ((const int32_t *)r->inputs[1])[pick];
      char *y = (char *)r->outputs[0] + row * s->inner;
      if (s->wrap && at < 0) at += s->axis;
      if (at < 0 || at >= s->axis) {
        memset(y, 0, (size_t)s->inner);
        continue;
      }
      const char *x = (const char *)r->inputs[0] + (block * s->axis + at) * s->inner;
      if (s->inner == 4)
        memcpy(y, x, 4);
      else
        memcpy(y, x, (size_t)s->inner);
    }
}

const cpu_kernel IEC_ISA(cpu_kernel_gather) = {
    .kind = "Gather", .name = "gather", .supports = supports, .prepare = prepare, .run = run};
