/* SPDX-License-Identifier: Apache-2.0 */
/* An extension as it was written for version 1.0 of the ABI: kernels only, the shapes come from Python. Never to be changed. */
#include <stddef.h>

#include "iec/extension.h"

static int32_t supports(const iec_host_api *host, const iec_graph *graph, const iec_node *node) {
  (void)host, (void)graph, (void)node;
  return 1;
}

struct iec_kernel_state {
  const iec_host_api *host;
  float addend;
};

static iec_status prepare(const iec_host_api *host, const iec_graph *graph, const iec_node *node, iec_kernel_state **out,
                          size_t *out_scratch_size, iec_error *err) {
  (void)graph, (void)err;
  double addend = 0;
  host->graph->attr_f64(node, "addend", &addend);
  iec_kernel_state *state = host->alloc(host->self, sizeof *state, sizeof(void *));
  if (!state) return IEC_OUT_OF_MEMORY;
  state->host = host;
  state->addend = (float)addend;
  *out = state;
  *out_scratch_size = 0;
  return IEC_OK;
}

static iec_status run(const iec_kernel_state *state, const iec_tensor *const *inputs, size_t input_count, iec_tensor *const *outputs,
                      size_t output_count, void *scratch, iec_error *err) {
  (void)input_count, (void)output_count, (void)scratch, (void)err;
  const float *x = inputs[0]->data;
  float *y = outputs[0]->data;
  for (size_t i = 0; i < inputs[0]->size_bytes / sizeof *x; i++) y[i] = x[i] + state->addend;
  return IEC_OK;
}

static void release(iec_kernel_state *state) {
  if (state) state->host->release(state->host->self, state);
}

static const iec_kernel_def add = {.struct_size = sizeof add,
                                   .priority = 100,
                                   .device = "CPU",
                                   .kind = "OldAdd",
                                   .impl_name = "old_add",
                                   .supports = supports,
                                   .prepare = prepare,
                                   .run = run,
                                   .release = release};
static const iec_kernel_def *const kernels[] = {&add};
static const iec_extension_api table = {.struct_size = sizeof table,
                                        .abi_version = IEC_ABI_VERSION,
                                        .name = "OLD",
                                        .version = "1.0",
                                        .kernels = kernels,
                                        .kernel_count = 1};

iec_status iec_extension_query(uint32_t host_abi, const iec_extension_api **out, iec_error *err);

iec_status iec_extension_query(uint32_t host_abi, const iec_extension_api **out, iec_error *err) {
  (void)err;
  if (host_abi >> 16 != IEC_ABI_MAJOR) return IEC_ABI_MISMATCH;
  *out = &table;
  return IEC_OK;
}
