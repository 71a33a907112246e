/* SPDX-License-Identifier: Apache-2.0 */
/* Copies the host's graph into the driver's and answers questions about it. */
#include "opencl/graph.h"

#include <string.h>

#include "opencl/kind.h"

struct gpu_block {
  struct gpu_block *next;
  max_align_t memory[];
};

const char *const gpu_unary_names[] = {
    "relu",         "clamp",       "abs",        "neg",     "square",     "hswish",    "hsigmoid",
    "hard_sigmoid", "binary_sign", "sqrt",       "sigmoid", "tanh",       "elu",       "exp",
    "swish",        "power",       "mish",       "log",     "reciprocal", "sign",      "floor",
    "ceil",         "round_even",  "round_away", "erf",     "sin",        "cos",       "tan",
    "asin",         "acos",        "atan",       "sinh",    "cosh",       "asinh",     "acosh",
    "atanh",        "softplus",    "softsign",   "selu",    "gelu",       "gelu_tanh", NULL};

int32_t gpu_index(const char *text, const char *const *list) {
  for (int32_t i = 0; list[i]; i++)
    if (strcmp(text, list[i]) == 0) return i;
  return -1;
}

void *gpu_graph_alloc(gpu_graph *graph, size_t size) {
  struct gpu_block *block = calloc(1, sizeof *block + size + 1);
  if (!block) return NULL;
  block->next = graph->blocks;
  graph->blocks = block;
  return block->memory;
}

static char *copy_text(gpu_graph *graph, const char *text) {
  size_t size = strlen(text) + 1;
  char *copy = gpu_graph_alloc(graph, size);
  if (copy) memcpy(copy, text, size);
  return copy;
}

gpu_value *gpu_graph_value(gpu_graph *graph, int32_t dtype, int32_t ndim, const int64_t *shape) {
  if (!gpu_grow(&graph->values, sizeof *graph->values, graph->value_count, &graph->value_capacity))
    return NULL;
  gpu_value *value = gpu_graph_alloc(graph, sizeof *value);
  if (!value) return NULL;
  value->dtype = dtype;
  value->ndim = ndim;
  value->count = 1;
  for (int32_t i = 0; i < ndim; i++) value->count *= value->shape[i] = shape[i];
  value->name = "";
  value->input_index = value->last = value->slot = -1;
  return graph->values[graph->value_count++] = value;
}

static iec_status copy_value(gpu_graph *graph, size_t index, iec_error *err) {
  iec_tensor tensor = {.struct_size = sizeof tensor};
  GPU_TRY(graph->api->tensor(graph->base, index, &tensor, err));
  gpu_value *value = gpu_graph_value(graph, tensor.dtype, tensor.ndim, tensor.shape);
  if (value) value->name = copy_text(graph, graph->api->tensor_name(graph->base, index));
  if (!value || !value->name) return gpu_no_memory(err);
  value->data = tensor.data;
  return IEC_OK;
}

static gpu_value **copy_ports(gpu_graph *graph, gpu_op *op, gpu_value *const *values, int32_t is_output,
                              int32_t *out_count) {
  size_t count = graph->api->port_count(op->node, is_output);
  gpu_value **ports = gpu_graph_alloc(graph, count * sizeof *ports);
  for (size_t i = 0; ports && i < count; i++) {
    size_t number = graph->api->port(op->node, is_output, i);
    gpu_value *value = ports[i] = number == IEC_NO_TENSOR ? NULL : values[number];
    if (!value) continue;
    if (is_output)
      value->producer = op;
    else
      value->user_count++;
  }
  *out_count = (int32_t)count;
  return ports;
}

iec_status gpu_graph_op(gpu_graph *graph, const iec_graph *owner, size_t index, gpu_value *const *values,
                        gpu_op **out, iec_error *err) {
  const iec_graph_api *api = graph->api;
  gpu_op *op = *out = gpu_graph_alloc(graph, sizeof *op);
  if (!op) return gpu_no_memory(err);
  const iec_node *node = op->node = api->node_at(owner, index);
  op->graph = owner;
  op->api = api;
  op->kind = copy_text(graph, api->node_kind(node));
  op->name = copy_text(graph, api->node_name(node));
  op->layer = copy_text(graph, api->node_layer(node));
  op->layer_type = copy_text(graph, api->node_layer_type(node));
  op->inputs = copy_ports(graph, op, values, 0, &op->input_count);
  op->outputs = copy_ports(graph, op, values, 1, &op->output_count);
  if (!op->kind || !op->name || !op->layer || !op->layer_type || !op->inputs || !op->outputs)
    return gpu_no_memory(err);
  op->impl = gpu_kind_find(op);
  return IEC_OK;
}

static iec_status fill(gpu_graph *graph, iec_error *err) {
  const iec_graph_api *api = graph->api;
  size_t count = api->tensor_count(graph->base), nodes = api->node_count(graph->base);
  for (size_t i = 0; i < count; i++) GPU_TRY(copy_value(graph, i, err));
  graph->op_count = (int32_t)nodes;
  graph->ops = gpu_graph_alloc(graph, nodes * sizeof *graph->ops);
  graph->origins = gpu_graph_alloc(graph, nodes * sizeof *graph->origins);
  graph->input_count = (int32_t)api->input_count(graph->base);
  graph->output_count = (int32_t)api->output_count(graph->base);
  graph->inputs = gpu_graph_alloc(graph, (size_t)graph->input_count * sizeof *graph->inputs);
  graph->outputs = gpu_graph_alloc(graph, (size_t)graph->output_count * sizeof *graph->outputs);
  if (!graph->ops || !graph->origins || !graph->inputs || !graph->outputs) return gpu_no_memory(err);
  for (int32_t i = 0; i < graph->input_count; i++) {
    graph->inputs[i] = graph->values[api->input_at(graph->base, (size_t)i)];
    graph->inputs[i]->input_index = i;
  }
  for (int32_t i = 0; i < graph->output_count; i++) {
    graph->outputs[i] = graph->values[api->output_at(graph->base, (size_t)i)];
    graph->outputs[i]->output_count++;
  }
  for (size_t i = 0; i < nodes; i++) {
    GPU_TRY(gpu_graph_op(graph, graph->base, i, graph->values, &graph->ops[i], err));
    graph->origins[i] = graph->ops[i];
  }
  return IEC_OK;
}

iec_status gpu_graph_create(const iec_graph_api *api, const iec_graph *base, gpu_graph **out,
                            iec_error *err) {
  *out = NULL;
  gpu_graph *graph = calloc(1, sizeof *graph);
  if (!graph) return gpu_no_memory(err);
  graph->api = api;
  graph->base = base;
  iec_status status = fill(graph, err);
  if (status)
    gpu_graph_release(graph);
  else
    *out = graph;
  return status;
}

void gpu_graph_release(gpu_graph *graph) {
  if (!graph) return;
  for (int32_t i = 0; i < graph->value_count; i++) free(graph->values[i]->owned);
  for (struct gpu_block *block = graph->blocks, *next; block; block = next) {
    next = block->next;
    free(block);
  }
  free(graph->values);
  free(graph);
}

/* ---- attributes */

int64_t gpu_int(const gpu_op *op, const char *name, int64_t absent) {
  op->api->attr_i64(op->node, name, &absent);
  return absent;
}

double gpu_float(const gpu_op *op, const char *name, double absent) {
  op->api->attr_f64(op->node, name, &absent);
  return absent;
}

const char *gpu_str(const gpu_op *op, const char *name, const char *absent) {
  op->api->attr_str(op->node, name, &absent);
  return absent;
}

const int64_t *gpu_ints(const gpu_op *op, const char *name, size_t *count) {
  const int64_t *values = NULL;
  *count = 0;
  return op->api->attr_i64s(op->node, name, &values, count) ? values : NULL;
}

const int64_t *gpu_ints_of(const gpu_op *op, const char *name, size_t count) {
  size_t found;
  const int64_t *values = gpu_ints(op, name, &found);
  return found == count ? values : NULL;
}

/* ---- sizes */

size_t gpu_dtype_size(int32_t dtype) {
  switch (dtype) {
    case IEC_U8:
    case IEC_I8:
    case IEC_BOOL: return 1;
    case IEC_F16:
    case IEC_BF16:
    case IEC_I16:
    case IEC_U16: return 2;
    case IEC_F64:
    case IEC_I64:
    case IEC_U64: return 8;
    default: return 4;
  }
}

size_t gpu_element_size(const gpu_graph *graph, const gpu_value *value) {
  return graph->half && value->dtype == IEC_F32 ? 2 : gpu_dtype_size(value->dtype);
}

size_t gpu_value_bytes(const gpu_graph *graph, const gpu_value *value) {
  return (size_t)value->count * gpu_element_size(graph, value);
}

int gpu_same_shape(const gpu_value *a, const gpu_value *b) {
  return a->ndim == b->ndim && memcmp(a->shape, b->shape, (size_t)a->ndim * sizeof *a->shape) == 0;
}

int64_t gpu_product(const int64_t *sizes, int32_t begin, int32_t end) {
  int64_t product = 1;
  for (int32_t i = begin; i < end; i++) product *= sizes[i];
  return product;
}

gpu_value *gpu_root(gpu_value *value) {
  while (value->base) value = value->base;
  return value;
}
