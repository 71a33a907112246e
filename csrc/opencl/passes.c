/* SPDX-License-Identifier: Apache-2.0 */
/* What is rewritten before a plan is made: reshapes become aliases, element-wise ops posts of the kernel
 * before them. */
#include <string.h>

#include "opencl/kind.h"

/* A reshape of something that is not also another network output keeps its memory. */
static void alias(gpu_graph *graph) {
  for (int32_t i = 0; i < graph->op_count; i++) {
    gpu_op *op = graph->ops[i];
    if (!op || strcmp(op->kind, "Reshape") || op->input_count < 1 || op->output_count < 1 || !op->inputs[0] ||
        !op->outputs[0])
      continue;
    if (op->inputs[0]->count != op->outputs[0]->count || op->inputs[0]->dtype != op->outputs[0]->dtype)
      continue;
    op->outputs[0]->base = op->inputs[0];
    op->state = GPU_OP_REMOVED;
    graph->ops[i] = NULL;
  }
}

/* Results that nobody reads are not computed. */
static void remove_dead(gpu_graph *graph) {
  for (int32_t i = graph->op_count - 1; i >= 0; i--) {
    gpu_op *op = graph->origins[i];
    int used = 0;
    for (int32_t o = 0; o < op->output_count; o++)
      used |= op->outputs[o] && (op->outputs[o]->user_count > 0 || op->outputs[o]->output_count > 0);
    if (used) continue;
    for (int32_t k = 0; k < op->input_count; k++)
      if (op->inputs[k]) op->inputs[k]->user_count--;
    op->state = GPU_OP_REMOVED;
    graph->ops[i] = NULL;
  }
}

/* Is a constant one float for all, or one for each channel of a result of that shape? */
static int is_channel_data(const gpu_value *value, const gpu_value *result, int64_t channels, int64_t inner) {
  if (!value || !value->data || value->dtype != IEC_F32) return 0;
  if (value->count == 1) return value->ndim <= result->ndim;
  if (value->count != channels || value->ndim > result->ndim) return 0;
  int64_t behind = 1;
  for (int32_t a = result->ndim - 1; a >= 0; a--) { /* the one axis that is not 1 must be the channels */
    int32_t own = a - (result->ndim - value->ndim);
    if (own >= 0 && value->shape[own] != 1) return result->shape[a] == channels && behind == inner;
    behind *= result->shape[a];
  }
  return 0;
}

typedef struct fusion {
  gpu_op *into, *op;
  int32_t from; /* the port of op that into feeds */
  int64_t channels, inner;
  gpu_value *addend;
} fusion;

static int unary_post(const fusion *f, gpu_post *post) {
  post->type = GPU_POST_UNARY;
  post->op = gpu_index(gpu_str(f->op, "op", ""), gpu_unary_names);
  post->alpha = (float)gpu_float(f->op, "alpha", 0);
  post->beta = (float)gpu_float(f->op, "beta", 0);
  post->gamma = (float)gpu_float(f->op, "gamma", 0);
  if (post->op == gpu_index("power", gpu_unary_names) && post->alpha == 1) { /* gamma + beta * x */
    post->type = GPU_POST_CHANNEL;
    post->data[0].fixed = post->beta;
    post->data[1].fixed = post->gamma;
  }
  return post->op >= 0 && post->op < GPU_FUSED;
}

static int binary_post(fusion *f, gpu_post *post) {
  const char *name = gpu_str(f->op, "op", "");
  gpu_value *other = f->op->inputs[1 - f->from], *x = f->op->inputs[f->from];
  const int second = f->from == 0; /* x is the first operand */
  if (!other || !gpu_same_shape(x, f->op->outputs[0])) return 0;
  if (strcmp(name, "add") == 0 && !other->data && gpu_same_shape(other, x) && !f->into->sum && other != x) {
    post->type = GPU_POST_SUM;
    f->addend = other;
    return 1;
  }
  if (!is_channel_data(other, x, f->channels, f->inner)) return 0;
  if (strcmp(name, "prelu") == 0 && second) {
    post->type = GPU_POST_PRELU;
    post->data[0].value = other;
    return 1;
  }
  post->type = GPU_POST_CHANNEL;
  post->data[0].fixed = 1;
  if (strcmp(name, "add") == 0 || strcmp(name, "sub") == 0) {
    post->data[1].value = other;
    if (name[0] == 's' && second) post->data[1].negate = 1;
    if (name[0] == 's' && !second) post->data[0].fixed = -1;
    return 1;
  }
  if (strcmp(name, "mul") && (strcmp(name, "div") || !second)) return 0;
  post->data[0].value = other;
  post->data[0].invert = name[0] == 'd';
  return 1;
}

static int quantize_post(const fusion *f, gpu_post *post) {
  post->type = GPU_POST_QUANTIZE;
  post->alpha = (float)(gpu_int(f->op, "levels", 2) - 1);
  for (int k = 0; k < 4; k++) {
    const gpu_value *limit = gpu_input(f->op, 1 + k);
    if (!is_channel_data(limit, f->op->inputs[0], f->channels, f->inner)) return 0;
    post->data[k].value = limit;
  }
  return f->from == 0 && gpu_same_shape(f->op->inputs[0], f->op->outputs[0]);
}

static int make_post(fusion *f, gpu_post *post) {
  memset(post, 0, sizeof *post);
  if (strcmp(f->op->kind, "Unary") == 0) return unary_post(f, post);
  if (strcmp(f->op->kind, "Binary") == 0) return binary_post(f, post);
  return strcmp(f->op->kind, "FakeQuantize") == 0 && quantize_post(f, post);
}

/* The op that computes an input of `op`, when `op` can run behind it. */
static int can_fuse(const gpu_op *op, int32_t port, fusion *f) {
  gpu_value *value = op->inputs[port];
  if (!value || value->base || value->user_count != 1 || value->output_count || value->input_index >= 0)
    return 0;
  gpu_op *into = value->producer;
  if (!into || into->state != GPU_OP_LIVE || !into->impl || !into->impl->channels ||
      into->post_count == GPU_MAX_POSTS)
    return 0;
  if (value->dtype != IEC_F32 || op->outputs[0]->dtype != IEC_F32) return 0;
  f->into = into;
  f->from = port;
  f->channels = into->impl->channels(into, &f->inner);
  return f->channels > 0;
}

/* `into` gives op's result and takes its place in the order. */
static void merge(gpu_graph *graph, const fusion *f, int32_t at, const gpu_post *post) {
  gpu_op *into = f->into, *op = f->op;
  into->posts[into->post_count++] = *post;
  if (f->addend) into->sum = f->addend;
  into->outputs[0] = op->outputs[0];
  op->outputs[0]->producer = into;
  op->state = GPU_OP_FUSED;
  op->into = into;
  for (int32_t i = 0; i < at; i++)
    if (graph->ops[i] == into) graph->ops[i] = NULL;
  graph->ops[at] = into;
}

static void fuse(gpu_graph *graph) {
  for (int32_t i = 0; i < graph->op_count; i++) {
    gpu_op *op = graph->ops[i];
    if (!op || !op->impl || op->output_count < 1 || !op->outputs[0]) continue;
    for (int32_t port = 0; port < 2 && port < op->input_count; port++) {
      fusion f = {.op = op};
      gpu_post post;
      if (!can_fuse(op, port, &f) || !make_post(&f, &post)) continue;
      merge(graph, &f, i, &post);
      break;
    }
  }
}

iec_status gpu_passes_run(gpu_graph *graph, iec_error *err) {
  for (int32_t i = 0; i < graph->op_count; i++)
    if (!graph->ops[i]->impl)
      return gpu_fail(
          err, IEC_NOT_IMPLEMENTED, graph->ops[i]->layer,
          "the GPU device cannot run layer %s of type %s (kind %s) with these parameters or sizes; HETERO:GPU,CPU can",
          graph->ops[i]->layer, graph->ops[i]->layer_type, graph->ops[i]->kind);
  if (graph->unroll) GPU_TRY(gpu_loops_unroll(graph, err));
  remove_dead(graph);
  alias(graph);
  fuse(graph);
  return IEC_OK;
}
