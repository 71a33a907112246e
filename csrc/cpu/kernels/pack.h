/* SPDX-License-Identifier: Apache-2.0 */
/* Packing of weights: rows of a file become columns of panels. */
#ifndef IEC_CPU_PACK_H
#define IEC_CPU_PACK_H
#include <string.h>

#include "cpu/kernels/common.h"

/* One panel: to[t][c][i] = w[i][c][t] for i < rows, 0 for rows <= i < columns (a multiple of 16). Rows of w
 * lie `pitch` floats apart. Squares of 16 x 16 pass through a buffer of their own: rows a power of two apart
 * would drive each other out of the cache. */
static inline void pack_panel(const float *w, int64_t pitch, int64_t rows, int64_t columns, int64_t channels,
                              int64_t taps, float *to) {
  _Alignas(64) float square[16][16];
  int64_t length = channels * taps;
  for (int64_t first = 0; first < columns; first += 16) {
    int64_t count = op_max(0, op_min(16, rows - first)), c = 0, t = 0;
    if (count < 16) memset(square, 0, sizeof square);
    for (int64_t k = 0; k < length; k += 16) {
      const float *from = w + first * pitch + k;
      int64_t width = op_min(16, length - k);
      for (int64_t i = 0; i < count; i++, from += pitch)
        if (width == 16)
          memcpy(square[i], from, sizeof square[i]);
        else
          memcpy(square[i], from, (size_t)width * sizeof *from);
      for (int64_t j = 0; j < width; j++) {
        float *column = to + (t * channels + c) * columns + first;
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) column[i] = square[i][j];
        if (++t == taps) {
          t = 0;
          c++;
        }
      }
    }
  }
}

#endif
