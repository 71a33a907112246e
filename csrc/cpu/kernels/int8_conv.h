/* SPDX-License-Identifier: Apache-2.0 */
/* What convolutions of quantised bytes share: their geometry, scale and bias, and the copy that padding
 * needs.
 */
#ifndef IEC_CPU_INT8_CONV_H
#define IEC_CPU_INT8_CONV_H
#include "cpu/kernels/conv_common.h"
#include "cpu/kernels/int8_store.h"

/* Quantised images of at most so many channels are plain between their FakeQuantize and the convolution. */
#if defined(__AVX512VNNI__)
#define INT8_FEW 4
#else
#define INT8_FEW 0
#endif

/* Larger copies and more steps go to float kernels. */
#define INT8_MAX_BYTES ((int64_t)1 << 30)

typedef struct int8_padding { /* a copy with a frame of zeros: pixels of each axis, pixels before the first */
  int64_t size[3], before[3];
  int64_t plane; /* pixels */
  int32_t needed;
} int8_padding;

/* The byte of padding. A zero between two levels or beyond them has none, and then nothing is padded. */
static inline uint8_t int8_zero(const cpu_grid *grid) { return grid->whole ? (uint8_t)grid->zero : 0; }

/* Geometry of a Conv of bytes and integer weights; 0 when kernels of bytes cannot run it. */
static inline int int8_conv_geometry(const cpu_node *node, conv_geom *q, int8_padding *pad) {
  const cpu_tensor *x = op_in(node, 0), *w = op_in(node, 1);
  if (!x || !w || !x->grid || !w->grid || x->dtype != IEC_U8 || w->dtype != IEC_I8 || !w->data) return 0;
  if (!conv_shapes(node, 0, 1, q) || !conv_bias_ok(node, 2, q->o) || q->n < 1 || q->out_size < 1) return 0;
  if (q->c < 1 || q->o < 1) return 0;
  if (op_in(node, 2) && !node->inputs[2]->data) return 0;
  memset(pad, 0, sizeof *pad);
  pad->plane = 1;
  for (int a = 0; a < 3; a++) {
    int64_t last = (q->out[a] - 1) * q->stride[a] + (q->k[a] - 1) * q->dil[a] - q->pad[a];
    pad->before[a] = op_max(q->pad[a], 0);
    pad->size[a] = pad->before[a] + op_max(q->in[a], last + 1);
    if (pad->before[a] || last >= q->in[a]) pad->needed = 1;
    if (pad->size[a] > INT8_MAX_BYTES) return 0;
    pad->plane *= pad->size[a];
    if (pad->plane > INT8_MAX_BYTES) return 0;
  }
  if (pad->needed && !x->grid->whole) return 0;
  int64_t bytes = op_div_up(q->c, 16) * 16;
  return bytes <= INT8_MAX_BYTES / (pad->plane * q->n) && bytes * pad->plane * q->n <= INT8_MAX_BYTES;
}

/* Dense convolutions and groups of whole blocks, of at most INT8_MAX_BYTES weights. */
static inline int int8_conv_is_dense(const cpu_node *node, conv_geom *q, int8_padding *pad) {
  if (!int8_conv_geometry(node, q, pad) || node->inputs[0]->grid->count != 1) return 0;
  if (q->g > 1 && (q->cg % 16 || q->og % 16)) return 0;
  int64_t steps = op_div_up(q->cg, 4) * q->taps, blocks = op_div_up(q->og, 16) * q->g;
  return steps <= INT8_MAX_BYTES / 128 / blocks;
}

static inline void int8_conv_layouts(const cpu_node *node, cpu_layout *in, cpu_layout *out) {
  for (int32_t i = 0; i < node->input_count; i++) in[i] = CPU_BLOCKED16;
  out[0] = CPU_BLOCKED16;
}

/* Pixel of the (copied) input that output position `at` [3] of tap 0 reads. */
static inline int64_t int8_pixel(const conv_geom *q, const int8_padding *pad, const int64_t at[3]) {
  int64_t p = 0;
  for (int a = 0; a < 3; a++) p = p * pad->size[a] + at[a] * q->stride[a] - q->pad[a] + pad->before[a];
  return p;
}

/* The same of all output positions, in bytes. */
static inline void int8_list_pixels(const conv_geom *q, const int8_padding *pad, int32_t *to) {
  int64_t at[3];
  for (at[0] = 0; at[0] < q->out[0]; at[0]++)
    for (at[1] = 0; at[1] < q->out[1]; at[1]++)
      for (at[2] = 0; at[2] < q->out[2]; at[2]++) *to++ = (int32_t)(int8_pixel(q, pad, at) * 16);
}

/* Pixels from an output's first pixel to tap `tap`. */
static inline int64_t int8_tap(const conv_geom *q, const int8_padding *pad, int64_t tap) {
  int64_t d = tap / (q->k[1] * q->k[2]) * q->dil[0], h = tap / q->k[2] % q->k[1] * q->dil[1];
  return (d * pad->size[1] + h) * pad->size[2] + tap % q->k[2] * q->dil[2];
}

/* Row `row` of the copy of one block of 16 channels. */
static inline void int8_pad_row(const conv_geom *q, const int8_padding *pad, int64_t row, uint8_t zero,
                                const uint8_t *x, uint8_t *y) {
  int64_t d = row / pad->size[1] - pad->before[0], h = row % pad->size[1] - pad->before[1];
  size_t all = (size_t)pad->size[2] * 16, left = (size_t)pad->before[2] * 16, width = (size_t)q->in[2] * 16;
  y += (size_t)row * all;
  if (d < 0 || d >= q->in[0] || h < 0 || h >= q->in[1]) {
    memset(y, zero, all);
    return;
  }
  memset(y, zero, left);
  memcpy(y + left, x + (size_t)(d * q->in[1] + h) * width, width);
  memset(y + left + width, zero, all - left - width);
}

/* Copies input 0, n times `blocks` blocks, with its frame to the scratch memory; a barrier belongs behind. */
static inline void int8_pad_input(const conv_geom *q, const int8_padding *pad, const cpu_run *r,
                                  int64_t blocks, uint8_t zero) {
  int64_t rows = pad->size[0] * pad->size[1], count = q->n * blocks * rows, begin, end;
  while (cpu_next_phase(r, 1, count, op_grain(r, count, 4), &begin, &end))
    for (int64_t i = begin; i < end; i++) {
      int64_t block, row;
      op_place(r, i, q->n * blocks, rows, &block, &row);
      int8_pad_row(q, pad, row, zero, (const uint8_t *)r->inputs[0] + block * q->in_size * 16,
                   (uint8_t *)r->scratch + block * pad->plane * 16);
    }
}

/* The store of a convolution: the number behind a sum is sum * scale[c] + bias[c], where bias takes out the
 * input's zero. */
static inline iec_status int8_conv_store(int8_store *store, const iec_host_api *host, const cpu_node *node,
                                         const conv_geom *q, iec_error *err) {
  const cpu_grid *x = node->inputs[0]->grid, *w = node->inputs[1]->grid;
  const int8_t *weights = node->inputs[1]->data;
  const float *given = op_in(node, 2) ? node->inputs[2]->data : NULL;
  int64_t inner = q->cg * q->taps;
  float *scale = host->alloc(host->self, (size_t)q->o * 2 * sizeof *scale, 64);
  if (!scale) return cpu_fail(err, IEC_OUT_OF_MEMORY, node->name, "out of memory for the scales");
  float *bias = scale + q->o;
  for (int64_t c = 0; c < q->o; c++) {
    int64_t sum = 0;
    for (int64_t i = 0; i < inner; i++) sum += weights[c * inner + i];
    scale[c] = w->scale[c] * x->scale[x->count == 1 ? 0 : c];
    bias[c] = (float)((given ? (double)given[c] : 0.0) - (double)scale[c] * (double)x->zero * (double)sum);
  }
  iec_status status = int8_store_init(store, host, node, scale, bias, err);
  host->release(host->self, scale);
  return status;
}
#endif
