/* SPDX-License-Identifier: Apache-2.0 */
/* The first convolution of a network and the maximum pool behind it: rows of the map are pooled while they
 * are in the cache, so that the map, which is often greater than all caches, is never written.
 *
 * A member works on bands of output rows: it copies the input of a band without padding and strides, then
 * computes for each output row what the windows of the last one have not left of the map. Where windows do
 * not overlap the rows are cut in parts that fit the L1 cache. */
#include "cpu/kernels/fused_pool.h"
#include "cpu/kernels/map_rows.h"
#include "cpu/kernels/pool_rows.h"

#define MOST_TAPS 64          /* of all channels: sums of more take so long that the map costs nothing */
#define MAP_BYTES (512 << 10) /* that the rows of a window may have at most, to stay in the L2 cache */
#define PART_BYTES (32 << 10) /* and where they are cut, in the L1 cache */
#define LEAST_ROWS 4          /* of the output for each thread: neighbours compute some of the map twice */

typedef struct conv_pool {
  map_rows map; /* its posts are those in front of the pool */
  pool_rows pool;
  int64_t band_rows; /* of the output */
  int64_t part;      /* outputs of a row that are computed at a time */
  int64_t map_floats;
} conv_pool;

/* Rows (axis 1) or columns (2) of the map that a window spans. */
static int64_t span(const conv_geom *pool, int axis) { return (pool->k[axis] - 1) * pool->dil[axis] + 1; }

static int overlaps(const conv_geom *pool, int axis) { return span(pool, axis) > pool->stride[axis]; }

/* How the work is cut. 0 when the rows of a window are too large or the copy of a band is. */
static int plan(conv_pool *s) {
  map_rows *m = &s->map;
  const conv_geom *q = &m->geom, *pool = &s->pool.geom;
  int64_t column = m->kept * m->blocks * 16 * (int64_t)sizeof(float);
  if (column * q->out[2] > MAP_BYTES) return 0;
  s->part = pool->out[2];
  if (!overlaps(pool, 1) && !overlaps(pool, 2)) {
    int64_t tile = gemm_tile(1, gemm_width(m->blocks));
    s->part = op_max(1, op_min(s->part, op_max(1, PART_BYTES / column / tile) * tile / pool->stride[2]));
  }
  m->pitch = op_min(q->out[2], (s->part - 1) * pool->stride[2] + span(pool, 2));
  s->band_rows =
      op_max(1, op_min(pool->out[1], MAP_BAND_BYTES / op_times(map_rows_input(q), pool->stride[1])));
  s->map_floats = m->blocks * m->kept * m->pitch * 16;
  return map_rows_bands(m, (s->band_rows - 1) * pool->stride[1] + m->kept);
}

static int read_node(const cpu_node *conv, const cpu_node *pool, conv_pool *s) {
  memset(s, 0, sizeof *s);
  if (!map_rows_read(conv, &s->map) || s->map.lanes != 1 || !pool_geometry(pool, &s->pool.geom)) return 0;
  s->map.kept = op_min(s->pool.geom.in[1], span(&s->pool.geom, 1));
  return s->map.tap_count <= MOST_TAPS && plan(s);
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
         read_node(node, &pool, &s) && s.map.geom.n * s.pool.geom.out[1] >= LEAST_ROWS * node->threads;
}

static void layouts(const cpu_node *node, cpu_layout *in, cpu_layout *out) {
  for (int32_t i = 3; i < node->input_count; i++) in[i] = CPU_BLOCKED16; /* sums behind the pool */
  out[0] = CPU_BLOCKED16;
}

static void release(const iec_host_api *host, void *state) {
  conv_pool *s = state;
  if (!s) return;
  map_rows_release(host, &s->map);
  host->release(host->self, s);
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
  if (windows_have_elements(&s->pool.geom)) before = fused_pool_posts(&conv, s->map.geom.o);
  for (int32_t i = before; i < node->post_count; i++)
    if (i != conv.post_count) pool.posts[pool.post_count++] = node->posts[i];
  conv.post_count = before;
  pool_rows_init(&s->pool, &pool);
  if (!map_rows_prepare(host, &conv, &s->map)) {
    release(host, s);
    out->state = NULL;
    return cpu_fail(err, IEC_OUT_OF_MEMORY, node->name, "out of memory for the weights");
  }
  const conv_geom *q = &s->map.geom;
  out->member_scratch_size =
      (size_t)(s->map.gather_floats + s->map_floats + s->map.pitch * 16) * sizeof(float);
  out->cost =
      2.0 * (double)(q->n * q->o * q->out_size) * (double)s->map.tap_count + pool_rows_cost(&s->pool.geom);
  out->exec_type = "conv_first_pool_" CPU_ISA_NAME;
  out->packed_inputs = 6;
  return IEC_OK;
}

typedef struct work {
  map_work map;
  float *line;
} work;

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
  const float *y = (const float *)r->outputs[0] + conv_row_at(at, pool, s->map.blocks) * pool->out[2] * 16;
  for (int64_t o = part->first; o < part->end; o++) __builtin_prefetch(y + o * 16, 1, 2);
}

/* Output row h; of the map rows that it needs those before m->end are there. */
static void run_row(const conv_pool *s, work *w, int64_t h) {
  const conv_geom *pool = &s->pool.geom;
  const map_rows *map = &s->map;
  map_work *m = &w->map;
  int64_t top, bottom;
  window(pool, 1, h, h + 1, &top, &bottom);
  top = op_max(top, m->end);
  pool_part part = {.kept = map->kept, .pitch = map->pitch};
  for (; part.first < pool->out[2]; part.first = part.end) {
    conv_row at = {.image = m->image, .height = h};
    part.end = op_min(pool->out[2], part.first + s->part);
    window(pool, 2, part.first, part.end, &part.left, &part.right);
    for (; at.block < map->blocks; at.block++) fetch_line(s, m->run, &at, &part);
    for (int64_t n = top; n < bottom; n++)
      for (int64_t j = 0; j < gemm_groups(map->blocks); j++)
        map_rows_group(map, m, j, n, part.left, part.right);
    for (at.block = 0; at.block < map->blocks; at.block++) {
      part.x = m->map + at.block * map->kept * map->pitch * 16;
      pool_row(&s->pool, m->run, &at, &part, w->line, 1);
    }
  }
  m->end = op_max(m->end, bottom);
}

/* Output rows [begin, stop) of an image: a band. */
static void run_band(const conv_pool *s, work *w, int64_t image, int64_t begin, int64_t stop) {
  map_work *m = &w->map;
  int64_t top, last, end;
  window(&s->pool.geom, 1, begin, begin + 1, &top, &end);
  window(&s->pool.geom, 1, stop - 1, stop, &last, &end);
  if (m->image != image || top < m->begin) m->end = top;
  m->image = image;
  m->begin = last;
  m->end = op_max(top, m->end);
  if (m->end < end) map_rows_fetch(&s->map, m, m->end, end);
  for (; begin < stop; begin++) run_row(s, w, begin);
}

static void run(const void *state, const cpu_run *r) {
  const conv_pool *s = state;
  int64_t rows = s->pool.geom.out[1], count = s->map.geom.n * rows, begin, end, next;
  work w = {.map = {.run = r, .image = -1, .gathered = r->member_scratch}};
  w.map.map = w.map.gathered + s->map.gather_floats;
  w.line = w.map.map + s->map_floats;
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
