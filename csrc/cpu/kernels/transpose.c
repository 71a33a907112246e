/* SPDX-License-Identifier: Apache-2.0 */
/* Kind Transpose, for every type: axes are merged and what remains is copied in rows or in square tiles. */
#include "cpu/kernels/nd.h"

static int32_t supports(const cpu_node *node) {
  if (!op_ports_only(node, 1, 1)) return 0;
  const cpu_tensor *x = node->inputs[0], *y = node->outputs[0];
  size_t count;
  const int64_t *order = op_ints(node, "order", &count);
  if (!op_size(x->dtype) || x->dtype != y->dtype || x->ndim != y->ndim || count != (size_t)x->ndim) return 0;
  unsigned seen = 0;
  for (int i = 0; i < x->ndim; i++) {
    if (order[i] < 0 || order[i] >= x->ndim || y->shape[i] != x->shape[order[i]]) return 0;
    seen |= 1u << order[i];
  }
  return seen == (1u << x->ndim) - 1 ? 10 : 0;
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(nd_copy), out, err);
  if (status != IEC_OK) return status;
  nd_copy *c = out->state;
  const cpu_tensor *x = node->inputs[0], *y = node->outputs[0];
  size_t count;
  const int64_t *order = op_ints(node, "order", &count);
  int64_t strides[IEC_MAX_NDIM];
  nd_strides(x->shape, x->ndim, strides);
  c->rank = y->ndim;
  c->size = (int32_t)op_size(x->dtype);
  for (int i = 0; i < y->ndim; i++) {
    c->dims[i] = y->shape[i];
    c->src[i] = strides[order[i]];
  }
  nd_strides(y->shape, y->ndim, c->dst);
  nd_plan(c);
  out->cost = (double)(2 * op_count(y) * c->size);
  out->exec_type = "transpose_" CPU_ISA_NAME;
  return IEC_OK;
}

static void run(const void *state, const cpu_run *r) { nd_copy_run(state, r, 0, 0); }

const cpu_kernel IEC_ISA(cpu_kernel_transpose) = {
    .kind = "Transpose", .name = "transpose", .supports = supports, .prepare = prepare, .run = run};
