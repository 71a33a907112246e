/* SPDX-License-Identifier: Apache-2.0 */
/* A convolution with a maximum pool among its posts, seen as the two nodes that it was. */
#ifndef IEC_CPU_FUSED_POOL_H
#define IEC_CPU_FUSED_POOL_H
#include "cpu/kernels/pool_common.h"

/* The pool among the posts, NULL: none. */
static inline const cpu_post *fused_pool(const cpu_node *node) {
  for (int32_t i = 0; i < node->post_count; i++)
    if (node->posts[i].type == CPU_POST_MAXPOOL) return node->posts + i;
  return NULL;
}

/* The convolution with the posts in front of the pool, or the node itself when it has none. */
static inline cpu_node fused_pool_conv(const cpu_node *node) {
  cpu_node conv = *node;
  const cpu_post *pool = fused_pool(node);
  if (!pool) return conv;
  conv.outputs = &pool->from;
  conv.post_count = (int32_t)(pool - node->posts);
  return conv;
}

/* The pool, without posts. */
static inline cpu_node fused_pool_node(const cpu_node *node, const cpu_post *post) {
  cpu_node pool = {.kind = "MaxPool", .name = node->name, .api = node->api, .source = post->behind};
  pool.inputs = &post->from;
  pool.outputs = &post->to;
  pool.input_count = pool.output_count = 1;
  return pool;
}

/* The maximum of what such a post makes is what it makes of the maximum: behind the pool it has less to do.
 */
static inline int fused_pool_keeps_order(const cpu_post *post, int64_t channels) {
  if (post->type == CPU_POST_UNARY) return post->op == CPU_UNARY_RELU && post->alpha > 0;
  if (post->type != CPU_POST_PRELU) return 0;
  for (int64_t c = 0; c < channels; c++)
    if (!(post->scale[c] > 0)) return 0;
  return 1;
}

/* How many posts of the convolution stay in front of the pool when all that can have moved behind it. */
static inline int32_t fused_pool_posts(const cpu_node *conv, int64_t channels) {
  int32_t count = conv->post_count;
  while (count && fused_pool_keeps_order(&conv->posts[count - 1], channels)) count--;
  return count;
}
#endif
