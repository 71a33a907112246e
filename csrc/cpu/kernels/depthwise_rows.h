/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of depthwise 3x3 convolutions on blocks of 16 channels: of a map in memory, or of one of which only
 * the last rows are kept. */
#ifndef IEC_CPU_DEPTHWISE_ROWS_H
#define IEC_CPU_DEPTHWISE_ROWS_H
#include "cpu/kernels/conv_common.h"

#define DEPTHWISE_ROWS 2 /* of the output that are made at a time, at most */

typedef struct depthwise_args {
  const float *x[5]; /* the input rows that the windows span, from column 0 on; outside the map: not read */
  const float *w, *bias; /* [9][16], [16] */
  const float *limits;   /* least and greatest result, NULL: none */
  float *y;
} depthwise_args;

/* 1 when an axis has three taps next to each other, of which at most the first and the last lie outside. */
static inline int depthwise_axis(const conv_geom *q, int axis) {
  return q->k[axis] == 3 && q->dil[axis] == 1 && q->pad[axis] <= 1 &&
         (q->out[axis] - 1) * q->stride[axis] - q->pad[axis] + 2 <= q->in[axis];
}

/* 1 when depthwise_rows does it: 3x3 taps of neighbours, strides of 1 or 2, one kernel plane. */
static inline int depthwise_is_square(const conv_geom *q) {
  return q->k[0] == 1 && q->pad[0] == 0 && q->stride[1] == q->stride[2] && q->stride[1] <= 2 &&
         depthwise_axis(q, 1) && depthwise_axis(q, 2);
}

/* Weights [channel][tap] and biases (NULL: none) into [block][tap][16] and [block][16], zeros in lanes that
 * are no channels. */
static inline void depthwise_pack(int64_t channels, int64_t taps, const float *w, const float *bias,
                                  float *out_w, float *out_bias) {
  for (int64_t c = 0; c < op_div_up(channels, 16) * 16; c++) {
    for (int64_t t = 0; t < taps; t++)
      out_w[(c / 16 * taps + t) * 16 + c % 16] = c < channels ? w[c * taps + t] : 0.0f;
    out_bias[c] = bias && c < channels ? bias[c] : 0.0f;
  }
}

/* Output rows height to height + rows - 1 of one block, one behind the other at y. */
void IEC_ISA(depthwise_rows)(const depthwise_args *args, const conv_geom *q, int64_t height, int64_t rows);
#define depthwise_rows IEC_ISA(depthwise_rows)
#endif
