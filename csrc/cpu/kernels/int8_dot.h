/* SPDX-License-Identifier: Apache-2.0 */
/* What kernels on the dot products of AVX512-VNNI share: the way from a tile's sums in registers to bytes.
 * Compiled without multiply-add, as int8_store.c. */
#ifndef IEC_CPU_INT8_DOT_H
#define IEC_CPU_INT8_DOT_H
#include "cpu/kernels/int8_conv.h"

#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
#include <immintrin.h>
#include <math.h>

enum { DOT_MOST_PIXELS = 14 }; /* of a tile */

/* What becomes of a tile's sums: they are stored as they are, or become bytes or levels in float32, these
 * maybe with a residual sum and with a quantisation in front of it. */
enum {
  DOT_BYTES,
  DOT_BYTES_SUM,
  DOT_BYTES_QUANTISED,
  DOT_LEVELS,
  DOT_LEVELS_SUM,
  DOT_LEVELS_QUANTISED,
  DOT_SUMS
};
#define DOT_IS_BYTES(to) ((to) < DOT_LEVELS)
#define DOT_IS_RESIDUAL(to) ((to) % 3 > 0)
#define DOT_IS_QUANTISED(to) ((to) % 3 > 1)

typedef struct dot_store {
  int8_store store;
  uint8_t *least, *most; /* bytes of each channel, up to a multiple of 16 */
  int32_t to;
} dot_store;

/* Where the sums of a step go. */
typedef struct dot_target {
  const dot_store *store;
  uint8_t *bytes;
  float *numbers; /* the same, one of both */
  const uint8_t *addend;
} dot_target;

/* 1 when nothing that is converted comes near the end of 32-bit integers, so that limits may be kept behind
 * it. */
static inline int dot_in_range(const int8_store *s, int32_t to) {
  int all = 1;
  for (int64_t c = 0; c < s->channels; c++) {
    float factor = DOT_IS_RESIDUAL(to) && !DOT_IS_QUANTISED(to) ? s->factor[c] : 1.0f, most = 0;
    all &= fabsf(s->scale[c] * factor) <= 0.25f && fabsf(s->bias[c] * factor) <= 0x1p28f;
    if (DOT_IS_QUANTISED(to)) most = fabsf(s->factor[c]) * 256;
    if (DOT_IS_RESIDUAL(to)) all &= most + fabsf(s->addend[c]) * 256 + fabsf(s->shift[c]) <= 0x1p28f;
  }
  return all;
}

static inline void dot_store_release(dot_store *s, const iec_host_api *host) {
  int8_store_release(&s->store, host);
  host->release(host->self, s->least);
}

static inline iec_status dot_store_init(dot_store *s, const iec_host_api *host, const cpu_node *node,
                                        const conv_geom *q, iec_error *err) {
  size_t channels = (size_t)op_div_up(q->o, 16) * 16;
  const int8_store *store = &s->store;
  s->least = host->alloc(host->self, 2 * channels, 64);
  if (!s->least) return cpu_fail(err, IEC_OUT_OF_MEMORY, node->name, "out of memory for the limits");
  iec_status status = int8_conv_store(&s->store, host, node, q, err);
  if (status) return status;
  s->to = store->to_bytes ? DOT_BYTES : DOT_LEVELS;
  if (store->residual)
    s->to += store->post_count;
  else if (store->post_count || (!store->to_bytes && !store->to_levels))
    s->to = DOT_SUMS;
  int whole =
      DOT_IS_BYTES(s->to) || (s->to != DOT_SUMS && DOT_IS_QUANTISED(s->to)); /* something is converted */
  if (whole && !dot_in_range(store, s->to)) s->to = DOT_SUMS;
#if !defined(__AVX512VNNI__)
  s->to = DOT_SUMS;
#endif
  s->most = s->least + channels;
  for (size_t c = 0; DOT_IS_BYTES(s->to) && c < channels; c++) {
    s->least[c] = (uint8_t)store->least[c];
    s->most[c] = (uint8_t)store->most[c];
  }
  return IEC_OK;
}

static inline dot_target dot_target_of(const dot_store *s, const cpu_run *r) {
  dot_target target = {.store = s, .bytes = r->outputs[0], .numbers = r->outputs[0]};
  if (s->store.residual) target.addend = r->inputs[s->store.posts[s->store.post_count - 1].input];
  return target;
}

#if defined(__AVX512VNNI__)
/* Four pixels of a block as bytes; what lies outside of 0 and 255 becomes these. */
static inline __attribute__((always_inline)) __m512i dot_four_pixels(const __m512i *q) {
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  __m512i bytes = _mm512_packus_epi16(_mm512_packs_epi32(q[0], q[1]), _mm512_packs_epi32(q[2], q[3]));
  return _mm512_permutexvar_epi32(order, bytes);
}

/* What the sums of a pixel become in front of the limits and the step to bytes, rounded as int8_store.c does
 * it. Limits of integers stand here because adding, limiting and converting numbers is what keeps the
 * processor waiting. Inlined with a constant `to` only. */
static inline __attribute__((always_inline)) __m512 dot_number(const int8_store *s, int64_t channel,
                                                               __m512i sums, const uint8_t *addend,
                                                               const int to) {
  __m512 v = _mm512_mul_ps(_mm512_cvtepi32_ps(sums), _mm512_load_ps(s->scale + channel));
  v = _mm512_add_ps(v, _mm512_load_ps(s->bias + channel));
  if (!DOT_IS_RESIDUAL(to)) return v;
  __m512 other = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)addend)));
  if (DOT_IS_QUANTISED(to)) {
    __m512i level = _mm512_max_epi32(_mm512_setzero_si512(), _mm512_cvtps_epi32(v));
    v = _mm512_cvtepi32_ps(_mm512_min_epi32(level, _mm512_cvtps_epi32(_mm512_load_ps(s->level + channel))));
  }
  v = _mm512_mul_ps(v, _mm512_load_ps(s->factor + channel));
  v = _mm512_add_ps(v, _mm512_mul_ps(other, _mm512_load_ps(s->addend + channel)));
  return _mm512_add_ps(v, _mm512_load_ps(s->shift + channel));
}

/* The numbers of `count` pixels of the block of channels from `channel` on become bytes, `at` elements into
 * the output. Inlined with a constant count only. */
static inline __attribute__((always_inline)) void dot_to_bytes(const dot_target *target, int64_t channel,
                                                               const __m512 *numbers, int64_t at,
                                                               const int count) {
  const dot_store *s = target->store;
  const __m512i least = _mm512_broadcast_i32x4(_mm_load_si128((const __m128i *)(s->least + channel)));
  const __m512i most = _mm512_broadcast_i32x4(_mm_load_si128((const __m128i *)(s->most + channel)));
  __m512i q[DOT_MOST_PIXELS + 3];
#pragma GCC unroll 14
  for (int p = 0; p < count; p++) q[p] = _mm512_cvtps_epi32(numbers[p]);
#pragma GCC unroll 3
  for (int p = count; p < (count + 3) / 4 * 4; p++) q[p] = q[count - 1];
#pragma GCC unroll 4
  for (int p = 0; p < count; p += 4) {
    __m512i bytes = _mm512_min_epu8(most, _mm512_max_epu8(least, dot_four_pixels(q + p)));
    if (count - p >= 4)
      _mm512_storeu_si512((void *)(target->bytes + at + p * 16), bytes);
    else
      _mm512_mask_storeu_epi32(target->bytes + at + p * 16, (__mmask16)((1 << (count - p) % 4 * 4) - 1),
                               bytes);
  }
}

/* The same to levels in float32. Those of channels that are not there are zero. */
static inline __attribute__((always_inline)) void dot_to_levels(const dot_target *target, int64_t channel,
                                                                const __m512 *numbers, int64_t at,
                                                                const int count) {
  const int8_store *s = &target->store->store;
  const __m512 least = _mm512_load_ps(s->least + channel), most = _mm512_load_ps(s->most + channel);
  const __m512 step = _mm512_load_ps(s->step + channel), offset = _mm512_load_ps(s->offset + channel);
#pragma GCC unroll 14
  for (int p = 0; p < count; p++) {
    __m512 v = _mm512_min_ps(most, _mm512_max_ps(least, numbers[p]));
    v = _mm512_mul_ps(_mm512_roundscale_ps(v, _MM_FROUND_TO_NEAREST_INT), step);
    _mm512_storeu_ps(target->numbers + at + p * 16, _mm512_add_ps(v, offset));
  }
}

/* The sums of a block's pixels in the way of a constant `to`. */
static inline __attribute__((always_inline)) void dot_finish(const dot_target *target, int64_t channel,
                                                             const __m512i *sums, int64_t at, const int count,
                                                             const int to) {
  __m512 numbers[DOT_MOST_PIXELS];
#pragma GCC unroll 14
  for (int p = 0; p < count; p++)
    numbers[p] = dot_number(&target->store->store, channel, sums[p],
                            DOT_IS_RESIDUAL(to) ? target->addend + at + p * 16 : NULL, to);
  if (DOT_IS_BYTES(to))
    dot_to_bytes(target, channel, numbers, at, count);
  else
    dot_to_levels(target, channel, numbers, at, count);
}

/* The sums of `lines` lines, `step` elements from one to the next and `channels` channels, go where they
 * belong, or to `y` as [line][pixel][16]. Inlined with constant lines and count only. */
static inline __attribute__((always_inline)) void dot_store_tile(const dot_target *target, int64_t channel,
                                                                 __m512i sums[2][DOT_MOST_PIXELS], int64_t at,
                                                                 int64_t step, int64_t channels, int32_t *y,
                                                                 const int lines, const int count) {
  switch (target->store->to) {
#define DOT_CASE(TO)                                                                      \
  case TO:                                                                                \
    dot_finish(target, channel, sums[0], at, count, TO);                                  \
    if (lines > 1) dot_finish(target, channel + channels, sums[1], at + step, count, TO); \
    return;
    DOT_CASE(DOT_BYTES)
    DOT_CASE(DOT_BYTES_SUM)
    DOT_CASE(DOT_BYTES_QUANTISED)
    DOT_CASE(DOT_LEVELS)
    DOT_CASE(DOT_LEVELS_SUM)
    DOT_CASE(DOT_LEVELS_QUANTISED)
#undef DOT_CASE
    default:
#pragma GCC unroll 2
      for (int i = 0; i < lines; i++)
#pragma GCC unroll 14
        for (int p = 0; p < count; p++) _mm512_store_si512((void *)(y + (i * count + p) * 16), sums[i][p]);
  }
}
#endif
#endif
#endif
