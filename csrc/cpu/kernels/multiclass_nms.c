/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds MatrixNms and MulticlassNms: detections of all classes of each image, by falling scores or by
 * suppression. */
#include "cpu/kernels/boxes.h"

enum { UNSORTED, BY_SCORE, BY_CLASS };
static const char *const sorts[] = {"none", "score", "classid"};

typedef struct multi_state {
  int64_t images, classes, boxes, top, rows, background; /* rows: of an image at most */
  int32_t matrix, gaussian, sort, across, counted, counts_dtype,
      wide; /* counted: regions of each image are an input */
  float least, last, iou, eta, sigma, extra;
} multi_state;

typedef struct detection {
  float score;
  int32_t image, class_, box; /* box: index into its class */
} detection;

static int is_index(const cpu_tensor *t) { return t && (t->dtype == IEC_I32 || t->dtype == IEC_I64); }

static int describe(const cpu_node *node, multi_state *s) {
  if (!op_ports(node, 2, 3) || !op_is(node, 0, IEC_F32) || !op_is(node, 1, IEC_F32)) return 0;
  const cpu_tensor *boxes = node->inputs[0], *scores = node->inputs[1], *counts = op_in(node, 2);
  memset(s, 0, sizeof *s);
  s->counted = counts != NULL;
  if (boxes->ndim != 3 || boxes->shape[2] != 4 || scores->ndim != (s->counted ? 2 : 3)) return 0;
  s->images = s->counted ? op_count(counts) : boxes->shape[0];
  s->classes = s->counted ? boxes->shape[0] : scores->shape[1];
  s->boxes = boxes->shape[1];
  if (scores->shape[scores->ndim - 1] != s->boxes || scores->shape[0] != boxes->shape[0]) return 0;
  if (s->counted && (!is_index(counts) || counts->ndim != 1)) return 0;
  if (s->boxes > INT32_MAX || s->classes > INT32_MAX || s->images > INT32_MAX) return 0;
  int64_t top = op_int(node, "nms_top_k", -1), keep = op_int(node, "keep_top_k", -1);
  s->top = top < 0 ? s->boxes : op_min(top, s->boxes);
  s->rows = keep < 0 ? s->classes * s->top : op_min(keep, s->classes * s->top);
  s->background = op_int(node, "background_class", -1);
  s->sort = op_choice(op_text(node, "sort", "none"), sorts, 3);
  if (op_times(s->images, op_times(s->classes, s->top)) > INT64_MAX / 64) return 0;
  if (s->sort < 0 || node->outputs[0]->dtype != IEC_F32 ||
      op_count(node->outputs[0]) != s->images * s->rows * 6)
    return 0;
  if (!is_index(node->outputs[1]) || node->outputs[2]->dtype != node->outputs[1]->dtype) return 0;
  return op_count(node->outputs[1]) == s->images * s->rows && op_count(node->outputs[2]) == s->images;
}

static int32_t supports(const cpu_node *node) {
  multi_state s;
  return describe(node, &s) ? 10 : 0;
}

/* Shared scratch: detections [images][classes][top], how many of each class, all of them twice to sort. */
static size_t most(const multi_state *s) { return (size_t)(s->images * s->classes * s->top); }

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(multi_state), out, err);
  if (status != IEC_OK) return status;
  multi_state *s = out->state;
  describe(node, s);
  s->matrix = strcmp(node->kind, "MatrixNms") == 0;
  s->gaussian = strcmp(op_text(node, "decay_function", "linear"), "gaussian") == 0;
  s->across = op_int(node, "sort_result_across_batch", 0) != 0;
  s->wide = node->outputs[1]->dtype == IEC_I64;
  if (s->counted) s->counts_dtype = node->inputs[2]->dtype;
  s->least = (float)op_float(node, "score_threshold", 0);
  s->last = (float)op_float(node, "post_threshold", 0);
  s->iou = (float)op_float(node, "iou_threshold", 0);
  s->eta = (float)op_float(node, "nms_eta", 1);
  s->sigma = (float)op_float(node, "gaussian_sigma", 2);
  s->extra = op_int(node, "normalized", 1) ? 0 : 1;
  out->scratch_size =
      (size_t)(s->images * (s->classes + 1)) * sizeof(int64_t) + 3 * most(s) * sizeof(detection);
  out->member_scratch_size = (size_t)s->boxes * (2 * sizeof(scored) + sizeof(float));
  out->cost = 20.0 * (double)op_count(node->inputs[1]) + 10.0 * (double)most(s) * (double)s->top;
  out->exec_type = "multiclass_nms_" CPU_ISA_NAME;
  return IEC_OK;
}

/* First region of an image when regions are counted. */
static int64_t first_region(const multi_state *s, const cpu_run *r, int64_t image) {
  int64_t at = 0;
  for (int64_t i = 0; i < image; i++) {
    int64_t n =
        s->counts_dtype == IEC_I64 ? ((const int64_t *)r->inputs[2])[i] : ((const int32_t *)r->inputs[2])[i];
    at += op_min(op_max(n, 0), s->boxes - at);
  }
  return at;
}

/* Scores fall by the overlap with better boxes; returns how many stay above the last threshold. */
static int64_t lower(const multi_state *s, const box *boxes, scored *list, int64_t n, float *worst,
                     detection *kept) {
  int64_t count = 0;
  for (int64_t i = 0; i < n; i++) {
    float decay = 1;
    worst[i] = 0; /* the largest overlap with a better box */
    for (int64_t k = 0; k < i; k++) {
      float iou = box_overlap(boxes[list[i].index], boxes[list[k].index], s->extra, 0);
      float factor =
          s->gaussian ? expf((worst[k] * worst[k] - iou * iou) * s->sigma) : (1 - iou) / (1 - worst[k]);
      worst[i] = fmaxf(worst[i], iou);
      if (factor < decay) decay = factor;
    }
    if (list[i].score * decay > s->last)
      kept[count++] = (detection){list[i].score * decay, 0, 0, list[i].index};
  }
  return count;
}

/* Boxes that overlap better ones by less than a threshold, which shrinks with each box kept. */
static int64_t suppress(const multi_state *s, const box *boxes, scored *list, int64_t n, detection *kept) {
  int64_t count = 0;
  float limit = s->iou;
  for (int64_t i = 0; i < n; i++) {
    int64_t k = 0;
    while (k < count && !(box_overlap(boxes[list[i].index], boxes[kept[k].box], s->extra, s->extra) >= limit))
      k++;
    if (k < count) continue;
    kept[count++] = (detection){list[i].score, 0, 0, list[i].index};
    if (s->eta < 1 && limit > 0.5f) limit *= s->eta;
  }
  return count;
}

static const box *boxes_of(const multi_state *s, const cpu_run *r, int64_t image, int64_t c) {
  return (const box *)r->inputs[0] + (s->counted ? c : image) * s->boxes;
}

static int64_t one_class(const multi_state *s, const cpu_run *r, int64_t image, int64_t c, detection *kept) {
  const float *scores = (const float *)r->inputs[1] + (s->counted ? c : image * s->classes + c) * s->boxes;
  const box *boxes = boxes_of(s, r, image, c);
  int64_t begin = s->counted ? first_region(s, r, image) : 0, n = 0;
  int64_t end = s->counted ? first_region(s, r, image + 1) : s->boxes;
  scored *list = r->member_scratch;
  if (c == s->background) return 0;
  for (int64_t i = begin; i < end; i++)
    if (scores[i] > s->least || (!s->matrix && scores[i] == s->least))
      list[n++] = (scored){scores[i], (int32_t)i, 0};
  list = scored_sort(list, list + s->boxes, n);
  n = op_min(n, s->top);
  float *worst = (float *)((scored *)r->member_scratch + 2 * s->boxes);
  int64_t count = s->matrix ? lower(s, boxes, list, n, worst, kept) : suppress(s, boxes, list, n, kept);
  for (int64_t i = 0; i < count; i++) {
    kept[i].image = (int32_t)image;
    kept[i].class_ = (int32_t)c;
  }
  return count;
}

static int compare(int64_t a, int64_t b) { return a < b ? -1 : a > b; }

/* Below 0 when a comes first; equal scores go by image, class and box. */
static int order(const detection *a, const detection *b, int by_class) {
  int place = by_class ? compare(a->class_, b->class_) : 0;
  if (place == 0 && by_class) place = compare(a->image, b->image);
  if (place == 0 && a->score != b->score) place = a->score > b->score ? -1 : 1;
  if (place == 0) place = compare(a->image, b->image);
  if (place == 0) place = compare(a->class_, b->class_);
  return place ? place : compare(a->box, b->box);
}

/* Sorts v; `other` is room for as many. */
static void sort(detection *v, detection *other, int64_t n, int by_class) {
  for (int64_t width = 1; width < n; width *= 2) {
    for (int64_t i = 0; i < n; i += 2 * width) {
      int64_t a = i, middle = op_min(i + width, n), b = middle, end = op_min(i + 2 * width, n), to = i;
      while (a < middle && b < end) other[to++] = order(v + b, v + a, by_class) < 0 ? v[b++] : v[a++];
      while (a < middle) other[to++] = v[a++];
      while (b < end) other[to++] = v[b++];
    }
    memcpy(v, other, (size_t)n * sizeof(detection));
  }
}

static void put(const multi_state *s, void *y, int64_t i, int64_t v) {
  if (s->wide)
    ((int64_t *)y)[i] = v;
  else
    ((int32_t *)y)[i] = (int32_t)v;
}

static void write_row(const multi_state *s, const cpu_run *r, int64_t row, const detection *d) {
  float *y = (float *)r->outputs[0] + row * 6;
  if (!d) {
    for (int i = 0; i < 6; i++) y[i] = -1;
    put(s, r->outputs[1], row, -1);
    return;
  }
  y[0] = (float)d->class_;
  y[1] = d->score;
  memcpy(y + 2, boxes_of(s, r, d->image, d->class_) + d->box, sizeof(box));
  put(s, r->outputs[1], row, s->counted ? d->box * s->classes + d->class_ : d->image * s->boxes + d->box);
}

/* The classes of each image joined, cut and sorted; the images follow each other, the rows behind are -1. */
static void write_all(const multi_state *s, const cpu_run *r, const detection *kept, const int64_t *counts,
                      int64_t *totals, detection *all) {
  detection *other = all + most(s);
  int64_t n = 0;
  for (int64_t image = 0; image < s->images; image++) {
    detection *own = all + n;
    int64_t count = 0;
    for (int64_t c = image * s->classes; c < (image + 1) * s->classes; c++) {
      memcpy(own + count, kept + c * s->top, (size_t)counts[c] * sizeof(detection));
      count += counts[c];
    }
    sort(own, other, count, 0);
    totals[image] = op_min(count, s->rows);
    if (s->sort == BY_CLASS && !s->across) sort(own, other, totals[image], 1);
    n += totals[image];
  }
  if (s->across && s->sort != UNSORTED) sort(all, other, n, s->sort == BY_CLASS);
  for (int64_t row = 0; row < s->images * s->rows; row++) write_row(s, r, row, NULL);
  for (int64_t row = 0; row < n; row++) write_row(s, r, row, all + row);
  for (int64_t image = 0; image < s->images; image++) put(s, r->outputs[2], image, totals[image]);
}

static void run(const void *state, const cpu_run *r) {
  const multi_state *s = state;
  int64_t b, e, *counts = r->scratch, *totals = counts + s->images * s->classes;
  detection *kept = (detection *)(totals + s->images);
  while (cpu_next(r, s->images * s->classes, 1, &b, &e))
    counts[b] = one_class(s, r, b / s->classes, b % s->classes, kept + b * s->top);
  cpu_barrier(r);
  if (r->member == 0) write_all(s, r, kept, counts, totals, kept + most(s));
}

const cpu_kernel IEC_ISA(cpu_kernel_matrix_nms) = {
    .kind = "MatrixNms", .name = "matrix_nms", .supports = supports, .prepare = prepare, .run = run};
const cpu_kernel IEC_ISA(cpu_kernel_multiclass_nms) = {
    .kind = "MulticlassNms", .name = "multiclass_nms", .supports = supports, .prepare = prepare, .run = run};
