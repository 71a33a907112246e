/* SPDX-License-Identifier: Apache-2.0 */
/* The AVX512-VNNI sums of products of bytes, emulated, against the plain C ones: random weights, extremes.
 * Each is int8_gemm.c, compiled apart. */
#include <stdio.h>
#include <stdlib.h>

#undef CPU_ISA
#define CPU_ISA scalar
#include "cpu/kernels/int8_gemm.h"

iec_status int8_pack_avx512_vnni(const iec_host_api *host, const int8_t *weights, const int32_t *at,
                                 int64_t steps, int8_panel *out);
void int8_panel_release_avx512_vnni(int8_panel *panel, const iec_host_api *host);
void int8_sums_avx512_vnni(const int8_panel *panel, const uint8_t *x, const int32_t *pixels, int64_t count,
                           int32_t *y);

enum { STEPS = 37, PIXELS = 29, SPAN = 1024 };

static _Alignas(64) int8_t weights[STEPS * INT8_STEP];
static uint8_t x[SPAN + 8];
static int32_t at[STEPS], pixels[PIXELS], sums[2][PIXELS * 16];

static void *allocate(iec_host *self, size_t size, size_t alignment) {
  (void)self;
  return aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
}

static void release(iec_host *self, void *memory) {
  (void)self;
  free(memory);
}

int main(void) {
  const iec_host_api host = {.alloc = allocate, .release = release};
  for (int round = 0; round < 200; round++) {
    int extreme = round % 2;
    for (int i = 0; i < STEPS * INT8_STEP; i++)
      weights[i] = (int8_t)(extreme ? (rand() % 2 ? 127 : -128) : rand() % 256 - 128);
    for (int i = 0; i < SPAN + 8; i++) x[i] = (uint8_t)(extreme && rand() % 8 ? 255 : rand() % 256);
    for (int i = 0; i < STEPS; i++) at[i] = rand() % (SPAN / 2);
    for (int i = 0; i < PIXELS; i++) pixels[i] = rand() % (SPAN / 2);
    int64_t steps = 1 + rand() % STEPS, count = 1 + rand() % PIXELS;
    int8_panel plain, vnni;
    if (int8_pack(&host, weights, at, steps, &plain)) return 2;
    if (int8_pack_avx512_vnni(&host, weights, at, steps, &vnni)) return 2;
    int8_sums(&plain, x, pixels, count, sums[0]);
    int8_sums_avx512_vnni(&vnni, x, pixels, count, sums[1]);
    int8_panel_release(&plain, &host);
    int8_panel_release_avx512_vnni(&vnni, &host);
    if (memcmp(sums[0], sums[1], (size_t)count * 16 * sizeof sums[0][0]) == 0) continue;
    printf("round %d: %d steps, %d pixels differ\n", round, (int)steps, (int)count);
    return 1;
  }
  return 0;
}
