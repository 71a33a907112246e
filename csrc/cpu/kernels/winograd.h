/* SPDX-License-Identifier: Apache-2.0 */
/* The transforms of Winograd's F(m x m, 3x3) on vectors of channels: m = 4 or 2 outputs of a line from m + 2
 * inputs.
 *
 * Cook-Toom with the points 0, +-sqrt(1/2), +-sqrt(2) and infinity for m = 4, which halve the rounding error
 * of the usual 0, +-1, +-2, and 0, +-1 and infinity for m = 2. A tile is At ((G g Gt) . (Bt d B)) A of its
 * inputs d and the kernel g. */
#ifndef IEC_CPU_WINOGRAD_H
#define IEC_CPU_WINOGRAD_H
#include "cpu/kernels/common.h"
#include "cpu/kernels/vec.h"

#define WINOGRAD_POINTS 6 /* of a line at most */
#define ROOT_HALF 0.70710678118654752440f
#define ROOT_TWO 1.41421356237309504880f

/* Bt d for one line. */
static inline __attribute__((always_inline)) void winograd_line_in(const int m, const vf *d, vf *r) {
  if (m == 2) {
    r[0] = d[0] - d[2];
    r[1] = d[1] + d[2];
    r[2] = d[2] - d[1];
    r[3] = d[1] - d[3];
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
static inline __attribute__((always_inline)) void winograd_line_out(const int m, const vf *d, vf *y) {
  if (m == 2) {
    y[0] = d[0] + d[1] + d[2];
    y[1] = d[1] - d[2] - d[3];
    return;
  }
  vf s1 = d[1] + d[2], d1 = ROOT_HALF * (d[1] - d[2]), s2 = d[3] + d[4], d2 = ROOT_TWO * (d[3] - d[4]);
  y[0] = d[0] + s1 + s2;
  y[1] = d1 + d2;
  y[2] = 0.5f * s1 + 2.0f * s2;
  y[3] = 0.5f * d1 + 2.0f * d2 + d[5];
}

/* Kernels are transformed in double precision: it costs nothing at run time. Half a vector of floats fills one. */
typedef double winograd_wide __attribute__((vector_size(4 * VL)));
typedef float winograd_half __attribute__((vector_size(2 * VL)));

/* G g for one line. */
static inline __attribute__((always_inline)) void winograd_line_kernel(const int m, const winograd_wide *g,
                                                                       winograd_wide *r) {
  r[0] = g[0];
  r[m + 1] = g[2];
  winograd_wide even = (g[0] + g[2]) * 0.5, odd = g[1] * 0.5;
  if (m == 4) {
    even = (g[0] + g[2] * 0.5) * (-1.0 / 1.5);
    odd = g[1] * (-0.70710678118654752440 / 1.5);
    winograd_wide even2 = (g[0] + g[2] * 2.0) * (1.0 / 6), odd2 = g[1] * (1.41421356237309504880 / 6);
    r[3] = even2 + odd2;
    r[4] = even2 - odd2;
  }
  r[1] = even + odd;
  r[2] = even - odd;
}

static inline __attribute__((always_inline)) void winograd_kernels_of(const int m, const float *g, int64_t tap,
                                                                      float *to, int64_t step) {
  const int n = m + 2;
  winograd_wide half[3][6], in[3], r[6];
  for (int part = 0; part < 16; part += VL / 2) {
#pragma GCC unroll 3
    for (int j = 0; j < 3; j++) {
#pragma GCC unroll 3
      for (int i = 0; i < 3; i++) {
        winograd_half x;
        memcpy(&x, g + (i * 3 + j) * tap + part, sizeof x);
        in[i] = __builtin_convertvector(x, winograd_wide);
      }
      winograd_line_kernel(m, in, half[j]);
    }
#pragma GCC unroll 6
    for (int i = 0; i < n; i++) {
#pragma GCC unroll 3
      for (int j = 0; j < 3; j++) in[j] = half[j][i];
      winograd_line_kernel(m, in, r);
#pragma GCC unroll 6
      for (int j = 0; j < n; j++) {
        winograd_half x = __builtin_convertvector(r[j], winograd_half);
        memcpy(to + (i * n + j) * step + part, &x, sizeof x);
      }
    }
  }
}

/* G g Gt of 16 3x3 kernels side by side: taps `tap` floats apart become (m + 2)^2 points `step` floats apart. */
static inline void winograd_kernels(int m, const float *g, int64_t tap, float *to, int64_t step) {
  if (m == 4)
    winograd_kernels_of(4, g, tap, to, step);
  else
    winograd_kernels_of(2, g, tap, to, step);
}

#define WINOGRAD_STRIP 8 /* tiles of a row that are transformed together: they share columns */

/* Bt d B of `count` tiles that lie side by side in one block. rows: the m + 2 input rows; column 0 of the
 * first tile is column `left` of them, and columns outside [0, width) are zero. to: (m + 2)^2 places `step`
 * floats apart, tiles one behind the other. */
static inline __attribute__((always_inline)) void winograd_strip_in(const int m, const float *const *rows,
                                                                    int64_t width, int64_t left,
                                                                    int64_t count, float *to, int64_t step) {
  const int n = m + 2;
  vf strip[6][(WINOGRAD_STRIP * 4 + 2) * (16 / VL)], d[6], r[6];
  int64_t columns = count * m + 2;
  for (int64_t j = 0; j < columns; j++) {
    int inside = left + j >= 0 && left + j < width;
    for (int part = 0; part < 16 / VL; part++) {
#pragma GCC unroll 6
      for (int i = 0; i < n; i++) d[i] = inside ? vf_load(rows[i] + (left + j) * 16 + part * VL) : (vf){0};
      winograd_line_in(m, d, r);
#pragma GCC unroll 6
      for (int i = 0; i < n; i++) strip[i][j * (16 / VL) + part] = r[i];
    }
  }
  for (int64_t t = 0; t < count; t++, to += 16)
    for (int i = 0; i < n; i++)
      for (int part = 0; part < 16 / VL; part++) {
#pragma GCC unroll 6
        for (int j = 0; j < n; j++) d[j] = strip[i][(t * m + j) * (16 / VL) + part];
        winograd_line_in(m, d, r);
#pragma GCC unroll 6
        for (int j = 0; j < n; j++) vf_store(to + (i * n + j) * step + part * VL, r[j]);
      }
}

/* At d A plus bias within limits into m x m pixels at y, `pitch` floats a row. addend: laid out like y, NULL:
 * none. */
static inline __attribute__((always_inline)) void winograd_tile_out(const int m, const float *from,
                                                                    int64_t step, const float *bias,
                                                                    const float *addend, const float *limits,
                                                                    float *y, int64_t pitch) {
  const int n = m + 2;
  vf low = vf_set(limits[0]), high = vf_set(limits[1]);
  for (int part = 0; part < 16; part += VL) {
    vf half[4][6], d[6], r[4], b = vf_load(bias + part);
#pragma GCC unroll 6
    for (int j = 0; j < n; j++) {
#pragma GCC unroll 6
      for (int i = 0; i < n; i++) d[i] = vf_load(from + (i * n + j) * step + part);
      winograd_line_out(m, d, r);
#pragma GCC unroll 4
      for (int i = 0; i < m; i++) half[i][j] = r[i];
    }
#pragma GCC unroll 4
    for (int i = 0; i < m; i++) {
      winograd_line_out(m, half[i], r);
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
