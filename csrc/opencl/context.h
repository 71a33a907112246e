/* SPDX-License-Identifier: Apache-2.0 */
/* Devices, and what an open one shares among its networks: a context and the programs built for it. */
#ifndef IEC_OPENCL_CONTEXT_H
#define IEC_OPENCL_CONTEXT_H
#include "opencl/cl.h"
#include "opencl/common.h"

/* Arithmetic with halves: not there, by cl_khr_fp16, of floats rounded after every operation (tests). */
typedef enum { GPU_FP16_NONE, GPU_FP16_NATIVE, GPU_FP16_EMULATED } gpu_fp16;

typedef struct gpu_device {
  cl_platform_id platform;
  cl_device_id id;
  cl_bitfield type;
  char name[128], vendor[128], version[128], driver[128];
  char platform_name[128];
  cl_uint units, clock;
  cl_ulong global_memory, local_memory, most_allocation;
  size_t most_items;  /* of a work-group */
  size_t most_groups; /* along y and z */
  cl_bool unified;
  gpu_fp16 fp16;
  int fp64;
} gpu_device;

/* Keys TUNING_MODE: measure and keep, only use what was kept, measure what was not. */
typedef enum { GPU_TUNE_OFF, GPU_TUNE_CREATE, GPU_TUNE_EXISTING, GPU_TUNE_UPDATE } gpu_tune_mode;

/* What a load is told; texts are the caller's. */
typedef struct gpu_settings {
  int32_t device, streams;
  int32_t perf_count, memory_pool, half, unroll;
  gpu_tune_mode tune;
  const char *cache_dir, *tuning_file; /* "": none */
} gpu_settings;

typedef struct gpu_context gpu_context;

/* All usable devices in their order: GPUs, then accelerators, then CPUs. None is not an error. `*out` is the
 * caller's to free. */
iec_status gpu_devices(const ocl_api *api, gpu_device **out, int32_t *count, iec_error *err);

iec_status gpu_context_create(const ocl_api *api, const gpu_device *device, gpu_context **out,
                              iec_error *err);
void gpu_context_release(gpu_context *context);
const ocl_api *gpu_api(const gpu_context *context);
const gpu_device *gpu_context_device(const gpu_context *context);
cl_context gpu_context_handle(const gpu_context *context);

/* The program of a file of kernels/ with options, built at its first use or read from `cache_dir`. The
 * context owns it. Threads: any. */
iec_status gpu_program(gpu_context *context, const char *file, const char *options, const char *cache_dir,
                       cl_program *out, iec_error *err);

/* A kernel of the user's: all of its text, and the names for messages. */
typedef struct gpu_custom_source {
  const char *text, *file, *layer, *layer_type;
} gpu_custom_source;

/* The same for such a text. */
iec_status gpu_program_custom(gpu_context *context, const gpu_custom_source *source, const char *options,
                              const char *cache_dir, cl_program *out, iec_error *err);

/* cache.c: binaries of programs in a folder. `key` says all that they depend on. A file that does not fit is
 * ignored. */
void *gpu_cache_read(const char *folder, const char *key, size_t *size);
int gpu_cache_has(const char *folder, const char *key);
void gpu_cache_write(const char *folder, const char *key, const void *data, size_t size);
uint64_t gpu_hash(uint64_t start, const void *data, size_t size); /* FNV-1a */

/* Made by the build from kernels/: texts by file name without suffix. */
typedef struct gpu_source {
  const char *name, *text;
} gpu_source;
extern const gpu_source gpu_sources[];

#endif
