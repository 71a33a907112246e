/* SPDX-License-Identifier: Apache-2.0 */
/* Texts about a plan: performance counters and the executable graph, as JSON. */
#ifndef IEC_CPU_REPORT_H
#define IEC_CPU_REPORT_H
#include "cpu/plan.h"

typedef struct cpu_text { /* as snprintf: `length` grows past `room`, nothing is written beyond it */
  char *buf;              /* may be NULL */
  size_t room, length;
} cpu_text;

/* Rows of driver.h, one a node of the host's graph and one a reorder; `times`: nanoseconds of each step, NULL
 * before the first inference. */
void cpu_report_perf(const cpu_plan *plan, const int64_t *times, cpu_text *out);

/* [{"name", "type", "layer_type", "execOrder", "execTimeMcs", "originalLayersNames", "outputLayouts",
 * "outputPrecisions", "outputShapes", "primitiveType", "inputs": [names]}, ...] in execution order; all
 * values but inputs are texts. */
void cpu_report_graph(const cpu_plan *plan, const atomic_llong *times, cpu_text *out);

/* Ends the text and does the (buf, size) protocol of driver.h. */
iec_status cpu_text_finish(cpu_text *text, size_t *size, iec_error *err);
void cpu_text_add(cpu_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
