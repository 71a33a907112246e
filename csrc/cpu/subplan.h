/* SPDX-License-Identifier: Apache-2.0 */
/* A compiled graph that can be run as a part of a step: how the Loop kernel runs its body. */
#ifndef IEC_CPU_SUBPLAN_H
#define IEC_CPU_SUBPLAN_H
#include "cpu/kernel.h"

typedef struct cpu_plan cpu_plan;

/* 1 when every node of the graph, which `node` holds, can run here. Threads: any. */
int32_t cpu_graph_supported(const cpu_node *node, const iec_graph *graph);

/* Compiles a graph; its constants are borrowed until this returns. `extensions`: those of the node that holds
 * it, or NULL. Threads: any. */
iec_status cpu_plan_create(const iec_host_api *host, const iec_graph *graph, const cpu_extensions *extensions,
                           cpu_plan **out, iec_error *err);
void cpu_plan_release(cpu_plan *plan); /* NULL accepted */

/* Memory that one run needs: a shared piece and one for each member, both aligned to 64 bytes. */
size_t cpu_plan_scratch(const cpu_plan *plan);
size_t cpu_plan_member_scratch(const cpu_plan *plan);

/* Estimated nanoseconds of the steps that are worth sharing among threads; 0 when all are small. */
double cpu_plan_shared_ns(const cpu_plan *plan);

/* Called by one thread, member 0 of `crew`; the other members get the steps that are worth sharing. `scratch`
 * is one piece, `member_scratch` that of member 0 with those of the others behind it at crew->stride; inputs
 * and outputs are plain tensors in the order of the graph. `times`, when given, receives the nanoseconds of
 * each step. Outputs must not overlap inputs. Threads: parallel on one plan, with memory and crews of their
 * own. */
void cpu_plan_run(const cpu_plan *plan, const cpu_crew *crew, void *scratch, void *member_scratch,
                  const void *const *inputs, void *const *outputs, int64_t *times);

#endif
