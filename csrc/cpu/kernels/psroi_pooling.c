/* SPDX-License-Identifier: Apache-2.0 */
/* Kind PSROIPooling: bins of a region, each with channels of its own: averages, samples, shifted samples.
 * Rule: IR 6.7. */
#include "cpu/kernels/roi.h"

enum { AVERAGE, BILINEAR, DEFORMABLE };
static const char *const modes[] = {"average", "bilinear", "bilinear_deformable"};

typedef struct psroi_state {
  int64_t images, channels, height, width, regions, dim, group, bins_x, bins_y, part,
      classes; /* classes: of offsets */
  int32_t mode, crossed;
  float scale, trans_std;
} psroi_state;

static int describe(const cpu_node *node, psroi_state *s) {
  if (!op_ports(node, 2, 1) || !op_is(node, 0, IEC_F32) || !op_is(node, 1, IEC_F32)) return 0;
  const cpu_tensor *x = node->inputs[0], *rois = node->inputs[1], *trans = op_in(node, 2),
                   *y = node->outputs[0];
  if (x->ndim != 4 || op_count(x) < 1 || rois->ndim < 2 || op_count(rois) != op_times(rois->shape[0], 5))
    return 0;
  *s = (psroi_state){
      x->shape[0], x->shape[1], x->shape[2], x->shape[3], rois->shape[0], 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  s->mode = op_choice(op_text(node, "mode", ""), modes, 3);
  s->dim = op_int(node, "output_dim", 0);
  s->group = op_int(node, "group_size", 0);
  s->bins_x = op_int(node, "spatial_bins_x", 1);
  s->bins_y = op_int(node, "spatial_bins_y", 1);
  s->part = op_int(node, "part_size", 1);
  if (s->mode < 0 || s->dim < 1 || s->group < 1 || s->bins_x < 1 || s->bins_y < 1 || s->part < 1) return 0;
  if (s->group > INT32_MAX || s->bins_x > INT32_MAX || s->bins_y > INT32_MAX || s->part > INT32_MAX) return 0;
  if (s->mode == DEFORMABLE && (s->bins_x > ROI_MAX_SAMPLES || s->bins_y > ROI_MAX_SAMPLES)) return 0;
  int64_t parts = s->mode == BILINEAR ? s->bins_x * s->bins_y : s->group * s->group;
  if (s->channels % parts != 0 || s->channels / parts != s->dim) return 0;
  if (y->dtype != IEC_F32 || op_count(y) != op_times(op_times(s->regions, s->dim), s->group * s->group))
    return 0;
  s->classes = 0;
  if (!trans) return 1;
  if (s->mode != DEFORMABLE || trans->dtype != IEC_F32 || trans->ndim != 4 || trans->shape[0] != s->regions)
    return 0;
  s->classes = trans->shape[1] / 2;
  if (s->classes < 1 || trans->shape[1] % 2 || s->dim % s->classes) return 0;
  return trans->shape[2] == s->part && trans->shape[3] == s->part;
}

static int32_t supports(const cpu_node *node) {
  psroi_state s;
  return describe(node, &s) ? 10 : 0;
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(psroi_state), out, err);
  if (status != IEC_OK) return status;
  psroi_state *s = out->state;
  describe(node, s);
  s->crossed = op_int(node, "crossed_steps", 0) != 0;
  s->scale = (float)op_float(node, "spatial_scale", 1);
  s->trans_std = (float)op_float(node, "trans_std", 1);
  out->cost = 16.0 * (double)op_count(node->outputs[0]) * (double)(s->bins_x * s->bins_y);
  out->exec_type = "psroi_pooling_" CPU_ISA_NAME;
  return IEC_OK;
}

/* A pixel position as an index of 0..size, NaN is 0. */
static int64_t bound(float v, int64_t size) { return v > 0 ? v < (float)size ? (int64_t)v : size : 0; }

static float average(const psroi_state *s, const float *image, const float *roi, int64_t c, int64_t i,
                     int64_t j) {
  float x0 = roundf(roi[1]) * s->scale, y0 = roundf(roi[2]) * s->scale;
  float x1 = (roundf(roi[3]) + 1) * s->scale, y1 = (roundf(roi[4]) + 1) * s->scale;
  float step_x = fmaxf(x1 - x0, 0.1f) / (float)s->group, step_y = fmaxf(y1 - y0, 0.1f) / (float)s->group;
  int64_t top = bound(floorf((float)i * step_y + y0), s->height);
  int64_t bottom = bound(ceilf((float)(i + 1) * step_y + y0), s->height);
  int64_t left = bound(floorf((float)j * step_x + x0), s->width);
  int64_t right = bound(ceilf((float)(j + 1) * step_x + x0), s->width);
  const float *x = image + ((c * s->group + i) * s->group + j) * s->height * s->width;
  double sum = 0;
  if (bottom <= top || right <= left) return 0;
  for (int64_t y = top; y < bottom; y++)
    for (int64_t k = left; k < right; k++) sum += x[y * s->width + k];
  return (float)(sum / (double)((bottom - top) * (right - left)));
}

static float bilinear(const psroi_state *s, const float *image, const float *roi, int64_t c, int64_t i,
                      int64_t j) {
  float x0 = roi[1] * s->scale, y0 = roi[2] * s->scale, sum = 0;
  float step_x = (roi[3] * s->scale - x0) / (float)s->bins_x,
        step_y = (roi[4] * s->scale - y0) / (float)s->bins_y;
  for (int64_t by = 0; by < s->bins_y; by++)
    for (int64_t bx = 0; bx < s->bins_x; bx++) {
      const float *x = image + ((by * s->bins_x + bx) * s->dim + c) * s->height * s->width;
      float low_x = x0 + (float)bx * step_x, low_y = y0 + (float)by * step_y;
      sum += roi_sample(x, s->height, s->width, roi_point(low_y, low_y + step_y, i, s->group, s->height),
                        roi_point(low_x, low_x + step_x, j, s->group, s->width));
    }
  return sum / (float)(s->bins_x * s->bins_y);
}

static float deformable(const psroi_state *s, const float *image, const float *roi, const float *trans,
                        int64_t c, int64_t i, int64_t j) {
  float x0 = roundf(roi[1]) * s->scale - 0.5f, y0 = roundf(roi[2]) * s->scale - 0.5f;
  float w = fmaxf((roundf(roi[3]) + 1) * s->scale - 0.5f - x0, 0.1f);
  float h = fmaxf((roundf(roi[4]) + 1) * s->scale - 0.5f - y0, 0.1f);
  float bin_x = w / (float)s->group, bin_y = h / (float)s->group, shift_x = 0, shift_y = 0, sum = 0;
  float step_x = bin_x / (float)(s->crossed ? s->bins_y : s->bins_x);
  float step_y = bin_y / (float)(s->crossed ? s->bins_x : s->bins_y);
  if (trans) {
    int64_t k = c / (s->dim / s->classes), at = i * s->part / s->group * s->part + j * s->part / s->group;
    shift_x = trans[2 * k * s->part * s->part + at] * s->trans_std * w;
    shift_y = trans[(2 * k + 1) * s->part * s->part + at] * s->trans_std * h;
  }
  const float *x = image + ((c * s->group + i) * s->group + j) * s->height * s->width;
  float right = (float)s->width, bottom = (float)s->height;
  int64_t count = 0;
  for (int64_t by = 0; by < s->bins_y; by++)
    for (int64_t bx = 0; bx < s->bins_x; bx++) {
      float at_x = (float)j * bin_x + x0 + shift_x + (float)bx * step_x;
      float at_y = (float)i * bin_y + y0 + shift_y + (float)by * step_y;
      if (!(at_x >= -0.5f && at_x <= right - 0.5f && at_y >= -0.5f && at_y <= bottom - 0.5f)) continue;
      sum += roi_sample(x, s->height, s->width, fminf(fmaxf(at_y, 0), bottom - 1),
                        fminf(fmaxf(at_x, 0), right - 1));
      count++;
    }
  return count ? sum / (float)count : 0;
}

static void run(const void *state, const cpu_run *r) {
  const psroi_state *s = state;
  const float *rois = r->inputs[1], *offsets = s->classes ? r->inputs[2] : NULL;
  int64_t b, e, bins = s->group * s->group, listed = roi_listed(rois, s->regions);
  while (cpu_next(r, s->regions * s->dim, op_max(1, 64 / bins), &b, &e))
    for (; b < e; b++) {
      int64_t region = b / s->dim, c = b % s->dim, image = roi_image(rois[region * 5], s->images);
      float *y = (float *)r->outputs[0] + b * bins;
      const float *roi = rois + region * 5;
      memset(y, 0, (size_t)bins * sizeof(float));
      if (region >= listed || image < 0) continue;
      const float *x = (const float *)r->inputs[0] + image * s->channels * s->height * s->width;
      const float *trans = offsets ? offsets + region * 2 * s->classes * s->part * s->part : NULL;
      for (int64_t i = 0; i < bins; i++)
        y[i] = s->mode == AVERAGE    ? average(s, x, roi, c, i / s->group, i % s->group)
               : s->mode == BILINEAR ? bilinear(s, x, roi, c, i / s->group, i % s->group)
                                     : deformable(s, x, roi, trans, c, i / s->group, i % s->group);
    }
}

const cpu_kernel IEC_ISA(cpu_kernel_psroi_pooling) = {
    .kind = "PSROIPooling", .name = "psroi_pooling", .supports = supports, .prepare = prepare, .run = run};
