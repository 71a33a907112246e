/* SPDX-License-Identifier: Apache-2.0 */
/* What a device driver exports: one function that returns a table. */
#ifndef IEC_DRIVER_H
#define IEC_DRIVER_H
#include "iec/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct iec_driver iec_driver; /* these three are the driver's own types */
typedef struct iec_exec iec_exec;
typedef struct iec_request iec_request;
struct iec_extension_api; /* extension.h */

typedef struct iec_driver_api { /* static const inside the driver; outlives the process */
  uint32_t struct_size, abi_version;
  uint64_t features; /* 0; bits are assigned by later minor versions */
  const char *name, *version, *description;
  /* Threads: any. `host` outlives the driver. */
  iec_status (*open)(const iec_host_api *host, const iec_kv *options, size_t count, iec_driver **out,
                     iec_error *err);
  void (*close)(iec_driver *driver); /* NULL accepted, as by every release below */
  /* supported[i] = 1 when node i (topological order) can run here. Threads: any. */
  iec_status (*query)(iec_driver *driver, const iec_graph *graph, uint8_t *supported, size_t count,
                      iec_error *err);
  /* Constants of the graph are borrowed until this returns. Threads: any. */
  iec_status (*compile)(iec_driver *driver, const iec_graph *graph, const iec_kv *config, size_t count,
                        iec_exec **out, iec_error *err);
  void (*exec_release)(iec_exec *exec);
  /* Threads: parallel on one exec. */
  iec_status (*request_create)(iec_exec *exec, iec_request **out, iec_error *err);
  void (*request_release)(iec_request *request);
  /* Tensors in the order of the graph's inputs and outputs, row-major. Threads: serial on one request,
   * parallel on one exec. */
  iec_status (*infer)(iec_request *request, const iec_tensor *const *inputs, size_t input_count,
                      iec_tensor *const *outputs, size_t output_count, iec_error *err);
  /* Below: optional, NULL when absent, appended only. The host runs `infer` on its own threads when `start`
   * is absent. */
  iec_status (*start)(iec_request *request, const iec_tensor *const *inputs, size_t input_count,
                      iec_tensor *const *outputs, size_t output_count,
                      void (*done)(void *arg, iec_status status), void *arg, iec_error *err);
  iec_status (*cancel)(iec_request *request, iec_error *err);
  /* (buf, size): a NULL buf asks for the size, which counts the final zero; too small a room is
   * IEC_OUT_OF_BOUNDS with the size that it takes in `*size`, for texts that change. `exec` NULL asks the
   * driver itself. */
  /* An exec's property STREAMS, when present, is the number of inferences that the host's threads may run on
   * it at once. */
  iec_status (*get_property)(iec_driver *driver, iec_exec *exec, const char *key, char *buf, size_t *size,
                             iec_error *err);
  iec_status (*set_property)(iec_driver *driver, iec_exec *exec, const char *key, const char *value,
                             iec_error *err);
  iec_status (*export_blob)(iec_exec *exec, void *buf, size_t *size, iec_error *err);
  iec_status (*import_blob)(iec_driver *driver, const void *buf, size_t size, const iec_kv *config,
                            size_t count, iec_exec **out, iec_error *err);
  /* JSON text: [{"layer","layer_type","kind","exec_type","status","real_time_us","cpu_time_us","order"}, ...]
   * of the last infer. */
  iec_status (*perf_counts)(iec_request *request, char *json, size_t *size, iec_error *err);
  /* Since 1.1. The extensions whose kernels later queries and compilations may choose, in place of those
   * given before; what is compiled keeps the kernels it has. The tables live as long as the process. A kernel
   * is meant for the device that it names. Threads: any. */
  iec_status (*set_extensions)(iec_driver *driver, const struct iec_extension_api *const *extensions,
                               size_t count, iec_error *err);
} iec_driver_api;

#define IEC_DRIVER_QUERY_SYMBOL "iec_driver_query"
/* Pure; refuses another major version of `host_abi` with IEC_ABI_MISMATCH. Threads: any. */
typedef iec_status (*iec_driver_query_fn)(uint32_t host_abi, const iec_driver_api **out, iec_error *err);

#ifdef __cplusplus
}
#endif
#endif
