/* SPDX-License-Identifier: Apache-2.0 */
/* Greedy decoding of sequences of scores. Options of ctc_collapse: LENGTHS, the type of given lengths (absent: a float mask); OUT, the
 * type of the classes; COUNT, the type of the number of classes found. */

/* The first greatest of `classes` neighbouring scores, for each row: a work-group a row. */
__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void ctc_best(__global const REAL *restrict x, __global int *restrict best,
                                                                           int classes) {
  __local float value[GROUP];
  __local int place[GROUP];
  const int item = get_local_id(0), row = get_group_id(0);
  float most = -INFINITY;
  int at = 0;
  for (int c = item; c < classes; c += GROUP) {
    const float v = LOAD(x, row * classes + c);
    if (v > most || c == item) {
      most = v;
      at = c;
    }
  }
  value[item] = item < classes ? most : -INFINITY;
  place[item] = item < classes ? at : INT_MAX;
  for (int half_size = GROUP / 2; half_size > 0; half_size /= 2) {
    barrier(CLK_LOCAL_MEM_FENCE);
    if (item >= half_size) continue;
    const float v = value[item + half_size];
    const int p = place[item + half_size];
    if (v > value[item] || (v == value[item] && p < place[item])) {
      value[item] = v;
      place[item] = p;
    }
  }
  if (item == 0) best[row] = place[0];
}

/* One work-item a sequence leaves blanks and repeats out; what is not used of its output is -1. Step t of sequence n is row
 * n * sequence + t * step. */
__kernel void ctc_collapse(__global const int *restrict best,
#ifdef LENGTHS
                           __global const LENGTHS *restrict given, __global OUT *restrict y, __global COUNT *restrict counts,
#else
                           __global const REAL *restrict given, __global REAL *restrict y, __global int *restrict counts,
#endif
                           int batch, int steps, int sequence, int step, int blank, int merge) {
  const int n = get_global_id(0);
  if (n >= batch) return;
#ifdef LENGTHS
  const int length = (int)clamp(given[n], (LENGTHS)0, (LENGTHS)steps);
#else
  int length = min(1, steps);
  while (length < steps && LOAD(given, length * batch + n) != 0) length++;
#endif
  int count = 0;
  for (int t = 0, previous = -1; t < length; t++) {
    const int c = best[n * sequence + t * step];
    if (c != blank && !(merge && c == previous)) {
#ifdef LENGTHS
      y[n * steps + count++] = c;
#else
      STORE(y, n * steps + count++, (float)c);
#endif
    }
    previous = c;
  }
  if (counts) counts[n] = count;
  for (; count < steps; count++)
#ifdef LENGTHS
    y[n * steps + count] = -1;
#else
    STORE(y, n * steps + count, -1.0f);
#endif
}
