/* SPDX-License-Identifier: Apache-2.0 */
/* Moves zero padding of spatial axes into the convolution that reads it. */
#include <string.h>

#include "cpu/passes.h"

static int is_zero_padding(const cpu_op *op) {
  if (strcmp(op->kind, "Pad") != 0 || !op->inputs[0] ||
      strcmp(cpu_op_str(op, "mode", "constant"), "constant") != 0)
    return 0;
  return cpu_op_f64(op, "value", 0) == 0 && op->inputs[0]->tensor.dtype == IEC_F32;
}

/* Adds the padding of spatial axes to one list of the convolution; 0 when there is other or negative padding.
 */
static int add_pads(const int64_t *pad, const int64_t *conv, int32_t rank, int64_t *out) {
  if (!pad || !conv || pad[0] || pad[1]) return 0;
  for (int32_t i = 2; i < rank; ++i) {
    if (pad[i] < 0 || conv[i - 2] < 0) return 0;
    out[i - 2] = pad[i] + conv[i - 2];
  }
  return 1;
}

iec_status cpu_pass_pad(cpu_graph *graph, iec_error *err) {
  iec_status status = IEC_OK;
  for (int32_t i = 0; !status && i < graph->op_count; ++i) {
    cpu_op *pad = graph->ops[i];
    if (!is_zero_padding(pad)) continue;
    cpu_op *conv = cpu_value_only_user(pad->outputs[0]);
    int32_t rank = pad->inputs[0]->tensor.ndim;
    if (!conv || strcmp(conv->kind, "Conv") != 0 || conv->inputs[0] != pad->outputs[0] || rank < 3) continue;
    int64_t begin[IEC_MAX_NDIM], end[IEC_MAX_NDIM];
    size_t spatial = (size_t)rank - 2;
    if (!add_pads(cpu_op_i64s(pad, "pads_begin", (size_t)rank), cpu_op_i64s(conv, "pads_begin", spatial),
                  rank, begin) ||
        !add_pads(cpu_op_i64s(pad, "pads_end", (size_t)rank), cpu_op_i64s(conv, "pads_end", spatial), rank,
                  end))
      continue;
    status = cpu_op_override_i64s(graph, conv, "pads_begin", begin, spatial, err);
    if (!status) status = cpu_op_override_i64s(graph, conv, "pads_end", end, spatial, err);
    if (!status) status = cpu_graph_set_input(graph, conv, 0, pad->inputs[0], err);
    if (!status) cpu_graph_remove(graph, pad, CPU_OP_FUSED, conv);
  }
  cpu_graph_compact(graph);
  return status;
}
