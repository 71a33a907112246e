/* SPDX-License-Identifier: Apache-2.0 */
/* Which nodes of a graph can run here: a kernel must accept the node as it stands in the host's graph. */
#include "cpu/query.h"

#include <stdlib.h>

#include "cpu/graph.h"
#include "cpu/subplan.h"

typedef struct ports {
  cpu_tensor *tensors;
  const cpu_tensor **pointers;
  size_t capacity;
} ports;

static int reserve(ports *p, size_t count) {
  if (count <= p->capacity) return 1;
  free(p->tensors);
  free(p->pointers);
  p->capacity = 2 * count;
  p->tensors = malloc(p->capacity * sizeof *p->tensors);
  p->pointers = malloc(p->capacity * sizeof *p->pointers);
  if (!p->tensors || !p->pointers) p->capacity = 0;
  return p->capacity != 0;
}

static iec_status fill(const iec_host_api *host, const iec_graph *graph, const iec_node *source, ports *p,
                       cpu_node *out, iec_error *err) {
  const iec_graph_api *api = host->graph;
  size_t inputs = api->port_count(source, 0), outputs = api->port_count(source, 1);
  if (!reserve(p, inputs + outputs + 1))
    return cpu_fail(err, IEC_OUT_OF_MEMORY, NULL, "out of memory in a query");
  for (size_t i = 0; i < inputs + outputs; ++i) {
    size_t number = i < inputs ? api->port(source, 0, i) : api->port(source, 1, i - inputs);
    p->pointers[i] = NULL;
    if (number == IEC_NO_TENSOR) continue;
    iec_tensor tensor = {.struct_size = sizeof tensor};
    iec_status status = api->tensor(graph, number, &tensor, err);
    if (status) return status;
    cpu_tensor *t = &p->tensors[i];
    *t = (cpu_tensor){.dtype = tensor.dtype, .ndim = tensor.ndim, .data = tensor.data};
    for (int32_t a = 0; a < tensor.ndim && a < IEC_MAX_NDIM; ++a) t->shape[a] = tensor.shape[a];
    p->pointers[i] = t;
  }
  *out = (cpu_node){
      .kind = api->node_kind(source), .name = api->node_name(source), .api = api, .source = source};
  out->host = host;
  out->graph = graph;
  out->input_count = (int32_t)inputs;
  out->output_count = (int32_t)outputs;
  out->inputs = p->pointers;
  out->outputs = p->pointers + inputs;
  return IEC_OK;
}

iec_status cpu_query(const iec_host_api *host, const cpu_extensions *extensions, const iec_graph *graph,
                     uint8_t *supported, size_t count, iec_error *err) {
  const iec_graph_api *api = host->graph;
  const cpu_kernel *const *kernels = cpu_kernels(err);
  size_t nodes = api->node_count(graph);
  if (!kernels) return IEC_NOT_FOUND;
  if (count != nodes)
    return cpu_fail(err, IEC_PARAMETER_MISMATCH, NULL, "%zu flags for %zu nodes", count, nodes);
  ports p = {0};
  iec_status status = IEC_OK;
  for (size_t i = 0; !status && i < nodes; ++i) {
    cpu_node node;
    status = fill(host, graph, api->node_at(graph, i), &p, &node, err);
    node.extensions = extensions;
    supported[i] = !status && cpu_select(kernels, &node) != NULL;
  }
  free(p.tensors);
  free(p.pointers);
  return status;
}

int32_t cpu_graph_supported(const cpu_node *node, const iec_graph *graph) {
  iec_host_api host = *node->host;
  host.graph = cpu_attrs_base(node->api); /* a body is a graph of the host's */
  size_t count = host.graph->node_count(graph);
  uint8_t *flags = malloc(count + 1);
  int32_t all = flags && cpu_query(&host, node->extensions, graph, flags, count, NULL) == IEC_OK;
  for (size_t i = 0; all && i < count; ++i) all = flags[i];
  free(flags);
  return all;
}
