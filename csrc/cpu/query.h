/* SPDX-License-Identifier: Apache-2.0 */
/* Which nodes of a graph the CPU can run. */
#ifndef IEC_CPU_QUERY_H
#define IEC_CPU_QUERY_H
#include "cpu/select.h"

/* supported[i] = 1 when some kernel takes node i; `count` must be the number of nodes. Threads: any. */
iec_status cpu_query(const iec_host_api *host, const cpu_extensions *extensions, const iec_graph *graph,
                     uint8_t *supported, size_t count, iec_error *err);

#endif
