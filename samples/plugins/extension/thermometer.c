/* SPDX-License-Identifier: Apache-2.0 */
/* Layer type Thermometer: every number becomes `levels` numbers, as many ones as it reaches whole steps,
 * zeros behind them. A new last axis holds them. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "iec/extension.h"

struct iec_kernel_state {
  int64_t levels, count;
};

static iec_status fail(iec_error *err, iec_status code, const char *format, ...) {
  if (!err || err->code != IEC_OK) return code;
  err->code = code;
  va_list args;
  va_start(args, format);
  vsnprintf(err->message, sizeof err->message, format, args);
  va_end(args);
  return code;
}

/* The input tensor and the attribute of a node. */
static iec_status read_node(const iec_host_api *host, const iec_graph *graph, const iec_node *node,
                            iec_tensor *x, int64_t *levels, iec_error *err) {
  const iec_graph_api *api = host->graph;
  *x = (iec_tensor){.struct_size = sizeof *x};
  if (api->port_count(node, 0) < 1) return fail(err, IEC_PARAMETER_MISMATCH, "it has no input");
  if (!api->attr_i64(node, "levels", levels))
    return fail(err, IEC_PARAMETER_MISMATCH, "attribute levels is missing or no integer");
  if (*levels < 1)
    return fail(err, IEC_OUT_OF_BOUNDS, "levels is %lld, expected at least 1", (long long)*levels);
  return api->tensor(graph, api->port(node, 0, 0), x, err);
}

static iec_status infer_shapes(const iec_host_api *host, const iec_graph *graph, const iec_node *node,
                               iec_tensor *outputs, size_t output_count, iec_error *err) {
  iec_tensor x;
  int64_t levels;
  iec_status status = read_node(host, graph, node, &x, &levels, err);
  if (status != IEC_OK) return status;
  if (output_count != 1)
    return fail(err, IEC_PARAMETER_MISMATCH, "it has %zu outputs, expected 1", output_count);
  if (x.ndim >= IEC_MAX_NDIM)
    return fail(err, IEC_OUT_OF_BOUNDS, "its input has rank %d, expected at most %d", x.ndim,
                IEC_MAX_NDIM - 1);
  outputs[0].dtype = IEC_F32;
  outputs[0].ndim = x.ndim + 1;
  memcpy(outputs[0].shape, x.shape, sizeof x.shape);
  outputs[0].shape[x.ndim] = levels;
  return IEC_OK;
}

static int32_t supports(const iec_host_api *host, const iec_graph *graph, const iec_node *node) {
  iec_tensor x;
  int64_t levels;
  return read_node(host, graph, node, &x, &levels, NULL) == IEC_OK && x.dtype == IEC_F32;
}

static iec_status prepare(const iec_host_api *host, const iec_graph *graph, const iec_node *node,
                          iec_kernel_state **out, size_t *out_scratch_size, iec_error *err) {
  iec_tensor x;
  int64_t levels;
  *out_scratch_size = 0;
  iec_status status = read_node(host, graph, node, &x, &levels, err);
  if (status != IEC_OK) return status;
  iec_kernel_state *state = malloc(sizeof *state);
  if (!state) return fail(err, IEC_OUT_OF_MEMORY, "out of memory");
  state->levels = levels;
  state->count = (int64_t)(x.size_bytes / sizeof(float));
  *out = state;
  return IEC_OK;
}

static iec_status run(const iec_kernel_state *state, const iec_tensor *const *inputs, size_t input_count,
                      iec_tensor *const *outputs, size_t output_count, void *scratch, iec_error *err) {
  const float *x = inputs[0]->data;
  float *y = outputs[0]->data;
  (void)input_count, (void)output_count, (void)scratch, (void)err;
  for (int64_t i = 0; i < state->count; i++)
    for (int64_t k = 0; k < state->levels; k++) *y++ = x[i] >= (float)(k + 1);
  return IEC_OK;
}

static void release(iec_kernel_state *state) { free(state); }

static const iec_op_def type = {
    .struct_size = sizeof type, .type = "Thermometer", .infer_shapes = infer_shapes};
static const iec_kernel_def kernel = {.struct_size = sizeof kernel,
                                      .priority = 100,
                                      .device = "CPU",
                                      .kind = "Thermometer",
                                      .impl_name = "thermometer",
                                      .supports = supports,
                                      .prepare = prepare,
                                      .run = run,
                                      .release = release};
static const iec_op_def *const types[] = {&type};
static const iec_kernel_def *const kernels[] = {&kernel};
static const iec_extension_api table = {.struct_size = sizeof table,
                                        .abi_version = IEC_ABI_VERSION,
                                        .name = "thermometer",
                                        .version = "1.0",
                                        .kernels = kernels,
                                        .kernel_count = 1,
                                        .ops = types,
                                        .op_count = 1};

iec_status iec_extension_query(uint32_t host_abi, const iec_extension_api **out, iec_error *err);

__attribute__((visibility("default"))) iec_status iec_extension_query(uint32_t host_abi,
                                                                      const iec_extension_api **out,
                                                                      iec_error *err) {
  *out = NULL;
  if (host_abi >> 16 != IEC_ABI_MAJOR)
    return fail(err, IEC_ABI_MISMATCH, "built for ABI %u, the host has %u", IEC_ABI_MAJOR, host_abi >> 16);
  *out = &table;
  return IEC_OK;
}
