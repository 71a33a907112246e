/* SPDX-License-Identifier: Apache-2.0 */
/* From integer sums to results: scale and bias of each channel, fused operations, bytes or floats. */
#ifndef IEC_CPU_INT8_STORE_H
#define IEC_CPU_INT8_STORE_H
#include "cpu/kernels/common.h"

#define INT8_PIXELS 64 /* pixels that sums are made for and stored at once: they stay in the L1 cache */

typedef struct int8_store {
  cpu_post posts[CPU_MAX_POSTS];   /* between scale and bias and the step to bytes */
  cpu_grid addends[CPU_MAX_POSTS]; /* of those that add bytes; count 0: floats */
  int32_t post_count;
  int32_t to_bytes, to_levels; /* levels: results are quantised, but numbers */
  int32_t residual;            /* residual: the posts are one pass over a sum with bytes */
  int32_t saturates;           /* without posts or residual: the conversion to bytes alone keeps the limits */
  int64_t channels;            /* of output 0 */
  float *scale,
      *bias; /* x = sum * scale[c] + bias[c]; bytes without posts: the same in steps of the output */
  float *factor, *shift, *least, *most; /* bytes: q = x * factor[c] + shift[c] within least[c] and most[c] */
  float *level,
      *addend;          /* residual: x rounded within 0 and level[c] if quantised; q gains byte * addend[c] */
  float *step, *offset; /* levels: the number of q is q * step[c] + offset[c] */
} int8_store;

/* One member's memory for the sums of a piece of work and their store. */
typedef struct int8_buffers {
  int32_t sums[INT8_PIXELS * 16];
  float numbers[INT8_PIXELS * 16], addends[INT8_PIXELS * 16];
} int8_buffers;

/* scale[c] and bias[c] turn a sum into the number that the node computes in front of its posts. */
iec_status IEC_ISA(int8_store_init)(int8_store *store, const iec_host_api *host, const cpu_node *node,
                                    const float *scale, const float *bias, iec_error *err);
void IEC_ISA(int8_store_release)(int8_store *store, const iec_host_api *host);

/* Fetches the addends of a residual sum ahead: those of a later int8_store_block. */
static inline void int8_store_ahead(const int8_store *store, const cpu_run *run, int64_t at, int64_t count) {
  if (!store->residual) return;
  const uint8_t *addend = (const uint8_t *)run->inputs[store->posts[store->post_count - 1].input] + at;
  for (int64_t i = 0; i < count * 16; i += 64) __builtin_prefetch(addend + i);
}

/* The sums of `count` pixels of the 16 channels from `channel` on become results, `at` elements into output
 * 0, one block of 16 behind the other. */
void IEC_ISA(int8_store_block)(const int8_store *store, const cpu_run *run, int8_buffers *buffers,
                               const int32_t *sums, int64_t at, int64_t count, int64_t channel);
/* The same for `count` rows of a plain output, `channels` elements from one to the next. Sums with an addend
 * cannot be among the posts. */
void IEC_ISA(int8_store_columns)(const int8_store *store, const cpu_run *run, int8_buffers *buffers,
                                 int64_t at, int64_t count, int64_t channel);
#define int8_store_init IEC_ISA(int8_store_init)
#define int8_store_release IEC_ISA(int8_store_release)
#define int8_store_block IEC_ISA(int8_store_block)
#define int8_store_columns IEC_ISA(int8_store_columns)

/* The can_fuse of kernels that end in it: anything, up to the step to bytes. */
static inline int32_t int8_can_fuse(const cpu_node *node, const cpu_post *post) {
  (void)post;
  return node->post_count < CPU_MAX_POSTS && !node->outputs[0]->grid;
}
#endif
