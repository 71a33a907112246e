/* SPDX-License-Identifier: Apache-2.0 */
/* Transposes before and behind a matrix product move into it: its kernel steps through memory in their order.
 */
#include <string.h>

#include "cpu/passes.h"

/* 1 when the kernel runs as fast on what the transpose reads: where rows of the first operand, rows or
 * columns of the second and rows of the result stay one behind the other. */
static int suits(const cpu_op *op, int port, const int64_t *order, int32_t rank) {
  int64_t last = rank - 1;
  if (port == 0) return order[cpu_op_i64(op, "transpose_a", 0) ? last - 1 : last] == last;
  return order[last] == last || (port == 1 && order[last - 1] == last);
}

static iec_status absorb(cpu_graph *graph, cpu_op *op, int port, cpu_op *transpose, int *out_done,
                         iec_error *err) {
  static const char *const names[] = {"order_a", "order_b", "order_y"};
  const int64_t *order = cpu_transpose_order(transpose);
  *out_done = 0;
  if (order && transpose->kernel && transpose->kernel->closure)
    return IEC_OK; /* an extension wants to run it */
  if (!order || transpose->inputs[0]->tensor.dtype != IEC_F32) return IEC_OK;
  int32_t rank = transpose->inputs[0]->tensor.ndim;
  if (rank < 2 || !suits(op, port, order, rank) || cpu_op_i64s(op, names[port], (size_t)rank)) return IEC_OK;
  *out_done = 1;
  return cpu_op_override_i64s(graph, op, names[port], order, (size_t)rank, err);
}

static iec_status absorb_input(cpu_graph *graph, cpu_op *op, int port, iec_error *err) {
  cpu_op *transpose = op->inputs[port] ? op->inputs[port]->producer : NULL;
  int done;
  iec_status status = absorb(graph, op, port, transpose, &done, err);
  if (status || !done) return status;
  status = cpu_graph_set_input(graph, op, port, transpose->inputs[0], err);
  if (status || transpose->outputs[0]->user_count || transpose->outputs[0]->output_count) return status;
  cpu_graph_remove(graph, transpose, CPU_OP_FUSED, op);
  return IEC_OK;
}

iec_status cpu_pass_matmul(cpu_graph *graph, iec_error *err) {
  iec_status status = IEC_OK;
  for (int32_t i = 0; !status && i < graph->op_count; ++i) {
    cpu_op *op = graph->ops[i];
    if (!op || !op->kernel || !op->kernel->takes_orders) continue;
    status = absorb_input(graph, op, 0, err);
    if (!status) status = absorb_input(graph, op, 1, err);
    cpu_op *last = cpu_value_only_user(op->outputs[0]);
    int done = 0;
    if (!status) status = absorb(graph, op, 2, last, &done, err);
    if (!status && done) cpu_graph_merge(graph, op, last);
  }
  cpu_graph_compact(graph);
  return status;
}
