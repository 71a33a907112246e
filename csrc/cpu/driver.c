/* SPDX-License-Identifier: Apache-2.0 */
/* The CPU driver's table: open, query, compile, infer, properties. */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/driver.h"
#include "cpu/extension.h"
#include "cpu/machine.h"
#include "cpu/query.h"
#include "cpu/report.h"
#include "cpu/streams.h"

enum { MOST_THREADS = 1024 };

struct iec_driver {
  const iec_host_api *host;
  pthread_mutex_t lock;       /* guards the next */
  cpu_extensions *extensions; /* NULL: none */
};

struct iec_exec {
  const iec_host_api *host;
  cpu_plan *plan;
  cpu_streams *streams;
  int32_t stream_count, thread_count;
  int32_t bound;       /* members of teams stay on cores of their own */
  atomic_llong *times; /* nanoseconds of each step in some recent inference, for the executable graph */
  atomic_int has_run;
};

struct iec_request {
  iec_exec *exec;
  int32_t has_run;
  const void **inputs;
  void **outputs;
  int64_t *times; /* nanoseconds of each step */
};

static iec_status driver_open(const iec_host_api *host, const iec_kv *options, size_t count, iec_driver **out,
                              iec_error *err) {
  *out = NULL;
  if (count)
    return cpu_fail(err, IEC_NOT_FOUND, NULL, "unknown option %s; the driver has none", options[0].key);
  if (!cpu_kernels(err)) return IEC_NOT_FOUND;
  iec_driver *driver = host->alloc(host->self, sizeof *driver, alignof(max_align_t));
  if (!driver) return cpu_fail(err, IEC_OUT_OF_MEMORY, NULL, "out of memory");
  driver->host = host;
  driver->extensions = NULL;
  pthread_mutex_init(&driver->lock, NULL);
  *out = driver;
  return IEC_OK;
}

static void driver_close(iec_driver *driver) {
  if (!driver) return;
  cpu_extensions_release(driver->extensions);
  pthread_mutex_destroy(&driver->lock);
  driver->host->release(driver->host->self, driver);
}

static iec_status set_extensions(iec_driver *driver, const iec_extension_api *const *extensions, size_t count,
                                 iec_error *err) {
  cpu_extensions *made = NULL;
  iec_status status = count ? cpu_extensions_create(driver->host, extensions, count, &made, err) : IEC_OK;
  if (status) return status;
  pthread_mutex_lock(&driver->lock);
  cpu_extensions *old = driver->extensions;
  driver->extensions = made;
  pthread_mutex_unlock(&driver->lock);
  cpu_extensions_release(old);
  return IEC_OK;
}

/* The extensions as they are now; to be released. */
static cpu_extensions *current_extensions(iec_driver *driver) {
  pthread_mutex_lock(&driver->lock);
  cpu_extensions *extensions = cpu_extensions_retain(driver->extensions);
  pthread_mutex_unlock(&driver->lock);
  return extensions;
}

static iec_status driver_query(iec_driver *driver, const iec_graph *graph, uint8_t *supported, size_t count,
                               iec_error *err) {
  cpu_extensions *extensions = current_extensions(driver);
  iec_status status = cpu_query(driver->host, extensions, graph, supported, count, err);
  cpu_extensions_release(extensions);
  return status;
}

/* ---- configuration */

static iec_status read_count(const char *key, const char *value, int32_t *out, iec_error *err) {
  char *end;
  errno = 0;
  long number = strtol(value, &end, 10);
  if (errno || end == value || *end || number < 0 || number > MOST_THREADS)
    return cpu_fail(err, IEC_PARAMETER_MISMATCH, key, "'%s' is not a number from 0 to %d", value,
                    MOST_THREADS);
  *out = (int32_t)number;
  return IEC_OK;
}

/* Work in shared steps below which a plan gets one thread unless told otherwise: there is less to win from a
 * second core than to lose when that core is busy with something else. */
static const double TEAM_NS = 60000;

static int is_switch(const char *value) { return strcmp(value, "YES") == 0 || strcmp(value, "NO") == 0; }

/* Whether the members of teams are bound to cores. NUMA binds only where there are several nodes to keep
 * apart. */
static iec_status read_binding(const char *value, int32_t *out, iec_error *err) {
  if (strcmp(value, "NUMA") == 0)
    *out = cpu_machine_packages() > 1;
  else if (is_switch(value))
    *out = strcmp(value, "YES") == 0;
  else
    return cpu_fail(err, IEC_PARAMETER_MISMATCH, "CPU_BIND_THREAD", "'%s', expected YES, NO or NUMA", value);
  return IEC_OK;
}

static iec_status configure(iec_exec *exec, const iec_kv *config, size_t count, iec_error *err) {
  int32_t threads = 0, streams = 1, bind = 1;
  for (size_t i = 0; i < count; ++i) {
    const char *key = config[i].key, *value = config[i].value;
    iec_status status = IEC_OK;
    if (strcmp(key, "CPU_THREADS_NUM") == 0)
      status = read_count(key, value, &threads, err);
    else if (strcmp(key, "CPU_THROUGHPUT_STREAMS") == 0)
      status = read_count(key, value, &streams, err);
    else if (strcmp(key, "CPU_BIND_THREAD") == 0)
      status = read_binding(value, &bind, err);
    else if (strcmp(key, "PERF_COUNT") == 0) { /* steps are always timed */
      if (!is_switch(value))
        status = cpu_fail(err, IEC_PARAMETER_MISMATCH, key, "'%s', expected YES or NO", value);
    } else if (strcmp(key, "EXPORT") == 0) {
      if (!is_switch(value))
        status = cpu_fail(err, IEC_PARAMETER_MISMATCH, key, "'%s', expected YES or NO", value);
    } else if (strcmp(key, "CACHE_DIR") != 0 && strcmp(key, "IMPORT") != 0) {
      status = cpu_fail(
          err, IEC_NOT_FOUND, key,
          "unknown key, known are CPU_THREADS_NUM, CPU_THROUGHPUT_STREAMS, CPU_BIND_THREAD, PERF_COUNT, "
          "CACHE_DIR, EXPORT, IMPORT");
    }
    if (status) return status;
  }
  if (threads == 0) threads = cpu_plan_shared_ns(exec->plan) < TEAM_NS ? 1 : cpu_machine_cores();
  exec->bound = bind;
  exec->stream_count = streams > 0 ? streams : 1;
  exec->thread_count = threads > exec->stream_count ? threads / exec->stream_count : 1;
  return IEC_OK;
}

/* What the plan is told: threads that may pack weights, as many as the network may have, and whether they are
 * bound (what is wrong with these settings `configure` says); and where packed weights lie. CACHE_DIR is a
 * folder, IMPORT a file behind an offset and a colon; EXPORT says that the executable will be exported. */
static iec_status read_options(const iec_kv *config, size_t count, cpu_plan_options *out, iec_error *err) {
  *out = (cpu_plan_options){.bound = 1};
  for (size_t i = 0; i < count; ++i) {
    const char *key = config[i].key, *value = config[i].value;
    if (strcmp(key, "CPU_THREADS_NUM") == 0) read_count(key, value, &out->threads, NULL);
    if (strcmp(key, "CPU_BIND_THREAD") == 0) read_binding(value, &out->bound, NULL);
    if (strcmp(key, "EXPORT") == 0) out->exportable = strcmp(value, "YES") == 0;
    if (strcmp(key, "CACHE_DIR") == 0 && *value) out->cache_folder = value;
    if (strcmp(key, "IMPORT") == 0 && *value) {
      char *end;
      errno = 0;
      out->cache_offset = strtoull(value, &end, 10);
      if (errno || end == value || *end != ':' || !end[1])
        return cpu_fail(err, IEC_PARAMETER_MISMATCH, key, "'%s', expected OFFSET:FILE", value);
      out->cache_file = end + 1;
    }
  }
  if (out->threads < 1) out->threads = cpu_machine_cores();
  return IEC_OK;
}

/* ---- executable */

static void exec_release(iec_exec *exec) {
  if (!exec) return;
  cpu_streams_release(exec->streams);
  cpu_plan_release(exec->plan);
  exec->host->release(exec->host->self, exec->times);
  exec->host->release(exec->host->self, exec);
}

static iec_status driver_compile(iec_driver *driver, const iec_graph *graph, const iec_kv *config,
                                 size_t count, iec_exec **out, iec_error *err) {
  const iec_host_api *host = driver->host;
  *out = NULL;
  iec_exec *exec = host->alloc(host->self, sizeof *exec, alignof(max_align_t));
  if (!exec) return cpu_fail(err, IEC_OUT_OF_MEMORY, NULL, "out of memory");
  memset(exec, 0, sizeof *exec);
  exec->host = host;
  cpu_plan_options options;
  cpu_extensions *extensions = current_extensions(driver);
  iec_status status = read_options(config, count, &options, err);
  if (!status) status = cpu_plan_compile(host, graph, extensions, &options, &exec->plan, err);
  cpu_extensions_release(extensions);
  if (!status) status = configure(exec, config, count, err);
  if (!status)
    status = cpu_streams_create(host, exec->plan, exec->stream_count, exec->thread_count, exec->bound,
                                &exec->streams, err);
  if (!status) {
    size_t size = (size_t)(exec->plan->step_count + 1) * sizeof *exec->times;
    exec->times = host->alloc(host->self, size, 64);
    if (exec->times)
      memset(exec->times, 0, size);
    else
      status = cpu_fail(err, IEC_OUT_OF_MEMORY, NULL, "out of memory");
  }
  if (status)
    exec_release(exec);
  else
    *out = exec;
  return status;
}

/* ---- request */

static void request_release(iec_request *request) {
  if (!request) return;
  const iec_host_api *host = request->exec->host;
  host->release(host->self, request->inputs);
  host->release(host->self, request->outputs);
  host->release(host->self, request->times);
  host->release(host->self, request);
}

static iec_status request_create(iec_exec *exec, iec_request **out, iec_error *err) {
  const iec_host_api *host = exec->host;
  const cpu_graph *graph = exec->plan->graph;
  *out = NULL;
  iec_request *request = host->alloc(host->self, sizeof *request, alignof(max_align_t));
  if (!request) return cpu_fail(err, IEC_OUT_OF_MEMORY, NULL, "out of memory");
  *request = (iec_request){.exec = exec};
  request->inputs = host->alloc(host->self, (size_t)(graph->input_count + 1) * sizeof *request->inputs, 64);
  request->outputs =
      host->alloc(host->self, (size_t)(graph->output_count + 1) * sizeof *request->outputs, 64);
  request->times = host->alloc(host->self, (size_t)(exec->plan->step_count + 1) * sizeof *request->times, 64);
  if (!request->inputs || !request->outputs || !request->times) {
    request_release(request);
    return cpu_fail(err, IEC_OUT_OF_MEMORY, NULL, "out of memory");
  }
  *out = request;
  return IEC_OK;
}

static iec_status check_tensor(const iec_tensor *given, const cpu_value *wanted, const char *role,
                               iec_error *err) {
  size_t bytes = cpu_tensor_bytes(&wanted->tensor);
  if (!given) return cpu_fail(err, IEC_PARAMETER_MISMATCH, wanted->name, "the %s is missing", role);
  if (given->dtype != wanted->tensor.dtype)
    return cpu_fail(err, IEC_PARAMETER_MISMATCH, wanted->name, "the %s has element type %d, expected %d",
                    role, given->dtype, wanted->tensor.dtype);
  if (given->size_bytes != bytes || (!given->data && bytes))
    return cpu_fail(err, IEC_PARAMETER_MISMATCH, wanted->name, "the %s has %zu bytes, expected %zu", role,
                    given->size_bytes, bytes);
  return IEC_OK;
}

static iec_status infer(iec_request *request, const iec_tensor *const *inputs, size_t input_count,
                        iec_tensor *const *outputs, size_t output_count, iec_error *err) {
  const cpu_graph *graph = request->exec->plan->graph;
  if (input_count != (size_t)graph->input_count || output_count != (size_t)graph->output_count)
    return cpu_fail(err, IEC_PARAMETER_MISMATCH, NULL, "%zu inputs and %zu outputs, expected %d and %d",
                    input_count, output_count, graph->input_count, graph->output_count);
  for (int32_t i = 0; i < graph->input_count; ++i) {
    iec_status status = check_tensor(inputs[i], graph->inputs[i], "input", err);
    if (status) return status;
    request->inputs[i] = inputs[i]->data;
  }
  for (int32_t i = 0; i < graph->output_count; ++i) {
    iec_status status = check_tensor(outputs[i], graph->outputs[i], "output", err);
    if (status) return status;
    request->outputs[i] = outputs[i]->data;
  }
  iec_status status =
      cpu_streams_run(request->exec->streams, request->inputs, request->outputs, request->times, err);
  if (status) return status;
  request->has_run = 1;
  iec_exec *exec = request->exec;
  for (int32_t i = 0; i < exec->plan->step_count; ++i)
    atomic_store_explicit(&exec->times[i], request->times[i], memory_order_relaxed);
  atomic_store_explicit(&exec->has_run, 1, memory_order_relaxed);
  return IEC_OK;
}

static iec_status perf_counts(iec_request *request, char *json, size_t *size, iec_error *err) {
  cpu_text text = {json, json ? *size : 0, 0};
  cpu_report_perf(request->exec->plan, request->has_run ? request->times : NULL, &text);
  return cpu_text_finish(&text, size, err);
}

static iec_status get_property(iec_driver *driver, iec_exec *exec, const char *key, char *buf, size_t *size,
                               iec_error *err) {
  (void)driver;
  cpu_text text = {buf, buf ? *size : 0, 0};
  if (strcmp(key, "ISA") == 0) {
    cpu_text_add(&text, "%s", cpu_isa());
  } else if (strcmp(key, "CORES") == 0) {
    cpu_text_add(&text, "%d", cpu_machine_cores());
  } else if (exec && (strcmp(key, "STREAMS") == 0 || strcmp(key, "CPU_THROUGHPUT_STREAMS") == 0)) {
    cpu_text_add(&text, "%d", exec->stream_count);
  } else if (exec && strcmp(key, "CPU_THREADS_NUM") == 0) {
    cpu_text_add(&text, "%d", exec->stream_count * exec->thread_count);
  } else if (exec && strcmp(key, "MEMORY_BYTES") == 0) {
    cpu_text_add(&text, "%zu", (size_t)exec->stream_count * cpu_plan_scratch(exec->plan));
  } else if (exec && strcmp(key, "EXEC_GRAPH") == 0) {
    cpu_report_graph(exec->plan, atomic_load(&exec->has_run) ? exec->times : NULL, &text);
  } else {
    return cpu_fail(
        err, IEC_NOT_FOUND, key, "unknown property; known are ISA, CORES%s",
        exec ? ", STREAMS, CPU_THROUGHPUT_STREAMS, CPU_THREADS_NUM, MEMORY_BYTES, EXEC_GRAPH" : "");
  }
  return cpu_text_finish(&text, size, err);
}

typedef struct memory_end {
  char *at;
} memory_end;

static int put_memory(void *arg, const void *data, size_t size) {
  memory_end *end = arg;
  memcpy(end->at, data, size);
  end->at += size;
  return 1;
}

/* The packed weights, as a load of the same graph takes them by IMPORT. Their key cannot be made afterwards,
 * when the constants are gone: the load must have been told. */
static iec_status export_blob(iec_exec *exec, void *buf, size_t *size, iec_error *err) {
  const cpu_plan *plan = exec->plan;
  if (!plan->key.words[0] && !plan->key.words[1])
    return cpu_fail(err, IEC_NOT_ALLOCATED, "export", "the network was loaded without EXPORT");
  size_t needed = cpu_cache_size(plan->graph), room = *size;
  *size = needed;
  if (!buf) return IEC_OK;
  if (room < needed)
    return cpu_fail(err, IEC_OUT_OF_BOUNDS, "export", "room for %zu bytes, %zu needed", room, needed);
  memory_end end = {buf};
  return cpu_cache_write(plan->graph, &plan->key, put_memory, &end, err);
}

static const iec_driver_api table = {
    .struct_size = sizeof(iec_driver_api),
    .abi_version = IEC_ABI_VERSION,
    .name = "CPU",
    .version = "2.1",
    .description = "CPU driver: kernels in C for x86-64 and AArch64",
    .open = driver_open,
    .close = driver_close,
    .query = driver_query,
    .compile = driver_compile,
    .exec_release = exec_release,
    .request_create = request_create,
    .request_release = request_release,
    .infer = infer,
    .get_property = get_property,
    .export_blob = export_blob,
    .perf_counts = perf_counts,
    .set_extensions = set_extensions,
};

iec_status iec_cpu_driver_query(uint32_t host_abi, const iec_driver_api **out, iec_error *err) {
  *out = NULL;
  if (host_abi >> 16 != IEC_ABI_MAJOR)
    return cpu_fail(err, IEC_ABI_MISMATCH, NULL, "the host has ABI %u, the driver %u", host_abi >> 16,
                    IEC_ABI_MAJOR);
  *out = &table;
  return IEC_OK;
}
