/* SPDX-License-Identifier: Apache-2.0 */
/* Maximum pool of quantised bytes in blocks of 16 channels: the order of bytes is that of their numbers. The
 * rows of a window first, whole rows of the input at a time, then its columns. */
#include "cpu/kernels/pool_common.h"
#include "cpu/kernels/vec.h"

typedef uint8_t pixel __attribute__((vector_size(16), aligned(1), may_alias));

static inline pixel pixel_max(pixel a, pixel b) {
#if defined(__SSE2__)
  return (pixel)_mm_max_epu8((__m128i)a, (__m128i)b);
#elif defined(__aarch64__)
  return (pixel)vmaxq_u8((uint8x16_t)a, (uint8x16_t)b);
#else
  pixel more = (pixel)(a > b);
  return (a & more) | (b & ~more);
#endif
}

typedef struct int8_pool {
  conv_geom geom;
  int64_t blocks;
} int8_pool;

/* A window without a real element has no number that bytes can hold. */
static int has_empty_window(const conv_geom *q) {
  int64_t first, end;
  for (int a = 0; a < 3; a++)
    for (int64_t o = 0; o < q->out[a]; o++) {
      conv_valid_taps(q, a, o, &first, &end);
      if (first >= end) return 1;
    }
  return 0;
}

static int32_t supports(const cpu_node *node) {
  conv_geom q;
  if (!op_ports(node, 1, 1) || node->output_count != 1 || !node->inputs[0]->grid || !node->outputs[0]->grid)
    return 0;
  return pool_geometry(node, &q) && !has_empty_window(&q) ? 30 : 0;
}

static void layouts(const cpu_node *node, cpu_layout *in, cpu_layout *out) {
  (void)node;
  in[0] = out[0] = CPU_BLOCKED16;
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(int8_pool), out, err);
  if (status != IEC_OK) return status;
  int8_pool *s = out->state;
  pool_geometry(node, &s->geom);
  s->blocks = op_div_up(s->geom.c, 16);
  out->member_scratch_size = (size_t)s->geom.in[2] * 16;
  out->cost = (double)(s->geom.n * s->geom.c * s->geom.out_size) * (double)s->geom.taps / 4;
  out->exec_type = "int8_pool_" CPU_ISA_NAME;
  return IEC_OK;
}

/* The largest bytes of each column in the rows of the input that the windows of output row `od`, `oh` have,
 * to `y`. */
static void pool_rows(const conv_geom *q, const uint8_t *x, int64_t od, int64_t oh, uint8_t *restrict y) {
  int64_t first[2], stop[2], width = q->in[2] * 16, count = 0;
  conv_valid_taps(q, 0, od, first, stop);
  conv_valid_taps(q, 1, oh, first + 1, stop + 1);
  for (int64_t d = first[0]; d < stop[0]; d++)
    for (int64_t h = first[1]; h < stop[1]; h++) {
      int64_t depth = od * q->stride[0] - q->pad[0] + d * q->dil[0];
      const uint8_t *row = x + (depth * q->in[1] + oh * q->stride[1] - q->pad[1] + h * q->dil[1]) * width;
      if (count++)
        for (int64_t i = 0; i < width; i++) y[i] = row[i] > y[i] ? row[i] : y[i];
      else
        memcpy(y, row, (size_t)width);
    }
}

/* Outputs [begin, end), whose taps [first, stop) are inside. */
static void pool_columns(const conv_geom *q, const uint8_t *x, int64_t begin, int64_t end, int64_t first,
                         int64_t stop, uint8_t *y) {
  for (int64_t o = begin; o < end; o++) {
    const uint8_t *from = x + (o * q->stride[2] - q->pad[2] + first * q->dil[2]) * 16;
    pixel most = *(const pixel *)from;
    for (int64_t tap = first + 1; tap < stop; tap++) {
      from += q->dil[2] * 16;
      most = pixel_max(most, *(const pixel *)from);
    }
    *(pixel *)(y + o * 16) = most;
  }
}

static void run(const void *state, const cpu_run *r) {
  const int8_pool *s = state;
  const conv_geom *q = &s->geom;
  uint8_t *row = r->member_scratch;
  int64_t begin, end, inner, outer, rows = q->out[0] * q->out[1], planes = q->n * s->blocks;
  conv_inner(q, 2, &inner, &outer);
  while (cpu_next_phase(r, 0, planes * rows, op_grain(r, planes * rows, 1), &begin, &end))
    for (int64_t i = begin; i < end; i++) {
      int64_t plane, at, first, stop;
      op_place(r, i, planes, rows, &plane, &at);
      uint8_t *y = (uint8_t *)r->outputs[0] + (plane * rows + at) * q->out[2] * 16;
      pool_rows(q, (const uint8_t *)r->inputs[0] + plane * q->in_size * 16, at / q->out[1], at % q->out[1],
                row);
      pool_columns(q, row, inner, outer, 0, q->k[2], y);
      for (int64_t o = 0; o < q->out[2]; o++) {
        if (o == inner && outer > inner) o = outer;
        if (o == q->out[2]) break;
        conv_valid_taps(q, 2, o, &first, &stop);
        pool_columns(q, row, o, o + 1, first, stop, y);
      }
    }
}

const cpu_kernel IEC_ISA(cpu_kernel_int8_pool) = {.kind = "MaxPool",
                                                  .name = "int8_pool",
                                                  .supports = supports,
                                                  .layouts = layouts,
                                                  .prepare = prepare,
                                                  .run = run};
