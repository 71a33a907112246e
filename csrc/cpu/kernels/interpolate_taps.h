/* SPDX-License-Identifier: Apache-2.0 */
/* Which input positions make each output position of one axis, and with which weights: the filters of kind
 * Interpolate. */
#ifndef IEC_CPU_INTERPOLATE_TAPS_H
#define IEC_CPU_INTERPOLATE_TAPS_H
#include <math.h>

#include "cpu/kernels/common.h"

typedef enum { NEAREST, LINEAR, LINEAR_ONNX, CUBIC, BILINEAR_PILLOW, BICUBIC_PILLOW } interpolate_mode;
typedef enum {
  HALF_PIXEL,
  PYTORCH_HALF_PIXEL,
  ASYMMETRIC,
  TF_HALF_PIXEL_FOR_NN,
  ALIGN_CORNERS
} interpolate_coordinates;
typedef enum { PREFER_FLOOR, PREFER_CEIL, FLOOR, CEIL, SIMPLE } interpolate_rounding;

typedef struct interpolate_axis {
  int64_t in, out;
  double scale, cube;
  interpolate_mode mode;
  interpolate_coordinates coordinates;
  interpolate_rounding rounding;
  int antialias;
} interpolate_axis;

typedef struct interpolate_tap {
  int64_t at;
  float weight;
} interpolate_tap;

/* 1 when the axis is left as it is. */
static inline int interpolate_identity(const interpolate_axis *a) {
  return a->in == a->out && a->scale == 1 && a->coordinates != TF_HALF_PIXEL_FOR_NN;
}

static inline double pillow_support(const interpolate_axis *a) {
  return (a->mode == BICUBIC_PILLOW ? 2.0 : 1.0) * fmax(1 / a->scale, 1.0);
}

static inline int64_t linear_radius(const interpolate_axis *a) {
  double k = a->antialias ? (double)(float)a->scale : 1.0;
  return a->scale > 1 ? 2 : (int64_t)op_min(a->in, (int64_t)fmin(ceil(2 / k), 1e9));
}

/* Taps that one output position has at most. */
static inline int64_t interpolate_most(const interpolate_axis *a) {
  switch (a->mode) {
    case NEAREST: return 1;
    case LINEAR: return op_min(a->in, 2 * linear_radius(a) + 1);
    case LINEAR_ONNX: return 2;
    case CUBIC: return 4;
    default: return op_min(a->in, (int64_t)fmin(2 * pillow_support(a) + 2, 1e9));
  }
}

/* Position of output o in the input, in single precision as the original computes it. */
static inline float interpolate_position(const interpolate_axis *a, int64_t o) {
  float s = (float)a->scale, x = (float)o;
  switch (a->coordinates) {
    case ASYMMETRIC: return x / s;
    case TF_HALF_PIXEL_FOR_NN: return (x + 0.5f) / s;
    case ALIGN_CORNERS: return a->out > 1 ? x * (float)(a->in - 1) / (float)(a->out - 1) : 0.0f;
    case PYTORCH_HALF_PIXEL:
      if (a->out == 1) return 0.0f; /* fall through */
    default: return (x + 0.5f) / s - 0.5f;
  }
}

/* A rounded position as an index; the limits keep the cast defined. */
static inline int64_t interpolate_index(double v) { return (int64_t)fmin(fmax(v, -1e9), 4e18); }

static inline int64_t interpolate_clip(int64_t i, int64_t n) { return i < 0 ? 0 : i >= n ? n - 1 : i; }

static inline int64_t nearest_index(const interpolate_axis *a, float p) {
  float v;
  switch (a->rounding) {
    case PREFER_FLOOR: v = ceilf(p - 0.5f); break;
    case PREFER_CEIL: v = floorf(p + 0.5f); break;
    case FLOOR: v = floorf(p); break;
    case CEIL: v = ceilf(p); break;
    default: v = a->scale < 1 ? ceilf(p) : truncf(p); break;
  }
  return interpolate_clip(interpolate_index((double)v), a->in);
}

/* Adds a weight; taps on the same input position are joined, zero weights left out. */
static inline int64_t interpolate_add(interpolate_tap *taps, int64_t count, int64_t at, double weight) {
  if (weight == 0) return count;
  if (count && taps[count - 1].at == at) {
    taps[count - 1].weight += (float)weight;
    return count;
  }
  taps[count].at = at;
  taps[count].weight = (float)weight;
  return count + 1;
}

static inline double pillow_filter(const interpolate_axis *a, double d) {
  double k = a->cube;
  d = fabs(d);
  if (a->mode != BICUBIC_PILLOW) return fmax(0.0, 1.0 - d);
  if (d < 1) return ((k + 2) * d - (k + 3)) * d * d + 1;
  return d < 2 ? (((d - 5) * d + 8) * d - 4) * k : 0.0;
}

static inline double linear_filter(const interpolate_axis *a, float p, int64_t i) {
  double k = a->antialias ? (double)(float)a->scale : 1.0;
  return fmax(0.0, 1.0 - fabs(k * (double)(p - (float)i)));
}

/* Window filters: weights inside the input, scaled to the sum 1; nothing when the sum is 0. */
static inline int64_t window_taps(const interpolate_axis *a, int64_t o, interpolate_tap *taps) {
  int pillow = a->mode != LINEAR;
  float p = 0;
  double centre = 0, stretch = 1, sum = 0;
  int64_t first, last;
  if (pillow) {
    stretch = fmax(1 / a->scale, 1.0);
    centre = ((double)o + 0.5) * (1 / a->scale);
    first = op_max(0, interpolate_index(trunc(centre - pillow_support(a) + 0.5)));
    last = op_min(a->in, interpolate_index(trunc(centre + pillow_support(a) + 0.5))) - 1;
  } else {
    p = interpolate_position(a, o);
    int64_t middle = interpolate_index((double)(p < 0 ? ceilf(p - 0.5f) : floorf(p + 0.5f)));
    first = op_max(0, middle - linear_radius(a));
    last = op_min(a->in - 1, middle + linear_radius(a));
  }
  for (int64_t i = first; i <= last; i++)
    sum += pillow ? pillow_filter(a, ((double)i - centre + 0.5) / stretch) : linear_filter(a, p, i);
  if (sum == 0) return 0;
  int64_t count = 0, most = interpolate_most(a);
  for (int64_t i = first; i <= last && count < most; i++) {
    double w = pillow ? pillow_filter(a, ((double)i - centre + 0.5) / stretch) : linear_filter(a, p, i);
    count = interpolate_add(taps, count, i, w / sum);
  }
  return count;
}

/* Taps of output position o, in rising order; returns how many, at most interpolate_most. */
static inline int64_t interpolate_taps(const interpolate_axis *a, int64_t o, interpolate_tap *taps) {
  float p = interpolate_position(a, o);
  if (interpolate_identity(a)) return interpolate_add(taps, 0, o, 1);
  if (a->mode == NEAREST) return interpolate_add(taps, 0, nearest_index(a, p), 1);
  if (a->mode == LINEAR_ONNX) {
    p = fminf(fmaxf(p, 0.0f), (float)(a->in - 1));
    int64_t low = interpolate_clip((int64_t)p, a->in);
    float high = p - (float)low;
    int64_t count = interpolate_add(taps, 0, low, (double)(1 - high));
    return interpolate_add(taps, count, op_min(low + 1, a->in - 1), (double)high);
  }
  if (a->mode != CUBIC) return window_taps(a, o, taps);
  double k = a->cube, t = (double)(p - floorf(p)), weights[4];
  int64_t low = interpolate_index((double)floorf(p)), count = 0;
  weights[0] = k * (t - 1) * (t - 1) * t;
  weights[1] = ((k + 2) * t - (k + 3)) * t * t + 1;
  weights[2] = ((-k - 2) * t + (2 * k + 3)) * t * t - k * t;
  weights[3] = -k * t * t * (t - 1);
  for (int i = 0; i < 4; i++)
    count = interpolate_add(taps, count, interpolate_clip(low - 1 + i, a->in), weights[i]);
  return count;
}
#endif
