/* SPDX-License-Identifier: Apache-2.0 */
/* Streams: each a team of threads with memory of its own that runs one inference at a time. */
#ifndef IEC_CPU_STREAMS_H
#define IEC_CPU_STREAMS_H
#include "cpu/plan.h"

typedef struct cpu_streams cpu_streams;

/* `streams` teams of `threads` members for one plan, which must outlive them. `bound`: each member has a
 * processor of its own, if there are enough. */
iec_status cpu_streams_create(const iec_host_api *host, const cpu_plan *plan, int32_t streams,
                              int32_t threads, int32_t bound, cpu_streams **out, iec_error *err);
void cpu_streams_release(cpu_streams *streams); /* NULL accepted; no inference may be running */

/* Runs the plan on a free stream, waiting for one if all are busy. `times`: nanoseconds of each step. Fails
 * only when a kernel of an extension does. Threads: any. */
iec_status cpu_streams_run(cpu_streams *streams, const void *const *inputs, void *const *outputs,
                           int64_t *times, iec_error *err);

#endif
