/* SPDX-License-Identifier: Apache-2.0 */
/* Kind Split, for every type, plain or blocked. */
#include "cpu/kernels/nd.h"

static int32_t supports(const cpu_node *node) {
  if (node->output_count < 1 || !op_ports(node, 1, 0)) return 0;
  const cpu_tensor *x = node->inputs[0];
  size_t count;
  const int64_t *lengths = op_ints(node, "lengths", &count);
  int64_t axis = op_int(node, "axis", -1), sum = 0;
  if (!op_size(x->dtype) || axis < 0 || axis >= x->ndim || count != (size_t)node->output_count) return 0;
  for (int i = 0; i < node->output_count; i++) {
    const cpu_tensor *y = node->outputs[i];
    if (lengths[i] < 0 || lengths[i] > x->shape[axis] - sum) return 0;
    sum += lengths[i];
    if (!y) continue;
    if (y->dtype != x->dtype || y->ndim != x->ndim || y->shape[axis] != lengths[i]) return 0;
    for (int k = 0; k < x->ndim; k++)
      if (k != axis && x->shape[k] != y->shape[k]) return 0;
  }
  return sum == x->shape[axis] ? 10 : 0;
}

/* Blocked when the input is and no channel block is shared by two outputs. */
static void layouts(const cpu_node *node, cpu_layout *in, cpu_layout *out) {
  size_t count;
  const int64_t *lengths = op_ints(node, "lengths", &count);
  if (!op_blocked(node->inputs[0])) return;
  for (size_t i = 0; op_int(node, "axis", 1) == 1 && i + 1 < count; i++)
    if (lengths[i] % 16) return;
  in[0] = CPU_BLOCKED16;
  for (int i = 0; i < node->output_count; i++) out[i] = CPU_BLOCKED16;
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  size_t bytes = sizeof(nd_pieces) + (size_t)node->output_count * sizeof(nd_piece), count;
  iec_status status = op_state(host, node, bytes, out, err);
  if (status != IEC_OK) return status;
  nd_pieces *p = out->state;
  const cpu_tensor *x = node->inputs[0];
  const int64_t *lengths = op_ints(node, "lengths", &count);
  int64_t axis = op_int(node, "axis", -1), from[IEC_MAX_NDIM + 1], strides[IEC_MAX_NDIM + 1], offset = 0;
  int rank = op_physical(x, from);
  nd_strides(from, rank, strides);
  for (int i = 0; i < node->output_count; i++) {
    int64_t size = op_size(x->dtype),
            length = op_blocked(x) && axis == 1 ? op_div_up(lengths[i], 16) : lengths[i];
    if (node->outputs[i]) {
      nd_piece *piece = &p->piece[p->count++];
      nd_copy *c = &piece->copy;
      c->rank = op_physical(node->outputs[i], c->dims);
      c->size = (int32_t)size;
      nd_strides(c->dims, rank, c->dst);
      memcpy(c->src, strides, sizeof(int64_t) * (size_t)rank);
      piece->output = i;
      piece->src = offset * size;
      nd_plan(c);
    }
    offset += length * strides[axis];
  }
  nd_pieces_plan(p);
  out->cost = (double)(op_count(x) * op_size(x->dtype));
  out->exec_type = "split_" CPU_ISA_NAME;
  return IEC_OK;
}

const cpu_kernel IEC_ISA(cpu_kernel_split) = {.kind = "Split",
                                              .name = "split",
                                              .supports = supports,
                                              .layouts = layouts,
                                              .prepare = prepare,
                                              .run = nd_pieces_run};
