/* SPDX-License-Identifier: Apache-2.0 */
/* Devices: an open driver and what can be asked of it. */
#include <stdlib.h>

#include "../core/core.h"

static iec_status check_device(const iec_device *device, iec_error *err) {
  return device ? IEC_OK : iec_fail(err, IEC_PARAMETER_MISMATCH, "device", "the handle is NULL");
}

static iec_status check_pairs(const iec_kv *pairs, size_t count, iec_error *err) {
  if (count && !pairs) return iec_fail(err, IEC_PARAMETER_MISMATCH, "config", "%zu pairs at NULL", count);
  for (size_t i = 0; i < count; i++)
    if (!pairs[i].key || !pairs[i].value)
      return iec_fail(err, IEC_PARAMETER_MISMATCH, "config", "pair %zu has a NULL text", i);
  return IEC_OK;
}

iec_status iec_device_open(const char *library, const char *name, const iec_kv *options, size_t count,
                           iec_device **out, iec_error *err) {
  if (!out) return iec_fail(err, IEC_PARAMETER_MISMATCH, "device_open", "out is NULL");
  *out = NULL;
  IEC_TRY(check_pairs(options, count, err));
  iec_device *device = calloc(1, sizeof *device);
  if (!device) return iec_fail(err, IEC_OUT_OF_MEMORY, "device_open", "out of memory");
  atomic_store(&device->refs, 1);
  iec_status status = iec_driver_find(library, name, &device->api, err);
  if (status == IEC_OK) status = device->api.open(&iec_host_table, options, count, &device->driver, err);
  if (status != IEC_OK) {
    free(device);
    return status;
  }
  *out = device;
  return IEC_OK;
}

void iec_device_release(iec_device *device) {
  if (!device || atomic_fetch_sub(&device->refs, 1) != 1) return;
  device->api.close(device->driver);
  free(device);
}

const char *iec_device_name(const iec_device *device) { return device ? device->api.name : ""; }
const char *iec_device_version(const iec_device *device) { return device ? device->api.version : ""; }
const char *iec_device_description(const iec_device *device) { return device ? device->api.description : ""; }

iec_status iec_device_query(iec_device *device, const iec_graph *graph, uint8_t *supported, size_t count,
                            iec_error *err) {
  IEC_TRY(check_device(device, err));
  if (!graph) return iec_fail(err, IEC_PARAMETER_MISMATCH, "query", "graph is NULL");
  if (count != graph->node_count || (count && !supported))
    return iec_fail(err, IEC_PARAMETER_MISMATCH, "query", "room for %zu nodes, the graph has %zu",
                    supported ? count : 0, graph->node_count);
  return device->api.query(device->driver, graph, supported, count, err);
}

iec_status iec_device_compile(iec_device *device, const iec_graph *graph, const iec_kv *config, size_t count,
                              iec_executable **out, iec_error *err) {
  if (!out) return iec_fail(err, IEC_PARAMETER_MISMATCH, "compile", "out is NULL");
  *out = NULL;
  IEC_TRY(check_device(device, err));
  IEC_TRY(check_pairs(config, count, err));
  if (!graph) return iec_fail(err, IEC_PARAMETER_MISMATCH, "compile", "graph is NULL");
  iec_exec *exec = NULL;
  IEC_TRY(device->api.compile(device->driver, graph, config, count, &exec, err));
  return iec_executable_make(device, exec, graph, out, err);
}

iec_status iec_device_import(iec_device *device, const void *buf, size_t size, const iec_kv *config,
                             size_t count, iec_executable **out, iec_error *err) {
  if (!out) return iec_fail(err, IEC_PARAMETER_MISMATCH, "import", "out is NULL");
  *out = NULL;
  IEC_TRY(check_device(device, err));
  IEC_TRY(check_pairs(config, count, err));
  if (!buf) return iec_fail(err, IEC_PARAMETER_MISMATCH, "import", "buf is NULL");
  iec_exec *exec = NULL;
  IEC_TRY(device->api.import_blob(device->driver, buf, size, config, count, &exec, err));
  return iec_executable_make(device, exec, NULL, out, err);
}

iec_status iec_device_get_property(iec_device *device, const char *key, char *buf, size_t *size,
                                   iec_error *err) {
  IEC_TRY(check_device(device, err));
  if (!key || !size) return iec_fail(err, IEC_PARAMETER_MISMATCH, "get_property", "key or size is NULL");
  return device->api.get_property(device->driver, NULL, key, buf, size, err);
}

iec_status iec_device_set_property(iec_device *device, const char *key, const char *value, iec_error *err) {
  IEC_TRY(check_device(device, err));
  if (!key || !value) return iec_fail(err, IEC_PARAMETER_MISMATCH, "set_property", "key or value is NULL");
  return device->api.set_property(device->driver, NULL, key, value, err);
}
