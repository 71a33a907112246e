/* SPDX-License-Identifier: Apache-2.0 */
/* Maximum and average pools of any rank on blocks of 16 channels. */
#include "cpu/kernels/pool_rows.h"

static int32_t supports_max(const cpu_node *node) {
  conv_geom q;
  return pool_geometry(node, &q) && op_is(node, 0, IEC_F32) && !node->inputs[0]->data &&
                 !(node->output_count > 1 && node->outputs[1])
             ? 20
             : 0;
}

static int32_t supports_avg(const cpu_node *node) {
  conv_geom q;
  return pool_geometry(node, &q) && op_is(node, 0, IEC_F32) && !node->inputs[0]->data &&
                 pool_divisor_code(node) >= 0
             ? 20
             : 0;
}

static void layouts(const cpu_node *node, cpu_layout *in, cpu_layout *out) {
  for (int32_t i = 0; i < node->input_count; i++) in[i] = CPU_BLOCKED16;
  out[0] = CPU_BLOCKED16;
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(pool_rows), out, err);
  if (status != IEC_OK) return status;
  pool_rows *s = out->state;
  pool_rows_init(s, node);
  out->cost = pool_rows_cost(&s->geom);
  out->member_scratch_size = (size_t)pool_rows_line(&s->geom) * sizeof(float);
  out->exec_type = "pool_blocked_" CPU_ISA_NAME;
  return IEC_OK;
}

static inline __attribute__((always_inline)) void run_rows(const pool_rows *s, const cpu_run *r,
                                                           const int max) {
  const conv_geom *q = &s->geom;
  int64_t begin, end, count = q->n * s->blocks * q->out[0] * q->out[1];
  pool_part part = {.kept = INT64_MAX, .pitch = q->in[2], .right = q->in[2], .end = q->out[2]};
  while (cpu_next(r, count, op_grain(r, count, 1), &begin, &end)) {
    conv_row at = {0};
    for (; begin < end; begin++) {
      conv_next_row(&at, r, q, s->blocks, begin);
      part.x = (const float *)r->inputs[0] + (at.image * s->blocks + at.block) * q->in_size * 16;
      pool_row(s, r, &at, &part, r->member_scratch, max);
    }
  }
}

static void run_max(const void *state, const cpu_run *r) { run_rows(state, r, 1); }
static void run_avg(const void *state, const cpu_run *r) { run_rows(state, r, 0); }

const cpu_kernel IEC_ISA(cpu_kernel_maxpool) = {.kind = "MaxPool",
                                                .name = "maxpool",
                                                .supports = supports_max,
                                                .layouts = layouts,
                                                .can_fuse = post_can_fuse,
                                                .prepare = prepare,
                                                .run = run_max};
const cpu_kernel IEC_ISA(cpu_kernel_avgpool) = {.kind = "AvgPool",
                                                .name = "avgpool",
                                                .supports = supports_avg,
                                                .layouts = layouts,
                                                .can_fuse = post_can_fuse,
                                                .prepare = prepare,
                                                .run = run_avg};
