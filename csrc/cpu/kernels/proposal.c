/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds Proposal, SimplerNMS and GenerateProposals: anchors moved by deltas, the best kept after suppression.
 */
#include "cpu/kernels/boxes.h"

enum { PROPOSAL, SIMPLER, GENERATE };

typedef struct proposal_state {
  int32_t rule, tensorflow, clip_before, clip_after, normalize, drop_small;
  int32_t scores;                                /* there is an output of scores; not for GENERATE */
  int64_t images, height, width, anchors, cells; /* cells: anchors * height * width */
  int64_t before, rows, info; /* sorted candidates, rows of an image, numbers of an image's info */
  float stride, least, threshold, centre_scale, size_scale, extra, nms_extra;
  box cell[]; /* anchors of cell 0; not for GENERATE, whose anchors are an input */
} proposal_state;

static const double *anchor_list(const cpu_node *node, size_t *count) {
  const double *values = NULL;
  *count = 0;
  node->api->attr_f64s(node->source, "anchors", &values, count);
  return values;
}

static int is_floats(const cpu_node *node, int inputs) {
  for (int i = 0; i < inputs; i++)
    if (!op_is(node, i, IEC_F32)) return 0;
  return node->outputs[0]->dtype == IEC_F32;
}

static int fits(const cpu_node *node, int64_t anchors, int64_t channels, int64_t rows, int64_t columns) {
  const cpu_tensor *scores = node->inputs[0], *deltas = node->inputs[1];
  if (scores->ndim != 4 || anchors < 0 || scores->shape[1] != channels) return 0;
  if (rows < 1 || rows > INT32_MAX) return 0;
  if (op_count(deltas) != scores->shape[0] * 4 * anchors * scores->shape[2] * scores->shape[3]) return 0;
  if (anchors * scores->shape[2] * scores->shape[3] > INT32_MAX) return 0;
  return op_count(node->outputs[0]) == op_times(scores->shape[0], rows * columns);
}

static int32_t supports_anchors(const cpu_node *node) {
  size_t count;
  if (!op_ports(node, 3, 1) || !is_floats(node, 3)) return 0;
  const double *values = anchor_list(node, &count);
  int simpler = strcmp(node->kind, "SimplerNMS") == 0;
  int64_t anchors = (int64_t)count / 4, rows = op_int(node, "post_nms_topn", 0);
  if ((count && !values) || op_count(node->inputs[2]) < 3 || op_int(node, "pre_nms_topn", 0) < 1) return 0;
  if (!fits(node, anchors, 2 * anchors, rows, 5) || (simpler && node->inputs[0]->shape[0] != 1)) return 0;
  if (simpler) return 10;
  const cpu_tensor *found = node->output_count > 1 ? node->outputs[1] : NULL;
  return !found || (found->dtype == IEC_F32 && op_count(found) == op_count(node->outputs[0]) / 5) ? 10 : 0;
}

/* Inputs image information, anchors, deltas, scores. */
static int32_t supports_generate(const cpu_node *node) {
  if (!op_ports(node, 4, 3) || !is_floats(node, 4)) return 0;
  const cpu_tensor *info = node->inputs[0], *scores = node->inputs[3];
  int64_t rows = op_int(node, "post_nms_count", 0);
  if (scores->ndim != 4 || rows < 1 || rows > INT32_MAX || op_int(node, "pre_nms_count", 0) < 1) return 0;
  int64_t cells = op_product(scores->shape, 1, 4), images = scores->shape[0];
  if (cells > INT32_MAX || op_count(node->inputs[1]) != cells * 4 ||
      op_count(node->inputs[2]) != images * cells * 4)
    return 0;
  if (info->ndim != 2 || info->shape[0] != images || info->shape[1] < 3) return 0;
  if (op_count(node->outputs[0]) != op_times(images, rows * 4) ||
      op_count(node->outputs[1]) != op_times(images, rows))
    return 0;
  if (node->outputs[1]->dtype != IEC_F32) return 0;
  return node->outputs[2]->dtype == IEC_I32 && op_count(node->outputs[2]) == images ? 10 : 0;
}

static void set_sizes(proposal_state *s, const cpu_tensor *scores, cpu_prepared *out) {
  s->images = scores->shape[0];
  s->height = scores->shape[2];
  s->width = scores->shape[3];
  s->cells = s->anchors * s->height * s->width;
  s->before = op_min(s->before, s->cells);
  out->member_scratch_size = (size_t)s->cells * (sizeof(box) + 2 * sizeof(scored));
  out->cost = 60.0 * (double)(s->images * s->cells) + 10.0 * (double)s->before * (double)s->rows;
  out->exec_type = "proposal_" CPU_ISA_NAME;
}

static iec_status prepare_anchors(const iec_host_api *host, const cpu_node *node, cpu_prepared *out,
                                  iec_error *err) {
  size_t count;
  const double *values = anchor_list(node, &count);
  iec_status status = op_state(host, node, sizeof(proposal_state) + count / 4 * sizeof(box), out, err);
  if (status != IEC_OK) return status;
  proposal_state *s = out->state;
  s->rule = strcmp(node->kind, "SimplerNMS") == 0 ? SIMPLER : PROPOSAL;
  s->anchors = (int64_t)count / 4;
  for (int64_t a = 0; a < s->anchors; a++) {
    const double *v = values + 4 * a;
    s->cell[a] = (box){(float)v[0], (float)v[1], (float)v[2], (float)v[3]};
  }
  s->tensorflow = op_int(node, "tensorflow", 0) != 0;
  s->clip_before = op_int(node, "clip_before_nms", 1) != 0;
  s->clip_after = op_int(node, "clip_after_nms", 0) != 0;
  s->normalize = op_int(node, "normalize", 0) != 0;
  s->info = op_count(node->inputs[2]);
  s->before = op_int(node, "pre_nms_topn", 0);
  s->rows = op_int(node, "post_nms_topn", 0);
  s->stride = (float)op_float(node, "feat_stride", 1);
  s->least = (float)op_float(node, "min_size", 0);
  s->threshold = (float)op_float(node, "nms_thresh", 0);
  s->centre_scale = (float)op_float(node, "box_coordinate_scale", 1);
  s->size_scale = (float)op_float(node, "box_size_scale", 1);
  s->extra = s->nms_extra = s->tensorflow ? 0 : 1;
  s->scores = s->rule == PROPOSAL && node->output_count > 1 && node->outputs[1];
  set_sizes(s, node->inputs[0], out);
  return IEC_OK;
}

static size_t generated(const proposal_state *s) { return (size_t)(s->images * s->rows); }

static iec_status prepare_generate(const iec_host_api *host, const cpu_node *node, cpu_prepared *out,
                                   iec_error *err) {
  iec_status status = op_state(host, node, sizeof(proposal_state), out, err);
  if (status != IEC_OK) return status;
  proposal_state *s = out->state;
  s->rule = GENERATE;
  s->anchors = node->inputs[3]->shape[1];
  s->info = node->inputs[0]->shape[1];
  s->before = op_int(node, "pre_nms_count", 0);
  s->rows = op_int(node, "post_nms_count", 0);
  s->least = (float)op_float(node, "min_size", 0);
  s->threshold = (float)op_float(node, "nms_threshold", 0);
  s->drop_small = op_int(node, "drop_small", 0) != 0;
  s->extra = op_int(node, "extra", 1) ? 1 : 0;
  s->nms_extra = op_int(node, "nms_extra", 0) ? 1 : 0;
  set_sizes(s, node->inputs[3], out);
  out->scratch_size =
      generated(s) * (sizeof(box) + sizeof(float)); /* results of each image before they are joined */
  return IEC_OK;
}

typedef struct image_view {     /* one image of a run */
  const float *scores, *deltas; /* by anchor, row and column */
  const box *anchors;           /* GENERATE: one for each cell */
  float width, height, least_w, least_h;
  box *boxes; /* [cells], in the order row, column, anchor */
  scored *list, *other;
} image_view;

static int too_small(const proposal_state *s, const image_view *v, box b) {
  float w = b.x1 - b.x0, h = b.y1 - b.y0;
  if (s->rule == SIMPLER) return !(truncf(w) + 1 >= v->least_w) || !(truncf(h) + 1 >= v->least_h);
  return !(w + s->extra >= v->least_w) || !(h + s->extra >= v->least_h);
}

/* The box of a cell: its anchor, moved and clipped. */
static box decode(const proposal_state *s, const image_view *v, int64_t y, int64_t x, int64_t a) {
  int64_t plane = s->height * s->width, at = y * s->width + x;
  const float *d = v->deltas + a * 4 * plane + at;
  if (s->rule == GENERATE) {
    box b = box_refine(v->anchors[at * s->anchors + a], d[0], d[plane], d[2 * plane], d[3 * plane], s->extra,
                       4.135166556742356f); /* log(1000/16) */
    b.x1 -= s->extra;
    b.y1 -= s->extra;
    return box_clip(b, v->width - s->extra, v->height - s->extra);
  }
  float dx = (float)(s->tensorflow ? y : x) * s->stride, dy = (float)(s->tensorflow ? x : y) * s->stride;
  box b = {s->cell[a].x0 + dx, s->cell[a].y0 + dy, s->cell[a].x1 + dx, s->cell[a].y1 + dy};
  if (s->tensorflow) b = box_clip(b, v->width, v->height);
  b = box_refine(b, d[0] / s->centre_scale, d[plane] / s->centre_scale, d[2 * plane] / s->size_scale,
                 d[3 * plane] / s->size_scale, s->extra, INFINITY);
  return s->clip_before ? box_clip(b, v->width - s->extra, v->height - s->extra) : b;
}

/* Fills boxes and the list; too small boxes have score 0, or are left out. Returns the length of the list. */
static int64_t decode_all(const proposal_state *s, const image_view *v) {
  int64_t plane = s->height * s->width, i = 0, n = 0;
  for (int64_t y = 0; y < s->height; y++)
    for (int64_t x = 0; x < s->width; x++)
      for (int64_t a = 0; a < s->anchors; a++, i++) {
        float score = v->scores[a * plane + y * s->width + x];
        v->boxes[i] = decode(s, v, y, x, a);
        int small = too_small(s, v, v->boxes[i]);
        if (s->rule == SIMPLER && small) continue;
        v->list[n++] = (scored){small && !s->drop_small ? 0 : score, (int32_t)i, 0};
      }
  return n;
}

/* The surviving candidates at the front of the list that is returned. */
static scored *choose(const proposal_state *s, const image_view *v, int64_t *count) {
  int64_t n = decode_all(s, v), keep = op_min(n, s->before), left = 0;
  scored *list = v->list;
  if (s->rule == SIMPLER) { /* of equal scores the later one comes first */
    for (int64_t i = 0; i < n / 2; i++) {
      scored t = list[i];
      list[i] = list[n - 1 - i];
      list[n - 1 - i] = t;
    }
    list = scored_sort(list, v->other, n);
    while (left < keep && list[left].score > 0) left++;
    keep = left;
  } else {
    scored_partial(list, n, keep);
  }
  if (s->drop_small) {
    for (int64_t i = 0; i < keep; i++)
      if (!too_small(s, v, v->boxes[list[i].index])) list[left++] = list[i];
    keep = left;
  }
  *count = scored_suppress(v->boxes, list, keep, s->threshold, s->nms_extra, s->rows);
  return list;
}

static image_view view(const proposal_state *s, const cpu_run *r, int64_t image) {
  int64_t generate = s->rule == GENERATE, own = generate ? 1 : 2;
  const float *info = (const float *)r->inputs[generate ? 0 : 2] + (generate ? image * s->info : 0);
  const float *scores = r->inputs[generate ? 3 : 0], *deltas = r->inputs[generate ? 2 : 1];
  float scale_h = info[2], scale_w = s->rule != SIMPLER && s->info > 3 ? info[3] : info[2];
  if (s->rule == SIMPLER) scale_h = scale_w = truncf(info[2]);
  if (generate && !s->drop_small) scale_h = scale_w = 1;
  image_view v = {.scores = scores + (image * own + (own - 1)) * s->cells,
                  .deltas = deltas + image * 4 * s->cells,
                  .anchors = generate ? r->inputs[1] : NULL,
                  .width = info[s->tensorflow ? 0 : 1],
                  .height = info[s->tensorflow ? 1 : 0],
                  .least_w = s->least * scale_w,
                  .least_h = s->least * scale_h,
                  .boxes = r->member_scratch};
  v.list = (scored *)(v.boxes + s->cells);
  v.other = v.list + s->cells;
  return v;
}

static void write_rows(const proposal_state *s, const cpu_run *r, int64_t image, const image_view *v,
                       const scored *list, int64_t count) {
  float *y = (float *)r->outputs[0] + image * s->rows * 5;
  float *scores = s->scores ? (float *)r->outputs[1] + image * s->rows : NULL;
  memset(y, 0, (size_t)s->rows * 5 * sizeof(float));
  if (scores) memset(scores, 0, (size_t)s->rows * sizeof(float));
  for (int64_t i = 0; i < count; i++) {
    box b = v->boxes[list[i].index];
    if (s->clip_after) b = box_clip(b, v->width, v->height);
    if (s->normalize) b = (box){b.x0 / v->width, b.y0 / v->height, b.x1 / v->width, b.y1 / v->height};
    y[5 * i] = (float)image;
    memcpy(y + 5 * i + 1, &b, sizeof b);
    if (scores) scores[i] = list[i].score;
  }
  if (s->rule == PROPOSAL && count < s->rows) y[5 * count] = -1;
}

static void run_anchors(const void *state, const cpu_run *r) {
  const proposal_state *s = state;
  int64_t b, e, count;
  while (cpu_next(r, s->images, 1, &b, &e)) {
    image_view v = view(s, r, b);
    const scored *list = choose(s, &v, &count);
    write_rows(s, r, b, &v, list, count);
  }
}

static void run_generate(const void *state, const cpu_run *r) {
  const proposal_state *s = state;
  int64_t b, e, count, used = 0;
  box *boxes = r->scratch, *rois = r->outputs[0];
  float *scores = (float *)(boxes + generated(s)), *found = r->outputs[1];
  int32_t *counts = r->outputs[2];
  while (cpu_next(r, s->images, 1, &b, &e)) {
    image_view v = view(s, r, b);
    const scored *list = choose(s, &v, &count);
    for (int64_t i = 0; i < count; i++) {
      boxes[b * s->rows + i] = v.boxes[list[i].index];
      scores[b * s->rows + i] = list[i].score;
    }
    counts[b] = (int32_t)count;
  }
  cpu_barrier(r);
  if (r->member != 0) return;
  for (int64_t image = 0; image < s->images; image++) {
    size_t n = (size_t)counts[image];
    memcpy(rois + used, boxes + image * s->rows, n * sizeof(box));
    memcpy(found + used, scores + image * s->rows, n * sizeof(float));
    used += counts[image];
  }
  memset(rois + used, 0, (generated(s) - (size_t)used) * sizeof(box));
  memset(found + used, 0, (generated(s) - (size_t)used) * sizeof(float));
}

const cpu_kernel IEC_ISA(cpu_kernel_proposal) = {.kind = "Proposal",
                                                 .name = "proposal",
                                                 .supports = supports_anchors,
                                                 .prepare = prepare_anchors,
                                                 .run = run_anchors};
const cpu_kernel IEC_ISA(cpu_kernel_simpler_nms) = {.kind = "SimplerNMS",
                                                    .name = "simpler_nms",
                                                    .supports = supports_anchors,
                                                    .prepare = prepare_anchors,
                                                    .run = run_anchors};
const cpu_kernel IEC_ISA(cpu_kernel_generate_proposals) = {.kind = "GenerateProposals",
                                                           .name = "generate_proposals",
                                                           .supports = supports_generate,
                                                           .prepare = prepare_generate,
                                                           .run = run_generate};
