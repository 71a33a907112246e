/* SPDX-License-Identifier: Apache-2.0 */
/* The two rows at a time behind depthwise 3x3 convolutions. */
#include "cpu/kernels/depthwise_rows.h"

#include <math.h>

#include "cpu/kernels/vec.h"

typedef struct square {
  const depthwise_args *args;
  const float *limits;
  int64_t y_row;             /* floats from one output row to the next */
  int64_t pad, width, count; /* columns: left of the map, of it, of the output */
} square;

#define INLINE inline __attribute__((always_inline))

/* What the taps of kernel column `t` make of the input from float `column` of its rows on. `top`: the first
 * input row lies above the map, `bottom`: the last one below it. */
static INLINE void square_taps(const float *const x[5], int64_t column, const vf w[9], const int t, vf *acc,
                               const int rows, const int stride, const int top, const int bottom) {
#pragma GCC unroll 5
  for (int h = top; h < (rows - 1) * stride + 3 - bottom; h++) {
    vf v = vf_pinned(vf_load(x[h] + column));
#pragma GCC unroll 2
    for (int i = 0; i < rows; i++)
      if (h - i * stride >= 0 && h - i * stride < 3) acc[i] += w[(h - i * stride) * 3 + t] * v;
  }
}

/* Goes over the columns with the weights in registers. Every column is loaded once for all outputs that meet
 * it: with stride 1 three in a row, of which the first is then complete. */
static INLINE void square_rows(const square *q, const int rows, const int stride, const int top,
                               const int bottom) {
  const vf low = vf_set(q->limits[0]), high = vf_set(q->limits[1]);
  for (int part = 0; part < 16; part += VL) {
    float *y = q->args->y + part;
    const float *x[5];
#pragma GCC unroll 5
    for (int h = 0; h < 5; h++) x[h] = q->args->x[h] + part;
    vf w[9], bias = vf_load(q->args->bias + part), acc[3][2];
#pragma GCC unroll 9
    for (int i = 0; i < 9; i++) w[i] = vf_pinned(vf_load(q->args->w + i * 16 + part));
#pragma GCC unroll 2
    for (int i = 0; i < rows; i++) acc[0][i] = acc[1][i] = acc[2][i] = bias;
    if (stride == 2 && q->pad <= 0) square_taps(x, -q->pad * 16, w, 0, acc[0], rows, stride, top, bottom);
    for (int64_t o = stride == 1 ? -2 : 0; o < q->count; o++) {
      int64_t column = o * stride + 2 - q->pad; /* of the last tap */
      if (stride == 2) square_taps(x, (column - 1) * 16, w, 1, acc[0], rows, stride, top, bottom);
      if (column >= 0 && column < q->width) {
        square_taps(x, column * 16, w, 2, acc[0], rows, stride, top, bottom);
        if (stride == 1) square_taps(x, column * 16, w, 1, acc[1], rows, stride, top, bottom);
        square_taps(x, column * 16, w, 0, acc[3 - stride], rows, stride, top, bottom);
      }
#pragma GCC unroll 2
      for (int i = 0; i < rows; i++) {
        if (o >= 0) vf_store(y + i * q->y_row + o * 16, vf_at_most(vf_at_least(acc[0][i], low), high));
        acc[0][i] = acc[1][i];
        acc[1][i] = stride == 1 ? acc[2][i] : bias;
        acc[2][i] = bias;
      }
    }
  }
}

#define SQUARE(ROWS, STRIDE, TOP, BOTTOM)                                                           \
  static __attribute__((noinline)) void square_##ROWS##_##STRIDE##_##TOP##BOTTOM(const square *q) { \
    square_rows(q, ROWS, STRIDE, TOP, BOTTOM);                                                      \
  }
#define SQUARES(ROWS, STRIDE) \
  SQUARE(ROWS, STRIDE, 0, 0) SQUARE(ROWS, STRIDE, 0, 1) SQUARE(ROWS, STRIDE, 1, 0) SQUARE(ROWS, STRIDE, 1, 1)
#define NAMES(ROWS, STRIDE)                                           \
  {                                                                   \
    {square_##ROWS##_##STRIDE##_00, square_##ROWS##_##STRIDE##_01}, { \
      square_##ROWS##_##STRIDE##_10, square_##ROWS##_##STRIDE##_11    \
    }                                                                 \
  }

/* clang-format off */
SQUARES(1, 1) SQUARES(1, 2) SQUARES(2, 1) SQUARES(2, 2)
/* By rows less one, stride less one, top, bottom. */
static void (*const squares[2][2][2][2])(const square *) = {{NAMES(1, 1), NAMES(1, 2)}, {NAMES(2, 1), NAMES(2, 2)}};
/* clang-format on */

void depthwise_rows(const depthwise_args *args, const conv_geom *q, int64_t height, int64_t rows) {
  static const float none[2] = {-INFINITY, INFINITY};
  int64_t top = height * q->stride[1] - q->pad[1], last = top + (rows - 1) * q->stride[1] + 2;
  square a = {.args = args,
              .limits = args->limits ? args->limits : none,
              .y_row = q->out[2] * 16,
              .pad = q->pad[2],
              .width = q->in[2],
              .count = q->out[2]};
  squares[rows - 1][q->stride[1] - 1][top < 0][last >= q->in[1]](&a);
}
