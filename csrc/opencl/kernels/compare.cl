/* SPDX-License-Identifier: Apache-2.0 */
/* Comparisons, logic on bool, and choice by a condition. Options and `nd`: see binary.cl. */

/* Numbers: the order of compare_names. */
__kernel void compare(__global const MEMORY *restrict a, __global const MEMORY *restrict b, __global uchar *restrict y, int n,
                      int rank, __global const int *restrict nd) {
  const int i = get_global_id(0);
  if (i >= n) return;
  T u = GET(a, nd_offset(i, rank, nd, nd + 8)), v = GET(b, nd_offset(i, rank, nd, nd + 16));
  int r;
  switch (OP) {
    case 0: r = u == v; break;
    case 1: r = u != v; break;
    case 2: r = u < v; break;
    case 3: r = u <= v; break;
    case 4: r = u > v; break;
    case 5: r = u >= v; break;
    case 6: r = u && v; break;
    case 7: r = u || v; break;
    default: r = !u != !v; /* logical_xor */
  }
  y[i] = r;
}

__kernel void choose(__global const uchar *restrict c, __global const MEMORY *restrict a, __global const MEMORY *restrict b,
                     __global MEMORY *restrict y, int n, int rank, __global const int *restrict nd) {
  const int i = get_global_id(0);
  if (i >= n) return;
  PUT(y, i, c[nd_offset(i, rank, nd, nd + 8)] ? GET(a, nd_offset(i, rank, nd, nd + 16))
                                               : GET(b, nd_offset(i, rank, nd, nd + 24)));
}
