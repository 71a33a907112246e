/* SPDX-License-Identifier: Apache-2.0 */
/* Operations fused behind convolutions, pools and matrix products, applied to results that are still in
 * cache. */
#ifndef IEC_CPU_POST_H
#define IEC_CPU_POST_H
#include "cpu/kernel.h"

/* How channels follow each other in output 0: `plane` elements of one channel, or of one block of 16. */
typedef struct post_shape {
  int64_t channels, plane;
  int32_t blocked;
} post_shape;

typedef struct post_set {
  cpu_post posts[CPU_MAX_POSTS + 1]; /* those that one pass over the values can do are one; post_lead's */
  int32_t count;
  int32_t clean; /* results of 0 stay 0: lanes past the last channel need no clearing */
  post_shape shape;
  int32_t addend;  /* after post_take: the input that the store adds, -1: none */
  int32_t limited; /* and 1 when it keeps results within these */
  float limits[2];
} post_set;

/* The can_fuse of every kernel that ends in one of the functions below. */
static inline int32_t post_can_fuse(const cpu_node *node, const cpu_post *post) {
  return node->post_count < CPU_MAX_POSTS && post->type != CPU_POST_GRID;
}

/* The can_fuse of kernels that end in post_range: a channel's operation wants long runs of that channel. */
int32_t IEC_ISA(post_can_fuse_range)(const cpu_node *node, const cpu_post *post);

/* Takes what a kernel's own store can do out of the front of the set: a sum (when `sum` says so), then
 * limits. */
void IEC_ISA(post_take)(post_set *set, int sum);
/* 1 when post_blocked has something left to do. */
static inline int post_left(const post_set *set) { return set->count || !set->clean; }

void IEC_ISA(post_init)(post_set *set, const cpu_node *node);
/* Puts a CPU_POST_CHANNEL in front of the others. */
void IEC_ISA(post_lead)(post_set *set, const cpu_post *first);
/* `count` values of one channel; `y` lies in output 0, here and below. */
void IEC_ISA(post_plain)(const post_set *set, const cpu_run *run, float *y, int64_t count, int64_t channel);
/* Rows `step` floats apart, each `count` values of channels channel, channel + 1, ...; channel is a multiple
 * of 16. */
void IEC_ISA(post_rows)(const post_set *set, const cpu_run *run, float *y, int64_t rows, int64_t step,
                        int64_t count, int64_t channel);
/* `pixels` blocks of 16 channels one behind the other, the first of them `channel`; lanes past `channels`
 * (the tensor's) end as 0. */
void IEC_ISA(post_blocked)(const post_set *set, const cpu_run *run, float *y, int64_t pixels, int64_t channel,
                           int64_t channels);

/* The same when the first one is that of post_lead, which takes the values from `x`. */
void IEC_ISA(post_scaled)(const post_set *set, const cpu_run *run, const float *x, float *y, int64_t pixels,
                          int64_t channel, int64_t channels);

/* One operation on `pixels` blocks of 16 channels anywhere, the first of them `channel`; `other`: the addends
 * of a sum. */
void IEC_ISA(post_block)(const cpu_post *post, float *y, const float *other, int64_t pixels, int64_t channel);

/* Elements [begin, end) of output 0, which starts at y; whole pixels when it is blocked. */
void IEC_ISA(post_range)(const post_set *set, const cpu_run *run, float *y, int64_t begin, int64_t end);

#define post_can_fuse_range IEC_ISA(post_can_fuse_range)
#define post_take IEC_ISA(post_take)
#define post_range IEC_ISA(post_range)
#define post_lead IEC_ISA(post_lead)
#define post_scaled IEC_ISA(post_scaled)
#define post_init IEC_ISA(post_init)
#define post_plain IEC_ISA(post_plain)
#define post_rows IEC_ISA(post_rows)
#define post_blocked IEC_ISA(post_blocked)
#define post_block IEC_ISA(post_block)
#endif
