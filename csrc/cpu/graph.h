/* SPDX-License-Identifier: Apache-2.0 */
/* The CPU driver's own graph: what passes rewrite between the host's graph and the plan. */
#ifndef IEC_CPU_GRAPH_H
#define IEC_CPU_GRAPH_H
#include "cpu/select.h"

/* Layout changes and copies are nodes of this kind; it is not in docs/kinds.md because only the engine makes
 * them. */
#define CPU_REORDER "Reorder"
/* The numbers behind the bytes of a quantised tensor; made by the engine too. */
#define CPU_DEQUANTIZE "Dequantize"

typedef struct cpu_op cpu_op;
typedef struct cpu_value cpu_value;

struct cpu_value { /* a tensor of the graph */
  cpu_tensor tensor;
  const char *name;
  cpu_op *producer; /* NULL: network input or constant */
  cpu_op **users;   /* one entry for each reading port */
  int32_t user_count, user_capacity;
  int32_t output_count; /* how many network outputs it is */
  int32_t input_index;  /* which network input it is, -1 if none */
  int32_t index;        /* place in cpu_graph.values */
  void *owned;          /* memory behind tensor.data when the engine made the constant */
  cpu_value *reordered; /* the same value in the other layout, made by the layout pass */
  /* memory.c: the value lies `offset` bytes into another one, or is a root with a place of its own */
  cpu_value *base;
  int64_t offset;
  int32_t first, last; /* of a root: steps between which its memory is in use */
  int32_t space;       /* of a root: see plan.h */
};

typedef enum {
  CPU_OP_LIVE,
  CPU_OP_FUSED,  /* into `into` */
  CPU_OP_REMOVED /* had nothing to do */
} cpu_op_state;

typedef struct cpu_override cpu_override;

typedef struct cpu_packed { /* what cpu_pack gave */
  void *data;
  size_t bytes;
  const char *what;
  int32_t is_shared; /* a part of the cache file */
} cpu_packed;

/* Memory that is given out piece by piece and released as a whole. Pieces of one thread lie in large chunks,
 * so that huge pages hold them and the system clears few pages. */
typedef struct cpu_room {
  const iec_host_api *host;
  size_t chunk_size; /* at least; 0: a chunk for each piece */
  struct cpu_chunk *chunks;
  char *next; /* in the newest chunk */
  size_t left;
  struct cpu_paging *paging; /* shared by the rooms of a graph */
  char *made;                /* the chunk's pages up to there are made */
} cpu_room;

/* `bytes` of a room, 64-byte aligned; NULL when out of memory. Threads: one at a time. */
void *cpu_room_take(cpu_room *room, size_t bytes);
/* Nothing more is taken: what is left goes back to the system. */
void cpu_room_close(cpu_room *room);
void cpu_room_release(cpu_room *room);

struct cpu_packs {
  cpu_room *room;            /* where packs lie; of the thread that prepares the op */
  struct cpu_cache *cache;   /* where to look first, NULL: nowhere */
  struct cpu_reader *reader; /* of the thread that prepares the op, while it does */
  int32_t op, count;
  cpu_packed list[CPU_MAX_PACKS];
};

struct cpu_op { /* a node of the graph */
  const char *kind, *name, *layer, *layer_type;
  const iec_graph_api *base_api; /* the host's graph, for attributes; NULL when the engine made the node */
  const iec_node *base;
  cpu_override *overrides;       /* attributes that a pass changed */
  const iec_graph_api *api;      /* what kernels see: overrides first, then the host's node */
  cpu_value **inputs, **outputs; /* NULL entry: absent */
  int32_t input_count, output_count;
  cpu_post posts[CPU_MAX_POSTS];
  int32_t post_count;
  const cpu_kernel *kernel; /* NULL on an alias */
  int32_t alias;            /* output 0 is input 0's memory under another shape; nothing runs */
  cpu_op_state state;
  cpu_op *into;
  int32_t index; /* place in cpu_graph.ops while live */
  cpu_prepared prepared;
  int32_t is_prepared;
  cpu_packs packs;
  int32_t step; /* plan.c: step number, -1 when nothing runs */
};

/* The host's table with the functions of a node replaced by ours: the `source` of a cpu_node is then a
 * cpu_op. */
typedef struct cpu_attrs_api {
  iec_graph_api api;
  const iec_graph_api *base;
} cpu_attrs_api;

typedef struct cpu_graph {
  const iec_host_api *host;
  const iec_graph_api *base_api;
  const iec_graph *base;
  cpu_attrs_api attrs; /* what kernels read attributes through */
  const cpu_kernel *const *kernels;
  int32_t threads; /* that the network may have */
  cpu_extensions *extensions;
  /* For kernels of extensions: the host with functions that understand this graph, seen as an iec_graph, and
   * its ops. */
  iec_graph_api view;
  iec_host_api view_host;
  cpu_value **values;
  int32_t value_count, value_capacity;
  cpu_op **ops; /* execution order; entries may be NULL until cpu_graph_compact */
  int32_t op_count, op_capacity;
  cpu_op **origins; /* the host's nodes in their order, whatever became of them */
  int32_t origin_count;
  cpu_value **inputs, **outputs;
  int32_t input_count, output_count;
  cpu_room *rooms; /* of packs, one for each thread that prepares ops */
  int32_t room_count;
  struct cpu_block *blocks; /* memory released with the graph */
} cpu_graph;

/* Copies the host's graph. Kernels are not chosen yet. `extensions` (NULL accepted) are retained. */
iec_status cpu_graph_create(const iec_host_api *host, const iec_graph *base, const cpu_extensions *extensions,
                            cpu_graph **out, iec_error *err);
void cpu_graph_release(cpu_graph *graph);

/* Zeroed memory that lives as long as the graph; NULL when out of memory. */
void *cpu_graph_alloc(cpu_graph *graph, size_t size);
iec_status cpu_graph_no_memory(iec_error *err);

/* An op that no kernel accepts is an error, and a tensor greater than the machine's memory. */
iec_status cpu_graph_check(cpu_graph *graph, iec_error *err);
/* Chooses op->kernel for every live op; an op that nobody can run is an error. */
iec_status cpu_graph_select(cpu_graph *graph, iec_error *err);
/* The kernel's view of an op. `view` must be large enough for the ports: made by cpu_view_create. */
typedef struct cpu_view {
  const cpu_graph *graph;
  cpu_node node;
  const cpu_tensor **ports; /* inputs, then outputs */
} cpu_view;
iec_status cpu_view_create(cpu_graph *graph, cpu_view *out, iec_error *err);
const cpu_node *cpu_view_fill(cpu_view *view, const cpu_op *op);
/* 1 when op's kernel takes `post` (then it has been added); `added`, what it reads besides, become new
 * inputs. */
iec_status cpu_graph_fuse(cpu_graph *graph, cpu_op *op, const cpu_post *post, cpu_value *const added[2],
                          int *out, iec_error *err);

/* New parts. The op is not in the order yet. */
cpu_value *cpu_graph_value(cpu_graph *graph, const cpu_tensor *tensor, const char *name);
cpu_op *cpu_graph_op(cpu_graph *graph, const char *kind, const char *name, int32_t inputs, int32_t outputs);
/* A constant of zeros, its memory rounded up to 64 bytes; write through `owned`. */
cpu_value *cpu_graph_constant(cpu_graph *graph, int32_t dtype, int32_t ndim, const int64_t *shape,
                              const char *name);

iec_status cpu_graph_set_input(cpu_graph *graph, cpu_op *op, int32_t port, cpu_value *value, iec_error *err);
void cpu_graph_set_output(cpu_op *op, int32_t port, cpu_value *value);
/* Every reader of `from`, network outputs included, reads `to` instead. */
iec_status cpu_graph_replace(cpu_graph *graph, cpu_value *from, cpu_value *to, iec_error *err);
/* Takes an op out of the order and off its inputs. */
void cpu_graph_remove(cpu_graph *graph, cpu_op *op, cpu_op_state state, cpu_op *into);
/* `user`, the only reader of `op`'s output 0, becomes part of `op`, which takes its place in the order. */
void cpu_graph_merge(cpu_graph *graph, cpu_op *op, cpu_op *user);
/* Puts a new op into the order, behind `after`. */
iec_status cpu_graph_insert(cpu_graph *graph, const cpu_op *after, cpu_op *op, iec_error *err);
void cpu_graph_compact(cpu_graph *graph);
/* The op that alone reads the value, NULL when there are several readers or it is a network output. */
cpu_op *cpu_value_only_user(const cpu_value *value);

/* view.c: fills graph->view and graph->view_host. */
void cpu_graph_view_init(cpu_graph *graph);

/* Attributes; `name` of an override must be static. */
void cpu_attrs_init(cpu_attrs_api *out, const iec_graph_api *base);
/* The host's table behind `api`, for the nodes of a body graph, which are not cpu_ops; `api` itself when it
 * is the host's. */
const iec_graph_api *cpu_attrs_base(const iec_graph_api *api);
int64_t cpu_op_i64(const cpu_op *op, const char *name, int64_t absent);
double cpu_op_f64(const cpu_op *op, const char *name, double absent);
const char *cpu_op_str(const cpu_op *op, const char *name, const char *absent);
/* `count` integers, NULL when absent or of another length. */
const int64_t *cpu_op_i64s(const cpu_op *op, const char *name, size_t count);
iec_status cpu_op_override_i64s(cpu_graph *graph, cpu_op *op, const char *name, const int64_t *values,
                                size_t count, iec_error *err);

/* Tensors. */
int64_t cpu_tensor_elements(const cpu_tensor *tensor);
size_t cpu_dtype_size(int32_t dtype);
size_t cpu_tensor_bytes(const cpu_tensor *tensor); /* in its layout */
int cpu_tensor_can_block(const cpu_tensor *tensor);
int cpu_same_shape(const cpu_tensor *a, const cpu_tensor *b);

#endif
