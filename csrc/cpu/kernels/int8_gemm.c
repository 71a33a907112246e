/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of products of bytes. Arrays of vectors only under full unrolling: gcc keeps them in registers then.
 */
#include "cpu/kernels/int8_gemm.h"

/* Memory of a panel; 0 when there is none. */
static int make_panel(int8_panel *panel, const iec_host_api *host, int64_t steps, int64_t bytes,
                      int64_t offsets) {
  *panel = (int8_panel){.steps = steps};
  panel->w = host->alloc(host->self, (size_t)bytes + (size_t)offsets * sizeof *panel->offsets, 64);
  if (!panel->w) return 0;
  panel->offsets = (int32_t *)(void *)(panel->w + bytes);
  return 1;
}

void int8_panel_release(int8_panel *panel, const iec_host_api *host) { host->release(host->self, panel->w); }

#if defined(__AVX512VNNI__)
#include <immintrin.h>

#define MOST_PIXELS 12

enum { AHEAD = 4096 /* bytes that weights are fetched ahead */ };

/* Inlined with a constant count only. */
static inline __attribute__((always_inline)) void tile(const int8_panel *panel, const uint8_t *x,
                                                       const int32_t *pixels, int32_t *y, const int count) {
  __m512i acc[MOST_PIXELS];
  const uint8_t *from[MOST_PIXELS];
  const int8_t *w = panel->w;
#pragma GCC unroll 12
  for (int p = 0; p < count; p++) {
    acc[p] = _mm512_setzero_si512();
    from[p] = x + pixels[p];
  }
#pragma GCC unroll 1
  for (int64_t s = 0; s < panel->steps; s++, w += INT8_STEP) {
    int64_t at = panel->offsets[s];
    __m512i row = _mm512_load_si512((const void *)w);
    __builtin_prefetch((const void *)((uintptr_t)w + AHEAD));
#pragma GCC unroll 12
    for (int p = 0; p < count; p++) {
      int32_t bytes;
      memcpy(&bytes, from[p] + at, sizeof bytes);
      acc[p] = _mm512_dpbusd_epi32(acc[p], _mm512_set1_epi32(bytes), row);
    }
  }
#pragma GCC unroll 12
  for (int p = 0; p < count; p++) _mm512_storeu_si512((void *)(y + p * 16), acc[p]);
}

static inline __m512i add_step(__m512i acc, const uint8_t *x, int32_t at, const int8_t *w) {
  int32_t bytes;
  memcpy(&bytes, x + at, sizeof bytes);
  __builtin_prefetch((const void *)((uintptr_t)w + AHEAD));
  return _mm512_dpbusd_epi32(acc, _mm512_set1_epi32(bytes), _mm512_load_si512((const void *)w));
}

/* A pixel alone: several sums, so that products wait for weights only and not for each other. */
static __attribute__((noinline)) void tile_1(const int8_panel *panel, const uint8_t *x, const int32_t *pixels,
                                             int32_t *y) {
  __m512i acc[4] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(),
                    _mm512_setzero_si512()};
  const int8_t *w = panel->w;
  int64_t s = 0;
  x += pixels[0];
#pragma GCC unroll 1
  for (; s + 4 <= panel->steps; s += 4)
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++, w += INT8_STEP) acc[i] = add_step(acc[i], x, panel->offsets[s + i], w);
#pragma GCC unroll 1
  for (; s < panel->steps; s++, w += INT8_STEP) acc[0] = add_step(acc[0], x, panel->offsets[s], w);
  acc[0] = _mm512_add_epi32(_mm512_add_epi32(acc[0], acc[1]), _mm512_add_epi32(acc[2], acc[3]));
  _mm512_storeu_si512((void *)y, acc[0]);
}

#elif defined(__AVXVNNI__)
#include <immintrin.h>

#define MOST_PIXELS 6

enum { AHEAD = 4096 /* bytes that weights are fetched ahead */ };

/* Inlined with a constant count only. */
static inline __attribute__((always_inline)) void tile(const int8_panel *panel, const uint8_t *x,
                                                       const int32_t *pixels, int32_t *y, const int count) {
  __m256i acc[MOST_PIXELS][2];
  const uint8_t *from[MOST_PIXELS];
  const int8_t *w = panel->w;
#pragma GCC unroll 6
  for (int p = 0; p < count; p++) {
    acc[p][0] = acc[p][1] = _mm256_setzero_si256();
    from[p] = x + pixels[p];
  }
#pragma GCC unroll 1
  for (int64_t s = 0; s < panel->steps; s++, w += INT8_STEP) {
    int64_t at = panel->offsets[s];
    __m256i first = _mm256_load_si256((const __m256i *)w), second = _mm256_load_si256((const __m256i *)w + 1);
    __builtin_prefetch((const void *)((uintptr_t)w + AHEAD));
#pragma GCC unroll 6
    for (int p = 0; p < count; p++) {
      int32_t bytes;
      memcpy(&bytes, from[p] + at, sizeof bytes);
      __m256i four = _mm256_set1_epi32(bytes);
      acc[p][0] = _mm256_dpbusd_avx_epi32(acc[p][0], four, first);
      acc[p][1] = _mm256_dpbusd_avx_epi32(acc[p][1], four, second);
    }
  }
#pragma GCC unroll 6
  for (int p = 0; p < count; p++)
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++) _mm256_storeu_si256((__m256i *)(y + p * 16) + i, acc[p][i]);
}

#elif defined(__AVX2__)
#include <immintrin.h>
#include <stdlib.h>

/* VPMADDUBSW adds two products in 16 bits and saturates; sums of several of its results wrap. 255 times this
 * fits with either sign, so the positive weights that meet in a lane may add up to it, and the negative ones.
 * Which are positive is for us to choose: w * x = -w * (255 - x) + 255 * w. So the first step of a group
 * reads its bytes through a mask that complements some of them, the constants go to where the sums begin, and
 * only the weights of the other steps have the signs that they come with.
 */
enum {
  SAFE = 128,
  HALF = 32, /* weights of a step for 8 outputs */
  LANES = 16,
  CHUNK = 72, /* steps that groups are made of: neighbours, whose input is in the L1 cache together */
};

typedef struct half_step {
  int8_t w[HALF];
  uint8_t up[LANES], down[LANES]; /* sums of a lane's positive and negative weights, at most 255 */
  uint8_t size[2][LANES];         /* of a lane's first and second weight */
  uint8_t as_up[2][LANES];        /* the same, or 255: -128 cannot become positive */
  int32_t offset, most;           /* the largest sum of both sizes */
  int32_t used;
} half_step;

static inline __m128i lanes(const uint8_t *x) { return _mm_loadu_si128((const __m128i *)x); }

static void find_sums(half_step *s) {
  s->most = 0;
  for (int i = 0; i < LANES; i++) {
    int up = 0, down = 0;
    for (int j = 0; j < 2; j++) {
      int w = s->w[2 * i + j];
      up += w > 0 ? w : 0;
      down -= w < 0 ? w : 0;
      s->size[j][i] = (uint8_t)abs(w);
      s->as_up[j][i] = w == -128 ? 255 : s->size[j][i];
    }
    s->up[i] = (uint8_t)up;
    s->down[i] = (uint8_t)(down > 255 ? 255 : down);
    s->most = up + down > s->most ? up + down : s->most;
  }
}

/* Two weights of -128 in a lane fit nowhere: one of each moves to `rest`. 0: there are none. */
static int split(half_step *s, half_step *rest) {
  int found = 0;
  *rest = (half_step){.offset = s->offset};
  for (int i = 0; i < HALF; i += 2) {
    if (s->w[i] != -128 || s->w[i + 1] != -128) continue;
    rest->w[i] = -128;
    s->w[i] = 0;
    found = 1;
  }
  if (found) {
    find_sums(s);
    find_sums(rest);
  }
  return found;
}

/* Can all lanes of `first` take signs so that nothing overflows beside these sums? */
static int fits(const half_step *first, __m128i up, __m128i down) {
  __m128i a = lanes(first->as_up[0]), b = lanes(first->as_up[1]);
  __m128i c = lanes(first->size[0]), d = lanes(first->size[1]);
  __m128i least = _mm_max_epu8(_mm_adds_epu8(up, _mm_adds_epu8(a, b)), down);
  least = _mm_min_epu8(least, _mm_max_epu8(_mm_adds_epu8(up, a), _mm_adds_epu8(down, d)));
  least = _mm_min_epu8(least, _mm_max_epu8(_mm_adds_epu8(up, b), _mm_adds_epu8(down, c)));
  least = _mm_min_epu8(least, _mm_max_epu8(up, _mm_adds_epu8(down, _mm_adds_epu8(c, d))));
  __m128i above = _mm_subs_epu8(least, _mm_set1_epi8((char)SAFE));
  return _mm_testz_si128(above, above);
}

static int heavier_first(const void *a, const void *b) {
  const half_step *x = a, *y = b;
  return x->most != y->most ? (x->most < y->most ? 1 : -1)
                            : (x->offset > y->offset) - (x->offset < y->offset);
}

/* The heaviest two of [i + 1, end) that may join s[i], or the heaviest one; how many. */
static int find_partners(const half_step *s, int64_t i, int64_t end, int64_t partners[2]) {
  int found = 0;
  for (int64_t j = i + 1; j < end; j++) {
    if (s[j].used) continue;
    __m128i up = lanes(s[j].up), down = lanes(s[j].down);
    if (!fits(s + i, up, down)) continue;
    if (!found) partners[0] = j;
    found = 1;
    for (int64_t k = end - 1; k > j; k--)
      if (!s[k].used &&
          fits(s + i, _mm_adds_epu8(up, lanes(s[k].up)), _mm_adds_epu8(down, lanes(s[k].down)))) {
        partners[0] = j;
        partners[1] = k;
        return 2;
      }
  }
  return found;
}

typedef struct step_group {
  int64_t members[3]; /* places of its half steps */
  int32_t size;
} step_group;

/* Puts the half steps [begin, end) into groups. How many. */
static int64_t make_groups(half_step *s, int64_t begin, int64_t end, step_group *groups) {
  int64_t count = 0;
  qsort(s + begin, (size_t)(end - begin), sizeof *s, heavier_first);
  for (int64_t i = begin; i < end; i++) {
    if (s[i].used) continue;
    step_group *group = groups + count++;
    group->members[0] = i;
    group->size = 1 + find_partners(s, i, end, group->members + 1);
    for (int32_t j = 0; j < group->size; j++) s[group->members[j]].used = 1;
  }
  return count;
}

/* Gives a lane's first weights signs that keep both sums within SAFE. The mask is 255 where the sign changed.
 */
static void choose_signs(int8_t w[2], int up, int down, uint8_t mask[2]) {
  for (int signs = 0; signs < 4; signs++) {
    int sum[2] = {up, down}, possible = 1, value[2];
    for (int j = 0; j < 2; j++) {
      value[j] = signs >> j & 1 ? -w[j] : w[j];
      possible &= value[j] <= 127;
      sum[value[j] < 0] += abs(value[j]);
    }
    if (!possible || sum[0] > SAFE || sum[1] > SAFE) continue;
    for (int j = 0; j < 2; j++) {
      mask[j] = value[j] == w[j] ? 0 : 255;
      w[j] = (int8_t)value[j];
    }
    return;
  }
}

/* Writes a group: the mask of its first step, then the weights of all. */
static int8_t *write_group(half_step *s, const step_group *group, int8_t *w, int32_t *start) {
  half_step *first = s + group->members[0];
  uint8_t mask[HALF] = {0};
  for (int i = 0; i < LANES; i++) {
    int up = 0, down = 0;
    for (int32_t j = 1; j < group->size; j++) {
      up += s[group->members[j]].up[i];
      down += s[group->members[j]].down[i];
    }
    choose_signs(first->w + 2 * i, up, down, mask + 2 * i);
    for (int j = 2 * i; j < 2 * i + 2; j++)
      if (mask[j]) start[i / 2] -= 255 * first->w[j];
  }
  memcpy(w, mask, HALF);
  for (int32_t j = 0; j < group->size; j++) memcpy(w += HALF, s[group->members[j]].w, HALF);
  return w + HALF;
}

/* Makes the groups of a half. How many. */
static int64_t group_half(const int8_t *weights, const int32_t *at, int64_t steps, half_step *all,
                          step_group *groups) {
  int64_t count = 0, made = 0;
  for (int64_t i = 0, begin = 0; i < steps; i++) {
    half_step *s = all + count++;
    *s = (half_step){.offset = at[i]};
    memcpy(s->w, weights + i * INT8_STEP, HALF);
    find_sums(s);
    count += split(s, all + count);
    if ((i + 1) % CHUNK && i + 1 < steps) continue;
    made += make_groups(all, begin, count, groups + made);
    begin = count;
  }
  return made;
}

/* Writes the groups of both halves, the large ones first. */
static void write_groups(int8_panel *panel, half_step *const all[2], step_group *const groups[2],
                         const int64_t count[2]) {
  int8_t *w = panel->w;
  int32_t *offsets = panel->offsets;
  for (int half = 0; half < 2; half++)
    for (int32_t size = 3; size > 0; size--)
      for (int64_t i = 0; i < count[half]; i++) {
        const step_group *group = groups[half] + i;
        if (group->size != size) continue;
        panel->groups[half][3 - size]++;
        w = write_group(all[half], group, w, panel->start + half * 8);
        for (int32_t j = 0; j < size; j++) *offsets++ = all[half][group->members[j]].offset;
      }
}

iec_status int8_pack(const iec_host_api *host, const int8_t *weights, const int32_t *at, int64_t steps,
                     int8_panel *out) {
  size_t most = (size_t)(2 * steps + 1); /* half steps, when all are split */
  half_step *all = host->alloc(host->self, 2 * most * sizeof *all, 64);
  step_group *groups = host->alloc(host->self, 2 * most * sizeof *groups, 64);
  half_step *const halves[2] = {all, all + most};
  step_group *const made[2] = {groups, groups + most};
  iec_status status = IEC_OUT_OF_MEMORY;
  if (all && groups) {
    int64_t count[2], used = 0, masks = 0;
    for (int half = 0; half < 2; half++) {
      count[half] = group_half(weights + half * HALF, at, steps, halves[half], made[half]);
      masks += count[half];
      for (int64_t i = 0; i < count[half]; i++) used += made[half][i].size;
    }
    if (make_panel(out, host, steps, (masks + used) * HALF, used)) {
      write_groups(out, halves, made, count);
      status = IEC_OK;
    }
  }
  host->release(host->self, all);
  host->release(host->self, groups);
  return status;
}

static inline __m256i four(const uint8_t *x) {
  int32_t bytes;
  memcpy(&bytes, x, sizeof bytes);
  return _mm256_set1_epi32(bytes);
}

static inline __m256i row(const int8_t *w, int number) {
  return _mm256_load_si256((const __m256i *)w + number);
}

#define MOST_PIXELS 8

/* `groups` groups of `size` steps. Inlined with constant size and count only. */
static inline __attribute__((always_inline)) void add_groups(const int size, const int count, int64_t groups,
                                                             const int8_t **weights, const int32_t **offsets,
                                                             const uint8_t *const from[MOST_PIXELS],
                                                             __m256i acc[MOST_PIXELS]) {
  const __m256i ones = _mm256_set1_epi16(1);
  const int8_t *w = *weights;
  const int32_t *at = *offsets;
#pragma GCC unroll 1
  for (; groups > 0; groups--, w += (size + 1) * HALF, at += size) {
    int64_t first = at[0], second = size > 1 ? at[1] : 0, third = size > 2 ? at[2] : 0;
#pragma GCC unroll 8
    for (int p = 0; p < count; p++) {
      __m256i sum = _mm256_maddubs_epi16(_mm256_xor_si256(four(from[p] + first), row(w, 0)), row(w, 1));
      if (size > 1) sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(four(from[p] + second), row(w, 2)));
      if (size > 2) sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(four(from[p] + third), row(w, 3)));
      acc[p] = _mm256_add_epi32(acc[p], _mm256_madd_epi16(sum, ones));
    }
  }
  *weights = w;
  *offsets = at;
}

/* Inlined with a constant count only. */
static inline __attribute__((always_inline)) void tile(const int8_panel *panel, const uint8_t *x,
                                                       const int32_t *pixels, int32_t *y, const int count) {
  const uint8_t *from[MOST_PIXELS];
  const int8_t *w = panel->w;
  const int32_t *offsets = panel->offsets;
#pragma GCC unroll 8
  for (int p = 0; p < count; p++) from[p] = x + pixels[p];
#pragma GCC unroll 1
  for (int half = 0; half < 2; half++) {
    __m256i acc[MOST_PIXELS], start = _mm256_loadu_si256((const __m256i *)(panel->start + half * 8));
#pragma GCC unroll 8
    for (int p = 0; p < count; p++) acc[p] = start;
    add_groups(3, count, panel->groups[half][0], &w, &offsets, from, acc);
    add_groups(2, count, panel->groups[half][1], &w, &offsets, from, acc);
    add_groups(1, count, panel->groups[half][2], &w, &offsets, from, acc);
#pragma GCC unroll 8
    for (int p = 0; p < count; p++) _mm256_storeu_si256((__m256i *)(y + p * 16 + half * 8), acc[p]);
  }
}

#endif

#if defined(__ARM_FEATURE_DOTPROD)
#include <arm_neon.h>

#define MOST_PIXELS 6

/* The instruction multiplies signed bytes: inputs less 128 (their highest bit turned), and 128 times the
 * weights to begin with. */
iec_status int8_pack(const iec_host_api *host, const int8_t *weights, const int32_t *at, int64_t steps,
                     int8_panel *out) {
  if (!make_panel(out, host, steps, steps * INT8_STEP, steps)) return IEC_OUT_OF_MEMORY;
  memcpy(out->w, weights, (size_t)steps * INT8_STEP);
  memcpy(out->offsets, at, (size_t)steps * sizeof *at);
  for (int64_t i = 0; i < steps * INT8_STEP; i++) out->start[i % INT8_STEP / 4] += 128 * weights[i];
  return IEC_OK;
}

/* Inlined with a constant count only. */
static inline __attribute__((always_inline)) void tile(const int8_panel *panel, const uint8_t *x,
                                                       const int32_t *pixels, int32_t *y, const int count) {
  int32x4_t acc[MOST_PIXELS][4];
  const uint8_t *from[MOST_PIXELS];
  const int8_t *w = panel->w;
#pragma GCC unroll 6
  for (int p = 0; p < count; p++) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) acc[p][i] = vld1q_s32(panel->start + 4 * i);
    from[p] = x + pixels[p];
  }
#pragma GCC unroll 1
  for (int64_t s = 0; s < panel->steps; s++, w += INT8_STEP) {
    int64_t at = panel->offsets[s];
    int8x16_t row[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) row[i] = vld1q_s8(w + 16 * i);
#pragma GCC unroll 6
    for (int p = 0; p < count; p++) {
      uint32_t bytes;
      memcpy(&bytes, from[p] + at, sizeof bytes);
      int8x16_t four = vreinterpretq_s8_u32(veorq_u32(vdupq_n_u32(bytes), vdupq_n_u32(0x80808080u)));
#pragma GCC unroll 4
      for (int i = 0; i < 4; i++) acc[p][i] = vdotq_s32(acc[p][i], row[i], four);
    }
  }
#pragma GCC unroll 6
  for (int p = 0; p < count; p++)
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) vst1q_s32(y + p * 16 + 4 * i, acc[p][i]);
}

#elif !defined(__AVX2__) || defined(__AVX512VNNI__) || defined(__AVXVNNI__)

iec_status int8_pack(const iec_host_api *host, const int8_t *weights, const int32_t *at, int64_t steps,
                     int8_panel *out) {
  if (!make_panel(out, host, steps, steps * INT8_STEP, steps)) return IEC_OUT_OF_MEMORY;
  memcpy(out->w, weights, (size_t)steps * INT8_STEP);
  memcpy(out->offsets, at, (size_t)steps * sizeof *at);
  return IEC_OK;
}

#endif

#if defined(MOST_PIXELS)

/* One function a tile, never inlined: several tiles in one function make gcc spill. */
#define TILE(P)                                                                             \
  static __attribute__((noinline)) void tile_##P(const int8_panel *panel, const uint8_t *x, \
                                                 const int32_t *pixels, int32_t *y) {       \
    tile(panel, x, pixels, y, P);                                                           \
  }
#if !defined(__AVX512VNNI__)
TILE(1)
#endif
TILE(2)
TILE(3)
TILE(4)
TILE(5)
TILE(6)
#if MOST_PIXELS > 6
TILE(7)
TILE(8)
#endif
#if MOST_PIXELS > 8
TILE(9)
TILE(10)
TILE(11)
TILE(12)
#endif

void int8_sums(const int8_panel *panel, const uint8_t *x, const int32_t *pixels, int64_t count, int32_t *y) {
  static void (*const tiles[])(const int8_panel *, const uint8_t *, const int32_t *, int32_t *) = {
      NULL,   tile_1,  tile_2,  tile_3,  tile_4, tile_5, tile_6,
#if MOST_PIXELS > 6
      tile_7, tile_8,
#endif
#if MOST_PIXELS > 8
      tile_9, tile_10, tile_11, tile_12,
#endif
  };
  for (int64_t pieces = op_div_up(count, MOST_PIXELS), i = 0; i < pieces; i++) {
    int64_t begin = count * i / pieces, p = count * (i + 1) / pieces - begin;
    tiles[p](panel, x, pixels + begin, y + begin * 16);
  }
}

#else

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
