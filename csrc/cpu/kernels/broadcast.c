/* SPDX-License-Identifier: Apache-2.0 */
/* Kind Broadcast, for every type: axes of size 1 and axes missing in front are repeated. */
#include "cpu/kernels/nd.h"

static int32_t supports(const cpu_node *node) {
  if (!op_ports(node, 1, 1)) return 0;
  const cpu_tensor *x = node->inputs[0], *y = node->outputs[0];
  if (!op_size(x->dtype) || x->dtype != y->dtype || x->ndim > y->ndim) return 0;
  for (int i = 0; i < x->ndim; i++)
    if (x->shape[i] != 1 && x->shape[i] != y->shape[y->ndim - x->ndim + i]) return 0;
  return 10;
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(nd_copy), out, err);
  if (status != IEC_OK) return status;
  nd_copy *c = out->state;
  const cpu_tensor *x = node->inputs[0], *y = node->outputs[0];
  int64_t strides[IEC_MAX_NDIM];
  nd_strides(x->shape, x->ndim, strides);
  c->rank = y->ndim;
  c->size = (int32_t)op_size(x->dtype);
  for (int i = 0; i < y->ndim; i++) {
    int from = i - (y->ndim - x->ndim);
    c->dims[i] = y->shape[i];
    c->src[i] = from >= 0 && x->shape[from] != 1 ? strides[from] : 0;
  }
  nd_strides(y->shape, y->ndim, c->dst);
  nd_plan(c);
  out->cost = (double)(op_count(y) * c->size);
  out->exec_type = "broadcast_" CPU_ISA_NAME;
  return IEC_OK;
}

static void run(const void *state, const cpu_run *r) { nd_copy_run(state, r, 0, 0); }

const cpu_kernel IEC_ISA(cpu_kernel_broadcast) = {
    .kind = "Broadcast", .name = "broadcast", .supports = supports, .prepare = prepare, .run = run};
