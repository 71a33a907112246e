/* SPDX-License-Identifier: Apache-2.0 */
/* From a flat description to a graph: every number is checked before it is used. */
#include <stdlib.h>
#include <string.h>

#include "../core/core.h"

#define MAX_DEPTH 16

/* All that a graph and its bodies consist of; each array is one allocation. */
typedef struct iec_graph_store {
  char *strings;
  int64_t *ints;
  double *doubles;
  size_t *ports;
  iec_graph *graphs;
  int *depths; /* of each graph; 0 until a node claims it */
  iec_value *values;
  iec_node *nodes;
  iec_attr *attrs;
  uint64_t hash[2]; /* of the description */
} iec_graph_store;

/* The description and how far each stream has been read. */
typedef struct reader {
  const iec_graph_desc *desc;
  iec_graph_store *store;
  size_t ints, doubles, ports, graphs, tensors, nodes, attrs;
  size_t claimed; /* graphs that are the body of a node, and graph 0 */
  const char *where;
  iec_error *err;
} reader;

static void store_free(iec_graph_store *store) {
  if (!store) return;
  free(store->strings);
  free(store->ints);
  free(store->doubles);
  free(store->ports);
  free(store->graphs);
  free(store->depths);
  free(store->values);
  free(store->nodes);
  free(store->attrs);
  free(store);
}

static iec_status fault(reader *r, const char *what, int64_t value, int64_t limit) {
  return iec_fail(r->err, IEC_PARAMETER_MISMATCH, r->where, "%s %lld, expected 0 to %lld", what,
                  (long long)value, (long long)limit);
}

static iec_status string_at(reader *r, int64_t offset, const char *what, const char **out) {
  if (offset < 0 || (uint64_t)offset >= r->desc->strings_size) {
    return iec_fail(r->err, IEC_PARAMETER_MISMATCH, r->where, "%s at offset %lld, the strings have %zu bytes",
                    what, (long long)offset, r->desc->strings_size);
  }
  *out = r->store->strings + offset;
  return IEC_OK;
}

/* `count` more items of a stream that has `total`; *out is the first. */
static iec_status take(reader *r, const char *what, size_t *at, size_t total, int64_t count, size_t *out) {
  *out = *at;
  if (count < 0 || (uint64_t)count > total - *at) return fault(r, what, count, (int64_t)(total - *at));
  *at += (size_t)count;
  return IEC_OK;
}

static iec_status read_tensor(reader *r, const int64_t *record, iec_value *value) {
  iec_tensor *t = &value->tensor;
  IEC_TRY(string_at(r, record[0], "tensor name", &value->name));
  r->where = value->name;
  size_t element = iec_dtype_size(record[1]);
  if (!element)
    return iec_fail(r->err, IEC_PARAMETER_MISMATCH, r->where, "unknown element type %lld",
                    (long long)record[1]);
  if (record[2] < 0 || record[2] > IEC_MAX_NDIM) return fault(r, "rank", record[2], IEC_MAX_NDIM);
  size_t dims;
  IEC_TRY(take(r, "rank", &r->ints, r->desc->int_count, record[2], &dims));
  t->struct_size = sizeof *t;
  t->dtype = (uint16_t)record[1];
  t->ndim = (int32_t)record[2];
  size_t size = element,
         most = element; /* most: as if no dimension were 0, which must be representable too */
  for (int32_t i = t->ndim; i-- > 0;) {
    t->shape[i] = r->store->ints[dims + (size_t)i];
    if (t->shape[i] < 0) return fault(r, "dimension", t->shape[i], INT64_MAX);
    t->strides[i] = (int64_t)size;
    size *= (size_t)t->shape[i];
    if (!iec_mul(most, t->shape[i] ? (size_t)t->shape[i] : 1, &most) || most > INT64_MAX)
      return iec_fail(r->err, IEC_PARAMETER_MISMATCH, r->where,
                      "the size of the tensor overflows at dimension %d", (int)i);
  }
  t->size_bytes = size;
  if (!record[3]) {
    if (record[4]) return fault(r, "data size without data", record[4], 0);
    return IEC_OK;
  }
  if (record[4] < 0 || (uint64_t)record[4] != size)
    return iec_fail(r->err, IEC_PARAMETER_MISMATCH, r->where,
                    "constant of %lld bytes, its shape and type need %zu", (long long)record[4], size);
  if ((uint64_t)record[3] % element)
    return iec_fail(r->err, IEC_PARAMETER_MISMATCH, r->where,
                    "constant data is not aligned to its %zu byte elements", element);
  t->data = (void *)(uintptr_t)record[3];
  return IEC_OK;
}

static iec_status read_ports(reader *r, const char *what, const iec_graph *graph, int64_t count,
                             int absent_allowed, const size_t **out, size_t *out_count) {
  size_t first;
  IEC_TRY(take(r, what, &r->ports, r->desc->port_count, count, &first));
  for (size_t i = first; i < r->ports; i++) {
    int64_t port = r->desc->ports[i];
    if (port == -1 && absent_allowed) {
      r->store->ports[i] = IEC_NO_TENSOR;
      continue;
    }
    if (port < 0 || (uint64_t)port >= graph->value_count)
      return iec_fail(r->err, IEC_OUT_OF_BOUNDS, r->where, "%s %zu is tensor %lld, the graph has %zu", what,
                      i - first, (long long)port, graph->value_count);
    r->store->ports[i] = (size_t)port;
  }
  *out = r->store->ports + first;
  *out_count = (size_t)count;
  return IEC_OK;
}

static iec_status read_attr(reader *r, const int64_t *record, int depth, iec_attr *attr) {
  IEC_TRY(string_at(r, record[0], "attribute name", &attr->name));
  attr->type = (int32_t)record[1];
  int64_t count = record[3];
  if ((record[1] == IEC_ATTR_INT || record[1] == IEC_ATTR_FLOAT || record[1] == IEC_ATTR_STR ||
       record[1] == IEC_ATTR_GRAPH) &&
      count != 1)
    return iec_fail(r->err, IEC_PARAMETER_MISMATCH, r->where, "attribute %s: %lld values, expected 1",
                    attr->name, (long long)count);
  size_t at;
  switch (record[1]) {
    case IEC_ATTR_INT: attr->i = record[2]; return IEC_OK;
    case IEC_ATTR_FLOAT:
      IEC_TRY(take(r, "float attribute values", &r->doubles, r->desc->double_count, 1, &at));
      attr->f = r->store->doubles[at];
      return IEC_OK;
    case IEC_ATTR_STR: return string_at(r, record[2], attr->name, &attr->s);
    case IEC_ATTR_INTS:
      IEC_TRY(take(r, "integer attribute values", &r->ints, r->desc->int_count, count, &at));
      attr->ints = r->store->ints + at;
      attr->count = (size_t)count;
      return IEC_OK;
    case IEC_ATTR_FLOATS:
      IEC_TRY(take(r, "float attribute values", &r->doubles, r->desc->double_count, count, &at));
      attr->floats = r->store->doubles + at;
      attr->count = (size_t)count;
      return IEC_OK;
    case IEC_ATTR_GRAPH:
      if (record[2] < 0 || (uint64_t)record[2] != r->claimed || r->claimed >= r->desc->graph_count)
        return iec_fail(r->err, IEC_PARAMETER_MISMATCH, r->where,
                        "attribute %s: graph %lld of %zu, expected the next unused, %zu", attr->name,
                        (long long)record[2], r->desc->graph_count, r->claimed);
      if (depth + 1 > MAX_DEPTH)
        return iec_fail(r->err, IEC_PARAMETER_MISMATCH, r->where, "graphs are nested deeper than %d",
                        MAX_DEPTH);
      r->store->depths[r->claimed] = depth + 1;
      attr->graph = &r->store->graphs[r->claimed++];
      return IEC_OK;
    default:
      return iec_fail(r->err, IEC_PARAMETER_MISMATCH, r->where, "attribute %s: unknown type %lld", attr->name,
                      (long long)record[1]);
  }
}

static iec_status read_node(reader *r, const iec_graph *graph, const int64_t *record, int depth,
                            iec_node *node) {
  IEC_TRY(string_at(r, record[1], "node name", &node->name));
  r->where = node->name;
  IEC_TRY(string_at(r, record[0], "node kind", &node->kind));
  IEC_TRY(string_at(r, record[2], "layer name", &node->layer));
  IEC_TRY(string_at(r, record[3], "layer type", &node->layer_type));
  IEC_TRY(read_ports(r, "input", graph, record[4], 1, &node->ports[0], &node->port_count[0]));
  IEC_TRY(read_ports(r, "output", graph, record[5], 1, &node->ports[1], &node->port_count[1]));
  size_t first;
  IEC_TRY(take(r, "attribute count", &r->attrs, r->desc->attr_count, record[6], &first));
  node->attrs = r->store->attrs + first;
  node->attr_count = (size_t)record[6];
  for (size_t i = first; i < r->attrs; i++) {
    IEC_TRY(read_attr(r, r->desc->attrs + i * IEC_ATTR_WORDS, depth, &r->store->attrs[i]));
    for (size_t j = first; j < i; j++)
      if (r->store->attrs[j].type == r->store->attrs[i].type &&
          !strcmp(r->store->attrs[j].name, r->store->attrs[i].name))
        return iec_fail(r->err, IEC_PARAMETER_MISMATCH, r->where, "attribute %s is given twice",
                        r->store->attrs[i].name);
  }
  return IEC_OK;
}

/* Each tensor is a constant, an input or the output of one node, and exists before it is used. */
static iec_status check_order(reader *r, const iec_graph *graph, uint8_t *known) {
  for (size_t i = 0; i < graph->value_count; i++) known[i] = graph->values[i].tensor.data != NULL;
  r->where = graph->name;
  for (size_t i = 0; i < graph->input_count; i++) {
    size_t t = graph->inputs[i];
    if (known[t])
      return iec_fail(r->err, IEC_PARAMETER_MISMATCH, r->where,
                      "input %zu, tensor %zu (%s), has a value already", i, t, graph->values[t].name);
    known[t] = 1;
  }
  for (size_t n = 0; n < graph->node_count; n++) {
    const iec_node *node = &graph->nodes[n];
    r->where = node->name;
    for (size_t i = 0; i < node->port_count[0]; i++) {
      size_t t = node->ports[0][i];
      if (t != IEC_NO_TENSOR && !known[t])
        return iec_fail(r->err, IEC_PARAMETER_MISMATCH, r->where,
                        "input %zu, tensor %zu (%s), is used before it has a value", i, t,
                        graph->values[t].name);
    }
    for (size_t i = 0; i < node->port_count[1]; i++) {
      size_t t = node->ports[1][i];
      if (t == IEC_NO_TENSOR) continue;
      if (known[t])
        return iec_fail(r->err, IEC_PARAMETER_MISMATCH, r->where,
                        "output %zu, tensor %zu (%s), has a value already", i, t, graph->values[t].name);
      known[t] = 1;
    }
  }
  r->where = graph->name;
  for (size_t i = 0; i < graph->output_count; i++)
    if (!known[graph->outputs[i]])
      return iec_fail(r->err, IEC_PARAMETER_MISMATCH, r->where,
                      "output %zu, tensor %zu (%s), is never computed", i, graph->outputs[i],
                      graph->values[graph->outputs[i]].name);
  return IEC_OK;
}

static int compare_names(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static iec_status check_names(reader *r, const iec_graph *graph, const char **names) {
  for (size_t i = 0; i < graph->node_count; i++) names[i] = graph->nodes[i].name;
  qsort(names, graph->node_count, sizeof *names, compare_names);
  for (size_t i = 1; i < graph->node_count; i++)
    if (!strcmp(names[i - 1], names[i]))
      return iec_fail(r->err, IEC_PARAMETER_MISMATCH, graph->name, "two nodes are named %s", names[i]);
  return IEC_OK;
}

static iec_status read_graph(reader *r) {
  size_t number = r->graphs++;
  const int64_t *record = r->desc->graphs + number * IEC_GRAPH_WORDS;
  iec_graph *graph = &r->store->graphs[number];
  if (number >= r->claimed)
    return iec_fail(r->err, IEC_PARAMETER_MISMATCH, NULL, "graph %zu is the body of no node", number);
  r->where = "graph";
  IEC_TRY(string_at(r, record[0], "graph name", &graph->name));
  r->where = graph->name;
  size_t values, nodes;
  IEC_TRY(take(r, "tensor count", &r->tensors, r->desc->tensor_count, record[1], &values));
  IEC_TRY(take(r, "node count", &r->nodes, r->desc->node_count, record[2], &nodes));
  graph->values = r->store->values + values;
  graph->value_count = (size_t)record[1];
  graph->nodes = r->store->nodes + nodes;
  graph->node_count = (size_t)record[2];
  for (size_t i = values; i < r->tensors; i++)
    IEC_TRY(read_tensor(r, r->desc->tensors + i * IEC_TENSOR_WORDS, &r->store->values[i]));
  r->where = graph->name;
  IEC_TRY(read_ports(r, "input", graph, record[3], 0, &graph->inputs, &graph->input_count));
  IEC_TRY(read_ports(r, "output", graph, record[4], 0, &graph->outputs, &graph->output_count));
  for (size_t i = nodes; i < r->nodes; i++)
    IEC_TRY(read_node(r, graph, r->desc->nodes + i * IEC_NODE_WORDS, r->store->depths[number],
                      &r->store->nodes[i]));

  uint8_t *known = malloc(graph->value_count + 1);
  const char **names = malloc((graph->node_count + 1) * sizeof *names);
  iec_status status = IEC_OK;
  if (!known || !names) status = iec_fail(r->err, IEC_OUT_OF_MEMORY, graph->name, "out of memory");
  if (status == IEC_OK) status = check_order(r, graph, known);
  if (status == IEC_OK) status = check_names(r, graph, names);
  free(known);
  free(names);
  return status;
}

static iec_status check_end(reader *r) {
  const iec_graph_desc *d = r->desc;
  const struct {
    const char *what;
    size_t used, given;
  } rows[] = {
      {"integers", r->ints, d->int_count}, {"doubles", r->doubles, d->double_count},
      {"ports", r->ports, d->port_count},  {"tensors", r->tensors, d->tensor_count},
      {"nodes", r->nodes, d->node_count},  {"attributes", r->attrs, d->attr_count},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    if (rows[i].used != rows[i].given)
      return iec_fail(r->err, IEC_PARAMETER_MISMATCH, "graph", "%zu %s given, %zu used", rows[i].given,
                      rows[i].what, rows[i].used);
  return IEC_OK;
}

/* An array of `count` zeroed items; one more, so that an empty one is not NULL. */
static void *array(size_t count, size_t size) {
  return count < SIZE_MAX / size - 1 ? calloc(count + 1, size) : NULL;
}

static iec_graph_store *store_new(const iec_graph_desc *d) {
  iec_graph_store *s = calloc(1, sizeof *s);
  if (!s) return NULL;
  s->strings = array(d->strings_size, 1);
  s->ints = array(d->int_count, sizeof *s->ints);
  s->doubles = array(d->double_count, sizeof *s->doubles);
  s->ports = array(d->port_count, sizeof *s->ports);
  s->graphs = array(d->graph_count, sizeof *s->graphs);
  s->depths = array(d->graph_count, sizeof *s->depths);
  s->values = array(d->tensor_count, sizeof *s->values);
  s->nodes = array(d->node_count, sizeof *s->nodes);
  s->attrs = array(d->attr_count, sizeof *s->attrs);
  if (!s->strings || !s->ints || !s->doubles || !s->ports || !s->graphs || !s->depths || !s->values ||
      !s->nodes || !s->attrs) {
    store_free(s);
    return NULL;
  }
  if (d->strings_size) memcpy(s->strings, d->strings, d->strings_size);
  if (d->int_count) memcpy(s->ints, d->ints, d->int_count * sizeof *s->ints);
  if (d->double_count) memcpy(s->doubles, d->doubles, d->double_count * sizeof *s->doubles);
  return s;
}

/* The description's tables; of a constant's address only that there is one. */
static void hash_description(const iec_graph_desc *d, uint64_t state[2]) {
  iec_hash(d->strings, d->strings_size, state);
  iec_hash(d->ints, d->int_count * sizeof *d->ints, state);
  iec_hash(d->doubles, d->double_count * sizeof *d->doubles, state);
  iec_hash(d->ports, d->port_count * sizeof *d->ports, state);
  iec_hash(d->graphs, d->graph_count * IEC_GRAPH_WORDS * sizeof *d->graphs, state);
  iec_hash(d->nodes, d->node_count * IEC_NODE_WORDS * sizeof *d->nodes, state);
  iec_hash(d->attrs, d->attr_count * IEC_ATTR_WORDS * sizeof *d->attrs, state);
  for (size_t i = 0; i < d->tensor_count; i++) {
    int64_t record[IEC_TENSOR_WORDS];
    memcpy(record, d->tensors + i * IEC_TENSOR_WORDS, sizeof record);
    record[3] = record[3] != 0;
    iec_hash(record, sizeof record, state);
  }
}

int32_t iec_graph_fingerprint(const iec_graph *graph, uint64_t out[2]) {
  const iec_graph_store *store = graph->store;
  if (!store) return 0;
  memcpy(out, store->hash, sizeof store->hash);
  return 1;
}

iec_status iec_graph_create(const iec_graph_desc *desc, iec_graph **out, iec_error *err) {
  if (!out) return iec_fail(err, IEC_PARAMETER_MISMATCH, "graph", "out is NULL");
  *out = NULL;
  if (!desc || desc->struct_size < sizeof *desc)
    return iec_fail(err, IEC_ABI_MISMATCH, "graph", "description of %u bytes, expected %zu",
                    desc ? desc->struct_size : 0, sizeof *desc);
  if (desc->graph_count < 1)
    return iec_fail(err, IEC_PARAMETER_MISMATCH, "graph", "the description holds no graph");
  if ((desc->strings_size && !desc->strings) || (desc->int_count && !desc->ints) ||
      (desc->double_count && !desc->doubles) || (desc->port_count && !desc->ports) || !desc->graphs ||
      (desc->tensor_count && !desc->tensors) || (desc->node_count && !desc->nodes) ||
      (desc->attr_count && !desc->attrs))
    return iec_fail(err, IEC_PARAMETER_MISMATCH, "graph", "a table of the description is NULL");
  if (desc->strings_size && desc->strings[desc->strings_size - 1])
    return iec_fail(err, IEC_PARAMETER_MISMATCH, "graph", "the strings do not end with a zero");
  reader r = {.desc = desc, .store = store_new(desc), .claimed = 1, .where = "graph", .err = err};
  if (!r.store) return iec_fail(err, IEC_OUT_OF_MEMORY, "graph", "out of memory");
  iec_status status = IEC_OK;
  while (status == IEC_OK && r.graphs < desc->graph_count) status = read_graph(&r);
  if (status == IEC_OK) status = check_end(&r);
  if (status != IEC_OK) {
    store_free(r.store);
    return status;
  }
  hash_description(desc, r.store->hash);
  r.store->graphs[0].store = r.store;
  *out = &r.store->graphs[0];
  return IEC_OK;
}

void iec_graph_release(iec_graph *graph) {
  if (graph) store_free(graph->store);
}
