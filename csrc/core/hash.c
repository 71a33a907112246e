/* SPDX-License-Identifier: Apache-2.0 */
/* A fast hash of memory, to tell contents apart and to find damage; not one that withstands an attacker. */
#include <string.h>

#include "core.h"

enum { LANES = 8 };

static const uint64_t ODD = 0x9e3779b97f4a7c15u; /* 2^64 / golden ratio: its bits are well mixed */

/* One to one in h for each w and in w for each h, so that a single changed word always changes a lane. */
static inline uint64_t mix(uint64_t h, uint64_t w) {
  h = (h ^ w) * ODD;
  return h ^ h >> 29;
}

void iec_hash(const void *data, size_t size, uint64_t state[2]) {
  const unsigned char *from = data;
  uint64_t lanes[LANES], words[LANES];
  for (uint64_t i = 0; i < LANES; i++) lanes[i] = mix(state[0] + i, state[1]);
  size_t left = size;
  for (; left >= sizeof words; left -= sizeof words, from += sizeof words) {
    memcpy(words, from, sizeof words);
#pragma GCC unroll 8
    for (int i = 0; i < LANES; i++) lanes[i] = mix(lanes[i], words[i]);
  }
  memset(words, 0, sizeof words);
  if (left) memcpy(words, from, left);
  for (int i = 0; i < LANES; i++) lanes[i] = mix(lanes[i], words[i]);
  uint64_t a = mix(state[0], size), b = mix(state[1], ~(uint64_t)size);
  for (int i = 0; i < LANES; i++) {
    a = mix(a, lanes[i]);
    b = mix(b, lanes[LANES - 1 - i] ^ a << 32 ^ a >> 32);
  }
  state[0] = a;
  state[1] = b;
}
