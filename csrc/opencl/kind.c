/* SPDX-License-Identifier: Apache-2.0 */
/* Finding the kind of a node. */
#include "opencl/kind.h"

#include <string.h>

/* The host takes what none before it does. */
static const gpu_kind *const lists[] = {
    gpu_kinds_conv, gpu_kinds_ctc,  gpu_kinds_detection, gpu_kinds_eltwise,  gpu_kinds_matmul,
    gpu_kinds_move, gpu_kinds_pool, gpu_kinds_reduce,    gpu_kinds_resample, gpu_kinds_recurrent,
    gpu_kinds_topk, gpu_kinds_nms,  gpu_kinds_host};

const gpu_kind *gpu_kind_find(const gpu_op *op) {
  if (gpu_is_custom(op)) return gpu_kind_custom.supports(op) ? &gpu_kind_custom : NULL;
  for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
    for (const gpu_kind *kind = lists[i]; kind->kind; kind++)
      if (strcmp(kind->kind, op->kind) == 0 && kind->supports(op)) return kind;
  return NULL;
}

/* Work-items are numbered by ints, up to the end of the last work-group. */
static int fits(const gpu_value *value) { return value->count > 0 && value->count <= INT32_MAX - 255; }

int gpu_ports(const gpu_op *op, int32_t inputs, int32_t outputs) {
  if (op->input_count < inputs || op->output_count < outputs) return 0;
  for (int32_t i = 0; i < op->input_count; i++)
    if (op->inputs[i] ? !fits(op->inputs[i]) : i < inputs) return 0;
  for (int32_t i = 0; i < op->output_count; i++)
    if (op->outputs[i] ? !fits(op->outputs[i]) : i < outputs) return 0;
  return 1;
}

int gpu_all_float(const gpu_op *op) {
  for (int32_t i = 0; i < op->input_count; i++)
    if (op->inputs[i] && op->inputs[i]->dtype != IEC_F32) return 0;
  for (int32_t i = 0; i < op->output_count; i++)
    if (op->outputs[i] && op->outputs[i]->dtype != IEC_F32) return 0;
  return 1;
}

gpu_value *gpu_input(const gpu_op *op, int32_t index) {
  return index < op->input_count ? op->inputs[index] : NULL;
}
