/* SPDX-License-Identifier: Apache-2.0 */
/* A compiled graph: launches in order over a small pool of buffers. */
#ifndef IEC_OPENCL_PLAN_H
#define IEC_OPENCL_PLAN_H
#include "opencl/context.h"
#include "opencl/graph.h"

enum { GPU_MAX_ARGS = 16, GPU_ARG_BYTES = 96 };

typedef struct gpu_arg {
  enum { GPU_ARG_VALUE, GPU_ARG_BUFFER, GPU_ARG_BYTES_COPY } type;
  const gpu_value *value; /* VALUE; NULL: a null pointer */
  cl_mem buffer;          /* BUFFER: a constant of the plan */
  size_t size;            /* BYTES_COPY */
  char bytes[GPU_ARG_BYTES];
} gpu_arg;

typedef struct gpu_launch { /* one command of an inference */
  enum { GPU_LAUNCH_KERNEL, GPU_LAUNCH_COPY, GPU_LAUNCH_HOST } type;
  gpu_op *op; /* for messages and counters */
  cl_program program;
  const char *kernel;
  gpu_arg args[GPU_MAX_ARGS];
  int32_t arg_count;
  size_t offset[3], global[3], local[3]; /* local[0] 0: OpenCL chooses */
  int32_t whole;                         /* may not be cut */
  /* COPY: bytes from one value to another */
  const gpu_value *from, *to;
  size_t from_offset, to_offset, bytes;
  struct gpu_host_step *host; /* HOST */
} gpu_launch;

typedef struct gpu_plan {
  const iec_host_api *host;
  gpu_context *context;
  gpu_graph *graph;
  const gpu_settings *settings; /* while compiling, as tuning */
  struct gpu_tuning *tuning;
  gpu_launch *launches;
  int32_t launch_count, launch_capacity;
  size_t *slots; /* sizes of the buffers that every stream has */
  int32_t slot_count, slot_capacity;
  cl_mem *constants; /* all uploaded buffers */
  int32_t constant_count, constant_capacity;
  size_t constant_bytes;
  gpu_value **staging; /* FP16: float32 twins of the network's inputs and outputs, by position; NULL: none */
  cl_mem no_posts;
} gpu_plan;

/* Takes `graph` over, also when it fails. */
iec_status gpu_plan_create(const iec_host_api *host, gpu_context *context, gpu_graph *graph,
                           const gpu_settings *settings, gpu_plan **out, iec_error *err);
void gpu_plan_release(gpu_plan *plan);

/* ---- for the files of ops/. The functions that make something return NULL after a failure, which is in
 * `err`. */

/* A launch of a kernel of `file` (a name of kernels/ without suffix) built with `options`. */
gpu_launch *gpu_launch_kernel(gpu_plan *plan, gpu_op *op, const char *file, const char *kernel,
                              const char *options, iec_error *err);
/* A launch of a kernel of a program; without a failure of its own but memory. */
gpu_launch *gpu_launch_program(gpu_plan *plan, gpu_op *op, cl_program program, const char *kernel,
                               iec_error *err);
/* Every item of global size x, y, z has something to do or checks that; x is rounded up to the work-group. */
void gpu_launch_size(gpu_launch *launch, int64_t x, int64_t y, int64_t z);
/* Exact work-groups. */
void gpu_launch_groups(gpu_launch *launch, const int64_t groups[3], const int64_t local[3]);
/* Arguments in their order. The next three cannot fail: the number of arguments is the kernel's. */
void gpu_arg_value(gpu_launch *launch, const gpu_value *value);
void gpu_arg_int(gpu_launch *launch, int64_t value);
void gpu_arg_float(gpu_launch *launch, double value);
void gpu_arg_bytes(gpu_launch *launch, const void *bytes, size_t size);
/* A constant buffer made of host memory. */
iec_status gpu_arg_constant(gpu_plan *plan, gpu_launch *launch, const void *data, size_t size,
                            iec_error *err);
/* The posts of the op and their addend: two arguments. */
iec_status gpu_arg_posts(gpu_plan *plan, gpu_launch *launch, iec_error *err);
/* Up to 8 lists of 8 ints each, see kernels. */
iec_status gpu_arg_lists(gpu_plan *plan, gpu_launch *launch, const int32_t (*lists)[8], int32_t count,
                         iec_error *err);

/* Takes back the last launch and the constants after the first `constants`. */
void gpu_launch_undo(gpu_plan *plan, int32_t constants);

iec_status gpu_launch_copy(gpu_plan *plan, gpu_op *op, const gpu_value *from, size_t from_offset,
                           const gpu_value *to, size_t to_offset, size_t bytes, iec_error *err);
/* A value for the op's own use. */
gpu_value *gpu_scratch(gpu_plan *plan, int32_t dtype, int32_t ndim, const int64_t *shape, iec_error *err);

/* FP16: a launch that makes half of float32 (an IEC_U32 value: four bytes on the device) or the other way. */
iec_status gpu_convert_storage(gpu_plan *plan, gpu_op *op, const gpu_value *from, const gpu_value *to,
                               iec_error *err);

/* Options of element types: "-DT=int" ... of a value that kernels compute with; "-DT=uint" of one that is
 * only moved. */
const char *gpu_type_option(const gpu_value *value);
const char *gpu_word_option(const gpu_plan *plan, const gpu_value *value);

#endif
