/* SPDX-License-Identifier: Apache-2.0 */
/* 3x3 convolution of stride 1 of quantised bytes by Winograd's F(2x2, 3x3) on whole numbers: 2.25 times fewer
 * products, and exact.
 *
 * A tile is At ((2G g 2Gt) . (Bt d B)) A / 4 of its inputs d and the kernel g. Twice G is whole, the
 * transformed inputs are below 1024, the transformed kernels up to 1152, so that pairs of products are those
 * of VPMADDWD, which fit 32 bits; so do four times the sums up to MOST_CHANNELS. */
#include "cpu/kernels/int8_conv.h"

#if defined(__AVX2__) && !defined(__AVX512VNNI__) && !defined(__AVXVNNI__)
#include <immintrin.h>

enum {
  POINTS = 16,
  MOST_CHANNELS = 1024,
  STRIP = INT8_PIXELS / 2, /* tiles of a row that are transformed at once */
  ITEM_TILES = 48,         /* enough to share every weight that is read */
  ITEM_BYTES = 256 * 1024, /* of transformed inputs: half of the L2 cache */
  ITEMS = 2,               /* of a thread at least, else the threads share every phase of one item */
  BLOCK_WEIGHTS = 16 * 16, /* of one point, 16 input and 16 output channels */
  MOST_TILES = 6,          /* in registers */
  TOGETHER = 2,            /* output blocks that meet inputs while these are in the L1 cache */
};

typedef struct int8_winograd {
  conv_geom geom;
  int8_store store;
  int64_t in_blocks, out_blocks;
  int64_t columns, image_rows, rows; /* tiles of a row; tile rows of an image and of all */
  int64_t items;                     /* 1: on which all members work in turns */
  int16_t *weights;                  /* [out block][point][in block][8 pairs of inputs][16 outputs][2] */
  uint8_t *zeros;                    /* an input row outside of the image */
  uint8_t zero;
} int8_winograd;

/* Transformed inputs [point][in block][tile][16] and sums [point][tile][16]. The odd line keeps the points of
 * a tile, which are written and read together, out of the same cache set. */
static int64_t input_step(const int8_winograd *s, int64_t tiles) { return (s->in_blocks * tiles + 2) * 16; }
static int64_t sum_step(int64_t tiles) { return (tiles + 1) * 16; }

static int64_t tiles_of(const conv_geom *q) {
  return q->n * op_div_up(q->out[1], 2) * op_div_up(q->out[2], 2);
}

/* Time against that of the direct sum, both in products of VPMADDWD; measured on AVX2. */
static int pays(const conv_geom *q) {
  double tiles = (double)tiles_of(q), c = (double)q->c, o = (double)(op_div_up(q->o, 16) * 16);
  double products = POINTS * c * o * (tiles > 24 ? tiles : 24), transforms = 150 * tiles * (c + o);
  return products + transforms < 0.7 * 9 * c * o * (double)(q->n * q->out_size);
}

static int32_t supports(const cpu_node *node) {
  conv_geom q;
  int8_padding pad;
  if (!int8_conv_geometry(node, &q, &pad) || node->inputs[0]->grid->count != 1) return 0;
  if (q.g != 1 || q.c > MOST_CHANNELS || q.in[0] != 1 || q.out[0] != 1 || q.k[0] != 1 || q.pad[0]) return 0;
  for (int a = 1; a < 3; a++)
    if (q.k[a] != 3 || q.stride[a] != 1 || q.dil[a] != 1) return 0;
  int64_t blocks = op_div_up(q.c, 16) * op_div_up(q.o, 16);
  return blocks <= INT8_MAX_BYTES / (2 * POINTS * BLOCK_WEIGHTS) && pays(&q) ? 35 : 0;
}

static void release(const iec_host_api *host, void *state) {
  int8_winograd *s = state;
  if (!s) return;
  int8_store_release(&s->store, host);
  host->release(host->self, s->weights);
  host->release(host->self, s->zeros);
  host->release(host->self, s);
}

/* 2G g for one line. */
static void line_kernel(const int *g, int step, int *u) {
  int a = g[0], b = g[step], c = g[2 * step];
  u[0] = 2 * a;
  u[1] = a + b + c;
  u[2] = a - b + c;
  u[3] = 2 * c;
}

static void pack_kernel(const int8_t *w, int16_t *to, int64_t point_step) {
  int g[9], columns[12], u[4];
  for (int i = 0; i < 9; i++) g[i] = w[i];
  for (int j = 0; j < 3; j++) {
    line_kernel(g + j, 3, u);
    for (int i = 0; i < 4; i++) columns[i * 3 + j] = u[i];
  }
  for (int i = 0; i < 4; i++) {
    line_kernel(columns + i * 3, 1, u);
    for (int j = 0; j < 4; j++) to[(i * 4 + j) * point_step] = (int16_t)u[j];
  }
}

static void pack(int8_winograd *s, const int8_t *w) {
  const conv_geom *q = &s->geom;
  int64_t step = s->in_blocks * BLOCK_WEIGHTS;
  memset(s->weights, 0, (size_t)(s->out_blocks * POINTS * step) * sizeof *s->weights);
  for (int64_t o = 0; o < q->o; o++)
    for (int64_t c = 0; c < q->c; c++)
      pack_kernel(w + (o * q->c + c) * 9,
                  s->weights + o / 16 * POINTS * step + c / 2 * 32 + o % 16 * 2 + c % 2, step);
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(int8_winograd), out, err);
  if (status != IEC_OK) return status;
  int8_winograd *s = out->state;
  conv_geom *q = &s->geom;
  int8_padding pad;
  int8_conv_geometry(node, q, &pad);
  s->in_blocks = op_div_up(q->c, 16);
  s->out_blocks = op_div_up(q->o, 16);
  s->columns = op_div_up(q->out[2], 2);
  s->image_rows = op_div_up(q->out[1], 2);
  s->rows = q->n * s->image_rows;
  s->zero = int8_zero(node->inputs[0]->grid);
  int64_t row_bytes = POINTS * s->in_blocks * s->columns * 32;
  int64_t item_rows = op_max(op_div_up(ITEM_TILES, s->columns), 1);
  item_rows = op_max(op_min(item_rows, ITEM_BYTES / row_bytes), 1);
  s->items = op_div_up(s->rows, item_rows);
  if (s->items < ITEMS * 2) s->items = 1;
  size_t weights = (size_t)(s->out_blocks * POINTS * s->in_blocks * BLOCK_WEIGHTS);
  s->weights = host->alloc(host->self, weights * sizeof *s->weights, 64);
  s->zeros = host->alloc(host->self, (size_t)q->in[2] * 16, 64);
  if (!s->weights || !s->zeros)
    status = cpu_fail(err, IEC_OUT_OF_MEMORY, node->name, "out of memory for the weights");
  else
    status = int8_conv_store(&s->store, host, node, q, err);
  if (status) {
    release(host, s);
    out->state = NULL;
    return status;
  }
  memset(s->zeros, s->zero, (size_t)q->in[2] * 16);
  pack(s, node->inputs[1]->data);
  int64_t tiles = op_div_up(s->rows, s->items) * s->columns;
  size_t inputs = (size_t)(POINTS * input_step(s, tiles)) * sizeof(int16_t);
  size_t sums = (size_t)(TOGETHER * POINTS * sum_step(tiles)) * sizeof(int32_t);
  out->member_scratch_size = sizeof(int8_buffers) + sums;
  *(s->items == 1 ? &out->scratch_size : &out->member_scratch_size) += inputs;
  out->cost = 2.0 * (double)(POINTS * s->rows * s->columns) * (double)(q->c * q->o);
  out->exec_type = "int8_winograd_" CPU_ISA_NAME;
  out->packed_inputs = 6;
  return IEC_OK;
}

/* Tile rows [begin, end) of all images while they are transformed. */
typedef struct item {
  int64_t begin, tiles;
  int16_t *inputs;
  int32_t *sums;
  int64_t input_step, sum_step;
} item;

static item make_item(const int8_winograd *s, const cpu_run *r, int64_t begin, int64_t end) {
  item w = {.begin = begin, .tiles = (end - begin) * s->columns};
  w.input_step = input_step(s, w.tiles);
  w.sum_step = sum_step(w.tiles);
  w.sums = (int32_t *)(void *)((char *)r->member_scratch + sizeof(int8_buffers));
  w.inputs = s->items == 1 ? r->scratch : (int16_t *)(void *)(w.sums + TOGETHER * POINTS * w.sum_step);
  return w;
}

/* Bt d for one line. */
static inline void line_in(const __m256i *d, __m256i *r) {
  r[0] = _mm256_sub_epi16(d[0], d[2]);
  r[1] = _mm256_add_epi16(d[1], d[2]);
  r[2] = _mm256_sub_epi16(d[2], d[1]);
  r[3] = _mm256_sub_epi16(d[1], d[3]);
}

/* `count` tiles of one block from column `left` on. */
static void strip_in(const uint8_t *const rows[4], int64_t width, int64_t left, int64_t count, uint8_t zero,
                     int16_t *to, int64_t step) {
  __m256i lines[2 * STRIP + 2][4]; /* columns transformed: [column][point] */
  const __m256i outside = _mm256_set1_epi16(zero);
  for (int64_t i = 0; i < 2 * count + 2; i++) {
    __m256i d[4] = {outside, outside, outside, outside};
    if (left + i >= 0 && left + i < width)
      for (int j = 0; j < 4; j++)
        d[j] = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(rows[j] + (left + i) * 16)));
    line_in(d, lines[i]);
  }
  for (int64_t t = 0; t < count; t++, to += 16)
    for (int i = 0; i < 4; i++) {
      __m256i d[4] = {lines[2 * t][i], lines[2 * t + 1][i], lines[2 * t + 2][i], lines[2 * t + 3][i]}, v[4];
      line_in(d, v);
      for (int j = 0; j < 4; j++) _mm256_storeu_si256((__m256i *)(to + (i * 4 + j) * step), v[j]);
    }
}

/* Input tiles of one block and tile row. */
static void transform_in(const int8_winograd *s, const cpu_run *r, const item *w, int64_t block,
                         int64_t row) {
  const conv_geom *q = &s->geom;
  int64_t image = row / s->image_rows, top = row % s->image_rows * 2 - q->pad[1], width = q->in[2];
  const uint8_t *x = (const uint8_t *)r->inputs[0] + (image * s->in_blocks + block) * q->in_size * 16;
  const uint8_t *rows[4];
  for (int64_t i = 0; i < 4; i++)
    rows[i] = top + i >= 0 && top + i < q->in[1] ? x + (top + i) * width * 16 : s->zeros;
  int16_t *to = w->inputs + (block * w->tiles + (row - w->begin) * s->columns) * 16;
  for (int64_t t = 0; t < s->columns; t += STRIP)
    strip_in(rows, width, t * 2 - q->pad[2], op_min(STRIP, s->columns - t), s->zero, to + t * 16,
             w->input_step);
}

/* Sums of `count` tiles and 16 outputs at one point. Inlined with a constant count only. */
static inline __attribute__((always_inline)) void multiply(const int16_t *x, int64_t block_step,
                                                           int64_t blocks, const int16_t *w, int32_t *y,
                                                           const int count) {
  __m256i low[MOST_TILES], high[MOST_TILES];
#pragma GCC unroll 6
  for (int p = 0; p < count; p++) low[p] = high[p] = _mm256_setzero_si256();
#pragma GCC unroll 1
  for (int64_t b = 0; b < blocks; b++, x += block_step)
#pragma GCC unroll 2
    for (int pair = 0; pair < 8; pair++, w += 32) {
      __m256i w0 = _mm256_load_si256((const __m256i *)w), w1 = _mm256_load_si256((const __m256i *)(w + 16));
#pragma GCC unroll 6
      for (int p = 0; p < count; p++) {
        int32_t two;
        memcpy(&two, x + p * 16 + pair * 2, sizeof two);
        __m256i v = _mm256_set1_epi32(two);
        low[p] = _mm256_add_epi32(low[p], _mm256_madd_epi16(v, w0));
        high[p] = _mm256_add_epi32(high[p], _mm256_madd_epi16(v, w1));
      }
    }
#pragma GCC unroll 6
  for (int p = 0; p < count; p++) {
    _mm256_storeu_si256((__m256i *)(y + p * 16), low[p]);
    _mm256_storeu_si256((__m256i *)(y + p * 16 + 8), high[p]);
  }
}

#define MULTIPLY(P)                                                                                  \
  static __attribute__((noinline)) void multiply_##P(const int16_t *x, int64_t step, int64_t blocks, \
                                                     const int16_t *w, int32_t *y) {                 \
    multiply(x, step, blocks, w, y, P);                                                              \
  }
MULTIPLY(1)
MULTIPLY(2)
MULTIPLY(3)
MULTIPLY(4)
MULTIPLY(5)
MULTIPLY(6)

/* One point and output block of all tiles. */
static void multiply_point(const int8_winograd *s, const item *w, int64_t block, int64_t point,
                           int32_t *sums) {
  static void (*const kernels[])(const int16_t *, int64_t, int64_t, const int16_t *, int32_t *) = {
      NULL, multiply_1, multiply_2, multiply_3, multiply_4, multiply_5, multiply_6};
  const int16_t *weights = s->weights + (block * POINTS + point) * s->in_blocks * BLOCK_WEIGHTS;
  for (int64_t pieces = op_div_up(w->tiles, MOST_TILES), i = 0; i < pieces; i++) {
    int64_t begin = w->tiles * i / pieces, count = w->tiles * (i + 1) / pieces - begin;
    kernels[count](w->inputs + point * w->input_step + begin * 16, w->tiles * 16, s->in_blocks, weights,
                   sums + point * w->sum_step + begin * 16);
  }
}

/* One of the two lines of outputs of `count` tiles. */
static void strip_out(const int32_t *from, int64_t step, int second, int64_t count, int32_t *y) {
  for (int64_t i = 0; i < count * 16; i += 8) { /* halves of tiles */
    __m256i d[4];
    for (int j = 0; j < 4; j++) {
      const int32_t *at = from + i + (4 * second + j) * step;
      __m256i a = _mm256_loadu_si256((const __m256i *)at);
      __m256i b = _mm256_loadu_si256((const __m256i *)(at + 4 * step));
      __m256i c = _mm256_loadu_si256((const __m256i *)(at + 8 * step));
      d[j] =
          second ? _mm256_sub_epi32(_mm256_sub_epi32(a, b), c) : _mm256_add_epi32(_mm256_add_epi32(a, b), c);
    }
    __m256i left = _mm256_add_epi32(_mm256_add_epi32(d[0], d[1]), d[2]);
    __m256i right = _mm256_sub_epi32(_mm256_sub_epi32(d[1], d[2]), d[3]);
    int32_t *to = y + i / 16 * 32 + i % 16;
    _mm256_storeu_si256((__m256i *)to, _mm256_srai_epi32(left, 2));
    _mm256_storeu_si256((__m256i *)(to + 16), _mm256_srai_epi32(right, 2));
  }
}

/* Output tiles of one block and tile row. */
static void transform_out(const int8_winograd *s, const cpu_run *r, const item *w, int64_t block, int64_t row,
                          const int32_t *sums) {
  const conv_geom *q = &s->geom;
  int8_buffers *buffers = r->member_scratch;
  int64_t top = row % s->image_rows * 2;
  for (int64_t line = 0; line < 2 && top + line < q->out[1]; line++)
    for (int64_t t = 0; t < s->columns; t += STRIP) {
      int64_t count = op_min(STRIP, s->columns - t), pixels = op_min(2 * count, q->out[2] - 2 * t);
      strip_out(sums + ((row - w->begin) * s->columns + t) * 16, w->sum_step, (int)line, count,
                buffers->sums);
      int64_t plane = row / s->image_rows * s->out_blocks + block;
      int64_t at = plane * q->out_size + (top + line) * q->out[2] + 2 * t;
      int8_store_block(&s->store, r, buffers, buffers->sums, at * 16, pixels, block * 16);
    }
}

/* Output blocks [begin, end), at most TOGETHER. */
static void run_blocks(const int8_winograd *s, const cpu_run *r, const item *w, int64_t begin, int64_t end) {
  int64_t step = POINTS * w->sum_step, rows = w->tiles / s->columns;
  for (int64_t point = 0; point < POINTS; point++)
    for (int64_t b = begin; b < end; b++) multiply_point(s, w, b, point, w->sums + (b - begin) * step);
  for (int64_t b = begin; b < end; b++)
    for (int64_t i = 0; i < rows; i++) transform_out(s, r, w, b, w->begin + i, w->sums + (b - begin) * step);
}

static void run(const void *state, const cpu_run *r) {
  const int8_winograd *s = state;
  int64_t begin, end;
  if (s->items == 1) {
    item w = make_item(s, r, 0, s->rows);
    int64_t inputs = s->in_blocks * s->rows;
    while (cpu_next_phase(r, 0, inputs, op_grain(r, inputs, 1), &begin, &end))
      for (; begin < end; begin++) {
        int64_t block, row;
        op_place(r, begin, s->in_blocks, s->rows, &block, &row);
        transform_in(s, r, &w, block, row);
      }
    cpu_barrier(r);
    int64_t together = op_max(1, op_min(TOGETHER, s->out_blocks / (2 * r->members)));
    while (cpu_next_phase(r, 1, s->out_blocks, together, &begin, &end)) run_blocks(s, r, &w, begin, end);
    return;
  }
  while (cpu_next_phase(r, 0, s->items, 1, &begin, &end)) {
    int64_t first = s->rows * begin / s->items, last = s->rows * end / s->items;
    item w = make_item(s, r, first, last);
    for (int64_t b = 0; b < s->in_blocks; b++)
      for (int64_t row = first; row < last; row++) transform_in(s, r, &w, b, row);
    for (int64_t b = 0; b < s->out_blocks; b += TOGETHER)
      run_blocks(s, r, &w, b, op_min(b + TOGETHER, s->out_blocks));
  }
}

const cpu_kernel IEC_ISA(cpu_kernel_int8_winograd) = {.kind = "Conv",
                                                      .name = "int8_winograd",
                                                      .supports = supports,
                                                      .layouts = int8_conv_layouts,
                                                      .can_fuse = int8_can_fuse,
                                                      .prepare = prepare,
                                                      .run = run,
                                                      .release = release};
#else

/* Elsewhere the direct sum is as fast or has no rival yet. */
static int32_t supports(const cpu_node *node) {
  (void)node;
  return 0;
}

const cpu_kernel IEC_ISA(cpu_kernel_int8_winograd) = {
    .kind = "Conv", .name = "int8_winograd", .supports = supports};
#endif
