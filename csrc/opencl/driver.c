/* SPDX-License-Identifier: Apache-2.0 */
/* The OpenCL driver's table: open, query, compile, infer, properties. */
#include "iec/driver.h"

#include <pthread.h>
#include <string.h>

#include "opencl/kind.h"
#include "opencl/report.h"
#include "opencl/streams.h"

enum { MOST_STREAMS = 64 };

struct iec_driver {
  const iec_host_api *host;
  const ocl_api *api;
  gpu_device *devices;
  int32_t device_count;
  pthread_mutex_t lock;
  gpu_context **contexts; /* by device, made at the first load */
};

struct iec_exec {
  gpu_plan *plan;
  gpu_streams *streams;
  int32_t stream_count, device;
};

struct iec_request {
  iec_exec *exec;
  const void **inputs;
  void **outputs;
  int64_t *times;
  int32_t has_run;
};

iec_status iec_gpu_driver_query(uint32_t host_abi, const iec_driver_api **out, iec_error *err);

static void driver_close(iec_driver *driver) {
  if (!driver) return;
  for (int32_t i = 0; driver->contexts && i < driver->device_count; i++)
    gpu_context_release(driver->contexts[i]);
  free(driver->contexts);
  free(driver->devices);
  pthread_mutex_destroy(&driver->lock);
  free(driver);
}

static iec_status driver_open(const iec_host_api *host, const iec_kv *options, size_t count, iec_driver **out,
                              iec_error *err) {
  *out = NULL;
  if (count)
    return gpu_fail(err, IEC_NOT_FOUND, NULL, "unknown option %s; the driver has none", options[0].key);
  const ocl_api *api = ocl_load(err);
  if (!api) return IEC_NOT_FOUND;
  iec_driver *driver = calloc(1, sizeof *driver);
  if (!driver) return gpu_no_memory(err);
  driver->host = host;
  driver->api = api;
  pthread_mutex_init(&driver->lock, NULL);
  iec_status status = gpu_devices(api, &driver->devices, &driver->device_count, err);
  if (!status && !driver->device_count)
    status = gpu_fail(
        err, IEC_NOT_FOUND, NULL,
        "OpenCL is installed but finds no device of OpenCL 1.2 or newer with a compiler: install the GPU's driver "
        "(clinfo lists what OpenCL finds)");
  driver->contexts = calloc((size_t)driver->device_count + 1, sizeof *driver->contexts);
  if (!status && !driver->contexts) status = gpu_no_memory(err);
  if (status)
    driver_close(driver);
  else
    *out = driver;
  return status;
}

static iec_status driver_query(iec_driver *driver, const iec_graph *graph, uint8_t *supported, size_t count,
                               iec_error *err) {
  gpu_graph *copy;
  GPU_TRY(gpu_graph_create(driver->host->graph, graph, &copy, err));
  iec_status status = IEC_OK;
  if (count != (size_t)copy->op_count)
    status = gpu_fail(err, IEC_PARAMETER_MISMATCH, NULL, "%zu flags for %d nodes", count, copy->op_count);
  for (size_t i = 0; !status && i < count; i++) supported[i] = copy->origins[i]->impl != NULL;
  gpu_graph_release(copy);
  return status;
}

/* ---- configuration */

static iec_status read_number(const iec_kv *pair, int32_t least, int32_t most, int32_t *out, iec_error *err) {
  char *end;
  long number = strtol(pair->value, &end, 10);
  if (end == pair->value || *end || number < least || number > most)
    return gpu_fail(err, IEC_PARAMETER_MISMATCH, pair->key, "'%s' is not a number from %d to %d", pair->value,
                    least, most);
  *out = (int32_t)number;
  return IEC_OK;
}

static iec_status read_choice(const iec_kv *pair, const char *no, const char *yes, int32_t *out,
                              iec_error *err) {
  if (strcmp(pair->value, no) && strcmp(pair->value, yes))
    return gpu_fail(err, IEC_PARAMETER_MISMATCH, pair->key, "'%s', expected %s or %s", pair->value, yes, no);
  *out = strcmp(pair->value, yes) == 0;
  return IEC_OK;
}

static iec_status read_tuning(const iec_kv *pair, gpu_tune_mode *out, iec_error *err) {
  static const char *const names[] = {"TUNING_DISABLED", "TUNING_CREATE", "TUNING_USE_EXISTING",
                                      "TUNING_UPDATE", NULL};
  const int32_t mode = strcmp(pair->value, "TUNING_RETUNE") ? gpu_index(pair->value, names) : GPU_TUNE_CREATE;
  if (mode < 0) return gpu_fail(err, IEC_PARAMETER_MISMATCH, pair->key, "unknown mode '%s'", pair->value);
  *out = (gpu_tune_mode)mode;
  return IEC_OK;
}

static iec_status configure(const iec_driver *driver, const iec_kv *config, size_t count, gpu_settings *s,
                            iec_error *err) {
  *s = (gpu_settings){.streams = 1, .memory_pool = 1, .unroll = 1, .cache_dir = "", .tuning_file = ""};
  for (size_t i = 0; i < count; i++) {
    const iec_kv *pair = &config[i];
    if (strcmp(pair->key, "DEVICE_ID") == 0)
      GPU_TRY(read_number(pair, 0, driver->device_count - 1, &s->device, err));
    else if (strcmp(pair->key, "GPU_THROUGHPUT_STREAMS") == 0)
      GPU_TRY(read_number(pair, 1, MOST_STREAMS, &s->streams, err));
    else if (strcmp(pair->key, "PERF_COUNT") == 0)
      GPU_TRY(read_choice(pair, "NO", "YES", &s->perf_count, err));
    else if (strcmp(pair->key, "CLDNN_MEM_POOL") == 0)
      GPU_TRY(read_choice(pair, "NO", "YES", &s->memory_pool, err));
    else if (strcmp(pair->key, "INFERENCE_PRECISION_HINT") == 0)
      GPU_TRY(read_choice(pair, "f32", "f16", &s->half, err));
    else if (strcmp(pair->key, "GPU_ENABLE_LOOP_UNROLLING") == 0)
      GPU_TRY(read_choice(pair, "NO", "YES", &s->unroll, err));
    else if (strcmp(pair->key, "CACHE_DIR") == 0)
      s->cache_dir = pair->value;
    else if (strcmp(pair->key, "TUNING_FILE") == 0)
      s->tuning_file = pair->value;
    else if (strcmp(pair->key, "TUNING_MODE") == 0)
      GPU_TRY(read_tuning(pair, &s->tune, err));
    else
      return gpu_fail(err, IEC_NOT_FOUND, pair->key,
                      "unknown key, known are DEVICE_ID, GPU_THROUGHPUT_STREAMS, PERF_COUNT, CLDNN_MEM_POOL, "
                      "GPU_ENABLE_LOOP_UNROLLING, "
                      "INFERENCE_PRECISION_HINT, CACHE_DIR, TUNING_FILE, TUNING_MODE");
  }
  return IEC_OK;
}

static iec_status context_of(iec_driver *driver, int32_t device, gpu_context **out, iec_error *err) {
  pthread_mutex_lock(&driver->lock);
  iec_status status = IEC_OK;
  if (!driver->contexts[device])
    status = gpu_context_create(driver->api, &driver->devices[device], &driver->contexts[device], err);
  *out = driver->contexts[device];
  pthread_mutex_unlock(&driver->lock);
  return status;
}

/* ---- executable */

static void exec_release(iec_exec *exec) {
  if (!exec) return;
  gpu_streams_release(exec->streams);
  gpu_plan_release(exec->plan);
  free(exec);
}

static iec_status driver_compile(iec_driver *driver, const iec_graph *graph, const iec_kv *config,
                                 size_t count, iec_exec **out, iec_error *err) {
  gpu_settings settings;
  gpu_context *context;
  gpu_graph *copy;
  *out = NULL;
  if (!ocl_load(err)) return IEC_GENERAL_ERROR; /* the process may have been forked since open */
  GPU_TRY(configure(driver, config, count, &settings, err));
  GPU_TRY(context_of(driver, settings.device, &context, err));
  iec_exec *exec = calloc(1, sizeof *exec);
  if (!exec) return gpu_no_memory(err);
  exec->stream_count = settings.streams;
  exec->device = settings.device;
  iec_status status = gpu_graph_create(driver->host->graph, graph, &copy, err);
  if (!status) {
    copy->half = settings.half;
    copy->unroll = settings.unroll;
    status = gpu_plan_create(driver->host, context, copy, &settings, &exec->plan, err);
  }
  if (!status)
    status = gpu_streams_create(exec->plan, settings.streams, settings.perf_count, &exec->streams, err);
  if (status)
    exec_release(exec);
  else
    *out = exec;
  return status;
}

/* ---- request */

static void request_release(iec_request *request) {
  if (!request) return;
  free(request->inputs);
  free(request->outputs);
  free(request->times);
  free(request);
}

static iec_status request_create(iec_exec *exec, iec_request **out, iec_error *err) {
  const gpu_graph *graph = exec->plan->graph;
  *out = NULL;
  iec_request *request = calloc(1, sizeof *request);
  if (!request) return gpu_no_memory(err);
  request->exec = exec;
  request->inputs = calloc((size_t)graph->input_count + 1, sizeof *request->inputs);
  request->outputs = calloc((size_t)graph->output_count + 1, sizeof *request->outputs);
  request->times = calloc((size_t)exec->plan->launch_count + 1, sizeof *request->times);
  if (!request->inputs || !request->outputs || !request->times) {
    request_release(request);
    return gpu_no_memory(err);
  }
  *out = request;
  return IEC_OK;
}

static iec_status check_tensor(const iec_tensor *given, const gpu_value *wanted, const char *role,
                               iec_error *err) {
  size_t bytes = (size_t)wanted->count * gpu_dtype_size(wanted->dtype);
  if (!given) return gpu_fail(err, IEC_PARAMETER_MISMATCH, wanted->name, "the %s is missing", role);
  if (given->dtype != wanted->dtype || given->size_bytes != bytes || (!given->data && bytes))
    return gpu_fail(err, IEC_PARAMETER_MISMATCH, wanted->name,
                    "the %s has element type %d and %zu bytes, expected %d and %zu", role, given->dtype,
                    given->size_bytes, wanted->dtype, bytes);
  return IEC_OK;
}

static iec_status infer(iec_request *request, const iec_tensor *const *inputs, size_t input_count,
                        iec_tensor *const *outputs, size_t output_count, iec_error *err) {
  const gpu_graph *graph = request->exec->plan->graph;
  if (!ocl_load(err)) return IEC_GENERAL_ERROR;
  if (input_count != (size_t)graph->input_count || output_count != (size_t)graph->output_count)
    return gpu_fail(err, IEC_PARAMETER_MISMATCH, NULL, "%zu inputs and %zu outputs, expected %d and %d",
                    input_count, output_count, graph->input_count, graph->output_count);
  for (int32_t i = 0; i < graph->input_count; i++) {
    GPU_TRY(check_tensor(inputs[i], graph->inputs[i], "input", err));
    request->inputs[i] = inputs[i]->data;
  }
  for (int32_t i = 0; i < graph->output_count; i++) {
    GPU_TRY(check_tensor(outputs[i], graph->outputs[i], "output", err));
    request->outputs[i] = outputs[i]->data;
  }
  GPU_TRY(gpu_streams_run(request->exec->streams, request->inputs, request->outputs, request->times, err));
  request->has_run = 1;
  return IEC_OK;
}

static iec_status perf_counts(iec_request *request, char *json, size_t *size, iec_error *err) {
  gpu_text text = {json, json ? *size : 0, 0};
  gpu_report_perf(request->exec->plan, request->has_run ? request->times : NULL, &text);
  return gpu_text_finish(&text, size, err);
}

static iec_status get_property(iec_driver *driver, iec_exec *exec, const char *key, char *buf, size_t *size,
                               iec_error *err) {
  gpu_text text = {buf, buf ? *size : 0, 0};
  if (strcmp(key, "DEVICES") == 0) {
    gpu_report_devices(driver->devices, driver->device_count, &text);
  } else if (exec && (strcmp(key, "STREAMS") == 0 || strcmp(key, "GPU_THROUGHPUT_STREAMS") == 0)) {
    gpu_text_add(&text, "%d", exec->stream_count);
  } else if (exec && strcmp(key, "DEVICE_ID") == 0) {
    gpu_text_add(&text, "%d", exec->device);
  } else if (exec && strcmp(key, "MEMORY_BYTES") == 0) {
    gpu_text_add(&text, "%zu",
                 exec->plan->constant_bytes + (size_t)exec->stream_count * gpu_streams_bytes(exec->plan));
  } else if (exec && strcmp(key, "EXEC_GRAPH") == 0) {
    gpu_report_graph(exec->plan, &text);
  } else {
    return gpu_fail(err, IEC_NOT_FOUND, key, "unknown property; known are DEVICES%s",
                    exec ? ", STREAMS, GPU_THROUGHPUT_STREAMS, DEVICE_ID, MEMORY_BYTES, EXEC_GRAPH" : "");
  }
  return gpu_text_finish(&text, size, err);
}

static const iec_driver_api table = {
    .struct_size = sizeof(iec_driver_api),
    .abi_version = IEC_ABI_VERSION,
    .name = "GPU",
    .version = "2.1",
    .description = "GPU driver over OpenCL 1.2",
    .open = driver_open,
    .close = driver_close,
    .query = driver_query,
    .compile = driver_compile,
    .exec_release = exec_release,
    .request_create = request_create,
    .request_release = request_release,
    .infer = infer,
    .get_property = get_property,
    .perf_counts = perf_counts,
};

iec_status iec_gpu_driver_query(uint32_t host_abi, const iec_driver_api **out, iec_error *err) {
  *out = NULL;
  if (host_abi >> 16 != IEC_ABI_MAJOR)
    return gpu_fail(err, IEC_ABI_MISMATCH, NULL, "the host has ABI %u, the driver %u", host_abi >> 16,
                    IEC_ABI_MAJOR);
  *out = &table;
  return IEC_OK;
}
