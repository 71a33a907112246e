/* SPDX-License-Identifier: Apache-2.0 */
/* What the driver knows of a runtime kind: whether a node of it can run here, and the launches that it
 * becomes. */
#ifndef IEC_OPENCL_KIND_H
#define IEC_OPENCL_KIND_H
#include "opencl/plan.h"

typedef struct gpu_kind {
  const char *kind;
  int (*supports)(const gpu_op *op); /* as the node stands in the host's graph */
  /* The number of channels of its result when it applies posts, and the elements of a channel that lie
   * together; 0: it takes none. NULL: none. */
  int64_t (*channels)(const gpu_op *op, int64_t *inner);
  iec_status (*plan)(gpu_plan *plan, gpu_op *op, iec_error *err);
} gpu_kind;

/* The kind of an op that can run; NULL when none can. */
const gpu_kind *gpu_kind_find(const gpu_op *op);

/* Kinds by file of ops/. Each list ends with a kind of NULL. */
extern const gpu_kind gpu_kinds_conv[], gpu_kinds_ctc[], gpu_kinds_detection[], gpu_kinds_eltwise[],
    gpu_kinds_host[], gpu_kinds_matmul[], gpu_kinds_move[], gpu_kinds_pool[], gpu_kinds_reduce[],
    gpu_kinds_resample[], gpu_kinds_recurrent[], gpu_kinds_topk[], gpu_kinds_nms[];

/* The kind of nodes that bring their own kernel, whatever their kind is called. */
extern const gpu_kind gpu_kind_custom;
int gpu_is_custom(const gpu_op *op);

/* At least the first `inputs` inputs and `outputs` outputs are there, none is empty or has nearly INT32_MAX
 * elements. */
int gpu_ports(const gpu_op *op, int32_t inputs, int32_t outputs);
/* Every given input and output is float32. */
int gpu_all_float(const gpu_op *op);
gpu_value *gpu_input(const gpu_op *op, int32_t index); /* NULL when absent */

#endif
