/* SPDX-License-Identifier: Apache-2.0 */
/* The geometry that convolutions and pools share: every spatial rank from 1 to 3 becomes depth, height,
 * width. */
#ifndef IEC_CPU_CONV_COMMON_H
#define IEC_CPU_CONV_COMMON_H
#include "cpu/kernels/common.h"

#define CONV_FEW 8 /* channels below which a plain input wastes less than a blocked one */

typedef struct conv_geom {
  int64_t n, c, o;       /* batch, input and output channels */
  int64_t g, cg, og;     /* groups, input and output channels of a group */
  int64_t in[3], out[3]; /* D, H, W; absent axes are 1 with stride 1 and no padding */
  int64_t k[3], stride[3], dil[3], pad[3];
  int64_t in_size, out_size, taps; /* products of in, out, k */
} conv_geom;

static inline int conv_few_channels(const conv_geom *q) { return q->g == 1 && q->c < CONV_FEW; }

/* Fills out[3] from an attribute of `rank` ints; absent: `preset` everywhere. 0 when it has another length or
 * a value outside lo..2^31-1. */
static inline int conv_ints(const cpu_node *node, const char *name, int rank, int64_t preset, int64_t lo,
                            int64_t out[3]) {
  const int64_t *v = NULL;
  size_t count = 0;
  out[0] = out[1] = out[2] = name[0] == 'p' ? 0 : 1;
  if (!node->api->attr_i64s(node->source, name, &v, &count)) {
    for (int i = 3 - rank; i < 3; i++) out[i] = preset;
    return 1;
  }
  if (count != (size_t)rank) return 0;
  for (int i = 0; i < rank; i++) {
    if (v[i] < lo || v[i] > INT32_MAX) return 0;
    out[3 - rank + i] = v[i];
  }
  return 1;
}

/* Batch, channels and spatial sizes of input and output; 0 when they are not [N,C,s...] of the same rank and
 * batch. */
static inline int conv_sizes(const cpu_node *node, conv_geom *geom) {
  const cpu_tensor *x = node->input_count > 0 ? node->inputs[0] : NULL;
  const cpu_tensor *y = node->output_count > 0 ? node->outputs[0] : NULL;
  if (!x || !y) return 0;
  if (x->ndim < 3 || x->ndim > 5 || y->ndim != x->ndim || y->shape[0] != x->shape[0]) return 0;
  int rank = x->ndim - 2;
  geom->n = x->shape[0];
  geom->c = x->shape[1];
  geom->o = y->shape[1];
  for (int i = 0; i < 3; i++) {
    int absent = i < 3 - rank;
    geom->in[i] = absent ? 1 : x->shape[2 + i - (3 - rank)];
    geom->out[i] = absent ? 1 : y->shape[2 + i - (3 - rank)];
    if (geom->in[i] > INT32_MAX || geom->out[i] > INT32_MAX) return 0; /* times a stride it still fits */
  }
  geom->in_size = geom->in[0] * geom->in[1] * geom->in[2];
  geom->out_size = geom->out[0] * geom->out[1] * geom->out[2];
  return 1;
}

/* The attributes strides, dilations and pads_begin. */
static inline int conv_window(const cpu_node *node, conv_geom *geom) {
  int rank = node->inputs[0]->ndim - 2;
  geom->taps = geom->k[0] * geom->k[1] * geom->k[2];
  return conv_ints(node, "strides", rank, 1, 1, geom->stride) &&
         conv_ints(node, "dilations", rank, 1, 1, geom->dil) &&
         conv_ints(node, "pads_begin", rank, 0, INT32_MIN, geom->pad);
}

/* 1 when the weights can be packed and the input can come in channel blocks: constants stay plain, and blocks
 * want something in them. */
static inline int conv_can_block(const cpu_node *node) {
  if (!op_count(node->inputs[0]) || !op_count(node->inputs[1]) || !op_count(node->outputs[0])) return 0;
  return node->inputs[1]->data && !node->inputs[0]->data && (!op_in(node, 2) || node->inputs[2]->data);
}

/* Geometry of Conv (transposed 0: w [G,O/G,C/G,k...]) or Deconv (1: w [G,C/G,O/G,k...]) with weights in input
 * `wi`, of any types. 0 when the node is malformed. */
static inline int conv_shapes(const cpu_node *node, int transposed, int wi, conv_geom *geom) {
  const cpu_tensor *w = node->input_count > wi ? node->inputs[wi] : NULL;
  if (!w || !conv_sizes(node, geom)) return 0;
  int rank = node->inputs[0]->ndim - 2;
  if (w->ndim != rank + 3) return 0;
  geom->g = w->shape[0];
  geom->og = w->shape[transposed ? 2 : 1];
  geom->cg = w->shape[transposed ? 1 : 2];
  if (geom->g < 1 || geom->g * geom->cg != geom->c || geom->g * geom->og != geom->o) return 0;
  for (int i = 0; i < 3; i++) geom->k[i] = i < 3 - rank ? 1 : w->shape[3 + i - (3 - rank)];
  for (int i = 0; i < 3; i++)
    if (geom->k[i] < 1 || geom->k[i] > INT32_MAX) return 0;
  return conv_window(node, geom);
}

/* The same; 0 also when it is not float32. */
static inline int conv_geometry(const cpu_node *node, int transposed, int wi, conv_geom *geom) {
  return op_is(node, 0, IEC_F32) && op_is(node, wi, IEC_F32) && node->output_count > 0 && node->outputs[0] &&
         node->outputs[0]->dtype == IEC_F32 && conv_shapes(node, transposed, wi, geom);
}

/* An optional bias of O floats in input `index`; 0 when it is there but is something else. */
static inline int conv_bias_ok(const cpu_node *node, int index, int64_t o) {
  const cpu_tensor *b = node->input_count > index ? node->inputs[index] : NULL;
  return !b || (b->dtype == IEC_F32 && op_count(b) == o);
}

/* The taps [*first, *end) of an axis that read inside the input for output `o` (window start + tap * dil in
 * [0, in)). */
static inline void conv_valid_taps(const conv_geom *geom, int axis, int64_t o, int64_t *first, int64_t *end) {
  int64_t start = o * geom->stride[axis] - geom->pad[axis], d = geom->dil[axis];
  *first = start < 0 ? op_div_up(-start, d) : 0;
  *end = start >= geom->in[axis] ? 0 : op_min(geom->k[axis], op_div_up(geom->in[axis] - start, d));
  if (*first > *end) *first = *end;
}

/* The outputs [*first, *end) of an axis whose taps all read inside the input. */
static inline void conv_inner(const conv_geom *geom, int axis, int64_t *first, int64_t *end) {
  int64_t last =
      geom->in[axis] - 1 - (geom->k[axis] - 1) * geom->dil[axis] + geom->pad[axis]; /* largest start inside */
  *first = op_min(geom->out[axis], geom->pad[axis] > 0 ? op_div_up(geom->pad[axis], geom->stride[axis]) : 0);
  *end = last < 0 ? *first : op_max(*first, op_min(geom->out[axis], last / geom->stride[axis] + 1));
}

/* A walk over the output rows of blocked maps in the order of op_place. */
typedef struct conv_row {
  int64_t image, block, depth, height;
  int64_t left; /* rows that follow in the same block and band; 0 at first */
} conv_row;

/* Goes to row number `item`, the one behind the last or the first one of a chunk. */
static inline void conv_next_row(conv_row *row, const cpu_run *run, const conv_geom *q, int64_t blocks,
                                 int64_t item) {
  if (row->left) {
    row->left--;
    if (++row->height < q->out[1]) return;
    row->height = 0;
    if (++row->depth < q->out[0]) return;
    row->depth = 0;
    row->image++;
    return;
  }
  int64_t at, rows = q->out[0] * q->out[1];
  row->left = op_place(run, item, blocks, q->n * rows, &row->block, &at) - 1;
  row->image = at / rows;
  row->depth = at % rows / q->out[1];
  row->height = at % q->out[1];
}

/* Where a row of a map with `blocks` blocks lies, in rows. */
static inline int64_t conv_row_at(const conv_row *row, const conv_geom *q, int64_t blocks) {
  return ((row->image * blocks + row->block) * q->out[0] + row->depth) * q->out[1] + row->height;
}
#endif
