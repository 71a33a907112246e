/* SPDX-License-Identifier: Apache-2.0 */
/* The transforms of Winograd's F(m x m, r x r) on vectors of channels: m outputs of a line from its n = m + r
 * - 1 inputs, by n products.
 *
 * Cook-Toom with the points 0, +-1, +-1/2, +-2 and infinity for n = 8, 0, +-sqrt(1/2), +-sqrt(2) and infinity
 * for n = 6, which halve the rounding error of the usual 0, +-1, +-2, and 0, +-1 and infinity for n = 4. A
 * tile is At ((G g Gt) . (Bt d B)) A of its inputs d and the kernel g; B depends on n only. There are F(4,
 * 3), F(2, 3), F(4, 5) and F(2, 5). */
#ifndef IEC_CPU_WINOGRAD_H
#define IEC_CPU_WINOGRAD_H
#include "cpu/kernels/common.h"
#include "cpu/kernels/vec.h"

#define WINOGRAD_POINTS 8 /* of a line at most */
#define ROOT_HALF 0.70710678118654752440f
#define ROOT_TWO 1.41421356237309504880f

/* Bt d for one line. */
static inline __attribute__((always_inline)) void winograd_line_in(const int n, const vf *d, vf *r) {
  if (n == 4) {
    r[0] = d[0] - d[2];
    r[1] = d[1] + d[2];
    r[2] = d[2] - d[1];
    r[3] = d[1] - d[3];
    return;
  }
  if (n == 8) {
    /* For each pair of points x(x + p)(x^2 - q)(x^2 - s), q and s being the squares of the others. */
    vf even1 = d[6] - 4.25f * d[4] + d[2], odd1 = d[5] - 4.25f * d[3] + d[1];
    vf even2 = d[6] - 5.0f * d[4] + 4.0f * d[2], odd2 = d[5] - 5.0f * d[3] + 4.0f * d[1];
    vf even3 = d[6] - 1.25f * d[4] + 0.25f * d[2], odd3 = d[5] - 1.25f * d[3] + 0.25f * d[1];
    r[0] = d[0] - d[6] + 5.25f * (d[4] - d[2]);
    r[1] = even1 + odd1;
    r[2] = even1 - odd1;
    r[3] = even2 + 0.5f * odd2;
    r[4] = even2 - 0.5f * odd2;
    r[5] = even3 + 2.0f * odd3;
    r[6] = even3 - 2.0f * odd3;
    r[7] = d[7] - d[1] + 5.25f * (d[3] - d[5]);
    return;
  }
  vf u = d[4] - 2.0f * d[2], v = ROOT_HALF * (d[3] - 2.0f * d[1]);
  vf p = d[4] - 0.5f * d[2], t = ROOT_TWO * (d[3] - 0.5f * d[1]);
  r[0] = d[0] - 2.5f * d[2] + d[4];
  r[1] = u + v;
  r[2] = u - v;
  r[3] = p + t;
  r[4] = p - t;
  r[5] = d[1] - 2.5f * d[3] + d[5];
}

/* At y for one line. */
static inline __attribute__((always_inline)) void winograd_line_out(const int m, const int n, const vf *d,
                                                                    vf *y) {
  if (n == 4) {
    y[0] = d[0] + d[1] + d[2];
    y[1] = d[1] - d[2] - d[3];
    return;
  }
  if (n == 8) {
    vf s1 = d[1] + d[2], d1 = d[1] - d[2], s2 = d[3] + d[4], d2 = d[3] - d[4], s3 = d[5] + d[6],
       d3 = d[5] - d[6];
    y[0] = d[0] + s1 + s2 + s3;
    y[1] = d1 + 0.5f * d2 + 2.0f * d3;
    y[2] = s1 + 0.25f * s2 + 4.0f * s3;
    y[3] = d1 + 0.125f * d2 + 8.0f * d3 + d[7];
    return;
  }
  vf s1 = d[1] + d[2], d1 = ROOT_HALF * (d[1] - d[2]), s2 = d[3] + d[4], d2 = ROOT_TWO * (d[3] - d[4]);
  y[0] = d[0] + s1 + s2;
  y[1] = d1 + d2;
  if (m == 2) {
    y[1] += d[5];
    return;
  }
  y[2] = 0.5f * s1 + 2.0f * s2;
  y[3] = 0.5f * d1 + 2.0f * d2 + d[5];
}

/* Kernels are transformed in double precision: it costs nothing at run time. Half a vector of floats fills
 * one. */
typedef double winograd_wide __attribute__((vector_size(4 * VL)));
typedef float winograd_half __attribute__((vector_size(2 * VL)));

/* G g for one line of r taps. */
static inline __attribute__((always_inline)) void winograd_line_kernel(const int m, const int r,
                                                                       const winograd_wide *g,
                                                                       winograd_wide *u) {
  /* Of each pair of points the square, the point and 1 over the product of its distances from all others. */
  static const double pairs4[][3] = {{1, 1, 0.5}};
  static const double pairs6[][3] = {{0.5, 0.70710678118654752440, -1 / 1.5},
                                     {2, 1.41421356237309504880, 1.0 / 6}};
  static const double pairs8[][3] = {{1, 1, -1 / 4.5}, {0.25, 0.5, 1 / 1.40625}, {4, 2, 1.0 / 90}};
  const int n = m + r - 1;
  const double (*pairs)[3] = n == 4 ? pairs4 : n == 6 ? pairs6 : pairs8;
  u[0] = g[0];
  u[n - 1] = g[r - 1];
#pragma GCC unroll 3
  for (int i = 0; i < n / 2 - 1; i++) {
    double square = pairs[i][0];
    winograd_wide even = g[0] + g[2] * square, odd = g[1];
    if (r == 5) even += g[4] * (square * square), odd += g[3] * square;
    even *= pairs[i][2];
    odd *= pairs[i][1] * pairs[i][2];
    u[1 + 2 * i] = even + odd;
    u[2 + 2 * i] = even - odd;
  }
}

static inline __attribute__((always_inline)) void winograd_kernels_of(const int m, const int r,
                                                                      const float *g, int64_t tap, float *to,
                                                                      int64_t step) {
  const int n = m + r - 1;
  winograd_wide half[5][WINOGRAD_POINTS], in[5], u[WINOGRAD_POINTS];
  for (int part = 0; part < 16; part += VL / 2) {
#pragma GCC unroll 5
    for (int j = 0; j < r; j++) {
#pragma GCC unroll 5
      for (int i = 0; i < r; i++) {
        winograd_half x;
        memcpy(&x, g + (i * r + j) * tap + part, sizeof x);
        in[i] = __builtin_convertvector(x, winograd_wide);
      }
      winograd_line_kernel(m, r, in, half[j]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < n; i++) {
#pragma GCC unroll 5
      for (int j = 0; j < r; j++) in[j] = half[j][i];
      winograd_line_kernel(m, r, in, u);
#pragma GCC unroll 8
      for (int j = 0; j < n; j++) {
        winograd_half x = __builtin_convertvector(u[j], winograd_half);
        memcpy(to + (i * n + j) * step + part, &x, sizeof x);
      }
    }
  }
}

/* G g Gt of 16 kernels side by side: taps `tap` floats apart become n^2 points `step` floats apart. */
static inline void winograd_kernels(int m, int r, const float *g, int64_t tap, float *to, int64_t step) {
  if (m == 4 && r == 3)
    winograd_kernels_of(4, 3, g, tap, to, step);
  else if (m == 4)
    winograd_kernels_of(4, 5, g, tap, to, step);
  else if (r == 3)
    winograd_kernels_of(2, 3, g, tap, to, step);
  else
    winograd_kernels_of(2, 5, g, tap, to, step);
}

/* G g for one line of F(2, 3), in single precision. */
static inline __attribute__((always_inline)) void winograd_line_kernel_2_3(const vf *g, vf *u) {
  vf even = 0.5f * (g[0] + g[2]), odd = 0.5f * g[1];
  u[0] = g[0];
  u[1] = even + odd;
  u[2] = even - odd;
  u[3] = g[2];
}

/* G g Gt of F(2, 3) for `count` kernels, a multiple of 16, side by side: taps and points lie `count` floats
 * apart. */
static inline void winograd_kernels_2_3(const float *g, int64_t count, float *to, int64_t step) {
  for (int64_t k = 0; k < count; k += VL) {
    vf half[3][4];
#pragma GCC unroll 3
    for (int j = 0; j < 3; j++) {
      vf in[3];
#pragma GCC unroll 3
      for (int i = 0; i < 3; i++) in[i] = vf_load(g + (i * 3 + j) * count + k);
      winograd_line_kernel_2_3(in, half[j]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
      vf in[3], u[4];
#pragma GCC unroll 3
      for (int j = 0; j < 3; j++) in[j] = half[j][i];
      winograd_line_kernel_2_3(in, u);
#pragma GCC unroll 4
      for (int j = 0; j < 4; j++) vf_store(to + (i * 4 + j) * step + k, u[j]);
    }
  }
}

#define WINOGRAD_STRIP 8 /* tiles of a row that are transformed together: they share columns, in L1 */

/* Lines `one` and `other` of Bt d for column `column`; what the other lines need is neither loaded nor
 * computed. */
static inline __attribute__((always_inline)) void winograd_column_in(const int n, const int one,
                                                                     const int other,
                                                                     const float *const *rows, int64_t column,
                                                                     int inside, vf *a, vf *b) {
  vf d[WINOGRAD_POINTS], r[WINOGRAD_POINTS];
#pragma GCC unroll 8
  for (int i = 0; i < n; i++) d[i] = inside ? vf_load(rows[i] + column * 16) : (vf){0};
  winograd_line_in(n, d, r);
  *a = r[one];
  *b = r[other];
}

/* Lines `one` and `other`, which may be the same, of Bt d B: columns stay in registers while tiles share
 * them. */
static inline __attribute__((always_inline)) void winograd_lines_in(const int m, const int n, const int one,
                                                                    const int other, const float *const *rows,
                                                                    int64_t width, int64_t left,
                                                                    int64_t count, float *to, int64_t step) {
  const int shared = n - m;
  vf a[WINOGRAD_POINTS], b[WINOGRAD_POINTS], r[WINOGRAD_POINTS];
#pragma GCC unroll 8
  for (int j = 0; j < shared; j++)
    winograd_column_in(n, one, other, rows, left + j, left + j >= 0 && left + j < width, a + j, b + j);
#pragma GCC unroll 1
  for (int64_t t = 0; t < count; t++, left += m, to += 16) {
    if (left + shared >= 0 && left + n <= width) {
#pragma GCC unroll 8
      for (int j = shared; j < n; j++) winograd_column_in(n, one, other, rows, left + j, 1, a + j, b + j);
    } else {
#pragma GCC unroll 8
      for (int j = shared; j < n; j++)
        winograd_column_in(n, one, other, rows, left + j, left + j >= 0 && left + j < width, a + j, b + j);
    }
    winograd_line_in(n, a, r);
#pragma GCC unroll 8
    for (int j = 0; j < n; j++) vf_store(to + (one * n + j) * step, r[j]);
    if (other != one) {
      winograd_line_in(n, b, r);
#pragma GCC unroll 8
      for (int j = 0; j < n; j++) vf_store(to + (other * n + j) * step, r[j]);
    }
#pragma GCC unroll 8
    for (int j = 0; j < shared; j++) {
      a[j] = a[j + m];
      b[j] = b[j + m];
    }
  }
}

/* Bt d B of `count` tiles that lie side by side in one block. rows: the n input rows; column 0 of the
 * first tile is column `left` of them, and columns outside [0, width) are zero. to: n^2 places `step`
 * floats apart, tiles one behind the other. Lines come in pairs that share sums. */
static inline __attribute__((always_inline)) void winograd_strip_in(const int m, const int n,
                                                                    const float *const *rows, int64_t width,
                                                                    int64_t left, int64_t count, float *to,
                                                                    int64_t step) {
  for (int part = 0; part < 16; part += VL) {
    const float *from[WINOGRAD_POINTS];
    for (int i = 0; i < n; i++) from[i] = rows[i] + part;
    winograd_lines_in(m, n, 0, 0, from, width, left, count, to + part, step);
    winograd_lines_in(m, n, 1, 2, from, width, left, count, to + part, step);
    if (n > 4) winograd_lines_in(m, n, 3, 4, from, width, left, count, to + part, step);
    if (n > 6) winograd_lines_in(m, n, 5, 6, from, width, left, count, to + part, step);
    winograd_lines_in(m, n, n - 1, n - 1, from, width, left, count, to + part, step);
  }
}

/* At d A plus bias within limits into m x m pixels at y, `pitch` floats a row. addend: laid out like y, NULL:
 * none. */
static inline __attribute__((always_inline)) void winograd_tile_out(const int m, const int n,
                                                                    const float *from, int64_t step,
                                                                    const float *bias, const float *addend,
                                                                    const float *limits, float *y,
                                                                    int64_t pitch) {
  vf low = vf_set(limits[0]), high = vf_set(limits[1]);
  for (int part = 0; part < 16; part += VL) {
    vf half[4][WINOGRAD_POINTS], d[WINOGRAD_POINTS], r[4], b = vf_load(bias + part);
#pragma GCC unroll 8
    for (int j = 0; j < n; j++) {
#pragma GCC unroll 8
      for (int i = 0; i < n; i++) d[i] = vf_load(from + (i * n + j) * step + part);
      winograd_line_out(m, n, d, r);
#pragma GCC unroll 4
      for (int i = 0; i < m; i++) half[i][j] = r[i];
    }
#pragma GCC unroll 4
    for (int i = 0; i < m; i++) {
      winograd_line_out(m, n, half[i], r);
#pragma GCC unroll 4
      for (int j = 0; j < m; j++) {
        vf sum = r[j] + b;
        if (addend) sum += vf_load(addend + i * pitch + j * 16 + part);
        vf_store(y + i * pitch + j * 16 + part, vf_at_most(vf_at_least(sum, low), high));
      }
    }
  }
}
#endif
