/* SPDX-License-Identifier: Apache-2.0 */
/* Boxes and scored candidates: overlap, refinement by deltas, sorting. What the detection kernels share. */
#ifndef IEC_CPU_BOXES_H
#define IEC_CPU_BOXES_H
#include <math.h>

#include "cpu/kernels/common.h"

typedef struct box {
  float x0, y0, x1, y1;
} box;

typedef struct scored {
  float score;
  int32_t index, group; /* group: what the kernel makes of it, a class or an image and a class */
} scored;

static inline float box_clamp(float v, float low, float high) { return v < low ? low : v > high ? high : v; }

static inline box box_clip(box b, float width, float height) {
  return (box){box_clamp(b.x0, 0, width), box_clamp(b.y0, 0, height), box_clamp(b.x1, 0, width),
               box_clamp(b.y1, 0, height)};
}

/* Intersection over union, 0 when the boxes are apart by more than `reach`. `extra` is 1 when corners are
 * pixels that belong to the box. */
static inline float box_overlap(box a, box b, float extra, float reach) {
  float w = fminf(a.x1, b.x1) - fmaxf(a.x0, b.x0), h = fminf(a.y1, b.y1) - fmaxf(a.y0, b.y0);
  if (w < -reach || h < -reach) return 0;
  float inter = (w + extra) * (h + extra);
  float area = (a.x1 - a.x0 + extra) * (a.y1 - a.y0 + extra);
  float other = (b.x1 - b.x0 + extra) * (b.y1 - b.y0 + extra);
  return inter > 0 ? inter / (area + other - inter) : 0;
}

/* The box moved by deltas dx, dy and logarithms of growth, which are relative to its size; logarithms up to
 * `limit`. */
static inline box box_refine(box b, float dx, float dy, float dw, float dh, float extra, float limit) {
  float w = b.x1 - b.x0 + extra, h = b.y1 - b.y0 + extra;
  float cx = b.x0 + 0.5f * w + dx * w, cy = b.y0 + 0.5f * h + dy * h;
  float half_w = 0.5f * expf(fminf(dw, limit)) * w, half_h = 0.5f * expf(fminf(dh, limit)) * h;
  return (box){cx - half_w, cy - half_h, cx + half_w, cy + half_h};
}

/* Stable sort by falling score; `other` is room for as many. Returns the one of the two that holds the
 * result. */
static inline scored *scored_sort(scored *list, scored *other, int64_t n) {
  for (int64_t width = 1; width < n; width *= 2) {
    for (int64_t i = 0; i < n; i += 2 * width) {
      int64_t a = i, middle = op_min(i + width, n), b = middle, end = op_min(i + 2 * width, n), to = i;
      while (a < middle && b < end) other[to++] = list[b].score > list[a].score ? list[b++] : list[a++];
      while (a < middle) other[to++] = list[a++];
      while (b < end) other[to++] = list[b++];
    }
    scored *t = list;
    list = other;
    other = t;
  }
  return list;
}

static inline void scored_sift(scored *v, int64_t place, int64_t count, scored item) {
  int64_t top = place;
  while (2 * place + 2 < count) {
    int64_t child = 2 * place + 2;
    if (v[child].score > v[child - 1].score) child--;
    v[place] = v[child];
    place = child;
  }
  if (2 * place + 2 == count) {
    v[place] = v[count - 1];
    place = count - 1;
  }
  for (; place > top && v[(place - 1) / 2].score > item.score; place = (place - 1) / 2)
    v[place] = v[(place - 1) / 2];
  v[place] = item;
}

/* The `keep` best of n to the front by falling score. Equal scores come in the order of the original's
 * partial sort: a heap with the worst of the best on top, the hole of a removed one sinking to a leaf. */
static inline void scored_partial(scored *v, int64_t n, int64_t keep) {
  keep = op_min(keep, n);
  if (keep < 1) return;
  for (int64_t i = keep / 2 - 1; i >= 0; i--) scored_sift(v, i, keep, v[i]);
  for (int64_t i = keep; i < n; i++)
    if (v[i].score > v[0].score) {
      scored item = v[i];
      v[i] = v[0];
      scored_sift(v, 0, keep, item);
    }
  for (int64_t end = keep - 1; end > 0; end--) {
    scored item = v[end];
    v[end] = v[0];
    scored_sift(v, 0, end, item);
  }
}

/* Keeps the candidates that overlap no better kept one by more than the threshold, `limit` at most (-1: all),
 * at the front of the list. Returns how many. */
static inline int64_t scored_suppress(const box *boxes, scored *list, int64_t n, float threshold, float extra,
                                      int64_t limit) {
  int64_t kept = 0;
  for (int64_t i = 0; i < n && kept != limit; i++) {
    int64_t k = 0;
    while (k < kept && !(box_overlap(boxes[list[k].index], boxes[list[i].index], extra, 0) > threshold)) k++;
    if (k == kept) list[kept++] = list[i];
  }
  return kept;
}
#endif
