/* SPDX-License-Identifier: Apache-2.0 */
/* Kind DetectionOutput in three launches: boxes decoded; for each class of an image a work-group that sorts and suppresses; for each
 * image one that keeps the best and writes their rows. Options: SORT, the items of a work-group; PRIOR_FLOAT, priors lie in memory as float; REFINED, priors are
 * refined by another network; MXNET, each prior stands for its best class only; LIST, candidates of an image that fit local memory
 * (0: they lie in global memory). */

#pragma OPENCL FP_CONTRACT OFF

typedef struct { /* as params of ops/detection.c */
  int images, classes, loc_classes, priors, prior_size;
  int prior_image, variance; /* places: of the next image's priors (0: they are shared), of the variances (0: none) */
  int rows, background, capacity, keep, padded;
  int center, clip_before, clip_after;
  float threshold, nms, objectness, width, height;
} detection;

typedef struct {
  float score;
  int place; /* prior; in the list of an image: class * capacity + number */
} candidate;

#if PRIOR_FLOAT
#define PRIORS float
#define PRIOR(p, i) ((p)[i])
#else
#define PRIORS REAL
#define PRIOR(p, i) LOAD(p, i)
#endif

#if LIST
#define SPACE __local
#else
#define SPACE __global
#endif

#define ONE_GROUP __attribute__((reqd_work_group_size(SORT, 1, 1)))

float4 decode(detection s, float4 p, float4 v, float4 l) {
  float4 b;
  if (s.center) {
    const float2 size = p.hi - p.lo, c = v.lo * l.lo * size + (p.lo + p.hi) / 2, half_size = exp(v.hi * l.hi) * size / 2;
    b.lo = c - half_size;
    b.hi = c + half_size;
  } else {
    b = p + v * l;
  }
  return s.clip_before ? clamp(b, 0.0f, 1.0f) : b;
}

float4 load4(__global const REAL *p, int at) { return (float4)(LOAD(p, at), LOAD(p, at + 1), LOAD(p, at + 2), LOAD(p, at + 3)); }
float4 prior4(__global const PRIORS *p, int at) { return (float4)(PRIOR(p, at), PRIOR(p, at + 1), PRIOR(p, at + 2), PRIOR(p, at + 3)); }

/* boxes: [image][class][prior], one class when all share them. */
__kernel void detection_decode(__global const PRIORS *restrict prior, __global const REAL *restrict loc, __global const REAL *restrict arm,
                               __global float4 *restrict boxes, detection s) {
  const int i = get_global_id(0);
  if (i >= s.images * s.loc_classes * s.priors) return;
  const int p = i % s.priors, l = i / s.priors % s.loc_classes, image = i / s.priors / s.loc_classes;
  const int base = image * s.prior_image, at = ((image * s.priors + p) * s.loc_classes + l) * 4;
  const float4 v = s.variance ? prior4(prior, base + s.variance + 4 * p) : (float4)(1);
  float4 box = prior4(prior, base + p * s.prior_size + s.prior_size - 4) / (float4)(s.width, s.height, s.width, s.height);
#if REFINED
  box = decode(s, box, v, load4(arm, at));
#endif
  boxes[i] = decode(s, box, v, load4(loc, at));
}

float area(float4 b) { return b.z < b.x || b.w < b.y ? 0 : (b.z - b.x) * (b.w - b.y); }

int overlaps(float4 a, float4 b, float limit) {
  if (b.x > a.z || b.z < a.x || b.y > a.w || b.w < a.y) return 0 > limit;
  const float2 size = fmin(a.hi, b.hi) - fmax(a.lo, b.lo);
  const float both = size.x * size.y;
  return both / (area(a) + area(b) - both) > limit;
}

/* Numbers that sort as candidates do: the greater score first, then the earlier prior. */
ulong key_of(float score, int prior) { return (ulong)~rising(score) << 32 | (uint)prior; }
float score_of(ulong key) {
  const uint bits = ~(uint)(key >> 32);
  return as_float(bits >> 31 ? bits ^ 0x80000000u : ~bits);
}

/* A confidence; a refined prior without an object counts as background. */
float confidence(__global const REAL *conf, __global const REAL *arm, detection s, int at, int c) {
#if REFINED
  if (LOAD(arm, 2 * at + 1) < s.objectness) return c == s.background ? 1.0f : 0.0f;
#endif
  return LOAD(conf, at * s.classes + c);
}

/* A work-group a class, MXNET: an image. keys: [group][padded]; kept: [image][class][capacity], counts: [image][class]; labels (MXNET):
 * [image][prior]. */
__kernel ONE_GROUP void detection_class(__global const REAL *restrict conf, __global const REAL *restrict arm,
                                       __global const PRIORS *restrict prior, __global const float4 *restrict boxes,
                                       __global ulong *keys, __global int *labels, __global candidate *restrict kept,
                                       __global int *restrict counts, detection s) {
  __local int count, valid;
  const int item = get_local_id(0), group = get_group_id(0);
  const int image = MXNET ? group : group / s.classes, own = MXNET ? 0 : group % s.classes;
  keys += group * s.padded;
  kept += image * s.classes * s.capacity;
  counts += image * s.classes;
  boxes += image * s.loc_classes * s.priors;
  for (int c = item; c < s.classes; c += SORT)
    if (MXNET || c == own) counts[c] = 0;
  if (item == 0) {
    count = 0;
    valid = !MXNET && own == s.background ? 0 : s.priors;
  }
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  if (s.prior_size == 5) /* a batch number of -1 ends the list */
    for (int p = item; p < s.priors; p += SORT)
      if (PRIOR(prior, image * s.prior_image + p * 5) == -1) atomic_min(&valid, p);
  barrier(CLK_LOCAL_MEM_FENCE);
  for (int p = item, priors = valid; p < priors; p += SORT) {
    const int at = image * s.priors + p;
#if MXNET
    float best = 0;
    int label = 0;
    for (int c = 1; c < s.classes; c++) {
      const float score = confidence(conf, arm, s, at, c);
      if (label == 0 || score > best) {
        best = score;
        label = c;
      }
    }
    labels[at] = label;
    if (label > 0 && best >= s.threshold) keys[atomic_inc(&count)] = key_of(best, p);
#else
    const float score = confidence(conf, arm, s, at, own);
    if (score > s.threshold) keys[atomic_inc(&count)] = key_of(score, p);
#endif
  }
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  const int n = count, used = min(n, s.capacity);
  sort_keys(keys, n, item);
#if MXNET
  labels += image * s.priors;
#define LABEL(p) labels[p]
#else
#define LABEL(p) own
#endif
#define BOX(p) boxes[(s.loc_classes == 1 ? 0 : LABEL(p) * s.priors) + p]
  for (int i = 0; i < used; i++) { /* whoever is left here is kept, and ends those behind that it overlaps */
    const ulong key = keys[i];
    if (key != NO_KEY) {
      const int p = (int)(uint)key;
      const float4 box = BOX(p);
      for (int k = i + 1 + item; k < used; k += SORT) {
        const ulong other = keys[k];
        const int q = (int)(uint)other;
        if (other != NO_KEY && LABEL(q) == LABEL(p) && overlaps(box, BOX(q), s.nms)) keys[k] = NO_KEY;
      }
      if (item == 0) kept[LABEL(p) * s.capacity + counts[LABEL(p)]++] = (candidate){score_of(key), p};
    }
    barrier(CLK_GLOBAL_MEM_FENCE);
  }
}

void exchange(SPACE candidate *a, SPACE candidate *b) {
  const candidate t = *a;
  *a = *b;
  *b = t;
}

/* As csrc/cpu/kernels/detection_output.c: the median to the front, the rest split around it. */
int split_around_median(SPACE candidate *v, int n) {
  SPACE candidate *a = v + 1, *b = v + n / 2, *c = v + n - 1;
  SPACE candidate *above = b->score > c->score ? b : a->score > c->score ? c : a;
  SPACE candidate *below = a->score > c->score ? a : b->score > c->score ? c : b;
  exchange(v, a->score > b->score ? above : below);
  int low = 1, high = n;
  for (;; low++) {
    while (v[low].score > v->score) low++;
    do high--;
    while (v->score > v[high].score);
    if (low >= high) return low;
    exchange(v + low, v + high);
  }
}

void sort_stable(SPACE candidate *v, __global candidate *other, int n) {
  for (int width = 1; width < n; width *= 2) {
    for (int i = 0; i < n; i++) other[i] = v[i];
    for (int i = 0; i < n; i += 2 * width) {
      int a = i, b = min(i + width, n), to = i;
      const int middle = b, end = min(i + 2 * width, n);
      while (to < end) v[to++] = a == middle || (b < end && other[b].score > other[a].score) ? other[b++] : other[a++];
    }
  }
}

/* Descending, equal scores in the order of the original's unstable sort: one item does it. */
void sort_as_original(SPACE candidate *v, __global candidate *other, int n) {
  int begins[64], sizes[64], depths[64], top = 1, depth = 0;
  for (int i = n; i > 1; i /= 2) depth += 2;
  begins[0] = 0;
  sizes[0] = n;
  depths[0] = depth;
  while (top > 0) {
    const int begin = begins[--top];
    int size = sizes[top];
    depth = depths[top];
    for (; size > 16; depth--) {
      if (depth == 0) {
        sort_stable(v + begin, other, size);
        break;
      }
      const int cut = split_around_median(v + begin, size);
      begins[top] = begin + cut;
      sizes[top] = size - cut;
      depths[top++] = depth - 1;
      size = cut;
    }
  }
  for (int i = 1; i < n; i++) {
    const candidate moved = v[i];
    int to = i;
    for (; to > 0 && moved.score > v[to - 1].score; to--) v[to] = v[to - 1];
    v[to] = moved;
  }
}

void put(__global REAL *y, int row, int image, int c, candidate k, __global const float4 *boxes, detection s) {
  if (row >= s.rows) return;
  float4 b = boxes[(image * s.loc_classes + (s.loc_classes == 1 ? 0 : c)) * s.priors + k.place];
  if (s.clip_after) b = clamp(b, 0.0f, 1.0f);
  const float values[7] = {image, MXNET ? c - 1 : c, k.score, b.x, b.y, b.z, b.w};
  for (int i = 0; i < 7; i++) STORE(y, row * 7 + i, values[i]);
}

/* A work-group an image. all: room for the candidates of all images, twice. */
__kernel ONE_GROUP void detection_rows(__global const candidate *restrict kept, __global const int *restrict counts,
                                      __global const float4 *restrict boxes, __global candidate *all, __global REAL *restrict y,
                                      detection s) {
  __local int tied;
#if LIST
  __local candidate list[LIST];
#endif
  const int item = get_local_id(0), image = get_group_id(0), room = s.classes * s.capacity;
#if !LIST
  __global candidate *list = all + image * room;
#endif
  __global candidate *best = all + (s.images + image) * room;
  int begin = 0, n = 0;
  for (int i = 0; i <= image; i++) {
    begin += s.keep < 0 ? n : min(n, s.keep);
    n = 0;
    for (int c = 0; c < s.classes; c++) n += counts[i * s.classes + c];
  }
  const int used = s.keep < 0 ? n : min(n, s.keep);
  kept += image * room;
  counts += image * s.classes;
  for (int c = 0, at = 0; c < s.classes; at += counts[c++])
    for (int i = item; i < counts[c]; i += SORT) {
      const candidate k = kept[c * s.capacity + i];
      if (used == n)
        put(y, begin + at + i, image, c, k, boxes, s);
      else
        list[at + i] = (candidate){k.score, c * s.capacity + i};
    }
  if (item == 0) tied = 0;
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  for (int e = item; e < n && used < n; e += SORT) {
    const float score = list[e].score;
    int above = 0, equal = 0, before = 0;
    for (int k = 0; k < n; k++) {
      above += list[k].score > score;
      equal += list[k].score == score;
      before += list[k].score > score || (list[k].score == score && k < e);
    }
    if (above < used && equal > 1) tied = 1;
    if (before < used) best[before] = list[e];
  }
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  if (tied && item == 0) {
    sort_as_original(list, best, n);
    for (int e = 0; e < used; e++) best[e] = list[e];
  }
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  for (int e = item; e < used && used < n; e += SORT) { /* by class, there in their order */
    const int place = best[e].place, c = place / s.capacity;
    int before = 0;
    for (int k = 0; k < used; k++) {
      const int other = best[k].place / s.capacity;
      before += other < c || (other == c && k < e);
    }
    put(y, begin + before, image, c, kept[place], boxes, s);
  }
  if (image == s.images - 1)
    for (int i = (begin + used) * 7 + item; i < s.rows * 7; i += SORT) STORE(y, i, i == (begin + used) * 7 ? -1.0f : 0.0f);
}
