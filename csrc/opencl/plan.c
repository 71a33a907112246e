/* SPDX-License-Identifier: Apache-2.0 */
/* From the rewritten graph to launches: uploads constants and gives every other value a buffer of a small
 * pool. */
#include "opencl/plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "opencl/grid.h"
#include "opencl/half.h"
#include "opencl/host.h"
#include "opencl/kind.h"
#include "opencl/tune.h"

/* ---- launches */

static gpu_launch *add_launch(gpu_plan *plan, gpu_op *op, iec_error *err) {
  if (!gpu_grow(&plan->launches, sizeof *plan->launches, plan->launch_count, &plan->launch_capacity)) {
    gpu_no_memory(err);
    return NULL;
  }
  gpu_launch *launch = &plan->launches[plan->launch_count++];
  launch->op = op;
  return launch;
}

/* Option POSTS of kernels/common.cl. */
static int posts_level(const gpu_op *op) {
  int level = op->post_count > 0;
  for (int32_t i = 0; i < op->post_count; i++)
    if (op->posts[i].type == GPU_POST_UNARY && op->posts[i].op >= GPU_LIGHT) level = 2;
  return level;
}

gpu_launch *gpu_launch_kernel(gpu_plan *plan, gpu_op *op, const char *file, const char *kernel,
                              const char *options, iec_error *err) {
  char full[256];
  cl_program program;
  const int narrow = plan->graph->half ? (int)gpu_context_device(plan->context)->fp16 : 0;
  snprintf(full, sizeof full, "-cl-std=CL1.2 -DHALF=%d -DNARROW=%d -DPOSTS=%d %s", plan->graph->half, narrow,
           posts_level(op), options);
  if (gpu_program(plan->context, file, full, plan->settings->cache_dir, &program, err)) return NULL;
  return gpu_launch_program(plan, op, program, kernel, err);
}

gpu_launch *gpu_launch_program(gpu_plan *plan, gpu_op *op, cl_program program, const char *kernel,
                               iec_error *err) {
  gpu_launch *launch = add_launch(plan, op, err);
  if (!launch) return NULL;
  launch->type = GPU_LAUNCH_KERNEL;
  launch->program = program;
  launch->kernel = kernel;
  if (!op->exec_type) op->exec_type = kernel;
  return launch;
}

void gpu_launch_size(gpu_launch *launch, int64_t x, int64_t y, int64_t z) {
  const size_t local = x < 64 ? 16 : 64;
  launch->global[0] = ((size_t)x + local - 1) / local * local;
  launch->global[1] = (size_t)y;
  launch->global[2] = (size_t)z;
  launch->local[0] = local;
  launch->local[1] = launch->local[2] = 1;
}

void gpu_launch_groups(gpu_launch *launch, const int64_t groups[3], const int64_t local[3]) {
  for (int i = 0; i < 3; i++) {
    launch->global[i] = (size_t)(groups[i] * local[i]);
    launch->local[i] = (size_t)local[i];
  }
}

void gpu_arg_value(gpu_launch *launch, const gpu_value *value) {
  launch->args[launch->arg_count++] = (gpu_arg){.type = GPU_ARG_VALUE, .value = value};
}

void gpu_arg_bytes(gpu_launch *launch, const void *bytes, size_t size) {
  gpu_arg *arg = &launch->args[launch->arg_count++];
  *arg = (gpu_arg){.type = GPU_ARG_BYTES_COPY, .size = size};
  memcpy(arg->bytes, bytes, size);
}

void gpu_arg_int(gpu_launch *launch, int64_t value) {
  int32_t v = (int32_t)value;
  gpu_arg_bytes(launch, &v, sizeof v);
}

void gpu_arg_float(gpu_launch *launch, double value) {
  float v = (float)value;
  gpu_arg_bytes(launch, &v, sizeof v);
}

static iec_status upload(gpu_plan *plan, const void *data, size_t size, const char *where, cl_mem *out,
                         iec_error *err) {
  cl_int code;
  if (!gpu_grow(&plan->constants, sizeof *plan->constants, plan->constant_count, &plan->constant_capacity))
    return gpu_no_memory(err);
  union {
    const void *from;
    void *to;
  } pointer = {data}; /* OpenCL only reads it */
  *out = gpu_api(plan->context)
             ->CreateBuffer(gpu_context_handle(plan->context), CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR,
                            size ? size : 4, pointer.to, &code);
  if (!*out) return ocl_fail(err, code, "clCreateBuffer", where);
  plan->constants[plan->constant_count++] = *out;
  plan->constant_bytes += size;
  return IEC_OK;
}

iec_status gpu_arg_constant(gpu_plan *plan, gpu_launch *launch, const void *data, size_t size,
                            iec_error *err) {
  gpu_arg *arg = &launch->args[launch->arg_count++];
  *arg = (gpu_arg){.type = GPU_ARG_BUFFER};
  return upload(plan, data, size, launch->op->layer, &arg->buffer, err);
}

iec_status gpu_arg_lists(gpu_plan *plan, gpu_launch *launch, const int32_t (*lists)[8], int32_t count,
                         iec_error *err) {
  return gpu_arg_constant(plan, launch, lists, (size_t)count * sizeof *lists, err);
}

static float post_datum(const gpu_post *post, int which, int64_t channel) {
  const gpu_value *value = post->data[which].value;
  float v = post->data[which].fixed;
  if (value) v = ((const float *)value->data)[value->count == 1 ? 0 : channel];
  if (post->data[which].negate) v = -v;
  return post->data[which].invert ? 1 / v : v;
}

iec_status gpu_arg_posts(gpu_plan *plan, gpu_launch *launch, iec_error *err) {
  gpu_op *op = launch->op;
  static const int data_of[] = {0, 0, 2, 1, 4}; /* rows of channel data by type */
  if (!op->post_count) {
    static const float none[16];
    if (!plan->no_posts) GPU_TRY(upload(plan, none, sizeof none, NULL, &plan->no_posts, err));
    launch->args[launch->arg_count++] = (gpu_arg){.type = GPU_ARG_BUFFER, .buffer = plan->no_posts};
    gpu_arg_value(launch, NULL);
    return IEC_OK;
  }
  int64_t inner, channels = op->impl->channels(op, &inner), size = 8 + 8 * op->post_count;
  for (int32_t i = 0; i < op->post_count; i++) size += channels * data_of[op->posts[i].type];
  float *data = calloc((size_t)size, sizeof *data);
  if (!data) return gpu_no_memory(err);
  int32_t head[2] = {op->post_count, (int32_t)channels}, at = 8 + 8 * op->post_count;
  memcpy(data, head, sizeof head);
  for (int32_t i = 0; i < op->post_count; i++) {
    const gpu_post *post = &op->posts[i];
    int32_t codes[2] = {(int32_t)post->type, post->op};
    float *to = data + 8 + 8 * i;
    memcpy(to, codes, sizeof codes);
    to[2] = post->alpha;
    to[3] = post->beta;
    to[4] = post->gamma;
    memcpy(to + 5, &at, sizeof at);
    for (int d = 0; d < data_of[post->type]; d++)
      for (int64_t c = 0; c < channels; c++) data[at++] = post_datum(post, d, c);
  }
  iec_status status = gpu_arg_constant(plan, launch, data, (size_t)size * sizeof *data, err);
  free(data);
  gpu_arg_value(launch, op->sum);
  return status;
}

void gpu_launch_undo(gpu_plan *plan, int32_t constants) {
  memset(&plan->launches[--plan->launch_count], 0, sizeof *plan->launches);
  while (plan->constant_count > constants) {
    cl_mem last = plan->constants[--plan->constant_count];
    if (last == plan->no_posts) plan->no_posts = NULL;
    gpu_api(plan->context)->ReleaseMemObject(last);
  }
}

iec_status gpu_launch_copy(gpu_plan *plan, gpu_op *op, const gpu_value *from, size_t from_offset,
                           const gpu_value *to, size_t to_offset, size_t bytes, iec_error *err) {
  gpu_launch *launch = add_launch(plan, op, err);
  if (!launch) return IEC_OUT_OF_MEMORY;
  launch->type = GPU_LAUNCH_COPY;
  launch->from = from;
  launch->from_offset = from_offset;
  launch->to = to;
  launch->to_offset = to_offset;
  launch->bytes = bytes;
  if (!op->exec_type) op->exec_type = "copy";
  return IEC_OK;
}

gpu_value *gpu_scratch(gpu_plan *plan, int32_t dtype, int32_t ndim, const int64_t *shape, iec_error *err) {
  gpu_value *value = gpu_graph_value(plan->graph, dtype, ndim, shape);
  if (!value) gpu_no_memory(err);
  return value;
}

const char *gpu_type_option(const gpu_value *value) {
  switch (value->dtype) {
    case IEC_F32: return "-DT_FLOAT=1";
    case IEC_I32: return "-DT=int -DT_SIGNED=1";
    case IEC_I64: return "-DT=long -DT_SIGNED=1";
    default: return "-DT=uchar -DT_BOOL=1";
  }
}

const char *gpu_word_option(const gpu_plan *plan, const gpu_value *value) {
  switch (gpu_element_size(plan->graph, value)) {
    case 1: return "-DT=uchar";
    case 2: return "-DT=ushort";
    case 4: return "-DT=uint";
    default: return "-DT=ulong";
  }
}

/* ---- FP16 at the network's border: float32 twins, converted on the device */

static gpu_op *border_op(gpu_plan *plan, const gpu_value *value) {
  gpu_op *op = gpu_graph_alloc(plan->graph, sizeof *op);
  if (op) {
    op->kind = "Convert";
    op->name = op->layer = value->name;
    op->layer_type = "Convert";
  }
  return op;
}

static iec_status border(gpu_plan *plan, gpu_value *value, int is_output, gpu_value **twin, iec_error *err) {
  gpu_op *op = border_op(plan, value);
  *twin = op ? gpu_scratch(plan, IEC_U32, value->ndim, value->shape, err) : NULL;
  if (!*twin) return gpu_no_memory(err);
  return gpu_convert_storage(plan, op, is_output ? value : *twin, is_output ? *twin : value, err);
}

iec_status gpu_convert_storage(gpu_plan *plan, gpu_op *op, const gpu_value *from, const gpu_value *to,
                               iec_error *err) {
  gpu_launch *launch =
      gpu_launch_kernel(plan, op, "convert", "convert",
                        to->dtype == IEC_U32 ? "-DFROM=half -DTO=float -DFROM_HALF=1 -DCAST=convert_float"
                                             : "-DFROM=float -DTO=half -DTO_HALF=1",
                        err);
  if (!launch) return IEC_GENERAL_ERROR;
  gpu_arg_value(launch, from);
  gpu_arg_value(launch, to);
  gpu_arg_int(launch, from->count);
  gpu_launch_size(launch, from->count, 1, 1);
  return IEC_OK;
}

/* ---- constants and memory */

static void touch(const gpu_value *value, int32_t launch) {
  if (!value) return;
  gpu_value *root = NULL;
  union {
    const gpu_value *from;
    gpu_value *to;
  } pointer = {value}; /* the plan owns what launches may only read */
  root = gpu_root(pointer.to);
  if (root->last < 0) root->first = launch;
  if (launch > root->last) root->last = launch;
}

static void find_lifetimes(gpu_plan *plan) {
  const gpu_graph *graph = plan->graph;
  for (int32_t i = 0; i < plan->launch_count; i++) {
    const gpu_launch *launch = &plan->launches[i];
    for (int32_t a = 0; a < launch->arg_count; a++) touch(launch->args[a].value, i);
    touch(launch->from, i);
    touch(launch->to, i);
    for (int32_t p = 0; launch->host && p < gpu_host_ports(launch->host); p++)
      touch(gpu_host_port(launch->host, p), i);
  }
  for (int32_t i = 0; i < graph->input_count; i++) {
    gpu_value *value = plan->staging[i] ? plan->staging[i] : gpu_root(graph->inputs[i]);
    if (value->last >= 0) value->first = -1; /* written before the first launch */
  }
  for (int32_t i = 0; i < graph->output_count; i++) {
    gpu_value *twin = plan->staging[graph->input_count + i];
    touch(twin ? twin : graph->outputs[i], plan->launch_count);
    if (!twin && gpu_root(graph->outputs[i])->input_index >= 0) gpu_root(graph->outputs[i])->first = -1;
  }
}

static iec_status upload_value(gpu_plan *plan, gpu_value *value, iec_error *err) {
  if (!plan->graph->half || value->dtype != IEC_F32)
    return upload(plan, value->data, gpu_value_bytes(plan->graph, value), value->name, &value->constant, err);
  uint16_t *narrow = malloc((size_t)value->count * sizeof *narrow + 1);
  if (!narrow) return gpu_no_memory(err);
  gpu_half_from_floats(narrow, value->data, value->count);
  iec_status status =
      upload(plan, narrow, (size_t)value->count * sizeof *narrow, value->name, &value->constant, err);
  free(narrow);
  return status;
}

/* The free slot that wastes least, or the greatest one made greater, or a new one. */
static iec_status take_slot(gpu_plan *plan, int32_t **ends, int32_t *capacity, gpu_value *value,
                            iec_error *err) {
  size_t bytes = gpu_value_bytes(plan->graph, value);
  int32_t best = -1;
  for (int32_t s = 0; plan->settings->memory_pool && s < plan->slot_count; s++) {
    if ((*ends)[s] >= value->first) continue;
    size_t old = best < 0 ? 0 : plan->slots[best], now = plan->slots[s];
    if (best < 0 || (old < bytes ? now > old : now >= bytes && now < old)) best = s;
  }
  if (best < 0) {
    if (!gpu_grow(&plan->slots, sizeof *plan->slots, plan->slot_count, &plan->slot_capacity) ||
        !gpu_grow(ends, sizeof **ends, plan->slot_count, capacity))
      return gpu_no_memory(err);
    best = plan->slot_count++;
  }
  if (plan->slots[best] < bytes) plan->slots[best] = bytes;
  (*ends)[best] = value->last;
  value->slot = best;
  return IEC_OK;
}

static iec_status assign_memory(gpu_plan *plan, iec_error *err) {
  gpu_graph *graph = plan->graph;
  int32_t *ends = NULL, capacity = 0;
  iec_status status = IEC_OK;
  /* Values by the launch that first needs them. */
  int32_t *heads = malloc((size_t)(plan->launch_count + 2) * sizeof *heads);
  int32_t *next = malloc((size_t)(graph->value_count + 1) * sizeof *next);
  if (!heads || !next) status = gpu_no_memory(err);
  for (int32_t i = 0; !status && i < plan->launch_count + 2; i++) heads[i] = -1;
  for (int32_t i = 0; !status && i < graph->value_count; i++) {
    gpu_value *value = graph->values[i];
    if (value->base || value->last < 0) continue;
    if (value->data) {
      status = upload_value(plan, value, err);
    } else {
      next[i] = heads[value->first + 1];
      heads[value->first + 1] = i;
    }
  }
  for (int32_t at = 0; !status && at < plan->launch_count + 2; at++)
    for (int32_t i = heads[at]; !status && i >= 0; i = next[i])
      status = take_slot(plan, &ends, &capacity, graph->values[i], err);
  free(heads);
  free(next);
  free(ends);
  return status;
}

static iec_status plan_op(gpu_plan *plan, gpu_op *op, iec_error *err) {
  op->first_launch = plan->launch_count;
  iec_status status = op->impl->plan(plan, op, err);
  if (!status) status = gpu_grid_split(plan, op->first_launch, err);
  op->launch_count = plan->launch_count - op->first_launch;
  return status;
}

static iec_status make(gpu_plan *plan, iec_error *err) {
  gpu_graph *graph = plan->graph;
  GPU_TRY(gpu_passes_run(graph, err));
  plan->staging =
      gpu_graph_alloc(graph, (size_t)(graph->input_count + graph->output_count) * sizeof *plan->staging);
  if (!plan->staging) return gpu_no_memory(err);
  for (int32_t i = 0; graph->half && i < graph->input_count; i++)
    if (graph->inputs[i]->dtype == IEC_F32 && graph->inputs[i]->count)
      GPU_TRY(border(plan, graph->inputs[i], 0, &plan->staging[i], err));
  for (int32_t i = 0; i < graph->op_count; i++)
    if (graph->ops[i]) GPU_TRY(plan_op(plan, graph->ops[i], err));
  for (int32_t i = 0; graph->half && i < graph->output_count; i++)
    if (graph->outputs[i]->dtype == IEC_F32 && graph->outputs[i]->count)
      GPU_TRY(border(plan, graph->outputs[i], 1, &plan->staging[graph->input_count + i], err));
  find_lifetimes(plan);
  return assign_memory(plan, err);
}

iec_status gpu_plan_create(const iec_host_api *host, gpu_context *context, gpu_graph *graph,
                           const gpu_settings *settings, gpu_plan **out, iec_error *err) {
  *out = NULL;
  gpu_plan *plan = calloc(1, sizeof *plan);
  if (!plan) {
    gpu_graph_release(graph);
    return gpu_no_memory(err);
  }
  plan->host = host;
  plan->context = context;
  plan->graph = graph;
  plan->settings = settings;
  plan->tuning = gpu_tuning_open(context, settings);
  iec_status status = make(plan, err);
  gpu_tuning_close(plan->tuning);
  plan->tuning = NULL;
  plan->settings = NULL;
  if (status)
    gpu_plan_release(plan);
  else
    *out = plan;
  return status;
}

void gpu_plan_release(gpu_plan *plan) {
  if (!plan) return;
  for (int32_t i = 0; i < plan->launch_count; i++) gpu_host_release(plan->launches[i].host);
  for (int32_t i = 0; i < plan->constant_count; i++)
    if (!ocl_forked()) gpu_api(plan->context)->ReleaseMemObject(plan->constants[i]);
  free(plan->constants);
  free(plan->slots);
  free(plan->launches);
  gpu_graph_release(plan->graph);
  free(plan);
}
