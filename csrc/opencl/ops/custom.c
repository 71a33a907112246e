/* SPDX-License-Identifier: Apache-2.0 */
/* Layers whose kernel is an OpenCL text of the user's. The host has found arguments, work sizes and macros;
 * here tensors are brought into the order that the kernel wants, and float32 where they lie in memory as
 * half. */
#include <string.h>

#include "opencl/ops/nd.h"

enum { MOST_PORTS = 1024 };

typedef struct argument { /* as the attribute has it */
  int64_t is_output, port, format;
} argument;

static const argument *arguments(const gpu_op *op, size_t *count) {
  const int64_t *codes = gpu_ints(op, "opencl/arguments", count);
  *count /= 3;
  return (const argument *)(const void *)codes;
}

int gpu_is_custom(const gpu_op *op) { return gpu_str(op, "opencl/source", NULL) != NULL; }

static int supports(const gpu_op *op) {
  size_t count;
  const argument *list = arguments(op, &count);
  if (!list || count < 1 || count > GPU_MAX_ARGS || op->input_count > MOST_PORTS) return 0;
  for (size_t i = 0; i < count; i++) {
    const argument *a = &list[i];
    const int64_t ports = a->is_output ? op->output_count : op->input_count;
    if (a->port < 0 || a->port >= ports || a->format < 0 || a->format > 3) return 0;
    const gpu_value *value = (a->is_output ? op->outputs : op->inputs)[a->port];
    if (!value || (a->format && value->ndim > 4)) return 0;
  }
  for (int32_t o = 0; o < op->output_count; o++) { /* the kernel writes every output */
    int written = 0;
    for (size_t i = 0; i < count; i++) written |= list[i].is_output && list[i].port == o;
    if (!written && op->outputs[o]) return 0;
  }
  return gpu_ports(op, 0, 1);
}

/* From the plain order to another one, or back. */
static iec_status reorder(gpu_plan *plan, gpu_op *op, const gpu_value *x, const gpu_value *y, int64_t format,
                          int back, iec_error *err) {
  static const int orders[4][4] = {{0, 1, 2, 3}, {0, 2, 3, 1}, {2, 3, 1, 0}, {1, 2, 3, 0}}; /* axes of BFYX */
  int64_t plain[4] = {1, 1, 1, 1}, own[4], sizes[4], strides[2][GPU_ND];
  const gpu_value *shaped = back ? y : x;
  memcpy(plain, shaped->shape, (size_t)shaped->ndim * sizeof *plain);
  gpu_nd_strides(plain, 4, own);
  for (int i = 0; i < 4; i++) {
    sizes[i] = plain[orders[format][i]];
    strides[back][i] = own[orders[format][i]];
  }
  gpu_nd_strides(sizes, 4, strides[!back]);
  return gpu_move(plan, op, x, 0, y, 0, 4, sizes, strides, err);
}

typedef struct port { /* what lies between a tensor of the layer and its argument; NULL: nothing */
  gpu_value *wide, *ordered;
  int done;
} port;

static iec_status stage(gpu_plan *plan, gpu_op *op, const argument *a, port *p, gpu_value **out,
                        iec_error *err) {
  gpu_value *value = (a->is_output ? op->outputs : op->inputs)[a->port];
  if (!p->done && plan->graph->half && value->dtype == IEC_F32) {
    p->wide = gpu_scratch(plan, IEC_U32, value->ndim, value->shape, err);
    if (!p->wide) return IEC_OUT_OF_MEMORY;
    if (!a->is_output) GPU_TRY(gpu_convert_storage(plan, op, value, p->wide, err));
  }
  if (p->wide) value = p->wide;
  if (!p->done && a->format) {
    p->ordered = gpu_scratch(plan, value->dtype, value->ndim, value->shape, err);
    if (!p->ordered) return IEC_OUT_OF_MEMORY;
    if (!a->is_output) GPU_TRY(reorder(plan, op, value, p->ordered, a->format, 0, err));
  }
  p->done = 1;
  *out = p->ordered ? p->ordered : value;
  return IEC_OK;
}

static iec_status unstage(gpu_plan *plan, gpu_op *op, const argument *a, port *p, iec_error *err) {
  gpu_value *value = op->outputs[a->port];
  if (p->ordered) GPU_TRY(reorder(plan, op, p->ordered, p->wide ? p->wide : value, a->format, 1, err));
  if (p->wide) GPU_TRY(gpu_convert_storage(plan, op, p->wide, value, err));
  p->ordered = p->wide = NULL;
  return IEC_OK;
}

/* The kernel is there and takes as many arguments as are bound. */
static iec_status check(const gpu_plan *plan, const gpu_op *op, cl_program program, const char *entry,
                        size_t count, iec_error *err) {
  const ocl_api *api = gpu_api(plan->context);
  const char *file = gpu_str(op, "opencl/file", "");
  cl_int code;
  cl_uint wanted = 0;
  cl_kernel kernel = api->CreateKernel(program, entry, &code);
  if (!kernel)
    return gpu_fail(err, IEC_PARAMETER_MISMATCH, op->layer,
                    "%s: custom layer %s: entry of <Kernel> is '%s': its sources have no such kernel (%s)",
                    file, op->layer_type, entry, ocl_error_name(code));
  code = api->GetKernelInfo(kernel, CL_KERNEL_NUM_ARGS, sizeof wanted, &wanted, NULL);
  api->ReleaseKernel(kernel);
  if (code == CL_SUCCESS && wanted != count)
    return gpu_fail(err, IEC_PARAMETER_MISMATCH, op->layer,
                    "%s: custom layer %s: kernel %s takes %u arguments, <Buffers> has %zu", file,
                    op->layer_type, entry, wanted, count);
  return IEC_OK;
}

static char *copy_text(gpu_plan *plan, const char *text) {
  char *copy = gpu_graph_alloc(plan->graph, strlen(text) + 1);
  return copy ? strcpy(copy, text) : NULL;
}

static iec_status plan_staged(gpu_plan *plan, gpu_op *op, port *ports, iec_error *err) {
  size_t count, dims, local_dims;
  const argument *list = arguments(op, &count);
  const int64_t *global = gpu_ints(op, "opencl/global", &dims),
                *local = gpu_ints(op, "opencl/local", &local_dims);
  const char *entry = copy_text(plan, gpu_str(op, "opencl/entry", ""));
  gpu_value *values[GPU_MAX_ARGS];
  cl_program program;
  if (!entry) return gpu_no_memory(err);
  for (size_t i = 0; i < count; i++)
    GPU_TRY(stage(plan, op, &list[i], &ports[list[i].port + (list[i].is_output ? op->input_count : 0)],
                  &values[i], err));
  const gpu_custom_source source = {.text = gpu_str(op, "opencl/source", ""),
                                    .file = gpu_str(op, "opencl/file", ""),
                                    .layer = op->layer,
                                    .layer_type = op->layer_type};
  GPU_TRY(gpu_program_custom(plan->context, &source, gpu_str(op, "opencl/options", ""),
                             plan->settings->cache_dir, &program, err));
  GPU_TRY(check(plan, op, program, entry, count, err));
  gpu_launch *launch = gpu_launch_program(plan, op, program, entry, err);
  if (!launch) return IEC_OUT_OF_MEMORY;
  for (size_t i = 0; i < count; i++) gpu_arg_value(launch, values[i]);
  launch->whole = 1;
  for (size_t i = 0; i < 3; i++) {
    launch->global[i] = global && i < dims ? (size_t)global[i] : 1;
    launch->local[i] = !local_dims ? 0 : i < local_dims ? (size_t)local[i] : 1;
  }
  for (size_t i = 0; i < count; i++)
    if (list[i].is_output) GPU_TRY(unstage(plan, op, &list[i], &ports[list[i].port + op->input_count], err));
  op->exec_type = "custom";
  return IEC_OK;
}

static iec_status plan_custom(gpu_plan *plan, gpu_op *op, iec_error *err) {
  port *ports = calloc((size_t)(op->input_count + op->output_count), sizeof *ports);
  if (!ports) return gpu_no_memory(err);
  iec_status status = plan_staged(plan, op, ports, err);
  free(ports);
  return status;
}

const gpu_kind gpu_kind_custom = {"", supports, NULL, plan_custom};
