/* SPDX-License-Identifier: Apache-2.0 */
/* Removes ops whose results nobody reads. */
#include "cpu/passes.h"

static int is_read(const cpu_op *op) {
  for (int32_t i = 0; i < op->output_count; ++i)
    if (op->outputs[i] && (op->outputs[i]->user_count || op->outputs[i]->output_count)) return 1;
  return 0;
}

iec_status cpu_pass_dead(cpu_graph *graph, iec_error *err) {
  (void)err;
  for (int32_t i = graph->op_count - 1; i >= 0; --i)
    if (graph->ops[i] && !is_read(graph->ops[i])) cpu_graph_remove(graph, graph->ops[i], CPU_OP_REMOVED, NULL);
  cpu_graph_compact(graph);
  return IEC_OK;
}
