/* SPDX-License-Identifier: Apache-2.0 */
/* Kind NonZero: positions of the elements that are not 0, -1 behind them. */
#include "cpu/kernels/common.h"

typedef struct nonzero_state {
  int64_t count, dims[IEC_MAX_NDIM];
  int32_t rank, dtype, wide;
} nonzero_state;

static int32_t supports(const cpu_node *node) {
  if (!op_ports(node, 1, 1)) return 0;
  const cpu_tensor *x = node->inputs[0], *y = node->outputs[0];
  int64_t size = op_size(x->dtype);
  if ((size != 1 && x->dtype != IEC_F32 && x->dtype != IEC_I32 && x->dtype != IEC_I64)) return 0;
  if (y->dtype != IEC_I32 && y->dtype != IEC_I64) return 0;
  return op_count(y) == op_times(op_count(x), x->ndim) ? 10 : 0;
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(nonzero_state), out, err);
  if (status != IEC_OK) return status;
  nonzero_state *s = out->state;
  const cpu_tensor *x = node->inputs[0];
  s->count = op_count(x);
  memcpy(s->dims, x->shape, sizeof s->dims);
  s->rank = x->ndim;
  s->dtype = x->dtype;
  s->wide = node->outputs[0]->dtype == IEC_I64;
  out->exec_type = "nonzero_" CPU_ISA_NAME;
  return IEC_OK;
}

static int is_set(int32_t dtype, const void *x, int64_t i) {
  switch (dtype) {
    case IEC_F32: return ((const float *)x)[i] != 0;
    case IEC_I32: return ((const int32_t *)x)[i] != 0;
    case IEC_I64: return ((const int64_t *)x)[i] != 0;
    default: return ((const uint8_t *)x)[i] != 0;
  }
}

static void put(const nonzero_state *s, void *y, int64_t at, int64_t value) {
  if (s->wide)
    ((int64_t *)y)[at] = value;
  else
    ((int32_t *)y)[at] = (int32_t)value;
}

static void run(const void *state, const cpu_run *r) {
  const nonzero_state *s = state;
  int64_t found = 0;
  if (r->member != 0) return;
  for (int64_t i = 0; i < s->count; i++) {
    if (!is_set(s->dtype, r->inputs[0], i)) continue;
    int64_t rest = i;
    for (int axis = s->rank - 1; axis >= 0; axis--) {
      put(s, r->outputs[0], axis * s->count + found, rest % s->dims[axis]);
      rest /= s->dims[axis];
    }
    found++;
  }
  for (int axis = 0; axis < s->rank; axis++)
    for (int64_t i = found; i < s->count; i++) put(s, r->outputs[0], axis * s->count + i, -1);
}

const cpu_kernel IEC_ISA(cpu_kernel_nonzero) = {
    .kind = "NonZero", .name = "nonzero", .supports = supports, .prepare = prepare, .run = run};
