/* SPDX-License-Identifier: Apache-2.0 */
/* Float vectors of the instruction set being compiled for, on GCC vector extensions. */
#ifndef IEC_CPU_VEC_H
#define IEC_CPU_VEC_H
#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#include <immintrin.h>
#define VL 16
#elif defined(__AVX2__)
#include <immintrin.h>
#define VL 8
#else
#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif
#define VL 4
#endif

typedef float vf __attribute__((vector_size(4 * VL)));
typedef int32_t vi __attribute__((vector_size(4 * VL)));
typedef uint32_t vu __attribute__((vector_size(4 * VL)));
/* The same for memory of any alignment. */
typedef float vf_any __attribute__((vector_size(4 * VL), aligned(4), may_alias));

static inline vf vf_load(const float *p) { return *(const vf_any *)p; }
static inline void vf_store(float *p, vf x) { *(vf_any *)p = x; }
static inline vf vf_set(float x) { return x - (vf){0}; } /* x - 0 keeps every x, -0 too */

/* Keeps a loaded value in a register: gcc 12 otherwise loads it again inside every multiply-add. */
static inline vf vf_pinned(vf x) {
#if defined(__AVX512F__)
  __asm__("" : "+v"(x));
#elif defined(__x86_64__)
  __asm__("" : "+x"(x));
#elif defined(__aarch64__)
  __asm__("" : "+w"(x));
#endif
  return x;
}

/* A pointer of which the compiler knows nothing: it would compute all addresses from it before the sums, and
 * keep them on the stack meanwhile. */
static inline __attribute__((always_inline)) float *vf_place(float *p) {
  __asm__("" : "+r"(p));
  return p;
}

/* The first n < VL floats; the other lanes are zero. */
static inline vf vf_load_n(const float *p, int64_t n) {
  float part[VL] = {0};
  memcpy(part, p, (size_t)n * sizeof(float));
  return vf_load(part);
}

static inline void vf_store_n(float *p, vf x, int64_t n) {
  float part[VL];
  vf_store(part, x);
  memcpy(p, part, (size_t)n * sizeof(float));
}

/* Lane-wise mask ? a : b, for masks made by comparisons. */
static inline vf vf_sel(vi mask, vf a, vf b) { return (vf)((mask & (vi)a) | (~mask & (vi)b)); }

/* Maximum and minimum as numpy has them: NaN wins, as in the instructions of AArch64. Those of x86 give b
 * when either is NaN. */
#if defined(__AVX512F__)
static inline vf vf_max(vf a, vf b) {
  __mmask16 number = _mm512_cmp_ps_mask((__m512)a, (__m512)a, _CMP_ORD_Q);
  return (vf)_mm512_mask_max_ps((__m512)a, number, (__m512)a, (__m512)b);
}
static inline vf vf_min(vf a, vf b) {
  __mmask16 number = _mm512_cmp_ps_mask((__m512)a, (__m512)a, _CMP_ORD_Q);
  return (vf)_mm512_mask_min_ps((__m512)a, number, (__m512)a, (__m512)b);
}
#elif defined(__AVX2__)
static inline vf vf_max(vf a, vf b) { return vf_sel(a != a, a, (vf)_mm256_max_ps((__m256)a, (__m256)b)); }
static inline vf vf_min(vf a, vf b) { return vf_sel(a != a, a, (vf)_mm256_min_ps((__m256)a, (__m256)b)); }
#elif defined(__SSE2__)
static inline vf vf_max(vf a, vf b) { return vf_sel(a != a, a, (vf)_mm_max_ps((__m128)a, (__m128)b)); }
static inline vf vf_min(vf a, vf b) { return vf_sel(a != a, a, (vf)_mm_min_ps((__m128)a, (__m128)b)); }
#elif defined(__aarch64__)
static inline vf vf_max(vf a, vf b) { return (vf)vmaxq_f32((float32x4_t)a, (float32x4_t)b); }
static inline vf vf_min(vf a, vf b) { return (vf)vminq_f32((float32x4_t)a, (float32x4_t)b); }
#else
static inline vf vf_max(vf a, vf b) { return vf_sel((a > b) | (a != a), a, b); }
static inline vf vf_min(vf a, vf b) { return vf_sel((a < b) | (a != a), a, b); }
#endif

/* x, but not below lo (above hi); NaN and the sign of zero stay. One instruction on x86: its max gives the
 * second operand where neither is greater. */
static inline vf vf_at_least(vf x, vf lo) {
#if defined(__AVX512F__)
  return (vf)_mm512_max_ps((__m512)lo, (__m512)x);
#elif defined(__AVX2__)
  return (vf)_mm256_max_ps((__m256)lo, (__m256)x);
#elif defined(__SSE2__)
  return (vf)_mm_max_ps((__m128)lo, (__m128)x);
#else
  return vf_sel(x < lo, lo, x);
#endif
}

static inline vf vf_at_most(vf x, vf hi) {
#if defined(__AVX512F__)
  return (vf)_mm512_min_ps((__m512)hi, (__m512)x);
#elif defined(__AVX2__)
  return (vf)_mm256_min_ps((__m256)hi, (__m256)x);
#elif defined(__SSE2__)
  return (vf)_mm_min_ps((__m128)hi, (__m128)x);
#else
  return vf_sel(x > hi, hi, x);
#endif
}

/* Lane k of the result is lane k + n of x, around the end. */
static inline vf vf_turn(vf x, int n) {
#if defined(__clang__)
  vf y = x;
  for (int k = 0; k < VL; k++) y[k] = x[(k + n) % VL];
  return y;
#else
  static const int32_t lanes[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  vi from;
  memcpy(&from, lanes, sizeof from);
  return __builtin_shuffle(x, from + n); /* counts around the end */
#endif
}

#if defined(__clang__) || __GNUC__ >= 12
#define VF_PICK(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define VF_PICK(a, b, ...) __builtin_shuffle(a, b, (vi){__VA_ARGS__})
#endif
/* Lanes of a and b in turn, of their first and their second halves. */
#if VL == 16
#define VF_FIRST 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define VF_SECOND 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#define VF_FROM(n)                                                                                          \
  n, n + 1, n + 2, n + 3, n + 4, n + 5, n + 6, n + 7, n + 8, n + 9, n + 10, n + 11, n + 12, n + 13, n + 14, \
      n + 15
#elif VL == 8
#define VF_FIRST 0, 8, 1, 9, 2, 10, 3, 11
#define VF_SECOND 4, 12, 5, 13, 6, 14, 7, 15
#define VF_FROM(n) n, n + 1, n + 2, n + 3, n + 4, n + 5, n + 6, n + 7
#else
#define VF_FIRST 0, 4, 1, 5
#define VF_SECOND 2, 6, 3, 7
#define VF_FROM(n) n, n + 1, n + 2, n + 3
#endif

/* Lanes n, n + 1, ... of a and b one behind the other; n is a constant. */
#define VF_SLIDE(a, b, n) VF_PICK(a, b, VF_FROM(n))

/* Lane j of vector i becomes lane i of vector j. A round rotates the bits of (vector, lane) by one place. */
static inline __attribute__((always_inline)) void vf_flip(vf *m) {
  vf turned[VL];
#pragma GCC unroll 4
  for (int round = 1; round < VL; round *= 2) {
#pragma GCC unroll 8
    for (int i = 0; i < VL / 2; i++) {
      turned[2 * i] = VF_PICK(m[i], m[i + VL / 2], VF_FIRST);
      turned[2 * i + 1] = VF_PICK(m[i], m[i + VL / 2], VF_SECOND);
    }
#pragma GCC unroll 16
    for (int i = 0; i < VL; i++) m[i] = turned[i];
  }
}

/* to[j][i] = from[i][j] of a square of 16 x 16; its rows lie `pitch` and `to_pitch` floats apart. */
static inline void vf_flip_square(const float *from, int64_t pitch, float *to, int64_t to_pitch) {
  for (int i = 0; i < 16; i += VL)
    for (int j = 0; j < 16; j += VL) {
      vf part[VL];
#pragma GCC unroll 16
      for (int k = 0; k < VL; k++) part[k] = vf_load(from + (i + k) * pitch + j);
      vf_flip(part);
#pragma GCC unroll 16
      for (int k = 0; k < VL; k++) vf_store(to + (j + k) * to_pitch + i, part[k]);
    }
}

static inline vf vf_abs(vf x) { return (vf)((vi)x & 0x7fffffff); }
/* |x| with the sign of s. */
static inline vf vf_copysign(vf x, vf s) { return (vf)(((vi)x & 0x7fffffff) | ((vi)s & INT32_MIN)); }

static inline vf vf_sqrt(vf x) {
#if defined(__AVX512F__)
  return (vf)_mm512_sqrt_ps((__m512)x);
#elif defined(__AVX2__)
  return (vf)_mm256_sqrt_ps((__m256)x);
#elif defined(__SSE2__)
  return (vf)_mm_sqrt_ps((__m128)x);
#elif defined(__aarch64__)
  return (vf)vsqrtq_f32((float32x4_t)x);
#else
  for (int i = 0; i < VL; i++) x[i] = sqrtf(x[i]);
  return x;
#endif
}

/* Nearest integer, half to even; the sign of zero is kept. */
static inline vf vf_round(vf x) {
#if defined(__AVX512F__)
  return (vf)_mm512_roundscale_ps((__m512)x, _MM_FROUND_TO_NEAREST_INT);
#elif defined(__AVX2__)
  return (vf)_mm256_round_ps((__m256)x, _MM_FROUND_TO_NEAREST_INT);
#elif defined(__aarch64__)
  return (vf)vrndnq_f32((float32x4_t)x);
#else /* adding 2^23 leaves no bits for a fraction */
  vf big = vf_set(8388608.0f), r = (vf_abs(x) + big) - big;
  return vf_sel(vf_abs(x) < big, vf_copysign(r, x), x);
#endif
}

static inline vf vf_floor(vf x) {
  vf r = vf_round(x);
  return vf_copysign(vf_sel(r > x, r - 1.0f, r), x);
}

static inline vf vf_ceil(vf x) {
  vf r = vf_round(x);
  return vf_copysign(vf_sel(r < x, r + 1.0f, r), x);
}

static inline float vf_sum(vf x) {
#if defined(__AVX512F__)
  return _mm512_reduce_add_ps((__m512)x);
#elif defined(__aarch64__)
  return vaddvq_f32((float32x4_t)x);
#else
  float s = 0;
  for (int i = 0; i < VL; i++) s += x[i];
  return s;
#endif
}
#endif
