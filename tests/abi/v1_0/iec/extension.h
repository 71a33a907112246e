/* SPDX-License-Identifier: Apache-2.0 */
/* What a library of custom operations exports: one function that returns a table of kernels. The shape rule and the translation of a
 * custom layer are Python's; C supplies what runs an inference. */
#ifndef IEC_EXTENSION_H
#define IEC_EXTENSION_H
#include "iec/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct iec_kernel_state iec_kernel_state; /* the kernel's own */

typedef struct iec_kernel_def {
  uint32_t struct_size;
  int32_t priority;                       /* the highest that supports a node runs it; built-in kernels use 0 to 99 */
  const char *device, *kind, *impl_name;  /* "CPU", node kind, name shown in performance counters */
  /* 1 when it can run this node. Threads: any. */
  int32_t (*supports)(const iec_host_api *host, const iec_graph *graph, const iec_node *node);
  /* May allocate; constants of the graph are borrowed until it returns. *out_scratch_size bytes are passed to run. Threads: any. */
  iec_status (*prepare)(const iec_host_api *host, const iec_graph *graph, const iec_node *node, iec_kernel_state **out,
                        size_t *out_scratch_size, iec_error *err);
  /* Row-major tensors in port order; an absent one is NULL. Allocates nothing. Threads: parallel on one state. */
  iec_status (*run)(const iec_kernel_state *state, const iec_tensor *const *inputs, size_t input_count,
                    iec_tensor *const *outputs, size_t output_count, void *scratch, iec_error *err);
  void (*release)(iec_kernel_state *state); /* NULL accepted */
} iec_kernel_def;

typedef struct iec_extension_api { /* static const inside the library; outlives the process */
  uint32_t struct_size, abi_version;
  const char *name, *version;
  const iec_kernel_def *const *kernels; /* pointers, so that a definition may grow */
  size_t kernel_count;
} iec_extension_api;

#define IEC_EXTENSION_QUERY_SYMBOL "iec_extension_query"
/* Pure; refuses another major version of `host_abi` with IEC_ABI_MISMATCH. Threads: any. */
typedef iec_status (*iec_extension_query_fn)(uint32_t host_abi, const iec_extension_api **out, iec_error *err);

#ifdef __cplusplus
}
#endif
#endif
