/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of maximum and average pools on blocks of 16 channels: of a map in memory, or of one of which only the
 * last rows are kept. */
#ifndef IEC_CPU_POOL_ROWS_H
#define IEC_CPU_POOL_ROWS_H
#include <float.h>

#include "cpu/kernels/pool_common.h"
#include "cpu/kernels/post.h"
#include "cpu/kernels/vec.h"

#define POOL_PARTS (16 / VL) /* vectors of a block */

typedef struct pool_rows {
  conv_geom geom;
  post_set posts;
  pool_divisor divisor;
  int64_t blocks;
  int64_t top, bottom, left, right; /* output rows and columns whose windows lie inside the input */
  int32_t threes;                   /* all windows are 3x3, and begin at most one place outside the input */
} pool_rows;

/* Windows of three along an axis; none of them begins behind the input. */
static inline int pool_by_three(const conv_geom *q, int axis) {
  return q->k[axis] == 3 && q->dil[axis] == 1 && q->pad[axis] <= 1 && q->in[axis] > 0 &&
         (q->out[axis] - 1) * q->stride[axis] - q->pad[axis] < q->in[axis];
}

static inline void pool_rows_init(pool_rows *s, const cpu_node *node) {
  int divisor = pool_divisor_code(node);
  pool_geometry(node, &s->geom);
  post_init(&s->posts, node);
  s->divisor = divisor < 0 ? POOL_VALID : (pool_divisor)divisor;
  s->blocks = op_div_up(s->geom.c, 16);
  conv_inner(&s->geom, 1, &s->top, &s->bottom);
  conv_inner(&s->geom, 2, &s->left, &s->right);
  s->threes = s->geom.in[0] == 1 && s->geom.out[0] == 1 && s->geom.k[0] == 1 && !s->geom.pad[0] &&
              pool_by_three(&s->geom, 1) && pool_by_three(&s->geom, 2);
}

static inline double pool_rows_cost(const conv_geom *q) {
  return (double)(q->n * q->c * q->out_size) * (double)q->taps;
}

/* Floats that pool_row needs to work in. */
static inline int64_t pool_rows_line(const conv_geom *q) { return q->in[2] * 16; }

/* What is at hand of a block of the input, and the outputs wanted of it. */
typedef struct pool_part {
  const float *x;      /* column `left` of row 0; row n (of all depths) lies where row n % kept would */
  int64_t kept;        /* INT64_MAX: all are there */
  int64_t pitch;       /* pixels from one row to the next */
  int64_t left, right; /* columns that the windows may read */
  int64_t first, end;  /* outputs of a row */
} pool_part;

/* The taps of one window that lie inside the input, per axis. */
typedef struct pool_window {
  int64_t first[3], end[3], start[3];
} pool_window;

static inline void pool_window_axis(const conv_geom *q, pool_window *w, int axis, int64_t o) {
  conv_valid_taps(q, axis, o, &w->first[axis], &w->end[axis]);
  w->start[axis] = o * q->stride[axis] - q->pad[axis];
}

static inline __attribute__((always_inline)) vf pool_join(const int max, vf a, vf b) {
  return max ? vf_max(a, b) : a + b;
}

/* to = to joined with `rows` rows of `count` floats, or those rows alone. */
static inline __attribute__((always_inline)) void pool_join_rows(const int max, const int rows, int fresh,
                                                                 const float *const *from, float *to,
                                                                 int64_t count) {
  for (int64_t i = 0; i < count; i += VL) {
    vf acc = fresh ? vf_load(from[0] + i) : pool_join(max, vf_load(to + i), vf_load(from[0] + i));
    for (int k = 1; k < rows; k++) acc = pool_join(max, acc, vf_load(from[k] + i));
    vf_store(to + i, acc);
  }
}

/* Maximum or sum over all axes but the last, for every column: these are shared by the windows of an output
 * row. A single row is used where it lies. */
static inline __attribute__((always_inline)) const float *pool_columns(const conv_geom *q,
                                                                       const pool_window *w,
                                                                       const pool_part *part, float *to,
                                                                       const int max) {
  const float *from[3];
  int64_t count = (part->right - part->left) * 16;
  int rows = 0, fresh = 1;
  for (int64_t d = w->first[0]; d < w->end[0]; d++)
    for (int64_t h = w->first[1]; h < w->end[1]; h++) {
      int64_t row = (w->start[0] + d * q->dil[0]) * q->in[1] + w->start[1] + h * q->dil[1];
      from[rows++] = part->x + (row < part->kept ? row : row % part->kept) * part->pitch * 16;
      if (rows < 3) continue;
      pool_join_rows(max, 3, fresh, from, to, count);
      rows = fresh = 0;
    }
  if (rows == 1 && fresh) return from[0];
  if (rows == 1) pool_join_rows(max, 1, 0, from, to, count);
  if (rows == 2) pool_join_rows(max, 2, fresh, from, to, count);
  return to;
}

/* Maximum or sum of `taps` columns `step` floats apart. */
static inline __attribute__((always_inline)) void pool_reduce(const float *p, int64_t taps, int64_t step,
                                                              vf *acc, const int max) {
  for (int i = 0; i < POOL_PARTS; i++) acc[i] = vf_set(max ? -FLT_MAX : 0.0f);
  for (int64_t t = 0; t < taps; t++, p += step)
    for (int i = 0; i < POOL_PARTS; i++) acc[i] = pool_join(max, acc[i], vf_load(p + i * VL));
}

/* Any output pixel of a row; `extent`: the divisor's part of the other axes. */
static inline __attribute__((always_inline)) void pool_pixel(const pool_rows *s, pool_window *w,
                                                             const float *line, int64_t ow, int64_t extent,
                                                             float *y, const int max) {
  const conv_geom *q = &s->geom;
  vf acc[POOL_PARTS];
  pool_window_axis(q, w, 2, ow);
  int empty = w->first[0] >= w->end[0] || w->first[1] >= w->end[1];
  pool_reduce(line + (w->start[2] + w->first[2] * q->dil[2]) * 16, empty ? 0 : w->end[2] - w->first[2],
              q->dil[2] * 16, acc, max);
  int64_t divisor = max ? 1 : extent * pool_extent(q, s->divisor, 2, ow);
  for (int k = 0; k < POOL_PARTS; k++) {
    if (!max) acc[k] = divisor > 0 || s->divisor == POOL_VALID ? acc[k] / (float)divisor : vf_set(0.0f);
    vf_store(y + k * VL, acc[k]);
  }
}

/* Output pixels [ow, end), whose windows lie inside, `taps` wide each. */
static inline __attribute__((always_inline)) void pool_inner(const conv_geom *q, const float *line,
                                                             int64_t taps, int64_t ow, int64_t end,
                                                             int64_t divisor, float *y, const int max) {
  const int64_t step = q->stride[2] * 16, apart = q->dil[2] * 16;
  const float *p = line + ow * step - q->pad[2] * 16;
  for (; ow < end; ow++, p += step) {
    vf acc[POOL_PARTS];
    pool_reduce(p, taps, apart, acc, max);
    for (int k = 0; k < POOL_PARTS; k++)
      vf_store(y + ow * 16 + k * VL, max ? acc[k] : acc[k] / (float)divisor);
  }
}

/* Maximum of column `column` of three rows. */
static inline vf pool_column_of_three(const float *const *rows, int64_t column) {
  int64_t i = column * 16;
  return vf_max(vf_max(vf_load(rows[0] + i), vf_load(rows[1] + i)), vf_load(rows[2] + i));
}

/* Maxima of 3x3 pixels (pool_rows.threes): windows that reach over an edge meet the row or column at it
 * twice, which changes no maximum. Columns stay in registers until the next window has used them. */
static inline void pool_row_of_threes(const pool_rows *s, const conv_row *at, const pool_part *part,
                                      float *y) {
  const conv_geom *q = &s->geom;
  const float *rows[3];
  const int64_t step = q->stride[2], last = part->right - 1;
  for (int k = 0; k < 3; k++) {
    int64_t row = at->height * q->stride[1] - q->pad[1] + k;
    row = op_max(0, op_min(row, q->in[1] - 1));
    rows[k] = part->x + ((row < part->kept ? row : row % part->kept) * part->pitch - part->left) * 16;
  }
  for (int v = 0; v < POOL_PARTS; v++) {
    const float *from[3] = {rows[0] + v * VL, rows[1] + v * VL, rows[2] + v * VL};
    float *to = y + v * VL;
    int64_t column = part->first * step - q->pad[2]; /* the first of the window */
    vf a = pool_column_of_three(from, op_max(0, column));
    vf b = pool_column_of_three(from, op_min(column + 1, last));
    for (int64_t ow = part->first; ow < part->end; ow++) {
      vf c = pool_column_of_three(from, op_min(column + 2, last));
      vf_store(to + ow * 16, vf_at_least(vf_max(vf_max(a, b), c), vf_set(-FLT_MAX)));
      column += step;
      a = step == 1 ? b : step == 2 ? c : pool_column_of_three(from, op_min(column, last));
      b = step == 1 ? c : pool_column_of_three(from, op_min(column + 1, last));
    }
  }
}

/* Of the output row `at` what `part` allows; `line`: memory of this member. */
static inline __attribute__((always_inline)) void pool_any_row(const pool_rows *s, const conv_row *at,
                                                               const pool_part *part, float *line, float *y,
                                                               const int max) {
  const conv_geom *q = &s->geom;
  pool_window w = {.end = {1, q->k[1]}, .start = {0, at->height * q->stride[1] - q->pad[1]}};
  if (q->out[0] > 1 || q->k[0] > 1 || q->pad[0]) pool_window_axis(q, &w, 0, at->depth);
  if (at->height < s->top || at->height >= s->bottom) pool_window_axis(q, &w, 1, at->height);
  int64_t extent =
      max ? 1 : pool_extent(q, s->divisor, 0, at->depth) * pool_extent(q, s->divisor, 1, at->height);
  const float *row = pool_columns(q, &w, part, line, max) - part->left * 16;
  int inside = w.first[0] < w.end[0] && w.first[1] < w.end[1] && extent > 0;
  int64_t left = inside ? op_min(part->end, op_max(part->first, s->left)) : part->end;
  int64_t right = inside ? op_min(part->end, op_max(part->first, s->right)) : part->end;
  for (int64_t ow = part->first; ow < left; ow++) pool_pixel(s, &w, row, ow, extent, y + ow * 16, max);
  if (inside && q->k[2] == 3)
    pool_inner(q, row, 3, left, right, extent * 3, y, max);
  else if (inside && q->k[2] == 2)
    pool_inner(q, row, 2, left, right, extent * 2, y, max);
  else if (inside)
    pool_inner(q, row, q->k[2], left, right, extent * q->k[2], y, max);
  for (int64_t ow = right; ow < part->end; ow++) pool_pixel(s, &w, row, ow, extent, y + ow * 16, max);
}

/* The same with the operations behind the pool. */
static inline __attribute__((always_inline)) void pool_row(const pool_rows *s, const cpu_run *r,
                                                           const conv_row *at, const pool_part *part,
                                                           float *line, const int max) {
  const conv_geom *q = &s->geom;
  float *y = (float *)r->outputs[0] + conv_row_at(at, q, s->blocks) * q->out[2] * 16;
  if (max && s->threes)
    pool_row_of_threes(s, at, part, y);
  else
    pool_any_row(s, at, part, line, y, max);
  /* an empty window is the lowest float or NaN also where there is no channel */
  if ((max || s->divisor == POOL_VALID) && q->c < (at->block + 1) * 16)
    for (int64_t ow = part->first; ow < part->end; ow++)
      for (int64_t lane = q->c - at->block * 16; lane < 16; lane++) y[ow * 16 + lane] = 0;
  post_blocked(&s->posts, r, y + part->first * 16, part->end - part->first, at->block * 16, q->c);
}
#undef POOL_PARTS
#endif
