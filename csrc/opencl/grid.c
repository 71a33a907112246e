/* SPDX-License-Identifier: Apache-2.0 */
/* What devices allow of a launch: items and local memory of a work-group, work-groups along an axis. */
#include "opencl/grid.h"

#include <string.h>

int gpu_grid_fits(const gpu_plan *plan, const gpu_launch *launch) {
  const ocl_api *api = gpu_api(plan->context);
  const gpu_device *d = gpu_context_device(plan->context);
  const size_t items = launch->local[0] * launch->local[1] * launch->local[2];
  size_t most = 0;
  cl_ulong local = 0;
  cl_int code;
  if (items > d->most_items) return 0;
  cl_kernel kernel = api->CreateKernel(launch->program, launch->kernel, &code);
  if (!kernel) return 1; /* the stream's attempt says why */
  api->GetKernelWorkGroupInfo(kernel, d->id, CL_KERNEL_WORK_GROUP_SIZE, sizeof most, &most, NULL);
  api->GetKernelWorkGroupInfo(kernel, d->id, CL_KERNEL_LOCAL_MEM_SIZE, sizeof local, &local, NULL);
  api->ReleaseKernel(kernel);
  return (!most || items <= most) && local <= d->local_memory;
}

/* The axis with too many work-groups, -1 if none. Axis 0 is wide enough on every device for what gpu_ports
 * lets through. */
static int32_t too_long(const gpu_launch *launch, size_t most_groups) {
  for (int32_t axis = 1; axis < 3; axis++)
    if (launch->type == GPU_LAUNCH_KERNEL && !launch->whole &&
        launch->global[axis] / launch->local[axis] > most_groups)
      return axis;
  return -1;
}

iec_status gpu_grid_split(gpu_plan *plan, int32_t from, iec_error *err) {
  const size_t most = gpu_context_device(plan->context)->most_groups;
  for (int32_t i = from; i < plan->launch_count; i++) {
    const int32_t axis = too_long(&plan->launches[i], most);
    if (axis < 0) continue;
    if (!gpu_grow(&plan->launches, sizeof *plan->launches, plan->launch_count, &plan->launch_capacity))
      return gpu_no_memory(err);
    gpu_launch *launch = &plan->launches[i];
    memmove(launch + 1, launch, (size_t)(plan->launch_count - i) * sizeof *launch);
    plan->launch_count++;
    const size_t part = most * launch->local[axis];
    launch[0].global[axis] = part;
    launch[1].global[axis] -= part;
    launch[1].offset[axis] += part;
    i--; /* its other axis */
  }
  return IEC_OK;
}
