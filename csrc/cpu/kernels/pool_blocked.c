/* SPDX-License-Identifier: Apache-2.0 */
/* Maximum and average pools of any rank on blocks of 16 channels. */
#include <float.h>

#include "cpu/kernels/pool_common.h"
#include "cpu/kernels/post.h"
#include "cpu/kernels/vec.h"

#define PARTS (16 / VL) /* vectors of a block */

typedef struct pool_blocked {
  conv_geom geom;
  post_set posts;
  pool_divisor divisor;
  int64_t blocks;
  int64_t top, bottom, left, right; /* output rows and columns whose windows lie inside the input */
} pool_blocked;

static int32_t supports_max(const cpu_node *node) {
  conv_geom q;
  return pool_geometry(node, &q) && op_is(node, 0, IEC_F32) && !node->inputs[0]->data &&
                 !(node->output_count > 1 && node->outputs[1])
             ? 20
             : 0;
}

static int32_t supports_avg(const cpu_node *node) {
  conv_geom q;
  return pool_geometry(node, &q) && op_is(node, 0, IEC_F32) && !node->inputs[0]->data &&
                 pool_divisor_code(node) >= 0
             ? 20
             : 0;
}

static void layouts(const cpu_node *node, cpu_layout *in, cpu_layout *out) {
  for (int32_t i = 0; i < node->input_count; i++) in[i] = CPU_BLOCKED16;
  out[0] = CPU_BLOCKED16;
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(pool_blocked), out, err);
  if (status != IEC_OK) return status;
  pool_blocked *s = out->state;
  int divisor = pool_divisor_code(node);
  pool_geometry(node, &s->geom);
  post_init(&s->posts, node);
  s->divisor = divisor < 0 ? POOL_VALID : (pool_divisor)divisor;
  s->blocks = op_div_up(s->geom.c, 16);
  conv_inner(&s->geom, 1, &s->top, &s->bottom);
  conv_inner(&s->geom, 2, &s->left, &s->right);
  out->cost = (double)(s->geom.n * s->geom.c * s->geom.out_size) * (double)s->geom.taps;
  out->member_scratch_size = (size_t)(s->geom.in[2] * 16) * sizeof(float);
  out->exec_type = "pool_blocked_" CPU_ISA_NAME;
  return IEC_OK;
}

/* The taps of one window that lie inside the input, per axis. */
typedef struct window {
  int64_t first[3], end[3], start[3];
} window;

static void window_axis(const conv_geom *q, window *w, int axis, int64_t o) {
  conv_valid_taps(q, axis, o, &w->first[axis], &w->end[axis]);
  w->start[axis] = o * q->stride[axis] - q->pad[axis];
}

static inline __attribute__((always_inline)) vf join(const int max, vf a, vf b) {
  return max ? vf_max(a, b) : a + b;
}

/* to = to joined with `rows` rows of `count` floats, or those rows alone. */
static inline __attribute__((always_inline)) void join_rows(const int max, const int rows, int fresh,
                                                            const float *const *from, float *to,
                                                            int64_t count) {
  for (int64_t i = 0; i < count; i += VL) {
    vf acc = fresh ? vf_load(from[0] + i) : join(max, vf_load(to + i), vf_load(from[0] + i));
    for (int k = 1; k < rows; k++) acc = join(max, acc, vf_load(from[k] + i));
    vf_store(to + i, acc);
  }
}

/* Maximum or sum over all axes but the last, for every column: these are shared by the windows of an output
 * row. A single row is used where it lies. */
static inline __attribute__((always_inline)) const float *columns(const conv_geom *q, const window *w,
                                                                  const float *x, float *to, const int max) {
  const float *from[3];
  int64_t count = q->in[2] * 16;
  int rows = 0, fresh = 1;
  for (int64_t d = w->first[0]; d < w->end[0]; d++)
    for (int64_t h = w->first[1]; h < w->end[1]; h++) {
      from[rows++] = x + ((w->start[0] + d * q->dil[0]) * q->in[1] + w->start[1] + h * q->dil[1]) * count;
      if (rows < 3) continue;
      join_rows(max, 3, fresh, from, to, count);
      rows = fresh = 0;
    }
  if (rows == 1 && fresh) return from[0];
  if (rows == 1) join_rows(max, 1, 0, from, to, count);
  if (rows == 2) join_rows(max, 2, fresh, from, to, count);
  return to;
}

/* Maximum or sum of `taps` columns `step` floats apart. */
static inline __attribute__((always_inline)) void reduce(const float *p, int64_t taps, int64_t step, vf *acc,
                                                         const int max) {
  for (int i = 0; i < PARTS; i++) acc[i] = vf_set(max ? -FLT_MAX : 0.0f);
  for (int64_t t = 0; t < taps; t++, p += step)
    for (int i = 0; i < PARTS; i++) acc[i] = join(max, acc[i], vf_load(p + i * VL));
}

/* Any output pixel of a row; `extent`: the divisor's part of the other axes. */
static inline __attribute__((always_inline)) void one_pixel(const pool_blocked *s, window *w,
                                                            const float *line, int64_t ow, int64_t extent,
                                                            float *y, const int max) {
  const conv_geom *q = &s->geom;
  vf acc[PARTS];
  window_axis(q, w, 2, ow);
  int empty = w->first[0] >= w->end[0] || w->first[1] >= w->end[1];
  reduce(line + (w->start[2] + w->first[2] * q->dil[2]) * 16, empty ? 0 : w->end[2] - w->first[2],
         q->dil[2] * 16, acc, max);
  int64_t divisor = max ? 1 : extent * pool_extent(q, s->divisor, 2, ow);
  for (int k = 0; k < PARTS; k++) {
    if (!max) acc[k] = divisor > 0 || s->divisor == POOL_VALID ? acc[k] / (float)divisor : vf_set(0.0f);
    vf_store(y + k * VL, acc[k]);
  }
}

/* The output pixels whose windows lie inside, `taps` wide each. */
static inline __attribute__((always_inline)) void inner_pixels(const pool_blocked *s, const float *line,
                                                               int64_t taps, int64_t divisor, float *y,
                                                               const int max) {
  const conv_geom *q = &s->geom;
  const float *p = line + (s->left * q->stride[2] - q->pad[2]) * 16;
  for (int64_t ow = s->left; ow < s->right; ow++, p += q->stride[2] * 16) {
    vf acc[PARTS];
    reduce(p, taps, q->dil[2] * 16, acc, max);
    for (int k = 0; k < PARTS; k++) vf_store(y + ow * 16 + k * VL, max ? acc[k] : acc[k] / (float)divisor);
  }
}

static inline __attribute__((always_inline)) void run_row(const pool_blocked *s, const cpu_run *r,
                                                          const conv_row *at, const int max) {
  const conv_geom *q = &s->geom;
  const float *x = (const float *)r->inputs[0] + (at->image * s->blocks + at->block) * q->in_size * 16;
  float *y = (float *)r->outputs[0] + conv_row_at(at, q, s->blocks) * q->out[2] * 16;
  window w = {.end = {1, q->k[1]}, .start = {0, at->height * q->stride[1] - q->pad[1]}};
  if (q->out[0] > 1 || q->k[0] > 1 || q->pad[0]) window_axis(q, &w, 0, at->depth);
  if (at->height < s->top || at->height >= s->bottom) window_axis(q, &w, 1, at->height);
  int64_t extent =
      max ? 1 : pool_extent(q, s->divisor, 0, at->depth) * pool_extent(q, s->divisor, 1, at->height);
  const float *line = columns(q, &w, x, r->member_scratch, max);
  int inside = w.first[0] < w.end[0] && w.first[1] < w.end[1] && extent > 0;
  int64_t left = inside ? s->left : q->out[2], right = inside ? s->right : q->out[2];
  for (int64_t ow = 0; ow < left; ow++) one_pixel(s, &w, line, ow, extent, y + ow * 16, max);
  if (inside && q->k[2] == 3)
    inner_pixels(s, line, 3, extent * 3, y, max);
  else if (inside && q->k[2] == 2)
    inner_pixels(s, line, 2, extent * 2, y, max);
  else if (inside)
    inner_pixels(s, line, q->k[2], extent * q->k[2], y, max);
  for (int64_t ow = right; ow < q->out[2]; ow++) one_pixel(s, &w, line, ow, extent, y + ow * 16, max);
  /* an empty window is the lowest float or NaN also where there is no channel */
  if ((max || s->divisor == POOL_VALID) && q->c < (at->block + 1) * 16)
    for (int64_t ow = 0; ow < q->out[2]; ow++)
      for (int64_t lane = q->c - at->block * 16; lane < 16; lane++) y[ow * 16 + lane] = 0;
  post_blocked(&s->posts, r, y, q->out[2], at->block * 16, q->c);
}

static inline __attribute__((always_inline)) void run_rows(const pool_blocked *s, const cpu_run *r,
                                                           const int max) {
  const conv_geom *q = &s->geom;
  int64_t begin, end, count = q->n * s->blocks * q->out[0] * q->out[1];
  while (cpu_next(r, count, op_grain(r, count, 1), &begin, &end)) {
    conv_row at = {0};
    for (; begin < end; begin++) {
      conv_next_row(&at, r, q, s->blocks, begin);
      run_row(s, r, &at, max);
    }
  }
}

static void run_max(const void *state, const cpu_run *r) { run_rows(state, r, 1); }
static void run_avg(const void *state, const cpu_run *r) { run_rows(state, r, 0); }

const cpu_kernel IEC_ISA(cpu_kernel_maxpool) = {.kind = "MaxPool",
                                                .name = "maxpool",
                                                .supports = supports_max,
                                                .layouts = layouts,
                                                .can_fuse = post_can_fuse,
                                                .prepare = prepare,
                                                .run = run_max};
const cpu_kernel IEC_ISA(cpu_kernel_avgpool) = {.kind = "AvgPool",
                                                .name = "avgpool",
                                                .supports = supports_avg,
                                                .layouts = layouts,
                                                .can_fuse = post_can_fuse,
                                                .prepare = prepare,
                                                .run = run_avg};
