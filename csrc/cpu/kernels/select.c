/* SPDX-License-Identifier: Apache-2.0 */
/* Kind Select, for every type: a where the condition holds, else b; numpy broadcast. */
#include "cpu/kernels/bcast.h"

typedef struct select_state {
  bcast walk;
  int64_t size;
} select_state;

static int32_t supports(const cpu_node *node) {
  if (!op_ports(node, 3, 1) || !op_is(node, 0, IEC_BOOL)) return 0;
  int32_t type = node->outputs[0]->dtype;
  return op_size(type) && op_is(node, 1, type) && op_is(node, 2, type) && bcast_fits(node, 3) ? 10 : 0;
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(select_state), out, err);
  if (status != IEC_OK) return status;
  select_state *s = out->state;
  bcast_plan(node, 3, &s->walk);
  s->size = op_size(node->outputs[0]->dtype);
  out->cost = (double)(2 * op_count(node->outputs[0]));
  out->exec_type = "select_" CPU_ISA_NAME;
  return IEC_OK;
}

static void block(const select_state *s, const bcast_block *k, const uint8_t *cond, const void *a,
                  const void *b, void *y) {
  for (int64_t i = 0; i < k->rows; i++) {
    const uint8_t *ci = cond + k->at[0] + i * k->row[0];
    int64_t ai = k->at[1] + i * k->row[1], bi = k->at[2] + i * k->row[2], yi = k->out + i * k->cols;
#define PICK(type)                      \
  for (int64_t j = 0; j < k->cols; j++) \
  ((type *)y)[yi + j] =                 \
      ci[j * k->col[0]] ? ((const type *)a)[ai + j * k->col[1]] : ((const type *)b)[bi + j * k->col[2]]
    switch (s->size) {
      case 1: PICK(uint8_t); break;
      case 2: PICK(uint16_t); break;
      case 4: PICK(uint32_t); break;
      default: PICK(uint64_t); break;
    }
#undef PICK
  }
}

static void run(const void *state, const cpu_run *r) {
  const select_state *s = state;
  int64_t begin, end;
  while (cpu_next(r, s->walk.items, op_grain(r, s->walk.items, 1), &begin, &end))
    for (int64_t item = begin; item < end; item++) {
      bcast_block k;
      bcast_at(&s->walk, item, &k);
      block(s, &k, r->inputs[0], r->inputs[1], r->inputs[2], r->outputs[0]);
    }
}

const cpu_kernel IEC_ISA(cpu_kernel_select) = {
    .kind = "Select", .name = "select", .supports = supports, .prepare = prepare, .run = run};
