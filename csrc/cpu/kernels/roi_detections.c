/* SPDX-License-Identifier: Apache-2.0 */
/* Kind ROIDetections: regions refined for each class, suppressed, the best of all classes. Rule: IR 7. */
#include "cpu/kernels/boxes.h"

typedef struct detections_state {
  int64_t regions, classes, rows, each; /* each: detections of a class at most */
  float least, threshold, limit, weights[4];
  int32_t clip;
} detections_state;

static int32_t supports(const cpu_node *node) {
  const double *weights;
  size_t count = 0;
  if (!op_ports(node, 4, 3)) return 0;
  for (int i = 0; i < 4; i++)
    if (!op_is(node, i, IEC_F32)) return 0;
  const cpu_tensor *rois = node->inputs[0], *scores = node->inputs[2];
  int64_t classes = op_int(node, "num_classes", 0), rows = op_int(node, "max_detections_per_image", 0);
  if (classes < 1 || classes > INT32_MAX || rows < 1 || rows > INT32_MAX ||
      op_int(node, "post_nms_count", -1) < 0)
    return 0;
  if (rois->ndim != 2 || rois->shape[1] != 4 || rois->shape[0] > INT32_MAX / classes) return 0;
  if (op_count(node->inputs[1]) != rois->shape[0] * classes * 4 ||
      op_count(scores) != rois->shape[0] * classes)
    return 0;
  if (op_count(node->inputs[3]) < 2 ||
      !node->api->attr_f64s(node->source, "deltas_weights", &weights, &count))
    return 0;
  if (count != 4 || node->outputs[0]->dtype != IEC_F32 || op_count(node->outputs[0]) != rows * 4) return 0;
  if (node->outputs[1]->dtype != IEC_I32 || op_count(node->outputs[1]) != rows) return 0;
  return node->outputs[2]->dtype == IEC_F32 && op_count(node->outputs[2]) == rows ? 10 : 0;
}

/* Shared scratch: refined boxes [classes][regions], kept candidates [classes][regions], how many of each
 * class. */
static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(detections_state), out, err);
  if (status != IEC_OK) return status;
  detections_state *s = out->state;
  const double *weights = NULL;
  size_t count = 0;
  node->api->attr_f64s(node->source, "deltas_weights", &weights, &count);
  for (size_t i = 0; i < count; i++) s->weights[i] = (float)weights[i];
  s->regions = node->inputs[0]->shape[0];
  s->classes = op_int(node, "num_classes", 0);
  s->rows = op_int(node, "max_detections_per_image", 0);
  s->each = op_int(node, "post_nms_count", 0);
  s->least = (float)op_float(node, "score_threshold", 0);
  s->threshold = (float)op_float(node, "nms_threshold", 0);
  s->limit = (float)op_float(node, "max_delta_log_wh", 0);
  s->clip = op_int(node, "clip", 0) != 0;
  size_t all = (size_t)(s->classes * s->regions);
  out->scratch_size = (size_t)s->classes * sizeof(int64_t) + all * (sizeof(box) + sizeof(scored));
  out->member_scratch_size = 2 * (size_t)s->regions * sizeof(scored);
  out->cost = 100.0 * (double)all;
  out->exec_type = "roi_detections_" CPU_ISA_NAME;
  return IEC_OK;
}

static box decode(const detections_state *s, const cpu_run *r, int64_t region, int64_t c) {
  const float *info = r->inputs[3], *d = (const float *)r->inputs[1] + (region * s->classes + c) * 4;
  box b = ((const box *)r->inputs[0])[region];
  b = box_refine(b, d[0] / s->weights[0], d[1] / s->weights[1], d[2] / s->weights[2], d[3] / s->weights[3], 1,
                 s->limit);
  b.x1 -= 1;
  b.y1 -= 1;
  return s->clip ? box_clip(b, info[1] - 1, info[0] - 1) : box_clip(b, INFINITY, INFINITY);
}

static int64_t one_class(const detections_state *s, const cpu_run *r, int64_t c, box *boxes, scored *kept) {
  scored *list = r->member_scratch;
  int64_t n = 0;
  if (c == 0) return 0; /* the background */
  for (int64_t i = 0; i < s->regions; i++) {
    const box *roi = (const box *)r->inputs[0] + i;
    float score = ((const float *)r->inputs[2])[i * s->classes + c];
    if (!(roi->x1 - roi->x0 > 0 && roi->y1 - roi->y0 > 0 && score > s->least)) continue;
    boxes[i] = decode(s, r, i, c);
    list[n++] = (scored){score, (int32_t)i, (int32_t)c};
  }
  list = scored_sort(list, list + s->regions, n);
  n = scored_suppress(boxes, list, n, s->threshold, 1, s->each);
  memcpy(kept, list, (size_t)n * sizeof(scored));
  return n;
}

static void write_rows(const detections_state *s, const cpu_run *r, const box *boxes, scored *kept,
                       const int64_t *counts) {
  int64_t n = 0;
  float *y = r->outputs[0], *scores = r->outputs[2];
  int32_t *labels = r->outputs[1];
  for (int64_t c = 0; c < s->classes; c++) {
    memmove(kept + n, kept + c * s->regions, (size_t)counts[c] * sizeof(scored));
    n += counts[c];
  }
  if (n > s->rows) scored_partial(kept, n, s->rows);
  for (int64_t i = 0; i < s->rows; i++) {
    static const box none = {0, 0, 0, 0};
    memcpy(y + 4 * i, i < n ? boxes + kept[i].group * s->regions + kept[i].index : &none, sizeof(box));
    labels[i] = i < n ? kept[i].group : 0;
    scores[i] = i < n ? kept[i].score : 0;
  }
}

static void run(const void *state, const cpu_run *r) {
  const detections_state *s = state;
  int64_t b, e, *counts = r->scratch;
  box *boxes = (box *)(counts + s->classes);
  scored *kept = (scored *)(boxes + s->classes * s->regions);
  while (cpu_next(r, s->classes, 1, &b, &e))
    counts[b] = one_class(s, r, b, boxes + b * s->regions, kept + b * s->regions);
  cpu_barrier(r);
  if (r->member == 0) write_rows(s, r, boxes, kept, counts);
}

const cpu_kernel IEC_ISA(cpu_kernel_roi_detections) = {
    .kind = "ROIDetections", .name = "roi_detections", .supports = supports, .prepare = prepare, .run = run};
