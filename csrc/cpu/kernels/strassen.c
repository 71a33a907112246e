/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of quarters for Strassen's method. */
#include "cpu/kernels/strassen.h"

/* A factor from B: quarter `first` plus `sign` times quarter `second`. Quarters: 11, 12, 21, 22. */
static const struct {
  int8_t first, second, sign;
} factors[STRASSEN_PRODUCTS] = {{0, 3, 1}, {0, 0, 0}, {1, 3, -1}, {2, 0, -1},
                                {3, 0, 0}, {0, 1, 1}, {2, 3, 1}};

/* [inner][columns] of one factor; `second` is NULL where it is a quarter alone. Inlined with one step 1. */
static inline __attribute__((always_inline)) void pack_factor(const float *first, const float *second,
                                                              float sign, int64_t k_step, int64_t n_step,
                                                              int64_t inner, int64_t columns, float *to) {
  _Alignas(64) float square[16][16];
  for (int64_t k = 0; k < inner; k += 16)
    for (int64_t n = 0; n < columns; n += 16) {
      int64_t at = k * k_step + n * n_step;
      for (int i = 0; i < 16; i++)
        for (int j = 0; j < 16; j++) { /* the inner loop goes along the step of 1 */
          int64_t from = at + (k_step == 1 ? i * n_step + j : i * k_step + j * n_step);
          square[i][j] = second ? first[from] + sign * second[from] : first[from];
        }
      for (int i = 0; i < 16; i++)
        for (int j = 0; j < 16; j++)
          to[(k + i) * columns + n + j] = k_step == 1 ? square[j][i] : square[i][j];
    }
}

void strassen_pack(const strassen_shape *s, const float *b, int64_t k_step, int64_t n_step, float *to) {
  for (int64_t j = 0; j < s->groups; j++) {
    int64_t begin = gemm_group_start(s->blocks, j) * 16, end = gemm_group_start(s->blocks, j + 1) * 16;
    for (int p = 0; p < STRASSEN_PRODUCTS; p++, to += s->inner * (end - begin)) {
      const float *from = b + begin * n_step, *quarters[4];
      for (int i = 0; i < 4; i++)
        quarters[i] = from + i / 2 * s->inner * k_step + i % 2 * s->blocks * 16 * n_step;
      const float *first = quarters[factors[p].first],
                  *second = factors[p].sign ? quarters[factors[p].second] : NULL;
      if (k_step == 1)
        pack_factor(first, second, factors[p].sign, 1, n_step, s->inner, end - begin, to);
      else
        pack_factor(first, second, factors[p].sign, k_step, 1, s->inner, end - begin, to);
    }
  }
}

void strassen_sums(const float *const q[4], int64_t step, int64_t lines, int64_t length, float *to) {
  int64_t size = lines * length;
  for (int64_t line = 0; line < lines; line++, to += length)
    for (int64_t i = 0; i < length; i += VL) {
      vf a11 = vf_load(q[0] + line * step + i), a12 = vf_load(q[1] + line * step + i),
         a21 = vf_load(q[2] + line * step + i), a22 = vf_load(q[3] + line * step + i);
      vf_store(to + i, a11 + a22);
      vf_store(to + size + i, a21 + a22);
      vf_store(to + 2 * size + i, a11 + a12);
      vf_store(to + 3 * size + i, a21 - a11);
      vf_store(to + 4 * size + i, a12 - a22);
    }
}

static inline __attribute__((always_inline)) void put(float *y, const float *addend, int64_t at, vf x, vf low,
                                                      vf high) {
  if (addend) x += vf_load(addend + at);
  vf_store(y + at, vf_at_most(vf_at_least(x, low), high));
}

void strassen_join(const float *products, int64_t lines, int64_t length, float *const y[4],
                   const float *const addend[4], int64_t step, const float *limits) {
  int64_t size = lines * length;
  vf low = vf_set(limits ? limits[0] : -INFINITY), high = vf_set(limits ? limits[1] : INFINITY);
  for (int64_t line = 0; line < lines; line++)
    for (int64_t i = 0; i < length; i += VL) {
      const float *from = products + line * length + i;
      int64_t at = line * step + i;
      vf p0 = vf_load(from), p1 = vf_load(from + size), p2 = vf_load(from + 2 * size),
         p3 = vf_load(from + 3 * size), p4 = vf_load(from + 4 * size);
      put(y[0], addend[0], at, p0 + p3 - p4 + vf_load(from + 6 * size), low, high);
      put(y[1], addend[1], at, p2 + p4, low, high);
      put(y[2], addend[2], at, p1 + p3, low, high);
      put(y[3], addend[3], at, p0 - p1 + p2 + vf_load(from + 5 * size), low, high);
    }
}
