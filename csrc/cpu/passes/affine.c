/* SPDX-License-Identifier: Apache-2.0 */
/* Reads element-wise ops as x * scale[c] + shift[c]. */
#include <string.h>

#include "cpu/passes.h"

int32_t cpu_channel_axis(const cpu_op *op) {
  int32_t rank = op->outputs[0]->tensor.ndim;
  if (strcmp(op->kind, "MatMul") == 0) return rank - 1;
  if (strcmp(op->kind, "MVN") ==
      0) { /* a layer normalisation's scale and shift belong to the axis it normalises */
    const int64_t *axis = cpu_op_i64s(op, "axes", 1);
    if (axis && *axis == rank - 1) return rank - 1;
  }
  return rank >= 2 ? 1 : -1;
}

iec_status cpu_channel_constant(cpu_graph *graph, const cpu_tensor *constant, const cpu_tensor *to,
                                int32_t axis, float **out, iec_error *err) {
  *out = NULL;
  if (constant->dtype != IEC_F32 || !constant->data || constant->ndim > to->ndim || axis < 0) return IEC_OK;
  int64_t channels = to->shape[axis];
  int32_t shift = to->ndim - constant->ndim;
  int spread = 1;
  for (int32_t i = 0; i < constant->ndim; ++i) {
    if (constant->shape[i] == 1) continue;
    if (i + shift != axis || constant->shape[i] != channels) return IEC_OK;
    spread = 0;
  }
  float *values = cpu_graph_alloc(graph, (size_t)((channels + 15) / 16 * 16) * sizeof *values);
  if (!values) return cpu_graph_no_memory(err);
  const float *source = constant->data;
  for (int64_t c = 0; c < channels; ++c) values[c] = source[spread ? 0 : c];
  *out = values;
  return IEC_OK;
}

static void apply(float *values, int64_t count, float factor, int reciprocal) {
  for (int64_t i = 0; i < count; ++i) values[i] = reciprocal ? 1.0f / values[i] : factor * values[i];
}

/* The Unary power 1 of docs/kinds.md: gamma + beta * x. */
static iec_status read_power(cpu_graph *graph, const cpu_op *op, cpu_affine *out, int *out_found,
                             iec_error *err) {
  if (strcmp(cpu_op_str(op, "op", ""), "power") != 0 || cpu_op_f64(op, "alpha", 0) != 1) return IEC_OK;
  size_t size = (size_t)((out->channels + 15) / 16 * 16) * sizeof(float);
  out->scale = cpu_graph_alloc(graph, size);
  out->shift = cpu_graph_alloc(graph, size);
  if (!out->scale || !out->shift) return cpu_graph_no_memory(err);
  for (int64_t c = 0; c < out->channels; ++c) {
    out->scale[c] = (float)cpu_op_f64(op, "beta", 0);
    out->shift[c] = (float)cpu_op_f64(op, "gamma", 0);
  }
  *out_found = 1;
  return IEC_OK;
}

iec_status cpu_affine_read(cpu_graph *graph, const cpu_op *op, const cpu_value *value, int32_t axis,
                           cpu_affine *out, int *out_found, iec_error *err) {
  *out = (cpu_affine){.channels = axis >= 0 ? value->tensor.shape[axis] : 0};
  *out_found = 0;
  if (axis < 0 || value->tensor.dtype != IEC_F32 || op->output_count != 1 || op->post_count) return IEC_OK;
  if (!op->outputs[0] || !cpu_same_shape(&op->outputs[0]->tensor, &value->tensor)) return IEC_OK;
  if (strcmp(op->kind, "Unary") == 0) return read_power(graph, op, out, out_found, err);
  if (strcmp(op->kind, "Binary") != 0 || !op->inputs[0] || !op->inputs[1]) return IEC_OK;
  const char *name = cpu_op_str(op, "op", "");
  int left = op->inputs[0] == value;
  int add = strcmp(name, "add") == 0, sub = strcmp(name, "sub") == 0, mul = strcmp(name, "mul") == 0;
  int div = strcmp(name, "div") == 0 && left;
  if (!add && !sub && !mul && !div) return IEC_OK;
  float *constant = NULL;
  iec_status status =
      cpu_channel_constant(graph, &op->inputs[left]->tensor, &value->tensor, axis, &constant, err);
  if (status || !constant) return status;
  *out_found = 1;
  if (div) apply(constant, out->channels, 1, 1);
  if (mul || div) {
    out->scale = constant;
    return IEC_OK;
  }
  out->shift = constant;
  if (sub && left) apply(constant, out->channels, -1, 0);
  if (sub && !left) { /* constant - x */
    out->scale = cpu_graph_alloc(graph, (size_t)((out->channels + 15) / 16 * 16) * sizeof(float));
    if (!out->scale) return cpu_graph_no_memory(err);
    for (int64_t c = 0; c < out->channels; ++c) out->scale[c] = -1;
  }
  return IEC_OK;
}
