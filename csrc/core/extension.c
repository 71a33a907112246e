/* SPDX-License-Identifier: Apache-2.0 */
/* Extensions: tables of custom layers, checked once and completed to the size that this library knows. */
#include <stdlib.h>
#include <string.h>

#include "core.h"

typedef struct adopted {
  struct adopted *next;
  const iec_extension_api *given;
  iec_extension_api api;
} adopted;

/* Grows at its head only, so that it is read without a lock. */
static _Atomic(adopted *) all;

/* What a definition of ABI 1.0 had. */
#define KERNEL_SIZE (offsetof(iec_kernel_def, release) + sizeof(((iec_kernel_def *)0)->release))
#define OP_SIZE (offsetof(iec_op_def, infer_shapes) + sizeof(((iec_op_def *)0)->infer_shapes))
#define TABLE_SIZE (offsetof(iec_extension_api, kernel_count) + sizeof(size_t))

static int is_text(const char *text) { return text && *text; }

static void copy_head(void *out, size_t room, const void *given, uint32_t given_size) {
  memset(out, 0, room);
  memcpy(out, given, given_size < room ? given_size : room);
}

static iec_status no_state(const iec_host_api *host, const iec_graph *graph, const iec_node *node,
                           iec_kernel_state **out, size_t *out_scratch_size, iec_error *err) {
  (void)host, (void)graph, (void)node, (void)err;
  *out = NULL;
  *out_scratch_size = 0;
  return IEC_OK;
}

static void nothing_to_release(iec_kernel_state *state) { (void)state; }

static iec_status complete_kernel(const iec_kernel_def *given, size_t index, const char *where,
                                  iec_kernel_def *out, iec_error *err) {
  if (!given || given->struct_size < KERNEL_SIZE)
    return iec_fail(err, IEC_ABI_MISMATCH, where,
                    "kernel %zu: a definition of %u bytes, expected at least %zu", index,
                    given ? given->struct_size : 0, KERNEL_SIZE);
  copy_head(out, sizeof *out, given, given->struct_size);
  if (!is_text(out->device) || !is_text(out->kind) || !is_text(out->impl_name))
    return iec_fail(err, IEC_PARAMETER_MISMATCH, where, "kernel %zu: device, kind or impl_name is missing",
                    index);
  if (!out->supports || !out->run)
    return iec_fail(err, IEC_PARAMETER_MISMATCH, where, "kernel %s: supports or run is missing",
                    out->impl_name);
  if (out->priority < 1)
    return iec_fail(err, IEC_PARAMETER_MISMATCH, where, "kernel %s: priority %d, expected at least 1",
                    out->impl_name, out->priority);
  if (out->prepare && !out->release)
    return iec_fail(err, IEC_PARAMETER_MISMATCH, where, "kernel %s: it has prepare and no release",
                    out->impl_name);
  if (!out->prepare) out->prepare = no_state;
  if (!out->release) out->release = nothing_to_release;
  return IEC_OK;
}

static iec_status complete_op(const iec_op_def *given, size_t index, const char *where, iec_op_def *out,
                              iec_error *err) {
  if (!given || given->struct_size < OP_SIZE)
    return iec_fail(err, IEC_ABI_MISMATCH, where,
                    "layer type %zu: a definition of %u bytes, expected at least %zu", index,
                    given ? given->struct_size : 0, OP_SIZE);
  copy_head(out, sizeof *out, given, given->struct_size);
  if (!is_text(out->type) || !out->infer_shapes)
    return iec_fail(err, IEC_PARAMETER_MISMATCH, where, "layer type %zu: type or infer_shapes is missing",
                    index);
  if (!out->opset) out->opset = "";
  return IEC_OK;
}

static iec_status complete_all(const iec_extension_api *given, const char *where, adopted *entry,
                               iec_error *err) {
  iec_extension_api *api = &entry->api;
  copy_head(api, sizeof *api, given, given->struct_size);
  if (!api->name) return iec_fail(err, IEC_PARAMETER_MISMATCH, where, "the extension has no name");
  if (!api->version) api->version = "";
  if ((api->kernel_count && !api->kernels) || (api->op_count && !api->ops))
    return iec_fail(err, IEC_PARAMETER_MISMATCH, where, "%zu kernels or %zu layer types at NULL",
                    api->kernel_count, api->op_count);
  const iec_kernel_def *const *kernels = api->kernels;
  const iec_op_def *const *ops = api->ops;
  size_t kernel_bytes, op_bytes;
  if (!iec_mul(api->kernel_count + 1, sizeof(iec_kernel_def), &kernel_bytes) ||
      !iec_mul(api->op_count + 1, sizeof(iec_op_def), &op_bytes))
    return iec_fail(err, IEC_OUT_OF_BOUNDS, where, "%zu kernels and %zu layer types", api->kernel_count,
                    api->op_count);
  iec_kernel_def *own_kernels = calloc(1, kernel_bytes);
  iec_op_def *own_ops = calloc(1, op_bytes);
  const iec_kernel_def **kernel_list = calloc(api->kernel_count + 1, sizeof *kernel_list);
  const iec_op_def **op_list = calloc(api->op_count + 1, sizeof *op_list);
  iec_status status = own_kernels && own_ops && kernel_list && op_list
                          ? IEC_OK
                          : iec_fail(err, IEC_OUT_OF_MEMORY, where, "out of memory");
  for (size_t i = 0; status == IEC_OK && i < api->kernel_count; i++) {
    status = complete_kernel(kernels[i], i, where, &own_kernels[i], err);
    kernel_list[i] = &own_kernels[i];
  }
  for (size_t i = 0; status == IEC_OK && i < api->op_count; i++) {
    status = complete_op(ops[i], i, where, &own_ops[i], err);
    op_list[i] = &own_ops[i];
  }
  if (status == IEC_OK) {
    api->struct_size = sizeof *api;
    api->kernels = kernel_list;
    api->ops = op_list;
    return IEC_OK;
  }
  free(own_kernels);
  free(own_ops);
  free(kernel_list);
  free(op_list);
  return status;
}

static const iec_extension_api *find(const iec_extension_api *given) {
  for (adopted *entry = atomic_load(&all); entry; entry = entry->next)
    if (entry->given == given) return &entry->api;
  return NULL;
}

int iec_extension_known(const iec_extension_api *extension) {
  for (adopted *entry = atomic_load(&all); entry; entry = entry->next)
    if (&entry->api == extension) return 1;
  return 0;
}

iec_status iec_extension_complete(const iec_extension_api *given, const char *where,
                                  const iec_extension_api **out, iec_error *err) {
  *out = NULL;
  if (!given) return iec_fail(err, IEC_UNEXPECTED, where, "the library gave no table");
  if (given->abi_version >> 16 != IEC_ABI_MAJOR)
    return iec_fail(err, IEC_ABI_MISMATCH, where,
                    "the extension was built for ABI %u.%u, this library has %u.%u", given->abi_version >> 16,
                    given->abi_version & 0xffff, IEC_ABI_MAJOR, IEC_ABI_MINOR);
  if (given->struct_size < TABLE_SIZE)
    return iec_fail(err, IEC_ABI_MISMATCH, where, "the extension's table has %u bytes, expected at least %zu",
                    given->struct_size, TABLE_SIZE);
  *out = find(given);
  if (*out) return IEC_OK;
  adopted *entry = calloc(1, sizeof *entry);
  if (!entry) return iec_fail(err, IEC_OUT_OF_MEMORY, where, "out of memory");
  entry->given = given;
  iec_status status = complete_all(given, where, entry, err);
  if (status != IEC_OK) {
    free(entry);
    return status;
  }
  /* Two threads may adopt one table at once: both entries are good, and later calls find the newer. */
  entry->next = atomic_load(&all);
  while (!atomic_compare_exchange_weak(&all, &entry->next, entry)) continue;
  *out = &entry->api;
  return IEC_OK;
}
