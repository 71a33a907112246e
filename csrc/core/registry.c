/* SPDX-License-Identifier: Apache-2.0 */
/* Finding drivers: those linked in, and those that shared libraries export. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"

iec_status iec_cpu_driver_query(uint32_t host_abi, const iec_driver_api **out, iec_error *err);
iec_status iec_gpu_driver_query(uint32_t host_abi, const iec_driver_api **out, iec_error *err);

static const struct {
  const char *name;
  iec_driver_query_fn query;
} built_in[] = {{"CPU", iec_cpu_driver_query}, {"GPU", iec_gpu_driver_query}};

static iec_status absent(const char *what, iec_error *err) {
  return iec_fail(err, IEC_NOT_IMPLEMENTED, what, "the driver does not implement it");
}

static iec_status no_cancel(iec_request *request, iec_error *err) {
  (void)request;
  return absent("cancel", err);
}
static iec_status no_get_property(iec_driver *driver, iec_exec *exec, const char *key, char *buf,
                                  size_t *size, iec_error *err) {
  (void)driver, (void)exec, (void)key, (void)buf, (void)size;
  return absent("get_property", err);
}
static iec_status no_set_property(iec_driver *driver, iec_exec *exec, const char *key, const char *value,
                                  iec_error *err) {
  (void)driver, (void)exec, (void)key, (void)value;
  return absent("set_property", err);
}
static iec_status no_export(iec_exec *exec, void *buf, size_t *size, iec_error *err) {
  (void)exec, (void)buf, (void)size;
  return absent("export", err);
}
static iec_status no_import(iec_driver *driver, const void *buf, size_t size, const iec_kv *config,
                            size_t count, iec_exec **out, iec_error *err) {
  (void)driver, (void)buf, (void)size, (void)config, (void)count, (void)out;
  return absent("import", err);
}
static iec_status no_extensions(iec_driver *driver, const struct iec_extension_api *const *extensions,
                                size_t count, iec_error *err) {
  (void)driver, (void)extensions, (void)count;
  return absent("set_extensions", err);
}
static iec_status no_perf_counts(iec_request *request, char *json, size_t *size, iec_error *err) {
  (void)request, (void)json, (void)size;
  return absent("perf_counts", err);
}

/* Copies a table that may be older (shorter) or newer (longer) than ours. */
static iec_status complete(const iec_driver_api *given, const char *where, iec_driver_api *out,
                           iec_error *err) {
  if (!given) return iec_fail(err, IEC_UNEXPECTED, where, "the driver gave no table");
  if (given->abi_version >> 16 != IEC_ABI_MAJOR)
    return iec_fail(err, IEC_ABI_MISMATCH, where,
                    "the driver was built for ABI %u.%u, this library has %u.%u", given->abi_version >> 16,
                    given->abi_version & 0xffff, IEC_ABI_MAJOR, IEC_ABI_MINOR);
  memset(out, 0, sizeof *out);
  memcpy(out, given, given->struct_size < sizeof *out ? given->struct_size : sizeof *out);
  if (given->struct_size < offsetof(iec_driver_api, start) || !out->open || !out->close || !out->query ||
      !out->compile || !out->exec_release || !out->request_create || !out->request_release || !out->infer ||
      !out->name)
    return iec_fail(err, IEC_ABI_MISMATCH, where,
                    "the driver's table of %u bytes lacks its name or a required function",
                    given->struct_size);
  if (!out->version) out->version = "";
  if (!out->description) out->description = "";
  if (!out->cancel) out->cancel = no_cancel;
  if (!out->get_property) out->get_property = no_get_property;
  if (!out->set_property) out->set_property = no_set_property;
  if (!out->export_blob) out->export_blob = no_export;
  if (!out->import_blob) out->import_blob = no_import;
  if (!out->perf_counts) out->perf_counts = no_perf_counts;
  if (!out->set_extensions) out->set_extensions = no_extensions;
  return IEC_OK;
}

iec_status iec_library_symbol(const char *library, const char *symbol, void **out, iec_error *err) {
  *out = NULL;
  void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  if (!handle) return iec_fail(err, IEC_NOT_FOUND, NULL, "Cannot load library '%s': %s", library, dlerror());
  *out = dlsym(handle, symbol);
  if (*out) return IEC_OK;
  iec_status status = iec_fail(err, IEC_NOT_FOUND, library, "the library exports no %s", symbol);
  dlclose(handle);
  return status;
}

iec_status iec_driver_find(const char *library, const char *name, iec_driver_api *out, iec_error *err) {
  const iec_driver_api *table = NULL;
  if (!library) {
    for (size_t i = 0; i < sizeof built_in / sizeof built_in[0]; i++) {
      if (!name || strcmp(built_in[i].name, name)) continue;
      IEC_TRY(built_in[i].query(IEC_ABI_VERSION, &table, err));
      return complete(table, name, out, err);
    }
    return iec_fail(err, IEC_NOT_FOUND, "device_open", "no built-in driver is called %s",
                    name ? name : "(null)");
  }
  void *symbol;
  IEC_TRY(iec_library_symbol(library, IEC_DRIVER_QUERY_SYMBOL, &symbol, err));
  iec_driver_query_fn query;
  memcpy(&query, &symbol, sizeof query); /* ISO C has no cast from an object pointer to a function */
  IEC_TRY(query(IEC_ABI_VERSION, &table, err));
  return complete(table, library, out, err);
}
