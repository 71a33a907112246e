/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise convolution of blocked channels: any kernel, stride, dilation and padding, one output channel an
 * input channel. */
#include "cpu/kernels/conv_common.h"
#include "cpu/kernels/depthwise_rows.h"
#include "cpu/kernels/post.h"
#include "cpu/kernels/vec.h"

#define PARTS (16 / VL)         /* vectors of a block */
#define TILE_PIXELS (8 / PARTS) /* 8 accumulators hide the latency of multiply-add */

typedef struct conv_depthwise {
  conv_geom geom;
  post_set posts;
  int64_t blocks;
  int64_t inner_first, inner_end;  /* output columns whose taps all lie inside the input */
  int64_t inner_top, inner_bottom; /* rows likewise */
  int32_t square;                  /* 3x3 taps of neighbours, at most one of them outside on every side */
  float *weights;                  /* [block][tap][16] */
  float *bias;                     /* [block][16] */
} conv_depthwise;

static int32_t supports(const cpu_node *node) {
  conv_geom q;
  if (!conv_geometry(node, 0, 1, &q) || !conv_bias_ok(node, 2, q.o) || !conv_can_block(node)) return 0;
  return q.g > 1 && q.cg == 1 && q.og == 1 ? 20 : 0;
}

static void layouts(const cpu_node *node, cpu_layout *in, cpu_layout *out) {
  in[0] = out[0] = CPU_BLOCKED16;
  for (int32_t i = 3; i < node->input_count; i++) in[i] = CPU_BLOCKED16; /* sums */
}

static void release(const iec_host_api *host, void *state) {
  conv_depthwise *s = state;
  if (!s) return;
  host->release(host->self, s->weights);
  host->release(host->self, s->bias);
  host->release(host->self, s);
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(conv_depthwise), out, err);
  if (status != IEC_OK) return status;
  conv_depthwise *s = out->state;
  conv_geom *q = &s->geom;
  conv_geometry(node, 0, 1, q);
  post_init(&s->posts, node);
  post_take(&s->posts, 0);
  s->blocks = op_div_up(q->c, 16);
  conv_inner(q, 2, &s->inner_first, &s->inner_end);
  conv_inner(q, 1, &s->inner_top, &s->inner_bottom);
  s->square = depthwise_is_square(q);
  s->weights = host->alloc(host->self, (size_t)(s->blocks * q->taps * 16) * sizeof(float), 64);
  s->bias = host->alloc(host->self, (size_t)(s->blocks * 16) * sizeof(float), 64);
  if (!s->weights || !s->bias) {
    release(host, s);
    out->state = NULL;
    return cpu_fail(err, IEC_OUT_OF_MEMORY, node->name, "out of memory for the weights");
  }
  depthwise_pack(q->c, q->taps, node->inputs[1]->data, op_in(node, 2) ? node->inputs[2]->data : NULL,
                 s->weights, s->bias);
  out->cost = 2.0 * (double)(q->n * q->o * q->out_size) * (double)q->taps;
  out->exec_type = "conv_depthwise_" CPU_ISA_NAME;
  out->packed_inputs = 6;
  return IEC_OK;
}

/* The taps of one output row that lie inside the input on the depth and height axes. */
typedef struct row_taps {
  const float *x; /* column 0 of the first of these rows */
  const float *w;
  const float *limits;                                           /* least and greatest result */
  int64_t depths, heights, x_depth, x_height, w_depth, w_height; /* counts, and floats from one to the next */
} row_taps;

/* Output pixels of one row from their first input column `x` on; with constant count and stride for the
 * compiler. */
static inline __attribute__((always_inline)) void pixels(const conv_geom *q, const row_taps *r,
                                                         const float *bias, int64_t column, int64_t first,
                                                         int64_t end, float *y, const int count,
                                                         const int stride) {
  vf acc[8];
  int64_t dil = q->dil[2] * 16;
#pragma GCC unroll 8
  for (int i = 0; i < count * PARTS; i++) acc[i] = vf_load(bias + i % PARTS * VL);
  for (int64_t d = 0; d < r->depths; d++)
    for (int64_t h = 0; h < r->heights; h++) {
      const float *x = r->x + d * r->x_depth + h * r->x_height + column * 16 + first * dil;
      const float *w = r->w + d * r->w_depth + h * r->w_height + first * 16;
      for (int64_t t = first; t < end; t++, x += dil, w += 16) {
        vf weight[PARTS];
#pragma GCC unroll 4
        for (int i = 0; i < PARTS; i++) weight[i] = vf_load(w + i * VL);
#pragma GCC unroll 8
        for (int i = 0; i < count * PARTS; i++)
          acc[i] += weight[i % PARTS] * vf_load(x + i / PARTS * stride * 16 + i % PARTS * VL);
      }
    }
  vf low = vf_set(r->limits[0]), high = vf_set(r->limits[1]);
#pragma GCC unroll 8
  for (int i = 0; i < count * PARTS; i++) vf_store(y + i * VL, vf_at_most(vf_at_least(acc[i], low), high));
}

static __attribute__((noinline)) void tile_stride1(const conv_geom *q, const row_taps *r, const float *bias,
                                                   int64_t column, float *y) {
  pixels(q, r, bias, column, 0, q->k[2], y, TILE_PIXELS, 1);
}

static __attribute__((noinline)) void tile_stride2(const conv_geom *q, const row_taps *r, const float *bias,
                                                   int64_t column, float *y) {
  pixels(q, r, bias, column, 0, q->k[2], y, TILE_PIXELS, 2);
}

static __attribute__((noinline)) void one_pixel(const conv_geom *q, const row_taps *r, const float *bias,
                                                int64_t o, float *y) {
  int64_t first, end;
  conv_valid_taps(q, 2, o, &first, &end);
  pixels(q, r, bias, o * q->stride[2] - q->pad[2], first, end, y, 1, 1);
}

/* One or two output rows. */
static void run_square(const conv_depthwise *s, const cpu_run *run, const conv_row *at, int64_t rows) {
  const conv_geom *q = &s->geom;
  int64_t top = at->height * q->stride[1] - q->pad[1], pitch = q->in[2] * 16;
  const float *x =
      (const float *)run->inputs[0] +
      (((at->image * s->blocks + at->block) * q->in[0] + at->depth * q->stride[0]) * q->in[1] + top) * pitch;
  depthwise_args a = {.w = s->weights + at->block * 144,
                      .bias = s->bias + at->block * 16,
                      .limits = s->posts.limited ? s->posts.limits : NULL,
                      .y = (float *)run->outputs[0] + conv_row_at(at, q, s->blocks) * q->out[2] * 16};
  for (int64_t h = 0; h < (rows - 1) * q->stride[1] + 3; h++) a.x[h] = x + h * pitch;
  depthwise_rows(&a, q, at->height, rows);
  if (post_left(&s->posts)) post_blocked(&s->posts, run, a.y, rows * q->out[2], at->block * 16, q->c);
}

static void row(const conv_depthwise *s, const row_taps *r, const float *bias, float *y) {
  const conv_geom *q = &s->geom;
  int64_t o = 0, tiled = q->stride[2] <= 2 && s->inner_end - s->inner_first >= TILE_PIXELS;
  for (; o < (tiled ? s->inner_first : q->out[2]); o++) one_pixel(q, r, bias, o, y + o * 16);
  if (!tiled) return;
  for (; o < s->inner_end; o += TILE_PIXELS) {
    int64_t at = op_min(o, s->inner_end - TILE_PIXELS); /* the last tile computes some pixels again */
    int64_t column = at * q->stride[2] - q->pad[2];
    if (q->stride[2] == 1)
      tile_stride1(q, r, bias, column, y + at * 16);
    else
      tile_stride2(q, r, bias, column, y + at * 16);
  }
  for (o = s->inner_end; o < q->out[2]; o++) one_pixel(q, r, bias, o, y + o * 16);
}

static void run_row(const conv_depthwise *s, const cpu_run *run, const conv_row *at) {
  const conv_geom *q = &s->geom;
  static const float none[2] = {-INFINITY, INFINITY};
  int64_t d0 = 0, d1 = q->k[0], h0 = 0, h1 = q->k[1];
  if (q->out[0] > 1 || q->k[0] > 1 || q->pad[0]) conv_valid_taps(q, 0, at->depth, &d0, &d1);
  if (at->height < s->inner_top || at->height >= s->inner_bottom) conv_valid_taps(q, 1, at->height, &h0, &h1);
  int64_t id = at->depth * q->stride[0] - q->pad[0] + d0 * q->dil[0],
          ih = at->height * q->stride[1] - q->pad[1] + h0 * q->dil[1];
  row_taps r = {.limits = s->posts.limited ? s->posts.limits : none,
                .depths = d1 - d0,
                .heights = h1 - h0,
                .x_depth = q->dil[0] * q->in[1] * q->in[2] * 16,
                .x_height = q->dil[1] * q->in[2] * 16,
                .w_depth = q->k[1] * q->k[2] * 16,
                .w_height = q->k[2] * 16};
  r.x = (const float *)run->inputs[0] + (at->image * s->blocks + at->block) * q->in_size * 16;
  if (r.depths > 0 && r.heights > 0) r.x += (id * q->in[1] + ih) * q->in[2] * 16;
  r.w = s->weights + ((at->block * q->k[0] + d0) * q->k[1] + h0) * q->k[2] * 16;
  float *y = (float *)run->outputs[0] + conv_row_at(at, q, s->blocks) * q->out[2] * 16;
  row(s, &r, s->bias + at->block * 16, y);
  if (post_left(&s->posts)) post_blocked(&s->posts, run, y, q->out[2], at->block * 16, q->c);
}

static void run(const void *state, const cpu_run *run) {
  const conv_depthwise *s = state;
  const conv_geom *q = &s->geom;
  int64_t begin, end, count = q->n * s->blocks * q->out[0] * q->out[1];
  while (cpu_next(run, count, op_grain(run, count, 1), &begin, &end)) {
    conv_row at = {0};
    for (int64_t rows; begin < end; begin += rows) {
      conv_next_row(&at, run, q, s->blocks, begin);
      rows = s->square && begin + 1 < end && at.left && at.height + 1 < q->out[1] ? 2 : 1;
      if (s->square)
        run_square(s, run, &at, rows);
      else
        run_row(s, run, &at);
      if (rows == 2) conv_next_row(&at, run, q, s->blocks, begin + 1);
    }
  }
}

const cpu_kernel IEC_ISA(cpu_kernel_conv_depthwise) = {.kind = "Conv",
                                                       .name = "conv_depthwise",
                                                       .supports = supports,
                                                       .layouts = layouts,
                                                       .can_fuse = post_can_fuse,
                                                       .prepare = prepare,
                                                       .run = run,
                                                       .release = release};
