/* SPDX-License-Identifier: Apache-2.0 */
/* What a library of custom layers exports: one function that returns a table of layer definitions (shapes)
 * and kernels (numbers). */
#ifndef IEC_EXTENSION_H
#define IEC_EXTENSION_H
#include "iec/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct iec_kernel_state iec_kernel_state; /* the kernel's own */

/* A layer of a type T that is defined here, or by a Python function, is a node of kind T ("layer.T" when T is
 * the name of a kind of docs/kinds.md). Its inputs are those of the layer and behind them its blobs. Its
 * attributes are those of the file: each answers in every type that its text can be read as, as a list too
 * when it is a single number; `blobs` holds the names of the blobs, separated by commas. */
typedef struct iec_kernel_def {
  uint32_t struct_size;
  int32_t priority; /* at least 1; the highest that supports a node runs it; built-in kernels use 1 to 99 */
  const char *device, *kind, *impl_name; /* "CPU", node kind, name shown in performance counters */
  /* 1 when it can run this node. Threads: any. */
  int32_t (*supports)(const iec_host_api *host, const iec_graph *graph, const iec_node *node);
  /* May allocate; constants of the graph are borrowed until it returns. *out_scratch_size bytes are passed to
   * run, aligned to 64. `host` may be kept until release; graph and node may not. NULL: there is no state.
   * Threads: any. */
  iec_status (*prepare)(const iec_host_api *host, const iec_graph *graph, const iec_node *node,
                        iec_kernel_state **out, size_t *out_scratch_size, iec_error *err);
  /* Row-major tensors in port order; an absent one is NULL. Allocates nothing. Threads: parallel on one
   * state. */
  iec_status (*run)(const iec_kernel_state *state, const iec_tensor *const *inputs, size_t input_count,
                    iec_tensor *const *outputs, size_t output_count, void *scratch, iec_error *err);
  void (*release)(iec_kernel_state *state); /* NULL state accepted; may be NULL without prepare */
} iec_kernel_def;

typedef struct iec_op_def { /* a layer type; since 1.1 */
  uint32_t struct_size;
  int32_t priority; /* from 100 on it replaces a built-in type of that name where a kernel for it is loaded */
  const char *type, *opset; /* as in the file; "opset1" and so on, "" in every dialect */
  /* Sets type, ndim and shape of every output of `node`, the one node of `graph`. They come as the file gives
   * them. Constant inputs have data. Threads: any. */
  iec_status (*infer_shapes)(const iec_host_api *host, const iec_graph *graph, const iec_node *node,
                             iec_tensor *outputs, size_t output_count, iec_error *err);
} iec_op_def;

typedef struct iec_extension_api { /* static const inside the library; outlives the process */
  uint32_t struct_size, abi_version;
  const char *name, *version;
  const iec_kernel_def *const *kernels; /* pointers, so that a definition may grow */
  size_t kernel_count;
  const iec_op_def *const *ops; /* since 1.1 */
  size_t op_count;
} iec_extension_api;

#define IEC_EXTENSION_QUERY_SYMBOL "iec_extension_query"
/* Pure; refuses another major version of `host_abi` with IEC_ABI_MISMATCH. Threads: any. */
typedef iec_status (*iec_extension_query_fn)(uint32_t host_abi, const iec_extension_api **out,
                                             iec_error *err);

#ifdef __cplusplus
}
#endif
#endif
