/* SPDX-License-Identifier: Apache-2.0 */
/* The host API: what libiec exports. Python calls it through ctypes; drivers never see it. */
#ifndef IEC_RUNTIME_H
#define IEC_RUNTIME_H
#include "iec/base.h"
#include "iec/extension.h"

#if defined(IEC_BUILD) && defined(__GNUC__)
#define IEC_API __attribute__((visibility("default")))
#else
#define IEC_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Counted handles: a device lives as long as its executables, an executable as long as its requests, whatever
 * is released first. Every release accepts NULL. Thread words: any (call it from any thread), serial (one
 * thread at a time on one handle). */
typedef struct iec_device iec_device;
typedef struct iec_executable iec_executable;
typedef struct iec_infer_request iec_infer_request;

/* ---- Library ---- */

/* IEC_ABI_VERSION of the library. Threads: any. */
IEC_API uint32_t iec_abi_version(void);
/* Version of the package it was built from, static text. Threads: any. */
IEC_API const char *iec_version(void);

typedef struct iec_cpu_info {
  uint32_t struct_size;
  int32_t logical;  /* hardware threads of the machine */
  int32_t usable;   /* of them, those this process may run on */
  int32_t physical; /* cores behind the usable ones */
  int32_t sockets;  /* of the usable ones */
  uint32_t reserved;
  char brand[64]; /* processor name, "" when unknown */
  char isa[256]; /* usable instruction sets, blank separated: "sse4.2 avx avx2 fma ...", "neon asimddp ..." */
} iec_cpu_info;

/* Describes this machine; asked anew each time. `out->struct_size` is set by the caller. Threads: any. */
IEC_API iec_status iec_cpu_info_get(iec_cpu_info *out, iec_error *err);

/* ---- Graph ---- */

/* Attribute types of a flat description. */
enum {
  IEC_ATTR_INT = 1,    /* value */
  IEC_ATTR_FLOAT = 2,  /* the next of `doubles` */
  IEC_ATTR_STR = 3,    /* value: offset into `strings` */
  IEC_ATTR_INTS = 4,   /* the next `count` of `ints` */
  IEC_ATTR_FLOATS = 5, /* the next `count` of `doubles` */
  IEC_ATTR_GRAPH = 6   /* value: number of a later graph; each is used once, in the order of their numbers */
};

/* Words in one record of each table. */
enum {
  IEC_GRAPH_WORDS = 5, /* name, tensor_count, node_count, input_count, output_count */
  IEC_TENSOR_WORDS =
      5, /* name, dtype, ndim, address of the data (0: not a constant), its size in bytes (0 then) */
  IEC_NODE_WORDS = 7, /* kind, name, layer, layer_type, input_count, output_count, attr_count */
  IEC_ATTR_WORDS = 4  /* name, type, value, count (1 for the scalar types) */
};

/* A program as tables of numbers, quick to build from Python. Graph 0 is the program, the others are bodies
 * of its nodes. The tables are streams read in order: for each graph its record, its tensors, its inputs and
 * outputs (`ports`), then its nodes, each with its inputs and outputs (`ports`, -1: absent) and its
 * attributes (a name once a type). Shapes and integer lists come from `ints` as they are met. Names are
 * offsets into `strings`, zero-terminated texts. Borrowed for the call, but for the data of constants, see
 * below. */
typedef struct iec_graph_desc {
  uint32_t struct_size, reserved;
  const char *strings;
  const int64_t *ints;
  const double *doubles;
  const int64_t *ports, *graphs, *tensors, *nodes, *attrs;
  size_t strings_size, int_count, double_count;                         /* bytes, items, items */
  size_t port_count, graph_count, tensor_count, node_count, attr_count; /* ports: items; else records */
} iec_graph_desc;

/* Checks the whole description and copies its structure. Constants are borrowed: their data must live until
 * the graph is released. Threads: any. */
IEC_API iec_status iec_graph_create(const iec_graph_desc *desc, iec_graph **out, iec_error *err);
IEC_API void iec_graph_release(iec_graph *graph);

/* ---- Device ---- */

/* Opens a driver: the built-in one called `name` when `library` is NULL, else the one that the shared library
 * at `library` exports
 * (`name` may be NULL then). A library stays loaded. Threads: any. */
IEC_API iec_status iec_device_open(const char *library, const char *name, const iec_kv *options, size_t count,
                                   iec_device **out, iec_error *err);
IEC_API void iec_device_release(iec_device *device);
/* What the driver says of itself; the texts live as long as the process. Threads: any. */
IEC_API const char *iec_device_name(const iec_device *device);
IEC_API const char *iec_device_version(const iec_device *device);
IEC_API const char *iec_device_description(const iec_device *device);
/* supported[i] = 1 when node i of the graph can run here; `count` is its number of nodes. Threads: any. */
IEC_API iec_status iec_device_query(iec_device *device, const iec_graph *graph, uint8_t *supported,
                                    size_t count, iec_error *err);
/* Loads a graph, which may be released afterwards. Threads: any. */
IEC_API iec_status iec_device_compile(iec_device *device, const iec_graph *graph, const iec_kv *config,
                                      size_t count, iec_executable **out, iec_error *err);
/* Loads what iec_executable_export wrote. Tensors bound to its requests are checked by the driver alone.
 * Threads: any. */
IEC_API iec_status iec_device_import(iec_device *device, const void *buf, size_t size, const iec_kv *config,
                                     size_t count, iec_executable **out, iec_error *err);
/* Texts of unknown size: a NULL `buf` asks for the size, which counts the final zero; else `*size` is the
 * room. When a text has outgrown it meanwhile the call fails with IEC_OUT_OF_BOUNDS, and `*size` is what it
 * takes now. Threads: any. */
IEC_API iec_status iec_device_get_property(iec_device *device, const char *key, char *buf, size_t *size,
                                           iec_error *err);
IEC_API iec_status iec_device_set_property(iec_device *device, const char *key, const char *value,
                                           iec_error *err);

/* ---- Extension ---- */

/* Loads a library of custom layers, which stays loaded, and checks what it exports. *out is a table of full
 * size, the same one each time, that lives as long as the process. Threads: any. */
IEC_API iec_status iec_extension_open(const char *library, const iec_extension_api **out, iec_error *err);
/* The same for a table that lies in this process and outlives it. Threads: any. */
IEC_API iec_status iec_extension_adopt(const iec_extension_api *table, const iec_extension_api **out,
                                       iec_error *err);
/* Asks definition `op` of an adopted extension for the outputs of the one node of `graph`; checks the answer.
 * Of each of `outputs` type, ndim and shape are read and written. Threads: any. */
IEC_API iec_status iec_extension_infer_shapes(const iec_extension_api *extension, size_t op,
                                              const iec_graph *graph, iec_tensor *outputs,
                                              size_t output_count, iec_error *err);
/* The adopted extensions whose kernels a device may choose from now on; see driver.h. Threads: any. */
IEC_API iec_status iec_device_set_extensions(iec_device *device, const iec_extension_api *const *extensions,
                                             size_t count, iec_error *err);

/* ---- Executable ---- */

IEC_API void iec_executable_release(iec_executable *executable);
/* How many started requests run at once: the driver's property STREAMS, 1 without it. Threads: any. */
IEC_API int32_t iec_executable_streams(const iec_executable *executable);
IEC_API iec_status iec_executable_get_property(iec_executable *executable, const char *key, char *buf,
                                               size_t *size, iec_error *err);
IEC_API iec_status iec_executable_set_property(iec_executable *executable, const char *key, const char *value,
                                               iec_error *err);
IEC_API iec_status iec_executable_export(iec_executable *executable, void *buf, size_t *size, iec_error *err);

/* ---- Request ---- */

IEC_API iec_status iec_request_create(iec_executable *executable, iec_infer_request **out, iec_error *err);
/* Cancels what is queued and returns once nothing uses the bound tensors. A `done` still running may outlast
 * it. */
IEC_API void iec_request_release(iec_infer_request *request);
/* Says where the following inferences read and write: one tensor for each input and output of the graph, in
 * its order, row-major, of exactly its type. The data is borrowed until the next bind or the release.
 * IEC_REQUEST_BUSY while running. Threads: serial. */
IEC_API iec_status iec_request_bind(iec_infer_request *request, const iec_tensor *inputs, size_t input_count,
                                    const iec_tensor *outputs, size_t output_count, iec_error *err);
/* Runs on the calling thread. IEC_REQUEST_BUSY while running, IEC_NOT_ALLOCATED before bind. Threads: any. */
IEC_API iec_status iec_request_infer(iec_infer_request *request, iec_error *err);

/* Called once a start, on a thread of the library with no lock held; `result->code` is the outcome, and
 * `result` is gone when it returns. It may start the request again and may release it. */
typedef void (*iec_done_fn)(void *arg, const iec_error *result);

/* Queues an inference and returns; those of one executable begin in the order of their start. `done` may be
 * NULL. Threads: any. */
IEC_API iec_status iec_request_start(iec_infer_request *request, iec_done_fn done, void *arg, iec_error *err);
/* Waits until the last inference has ended, at most `timeout_ms` milliseconds, without limit when negative,
 * and gives its status; IEC_RESULT_NOT_READY when it still runs, IEC_INFER_NOT_STARTED when there was none.
 * Threads: any. */
IEC_API iec_status iec_request_wait(iec_infer_request *request, int64_t timeout_ms, iec_error *err);
/* A queued inference ends with IEC_INFER_CANCELLED when its turn comes; a running one is asked to stop if the
 * driver can. */
IEC_API iec_status iec_request_cancel(iec_infer_request *request, iec_error *err);
/* JSON text of the last inference, see driver.h. Threads: serial. */
IEC_API iec_status iec_request_perf_counts(iec_infer_request *request, char *json, size_t *size,
                                           iec_error *err);

#ifdef __cplusplus
}
#endif
#endif
