/* SPDX-License-Identifier: Apache-2.0 */
/* Steps of a plan that run on the host: one node on the CPU driver, reached through its table like any other
 * driver. */
#ifndef IEC_OPENCL_HOST_H
#define IEC_OPENCL_HOST_H
#include "opencl/plan.h"

typedef struct gpu_host_step gpu_host_step;
typedef struct gpu_host_run gpu_host_run; /* what one stream needs of a step */

/* Compiles the op on the CPU; the launch's values are the op's ports. */
iec_status gpu_host_plan(gpu_plan *plan, gpu_op *op, iec_error *err);
void gpu_host_release(gpu_host_step *step);
/* Values that the step reads, then those that it writes. */
int32_t gpu_host_ports(const gpu_host_step *step);
int32_t gpu_host_inputs(const gpu_host_step *step);
const gpu_value *gpu_host_port(const gpu_host_step *step, int32_t port);

iec_status gpu_host_run_create(gpu_host_step *step, gpu_host_run **out, iec_error *err);
void gpu_host_run_release(gpu_host_run *run);
/* Host memory of a port; infer reads and writes there. */
void *gpu_host_memory(gpu_host_run *run, int32_t port, size_t *bytes);
iec_status gpu_host_infer(gpu_host_run *run, iec_error *err);

#endif
