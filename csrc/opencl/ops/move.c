/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds that move elements: Concat, Split, Slice, Reshape, Transpose, Tile, Broadcast, Pad, Gather. */
#include <stdio.h>
#include <string.h>

#include "opencl/half.h"
#include "opencl/ops/nd.h"

/* As a buffer copy, through tiles, or one by one. */
iec_status gpu_move(gpu_plan *plan, gpu_op *op, const gpu_value *x, int64_t x_offset, const gpu_value *y,
                    int64_t y_offset, int32_t rank, const int64_t *sizes, int64_t (*strides)[GPU_ND],
                    iec_error *err) {
  int32_t lists[8][8];
  const int32_t joined = gpu_nd_join(rank, sizes, 2, strides, lists);
  const int64_t count = gpu_product(sizes, 0, rank);
  const size_t element = gpu_element_size(plan->graph, x);
  const int32_t *size = lists[0], *from = lists[1], *to = lists[2];
  if (joined == 1 && (count == 1 || (from[0] == 1 && to[0] == 1)))
    return gpu_launch_copy(plan, op, x, (size_t)x_offset * element, y, (size_t)y_offset * element,
                           (size_t)count * element, err);
  const int32_t last = joined - 1;
  const int swapped = joined >= 2 && joined <= 3 && !x_offset && !y_offset && from[last - 1] == 1 &&
                      from[last] == size[last - 1] && to[last] == 1 && to[last - 1] == size[last] &&
                      size[last] > 8 && size[last - 1] > 8 &&
                      (joined == 2 || (from[0] == size[1] * size[2] && to[0] == from[0])) &&
                      gpu_context_device(plan->context)->most_items >= 128;
  gpu_launch *launch =
      gpu_launch_kernel(plan, op, "move", swapped ? "transpose" : "copy_nd", gpu_word_option(plan, x), err);
  if (!launch) return IEC_GENERAL_ERROR;
  gpu_arg_value(launch, x);
  gpu_arg_value(launch, y);
  if (swapped) { /* x is [size[last]][size[last - 1]] */
    gpu_arg_int(launch, size[last]);
    gpu_arg_int(launch, size[last - 1]);
    const int64_t groups[3] = {(size[last - 1] + 15) / 16, (size[last] + 15) / 16, joined == 3 ? size[0] : 1},
                  local[3] = {16, 8, 1};
    gpu_launch_groups(launch, groups, local);
    return IEC_OK;
  }
  gpu_arg_int(launch, count);
  gpu_arg_int(launch, joined);
  GPU_TRY(gpu_arg_lists(plan, launch, (const int32_t (*)[8])lists, 3, err));
  gpu_arg_int(launch, x_offset);
  gpu_arg_int(launch, y_offset);
  gpu_launch_size(launch, count, 1, 1);
  return IEC_OK;
}

/* Can axes be joined to at most 8? Always, as ranks are at most 8, except for Tile. */
static int same_type(const gpu_op *op) {
  for (int32_t i = 0; i < op->input_count; i++)
    if (op->inputs[i]->dtype != op->outputs[0]->dtype) return 0;
  return 1;
}

/* ---- Concat, Split */

static int supports_concat(const gpu_op *op) {
  if (op->input_count < 1 || op->output_count != 1 || !op->outputs[0] || op->outputs[0]->count > INT32_MAX ||
      op->outputs[0]->count < 1)
    return 0;
  const int64_t axis = gpu_int(op, "axis", -1);
  if (axis < 0 || axis >= op->outputs[0]->ndim) return 0;
  for (int32_t i = 0; i < op->input_count; i++)
    if (!op->inputs[i] || op->inputs[i]->ndim != op->outputs[0]->ndim) return 0;
  return same_type(op);
}

iec_status gpu_move_part(gpu_plan *plan, gpu_op *op, const gpu_value *x, const gpu_value *y,
                         const gpu_value *part, int64_t offset, iec_error *err) {
  int64_t strides[2][GPU_ND];
  gpu_nd_strides(x->shape, x->ndim, strides[0]);
  gpu_nd_strides(y->shape, y->ndim, strides[1]);
  return gpu_move(plan, op, x, part == y ? offset : 0, y, part == y ? 0 : offset, part->ndim, part->shape,
                  strides, err);
}

static iec_status plan_concat(gpu_plan *plan, gpu_op *op, iec_error *err) {
  const gpu_value *y = op->outputs[0];
  const int32_t axis = (int32_t)gpu_int(op, "axis", 0);
  const int64_t step = gpu_product(y->shape, axis + 1, y->ndim);
  int64_t at = 0;
  for (int32_t i = 0; i < op->input_count; i++) {
    const gpu_value *x = op->inputs[i];
    if (x->count) GPU_TRY(gpu_move_part(plan, op, x, y, x, at * step, err));
    at += x->shape[axis];
  }
  op->exec_type = "concat";
  return IEC_OK;
}

static int supports_split(const gpu_op *op) {
  if (op->input_count != 1 || op->output_count < 1 || !op->inputs[0] || op->inputs[0]->count > INT32_MAX ||
      op->inputs[0]->count < 1)
    return 0;
  const int64_t axis = gpu_int(op, "axis", -1);
  if (axis < 0 || axis >= op->inputs[0]->ndim) return 0;
  for (int32_t i = 0; i < op->output_count; i++)
    if (!op->outputs[i] || op->outputs[i]->dtype != op->inputs[0]->dtype ||
        op->outputs[i]->ndim != op->inputs[0]->ndim)
      return 0;
  return 1;
}

static iec_status plan_split(gpu_plan *plan, gpu_op *op, iec_error *err) {
  const gpu_value *x = op->inputs[0];
  const int32_t axis = (int32_t)gpu_int(op, "axis", 0);
  const int64_t step = gpu_product(x->shape, axis + 1, x->ndim);
  int64_t at = 0;
  for (int32_t i = 0; i < op->output_count; i++) {
    const gpu_value *y = op->outputs[i];
    if (y->count && (y->user_count || y->output_count))
      GPU_TRY(gpu_move_part(plan, op, x, y, y, at * step, err));
    at += y->shape[axis];
  }
  op->exec_type = "split";
  return IEC_OK;
}

/* ---- Slice, Transpose, Broadcast, Tile, Reshape: strides of the input under the output */

/* Strides and offset of the input for each axis of `sizes` (of GPU_ND at most), `rank` of them; 0 when the
 * node does not fit. */
static int walk(const gpu_op *op, int32_t *rank, int64_t *sizes, int64_t *from, int64_t *to,
                int64_t *offset) {
  const gpu_value *x = op->inputs[0], *y = op->outputs[0];
  int64_t own[IEC_MAX_NDIM];
  gpu_nd_strides(x->shape, x->ndim, own);
  gpu_nd_strides(y->shape, y->ndim, to);
  memcpy(sizes, y->shape, sizeof y->shape);
  *rank = y->ndim;
  *offset = 0;
  if (strcmp(op->kind, "Broadcast") == 0) return gpu_nd_broadcast(x, y, from);
  if (strcmp(op->kind, "Reshape") == 0) {
    gpu_nd_strides(y->shape, y->ndim, from);
    return x->count == y->count;
  }
  if (x->ndim != y->ndim) return 0;
  const size_t axes = (size_t)x->ndim;
  if (strcmp(op->kind, "Slice") == 0) {
    const int64_t *begins = gpu_ints_of(op, "begins", axes), *steps = gpu_ints_of(op, "strides", axes);
    if (!begins || !steps) return axes == 0;
    for (size_t i = 0; i < axes; i++) {
      from[i] = own[i] * steps[i];
      *offset += own[i] * begins[i];
    }
    return 1;
  }
  if (strcmp(op->kind, "Transpose") == 0) {
    const int64_t *order = gpu_ints_of(op, "order", axes);
    if (!order) return axes == 0;
    for (size_t i = 0; i < axes; i++) {
      if (order[i] < 0 || order[i] >= (int64_t)axes || y->shape[i] != x->shape[order[i]]) return 0;
      from[i] = own[order[i]];
    }
    return 1;
  }
  const int64_t *repeats = gpu_ints_of(op, "repeats", axes); /* Tile: each axis as [repeats][size] */
  if (!repeats) return axes == 0;
  *rank = 2 * y->ndim;
  for (int32_t i = y->ndim - 1; i >= 0; i--) {
    int64_t size;
    if (__builtin_mul_overflow(x->shape[i], repeats[i], &size) || size != y->shape[i]) return 0;
    sizes[2 * i] = repeats[i];
    sizes[2 * i + 1] = x->shape[i];
    from[2 * i] = 0;
    from[2 * i + 1] = own[i];
    to[2 * i + 1] = to[i];
    to[2 * i] = to[i] * x->shape[i];
  }
  return 1;
}

static int supports_walk(const gpu_op *op) {
  int32_t rank, lists[8][8];
  int64_t sizes[GPU_ND], strides[2][GPU_ND], offset;
  return op->input_count > 0 && gpu_ports(op, 1, 1) && op->inputs[0]->dtype == op->outputs[0]->dtype &&
         walk(op, &rank, sizes, strides[0], strides[1], &offset) &&
         gpu_nd_join(rank, sizes, 2, strides, lists) > 0;
}

static iec_status plan_walk(gpu_plan *plan, gpu_op *op, iec_error *err) {
  int32_t rank;
  int64_t sizes[GPU_ND], strides[2][GPU_ND], offset;
  walk(op, &rank, sizes, strides[0], strides[1], &offset);
  return gpu_move(plan, op, op->inputs[0], offset, op->outputs[0], 0, rank, sizes, strides, err);
}

/* ---- Pad */

static const char *const pad_modes[] = {"constant", "edge", "reflect", "symmetric", NULL};

static int supports_pad(const gpu_op *op) {
  if (!gpu_ports(op, 1, 1) || op->inputs[0]->dtype != op->outputs[0]->dtype ||
      op->inputs[0]->ndim != op->outputs[0]->ndim)
    return 0;
  return gpu_ints_of(op, "pads_begin", (size_t)op->inputs[0]->ndim) &&
         gpu_index(gpu_str(op, "mode", ""), pad_modes) >= 0;
}

/* The padding value as the bytes of an element. */
static size_t pad_value(const gpu_plan *plan, const gpu_value *x, double value, char out[8]) {
  const int64_t whole = (int64_t)value;
  const float single = (float)value;
  const uint16_t half = gpu_half_from_float(single);
  const size_t size = gpu_element_size(plan->graph, x);
  const int is_float = x->dtype == IEC_F32 || x->dtype == IEC_F16;
  if (x->dtype == IEC_F64)
    memcpy(out, &value, sizeof value);
  else if (is_float)
    memcpy(out, size == 2 ? (const void *)&half : (const void *)&single, size);
  else
    memcpy(out, &whole, size); /* the low bytes: little-endian, as every host that OpenCL runs on here */
  return size;
}

static iec_status plan_pad(gpu_plan *plan, gpu_op *op, iec_error *err) {
  const gpu_value *x = op->inputs[0], *y = op->outputs[0];
  const int64_t *pads = gpu_ints_of(op, "pads_begin", (size_t)x->ndim);
  int64_t strides[IEC_MAX_NDIM];
  int32_t lists[4][8] = {{0}};
  char value[8];
  gpu_nd_strides(x->shape, x->ndim, strides);
  for (int32_t i = 0; i < x->ndim; i++) {
    lists[0][i] = (int32_t)y->shape[i];
    lists[1][i] = (int32_t)x->shape[i];
    lists[2][i] = (int32_t)strides[i];
    lists[3][i] = (int32_t)pads[i];
  }
  gpu_launch *launch = gpu_launch_kernel(plan, op, "move", "pad", gpu_word_option(plan, x), err);
  if (!launch) return IEC_GENERAL_ERROR;
  gpu_arg_value(launch, x);
  gpu_arg_value(launch, y);
  gpu_arg_int(launch, y->count);
  gpu_arg_int(launch, x->ndim);
  GPU_TRY(gpu_arg_lists(plan, launch, (const int32_t (*)[8])lists, 4, err));
  gpu_arg_int(launch, gpu_index(gpu_str(op, "mode", ""), pad_modes));
  size_t size = pad_value(plan, x, gpu_float(op, "value", 0), value);
  gpu_arg_bytes(launch, value, size);
  gpu_launch_size(launch, y->count, 1, 1);
  return IEC_OK;
}

/* ---- Gather */

static int supports_gather(const gpu_op *op) {
  if (!gpu_ports(op, 2, 1) || op->inputs[0]->dtype != op->outputs[0]->dtype) return 0;
  const gpu_value *x = op->inputs[0], *indices = op->inputs[1];
  const int64_t axis = gpu_int(op, "axis", 0), batch = gpu_int(op, "batch_dims", 0);
  return (indices->dtype == IEC_I32 || indices->dtype == IEC_I64) && axis >= 0 && axis < x->ndim &&
         batch >= 0 && batch <= axis && batch <= indices->ndim &&
         op->outputs[0]->count ==
             x->count / x->shape[axis] * gpu_product(indices->shape, (int32_t)batch, indices->ndim);
}

static iec_status plan_gather(gpu_plan *plan, gpu_op *op, iec_error *err) {
  const gpu_value *x = op->inputs[0], *indices = op->inputs[1], *y = op->outputs[0];
  const int32_t axis = (int32_t)gpu_int(op, "axis", 0), batch = (int32_t)gpu_int(op, "batch_dims", 0);
  char options[64];
  snprintf(options, sizeof options, "%s -DI=%s", gpu_word_option(plan, x),
           indices->dtype == IEC_I32 ? "int" : "long");
  gpu_launch *launch = gpu_launch_kernel(plan, op, "move", "gather", options, err);
  if (!launch) return IEC_GENERAL_ERROR;
  gpu_arg_value(launch, x);
  gpu_arg_value(launch, indices);
  gpu_arg_value(launch, y);
  gpu_arg_int(launch, y->count);
  gpu_arg_int(launch, gpu_product(x->shape, batch, axis));
  gpu_arg_int(launch, x->shape[axis]);
  gpu_arg_int(launch, gpu_product(indices->shape, batch, indices->ndim));
  gpu_arg_int(launch, gpu_product(x->shape, axis + 1, x->ndim));
  gpu_arg_int(launch, gpu_int(op, "wrap", 0));
  gpu_launch_size(launch, y->count, 1, 1);
  return IEC_OK;
}

const gpu_kind gpu_kinds_move[] = {
    {"Concat", supports_concat, NULL, plan_concat}, {"Split", supports_split, NULL, plan_split},
    {"Slice", supports_walk, NULL, plan_walk},      {"Transpose", supports_walk, NULL, plan_walk},
    {"Tile", supports_walk, NULL, plan_walk},       {"Broadcast", supports_walk, NULL, plan_walk},
    {"Reshape", supports_walk, NULL, plan_walk},    {"Pad", supports_pad, NULL, plan_pad},
    {"Gather", supports_gather, NULL, plan_gather}, {0}};
