/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes of the CPU driver's ops: what a pass changed, then what the host's node says. */
#include <string.h>

#include "cpu/graph.h"

struct cpu_override {
  cpu_override *next;
  const char *name;
  size_t count;
  int64_t values[];
};

static const cpu_op *op_of(const iec_node *node) { return (const cpu_op *)(const void *)node; }

static int32_t attr_i64(const iec_node *node, const char *name, int64_t *out) {
  const cpu_op *op = op_of(node);
  return op->base ? op->base_api->attr_i64(op->base, name, out) : 0;
}

static int32_t attr_f64(const iec_node *node, const char *name, double *out) {
  const cpu_op *op = op_of(node);
  return op->base ? op->base_api->attr_f64(op->base, name, out) : 0;
}

static int32_t attr_str(const iec_node *node, const char *name, const char **out) {
  const cpu_op *op = op_of(node);
  return op->base ? op->base_api->attr_str(op->base, name, out) : 0;
}

static int32_t attr_i64s(const iec_node *node, const char *name, const int64_t **out, size_t *out_count) {
  const cpu_op *op = op_of(node);
  for (const cpu_override *o = op->overrides; o; o = o->next) {
    if (strcmp(o->name, name) != 0) continue;
    *out = o->values;
    *out_count = o->count;
    return 1;
  }
  return op->base ? op->base_api->attr_i64s(op->base, name, out, out_count) : 0;
}

static int32_t attr_f64s(const iec_node *node, const char *name, const double **out, size_t *out_count) {
  const cpu_op *op = op_of(node);
  return op->base ? op->base_api->attr_f64s(op->base, name, out, out_count) : 0;
}

static int32_t attr_graph(const iec_node *node, const char *name, const iec_graph **out) {
  const cpu_op *op = op_of(node);
  return op->base ? op->base_api->attr_graph(op->base, name, out) : 0;
}

static const char *node_kind(const iec_node *node) { return op_of(node)->kind; }
static const char *node_name(const iec_node *node) { return op_of(node)->name; }
static const char *node_layer(const iec_node *node) { return op_of(node)->layer; }
static const char *node_layer_type(const iec_node *node) { return op_of(node)->layer_type; }

void cpu_attrs_init(cpu_attrs_api *attrs, const iec_graph_api *base) {
  iec_graph_api *out = &attrs->api;
  attrs->base = base;
  memset(out, 0, sizeof *out);
  memcpy(out, base, base->struct_size < sizeof *out ? base->struct_size : sizeof *out);
  out->struct_size = sizeof *out;
  out->node_kind = node_kind;
  out->node_name = node_name;
  out->node_layer = node_layer;
  out->node_layer_type = node_layer_type;
  out->attr_i64 = attr_i64;
  out->attr_f64 = attr_f64;
  out->attr_str = attr_str;
  out->attr_i64s = attr_i64s;
  out->attr_f64s = attr_f64s;
  out->attr_graph = attr_graph;
}

const iec_graph_api *cpu_attrs_base(const iec_graph_api *api) {
  return api->node_kind == node_kind ? ((const cpu_attrs_api *)(const void *)api)->base : api;
}

iec_status cpu_op_override_i64s(cpu_graph *graph, cpu_op *op, const char *name, const int64_t *values,
                                size_t count, iec_error *err) {
  cpu_override *o = cpu_graph_alloc(graph, sizeof *o + count * sizeof *values);
  if (!o) return cpu_graph_no_memory(err);
  o->name = name;
  o->count = count;
  memcpy(o->values, values, count * sizeof *values);
  o->next = op->overrides;
  op->overrides = o;
  return IEC_OK;
}

int64_t cpu_op_i64(const cpu_op *op, const char *name, int64_t absent) {
  attr_i64((const iec_node *)op, name, &absent);
  return absent;
}

double cpu_op_f64(const cpu_op *op, const char *name, double absent) {
  attr_f64((const iec_node *)op, name, &absent);
  return absent;
}

const char *cpu_op_str(const cpu_op *op, const char *name, const char *absent) {
  attr_str((const iec_node *)op, name, &absent);
  return absent;
}

const int64_t *cpu_op_i64s(const cpu_op *op, const char *name, size_t count) {
  const int64_t *values = NULL;
  size_t found = 0;
  return attr_i64s((const iec_node *)op, name, &values, &found) && found == count ? values : NULL;
}
