/* SPDX-License-Identifier: Apache-2.0 */
/* Vector forms of the unary operations of docs/kinds.md: relative error below 1e-6, infinities and NaN as in
 * libm.
 *
 * Polynomials are minimax fits made for this file (weighted Lawson iteration in double, checked in
 * tests/cpu). */
#ifndef IEC_CPU_VMATH_H
#define IEC_CPU_VMATH_H
#include "cpu/kernel.h"
#include "cpu/kernels/vec.h"

/* c[0] + c[1] x + ... */
static inline vf vm_poly(vf x, const float *c, int count) {
  vf y = vf_set(c[count - 1]);
  for (int i = count - 2; i >= 0; i--) y = y * x + c[i];
  return y;
}

/* x * 2^n for |n| < 254, in two steps so that results may be denormal or infinite. */
static inline vf vm_scale(vf x, vi n) {
  vi half = n >> 1;
  return x * (vf)((half + 127) << 23) * (vf)((n - half + 127) << 23);
}

/* e^x for x of at most 89. */
static inline vf vm_exp_below(vf x) {
  static const float c[] = {5.000000096e-01f, 1.666651830e-01f, 4.166620417e-02f, 8.368953708e-03f,
                            1.395060030e-03f};
  vf t = vf_at_least(x, vf_set(-104.0f)); /* below it the result is 0; the limits keep n small */
  vf n = vf_round(t * 1.44269504f);
  vf r = (t - n * 0.693359375f) - n * -2.12194440e-4f; /* ln 2 in two parts: the first product is exact */
  vf s = r * r; /* powers apart from each other: a shorter chain than Horner's */
  vf y = (((s * c[4] + (r * c[3] + c[2])) * s + (r * c[1] + c[0])) * s + r) + 1.0f;
#if defined(__AVX512F__)
  return (vf)_mm512_scalef_ps((__m512)y, (__m512)n);
#else
  vi k = __builtin_convertvector(vf_sel(n == n, n, vf_set(0)), vi);
  return vm_scale(y, k);
#endif
}

static inline vf vm_exp(vf x) { return vm_exp_below(vf_at_most(x, vf_set(89.0f))); } /* infinite beyond */

/* e^x - 1, precise near 0. */
static inline vf vm_expm1(vf x) {
  static const float c[] = {5.000000737e-01f, 1.666666906e-01f, 4.166468826e-02f,
                            8.332951314e-03f, 1.402031117e-03f, 2.002498456e-04f};
  return vf_sel(vf_abs(x) < 0.5f, vm_poly(x, c, 6) * x * x + x, vm_exp(x) - 1.0f);
}

static inline vf vm_log(vf x) {
  static const float c[] = {3.333331673e-01f, -2.500081043e-01f, 2.000228608e-01f, -1.662455314e-01f,
                            1.418119611e-01f, -1.312876763e-01f, 1.288162240e-01f, -7.859545869e-02f};
  vi tiny = x < 1.17549435e-38f;
  vf t = vf_sel(tiny, x * 8388608.0f, x);
  /* t = m * 2^e with m in [sqrt(1/2), sqrt(2)) */
  vu bits = (vu)t - 0x3f3504f3u;
  vi e = (vi)bits >> 23;
  vf f = (vf)((bits & 0x7fffffu) + 0x3f3504f3u) - 1.0f;
  vf n = __builtin_convertvector(e, vf) - vf_sel(tiny, vf_set(23.0f), vf_set(0));
  vf ff = f * f;
  vf y = vm_poly(f, c, 8) * f * ff + n * -2.12194440e-4f - 0.5f * ff;
  y = y + f + n * 0.693359375f;
  y = vf_sel(x == 0.0f, vf_set(-INFINITY), y);
  y = vf_sel(x < 0.0f, vf_set(NAN), y);
  return vf_sel((x == INFINITY) | (x != x), x, y);
}

/* ln(1 + x) for x in [0, 1]. */
static inline vf vm_log1p(vf x) {
  vf u = x + 1.0f, d = u - 1.0f;
  return vf_sel(d == 0.0f, x, vm_log(u) * (x / vf_sel(d == 0.0f, vf_set(1.0f), d)));
}

static inline vf vm_sigmoid(vf x) { return 1.0f / (1.0f + vm_exp(-x)); }

static inline vf vm_tanh(vf x) {
  static const float c[] = {-3.333328022e-01f, 1.333138364e-01f, -5.373399969e-02f, 2.061812183e-02f,
                            -5.679303854e-03f};
  vf a = vf_abs(x), s = x * x;
  vf big = 1.0f - 2.0f / (vm_exp(a + a) + 1.0f);
  return vf_sel(a < 0.625f, vm_poly(s, c, 5) * s * x + x, vf_copysign(big, x));
}

/* A quotient of polynomials in x^2; erf(3.92) rounds to 1. */
static inline vf vm_erf(vf x) {
  static const float up[] = {1.128379146e+00f, 1.904021228e-01f, 5.274758695e-02f,
                             3.765292589e-03f, 2.848518849e-04f, 2.049804026e-06f};
  static const float down[] = {
      1.0f, 5.020722315e-01f, 1.141068113e-01f, 1.496856518e-02f, 1.162414120e-03f, 3.808718083e-05f};
  vf end = vf_set(3.92f), one = vf_set(1.0f);
  vf t = vf_at_most(vf_at_least(x, -end), end), s = t * t;
  vf y = t * vm_poly(s, up, 6) / vm_poly(s, down, 6);
  return vf_sel(vf_abs(x) > end, vf_copysign(one, x), vf_at_most(vf_at_least(y, -one), one));
}

/* ln(1 + e^x). */
static inline vf vm_softplus(vf x) { return vf_max(x, vf_set(0)) + vm_log1p(vm_exp(-vf_abs(x))); }

/* x tanh(ln(1 + e^x)) = x n / (n + 2) with n = e^x (e^x + 2). */
static inline vf vm_mish(vf x) {
  vf e = vm_exp(vf_min(x, vf_set(20.0f))), n = e * (e + 2.0f);
  vf y = vf_sel(x > 20.0f, x, x * n / (n + 2.0f));
  return vf_sel(x == -INFINITY, vf_set(-0.0f), y);
}

/* Limits x to [lo, hi]; NaN stays. */
static inline vf vm_clamp(vf x, vf lo, vf hi) { return vf_at_most(vf_at_least(x, lo), hi); }

/* x^p as powf has it, for every p. */
static inline vf vm_powf(vf x, float p) {
  if (p == 1.0f) return x;
  if (p == 2.0f) return x * x;
  if (p == -1.0f) return 1.0f / x;
  if (p == 0.5f) return vf_sel(x == -INFINITY, vf_set(INFINITY), vf_sqrt(x) + 0.0f);
  for (int i = 0; i < VL; i++) x[i] = powf(x[i], p);
  return x;
}

/* One lane at a time, for the operations no network spends time in. */
static inline vf vm_libm(int op, vf x) {
  for (int i = 0; i < VL; i++) {
    float v = x[i];
    switch (op) {
      case CPU_UNARY_SIN: v = sinf(v); break;
      case CPU_UNARY_COS: v = cosf(v); break;
      case CPU_UNARY_TAN: v = tanf(v); break;
      case CPU_UNARY_ASIN: v = asinf(v); break;
      case CPU_UNARY_ACOS: v = acosf(v); break;
      case CPU_UNARY_ATAN: v = atanf(v); break;
      case CPU_UNARY_SINH: v = sinhf(v); break;
      case CPU_UNARY_COSH: v = coshf(v); break;
      case CPU_UNARY_ASINH: v = asinhf(v); break;
      case CPU_UNARY_ACOSH: v = acoshf(v); break;
      default: v = atanhf(v); break;
    }
    x[i] = v;
  }
  return x;
}

/* Operation `op` (cpu_unary) with the attributes of docs/kinds.md. With a constant `op` only its own code
 * remains. */
static inline __attribute__((always_inline)) vf vm_unary(int op, vf x, float alpha, float beta, float gamma) {
  vf zero = vf_set(0), one = vf_set(1.0f);
  switch (op) {
    case CPU_UNARY_RELU: return alpha == 0.0f ? vf_at_least(x, zero) : vf_sel(x < 0.0f, x * alpha, x);
    case CPU_UNARY_SIGMOID: return vm_sigmoid(x);
    case CPU_UNARY_TANH: return vm_tanh(x);
    case CPU_UNARY_ELU: return vf_sel(x < 0.0f, alpha * vm_expm1(x), x);
    case CPU_UNARY_CLAMP: return vm_clamp(x, vf_set(alpha), vf_set(beta));
    case CPU_UNARY_EXP: return vm_exp(x);
    case CPU_UNARY_LOG: return vm_log(x);
    case CPU_UNARY_ABS: return vf_abs(x);
    case CPU_UNARY_NEG: return -x;
    case CPU_UNARY_SQRT: return vf_sqrt(x);
    case CPU_UNARY_SQUARE: return x * x;
    case CPU_UNARY_RECIPROCAL: return 1.0f / x;
    case CPU_UNARY_SIGN: return vf_sel((x == 0.0f) | (x != x), x, vf_copysign(one, x));
    case CPU_UNARY_BINARY_SIGN: return vf_sel(x > 0.0f, one, -one);
    case CPU_UNARY_FLOOR: return vf_floor(x);
    case CPU_UNARY_CEIL: return vf_ceil(x);
    case CPU_UNARY_ROUND_EVEN: return vf_round(x);
    case CPU_UNARY_ROUND_AWAY: {
      vf a = vf_abs(x), t = vf_floor(a);
      return vf_copysign(vf_sel(a - t >= 0.5f, t + 1.0f, t), x);
    }
    case CPU_UNARY_ERF: return vm_erf(x);
    case CPU_UNARY_SOFTPLUS: return vm_softplus(x);
    case CPU_UNARY_SOFTSIGN: {
      vf y = x / (1.0f + vf_abs(x));
      return vf_sel(vf_abs(x) == INFINITY, vf_copysign(one, x), y);
    }
    case CPU_UNARY_MISH: return vm_mish(x);
    case CPU_UNARY_SWISH: {
      vf s = vm_sigmoid(alpha * x);
      return vf_sel(s == 0.0f, vf_copysign(zero, x), x * s);
    }
    case CPU_UNARY_HSWISH: return x * (vm_clamp(x + 3.0f, zero, vf_set(6.0f)) / 6.0f);
    case CPU_UNARY_HSIGMOID: return vm_clamp(x + 3.0f, zero, vf_set(6.0f)) / 6.0f;
    case CPU_UNARY_HARD_SIGMOID: return vm_clamp(alpha * x + beta, zero, one);
    case CPU_UNARY_SELU: return gamma * vf_sel(x > 0.0f, x, alpha * vm_expm1(x));
    case CPU_UNARY_GELU: return 0.5f * x * (1.0f + vm_erf(x * 0.707106781f));
    case CPU_UNARY_GELU_TANH: return 0.5f * x * (1.0f + vm_tanh(0.797884561f * (x + 0.044715f * x * x * x)));
    case CPU_UNARY_POWER: return vm_powf(gamma + beta * x, alpha);
    case CPU_UNARY_NOT: return vf_sel(x == 0.0f, one, zero);
    default: return vm_libm(op, x);
  }
}
#endif
