/* SPDX-License-Identifier: Apache-2.0 */
/* Choosing among variants of a launch by measuring them, with the choices kept in a file. */
#ifndef IEC_OPENCL_TUNE_H
#define IEC_OPENCL_TUNE_H
#include "opencl/plan.h"

typedef struct gpu_tuning gpu_tuning;

/* NULL when `settings` ask for no tuning, and when out of memory. Reads the file if the mode says so; without
 * a file choices last for this load. */
gpu_tuning *gpu_tuning_open(const gpu_context *context, const gpu_settings *settings);
/* Writes the file when something was measured. NULL accepted. */
void gpu_tuning_close(gpu_tuning *tuning);
/* The variant kept for a key (a text without newline), -1 if none. NULL accepted: -1. */
int32_t gpu_tuning_find(const gpu_tuning *tuning, const char *key);
/* May variants be measured? NULL accepted: no. */
int gpu_tuning_measures(const gpu_tuning *tuning);
void gpu_tuning_keep(gpu_tuning *tuning, const char *key, int32_t variant);

/* Nanoseconds of the plan's last launch over buffers of zeros, the least of three runs; negative when it
 * cannot run. */
int64_t gpu_tune_measure(gpu_plan *plan);

#endif
