/* SPDX-License-Identifier: Apache-2.0 */
/* Regions [image, x0, y0, x1, y1] of feature maps: which count, and bilinear samples of a map. */
#ifndef IEC_CPU_ROI_H
#define IEC_CPU_ROI_H
#include <math.h>

#include "cpu/kernels/common.h"

/* Samples of a bin on an axis, at most: a bin is that many pixels wide only where numbers are broken, and
 * then the mean of fewer samples serves as well; without a limit such a region takes minutes. */
#define ROI_MAX_SAMPLES 1024

/* Regions before the one with image -1, which ends the list. */
static inline int64_t roi_listed(const float *rois, int64_t count) {
  int64_t n = 0;
  while (n < count && rois[5 * n] != -1.0f) n++;
  return n;
}

/* Number of an image, -1 when there is no such image. */
static inline int64_t roi_image(float number, int64_t images) {
  return number >= 0 && number < (float)images ? (int64_t)number : -1;
}

/* Point i of `count` from start to end, which are parts of an axis of `size`; a single point lies in the
 * middle. */
static inline float roi_point(float start, float end, int64_t i, int64_t count, int64_t size) {
  float last = (float)(size - 1);
  if (count == 1) return (start + end) * last * 0.5f;
  return (float)i * ((end - start) * last / (float)(count - 1)) + start * last;
}

/* Value of a map at a point; 0 outside. */
static inline float roi_sample(const float *x, int64_t height, int64_t width, float at_y, float at_x) {
  if (!(at_y >= 0 && at_y <= (float)(height - 1) && at_x >= 0 && at_x <= (float)(width - 1))) return 0;
  int64_t top = op_min((int64_t)at_y, height - 1),
          left = op_min((int64_t)at_x, width - 1); /* size - 1 rounds */
  int64_t bottom = op_min((int64_t)ceilf(at_y), height - 1), right = op_min((int64_t)ceilf(at_x), width - 1);
  float dy = at_y - (float)top, dx = at_x - (float)left;
  float upper = x[top * width + left] + (x[top * width + right] - x[top * width + left]) * dx;
  float lower = x[bottom * width + left] + (x[bottom * width + right] - x[bottom * width + left]) * dx;
  return upper + (lower - upper) * dy;
}
#endif
