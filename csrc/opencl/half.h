/* SPDX-License-Identifier: Apache-2.0 */
/* Half precision on the host. */
#ifndef IEC_OPENCL_HALF_H
#define IEC_OPENCL_HALF_H
#include <stdint.h>
#include <string.h>

/* Nearest half, ties to even; too great becomes infinity. */
static inline uint16_t gpu_half_from_float(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
  if (magnitude >= 0x7f800000) return (uint16_t)(sign | 0x7c00 | (magnitude > 0x7f800000 ? 0x200 : 0));
  if (magnitude >= 0x477ff000) return (uint16_t)(sign | 0x7c00);
  uint32_t shift = 13, kept = magnitude - (112u << 23);
  if (magnitude < 113u << 23) { /* subnormal */
    uint32_t exponent = magnitude >> 23;
    if (exponent < 102) return (uint16_t)sign;
    shift = 126 - exponent;
    kept = (magnitude & 0x7fffff) | 0x800000;
  }
  uint32_t rest = kept & ((1u << shift) - 1), middle = 1u << (shift - 1);
  kept >>= shift;
  if (rest > middle || (rest == middle && (kept & 1))) kept++;
  return (uint16_t)(sign | kept);
}

static inline void gpu_half_from_floats(uint16_t *to, const float *from, int64_t count) {
  for (int64_t i = 0; i < count; i++) to[i] = gpu_half_from_float(from[i]);
}

#endif
