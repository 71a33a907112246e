/* SPDX-License-Identifier: Apache-2.0 */
/* The driver of ACME, a device that knows three functions of single elements: nodes of kind Unary with op
 * relu, abs and neg. Others run elsewhere: HETERO:ACME,CPU. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "iec/driver.h"

enum { RELU, ABS, NEG, UNKNOWN };

struct iec_driver {
  const iec_host_api *host;
};

typedef struct step {
  int function;
  size_t input, output; /* tensor numbers */
  size_t count;
} step;

/* Where a tensor lies: place n of the inputs, of the outputs, or of the request's own buffers. */
typedef struct place {
  enum { NOWHERE, INPUT, OUTPUT, BUFFER } kind;
  size_t index;
} place;

struct iec_exec {
  const iec_host_api *host;
  step *steps;
  size_t step_count;
  place *places; /* by tensor number */
  size_t tensor_count, input_count, output_count;
  size_t buffer_floats; /* of all buffers; a BUFFER's index is its first element */
};

struct iec_request {
  iec_exec *exec;
  float *buffers;
};

/* The first failure wins; the host puts the texts in front of the user. */
static iec_status fail(iec_error *err, iec_status code, const char *where, const char *format, ...) {
  if (!err || err->code != IEC_OK) return code;
  err->code = code;
  snprintf(err->where, sizeof err->where, "%s", where);
  va_list args;
  va_start(args, format);
  vsnprintf(err->message, sizeof err->message, format, args);
  va_end(args);
  return code;
}

static void *take(const iec_host_api *host, size_t size) {
  void *memory = host->alloc(host->self, size ? size : 1, 64);
  if (memory) memset(memory, 0, size);
  return memory;
}

/* ---- device */

static iec_status open_driver(const iec_host_api *host, const iec_kv *options, size_t count, iec_driver **out,
                              iec_error *err) {
  *out = NULL;
  if (count) return fail(err, IEC_NOT_FOUND, "ACME", "unknown option %s, there are none", options[0].key);
  iec_driver *driver = take(host, sizeof *driver);
  if (!driver) return fail(err, IEC_OUT_OF_MEMORY, "ACME", "out of memory");
  driver->host = host;
  *out = driver;
  return IEC_OK;
}

static void close_driver(iec_driver *driver) {
  if (driver) driver->host->release(driver->host->self, driver);
}

/* The function of a node, UNKNOWN for one that ACME lacks. */
static int function_of(const iec_graph_api *api, const iec_graph *graph, const iec_node *node) {
  const char *op = NULL;
  iec_tensor x = {.struct_size = sizeof x};
  if (strcmp(api->node_kind(node), "Unary") != 0 || !api->attr_str(node, "op", &op)) return UNKNOWN;
  if (api->tensor(graph, api->port(node, 0, 0), &x, NULL) != IEC_OK || x.dtype != IEC_F32 || x.data)
    return UNKNOWN;
  return strcmp(op, "relu") == 0  ? RELU
         : strcmp(op, "abs") == 0 ? ABS
         : strcmp(op, "neg") == 0 ? NEG
                                  : UNKNOWN;
}

static iec_status query(iec_driver *driver, const iec_graph *graph, uint8_t *supported, size_t count,
                        iec_error *err) {
  const iec_graph_api *api = driver->host->graph;
  (void)err;
  for (size_t i = 0; i < count; i++)
    supported[i] = function_of(api, graph, api->node_at(graph, i)) != UNKNOWN;
  return IEC_OK;
}

/* ---- executable */

static void exec_release(iec_exec *exec) {
  if (!exec) return;
  const iec_host_api *host = exec->host;
  host->release(host->self, exec->steps);
  host->release(host->self, exec->places);
  host->release(host->self, exec);
}

static iec_status add_step(iec_exec *exec, const iec_graph *graph, const iec_node *node, iec_error *err) {
  const iec_graph_api *api = exec->host->graph;
  step *s = &exec->steps[exec->step_count++];
  s->function = function_of(api, graph, node);
  if (s->function == UNKNOWN)
    return fail(err, IEC_NOT_IMPLEMENTED, "ACME", "node %s of kind %s", api->node_name(node),
                api->node_kind(node));
  s->input = api->port(node, 0, 0);
  s->output = api->port(node, 1, 0);
  iec_tensor y = {.struct_size = sizeof y};
  iec_status status = api->tensor(graph, s->output, &y, err);
  if (status != IEC_OK) return status;
  s->count = y.size_bytes / sizeof(float);
  if (exec->places[s->output].kind == NOWHERE) {
    exec->places[s->output] = (place){BUFFER, exec->buffer_floats};
    exec->buffer_floats += s->count;
  }
  return IEC_OK;
}

static iec_status fill(iec_exec *exec, const iec_graph *graph, iec_error *err) {
  const iec_graph_api *api = exec->host->graph;
  exec->tensor_count = api->tensor_count(graph);
  exec->input_count = api->input_count(graph);
  exec->output_count = api->output_count(graph);
  size_t nodes = api->node_count(graph);
  exec->steps = take(exec->host, nodes * sizeof *exec->steps);
  exec->places = take(exec->host, exec->tensor_count * sizeof *exec->places);
  if (!exec->steps || !exec->places) return fail(err, IEC_OUT_OF_MEMORY, "ACME", "out of memory");
  for (size_t i = 0; i < exec->output_count; i++) exec->places[api->output_at(graph, i)] = (place){OUTPUT, i};
  for (size_t i = 0; i < exec->input_count; i++) exec->places[api->input_at(graph, i)] = (place){INPUT, i};
  iec_status status = IEC_OK;
  for (size_t i = 0; status == IEC_OK && i < nodes; i++)
    status = add_step(exec, graph, api->node_at(graph, i), err);
  return status;
}

static iec_status compile(iec_driver *driver, const iec_graph *graph, const iec_kv *config, size_t count,
                          iec_exec **out, iec_error *err) {
  *out = NULL;
  if (count) return fail(err, IEC_NOT_FOUND, "ACME", "unknown key %s, there are none", config[0].key);
  iec_exec *exec = take(driver->host, sizeof *exec);
  if (!exec) return fail(err, IEC_OUT_OF_MEMORY, "ACME", "out of memory");
  exec->host = driver->host;
  iec_status status = fill(exec, graph, err);
  if (status == IEC_OK)
    *out = exec;
  else
    exec_release(exec);
  return status;
}

/* ---- request */

static void request_release(iec_request *request) {
  if (!request) return;
  const iec_host_api *host = request->exec->host;
  host->release(host->self, request->buffers);
  host->release(host->self, request);
}

static iec_status request_create(iec_exec *exec, iec_request **out, iec_error *err) {
  *out = NULL;
  iec_request *request = take(exec->host, sizeof *request);
  if (!request) return fail(err, IEC_OUT_OF_MEMORY, "ACME", "out of memory");
  request->exec = exec;
  request->buffers = take(exec->host, exec->buffer_floats * sizeof(float));
  if (!request->buffers) {
    request_release(request);
    return fail(err, IEC_OUT_OF_MEMORY, "ACME", "out of memory");
  }
  *out = request;
  return IEC_OK;
}

static float apply(int function, float x) {
  if (function == NEG) return -x;
  if (x >= 0) return x;
  return function == ABS ? -x : 0;
}

static float *address(const iec_request *request, size_t tensor, const iec_tensor *const *inputs,
                      iec_tensor *const *outputs) {
  place p = request->exec->places[tensor];
  return p.kind == INPUT    ? inputs[p.index]->data
         : p.kind == OUTPUT ? outputs[p.index]->data
                            : request->buffers + p.index;
}

static iec_status infer(iec_request *request, const iec_tensor *const *inputs, size_t input_count,
                        iec_tensor *const *outputs, size_t output_count, iec_error *err) {
  const iec_exec *exec = request->exec;
  (void)input_count, (void)output_count, (void)err; /* the host has compared them with the network */
  for (size_t i = 0; i < exec->step_count; i++) {
    const step *s = &exec->steps[i];
    const float *x = address(request, s->input, inputs, outputs);
    float *y = address(request, s->output, inputs, outputs);
    for (size_t k = 0; k < s->count; k++) y[k] = apply(s->function, x[k]);
  }
  return IEC_OK;
}

/* ---- what users ask */

static iec_status get_property(iec_driver *driver, iec_exec *exec, const char *key, char *buf, size_t *size,
                               iec_error *err) {
  (void)driver, (void)exec;
  const char *text = strcmp(key, "FULL_DEVICE_NAME") == 0 ? "ACME element-wise accelerator" : NULL;
  if (!text) return fail(err, IEC_NOT_FOUND, key, "unknown property; known is FULL_DEVICE_NAME");
  size_t needed = strlen(text) + 1;
  if (buf && *size < needed)
    return fail(err, IEC_OUT_OF_BOUNDS, key, "%zu bytes are needed, there are %zu", needed, *size);
  if (buf) memcpy(buf, text, needed);
  *size = needed;
  return IEC_OK;
}

static const iec_driver_api table = {
    .struct_size = sizeof(iec_driver_api),
    .abi_version = IEC_ABI_VERSION,
    .name = "ACME",
    .version = "1.0",
    .description = "functions of single elements",
    .open = open_driver,
    .close = close_driver,
    .query = query,
    .compile = compile,
    .exec_release = exec_release,
    .request_create = request_create,
    .request_release = request_release,
    .infer = infer,
    .get_property = get_property,
};

iec_status iec_driver_query(uint32_t host_abi, const iec_driver_api **out, iec_error *err);

__attribute__((visibility("default"))) iec_status iec_driver_query(uint32_t host_abi,
                                                                   const iec_driver_api **out,
                                                                   iec_error *err) {
  *out = NULL;
  if (host_abi >> 16 != IEC_ABI_MAJOR)
    return fail(err, IEC_ABI_MISMATCH, "ACME", "built for ABI %u, the host has %u", IEC_ABI_MAJOR,
                host_abi >> 16);
  *out = &table;
  return IEC_OK;
}
