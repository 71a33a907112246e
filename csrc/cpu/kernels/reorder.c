/* SPDX-License-Identifier: Apache-2.0 */
/* Layout changes between plain and blocked memory, and copies within a layout. */
#include <string.h>

#include "cpu/kernels/common.h"
#include "cpu/kernels/vec.h"

enum { BLOCK = 16, CHUNK = 1 << 16 /* bytes that a copy hands out at a time */ };

typedef struct reorder {
  int64_t images, channels, pixels; /* of a change; a copy uses `bytes` */
  int64_t bytes, size;              /* of all, of an element */
  int32_t to_blocked, copy;
} reorder;

static int32_t supports(const cpu_node *node) {
  if (!op_ports_only(node, 1, 1) || node->inputs[0]->dtype != node->outputs[0]->dtype) return 0;
  return op_size(node->inputs[0]->dtype) && op_keeps_shape(node);
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  const cpu_tensor *in = node->inputs[0], *to = node->outputs[0];
  iec_status status = op_state(host, node, sizeof(reorder), out, err);
  if (status) return status;
  reorder *r = out->state;
  *r = (reorder){.images = 1, .channels = 1, .pixels = 1};
  r->copy = in->layout == to->layout;
  r->to_blocked = to->layout == CPU_BLOCKED16;
  for (int32_t i = 0; i < in->ndim; ++i)
    *(i == 0 ? &r->images : i == 1 ? &r->channels : &r->pixels) *= in->shape[i];
  int64_t channels = r->copy && !r->to_blocked ? r->channels : (r->channels + BLOCK - 1) / BLOCK * BLOCK;
  r->size = op_size(in->dtype);
  r->bytes = r->images * channels * r->pixels * r->size;
  out->cost = (double)r->bytes / 4;
  out->exec_type = "reorder_" CPU_ISA_NAME;
  return IEC_OK;
}

/* Pixels [begin, end) of one block: `rows` channels, `pixels` apart, to or from 16 side by side. */
static void interleave(const float *restrict from, float *restrict to, int64_t rows, int64_t pixels,
                       int64_t begin, int64_t end) {
  int64_t p = begin;
  for (; rows == BLOCK && p + BLOCK <= end; p += BLOCK)
    vf_flip_square(from + p, pixels, to + p * BLOCK, BLOCK);
  for (; p < end; ++p)
    for (int64_t c = 0; c < BLOCK; ++c) to[p * BLOCK + c] = c < rows ? from[c * pixels + p] : 0.0f;
}

static void separate(const float *restrict from, float *restrict to, int64_t rows, int64_t pixels,
                     int64_t begin, int64_t end) {
  int64_t p = begin;
  for (; p + BLOCK <= end; p += BLOCK) {
    if (rows == BLOCK) {
      vf_flip_square(from + p * BLOCK, BLOCK, to + p, pixels);
      continue;
    }
    float square[BLOCK][BLOCK];
    vf_flip_square(from + p * BLOCK, BLOCK, square[0], BLOCK);
    for (int64_t c = 0; c < rows; ++c) memcpy(to + c * pixels + p, square[c], sizeof square[c]);
  }
  for (int64_t c = 0; c < rows; ++c)
    for (int64_t q = p; q < end; ++q) to[c * pixels + q] = from[q * BLOCK + c];
}

/* The same for quantised bytes. */
static void interleave_bytes(const uint8_t *restrict from, uint8_t *restrict to, int64_t rows, int64_t pixels,
                             int64_t begin, int64_t end) {
  for (int64_t p = begin; p < end; ++p)
    for (int64_t c = 0; c < BLOCK; ++c) to[p * BLOCK + c] = c < rows ? from[c * pixels + p] : 0;
}

static void separate_bytes(const uint8_t *restrict from, uint8_t *restrict to, int64_t rows, int64_t pixels,
                           int64_t begin, int64_t end) {
  for (int64_t c = 0; c < rows; ++c)
    for (int64_t p = begin; p < end; ++p) to[c * pixels + p] = from[p * BLOCK + c];
}

static void run(const void *state, const cpu_run *job) {
  const reorder *r = state;
  int64_t begin, end;
  if (r->copy) {
    while (cpu_next(job, r->bytes, CHUNK, &begin, &end))
      memcpy((char *)job->outputs[0] + begin, (const char *)job->inputs[0] + begin, (size_t)(end - begin));
    return;
  }
  const void *in = job->inputs[0];
  void *out = job->outputs[0];
  int64_t blocks = (r->channels + BLOCK - 1) / BLOCK;
  /* Pieces of at most 512 pixels: 32 KB of each side. */
  int64_t piece = r->pixels < 512 ? r->pixels : 512, pieces = piece ? (r->pixels + piece - 1) / piece : 0;
  while (cpu_next(job, r->images * blocks * pieces, 1, &begin, &end)) {
    int64_t p = begin % pieces * piece, block = begin / pieces % blocks, image = begin / pieces / blocks;
    int64_t rows = r->channels - block * BLOCK < BLOCK ? r->channels - block * BLOCK : BLOCK;
    int64_t last = p + piece < r->pixels ? p + piece : r->pixels;
    int64_t plain = (image * r->channels + block * BLOCK) * r->pixels,
            blocked = (image * blocks + block) * BLOCK * r->pixels;
    if (r->size == 1 && r->to_blocked)
      interleave_bytes((const uint8_t *)in + plain, (uint8_t *)out + blocked, rows, r->pixels, p, last);
    else if (r->size == 1)
      separate_bytes((const uint8_t *)in + blocked, (uint8_t *)out + plain, rows, r->pixels, p, last);
    else if (r->to_blocked)
      interleave((const float *)in + plain, (float *)out + blocked, rows, r->pixels, p, last);
    else
      separate((const float *)in + blocked, (float *)out + plain, rows, r->pixels, p, last);
  }
}

extern const cpu_kernel IEC_ISA(cpu_kernel_reorder);
const cpu_kernel IEC_ISA(cpu_kernel_reorder) = {
    .kind = "Reorder", .name = "reorder", .supports = supports, .prepare = prepare, .run = run};
