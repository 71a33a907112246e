/* SPDX-License-Identifier: Apache-2.0 */
/* 1x1 convolutions of many channels by Strassen's method, on blocks of 16 channels: rows are pixels. */
#include "cpu/kernels/conv_common.h"
#include "cpu/kernels/post.h"
#include "cpu/kernels/strassen.h"

typedef struct conv_strassen {
  conv_geom geom;
  post_set posts;
  strassen_shape shape;
  int64_t slab; /* input blocks of one call of the register tile */
  strassen_constants constants;
} conv_strassen;

static int32_t supports(const cpu_node *node) {
  conv_geom q;
  if (!conv_geometry(node, 0, 1, &q) || !conv_bias_ok(node, 2, q.o) || !conv_can_block(node)) return 0;
  if (q.g != 1 || q.taps != 1 || !strassen_pays(q.out_size, q.c, q.o)) return 0;
  for (int a = 0; a < 3; a++)
    if (q.stride[a] != 1 || q.pad[a] || q.in[a] != q.out[a]) return 0;
  return 25;
}

static void layouts(const cpu_node *node, cpu_layout *in, cpu_layout *out) {
  in[0] = out[0] = CPU_BLOCKED16;
  for (int32_t i = 3; i < node->input_count; i++) in[i] = CPU_BLOCKED16; /* sums */
}

static void release(const iec_host_api *host, void *state) {
  conv_strassen *s = state;
  if (!s) return;
  host->release(host->self, s->constants.bias);
  host->release(host->self, s);
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(conv_strassen), out, err);
  if (status != IEC_OK) return status;
  conv_strassen *s = out->state;
  conv_geom *q = &s->geom;
  conv_geometry(node, 0, 1, q);
  post_init(&s->posts, node);
  post_take(&s->posts, 1);
  s->shape = strassen_shape_of(q->c, q->o);
  s->slab = gemm_slab(s->shape.inner / 16, 1024 * op_div_up(s->shape.blocks, s->shape.groups));
  status = strassen_pack(host, node, &s->shape, 1, q->c, &s->constants, err);
  if (status != IEC_OK) {
    release(host, s);
    out->state = NULL;
    return status;
  }
  out->member_scratch_size = (size_t)strassen_floats(&s->shape) * sizeof(float);
  out->cost = 2.0 * (double)(q->n * q->out_size) * (double)(q->c * q->o) * STRASSEN_PRODUCTS / 8;
  out->exec_type = "conv_strassen_" CPU_ISA_NAME;
  out->packed_inputs = 6;
  return IEC_OK;
}

/* Pixels [pixel, pixel + count) of an image while they are multiplied. */
typedef struct item {
  int64_t image, pixel, count, half;
  const float *quarters[4];
  float *sums, *products;
} item;

static item make_item(const conv_strassen *s, const cpu_run *r, int64_t image, int64_t pixel, int64_t count) {
  const conv_geom *q = &s->geom;
  item w = {.image = image, .pixel = pixel, .count = count, .half = strassen_half(count)};
  const float *x = (const float *)r->inputs[0] + (image * q->c * q->out_size + pixel * 16);
  for (int i = 0; i < 4; i++)
    w.quarters[i] = x + i / 2 * (count - w.half) * 16 + i % 2 * s->shape.inner * q->out_size;
  w.sums = r->member_scratch;
  w.products = w.sums + STRASSEN_SUMS * s->shape.inner * w.half;
  return w;
}

/* Product p of one gemm group. */
static void multiply(const conv_strassen *s, const item *w, int64_t j, int p) {
  static const int64_t no_distance = 0;
  int64_t first = strassen_start(&s->shape, j), nb = strassen_start(&s->shape, j + 1) - first;
  int64_t in_blocks = s->shape.inner / 16, step;
  const float *x =
      strassen_factor(w->quarters, s->geom.out_size * 16, w->sums, in_blocks, w->half * 16, p, &step);
  gemm_args a = {.taps = &no_distance,
                 .tap_count = 1,
                 .block_step = step,
                 .last_lanes = 16,
                 .w = s->constants.weights + strassen_panel(&s->shape, j, p),
                 .y = w->products + p * nb * w->half * 16,
                 .y_block = w->half * 16,
                 .bias = strassen_bias(&s->shape, &s->constants, j, p)};
  int last_panel = j + 1 == s->shape.groups && p + 1 == STRASSEN_PRODUCTS;
  for (int64_t b = 0; b < in_blocks; b += s->slab) {
    a.x = x + b * step;
    a.blocks = op_min(s->slab, in_blocks - b);
    a.accumulate = b > 0;
    int64_t next = a.blocks * 16 * nb * 16; /* the next weights follow */
    a.ahead = last_panel && b + s->slab >= in_blocks ? 0 : next;
    gemm_pixels(&a, 16, (int32_t)nb, w->half);
    a.w += next;
  }
}

static void run_group(const conv_strassen *s, const cpu_run *r, const item *w, int64_t j) {
  const conv_geom *q = &s->geom;
  int64_t first = strassen_start(&s->shape, j), nb = strassen_start(&s->shape, j + 1) - first;
  int64_t blocks = op_div_up(q->o, 16), second = first + s->shape.blocks;
  int64_t count[2] = {nb, op_min(nb, blocks - second)}; /* of either half; the last group may lack one */
  for (int p = 0; p < STRASSEN_PRODUCTS; p++) multiply(s, w, j, p);
  float *y[4];
  const float *addend[4] = {NULL, NULL, NULL, NULL};
  for (int i = 0; i < 4; i++) {
    int64_t block = w->image * blocks + (i % 2 ? second : first);
    int64_t at = (block * q->out_size + w->pixel + i / 2 * (w->count - w->half)) * 16;
    y[i] = (float *)r->outputs[0] + at;
    if (s->posts.addend >= 0) addend[i] = (const float *)r->inputs[s->posts.addend] + at;
  }
  strassen_join(w->products, nb, count[1], w->half * 16, y, addend, q->out_size * 16,
                s->posts.limited ? s->posts.limits : NULL);
  for (int half = 0; post_left(&s->posts) && half < 2; half++)
    for (int64_t i = 0; i < count[half]; i++)
      post_blocked(&s->posts, r, y[half] + i * q->out_size * 16, w->count, ((half ? second : first) + i) * 16,
                   q->o);
}

static void run(const void *state, const cpu_run *r) {
  const conv_strassen *s = state;
  const conv_geom *q = &s->geom;
  strassen_split c = strassen_share(&s->shape, q->n, q->out_size, r->members);
  int64_t begin, end, rows = q->n * c.pieces, groups = s->shape.groups, summed = -1;
  item w;
  while (cpu_next(r, rows * c.parts, 1, &begin, &end)) {
    int64_t part, row, piece;
    op_place(r, begin, c.parts, rows, &part, &row);
    piece = row % c.pieces;
    if (row != summed) { /* else the same pixels, more channels */
      int64_t pixel = q->out_size * piece / c.pieces;
      w = make_item(s, r, row / c.pieces, pixel, q->out_size * (piece + 1) / c.pieces - pixel);
      strassen_sums(w.quarters, q->out_size * 16, s->shape.inner / 16, w.half * 16, w.sums);
      summed = row;
    }
    for (int64_t j = groups * part / c.parts; j < groups * (part + 1) / c.parts; j++) run_group(s, r, &w, j);
  }
}

const cpu_kernel IEC_ISA(cpu_kernel_conv_strassen) = {.kind = "Conv",
                                                      .name = "conv_strassen",
                                                      .supports = supports,
                                                      .layouts = layouts,
                                                      .can_fuse = post_can_fuse,
                                                      .prepare = prepare,
                                                      .run = run,
                                                      .release = release};
