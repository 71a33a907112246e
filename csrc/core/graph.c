/* SPDX-License-Identifier: Apache-2.0 */
/* The accessors through which drivers read a graph. */
#include <string.h>

#include "core.h"

size_t iec_dtype_size(int64_t dtype) {
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

static const char *name(const iec_graph *graph) { return graph->name; }
static size_t tensor_count(const iec_graph *graph) { return graph->value_count; }
static size_t input_count(const iec_graph *graph) { return graph->input_count; }
static size_t output_count(const iec_graph *graph) { return graph->output_count; }
static size_t node_count(const iec_graph *graph) { return graph->node_count; }

static iec_status tensor(const iec_graph *graph, size_t index, iec_tensor *out, iec_error *err) {
  if (index >= graph->value_count)
    return iec_fail(err, IEC_OUT_OF_BOUNDS, graph->name, "tensor %zu, the graph has %zu", index,
                    graph->value_count);
  *out = graph->values[index].tensor;
  return IEC_OK;
}

static const char *tensor_name(const iec_graph *graph, size_t index) {
  return index < graph->value_count ? graph->values[index].name : "";
}

static size_t input_at(const iec_graph *graph, size_t index) {
  return index < graph->input_count ? graph->inputs[index] : IEC_NO_TENSOR;
}

static size_t output_at(const iec_graph *graph, size_t index) {
  return index < graph->output_count ? graph->outputs[index] : IEC_NO_TENSOR;
}

static const iec_node *node_at(const iec_graph *graph, size_t index) {
  return index < graph->node_count ? &graph->nodes[index] : NULL;
}

static const char *node_kind(const iec_node *node) { return node->kind; }
static const char *node_name(const iec_node *node) { return node->name; }
static const char *node_layer(const iec_node *node) { return node->layer; }
static const char *node_layer_type(const iec_node *node) { return node->layer_type; }
static size_t port_count(const iec_node *node, int32_t is_output) {
  return node->port_count[is_output ? 1 : 0];
}

static size_t port(const iec_node *node, int32_t is_output, size_t index) {
  int side = is_output ? 1 : 0;
  return index < node->port_count[side] ? node->ports[side][index] : IEC_NO_TENSOR;
}

static const iec_attr *find(const iec_node *node, const char *wanted, int32_t type) {
  for (size_t i = 0; i < node->attr_count; i++)
    if (node->attrs[i].type == type && !strcmp(node->attrs[i].name, wanted)) return &node->attrs[i];
  return NULL;
}

static int32_t attr_i64(const iec_node *node, const char *wanted, int64_t *out) {
  const iec_attr *attr = find(node, wanted, IEC_ATTR_INT);
  if (attr) *out = attr->i;
  return attr != NULL;
}

static int32_t attr_f64(const iec_node *node, const char *wanted, double *out) {
  const iec_attr *attr = find(node, wanted, IEC_ATTR_FLOAT);
  if (attr) {
    *out = attr->f;
    return 1;
  }
  attr = find(node, wanted, IEC_ATTR_INT);
  if (attr) *out = (double)attr->i;
  return attr != NULL;
}

static int32_t attr_str(const iec_node *node, const char *wanted, const char **out) {
  const iec_attr *attr = find(node, wanted, IEC_ATTR_STR);
  if (attr) *out = attr->s;
  return attr != NULL;
}

static int32_t attr_i64s(const iec_node *node, const char *wanted, const int64_t **out, size_t *out_count) {
  const iec_attr *attr = find(node, wanted, IEC_ATTR_INTS);
  if (!attr) return 0;
  *out = attr->ints;
  *out_count = attr->count;
  return 1;
}

static int32_t attr_f64s(const iec_node *node, const char *wanted, const double **out, size_t *out_count) {
  const iec_attr *attr = find(node, wanted, IEC_ATTR_FLOATS);
  if (!attr) return 0;
  *out = attr->floats;
  *out_count = attr->count;
  return 1;
}

static int32_t attr_graph(const iec_node *node, const char *wanted, const iec_graph **out) {
  const iec_attr *attr = find(node, wanted, IEC_ATTR_GRAPH);
  if (attr) *out = attr->graph;
  return attr != NULL;
}

const iec_graph_api iec_graph_table = {
    .struct_size = sizeof(iec_graph_api),
    .name = name,
    .tensor_count = tensor_count,
    .tensor = tensor,
    .tensor_name = tensor_name,
    .input_count = input_count,
    .input_at = input_at,
    .output_count = output_count,
    .output_at = output_at,
    .node_count = node_count,
    .node_at = node_at,
    .node_kind = node_kind,
    .node_name = node_name,
    .node_layer = node_layer,
    .node_layer_type = node_layer_type,
    .port_count = port_count,
    .port = port,
    .attr_i64 = attr_i64,
    .attr_f64 = attr_f64,
    .attr_str = attr_str,
    .attr_i64s = attr_i64s,
    .attr_f64s = attr_f64s,
    .attr_graph = attr_graph,
    .fingerprint = iec_graph_fingerprint,
};
