/* SPDX-License-Identifier: Apache-2.0 */
/* Gives every activation a layout and inserts reorders where a kernel wants another one than its input has.
 */
#include <string.h>

#include "cpu/passes.h"

typedef struct layout_pass {
  cpu_graph *graph;
  cpu_view view;
  cpu_op **order; /* the new execution order */
  int32_t count, capacity;
  cpu_layout *wish; /* inputs, then outputs of one op */
} layout_pass;

static iec_status append(layout_pass *pass, cpu_op *op, iec_error *err) {
  if (pass->count == pass->capacity) {
    int32_t capacity = 2 * pass->capacity + 16;
    cpu_op **order = cpu_graph_alloc(pass->graph, (size_t)capacity * sizeof *order);
    if (!order) return cpu_graph_no_memory(err);
    if (pass->count) memcpy(order, pass->order, (size_t)pass->count * sizeof *order);
    pass->order = order;
    pass->capacity = capacity;
  }
  op->index = pass->count;
  pass->order[pass->count++] = op;
  return IEC_OK;
}

/* Blocked and plain hold the same bytes in the same places: one pixel, and no padding between the images. */
static int same_memory(const cpu_tensor *tensor) {
  int64_t pixels = 1;
  for (int32_t i = 2; i < tensor->ndim; ++i) pixels *= tensor->shape[i];
  return pixels == 1 && (tensor->shape[0] == 1 || tensor->shape[1] % 16 == 0);
}

/* The value in the wished layout: itself, or its twin behind a reorder, made once. */
static iec_status in_layout(layout_pass *pass, cpu_value *value, cpu_layout wish, cpu_value **out,
                            iec_error *err) {
  *out = value;
  if (value->tensor.layout == wish || value->tensor.data) return IEC_OK;
  if (!value->reordered) {
    cpu_tensor tensor = value->tensor;
    tensor.layout = wish;
    cpu_value *twin = cpu_graph_value(pass->graph, &tensor, value->name);
    cpu_op *op = cpu_graph_op(pass->graph, CPU_REORDER, value->name, 1, 1);
    if (!twin || !op) return cpu_graph_no_memory(err);
    if (value->producer) op->layer = value->producer->layer;
    op->alias = wish == CPU_PLAIN && same_memory(&tensor);
    iec_status status = cpu_graph_set_input(pass->graph, op, 0, value, err);
    if (status) return status;
    cpu_graph_set_output(op, 0, twin);
    if (!op->alias) op->kernel = cpu_select(pass->graph->kernels, cpu_view_fill(&pass->view, op));
    if (!op->alias && !op->kernel)
      return cpu_fail(err, IEC_UNEXPECTED, op->name, "no kernel of kind " CPU_REORDER);
    value->reordered = twin;
    twin->reordered = value;
    status = append(pass, op, err);
    if (status) return status;
  }
  *out = value->reordered;
  return IEC_OK;
}

/* A reshape that keeps images, channels and the number of pixels leaves blocked memory as it is. */
static int alias_can_follow(const cpu_op *op) {
  const cpu_tensor *in = &op->inputs[0]->tensor, *out = &op->outputs[0]->tensor;
  return strcmp(op->kind, "Reshape") == 0 && cpu_tensor_can_block(out) && in->shape[0] == out->shape[0] &&
         in->shape[1] == out->shape[1];
}

static void ask(layout_pass *pass, const cpu_op *op) {
  for (int32_t i = 0; i < op->input_count + op->output_count; ++i) pass->wish[i] = CPU_PLAIN;
  cpu_layout *in = pass->wish, *out = pass->wish + op->input_count;
  if (op->alias) {
    if (alias_can_follow(op)) in[0] = out[0] = op->inputs[0]->tensor.layout;
  } else if (op->kernel->layouts) {
    op->kernel->layouts(cpu_view_fill(&pass->view, op), in, out);
  }
  for (int32_t i = 0; i < op->input_count; ++i)
    if (!op->inputs[i] || !cpu_tensor_can_block(&op->inputs[i]->tensor)) in[i] = CPU_PLAIN;
  for (int32_t i = 0; i < op->output_count; ++i)
    if (!op->outputs[i] || !cpu_tensor_can_block(&op->outputs[i]->tensor)) out[i] = CPU_PLAIN;
  for (int32_t i = 0; i < op->post_count; ++i) /* the addend of a sum comes as the result goes */
    if (op->posts[i].type == CPU_POST_SUM) in[op->posts[i].input] = out[0];
}

static iec_status place(layout_pass *pass, cpu_op *op, iec_error *err) {
  iec_status status = IEC_OK;
  ask(pass, op);
  for (int32_t i = 0; !status && i < op->input_count; ++i) {
    cpu_value *value = op->inputs[i], *wanted = NULL;
    if (value) status = in_layout(pass, value, pass->wish[i], &wanted, err);
    if (!status && wanted != value) status = cpu_graph_set_input(pass->graph, op, i, wanted, err);
  }
  for (int32_t i = 0; i < op->output_count; ++i)
    if (op->outputs[i]) op->outputs[i]->tensor.layout = pass->wish[op->input_count + i];
  return status ? status : append(pass, op, err);
}

/* Network outputs are plain. */
static iec_status place_outputs(layout_pass *pass, iec_error *err) {
  cpu_graph *graph = pass->graph;
  for (int32_t i = 0; i < graph->output_count; ++i) {
    cpu_value *value = graph->outputs[i], *plain = NULL;
    iec_status status = in_layout(pass, value, CPU_PLAIN, &plain, err);
    if (status) return status;
    graph->outputs[i] = plain;
    --value->output_count;
    ++plain->output_count;
  }
  return IEC_OK;
}

iec_status cpu_pass_layout(cpu_graph *graph, iec_error *err) {
  layout_pass pass = {.graph = graph};
  iec_status status = cpu_view_create(graph, &pass.view, err);
  if (status) return status;
  pass.wish = cpu_graph_alloc(graph, (2 * CPU_MAX_PORTS + CPU_MAX_POSTS) * sizeof *pass.wish);
  if (!pass.wish) return cpu_graph_no_memory(err);
  for (int32_t i = 0; !status && i < graph->op_count; ++i) status = place(&pass, graph->ops[i], err);
  if (!status) status = place_outputs(&pass, err);
  graph->ops = pass.order;
  graph->op_count = pass.count;
  graph->op_capacity = pass.capacity;
  return status;
}
