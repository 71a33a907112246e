/* SPDX-License-Identifier: Apache-2.0 */
/* Two operands with broadcasting. Options: OP, a number (ops/eltwise.c); T: float (then memory holds REAL), int, long or
 * uchar (bool). One work-item an element, neighbours next to each other. `nd`: sizes of the output, then strides of each
 * input, 8 ints each; axes that every tensor has in one piece have been joined. */

/* Numbers: the order of arithmetic_names. */
T arithmetic(int op, T a, T b) {
  switch (op) {
    case 0: return a + b;
    case 1: return a - b;
    case 2: return a * b;
#if T_FLOAT
    case 3: return a / b;
    case 4: return a > b || a != a ? a : b;
    case 5: return a < b || a != a ? a : b;
    case 6: return b == 2 ? a * a : pow(a, b);
    case 8: return fmod(a, b);
    case 9: {
      T r = fmod(a, b);
      return r != 0 && (r < 0) != (b < 0) ? r + b : r;
    }
    case 11: return floor(a / b);
    default: return a > 0 ? a : a * b; /* 10: prelu */
#else
    case 3: return b == 0 ? 0 : b == -1 ? -a : a / b;
    case 4: return a > b ? a : b;
    case 5: return a < b ? a : b;
    case 8: return b == 0 || b == -1 ? 0 : a % b;
    case 9: {
      T r = b == 0 || b == -1 ? 0 : a % b;
      return r != 0 && (r < 0) != (b < 0) ? r + b : r;
    }
    default: return a > 0 ? a : a * b;
#endif
    case 7: return (a - b) * (a - b);
  }
}

__kernel void binary(__global const MEMORY *restrict a, __global const MEMORY *restrict b, __global MEMORY *restrict y, int n,
                     int rank, __global const int *restrict nd
#if T_FLOAT
                     , int inner, int channels, __global const float *restrict post, __global const REAL *restrict sum
#endif
) {
  const int i = get_global_id(0);
  if (i >= n) return;
  T v = arithmetic(OP, GET(a, nd_offset(i, rank, nd, nd + 8)), GET(b, nd_offset(i, rank, nd, nd + 16)));
#if T_FLOAT
  v = posts(v, i / inner % channels, i, post, sum);
#endif
  PUT(y, i, v);
}
