/* SPDX-License-Identifier: Apache-2.0 */
/* Executables: a loaded network, its tensor types and its worker threads. */
#include <stdlib.h>

#include "../core/core.h"

#define MAX_STREAMS 1024

static iec_status check(const iec_executable *executable, iec_error *err) {
  return executable ? IEC_OK : iec_fail(err, IEC_PARAMETER_MISMATCH, "executable", "the handle is NULL");
}

static int32_t ask_streams(iec_device *device, iec_exec *exec) {
  char text[32] = "";
  size_t size = sizeof text;
  if (device->api.get_property(device->driver, exec, "STREAMS", text, &size, NULL) != IEC_OK) return 1;
  text[sizeof text - 1] = 0;
  long streams = strtol(text, NULL, 10);
  return streams < 1 ? 1 : streams > MAX_STREAMS ? MAX_STREAMS : (int32_t)streams;
}

static iec_status copy_types(iec_executable *executable, const iec_graph *graph, iec_error *err) {
  executable->types = calloc(graph->input_count + graph->output_count + 1, sizeof *executable->types);
  if (!executable->types) return iec_fail(err, IEC_OUT_OF_MEMORY, "compile", "out of memory");
  executable->input_count = graph->input_count;
  executable->output_count = graph->output_count;
  iec_tensor *type = executable->types;
  for (size_t i = 0; i < graph->input_count; i++) *type++ = graph->values[graph->inputs[i]].tensor;
  for (size_t i = 0; i < graph->output_count; i++) *type++ = graph->values[graph->outputs[i]].tensor;
  executable->checked = 1;
  return IEC_OK;
}

/* Takes `exec` over, also when it fails. `graph` NULL: the types are not known. */
iec_status iec_executable_make(iec_device *device, iec_exec *exec, const iec_graph *graph,
                               iec_executable **out, iec_error *err) {
  iec_executable *executable = calloc(1, sizeof *executable);
  if (!executable) {
    device->api.exec_release(exec);
    return iec_fail(err, IEC_OUT_OF_MEMORY, "compile", "out of memory");
  }
  atomic_store(&executable->refs, 1);
  atomic_fetch_add(&device->refs, 1);
  atomic_store(&executable->generation, iec_fork_generation());
  executable->device = device;
  executable->exec = exec;
  executable->streams = ask_streams(device, exec);
  iec_status status = graph ? copy_types(executable, graph, err) : IEC_OK;
  if (status == IEC_OK) status = iec_pool_create(executable->streams, &executable->pool, err);
  if (status != IEC_OK) {
    iec_executable_release(executable);
    return status;
  }
  *out = executable;
  return IEC_OK;
}

void iec_executable_release(iec_executable *executable) {
  if (!executable || atomic_fetch_sub(&executable->refs, 1) != 1) return;
  iec_pool_release(executable->pool);
  executable->device->api.exec_release(executable->exec);
  iec_device_release(executable->device);
  free(executable->types);
  free(executable);
}

int32_t iec_executable_streams(const iec_executable *executable) {
  return executable ? executable->streams : 0;
}

iec_status iec_executable_get_property(iec_executable *executable, const char *key, char *buf, size_t *size,
                                       iec_error *err) {
  IEC_TRY(check(executable, err));
  if (!key || !size) return iec_fail(err, IEC_PARAMETER_MISMATCH, "get_property", "key or size is NULL");
  return executable->device->api.get_property(executable->device->driver, executable->exec, key, buf, size,
                                              err);
}

iec_status iec_executable_set_property(iec_executable *executable, const char *key, const char *value,
                                       iec_error *err) {
  IEC_TRY(check(executable, err));
  if (!key || !value) return iec_fail(err, IEC_PARAMETER_MISMATCH, "set_property", "key or value is NULL");
  return executable->device->api.set_property(executable->device->driver, executable->exec, key, value, err);
}

iec_status iec_executable_export(iec_executable *executable, void *buf, size_t *size, iec_error *err) {
  IEC_TRY(check(executable, err));
  if (!size) return iec_fail(err, IEC_PARAMETER_MISMATCH, "export", "size is NULL");
  return executable->device->api.export_blob(executable->exec, buf, size, err);
}
