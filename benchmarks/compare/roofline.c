/* SPDX-License-Identifier: Apache-2.0 */
/* What a core can do at most: fused multiply-adds in registers, and reads of memory. */
#include <stddef.h>
#include <stdint.h>

#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX__)
#define LANES 8
#else
#define LANES 4
#endif
/* Chains in flight: enough for two units of a latency of five, few enough for the registers. */
#define CHAINS 12

#if defined(__aarch64__)
#define KEEP(v) __asm__ volatile("" : "+w"(v))
#else
#define KEEP(v) __asm__ volatile("" : "+v"(v))
#endif

typedef float vector __attribute__((vector_size(LANES * sizeof(float))));

/* Does about 2 * CHAINS * LANES * rounds operations and returns how many they were. */
int64_t roofline_fma(int64_t rounds) {
  vector sum[CHAINS], a, b;
  for (int i = 0; i < LANES; i++) {
    a[i] = 0.999f;
    b[i] = 0.001f;
  }
  for (int c = 0; c < CHAINS; c++)
    sum[c] = b * (float)c;
  for (int64_t r = 0; r < rounds; r++) {
#pragma GCC unroll 12
    for (int c = 0; c < CHAINS; c++) {
      sum[c] = sum[c] * a + b;
      KEEP(sum[c]); /* the compiler must not join the chains nor leave them out */
    }
  }
  return 2 * CHAINS * LANES * rounds;
}

/* Reads `bytes` (a multiple of 4096) at `memory`, `rounds` times; returns the bytes read. */
int64_t roofline_read(const char *memory, int64_t bytes, int64_t rounds) {
  for (int64_t r = 0; r < rounds; r++) {
    vector sum[4] = {{0}, {0}, {0}, {0}};
    for (int64_t i = 0; i < bytes; i += 4 * (int64_t)sizeof(vector))
      for (int c = 0; c < 4; c++)
        sum[c] += *(const vector *)(memory + i + c * (int64_t)sizeof(vector));
    for (int c = 0; c < 4; c++)
      KEEP(sum[c]);
  }
  return bytes * rounds;
}
