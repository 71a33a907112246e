/* SPDX-License-Identifier: Apache-2.0 */
/* Kind NonMaxSuppression: the best boxes of each class of each image, hard or with scores that fall by
 * overlap. */
#include "cpu/kernels/boxes.h"
#include "cpu/kernels/rotated.h"

enum { BOXES, SCORES, MOST, IOU, LEAST, SIGMA };

typedef struct nms_state {
  int64_t images, classes, boxes, rows;
  int32_t rotated;                                              /* 0, or the direction of the angles */
  int32_t center, sort, equal, most_dtype, wide, scores, count; /* scores, count: outputs that are there */
  int32_t given[SIGMA + 1];
} nms_state;

typedef struct candidate { /* waits in a heap; `first`: kept boxes before it have been compared */
  float score;
  int32_t box;
  int64_t first;
} candidate;

static int32_t supports(const cpu_node *node) {
  if (!op_ports(node, 2, 1) || !op_is(node, BOXES, IEC_F32) || !op_is(node, SCORES, IEC_F32)) return 0;
  const cpu_tensor *boxes = node->inputs[BOXES], *scores = node->inputs[SCORES], *index = node->outputs[0];
  int64_t numbers = op_int(node, "rotated", 0) ? 5 : 4;
  if (boxes->ndim != 3 || boxes->shape[2] != numbers || scores->ndim != 3) return 0;
  if (scores->shape[0] != boxes->shape[0] || scores->shape[2] != boxes->shape[1]) return 0;
  if (boxes->shape[1] > INT32_MAX || scores->shape[0] * scores->shape[1] > INT32_MAX) return 0;
  for (int i = MOST; i <= SIGMA; i++) {
    const cpu_tensor *t = op_in(node, i);
    if (!t) continue;
    if (op_count(t) != 1 || (i == MOST ? t->dtype != IEC_I32 && t->dtype != IEC_I64 : t->dtype != IEC_F32))
      return 0;
  }
  if (index->ndim != 2 || index->shape[1] != 3 || (index->dtype != IEC_I32 && index->dtype != IEC_I64))
    return 0;
  const cpu_tensor *found = node->output_count > 1 ? node->outputs[1] : NULL;
  const cpu_tensor *count = node->output_count > 2 ? node->outputs[2] : NULL;
  if (found && (found->dtype != IEC_F32 || op_count(found) != op_count(index))) return 0;
  return !count || (count->dtype == index->dtype && op_count(count) == 1) ? 10 : 0;
}

/* Shared scratch: sorted corners of all boxes, kept candidates [images * classes][boxes], room to sort as
 * many, and how many are kept of each class. */
static size_t all_boxes(const nms_state *s) { return (size_t)(s->images * s->boxes); }
static size_t all_kept(const nms_state *s) { return (size_t)(s->images * s->classes * s->boxes); }

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(nms_state), out, err);
  if (status != IEC_OK) return status;
  nms_state *s = out->state;
  const cpu_tensor *scores = node->inputs[SCORES];
  s->images = scores->shape[0];
  s->classes = scores->shape[1];
  s->boxes = scores->shape[2];
  s->rows = node->outputs[0]->shape[0];
  s->rotated = (int32_t)op_int(node, "rotated", 0);
  s->center = op_int(node, "center", 0) != 0;
  s->sort = op_int(node, "sort", 1) != 0;
  s->equal = op_int(node, "equal", 0) != 0;
  s->wide = node->outputs[0]->dtype == IEC_I64;
  s->scores = node->output_count > 1 && node->outputs[1];
  s->count = node->output_count > 2 && node->outputs[2];
  for (int i = MOST; i <= SIGMA; i++) s->given[i] = op_in(node, i) != NULL;
  if (s->given[MOST]) s->most_dtype = node->inputs[MOST]->dtype;
  size_t counts = (size_t)(s->images * s->classes) * sizeof(int64_t);
  out->scratch_size = counts + all_boxes(s) * sizeof(box) + 2 * all_kept(s) * sizeof(scored);
  out->member_scratch_size = (size_t)s->boxes * sizeof(candidate);
  out->cost = 100.0 * (double)op_count(scores);
  out->exec_type = "nms_" CPU_ISA_NAME;
  return IEC_OK;
}

/* The order of the two axes does not matter to overlaps. */
static box corners(const nms_state *s, const float *v) {
  if (s->center) return (box){v[0] - v[2] / 2, v[1] - v[3] / 2, v[0] + v[2] / 2, v[1] + v[3] / 2};
  return (box){fminf(v[0], v[2]), fminf(v[1], v[3]), fmaxf(v[0], v[2]), fmaxf(v[1], v[3])};
}

static int before(candidate a, candidate b) { return a.score != b.score ? a.score > b.score : a.box < b.box; }

static void push(candidate *heap, int64_t *n, candidate c) {
  int64_t at = (*n)++;
  for (; at > 0 && before(c, heap[(at - 1) / 2]); at = (at - 1) / 2) heap[at] = heap[(at - 1) / 2];
  heap[at] = c;
}

static candidate pop(candidate *heap, int64_t *n) {
  candidate best = heap[0], last = heap[--*n];
  int64_t at = 0;
  for (int64_t child = 1; child < *n; child = 2 * at + 1) {
    if (child + 1 < *n && before(heap[child + 1], heap[child])) child++;
    if (!before(heap[child], last)) break;
    heap[at] = heap[child];
    at = child;
  }
  heap[at] = last;
  return best;
}

static float number(const nms_state *s, const cpu_run *r, int input) {
  return s->given[input] ? *(const float *)r->inputs[input] : 0;
}

static int64_t most_of(const nms_state *s, const cpu_run *r) {
  if (!s->given[MOST]) return s->boxes;
  const void *p = r->inputs[MOST];
  return op_min(s->most_dtype == IEC_I64 ? *(const int64_t *)p : *(const int32_t *)p, s->boxes);
}

/* `boxes` are the sorted corners of the image, `turned` its boxes as they are given. */
static float overlap(const nms_state *s, const box *boxes, const float *turned, int32_t a, int32_t b) {
  if (s->rotated) return rotated_overlap(turned + 5 * (int64_t)a, turned + 5 * (int64_t)b, s->rotated);
  return box_overlap(boxes[a], boxes[b], 0, 0);
}

/* One class of one image: kept candidates in falling order of score; a lowered score waits again for its
 * turn. */
static int64_t one_class(const nms_state *s, const cpu_run *r, const box *boxes, int64_t at, scored *kept) {
  const float *scores = (const float *)r->inputs[SCORES] + at * s->boxes;
  const float *turned = (const float *)r->inputs[BOXES] + at / s->classes * s->boxes * 5;
  float iou = number(s, r, IOU), least = number(s, r, LEAST), sigma = number(s, r, SIGMA);
  float fall = sigma > 0 ? -0.5f / sigma : 0;
  candidate *heap = r->member_scratch;
  int64_t waiting = 0, n = 0, most = most_of(s, r);
  for (int64_t i = 0; i < s->boxes; i++)
    if (scores[i] > least) push(heap, &waiting, (candidate){scores[i], (int32_t)i, 0});
  while (waiting > 0 && n < most) {
    candidate c = pop(heap, &waiting);
    float score = c.score;
    int dropped = 0;
    for (int64_t k = n - 1; k >= c.first && !dropped; k--) {
      float value = overlap(s, boxes, turned, c.box, kept[k].index);
      if (sigma > 0)
        score *= expf(fall * value * value);
      else
        dropped = s->equal ? value >= iou : value > iou;
      if (score <= least) break;
    }
    if (dropped) continue;
    if (score == c.score)
      kept[n++] = (scored){score, c.box, (int32_t)at};
    else if (score > least)
      push(heap, &waiting, (candidate){score, c.box, n});
  }
  return n;
}

static void put(const nms_state *s, const cpu_run *r, int64_t row, int column, int64_t v) {
  if (s->wide)
    ((int64_t *)r->outputs[0])[3 * row + column] = v;
  else
    ((int32_t *)r->outputs[0])[3 * row + column] = (int32_t)v;
}

/* Joins the classes and writes all rows. */
static void write_rows(const nms_state *s, const cpu_run *r, scored *kept, scored *other,
                       const int64_t *counts) {
  int64_t n = 0;
  for (int64_t at = 0; at < s->images * s->classes; at++) {
    memmove(kept + n, kept + at * s->boxes, (size_t)counts[at] * sizeof(scored));
    n += counts[at];
  }
  if (s->sort) kept = scored_sort(kept, other, n);
  n = op_min(n, s->rows);
  for (int64_t i = 0; i < s->rows; i++) {
    int64_t image = i < n ? kept[i].group / s->classes : -1, c = i < n ? kept[i].group % s->classes : -1;
    put(s, r, i, 0, image);
    put(s, r, i, 1, c);
    put(s, r, i, 2, i < n ? kept[i].index : -1);
    if (!s->scores) continue;
    float values[3] = {(float)image, (float)c, i < n ? kept[i].score : -1};
    memcpy((float *)r->outputs[1] + 3 * i, values, sizeof values);
  }
  if (!s->count) return;
  if (s->wide)
    *(int64_t *)r->outputs[2] = n;
  else
    *(int32_t *)r->outputs[2] = (int32_t)n;
}

static void run(const void *state, const cpu_run *r) {
  const nms_state *s = state;
  int64_t b, e, *counts = r->scratch;
  box *boxes = (box *)(counts + s->images * s->classes);
  scored *kept = (scored *)(boxes + all_boxes(s)), *other = kept + all_kept(s);
  while (!s->rotated && cpu_next_phase(r, 0, s->images * s->boxes, 1024, &b, &e))
    for (; b < e; b++) boxes[b] = corners(s, (const float *)r->inputs[BOXES] + 4 * b);
  cpu_barrier(r);
  while (cpu_next_phase(r, 1, s->images * s->classes, 1, &b, &e))
    counts[b] = one_class(s, r, boxes + b / s->classes * s->boxes, b, kept + b * s->boxes);
  cpu_barrier(r);
  if (r->member == 0) write_rows(s, r, kept, other, counts);
}

const cpu_kernel IEC_ISA(cpu_kernel_nms) = {
    .kind = "NonMaxSuppression", .name = "nms", .supports = supports, .prepare = prepare, .run = run};
