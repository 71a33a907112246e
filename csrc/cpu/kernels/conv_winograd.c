/* SPDX-License-Identifier: Apache-2.0 */
/* 3x3 convolution of stride 1 by Winograd's F(4x4, 3x3) or F(2x2, 3x3), 5x5 by F(4x4, 5x5) or F(2x2, 5x5): 4,
 * 2.25, 6.25 or 2.8 times fewer multiplications, as 64, 36 or 16 matrix products. A maximum pool of 2x2
 * behind it is taken of each tile while it is in the cache. */
#include "cpu/kernels/fused_pool.h"
#include "cpu/kernels/gemm.h"
#include "cpu/kernels/pack.h"
#include "cpu/kernels/post.h"
#include "cpu/kernels/winograd.h"

#define ITEM_BYTES (512 * 1024) /* transformed tiles of a work item: about the L2 cache */
#define LEAST_TILES 48          /* of a work item all the same: they share every weight that is read */
#define ITEMS 4                 /* of a thread: enough for all to finish together */

typedef struct conv_winograd {
  conv_geom geom;
  post_set posts;
  const struct shape *shape;
  int64_t m, points;                           /* outputs of a tile's line, matrix products */
  int64_t in_blocks, out_blocks, groups, slab; /* slab: input blocks of one matrix product */
  int64_t columns, image_rows, rows;           /* tiles of a row; tile rows of an image and of all */
  int64_t item_rows;                           /* tile rows that one member transforms together */
  int32_t together; /* all tiles are one item, on which all members work in turns */
  int32_t pooled;
  post_set pool_posts; /* behind the pool */
  int32_t late;        /* kernels are transformed at every run, a slab of a gemm group at a time */
  float *weights;      /* [point][gemm group][input channel][nb * 16], late: as pack_late leaves them */
  float *bias, *zeros; /* zeros: an input row outside of the image */
} conv_winograd;

typedef void (*strip_in)(const float *const *rows, int64_t width, int64_t left, int64_t count, float *to,
                         int64_t step);
typedef void (*tile_out)(const float *from, int64_t step, const float *bias, const float *addend,
                         const float *limits, float *y, int64_t pitch);

#define TRANSFORMS(NAME, M, N)                                                                              \
  static __attribute__((noinline)) void strip_in_##NAME(                                                    \
      const float *const *rows, int64_t width, int64_t left, int64_t count, float *to, int64_t step) {      \
    winograd_strip_in(M, N, rows, width, left, count, to, step);                                            \
  }                                                                                                         \
  static __attribute__((noinline)) void tile_out_##NAME(const float *from, int64_t step, const float *bias, \
                                                        const float *addend, const float *limits, float *y, \
                                                        int64_t pitch) {                                    \
    winograd_tile_out(M, N, from, step, bias, addend, limits, y, pitch);                                    \
  }
TRANSFORMS(4_3, 4, 6)
TRANSFORMS(2_3, 2, 4)
TRANSFORMS(4_5, 4, 8)
TRANSFORMS(2_5, 2, 6)

/* cost: of the transforms of a tile for each channel, in multiplications, measured on AVX2. */
typedef struct shape {
  int m, r;
  double cost;
  strip_in in;
  tile_out out;
  const char *exec_type, *pooled_type;
} shape;

static const shape shapes[] = {
    {4, 3, 500, strip_in_4_3, tile_out_4_3, "winograd4_" CPU_ISA_NAME, "winograd4_pool_" CPU_ISA_NAME},
    {2, 3, 200, strip_in_2_3, tile_out_2_3, "winograd2_" CPU_ISA_NAME, "winograd2_pool_" CPU_ISA_NAME},
    {4, 5, 900, strip_in_4_5, tile_out_4_5, "winograd4x5_" CPU_ISA_NAME, "winograd4x5_pool_" CPU_ISA_NAME},
    {2, 5, 400, strip_in_2_5, tile_out_2_5, "winograd2x5_" CPU_ISA_NAME, "winograd2x5_pool_" CPU_ISA_NAME}};

#define WEIGHT_COST 12.0      /* of a weight that comes from memory, likewise */
#define FAR_WEIGHTS (2 << 20) /* so many surely do, and threads that read them share the memory's speed */

static double cost_of(const conv_geom *q, const shape *f, int32_t threads) {
  double tiles = (double)(q->n * op_div_up(q->out[1], f->m) * op_div_up(q->out[2], f->m));
  double n = f->m + f->r - 1, c = (double)q->c, o = (double)op_div_up(q->o, 16) * 16, weights = n * n * c * o;
  double least = weights > FAR_WEIGHTS && threads > 1 ? 2 * WEIGHT_COST : WEIGHT_COST;
  return weights * (tiles > least ? tiles : least) + f->cost * tiles * (c + o);
}

/* The shape that costs least, NULL: none of them but the direct sum. */
static const shape *choose(const conv_geom *q, int32_t threads) {
  if (q->g != 1 || q->in[0] != 1 || q->out[0] != 1 || q->k[0] != 1 || q->pad[0]) return NULL;
  for (int a = 1; a < 3; a++)
    if (q->stride[a] != 1 || q->dil[a] != 1 || q->out[a] < 2) return NULL;
  if (q->c < 8 || q->n < 1 || q->k[1] != q->k[2]) return NULL;
  double least =
      0.9 * (double)(q->taps * q->n * q->out_size) * (double)q->c * (double)(op_div_up(q->o, 16) * 16);
  const shape *best = NULL;
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    double cost = q->k[1] == shapes[i].r ? cost_of(q, shapes + i, threads) : least;
    if (cost >= least) continue;
    least = cost;
    best = shapes + i;
  }
  return best;
}

/* Transformed kernels are 1.8 times as many bytes as those they are made of, to pack, to keep and, by threads
 * that share the memory's speed, to read. Where there are few tiles for each, transforming them at every run
 * takes hardly longer: what is made stays in the cache, and the next ones come meanwhile. */
static int is_late(const conv_winograd *s, int32_t threads) {
  int64_t weights = s->points * s->geom.c * s->out_blocks * 16;
  return s->shape->m == 2 && s->shape->r == 3 && s->together && threads > 1 && s->groups >= 2 * threads &&
         weights > FAR_WEIGHTS && (double)(s->rows * s->columns) <= 2 * WEIGHT_COST;
}

static int32_t supports(const cpu_node *node) {
  conv_geom q;
  if (!conv_geometry(node, 0, 1, &q) || !conv_bias_ok(node, 2, q.o) || !conv_can_block(node)) return 0;
  return choose(&q, node->threads) ? 30 : 0;
}

/* A pool of 2x2 of which all windows lie in the map and in one tile, with nothing that must stay between but
 * limits. */
static int can_pool(const cpu_node *node, const cpu_post *post) {
  conv_geom q;
  cpu_node pool = fused_pool_node(node, post);
  if (node->post_count == CPU_MAX_POSTS || !pool_geometry(&pool, &q) || q.in[0] != 1) return 0;
  for (int a = 1; a < 3; a++)
    if (q.k[a] != 2 || q.stride[a] != 2 || q.dil[a] != 1 || q.pad[a] || q.in[a] != 2 * q.out[a]) return 0;
  post_set between;
  cpu_node conv = *node;
  conv.post_count = fused_pool_posts(node, node->outputs[0]->shape[1]);
  post_init(&between, &conv);
  post_take(&between, 1);
  return between.addend < 0 && !post_left(&between);
}

static int32_t can_fuse(const cpu_node *node, const cpu_post *post) {
  if (fused_pool(node)) return 0;
  return post->type == CPU_POST_MAXPOOL ? can_pool(node, post) : post_can_fuse(node, post);
}

static void layouts(const cpu_node *node, cpu_layout *in, cpu_layout *out) {
  in[0] = out[0] = CPU_BLOCKED16;
  for (int32_t i = 3; i < node->input_count; i++) in[i] = CPU_BLOCKED16; /* sums */
}

/* Kernels of 16 input and 16 output channels at a time, which are transformed side by side. Points lie powers
 * of two apart, so one after the other is written. */
static void pack(const cpu_node *node, conv_winograd *s) {
  const conv_geom *q = &s->geom;
  _Alignas(64) float part[25 * 16 * 16], square[WINOGRAD_POINTS * WINOGRAD_POINTS][16 * 16];
  const float *w = node->inputs[1]->data;
  int64_t taps = q->taps;
  for (int64_t j = 0; j < s->groups; j++) {
    int64_t first = gemm_group_start(s->out_blocks, j) * 16;
    int64_t columns = gemm_group_start(s->out_blocks, j + 1) * 16 - first;
    for (int64_t i = 0; i < columns; i += 16) {
      int64_t count = op_min(16, q->o - first - i);
      const float *rows = pack_rows(node, w + (first + i) * q->c * taps, count * q->c * taps, 0);
      for (int64_t c = 0; c < q->c; c += 16) {
        int64_t channels = op_min(16, q->c - c);
        float *to = s->weights + first * q->c + c * columns + i;
        pack_panel(rows + c * taps, q->c * taps, count, 16, channels, taps, part);
        for (int64_t lane = 0; lane < channels; lane++)
          winograd_kernels(s->shape->m, s->shape->r, part + lane * 16, channels * 16, square[0] + lane * 16,
                           16 * 16);
        for (int64_t p = 0; p < s->points; p++, to += q->c * s->out_blocks * 16)
          for (int64_t lane = 0; lane < channels; lane++)
            memcpy(to + lane * columns, square[p] + lane * 16, 16 * sizeof *to);
      }
    }
  }
}

/* Kernels as they are: [gemm group][slab][tap][input channel][nb * 16]. */
static void pack_late(const cpu_node *node, conv_winograd *s) {
  const conv_geom *q = &s->geom;
  const float *w = node->inputs[1]->data;
  float *to = s->weights;
  for (int64_t j = 0; j < s->groups; j++) {
    int64_t first = gemm_group_start(s->out_blocks, j) * 16;
    int64_t columns = gemm_group_start(s->out_blocks, j + 1) * 16 - first;
    int64_t count = op_min(columns, q->o - first);
    const float *rows = pack_rows(node, w + first * q->c * q->taps, count * q->c * q->taps, 0);
    for (int64_t c = 0; c < q->c; c += s->slab * 16) {
      int64_t channels = op_min(s->slab * 16, q->c - c);
      pack_panel(rows + c * q->taps, q->c * q->taps, count, columns, channels, q->taps, to);
      to += q->taps * channels * columns;
    }
  }
}

static void copy_bias(conv_winograd *s, const float *bias) {
  for (int64_t i = 0; i < s->out_blocks * 16; i++) s->bias[i] = bias && i < s->geom.o ? bias[i] : 0.0f;
}

static void release(const iec_host_api *host, void *state) {
  conv_winograd *s = state;
  if (!s) return;
  host->release(host->self, s->bias);
  host->release(host->self, s->zeros);
  host->release(host->self, s);
}

/* Floats from one point to the next of transformed tiles. The odd line keeps the points of a tile, which are
 * written and read together, out of the same cache set. */
static int64_t point_step(int64_t blocks, int64_t tiles) { return (blocks * tiles + 1) * 16; }

/* Floats from one point to the next of transformed kernels, likewise. */
static int64_t late_step(int64_t lanes, int64_t nb) { return (lanes * nb + 1) * 16; }

static const float *late_group(const conv_winograd *s, int64_t j) {
  return s->weights + gemm_group_start(s->out_blocks, j) * 16 * s->geom.c * s->geom.taps;
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(conv_winograd), out, err);
  if (status != IEC_OK) return status;
  conv_winograd *s = out->state;
  conv_geom *q = &s->geom;
  cpu_node conv = fused_pool_conv(node), pooled = *node;
  conv_geometry(&conv, 0, 1, q);
  s->pooled = fused_pool(node) != NULL;
  if (s->pooled) {
    int32_t all = conv.post_count;
    conv.post_count = fused_pool_posts(&conv, q->o);
    pooled.post_count = all - conv.post_count;
    for (int32_t i = 0; i < pooled.post_count; i++) pooled.posts[i] = node->posts[conv.post_count + i];
    post_init(&s->pool_posts, &pooled);
  }
  post_init(&s->posts, &conv);
  post_take(&s->posts, 1);
  s->shape = choose(q, node->threads);
  s->m = s->shape->m;
  s->points = (s->m + s->shape->r - 1) * (s->m + s->shape->r - 1);
  s->in_blocks = op_div_up(q->c, 16);
  s->out_blocks = op_div_up(q->o, 16);
  s->groups = gemm_groups(s->out_blocks);
  s->slab = gemm_slab(s->in_blocks, 1024 * gemm_width(s->out_blocks));
  s->columns = op_div_up(q->out[2], s->m);
  s->image_rows = op_div_up(q->out[1], s->m);
  s->rows = q->n * s->image_rows;
  int64_t row_bytes = s->points * (s->in_blocks + s->out_blocks) * s->columns * 64;
  s->item_rows = op_max(op_div_up(LEAST_TILES, s->columns), ITEM_BYTES / row_bytes);
  s->item_rows = op_div_up(s->rows, op_div_up(s->rows, s->item_rows));
  s->together = s->item_rows >= s->rows;
  int32_t ready;
  s->late = is_late(s, node->threads);
  if (s->late) s->slab = gemm_slab(s->in_blocks, 2048 * gemm_width(s->out_blocks)); /* all points in L2 */
  size_t floats = (size_t)((s->late ? q->taps : s->points) * q->c * s->out_blocks * 16);
  s->weights = cpu_pack(node, s->late ? "kernels" : s->shape->exec_type, floats * sizeof(float), &ready);
  s->bias = host->alloc(host->self, (size_t)(s->out_blocks * 16) * sizeof(float), 64);
  s->zeros = host->alloc(host->self, (size_t)(q->in[2] * 16) * sizeof(float), 64);
  if (!s->weights || !s->bias || !s->zeros) {
    release(host, s);
    out->state = NULL;
    return cpu_fail(err, IEC_OUT_OF_MEMORY, node->name, "out of memory for the weights");
  }
  memset(s->zeros, 0, (size_t)(q->in[2] * 16) * sizeof(float));
  if (!ready) (s->late ? pack_late : pack)(node, s);
  copy_bias(s, op_in(node, 2) ? node->inputs[2]->data : NULL);
  int64_t tiles = s->item_rows * s->columns;
  size_t size = (size_t)(s->points * (point_step(s->in_blocks, tiles) + point_step(s->out_blocks, tiles))) *
                sizeof(float);
  *(s->together ? &out->scratch_size : &out->member_scratch_size) = size;
  if (s->late)
    out->member_scratch_size =
        (size_t)(s->points * late_step(s->slab * 16, gemm_width(s->out_blocks))) * sizeof(float);
  out->cost = 2.0 * (double)(s->points * s->rows * s->columns) * (double)(q->c * q->o);
  out->exec_type = s->pooled ? s->shape->pooled_type : s->shape->exec_type;
  out->packed_inputs = 6;
  return IEC_OK;
}

/* Tile rows [begin, end) of all images while they are transformed. */
typedef struct item {
  int64_t begin, end, tiles;
  float *v, *m; /* [point][in block][tile][16], [point][out block][tile][16] */
  int64_t v_step, m_step;
} item;

static item make_item(const conv_winograd *s, int64_t begin, int64_t end, void *memory) {
  item w = {.begin = begin, .end = end, .tiles = (end - begin) * s->columns, .v = memory};
  w.v_step = point_step(s->in_blocks, w.tiles);
  w.m_step = point_step(s->out_blocks, w.tiles);
  w.m = w.v + s->points * w.v_step;
  return w;
}

/* Input tiles of one block and tile row. */
static void transform_in(const conv_winograd *s, const cpu_run *r, const item *w, int64_t block,
                         int64_t row) {
  const conv_geom *q = &s->geom;
  int64_t image = row / s->image_rows, top = row % s->image_rows * s->m - q->pad[1], width = q->in[2];
  const float *x = (const float *)r->inputs[0] + (image * s->in_blocks + block) * q->in_size * 16;
  const float *rows[WINOGRAD_POINTS];
  for (int64_t i = 0; i < s->m + s->shape->r - 1; i++)
    rows[i] = top + i >= 0 && top + i < q->in[1] ? x + (top + i) * width * 16 : s->zeros;
  float *to = w->v + (block * w->tiles + (row - w->begin) * s->columns) * 16;
  for (int64_t t = 0; t < s->columns; t += WINOGRAD_STRIP) {
    int64_t left = t * s->m - q->pad[2], count = op_min(WINOGRAD_STRIP, s->columns - t);
    s->shape->in(rows, width, left, count, to + t * 16, w->v_step);
  }
}

/* One point of one gemm group for all tiles. */
static void multiply(const conv_winograd *s, const item *w, int64_t point, int64_t j) {
  static const int64_t no_distance = 0;
  const conv_geom *q = &s->geom;
  int64_t first = gemm_group_start(s->out_blocks, j), nb = gemm_group_start(s->out_blocks, j + 1) - first;
  gemm_args g = {.w = s->weights + (point * s->out_blocks + first) * 16 * q->c,
                 .y = w->m + point * w->m_step + first * w->tiles * 16,
                 .taps = &no_distance,
                 .tap_count = 1,
                 .block_step = w->tiles * 16,
                 .y_block = w->tiles * 16};
  for (int64_t b = 0; b < s->in_blocks; b += s->slab) {
    int last = b + s->slab >= s->in_blocks;
    g.x = w->v + point * w->v_step + b * w->tiles * 16;
    g.blocks = op_min(s->slab, s->in_blocks - b);
    g.last_lanes = last ? q->c - (s->in_blocks - 1) * 16 : 16;
    g.accumulate = b > 0;
    g.ahead = ((g.blocks - 1) * 16 + g.last_lanes) * nb * 16; /* the next weights follow */
    gemm_pixels(&g, 16, (int32_t)nb, w->tiles);
    g.w += g.ahead;
  }
}

/* All points of gemm group `j` for all tiles. next: the group that this member probably takes then; `kernels`
 * has room for a slab. */
static void multiply_late(const conv_winograd *s, const item *w, int64_t j, int64_t next, float *kernels) {
  static const int64_t no_distance = 0;
  const conv_geom *q = &s->geom;
  int64_t first = gemm_group_start(s->out_blocks, j), nb = gemm_group_start(s->out_blocks, j + 1) - first;
  const float *from = late_group(s, j);
  gemm_args g = {.taps = &no_distance,
                 .tap_count = 1,
                 .block_step = w->tiles * 16,
                 .y_block = w->tiles * 16,
                 .ahead_lines = op_div_up(4 * nb * q->taps, s->points)};
  for (int64_t b = 0; b < s->in_blocks; b += s->slab) {
    int last = b + s->slab >= s->in_blocks;
    g.blocks = op_min(s->slab, s->in_blocks - b);
    g.last_lanes = last ? q->c - (s->in_blocks - 1) * 16 : 16;
    g.accumulate = b > 0;
    int64_t lanes = (g.blocks - 1) * 16 + g.last_lanes, step = late_step(lanes, nb);
    winograd_kernels_2_3(from, lanes * nb * 16, kernels, step);
    from += q->taps * lanes * nb * 16;
    const float *soon = !last ? from : next < s->groups ? late_group(s, next) : NULL;
    for (int64_t p = 0; p < s->points; p++) {
      g.w = kernels + p * step;
      g.x = w->v + p * w->v_step + b * w->tiles * 16;
      g.y = w->m + p * w->m_step + first * w->tiles * 16;
      g.ahead = soon ? soon - g.w : 0;
      gemm_pixels(&g, 16, (int32_t)nb, w->tiles);
      if (soon) soon += g.ahead_lines * (lanes / 4) * 16;
    }
  }
}

static const float no_limits[2] = {-INFINITY, INFINITY};

/* The maxima of 2x2 pixels of a tile, rows of which lie `pitch` floats apart, rows of them `y_pitch`. */
static void pool_tile(const float *tile, int64_t pitch, int64_t height, int64_t width, float *y,
                      int64_t y_pitch) {
  for (int64_t i = 0; i < height; i += 2, tile += 2 * pitch, y += y_pitch)
    for (int64_t j = 0; j < width; j += 2)
      for (int v = 0; v < 16; v += VL) {
        const float *from = tile + j * 16 + v;
        vf upper = vf_max(vf_load(from), vf_load(from + 16));
        vf lower = vf_max(vf_load(from + pitch), vf_load(from + pitch + 16));
        vf_store(y + j * 8 + v, vf_max(upper, lower));
      }
}

/* Output tiles of one block and tile row, pooled. */
static void transform_out_pooled(const conv_winograd *s, const cpu_run *r, const item *w, int64_t block,
                                 int64_t row) {
  const conv_geom *q = &s->geom;
  const float *limits = s->posts.limited ? s->posts.limits : no_limits, *bias = s->bias + block * 16;
  const float *from = w->m + (block * w->tiles + (row - w->begin) * s->columns) * 16;
  int64_t top = row % s->image_rows * s->m, height = op_min(s->m, q->out[1] - top),
          pitch = q->out[2] / 2 * 16;
  float *y = (float *)r->outputs[0] + (row / s->image_rows * s->out_blocks + block) * (q->out_size / 4) * 16 +
             top / 2 * pitch;
  float tile[16 * 16];
  for (int64_t t = 0; t < s->columns; t++, from += 16) {
    s->shape->out(from, w->m_step, bias, NULL, limits, tile, s->m * 16);
    pool_tile(tile, s->m * 16, height, op_min(s->m, q->out[2] - t * s->m), y + t * s->m * 8, pitch);
  }
  if (post_left(&s->pool_posts)) post_blocked(&s->pool_posts, r, y, height * pitch / 32, block * 16, q->o);
}

/* Output tiles of one block and tile row. */
static void transform_out(const conv_winograd *s, const cpu_run *r, const item *w, int64_t block,
                          int64_t row) {
  if (s->pooled) {
    transform_out_pooled(s, r, w, block, row);
    return;
  }
  const conv_geom *q = &s->geom;
  const float *limits = s->posts.limited ? s->posts.limits : no_limits, *bias = s->bias + block * 16;
  const float *from = w->m + (block * w->tiles + (row - w->begin) * s->columns) * 16;
  int64_t top = row % s->image_rows * s->m, pitch = q->out[2] * 16, height = op_min(s->m, q->out[1] - top);
  int64_t at = ((row / s->image_rows * s->out_blocks + block) * q->out_size + top * q->out[2]) * 16;
  float *y = (float *)r->outputs[0] + at;
  const float *addend = s->posts.addend < 0 ? NULL : (const float *)r->inputs[s->posts.addend] + at;
  for (int64_t t = 0; t < s->columns; t++, from += 16) {
    int64_t left = t * s->m * 16, width = op_min(s->m, q->out[2] - t * s->m);
    if (height == s->m && width == s->m) {
      s->shape->out(from, w->m_step, bias, addend ? addend + left : NULL, limits, y + left, pitch);
      continue;
    }
    float edge[16 * 16], other[16 * 16] = {0};
    size_t size = (size_t)width * 16 * sizeof *y;
    for (int64_t i = 0; addend && i < height; i++)
      memcpy(other + i * s->m * 16, addend + left + i * pitch, size);
    s->shape->out(from, w->m_step, bias, addend ? other : NULL, limits, edge, s->m * 16);
    for (int64_t i = 0; i < height; i++) memcpy(y + left + i * pitch, edge + i * s->m * 16, size);
  }
  if (post_left(&s->posts)) post_blocked(&s->posts, r, y, height * q->out[2], block * 16, q->o);
}

static void run_item(const conv_winograd *s, const cpu_run *r, const item *w) {
  for (int64_t b = 0; b < s->in_blocks; b++)
    for (int64_t row = w->begin; row < w->end; row++) transform_in(s, r, w, b, row);
  for (int64_t i = 0; i < s->points * s->groups; i++) multiply(s, w, i / s->groups, i % s->groups);
  for (int64_t b = 0; b < s->out_blocks; b++)
    for (int64_t row = w->begin; row < w->end; row++) transform_out(s, r, w, b, row);
}

/* Too few tiles for an item each: the members share every phase of the one item. */
static void run_together(const conv_winograd *s, const cpu_run *r, const item *w) {
  int64_t begin, end, in = s->in_blocks * s->rows, products = (s->late ? 1 : s->points) * s->groups;
  int64_t out = s->out_blocks * s->rows, block, row;
  while (cpu_next_phase(r, 0, in, op_grain(r, in, 1), &begin, &end))
    for (; begin < end; begin++) {
      op_place(r, begin, s->in_blocks, s->rows, &block, &row);
      transform_in(s, r, w, block, row);
    }
  cpu_barrier(r);
  while (cpu_next_phase(r, 1, products, op_grain(r, products, 1), &begin, &end))
    for (; begin < end; begin++)
      if (s->late)
        multiply_late(s, w, begin, begin + r->members, r->member_scratch);
      else
        multiply(s, w, begin / s->groups, begin % s->groups);
  cpu_barrier(r);
  while (cpu_next_phase(r, 2, out, op_grain(r, out, 1), &begin, &end))
    for (; begin < end; begin++) {
      op_place(r, begin, s->out_blocks, s->rows, &block, &row);
      transform_out(s, r, w, block, row);
    }
}

static void run(const void *state, const cpu_run *r) {
  const conv_winograd *s = state;
  if (s->together) {
    item w = make_item(s, 0, s->rows, r->scratch);
    run_together(s, r, &w);
    return;
  }
  int64_t items =
      op_max(op_div_up(s->rows, s->item_rows), r->members == 1 ? 1 : op_min(s->rows, ITEMS * r->members));
  int64_t begin, end;
  while (cpu_next(r, items, 1, &begin, &end)) {
    item w = make_item(s, s->rows * begin / items, s->rows * end / items, r->member_scratch);
    run_item(s, r, &w);
  }
}

extern const cpu_kernel IEC_ISA(cpu_kernel_conv_winograd);
const cpu_kernel IEC_ISA(cpu_kernel_conv_winograd) = {.kind = "Conv",
                                                      .name = "conv_winograd",
                                                      .supports = supports,
                                                      .layouts = layouts,
                                                      .can_fuse = can_fuse,
                                                      .pooled = &IEC_ISA(cpu_kernel_conv_winograd),
                                                      .prepare = prepare,
                                                      .run = run,
                                                      .release = release};
