/* SPDX-License-Identifier: Apache-2.0 */
/* Folds scale and shift behind a convolution or matrix product into its constant weights and bias. */
#include <string.h>

#include "cpu/passes.h"

/* Where the output channels lie in the weights: element i belongs to channel (i / inner) % channels of its
 * group. */
typedef struct weight_map {
  int64_t groups, outer, channels, inner; /* sizes: [groups][outer][channels][inner] */
} weight_map;

static int map_weights(const cpu_op *op, weight_map *out) {
  if (op->input_count < 2 || !op->inputs[0] || !op->inputs[1] || op->output_count != 1) return 0;
  const cpu_tensor *w = &op->inputs[1]->tensor;
  if (!w->data || w->dtype != IEC_F32) return 0;
  *out = (weight_map){1, 1, 1, 1};
  if (strcmp(op->kind, "MatMul") == 0) {
    if (w->ndim != 2 || op->inputs[0]->tensor.ndim < 2) return 0;
    int transposed = cpu_op_i64(op, "transpose_b", 0) != 0;
    out->outer = transposed ? 1 : w->shape[0];
    out->channels = w->shape[transposed ? 0 : 1];
    out->inner = transposed ? w->shape[1] : 1;
    return 1;
  }
  int deconv = strcmp(op->kind, "Deconv") == 0;
  if ((!deconv && strcmp(op->kind, "Conv") != 0) || w->ndim < 4) return 0;
  out->groups = w->shape[0];
  out->outer = deconv ? w->shape[1] : 1;
  out->channels = w->shape[deconv ? 2 : 1];
  out->inner = deconv ? 1 : w->shape[2];
  for (int32_t i = 3; i < w->ndim; ++i) out->inner *= w->shape[i];
  return 1;
}

static iec_status scale_weights(cpu_graph *graph, cpu_op *op, const weight_map *map, const float *scale,
                                iec_error *err) {
  const cpu_tensor *old = &op->inputs[1]->tensor;
  cpu_value *value = cpu_graph_constant(graph, IEC_F32, old->ndim, old->shape, op->inputs[1]->name);
  if (!value) return cpu_graph_no_memory(err);
  const float *from = old->data;
  float *to = value->owned;
  for (int64_t g = 0; g < map->groups; ++g)
    for (int64_t o = 0; o < map->outer; ++o)
      for (int64_t c = 0; c < map->channels; ++c)
        for (int64_t i = 0; i < map->inner; ++i) *to++ = *from++ * scale[g * map->channels + c];
  return cpu_graph_set_input(graph, op, 1, value, err);
}

static iec_status change_bias(cpu_graph *graph, cpu_op *op, const cpu_affine *affine, iec_error *err) {
  const cpu_value *old = op->input_count > 2 ? op->inputs[2] : NULL;
  if (!old && !affine->shift) return IEC_OK;
  cpu_value *value = cpu_graph_constant(graph, IEC_F32, 1, &affine->channels, op->name);
  if (!value) return cpu_graph_no_memory(err);
  float *to = value->owned;
  for (int64_t c = 0; c < affine->channels; ++c) {
    float bias = old ? ((const float *)old->tensor.data)[c] : 0.0f;
    to[c] = bias * (affine->scale ? affine->scale[c] : 1.0f) + (affine->shift ? affine->shift[c] : 0.0f);
  }
  if (op->input_count < 3) op->input_count = 3;
  return cpu_graph_set_input(graph, op, 2, value, err);
}

iec_status cpu_pass_scale(cpu_graph *graph, iec_error *err) {
  iec_status status = IEC_OK;
  for (int32_t i = 0; !status && i < graph->op_count; ++i) {
    cpu_op *op = graph->ops[i];
    weight_map map;
    if (!op || op->post_count || !map_weights(op, &map)) continue;
    const cpu_value *bias = op->input_count > 2 ? op->inputs[2] : NULL;
    if (bias && (!bias->tensor.data || bias->tensor.dtype != IEC_F32)) continue;
    cpu_op *user = cpu_value_only_user(op->outputs[0]);
    int found = 0;
    cpu_affine affine;
    if (user)
      status = cpu_affine_read(graph, user, op->outputs[0], cpu_channel_axis(op), &affine, &found, err);
    if (status || !found || affine.channels != map.groups * map.channels) continue;
    if (affine.scale) status = scale_weights(graph, op, &map, affine.scale, err);
    if (!status) status = change_bias(graph, op, &affine, err);
    if (!status) cpu_graph_merge(graph, op, user); /* op now stands further down and is met again there */
  }
  cpu_graph_compact(graph);
  return status;
}
