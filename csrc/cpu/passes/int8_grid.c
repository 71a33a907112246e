/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the constants of quantised networks back as integers: limits of FakeQuantize, weights on a grid. */
#include <math.h>
#include <string.h>

#include "cpu/passes.h"
#include "cpu/passes/int8.h"

enum { MOST_LEVELS = 256, LARGEST = 128 };

/* Parts of a step by which a number may miss its grid and still be meant: rounding of float32 is far below, a
 * number that nobody quantised is almost never so near. */
static const float MISS = 1e-3f;

static int all_equal(const float *values, int64_t count) {
  for (int64_t i = 1; i < count; ++i)
    if (values[i] != values[0]) return 0;
  return 1;
}

iec_status cpu_grid_read(cpu_graph *graph, const cpu_op *op, const cpu_grid **out, iec_error *err) {
  *out = NULL;
  if (op->input_count != 5 || !op->inputs[0]) return IEC_OK;
  const cpu_tensor *x = &op->inputs[0]->tensor;
  int64_t levels = cpu_op_i64(op, "levels", 0);
  if (levels < 2 || levels > MOST_LEVELS || x->ndim < 2 || x->shape[1] < 1 ||
      !cpu_same_shape(x, &op->outputs[0]->tensor))
    return IEC_OK;
  float *limits[4]; /* il, ih, ol, oh */
  for (int32_t i = 0; i < 4; ++i) {
    if (!op->inputs[i + 1]) return IEC_OK;
    iec_status status = cpu_channel_constant(graph, &op->inputs[i + 1]->tensor, x, 1, &limits[i], err);
    if (status || !limits[i]) return status;
  }
  int64_t channels = x->shape[1];
  cpu_grid *grid = cpu_graph_alloc(graph, sizeof *grid);
  float *scale = cpu_graph_alloc(graph, (size_t)((channels + 15) / 16 * 16) * sizeof *scale);
  if (!grid || !scale) return cpu_graph_no_memory(err);
  float steps = (float)(levels - 1);
  for (int64_t c = 0; c < channels; ++c) {
    scale[c] = (limits[3][c] - limits[2][c]) / steps;
    float factor = steps / (limits[1][c] - limits[0][c]), zero = -limits[2][c] / scale[c];
    if (!(scale[c] > 0 && isfinite(scale[c]) && factor > 0 && isfinite(factor) && isfinite(zero)))
      return IEC_OK;
    int32_t whole = fabsf(zero - rintf(zero)) < MISS * 10 && rintf(zero) >= 0 && rintf(zero) <= steps;
    if (whole) zero = rintf(zero);
    if (c && (whole != grid->whole || zero != grid->zero)) return IEC_OK;
    grid->whole = whole;
    grid->zero = zero;
  }
  grid->count = all_equal(scale, channels) ? 1 : channels;
  grid->scale = scale;
  grid->top = (int32_t)levels - 1;
  *out = grid;
  return IEC_OK;
}

/* Numbers of a channel: `outer` runs of `inner`, run r beginning r * step behind the first. */
typedef struct channel_walk {
  int64_t outer, step, inner;
} channel_walk;

static int are_multiples(const float *w, const channel_walk *walk, float unit) {
  for (int64_t r = 0; r < walk->outer; ++r)
    for (int64_t i = 0; i < walk->inner; ++i) {
      float q = w[r * walk->step + i] / unit;
      if (!(fabsf(q - rintf(q)) <= MISS)) return 0;
    }
  return 1;
}

/* The largest unit of which all numbers are multiples up to LARGEST, 0: there is none. Small multiples are
 * wanted: kernels add more of them before they widen the sum. */
static float find_unit(const float *w, const channel_walk *walk) {
  float most = 0;
  for (int64_t r = 0; r < walk->outer; ++r)
    for (int64_t i = 0; i < walk->inner; ++i) {
      float a = fabsf(w[r * walk->step + i]);
      if (!(a <= most)) most = a; /* NaN too */
    }
  if (most == 0) return 1;
  if (!isfinite(most)) return 0;
  for (int32_t k = 1; k <= LARGEST; ++k) {
    float unit = most / (float)k;
    if (unit > 0 && isfinite(1 / unit) && are_multiples(w, walk, unit)) return unit;
  }
  return 0;
}

static int write_channel(const float *w, const channel_walk *walk, float unit, int8_t *to) {
  for (int64_t r = 0; r < walk->outer; ++r)
    for (int64_t i = 0; i < walk->inner; ++i) {
      float q = rintf(w[r * walk->step + i] / unit);
      if (q > 127) return 0;
      to[r * walk->step + i] = (int8_t)q;
    }
  return 1;
}

/* How output channels lie in the weights: `count` of them, each `apart` behind the last. */
static int map_channels(const cpu_op *op, channel_walk *out, int64_t *out_count, int64_t *out_apart) {
  const cpu_tensor *w = &op->inputs[1]->tensor;
  if (strcmp(op->kind, "Conv") == 0 && w->ndim >= 4) {
    *out_count = w->shape[0] * w->shape[1];
    *out = (channel_walk){1, 0, cpu_tensor_elements(w) / (*out_count > 0 ? *out_count : 1)};
    *out_apart = out->inner;
    return *out_count > 0;
  }
  if (strcmp(op->kind, "MatMul") != 0 || w->ndim != 2) return 0;
  int rows = cpu_op_i64(op, "transpose_b", 0) != 0;
  *out_count = w->shape[!rows];
  *out_apart = rows ? w->shape[1] : 1;
  *out = rows ? (channel_walk){1, 0, w->shape[1]} : (channel_walk){w->shape[0], w->shape[1], 1};
  return *out_count > 0;
}

iec_status cpu_weights_read(cpu_graph *graph, const cpu_op *op, cpu_value **out, iec_error *err) {
  *out = NULL;
  const cpu_tensor *w = &op->inputs[1]->tensor;
  channel_walk walk;
  int64_t channels, apart;
  if (!w->data || w->dtype != IEC_F32 || !map_channels(op, &walk, &channels, &apart)) return IEC_OK;
  size_t padded = (size_t)((channels + 15) / 16 * 16);
  float *scale = cpu_graph_alloc(graph, padded * sizeof *scale);
  if (!scale) return cpu_graph_no_memory(err);
  for (int64_t c = 0; c < channels; ++c) {
    scale[c] = find_unit((const float *)w->data + c * apart, &walk);
    if (scale[c] == 0) return IEC_OK;
  }
  cpu_grid *grid = cpu_graph_alloc(graph, sizeof *grid);
  cpu_value *value = cpu_graph_constant(graph, IEC_I8, w->ndim, w->shape, op->inputs[1]->name);
  if (!grid || !value) return cpu_graph_no_memory(err);
  *grid = (cpu_grid){.count = channels, .scale = scale, .whole = 1, .top = 127};
  value->tensor.grid = grid;
  for (int64_t c = 0; c < channels; ++c) {
    const float *from = (const float *)w->data + c * apart;
    int8_t *to = (int8_t *)value->owned + c * apart;
    if (write_channel(from, &walk, scale[c], to)) continue;
    for (int64_t r = 0; r < walk.outer; ++r) /* 128 fits with the other sign only */
      for (int64_t i = 0; i < walk.inner; ++i)
        if (rintf(-from[r * walk.step + i] / scale[c]) > 127) return IEC_OK;
    scale[c] = -scale[c];
    write_channel(from, &walk, scale[c], to);
  }
  *out = value;
  return IEC_OK;
}
