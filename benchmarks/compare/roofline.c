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
/* Keeps a value in a register and hides from the compiler what it is. */
#if defined(__aarch64__)
#define KEEP(v) __asm__ volatile("" : "+w"(v))
#else
#define KEEP(v) __asm__ volatile("" : "+v"(v))
#endif

typedef float vector __attribute__((vector_size(LANES * sizeof(float))));

/* Ten chains: enough for two units of a latency of five, few enough for sixteen registers. Each is hidden, or
 * the compiler would compute equal ones once. Returns how many operations it did; a multiply-add is two. */
int64_t roofline_fma(int64_t rounds) {
  vector a, b;
  for (int i = 0; i < LANES; i++) {
    a[i] = 0.999f;
    b[i] = 0.001f;
  }
  vector s0 = b, s1 = b, s2 = b, s3 = b, s4 = b, s5 = b, s6 = b, s7 = b, s8 = b, s9 = b;
  for (int64_t r = 0; r < rounds; r++) {
    s0 = s0 * a + b;
    s1 = s1 * a + b;
    s2 = s2 * a + b;
    s3 = s3 * a + b;
    s4 = s4 * a + b;
    s5 = s5 * a + b;
    s6 = s6 * a + b;
    s7 = s7 * a + b;
    s8 = s8 * a + b;
    s9 = s9 * a + b;
    KEEP(s0);
    KEEP(s1);
    KEEP(s2);
    KEEP(s3);
    KEEP(s4);
    KEEP(s5);
    KEEP(s6);
    KEEP(s7);
    KEEP(s8);
    KEEP(s9);
  }
  s0 += s1 + s2 + s3 + s4 + s5 + s6 + s7 + s8 + s9;
  KEEP(s0);
  return 2 * 10 * LANES * rounds;
}

/* Reads `bytes` (a multiple of 4096) at `memory`, `rounds` times; returns the bytes read. */
int64_t roofline_read(const char *memory, int64_t bytes, int64_t rounds) {
  for (int64_t r = 0; r < rounds; r++) {
    const vector *from = (const vector *)memory, *end = (const vector *)(memory + bytes);
    vector s0 = {0}, s1 = s0, s2 = s0, s3 = s0;
    for (; from < end; from += 4) {
      s0 += from[0];
      s1 += from[1];
      s2 += from[2];
      s3 += from[3];
    }
    s0 += s1 + s2 + s3;
    KEEP(s0);
  }
  return bytes * rounds;
}
