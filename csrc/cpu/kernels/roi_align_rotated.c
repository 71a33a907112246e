/* SPDX-License-Identifier: Apache-2.0 */
/* Kind ROIAlignRotated: turned regions of feature maps, the mean of bilinear samples inside each bin. */
#include "cpu/kernels/roi.h"

enum { X, REGIONS, IMAGES };

typedef struct rotated_state {
  int64_t images, channels, height, width, regions, bins_h, bins_w, ratio;
  float scale, sign; /* of the angle */
  int32_t wide;      /* int64 images */
} rotated_state;

static int32_t supports(const cpu_node *node) {
  if (!op_ports(node, 3, 1) || !op_is(node, X, IEC_F32) || !op_is(node, REGIONS, IEC_F32)) return 0;
  const cpu_tensor *x = node->inputs[X], *rois = node->inputs[REGIONS], *images = node->inputs[IMAGES],
                   *y = node->outputs[0];
  if (x->ndim != 4 || op_count(x) < 1 || rois->ndim != 2 || rois->shape[1] != 5) return 0;
  if ((images->dtype != IEC_I32 && images->dtype != IEC_I64) || op_count(images) != rois->shape[0]) return 0;
  if (y->ndim != 4 || y->dtype != IEC_F32 || y->shape[0] != rois->shape[0] || y->shape[1] != x->shape[1])
    return 0;
  return y->shape[2] > 0 && y->shape[3] > 0 && op_int(node, "sampling_ratio", 0) >= 0 ? 10 : 0;
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(rotated_state), out, err);
  if (status != IEC_OK) return status;
  rotated_state *s = out->state;
  const cpu_tensor *x = node->inputs[X], *y = node->outputs[0];
  s->images = x->shape[0];
  s->channels = x->shape[1];
  s->height = x->shape[2];
  s->width = x->shape[3];
  s->regions = y->shape[0];
  s->bins_h = y->shape[2];
  s->bins_w = y->shape[3];
  s->ratio = op_min(op_int(node, "sampling_ratio", 0), ROI_MAX_SAMPLES);
  s->scale = (float)op_float(node, "spatial_scale", 1);
  s->sign = op_int(node, "clockwise", 0) ? 1.0f : -1.0f;
  s->wide = node->inputs[IMAGES]->dtype == IEC_I64;
  out->cost = 8.0 * (double)op_count(y) * (double)(s->ratio ? s->ratio * s->ratio : 4);
  out->exec_type = "roi_align_rotated_" CPU_ISA_NAME;
  return IEC_OK;
}

typedef struct rotated_view { /* one region */
  const float *x;             /* its image */
  int64_t samples_x, samples_y;
  float centre_x, centre_y, width, height, bin_x, bin_y, sine, cosine;
} rotated_view;

static int64_t samples_of(const rotated_state *s, float bin) {
  if (s->ratio) return s->ratio;
  return bin > 0 ? (int64_t)fminf(ceilf(bin), ROI_MAX_SAMPLES) : 0;
}

/* 0 when the region has no samples. */
static int find_view(const rotated_state *s, const cpu_run *r, int64_t region, rotated_view *v) {
  const float *roi = (const float *)r->inputs[REGIONS] + region * 5;
  int64_t image =
      s->wide ? ((const int64_t *)r->inputs[IMAGES])[region] : ((const int32_t *)r->inputs[IMAGES])[region];
  if (image < 0 || image >= s->images) return 0;
  for (int i = 0; i < 5; i++)
    if (!isfinite(roi[i])) return 0;
  v->x = (const float *)r->inputs[X] + image * s->channels * s->height * s->width;
  v->centre_x = roi[0] * s->scale - 0.5f;
  v->centre_y = roi[1] * s->scale - 0.5f;
  v->width = roi[2] * s->scale;
  v->height = roi[3] * s->scale;
  v->bin_x = v->width / (float)s->bins_w;
  v->bin_y = v->height / (float)s->bins_h;
  v->sine = (float)sin((double)(roi[4] * s->sign));
  v->cosine = (float)cos((double)(roi[4] * s->sign));
  v->samples_x = samples_of(s, v->bin_x);
  v->samples_y = samples_of(s, v->bin_y);
  return v->samples_x > 0 && v->samples_y > 0;
}

/* Adds the weighted neighbours of a point to the sums of all channels, `bins` apart. */
static void add_sample(const rotated_state *s, const float *x, float across, float down, float *sums,
                       int64_t bins) {
  if (!(down >= -1 && down <= (float)s->height && across >= -1 && across <= (float)s->width)) return;
  down = fminf(fmaxf(down, 0), (float)(s->height - 1));
  across = fminf(fmaxf(across, 0), (float)(s->width - 1));
  int64_t top = op_min((int64_t)down, s->height - 1), left = op_min((int64_t)across, s->width - 1);
  int64_t bottom = op_min(top + 1, s->height - 1), right = op_min(left + 1, s->width - 1);
  float dy = down - (float)top, dx = across - (float)left;
  float w0 = (1 - dy) * (1 - dx), w1 = (1 - dy) * dx, w2 = dy * (1 - dx), w3 = dy * dx;
  const float *upper = x + top * s->width, *lower = x + bottom * s->width;
  for (int64_t c = 0; c < s->channels; c++, upper += s->height * s->width, lower += s->height * s->width)
    sums[c * bins] += upper[left] * w0 + upper[right] * w1 + lower[left] * w2 + lower[right] * w3;
}

/* Leaves of the samples [*from, *to) those whose coordinate start + b * step may lie in [-1, size]; one more
 * at either end, for roundings. */
static void clip(float start, float step, int64_t size, int64_t *from, int64_t *to) {
  if (fabsf(step) < 1e-6f) return; /* add_sample looks at each */
  float first = (-1 - start) / step, last = ((float)size - start) / step;
  float least = fminf(first, last) - 1, most = fmaxf(first, last) + 2;
  if (least > (float)*from) *from = (int64_t)fminf(least, (float)*to);
  if (most < (float)*to) *to = (int64_t)fmaxf(most, 0);
}

static void one_bin(const rotated_state *s, const rotated_view *v, int64_t i, int64_t j, float *sums,
                    int64_t bins) {
  float step_y = v->bin_y / (float)v->samples_y, step_x = v->bin_x / (float)v->samples_x;
  for (int64_t a = 0; a < v->samples_y; a++) {
    float down = -v->height / 2 + ((float)(i * v->samples_y + a) + 0.5f) * step_y;
    float left = -v->width / 2 + ((float)(j * v->samples_x) + 0.5f) * step_x;
    int64_t from = 0, to = v->samples_x;
    clip(left * v->cosine - down * v->sine + v->centre_x, step_x * v->cosine, s->width, &from, &to);
    clip(left * v->sine + down * v->cosine + v->centre_y, step_x * v->sine, s->height, &from, &to);
    for (int64_t b = from; b < to; b++) {
      float across = -v->width / 2 + ((float)(j * v->samples_x + b) + 0.5f) * step_x;
      add_sample(s, v->x, across * v->cosine - down * v->sine + v->centre_x,
                 across * v->sine + down * v->cosine + v->centre_y, sums, bins);
    }
  }
  for (int64_t c = 0; c < s->channels; c++) sums[c * bins] /= (float)(v->samples_y * v->samples_x);
}

static void run(const void *state, const cpu_run *r) {
  const rotated_state *s = state;
  int64_t b, e, bins = s->bins_h * s->bins_w;
  while (cpu_next(r, s->regions, 1, &b, &e))
    for (; b < e; b++) {
      float *y = (float *)r->outputs[0] + b * s->channels * bins;
      rotated_view v;
      memset(y, 0, (size_t)(s->channels * bins) * sizeof(float));
      if (!find_view(s, r, b, &v)) continue;
      for (int64_t i = 0; i < bins; i++) one_bin(s, &v, i / s->bins_w, i % s->bins_w, y + i, bins);
    }
}

const cpu_kernel IEC_ISA(cpu_kernel_roi_align_rotated) = {.kind = "ROIAlignRotated",
                                                          .name = "roi_align_rotated",
                                                          .supports = supports,
                                                          .prepare = prepare,
                                                          .run = run};
