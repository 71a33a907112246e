/* SPDX-License-Identifier: Apache-2.0 */
/* Operations fused behind convolutions, pools and matrix products, applied to results that are still in cache. */
#ifndef IEC_CPU_POST_H
#define IEC_CPU_POST_H
#include <math.h>

#include "cpu/kernel.h"
#include "cpu/kernels/block.h"

typedef struct post_set {
  cpu_post posts[CPU_MAX_POSTS];
  int32_t count;
  int32_t clean; /* results of 0 stay 0: lanes past the last channel need no clearing */
} post_set;

static inline int post_unary_known(int32_t op) {
  switch (op) {
    case CPU_UNARY_RELU: case CPU_UNARY_CLAMP: case CPU_UNARY_ABS: case CPU_UNARY_NEG: case CPU_UNARY_SQUARE:
    case CPU_UNARY_SQRT: case CPU_UNARY_HSWISH: case CPU_UNARY_HSIGMOID: case CPU_UNARY_HARD_SIGMOID:
    case CPU_UNARY_SIGMOID: case CPU_UNARY_TANH: case CPU_UNARY_ELU: case CPU_UNARY_EXP: case CPU_UNARY_SWISH: return 1;
    default: return 0;
  }
}

/* The can_fuse of every kernel that ends in post_pixels, post_plain or post_row. */
static inline int32_t post_can_fuse(const cpu_node *node, const cpu_post *post) {
  if (node->post_count >= CPU_MAX_POSTS) return 0;
  return post->type != CPU_POST_UNARY || post_unary_known(post->op);
}

static inline void post_init(post_set *set, const cpu_node *node) {
  set->count = node->post_count;
  set->clean = 1;
  for (int32_t i = 0; i < node->post_count; i++) {
    const cpu_post *p = set->posts + i;
    set->posts[i] = node->posts[i];
    if (p->type != CPU_POST_UNARY) continue;
    switch (p->op) {
      case CPU_UNARY_RELU: case CPU_UNARY_ABS: case CPU_UNARY_NEG: case CPU_UNARY_SQUARE: case CPU_UNARY_SQRT:
      case CPU_UNARY_HSWISH: case CPU_UNARY_TANH: case CPU_UNARY_ELU: case CPU_UNARY_SWISH: break;
      case CPU_UNARY_CLAMP: set->clean = set->clean && p->alpha <= 0 && p->beta >= 0; break;
      default: set->clean = 0;
    }
  }
}

/* One value; formulas of docs/kinds.md. NaN passes. */
static inline float post_unary(const cpu_post *p, float x) {
  switch (p->op) {
    case CPU_UNARY_RELU: return x < 0 ? x * p->alpha : x;
    case CPU_UNARY_CLAMP: x = x < p->alpha ? p->alpha : x; return x > p->beta ? p->beta : x;
    case CPU_UNARY_ABS: return fabsf(x);
    case CPU_UNARY_NEG: return -x;
    case CPU_UNARY_SQUARE: return x * x;
    case CPU_UNARY_SQRT: return sqrtf(x);
    case CPU_UNARY_SIGMOID: return 1.0f / (1.0f + expf(-x));
    case CPU_UNARY_TANH: return tanhf(x);
    case CPU_UNARY_ELU: return x < 0 ? p->alpha * expm1f(x) : x;
    case CPU_UNARY_EXP: return expf(x);
    case CPU_UNARY_SWISH: return x / (1.0f + expf(-p->alpha * x));
    default: break;
  }
  float a = p->op == CPU_UNARY_HARD_SIGMOID ? p->alpha : 1.0f / 6.0f;
  float b = p->op == CPU_UNARY_HARD_SIGMOID ? p->beta : 0.5f;
  float s = a * x + b;
  s = s < 0 ? 0 : s;
  s = s > 1 ? 1 : s;
  return p->op == CPU_UNARY_HSWISH ? x * s : s;
}

/* `count` values of one channel. */
static inline void post_plain(const post_set *set, const cpu_run *run, float *y, int64_t count, int64_t channel) {
  for (int32_t i = 0; i < set->count; i++) {
    const cpu_post *p = set->posts + i;
    float scale = p->scale ? p->scale[channel] : 1.0f, shift = p->shift ? p->shift[channel] : 0.0f;
    const float *other = NULL;
    switch (p->type) {
      case CPU_POST_UNARY:
        for (int64_t j = 0; j < count; j++) y[j] = post_unary(p, y[j]);
        break;
      case CPU_POST_SUM:
        other = (const float *)run->inputs[p->input] + (y - (const float *)run->outputs[0]);
        for (int64_t j = 0; j < count; j++) y[j] += other[j];
        break;
      case CPU_POST_CHANNEL:
        for (int64_t j = 0; j < count; j++) y[j] = y[j] * scale + shift;
        break;
      case CPU_POST_PRELU:
        for (int64_t j = 0; j < count; j++) y[j] = y[j] > 0 ? y[j] : y[j] * scale;
        break;
    }
  }
}

/* `count` values of channels channel, channel+1, ... */
static inline void post_row(const post_set *set, const cpu_run *run, float *y, int64_t count, int64_t channel) {
  for (int64_t j = 0; j < count; j++) post_plain(set, run, y + j, 1, channel + j);
}

static inline blk post_unary_blk(const cpu_post *p, blk x) {
  const blk zero = {0};
  switch (p->op) {
    case CPU_UNARY_RELU: return p->alpha == 0 ? blk_max(zero, x) : blk_select(x < zero, x * p->alpha, x);
    case CPU_UNARY_CLAMP: return blk_min(blk_set(p->beta), blk_max(blk_set(p->alpha), x));
    case CPU_UNARY_HSWISH: case CPU_UNARY_HSIGMOID: case CPU_UNARY_HARD_SIGMOID: {
      int hard = p->op == CPU_UNARY_HARD_SIGMOID;
      blk s = x * (hard ? p->alpha : 1.0f / 6.0f) + (hard ? p->beta : 0.5f);
      s = blk_min(blk_set(1.0f), blk_max(zero, s));
      return p->op == CPU_UNARY_HSWISH ? x * s : s;
    }
    default:
      for (int i = 0; i < BLK_LANES; i++) x[i] = post_unary(p, x[i]);
      return x;
  }
}

/* `pixels` runs of 16 channels from `channel`, `stride` floats apart; lanes past `channels` (the tensor's) end as 0.
 * `y` lies in output 0. */
static inline void post_pixels(const post_set *set, const cpu_run *run, float *y, int64_t pixels, int64_t stride,
                               int64_t channel, int64_t channels) {
  for (int32_t i = 0; i < set->count; i++) {
    const cpu_post *p = set->posts + i;
    ptrdiff_t apart = p->type == CPU_POST_SUM ? (const float *)run->inputs[p->input] - (const float *)run->outputs[0] : 0;
    for (int part = 0; part < 16; part += BLK_LANES) {
      blk scale = p->scale ? blk_load(p->scale + channel + part) : blk_set(1.0f);
      blk shift = p->shift ? blk_load(p->shift + channel + part) : blk_set(0.0f);
      float *v = y + part;
      switch (p->type) {
        case CPU_POST_UNARY:
          for (int64_t j = 0; j < pixels; j++) blk_store(v + j * stride, post_unary_blk(p, blk_load(v + j * stride)));
          break;
        case CPU_POST_SUM:
          for (int64_t j = 0; j < pixels; j++)
            blk_store(v + j * stride, blk_load(v + j * stride) + blk_load(v + j * stride + apart));
          break;
        case CPU_POST_CHANNEL:
          for (int64_t j = 0; j < pixels; j++) blk_store(v + j * stride, blk_load(v + j * stride) * scale + shift);
          break;
        case CPU_POST_PRELU:
          for (int64_t j = 0; j < pixels; j++) {
            blk x = blk_load(v + j * stride);
            blk_store(v + j * stride, blk_select(x > blk_set(0.0f), x, x * scale));
          }
          break;
      }
    }
  }
  if (!set->clean && channel + 16 > channels)
    for (int64_t j = 0; j < pixels; j++)
      for (int64_t lane = channels - channel; lane < 16; lane++) y[j * stride + lane] = 0;
}
#endif
