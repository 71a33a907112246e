/* SPDX-License-Identifier: Apache-2.0 */
/* Chooses what is computed on integers: between a FakeQuantize and the convolutions and matrix products of
 * quantised weights that read it, activations become bytes. */
#include "cpu/passes/int8.h"

#include <stdlib.h>
#include <string.h>

#include "cpu/passes.h"

typedef struct int8_pass {
  cpu_graph *graph;
  cpu_view view;
  int32_t count;          /* values that were there before */
  const cpu_grid **grids; /* by value: the grid that it lies on, NULL: none */
  uint8_t *wanted;        /* by value: 1 when bytes are of use */
  cpu_value **weights;    /* by number of an op: its integer weights, NULL: stays in float32 */
  cpu_value **numbers;    /* by value: the float32 twin of one that became bytes */
} int8_pass;

/* IE_CTYPES_INT8=NO keeps all in float32. */
static int is_switched_off(void) {
  const char *value = getenv("IE_CTYPES_INT8");
  return value && strcmp(value, "NO") == 0;
}

static int is_kind(const cpu_op *op, const char *kind) { return strcmp(op->kind, kind) == 0; }

/* Ops that move bytes or choose among them: their results lie on the grid of their inputs. */
static int hands_on(const cpu_op *op) {
  if (is_kind(op, "MaxPool")) return op->output_count == 1;
  return is_kind(op, "Concat") || is_kind(op, "Split") || is_kind(op, "Reshape");
}

static int same_grid(const cpu_grid *a, const cpu_grid *b) {
  if (a->count != b->count || a->zero != b->zero || a->whole != b->whole || a->top != b->top) return 0;
  return memcmp(a->scale, b->scale, (size_t)a->count * sizeof *a->scale) == 0;
}

/* A pool that no kernel of bytes runs stays in float32. */
static int can_pool(int8_pass *pass, const cpu_op *op, const cpu_grid *grid) {
  const cpu_node *node = cpu_view_fill(&pass->view, op);
  cpu_tensor x = *node->inputs[0], y = *node->outputs[0];
  x.dtype = y.dtype = IEC_U8;
  x.grid = y.grid = grid;
  pass->view.ports[0] = &x;
  pass->view.ports[1] = &y;
  return cpu_select(pass->graph->kernels, node) != NULL;
}

/* The grid that all inputs share; only pools keep one of several scales. */
static const cpu_grid *shared_grid(int8_pass *pass, const cpu_op *op) {
  const cpu_grid *grid = NULL;
  int32_t count = is_kind(op, "Concat") ? op->input_count : 1;
  for (int32_t i = 0; i < count; ++i) {
    const cpu_grid *other = op->inputs[i] ? pass->grids[op->inputs[i]->index] : NULL;
    if (!other || (grid && !same_grid(grid, other))) return NULL;
    grid = other;
  }
  if (grid && is_kind(op, "MaxPool")) return can_pool(pass, op, grid) ? grid : NULL;
  return grid && grid->count == 1 ? grid : NULL;
}

static iec_status find_grids(int8_pass *pass, iec_error *err) {
  cpu_graph *graph = pass->graph;
  iec_status status = IEC_OK;
  for (int32_t i = 0; !status && i < graph->op_count; ++i) {
    const cpu_op *op = graph->ops[i];
    const cpu_grid *grid = NULL;
    if (is_kind(op, "FakeQuantize"))
      status = cpu_grid_read(graph, op, &grid, err);
    else if (hands_on(op) && op->input_count)
      grid = shared_grid(pass, op);
    for (int32_t j = 0; grid && j < op->output_count; ++j)
      if (op->outputs[j]) pass->grids[op->outputs[j]->index] = grid;
  }
  return status;
}

/* Integer weights for `op` when a kernel of quantised inputs runs it: asked with its ports as they would be.
 */
static iec_status try_integers(int8_pass *pass, cpu_op *op, cpu_value **out, iec_error *err) {
  *out = NULL;
  if (!is_kind(op, "Conv") && !is_kind(op, "MatMul")) return IEC_OK;
  if (op->input_count < 2 || !op->inputs[0] || !op->inputs[1] || op->inputs[0] == op->inputs[1])
    return IEC_OK;
  const cpu_grid *grid = pass->grids[op->inputs[0]->index];
  if (!grid) return IEC_OK;
  cpu_value *weights = NULL;
  iec_status status = cpu_weights_read(pass->graph, op, &weights, err);
  if (status || !weights) return status;
  const cpu_node *node = cpu_view_fill(&pass->view, op);
  cpu_tensor x = op->inputs[0]->tensor;
  x.dtype = IEC_U8;
  x.grid = grid;
  pass->view.ports[0] = &x;
  pass->view.ports[1] = &weights->tensor;
  if (cpu_select(pass->graph->kernels, node)) *out = weights;
  return IEC_OK;
}

static iec_status find_wanted(int8_pass *pass, iec_error *err) {
  cpu_graph *graph = pass->graph;
  for (int32_t i = graph->op_count - 1; i >= 0; --i) {
    cpu_op *op = graph->ops[i];
    iec_status status = try_integers(pass, op, &pass->weights[i], err);
    if (status) return status;
    if (pass->weights[i]) pass->wanted[op->inputs[0]->index] = 1;
    if (!hands_on(op) || !op->output_count || !op->outputs[0] || !pass->grids[op->outputs[0]->index])
      continue;
    int wanted = 0;
    for (int32_t j = 0; j < op->output_count; ++j)
      wanted |= op->outputs[j] && pass->wanted[op->outputs[j]->index];
    int32_t inputs = is_kind(op, "Concat") ? op->input_count : 1;
    for (int32_t j = 0; wanted && j < inputs; ++j) pass->wanted[op->inputs[j]->index] = 1;
    for (int32_t j = 0; wanted && j < op->output_count; ++j)
      if (op->outputs[j]) pass->wanted[op->outputs[j]->index] = 1;
  }
  return IEC_OK;
}

/* The op whose result, quantised, is addend `side` of a sum; NULL: it is not quantised. */
static const cpu_op *addend_maker(const cpu_op *sum, int32_t side) {
  const cpu_op *quantize = sum->inputs[side] ? sum->inputs[side]->producer : NULL;
  if (!quantize || !is_kind(quantize, "FakeQuantize") || !quantize->inputs[0]) return NULL;
  return quantize->inputs[0]->producer;
}

/* A residual sum goes into the store of the later of the ops that make its addends. When that is a
 * convolution of integers, the other addend comes as bytes where the network quantises it. */
static void find_addend(int8_pass *pass, const cpu_op *sum) {
  if (!is_kind(sum, "Binary") || sum->input_count != 2 || strcmp(cpu_op_str(sum, "op", ""), "add") != 0)
    return;
  const cpu_op *makers[2] = {addend_maker(sum, 0), addend_maker(sum, 1)};
  if (!makers[0] || !makers[1]) return;
  int32_t later = makers[1]->index > makers[0]->index;
  const cpu_value *addend = sum->inputs[!later], *fused = sum->inputs[later];
  if (!pass->weights[makers[later]->index] || !is_kind(makers[later], "Conv")) return;
  if (!cpu_value_only_user(fused) || !cpu_value_only_user(makers[later]->outputs[0])) return;
  if (pass->grids[addend->index] && cpu_same_shape(&addend->tensor, &fused->tensor))
    pass->wanted[addend->index] = 1;
}

static int is_bytes(const int8_pass *pass, const cpu_value *value) {
  return value && value->index < pass->count && pass->wanted[value->index];
}

/* The float32 twin of a value that has become bytes, made behind `producer` in the new order. */
static iec_status numbers_of(int8_pass *pass, cpu_value *value, cpu_value **out, iec_error *err) {
  cpu_graph *graph = pass->graph;
  *out = pass->numbers[value->index];
  if (*out) return IEC_OK;
  cpu_tensor tensor = value->tensor;
  tensor.dtype = IEC_F32;
  tensor.grid = NULL;
  cpu_value *twin = cpu_graph_value(graph, &tensor, value->name);
  cpu_op *op = cpu_graph_op(graph, CPU_DEQUANTIZE, value->name, 1, 1);
  if (!twin || !op) return cpu_graph_no_memory(err);
  if (value->producer) op->layer = value->producer->layer;
  cpu_graph_set_output(op, 0, twin);
  iec_status status = cpu_graph_set_input(graph, op, 0, value, err);
  if (!status) status = cpu_graph_insert(graph, value->producer, op, err);
  pass->numbers[value->index] = *out = twin;
  return status;
}

/* Does this port read bytes as they are? */
static int reads_bytes(const int8_pass *pass, const cpu_op *op, int32_t number, int32_t port) {
  if (pass->weights[number]) return port == 0;
  return hands_on(op) && op->output_count && is_bytes(pass, op->outputs[0]);
}

static iec_status rewrite(int8_pass *pass, iec_error *err) {
  cpu_graph *graph = pass->graph;
  cpu_op **ops = cpu_graph_alloc(graph, (size_t)(graph->op_count + 1) * sizeof *ops);
  if (!ops) return cpu_graph_no_memory(err);
  int32_t count = graph->op_count;
  if (count) memcpy(ops, graph->ops, (size_t)count * sizeof *ops);
  for (int32_t i = 0; i < pass->count; ++i) {
    if (!pass->wanted[i]) continue;
    graph->values[i]->tensor.dtype = IEC_U8;
    graph->values[i]->tensor.grid = pass->grids[i];
  }
  iec_status status = IEC_OK;
  for (int32_t i = 0; !status && i < count; ++i) {
    cpu_op *op = ops[i];
    if (pass->weights[i]) status = cpu_graph_set_input(graph, op, 1, pass->weights[i], err);
    for (int32_t j = 0; !status && j < op->input_count; ++j) {
      cpu_value *twin;
      if (!is_bytes(pass, op->inputs[j]) || reads_bytes(pass, op, i, j)) continue;
      status = numbers_of(pass, op->inputs[j], &twin, err);
      if (!status) status = cpu_graph_set_input(graph, op, j, twin, err);
    }
  }
  for (int32_t i = 0; !status && i < graph->output_count; ++i) {
    cpu_value *value = graph->outputs[i], *twin;
    if (!is_bytes(pass, value)) continue;
    status = numbers_of(pass, value, &twin, err);
    if (status) break;
    graph->outputs[i] = twin;
    --value->output_count;
    ++twin->output_count;
  }
  return status;
}

iec_status cpu_pass_int8(cpu_graph *graph, iec_error *err) {
  int8_pass pass = {.graph = graph, .count = graph->value_count};
  if (is_switched_off()) return IEC_OK;
  size_t values = (size_t)graph->value_count + 1, ops = (size_t)graph->op_count + 1;
  pass.grids = cpu_graph_alloc(graph, values * sizeof *pass.grids);
  pass.wanted = cpu_graph_alloc(graph, values);
  pass.numbers = cpu_graph_alloc(graph, values * sizeof *pass.numbers);
  pass.weights = cpu_graph_alloc(graph, ops * sizeof *pass.weights);
  if (!pass.grids || !pass.wanted || !pass.numbers || !pass.weights) return cpu_graph_no_memory(err);
  iec_status status = cpu_view_create(graph, &pass.view, err);
  if (!status) status = find_grids(&pass, err);
  if (!status) status = find_wanted(&pass, err);
  for (int32_t i = 0; !status && i < graph->op_count; ++i) find_addend(&pass, graph->ops[i]);
  if (!status) status = rewrite(&pass, err);
  return status;
}
