/* SPDX-License-Identifier: Apache-2.0 */
/* Packing of weights: rows of a file become columns of panels. */
#ifndef IEC_CPU_PACK_H
#define IEC_CPU_PACK_H
#include <string.h>

#include "cpu/kernels/common.h"
#include "cpu/kernels/vec.h"

/* `floats` of a constant from `at` on: cpu_read. */
static inline const float *pack_rows(const cpu_node *node, const float *at, int64_t floats, int slot) {
  return cpu_read(node, at, (size_t)floats * sizeof *at, slot);
}

/* One panel: to[t][c][i] = w[i][c][t] for i < rows, 0 for rows <= i < columns (a multiple of 16). Rows of w
 * lie `pitch` floats apart. */
static inline void pack_panel(const float *w, int64_t pitch, int64_t rows, int64_t columns, int64_t channels,
                              int64_t taps, float *to) {
  _Alignas(64) float square[16][16], turned[16][16];
  int64_t length = channels * taps;
  for (int64_t first = 0; first < columns; first += 16) {
    int64_t count = op_max(0, op_min(16, rows - first)), c = 0, t = 0;
    for (int64_t k = 0; k < length; k += 16) {
      const float *from = w + first * pitch + k;
      int64_t width = op_min(16, length - k);
      if (count == 16 && width == 16) {
        vf_flip_square(from, pitch, turned[0], 16);
      } else {
        memset(square, 0, sizeof square);
        for (int64_t i = 0; i < count; i++) memcpy(square[i], from + i * pitch, (size_t)width * sizeof *from);
        vf_flip_square(square[0], 16, turned[0], 16);
      }
      for (int64_t j = 0; j < width; j++) {
        memcpy(to + (t * channels + c) * columns + first, turned[j], sizeof turned[j]);
        if (++t == taps) {
          t = 0;
          c++;
        }
      }
    }
  }
}

#endif
