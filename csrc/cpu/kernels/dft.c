/* SPDX-License-Identifier: Apache-2.0 */
/* Kind DFT: a transform of any length along an axis, by its prime factors, computed in double. */
#include <math.h>

#include "cpu/kernels/common.h"

typedef struct dft_pair {
  double re, im;
} dft_pair;

typedef struct dft_state {
  int64_t outer, n, inner, largest; /* largest prime factor of n */
  double scale;
  dft_pair root[]; /* exp(-+2i*pi*k/n) */
} dft_state;

static int64_t smallest_factor(int64_t n) {
  for (int64_t p = 2; p * p <= n; p++)
    if (n % p == 0) return p;
  return n;
}

static int32_t supports(const cpu_node *node) {
  if (!op_ports(node, 1, 1) || !op_is(node, 0, IEC_F32)) return 0;
  const cpu_tensor *x = node->inputs[0], *y = node->outputs[0];
  int64_t axis = op_int(node, "axis", -1);
  if (x->ndim < 2 || x->shape[x->ndim - 1] != 2 || axis < 0 || axis >= x->ndim - 1) return 0;
  return y->dtype == IEC_F32 && op_count(y) == op_count(x) && x->shape[axis] <= INT32_MAX ? 10 : 0;
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  const cpu_tensor *x = node->inputs[0];
  int axis = (int)op_int(node, "axis", 0), inverse = op_int(node, "inverse", 0) != 0;
  int64_t n = op_count(x) ? x->shape[axis] : 0;
  iec_status status = op_state(host, node, sizeof(dft_state) + (size_t)n * sizeof(dft_pair), out, err);
  if (status != IEC_OK) return status;
  dft_state *s = out->state;
  s->outer = op_product(x->shape, 0, axis);
  s->n = n;
  s->inner = op_product(x->shape, axis + 1, x->ndim - 1);
  s->scale = inverse && n ? 1.0 / (double)n : 1;
  for (int64_t k = 0; k < n; k++) {
    double angle = 2 * 3.14159265358979323846 * (double)k / (double)n;
    s->root[k] = (dft_pair){cos(angle), inverse ? sin(angle) : -sin(angle)};
  }
  s->largest = 1;
  double work = 0;
  for (int64_t rest = n; rest > 1;) {
    int64_t p = smallest_factor(rest);
    s->largest = op_max(s->largest, p);
    work += (double)p;
    rest /= p;
  }
  out->member_scratch_size = (size_t)(2 * n + s->largest) * sizeof(dft_pair);
  out->cost = (double)op_count(x) * work * 4;
  out->exec_type = "dft_" CPU_ISA_NAME;
  return IEC_OK;
}

/* y[0..n) = transform of the n numbers x[0], x[step], ...; n divides the whole length. The transforms of the
 * p interleaved parts lie one after the other in y, then meet in place, p values at a time. */
static void transform(const dft_state *s, int64_t n, const dft_pair *x, int64_t step, dft_pair *y,
                      dft_pair *part) {
  if (n == 1) {
    y[0] = x[0];
    return;
  }
  int64_t p = smallest_factor(n), m = n / p, turn = s->n / n;
  for (int64_t i = 0; i < p; i++) transform(s, m, x + i * step, step * p, y + i * m, part);
  for (int64_t k = 0; k < m; k++) {
    for (int64_t i = 0; i < p; i++) {
      dft_pair v = y[i * m + k], w = s->root[i * k * turn];
      part[i] = (dft_pair){v.re * w.re - v.im * w.im, v.re * w.im + v.im * w.re};
    }
    for (int64_t q = 0; q < p; q++) {
      dft_pair sum = part[0];
      for (int64_t i = 1; i < p; i++) {
        dft_pair w = s->root[i * q % p * (s->n / p)];
        sum.re += part[i].re * w.re - part[i].im * w.im;
        sum.im += part[i].re * w.im + part[i].im * w.re;
      }
      y[q * m + k] = sum;
    }
  }
}

static void run(const void *state, const cpu_run *r) {
  const dft_state *s = state;
  dft_pair *x = r->member_scratch, *y = x + s->n, *part = y + s->n;
  int64_t b, e;
  while (s->n && cpu_next(r, s->outer * s->inner, op_max(1, 256 / s->n), &b, &e))
    for (; b < e; b++) {
      int64_t at = b / s->inner * s->n * s->inner + b % s->inner;
      const float *in = (const float *)r->inputs[0] + 2 * at;
      float *out = (float *)r->outputs[0] + 2 * at;
      for (int64_t i = 0; i < s->n; i++) x[i] = (dft_pair){in[2 * i * s->inner], in[2 * i * s->inner + 1]};
      transform(s, s->n, x, 1, y, part);
      for (int64_t i = 0; i < s->n; i++) {
        out[2 * i * s->inner] = (float)(y[i].re * s->scale);
        out[2 * i * s->inner + 1] = (float)(y[i].im * s->scale);
      }
    }
}

const cpu_kernel IEC_ISA(cpu_kernel_dft) = {
    .kind = "DFT", .name = "dft", .supports = supports, .prepare = prepare, .run = run};
