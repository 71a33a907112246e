/* SPDX-License-Identifier: Apache-2.0 */
/* The smallest driver: it accepts every network and answers zeros. Copy it to begin a new one. */
#include <string.h>

#include "iec/driver.h"

struct iec_driver {
  const iec_host_api *host;
};
struct iec_exec {
  const iec_host_api *host;
};
struct iec_request {
  const iec_host_api *host;
};

static iec_status fail(iec_error *err, iec_status code, const char *message) {
  if (err && err->code == IEC_OK) {
    err->code = code;
    strncpy(err->where, "NULL", sizeof err->where - 1);
    strncpy(err->message, message, sizeof err->message - 1);
  }
  return code;
}

static iec_status open_driver(const iec_host_api *host, const iec_kv *options, size_t count, iec_driver **out,
                              iec_error *err) {
  (void)options;
  if (count) return fail(err, IEC_NOT_FOUND, "this driver has no options");
  iec_driver *driver = host->alloc(host->self, sizeof *driver, sizeof(void *));
  if (!driver) return fail(err, IEC_OUT_OF_MEMORY, "out of memory");
  driver->host = host;
  *out = driver;
  return IEC_OK;
}

static void close_driver(iec_driver *driver) {
  if (driver) driver->host->release(driver->host->self, driver);
}

static iec_status query(iec_driver *driver, const iec_graph *graph, uint8_t *supported, size_t count,
                        iec_error *err) {
  (void)driver, (void)graph, (void)err;
  memset(supported, 1, count);
  return IEC_OK;
}

static iec_status compile(iec_driver *driver, const iec_graph *graph, const iec_kv *config, size_t count,
                          iec_exec **out, iec_error *err) {
  (void)graph, (void)config, (void)count;
  iec_exec *exec = driver->host->alloc(driver->host->self, sizeof *exec, sizeof(void *));
  if (!exec) return fail(err, IEC_OUT_OF_MEMORY, "out of memory");
  exec->host = driver->host;
  *out = exec;
  return IEC_OK;
}

static void exec_release(iec_exec *exec) {
  if (exec) exec->host->release(exec->host->self, exec);
}

static iec_status request_create(iec_exec *exec, iec_request **out, iec_error *err) {
  iec_request *request = exec->host->alloc(exec->host->self, sizeof *request, sizeof(void *));
  if (!request) return fail(err, IEC_OUT_OF_MEMORY, "out of memory");
  request->host = exec->host;
  *out = request;
  return IEC_OK;
}

static void request_release(iec_request *request) {
  if (request) request->host->release(request->host->self, request);
}

static iec_status infer(iec_request *request, const iec_tensor *const *inputs, size_t input_count,
                        iec_tensor *const *outputs, size_t output_count, iec_error *err) {
  (void)request, (void)inputs, (void)input_count, (void)err;
  for (size_t i = 0; i < output_count; i++)
    if (outputs[i]->size_bytes) memset(outputs[i]->data, 0, outputs[i]->size_bytes);
  return IEC_OK;
}

static const iec_driver_api table = {
    .struct_size = sizeof(iec_driver_api),
    .abi_version = IEC_ABI_VERSION,
    .name = "NULL",
    .version = "1.0",
    .description = "answers zeros",
    .open = open_driver,
    .close = close_driver,
    .query = query,
    .compile = compile,
    .exec_release = exec_release,
    .request_create = request_create,
    .request_release = request_release,
    .infer = infer,
};

iec_status iec_driver_query(uint32_t host_abi, const iec_driver_api **out, iec_error *err);

__attribute__((visibility("default"))) iec_status iec_driver_query(uint32_t host_abi,
                                                                   const iec_driver_api **out,
                                                                   iec_error *err) {
  if (host_abi >> 16 != IEC_ABI_MAJOR)
    return fail(err, IEC_ABI_MISMATCH, "built for another version of the host");
  *out = &table;
  return IEC_OK;
}
