/* SPDX-License-Identifier: Apache-2.0 */
/* Kind SparseFillEmptyRows: sparse entries by row, a default entry for each row without one. */
#include "cpu/kernels/common.h"

typedef struct fill_state {
  int64_t count, size, rows; /* entries in, entries out, rows */
} fill_state;

static int32_t supports(const cpu_node *node) {
  if (!op_ports(node, 4, 3)) return 0;
  for (int i = 0; i < 4; i++)
    if (!op_is(node, i, IEC_F32)) return 0;
  for (int i = 0; i < 3; i++)
    if (node->outputs[i]->dtype != IEC_F32) return 0;
  int64_t size = op_count(node->outputs[1]);
  if (op_count(node->inputs[0]) != 2 * op_count(node->inputs[1]) || op_count(node->outputs[0]) != 2 * size)
    return 0;
  return op_count(node->inputs[2]) == 2 && op_count(node->inputs[3]) == 1 ? 10 : 0;
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(fill_state), out, err);
  if (status != IEC_OK) return status;
  fill_state *s = out->state;
  s->count = op_count(node->inputs[1]);
  s->size = op_count(node->outputs[1]);
  s->rows = op_count(node->outputs[2]);
  /* For each row the first of its entries, and for each entry the next one of its row. */
  out->scratch_size = (size_t)(2 * s->rows + s->count) * sizeof(int64_t);
  out->exec_type = "sparse_fill_" CPU_ISA_NAME;
  return IEC_OK;
}

static void run(const void *state, const cpu_run *r) {
  const fill_state *s = state;
  if (r->member != 0) return;
  const float *places = r->inputs[0], *values = r->inputs[1];
  float *y = r->outputs[0], *v = r->outputs[1], *empty = r->outputs[2];
  int64_t *first = r->scratch, *last = first + s->rows, *next = last + s->rows, filled = 0;
  float height = *(const float *)r->inputs[2], fallback = *(const float *)r->inputs[3];
  int64_t limit = height >= (float)s->rows ? s->rows : height > 0 ? (int64_t)height : 0;
  for (int64_t i = 0; i < s->rows; i++) first[i] = -1;
  for (int64_t i = 0; i < s->count; i++) {
    float row = places[2 * i];
    if (!(row >= 0 && row < (float)limit) || row != (float)(int64_t)row) continue;
    int64_t at = (int64_t)row;
    next[i] = -1;
    if (first[at] < 0)
      first[at] = i;
    else
      next[last[at]] = i;
    last[at] = i;
  }
  for (int64_t row = 0; row < s->rows; row++) {
    empty[row] = row < limit && first[row] < 0;
    if (row >= limit) continue;
    int64_t i = first[row];
    do {
      if (filled >= s->size) break;
      y[2 * filled] = (float)row;
      y[2 * filled + 1] = i < 0 ? 0 : places[2 * i + 1];
      v[filled++] = i < 0 ? fallback : values[i];
      i = i < 0 ? -1 : next[i];
    } while (i >= 0);
  }
  for (int64_t i = filled; i < s->size; i++) {
    y[2 * i] = y[2 * i + 1] = i == filled ? -1.0f : 0.0f;
    v[i] = 0;
  }
}

const cpu_kernel IEC_ISA(cpu_kernel_sparse_fill) = {.kind = "SparseFillEmptyRows",
                                                    .name = "sparse_fill",
                                                    .supports = supports,
                                                    .prepare = prepare,
                                                    .run = run};
