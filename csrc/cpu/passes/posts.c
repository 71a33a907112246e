/* SPDX-License-Identifier: Apache-2.0 */
/* Moves element-wise ops, and maximum pools, into the kernel whose result they read, where that kernel can
 * apply them in its store. */
#include <math.h>
#include <string.h>

#include "cpu/passes.h"

/* `user` as a unary post of the value it reads. */
static int read_unary(const cpu_op *user, cpu_post *out) {
  if (strcmp(user->kind, "Unary") != 0 || user->outputs[0]->tensor.dtype != IEC_F32) return 0;
  *out = (cpu_post){.type = CPU_POST_UNARY, .op = cpu_unary_code(cpu_op_str(user, "op", ""))};
  out->alpha = (float)cpu_op_f64(user, "alpha", 0);
  out->beta = (float)cpu_op_f64(user, "beta", 0);
  out->gamma = (float)cpu_op_f64(user, "gamma", 0);
  return out->op >= 0;
}

/* `user` as the sum of `value` and another activation of the same shape; kernels of quantised inputs add the
 * bytes that the other one is made of. */
static cpu_value *read_sum(const cpu_op *op, const cpu_op *user, cpu_post *out) {
  const cpu_value *value = op->outputs[0];
  if (strcmp(user->kind, "Binary") != 0 || strcmp(cpu_op_str(user, "op", ""), "add") != 0) return NULL;
  cpu_value *other = user->inputs[user->inputs[0] == value];
  if (!other || other == value || other->tensor.data || other->tensor.dtype != IEC_F32) return NULL;
  if (!cpu_same_shape(&other->tensor, &user->outputs[0]->tensor)) return NULL;
  if (!cpu_same_shape(&value->tensor, &user->outputs[0]->tensor)) return NULL;
  *out = (cpu_post){.type = CPU_POST_SUM};
  int is_made = other->producer && strcmp(other->producer->kind, CPU_DEQUANTIZE) == 0;
  return is_made && op->inputs[0]->tensor.grid ? other->producer->inputs[0] : other;
}

/* `user` as a slope or a scale and shift for each channel. */
static iec_status read_channel(cpu_graph *graph, const cpu_op *op, const cpu_op *user, cpu_post *out,
                               int *out_found, iec_error *err) {
  const cpu_value *value = op->outputs[0];
  int32_t axis = cpu_channel_axis(op);
  cpu_affine affine;
  iec_status status = cpu_affine_read(graph, user, value, axis, &affine, out_found, err);
  if (status) return status;
  if (*out_found) {
    *out = (cpu_post){.type = CPU_POST_CHANNEL,
                      .alpha = -INFINITY,
                      .beta = INFINITY,
                      .scale = affine.scale,
                      .shift = affine.shift};
    return IEC_OK;
  }
  if (strcmp(user->kind, "Binary") != 0 || strcmp(cpu_op_str(user, "op", ""), "prelu") != 0) return IEC_OK;
  if (user->inputs[0] != value || !user->inputs[1] ||
      !cpu_same_shape(&value->tensor, &user->outputs[0]->tensor))
    return IEC_OK;
  float *slope = NULL;
  status = cpu_channel_constant(graph, &user->inputs[1]->tensor, &value->tensor, axis, &slope, err);
  *out_found = slope != NULL;
  *out = (cpu_post){.type = CPU_POST_PRELU, .scale = slope};
  return status;
}

/* `user` as a maximum pool of what a kernel computes that has another one for both. */
static int read_pool(const cpu_op *op, const cpu_op *user, cpu_post *out) {
  if (!op->kernel->pooled || strcmp(user->kind, "MaxPool") != 0) return 0;
  *out = (cpu_post){.type = CPU_POST_MAXPOOL, .behind = (const iec_node *)user};
  out->from = &op->outputs[0]->tensor;
  out->to = &user->outputs[0]->tensor;
  return 1;
}

/* `user` as a depthwise convolution of it, likewise. */
static int read_depthwise(const cpu_op *op, const cpu_op *user, cpu_post *out) {
  if (!op->kernel->paired || strcmp(user->kind, "Conv") != 0 || user->inputs[0] != op->outputs[0]) return 0;
  if (user->input_count > 3 || !user->inputs[1] || op->post_count + 1 + user->post_count > CPU_MAX_POSTS)
    return 0;
  for (int32_t i = 0; i < user->post_count; ++i) /* what its own kernel has found to do with the map */
    if (user->posts[i].type == CPU_POST_MAXPOOL || user->posts[i].type == CPU_POST_DEPTHWISE) return 0;
  *out = (cpu_post){.type = CPU_POST_DEPTHWISE, .behind = (const iec_node *)user};
  out->from = &op->outputs[0]->tensor;
  out->to = &user->outputs[0]->tensor;
  out->weights = &user->inputs[1]->tensor;
  out->bias = user->input_count > 2 && user->inputs[2] ? &user->inputs[2]->tensor : NULL;
  return 1;
}

/* Beyond it the rounding of a factor would move values to the next level. */
static const int64_t MOST_LEVELS = 256;

/* `user` as FakeQuantize of constant limits for each channel, those of the input being in order. */
static iec_status read_quantize(cpu_graph *graph, const cpu_op *op, const cpu_op *user, cpu_post *out,
                                int *out_found, iec_error *err) {
  const cpu_tensor *value = &op->outputs[0]->tensor;
  int32_t axis = cpu_channel_axis(op);
  float *limits[4]; /* il, ih, ol, oh */
  if (user->input_count != 5 || user->inputs[0] != op->outputs[0] || axis < 0) return IEC_OK;
  if (!cpu_same_shape(value, &user->outputs[0]->tensor)) return IEC_OK;
  if (cpu_op_i64(user, "levels", 0) < 2 || cpu_op_i64(user, "levels", 0) > MOST_LEVELS) return IEC_OK;
  for (int32_t i = 0; i < 4; ++i) {
    if (!user->inputs[i + 1]) return IEC_OK;
    iec_status status =
        cpu_channel_constant(graph, &user->inputs[i + 1]->tensor, value, axis, &limits[i], err);
    if (status || !limits[i]) return status;
  }
  float steps = (float)(cpu_op_i64(user, "levels", 0) - 1);
  float *scale = cpu_graph_alloc(graph, (size_t)((value->shape[axis] + 15) / 16 * 16) * sizeof *scale);
  if (!scale) return cpu_graph_no_memory(err);
  for (int64_t c = 0; c < value->shape[axis]; ++c) {
    scale[c] = steps / (limits[1][c] - limits[0][c]);
    if (!(scale[c] > 0 && isfinite(scale[c]))) return IEC_OK;
    limits[3][c] = (limits[3][c] - limits[2][c]) / steps;
  }
  *out = (cpu_post){.type = user->outputs[0]->tensor.grid ? CPU_POST_GRID : CPU_POST_QUANTIZE,
                    .low = limits[0],
                    .high = limits[1],
                    .scale = scale,
                    .shift = limits[2],
                    .step = limits[3]};
  *out_found = 1;
  return IEC_OK;
}

static iec_status fuse_user(cpu_graph *graph, cpu_op *op, int *out_fused, iec_error *err) {
  *out_fused = 0;
  if (op->output_count != 1 || !op->outputs[0] || op->outputs[0]->tensor.dtype != IEC_F32) return IEC_OK;
  if (!op->kernel || !op->kernel->can_fuse) return IEC_OK;
  cpu_op *user = cpu_value_only_user(op->outputs[0]);
  if (!user || user->output_count != 1) return IEC_OK;
  if (user->kernel && user->kernel->closure) return IEC_OK; /* an extension wants to run it */
  cpu_post post;
  cpu_value *added[2] = {NULL, NULL};
  int found = 0;
  iec_status status = IEC_OK;
  if (read_depthwise(op, user, &post)) {
    added[0] = user->inputs[1];
    added[1] = user->input_count > 2 ? user->inputs[2] : NULL;
    found = 1;
  } else if (user->post_count) {
    return IEC_OK;
  } else if (read_unary(user, &post) || read_pool(op, user, &post))
    found = 1;
  else if ((added[0] = read_sum(op, user, &post)) != NULL)
    found = 1;
  else if (strcmp(user->kind, "FakeQuantize") == 0)
    status = read_quantize(graph, op, user, &post, &found, err);
  else
    status = read_channel(graph, op, user, &post, &found, err);
  if (status || !found) return status;
  const cpu_kernel *kernel = op->kernel;
  if (post.type == CPU_POST_MAXPOOL) op->kernel = kernel->pooled;
  if (post.type == CPU_POST_DEPTHWISE) op->kernel = kernel->paired;
  status = cpu_graph_fuse(graph, op, &post, added, out_fused, err);
  if (!*out_fused) op->kernel = kernel;
  if (status || !*out_fused) return status;
  for (int32_t i = 0; i < user->post_count; ++i) op->posts[op->post_count++] = user->posts[i];
  cpu_graph_merge(graph, op, user);
  return status;
}

static int is_heavy(const cpu_op *op) {
  return strcmp(op->kind, "Conv") == 0 || strcmp(op->kind, "Deconv") == 0 || strcmp(op->kind, "MatMul") == 0;
}

static iec_status fuse_users(cpu_graph *graph, cpu_op *op, iec_error *err) {
  iec_status status = IEC_OK;
  int fused = op != NULL;
  while (!status && fused) status = fuse_user(graph, op, &fused, err);
  return status;
}

iec_status cpu_pass_posts(cpu_graph *graph, iec_error *err) {
  iec_status status = IEC_OK;
  /* Last first: of two convolutions that are added, the later one takes the sum and the other's result is
   * there by then. */
  for (int32_t i = graph->op_count - 1; !status && i >= 0; --i)
    if (graph->ops[i] && is_heavy(graph->ops[i])) status = fuse_users(graph, graph->ops[i], err);
  for (int32_t i = 0; !status && i < graph->op_count; ++i) status = fuse_users(graph, graph->ops[i], err);
  cpu_graph_compact(graph);
  return status;
}
