/* SPDX-License-Identifier: Apache-2.0 */
/* One function on every element. Options: OP, a number of gpu_unary_names (graph.c); T_FLOAT, or T an integer type, or T_BOOL. */

#if T_FLOAT
float unary_rest(int op, float x, float a, float b, float g) {
  switch (op) {
    case 17: return log(x);
    case 18: return 1 / x;
    case 19: return x > 0 ? 1.0f : x < 0 ? -1.0f : x;
    case 20: return floor(x);
    case 21: return ceil(x);
    case 22: return rint(x);
    case 23: return round(x);
    case 24: return erf(x);
    case 25: return sin(x);
    case 26: return cos(x);
    case 27: return tan(x);
    case 28: return asin(x);
    case 29: return acos(x);
    case 30: return atan(x);
    case 31: return sinh(x);
    case 32: return cosh(x);
    case 33: return asinh(x);
    case 34: return acosh(x);
    case 35: return atanh(x);
    case 36: return x > 20 ? x : log1p(exp(x));
    case 37: return x / (1 + fabs(x));
    case 38: return g * (x > 0 ? x : a * expm1(x));
    case 39: return 0.5f * x * (1 + erf(x * 0.70710678f));
    default: return 0.5f * x * (1 + tanh(0.79788456f * (x + 0.044715f * x * x * x))); /* 40: gelu_tanh */
  }
}

__kernel void unary(__global const REAL *restrict x, __global REAL *restrict y, int n, float a, float b, float g,
                    int inner, int channels, __global const float *restrict post, __global const REAL *restrict sum) {
  const int i = get_global_id(0);
  if (i >= n) return;
  float v = LOAD(x, i);
  v = OP < 10 ? unary_light(OP, v, a, b) : OP < 17 ? unary_heavy(OP, v, a, b, g) : unary_rest(OP, v, a, b, g);
  STORE(y, i, posts(v, i / inner % channels, i, post, sum));
}
#elif !T_BOOL
__kernel void unary(__global const T *restrict x, __global T *restrict y, int n, float a, float b) {
  const int i = get_global_id(0);
  if (i >= n) return;
  T v = x[i];
  switch (OP) {
    case 0: v = v < 0 ? (T)(v * a) : v; break;
    case 1: v = v < a ? (T)a : v > b ? (T)b : v; break;
    case 2: v = v < 0 ? -v : v; break;
    case 3: v = -v; break;
    default: v = v > 0 ? 1 : v < 0 ? -1 : 0; /* sign */
  }
  y[i] = v;
}
#else
__kernel void unary(__global const T *restrict x, __global T *restrict y, int n, float a, float b) {
  const int i = get_global_id(0);
  if (i < n) y[i] = !x[i]; /* not */
}
#endif
