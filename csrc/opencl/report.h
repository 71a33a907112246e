/* SPDX-License-Identifier: Apache-2.0 */
/* Texts about devices and plans, as JSON. */
#ifndef IEC_OPENCL_REPORT_H
#define IEC_OPENCL_REPORT_H
#include "opencl/plan.h"

/* [{"name", "vendor", "type": GPU, CPU or ACCELERATOR, "version", "driver", "platform", numbers ...}, ...] */
void gpu_report_devices(const gpu_device *devices, int32_t count, gpu_text *out);
/* Rows of driver.h; `times`: nanoseconds of each launch, NULL before the first inference. */
void gpu_report_perf(const gpu_plan *plan, const int64_t *times, gpu_text *out);
/* Executed steps in order, the fields of the CPU driver's. */
void gpu_report_graph(const gpu_plan *plan, gpu_text *out);

#endif
