/* SPDX-License-Identifier: Apache-2.0 */
/* What the integer pass is made of: grids behind FakeQuantize, weights as integers. */
#ifndef IEC_CPU_PASSES_INT8_H
#define IEC_CPU_PASSES_INT8_H
#include "cpu/graph.h"

/* The grid that `op`, a FakeQuantize of constant limits and at most 256 levels, leaves its results on; NULL
 * in *out when bytes cannot hold it. */
iec_status cpu_grid_read(cpu_graph *graph, const cpu_op *op, const cpu_grid **out, iec_error *err);

/* The constant float32 weights of a Conv or MatMul as whole numbers from -128 to 127 and one scale for each
 * output channel: an int8 constant of the same shape whose grid has count = channels. NULL in *out when they
 * are no such products: then nobody has quantised them. */
iec_status cpu_weights_read(cpu_graph *graph, const cpu_op *op, cpu_value **out, iec_error *err);

#endif
