/* SPDX-License-Identifier: Apache-2.0 */
/* Lets a transpose of a transpose read the first one's input, so that pairs cancel. */
#include <string.h>

#include "cpu/passes.h"

const int64_t *cpu_transpose_order(const cpu_op *op) {
  if (!op || strcmp(op->kind, "Transpose") != 0 || op->input_count < 1 || !op->inputs[0]) return NULL;
  int32_t rank = op->inputs[0]->tensor.ndim;
  const int64_t *order = cpu_op_i64s(op, "order", (size_t)rank);
  uint32_t seen = 0;
  for (int32_t i = 0; order && i < rank; ++i) {
    if (order[i] < 0 || order[i] >= rank || (seen >> order[i] & 1)) return NULL;
    seen |= 1u << order[i];
  }
  return order;
}

iec_status cpu_pass_transpose(cpu_graph *graph, iec_error *err) {
  iec_status status = IEC_OK;
  for (int32_t i = 0; !status && i < graph->op_count; ++i) {
    cpu_op *second = graph->ops[i];
    const int64_t *outer = cpu_transpose_order(second);
    cpu_op *first = outer ? second->inputs[0]->producer : NULL;
    const int64_t *inner = cpu_transpose_order(first);
    if (!inner) continue;
    int32_t rank = first->inputs[0]->tensor.ndim;
    int64_t order[IEC_MAX_NDIM];
    for (int32_t a = 0; a < rank; ++a) order[a] = inner[outer[a]];
    status = cpu_op_override_i64s(graph, second, "order", order, (size_t)rank, err);
    if (!status) status = cpu_graph_set_input(graph, second, 0, first->inputs[0], err);
  }
  return status;
}
