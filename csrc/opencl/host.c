/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds whose control flow a GPU has nothing to win from (proposals of boxes, decoding sequences,
 * loops): a node of them becomes a network of its own on the CPU driver. */
#include "opencl/host.h"

#include <stddef.h>
#include <string.h>

#include "iec/driver.h"

iec_status iec_cpu_driver_query(uint32_t host_abi, const iec_driver_api **out, iec_error *err);

struct gpu_host_step {
  iec_host_api host; /* the host's services with a graph of one node */
  iec_graph_api graph;
  const iec_driver_api *api;
  iec_driver *driver;
  iec_exec *exec;
  int32_t input_count, output_count;
  gpu_value **ports; /* on the device, float32 in memory */
  iec_tensor *tensors;
};

struct gpu_host_run {
  gpu_host_step *step;
  iec_request *request;
  iec_tensor *tensors; /* with memory */
  const iec_tensor **inputs;
  iec_tensor **outputs;
};

/* ---- the graph of one node: tensors are numbered by its ports, inputs first */

typedef struct view {
  const iec_graph_api *base;
  const iec_graph *graph;
  const iec_node *node;
  size_t inputs, outputs;
  size_t fed[1024]; /* ports that are neither absent nor constant, each tensor once */
  size_t fed_count;
} view;

/* The table's functions have no argument for it; graphs of bodies and their nodes are the host's own. */
static _Thread_local const view *current;

static int is_view(const iec_graph *graph) { return (const void *)graph == (const void *)current; }

static size_t number(size_t tensor) { /* in the host's graph */
  const view *v = current;
  return tensor < v->inputs ? v->base->port(v->node, 0, tensor)
                            : v->base->port(v->node, 1, tensor - v->inputs);
}

static const char *v_name(const iec_graph *g) { return is_view(g) ? "host step" : current->base->name(g); }
static size_t v_tensor_count(const iec_graph *g) {
  return is_view(g) ? current->inputs + current->outputs : current->base->tensor_count(g);
}
static iec_status v_tensor(const iec_graph *g, size_t i, iec_tensor *out, iec_error *err) {
  if (!is_view(g)) return current->base->tensor(g, i, out, err);
  size_t at = number(i);
  if (at != IEC_NO_TENSOR) return current->base->tensor(current->graph, at, out, err);
  *out = (iec_tensor){.struct_size = out->struct_size,
                      .dtype = IEC_F32,
                      .ndim = 1,
                      .shape = {0}}; /* absent: nobody reads it */
  return IEC_OK;
}
static const char *v_tensor_name(const iec_graph *g, size_t i) {
  if (!is_view(g)) return current->base->tensor_name(g, i);
  size_t at = number(i);
  return at == IEC_NO_TENSOR ? "" : current->base->tensor_name(current->graph, at);
}
static size_t v_input_count(const iec_graph *g) {
  return is_view(g) ? current->fed_count : current->base->input_count(g);
}
static size_t v_input_at(const iec_graph *g, size_t i) {
  return is_view(g) ? current->fed[i] : current->base->input_at(g, i);
}
static size_t v_output_count(const iec_graph *g) {
  return is_view(g) ? current->outputs : current->base->output_count(g);
}
static size_t v_output_at(const iec_graph *g, size_t i) {
  return is_view(g) ? current->inputs + i : current->base->output_at(g, i);
}
static size_t v_node_count(const iec_graph *g) { return is_view(g) ? 1 : current->base->node_count(g); }
static const iec_node *v_node_at(const iec_graph *g, size_t i) {
  return is_view(g) ? current->node : current->base->node_at(g, i);
}
static size_t v_port(const iec_node *node, int32_t is_output, size_t i) {
  size_t base = current->base->port(node, is_output, i);
  if (node != current->node || base == IEC_NO_TENSOR) return base;
  if (is_output) return current->inputs + i;
  for (size_t k = 0; k < i; k++) /* a tensor read twice is one tensor */
    if (current->base->port(node, 0, k) == base) return k;
  return i;
}

/* ---- compile */

static iec_status describe(const gpu_op *op, view *v, gpu_host_step *step, iec_error *err) {
  *v = (view){.base = op->api, .graph = op->graph, .node = op->node};
  v->inputs = (size_t)op->input_count;
  v->outputs = (size_t)op->output_count;
  if (v->inputs > sizeof v->fed / sizeof v->fed[0])
    return gpu_fail(err, IEC_NOT_IMPLEMENTED, op->layer, "%zu inputs, at most 1024 are possible", v->inputs);
  step->ports = calloc(v->inputs + v->outputs + 1, sizeof *step->ports);
  step->tensors = calloc(v->inputs + v->outputs + 1, sizeof *step->tensors);
  if (!step->ports || !step->tensors) return gpu_no_memory(err);
  for (size_t i = 0; i < v->inputs; i++) {
    int again = 0;
    if (!op->inputs[i] || op->inputs[i]->data) continue;
    for (size_t k = 0; k < i; k++) again |= op->inputs[k] == op->inputs[i];
    if (again) continue;
    step->ports[step->input_count++] = op->inputs[i];
    v->fed[v->fed_count++] = i;
  }
  for (size_t i = 0; i < v->outputs; i++)
    step->ports[step->input_count + step->output_count++] = op->outputs[i];
  for (int32_t i = 0; i < step->input_count + step->output_count; i++) {
    const gpu_value *value = step->ports[i];
    iec_tensor *tensor = &step->tensors[i];
    *tensor =
        (iec_tensor){.struct_size = sizeof *tensor, .dtype = (uint16_t)value->dtype, .ndim = value->ndim};
    size_t element = tensor->size_bytes = gpu_dtype_size(value->dtype);
    for (int32_t a = value->ndim - 1; a >= 0; a--) {
      tensor->shape[a] = value->shape[a];
      tensor->strides[a] = (int64_t)tensor->size_bytes;
      tensor->size_bytes *= (size_t)value->shape[a];
    }
    if (!value->ndim) tensor->size_bytes = element;
  }
  return IEC_OK;
}

static iec_status compile(const gpu_plan *plan, const gpu_op *op, const view *v, gpu_host_step *step,
                          iec_error *err) {
  static const iec_kv config[] = {{"CPU_THREADS_NUM", "1"}};
  step->graph = (iec_graph_api){.struct_size = sizeof step->graph,
                                .name = v_name,
                                .tensor_count = v_tensor_count,
                                .tensor = v_tensor,
                                .tensor_name = v_tensor_name,
                                .input_count = v_input_count,
                                .input_at = v_input_at,
                                .output_count = v_output_count,
                                .output_at = v_output_at,
                                .node_count = v_node_count,
                                .node_at = v_node_at,
                                .node_kind = op->api->node_kind,
                                .node_name = op->api->node_name,
                                .node_layer = op->api->node_layer,
                                .node_layer_type = op->api->node_layer_type,
                                .port_count = op->api->port_count,
                                .port = v_port,
                                .attr_i64 = op->api->attr_i64,
                                .attr_f64 = op->api->attr_f64,
                                .attr_str = op->api->attr_str,
                                .attr_i64s = op->api->attr_i64s,
                                .attr_f64s = op->api->attr_f64s,
                                .attr_graph = op->api->attr_graph};
  step->host = *plan->host;
  step->host.graph = &step->graph;
  GPU_TRY(iec_cpu_driver_query(IEC_ABI_VERSION, &step->api, err));
  GPU_TRY(step->api->open(&step->host, NULL, 0, &step->driver, err));
  current = v;
  iec_status status =
      step->api->compile(step->driver, (const iec_graph *)(const void *)v, config, 1, &step->exec, err);
  current = NULL;
  return status;
}

/* FP16: float ports get float32 twins; inputs are widened before the step, outputs narrowed after it. */
static iec_status widen(gpu_plan *plan, gpu_op *op, gpu_host_step *step, gpu_value **kept, iec_error *err) {
  for (int32_t i = 0; i < step->input_count + step->output_count; i++) {
    gpu_value *value = kept[i] = step->ports[i];
    if (!plan->graph->half || value->dtype != IEC_F32) continue;
    step->ports[i] = gpu_scratch(plan, IEC_U32, value->ndim, value->shape, err);
    if (!step->ports[i]) return IEC_OUT_OF_MEMORY;
    if (i < step->input_count) GPU_TRY(gpu_convert_storage(plan, op, value, step->ports[i], err));
  }
  return IEC_OK;
}

static iec_status add(gpu_plan *plan, gpu_op *op, gpu_host_step *step, gpu_value **kept, iec_error *err) {
  GPU_TRY(widen(plan, op, step, kept, err));
  GPU_TRY(gpu_launch_copy(plan, op, NULL, 0, NULL, 0, 0, err));
  plan->launches[plan->launch_count - 1].type = GPU_LAUNCH_HOST;
  plan->launches[plan->launch_count - 1].host = step;
  op->exec_type = "host";
  for (int32_t i = step->input_count; i < step->input_count + step->output_count; i++)
    if (step->ports[i] != kept[i]) GPU_TRY(gpu_convert_storage(plan, op, step->ports[i], kept[i], err));
  return IEC_OK;
}

iec_status gpu_host_plan(gpu_plan *plan, gpu_op *op, iec_error *err) {
  view *v = calloc(1, sizeof *v);
  gpu_host_step *step = calloc(1, sizeof *step);
  gpu_value **kept = calloc((size_t)(op->input_count + op->output_count) + 1, sizeof *kept);
  iec_status status = v && step && kept ? describe(op, v, step, err) : gpu_no_memory(err);
  if (!status) status = compile(plan, op, v, step, err);
  int32_t before = plan->launch_count, owned = 0;
  if (!status) status = add(plan, op, step, kept, err);
  for (int32_t i = before; i < plan->launch_count; i++) owned |= plan->launches[i].host == step && step;
  if (status && !owned) gpu_host_release(step);
  free(kept);
  free(v);
  return status;
}

void gpu_host_release(gpu_host_step *step) {
  if (!step) return;
  if (step->api) {
    step->api->exec_release(step->exec);
    step->api->close(step->driver);
  }
  free(step->ports);
  free(step->tensors);
  free(step);
}

int32_t gpu_host_ports(const gpu_host_step *step) { return step->input_count + step->output_count; }
int32_t gpu_host_inputs(const gpu_host_step *step) { return step->input_count; }
const gpu_value *gpu_host_port(const gpu_host_step *step, int32_t port) { return step->ports[port]; }

/* ---- run */

iec_status gpu_host_run_create(gpu_host_step *step, gpu_host_run **out, iec_error *err) {
  size_t count = (size_t)gpu_host_ports(step);
  gpu_host_run *run = *out = calloc(1, sizeof *run);
  if (!run) return gpu_no_memory(err);
  run->step = step;
  run->tensors = calloc(count + 1, sizeof *run->tensors);
  run->inputs = calloc(count + 1, sizeof *run->inputs);
  run->outputs = calloc(count + 1, sizeof *run->outputs);
  if (!run->tensors || !run->inputs || !run->outputs) return gpu_no_memory(err);
  for (size_t i = 0; i < count; i++) {
    run->tensors[i] = step->tensors[i];
    run->tensors[i].data = malloc(run->tensors[i].size_bytes + 1);
    if (!run->tensors[i].data) return gpu_no_memory(err);
    if (i < (size_t)step->input_count)
      run->inputs[i] = &run->tensors[i];
    else
      run->outputs[i - (size_t)step->input_count] = &run->tensors[i];
  }
  return step->api->request_create(step->exec, &run->request, err);
}

void gpu_host_run_release(gpu_host_run *run) {
  if (!run) return;
  run->step->api->request_release(run->request);
  for (int32_t i = 0; run->tensors && i < gpu_host_ports(run->step); i++) free(run->tensors[i].data);
  free(run->tensors);
  free(run->inputs);
  free(run->outputs);
  free(run);
}

void *gpu_host_memory(gpu_host_run *run, int32_t port, size_t *bytes) {
  *bytes = run->tensors[port].size_bytes;
  return run->tensors[port].data;
}

iec_status gpu_host_infer(gpu_host_run *run, iec_error *err) {
  const gpu_host_step *step = run->step;
  return step->api->infer(run->request, run->inputs, (size_t)step->input_count, run->outputs,
                          (size_t)step->output_count, err);
}
