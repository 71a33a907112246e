/* SPDX-License-Identifier: Apache-2.0 */
/* Measures launches and keeps choices, one a line: hash of the device, variant, key. */
#include "opencl/tune.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct choice {
  uint64_t device;
  int32_t variant;
  char *key;
} choice;

struct gpu_tuning {
  uint64_t device;
  gpu_tune_mode mode;
  char *path;
  choice *choices; /* of all devices in the file */
  int32_t count, capacity;
  int changed;
};

static const char HEAD[] = "ie_ctypes GPU tuning 1\n";

static void add(gpu_tuning *tuning, uint64_t device, int32_t variant, const char *key) {
  if (!gpu_grow(&tuning->choices, sizeof *tuning->choices, tuning->count, &tuning->capacity)) return;
  char *kept = strdup(key);
  if (kept) tuning->choices[tuning->count++] = (choice){device, variant, kept};
}

/* A line that does not fit is left out. */
static void read_file(gpu_tuning *tuning) {
  char line[256], key[200];
  uint64_t device;
  int32_t variant;
  FILE *file = fopen(tuning->path, "re");
  if (!file) return;
  if (fgets(line, sizeof line, file) && strcmp(line, HEAD) == 0)
    while (fgets(line, sizeof line, file))
      if (sscanf(line, "%16" SCNx64 " %" SCNd32 " %199[^\n]", &device, &variant, key) == 3)
        add(tuning, device, variant, key);
  fclose(file);
}

gpu_tuning *gpu_tuning_open(const gpu_context *context, const gpu_settings *settings) {
  const gpu_device *d = gpu_context_device(context);
  if (settings->tune == GPU_TUNE_OFF) return NULL;
  gpu_tuning *tuning = calloc(1, sizeof *tuning);
  if (!tuning) return NULL;
  tuning->mode = settings->tune;
  tuning->path = strdup(settings->tuning_file);
  tuning->device = gpu_hash(gpu_hash(0, d->name, strlen(d->name)), d->driver, strlen(d->driver));
  if (tuning->path && *tuning->path && tuning->mode != GPU_TUNE_CREATE) read_file(tuning);
  return tuning;
}

static void write_file(const gpu_tuning *tuning) {
  char temporary[4200];
  snprintf(temporary, sizeof temporary, "%.4096s.%ld.tmp", tuning->path, (long)getpid());
  FILE *file = fopen(temporary, "we");
  if (!file) return;
  int good = fputs(HEAD, file) >= 0;
  for (int32_t i = 0; i < tuning->count; i++)
    good &= fprintf(file, "%016" PRIx64 " %" PRId32 " %s\n", tuning->choices[i].device,
                    tuning->choices[i].variant, tuning->choices[i].key) > 0;
  good = fclose(file) == 0 && good;
  if (!good || rename(temporary, tuning->path)) unlink(temporary);
}

void gpu_tuning_close(gpu_tuning *tuning) {
  if (!tuning) return;
  if (tuning->changed && tuning->path && *tuning->path) write_file(tuning);
  for (int32_t i = 0; i < tuning->count; i++) free(tuning->choices[i].key);
  free(tuning->choices);
  free(tuning->path);
  free(tuning);
}

int32_t gpu_tuning_find(const gpu_tuning *tuning, const char *key) {
  for (int32_t i = 0; tuning && i < tuning->count; i++)
    if (tuning->choices[i].device == tuning->device && strcmp(tuning->choices[i].key, key) == 0)
      return tuning->choices[i].variant;
  return -1;
}

int gpu_tuning_measures(const gpu_tuning *tuning) { return tuning && tuning->mode != GPU_TUNE_EXISTING; }

void gpu_tuning_keep(gpu_tuning *tuning, const char *key, int32_t variant) {
  add(tuning, tuning->device, variant, key);
  tuning->changed = 1;
}

/* ---- measuring */

typedef struct bench {
  const ocl_api *api;
  cl_command_queue queue;
  cl_kernel kernel;
  cl_mem buffers[GPU_MAX_ARGS];
} bench;

static cl_mem zeros(const gpu_plan *plan, const bench *b, size_t size) {
  cl_int code;
  void *memory = calloc(1, size + 4);
  if (!memory) return NULL;
  cl_mem buffer = b->api->CreateBuffer(gpu_context_handle(plan->context),
                                       CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, size + 4, memory, &code);
  free(memory);
  return buffer;
}

static int prepare(const gpu_plan *plan, bench *b, const gpu_launch *launch) {
  cl_int code;
  b->queue =
      b->api->CreateCommandQueue(gpu_context_handle(plan->context), gpu_context_device(plan->context)->id,
                                 CL_QUEUE_PROFILING_ENABLE, &code);
  b->kernel = b->api->CreateKernel(launch->program, launch->kernel, &code);
  if (!b->queue || !b->kernel) return 0;
  for (int32_t i = 0; i < launch->arg_count; i++) {
    const gpu_arg *arg = &launch->args[i];
    cl_mem buffer = arg->type == GPU_ARG_BUFFER ? arg->buffer : NULL;
    if (arg->type == GPU_ARG_VALUE && arg->value) {
      buffer = b->buffers[i] = zeros(plan, b, gpu_value_bytes(plan->graph, arg->value));
      if (!buffer) return 0;
    }
    code = arg->type == GPU_ARG_BYTES_COPY
               ? b->api->SetKernelArg(b->kernel, (cl_uint)i, arg->size, arg->bytes)
               : b->api->SetKernelArg(b->kernel, (cl_uint)i, sizeof buffer, &buffer);
    if (code != CL_SUCCESS) return 0;
  }
  return 1;
}

static int64_t run_once(const bench *b, const gpu_launch *launch) {
  cl_event event;
  cl_ulong start = 0, end = 0;
  if (b->api->EnqueueNDRangeKernel(b->queue, b->kernel, 3, NULL, launch->global, launch->local, 0, NULL,
                                   &event) != CL_SUCCESS)
    return -1;
  int good =
      b->api->Finish(b->queue) == CL_SUCCESS &&
      b->api->GetEventProfilingInfo(event, CL_PROFILING_COMMAND_START, sizeof start, &start, NULL) ==
          CL_SUCCESS &&
      b->api->GetEventProfilingInfo(event, CL_PROFILING_COMMAND_END, sizeof end, &end, NULL) == CL_SUCCESS;
  b->api->ReleaseEvent(event);
  return good && end >= start ? (int64_t)(end - start) : -1;
}

int64_t gpu_tune_measure(gpu_plan *plan) {
  const gpu_launch *launch = &plan->launches[plan->launch_count - 1];
  bench b = {.api = gpu_api(plan->context)};
  int64_t best = -1;
  if (prepare(plan, &b, launch) && run_once(&b, launch) >= 0) /* the first run may compile */
    for (int i = 0; i < 3; i++) {
      int64_t time = run_once(&b, launch);
      if (time >= 0 && (best < 0 || time < best)) best = time;
    }
  for (int i = 0; i < GPU_MAX_ARGS; i++)
    if (b.buffers[i]) b.api->ReleaseMemObject(b.buffers[i]);
  if (b.kernel) b.api->ReleaseKernel(b.kernel);
  if (b.queue) b.api->ReleaseCommandQueue(b.queue);
  return best;
}
