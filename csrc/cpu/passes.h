/* SPDX-License-Identifier: Apache-2.0 */
/* The rewritings of the CPU driver's graph, in the order in which cpu_passes_run applies them. */
#ifndef IEC_CPU_PASSES_H
#define IEC_CPU_PASSES_H
#include "cpu/graph.h"

iec_status cpu_pass_transpose(cpu_graph *graph, iec_error *err); /* a transpose of a transpose becomes one */
iec_status cpu_pass_noop(cpu_graph *graph,
                         iec_error *err); /* ops that change nothing go, reshapes become aliases */
iec_status cpu_pass_pad(cpu_graph *graph,
                        iec_error *err); /* zero padding moves into the convolution behind it */
iec_status cpu_pass_scale(cpu_graph *graph,
                          iec_error *err); /* scale and shift move into weights and bias before them */
iec_status cpu_pass_int8(cpu_graph *graph,
                         iec_error *err); /* activations of quantised networks become bytes */
iec_status cpu_pass_matmul(cpu_graph *graph,
                           iec_error *err); /* transposes around matrix products move into them */
iec_status cpu_pass_posts(cpu_graph *graph,
                          iec_error *err); /* element-wise ops move into the kernel before them */
iec_status cpu_pass_dead(cpu_graph *graph, iec_error *err); /* ops whose results nobody reads go */
iec_status cpu_pass_layout(cpu_graph *graph,
                           iec_error *err); /* every activation gets a layout, reorders are added */

/* All of them; kernels are chosen on the way. */
iec_status cpu_passes_run(cpu_graph *graph, iec_error *err);

/* x * scale[c] + shift[c] as one element-wise op after a value says it. */
typedef struct cpu_affine {
  float *scale, *shift; /* `channels` numbers each, NULL when it does not scale or shift; caller frees with
                           cpu_affine_release */
  int64_t channels;
} cpu_affine;

/* Understands `op` (a Binary with a constant, or a Unary power 1) as an affine map of `value`, its input,
 * along `axis`. *out_found is 0 when it is none. A scalar is spread over all channels. */
iec_status cpu_affine_read(cpu_graph *graph, const cpu_op *op, const cpu_value *value, int32_t axis,
                           cpu_affine *out, int *out_found, iec_error *err);
/* `constant` spread over `axis` of a tensor of shape `to`: NULL in *out when it varies along another axis. */
iec_status cpu_channel_constant(cpu_graph *graph, const cpu_tensor *constant, const cpu_tensor *to,
                                int32_t axis, float **out, iec_error *err);
/* The order of a Transpose, NULL of any other op and of an order that is no permutation of its axes. */
const int64_t *cpu_transpose_order(const cpu_op *op);
/* The channel axis of an op's output for posts: 1, the last for MatMul and for MVN of that axis, -1 when the
 * rank is too low. */
int32_t cpu_channel_axis(const cpu_op *op);

#endif
