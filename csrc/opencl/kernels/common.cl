/* SPDX-License-Identifier: Apache-2.0 */
/* In front of every program: floating storage, positions in tensors, and the operations fused behind a kernel. */

/* HALF: activations and weights lie in memory as half. Arithmetic is float but for products of matrices, see NARROW; vload_half
 * needs no extension. */
#if HALF
#define REAL half
#define LOAD(p, i) vload_half(i, p)
#define STORE(p, i, v) vstore_half_rte(v, i, p)
#else
#define REAL float
#define LOAD(p, i) ((p)[i])
#define STORE(p, i, v) ((p)[i] = (v))
#endif

/* The type of products and of their short sums: 0 float, 1 half of cl_khr_fp16, 2 its results with floats. */
#if NARROW == 1
#pragma OPENCL EXTENSION cl_khr_fp16 : enable
typedef half narrow;
#define LOAD_NARROW(p, i) ((p)[i])
#define MAD(a, b, c) fma(a, b, c)
#else
typedef float narrow;
#define LOAD_NARROW(p, i) LOAD(p, i)
#if NARROW == 2
float as_half_would(float v) {
  ushort bits;
  vstore_half_rte(v, 0, (half *)&bits);
  return vload_half(0, (const half *)&bits);
}
#define MAD(a, b, c) as_half_would(fma(a, b, c))
#else
#define MAD(a, b, c) mad(a, b, c)
#endif
#endif

/* Options T_FLOAT, or T an integer type: what a kernel of several types computes with, and how it lies in memory. */
#if T_FLOAT
#define T float
#define MEMORY REAL
#define GET(p, i) LOAD(p, i)
#define PUT(p, i, v) STORE(p, i, v)
#else
#define MEMORY T
#define GET(p, i) ((p)[i])
#define PUT(p, i, v) ((p)[i] = (v))
#endif

/* The work-group along an axis; a launch with too many is cut into several, each with an offset. */
int group_id(int axis) { return (int)(get_group_id(axis) + get_global_offset(axis) / get_local_size(axis)); }

/* The place of element `i` of a tensor of `rank` sizes in memory of the given strides. */
int nd_offset(int i, int rank, __global const int *sizes, __global const int *strides) {
  int at = 0;
  for (int d = rank - 1; d >= 0; d--) {
    int rest = i / sizes[d];
    at += (i - rest * sizes[d]) * strides[d];
    i = rest;
  }
  return at;
}

/* Unary operations of kind Unary. Numbers: the order of gpu_unary_names (graph.c). Those below 10 need no function of the
 * library; those below 17 also run fused. */
float unary_light(int op, float x, float a, float b) {
  switch (op) {
    case 0: return x < 0 ? (a == 0 ? 0.0f : x * a) : x; /* relu */
    case 1: return x < a ? a : x > b ? b : x;           /* clamp */
    case 2: return fabs(x);
    case 3: return -x;
    case 4: return x * x;
    case 5: return x * clamp(x + 3, 0.0f, 6.0f) / 6; /* hswish */
    case 6: return clamp(x + 3, 0.0f, 6.0f) / 6;     /* hsigmoid */
    case 7: return clamp(a * x + b, 0.0f, 1.0f);     /* hard_sigmoid */
    case 8: return x > 0 ? 1.0f : -1.0f;             /* binary_sign */
    default: return sqrt(x);
  }
}

float unary_heavy(int op, float x, float a, float b, float g) {
  switch (op) {
    case 10: return 1 / (1 + exp(-x)); /* sigmoid */
    case 11: return tanh(x);
    case 12: return x < 0 ? a * expm1(x) : x; /* elu */
    case 13: return exp(x);
    case 14: return x / (1 + exp(-a * x)); /* swish */
    case 15: return pow(g + b * x, a);     /* power */
    default: return x * tanh(x > 20 ? x : log1p(exp(x))); /* mish */
  }
}

float quantize(float x, float il, float ih, float ol, float oh, float steps) {
  if (x <= fmin(il, ih)) return ol;
  if (x > fmax(il, ih)) return oh;
  return rint((x - il) / (ih - il) * steps) / steps * (oh - ol) + ol;
}

/* The operations behind a result x of channel c, whose place in the output is `at`. `post` holds their number (an int)
 * and from element 8 on 8 floats each: type and op (ints), alpha, beta, gamma, place of its channel data in `post` (int).
 * Option POSTS: 0 there are none, 1 light unary operations at most, 2 all. */
float posts(float x, int c, int at, __global const float *post, __global const REAL *sum) {
#if POSTS
  int count = as_int(post[0]), channels = as_int(post[1]);
  for (int i = 0; i < count; i++) {
    __global const float *p = post + 8 + 8 * i, *data = post + as_int(p[5]) + c;
    int op = as_int(p[1]);
    switch (as_int(p[0])) {
#if POSTS > 1
      case 0: x = op < 10 ? unary_light(op, x, p[2], p[3]) : unary_heavy(op, x, p[2], p[3], p[4]); break;
#else
      case 0: x = unary_light(op, x, p[2], p[3]); break;
#endif
      case 1: x += LOAD(sum, at); break;
      case 2: x = x * data[0] + data[channels]; break;
      case 3: x = x < 0 ? x * data[0] : x; break;
      default: x = quantize(x, data[0], data[channels], data[2 * channels], data[3 * channels], p[2]);
    }
  }
#endif
  return x;
}

/* Option SORT: the items of a work-group. */
#ifdef SORT
#define NO_KEY ULONG_MAX

/* Numbers that rise as floats do; NaN is not before anything. */
uint rising(float v) {
  const uint bits = as_uint(v == 0 ? 0.0f : v);
  return isnan(v) ? UINT_MAX : bits >> 31 ? ~bits : bits ^ 0x80000000u;
}

/* Brings the first n keys into rising order; room for the next power of two is there. All items of a work-group take part, no barrier
 * is needed around it. Not to be called under a condition, even one that all items share: PoCL 3.1 breaks on such barriers. */
void sort_keys(__global ulong *keys, int n, int item) {
  int size = 1;
  while (size < n) size *= 2;
  for (int i = n + item; i < size; i += SORT) keys[i] = NO_KEY;
  barrier(CLK_GLOBAL_MEM_FENCE);
  for (int block = 2; block <= size; block *= 2)
    for (int step = block / 2; step > 0; step /= 2) {
      for (int i = item; i < size / 2; i += SORT) {
        const int low = 2 * i - (i & (step - 1)), high = low + step;
        const ulong a = keys[low], b = keys[high];
        if (a > b == ((low & block) == 0)) {
          keys[low] = b;
          keys[high] = a;
        }
      }
      barrier(CLK_GLOBAL_MEM_FENCE);
    }
}
#endif
