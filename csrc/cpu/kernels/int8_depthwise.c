/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise convolution of quantised bytes in blocks of 16 channels: any kernel, stride, dilation, padding.
 */
#include "cpu/kernels/int8_conv.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#define PAIR 32 /* weights of two taps: 16 channels each */

typedef struct int8_depthwise {
  conv_geom geom;
  int8_padding pad;
  int8_store store;
  int64_t blocks, pairs; /* pairs of taps; the second of the last one may weigh nothing */
  int16_t *weights;      /* [block][pair][4 channels][2 taps]..., in the order of tile */
  int32_t *offsets;      /* [pair][2] bytes behind an output's first pixel */
  int32_t *pixels;       /* [out_size] bytes from the input's first */
  uint8_t zero;
} int8_depthwise;

static int32_t supports(const cpu_node *node) {
  conv_geom q;
  int8_padding pad;
  return int8_conv_geometry(node, &q, &pad) && q.g == q.c && q.g > 1 && q.og == 1 &&
                 q.taps <= INT8_MAX_BYTES / q.c / PAIR
             ? 35
             : 0;
}

static void release(const iec_host_api *host, void *state) {
  int8_depthwise *s = state;
  if (!s) return;
  int8_store_release(&s->store, host);
  host->release(host->self, s->weights);
  host->release(host->self, s->offsets);
  host->release(host->self, s->pixels);
  host->release(host->self, s);
}

/* Where the weight of a channel of the block stands in a pair: vectors of 8 and 8 channels that are
 * interleaved half by half. */
static int place(int channel) { return (channel & 4) * 4 + (channel & 8) + (channel & 3) * 2; }

static void pack(int8_depthwise *s, const int8_t *w) {
  const conv_geom *q = &s->geom;
  memset(s->weights, 0, (size_t)(s->blocks * s->pairs * PAIR) * sizeof *s->weights);
  for (int64_t c = 0; c < q->c; c++)
    for (int64_t t = 0; t < q->taps; t++)
      s->weights[(c / 16 * s->pairs + t / 2) * PAIR + place((int)(c % 16)) + t % 2] = w[c * q->taps + t];
  for (int64_t t = 0; t < s->pairs * 2; t++)
    s->offsets[t] = t < q->taps ? (int32_t)(int8_tap(q, &s->pad, t) * 16) : s->offsets[0];
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(int8_depthwise), out, err);
  if (status != IEC_OK) return status;
  int8_depthwise *s = out->state;
  conv_geom *q = &s->geom;
  int8_conv_geometry(node, q, &s->pad);
  s->blocks = op_div_up(q->c, 16);
  s->pairs = op_div_up(q->taps, 2);
  s->zero = int8_zero(node->inputs[0]->grid);
  s->weights = host->alloc(host->self, (size_t)(s->blocks * s->pairs * PAIR) * sizeof *s->weights, 64);
  s->offsets = host->alloc(host->self, (size_t)s->pairs * 2 * sizeof *s->offsets, 64);
  s->pixels = host->alloc(host->self, (size_t)q->out_size * sizeof *s->pixels, 64);
  if (!s->weights || !s->offsets || !s->pixels)
    status = cpu_fail(err, IEC_OUT_OF_MEMORY, node->name, "out of memory for the weights");
  else
    status = int8_conv_store(&s->store, host, node, q, err);
  if (status) {
    release(host, s);
    out->state = NULL;
    return status;
  }
  pack(s, node->inputs[1]->data);
  int8_list_pixels(q, &s->pad, s->pixels);
  if (s->pad.needed) out->scratch_size = (size_t)(q->n * s->blocks * s->pad.plane) * 16;
  out->member_scratch_size = sizeof(int8_buffers);
  out->cost = (double)(q->n * q->c * q->out_size) * (double)q->taps;
  out->exec_type = "int8_depthwise_" CPU_ISA_NAME;
  out->packed_inputs = 6;
  return IEC_OK;
}

#if defined(__AVX2__)
static inline __m256i wide(const uint8_t *x) {
  return _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)x));
}

/* Inlined with a constant count only. */
static inline __attribute__((always_inline)) void tile(const int16_t *w, const int32_t *offsets,
                                                       int64_t pairs, const uint8_t *x, const int32_t *pixels,
                                                       int32_t *y, const int count) {
  __m256i low[4], high[4]; /* channels 0-3 and 8-11, 4-7 and 12-15 */
  const uint8_t *from[4];
#pragma GCC unroll 4
  for (int p = 0; p < count; p++) {
    low[p] = high[p] = _mm256_setzero_si256();
    from[p] = x + pixels[p];
  }
#pragma GCC unroll 1
  for (int64_t i = 0; i < pairs; i++, w += PAIR) {
    int64_t first = offsets[2 * i], second = offsets[2 * i + 1];
    __m256i w0 = _mm256_load_si256((const __m256i *)w), w1 = _mm256_load_si256((const __m256i *)(w + 16));
#pragma GCC unroll 4
    for (int p = 0; p < count; p++) {
      __m256i a = wide(from[p] + first), b = wide(from[p] + second);
      low[p] = _mm256_add_epi32(low[p], _mm256_madd_epi16(_mm256_unpacklo_epi16(a, b), w0));
      high[p] = _mm256_add_epi32(high[p], _mm256_madd_epi16(_mm256_unpackhi_epi16(a, b), w1));
    }
  }
#pragma GCC unroll 4
  for (int p = 0; p < count; p++) {
    _mm256_storeu_si256((__m256i *)(y + p * 16), _mm256_permute2x128_si256(low[p], high[p], 0x20));
    _mm256_storeu_si256((__m256i *)(y + p * 16 + 8), _mm256_permute2x128_si256(low[p], high[p], 0x31));
  }
}

static __attribute__((noinline)) void tile_4(const int16_t *w, const int32_t *offsets, int64_t pairs,
                                             const uint8_t *x, const int32_t *pixels, int32_t *y) {
  tile(w, offsets, pairs, x, pixels, y, 4);
}

static __attribute__((noinline)) void tile_1(const int16_t *w, const int32_t *offsets, int64_t pairs,
                                             const uint8_t *x, const int32_t *pixels, int32_t *y) {
  tile(w, offsets, pairs, x, pixels, y, 1);
}

static void sums(const int8_depthwise *s, const int16_t *w, const uint8_t *x, const int32_t *pixels,
                 int64_t count, int32_t *y) {
  for (; count >= 4; count -= 4, pixels += 4, y += 64) tile_4(w, s->offsets, s->pairs, x, pixels, y);
  for (; count > 0; count--, pixels++, y += 16) tile_1(w, s->offsets, s->pairs, x, pixels, y);
}
#else
static void sums(const int8_depthwise *s, const int16_t *w, const uint8_t *x, const int32_t *pixels,
                 int64_t count, int32_t *y) {
  for (int64_t p = 0; p < count; p++, y += 16) {
    memset(y, 0, 16 * sizeof *y);
    for (int64_t i = 0; i < s->pairs; i++) {
      const uint8_t *a = x + pixels[p] + s->offsets[2 * i], *b = x + pixels[p] + s->offsets[2 * i + 1];
      const int16_t *v = w + i * PAIR;
      for (int c = 0; c < 16; c++) y[c] += a[c] * v[place(c)] + b[c] * v[place(c) + 1];
    }
  }
}
#endif

static void run(const void *state, const cpu_run *r) {
  const int8_depthwise *s = state;
  const conv_geom *q = &s->geom;
  const uint8_t *x = r->inputs[0];
  int8_buffers *buffers = r->member_scratch;
  int64_t begin, end, pieces = op_div_up(q->out_size, INT8_PIXELS);
  int64_t planes = q->n * s->blocks, count = planes * pieces;
  if (s->pad.needed) {
    int8_pad_input(q, &s->pad, r, s->blocks, s->zero);
    cpu_barrier(r);
    x = r->scratch;
  }
  while (cpu_next_phase(r, 0, count, op_grain(r, count, 1), &begin, &end))
    for (int64_t i = begin; i < end; i++) {
      int64_t piece, plane;
      op_place(r, i, planes, pieces, &plane, &piece);
      int64_t block = plane % s->blocks;
      int64_t first = q->out_size * piece / pieces, pixels = q->out_size * (piece + 1) / pieces - first;
      sums(s, s->weights + block * s->pairs * PAIR, x + plane * s->pad.plane * 16, s->pixels + first, pixels,
           buffers->sums);
      int8_store_block(&s->store, r, buffers, buffers->sums, (plane * q->out_size + first) * 16, pixels,
                       block * 16);
    }
}

const cpu_kernel IEC_ISA(cpu_kernel_int8_depthwise) = {.kind = "Conv",
                                                       .name = "int8_depthwise",
                                                       .supports = supports,
                                                       .layouts = int8_conv_layouts,
                                                       .can_fuse = int8_can_fuse,
                                                       .prepare = prepare,
                                                       .run = run,
                                                       .release = release};
