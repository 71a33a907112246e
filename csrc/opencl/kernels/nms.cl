/* SPDX-License-Identifier: Apache-2.0 */
/* Kind NonMaxSuppression without falling scores: for each class of an image a work-group that sorts and suppresses, then one that joins
 * them. Options: SORT, the items of a work-group; OUT, the type of places. */

#pragma OPENCL FP_CONTRACT OFF

typedef struct { /* as params of ops/nms.c */
  int groups, classes, boxes, rows, padded; /* groups: images * classes */
  int center, sort, equal, most;
  float iou, least;
} nms_params;

typedef struct {
  float score;
  int box;
} kept_box;

/* The order of the two axes does not matter to overlaps. */
float4 corners(__global const REAL *boxes, int i, int center) {
  const float4 v = (float4)(LOAD(boxes, 4 * i), LOAD(boxes, 4 * i + 1), LOAD(boxes, 4 * i + 2), LOAD(boxes, 4 * i + 3));
  const float2 half_size = v.hi / 2;
  return center ? (float4)(v.lo - half_size, v.lo + half_size) : (float4)(fmin(v.lo, v.hi), fmax(v.lo, v.hi));
}

float overlap(float4 a, float4 b) {
  const float2 size = fmin(a.hi, b.hi) - fmax(a.lo, b.lo), own = a.hi - a.lo, other = b.hi - b.lo;
  const float both = size.x * size.y;
  return size.x < 0 || size.y < 0 || !(both > 0) ? 0 : both / (own.x * own.y + other.x * other.y - both);
}

#define ONE_GROUP __attribute__((reqd_work_group_size(SORT, 1, 1)))

/* keys: [group][padded]; kept: [group][boxes]. */
__kernel ONE_GROUP void nms_class(__global const REAL *restrict boxes, __global const REAL *restrict scores, __global ulong *keys,
                                  __global kept_box *restrict kept, __global int *restrict counts, nms_params s) {
  __local int waiting;
  const int item = get_local_id(0), group = get_group_id(0);
  int n = 0;
  boxes += group / s.classes * s.boxes * 4;
  scores += group * s.boxes;
  keys += group * s.padded;
  kept += group * s.boxes;
  if (item == 0) waiting = 0;
  barrier(CLK_LOCAL_MEM_FENCE);
  for (int i = item; i < s.boxes; i += SORT) {
    const float score = LOAD(scores, i);
    if (score > s.least) keys[atomic_inc(&waiting)] = (ulong)~rising(score) << 32 | (uint)i;
  }
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  const int all = waiting;
  sort_keys(keys, all, item);
  for (int i = 0; i < all && n < s.most; i++) { /* whoever is left here is kept, and ends those behind that it overlaps */
    const ulong key = keys[i];
    if (key != NO_KEY) {
      const int own = (int)(uint)key;
      const float4 box = corners(boxes, own, s.center);
      for (int k = i + 1 + item; k < all; k += SORT) {
        const ulong other = keys[k];
        if (other == NO_KEY) continue;
        const float value = overlap(corners(boxes, (int)(uint)other, s.center), box);
        if (s.equal ? value >= s.iou : value > s.iou) keys[k] = NO_KEY;
      }
      if (item == 0) kept[n] = (kept_box){LOAD(scores, own), own};
      n++;
    }
    barrier(CLK_GLOBAL_MEM_FENCE);
  }
  if (item == 0) counts[group] = n;
}

/* One work-group writes all rows. keys: [groups * boxes], places: as many. */
__kernel ONE_GROUP void nms_rows(__global const kept_box *restrict kept, __global const int *restrict counts, __global ulong *keys,
                                 __global int *places, __global OUT *restrict index, __global REAL *restrict found,
                                 __global OUT *restrict count, nms_params s) {
  const int item = get_local_id(0);
  int n = 0;
  for (int group = 0; group < s.groups; n += counts[group++])
    for (int i = item; i < counts[group]; i += SORT) {
      const int place = group * s.boxes + i;
      keys[n + i] = (s.sort ? (ulong)~rising(kept[place].score) << 32 : 0) | (uint)(n + i);
      places[n + i] = place;
    }
  barrier(CLK_GLOBAL_MEM_FENCE);
  sort_keys(keys, n, item);
  const int used = min(n, s.rows);
  for (int row = item; row < s.rows; row += SORT) {
    const int place = row < used ? places[(int)(uint)keys[row]] : 0, group = place / s.boxes;
    const int image = row < used ? group / s.classes : -1, c = row < used ? group % s.classes : -1;
    index[3 * row] = image;
    index[3 * row + 1] = c;
    index[3 * row + 2] = row < used ? kept[place].box : -1;
    if (found) {
      STORE(found, 3 * row, (float)image);
      STORE(found, 3 * row + 1, (float)c);
      STORE(found, 3 * row + 2, row < used ? kept[place].score : -1.0f);
    }
  }
  if (count && item == 0) *count = used;
}
