/* SPDX-License-Identifier: Apache-2.0 */
/* Launches within the limits of a device. */
#ifndef IEC_OPENCL_GRID_H
#define IEC_OPENCL_GRID_H
#include "opencl/plan.h"

/* Can the device run the launch's work-groups? Their number is no matter here. */
int gpu_grid_fits(const gpu_plan *plan, const gpu_launch *launch);
/* Cuts the launches after the first `from` until none has more work-groups along y or z than the device can
 * number. Kernels ask for their group by group_id of kernels/common.cl, which counts those of the launches
 * before. */
iec_status gpu_grid_split(gpu_plan *plan, int32_t from, iec_error *err);

#endif
