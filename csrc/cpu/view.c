/* SPDX-License-Identifier: Apache-2.0 */
/* The CPU driver's graph behind the functions of iec_graph_api: what kernels of extensions see. */
#include "cpu/graph.h"

static const cpu_graph *graph_of(const iec_graph *graph) { return (const cpu_graph *)(const void *)graph; }
static const cpu_op *op_of(const iec_node *node) { return (const cpu_op *)(const void *)node; }
static size_t number(const cpu_value *value) { return value ? (size_t)value->index : IEC_NO_TENSOR; }

static const char *name(const iec_graph *graph) {
  return graph_of(graph)->base_api->name(graph_of(graph)->base);
}
static size_t tensor_count(const iec_graph *graph) { return (size_t)graph_of(graph)->value_count; }

static iec_status tensor(const iec_graph *graph, size_t index, iec_tensor *out, iec_error *err) {
  if (index >= tensor_count(graph))
    return cpu_fail(err, IEC_OUT_OF_BOUNDS, name(graph), "tensor %zu of %zu", index, tensor_count(graph));
  const cpu_tensor *from = &graph_of(graph)->values[index]->tensor;
  *out = (iec_tensor){.struct_size = sizeof *out, .dtype = (uint16_t)from->dtype, .ndim = from->ndim};
  int64_t stride = (int64_t)cpu_dtype_size(from->dtype);
  for (int32_t i = from->ndim - 1; i >= 0; --i) {
    out->shape[i] = from->shape[i];
    out->strides[i] = stride;
    stride *= from->shape[i];
  }
  out->data = (void *)(uintptr_t)from->data;
  out->size_bytes = (size_t)stride;
  return IEC_OK;
}

static const char *tensor_name(const iec_graph *graph, size_t index) {
  return index < tensor_count(graph) ? graph_of(graph)->values[index]->name : NULL;
}

static size_t input_count(const iec_graph *graph) { return (size_t)graph_of(graph)->input_count; }
static size_t output_count(const iec_graph *graph) { return (size_t)graph_of(graph)->output_count; }
static size_t node_count(const iec_graph *graph) { return (size_t)graph_of(graph)->op_count; }

static size_t input_at(const iec_graph *graph, size_t index) {
  return index < input_count(graph) ? number(graph_of(graph)->inputs[index]) : IEC_NO_TENSOR;
}

static size_t output_at(const iec_graph *graph, size_t index) {
  return index < output_count(graph) ? number(graph_of(graph)->outputs[index]) : IEC_NO_TENSOR;
}

static const iec_node *node_at(const iec_graph *graph, size_t index) {
  return index < node_count(graph) ? (const iec_node *)(const void *)graph_of(graph)->ops[index] : NULL;
}

static size_t port_count(const iec_node *node, int32_t is_output) {
  return (size_t)(is_output ? op_of(node)->output_count : op_of(node)->input_count);
}

static size_t port(const iec_node *node, int32_t is_output, size_t index) {
  if (index >= port_count(node, is_output)) return IEC_NO_TENSOR;
  return number(is_output ? op_of(node)->outputs[index] : op_of(node)->inputs[index]);
}

/* A body is a graph of the host's, which these functions would not understand. */
static int32_t no_graph(const iec_node *node, const char *wanted, const iec_graph **out) {
  (void)node, (void)wanted, (void)out;
  return 0;
}

void cpu_graph_view_init(cpu_graph *graph) {
  iec_graph_api *view = &graph->view;
  *view = graph->attrs.api; /* names, kinds and attributes of ops */
  view->name = name;
  view->tensor_count = tensor_count;
  view->tensor = tensor;
  view->tensor_name = tensor_name;
  view->input_count = input_count;
  view->input_at = input_at;
  view->output_count = output_count;
  view->output_at = output_at;
  view->node_count = node_count;
  view->node_at = node_at;
  view->port_count = port_count;
  view->port = port;
  view->attr_graph = no_graph;
  graph->view_host = *graph->host;
  graph->view_host.graph = view;
}
