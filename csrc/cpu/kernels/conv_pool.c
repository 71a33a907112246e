/* SPDX-License-Identifier: Apache-2.0 */
/* The first convolution of a network and the maximum pool behind it: rows of the map are pooled while they
 * are in the cache, so that the map, which is often greater than all caches, is never written.
 *
 * A member works on bands of output rows: it copies the input of a band without padding and strides, then
 * computes for each output row what the windows of the last one have not left of the map. Where windows do
 * not overlap the rows are cut in parts that fit the L1 cache. */
#include "cpu/kernels/conv_gather.h"
#include "cpu/kernels/fused_pool.h"
#include "cpu/kernels/gemm.h"
#include "cpu/kernels/pack.h"
#include "cpu/kernels/pool_rows.h"

#define MOST_TAPS 64           /* of all channels: sums of more take so long that the map costs nothing */
#define MAP_BYTES (512 << 10)  /* that the rows of a window may have at most, to stay in the L2 cache */
#define PART_BYTES (32 << 10)  /* and where they are cut, in the L1 cache */
#define BAND_BYTES (128 << 10) /* that the input of a band should have at most */
#define LEAST_ROWS 4           /* of the output for each thread: neighbours compute some of the map twice */

typedef struct conv_pool {
  conv_geom geom, band; /* of the convolution, of its rows in a band */
  conv_gather gather;   /* of a band */
  post_set posts;       /* in front of the pool */
  pool_rows pool;
  int64_t blocks, tap_count;
  int64_t band_rows;                 /* of the output */
  int64_t kept;                      /* rows of the map that a window spans */
  int64_t part;                      /* outputs of a row that are computed at a time */
  int64_t pitch;                     /* pixels of a kept row */
  int64_t gather_floats, map_floats; /* of the member's memory */
  int64_t *taps;                     /* floats from the pixel */
  float *weights;                    /* [gemm group][channel][tap][nb * 16] */
  float *bias;
} conv_pool;

/* Rows (axis 1) or columns (2) of the map that a window spans. */
static int64_t span(const conv_geom *pool, int axis) { return (pool->k[axis] - 1) * pool->dil[axis] + 1; }

static int overlaps(const conv_geom *pool, int axis) { return span(pool, axis) > pool->stride[axis]; }

/* How the work is cut. 0 when the rows of a window are too large or the copy of a band is. */
static int plan(conv_pool *s) {
  const conv_geom *q = &s->geom, *pool = &s->pool.geom;
  int64_t column = s->kept * s->blocks * 16 * (int64_t)sizeof(float);
  if (column * q->out[2] > MAP_BYTES) return 0;
  s->part = pool->out[2];
  if (!overlaps(pool, 1) && !overlaps(pool, 2)) {
    int64_t tile = gemm_tile(1, gemm_width(s->blocks));
    s->part = op_max(1, op_min(s->part, op_max(1, PART_BYTES / column / tile) * tile / pool->stride[2]));
  }
  s->pitch = op_min(q->out[2], (s->part - 1) * pool->stride[2] + span(pool, 2));
  int64_t row = q->c * (q->in[2] + 2 * op_max(0, q->pad[2])) * (int64_t)sizeof(float);
  row = op_times(op_times(row, q->stride[1]), pool->stride[1]);
  s->band_rows = op_max(1, op_min(pool->out[1], BAND_BYTES / row));
  s->band = *q;
  s->band.out[1] = op_min(q->out[1], (s->band_rows - 1) * pool->stride[1] + s->kept);
  if (!gather_plan(q, &s->gather)) return 0;
  /* A copy that only the last rows need is none for the other bands. */
  if (s->gather.needed && (!gather_plan(&s->band, &s->gather) || !s->gather.needed)) return 0;
  s->gather_floats = s->gather.needed ? op_div_up(q->c * s->gather.plane, 16) * 16 : 0;
  s->map_floats = s->blocks * s->kept * s->pitch * 16;
  return 1;
}

static int read_node(const cpu_node *conv, const cpu_node *pool, conv_pool *s) {
  conv_geom *q = &s->geom;
  memset(s, 0, sizeof *s);
  if (!conv_geometry(conv, 0, 1, q) || !conv_few_channels(q) || !pool_geometry(pool, &s->pool.geom)) return 0;
  s->blocks = op_div_up(q->o, 16);
  s->tap_count = q->taps * q->c;
  s->kept = op_min(s->pool.geom.in[1], span(&s->pool.geom, 1));
  return s->tap_count <= MOST_TAPS && plan(s);
}

static int32_t supports(const cpu_node *node) {
  (void)node;
  return 0; /* conv_direct names it */
}

static int32_t can_fuse(const cpu_node *node, const cpu_post *post) {
  if (post->type != CPU_POST_MAXPOOL) return post_can_fuse(node, post);
  conv_pool s;
  cpu_node pool = fused_pool_node(node, post);
  for (int32_t i = 0; i < node->post_count; i++)
    if (node->posts[i].type == CPU_POST_SUM) return 0; /* its addend lies as the whole map */
  return node->post_count < CPU_MAX_POSTS && post->from->ndim == 4 && op_count(post->to) > 0 &&
         read_node(node, &pool, &s) && s.geom.n * s.pool.geom.out[1] >= LEAST_ROWS * node->threads;
}

static void layouts(const cpu_node *node, cpu_layout *in, cpu_layout *out) {
  for (int32_t i = 3; i < node->input_count; i++) in[i] = CPU_BLOCKED16; /* sums behind the pool */
  out[0] = CPU_BLOCKED16;
}

static void release(const iec_host_api *host, void *state) {
  conv_pool *s = state;
  if (!s) return;
  host->release(host->self, s->taps);
  host->release(host->self, s->bias);
  host->release(host->self, s);
}

static void pack(const conv_pool *s, const float *w) {
  const conv_geom *q = &s->geom;
  float *to = s->weights;
  for (int64_t j = 0; j < gemm_groups(s->blocks); j++) {
    int64_t first = gemm_group_start(s->blocks, j) * 16,
            columns = gemm_group_start(s->blocks, j + 1) * 16 - first;
    for (int64_t c = 0; c < q->c; c++, to += q->taps * columns)
      pack_panel(w + (first * q->c + c) * q->taps, s->tap_count, q->o - first, columns, 1, q->taps, to);
  }
}

static void list_taps(const conv_pool *s) {
  const conv_geom *q = &s->geom;
  int64_t *to = s->taps, t[3] = {0};
  for (int64_t c = 0; c < q->c; c++)
    for (t[1] = 0; t[1] < q->k[1]; t[1]++)
      for (t[2] = 0; t[2] < q->k[2]; t[2]++) *to++ = c * s->gather.plane + gather_tap(q, &s->gather, t);
}

/* What a pool gives for none is no value of the map. */
static int windows_have_elements(const conv_geom *pool) {
  for (int axis = 1; axis < 3; axis++)
    for (int64_t o = 0, first, end; o < pool->out[axis]; o++) {
      conv_valid_taps(pool, axis, o, &first, &end);
      if (first >= end) return 0;
    }
  return 1;
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(conv_pool), out, err);
  if (status != IEC_OK) return status;
  conv_pool *s = out->state;
  const cpu_post *post = fused_pool(node);
  cpu_node conv = fused_pool_conv(node), pool = fused_pool_node(node, post);
  read_node(&conv, &pool, s);
  int32_t before = conv.post_count;
  if (windows_have_elements(&s->pool.geom)) before = fused_pool_posts(&conv, s->geom.o);
  for (int32_t i = before; i < node->post_count; i++)
    if (i != conv.post_count) pool.posts[pool.post_count++] = node->posts[i];
  conv.post_count = before;
  pool_rows_init(&s->pool, &pool);
  post_init(&s->posts, &conv);
  post_take(&s->posts, 0);
  int32_t ready;
  size_t outputs = (size_t)s->blocks * 16, row = (size_t)s->tap_count;
  s->taps = host->alloc(host->self, row * sizeof *s->taps, 64);
  s->weights = cpu_pack(node, "panels", outputs * row * sizeof(float), &ready);
  s->bias = host->alloc(host->self, outputs * sizeof(float), 64);
  if (!s->taps || !s->weights || !s->bias) {
    release(host, s);
    out->state = NULL;
    return cpu_fail(err, IEC_OUT_OF_MEMORY, node->name, "out of memory for the weights");
  }
  if (!ready) pack(s, node->inputs[1]->data);
  list_taps(s);
  memset(s->bias, 0, outputs * sizeof(float));
  if (op_in(node, 2)) memcpy(s->bias, node->inputs[2]->data, (size_t)s->geom.o * sizeof(float));
  out->member_scratch_size = (size_t)(s->gather_floats + s->map_floats + s->pitch * 16) * sizeof(float);
  out->cost = 2.0 * (double)(s->geom.n * s->geom.o * s->geom.out_size) * (double)s->tap_count +
              pool_rows_cost(&s->pool.geom);
  out->exec_type = "conv_first_pool_" CPU_ISA_NAME;
  out->packed_inputs = 6;
  return IEC_OK;
}

/* What a member has and does at the moment. */
typedef struct work {
  const cpu_run *run;
  int64_t image;
  int64_t begin, end; /* of the map, the rows that the last window left */
  const float *x;     /* the first pixel of row `from` */
  int64_t from;
  float *gathered, *map, *line;
} work;

/* Copies the input of rows [begin, end) of the map, or finds it. */
static void fetch_rows(const conv_pool *s, work *w, int64_t begin, int64_t end) {
  const conv_geom *q = &s->geom;
  const float *x = (const float *)w->run->inputs[0] + w->image * q->c * q->in_size;
  const gather_axis *axis = s->gather.axis + 1;
  w->from = begin;
  w->x = s->gather.needed ? w->gathered : x + s->gather.base + begin * s->gather.pitch[1];
  if (!s->gather.needed) return;
  conv_geom band = s->band;
  band.pad[1] -= begin * q->stride[1];
  int64_t length = end - begin + (q->k[1] - 1) * q->dil[1] / q->stride[1];
  for (int64_t c = 0; c < q->c; c++)
    for (int64_t f = 0; f < axis->phases; f++)
      for (int64_t i = 0; i < length; i++)
        gather_row(&band, &s->gather, f * axis->length + i, 1, x + c * q->in_size,
                   w->gathered + c * s->gather.plane);
}

/* Columns [begin, end) of row n of the map. */
static void map_row(const conv_pool *s, const work *w, int64_t n, int64_t begin, int64_t end) {
  int64_t count = end - begin, block = s->kept * s->pitch * 16;
  gemm_args a = {.taps = s->taps,
                 .tap_count = s->tap_count,
                 .blocks = 1,
                 .last_lanes = 1,
                 .y_block = block,
                 .limits = s->posts.limited ? s->posts.limits : NULL};
  a.x = w->x + (n - w->from) * s->gather.pitch[1] + begin;
  a.w = s->weights;
  for (int64_t j = 0; j < gemm_groups(s->blocks); j++) {
    int64_t first = gemm_group_start(s->blocks, j), nb = gemm_group_start(s->blocks, j + 1) - first;
    a.y = w->map + first * block + n % s->kept * s->pitch * 16;
    a.bias = s->bias + first * 16;
    gemm_pixels(&a, 1, (int32_t)nb, count);
    a.w += s->tap_count * nb * 16;
    if (!post_left(&s->posts)) continue;
    for (int64_t i = 0; i < nb; i++)
      post_blocked(&s->posts, w->run, a.y + i * block, count, (first + i) * 16, s->geom.o);
  }
}

/* The rows (axis 1) or columns (2) of the map that outputs [first, end) need. */
static void window(const conv_geom *pool, int axis, int64_t first, int64_t end, int64_t *out_first,
                   int64_t *out_end) {
  int64_t stop = (end - 1) * pool->stride[axis] - pool->pad[axis] + span(pool, axis);
  *out_first = op_min(pool->in[axis], op_max(0, first * pool->stride[axis] - pool->pad[axis]));
  *out_end = op_max(*out_first, op_min(pool->in[axis], stop));
}

/* The lines that will be written come while the convolution computes. */
static void fetch_line(const conv_pool *s, const cpu_run *r, const conv_row *at, const pool_part *part) {
  const conv_geom *pool = &s->pool.geom;
  const float *y = (const float *)r->outputs[0] + conv_row_at(at, pool, s->blocks) * pool->out[2] * 16;
  for (int64_t o = part->first; o < part->end; o++) __builtin_prefetch(y + o * 16, 1, 2);
}

/* Output row h; of the map rows that it needs those before w->end are there. */
static void run_row(const conv_pool *s, work *w, int64_t h) {
  const conv_geom *pool = &s->pool.geom;
  int64_t top, bottom;
  window(pool, 1, h, h + 1, &top, &bottom);
  top = op_max(top, w->end);
  pool_part part = {.kept = s->kept, .pitch = s->pitch};
  for (; part.first < pool->out[2]; part.first = part.end) {
    conv_row at = {.image = w->image, .height = h};
    part.end = op_min(pool->out[2], part.first + s->part);
    window(pool, 2, part.first, part.end, &part.left, &part.right);
    for (; at.block < s->blocks; at.block++) fetch_line(s, w->run, &at, &part);
    for (int64_t n = top; n < bottom; n++) map_row(s, w, n, part.left, part.right);
    for (at.block = 0; at.block < s->blocks; at.block++) {
      part.x = w->map + at.block * s->kept * s->pitch * 16;
      pool_row(&s->pool, w->run, &at, &part, w->line, 1);
    }
  }
  w->end = op_max(w->end, bottom);
}

/* Output rows [begin, stop) of an image: a band. */
static void run_band(const conv_pool *s, work *w, int64_t image, int64_t begin, int64_t stop) {
  int64_t top, last, end;
  window(&s->pool.geom, 1, begin, begin + 1, &top, &end);
  window(&s->pool.geom, 1, stop - 1, stop, &last, &end);
  if (w->image != image || top < w->begin) w->end = top;
  w->image = image;
  w->begin = last;
  w->end = op_max(top, w->end);
  if (w->end < end) fetch_rows(s, w, w->end, end);
  for (; begin < stop; begin++) run_row(s, w, begin);
}

static void run(const void *state, const cpu_run *r) {
  const conv_pool *s = state;
  int64_t rows = s->pool.geom.out[1], count = s->geom.n * rows, begin, end, next;
  work w = {.run = r, .image = -1, .gathered = r->member_scratch};
  w.map = w.gathered + s->gather_floats;
  w.line = w.map + s->map_floats;
  while (cpu_next(r, count, op_grain(r, count, 1), &begin, &end))
    for (; begin < end; begin = next) {
      int64_t image = begin / rows;
      next = op_min(op_min(end, (image + 1) * rows), begin + s->band_rows);
      run_band(s, &w, image, begin - image * rows, next - image * rows);
    }
}

const cpu_kernel IEC_ISA(cpu_kernel_conv_pool) = {.kind = "Conv",
                                                  .name = "conv_pool",
                                                  .supports = supports,
                                                  .layouts = layouts,
                                                  .can_fuse = can_fuse,
                                                  .prepare = prepare,
                                                  .run = run,
                                                  .release = release};
