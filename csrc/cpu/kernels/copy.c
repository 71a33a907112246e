/* SPDX-License-Identifier: Apache-2.0 */
/* Kind Reshape where the engine cannot alias the memory: the elements in their order, for every type. */
#include "cpu/kernels/nd.h"

static int32_t supports(const cpu_node *node) {
  return op_ports(node, 1, 1) && op_size(node->inputs[0]->dtype) &&
                 node->inputs[0]->dtype == node->outputs[0]->dtype &&
                 op_count(node->inputs[0]) == op_count(node->outputs[0])
             ? 1
             : 0;
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(nd_copy), out, err);
  if (status != IEC_OK) return status;
  nd_copy *c = out->state;
  c->rank = 1;
  c->size = (int32_t)op_size(node->inputs[0]->dtype);
  c->dims[0] = op_count(node->inputs[0]);
  c->src[0] = c->dst[0] = 1;
  nd_plan(c);
  out->cost = (double)(c->dims[0] * c->size);
  out->exec_type = "copy_" CPU_ISA_NAME;
  out->in_place = 1;
  return IEC_OK;
}

static void run(const void *state, const cpu_run *r) {
  if (r->inputs[0] != r->outputs[0]) nd_copy_run(state, r, 0, 0);
}

const cpu_kernel IEC_ISA(cpu_kernel_copy) = {
    .kind = "Reshape", .name = "copy", .supports = supports, .prepare = prepare, .run = run};
