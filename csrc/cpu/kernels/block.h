/* SPDX-License-Identifier: Apache-2.0 */
/* The vector of the instruction set this file is compiled for: a whole, a half or a quarter of a block of 16 channels. */
#ifndef IEC_CPU_BLOCK_H
#define IEC_CPU_BLOCK_H
#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#define BLK_LANES 16
#elif defined(__AVX2__)
#define BLK_LANES 8
#else
#define BLK_LANES 4
#endif
#define BLK_PARTS (16 / BLK_LANES)

typedef float blk __attribute__((vector_size(4 * BLK_LANES)));
typedef int32_t blk_mask __attribute__((vector_size(4 * BLK_LANES)));
typedef float blk_any __attribute__((vector_size(4 * BLK_LANES), aligned(4), may_alias));

static inline blk blk_load(const float *p) { return *(const blk_any *)p; }
static inline void blk_store(float *p, blk v) { *(blk_any *)p = v; }
static inline blk blk_set(float v) { return v - (blk){0}; }
static inline blk blk_select(blk_mask m, blk a, blk b) { return (blk)(((blk_mask)a & m) | ((blk_mask)b & ~m)); }
/* The second operand wins when either is NaN. */
static inline blk blk_max(blk a, blk b) { return blk_select(a > b, a, b); }
static inline blk blk_min(blk a, blk b) { return blk_select(a < b, a, b); }

/* Keeps a broadcast value in a register: gcc 12 otherwise loads it again inside every multiply-add. */
static inline blk blk_pin(blk v) {
#if defined(__x86_64__)
#if defined(__AVX512F__)
  __asm__("" : "+v"(v));
#else
  __asm__("" : "+x"(v));
#endif
#elif defined(__aarch64__)
  __asm__("" : "+w"(v));
#endif
  return v;
}
#endif
