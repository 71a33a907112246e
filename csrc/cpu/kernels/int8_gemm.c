/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of products of bytes. Arrays of vectors only under full unrolling: gcc keeps them in registers then.
 */
#include "cpu/kernels/int8_gemm.h"

#include <stdlib.h>

#if defined(__AVX2__)
#include <immintrin.h>

/* 255 times this fits 16 bits with either sign. */
enum { SAFE = 128 };

/* Products of a pair of weights with any two bytes stay within 16 bits. */
static int is_safe(const int8_t *w) {
  int up = op_max(w[0], 0) + op_max(w[1], 0), down = op_min(w[0], 0) + op_min(w[1], 0);
  return up <= SAFE && down >= -SAFE;
}

int64_t int8_pack(const int8_t *weights, int32_t offset, int8_t *w, int32_t *offsets) {
  int safe = 1;
  for (int i = 0; safe && i < INT8_STEP; i += 2) safe = is_safe(weights + i);
  offsets[0] = offset;
  memcpy(w, weights, INT8_STEP);
  if (safe) return 1;
  offsets[1] = offset;
  for (int i = 0; i < INT8_STEP; i++) {
    w[i] = (int8_t)(weights[i] / 2);
    w[INT8_STEP + i] = (int8_t)(weights[i] - w[i]);
  }
  return 2;
}

static inline __m256i four(const uint8_t *x) {
  int32_t bytes;
  memcpy(&bytes, x, sizeof bytes);
  __m256i v = _mm256_set1_epi32(bytes);
  __asm__("" : "+x"(v)); /* loaded once, not again for each of its uses */
  return v;
}

/* Inlined with a constant count only. */
static inline __attribute__((always_inline)) void tile(const int8_panel *panel, const uint8_t *x,
                                                       const int32_t *pixels, int32_t *y, const int count) {
  __m256i low[4], high[4];
  const __m256i ones = _mm256_set1_epi16(1);
  const uint8_t *from[4];
  const int8_t *w = panel->w;
#pragma GCC unroll 4
  for (int p = 0; p < count; p++) {
    low[p] = high[p] = _mm256_setzero_si256();
    from[p] = x + pixels[p];
  }
#pragma GCC unroll 1
  for (int64_t s = 0; s < panel->steps; s++, w += INT8_STEP) {
    int64_t at = panel->offsets[s];
    __m256i w0 = _mm256_load_si256((const __m256i *)w), w1 = _mm256_load_si256((const __m256i *)(w + 32));
#pragma GCC unroll 4
    for (int p = 0; p < count; p++) {
      __m256i v = four(from[p] + at);
      low[p] = _mm256_add_epi32(low[p], _mm256_madd_epi16(_mm256_maddubs_epi16(v, w0), ones));
      high[p] = _mm256_add_epi32(high[p], _mm256_madd_epi16(_mm256_maddubs_epi16(v, w1), ones));
    }
  }
#pragma GCC unroll 4
  for (int p = 0; p < count; p++) {
    _mm256_storeu_si256((__m256i *)(y + p * 16), low[p]);
    _mm256_storeu_si256((__m256i *)(y + p * 16 + 8), high[p]);
  }
}

#define TILE(P)                                                                             \
  static __attribute__((noinline)) void tile_##P(const int8_panel *panel, const uint8_t *x, \
                                                 const int32_t *pixels, int32_t *y) {       \
    tile(panel, x, pixels, y, P);                                                           \
  }
TILE(1)
TILE(2)
TILE(3)
TILE(4)

void int8_sums(const int8_panel *panel, const uint8_t *x, const int32_t *pixels, int64_t count, int32_t *y) {
  for (; count >= 4; count -= 4, pixels += 4, y += 64) tile_4(panel, x, pixels, y);
  if (count == 3) tile_3(panel, x, pixels, y);
  if (count == 2) tile_2(panel, x, pixels, y);
  if (count == 1) tile_1(panel, x, pixels, y);
}

#else

int64_t int8_pack(const int8_t *weights, int32_t offset, int8_t *w, int32_t *offsets) {
  memcpy(w, weights, INT8_STEP);
  *offsets = offset;
  return 1;
}

void int8_sums(const int8_panel *panel, const uint8_t *x, const int32_t *pixels, int64_t count, int32_t *y) {
  for (int64_t p = 0; p < count; p++, y += 16) {
    const uint8_t *from = x + pixels[p];
    const int8_t *w = panel->w;
    memset(y, 0, 16 * sizeof *y);
    for (int64_t s = 0; s < panel->steps; s++, w += INT8_STEP) {
      const uint8_t *v = from + panel->offsets[s];
      for (int o = 0; o < 16; o++)
        y[o] += v[0] * w[o * 4] + v[1] * w[o * 4 + 1] + v[2] * w[o * 4 + 2] + v[3] * w[o * 4 + 3];
    }
  }
}
#endif
