/* SPDX-License-Identifier: Apache-2.0 */
/* Kind Interpolate: every filter is a product of one-dimensional ones, whose taps are computed here, once,
 * into tables. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "opencl/ops/nd.h"

enum { NEAREST, LINEAR, LINEAR_ONNX, CUBIC, BILINEAR_PILLOW, BICUBIC_PILLOW };
enum { HALF_PIXEL, PYTORCH_HALF_PIXEL, ASYMMETRIC, TF_HALF_PIXEL, ALIGN_CORNERS };
static const char *const modes[] = {"nearest",         "linear",         "linear_onnx", "cubic",
                                    "bilinear_pillow", "bicubic_pillow", NULL};
static const char *const coordinates[] = {"half_pixel",           "pytorch_half_pixel", "asymmetric",
                                          "tf_half_pixel_for_nn", "align_corners",      NULL};
static const char *const roundings[] = {
    "round_prefer_floor", "round_prefer_ceil", "floor", "ceil", "simple", NULL};

typedef struct axis {
  int64_t in, out;
  double scale;
  int identity;
} axis;

typedef struct resize {
  int32_t mode, coordinates, rounding, antialias;
  double cube;
  int32_t first; /* the first axis that changes */
  int64_t planes;
  axis axes[3]; /* from it on, the last of them last; missing ones in front have size 1 */
} resize;

typedef struct params { /* as resample_params of kernels/resample.cl */
  int32_t planes, in_area;
  int32_t out[3], taps[3], first[3];
} params;

typedef struct tables {
  int32_t *places;
  float *weights;
  int32_t count, place_capacity, weight_capacity;
} tables;

static int describe(const gpu_op *op, resize *r) {
  if (!gpu_ports(op, 1, 1) || op->inputs[0]->dtype != op->outputs[0]->dtype) return 0;
  const gpu_value *x = op->inputs[0], *y = op->outputs[0];
  size_t count, scale_count = 0;
  const int64_t *list = gpu_ints(op, "axes", &count);
  const double *scales = NULL;
  op->api->attr_f64s(op->node, "scales", &scales, &scale_count);
  *r = (resize){.mode = gpu_index(gpu_str(op, "mode", ""), modes),
                .coordinates = gpu_index(gpu_str(op, "coordinates", ""), coordinates),
                .rounding = gpu_index(gpu_str(op, "nearest", ""), roundings),
                .cube = gpu_float(op, "cube_coeff", -0.75)};
  if (r->mode < 0 || r->coordinates < 0 || r->rounding < 0 || count != scale_count || x->ndim != y->ndim)
    return 0;
  axis all[IEC_MAX_NDIM];
  double least = 1;
  for (int32_t i = 0; i < x->ndim; i++)
    all[i] = (axis){x->shape[i], y->shape[i], 1, x->shape[i] == y->shape[i]};
  for (size_t i = 0; i < count; i++) {
    if (list[i] < 0 || list[i] >= x->ndim || !(scales[i] > 0)) return 0;
    axis *a = &all[list[i]];
    a->scale = scales[i];
    a->identity = a->in == a->out && a->scale == 1 && r->coordinates != TF_HALF_PIXEL;
    if (scales[i] < least) least = scales[i];
  }
  r->antialias = gpu_int(op, "antialias", 0) && least < 1;
  r->first = x->ndim;
  for (int32_t i = x->ndim - 1; i >= 0; i--)
    if (!all[i].identity) r->first = i;
  if (x->ndim - r->first > 3) return 0;
  for (int32_t i = 0; i < 3; i++) {
    const int32_t a = x->ndim - 3 + i;
    r->axes[i] = a >= r->first ? all[a] : (axis){1, 1, 1, 1};
  }
  r->planes = gpu_product(x->shape, 0, r->first);
  return x->dtype == IEC_F32 || r->mode == NEAREST;
}

static int supports(const gpu_op *op) {
  resize r;
  return describe(op, &r);
}

/* In single precision, as the original computes it. */
static float position(const resize *r, const axis *a, int64_t o) {
  const float at = (float)o, scale = (float)a->scale;
  switch (r->coordinates) {
    case ASYMMETRIC: return at / scale;
    case TF_HALF_PIXEL: return (at + 0.5f) / scale;
    case ALIGN_CORNERS: return a->out > 1 ? at * (float)(a->in - 1) / (float)(a->out - 1) : 0;
    case PYTORCH_HALF_PIXEL:
      if (a->out == 1) return 0;
      break;
    default: break;
  }
  return (at + 0.5f) / scale - 0.5f;
}

static int64_t inside(double at, int64_t size) {
  return at<0 ? 0 : at>(double)(size - 1) ? size - 1 : (int64_t)at;
}

static int64_t nearest(const resize *r, const axis *a, float at) {
  double v = 0;
  switch (r->rounding) {
    case 0: v = ceilf(at - 0.5f); break;
    case 1: v = floorf(at + 0.5f); break;
    case 2: v = floorf(at); break;
    case 3: v = ceilf(at); break;
    default: v = a->scale < 1 ? ceilf(at) : truncf(at);
  }
  return inside(v, a->in);
}

static int64_t reach_of(const resize *r, const axis *a) { /* of mode linear, to either side */
  return a->scale > 1
             ? 2
             : (int64_t)fmin(ceil(2 / (r->antialias ? (double)(float)a->scale : 1.0)), (double)a->in);
}

static double support_of(const resize *r, const axis *a) {
  return (r->mode == BICUBIC_PILLOW ? 2.0 : 1.0) * fmax(1 / a->scale, 1.0);
}

static int64_t most_taps(const resize *r, const axis *a) {
  if (a->identity || r->mode == NEAREST) return 1;
  if (r->mode == LINEAR_ONNX) return 2;
  if (r->mode == CUBIC) return 4;
  return r->mode == LINEAR ? 2 * reach_of(r, a) + 1 : (int64_t)fmin(2 * support_of(r, a) + 2, (double)a->in);
}

static double keys(double d, double a) {
  d = fabs(d);
  return d < 1 ? ((a + 2) * d - (a + 3)) * d * d + 1 : d < 2 ? (((d - 5) * d + 8) * d - 4) * a : 0;
}

/* Weights of positions inside the input, scaled to the sum 1. */
static void normalise(float *weights, double *wide, int64_t count) {
  double total = 0;
  for (int64_t k = 0; k < count; k++) total += wide[k];
  for (int64_t k = 0; k < count; k++) weights[k] = total != 0 ? (float)(wide[k] / total) : 0;
}

static void linear_taps(const resize *r, const axis *a, float at, int64_t most, int64_t *places,
                        double *wide) {
  const int64_t centre = (int64_t)(at < 0 ? ceil(at - 0.5) : floor(at + 0.5)), reach = reach_of(r, a);
  const double scale = r->antialias ? (double)(float)a->scale : 1.0;
  for (int64_t k = 0; k < most; k++) {
    const int64_t place = centre - reach + k;
    places[k] = inside((double)place, a->in);
    wide[k] = place == places[k] ? fmax(0, 1 - fabs(scale * (double)(at - (float)place))) : 0;
  }
}

static void pillow_taps(const resize *r, const axis *a, int64_t o, int64_t most, int64_t *places,
                        double *wide) {
  const double ratio = 1 / a->scale, stretch = fmax(ratio, 1), support = support_of(r, a),
               centre = ((double)o + 0.5) * ratio;
  const int64_t first = (int64_t)fmax(trunc(centre - support + 0.5), 0);
  const int64_t last = (int64_t)fmin(trunc(centre + support + 0.5), (double)a->in);
  for (int64_t k = 0; k < most; k++) {
    const double d = ((double)(first + k) - centre + 0.5) / stretch;
    places[k] = inside((double)(first + k), a->in);
    wide[k] = first + k >= last ? 0 : r->mode == BICUBIC_PILLOW ? keys(d, r->cube) : fmax(0, 1 - fabs(d));
  }
}

static void taps_of(const resize *r, const axis *a, int64_t o, int64_t most, int64_t *places, double *wide,
                    float *weights) {
  const float at = position(r, a, o);
  if (a->identity || r->mode == NEAREST) {
    places[0] = a->identity ? o : nearest(r, a, at);
    weights[0] = 1;
  } else if (r->mode == LINEAR_ONNX) {
    const float clipped = fminf(fmaxf(at, 0), (float)(a->in - 1));
    places[0] = (int64_t)floorf(clipped);
    places[1] = places[0] + 1 < a->in ? places[0] + 1 : a->in - 1;
    weights[1] = clipped - (float)places[0];
    weights[0] = 1 - weights[1];
  } else if (r->mode == CUBIC) {
    const double low = floor(at), t = at - low;
    for (int k = 0; k < 4; k++) {
      places[k] = inside(low + k - 1, a->in);
      weights[k] = (float)keys(t - (k - 1), r->cube);
    }
  } else {
    if (r->mode == LINEAR)
      linear_taps(r, a, at, most, places, wide);
    else
      pillow_taps(r, a, o, most, places, wide);
    normalise(weights, wide, most);
  }
}

static int add_axis(const resize *r, const axis *a, int64_t stride, int64_t most, tables *t) {
  int64_t *places = malloc((size_t)most * sizeof *places);
  double *wide = malloc((size_t)most * sizeof *wide);
  float *weights = malloc((size_t)most * sizeof *weights);
  int good = places && wide && weights;
  for (int64_t o = 0; good && o < a->out; o++) {
    taps_of(r, a, o, most, places, wide, weights);
    for (int64_t k = 0; good && k < most; k++) {
      good = gpu_grow(&t->places, sizeof *t->places, t->count, &t->place_capacity) &&
             gpu_grow(&t->weights, sizeof *t->weights, t->count, &t->weight_capacity);
      if (!good) break;
      t->places[t->count] = (int32_t)(places[k] * stride);
      t->weights[t->count++] = weights[k];
    }
  }
  free(places);
  free(wide);
  free(weights);
  return good;
}

static iec_status launch(gpu_plan *plan, gpu_op *op, const params *p, const tables *t, iec_error *err) {
  const gpu_value *x = op->inputs[0], *y = op->outputs[0];
  const int real = x->dtype == IEC_F32;
  gpu_launch *made = gpu_launch_kernel(plan, op, "resample", "resample",
                                       real ? "-DT_REAL=1" : gpu_word_option(plan, x), err);
  if (!made) return IEC_GENERAL_ERROR;
  gpu_arg_value(made, x);
  gpu_arg_value(made, y);
  gpu_arg_bytes(made, p, sizeof *p);
  GPU_TRY(gpu_arg_constant(plan, made, t->places, (size_t)t->count * sizeof *t->places, err));
  GPU_TRY(gpu_arg_constant(plan, made, t->weights, (size_t)t->count * sizeof *t->weights, err));
  gpu_launch_size(made, (int64_t)p->out[0] * p->out[1] * p->out[2], p->planes, 1);
  return IEC_OK;
}

static iec_status plan_resample(gpu_plan *plan, gpu_op *op, iec_error *err) {
  resize r = {0};
  if (!describe(op, &r)) return gpu_fail(err, IEC_UNEXPECTED, op->layer, "the node has changed");
  params p = {.planes = (int32_t)r.planes, .in_area = 1};
  tables t = {0};
  int64_t stride[3] = {0, 0, 1};
  stride[1] = r.axes[2].in;
  stride[0] = stride[1] * r.axes[1].in;
  p.in_area = (int32_t)(stride[0] * r.axes[0].in);
  iec_status status = IEC_OK;
  for (int i = 0; i < 3 && !status; i++) {
    p.out[i] = (int32_t)r.axes[i].out;
    p.taps[i] = (int32_t)most_taps(&r, &r.axes[i]);
    p.first[i] = t.count;
    if (!add_axis(&r, &r.axes[i], stride[i], p.taps[i], &t)) status = gpu_no_memory(err);
  }
  if (!status) status = launch(plan, op, &p, &t, err);
  free(t.places);
  free(t.weights);
  return status;
}

const gpu_kind gpu_kinds_resample[] = {{"Interpolate", supports, NULL, plan_resample}, {0}};
