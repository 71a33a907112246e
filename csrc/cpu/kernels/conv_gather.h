/* SPDX-License-Identifier: Apache-2.0 */
/* Padding and strides taken out of a convolution: a copy of the input in which neighbouring outputs read
 * neighbouring pixels.
 *
 * Along an axis of stride s, output o and tap t read input o*s + t*dil - pad. The residues t*dil mod s that
 * occur are the phases; the copy holds, phase by phase, the inputs phase, phase + s, phase + 2s, ... with
 * zeros for the padding, so that output o and tap t read element o + t*dil/s of their phase. */
#ifndef IEC_CPU_CONV_GATHER_H
#define IEC_CPU_CONV_GATHER_H
#include "cpu/kernels/conv_common.h"

#define GATHER_MAX_PHASES 8
/* Larger copies go to the reference kernel. */
#define GATHER_MAX_PIXELS ((int64_t)1 << 28) /* of one block */
#define GATHER_MAX_FLOATS ((int64_t)1 << 30) /* of all */

typedef struct gather_axis {
  int64_t phases, length; /* elements of each phase */
  int64_t residue[GATHER_MAX_PHASES];
} gather_axis;

typedef struct conv_gather {
  gather_axis axis[3];
  int32_t needed; /* 0: the input itself serves, from pixel `base` on */
  int64_t base;
  int64_t pitch[3]; /* pixels from one depth, row and column to the next */
  int64_t plane;    /* pixels of a block */
  int64_t first[GATHER_MAX_PHASES],
      end[GATHER_MAX_PHASES]; /* of a row's phases: elements that are not padding */
} conv_gather;

static inline int64_t gather_phase(const gather_axis *axis, int64_t residue) {
  for (int64_t i = 0; i < axis->phases; i++)
    if (axis->residue[i] == residue) return i;
  return -1;
}

static inline void gather_plan_row(const conv_geom *q, conv_gather *g) {
  const gather_axis *axis = g->axis + 2;
  int64_t step = q->stride[2];
  for (int64_t f = 0; f < axis->phases; f++) {
    int64_t from = axis->residue[f] - q->pad[2]; /* input column of element 0 */
    int64_t first = op_min(axis->length, from < 0 ? op_div_up(-from, step) : 0);
    g->first[f] = first;
    g->end[f] =
        from >= q->in[2] ? first : op_max(first, op_min(axis->length, op_div_up(q->in[2] - from, step)));
  }
}

/* 0 when the copy would have too many phases or pixels. */
static inline int gather_plan(const conv_geom *q, conv_gather *g) {
  memset(g, 0, sizeof *g);
  g->plane = 1;
  for (int a = 0; a < 3; a++) {
    gather_axis *axis = g->axis + a;
    int64_t reach = (q->k[a] - 1) * q->dil[a], first = -q->pad[a],
            last = (q->out[a] - 1) * q->stride[a] + reach - q->pad[a];
    axis->length = q->out[a] + reach / q->stride[a];
    if (axis->length > GATHER_MAX_PIXELS) return 0;
    for (int64_t t = 0; t < q->k[a]; t++) {
      int64_t residue = t * q->dil[a] % q->stride[a];
      if (gather_phase(axis, residue) >= 0) continue;
      if (axis->phases == GATHER_MAX_PHASES) return 0;
      axis->residue[axis->phases++] = residue;
    }
    if (q->stride[a] > 1 || first < 0 || last >= q->in[a]) g->needed = 1;
    g->plane *= axis->phases * axis->length;
    if (g->plane > GATHER_MAX_PIXELS) return 0;
  }
  if (q->in_size > GATHER_MAX_PIXELS) return 0;
  if (g->needed && g->plane > GATHER_MAX_FLOATS / op_max(1, q->n * (q->c + q->g * 15))) return 0;
  g->pitch[2] = 1;
  g->pitch[1] = g->needed ? g->axis[2].phases * g->axis[2].length : q->in[2];
  g->pitch[0] = g->pitch[1] * (g->needed ? g->axis[1].phases * g->axis[1].length : q->in[1]);
  if (!g->needed) {
    g->base = (-q->pad[0] * q->in[1] - q->pad[1]) * q->in[2] - q->pad[2];
    g->plane = q->in_size;
  }
  gather_plan_row(q, g);
  return 1;
}

/* Pixels from an output's first pixel to tap (t[0], t[1], t[2]) of it. */
static inline int64_t gather_tap(const conv_geom *q, const conv_gather *g, const int64_t t[3]) {
  int64_t at = 0;
  for (int a = 0; a < 3; a++) {
    int64_t from = t[a] * q->dil[a];
    at += (gather_phase(g->axis + a, from % q->stride[a]) * g->axis[a].length + from / q->stride[a]) *
          g->pitch[a];
  }
  return at;
}

/* Pixel of the first tap of output o: in the copy, or in the input from `base` on. */
static inline int64_t gather_pixel(const conv_gather *g, const int64_t o[3]) {
  return o[0] * g->pitch[0] + o[1] * g->pitch[1] + o[2];
}

/* 1 when outputs that follow each other read pixels that follow each other. */
static inline int gather_in_place(const conv_geom *q, const conv_gather *g) {
  int64_t next = 1;
  for (int a = 2; a >= 0; a--) {
    if (q->out[a] > 1 && g->pitch[a] != next) return 0;
    next *= q->out[a];
  }
  return 1;
}

/* Element `i` of the copy along an axis as an input index; may lie outside. */
static inline int64_t gather_source(const conv_geom *q, const gather_axis *axis, int a, int64_t i) {
  int64_t phase = 0;
  for (; i >= axis->length; i -= axis->length) phase++; /* a few: no division */
  return axis->residue[phase] + i * q->stride[a] - q->pad[a];
}

/* Rows of a block's copy: each is one call of gather_row. */
static inline int64_t gather_rows(const conv_gather *g) {
  return g->axis[0].phases * g->axis[0].length * g->axis[1].phases * g->axis[1].length;
}

/* Row `row` of the copy of a block; x is the block's input, y its copy. A pixel is `lanes` floats. */
static inline void gather_row(const conv_geom *q, const conv_gather *g, int64_t row, int64_t lanes,
                              const float *x, float *y) {
  int64_t rows = g->axis[1].phases * g->axis[1].length, depth = row < rows ? 0 : row / rows;
  int64_t id = gather_source(q, g->axis + 0, 0, depth),
          ih = gather_source(q, g->axis + 1, 1, row - depth * rows);
  const gather_axis *axis = g->axis + 2;
  int64_t step = q->stride[2];
  y += row * g->pitch[1] * lanes;
  if (id < 0 || id >= q->in[0] || ih < 0 || ih >= q->in[1]) {
    memset(y, 0, (size_t)(g->pitch[1] * lanes) * sizeof *y);
    return;
  }
  x += (id * q->in[1] + ih) * q->in[2] * lanes;
  for (int64_t f = 0; f < axis->phases; f++, y += axis->length * lanes) {
    int64_t from = axis->residue[f] - q->pad[2], first = g->first[f], end = g->end[f];
    if (first) memset(y, 0, (size_t)(first * lanes) * sizeof *y);
    if (end < axis->length) memset(y + end * lanes, 0, (size_t)((axis->length - end) * lanes) * sizeof *y);
    if (step == 1)
      memcpy(y + first * lanes, x + (from + first) * lanes, (size_t)((end - first) * lanes) * sizeof *y);
    else if (lanes == 16)
      for (int64_t j = first; j < end; j++) memcpy(y + j * 16, x + (from + j * step) * 16, 16 * sizeof *y);
    else if (step == 2) /* of its own: the compiler makes vectors of it */
      for (int64_t j = first; j < end; j++) y[j] = x[from + j * 2];
    else
      for (int64_t j = first; j < end; j++) y[j] = x[from + j * step];
  }
}
#endif
