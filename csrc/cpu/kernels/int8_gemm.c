/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of products of bytes. Arrays of vectors only under full unrolling: gcc keeps them in registers then.
 */
#include "cpu/kernels/int8_gemm.h"

#if defined(__AVX512VNNI__)
#include <immintrin.h>

#define MOST_PIXELS 12

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

#elif defined(__AVX2__)
#include <immintrin.h>
#include <stdlib.h>

/* VPMADDUBSW adds two products in 16 bits and saturates; sums of several of its results wrap. 255 times this
 * fits with either sign, so the positive weights that meet in a lane may add up to it, and the negative ones.
 */
enum {
  SAFE = 128,
  HALF = 32, /* weights of a step for 8 outputs */
  LANES = 16,
  CHUNK = 72, /* steps that groups are made of: neighbours, whose input is in the L1 cache together */
};

typedef struct half_step {
  int8_t w[HALF];
  uint8_t up[LANES], down[LANES]; /* sums of a lane's positive and negative weights */
  int32_t offset, most;           /* the largest of up and down */
  int32_t used;
} half_step;

static void find_sums(half_step *s) {
  s->most = 0;
  for (int i = 0; i < LANES; i++) {
    int a = s->w[2 * i], b = s->w[2 * i + 1];
    int up = (a > 0 ? a : 0) + (b > 0 ? b : 0), down = -(a < 0 ? a : 0) - (b < 0 ? b : 0);
    s->up[i] = (uint8_t)up;
    s->down[i] = (uint8_t)(down > 255 ? 255 : down);
    s->most = up > s->most ? up : s->most;
    s->most = down > s->most ? down : s->most;
  }
}

/* Moves what is too much for a lane to `rest`, which has none of it yet. */
static void split(half_step *s, half_step *rest) {
  *rest = (half_step){.offset = s->offset};
  for (int i = 0; i < LANES; i++) {
    int8_t *pair = s->w + 2 * i;
    int larger = abs(pair[1]) > abs(pair[0]), sum = pair[0] + pair[1];
    if ((pair[0] ^ pair[1]) < 0 || abs(sum) <= SAFE) continue;
    int8_t moved = (int8_t)(sum > 0 ? sum - SAFE : sum + SAFE);
    rest->w[2 * i + larger] = moved;
    pair[larger] = (int8_t)(pair[larger] - moved);
  }
  find_sums(s);
  find_sums(rest);
}

static int fits(const half_step *group, const half_step *s) {
  int bad = 0;
  for (int i = 0; i < LANES; i++)
    bad |= (group->up[i] + s->up[i] > SAFE) | (group->down[i] + s->down[i] > SAFE);
  return !bad;
}

static void join(half_step *group, half_step *s) {
  for (int i = 0; i < LANES; i++) {
    group->up[i] = (uint8_t)(group->up[i] + s->up[i]);
    group->down[i] = (uint8_t)(group->down[i] + s->down[i]);
  }
  s->used = 1;
}

static int heavier_first(const void *a, const void *b) {
  const half_step *x = a, *y = b;
  return x->most != y->most ? (x->most < y->most ? 1 : -1)
                            : (x->offset > y->offset) - (x->offset < y->offset);
}

/* A step that may join the group, -1: none. Second members are sought among the heavy, third
 * ones among the light. */
static int64_t find_partner(const half_step *s, int64_t first, int64_t count, const half_step *group,
                            int heavy) {
  for (int64_t i = heavy ? first : count - 1; i >= first && i < count; i += heavy ? 1 : -1)
    if (!s[i].used && fits(group, s + i)) return i;
  return -1;
}

/* Puts the half steps [begin, end) into groups: members[i] are the places of the i-th. How many. */
static int64_t make_groups(half_step *s, int64_t begin, int64_t end, int64_t (*members)[3]) {
  int64_t groups = 0;
  qsort(s + begin, (size_t)(end - begin), sizeof *s, heavier_first);
  for (int64_t i = begin; i < end; i++) {
    if (s[i].used) continue;
    half_step group = s[i];
    int64_t *m = members[groups++];
    s[i].used = 1;
    m[0] = i;
    m[1] = find_partner(s, i + 1, end, &group, 1);
    m[2] = -1;
    if (m[1] < 0) continue;
    join(&group, s + m[1]);
    m[2] = find_partner(s, i + 1, end, &group, 0);
    if (m[2] >= 0) s[m[2]].used = 1;
  }
  return groups;
}

int64_t int8_panel_bytes(int64_t steps) { return 2 * steps * INT8_STEP; }
int64_t int8_panel_offsets(int64_t steps) { return 4 * steps; }

iec_status int8_pack(const iec_host_api *host, const int8_t *weights, const int32_t *at, int64_t steps,
                     int8_t *w, int32_t *offsets, int8_panel *out) {
  half_step *all = host->alloc(host->self, (size_t)(2 * steps + 1) * sizeof *all, 64);
  int64_t (*members)[3] = host->alloc(host->self, (size_t)(2 * steps + 1) * sizeof *members, 64);
  iec_status status = all && members ? IEC_OK : IEC_OUT_OF_MEMORY;
  *out = (int8_panel){.w = w, .offsets = offsets, .steps = steps};
  for (int half = 0; !status && half < 2; half++) {
    int64_t count = 0, groups = 0;
    for (int64_t i = 0, begin = 0; i < steps; i++) {
      half_step *s = all + count++;
      *s = (half_step){.offset = at[i]};
      memcpy(s->w, weights + i * INT8_STEP + half * HALF, HALF);
      find_sums(s);
      if (s->most > SAFE) split(s, all + count++);
      if ((i + 1) % CHUNK && i + 1 < steps) continue;
      groups += make_groups(all, begin, count, members + groups);
      begin = count;
    }
    for (int size = 3; size > 0; size--)
      for (int64_t i = 0; i < groups; i++) {
        int members_here = 1 + (members[i][1] >= 0) + (members[i][2] >= 0);
        if (members_here != size) continue;
        out->groups[half][3 - size]++;
        for (int j = 0; j < size; j++, w += HALF) {
          memcpy(w, all[members[i][j]].w, HALF);
          *offsets++ = all[members[i][j]].offset;
        }
      }
  }
  host->release(host->self, all);
  host->release(host->self, members);
  return status;
}

static inline __m256i four(const uint8_t *x) {
  int32_t bytes;
  memcpy(&bytes, x, sizeof bytes);
  return _mm256_set1_epi32(bytes);
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
  for (; groups > 0; groups--, w += size * HALF, at += size) {
    int64_t first = at[0], second = size > 1 ? at[1] : 0, third = size > 2 ? at[2] : 0;
#pragma GCC unroll 8
    for (int p = 0; p < count; p++) {
      __m256i sum = _mm256_maddubs_epi16(four(from[p] + first), _mm256_load_si256((const __m256i *)w));
      if (size > 1)
        sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(four(from[p] + second),
                                                         _mm256_load_si256((const __m256i *)(w + HALF))));
      if (size > 2)
        sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(four(from[p] + third),
                                                         _mm256_load_si256((const __m256i *)(w + 2 * HALF))));
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
    __m256i acc[MOST_PIXELS];
#pragma GCC unroll 8
    for (int p = 0; p < count; p++) acc[p] = _mm256_setzero_si256();
    add_groups(3, count, panel->groups[half][0], &w, &offsets, from, acc);
    add_groups(2, count, panel->groups[half][1], &w, &offsets, from, acc);
    add_groups(1, count, panel->groups[half][2], &w, &offsets, from, acc);
#pragma GCC unroll 8
    for (int p = 0; p < count; p++) _mm256_storeu_si256((__m256i *)(y + p * 16 + half * 8), acc[p]);
  }
}

#endif

#if !defined(__AVX2__) || defined(__AVX512VNNI__)

int64_t int8_panel_bytes(int64_t steps) { return steps * INT8_STEP; }
int64_t int8_panel_offsets(int64_t steps) { return steps; }

iec_status int8_pack(const iec_host_api *host, const int8_t *weights, const int32_t *at, int64_t steps,
                     int8_t *w, int32_t *offsets, int8_panel *out) {
  (void)host;
  memcpy(w, weights, (size_t)steps * INT8_STEP);
  memcpy(offsets, at, (size_t)steps * sizeof *at);
  *out = (int8_panel){.w = w, .offsets = offsets, .steps = steps};
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
TILE(1)
TILE(2)
TILE(3)
TILE(4)
TILE(5)
TILE(6)
TILE(7)
TILE(8)
#if MOST_PIXELS > 8
TILE(9)
TILE(10)
TILE(11)
TILE(12)
#endif

void int8_sums(const int8_panel *panel, const uint8_t *x, const int32_t *pixels, int64_t count, int32_t *y) {
  static void (*const tiles[])(const int8_panel *, const uint8_t *, const int32_t *, int32_t *) = {
      NULL,   tile_1,  tile_2,  tile_3,  tile_4, tile_5, tile_6, tile_7, tile_8,
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
