/* SPDX-License-Identifier: Apache-2.0 */
/* 3x3 convolution of stride 1 by Winograd's F(4x4, 3x3): a quarter of the multiplications, as 36 matrix
 * products.
 *
 * Cook-Toom with the points 0, +-a, +-b and infinity, a = sqrt(1/2), b = sqrt(2), which halve the rounding
 * error of the usual 0,
 * +-1, +-2. A tile of 4x4 outputs is At ((G g Gt) . (Bt d B)) A of its 6x6 inputs d and the kernel g. */
#include "cpu/kernels/conv_common.h"
#include "cpu/kernels/gemm.h"
#include "cpu/kernels/post.h"
#include "cpu/kernels/vec.h"

#define ROOT_HALF 0.70710678118654752440f
#define ROOT_TWO 1.41421356237309504880f
#define INPUT_BYTES (1024 * 1024) /* transformed tiles of a work item: most of the L2 cache */
#define MAX_TILES 48              /* of a work item: more gain nothing */

typedef struct conv_winograd {
  conv_geom geom;
  post_set posts;
  int64_t in_blocks, out_blocks, groups;
  int64_t columns, tiles, items,
      item_tiles; /* tiles of a row, of an image; tile ranges of an image, tiles of a range */
  float *weights; /* [gemm group][36][in block][16][nb * 16] */
  float *bias;
} conv_winograd;

/* Fewer channels or smaller maps cost more in transforms than the products save. */
static int32_t supports(const cpu_node *node) {
  conv_geom q;
  if (!conv_geometry(node, 0, 1, &q) || !conv_bias_ok(node, 2, q.o) || !node->inputs[1]->data) return 0;
  if (op_in(node, 2) && !node->inputs[2]->data) return 0;
  if (q.g != 1 || q.c < 32 || q.o < 32 || q.in[0] != 1 || q.out[0] != 1 || q.k[0] != 1 || q.pad[0]) return 0;
  for (int a = 1; a < 3; a++)
    if (q.k[a] != 3 || q.stride[a] != 1 || q.dil[a] != 1 || q.out[a] <= 8) return 0;
  return q.n > 0 ? 30 : 0;
}

static void layouts(const cpu_node *node, cpu_layout *in, cpu_layout *out) {
  in[0] = out[0] = CPU_BLOCKED16;
  for (int32_t i = 3; i < node->input_count; i++) in[i] = CPU_BLOCKED16; /* sums */
}

/* G g Gt of one 3x3 kernel. */
static void transform_kernel(const float *g, float out[36]) {
  static const double rows[6][3] = {{1, 0, 0},
                                    {-1.0 / 1.5, -0.70710678118654752440 / 1.5, -0.5 / 1.5},
                                    {-1.0 / 1.5, 0.70710678118654752440 / 1.5, -0.5 / 1.5},
                                    {1.0 / 6, 1.41421356237309504880 / 6, 2.0 / 6},
                                    {1.0 / 6, -1.41421356237309504880 / 6, 2.0 / 6},
                                    {0, 0, 1}};
  double half[6][3];
  for (int i = 0; i < 6; i++)
    for (int j = 0; j < 3; j++)
      half[i][j] = rows[i][0] * (double)g[j] + rows[i][1] * (double)g[3 + j] + rows[i][2] * (double)g[6 + j];
  for (int i = 0; i < 6; i++)
    for (int j = 0; j < 6; j++)
      out[i * 6 + j] = (float)(half[i][0] * rows[j][0] + half[i][1] * rows[j][1] + half[i][2] * rows[j][2]);
}

static void pack(conv_winograd *s, const float *w, const float *bias) {
  const conv_geom *q = &s->geom;
  float u[36];
  for (int64_t j = 0; j < s->groups; j++) {
    int64_t first = gemm_group_start(s->out_blocks, j), nb = gemm_group_start(s->out_blocks, j + 1) - first;
    float *to = s->weights + first * 36 * s->in_blocks * 256;
    for (int64_t c = 0; c < s->in_blocks * 16; c++)
      for (int64_t i = 0; i < nb * 16; i++) {
        int64_t o = first * 16 + i;
        memset(u, 0, sizeof u);
        if (c < q->c && o < q->o) transform_kernel(w + (o * q->c + c) * 9, u);
        for (int xi = 0; xi < 36; xi++) to[(xi * s->in_blocks * 16 + c) * nb * 16 + i] = u[xi];
      }
  }
  for (int64_t i = 0; i < s->out_blocks * 16; i++) s->bias[i] = bias && i < q->o ? bias[i] : 0.0f;
}

static void release(const iec_host_api *host, void *state) {
  conv_winograd *s = state;
  if (!s) return;
  host->release(host->self, s->weights);
  host->release(host->self, s->bias);
  host->release(host->self, s);
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(conv_winograd), out, err);
  if (status != IEC_OK) return status;
  conv_winograd *s = out->state;
  conv_geom *q = &s->geom;
  conv_geometry(node, 0, 1, q);
  post_init(&s->posts, node);
  post_take(&s->posts, 0);
  s->in_blocks = op_div_up(q->c, 16);
  s->out_blocks = op_div_up(q->o, 16);
  s->groups = gemm_groups(s->out_blocks);
  s->columns = op_div_up(q->out[2], 4);
  s->tiles = op_div_up(q->out[1], 4) * s->columns;
  int64_t most =
      op_max(8, op_min(MAX_TILES, INPUT_BYTES / (36 * s->in_blocks * 16 * (int64_t)sizeof(float))));
  s->items = op_div_up(s->tiles, most);
  s->item_tiles = op_div_up(s->tiles, s->items);
  s->items = op_div_up(s->tiles, s->item_tiles);
  s->weights = host->alloc(host->self, (size_t)(36 * s->in_blocks * s->out_blocks * 256) * sizeof(float), 64);
  s->bias = host->alloc(host->self, (size_t)(s->out_blocks * 16) * sizeof(float), 64);
  if (!s->weights || !s->bias) {
    release(host, s);
    out->state = NULL;
    return cpu_fail(err, IEC_OUT_OF_MEMORY, node->name, "out of memory for the weights");
  }
  pack(s, node->inputs[1]->data, op_in(node, 2) ? node->inputs[2]->data : NULL);
  out->member_scratch_size =
      (size_t)(36 * (s->in_blocks + GEMM_MAX_BLOCKS) * 16 * s->item_tiles) * sizeof(float);
  out->cost = 2.0 * 2.25 * (double)(q->n * q->o * q->out_size) * (double)q->c;
  out->exec_type = "winograd_" CPU_ISA_NAME;
  out->packed_inputs = 6;
  return IEC_OK;
}

/* Bt d for one line of six. */
static inline __attribute__((always_inline)) void line_in(const vf d[6], vf r[6]) {
  vf u = d[4] - 2.0f * d[2], v = ROOT_HALF * (d[3] - 2.0f * d[1]);
  vf p = d[4] - 0.5f * d[2], t = ROOT_TWO * (d[3] - 0.5f * d[1]);
  r[0] = d[0] - 2.5f * d[2] + d[4];
  r[1] = u + v;
  r[2] = u - v;
  r[3] = p + t;
  r[4] = p - t;
  r[5] = d[1] - 2.5f * d[3] + d[5];
}

/* At m for one line of six. */
static inline __attribute__((always_inline)) void line_out(const vf m[6], vf y[4]) {
  vf s1 = m[1] + m[2], d1 = ROOT_HALF * (m[1] - m[2]), s2 = m[3] + m[4], d2 = ROOT_TWO * (m[3] - m[4]);
  y[0] = m[0] + s1 + s2;
  y[1] = d1 + d2;
  y[2] = 0.5f * s1 + 2.0f * s2;
  y[3] = 0.5f * d1 + 2.0f * d2 + m[5];
}

/* Bt d B of 6x6 pixels at x, `pitch` floats a row, into 36 places `step` floats apart. */
static __attribute__((noinline)) void tile_in(const float *x, int64_t pitch, float *to, int64_t step) {
  for (int part = 0; part < 16; part += VL) {
    vf half[6][6], d[6], r[6];
#pragma GCC unroll 6
    for (int j = 0; j < 6; j++) {
#pragma GCC unroll 6
      for (int i = 0; i < 6; i++) d[i] = vf_load(x + i * pitch + j * 16 + part);
      line_in(d, r);
#pragma GCC unroll 6
      for (int i = 0; i < 6; i++) half[i][j] = r[i];
    }
#pragma GCC unroll 6
    for (int i = 0; i < 6; i++) {
      line_in(half[i], r);
#pragma GCC unroll 6
      for (int j = 0; j < 6; j++) vf_store(to + (i * 6 + j) * step + part, r[j]);
    }
  }
}

/* At m A plus bias within limits into 4x4 pixels at y, `pitch` floats a row. */
static __attribute__((noinline)) void tile_out(const float *m, int64_t step, const float *bias,
                                               const float limits[2], float *y, int64_t pitch) {
  vf low = vf_set(limits[0]), high = vf_set(limits[1]);
  for (int part = 0; part < 16; part += VL) {
    vf half[4][6], d[6], r[4], b = vf_load(bias + part);
#pragma GCC unroll 6
    for (int j = 0; j < 6; j++) {
#pragma GCC unroll 6
      for (int i = 0; i < 6; i++) d[i] = vf_load(m + (i * 6 + j) * step + part);
      line_out(d, r);
#pragma GCC unroll 4
      for (int i = 0; i < 4; i++) half[i][j] = r[i];
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
      line_out(half[i], r);
#pragma GCC unroll 4
      for (int j = 0; j < 4; j++)
        vf_store(y + i * pitch + j * 16 + part, vf_at_most(vf_at_least(r[j] + b, low), high));
    }
  }
}

/* Tiles [begin, end) of one image's block; to: [36][in block][tile][16] at this block. */
static void block_in(const conv_winograd *s, const float *x, int64_t begin, int64_t end, float *to) {
  const conv_geom *q = &s->geom;
  int64_t step = s->in_blocks * (end - begin) * 16, height = q->in[1], width = q->in[2];
  for (int64_t t = begin; t < end; t++, to += 16) {
    int64_t top = t / s->columns * 4 - q->pad[1], left = t % s->columns * 4 - q->pad[2];
    if (top >= 0 && left >= 0 && top + 6 <= height && left + 6 <= width) {
      tile_in(x + (top * width + left) * 16, width * 16, to, step);
      continue;
    }
    float edge[6 * 6 * 16] = {0};
    int64_t first = op_max(0, left), count = op_min(width, left + 6) - first;
    for (int64_t row = op_max(0, top); count > 0 && row < op_min(height, top + 6); row++)
      memcpy(edge + ((row - top) * 6 + first - left) * 16, x + (row * width + first) * 16,
             (size_t)count * 16 * sizeof *x);
    tile_in(edge, 6 * 16, to, step);
  }
}

/* The same tiles of an output block; m: [36][nb][tile][16] at this block. */
static void block_out(const conv_winograd *s, const float *m, int64_t step, const float *bias, int64_t begin,
                      int64_t end, float *y) {
  const conv_geom *q = &s->geom;
  static const float none[2] = {-INFINITY, INFINITY};
  const float *limits = s->posts.limited ? s->posts.limits : none;
  int64_t pitch = q->out[2] * 16;
  for (int64_t t = begin; t < end; t++, m += 16) {
    int64_t top = t / s->columns * 4, left = t % s->columns * 4;
    float *to = y + (top * q->out[2] + left) * 16;
    if (top + 4 <= q->out[1] && left + 4 <= q->out[2]) {
      tile_out(m, step, bias, limits, to, pitch);
      continue;
    }
    float edge[4 * 4 * 16];
    tile_out(m, step, bias, limits, edge, 4 * 16);
    for (int64_t row = 0; row < op_min(4, q->out[1] - top); row++)
      memcpy(to + row * pitch, edge + row * 4 * 16, (size_t)op_min(4, q->out[2] - left) * 16 * sizeof *y);
  }
}

/* The fused operations on the outputs of tiles [begin, end): up to four runs of pixels a row of tiles. */
static void fuse(const conv_winograd *s, const cpu_run *r, int64_t begin, int64_t end, float *y,
                 int64_t channel) {
  const conv_geom *q = &s->geom;
  while (begin < end) {
    int64_t tile_row = begin / s->columns, stop = op_min(end, (tile_row + 1) * s->columns);
    int64_t left = begin % s->columns * 4, right = op_min(q->out[2], left + (stop - begin) * 4);
    for (int64_t h = tile_row * 4; h < op_min(q->out[1], tile_row * 4 + 4); h++)
      post_blocked(&s->posts, r, y + (h * q->out[2] + left) * 16, right - left, channel, q->o);
    begin = stop;
  }
}

/* Tiles [begin, end) of one image for gemm groups [j0, j1). */
static void run_item(const conv_winograd *s, const cpu_run *r, int64_t image, int64_t begin, int64_t end,
                     int64_t j0, int64_t j1) {
  static const int64_t no_distance = 0;
  const conv_geom *q = &s->geom;
  int64_t count = end - begin;
  float *v = r->member_scratch, *m = v + 36 * s->in_blocks * 16 * count;
  for (int64_t b = 0; b < s->in_blocks; b++)
    block_in(s, (const float *)r->inputs[0] + (image * s->in_blocks + b) * q->in_size * 16, begin, end,
             v + b * count * 16);
  for (int64_t j = j0; j < j1; j++) {
    int64_t first = gemm_group_start(s->out_blocks, j), nb = gemm_group_start(s->out_blocks, j + 1) - first;
    const float *w = s->weights + first * 36 * s->in_blocks * 256;
    for (int64_t xi = 0; xi < 36; xi++) {
      gemm_args g = {.x = v + xi * s->in_blocks * count * 16,
                     .w = w + xi * s->in_blocks * nb * 256,
                     .y = m + xi * nb * count * 16,
                     .taps = &no_distance,
                     .tap_count = 1,
                     .blocks = s->in_blocks,
                     .block_step = count * 16,
                     .last_lanes = 16,
                     .y_pixel = 16,
                     .y_block = count * 16};
      gemm_pixels(&g, 16, (int32_t)nb, count);
    }
    for (int64_t i = 0; i < nb; i++) {
      float *y = (float *)r->outputs[0] + (image * s->out_blocks + first + i) * q->out_size * 16;
      block_out(s, m + i * count * 16, nb * count * 16, s->bias + (first + i) * 16, begin, end, y);
      if (post_left(&s->posts)) fuse(s, r, begin, end, y, (first + i) * 16);
    }
  }
}

static void run(const void *state, const cpu_run *r) {
  const conv_winograd *s = state;
  int64_t begin, end, ranges = s->geom.n * s->items;
  /* Few tiles: the output channels are shared out too, and each share transforms the input again. */
  int64_t parts = r->members == 1 ? 1 : op_min(s->groups, op_div_up(4 * (int64_t)r->members, ranges));
  while (cpu_next(r, ranges * parts, 1, &begin, &end)) {
    int64_t range = begin / parts, part = begin % parts, first = range % s->items * s->item_tiles;
    run_item(s, r, range / s->items, first, op_min(s->tiles, first + s->item_tiles), s->groups * part / parts,
             s->groups * (part + 1) / parts);
  }
}

const cpu_kernel IEC_ISA(cpu_kernel_conv_winograd) = {.kind = "Conv",
                                                      .name = "conv_winograd",
                                                      .supports = supports,
                                                      .layouts = layouts,
                                                      .can_fuse = post_can_fuse,
                                                      .prepare = prepare,
                                                      .run = run,
                                                      .release = release};
