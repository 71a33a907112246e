/* SPDX-License-Identifier: Apache-2.0 */
/* Types shared by every iec header: statuses, errors, tensors, the read-only graph and the services of the
 * host. */
#ifndef IEC_BASE_H
#define IEC_BASE_H
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define IEC_ABI_MAJOR 1u
#define IEC_ABI_MINOR 1u
#define IEC_ABI_VERSION ((IEC_ABI_MAJOR << 16) | IEC_ABI_MINOR)
#define IEC_MAX_NDIM 8
#define IEC_NO_TENSOR ((size_t)-1)

/* True when the table is new enough to hold the member and the member is set. */
#define IEC_HAS(type, table, member) \
  ((table)->struct_size >= offsetof(type, member) + sizeof((table)->member) && (table)->member != NULL)

typedef int32_t iec_status; /* 0 ok; -1..-13 keep the legacy Inference Engine values; -100.. are ours */
enum {
  IEC_OK = 0,
  IEC_GENERAL_ERROR = -1,
  IEC_NOT_IMPLEMENTED = -2,
  IEC_NETWORK_NOT_LOADED = -3,
  IEC_PARAMETER_MISMATCH = -4,
  IEC_NOT_FOUND = -5,
  IEC_OUT_OF_BOUNDS = -6,
  IEC_UNEXPECTED = -7,
  IEC_REQUEST_BUSY = -8,
  IEC_RESULT_NOT_READY = -9,
  IEC_NOT_ALLOCATED = -10,
  IEC_INFER_NOT_STARTED = -11,
  IEC_NETWORK_NOT_READ = -12,
  IEC_INFER_CANCELLED = -13,
  IEC_OUT_OF_MEMORY = -100,
  IEC_ABI_MISMATCH = -101
};

enum { /* element types: the legacy precision codes */
       IEC_F32 = 10,
       IEC_F16 = 11,
       IEC_BF16 = 12,
       IEC_F64 = 13,
       IEC_I16 = 30,
       IEC_U8 = 40,
       IEC_BOOL = 41,
       IEC_I8 = 50,
       IEC_U16 = 60,
       IEC_I32 = 70,
       IEC_I64 = 72,
       IEC_U64 = 73,
       IEC_U32 = 74
};

typedef struct iec_error { /* caller-allocated, may be NULL; the first failure wins; 1024 bytes */
  uint32_t struct_size;
  iec_status code;
  char where[48];
  char message[968];
} iec_error;

typedef struct iec_kv { /* frozen: arrays of it are passed */
  const char *key, *value;
} iec_kv;

typedef struct iec_tensor { /* non-owning view; frozen */
  uint32_t struct_size;
  uint16_t dtype, layout; /* legacy precision and layout codes; layout 0 is plain row-major */
  int32_t ndim;
  uint32_t flags;
  int64_t shape[IEC_MAX_NDIM];
  int64_t strides[IEC_MAX_NDIM]; /* bytes; row-major contiguous in this version */
  void *data;
  size_t size_bytes;
} iec_tensor;

typedef struct iec_graph iec_graph;
typedef struct iec_node iec_node;

/* Read-only view of a program, supplied by the host. Everything returned lives as long as the graph;
 * constants' data lives until compile returns. Threads: any. Tensors are numbered 0..tensor_count-1. */
typedef struct iec_graph_api {
  uint32_t struct_size, reserved;
  const char *(*name)(const iec_graph *graph);
  size_t (*tensor_count)(const iec_graph *graph);
  /* Fills `out`; out->data is set for constants and NULL otherwise. */
  iec_status (*tensor)(const iec_graph *graph, size_t index, iec_tensor *out, iec_error *err);
  const char *(*tensor_name)(const iec_graph *graph, size_t index);
  size_t (*input_count)(const iec_graph *graph);
  size_t (*input_at)(const iec_graph *graph, size_t index); /* tensor number */
  size_t (*output_count)(const iec_graph *graph);
  size_t (*output_at)(const iec_graph *graph, size_t index);
  size_t (*node_count)(const iec_graph *graph);
  const iec_node *(*node_at)(const iec_graph *graph, size_t index); /* topological order */
  const char *(*node_kind)(const iec_node *node);                   /* docs/kinds.md */
  const char *(*node_name)(const iec_node *node);                   /* unique in the graph */
  const char *(*node_layer)(const iec_node *node);                  /* network layer it came from */
  const char *(*node_layer_type)(const iec_node *node);             /* that layer's type in the file */
  size_t (*port_count)(const iec_node *node, int32_t is_output);
  size_t (*port)(const iec_node *node, int32_t is_output, size_t index); /* tensor number or IEC_NO_TENSOR */
  /* Attributes: 1 when present with that type (an int also answers as float), else 0 and `out` untouched. */
  int32_t (*attr_i64)(const iec_node *node, const char *name, int64_t *out);
  int32_t (*attr_f64)(const iec_node *node, const char *name, double *out);
  int32_t (*attr_str)(const iec_node *node, const char *name, const char **out);
  int32_t (*attr_i64s)(const iec_node *node, const char *name, const int64_t **out, size_t *out_count);
  int32_t (*attr_f64s)(const iec_node *node, const char *name, const double **out, size_t *out_count);
  int32_t (*attr_graph)(const iec_node *node, const char *name, const iec_graph **out);
  /* A hash of all that the graph and its bodies say, except for the contents of constants: equal graphs have
   * equal ones, in every process. 0 for the body of a node, else 1. */
  int32_t (*fingerprint)(const iec_graph *graph, uint64_t out[2]);
} iec_graph_api;

typedef struct iec_host iec_host;
typedef struct iec_team iec_team;
typedef void (*iec_team_fn)(void *arg, int32_t member, int32_t member_count);

/* All that a driver may use of the host; a driver links nothing of it. Threads: any, unless said. */
typedef struct iec_host_api {
  uint32_t struct_size, abi_version;
  iec_host *self;
  void *(*alloc)(iec_host *self, size_t size,
                 size_t align);               /* align: a power of two, at least 8; NULL when out of memory */
  void (*release)(iec_host *self, void *ptr); /* NULL accepted */
  void (*log)(iec_host *self, int32_t level, const char *message);
  const iec_graph_api *graph;
  /* A team is `threads` members: the caller of team_run is member 0, the others are pooled threads that spin
   * shortly after a run and then park. `cpus` binds the pooled member i to cpu cpus[i]; the caller runs where
   * the system puts it, and a member that is bound to that cpu goes to cpus[0] instead. Negative: not bound;
   * NULL: nobody is. Serial: one team_run at a time. After fork the child's first run makes new threads;
   * where it cannot, member_count is smaller. */
  iec_status (*team_create)(iec_host *self, int32_t threads, const int32_t *cpus, iec_team **out,
                            iec_error *err);
  void (*team_release)(iec_team *team);
  void (*team_run)(iec_team *team, iec_team_fn fn, void *arg); /* returns when every member has returned */
  void (*team_barrier)(iec_team *team,
                       int32_t member); /* only inside fn, called by every member that began it */
  /* state = a hash of itself and of `size` bytes: for telling contents apart and finding damage, not against
   * attackers. */
  void (*hash)(const void *data, size_t size, uint64_t state[2]);
  /* As team_run, but nobody waits for a member that has not begun: at most `most` members run fn, perhaps
   * only the caller, so the work is handed out to who is there. None begins after the caller's first barrier,
   * and none for a while after the caller has waited long for a member that the system had taken off its cpu.
   */
  void (*team_share)(iec_team *team, int32_t most, iec_team_fn fn, void *arg);
  /* A barrier after which nobody else begins. Returns how many members there are; *out_rank numbers them from
   * 0, the caller first. */
  int32_t (*team_settle)(iec_team *team, int32_t member, int32_t *out_rank);
} iec_host_api;

#ifdef __cplusplus
}
#endif
#endif
