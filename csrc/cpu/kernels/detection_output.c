/* SPDX-License-Identifier: Apache-2.0 */
/* Kind DetectionOutput: boxes decoded from priors, sorted and suppressed for each class, best rows written.
 * Rules: IR 6.3. */
#include "cpu/kernels/common.h"
#include "cpu/kernels/vec.h"

enum { LOC, CONF, PRIOR, ARM_CONF, ARM_LOC };

typedef struct box {
  float x0, y0, x1, y1;
} box;

typedef struct candidate {
  float score;
  int32_t prior, label;
} candidate;

typedef struct detection_state {
  int64_t images, priors, classes, loc_classes; /* loc_classes: 1 when locations are shared */
  int64_t capacity, rows;                       /* candidates kept of a class at most; output rows */
  int64_t prior_size, prior_image,
      variance; /* floats of a prior, of an image's priors, to the variances; 0: none */
  int64_t background, top_k, keep_top_k;
  int32_t center, clip_before, clip_after, mxnet,
      refined; /* mxnet: decrease_label_id; refined: five inputs */
  float threshold, nms, objectness, width, height;
} detection_state;

static int64_t keep_top_k(const cpu_node *node) {
  size_t count;
  const int64_t *list = op_ints(node, "keep_top_k", &count);
  return list && count ? list[0] : op_int(node, "keep_top_k", -1);
}

static int is_float(const cpu_node *node, int index, int64_t count) {
  return op_is(node, index, IEC_F32) && op_count(node->inputs[index]) == count;
}

/* Sizes and counts that the attributes and shapes give; 0 when they do not fit. */
static int describe(const cpu_node *node, detection_state *s) {
  if (!op_ports(node, 3, 1) || node->outputs[0]->dtype != IEC_F32) return 0;
  const cpu_tensor *loc = node->inputs[LOC], *prior = node->inputs[PRIOR], *y = node->outputs[0];
  int normalized = op_int(node, "normalized", 0) != 0,
      encoded = op_int(node, "variance_encoded_in_target", 0) != 0;
  memset(s, 0, sizeof *s);
  s->classes = op_int(node, "num_classes", 0);
  s->loc_classes = op_int(node, "share_location", 1) ? 1 : s->classes;
  s->prior_size = normalized ? 4 : 5;
  if (s->classes < 1 || s->classes > INT32_MAX || loc->ndim < 1 || prior->ndim != 3 || y->ndim < 2) return 0;
  s->images = loc->shape[0];
  s->priors = prior->shape[2] / s->prior_size;
  if (s->images < 1 || s->priors < 1 || s->priors > INT32_MAX || prior->shape[2] != s->priors * s->prior_size)
    return 0;
  if (prior->shape[0] != 1 && prior->shape[0] != s->images) return 0;
  if (prior->shape[1] < (encoded ? 1 : 2) || prior->dtype != IEC_F32) return 0;
  if (s->priors > INT64_MAX / 64 / s->classes / s->images) return 0;
  if (!is_float(node, LOC, s->images * s->priors * s->loc_classes * 4)) return 0;
  if (!is_float(node, CONF, s->images * s->priors * s->classes)) return 0;
  s->refined = node->input_count > ARM_LOC && node->inputs[ARM_CONF] && node->inputs[ARM_LOC];
  if (s->refined && !is_float(node, ARM_CONF, s->images * s->priors * 2)) return 0;
  if (s->refined && !is_float(node, ARM_LOC, op_count(loc))) return 0;
  s->prior_image = prior->shape[0] == 1 ? 0 : prior->shape[1] * prior->shape[2];
  s->variance = encoded ? 0 : prior->shape[2];
  s->rows = y->shape[y->ndim - 2];
  s->mxnet = op_int(node, "decrease_label_id", 0) != 0;
  s->background = op_int(node, "background_label_id", 0);
  if (y->shape[y->ndim - 1] != 7 || op_count(y) != op_times(7, s->rows) || (s->mxnet && s->background != 0))
    return 0;
  s->top_k = op_int(node, "top_k", -1);
  s->keep_top_k = keep_top_k(node);
  s->capacity = s->top_k > -1 ? op_min(s->top_k, s->priors) : s->priors;
  return 1;
}

static int32_t supports(const cpu_node *node) {
  detection_state s;
  return describe(node, &s) ? 10 : 0;
}

/* Shared scratch: decoded boxes [images][loc_classes][priors], candidates kept [images][classes][capacity]
 * and their counts [images][classes]; valid priors [images]. Member scratch: two lists of priors for sorting.
 */
static size_t boxes_bytes(const detection_state *s) {
  return (size_t)(s->images * s->loc_classes * s->priors) * sizeof(box);
}

static size_t kept_bytes(const detection_state *s) {
  return (size_t)(s->images * s->classes * s->capacity) * sizeof(candidate);
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(detection_state), out, err);
  if (status != IEC_OK) return status;
  detection_state *s = out->state;
  describe(node, s);
  s->center = strcmp(op_text(node, "code_type", ""), "caffe.PriorBoxParameter.CENTER_SIZE") == 0;
  s->clip_before = op_int(node, "clip_before_nms", 0) != 0;
  s->clip_after = op_int(node, "clip_after_nms", 0) != 0;
  s->threshold = (float)op_float(node, "confidence_threshold", -3.4028234663852886e38);
  s->nms = (float)op_float(node, "nms_threshold", 0);
  s->objectness = (float)op_float(node, "objectness_score", 0);
  s->width = s->prior_size == 4 ? 1 : (float)op_float(node, "input_width", 1);
  s->height = s->prior_size == 4 ? 1 : (float)op_float(node, "input_height", 1);
  size_t counts = (size_t)(s->images * s->classes) * sizeof(int64_t);
  out->scratch_size = boxes_bytes(s) + kept_bytes(s) + 2 * counts + 64;
  size_t list = (size_t)op_max(s->priors, s->classes * s->capacity) * sizeof(candidate);
  out->member_scratch_size = 2 * list;
  out->cost = (double)(s->images * s->priors) * (double)(s->classes + 20);
  out->exec_type = "detection_output_" CPU_ISA_NAME;
  return IEC_OK;
}

static const float *prior_at(const detection_state *s, const cpu_run *r, int64_t image, int64_t p) {
  return (const float *)r->inputs[PRIOR] + image * s->prior_image + p * s->prior_size;
}

static float clip01(float v) { return v < 0 ? 0 : v > 1 ? 1 : v; }

static box decode(const detection_state *s, box p, const float *v, const float *l) {
  box b;
  if (s->center) {
    float w = p.x1 - p.x0, h = p.y1 - p.y0;
    float cx = v[0] * l[0] * w + (p.x0 + p.x1) / 2, cy = v[1] * l[1] * h + (p.y0 + p.y1) / 2;
    float bw = expf(v[2] * l[2]) * w, bh = expf(v[3] * l[3]) * h;
    b = (box){cx - bw / 2, cy - bh / 2, cx + bw / 2, cy + bh / 2};
  } else {
    b = (box){p.x0 + v[0] * l[0], p.y0 + v[1] * l[1], p.x1 + v[2] * l[2], p.y1 + v[3] * l[3]};
  }
  if (s->clip_before) b = (box){clip01(b.x0), clip01(b.y0), clip01(b.x1), clip01(b.y1)};
  return b;
}

static void decode_all(const detection_state *s, const cpu_run *r, box *boxes) {
  static const float ones[4] = {1, 1, 1, 1};
  int64_t b, e, total = s->images * s->loc_classes * s->priors;
  while (cpu_next(r, total, 1024, &b, &e))
    for (; b < e; b++) {
      int64_t p = b % s->priors, l = b / s->priors % s->loc_classes, image = b / s->priors / s->loc_classes;
      const float *base = (const float *)r->inputs[PRIOR] + image * s->prior_image,
                  *q = prior_at(s, r, image, p);
      const float *v = s->variance ? base + s->variance + p * 4 : ones;
      int64_t at = ((image * s->priors + p) * s->loc_classes + l) * 4;
      q += s->prior_size - 4;
      box prior = {q[0] / s->width, q[1] / s->height, q[2] / s->width, q[3] / s->height};
      if (s->refined) prior = decode(s, prior, v, (const float *)r->inputs[ARM_LOC] + at);
      boxes[b] = decode(s, prior, v, (const float *)r->inputs[LOC] + at);
    }
}

/* Priors of an image: a batch number of -1 ends the list. */
static int64_t valid_priors(const detection_state *s, const cpu_run *r, int64_t image) {
  int64_t n = 0;
  if (s->prior_size == 4) return s->priors;
  while (n < s->priors && prior_at(s, r, image, n)[0] != -1.0f) n++;
  return n;
}

/* A confidence; a refined prior without an object counts as background. */
static float confidence(const detection_state *s, const cpu_run *r, int64_t image, int64_t p, int64_t c) {
  int64_t at = image * s->priors + p;
  if (s->refined && ((const float *)r->inputs[ARM_CONF])[2 * at + 1] < s->objectness)
    return c == s->background ? 1.0f : 0.0f;
  return ((const float *)r->inputs[CONF])[at * s->classes + c];
}

/* Stable descending sort by score; returns the list that holds the result. */
static candidate *sort(candidate *list, candidate *other, int64_t n) {
  for (int64_t width = 1; width < n; width *= 2) {
    for (int64_t i = 0; i < n; i += 2 * width) {
      int64_t a = i, middle = op_min(i + width, n), b = middle, end = op_min(i + 2 * width, n), to = i;
      while (a < middle && b < end) other[to++] = list[b].score > list[a].score ? list[b++] : list[a++];
      while (a < middle) other[to++] = list[a++];
      while (b < end) other[to++] = list[b++];
    }
    candidate *t = list;
    list = other;
    other = t;
  }
  return list;
}

static void exchange(candidate *a, candidate *b) {
  candidate t = *a;
  *a = *b;
  *b = t;
}

/* Median of the second, middle and last element to the front, the rest split around it. No bound is checked:
 * the median stops both walks. */
static int64_t split_around_median(candidate *v, int64_t n) {
  candidate *a = v + 1, *b = v + n / 2, *c = v + n - 1;
  candidate *above = b->score > c->score ? b : a->score > c->score ? c : a;
  candidate *below = a->score > c->score ? a : b->score > c->score ? c : b;
  exchange(v, a->score > b->score ? above : below);
  int64_t low = 1, high = n;
  for (;; low++) {
    while (v[low].score > v->score) low++;
    do high--;
    while (v->score > v[high].score);
    if (low >= high) return low;
    exchange(v + low, v + high);
  }
}

static void split_all(candidate *v, candidate *other, int64_t n, int depth) {
  for (; n > 16; depth--) {
    if (depth == 0) {
      candidate *sorted = sort(v, other, n);
      if (sorted != v) memcpy(v, sorted, (size_t)n * sizeof *v);
      return;
    }
    int64_t cut = split_around_median(v, n);
    split_all(v + cut, other, n - cut, depth - 1);
    n = cut;
  }
}

/* Descending sort whose order of equal scores is the original's, an unstable introsort: which of many
 * saturated scores are among the best keep_top_k depends on it. */
static void sort_as_original(candidate *list, candidate *other, int64_t n) {
  int depth = 0;
  for (int64_t i = n; i > 1; i /= 2) depth += 2;
  split_all(list, other, n, depth);
  for (int64_t i = 1; i < n; i++) {
    candidate moved = list[i];
    int64_t to = i;
    for (; to > 0 && moved.score > list[to - 1].score; to--) list[to] = list[to - 1];
    list[to] = moved;
  }
}

static float area(box b) { return b.x1 < b.x0 || b.y1 < b.y0 ? 0 : (b.x1 - b.x0) * (b.y1 - b.y0); }

static int overlaps(box a, box b, float limit) {
  if (b.x0 > a.x1 || b.x1 < a.x0 || b.y0 > a.y1 || b.y1 < a.y0) return 0 > limit;
  box i = {a.x0 > b.x0 ? a.x0 : b.x0, a.y0 > b.y0 ? a.y0 : b.y0, a.x1 < b.x1 ? a.x1 : b.x1,
           a.y1 < b.y1 ? a.y1 : b.y1};
  float both = (i.x1 - i.x0) * (i.y1 - i.y0);
  return both / (area(a) + area(b) - both) > limit;
}

typedef struct detection_memory { /* scratch, cut up */
  box *boxes;
  candidate *kept; /* [images][classes][capacity] */
  int64_t *counts; /* [images][classes] */
} detection_memory;

static const box *boxes_of(const detection_state *s, const detection_memory *m, int64_t image, int64_t c) {
  return m->boxes + (image * s->loc_classes + (s->loc_classes == 1 ? 0 : c)) * s->priors;
}

/* Adds a candidate to its class unless a kept one overlaps it too much. */
static void suppress(const detection_state *s, const detection_memory *m, int64_t image, candidate k) {
  int64_t at = image * s->classes + k.label;
  candidate *kept = m->kept + at * s->capacity;
  const box *boxes = boxes_of(s, m, image, k.label);
  for (int64_t i = 0; i < m->counts[at]; i++)
    if (overlaps(boxes[kept[i].prior], boxes[k.prior], s->nms)) return;
  kept[m->counts[at]++] = k;
}

/* One class of an image: all above the threshold, best first. */
static void one_class(const detection_state *s, const cpu_run *r, const detection_memory *m, int64_t image,
                      int64_t c) {
  candidate *list = r->member_scratch, *other = list + op_max(s->priors, s->classes * s->capacity);
  int64_t n = 0, priors = valid_priors(s, r, image);
  m->counts[image * s->classes + c] = 0;
  if (c == s->background) return;
  for (int64_t p = 0; p < priors; p++) {
    float score = confidence(s, r, image, p, c);
    if (score > s->threshold) list[n++] = (candidate){score, (int32_t)p, (int32_t)c};
  }
  list = sort(list, other, n);
  for (int64_t i = 0; i < op_min(n, s->capacity); i++) suppress(s, m, image, list[i]);
}

/* All classes of an image together: each prior stands for its best class. */
static void one_image(const detection_state *s, const cpu_run *r, const detection_memory *m, int64_t image) {
  candidate *list = r->member_scratch, *other = list + op_max(s->priors, s->classes * s->capacity);
  int64_t n = 0, priors = valid_priors(s, r, image);
  for (int64_t c = 0; c < s->classes; c++) m->counts[image * s->classes + c] = 0;
  for (int64_t p = 0; p < priors; p++) {
    candidate best = {0, (int32_t)p, 0};
    for (int64_t c = 1; c < s->classes; c++) {
      float score = confidence(s, r, image, p, c);
      if (best.label == 0 || score > best.score) best = (candidate){score, (int32_t)p, (int32_t)c};
    }
    if (best.label > 0 && best.score >= s->threshold) list[n++] = best;
  }
  list = sort(list, other, n);
  for (int64_t i = 0; i < op_min(n, s->capacity); i++) suppress(s, m, image, list[i]);
}

/* Drops all but the keep_top_k best of an image. */
static void limit_rows(const detection_state *s, const cpu_run *r, const detection_memory *m, int64_t image) {
  candidate *list = r->member_scratch, *other = list + op_max(s->priors, s->classes * s->capacity);
  int64_t n = 0;
  for (int64_t c = 0; c < s->classes; c++) {
    int64_t at = image * s->classes + c;
    for (int64_t i = 0; i < m->counts[at]; i++) list[n++] = m->kept[at * s->capacity + i];
  }
  if (s->keep_top_k < 0 || n <= s->keep_top_k) return;
  sort_as_original(list, other, n);
  for (int64_t c = 0; c < s->classes; c++) m->counts[image * s->classes + c] = 0;
  for (int64_t i = 0; i < s->keep_top_k; i++) {
    int64_t at = image * s->classes + list[i].label;
    m->kept[at * s->capacity + m->counts[at]++] = list[i];
  }
}

static void write_rows(const detection_state *s, const cpu_run *r, const detection_memory *m) {
  float *y = r->outputs[0];
  int64_t row = 0;
  memset(y, 0, (size_t)(s->rows * 7) * sizeof(float));
  for (int64_t image = 0; image < s->images; image++) {
    limit_rows(s, r, m, image);
    for (int64_t c = 0; c < s->classes; c++) {
      int64_t at = image * s->classes + c;
      const box *boxes = boxes_of(s, m, image, c);
      for (int64_t i = 0; i < m->counts[at] && row < s->rows; i++, row++) {
        candidate k = m->kept[at * s->capacity + i];
        box b = boxes[k.prior];
        if (s->clip_after) b = (box){clip01(b.x0), clip01(b.y0), clip01(b.x1), clip01(b.y1)};
        float values[7] = {(float)image, (float)(s->mxnet ? c - 1 : c), k.score, b.x0, b.y0, b.x1, b.y1};
        memcpy(y + row * 7, values, sizeof values);
      }
    }
  }
  if (row < s->rows) y[row * 7] = -1;
}

static void run(const void *state, const cpu_run *r) {
  const detection_state *s = state;
  char *scratch = r->scratch;
  size_t counts = (boxes_bytes(s) + kept_bytes(s) + 63) / 64 * 64;
  detection_memory m = {r->scratch, (candidate *)(scratch + boxes_bytes(s)), (int64_t *)(scratch + counts)};
  int64_t b, e;
  decode_all(s, r, m.boxes);
  cpu_barrier(r);
  if (s->mxnet)
    while (cpu_next_phase(r, 1, s->images, 1, &b, &e)) one_image(s, r, &m, b);
  else
    while (cpu_next_phase(r, 1, s->images * s->classes, 1, &b, &e))
      one_class(s, r, &m, b / s->classes, b % s->classes);
  cpu_barrier(r);
  if (r->member == 0) write_rows(s, r, &m);
}

const cpu_kernel IEC_ISA(cpu_kernel_detection_output) = {.kind = "DetectionOutput",
                                                         .name = "detection_output",
                                                         .supports = supports,
                                                         .prepare = prepare,
                                                         .run = run};
