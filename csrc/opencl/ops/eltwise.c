/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds Unary, Binary, FakeQuantize, Select and Convert. */
#include <stdio.h>
#include <string.h>

#include "opencl/ops/nd.h"

/* Numbers: kernels/binary.cl and compare.cl. */
static const char *const arithmetic_names[] = {
    "add",          "sub", "mul",       "div",   "max",       "min", "pow",
    "squared_diff", "mod", "floor_mod", "prelu", "floor_div", NULL};
static const char *const compare_names[] = {
    "equal",         "not_equal",   "less",       "less_equal",  "greater",
    "greater_equal", "logical_and", "logical_or", "logical_xor", NULL};

/* Channels of a result are those of axis 1. */
static int64_t channels(const gpu_op *op, int64_t *inner) {
  const gpu_value *y = op->outputs[0];
  const int32_t axis = y->ndim > 1 ? 1 : 0;
  *inner = gpu_product(y->shape, axis + 1, y->ndim);
  return y->dtype != IEC_F32 ? 0 : y->ndim ? y->shape[axis] : 1;
}

static iec_status add_posts(gpu_plan *plan, gpu_launch *launch, iec_error *err) {
  int64_t inner, count = channels(launch->op, &inner);
  gpu_arg_int(launch, inner > 0 ? inner : 1);
  gpu_arg_int(launch, count > 0 ? count : 1);
  return gpu_arg_posts(plan, launch, err);
}

static gpu_launch *launch_op(gpu_plan *plan, gpu_op *op, const char *file, const char *kernel,
                             const gpu_value *type, int32_t code, iec_error *err) {
  char options[64];
  snprintf(options, sizeof options, "%s -DOP=%d", gpu_type_option(type), code);
  return gpu_launch_kernel(plan, op, file, kernel, options, err);
}

/* ---- Unary */

static int32_t unary_code(const gpu_op *op) { return gpu_index(gpu_str(op, "op", ""), gpu_unary_names); }

static int supports_unary(const gpu_op *op) {
  static const char *const whole[] = {"relu", "clamp", "abs", "neg", "sign", NULL};
  if (!gpu_ports(op, 1, 1) || op->inputs[0]->dtype != op->outputs[0]->dtype) return 0;
  const char *name = gpu_str(op, "op", "");
  switch (op->inputs[0]->dtype) {
    case IEC_F32: return unary_code(op) >= 0;
    case IEC_I32:
    case IEC_I64: return gpu_index(name, whole) >= 0;
    default: return op->inputs[0]->dtype == IEC_BOOL && strcmp(name, "not") == 0;
  }
}

static iec_status plan_unary(gpu_plan *plan, gpu_op *op, iec_error *err) {
  const gpu_value *y = op->outputs[0];
  gpu_launch *launch = launch_op(plan, op, "unary", "unary", y, unary_code(op), err);
  if (!launch) return IEC_GENERAL_ERROR;
  gpu_arg_value(launch, op->inputs[0]);
  gpu_arg_value(launch, y);
  gpu_arg_int(launch, y->count);
  gpu_arg_float(launch, gpu_float(op, "alpha", 0));
  gpu_arg_float(launch, gpu_float(op, "beta", 0));
  if (y->dtype == IEC_F32) {
    gpu_arg_float(launch, gpu_float(op, "gamma", 0));
    GPU_TRY(add_posts(plan, launch, err));
  }
  gpu_launch_size(launch, y->count, 1, 1);
  return IEC_OK;
}

/* ---- broadcasting */

/* Lists of sizes and strides of the first `count` inputs; the rank, -1 when they do not fit. */
static int32_t lists_of(const gpu_op *op, int32_t count, int32_t (*lists)[8]) {
  int64_t strides[6][GPU_ND];
  for (int32_t i = 0; i < count; i++)
    if (!gpu_nd_broadcast(op->inputs[i], op->outputs[0], strides[i])) return -1;
  return gpu_nd_join(op->outputs[0]->ndim, op->outputs[0]->shape, count, strides, lists);
}

static int supports_binary(const gpu_op *op) {
  int32_t lists[8][8];
  if (!gpu_ports(op, 2, 1) || op->inputs[0]->dtype != op->inputs[1]->dtype || lists_of(op, 2, lists) < 0)
    return 0;
  const char *name = gpu_str(op, "op", "");
  const int32_t type = op->inputs[0]->dtype, result = op->outputs[0]->dtype,
                compare = gpu_index(name, compare_names);
  if (compare >= 0)
    return result == IEC_BOOL &&
           (type == IEC_BOOL || (compare < 6 && (type == IEC_F32 || type == IEC_I32 || type == IEC_I64)));
  if (gpu_index(name, arithmetic_names) < 0 || result != type) return 0;
  if (type == IEC_F32) return 1;
  return (type == IEC_I32 || type == IEC_I64) && strcmp(name, "pow") && strcmp(name, "floor_div");
}

static iec_status plan_binary(gpu_plan *plan, gpu_op *op, iec_error *err) {
  const gpu_value *y = op->outputs[0];
  const char *name = gpu_str(op, "op", "");
  const int32_t compare = gpu_index(name, compare_names);
  int32_t lists[8][8], rank = lists_of(op, 2, lists);
  gpu_launch *launch =
      compare >= 0 ? launch_op(plan, op, "compare", "compare", op->inputs[0], compare, err)
                   : launch_op(plan, op, "binary", "binary", y, gpu_index(name, arithmetic_names), err);
  if (!launch) return IEC_GENERAL_ERROR;
  gpu_arg_value(launch, op->inputs[0]);
  gpu_arg_value(launch, op->inputs[1]);
  gpu_arg_value(launch, y);
  gpu_arg_int(launch, y->count);
  gpu_arg_int(launch, rank);
  GPU_TRY(gpu_arg_lists(plan, launch, (const int32_t (*)[8])lists, 3, err));
  if (compare < 0 && y->dtype == IEC_F32) GPU_TRY(add_posts(plan, launch, err));
  gpu_launch_size(launch, y->count, 1, 1);
  return IEC_OK;
}

/* ---- FakeQuantize */

static int supports_quantize(const gpu_op *op) {
  int32_t lists[8][8];
  return gpu_ports(op, 5, 1) && gpu_all_float(op) && gpu_int(op, "levels", 0) > 1 &&
         lists_of(op, 5, lists) > 0;
}

static iec_status plan_quantize(gpu_plan *plan, gpu_op *op, iec_error *err) {
  const gpu_value *y = op->outputs[0];
  int32_t lists[8][8], rank = lists_of(op, 5, lists);
  gpu_launch *launch = gpu_launch_kernel(plan, op, "quantize", "fake_quantize", "", err);
  if (!launch) return IEC_GENERAL_ERROR;
  for (int i = 0; i < 5; i++) gpu_arg_value(launch, op->inputs[i]);
  gpu_arg_value(launch, y);
  gpu_arg_int(launch, y->count);
  gpu_arg_int(launch, rank);
  gpu_arg_float(launch, (double)(gpu_int(op, "levels", 2) - 1));
  GPU_TRY(gpu_arg_lists(plan, launch, (const int32_t (*)[8])lists, 6, err));
  GPU_TRY(add_posts(plan, launch, err));
  gpu_launch_size(launch, y->count, 1, 1);
  return IEC_OK;
}

/* ---- Select */

static int supports_select(const gpu_op *op) {
  int32_t lists[8][8];
  if (!gpu_ports(op, 3, 1) || op->inputs[0]->dtype != IEC_BOOL || lists_of(op, 3, lists) < 0) return 0;
  const int32_t type = op->outputs[0]->dtype;
  return op->inputs[1]->dtype == type && op->inputs[2]->dtype == type &&
         (type == IEC_F32 || type == IEC_I32 || type == IEC_I64 || type == IEC_BOOL || type == IEC_U8);
}

static iec_status plan_select(gpu_plan *plan, gpu_op *op, iec_error *err) {
  const gpu_value *y = op->outputs[0];
  int32_t lists[8][8], rank = lists_of(op, 3, lists);
  gpu_launch *launch = launch_op(plan, op, "compare", "choose", y, 0, err);
  if (!launch) return IEC_GENERAL_ERROR;
  for (int i = 0; i < 3; i++) gpu_arg_value(launch, op->inputs[i]);
  gpu_arg_value(launch, y);
  gpu_arg_int(launch, y->count);
  gpu_arg_int(launch, rank);
  GPU_TRY(gpu_arg_lists(plan, launch, (const int32_t (*)[8])lists, 4, err));
  gpu_launch_size(launch, y->count, 1, 1);
  return IEC_OK;
}

/* ---- Convert */

static const char *type_name(int32_t dtype) {
  switch (dtype) {
    case IEC_F32: return "float";
    case IEC_F16: return "half";
    case IEC_I32: return "int";
    case IEC_U32: return "uint";
    case IEC_I64: return "long";
    case IEC_U64: return "ulong";
    case IEC_I16: return "short";
    case IEC_U16: return "ushort";
    case IEC_I8: return "char";
    default: return "uchar";
  }
}

static int is_float(int32_t dtype) { return dtype == IEC_F32 || dtype == IEC_F16; }

static int supports_convert(const gpu_op *op) {
  if (!gpu_ports(op, 1, 1) || op->inputs[0]->count != op->outputs[0]->count) return 0;
  const int32_t from = op->inputs[0]->dtype, to = op->outputs[0]->dtype;
  /* float64 needs an extension; halves of one type to another would need two roundings to be told apart */
  return from != IEC_F64 && to != IEC_F64 && from != IEC_BF16 && to != IEC_BF16;
}

static iec_status plan_convert(gpu_plan *plan, gpu_op *op, iec_error *err) {
  const gpu_value *x = op->inputs[0], *y = op->outputs[0];
  const int half = plan->graph->half;
  const int32_t from = half && x->dtype == IEC_F32 ? IEC_F16 : x->dtype,
                to = half && y->dtype == IEC_F32 ? IEC_F16 : y->dtype;
  char options[160], cast[32] = "";
  int wrap = 0;
  if (from == to) return gpu_launch_copy(plan, op, x, 0, y, 0, gpu_value_bytes(plan->graph, y), err);
  if (is_float(from) && !is_float(to) && to != IEC_BOOL) {
    wrap = strcmp(gpu_str(op, "round", "truncate"), "nearest") != 0;
    snprintf(cast, sizeof cast, "convert_%s%s", type_name(to), wrap ? "" : "_sat_rte");
  } else if (!is_float(from) && !is_float(to) && strcmp(gpu_str(op, "round", "truncate"), "nearest") == 0) {
    snprintf(cast, sizeof cast, "convert_%s_sat", type_name(to));
  } else {
    snprintf(cast, sizeof cast, "convert_%s", type_name(to));
  }
  snprintf(options, sizeof options,
           "-DFROM=%s -DTO=%s -DFROM_HALF=%d -DTO_HALF=%d -DTO_BOOL=%d -DWRAP=%d -DCAST=%s", type_name(from),
           type_name(to), from == IEC_F16, to == IEC_F16, to == IEC_BOOL, wrap, cast);
  gpu_launch *launch = gpu_launch_kernel(plan, op, "convert", "convert", options, err);
  if (!launch) return IEC_GENERAL_ERROR;
  gpu_arg_value(launch, x);
  gpu_arg_value(launch, y);
  gpu_arg_int(launch, y->count);
  gpu_launch_size(launch, y->count, 1, 1);
  return IEC_OK;
}

const gpu_kind gpu_kinds_eltwise[] = {{"Unary", supports_unary, channels, plan_unary},
                                      {"Binary", supports_binary, channels, plan_binary},
                                      {"FakeQuantize", supports_quantize, channels, plan_quantize},
                                      {"Select", supports_select, NULL, plan_select},
                                      {"Convert", supports_convert, NULL, plan_convert},
                                      {0}};
