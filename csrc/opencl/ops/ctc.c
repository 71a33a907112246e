/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds CTCGreedyDecoder and CTCGreedyDecoderSeqLen: the best class of each step, then blanks and repeats are
 * left out. A blank that is not constant is left to the host. */
#include <stdio.h>
#include <string.h>

#include "opencl/ops/nd.h"

enum { GROUP = 32, EXACT = 2048 /* the integers that halves hold */ };

static int is_index(const gpu_value *v) { return v->dtype == IEC_I32 || v->dtype == IEC_I64; }

static int supports_mask(const gpu_op *op) {
  if (!gpu_ports(op, 2, 1) || !gpu_all_float(op)) return 0;
  const gpu_value *x = op->inputs[0];
  return x->ndim == 3 && x->shape[2] <= EXACT && op->inputs[1]->count == x->shape[0] * x->shape[1] &&
         op->outputs[0]->count == x->shape[0] * x->shape[1];
}

static int supports_lengths(const gpu_op *op) {
  if (!gpu_ports(op, 2, 1)) return 0;
  const gpu_value *x = op->inputs[0], *lengths = op->inputs[1], *blank = gpu_input(op, 2),
                  *y = op->outputs[0];
  const gpu_value *counts = op->output_count > 1 ? op->outputs[1] : NULL;
  if (x->dtype != IEC_F32 || x->ndim != 3 || !is_index(lengths) || lengths->count != x->shape[0]) return 0;
  if (blank && (!blank->data || !is_index(blank))) return 0;
  if (counts && (!is_index(counts) || counts->count != x->shape[0])) return 0;
  return is_index(y) && y->count == x->shape[0] * x->shape[1];
}

static const char *type_name(const gpu_value *v) { return v && v->dtype == IEC_I64 ? "long" : "int"; }

static int64_t blank_of(const gpu_op *op, int64_t classes) {
  const gpu_value *blank = gpu_input(op, 2);
  if (!blank) return classes - 1;
  return blank->dtype == IEC_I64 ? *(const int64_t *)blank->data : *(const int32_t *)blank->data;
}

static iec_status plan_ctc(gpu_plan *plan, gpu_op *op, iec_error *err) {
  const int lengths = strcmp(op->kind, "CTCGreedyDecoderSeqLen") == 0;
  const gpu_value *x = op->inputs[0], *counts = lengths && op->output_count > 1 ? op->outputs[1] : NULL;
  const int64_t batch = x->shape[lengths ? 0 : 1], steps = x->shape[lengths ? 1 : 0], classes = x->shape[2],
                rows = batch * steps;
  const int64_t groups[3] = {rows, 1, 1}, local[3] = {GROUP, 1, 1};
  char options[96] = "-DGROUP=32";
  gpu_value *best = gpu_scratch(plan, IEC_I32, 1, &rows, err);
  if (!best) return IEC_OUT_OF_MEMORY;
  gpu_launch *launch = gpu_launch_kernel(plan, op, "ctc", "ctc_best", options, err);
  if (!launch) return IEC_GENERAL_ERROR;
  gpu_arg_value(launch, x);
  gpu_arg_value(launch, best);
  gpu_arg_int(launch, classes);
  gpu_launch_groups(launch, groups, local);
  if (lengths)
    snprintf(options, sizeof options, "-DGROUP=32 -DLENGTHS=%s -DOUT=%s -DCOUNT=%s", type_name(op->inputs[1]),
             type_name(op->outputs[0]), type_name(counts));
  launch = gpu_launch_kernel(plan, op, "ctc", "ctc_collapse", options, err);
  if (!launch) return IEC_GENERAL_ERROR;
  gpu_arg_value(launch, best);
  gpu_arg_value(launch, op->inputs[1]);
  gpu_arg_value(launch, op->outputs[0]);
  gpu_arg_value(launch, counts);
  gpu_arg_int(launch, batch);
  gpu_arg_int(launch, steps);
  gpu_arg_int(launch, lengths ? steps : 1);
  gpu_arg_int(launch, lengths ? 1 : batch);
  gpu_arg_int(launch, lengths ? blank_of(op, classes) : classes - 1);
  gpu_arg_int(launch, gpu_int(op, "merge_repeated", 1) != 0);
  gpu_launch_size(launch, batch, 1, 1);
  op->exec_type = "ctc";
  return IEC_OK;
}

const gpu_kind gpu_kinds_ctc[] = {{"CTCGreedyDecoder", supports_mask, NULL, plan_ctc},
                                  {"CTCGreedyDecoderSeqLen", supports_lengths, NULL, plan_ctc},
                                  {0}};
