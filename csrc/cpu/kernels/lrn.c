/* SPDX-License-Identifier: Apache-2.0 */
/* Kind LRN, float32, plain or blocked: x / (bias + alpha / size^axes * sum of squares in a clipped
 * window)^beta. */
#include "cpu/kernels/common.h"
#include "cpu/kernels/vmath.h"

#define PARTS (16 / VL) /* vectors of a block */
#define MOST_REACH 8    /* of a window over channel blocks: it stays within three of them */
#define PIXELS 32       /* of a block that are squared before they are added up */

typedef struct lrn_state {
  int64_t count, reach;           /* the window is i - reach .. i + reach */
  int64_t images, blocks, pixels; /* of a blocked tensor; blocks 0: it is plain */
  op_tail tail;
  int32_t axes;
  int64_t n[IEC_MAX_NDIM], inner[IEC_MAX_NDIM]; /* size and stride of each axis */
  float scale, beta, bias;
} lrn_state;

static int32_t supports(const cpu_node *node) {
  if (!op_ports(node, 1, 1) || !op_is(node, 0, IEC_F32) || node->outputs[0]->dtype != IEC_F32) return 0;
  const cpu_tensor *x = node->inputs[0];
  size_t count;
  const int64_t *axes = op_ints(node, "axes", &count);
  unsigned seen = 0;
  if (count > IEC_MAX_NDIM || !op_keeps_shape(node)) return 0;
  for (size_t i = 0; i < count; i++) {
    if (axes[i] < 0 || axes[i] >= x->ndim || (seen >> axes[i] & 1)) return 0;
    seen |= 1u << axes[i];
  }
  int64_t size = op_int(node, "size", 0);
  return size >= 1 && size <= INT32_MAX && size % 2 ? 10 : 0;
}

/* Across channels: the usual network has convolutions on both sides. */
static void layouts(const cpu_node *node, cpu_layout *in, cpu_layout *out) {
  size_t count;
  const int64_t *axes = op_ints(node, "axes", &count);
  if (op_blocked(node->inputs[0]) && count == 1 && axes[0] == 1 && op_int(node, "size", 1) / 2 <= MOST_REACH)
    in[0] = out[0] = CPU_BLOCKED16;
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(lrn_state), out, err);
  if (status != IEC_OK) return status;
  lrn_state *s = out->state;
  const cpu_tensor *x = node->inputs[0];
  size_t count;
  const int64_t *axes = op_ints(node, "axes", &count);
  int64_t size = op_int(node, "size", 1);
  double window = 1;
  s->count = op_count(x);
  s->reach = size / 2;
  s->tail = op_tail_of(x);
  if (op_blocked(x)) {
    s->images = x->shape[0];
    s->blocks = s->tail.blocks;
    s->pixels = s->tail.plane / 16;
  }
  s->axes = (int32_t)count;
  for (size_t i = 0; i < count; i++) {
    s->n[i] = x->shape[axes[i]];
    s->inner[i] = op_product(x->shape, (int)axes[i] + 1, x->ndim);
    window *= (double)size;
  }
  s->scale = (float)(op_float(node, "alpha", 1) / window);
  s->beta = (float)op_float(node, "beta", 1);
  s->bias = (float)op_float(node, "bias", 1);
  out->scratch_size = count > 1 ? 2 * (size_t)s->count * sizeof(float) : 0;
  out->cost = (double)s->count * (20 + 2 * (double)size * (double)count);
  out->exec_type = "lrn_" CPU_ISA_NAME;
  return IEC_OK;
}

/* Sums of the window along axis `a` for elements [begin, end), to y[0..]: of the squares of x, or of x
 * itself. */
static void window_sums(const lrn_state *s, int a, int square, const float *x, float *y, int64_t begin,
                        int64_t end) {
  int64_t n = s->n[a], step = s->inner[a];
  for (int64_t i = begin; i < end;) { /* a run of elements with the same index on the axis */
    int64_t at = i / step % n, to = op_min(end, (i / step + 1) * step);
    int64_t lo = op_max(0, at - s->reach) - at, hi = op_min(n - 1, at + s->reach) - at;
    for (; i < to; i += VL) {
      int64_t part = op_min(VL, to - i);
      vf sum = vf_set(0);
      for (int64_t k = lo; k <= hi; k++) {
        const float *p = x + i + k * step;
        vf v = part == VL ? vf_load(p) : vf_load_n(p, part);
        sum += square ? v * v : v;
      }
      if (part == VL)
        vf_store(y + i - begin, sum);
      else
        vf_store_n(y + i - begin, sum, part);
    }
    i = to;
  }
}

/* x * t^-0.75. */
static inline vf three_quarters(vf x, vf t) {
#if defined(__AVX512F__)
  /* An approximate reciprocal root and a step of Newton's method, which 0 and infinity do not need. */
  vf y = (vf)_mm512_rsqrt14_ps((__m512)t), better = y + y * (0.5f - 0.5f * t * y * y);
  y = vf_sel(better == better, better, y);
  return x * y * vf_sqrt(y);
#else
  vf root = vf_sqrt(t);
  return x / (root * vf_sqrt(root));
#endif
}

static inline vf normalised(const lrn_state *s, vf x, vf sum) {
  vf t = s->bias + s->scale * sum;
  return s->beta == 0.75f ? three_quarters(x, t) : x * vm_powf(t, -s->beta);
}

/* x * (bias + scale * sum)^-beta over n elements. */
static void finish(const lrn_state *s, const float *x, const float *sum, float *y, int64_t n) {
  for (int64_t i = 0; i < n; i += VL) {
    int64_t part = op_min(VL, n - i);
    if (part == VL)
      vf_store(y + i, normalised(s, vf_load(x + i), vf_load(sum + i)));
    else
      vf_store_n(y + i, normalised(s, vf_load_n(x + i, part), vf_load_n(sum + i, part)), part);
  }
}

/* The squares of MOST_REACH channels. */
static inline void square_some(const float *x, float *to) {
  typedef float some __attribute__((vector_size(4 * MOST_REACH), aligned(4), may_alias));
  some value = *(const some *)x;
  *(some *)to = value * value;
}

/* `pixels` pixels of block `block`. Each pixel's squares lie beside the last of the block before and the
 * first of the one behind, so that a window is a run of them. */
static void block_pixels(const lrn_state *s, int64_t block, const float *x, float *y, int64_t pixels) {
  float squares[PIXELS][16 + 2 * MOST_REACH];
  static const float none[MOST_REACH];
  const float *before = x - s->pixels * 16 + 16 - MOST_REACH, *behind = x + s->pixels * 16;
  int64_t reach = s->reach, to_before = 16, to_behind = 16;
  if (block == 0) before = none, to_before = 0;
  if (block + 1 == s->blocks) behind = none, to_behind = 0;
  for (int64_t i = 0; i < pixels; i++) {
    square_some(before + i * to_before, squares[i]);
    for (int c = 0; c < 16; c += MOST_REACH) square_some(x + i * 16 + c, squares[i] + MOST_REACH + c);
    square_some(behind + i * to_behind, squares[i] + MOST_REACH + 16);
  }
  for (int64_t i = 0; i < pixels; i++)
    for (int v = 0; v < 16; v += VL) {
      const float *from = squares[i] + MOST_REACH + v;
      vf sum = vf_load(from);
      for (int64_t k = 1; k <= reach; k++) sum += vf_load(from - k) + vf_load(from + k);
      vf_store(y + i * 16 + v, normalised(s, vf_load(x + i * 16 + v), sum));
    }
}

/* The same where windows are five channels wide, in registers. */
static void block_pixels_of_five(const lrn_state *s, int64_t block, const float *x, float *y,
                                 int64_t pixels) {
  static const float none[16];
  const float *before = x - s->pixels * 16, *behind = x + s->pixels * 16;
  int64_t to_before = 16, to_behind = 16;
  if (block == 0) before = none, to_before = 0;
  if (block + 1 == s->blocks) behind = none, to_behind = 0;
  for (int64_t i = 0; i < pixels; i++, x += 16, y += 16, before += to_before, behind += to_behind) {
    vf square[PARTS + 2]; /* the last of the block before, ..., the first of the one behind */
    square[0] = vf_load(before + 16 - VL);
    square[PARTS + 1] = vf_load(behind);
#pragma GCC unroll 4
    for (int v = 0; v < PARTS; v++) square[v + 1] = vf_load(x + v * VL);
#pragma GCC unroll 6
    for (int v = 0; v < PARTS + 2; v++) square[v] *= square[v];
#pragma GCC unroll 4
    for (int v = 0; v < PARTS; v++) {
      vf a = square[v], b = square[v + 1], c = square[v + 2];
      vf sum = b + (VF_SLIDE(a, b, VL - 1) + VF_SLIDE(b, c, 1));
      sum += VF_SLIDE(a, b, VL - 2) + VF_SLIDE(b, c, 2);
      vf_store(y + v * VL, normalised(s, vf_load(x + v * VL), sum));
    }
  }
}

static void run_blocked(const lrn_state *s, const cpu_run *r) {
  int64_t b, e, pieces = op_div_up(s->pixels, PIXELS), count = s->images * s->blocks * pieces;
  while (cpu_next(r, count, op_grain(r, count, 1), &b, &e))
    for (; b < e; b++) {
      int64_t block, piece;
      op_place(r, b, s->blocks, s->images * pieces, &block, &piece);
      int64_t pixel = piece % pieces * PIXELS, pixels = op_min(PIXELS, s->pixels - pixel);
      int64_t at = ((piece / pieces * s->blocks + block) * s->pixels + pixel) * 16;
      float *y = r->outputs[0];
      (s->reach == 2 ? block_pixels_of_five : block_pixels)(s, block, (const float *)r->inputs[0] + at,
                                                            y + at, pixels);
      op_tail_zero(&s->tail, y, at, at + pixels * 16);
    }
}

static void run(const void *state, const cpu_run *r) {
  const lrn_state *s = state;
  const float *x = r->inputs[0];
  float *y = r->outputs[0], *scratch = r->scratch;
  if (s->blocks) {
    run_blocked(s, r);
    return;
  }
  int64_t b, e, grain = op_grain(r, s->count, 4096);
  if (s->axes == 0) {
    while (cpu_next(r, s->count, grain, &b, &e))
      for (; b < e; b++) y[b] = x[b] / powf(s->bias + s->scale * x[b] * x[b], s->beta);
    return;
  }
  const float *from = x;
  int32_t rank = 0, members = s->axes > 1 ? cpu_settle(r, &rank) : 1;
  for (int a = 0; a + 1 < s->axes;
       a++) { /* every axis but the last goes through memory; members share it statically */
    float *to = scratch + (a % 2) * s->count;
    int64_t first = s->count * rank / members, last = s->count * (rank + 1) / members;
    window_sums(s, a, a == 0, from, to + first, first, last);
    cpu_barrier(r);
    from = to;
  }
  while (cpu_next(r, s->count, grain, &b, &e))
    for (int64_t i = b; i < e; i += 512) {
      float sums[512];
      int64_t n = op_min(512, e - i);
      window_sums(s, s->axes - 1, s->axes == 1, from, sums, i, i + n);
      finish(s, x + i, sums, y + i, n);
    }
}

const cpu_kernel IEC_ISA(cpu_kernel_lrn) = {
    .kind = "LRN", .name = "lrn", .supports = supports, .layouts = layouts, .prepare = prepare, .run = run};
