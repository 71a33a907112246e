/* SPDX-License-Identifier: Apache-2.0 */
/* Streams: each has a queue, buffers and kernels of its own and runs one inference of a plan at a time. */
#ifndef IEC_OPENCL_STREAMS_H
#define IEC_OPENCL_STREAMS_H
#include "opencl/plan.h"

typedef struct gpu_streams gpu_streams;

iec_status gpu_streams_create(const gpu_plan *plan, int32_t count, int32_t profile, gpu_streams **out,
                              iec_error *err);
void gpu_streams_release(gpu_streams *streams);
/* One inference on a free stream, after waiting for one. Pointers are the host's memory, in the graph's
 * order. `times` (one a launch) receives nanoseconds when the streams were made to profile. */
iec_status gpu_streams_run(gpu_streams *streams, const void *const *inputs, void *const *outputs,
                           int64_t *times, iec_error *err);
/* Bytes of device memory of one stream. */
size_t gpu_streams_bytes(const gpu_plan *plan);

#endif
