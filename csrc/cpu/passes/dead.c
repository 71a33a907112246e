/* SPDX-License-Identifier: Apache-2.0 */
/* Removes results that nobody reads. */
#include <string.h>

#include "cpu/passes.h"

static int value_is_read(const cpu_value *value) {
  return value && (value->user_count || value->output_count);
}

static int is_read(const cpu_op *op) {
  for (int32_t i = 0; i < op->output_count; ++i)
    if (value_is_read(op->outputs[i])) return 1;
  return 0;
}

/* Indices that nobody reads would keep a pooling from the fast kernels. */
static void drop_indices(cpu_op *op) {
  if (strcmp(op->kind, "MaxPool") != 0 || op->output_count != 2 || value_is_read(op->outputs[1])) return;
  if (op->outputs[1]) op->outputs[1]->producer = NULL;
  op->output_count = 1;
}

iec_status cpu_pass_dead(cpu_graph *graph, iec_error *err) {
  (void)err;
  for (int32_t i = graph->op_count - 1; i >= 0; --i) {
    cpu_op *op = graph->ops[i];
    if (!op) continue;
    drop_indices(op);
    if (!is_read(op)) cpu_graph_remove(graph, op, CPU_OP_REMOVED, NULL);
  }
  cpu_graph_compact(graph);
  return IEC_OK;
}
