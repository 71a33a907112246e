/* SPDX-License-Identifier: Apache-2.0 */
/* A convolution and the depthwise 3x3 one behind it: rows of the map between them are used while they are in
 * the cache, so that the map, which is greater than the cache, is never written. Two output rows are made at
 * a time, gemm group by gemm group. */
#include "cpu/kernels/depthwise_rows.h"
#include "cpu/kernels/map_rows.h"

#define MOST_PRODUCTS 128      /* of a sum: more take so long that the map costs nothing */
#define LEAST_MAP (1 << 20)    /* bytes of all maps: a smaller one stays in the L2 cache by itself */
#define LEAST_FIRST (6 << 20)  /* of a first layer's, whose rows and copies cost more than the L3 cache */
#define RING_BYTES (512 << 10) /* of the rows that are kept, at most: they shall stay in the L2 cache */
#define LEAST_ROWS 8           /* of the output for each thread: neighbours compute two rows twice */

typedef struct conv_pair {
  map_rows map; /* its posts are those between the two */
  conv_geom geom;
  post_set posts;
  int64_t band_rows;  /* of the map */
  float *taps, *bias; /* [block][9][16], [block][16] */
} conv_pair;

static const cpu_post *second_of(const cpu_node *node) {
  for (int32_t i = 0; i < node->post_count; i++)
    if (node->posts[i].type == CPU_POST_DEPTHWISE) return node->posts + i;
  return NULL;
}

/* The convolution in front of `post`, which is among the node's posts or wanted to be. */
static cpu_node front_of(const cpu_node *node, const cpu_post *post) {
  cpu_node conv = *node;
  conv.outputs = &post->from;
  if (post >= node->posts && post < node->posts + node->post_count)
    conv.post_count = (int32_t)(post - node->posts);
  return conv;
}

static int read_second(const cpu_node *node, const cpu_post *post, conv_geom *q) {
  const cpu_tensor *inputs[3] = {post->from, post->weights, post->bias};
  cpu_node second = {.kind = "Conv", .name = node->name, .api = node->api, .source = post->behind};
  second.inputs = inputs;
  second.outputs = &post->to;
  second.input_count = 3;
  second.output_count = 1;
  return conv_geometry(&second, 0, 1, q) && conv_bias_ok(&second, 2, q->o) && post->weights->data &&
         (!post->bias || post->bias->data) && q->cg == 1 && q->og == 1 && q->in[0] == 1 && q->out[0] == 1 &&
         op_count(post->to) > 0 && depthwise_is_square(q);
}

static int read_node(const cpu_node *node, const cpu_post *post, conv_pair *s) {
  map_rows *m = &s->map;
  const conv_geom *q = &m->geom;
  cpu_node conv = front_of(node, post);
  memset(s, 0, sizeof *s);
  if (!map_rows_read(&conv, m) || !read_second(node, post, &s->geom)) return 0;
  m->kept = (DEPTHWISE_ROWS - 1) * s->geom.stride[1] + 3;
  m->pitch = q->out[2];
  int64_t row = m->blocks * m->pitch * 16 * (int64_t)sizeof(float);
  int64_t least = m->lanes == 1 ? LEAST_FIRST : LEAST_MAP;
  if (q->c * q->taps > MOST_PRODUCTS || q->n * q->out[1] * row < least || row * m->kept > RING_BYTES)
    return 0;
  s->band_rows = op_max(m->kept, op_min(q->out[1], MAP_BAND_BYTES / map_rows_input(q)));
  return map_rows_bands(m, s->band_rows);
}

static int32_t supports(const cpu_node *node) {
  (void)node;
  return 0; /* conv_direct names it */
}

static int32_t can_fuse(const cpu_node *node, const cpu_post *post) {
  if (post->type != CPU_POST_DEPTHWISE) return post->type != CPU_POST_SUM && post_can_fuse(node, post);
  conv_pair s;
  for (int32_t i = 0; i < node->post_count; i++)
    if (node->posts[i].type == CPU_POST_SUM) return 0; /* its addend lies as the whole map */
  return node->post_count < CPU_MAX_POSTS && read_node(node, post, &s) &&
         s.geom.n * s.geom.out[1] >= LEAST_ROWS * node->threads;
}

static void layouts(const cpu_node *node, cpu_layout *in, cpu_layout *out) {
  conv_geom q;
  cpu_node conv = front_of(node, second_of(node));
  in[0] = conv_geometry(&conv, 0, 1, &q) && conv_few_channels(&q) ? CPU_PLAIN : CPU_BLOCKED16;
  out[0] = CPU_BLOCKED16;
}

static void release(const iec_host_api *host, void *state) {
  conv_pair *s = state;
  if (!s) return;
  map_rows_release(host, &s->map);
  host->release(host->self, s->taps);
  host->release(host->self, s);
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(conv_pair), out, err);
  if (status != IEC_OK) return status;
  conv_pair *s = out->state;
  const cpu_post *post = second_of(node);
  read_node(node, post, s);
  cpu_node front = front_of(node, post), back = *node;
  back.post_count = 0;
  for (const cpu_post *p = post + 1; p < node->posts + node->post_count; p++)
    back.posts[back.post_count++] = *p;
  post_init(&s->posts, &back);
  post_take(&s->posts, 0);
  const conv_geom *q = &s->map.geom;
  int64_t channels = s->map.blocks * 16;
  s->taps = host->alloc(host->self, (size_t)(channels * 10) * sizeof(float), 64);
  if (!map_rows_prepare(host, &front, &s->map) || !s->taps) {
    release(host, s);
    out->state = NULL;
    return cpu_fail(err, IEC_OUT_OF_MEMORY, node->name, "out of memory for the weights");
  }
  s->bias = s->taps + channels * 9;
  depthwise_pack(q->o, 9, post->weights->data, post->bias ? post->bias->data : NULL, s->taps, s->bias);
  out->member_scratch_size =
      (size_t)(s->map.gather_floats + channels * s->map.kept * s->map.pitch) * sizeof(float);
  out->cost =
      2.0 * (double)(q->n * q->o) * ((double)(q->out_size * q->c * q->taps) + 9.0 * (double)s->geom.out_size);
  out->exec_type = s->map.lanes == 1 ? "conv_first_pair_" CPU_ISA_NAME : "conv_pair_" CPU_ISA_NAME;
  out->packed_inputs = 6 | (uint64_t)3 << post->input;
  return IEC_OK;
}

/* Output rows height to height + rows - 1 of one block. */
static void block_rows(const conv_pair *s, const map_work *w, int64_t block, int64_t height, int64_t rows) {
  const conv_geom *q = &s->geom;
  int64_t top = height * q->stride[1] - q->pad[1], pitch = s->map.pitch * 16, kept = s->map.kept;
  depthwise_args a = {.w = s->taps + block * 144,
                      .bias = s->bias + block * 16,
                      .limits = s->posts.limited ? s->posts.limits : NULL};
  a.y = (float *)w->run->outputs[0] +
        ((w->image * s->map.blocks + block) * q->out[1] + height) * q->out[2] * 16;
  for (int64_t h = 0; h < (rows - 1) * q->stride[1] + 3; h++)
    a.x[h] = w->map + (block * kept + (top + h + kept) % kept) * pitch;
  depthwise_rows(&a, q, height, rows);
  if (post_left(&s->posts)) post_blocked(&s->posts, w->run, a.y, rows * q->out[2], block * 16, q->o);
}

/* The same of all blocks: makes the rows of the map that the last ones have not left. */
static void run_rows(const conv_pair *s, map_work *w, int64_t image, int64_t height, int64_t rows) {
  const conv_geom *q = &s->geom;
  const map_rows *m = &s->map;
  int64_t top = height * q->stride[1] - q->pad[1], bottom = top + (rows - 1) * q->stride[1] + 3;
  top = op_max(top, 0);
  bottom = op_min(bottom, q->in[1]);
  if (w->image != image || top < w->begin || top > w->end) {
    w->end = top;
    w->from = w->until = -1;
  }
  w->image = image;
  w->begin = top;
  if (w->end < bottom && (w->end < w->from || bottom > w->until))
    map_rows_fetch(m, w, w->end, op_min(q->in[1], w->end + s->band_rows));
  for (int64_t j = 0; j < gemm_groups(m->blocks); j++) {
    for (int64_t n = w->end; n < bottom; n++) map_rows_group(m, w, j, n, 0, m->pitch);
    for (int64_t b = gemm_group_start(m->blocks, j); b < gemm_group_start(m->blocks, j + 1); b++)
      block_rows(s, w, b, height, rows);
  }
  w->end = op_max(w->end, bottom);
}

static void run(const void *state, const cpu_run *r) {
  const conv_pair *s = state;
  int64_t height = s->geom.out[1], count = s->geom.n * height, begin, end, rows;
  map_work w = {.run = r, .image = -1, .gathered = r->member_scratch};
  w.map = w.gathered + s->map.gather_floats;
  while (cpu_next(r, count, op_grain(r, count, DEPTHWISE_ROWS), &begin, &end))
    for (; begin < end; begin += rows) {
      rows = op_min(op_min(DEPTHWISE_ROWS, end - begin), height - begin % height);
      run_rows(s, &w, begin / height, begin % height, rows);
    }
}

const cpu_kernel IEC_ISA(cpu_kernel_conv_pair) = {.kind = "Conv",
                                                  .name = "conv_pair",
                                                  .supports = supports,
                                                  .layouts = layouts,
                                                  .can_fuse = can_fuse,
                                                  .prepare = prepare,
                                                  .run = run,
                                                  .release = release};
