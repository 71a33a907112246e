/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution of quantised bytes by the dot products of AVX512-VNNI. Its register tile is up to 14 pixels by
 * two output blocks: each four bytes that it fetches meet two lines of weights, so loads take half the time
 * of the sums. */
#include "cpu/kernels/int8_dot.h"

#if defined(__AVX512VNNI__)

enum {
  STEP = 64, /* weights of a step: [16 outputs][4 inputs] */
  TILES = 4, /* of a work item */
};

typedef struct int8_dot {
  conv_geom geom;
  int8_padding pad;
  dot_store store;
  int64_t in_blocks, out_blocks, pairs; /* of one group */
  int64_t steps;
  int64_t pixel;    /* bytes of an input pixel: 16; at most 4 when channels are few and come plain */
  int8_t *weights;  /* [group][pair][step][1 or 2 blocks][16][4] */
  int32_t *offsets; /* [step] bytes behind an output's first pixel */
  int32_t *pixels;  /* [out_size] bytes from the input's first */
  uint8_t zero;
  int32_t pixels_outer; /* more input than weights: all weights meet some pixels before the next */
} int8_dot;

static int32_t supports(const cpu_node *node) {
  conv_geom q;
  int8_padding pad;
  return int8_conv_is_dense(node, &q, &pad) ? 32 : 0;
}

/* Few channels come plain when their maker leaves them so (int8_quantize.c). Taps beside each other share
 * steps then. */
static void layouts(const cpu_node *node, cpu_layout *in, cpu_layout *out) {
  conv_geom q;
  int8_padding pad;
  int8_conv_layouts(node, in, out);
  if (node->inputs[0]->layout == CPU_PLAIN && int8_conv_geometry(node, &q, &pad) && q.g == 1 &&
      q.dil[2] == 1 && q.c <= INT8_FEW)
    in[0] = CPU_PLAIN;
}

static void release(const iec_host_api *host, void *state) {
  int8_dot *s = state;
  if (!s) return;
  dot_store_release(&s->store, host);
  host->release(host->self, s->weights);
  host->release(host->self, s->offsets);
  host->release(host->self, s->pixels);
  host->release(host->self, s);
}

/* The weights of one step of a pair: four input channels from `c` on and one tap. */
static void pack_step(const conv_geom *q, const int8_t *w, int64_t group, int64_t first, int64_t blocks,
                      int64_t c, int64_t tap, int8_t *to) {
  memset(to, 0, (size_t)blocks * STEP);
  for (int64_t i = 0; i < blocks * 16 && first * 16 + i < q->og; i++)
    for (int64_t j = 0; j < 4 && c + j < q->cg; j++)
      to[i * 4 + j] = w[((group * q->og + first * 16 + i) * q->cg + c + j) * q->taps + tap];
}

static void pack(int8_dot *s, const int8_t *w) {
  const conv_geom *q = &s->geom;
  int8_t *to = s->weights;
  for (int64_t group = 0; group < q->g; group++)
    for (int64_t first = 0; first < s->out_blocks; first += 2) {
      int64_t blocks = op_min(2, s->out_blocks - first), step = 0;
      for (int64_t b = 0; b < s->in_blocks; b++)
        for (int64_t tap = 0; tap < q->taps; tap++)
          for (int64_t c = b * 16; c < op_min(q->cg, b * 16 + 16); c += 4, step++, to += blocks * STEP) {
            pack_step(q, w, group, first, blocks, c, tap, to);
            s->offsets[step] = (int32_t)((int8_tap(q, &s->pad, tap) + b * s->pad.plane) * 16 + c % 16);
          }
    }
}

/* Bytes of a pixel of few channels: 4, which no line of the cache cuts, unless fewer make fewer steps. */
static int64_t few_bytes(const conv_geom *q) { return op_div_up(q->k[2] * q->c, 4) < q->k[2] ? q->c : 4; }

/* The same for few channels: steps are four bytes of a row of the kernel, [tap][channel]. */
static void pack_few(int8_dot *s, const int8_t *w) {
  const conv_geom *q = &s->geom;
  int64_t bytes = s->pixel, row_steps = op_div_up(q->k[2] * bytes, 4), rows = q->k[0] * q->k[1];
  int8_t *to = s->weights;
  for (int64_t first = 0; first < s->out_blocks; first += 2)
    for (int64_t row = 0; row < rows; row++)
      for (int64_t i = 0; i < row_steps; i++) {
        int64_t channels = op_min(2, s->out_blocks - first) * 16;
        for (int64_t o = 0; o < channels; o++)
          for (int64_t j = i * 4; j < i * 4 + 4; j++, to++) {
            int64_t c = j % bytes, tap = j / bytes;
            int inside = first * 16 + o < q->o && tap < q->k[2] && c < q->c;
            *to = inside ? w[((first * 16 + o) * q->c + c) * q->taps + row * q->k[2] + tap] : 0;
          }
        s->offsets[row * row_steps + i] = (int32_t)(int8_tap(q, &s->pad, row * q->k[2]) * bytes + i * 4);
      }
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(int8_dot), out, err);
  if (status != IEC_OK) return status;
  int8_dot *s = out->state;
  conv_geom *q = &s->geom;
  int8_conv_geometry(node, q, &s->pad);
  s->in_blocks = op_div_up(q->cg, 16);
  s->out_blocks = op_div_up(q->og, 16);
  s->pairs = op_div_up(s->out_blocks, 2);
  s->pixel = node->inputs[0]->layout == CPU_PLAIN ? few_bytes(q) : 16;
  s->steps = op_div_up(q->cg, 4) * q->taps;
  if (s->pixel < 16) s->steps = q->k[0] * q->k[1] * op_div_up(q->k[2] * s->pixel, 4);
  s->zero = int8_zero(node->inputs[0]->grid);
  s->weights = host->alloc(host->self, (size_t)(q->g * s->out_blocks * s->steps * STEP), 64);
  s->offsets = host->alloc(host->self, (size_t)s->steps * sizeof *s->offsets, 64);
  s->pixels = host->alloc(host->self, (size_t)q->out_size * sizeof *s->pixels, 64);
  if (!s->weights || !s->offsets || !s->pixels)
    status = cpu_fail(err, IEC_OUT_OF_MEMORY, node->name, "out of memory for the weights");
  else
    status = dot_store_init(&s->store, host, node, q, err);
  if (status) {
    release(host, s);
    out->state = NULL;
    return status;
  }
  if (s->pixel < 16)
    pack_few(s, node->inputs[1]->data);
  else
    pack(s, node->inputs[1]->data);
  int8_list_pixels(q, &s->pad, s->pixels);
  for (int64_t i = 0; i < q->out_size; i++) s->pixels[i] = (int32_t)(s->pixels[i] / 16 * s->pixel);
  s->pixels_outer = q->c * s->pad.plane > q->o * q->cg * q->taps;
  if (s->pad.needed || s->pixel < 16)
    out->scratch_size =
        (size_t)(q->n * q->g * s->in_blocks * s->pad.plane * s->pixel) + 4; /* a step may go beyond */
  out->member_scratch_size = sizeof(int8_buffers);
  out->cost = (double)(q->n * q->o * q->out_size) * (double)(q->cg * q->taps);
  out->exec_type = "int8_conv_" CPU_ISA_NAME;
  out->packed_inputs = 6;
  return IEC_OK;
}

/* What the tiles of a work item share. */
typedef struct dot_item {
  const int8_t *weights, *ahead; /* ahead: weights to be fetched, a line a step */
  const int32_t *offsets;
  int64_t steps;
  const uint8_t *x;
  dot_target target;
  int64_t channel, plane; /* of the first block; bytes of the output from one block to the next */
} dot_item;

/* Inlined with constants only. */
static inline __attribute__((always_inline)) void tile(const dot_item *item, const int32_t *pixels,
                                                       int32_t *y, int64_t at, const int count,
                                                       const int blocks) {
  __m512i sums[2][DOT_MOST_PIXELS];
  const uint8_t *from[DOT_MOST_PIXELS];
  const int8_t *w = item->weights;
  const int8_t *ahead = item->ahead;
  const int32_t *offsets = item->offsets, *end = offsets + item->steps;
#pragma GCC unroll 14
  for (int p = 0; p < count; p++) {
    sums[0][p] = sums[1][p] = _mm512_setzero_si512();
    from[p] = item->x + pixels[p];
  }
#pragma GCC unroll 1
  for (; offsets < end; offsets++, w += blocks * STEP, ahead += STEP) {
    _mm_prefetch(ahead, _MM_HINT_T1);
    int64_t step = *offsets;
    __m512i first = _mm512_load_si512((const void *)w), second = first;
    if (blocks > 1) second = _mm512_load_si512((const void *)(w + STEP));
#pragma GCC unroll 14
    for (int p = 0; p < count; p++) {
      int32_t four;
      memcpy(&four, from[p] + step, sizeof four);
      sums[0][p] = _mm512_dpbusd_epi32(sums[0][p], _mm512_set1_epi32(four), first);
      if (blocks > 1) sums[1][p] = _mm512_dpbusd_epi32(sums[1][p], _mm512_set1_epi32(four), second);
    }
  }
  dot_store_tile(&item->target, item->channel, sums, at, item->plane, 16, y, blocks, count);
}

typedef void tile_function(const dot_item *item, const int32_t *pixels, int32_t *y, int64_t at);

#define TILE(P)                                                                                   \
  static __attribute__((noinline)) void tile_##P##_1(const dot_item *item, const int32_t *pixels, \
                                                     int32_t *y, int64_t at) {                    \
    tile(item, pixels, y, at, P, 1);                                                              \
  }                                                                                               \
  static __attribute__((noinline)) void tile_##P##_2(const dot_item *item, const int32_t *pixels, \
                                                     int32_t *y, int64_t at) {                    \
    tile(item, pixels, y, at, P, 2);                                                              \
  }
TILE(1)
TILE(2)
TILE(3)
TILE(4)
TILE(5)
TILE(6)
TILE(7)
TILE(8)
TILE(9)
TILE(10)
TILE(11)
TILE(12)
TILE(13)
TILE(14)

static tile_function *const tiles[2][DOT_MOST_PIXELS + 1] = {
    {NULL, tile_1_1, tile_2_1, tile_3_1, tile_4_1, tile_5_1, tile_6_1, tile_7_1, tile_8_1, tile_9_1,
     tile_10_1, tile_11_1, tile_12_1, tile_13_1, tile_14_1},
    {NULL, tile_1_2, tile_2_2, tile_3_2, tile_4_2, tile_5_2, tile_6_2, tile_7_2, tile_8_2, tile_9_2,
     tile_10_2, tile_11_2, tile_12_2, tile_13_2, tile_14_2}};

/* Plain channels of a row of pixels to [pixel][bytes]. */
static void interleave(const uint8_t *x, int64_t plane, int64_t channels, int64_t bytes, int64_t width,
                       uint8_t *y) {
  const __m128i three = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
  int64_t i = 0,
          whole = bytes == 4
                      ? width
                      : width - 2; /* stores of 16 bytes, of which 12 are meant, need two pixels behind */
  for (; bytes > 2 && i + 16 <= whole; i += 16, y += 16 * bytes) {
    __m128i c[4];
    for (int64_t j = 0; j < 4; j++)
      c[j] = j < channels ? _mm_loadu_si128((const __m128i *)(x + j * plane + i)) : _mm_setzero_si128();
    __m128i a0 = _mm_unpacklo_epi8(c[0], c[1]), a1 = _mm_unpackhi_epi8(c[0], c[1]);
    __m128i b0 = _mm_unpacklo_epi8(c[2], c[3]), b1 = _mm_unpackhi_epi8(c[2], c[3]);
    __m128i four[4] = {_mm_unpacklo_epi16(a0, b0), _mm_unpackhi_epi16(a0, b0), _mm_unpacklo_epi16(a1, b1),
                       _mm_unpackhi_epi16(a1, b1)};
    for (int64_t j = 0; j < 4; j++)
      _mm_storeu_si128((__m128i *)(y + j * 4 * bytes),
                       bytes == 3 ? _mm_shuffle_epi8(four[j], three) : four[j]);
  }
  for (; i < width; i++)
    for (int64_t c = 0; c < bytes; c++) *y++ = c < channels ? x[c * plane + i] : 0;
}

/* Few plain channels to [image][row][column][bytes] with their frame in the scratch memory; a barrier
 * belongs behind. */
static void interleave_input(const int8_dot *s, const cpu_run *r) {
  const conv_geom *q = &s->geom;
  const int8_padding *pad = &s->pad;
  int64_t rows = pad->size[0] * pad->size[1], count = q->n * rows, begin, end;
  int64_t all = pad->size[2] * s->pixel, left = pad->before[2] * s->pixel, width = q->in[2] * s->pixel;
  while (cpu_next_phase(r, 1, count, op_grain(r, count, 4), &begin, &end))
    for (int64_t i = begin; i < end; i++) {
      int64_t d = i % rows / pad->size[1] - pad->before[0], h = i % pad->size[1] - pad->before[1];
      uint8_t *y = (uint8_t *)r->scratch + i * all;
      if (d < 0 || d >= q->in[0] || h < 0 || h >= q->in[1]) {
        memset(y, s->zero, (size_t)all);
        continue;
      }
      memset(y, s->zero, (size_t)left);
      interleave(
          (const uint8_t *)r->inputs[0] + (i / rows * q->c * q->in_size + (d * q->in[1] + h) * q->in[2]),
          q->in_size, q->c, s->pixel, q->in[2], y + left);
      memset(y + left + width, s->zero, (size_t)(all - left - width));
    }
}

static int64_t tiles_of(const conv_geom *q) { return op_div_up(q->out_size, DOT_MOST_PIXELS); }

/* Pixels in front of tile `i`: all tiles are full but the last, or the last two when it would be small. */
static int64_t cut(const conv_geom *q, int64_t i) {
  int64_t all = tiles_of(q), rest = q->out_size - (all - 1) * DOT_MOST_PIXELS;
  if (i == all) return q->out_size;
  if (i < all - 1 || all == 1 || rest >= DOT_MOST_PIXELS / 2) return i * DOT_MOST_PIXELS;
  return q->out_size - (DOT_MOST_PIXELS + rest) / 2;
}

/* Tiles [first, end) of one or two output blocks, the first of them `block` of all groups of the image. */
static void run_item(const int8_dot *s, const cpu_run *r, dot_item *item, int64_t image, int64_t block,
                     int64_t first, int64_t end) {
  const conv_geom *q = &s->geom;
  int8_buffers *buffers = r->member_scratch;
  int64_t blocks = op_min(2, s->out_blocks - block % s->out_blocks);
  int64_t plane = (image * q->g * s->out_blocks + block) * q->out_size, pixels = cut(q, end) - cut(q, first);
  for (int64_t b = 0; b < blocks; b++)
    int8_store_ahead(&s->store.store, r, (plane + cut(q, first)) * 16 + b * item->plane, pixels);
  for (int64_t i = first; i < end; i++) {
    int64_t begin = cut(q, i), count = cut(q, i + 1) - begin, at = (plane + begin) * 16;
    if (i > first)
      item->ahead =
          i == first + 1 && item->ahead != item->weights ? item->ahead + item->steps * STEP : item->weights;
    tiles[blocks - 1][count](item, s->pixels + begin, buffers->sums, at);
    for (int64_t b = 0; s->store.to == DOT_SUMS && b < blocks; b++)
      int8_store_block(&s->store.store, r, buffers, buffers->sums + b * count * 16, at + b * item->plane,
                       count, (block + b) * 16);
  }
}

static void run(const void *state, const cpu_run *r) {
  const int8_dot *s = state;
  const conv_geom *q = &s->geom;
  const uint8_t *x = r->inputs[0];
  int64_t begin, end, columns = q->n * q->g * s->pairs, last = -1;
  if (s->pad.needed || s->pixel < 16) {
    if (s->pixel < 16)
      interleave_input(s, r);
    else
      int8_pad_input(q, &s->pad, r, q->g * s->in_blocks, s->zero);
    cpu_barrier(r);
    x = r->scratch;
  }
  dot_item item = {.offsets = s->offsets,
                   .steps = s->steps,
                   .target = dot_target_of(&s->store, r),
                   .plane = q->out_size * 16};
  int64_t pieces = op_div_up(tiles_of(q), TILES);
  while (cpu_next_phase(r, 0, columns * pieces, 1, &begin, &end)) {
    int64_t column = begin % columns, piece = begin / columns;
    if (!s->pixels_outer) op_place(r, begin, columns, pieces, &column, &piece);
    int64_t image = column % q->n, pair = column / q->n; /* images next to each other use the same weights */
    int64_t group = pair / s->pairs, block = group * s->out_blocks + pair % s->pairs * 2;
    item.weights = s->weights + block * s->steps * STEP;
    item.ahead = item.weights;
    int64_t next = pair + 1;
    if (pair != last && next < q->g * s->pairs)
      item.ahead = s->weights + (next / s->pairs * s->out_blocks + next % s->pairs * 2) * s->steps * STEP;
    last = pair;
    item.x = x + (image * q->g + group) * s->in_blocks * s->pad.plane * s->pixel;
    item.channel = block * 16;
    run_item(s, r, &item, image, block, tiles_of(q) * piece / pieces, tiles_of(q) * (piece + 1) / pieces);
  }
}

const cpu_kernel IEC_ISA(cpu_kernel_int8_dot) = {.kind = "Conv",
                                                 .name = "int8_dot",
                                                 .supports = supports,
                                                 .layouts = layouts,
                                                 .can_fuse = int8_can_fuse,
                                                 .prepare = prepare,
                                                 .run = run,
                                                 .release = release};
#else

static int32_t supports(const cpu_node *node) {
  (void)node;
  return 0;
}

const cpu_kernel IEC_ISA(cpu_kernel_int8_dot) = {.kind = "Conv", .name = "int8_dot", .supports = supports};
#endif
