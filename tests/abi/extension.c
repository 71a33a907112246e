/* SPDX-License-Identifier: Apache-2.0 */
/* An extension for the tests: layer types CScale, CSplit and CRead, kernels for them, and one in place of the
 * built-in Softmax. Macros make it faulty in one way each. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "iec/extension.h"

#ifndef MAJOR
#define MAJOR IEC_ABI_MAJOR
#endif
#ifndef REPLACED
#define REPLACED "Softmax"
#endif
#ifndef PRIORITY
#define PRIORITY 200
#endif

typedef struct scale_state {
  float factor;
  size_t count;
} scale_state;

static iec_status fail(iec_error *err, iec_status code, const char *text, double value) {
  if (err && err->code == IEC_OK) {
    err->code = code;
    snprintf(err->message, sizeof err->message, "%s %g", text, value);
  }
  return code;
}

static int32_t always(const iec_host_api *host, const iec_graph *graph, const iec_node *node) {
  (void)host, (void)graph, (void)node;
  return 1;
}

/* ---- CScale: x * factor, whatever blobs it has; above 1000 it fails */

static iec_status scale_shapes(const iec_host_api *host, const iec_graph *graph, const iec_node *node,
                               iec_tensor *outputs, size_t output_count, iec_error *err) {
  iec_tensor x = {.struct_size = sizeof x};
  if (host->graph->port_count(node, 0) < 1 || output_count != 1)
    return fail(err, IEC_PARAMETER_MISMATCH, "an input and one output, not", (double)output_count);
  iec_status status = host->graph->tensor(graph, host->graph->port(node, 0, 0), &x, err);
  if (status) return status;
  outputs[0].ndim = x.ndim;
  memcpy(outputs[0].shape, x.shape, sizeof x.shape);
#ifdef BAD_SHAPE
  outputs[0].shape[0] = -4;
#endif
  return IEC_OK;
}

static int32_t scale_supports(const iec_host_api *host, const iec_graph *graph, const iec_node *node) {
  iec_tensor x = {.struct_size = sizeof x};
  return host->graph->tensor(graph, host->graph->port(node, 0, 0), &x, NULL) == IEC_OK && x.dtype == IEC_F32;
}

static iec_status scale_prepare(const iec_host_api *host, const iec_graph *graph, const iec_node *node,
                                iec_kernel_state **out, size_t *out_scratch_size, iec_error *err) {
  double factor = 0;
  iec_tensor x = {.struct_size = sizeof x};
  if (!host->graph->attr_f64(node, "factor", &factor))
    return fail(err, IEC_PARAMETER_MISMATCH, "factor is missing", 0);
  if (factor < 0) return fail(err, IEC_PARAMETER_MISMATCH, "factor, expected at least 0, is", factor);
  iec_status status = host->graph->tensor(graph, host->graph->port(node, 0, 0), &x, err);
  if (status) return status;
  scale_state *state = malloc(sizeof *state);
  if (!state) return fail(err, IEC_OUT_OF_MEMORY, "out of memory", 0);
  state->factor = (float)factor;
  state->count = x.size_bytes / sizeof(float);
  *out = (iec_kernel_state *)state;
  *out_scratch_size = x.size_bytes;
  return IEC_OK;
}

static iec_status scale_run(const iec_kernel_state *given, const iec_tensor *const *inputs,
                            size_t input_count, iec_tensor *const *outputs, size_t output_count,
                            void *scratch, iec_error *err) {
  const scale_state *state = (const scale_state *)given;
  const float *x = inputs[0]->data;
  float *y = outputs[0]->data, *copy = scratch;
  (void)input_count, (void)output_count;
  for (size_t i = 0; i < state->count; i++) {
    if (x[i] > 1000) return fail(err, IEC_OUT_OF_BOUNDS, "an element is", x[i]);
    copy[i] = x[i] * state->factor;
  }
  memcpy(y, copy, state->count * sizeof *y);
  return IEC_OK;
}

static void scale_release(iec_kernel_state *state) { free(state); }

/* ---- CSplit: the rows' first and last columns, as 32-bit integers the latter */

static iec_status split_shapes(const iec_host_api *host, const iec_graph *graph, const iec_node *node,
                               iec_tensor *outputs, size_t output_count, iec_error *err) {
  iec_tensor x = {.struct_size = sizeof x};
  if (output_count != 2)
    return fail(err, IEC_PARAMETER_MISMATCH, "expected 2 outputs, got", (double)output_count);
  iec_status status = host->graph->tensor(graph, host->graph->port(node, 0, 0), &x, err);
  if (status) return status;
  outputs[0].ndim = outputs[1].ndim = 1;
  outputs[0].shape[0] = outputs[1].shape[0] = x.shape[0];
  outputs[1].dtype = IEC_I32;
  return IEC_OK;
}

static iec_status split_run(const iec_kernel_state *state, const iec_tensor *const *inputs,
                            size_t input_count, iec_tensor *const *outputs, size_t output_count,
                            void *scratch, iec_error *err) {
  const float *x = inputs[0]->data;
  int64_t rows = inputs[0]->shape[0], columns = inputs[0]->shape[1];
  (void)state, (void)input_count, (void)output_count, (void)scratch, (void)err;
  if (inputs[0]->strides[0] != columns * 4) return IEC_UNEXPECTED;
  for (int64_t i = 0; i < rows; i++) {
    ((float *)outputs[0]->data)[i] = x[i * columns];
    ((int32_t *)outputs[1]->data)[i] = (int32_t)x[i * columns + columns - 1];
  }
  return IEC_OK;
}

/* ---- CRead: attributes in all their types, and a blob; the answer is a row of numbers */

static iec_status read_shapes(const iec_host_api *host, const iec_graph *graph, const iec_node *node,
                              iec_tensor *outputs, size_t output_count, iec_error *err) {
  (void)host, (void)graph, (void)node, (void)output_count, (void)err;
  outputs[0].ndim = 1;
  outputs[0].shape[0] = 8;
  return IEC_OK;
}

static iec_status read_prepare(const iec_host_api *host, const iec_graph *graph, const iec_node *node,
                               iec_kernel_state **out, size_t *out_scratch_size, iec_error *err) {
  const iec_graph_api *g = host->graph;
  float *found = malloc(8 * sizeof *found);
  if (!found) return fail(err, IEC_OUT_OF_MEMORY, "out of memory", 0);
  for (int i = 0; i < 8; i++) found[i] = -1;
  int64_t integer = -1;
  double real = -1;
  const char *text = NULL;
  const int64_t *integers = NULL;
  const double *reals = NULL;
  size_t count = 0;
  iec_tensor blob = {.struct_size = sizeof blob};
  if (g->attr_i64(node, "one", &integer)) found[0] = (float)integer;
  if (g->attr_f64(node, "one", &real)) found[1] = (float)real;
  if (g->attr_i64s(node, "one", &integers, &count)) found[2] = (float)count;
  if (g->attr_f64s(node, "list", &reals, &count)) found[3] = (float)(reals[0] + reals[1] + (double)count);
  if (!g->attr_i64s(node, "list", &integers, &count)) found[4] = 0;
  if (g->attr_str(node, "list", &text)) found[5] = (float)strlen(text);
  if (g->attr_str(node, "blobs", &text)) found[6] = strcmp(text, "weights") == 0;
  if (g->tensor(graph, g->port(node, 0, 1), &blob, NULL) == IEC_OK && blob.data)
    found[7] = ((const float *)blob.data)[1];
  *out = (iec_kernel_state *)found;
  *out_scratch_size = 0;
  return IEC_OK;
}

static iec_status read_run(const iec_kernel_state *state, const iec_tensor *const *inputs, size_t input_count,
                           iec_tensor *const *outputs, size_t output_count, void *scratch, iec_error *err) {
  (void)inputs, (void)input_count, (void)output_count, (void)scratch, (void)err;
  memcpy(outputs[0]->data, state, 8 * sizeof(float));
  return IEC_OK;
}

/* ---- REPLACED, a kind that CPU has: zeros, which it would not give */

static iec_status zeros_run(const iec_kernel_state *state, const iec_tensor *const *inputs,
                            size_t input_count, iec_tensor *const *outputs, size_t output_count,
                            void *scratch, iec_error *err) {
  (void)state, (void)inputs, (void)input_count, (void)output_count, (void)scratch, (void)err;
  memset(outputs[0]->data, 0, outputs[0]->size_bytes);
  return IEC_OK;
}

static const iec_op_def scale_op = {
    .struct_size = sizeof scale_op, .type = "CScale", .infer_shapes = scale_shapes};
static const iec_op_def split_op = {
    .struct_size = sizeof split_op, .type = "CSplit", .infer_shapes = split_shapes};
static const iec_op_def read_op = {
    .struct_size = sizeof read_op, .type = "CRead", .infer_shapes = read_shapes};
static const iec_op_def *const ops[] = {&scale_op, &split_op, &read_op};

static const iec_kernel_def scale = {.struct_size = sizeof scale,
                                     .priority = 100,
                                     .device = "CPU",
                                     .kind = "CScale",
                                     .impl_name = "c_scale",
                                     .supports = scale_supports,
                                     .prepare = scale_prepare,
                                     .run = scale_run,
                                     .release = scale_release};
static const iec_kernel_def split = {.struct_size = sizeof split,
                                     .priority = 100,
                                     .device = "CPU",
                                     .kind = "CSplit",
                                     .impl_name = "c_split",
                                     .supports = always,
                                     .run = split_run};
static const iec_kernel_def read_all = {.struct_size = sizeof read_all,
                                        .priority = 100,
                                        .device = "CPU",
                                        .kind = "CRead",
                                        .impl_name = "c_read",
                                        .supports = always,
                                        .prepare = read_prepare,
                                        .run = read_run,
                                        .release = scale_release};
static const iec_kernel_def elsewhere = {.struct_size = sizeof elsewhere,
                                         .priority = 900,
                                         .device = "ELSEWHERE",
                                         .kind = "CScale",
                                         .impl_name = "elsewhere",
                                         .supports = always,
                                         .run = zeros_run};
static const iec_kernel_def replacing = {.struct_size = sizeof replacing,
                                         .priority = PRIORITY,
                                         .device = "CPU",
                                         .kind = REPLACED,
                                         .impl_name = "zeros",
                                         .supports = always,
#ifndef NO_RUN
                                         .run = zeros_run
#endif
};
static const iec_kernel_def *const kernels[] = {&scale, &split, &read_all, &elsewhere, &replacing};

static const iec_extension_api table = {
#ifdef SHORT_TABLE
    .struct_size = 16,
#else
    .struct_size = sizeof table,
#endif
    .abi_version = (MAJOR << 16) | IEC_ABI_MINOR,
#ifndef NO_NAME
    .name = "test extension",
#endif
    .version = "3",
    .kernels = kernels,
    .kernel_count = sizeof kernels / sizeof kernels[0],
    .ops = ops,
    .op_count = sizeof ops / sizeof ops[0]};

iec_status iec_extension_query(uint32_t host_abi, const iec_extension_api **out, iec_error *err);

iec_status iec_extension_query(uint32_t host_abi, const iec_extension_api **out, iec_error *err) {
  (void)host_abi, (void)err;
  *out = &table;
  return IEC_OK;
}
