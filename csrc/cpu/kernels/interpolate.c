/* SPDX-License-Identifier: Apache-2.0 */
/* Kind Interpolate: nearest for every type, the filters for float32; plain or blocked.
 *
 * Every filter is a product of one-dimensional ones. An output row along the last resized axis is made in two
 * steps: the input rows that the other axes ask for are summed with their weights, then the sum is resampled
 * along the row. */
#include "cpu/kernels/interpolate_taps.h"
#include "cpu/kernels/nd.h"
#include "cpu/kernels/vec.h"

#define MOST_TAPS ((int64_t)1 << 28) /* in the tables of one node */

static const char *const modes[] = {"nearest", "linear",          "linear_onnx",
                                    "cubic",   "bilinear_pillow", "bicubic_pillow"};
static const char *const coordinates[] = {"half_pixel", "pytorch_half_pixel", "asymmetric",
                                          "tf_half_pixel_for_nn", "align_corners"};
static const char *const roundings[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil", "simple"};

typedef struct axis_table {
  int64_t in, out, step, most; /* sizes, input stride in elements, taps reserved for each output position */
  int64_t *counts;             /* [out] */
  interpolate_tap *taps;       /* [out][most] */
} axis_table;

typedef struct interpolate_state {
  int32_t rank, nearest,
      size;            /* rank: axes before the inner ones; the last of them is resampled along the row */
  int64_t inner, rows; /* elements of a position on the last axis; output rows */
  axis_table axis[IEC_MAX_NDIM];
} interpolate_state;

/* Fills `axes` for every physical axis; 0 when the node is malformed. */
static int describe(const cpu_node *node, interpolate_axis axes[IEC_MAX_NDIM]) {
  const cpu_tensor *x = node->inputs[0], *y = node->outputs[0];
  size_t count, sizes, scales_count = 0;
  const int64_t *list = op_ints(node, "axes", &count);
  const double *scales = NULL;
  op_ints(node, "sizes", &sizes);
  node->api->attr_f64s(node->source, "scales", &scales, &scales_count);
  int mode = op_choice(op_text(node, "mode", ""), modes, 6);
  int place = op_choice(op_text(node, "coordinates", "half_pixel"), coordinates, 5);
  int rounding = op_choice(op_text(node, "nearest", "round_prefer_floor"), roundings, 5), shrinks = 0;
  if (mode < 0 || place < 0 || rounding < 0 || count != scales_count || count != sizes || x->ndim != y->ndim)
    return 0;
  interpolate_axis base = {.scale = 1,
                           .cube = op_float(node, "cube_coeff", -0.75),
                           .mode = (interpolate_mode)mode,
                           .coordinates = (interpolate_coordinates)place,
                           .rounding = (interpolate_rounding)rounding};
  for (int i = 0; i < x->ndim; i++) {
    axes[i] = base;
    axes[i].coordinates = HALF_PIXEL; /* untouched axes are the identity */
    axes[i].in = x->shape[i];
    axes[i].out = y->shape[i];
  }
  for (size_t i = 0; i < count; i++) {
    if (list[i] < 0 || list[i] >= x->ndim || !(scales[i] > 0) || isinf(scales[i])) return 0;
    axes[list[i]].scale = scales[i];
    axes[list[i]].coordinates = base.coordinates;
    if (scales[i] < 1) shrinks = 1;
  }
  for (int i = 0; i < x->ndim; i++) {
    axes[i].antialias = shrinks && op_int(node, "antialias", 0) != 0;
    if (!interpolate_identity(&axes[i]) && (axes[i].in < 1 || axes[i].out < 1)) return 0;
  }
  for (int i = 0; i < x->ndim; i++) { /* an axis that is not listed keeps its size */
    int listed = 0;
    for (size_t k = 0; k < count; k++) listed |= list[k] == i;
    if (!listed && axes[i].in != axes[i].out) return 0;
  }
  return 1;
}

static int32_t supports(const cpu_node *node) {
  interpolate_axis axes[IEC_MAX_NDIM];
  if (!op_ports(node, 1, 1) || node->inputs[0]->ndim < 1 || node->inputs[0]->dtype != node->outputs[0]->dtype)
    return 0;
  if (!describe(node, axes) || !op_size(node->inputs[0]->dtype)) return 0;
  return node->inputs[0]->dtype == IEC_F32 || axes[0].mode == NEAREST ? 10 : 0;
}

/* Blocked when the input is and channels are left alone. */
static void layouts(const cpu_node *node, cpu_layout *in, cpu_layout *out) {
  interpolate_axis axes[IEC_MAX_NDIM];
  if (op_blocked(node->inputs[0]) && describe(node, axes) && interpolate_identity(&axes[1]))
    in[0] = out[0] = CPU_BLOCKED16;
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  const cpu_tensor *x = node->inputs[0], *y = node->outputs[0];
  interpolate_axis axes[IEC_MAX_NDIM];
  int64_t from[IEC_MAX_NDIM + 1], strides[IEC_MAX_NDIM + 1], entries = 0, positions = 0;
  int rank = op_physical(x, from), last = -1;
  describe(node, axes);
  nd_strides(from, rank, strides);
  if (op_blocked(x)) axes[1].in = axes[1].out = from[1];
  for (int i = 0; i < x->ndim; i++) {
    if (!interpolate_identity(&axes[i])) last = i;
    positions += axes[i].out;
    entries += op_min(op_times(axes[i].out, interpolate_most(&axes[i])), MOST_TAPS + 1);
    if (entries > MOST_TAPS)
      return cpu_fail(err, IEC_OUT_OF_BOUNDS, node->name,
                      "axis %d needs %lld taps, at most %lld are possible", i, (long long)entries,
                      (long long)MOST_TAPS);
  }
  if (last < 0) last = x->ndim - 1;
  size_t bytes = sizeof(interpolate_state) + (size_t)entries * sizeof(interpolate_tap) +
                 (size_t)positions * sizeof(int64_t);
  iec_status status = op_state(host, node, bytes, out, err);
  if (status != IEC_OK) return status;
  interpolate_state *s = out->state;
  interpolate_tap *taps = (interpolate_tap *)(s + 1);
  int64_t *counts = (int64_t *)(taps + entries), work = 1;
  s->rank = last + 1;
  s->inner = op_product(from, last + 1, rank);
  s->rows = 1;
  s->nearest = axes[0].mode == NEAREST;
  s->size = (int32_t)op_size(x->dtype);
  for (int i = 0; i <= last; i++) {
    axis_table *t = &s->axis[i];
    *t = (axis_table){axes[i].in, axes[i].out, strides[i], interpolate_most(&axes[i]), counts, taps};
    for (int64_t o = 0; o < t->out; o++) counts[o] = interpolate_taps(&axes[i], o, taps + o * t->most);
    counts += t->out;
    taps += t->out * t->most;
    if (i < last) s->rows *= t->out;
    if (!interpolate_identity(&axes[i])) work *= t->most;
  }
  if (!s->nearest) out->member_scratch_size = (size_t)(s->axis[last].in * s->inner) * sizeof(float);
  out->cost = (double)op_count(y) * (double)(2 * work);
  out->exec_type = "interpolate_" CPU_ISA_NAME;
  return IEC_OK;
}

/* y[n] += w * x[n]; `first` overwrites. */
static void add_row(int first, float w, const float *x, float *y, int64_t n) {
  for (int64_t i = 0; i < n; i += VL) {
    int64_t part = op_min(VL, n - i);
    vf v = w * (part == VL ? vf_load(x + i) : vf_load_n(x + i, part));
    if (!first) v += part == VL ? vf_load(y + i) : vf_load_n(y + i, part);
    if (part == VL)
      vf_store(y + i, v);
    else
      vf_store_n(y + i, v, part);
  }
}

/* The weighted input rows of one output row; the input itself when it is one row of weight 1. */
static const float *gather_rows(const interpolate_state *s, const int64_t *index, const float *x,
                                float *buffer) {
  int last = s->rank - 1, pick[IEC_MAX_NDIM] = {0};
  int64_t n = s->axis[last].in * s->inner;
  for (int i = 0; i < last; i++)
    if (!s->axis[i].counts[index[i]]) { /* nothing of the input is in reach */
      memset(buffer, 0, (size_t)n * sizeof(float));
      return buffer;
    }
  for (int first = 1;; first = 0) {
    float w = 1;
    const float *row = x;
    int next = -1;
    for (int i = 0; i < last; i++) {
      const axis_table *t = &s->axis[i];
      const interpolate_tap *tap = t->taps + index[i] * t->most + pick[i];
      w *= tap->weight;
      row += tap->at * t->step;
      if (pick[i] + 1 < t->counts[index[i]]) next = i;
    }
    if (first && next < 0 && w == 1) return row;
    add_row(first, w, row, buffer, n);
    if (next < 0) return buffer;
    pick[next]++;
    for (int i = next + 1; i < last; i++) pick[i] = 0;
  }
}

static void resample_row(const interpolate_state *s, const float *row, float *y) {
  const axis_table *t = &s->axis[s->rank - 1];
  for (int64_t o = 0; o < t->out; o++) {
    const interpolate_tap *tap = t->taps + o * t->most;
    float *to = y + o * s->inner;
    if (s->inner == 1) {
      float sum = 0;
      for (int64_t k = 0; k < t->counts[o]; k++) sum += tap[k].weight * row[tap[k].at];
      *to = sum;
      continue;
    }
    if (!t->counts[o]) memset(to, 0, (size_t)s->inner * sizeof(float));
    for (int64_t k = 0; k < t->counts[o]; k++)
      add_row(k == 0, tap[k].weight, row + tap[k].at * s->inner, to, s->inner);
  }
}

static void copy_row(const interpolate_state *s, const char *row, char *y) {
  const axis_table *t = &s->axis[s->rank - 1];
  int64_t bytes = s->inner * s->size;
  for (int64_t o = 0; o < t->out; o++) {
    if (bytes == 4)
      memcpy(y + o * 4, row + t->taps[o].at * 4, 4);
    else
      memcpy(y + o * bytes, row + t->taps[o].at * bytes, (size_t)bytes);
  }
}

static void run(const void *state, const cpu_run *r) {
  const interpolate_state *s = state;
  int last = s->rank - 1;
  int64_t b, e, length = s->axis[last].out * s->inner, grain = op_max(1, 4096 / op_max(length, 1));
  while (cpu_next(r, s->rows, grain, &b, &e))
    for (; b < e; b++) {
      int64_t index[IEC_MAX_NDIM] = {0}, left = b, at = 0;
      for (int i = last - 1; i >= 0; i--) {
        index[i] = left % s->axis[i].out;
        left /= s->axis[i].out;
        at += s->axis[i].taps[index[i] * s->axis[i].most].at * s->axis[i].step;
      }
      char *y = (char *)r->outputs[0] + b * length * s->size;
      if (s->nearest)
        copy_row(s, (const char *)r->inputs[0] + at * s->size, y);
      else
        resample_row(s, gather_rows(s, index, r->inputs[0], r->member_scratch), (float *)y);
    }
}

const cpu_kernel IEC_ISA(cpu_kernel_interpolate) = {.kind = "Interpolate",
                                                    .name = "interpolate",
                                                    .supports = supports,
                                                    .layouts = layouts,
                                                    .prepare = prepare,
                                                    .run = run};
