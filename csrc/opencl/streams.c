/* SPDX-License-Identifier: Apache-2.0 */
/* Runs plans: buffers written, kernels enqueued, results read, one wait at the end. */
#include "opencl/streams.h"

#include <pthread.h>
#include <string.h>

#include "opencl/host.h"

typedef struct stream {
  const gpu_plan *plan;
  const ocl_api *api;
  cl_command_queue queue;
  cl_mem *slots;
  cl_kernel *kernels;  /* by launch; arguments never change */
  cl_event *events;    /* by launch, when profiling */
  gpu_host_run **runs; /* by launch */
  int32_t busy;
} stream;

struct gpu_streams {
  const gpu_plan *plan;
  pthread_mutex_t lock;
  pthread_cond_t freed;
  stream *list;
  int32_t count;
};

static cl_mem memory(const stream *s, const gpu_value *value) {
  while (value->base) value = value->base;
  return value->constant ? value->constant : value->slot >= 0 ? s->slots[value->slot] : NULL;
}

static iec_status set_args(stream *s, int32_t at, iec_error *err) {
  const gpu_launch *launch = &s->plan->launches[at];
  for (int32_t i = 0; i < launch->arg_count; i++) {
    const gpu_arg *arg = &launch->args[i];
    cl_mem buffer = arg->type == GPU_ARG_BUFFER ? arg->buffer : arg->value ? memory(s, arg->value) : NULL;
    cl_int code = arg->type == GPU_ARG_BYTES_COPY
                      ? s->api->SetKernelArg(s->kernels[at], (cl_uint)i, arg->size, arg->bytes)
                      : s->api->SetKernelArg(s->kernels[at], (cl_uint)i, sizeof buffer, &buffer);
    if (code != CL_SUCCESS) return ocl_fail(err, code, "clSetKernelArg", launch->op->layer);
  }
  return IEC_OK;
}

static iec_status make_kernel(stream *s, int32_t at, iec_error *err) {
  const gpu_launch *launch = &s->plan->launches[at];
  cl_int code;
  s->kernels[at] = s->api->CreateKernel(launch->program, launch->kernel, &code);
  if (!s->kernels[at]) return ocl_fail(err, code, "clCreateKernel", launch->op->layer);
  size_t most = 0, items = launch->local[0] * launch->local[1] * launch->local[2];
  s->api->GetKernelWorkGroupInfo(s->kernels[at], gpu_context_device(s->plan->context)->id,
                                 CL_KERNEL_WORK_GROUP_SIZE, sizeof most, &most, NULL);
  if (most && items > most)
    return gpu_fail(err, IEC_GENERAL_ERROR, launch->op->layer,
                    "kernel %s needs work-groups of %zu items, the device can %zu", launch->kernel, items,
                    most);
  return set_args(s, at, err);
}

static iec_status open_stream(stream *s, int32_t profile, iec_error *err) {
  const gpu_plan *plan = s->plan;
  cl_int code;
  size_t launches = (size_t)plan->launch_count + 1;
  s->slots = calloc((size_t)plan->slot_count + 1, sizeof *s->slots);
  s->kernels = calloc(launches, sizeof *s->kernels);
  s->runs = calloc(launches, sizeof *s->runs);
  s->events = profile ? calloc(launches, sizeof *s->events) : NULL;
  if (!s->slots || !s->kernels || !s->runs || (profile && !s->events)) return gpu_no_memory(err);
  s->queue =
      s->api->CreateCommandQueue(gpu_context_handle(plan->context), gpu_context_device(plan->context)->id,
                                 profile ? CL_QUEUE_PROFILING_ENABLE : 0, &code);
  if (!s->queue) return ocl_fail(err, code, "clCreateCommandQueue", NULL);
  for (int32_t i = 0; i < plan->slot_count; i++) {
    s->slots[i] = s->api->CreateBuffer(gpu_context_handle(plan->context), CL_MEM_READ_WRITE,
                                       plan->slots[i] ? plan->slots[i] : 4, NULL, &code);
    if (!s->slots[i]) return ocl_fail(err, code, "clCreateBuffer for activations", NULL);
  }
  for (int32_t i = 0; i < plan->launch_count; i++) {
    const gpu_launch *launch = &plan->launches[i];
    if (launch->type == GPU_LAUNCH_KERNEL) GPU_TRY(make_kernel(s, i, err));
    if (launch->type == GPU_LAUNCH_HOST) GPU_TRY(gpu_host_run_create(launch->host, &s->runs[i], err));
  }
  return IEC_OK;
}

static void close_stream(stream *s) {
  int alive = !ocl_forked();
  for (int32_t i = 0; i < s->plan->launch_count; i++) {
    if (alive && s->kernels && s->kernels[i]) s->api->ReleaseKernel(s->kernels[i]);
    if (s->runs) gpu_host_run_release(s->runs[i]);
  }
  for (int32_t i = 0; alive && s->slots && i < s->plan->slot_count; i++)
    if (s->slots[i]) s->api->ReleaseMemObject(s->slots[i]);
  if (alive && s->queue) s->api->ReleaseCommandQueue(s->queue);
  free(s->slots);
  free(s->kernels);
  free(s->runs);
  free(s->events);
}

iec_status gpu_streams_create(const gpu_plan *plan, int32_t count, int32_t profile, gpu_streams **out,
                              iec_error *err) {
  gpu_streams *streams = *out = calloc(1, sizeof *streams);
  if (!streams) return gpu_no_memory(err);
  streams->plan = plan;
  pthread_mutex_init(&streams->lock, NULL);
  pthread_cond_init(&streams->freed, NULL);
  streams->list = calloc((size_t)count, sizeof *streams->list);
  iec_status status = streams->list ? IEC_OK : gpu_no_memory(err);
  for (int32_t i = 0; !status && i < count; i++) {
    streams->list[streams->count++] = (stream){.plan = plan, .api = gpu_api(plan->context)};
    status = open_stream(&streams->list[i], profile, err);
  }
  if (status) {
    gpu_streams_release(streams);
    *out = NULL;
  }
  return status;
}

void gpu_streams_release(gpu_streams *streams) {
  if (!streams) return;
  for (int32_t i = 0; i < streams->count; i++) close_stream(&streams->list[i]);
  free(streams->list);
  pthread_cond_destroy(&streams->freed);
  pthread_mutex_destroy(&streams->lock);
  free(streams);
}

size_t gpu_streams_bytes(const gpu_plan *plan) {
  size_t bytes = 0;
  for (int32_t i = 0; i < plan->slot_count; i++) bytes += plan->slots[i];
  return bytes;
}

/* ---- one inference */

static iec_status run_host(stream *s, int32_t at, iec_error *err) {
  const gpu_launch *launch = &s->plan->launches[at];
  gpu_host_run *run = s->runs[at];
  const int32_t inputs = gpu_host_inputs(launch->host), ports = gpu_host_ports(launch->host);
  for (int32_t p = 0; p < ports; p++) {
    size_t bytes;
    void *to = gpu_host_memory(run, p, &bytes);
    if (p == inputs) GPU_TRY(gpu_host_infer(run, err));
    cl_mem buffer = memory(s, gpu_host_port(launch->host, p));
    if (!bytes || !buffer) continue;
    cl_int code = p < inputs
                      ? s->api->EnqueueReadBuffer(s->queue, buffer, CL_TRUE, 0, bytes, to, 0, NULL, NULL)
                      : s->api->EnqueueWriteBuffer(s->queue, buffer, CL_FALSE, 0, bytes, to, 0, NULL, NULL);
    if (code != CL_SUCCESS)
      return ocl_fail(err, code, p < inputs ? "clEnqueueReadBuffer" : "clEnqueueWriteBuffer",
                      launch->op->layer);
  }
  return IEC_OK;
}

static iec_status enqueue(stream *s, int32_t at, iec_error *err) {
  const gpu_launch *launch = &s->plan->launches[at];
  cl_event *event = s->events ? &s->events[at] : NULL;
  cl_int code;
  if (launch->type == GPU_LAUNCH_HOST) return run_host(s, at, err);
  if (launch->type == GPU_LAUNCH_COPY) {
    code = s->api->EnqueueCopyBuffer(s->queue, memory(s, launch->from), memory(s, launch->to),
                                     launch->from_offset, launch->to_offset, launch->bytes, 0, NULL, event);
    return code == CL_SUCCESS ? IEC_OK : ocl_fail(err, code, "clEnqueueCopyBuffer", launch->op->layer);
  }
  code = s->api->EnqueueNDRangeKernel(s->queue, s->kernels[at], 3, launch->offset, launch->global,
                                      launch->local[0] ? launch->local : NULL, 0, NULL, event);
  return code == CL_SUCCESS ? IEC_OK : ocl_fail(err, code, "clEnqueueNDRangeKernel", launch->op->layer);
}

static const gpu_value *port(const gpu_plan *plan, int32_t i, int is_output) {
  const gpu_graph *graph = plan->graph;
  const gpu_value *twin = plan->staging[is_output ? graph->input_count + i : i];
  return twin ? twin : is_output ? graph->outputs[i] : graph->inputs[i];
}

static iec_status enqueue_all(stream *s, const void *const *inputs, void *const *outputs, iec_error *err) {
  const gpu_plan *plan = s->plan;
  const gpu_graph *graph = plan->graph;
  for (int32_t i = 0; i < graph->input_count; i++) {
    const gpu_value *value = port(plan, i, 0);
    size_t bytes = gpu_value_bytes(graph, value);
    cl_mem buffer = memory(s, value);
    if (!buffer || !bytes) continue; /* nobody reads it */
    cl_int code = s->api->EnqueueWriteBuffer(s->queue, buffer, CL_FALSE, 0, bytes, inputs[i], 0, NULL, NULL);
    if (code != CL_SUCCESS) return ocl_fail(err, code, "clEnqueueWriteBuffer", graph->inputs[i]->name);
  }
  for (int32_t i = 0; i < plan->launch_count; i++) GPU_TRY(enqueue(s, i, err));
  for (int32_t i = 0; i < graph->output_count; i++) {
    const gpu_value *value = port(plan, i, 1);
    size_t bytes = gpu_value_bytes(graph, value);
    cl_mem buffer = memory(s, value);
    if (!bytes) continue;
    cl_int code = s->api->EnqueueReadBuffer(s->queue, buffer, CL_FALSE, 0, bytes, outputs[i], 0, NULL, NULL);
    if (code != CL_SUCCESS) return ocl_fail(err, code, "clEnqueueReadBuffer", graph->outputs[i]->name);
  }
  return IEC_OK;
}

static void take_times(stream *s, int64_t *times) {
  for (int32_t i = 0; s->events && i < s->plan->launch_count; i++) {
    cl_ulong start = 0, end = 0;
    if (times) times[i] = 0;
    if (!s->events[i]) continue;
    if (times &&
        s->api->GetEventProfilingInfo(s->events[i], CL_PROFILING_COMMAND_START, sizeof start, &start, NULL) ==
            CL_SUCCESS &&
        s->api->GetEventProfilingInfo(s->events[i], CL_PROFILING_COMMAND_END, sizeof end, &end, NULL) ==
            CL_SUCCESS &&
        end > start)
      times[i] = (int64_t)(end - start);
    s->api->ReleaseEvent(s->events[i]);
    s->events[i] = NULL;
  }
}

static stream *take(gpu_streams *streams) {
  stream *found = NULL;
  pthread_mutex_lock(&streams->lock);
  while (!found) {
    for (int32_t i = 0; !found && i < streams->count; i++)
      if (!streams->list[i].busy) found = &streams->list[i];
    if (!found) pthread_cond_wait(&streams->freed, &streams->lock);
  }
  found->busy = 1;
  pthread_mutex_unlock(&streams->lock);
  return found;
}

iec_status gpu_streams_run(gpu_streams *streams, const void *const *inputs, void *const *outputs,
                           int64_t *times, iec_error *err) {
  stream *s = take(streams);
  iec_status status = enqueue_all(s, inputs, outputs, err);
  cl_int code =
      s->api->Finish(s->queue); /* also after a failure: what was enqueued uses the caller's memory */
  if (!status && code != CL_SUCCESS) status = ocl_fail(err, code, "clFinish", NULL);
  take_times(s, status ? NULL : times);
  pthread_mutex_lock(&streams->lock);
  s->busy = 0;
  pthread_cond_signal(&streams->freed);
  pthread_mutex_unlock(&streams->lock);
  return status;
}
