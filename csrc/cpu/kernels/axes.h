/* SPDX-License-Identifier: Apache-2.0 */
/* Walking a float tensor by kept and reduced axes: what Reduce, MVN and NormalizeL2 share. */
#ifndef IEC_CPU_AXES_H
#define IEC_CPU_AXES_H
#include "cpu/kernels/common.h"
#include "cpu/kernels/vmath.h"

#define AXES_LANES 128 /* kept elements that are reduced together when the last axis is kept */

/* An item is one kept element, or a strip of up to AXES_LANES neighbours when the last axis is kept. Kept
 * elements are numbered row-major, as they lie in the output. */
typedef struct axes_walk {
  int32_t kept_rank, reduced_rank;
  int64_t kept[IEC_MAX_NDIM + 1], kept_step[IEC_MAX_NDIM + 1];
  int64_t reduced[IEC_MAX_NDIM + 1], reduced_step[IEC_MAX_NDIM + 1];
  int64_t width, strips; /* size of the last kept axis when it is innermost, else 1; strips it is cut into */
  int64_t items, outer;  /* items; products of the reduced axes but the last */
  int64_t count;         /* logical elements that go into one result */
} axes_walk;

typedef struct axes_item {
  int64_t x, y, lanes; /* first input element, first kept number, lanes */
} axes_item;

/* The attribute `axes` as bits; -1 when it is malformed. */
static inline int64_t axes_mask(const cpu_node *node) {
  size_t count;
  const int64_t *axes = op_ints(node, "axes", &count);
  int64_t mask = 0;
  for (size_t i = 0; i < count; i++) {
    if (axes[i] < 0 || axes[i] >= node->inputs[0]->ndim) return -1;
    mask |= (int64_t)1 << axes[i];
  }
  return mask;
}

/* Axes of tensor `x` (its layout decided); in a blocked tensor the lanes belong to axis 1. */
static inline void axes_plan(const cpu_tensor *x, int64_t mask, axes_walk *w) {
  int64_t dims[IEC_MAX_NDIM + 1];
  int rank = op_physical(x, dims), before = -1;
  int64_t step = op_product(dims, 0, rank);
  memset(w, 0, sizeof *w);
  w->count = 1;
  for (int i = 0; i < x->ndim; i++)
    if (mask >> i & 1) w->count *= x->shape[i];
  for (int i = 0; i < rank; i++) {
    int reduced = (int)(mask >> (i == x->ndim ? 1 : i) & 1);
    if (dims[i] == 0)
      step = 0;
    else
      step /= dims[i];
    int64_t *n = reduced ? w->reduced : w->kept, *s = reduced ? w->reduced_step : w->kept_step;
    int32_t *at = reduced ? &w->reduced_rank : &w->kept_rank;
    if (dims[i] == 1) continue;
    if (before == reduced) {
      n[*at - 1] *= dims[i];
      s[*at - 1] = step;
    } else {
      n[*at] = dims[i];
      s[*at] = step;
      ++*at;
    }
    before = reduced;
  }
  if (!w->reduced_rank) {
    w->reduced[0] = 1;
    w->reduced_rank = 1;
  }
  if (!w->kept_rank) {
    w->kept[0] = 1;
    w->kept_rank = 1;
  }
  w->width = before == 0 ? w->kept[w->kept_rank - 1] : 1;
  w->strips = w->width ? op_div_up(w->width, AXES_LANES) : 0;
  w->items = op_product(w->kept, 0, w->kept_rank - (before == 0)) * w->strips;
  w->outer = w->reduced[w->reduced_rank - 1] ? op_product(w->reduced, 0, w->reduced_rank - 1) : 0;
}

static inline int64_t axes_offset(const int64_t *dims, const int64_t *steps, int rank, int64_t index) {
  int64_t at = 0;
  for (int i = rank - 1; i >= 0; i--) {
    at += index % dims[i] * steps[i];
    index /= dims[i];
  }
  return at;
}

static inline axes_item axes_at(const axes_walk *w, int64_t item) {
  int strip = w->width != 1;
  int64_t k = item / w->strips, first = item % w->strips * AXES_LANES;
  axes_item it = {axes_offset(w->kept, w->kept_step, w->kept_rank - strip, k) + first, k * w->width + first,
                  op_min(AXES_LANES, w->width - first)};
  return it;
}

typedef enum {
  AXES_SUM,
  AXES_ABS,
  AXES_SQUARE,
  AXES_CENTRED_SQUARE,
  AXES_EXP,
  AXES_PROD,
  AXES_MAX,
  AXES_MIN
} axes_op;

static inline __attribute__((always_inline)) vf axes_term(int op, vf acc, vf x, vf m) {
  switch (op) {
    case AXES_SUM: return acc + x;
    case AXES_ABS: return acc + vf_abs(x);
    case AXES_SQUARE: return acc + x * x;
    case AXES_CENTRED_SQUARE: return acc + (x - m) * (x - m);
    case AXES_EXP: return acc + vm_exp(x - m);
    case AXES_PROD: return acc * x;
    case AXES_MAX: return vf_max(acc, x);
    default: return vf_min(acc, x);
  }
}

static inline float axes_start(int op) {
  return op == AXES_PROD ? 1.0f : op == AXES_MAX ? -INFINITY : op == AXES_MIN ? INFINITY : 0.0f;
}

/* Half a vector of floats, and as many doubles. */
typedef float axes_half __attribute__((vector_size(2 * VL)));
typedef double axes_wide __attribute__((vector_size(4 * VL)));

/* Two partial results of an operation. */
static inline __attribute__((always_inline)) vf axes_both(int op, vf a, vf b) {
  return op == AXES_PROD ? a * b : op == AXES_MAX ? vf_max(a, b) : op == AXES_MIN ? vf_min(a, b) : a + b;
}

static inline double axes_join(int op, double a, double b) {
  if (op == AXES_PROD) return a * b;
  if (op == AXES_MAX) return a > b || a != a ? a : b;
  if (op == AXES_MIN) return a < b || a != a ? a : b;
  return a + b;
}

/* Lanes of a strip: long sums are kept in double every 64 terms, so that the error does not grow with the
 * count. */
static inline __attribute__((always_inline)) void axes_strip(int op, const axes_walk *w, const axes_item *it,
                                                             const float *x, const float *mean, double *out) {
  int last = w->reduced_rank - 1;
  int64_t n = w->reduced[last], step = w->reduced_step[last];
  for (int64_t j = 0; j < it->lanes; j++) out[j] = (double)axes_start(op);
  for (int64_t o = 0; o < w->outer; o++) {
    const float *p = x + it->x + axes_offset(w->reduced, w->reduced_step, last, o);
    for (int64_t j = 0; j < it->lanes; j += VL) {
      int64_t part = op_min(VL, it->lanes - j);
      vf m = mean ? (part == VL ? vf_load(mean + j) : vf_load_n(mean + j, part)) : vf_set(0);
      for (int64_t i = 0; i < n;) {
        int64_t to = op_min(i + 64, n);
        vf acc = vf_set(axes_start(op));
        if (part == VL)
          for (; i < to; i++) acc = axes_term(op, acc, vf_load(p + i * step + j), m);
        else
          for (; i < to; i++) acc = axes_term(op, acc, vf_load_n(p + i * step + j, part), m);
        for (int64_t k = 0; k < part; k++) out[j + k] = axes_join(op, out[j + k], (double)acc[k]);
      }
    }
  }
}

/* All lanes joined, sums as doubles. */
static inline __attribute__((always_inline)) double axes_lanes(int op, vf acc) {
  if (op == AXES_PROD || op == AXES_MAX || op == AXES_MIN) {
    double all = (double)acc[0];
    for (int k = 1; k < VL; k++) all = axes_join(op, all, (double)acc[k]);
    return all;
  }
  axes_half half[2];
  memcpy(half, &acc, sizeof half);
  axes_wide sum = __builtin_convertvector(half[0], axes_wide) + __builtin_convertvector(half[1], axes_wide);
  double part[VL / 2];
  memcpy(part, &sum, sizeof part);
#pragma GCC unroll 3
  for (int n = VL / 4; n; n /= 2)
#pragma GCC unroll 4
    for (int k = 0; k < n; k++) part[k] += part[k + n];
  return part[0];
}

/* One kept element whose last reduced axis is contiguous. Partial results beside each other do not wait for
 * each other. */
static inline __attribute__((always_inline)) double axes_row(int op, const axes_walk *w, const axes_item *it,
                                                             const float *x, const float *mean) {
  enum { PARTS = 4 };
  int last = w->reduced_rank - 1;
  int64_t n = w->reduced[last];
  vf m = vf_set(mean ? mean[0] : 0.0f), start = vf_set(axes_start(op));
  double total = (double)axes_start(op);
  for (int64_t o = 0; o < w->outer; o++) {
    const float *p = x + it->x + axes_offset(w->reduced, w->reduced_step, last, o);
    for (int64_t i = 0; i < n;) {
      int64_t to = op_min(n, i + 64 * VL);
      vf acc[PARTS] = {start, start, start, start};
      for (; i + PARTS * VL <= to; i += PARTS * VL)
#pragma GCC unroll 4
        for (int k = 0; k < PARTS; k++) acc[k] = axes_term(op, acc[k], vf_load(p + i + k * VL), m);
      for (; i + VL <= to; i += VL) acc[0] = axes_term(op, acc[0], vf_load(p + i), m);
      vf all = axes_both(op, axes_both(op, acc[0], acc[1]), axes_both(op, acc[2], acc[3]));
      total = axes_join(op, total, axes_lanes(op, all));
      if (to < n) continue;
      for (; i < n; i++) total = axes_join(op, total, (double)axes_term(op, start, vf_set(p[i]), m)[0]);
    }
  }
  return total;
}

/* out[lane] of one item; `mean` (a value for each lane) is used by the centred operations. */
static inline __attribute__((always_inline)) void axes_fold(int op, const axes_walk *w, const axes_item *it,
                                                            const float *x, const float *mean, double *out) {
  if (w->width != 1)
    axes_strip(op, w, it, x, mean, out);
  else
    out[0] = axes_row(op, w, it, x, mean);
}

/* y = (x - mean) * scale for all elements of an item of one lane; y lies as x does. */
static inline void axes_apply_row(const axes_walk *w, const axes_item *it, float mean, float scale,
                                  const float *x, float *y) {
  int last = w->reduced_rank - 1;
  for (int64_t o = 0; o < w->outer; o++) {
    int64_t base = it->x + axes_offset(w->reduced, w->reduced_step, last, o);
    for (int64_t i = base; i < base + w->reduced[last]; i++) y[i] = (x[i] - mean) * scale;
  }
}

/* The same of any item. */
static inline void axes_apply(const axes_walk *w, const axes_item *it, const float *mean, const float *scale,
                              const float *x, float *y) {
  if (w->width == 1) {
    axes_apply_row(w, it, mean[0], scale[0], x, y);
    return;
  }
  int last = w->reduced_rank - 1;
  int64_t n = w->reduced[last], step = w->reduced_step[last];
  for (int64_t o = 0; o < w->outer; o++) {
    int64_t base = it->x + axes_offset(w->reduced, w->reduced_step, last, o);
    const float *p = x + base;
    float *q = y + base;
    for (int64_t i = 0; i < n; i++)
      for (int64_t j = 0; j < it->lanes; j++) q[i * step + j] = (p[i * step + j] - mean[j]) * scale[j];
  }
}

/* Layouts of a kernel that reduces `axes` and follows its input: lanes past C may not take part. */
static inline int axes_blocked(const cpu_node *node, int64_t mask) {
  const cpu_tensor *x = node->inputs[0];
  return op_blocked(x) && (!(mask >> 1 & 1) || x->shape[1] % 16 == 0);
}
#endif
