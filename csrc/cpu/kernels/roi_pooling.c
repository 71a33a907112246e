/* SPDX-License-Identifier: Apache-2.0 */
/* Kind ROIPooling: maximum or bilinear sample of each bin of a region. Rule: IR 6.6. */
#include "cpu/kernels/roi.h"

typedef struct roi_state {
  int64_t images, channels, height, width, regions, bins_h, bins_w;
  int32_t bilinear;
  float scale;
} roi_state;

static int32_t supports(const cpu_node *node) {
  if (!op_ports(node, 2, 1) || !op_is(node, 0, IEC_F32) || !op_is(node, 1, IEC_F32)) return 0;
  const cpu_tensor *x = node->inputs[0], *rois = node->inputs[1], *y = node->outputs[0];
  const char *method = op_text(node, "method", "max");
  if (strcmp(method, "max") != 0 && strcmp(method, "bilinear") != 0) return 0;
  if (x->ndim != 4 || op_count(x) < 1 || rois->ndim < 2 || op_count(rois) != op_times(rois->shape[0], 5))
    return 0;
  if (y->ndim != 4 || y->dtype != IEC_F32 || y->shape[0] != rois->shape[0] || y->shape[1] != x->shape[1])
    return 0;
  return y->shape[2] > 0 && y->shape[3] > 0 ? 10 : 0;
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(roi_state), out, err);
  if (status != IEC_OK) return status;
  const cpu_tensor *x = node->inputs[0], *y = node->outputs[0];
  roi_state *s = out->state;
  *s = (roi_state){x->shape[0],
                   x->shape[1],
                   x->shape[2],
                   x->shape[3],
                   y->shape[0],
                   y->shape[2],
                   y->shape[3],
                   strcmp(op_text(node, "method", "max"), "bilinear") == 0,
                   (float)op_float(node, "spatial_scale", 1)};
  out->cost = 16.0 * (double)op_count(y);
  out->exec_type = "roi_pooling_" CPU_ISA_NAME;
  return IEC_OK;
}

/* Rounded half away from zero, within +-2^24: beyond any map, and far from overflow. NaN is 0. */
static int64_t pixel(float v) {
  return isnan(v) ? 0 : (int64_t)roundf(fminf(fmaxf(v, -16777216.0f), 16777216.0f));
}

static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

static float max_bin(const roi_state *s, const float *x, int64_t top, int64_t bottom, int64_t left,
                     int64_t right) {
  float best = 0;
  int first = 1;
  for (int64_t i = op_max(top, 0); i < op_min(bottom, s->height); i++)
    for (int64_t j = op_max(left, 0); j < op_min(right, s->width); j++) {
      float v = x[i * s->width + j];
      if (first || v > best) best = v;
      first = 0;
    }
  return best;
}

static void pool_max(const roi_state *s, const float *x, const float *roi, float *y) {
  int64_t x0 = pixel(roi[1] * s->scale), y0 = pixel(roi[2] * s->scale);
  int64_t w = op_max(pixel(roi[3] * s->scale) - x0 + 1, 1), h = op_max(pixel(roi[4] * s->scale) - y0 + 1, 1);
  for (int64_t i = 0; i < s->bins_h; i++)
    for (int64_t j = 0; j < s->bins_w; j++) {
      int64_t top = y0 + floor_div(i * h, s->bins_h), bottom = y0 - floor_div(-(i + 1) * h, s->bins_h);
      int64_t left = x0 + floor_div(j * w, s->bins_w), right = x0 - floor_div(-(j + 1) * w, s->bins_w);
      *y++ = max_bin(s, x, top, bottom, left, right);
    }
}

static void pool_bilinear(const roi_state *s, const float *x, const float *roi, float *y) {
  for (int64_t i = 0; i < s->bins_h; i++)
    for (int64_t j = 0; j < s->bins_w; j++)
      *y++ = roi_sample(x, s->height, s->width, roi_point(roi[2], roi[4], i, s->bins_h, s->height),
                        roi_point(roi[1], roi[3], j, s->bins_w, s->width));
}

static void run(const void *state, const cpu_run *r) {
  const roi_state *s = state;
  const float *x = r->inputs[0], *rois = r->inputs[1];
  int64_t b, e, plane = s->height * s->width, bins = s->bins_h * s->bins_w,
                listed = roi_listed(rois, s->regions);
  while (cpu_next(r, s->regions * s->channels, op_max(1, 1024 / bins), &b, &e))
    for (; b < e; b++) {
      int64_t region = b / s->channels, image = roi_image(rois[region * 5], s->images);
      float *y = (float *)r->outputs[0] + b * bins;
      if (region >= listed || image < 0) {
        memset(y, 0, (size_t)bins * sizeof(float));
        continue;
      }
      (s->bilinear ? pool_bilinear : pool_max)(s, x + (image * s->channels + b % s->channels) * plane,
                                               rois + region * 5, y);
    }
}

const cpu_kernel IEC_ISA(cpu_kernel_roi_pooling) = {
    .kind = "ROIPooling", .name = "roi_pooling", .supports = supports, .prepare = prepare, .run = run};
