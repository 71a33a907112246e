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

/* Maximum or sum of one window of columns into acc. */
static inline __attribute__((always_inline)) void reduce(const conv_geom *q, const window *w,
                                                         const float *columns, vf *acc, const int max) {
  for (int i = 0; i < PARTS; i++) acc[i] = vf_set(max ? -FLT_MAX : 0.0f);
  if (w->first[0] >= w->end[0] || w->first[1] >= w->end[1]) return;
  int64_t step = q->dil[2] * 16;
  const float *p = columns + (w->start[2] + w->first[2] * q->dil[2]) * 16;
  for (int64_t t = w->first[2]; t < w->end[2]; t++, p += step)
    for (int i = 0; i < PARTS; i++) acc[i] = join(max, acc[i], vf_load(p + i * VL));
}

static inline __attribute__((always_inline)) void run_rows(const pool_blocked *s, const cpu_run *r,
                                                           const int max) {
  const conv_geom *q = &s->geom;
  int64_t begin, end, rows = q->out[0] * q->out[1], count = q->n * s->blocks * rows;
  while (cpu_next(r, count, op_grain(r, count, 1), &begin, &end))
    for (int64_t i = begin; i < end; i++) {
      int64_t block, at;
      op_place(r, i, s->blocks, q->n * rows, &block, &at);
      int64_t image_block = at / rows * s->blocks + block, od = at % rows / q->out[1], oh = at % q->out[1];
      const float *x = (const float *)r->inputs[0] + image_block * q->in_size * 16;
      float *y = (float *)r->outputs[0] + (image_block * rows + at % rows) * q->out[2] * 16;
      window w;
      window_axis(q, &w, 0, od);
      window_axis(q, &w, 1, oh);
      int64_t extent = max ? 1 : pool_extent(q, s->divisor, 0, od) * pool_extent(q, s->divisor, 1, oh);
      const float *line = columns(q, &w, x, r->member_scratch, max);
      for (int64_t ow = 0; ow < q->out[2]; ow++) {
        vf acc[PARTS];
        window_axis(q, &w, 2, ow);
        reduce(q, &w, line, acc, max);
        int64_t divisor = max ? 1 : extent * pool_extent(q, s->divisor, 2, ow);
        for (int k = 0; k < PARTS; k++) {
          if (!max) acc[k] = divisor > 0 || s->divisor == POOL_VALID ? acc[k] / (float)divisor : vf_set(0.0f);
          vf_store(y + ow * 16 + k * VL, acc[k]);
        }
      }
      /* an empty window is the lowest float or NaN also where there is no channel */
      if ((max || s->divisor == POOL_VALID) && s->geom.c < (block + 1) * 16)
        for (int64_t ow = 0; ow < q->out[2]; ow++)
          for (int64_t lane = q->c - block * 16; lane < 16; lane++) y[ow * 16 + lane] = 0;
      post_blocked(&s->posts, r, y, q->out[2], block * 16, q->c);
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
