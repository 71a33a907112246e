/* SPDX-License-Identifier: Apache-2.0 */
/* Extensions for Python: opening them, their shape functions, and handing them to devices. */
#include <string.h>

#include "../core/core.h"

iec_status iec_extension_open(const char *library, const iec_extension_api **out, iec_error *err) {
  if (!out || !library)
    return iec_fail(err, IEC_PARAMETER_MISMATCH, "extension_open", "library or out is NULL");
  *out = NULL;
  void *symbol;
  IEC_TRY(iec_library_symbol(library, IEC_EXTENSION_QUERY_SYMBOL, &symbol, err));
  iec_extension_query_fn query;
  memcpy(&query, &symbol, sizeof query); /* ISO C has no cast from an object pointer to a function */
  const iec_extension_api *table = NULL;
  IEC_TRY(query(IEC_ABI_VERSION, &table, err));
  return iec_extension_complete(table, library, out, err);
}

iec_status iec_extension_adopt(const iec_extension_api *table, const iec_extension_api **out,
                               iec_error *err) {
  if (!out) return iec_fail(err, IEC_PARAMETER_MISMATCH, "extension_adopt", "out is NULL");
  return iec_extension_complete(table, table && table->name ? table->name : "extension", out, err);
}

static iec_status check_known(const iec_extension_api *extension, iec_error *err) {
  return iec_extension_known(extension)
             ? IEC_OK
             : iec_fail(err, IEC_PARAMETER_MISMATCH, "extension", "the table was not adopted");
}

static iec_status check_output(const iec_tensor *tensor, size_t index, const char *type, iec_error *err) {
  if (!iec_dtype_size(tensor->dtype))
    return iec_fail(err, IEC_PARAMETER_MISMATCH, type, "output %zu has the unknown element type %u", index,
                    tensor->dtype);
  if (tensor->ndim < 0 || tensor->ndim > IEC_MAX_NDIM)
    return iec_fail(err, IEC_OUT_OF_BOUNDS, type, "output %zu has rank %d, expected 0 to %d", index,
                    tensor->ndim, IEC_MAX_NDIM);
  for (int32_t i = 0; i < tensor->ndim; i++)
    if (tensor->shape[i] < 0)
      return iec_fail(err, IEC_OUT_OF_BOUNDS, type, "output %zu: dimension %d is %lld", index, i,
                      (long long)tensor->shape[i]);
  return IEC_OK;
}

iec_status iec_extension_infer_shapes(const iec_extension_api *extension, size_t op, const iec_graph *graph,
                                      iec_tensor *outputs, size_t output_count, iec_error *err) {
  IEC_TRY(check_known(extension, err));
  if (op >= extension->op_count)
    return iec_fail(err, IEC_OUT_OF_BOUNDS, extension->name, "layer type %zu of %zu", op,
                    extension->op_count);
  if (!graph || graph->node_count != 1 || (output_count && !outputs))
    return iec_fail(err, IEC_PARAMETER_MISMATCH, extension->name,
                    "a graph of one node and its outputs are needed");
  const iec_op_def *def = extension->ops[op];
  iec_status status = def->infer_shapes(&iec_host_table, graph, graph->nodes, outputs, output_count, err);
  if (status != IEC_OK)
    return iec_fail(err, status, NULL, "the shape function of %s fails", def->type); /* if it said nothing */
  for (size_t i = 0; i < output_count; i++) IEC_TRY(check_output(&outputs[i], i, def->type, err));
  return IEC_OK;
}

iec_status iec_device_set_extensions(iec_device *device, const iec_extension_api *const *extensions,
                                     size_t count, iec_error *err) {
  if (!device) return iec_fail(err, IEC_PARAMETER_MISMATCH, "device", "the handle is NULL");
  if (count && !extensions)
    return iec_fail(err, IEC_PARAMETER_MISMATCH, "extensions", "%zu extensions at NULL", count);
  for (size_t i = 0; i < count; i++) IEC_TRY(check_known(extensions[i], err));
  return device->api.set_extensions(device->driver, extensions, count, err);
}
