/* SPDX-License-Identifier: Apache-2.0 */
/* Products of few rows with a big matrix: bound by reading the matrix once, without tiles. */

/* Matrix [n][k]: a work-group of GROUP items sums along one of its rows. Groups: n, rows of a. */
__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void gemv_rows(__global const REAL *restrict a,
                                                                            __global const REAL *restrict b,
                                                                            __global REAL *restrict c, int n, int k,
                                                                            __global const float *restrict post,
                                                                            __global const REAL *restrict sum) {
  __local float part[GROUP];
  const int item = get_local_id(0), column = get_group_id(0), row = group_id(1);
  float acc = 0;
  a += row * k;
  b += column * k;
  for (int i = item; i < k; i += GROUP) acc = mad(LOAD(a, i), LOAD(b, i), acc);
  part[item] = acc;
  for (int half_size = GROUP / 2; half_size > 0; half_size /= 2) {
    barrier(CLK_LOCAL_MEM_FENCE);
    if (item < half_size) part[item] += part[item + half_size];
  }
  if (item == 0) STORE(c, row * n + column, posts(part[0], column, row * n + column, post, sum));
}

/* Matrix [k][n]: neighbouring items take neighbouring columns, SLICES of them share the sum of each. */
__kernel __attribute__((reqd_work_group_size(GROUP / SLICES, SLICES, 1))) void gemv_columns(
    __global const REAL *restrict a, __global const REAL *restrict b, __global REAL *restrict c, int n, int k,
    __global const float *restrict post, __global const REAL *restrict sum) {
  __local float part[SLICES][GROUP / SLICES];
  const int lx = get_local_id(0), slice = get_local_id(1), column = get_global_id(0), row = group_id(2);
  float acc = 0;
  if (column < n)
    for (int i = slice; i < k; i += SLICES) acc = mad(LOAD(a, row * k + i), LOAD(b, i * n + column), acc);
  part[slice][lx] = acc;
  barrier(CLK_LOCAL_MEM_FENCE);
  if (slice == 0 && column < n) {
    for (int s = 1; s < SLICES; s++) acc += part[s][lx];
    STORE(c, row * n + column, posts(acc, column, row * n + column, post, sum));
  }
}
