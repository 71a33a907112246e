/* SPDX-License-Identifier: Apache-2.0 */
/* The CPU driver's graph: copied from the host's, then edited by passes. */
#include "cpu/graph.h"

#include <stdalign.h>
#include <stdint.h>
#include <string.h>

#include "cpu/extension.h"
#include "cpu/machine.h"

typedef struct cpu_block {
  struct cpu_block *next;
} cpu_block;

enum { BLOCK_HEADER = 64 };

iec_status cpu_graph_no_memory(iec_error *err) {
  return cpu_fail(err, IEC_OUT_OF_MEMORY, NULL, "out of memory while compiling");
}

void *cpu_graph_alloc(cpu_graph *graph, size_t size) {
  const iec_host_api *host = graph->host;
  cpu_block *block = size < SIZE_MAX - BLOCK_HEADER ? host->alloc(host->self, size + BLOCK_HEADER, 64) : NULL;
  if (!block) return NULL;
  memset(block, 0, size + BLOCK_HEADER);
  block->next = graph->blocks;
  graph->blocks = block;
  return (char *)block + BLOCK_HEADER;
}

/* Grows an array of pointers in the graph's memory; the old one stays until the graph goes. */
static int grow(cpu_graph *graph, void *array_address, int32_t count, int32_t *capacity) {
  if (count < *capacity) return 1;
  int32_t wanted = *capacity ? 2 * *capacity : 4;
  void **bigger = cpu_graph_alloc(graph, (size_t)wanted * sizeof *bigger);
  if (!bigger) return 0;
  void **old;
  memcpy(&old, array_address, sizeof old);
  if (count) memcpy(bigger, old, (size_t)count * sizeof *bigger);
  memcpy(array_address, &bigger, sizeof bigger);
  *capacity = wanted;
  return 1;
}

static const char *copy_text(cpu_graph *graph, const char *text) {
  size_t size = strlen(text ? text : "") + 1;
  char *copy = cpu_graph_alloc(graph, size);
  return copy && text ? memcpy(copy, text, size) : copy;
}

/* ---- tensors */

int64_t cpu_tensor_elements(const cpu_tensor *tensor) {
  int64_t count = 1;
  for (int32_t i = 0; i < tensor->ndim; ++i) count *= tensor->shape[i];
  return count;
}

size_t cpu_dtype_size(int32_t dtype) {
  switch (dtype) {
    case IEC_U8:
    case IEC_I8:
    case IEC_BOOL: return 1;
    case IEC_F16:
    case IEC_BF16:
    case IEC_I16:
    case IEC_U16: return 2;
    case IEC_F32:
    case IEC_I32:
    case IEC_U32: return 4;
    case IEC_F64:
    case IEC_I64:
    case IEC_U64: return 8;
    default: return 0;
  }
}

size_t cpu_tensor_bytes(const cpu_tensor *tensor) {
  int64_t count = cpu_tensor_elements(tensor);
  if (tensor->layout == CPU_BLOCKED16 && count)
    count = count / tensor->shape[1] * ((tensor->shape[1] + 15) / 16 * 16);
  return (size_t)count * cpu_dtype_size(tensor->dtype);
}

int cpu_tensor_can_block(const cpu_tensor *tensor) {
  return (tensor->dtype == IEC_F32 || tensor->grid) && tensor->ndim >= 3 && tensor->ndim <= 5 &&
         !tensor->data;
}

int cpu_same_shape(const cpu_tensor *a, const cpu_tensor *b) {
  return a->ndim == b->ndim && memcmp(a->shape, b->shape, (size_t)a->ndim * sizeof a->shape[0]) == 0;
}

/* ---- parts */

cpu_value *cpu_graph_value(cpu_graph *graph, const cpu_tensor *tensor, const char *name) {
  if (!grow(graph, &graph->values, graph->value_count, &graph->value_capacity)) return NULL;
  cpu_value *value = cpu_graph_alloc(graph, sizeof *value);
  if (!value) return NULL;
  value->tensor = *tensor;
  value->name = name;
  value->input_index = -1;
  value->index = graph->value_count;
  return graph->values[graph->value_count++] = value;
}

enum { MAX_OPTIONAL = 2 }; /* optional inputs of a kind */

cpu_op *cpu_graph_op(cpu_graph *graph, const char *kind, const char *name, int32_t inputs, int32_t outputs) {
  cpu_op *op = cpu_graph_alloc(graph, sizeof *op);
  /* Room for absent optional inputs and, behind them, for the addends of fused sums. */
  size_t port_count = (size_t)(inputs + outputs) + MAX_OPTIONAL + CPU_MAX_POSTS;
  cpu_value **ports = cpu_graph_alloc(graph, port_count * sizeof *ports);
  if (!op || !ports) return NULL;
  op->kind = kind;
  op->name = op->layer = name;
  op->layer_type = kind;
  op->api = &graph->attrs.api;
  op->outputs = ports;
  op->inputs = ports + outputs;
  op->input_count = inputs;
  op->output_count = outputs;
  op->index = op->step = -1;
  return op;
}

cpu_value *cpu_graph_constant(cpu_graph *graph, int32_t dtype, int32_t ndim, const int64_t *shape,
                              const char *name) {
  cpu_tensor tensor = {.dtype = dtype, .ndim = ndim};
  memcpy(tensor.shape, shape, (size_t)ndim * sizeof *shape);
  size_t bytes = (cpu_tensor_bytes(&tensor) + 63) / 64 * 64;
  cpu_value *value = cpu_graph_value(graph, &tensor, name);
  if (!value) return NULL;
  value->owned = graph->host->alloc(graph->host->self, bytes ? bytes : 64, 64);
  if (!value->owned) return NULL;
  memset(value->owned, 0, bytes ? bytes : 64);
  value->tensor.data = value->owned;
  return value;
}

static void drop_user(cpu_value *value, const cpu_op *op) {
  for (int32_t i = 0; i < value->user_count; ++i) {
    if (value->users[i] != op) continue;
    value->users[i] = value->users[--value->user_count];
    return;
  }
}

iec_status cpu_graph_set_input(cpu_graph *graph, cpu_op *op, int32_t port, cpu_value *value, iec_error *err) {
  if (value) {
    if (!grow(graph, &value->users, value->user_count, &value->user_capacity))
      return cpu_graph_no_memory(err);
    value->users[value->user_count++] = op;
  }
  if (op->inputs[port]) drop_user(op->inputs[port], op);
  op->inputs[port] = value;
  return IEC_OK;
}

void cpu_graph_set_output(cpu_op *op, int32_t port, cpu_value *value) {
  op->outputs[port] = value;
  if (value) value->producer = op;
}

iec_status cpu_graph_replace(cpu_graph *graph, cpu_value *from, cpu_value *to, iec_error *err) {
  while (from->user_count) {
    cpu_op *user = from->users[0];
    for (int32_t i = 0; i < user->input_count; ++i) {
      if (user->inputs[i] != from) continue;
      iec_status status = cpu_graph_set_input(graph, user, i, to, err);
      if (status) return status;
    }
  }
  for (int32_t i = 0; i < graph->output_count; ++i) {
    if (graph->outputs[i] != from) continue;
    graph->outputs[i] = to;
    --from->output_count;
    ++to->output_count;
  }
  return IEC_OK;
}

void cpu_graph_remove(cpu_graph *graph, cpu_op *op, cpu_op_state state, cpu_op *into) {
  for (int32_t i = 0; i < op->input_count; ++i)
    if (op->inputs[i]) drop_user(op->inputs[i], op), op->inputs[i] = NULL;
  if (op->index >= 0) graph->ops[op->index] = NULL;
  op->index = -1;
  op->state = state;
  op->into = into;
}

void cpu_graph_merge(cpu_graph *graph, cpu_op *op, cpu_op *user) {
  cpu_value *result = user->outputs[0];
  int32_t place = user->index;
  op->outputs[0]->producer = NULL;
  cpu_graph_remove(graph, user, CPU_OP_FUSED, op);
  graph->ops[op->index] = NULL;
  graph->ops[place] = op;
  op->index = place;
  cpu_graph_set_output(op, 0, result);
  user->outputs[0] = NULL;
}

iec_status cpu_graph_insert(cpu_graph *graph, const cpu_op *after, cpu_op *op, iec_error *err) {
  if (!grow(graph, &graph->ops, graph->op_count, &graph->op_capacity)) return cpu_graph_no_memory(err);
  int32_t place = after->index + 1;
  for (int32_t i = graph->op_count++; i > place; --i) {
    graph->ops[i] = graph->ops[i - 1];
    if (graph->ops[i]) graph->ops[i]->index = i;
  }
  graph->ops[place] = op;
  op->index = place;
  return IEC_OK;
}

void cpu_graph_compact(cpu_graph *graph) {
  int32_t count = 0;
  for (int32_t i = 0; i < graph->op_count; ++i) {
    cpu_op *op = graph->ops[i];
    if (!op) continue;
    op->index = count;
    graph->ops[count++] = op;
  }
  graph->op_count = count;
}

cpu_op *cpu_value_only_user(const cpu_value *value) {
  return value->user_count == 1 && value->output_count == 0 ? value->users[0] : NULL;
}

/* ---- kernels */

iec_status cpu_view_create(cpu_graph *graph, cpu_view *out, iec_error *err) {
  size_t most = 0;
  for (int32_t i = 0; i < graph->op_count; ++i) {
    const cpu_op *op = graph->ops[i];
    size_t ports = op ? (size_t)(op->input_count + op->output_count) + CPU_MAX_POSTS : 0;
    if (ports > most) most = ports;
  }
  memset(out, 0, sizeof *out);
  out->graph = graph;
  out->ports = cpu_graph_alloc(graph, (most + 8) * sizeof *out->ports);
  return out->ports ? IEC_OK : cpu_graph_no_memory(err);
}

const cpu_node *cpu_view_fill(cpu_view *view, const cpu_op *op) {
  cpu_node *node = &view->node;
  *node = (cpu_node){.kind = op->kind, .name = op->name, .api = op->api, .source = (const iec_node *)op};
  node->threads = view->graph->threads;
  node->extensions = view->graph->extensions;
  node->host = &view->graph->view_host;
  node->graph = (const iec_graph *)view->graph;
  node->closure = op->kernel ? op->kernel->closure : NULL;
  node->input_count = op->input_count;
  node->output_count = op->output_count;
  node->inputs = view->ports;
  node->outputs = view->ports + op->input_count;
  for (int32_t i = 0; i < op->input_count; ++i)
    view->ports[i] = op->inputs[i] ? &op->inputs[i]->tensor : NULL;
  for (int32_t i = 0; i < op->output_count; ++i)
    view->ports[op->input_count + i] = op->outputs[i] ? &op->outputs[i]->tensor : NULL;
  memcpy(node->posts, op->posts, sizeof node->posts);
  node->post_count = op->post_count;
  return node;
}

static iec_status select_op(cpu_graph *graph, cpu_view *view, const cpu_op *op, const cpu_kernel **out,
                            iec_error *err) {
  *out = cpu_select(graph->kernels, cpu_view_fill(view, op));
  if (*out) return IEC_OK;
  return cpu_fail(err, IEC_NOT_IMPLEMENTED, op->name, "unsupported kind %s, node %s", op->kind, op->name);
}

/* Kernels make tables of sizes: what cannot be computed anyway is not to keep them busy for minutes. */
static iec_status check_sizes(const cpu_graph *graph, iec_error *err) {
  size_t memory = cpu_machine_memory();
  for (int32_t i = 0; i < graph->value_count; ++i) {
    const cpu_value *value = graph->values[i];
    size_t bytes = cpu_dtype_size(value->tensor.dtype); /* as if no dimension were 0: tables are of one */
    for (int32_t a = 0; a < value->tensor.ndim; ++a)
      if (value->tensor.shape[a]) bytes *= (size_t)value->tensor.shape[a];
    if (bytes > memory)
      return cpu_fail(err, IEC_OUT_OF_MEMORY, value->name, "a tensor of %zu bytes, this machine has %zu",
                      bytes, memory);
  }
  return IEC_OK;
}

iec_status cpu_graph_check(cpu_graph *graph, iec_error *err) {
  cpu_view view;
  const cpu_kernel *kernel;
  iec_status status = check_sizes(graph, err);
  if (!status) status = cpu_view_create(graph, &view, err);
  for (int32_t i = 0; !status && i < graph->op_count; ++i)
    status = select_op(graph, &view, graph->ops[i], &kernel, err);
  return status;
}

iec_status cpu_graph_select(cpu_graph *graph, iec_error *err) {
  cpu_view view;
  iec_status status = cpu_view_create(graph, &view, err);
  for (int32_t i = 0; !status && i < graph->op_count; ++i) {
    cpu_op *op = graph->ops[i];
    if (!op || op->alias || op->kernel) continue;
    status = select_op(graph, &view, op, &op->kernel, err);
  }
  return status;
}

/* Ports of the kind with its optional ones: an absent bias is not to be mistaken for a fused addend. */
static int32_t own_ports(const cpu_op *op) {
  if (strcmp(op->kind, "DeformConv") == 0) return 5;
  int has_bias =
      strcmp(op->kind, "Conv") == 0 || strcmp(op->kind, "Deconv") == 0 || strcmp(op->kind, "MatMul") == 0;
  return has_bias ? 3 : 0;
}

iec_status cpu_graph_fuse(cpu_graph *graph, cpu_op *op, const cpu_post *post, cpu_value *const added[2],
                          int *out, iec_error *err) {
  *out = 0;
  if (!op->kernel || !op->kernel->can_fuse || op->post_count == CPU_MAX_POSTS || op->output_count != 1)
    return IEC_OK;
  const cpu_tensor *ports[CPU_MAX_POSTS + 16];
  if (op->input_count + MAX_OPTIONAL + 1 > CPU_MAX_POSTS + 15) return IEC_OK;
  cpu_view view = {.graph = graph, .ports = ports};
  const cpu_node *node = cpu_view_fill(&view, op);
  cpu_post candidate = *post;
  int32_t port = op->input_count > own_ports(op) ? op->input_count : own_ports(op);
  candidate.input = added[0] ? port : -1;
  if (!op->kernel->can_fuse(node, &candidate)) return IEC_OK;
  for (int32_t i = 0; i < 2; ++i) {
    if (!added[i]) continue;
    op->input_count = port + i + 1;
    iec_status status = cpu_graph_set_input(graph, op, port + i, added[i], err);
    if (status) return status;
  }
  op->posts[op->post_count++] = candidate;
  *out = 1;
  return IEC_OK;
}

/* ---- the copy of the host's graph */

static iec_status copy_values(cpu_graph *graph, iec_error *err) {
  const iec_graph_api *api = graph->base_api;
  size_t count = api->tensor_count(graph->base);
  if (count > INT32_MAX / 4)
    return cpu_fail(err, IEC_OUT_OF_BOUNDS, NULL, "%zu tensors, at most %d", count, INT32_MAX / 4);
  for (size_t i = 0; i < count; ++i) {
    iec_tensor source = {.struct_size = sizeof source};
    iec_status status = api->tensor(graph->base, i, &source, err);
    if (status) return status;
    cpu_tensor tensor = {.dtype = source.dtype, .ndim = source.ndim, .data = source.data};
    if (source.ndim < 0 || source.ndim > IEC_MAX_NDIM)
      return cpu_fail(err, IEC_OUT_OF_BOUNDS, api->tensor_name(graph->base, i), "rank %d, at most %d",
                      source.ndim, IEC_MAX_NDIM);
    if (!cpu_dtype_size(source.dtype))
      return cpu_fail(err, IEC_NOT_IMPLEMENTED, api->tensor_name(graph->base, i), "element type %d",
                      source.dtype);
    memcpy(tensor.shape, source.shape, sizeof tensor.shape);
    const char *name = copy_text(graph, api->tensor_name(graph->base, i));
    if (!name || !cpu_graph_value(graph, &tensor, name)) return cpu_graph_no_memory(err);
  }
  return IEC_OK;
}

static cpu_value *value_at(const cpu_graph *graph, size_t number) {
  return number == IEC_NO_TENSOR ? NULL : graph->values[number];
}

static iec_status copy_op(cpu_graph *graph, const iec_node *node, iec_error *err) {
  const iec_graph_api *api = graph->base_api;
  size_t inputs = api->port_count(node, 0), outputs = api->port_count(node, 1);
  if (inputs > CPU_MAX_PORTS || outputs > CPU_MAX_PORTS)
    return cpu_fail(err, IEC_OUT_OF_BOUNDS, api->node_name(node), "%zu ports, at most %d",
                    inputs > outputs ? inputs : outputs, CPU_MAX_PORTS);
  cpu_op *op = cpu_graph_op(graph, copy_text(graph, api->node_kind(node)),
                            copy_text(graph, api->node_name(node)), (int32_t)inputs, (int32_t)outputs);
  if (!op) return cpu_graph_no_memory(err);
  op->layer = copy_text(graph, api->node_layer(node));
  op->layer_type = copy_text(graph, api->node_layer_type(node));
  if (!op->kind || !op->name || !op->layer || !op->layer_type) return cpu_graph_no_memory(err);
  op->base_api = api;
  op->base = node;
  for (size_t i = 0; i < inputs; ++i) {
    iec_status status =
        cpu_graph_set_input(graph, op, (int32_t)i, value_at(graph, api->port(node, 0, i)), err);
    if (status) return status;
  }
  for (size_t i = 0; i < outputs; ++i)
    cpu_graph_set_output(op, (int32_t)i, value_at(graph, api->port(node, 1, i)));
  if (!grow(graph, &graph->ops, graph->op_count, &graph->op_capacity)) return cpu_graph_no_memory(err);
  op->index = graph->op_count;
  graph->ops[graph->op_count++] = op;
  return IEC_OK;
}

static iec_status copy_graph(cpu_graph *graph, iec_error *err) {
  const iec_graph_api *api = graph->base_api;
  iec_status status = copy_values(graph, err);
  size_t nodes = api->node_count(graph->base);
  for (size_t i = 0; !status && i < nodes; ++i) status = copy_op(graph, api->node_at(graph->base, i), err);
  if (status) return status;
  size_t inputs = api->input_count(graph->base), outputs = api->output_count(graph->base);
  graph->inputs = cpu_graph_alloc(graph, (inputs + 1) * sizeof *graph->inputs);
  graph->outputs = cpu_graph_alloc(graph, (outputs + 1) * sizeof *graph->outputs);
  graph->origins = cpu_graph_alloc(graph, (nodes + 1) * sizeof *graph->origins);
  if (!graph->inputs || !graph->outputs || !graph->origins) return cpu_graph_no_memory(err);
  for (size_t i = 0; i < inputs; ++i) {
    graph->inputs[i] = value_at(graph, api->input_at(graph->base, i));
    graph->inputs[i]->input_index = (int32_t)i;
  }
  for (size_t i = 0; i < outputs; ++i) {
    graph->outputs[i] = value_at(graph, api->output_at(graph->base, i));
    ++graph->outputs[i]->output_count;
  }
  if (graph->op_count) memcpy(graph->origins, graph->ops, (size_t)graph->op_count * sizeof *graph->ops);
  graph->input_count = (int32_t)inputs;
  graph->output_count = (int32_t)outputs;
  graph->origin_count = graph->op_count;
  return IEC_OK;
}

iec_status cpu_graph_create(const iec_host_api *host, const iec_graph *base, const cpu_extensions *extensions,
                            cpu_graph **out, iec_error *err) {
  *out = NULL;
  cpu_graph *graph = host->alloc(host->self, sizeof *graph, alignof(max_align_t));
  if (!graph) return cpu_graph_no_memory(err);
  memset(graph, 0, sizeof *graph);
  graph->host = host;
  graph->base_api = host->graph;
  graph->base = base;
  cpu_attrs_init(&graph->attrs, host->graph);
  cpu_graph_view_init(graph);
  graph->extensions = cpu_extensions_retain((cpu_extensions *)(uintptr_t)extensions);
  graph->kernels = cpu_kernels(err);
  iec_status status = graph->kernels ? copy_graph(graph, err) : IEC_NOT_FOUND;
  if (status)
    cpu_graph_release(graph);
  else
    *out = graph;
  return status;
}

void cpu_graph_release(cpu_graph *graph) {
  if (!graph) return;
  const iec_host_api *host = graph->host;
  cpu_extensions_release(graph->extensions);
  for (int32_t i = 0; i < graph->value_count; ++i) host->release(host->self, graph->values[i]->owned);
  while (graph->blocks) {
    cpu_block *block = graph->blocks;
    graph->blocks = block->next;
    host->release(host->self, block);
  }
  host->release(host->self, graph);
}
