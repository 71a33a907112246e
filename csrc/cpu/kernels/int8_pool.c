/* SPDX-License-Identifier: Apache-2.0 */
/* Maximum pool of quantised bytes in blocks of 16 channels: the order of bytes is that of their numbers. */
#include "cpu/kernels/pool_common.h"

typedef uint8_t bytes16 __attribute__((vector_size(16), aligned(1), may_alias));

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
  out->cost = (double)(s->geom.n * s->geom.c * s->geom.out_size) * (double)s->geom.taps / 4;
  out->exec_type = "int8_pool_" CPU_ISA_NAME;
  return IEC_OK;
}

static void run(const void *state, const cpu_run *r) {
  const int8_pool *s = state;
  const conv_geom *q = &s->geom;
  int64_t begin, end, rows = q->out[0] * q->out[1], planes = q->n * s->blocks;
  while (cpu_next_phase(r, 0, planes * rows, op_grain(r, planes * rows, 1), &begin, &end))
    for (int64_t i = begin; i < end; i++) {
      int64_t plane, row;
      op_place(r, i, planes, rows, &plane, &row);
      const uint8_t *x = (const uint8_t *)r->inputs[0] + plane * q->in_size * 16;
      uint8_t *y = (uint8_t *)r->outputs[0] + (plane * rows + row) * q->out[2] * 16;
      int64_t o[3] = {row / q->out[1], row % q->out[1], 0}, first[3], stop[3];
      conv_valid_taps(q, 0, o[0], first, stop);
      conv_valid_taps(q, 1, o[1], first + 1, stop + 1);
      for (; o[2] < q->out[2]; o[2]++) {
        bytes16 most = {0};
        conv_valid_taps(q, 2, o[2], first + 2, stop + 2);
        for (int64_t d = first[0]; d < stop[0]; d++)
          for (int64_t h = first[1]; h < stop[1]; h++) {
            int64_t line = (o[0] * q->stride[0] - q->pad[0] + d * q->dil[0]) * q->in[1] +
                           o[1] * q->stride[1] - q->pad[1] + h * q->dil[1];
            const uint8_t *p = x + (line * q->in[2] + o[2] * q->stride[2] - q->pad[2]) * 16;
            for (int64_t w = first[2]; w < stop[2]; w++) {
              bytes16 v = *(const bytes16 *)(p + w * q->dil[2] * 16);
              bytes16 more = (bytes16)(v > most);
              most = (v & more) | (most & ~more);
            }
          }
        memcpy(y + o[2] * 16, &most, 16);
      }
    }
}

const cpu_kernel IEC_ISA(cpu_kernel_int8_pool) = {.kind = "MaxPool",
                                                  .name = "int8_pool",
                                                  .supports = supports,
                                                  .layouts = layouts,
                                                  .prepare = prepare,
                                                  .run = run};
