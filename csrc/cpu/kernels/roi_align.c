/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds ROIAlign and ROIFeatureExtractor: bilinear samples inside each bin of a region, averaged or their
 * maximum. */
#include "cpu/kernels/roi.h"

#define MAX_LEVELS 16
#define LANES 16 /* channels that share the positions of the samples */

typedef struct align_state {
  int64_t regions, channels, bins_h, bins_w, levels; /* levels 0: ROIAlign */
  int64_t images, height[MAX_LEVELS], width[MAX_LEVELS];
  int32_t ratio, take_max, aligned,
      wide; /* aligned: regions may be smaller than a pixel; wide: int64 images */
  float scale[MAX_LEVELS], before, after; /* corner = (corner + before) * scale - after */
} align_state;

static int32_t supports_align(const cpu_node *node) {
  if (!op_ports(node, 3, 1) || !op_is(node, 0, IEC_F32) || !op_is(node, 1, IEC_F32)) return 0;
  const cpu_tensor *x = node->inputs[0], *rois = node->inputs[1], *images = node->inputs[2],
                   *y = node->outputs[0];
  if (x->ndim != 4 || op_count(x) < 1 || rois->ndim != 2 || rois->shape[1] != 4) return 0;
  if ((images->dtype != IEC_I32 && images->dtype != IEC_I64) || op_count(images) != rois->shape[0]) return 0;
  if (y->ndim != 4 || y->dtype != IEC_F32 || y->shape[0] != rois->shape[0] || y->shape[1] != x->shape[1])
    return 0;
  return y->shape[2] > 0 && y->shape[3] > 0 && op_int(node, "sampling_ratio", 0) >= 0 ? 10 : 0;
}

static int32_t supports_levels(const cpu_node *node) {
  size_t scales;
  if (!op_ports(node, 2, 1) || node->input_count > MAX_LEVELS + 1 || !op_is(node, 0, IEC_F32)) return 0;
  const cpu_tensor *rois = node->inputs[0], *first = node->inputs[1], *y = node->outputs[0];
  const int64_t *list = op_ints(node, "pyramid_scales", &scales);
  if (rois->ndim != 2 || rois->shape[1] != 4 || (int64_t)scales < node->input_count - 1) return 0;
  for (int i = 1; i < node->input_count; i++) {
    const cpu_tensor *x = op_in(node, i);
    if (!x || x->dtype != IEC_F32 || x->ndim != 4 || x->shape[0] != 1 || op_count(x) < 1) return 0;
    if (x->shape[1] != first->shape[1] || list[i - 1] < 1) return 0;
  }
  if (y->ndim != 4 || y->dtype != IEC_F32 || y->shape[0] != rois->shape[0] || y->shape[1] != first->shape[1])
    return 0;
  return y->shape[2] > 0 && y->shape[3] > 0 && op_int(node, "sampling_ratio", 0) >= 0 ? 10 : 0;
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(align_state), out, err);
  if (status != IEC_OK) return status;
  align_state *s = out->state;
  const cpu_tensor *y = node->outputs[0];
  const char *mode = op_text(node, "aligned_mode", "asymmetric");
  size_t count;
  const int64_t *scales = op_ints(node, "pyramid_scales", &count);
  s->regions = y->shape[0];
  s->channels = y->shape[1];
  s->bins_h = y->shape[2];
  s->bins_w = y->shape[3];
  s->ratio = (int32_t)op_min(op_int(node, "sampling_ratio", 0), ROI_MAX_SAMPLES);
  s->take_max = strcmp(op_text(node, "mode", "avg"), "max") == 0;
  int extractor = strcmp(node->kind, "ROIFeatureExtractor") == 0;
  s->levels = extractor ? node->input_count - 1 : 0;
  s->aligned = extractor ? op_int(node, "aligned", 0) != 0 : strcmp(mode, "asymmetric") != 0;
  s->before = !extractor && strcmp(mode, "half_pixel") == 0 ? 0.5f : 0;
  s->after = s->aligned ? 0.5f : 0;
  for (int i = 0; i < (extractor ? (int)s->levels : 1); i++) {
    const cpu_tensor *x = node->inputs[extractor ? i + 1 : 0];
    s->images = x->shape[0];
    s->height[i] = x->shape[2];
    s->width[i] = x->shape[3];
    s->scale[i] = extractor ? 1.0f / (float)scales[i] : (float)op_float(node, "spatial_scale", 1);
  }
  s->wide = !extractor && node->inputs[2]->dtype == IEC_I64;
  out->cost = 8.0 * (double)op_count(y) * (double)(s->ratio ? s->ratio * s->ratio : 4);
  out->exec_type = "roi_align_" CPU_ISA_NAME;
  return IEC_OK;
}

typedef struct tap { /* lower and upper pixel of a sample on an axis, weight of the upper one */
  int64_t low, high;
  float part;
} tap;

/* 0 when the sample lies outside. */
static int find_tap(float at, int64_t size, tap *t) {
  if (!(at >= -1 && at <= (float)size)) return 0;
  at = fminf(fmaxf(at, 0), (float)(size - 1));
  t->low = op_min((int64_t)at, size - 1); /* as a float it may round up */
  t->high = op_min(t->low + 1, size - 1);
  t->part = at - (float)t->low;
  return 1;
}

typedef struct align_view { /* one region */
  const float *x;           /* its image */
  int64_t height, width, samples_x, samples_y;
  float x0, y0, bin_x, bin_y;
} align_view;

static int64_t samples_of(const align_state *s, float bin) {
  if (s->ratio) return isfinite(bin) ? s->ratio : 0;
  return bin > 0 && isfinite(bin) ? (int64_t)fminf(ceilf(bin), ROI_MAX_SAMPLES) : 0;
}

/* Finds the map of a region; 0 when it has none. */
static int find_view(const align_state *s, const cpu_run *r, int64_t region, align_view *v) {
  const float *roi = (const float *)r->inputs[s->levels ? 0 : 1] + region * 4;
  int64_t level = 0, image = 0;
  if (s->levels) {
    float area = (roi[2] - roi[0]) * (roi[3] - roi[1]);
    if (!(area > 0) || !isfinite(area)) return 0;
    float at = floorf(2.0f + log2f(sqrtf(area) / 224.0f + 1e-6f));
    level = at<0 ? 0 : at>(float)(s->levels - 1) ? s->levels - 1 : (int64_t)at;
  } else {
    image = s->wide ? ((const int64_t *)r->inputs[2])[region] : ((const int32_t *)r->inputs[2])[region];
    if (image < 0 || image >= s->images) return 0;
  }
  float scale = s->scale[level];
  float x1 = (roi[2] + s->before) * scale - s->after, y1 = (roi[3] + s->before) * scale - s->after;
  v->height = s->height[level];
  v->width = s->width[level];
  v->x = (const float *)r->inputs[s->levels ? level + 1 : 0] + image * s->channels * v->height * v->width;
  v->x0 = (roi[0] + s->before) * scale - s->after;
  v->y0 = (roi[1] + s->before) * scale - s->after;
  float w = x1 - v->x0, h = y1 - v->y0;
  v->bin_x = (s->aligned ? w : fmaxf(w, 1)) / (float)s->bins_w;
  v->bin_y = (s->aligned ? h : fmaxf(h, 1)) / (float)s->bins_h;
  v->samples_x = samples_of(s, v->bin_x);
  v->samples_y = samples_of(s, v->bin_y);
  return v->samples_x > 0 && v->samples_y > 0;
}

/* One bin of `lanes` channels from x on. */
static void one_bin(const align_state *s, const align_view *v, const float *x, int64_t i, int64_t j,
                    int64_t lanes, float *result) {
  float step_y = v->bin_y / (float)v->samples_y, step_x = v->bin_x / (float)v->samples_x;
  int64_t plane = v->height * v->width;
  for (int64_t c = 0; c < lanes; c++) result[c] = 0;
  for (int64_t a = 0; a < v->samples_y; a++) {
    tap ty, tx;
    if (!find_tap(v->y0 + (float)i * v->bin_y + ((float)a + 0.5f) * step_y, v->height, &ty)) continue;
    for (int64_t b = 0; b < v->samples_x; b++) {
      if (!find_tap(v->x0 + (float)j * v->bin_x + ((float)b + 0.5f) * step_x, v->width, &tx)) continue;
      float w0 = (1 - ty.part) * (1 - tx.part), w1 = (1 - ty.part) * tx.part;
      float w2 = ty.part * (1 - tx.part), w3 = ty.part * tx.part;
      const float *upper = x + ty.low * v->width, *lower = x + ty.high * v->width;
      for (int64_t c = 0; c < lanes; c++, upper += plane, lower += plane) {
        float value = upper[tx.low] * w0 + upper[tx.high] * w1 + lower[tx.low] * w2 + lower[tx.high] * w3;
        if (!s->take_max)
          result[c] += value;
        else if (value > result[c])
          result[c] = value;
      }
    }
  }
  if (s->take_max) return;
  for (int64_t c = 0; c < lanes; c++) result[c] /= (float)(v->samples_y * v->samples_x);
}

static void run(const void *state, const cpu_run *r) {
  const align_state *s = state;
  int64_t b, e, strips = op_div_up(s->channels, LANES), bins = s->bins_h * s->bins_w;
  float result[LANES];
  while (cpu_next(r, s->regions * strips, 1, &b, &e)) {
    int64_t region = b / strips, c = b % strips * LANES, lanes = op_min(LANES, s->channels - c);
    float *y = (float *)r->outputs[0] + (region * s->channels + c) * bins;
    align_view v;
    memset(y, 0, (size_t)(lanes * bins) * sizeof(float));
    if (!find_view(s, r, region, &v)) continue;
    for (int64_t i = 0; i < bins; i++) {
      one_bin(s, &v, v.x + c * v.height * v.width, i / s->bins_w, i % s->bins_w, lanes, result);
      for (int64_t k = 0; k < lanes; k++) y[k * bins + i] = result[k];
    }
  }
}

const cpu_kernel IEC_ISA(cpu_kernel_roi_align) = {
    .kind = "ROIAlign", .name = "roi_align", .supports = supports_align, .prepare = prepare, .run = run};
const cpu_kernel IEC_ISA(cpu_kernel_roi_levels) = {.kind = "ROIFeatureExtractor",
                                                   .name = "roi_levels",
                                                   .supports = supports_levels,
                                                   .prepare = prepare,
                                                   .run = run};
