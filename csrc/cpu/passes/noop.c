/* SPDX-License-Identifier: Apache-2.0 */
/* Removes ops that hand their input on unchanged, and marks those that only rename its shape. */
#include <string.h>

#include "cpu/passes.h"

static int all_equal(const int64_t *values, int32_t count, int64_t wanted) {
  for (int32_t i = 0; values && i < count; ++i)
    if (values[i] != wanted) return 0;
  return values != NULL;
}

/* A transpose that moves only axes of size 1 leaves the elements where they are. */
static int keeps_elements(const cpu_op *op, const cpu_tensor *in) {
  const int64_t *order = cpu_transpose_order(op);
  int64_t last = -1;
  for (int32_t i = 0; order && i < in->ndim; ++i) {
    if (in->shape[order[i]] == 1) continue;
    if (order[i] < last) return 0;
    last = order[i];
  }
  return order != NULL;
}

static int is_alias(const cpu_op *op) {
  if (!op->inputs[0] || !op->outputs[0] || op->inputs[0]->tensor.dtype != op->outputs[0]->tensor.dtype)
    return 0;
  const cpu_tensor *in = &op->inputs[0]->tensor;
  int same = cpu_same_shape(in, &op->outputs[0]->tensor);
  if (cpu_tensor_elements(in) != cpu_tensor_elements(&op->outputs[0]->tensor))
    return 0; /* faulty: no kernel takes it */
  if (strcmp(op->kind, "Reshape") == 0) return 1;
  if (strcmp(op->kind, "Transpose") == 0) return keeps_elements(op, in);
  if (strcmp(op->kind, "Convert") == 0) return 1;
  if (strcmp(op->kind, "Concat") == 0) return op->input_count == 1;
  if (strcmp(op->kind, "Split") == 0) return op->output_count == 1;
  if (strcmp(op->kind, "Tile") == 0 || strcmp(op->kind, "Broadcast") == 0) return same;
  if (strcmp(op->kind, "Slice") == 0)
    return same && all_equal(cpu_op_i64s(op, "strides", (size_t)in->ndim), in->ndim, 1);
  if (strcmp(op->kind, "Pad") == 0)
    return same && all_equal(cpu_op_i64s(op, "pads_begin", (size_t)in->ndim), in->ndim, 0);
  return 0;
}

iec_status cpu_pass_noop(cpu_graph *graph, iec_error *err) {
  iec_status status = IEC_OK;
  for (int32_t i = 0; !status && i < graph->op_count; ++i) {
    cpu_op *op = graph->ops[i];
    if (!op->input_count || !op->output_count || !is_alias(op)) continue;
    op->alias = 1;
    if (!cpu_same_shape(&op->inputs[0]->tensor, &op->outputs[0]->tensor)) continue;
    status = cpu_graph_replace(graph, op->outputs[0], op->inputs[0], err);
    if (!status) cpu_graph_remove(graph, op, CPU_OP_REMOVED, NULL);
  }
  cpu_graph_compact(graph);
  return status;
}
