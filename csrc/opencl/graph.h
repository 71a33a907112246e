/* SPDX-License-Identifier: Apache-2.0 */
/* The OpenCL driver's own graph: what passes rewrite between the host's graph and the plan. */
#ifndef IEC_OPENCL_GRAPH_H
#define IEC_OPENCL_GRAPH_H
#include "opencl/cl.h"
#include "opencl/common.h"

typedef struct gpu_op gpu_op;
typedef struct gpu_value gpu_value;
struct gpu_kind;

struct gpu_value { /* a tensor */
  int32_t dtype, ndim;
  int64_t shape[IEC_MAX_NDIM];
  int64_t count; /* elements */
  const char *name;
  const void *data; /* constants: the host's memory, borrowed until compile returns */
  void *owned;      /* memory behind data that a pass made */
  gpu_op *producer; /* NULL: network input or constant */
  int32_t user_count, output_count;
  int32_t input_index; /* which network input it is, -1 if none */
  gpu_value *base;     /* its memory is that one's (a reshape); NULL: its own */
  /* plan.c, of values with memory of their own */
  int32_t first, last; /* launches between which the memory is in use; last -1: nobody has asked for it */
  int32_t slot;        /* of gpu_plan.slots, -1 if none */
  cl_mem constant;     /* uploaded */
};

typedef enum {
  GPU_POST_UNARY,
  GPU_POST_SUM,
  GPU_POST_CHANNEL,
  GPU_POST_PRELU,
  GPU_POST_QUANTIZE
} gpu_post_type;
enum { GPU_MAX_POSTS = 8 };

/* An operation fused behind another; as `posts` of kernels/common.cl. Channel data: one float a channel, or
 * one for all. */
typedef struct gpu_post {
  gpu_post_type type;
  int32_t op;
  float alpha, beta, gamma; /* QUANTIZE: alpha is levels - 1 */
  struct {
    const gpu_value *value; /* a float constant; NULL: `fixed` */
    float fixed;
    int negate, invert; /* -v, then 1/v */
  } data[4];
} gpu_post;

typedef enum { GPU_OP_LIVE, GPU_OP_FUSED, GPU_OP_REMOVED } gpu_op_state;

struct gpu_op { /* a node */
  const char *kind, *name, *layer, *layer_type;
  const iec_graph_api *api;
  const iec_graph *graph; /* the node's: the network, or the body of a loop */
  const iec_node *node;
  gpu_value **inputs, **outputs; /* NULL entry: absent */
  int32_t input_count, output_count;
  const struct gpu_kind *impl;       /* NULL: cannot run here */
  gpu_post posts[GPU_MAX_POSTS + 1]; /* one more: the bias comes in front */
  int32_t post_count;
  gpu_value *sum;         /* addend of the one GPU_POST_SUM */
  int32_t part_of_output; /* loops.c: a copy from a piece into the whole, else from the whole */
  int64_t part_offset;
  gpu_op_state state;
  gpu_op *into;
  int32_t first_launch, launch_count;
  const char *exec_type;
};

typedef struct gpu_graph {
  const iec_graph_api *api;
  const iec_graph *base;
  gpu_value **values;
  int32_t value_count, value_capacity;
  gpu_op **ops; /* execution order; NULL where fused or removed */
  gpu_op **origins;
  int32_t op_count;
  gpu_value **inputs, **outputs;
  int32_t input_count, output_count;
  int32_t unroll; /* loops become their iterations */
  int32_t half;   /* float32 activations and weights lie on the device as half */
  struct gpu_block *blocks;
} gpu_graph;

/* Copies the host's graph and chooses `impl` for each op. */
iec_status gpu_graph_create(const iec_graph_api *api, const iec_graph *base, gpu_graph **out, iec_error *err);
void gpu_graph_release(gpu_graph *graph);
/* Zeroed memory that lives as long as the graph; NULL when out of memory. */
void *gpu_graph_alloc(gpu_graph *graph, size_t size);
/* A new value of that type and shape without producer. */
gpu_value *gpu_graph_value(gpu_graph *graph, int32_t dtype, int32_t ndim, const int64_t *shape);

/* The op of a node of `owner` whose tensors are `values`; choosing `impl` for it. */
iec_status gpu_graph_op(gpu_graph *graph, const iec_graph *owner, size_t index, gpu_value *const *values,
                        gpu_op **out, iec_error *err);

/* loops.c: puts the iterations of loops in their place. */
iec_status gpu_loops_unroll(gpu_graph *graph, iec_error *err);
/* passes.c: reshapes become aliases, element-wise ops go behind the kernels that take them. */
iec_status gpu_passes_run(gpu_graph *graph, iec_error *err);

/* Attributes of an op's node. */
int64_t gpu_int(const gpu_op *op, const char *name, int64_t absent);
double gpu_float(const gpu_op *op, const char *name, double absent);
const char *gpu_str(const gpu_op *op, const char *name, const char *absent);
const int64_t *gpu_ints(const gpu_op *op, const char *name, size_t *count);
/* `count` integers, NULL when absent or of another length. */
const int64_t *gpu_ints_of(const gpu_op *op, const char *name, size_t count);

/* Place of `text` in a NULL-terminated list, -1 when it is not there. */
int32_t gpu_index(const char *text, const char *const *list);
/* Names of kind Unary by the numbers that kernels know; the first GPU_FUSED ones also run fused, the
 * first GPU_LIGHT ones without functions of the library. */
enum { GPU_LIGHT = 10, GPU_FUSED = 17 };
extern const char *const gpu_unary_names[];

/* Sizes. */
size_t gpu_dtype_size(int32_t dtype);
/* Bytes of an element on the device. */
size_t gpu_element_size(const gpu_graph *graph, const gpu_value *value);
size_t gpu_value_bytes(const gpu_graph *graph, const gpu_value *value);
int gpu_same_shape(const gpu_value *a, const gpu_value *b);
int64_t gpu_product(const int64_t *sizes, int32_t begin, int32_t end);
gpu_value *gpu_root(gpu_value *value); /* whose memory it is in */

#endif
