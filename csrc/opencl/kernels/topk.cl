/* SPDX-License-Identifier: Apache-2.0 */
/* Kind TopK: values and places of the k best along an axis; equal ones by their place, NaN is the greatest. Options: T or T_FLOAT; WIDE
 * for types of 8 bytes; OUT, the type of places; LEAST, the least are the best; SORT, the items of a work-group. */

#if WIDE
typedef ulong order;
#define ORDER(v) ((ulong)(v) ^ (1ul << 63))
#elif T_FLOAT
typedef uint order;
#define ORDER(v) rising(v)
#else
typedef uint order;
#define ORDER(v) ((uint)(int)(v) ^ 0x80000000u)
#endif

/* Rising: the best first. */
order order_of(__global const MEMORY *x, int at) {
  const order rank = ORDER(GET(x, at));
  return LEAST ? rank : ~rank;
}

void put_place(__global const MEMORY *x, __global MEMORY *y, __global OUT *where, int from, int to, int place) {
  PUT(y, to, GET(x, from));
  if (where) where[to] = place;
}

/* An item a row finds one after the other. Row r lies at r / inner * n * inner + r % inner, its elements `inner` apart. */
__kernel void topk_scan(__global const MEMORY *restrict x, __global MEMORY *restrict y, __global OUT *restrict where, int rows, int n,
                        int inner, int k, int by_place) {
  const int row = get_global_id(0), outer = row / inner, base = outer * n * inner + row % inner, to = outer * k * inner + row % inner;
  order last = 0;
  int last_at = -1;
  if (row >= rows) return;
  for (int j = 0; j < k; j++) {
    order best = 0;
    int at = -1;
    for (int i = 0; i < n; i++) {
      const order v = order_of(x, base + i * inner);
      const int left = last_at < 0 || v > last || (v == last && i > last_at);
      if (left && (at < 0 || v < best)) {
        best = v;
        at = i;
      }
    }
    last = best;
    last_at = at;
    if (!by_place) put_place(x, y, where, base + at * inner, to + j * inner, at);
  }
  for (int i = 0, j = 0; by_place && i < n; i++) {
    const order v = order_of(x, base + i * inner);
    if (v < last || (v == last && i <= last_at)) put_place(x, y, where, base + i * inner, to + j++ * inner, i);
  }
}

#if !WIDE
/* A work-group a row sorts it. keys: [row][padded]. */
__kernel __attribute__((reqd_work_group_size(SORT, 1, 1))) void topk_sort(__global const MEMORY *restrict x, __global MEMORY *restrict y,
                                                                          __global OUT *restrict where, __global ulong *keys, int n,
                                                                          int inner, int k, int by_place, int padded) {
  const int item = get_local_id(0), row = get_group_id(0), outer = row / inner;
  const int base = outer * n * inner + row % inner, to = outer * k * inner + row % inner;
  keys += row * padded;
  for (int i = item; i < n; i += SORT) keys[i] = (ulong)order_of(x, base + i * inner) << 32 | (uint)i;
  sort_keys(keys, n, item);
  for (int j = item; j < k; j += SORT)
    if (by_place) keys[j] &= UINT_MAX;
  sort_keys(keys, k, item);
  for (int j = item; j < k; j += SORT) put_place(x, y, where, base + (int)keys[j] * inner, to + j * inner, (int)keys[j]);
}
#endif
