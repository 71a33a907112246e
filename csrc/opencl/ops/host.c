/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds that run on the host inside a plan: lists that are sorted, searched or decoded step by step, and
 * loops. */
#include "opencl/host.h"
#include "opencl/kind.h"

static int supports(const gpu_op *op) {
  for (int32_t i = 0; i < op->output_count; i++)
    if (!op->outputs[i] || op->outputs[i]->count < 1) return 0;
  return op->input_count > 0 && op->output_count > 0;
}

#define HOST(kind) {kind, supports, NULL, gpu_host_plan}

const gpu_kind gpu_kinds_host[] = {HOST("DetectionOutput"),
                                   HOST("CTCGreedyDecoder"),
                                   HOST("CTCGreedyDecoderSeqLen"),
                                   HOST("CTCLoss"),
                                   HOST("Proposal"),
                                   HOST("SimplerNMS"),
                                   HOST("GenerateProposals"),
                                   HOST("ROIDetections"),
                                   HOST("NonMaxSuppression"),
                                   HOST("MatrixNms"),
                                   HOST("MulticlassNms"),
                                   HOST("GatherTree"),
                                   HOST("Loop"),
                                   HOST("If"),
                                   HOST("TopK"),
                                   HOST("NonZero"),
                                   HOST("Unique"),
                                   HOST("SparseFillEmptyRows"),
                                   HOST("Recurrent"),
                                   {0}};
