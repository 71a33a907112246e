/* SPDX-License-Identifier: Apache-2.0 */
/* Reductions and what normalises by them. A work-group of GROUP items shares the elements of one result. `nd`: kept sizes,
 * their strides, reduced sizes, their strides; 8 ints each. */

/* Numbers of ops: the order of gpu_reduce_names (ops/reduce.c). */
T combine(int op, T a, T b) {
  switch (op) {
    case 2: return a > b ? a : b;
    case 3: return a < b ? a : b;
    case 4: return a * b;
    case 10: return a && b;
    case 11: return a || b;
    default: return a + b;
  }
}

/* Every item gets the combination of all items' values. */
T share(int op, T v, __local T *part) {
  const int item = get_local_id(0);
  barrier(CLK_LOCAL_MEM_FENCE);
  part[item] = v;
  for (int size = GROUP / 2; size > 0; size /= 2) {
    barrier(CLK_LOCAL_MEM_FENCE);
    if (item < size) part[item] = combine(op, part[item], part[item + size]);
  }
  barrier(CLK_LOCAL_MEM_FENCE);
  return part[0];
}

__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void reduce(__global const MEMORY *restrict x,
                                                                         __global MEMORY *restrict y, int op, int kept, int rank,
                                                                         int count, T start, __global const int *restrict nd) {
  __local T part[GROUP];
  const int result = get_group_id(0), base = nd_offset(result, kept, nd, nd + 8);
  T acc = start, top = 0;
#if T_FLOAT
  if (op == 8) { /* log_sum_exp: the greatest is taken out, unless it is infinite */
    float most = -INFINITY;
    for (int i = get_local_id(0); i < count; i += GROUP) most = fmax(most, GET(x, base + nd_offset(i, rank, nd + 16, nd + 24)));
    top = share(2, most, part);
    if (isinf(top)) top = 0;
  }
#endif
  for (int i = get_local_id(0); i < count; i += GROUP) {
    T v = GET(x, base + nd_offset(i, rank, nd + 16, nd + 24));
    switch (op) {
      case 5: v = v < 0 ? -v : v; break;
      case 6:
      case 9: v = v * v; break;
#if T_FLOAT
      case 8: v = exp(v - top); break;
#endif
    }
    acc = combine(op, acc, v);
  }
  acc = share(op, acc, part);
#if T_FLOAT
  if (op == 1) acc /= count;
  if (op == 6) acc = sqrt(acc);
  if (op == 7 || op == 8) acc = log(acc) + top;
#elif T_SIGNED
  if (op == 1) acc = acc / count;
#endif
  if (get_local_id(0) == 0) PUT(y, result, acc);
}

#if T_FLOAT
/* One work-group a vector of `size` elements `stride` apart. */
__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void softmax(__global const REAL *restrict x,
                                                                          __global REAL *restrict y, int size, int stride,
                                                                          int logarithm) {
  __local float part[GROUP];
  const int vector = get_group_id(0), base = vector / stride * size * stride + vector % stride, item = get_local_id(0);
  float top = -INFINITY, total = 0;
  for (int i = item; i < size; i += GROUP) top = fmax(top, LOAD(x, base + i * stride));
  top = share(2, top, part);
  for (int i = item; i < size; i += GROUP) total += exp(LOAD(x, base + i * stride) - top);
  total = share(0, total, part);
  for (int i = item; i < size; i += GROUP) {
    float v = LOAD(x, base + i * stride) - top;
    STORE(y, base + i * stride, logarithm ? v - log(total) : exp(v) / total);
  }
}

/* The same with one work-item a vector: many short vectors whose neighbours lie next to each other. */
__kernel void softmax_across(__global const REAL *restrict x, __global REAL *restrict y, int vectors, int size, int stride,
                             int logarithm) {
  const int vector = get_global_id(0), base = vector / stride * size * stride + vector % stride;
  if (vector >= vectors) return;
  float top = -INFINITY, total = 0;
  for (int i = 0; i < size; i++) top = fmax(top, LOAD(x, base + i * stride));
  for (int i = 0; i < size; i++) total += exp(LOAD(x, base + i * stride) - top);
  for (int i = 0; i < size; i++) {
    float v = LOAD(x, base + i * stride) - top;
    STORE(y, base + i * stride, logarithm ? v - log(total) : exp(v) / total);
  }
}

/* mode 0: mean removed; 1: also divided by the deviation, eps inside the root; 2: eps outside. */
__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void mvn(__global const REAL *restrict x, __global REAL *restrict y,
                                                                      int kept, int rank, int count, int mode, float eps,
                                                                      __global const int *restrict nd) {
  __local float part[GROUP];
  const int base = nd_offset(get_group_id(0), kept, nd, nd + 8), item = get_local_id(0);
  float total = 0, scale = 1;
  for (int i = item; i < count; i += GROUP) total += LOAD(x, base + nd_offset(i, rank, nd + 16, nd + 24));
  const float mean = share(0, total, part) / count;
  if (mode) {
    float squares = 0;
    for (int i = item; i < count; i += GROUP) {
      float d = LOAD(x, base + nd_offset(i, rank, nd + 16, nd + 24)) - mean;
      squares += d * d;
    }
    squares = share(0, squares, part) / count;
    scale = mode == 1 ? 1 / sqrt(squares + eps) : 1 / (sqrt(squares) + eps);
  }
  for (int i = item; i < count; i += GROUP) {
    int at = base + nd_offset(i, rank, nd + 16, nd + 24);
    STORE(y, at, (LOAD(x, at) - mean) * scale);
  }
}

/* Divided by the root of the sum of squares; `most`: eps is the least sum, else it is added. */
__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void normalize_l2(__global const REAL *restrict x,
                                                                            __global REAL *restrict y, int kept, int rank,
                                                                            int count, int most, float eps,
                                                                            __global const int *restrict nd) {
  __local float part[GROUP];
  const int base = nd_offset(get_group_id(0), kept, nd, nd + 8), item = get_local_id(0);
  float total = 0;
  for (int i = item; i < count; i += GROUP) {
    float v = LOAD(x, base + nd_offset(i, rank, nd + 16, nd + 24));
    total += v * v;
  }
  total = share(0, total, part);
  const float scale = 1 / sqrt(most ? fmax(total, eps) : total + eps);
  for (int i = item; i < count; i += GROUP) {
    int at = base + nd_offset(i, rank, nd + 16, nd + 24);
    STORE(y, at, LOAD(x, at) * scale);
  }
}

/* One work-item an output; `nd`: sizes of the tensor, its strides, 1 on the axes of the window; 8 ints each. */
__kernel void lrn(__global const REAL *restrict x, __global REAL *restrict y, int n, int rank, int reach, float alpha, float beta,
                  float bias, __global const int *restrict nd) {
  const int i = get_global_id(0);
  if (i >= n) return;
  int low[8], counts[8], total = 1, base = i;
  for (int d = rank - 1, left = i; d >= 0; d--) {
    int c = left % nd[d], begin = nd[16 + d] ? max(c - reach, 0) : c, end = nd[16 + d] ? min(c + reach, nd[d] - 1) : c;
    left /= nd[d];
    low[d] = begin;
    counts[d] = end - begin + 1;
    total *= counts[d];
    base += (begin - c) * nd[8 + d];
  }
  float squares = 0;
  for (int k = 0; k < total; k++) {
    int at = base;
    for (int d = rank - 1, left = k; d >= 0; d--) {
      at += left % counts[d] * nd[8 + d];
      left /= counts[d];
    }
    float v = LOAD(x, at);
    squares += v * v;
  }
  STORE(y, i, LOAD(x, i) / pow(bias + alpha * squares, beta));
}
#endif
