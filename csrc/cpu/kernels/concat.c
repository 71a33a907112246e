/* SPDX-License-Identifier: Apache-2.0 */
/* Kind Concat, for every type, plain or blocked. */
#include "cpu/kernels/nd.h"

static int32_t supports(const cpu_node *node) {
  if (node->input_count < 1 || !op_ports(node, node->input_count, 1)) return 0;
  const cpu_tensor *y = node->outputs[0];
  int64_t axis = op_int(node, "axis", -1), sum = 0;
  if (!op_size(y->dtype) || axis < 0 || axis >= y->ndim) return 0;
  for (int i = 0; i < node->input_count; i++) {
    const cpu_tensor *x = node->inputs[i];
    if (x->dtype != y->dtype || x->ndim != y->ndim) return 0;
    for (int k = 0; k < y->ndim; k++)
      if (k != axis && x->shape[k] != y->shape[k]) return 0;
    if (x->shape[axis] > y->shape[axis] - sum) return 0;
    sum += x->shape[axis];
  }
  return sum == y->shape[axis] ? 10 : 0;
}

/* Blocked when most of the data comes so, nothing is constant and no channel block is shared by two inputs.
 */
static void layouts(const cpu_node *node, cpu_layout *in, cpu_layout *out) {
  int64_t blocked = 0, axis = op_int(node, "axis", 1);
  for (int i = 0; i < node->input_count; i++) {
    const cpu_tensor *x = node->inputs[i];
    if (x->data) return;
    if (op_blocked(x)) blocked += op_count(x);
    if (axis == 1 && x->shape[1] % 16 && i + 1 < node->input_count) return;
  }
  if (2 * blocked <= op_count(node->outputs[0])) return;
  out[0] = CPU_BLOCKED16;
  for (int i = 0; i < node->input_count; i++) in[i] = CPU_BLOCKED16;
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  size_t bytes = sizeof(nd_pieces) + (size_t)node->input_count * sizeof(nd_piece);
  iec_status status = op_state(host, node, bytes, out, err);
  if (status != IEC_OK) return status;
  nd_pieces *p = out->state;
  const cpu_tensor *y = node->outputs[0];
  int64_t axis = op_int(node, "axis", -1), to[IEC_MAX_NDIM + 1], strides[IEC_MAX_NDIM + 1], offset = 0;
  int rank = op_physical(y, to);
  nd_strides(to, rank, strides);
  p->count = node->input_count;
  for (int i = 0; i < node->input_count; i++) {
    nd_piece *piece = &p->piece[i];
    nd_copy *c = &piece->copy;
    c->rank = op_physical(node->inputs[i], c->dims);
    c->size = (int32_t)op_size(y->dtype);
    nd_strides(c->dims, rank, c->src);
    memcpy(c->dst, strides, sizeof(int64_t) * (size_t)rank);
    piece->input = i;
    piece->dst = offset * c->size;
    offset += c->dims[axis] * strides[axis];
    nd_plan(c);
  }
  nd_pieces_plan(p);
  out->cost = (double)(op_count(y) * op_size(y->dtype));
  out->exec_type = "concat_" CPU_ISA_NAME;
  return IEC_OK;
}

const cpu_kernel IEC_ISA(cpu_kernel_concat) = {.kind = "Concat",
                                               .name = "concat",
                                               .supports = supports,
                                               .layouts = layouts,
                                               .prepare = prepare,
                                               .run = nd_pieces_run};
