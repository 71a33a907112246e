/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise convolution of quantised bytes by the dot products of VNNI: up to four rows of the kernel
 * are one product. The rows of the input are interleaved first, [column][16 channels][4 rows], in the L1
 * cache; the third and second row of two neighbouring outputs are the same then, so that 3x3 makes two rows
 * of outputs from four of inputs. */
#include "cpu/kernels/int8_dot.h"

#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)

enum {
  LINE = 64, /* bytes of an interleaved column */
  ROWS = 4,  /* of a product */
#if defined(__AVX512VNNI__)
  MOST_PIXELS = 8, /* of a tile */
  CHUNK = 8,       /* pixels of a row that are stored at once */
#else
  MOST_PIXELS = 6,
  CHUNK = INT8_PIXELS / 2,
#endif
  MOST_BYTES = 32 << 10 /* of interleaved columns, in half of the L1 cache */
};

typedef struct int8_depthwise_dot {
  conv_geom geom;
  dot_store store;
  int64_t blocks, products,
      columns;              /* products: of ROWS rows each; columns: that the outputs of a row read */
  int64_t together, groups; /* rows of outputs that are made at once, and how often */
  int8_t *weights;          /* [block][row of outputs made at once][product][tap of the row][16][ROWS] */
  uint8_t *zeros;           /* a row outside of the input */
} int8_depthwise_dot;

/* What a member works in. */
typedef struct scratch {
  int8_buffers buffers;
  uint8_t columns[];
} scratch;

static int32_t supports(const cpu_node *node) {
  conv_geom q;
  int8_padding pad;
  if (!int8_conv_geometry(node, &q, &pad) || q.g != q.c || q.g < 2 || q.og != 1) return 0;
  if (q.in[0] != 1 || q.out[0] != 1 || q.k[0] != 1 || q.pad[0] || q.in[1] < 1 || q.in[2] < 1) return 0;
  int64_t columns = (q.out[2] - 1) * q.stride[2] + (q.k[2] - 1) * q.dil[2] + 1,
          products = op_div_up(q.k[1], ROWS);
  if (columns > MOST_BYTES / LINE / products) return 0;
  return q.taps <= INT8_MAX_BYTES / q.c / LINE ? 37 : 0;
}

static void release(const iec_host_api *host, void *state) {
  int8_depthwise_dot *s = state;
  if (!s) return;
  dot_store_release(&s->store, host);
  host->release(host->self, s->weights);
  host->release(host->self, s->zeros);
  host->release(host->self, s);
}

static void pack(int8_depthwise_dot *s, const int8_t *w) {
  const conv_geom *q = &s->geom;
  int64_t rows = s->products * ROWS;
  int8_t *to = s->weights;
  for (int64_t block = 0; block < s->blocks; block++)
    for (int64_t line = 0; line < s->together; line++)
      for (int64_t product = 0; product < s->products; product++)
        for (int64_t tap = 0; tap < q->k[2]; tap++, to += LINE)
          for (int64_t i = 0; i < LINE; i++) {
            int64_t c = block * 16 + i / ROWS, row = product * ROWS + i % ROWS - line;
            int inside = c < q->c && row >= 0 && row < q->k[1] && row < rows;
            to[i] = inside ? w[(c * q->k[1] + row) * q->k[2] + tap] : 0;
          }
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(int8_depthwise_dot), out, err);
  if (status != IEC_OK) return status;
  int8_depthwise_dot *s = out->state;
  conv_geom *q = &s->geom;
  int8_padding pad;
  int8_conv_geometry(node, q, &pad);
  s->blocks = op_div_up(q->c, 16);
  s->products = op_div_up(q->k[1], ROWS);
  s->columns = (q->out[2] - 1) * q->stride[2] + (q->k[2] - 1) * q->dil[2] + 1;
  s->together = q->k[1] < ROWS && q->stride[1] == 1 && q->dil[1] == 1 ? 2 : 1;
  s->groups = op_div_up(q->out[1], s->together);
  s->weights = host->alloc(host->self, (size_t)(s->blocks * s->together * s->products * q->k[2] * LINE), 64);
  s->zeros = host->alloc(host->self, (size_t)q->in[2] * 16, 64);
  if (!s->weights || !s->zeros)
    status = cpu_fail(err, IEC_OUT_OF_MEMORY, node->name, "out of memory for the weights");
  else
    status = dot_store_init(&s->store, host, node, q, err);
  if (status) {
    release(host, s);
    out->state = NULL;
    return status;
  }
  memset(s->zeros, int8_zero(node->inputs[0]->grid), (size_t)q->in[2] * 16);
  pack(s, node->inputs[1]->data);
  out->member_scratch_size = sizeof(scratch) + (size_t)(s->products * s->columns * LINE);
  out->cost = (double)(q->n * q->c * q->out_size) * (double)q->taps;
  out->exec_type = "int8_depthwise_" CPU_ISA_NAME;
  out->packed_inputs = 6;
  return IEC_OK;
}

#if defined(__AVX512VNNI__)
/* Four rows become columns [16 channels][4 rows]; those outside of the input hold its zero. */
static void interleave(const conv_geom *q, const uint8_t *const rows[ROWS], const uint8_t *zeros,
                       int64_t columns, uint8_t *y) {
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m512i bytes =
      _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
  const __m512i outside = _mm512_broadcast_i32x4(_mm_set1_epi8((char)zeros[0]));
  int64_t begin = op_min(op_max(q->pad[2], 0), columns),
          end = op_max(op_min(columns, q->in[2] + q->pad[2]), begin);
  for (int64_t i = 0; i < begin; i++) _mm512_store_si512((void *)(y + i * LINE), outside);
  for (int64_t i = begin; i < end; i++) {
    int64_t at = (i - q->pad[2]) * 16;
    __m512i v = _mm512_castsi128_si512(_mm_load_si128((const __m128i *)(rows[0] + at)));
    v = _mm512_mask_broadcast_i32x4(v, 0x00f0, _mm_load_si128((const __m128i *)(rows[1] + at)));
    v = _mm512_mask_broadcast_i32x4(v, 0x0f00, _mm_load_si128((const __m128i *)(rows[2] + at)));
    v = _mm512_mask_broadcast_i32x4(v, 0xf000, _mm_load_si128((const __m128i *)(rows[3] + at)));
    v = _mm512_shuffle_epi8(_mm512_permutexvar_epi32(order, v), bytes);
    _mm512_store_si512((void *)(y + i * LINE), v);
  }
  for (int64_t i = end; i < columns; i++) _mm512_store_si512((void *)(y + i * LINE), outside);
}

#else
/* One or two columns of four rows. */
static inline __attribute__((always_inline)) void interleave_columns(const __m256i rows[ROWS], uint8_t *y,
                                                                     const int count) {
  __m256i a = _mm256_unpacklo_epi8(rows[0], rows[1]), b = _mm256_unpackhi_epi8(rows[0], rows[1]);
  __m256i c = _mm256_unpacklo_epi8(rows[2], rows[3]), d = _mm256_unpackhi_epi8(rows[2], rows[3]);
  const __m256i quarters[4] = {_mm256_unpacklo_epi16(a, c), _mm256_unpackhi_epi16(a, c),
                               _mm256_unpacklo_epi16(b, d), _mm256_unpackhi_epi16(b, d)};
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    _mm_store_si128((__m128i *)y + i, _mm256_castsi256_si128(quarters[i]));
    if (count > 1) _mm_store_si128((__m128i *)(y + LINE) + i, _mm256_extracti128_si256(quarters[i], 1));
  }
}

/* Four rows become columns [16 channels][4 rows]; those outside of the input hold its zero. */
static void interleave(const conv_geom *q, const uint8_t *const rows[ROWS], const uint8_t *zeros,
                       int64_t columns, uint8_t *y) {
  int64_t begin = op_min(op_max(q->pad[2], 0), columns),
          end = op_max(op_min(columns, q->in[2] + q->pad[2]), begin);
  __m256i v[ROWS];
  memset(y, zeros[0], (size_t)(begin * LINE));
  int64_t i = begin;
  for (; i + 2 <= end; i += 2) {
#pragma GCC unroll 4
    for (int j = 0; j < ROWS; j++)
      v[j] = _mm256_loadu_si256((const __m256i *)(rows[j] + (i - q->pad[2]) * 16));
    interleave_columns(v, y + i * LINE, 2);
  }
  if (i < end) {
#pragma GCC unroll 4
    for (int j = 0; j < ROWS; j++)
      v[j] = _mm256_castsi128_si256(_mm_load_si128((const __m128i *)(rows[j] + (i - q->pad[2]) * 16)));
    interleave_columns(v, y + i * LINE, 1);
  }
  memset(y + end * LINE, zeros[0], (size_t)((columns - end) * LINE));
}
#endif

#if defined(__AVX512VNNI__)
/* Pixels of a row, or of two rows, of a block of channels. Inlined with constants only. */
static inline __attribute__((always_inline)) void tile(const int8_depthwise_dot *s, const dot_target *target,
                                                       const int8_t *w, const uint8_t *columns,
                                                       int64_t channel, int64_t at, int32_t *y,
                                                       const int count, const int lines) {
  const conv_geom *q = &s->geom;
  const int64_t taps = q->k[2], other = s->products * taps * LINE, step = q->stride[2] * LINE;
  __m512i sums[2][DOT_MOST_PIXELS];
#pragma GCC unroll 8
  for (int p = 0; p < count; p++) sums[0][p] = sums[1][p] = _mm512_setzero_si512();
#pragma GCC unroll 1
  for (int64_t product = 0; product < s->products; product++, columns += s->columns * LINE) {
    const uint8_t *x = columns;
#pragma GCC unroll 1
    for (int64_t tap = 0; tap < taps; tap++, w += LINE, x += q->dil[2] * LINE) {
      __m512i first = _mm512_load_si512((const void *)w), second = first;
      if (lines > 1) second = _mm512_load_si512((const void *)(w + other));
#pragma GCC unroll 8
      for (int p = 0; p < count; p++) {
        __m512i v = _mm512_load_si512((const void *)(x + p * step));
        sums[0][p] = _mm512_dpbusd_epi32(sums[0][p], v, first);
        if (lines > 1) sums[1][p] = _mm512_dpbusd_epi32(sums[1][p], v, second);
      }
    }
  }
  dot_store_tile(target, channel, sums, at, q->out[2] * 16, 0, y, lines, count);
}
#else
/* The sums of pixels of a row, or of two rows, of a block of channels, [line][CHUNK][16]. Inlined with
 * constants only. */
static inline __attribute__((always_inline)) void tile(const int8_depthwise_dot *s, const dot_target *target,
                                                       const int8_t *weights, const uint8_t *from,
                                                       int64_t channel, int64_t at, int32_t *y,
                                                       const int count, const int lines) {
  const conv_geom *q = &s->geom;
  const int64_t taps = q->k[2], other = s->products * taps * LINE, step = q->stride[2] * LINE;
  (void)target;
  (void)channel;
  (void)at;
#pragma GCC unroll 1
  for (int half = 0; half < 2; half++) {
    const int8_t *w = weights + half * LINE / 2;
    const uint8_t *columns = from + half * LINE / 2;
    __m256i sums[2][MOST_PIXELS];
#pragma GCC unroll 6
    for (int p = 0; p < count; p++) sums[0][p] = sums[1][p] = _mm256_setzero_si256();
#pragma GCC unroll 1
    for (int64_t product = 0; product < s->products; product++, columns += s->columns * LINE) {
      const uint8_t *x = columns;
#pragma GCC unroll 1
      for (int64_t tap = 0; tap < taps; tap++, w += LINE, x += q->dil[2] * LINE) {
        __m256i first = _mm256_load_si256((const __m256i *)w), second = first;
        if (lines > 1) second = _mm256_load_si256((const __m256i *)(w + other));
#pragma GCC unroll 6
        for (int p = 0; p < count; p++) {
          __m256i v = _mm256_load_si256((const __m256i *)(x + p * step));
          sums[0][p] = _mm256_dpbusd_avx_epi32(sums[0][p], v, first);
          if (lines > 1) sums[1][p] = _mm256_dpbusd_avx_epi32(sums[1][p], v, second);
        }
      }
    }
#pragma GCC unroll 2
    for (int i = 0; i < lines; i++)
#pragma GCC unroll 6
      for (int p = 0; p < count; p++)
        _mm256_storeu_si256((__m256i *)(y + (i * CHUNK + p) * 16 + half * 8), sums[i][p]);
  }
}
#endif

typedef void tile_function(const int8_depthwise_dot *s, const dot_target *target, const int8_t *w,
                           const uint8_t *columns, int64_t channel, int64_t at, int32_t *y);

#define TILE(P, L)                                                                                    \
  static __attribute__((noinline)) void tile_##P##_##L(                                               \
      const int8_depthwise_dot *s, const dot_target *target, const int8_t *w, const uint8_t *columns, \
      int64_t channel, int64_t at, int32_t *y) {                                                      \
    tile(s, target, w, columns, channel, at, y, P, L);                                                \
  }
#define TILES(L) TILE(1, L) TILE(2, L) TILE(3, L) TILE(4, L) TILE(5, L) TILE(6, L)
TILES(1)
TILES(2)
#if defined(__AVX512VNNI__)
TILE(7, 1)
TILE(8, 1)
TILE(7, 2)
TILE(8, 2)
#define WIDE_TILES(L) tile_7_##L, tile_8_##L
#else
#define WIDE_TILES(L)
#endif

static tile_function *const tiles[2][MOST_PIXELS + 1] = {
    {NULL, tile_1_1, tile_2_1, tile_3_1, tile_4_1, tile_5_1, tile_6_1, WIDE_TILES(1)},
    {NULL, tile_1_2, tile_2_2, tile_3_2, tile_4_2, tile_5_2, tile_6_2, WIDE_TILES(2)}};

/* The rows of outputs from `top` on that are made at once, of a block of an image. */
static void run_rows(const int8_depthwise_dot *s, const cpu_run *r, const dot_target *target, int64_t plane,
                     int64_t top) {
  const conv_geom *q = &s->geom;
  scratch *own = r->member_scratch;
  const uint8_t *x = (const uint8_t *)r->inputs[0] + plane * q->in_size * 16;
  int64_t lines = op_min(s->together, q->out[1] - top), block = plane % s->blocks;
  const int8_t *w = s->weights + block * s->together * s->products * q->k[2] * LINE;
  for (int64_t product = 0; product < s->products; product++) {
    const uint8_t *rows[ROWS];
    for (int64_t i = 0; i < ROWS; i++) {
      int64_t row = top * q->stride[1] - q->pad[1] + (product * ROWS + i) * q->dil[1];
      rows[i] = row >= 0 && row < q->in[1] ? x + row * q->in[2] * 16 : s->zeros;
    }
    interleave(q, rows, s->zeros, s->columns, own->columns + product * s->columns * LINE);
  }
  int64_t chunks = op_div_up(q->out[2], CHUNK);
  for (int64_t i = 0; i < chunks; i++) {
    int64_t begin = q->out[2] * i / chunks, count = q->out[2] * (i + 1) / chunks - begin;
    int64_t at = (plane * q->out_size + top * q->out[2] + begin) * 16;
    int64_t pieces = CHUNK > MOST_PIXELS ? op_div_up(count, MOST_PIXELS) : 1;
    for (int64_t j = 0; j < pieces; j++) {
      int64_t first = count * j / pieces, pixels = count * (j + 1) / pieces - first;
      tiles[lines - 1][pixels](s, target, w, own->columns + (begin + first) * q->stride[2] * LINE, block * 16,
                               at + first * 16, own->buffers.sums + first * 16);
    }
    int64_t line_sums = CHUNK > MOST_PIXELS ? CHUNK * 16 : count * 16;
    for (int64_t line = 0; s->store.to == DOT_SUMS && line < lines; line++)
      int8_store_block(&s->store.store, r, &own->buffers, own->buffers.sums + line * line_sums,
                       at + line * q->out[2] * 16, count, block * 16);
  }
}

static void run(const void *state, const cpu_run *r) {
  const int8_depthwise_dot *s = state;
  const dot_target target = dot_target_of(&s->store, r);
  int64_t begin, end, planes = s->geom.n * s->blocks, count = planes * s->groups;
  while (cpu_next_phase(r, 0, count, op_grain(r, count, 1), &begin, &end))
    for (; begin < end; begin++) {
      int64_t plane, group;
      op_place(r, begin, planes, s->groups, &plane, &group);
      run_rows(s, r, &target, plane, group * s->together);
    }
}

const cpu_kernel IEC_ISA(cpu_kernel_int8_depthwise_dot) = {.kind = "Conv",
                                                           .name = "int8_depthwise_dot",
                                                           .supports = supports,
                                                           .layouts = int8_conv_layouts,
                                                           .can_fuse = int8_can_fuse,
                                                           .prepare = prepare,
                                                           .run = run,
                                                           .release = release};
#else

static int32_t supports(const cpu_node *node) {
  (void)node;
  return 0;
}

const cpu_kernel IEC_ISA(cpu_kernel_int8_depthwise_dot) = {
    .kind = "Conv", .name = "int8_depthwise_dot", .supports = supports};
#endif
