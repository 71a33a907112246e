/* SPDX-License-Identifier: Apache-2.0 */
/* Fused operations behind convolutions, pools and matrix products. */
#include "cpu/kernels/post.h"
#include "cpu/kernels/vmath.h"

void post_init(post_set *set, const cpu_node *node) {
  set->count = node->post_count;
  set->clean = 1;
  for (int32_t i = 0; i < node->post_count; i++) {
    const cpu_post *p = node->posts + i;
    set->posts[i] = *p;
    if (p->type == CPU_POST_UNARY && vm_unary(p->op, vf_set(0), p->alpha, p->beta, p->gamma)[0] != 0.0f)
      set->clean = 0;
  }
}

/* The vectors of `y` in turn, with the part of a channel vector that belongs to each: parts vectors, then
 * from the first again. */
static __attribute__((noinline)) void apply(const cpu_post *p, float *y, const float *other, int64_t vectors,
                                            const vf *scale, const vf *shift, int parts) {
  vf zero = vf_set(0);
  int mask = parts - 1;
  switch (p->type) {
    case CPU_POST_UNARY:
      if (p->op == CPU_UNARY_RELU && p->alpha == 0.0f)
        for (int64_t j = 0; j < vectors; j++, y += VL) {
          vf x = vf_load(y);
          vf_store(y, vf_sel(x < zero, zero, x));
        }
      else if (p->op == CPU_UNARY_CLAMP)
        for (int64_t j = 0; j < vectors; j++, y += VL)
          vf_store(y, vm_clamp(vf_load(y), vf_set(p->alpha), vf_set(p->beta)));
      else
        for (int64_t j = 0; j < vectors; j++, y += VL)
          vf_store(y, vm_unary(p->op, vf_load(y), p->alpha, p->beta, p->gamma));
      break;
    case CPU_POST_SUM:
      for (int64_t j = 0; j < vectors; j++, y += VL, other += VL) vf_store(y, vf_load(y) + vf_load(other));
      break;
    case CPU_POST_CHANNEL:
      for (int64_t j = 0; j < vectors; j++, y += VL)
        vf_store(y, vf_load(y) * scale[j & mask] + shift[j & mask]);
      break;
    case CPU_POST_PRELU:
      for (int64_t j = 0; j < vectors; j++, y += VL) {
        vf x = vf_load(y);
        vf_store(y, vf_sel(x > zero, x, x * scale[j & mask]));
      }
      break;
  }
}

static const float *sum_input(const cpu_post *p, const cpu_run *run, const float *y) {
  return p->type == CPU_POST_SUM ? (const float *)run->inputs[p->input] + (y - (const float *)run->outputs[0])
                                 : NULL;
}

void post_plain(const post_set *set, const cpu_run *run, float *y, int64_t count, int64_t channel) {
  int64_t whole = count / VL, rest = count - whole * VL;
  for (int32_t i = 0; i < set->count; i++) {
    const cpu_post *p = set->posts + i;
    const float *other = sum_input(p, run, y);
    vf scale = vf_set(p->scale ? p->scale[channel] : 1.0f),
       shift = vf_set(p->shift ? p->shift[channel] : 0.0f);
    apply(p, y, other, whole, &scale, &shift, 1);
    if (rest) {
      float tail[VL], tail_other[VL] = {0};
      vf_store(tail, vf_load_n(y + whole * VL, rest));
      if (other) vf_store(tail_other, vf_load_n(other + whole * VL, rest));
      apply(p, tail, tail_other, 1, &scale, &shift, 1);
      memcpy(y + whole * VL, tail, (size_t)rest * sizeof *y);
    }
  }
}

static void channel_vectors(const cpu_post *p, int64_t channel, vf *scale, vf *shift) {
  for (int part = 0; part < 16 / VL; part++) {
    scale[part] = p->scale ? vf_load(p->scale + channel + part * VL) : vf_set(1.0f);
    shift[part] = p->shift ? vf_load(p->shift + channel + part * VL) : vf_set(0.0f);
  }
}

void post_row(const post_set *set, const cpu_run *run, float *y, int64_t count, int64_t channel) {
  vf scale[16 / VL], shift[16 / VL];
  for (int32_t i = 0; i < set->count; i++) {
    const cpu_post *p = set->posts + i;
    const float *other = sum_input(p, run, y);
    for (int64_t j = 0; j < count; j += 16) {
      channel_vectors(p, channel + j, scale, shift);
      if (j + 16 <= count) {
        apply(p, y + j, other ? other + j : NULL, 16 / VL, scale, shift, 16 / VL);
        continue;
      }
      float tail[16] = {0}, tail_other[16] = {0};
      size_t size = (size_t)(count - j) * sizeof *y;
      memcpy(tail, y + j, size);
      if (other) memcpy(tail_other, other + j, size);
      apply(p, tail, tail_other, 16 / VL, scale, shift, 16 / VL);
      memcpy(y + j, tail, size);
    }
  }
}

void post_blocked(const post_set *set, const cpu_run *run, float *y, int64_t pixels, int64_t channel,
                  int64_t channels) {
  vf scale[16 / VL], shift[16 / VL];
  for (int32_t i = 0; i < set->count; i++) {
    const cpu_post *p = set->posts + i;
    channel_vectors(p, channel, scale, shift);
    apply(p, y, sum_input(p, run, y), pixels * (16 / VL), scale, shift, 16 / VL);
  }
  if (!set->clean && channel + 16 > channels)
    for (int64_t j = 0; j < pixels; j++)
      for (int64_t lane = channels - channel; lane < 16; lane++) y[j * 16 + lane] = 0;
}
