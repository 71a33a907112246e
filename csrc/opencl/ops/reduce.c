/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds Reduce, Softmax, LogSoftmax, MVN, NormalizeL2, LRN. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "opencl/ops/nd.h"

/* Numbers: kernels/reduce.cl. */
static const char *const reduce_names[] = {"sum",     "mean",        "max",        "min", "prod", "l1", "l2",
                                           "log_sum", "log_sum_exp", "sum_square", "and", "or",   NULL};
enum { REDUCE_MAX = 2, REDUCE_MIN = 3, REDUCE_PROD = 4, REDUCE_AND = 10 };

typedef struct split { /* axes of a tensor that stay and that are reduced: sizes, strides */
  int32_t lists[4][8];
  int32_t kept, reduced;
  int64_t results, count;
} split;

/* 0 when an axis does not exist. */
static int describe(const gpu_op *op, split *s) {
  const gpu_value *x = op->inputs[0];
  size_t count;
  const int64_t *axes = gpu_ints(op, "axes", &count);
  int64_t strides[IEC_MAX_NDIM], sizes[2][IEC_MAX_NDIM], own[2][1][GPU_ND];
  int32_t ranks[2] = {0, 0}, is_reduced[IEC_MAX_NDIM] = {0};
  gpu_nd_strides(x->shape, x->ndim, strides);
  for (size_t i = 0; i < count; i++) {
    if (axes[i] < 0 || axes[i] >= x->ndim) return 0;
    is_reduced[axes[i]] = 1;
  }
  for (int32_t i = 0; i < x->ndim; i++) {
    const int which = is_reduced[i];
    sizes[which][ranks[which]] = x->shape[i];
    own[which][0][ranks[which]++] = strides[i];
  }
  s->kept = gpu_nd_join(ranks[0], sizes[0], 1, own[0], s->lists);
  s->reduced = gpu_nd_join(ranks[1], sizes[1], 1, own[1], s->lists + 2);
  s->results = gpu_product(sizes[0], 0, ranks[0]);
  s->count = gpu_product(sizes[1], 0, ranks[1]);
  return s->kept > 0 && s->reduced > 0;
}

/* Items of a work-group: enough for the elements, a power of two. */
static int64_t group_of(const gpu_plan *plan, int64_t count) {
  const size_t most = gpu_context_device(plan->context)->most_items;
  return count >= 512 && most >= 128 ? 128 : count >= 64 && most >= 32 ? 32 : 8;
}

static gpu_launch *launch_groups(gpu_plan *plan, gpu_op *op, const char *kernel, const char *type,
                                 int64_t results, int64_t count, iec_error *err) {
  char options[96];
  const int64_t groups[3] = {results, 1, 1}, local[3] = {group_of(plan, count), 1, 1};
  snprintf(options, sizeof options, "%s -DGROUP=%d", type, (int)local[0]);
  gpu_launch *launch = gpu_launch_kernel(plan, op, "reduce", kernel, options, err);
  if (launch) gpu_launch_groups(launch, groups, local);
  return launch;
}

/* ---- Reduce */

static int supports_reduce(const gpu_op *op) {
  split s;
  if (!gpu_ports(op, 1, 1) || op->inputs[0]->dtype != op->outputs[0]->dtype || !describe(op, &s)) return 0;
  const int32_t code = gpu_index(gpu_str(op, "op", ""), reduce_names), type = op->inputs[0]->dtype;
  if (code < 0 || s.results != op->outputs[0]->count) return 0;
  if (type == IEC_BOOL) return code >= REDUCE_AND;
  return type == IEC_F32 ? code < REDUCE_AND : (type == IEC_I32 || type == IEC_I64) && code <= 5;
}

static void start_value(gpu_launch *launch, int32_t type, int32_t code) {
  const float f = code == REDUCE_MAX    ? -INFINITY
                  : code == REDUCE_MIN  ? INFINITY
                  : code == REDUCE_PROD ? 1
                                        : 0;
  const int32_t i = code == REDUCE_MAX ? INT32_MIN : code == REDUCE_MIN ? INT32_MAX : code == REDUCE_PROD;
  const int64_t l = code == REDUCE_MAX ? INT64_MIN : code == REDUCE_MIN ? INT64_MAX : code == REDUCE_PROD;
  const uint8_t b = code == REDUCE_AND;
  if (type == IEC_F32)
    gpu_arg_bytes(launch, &f, sizeof f);
  else if (type == IEC_I32)
    gpu_arg_bytes(launch, &i, sizeof i);
  else if (type == IEC_I64)
    gpu_arg_bytes(launch, &l, sizeof l);
  else
    gpu_arg_bytes(launch, &b, sizeof b);
}

static iec_status plan_reduce(gpu_plan *plan, gpu_op *op, iec_error *err) {
  split s;
  const gpu_value *x = op->inputs[0];
  const int32_t code = gpu_index(gpu_str(op, "op", ""), reduce_names);
  describe(op, &s);
  gpu_launch *launch = launch_groups(plan, op, "reduce", gpu_type_option(x), s.results, s.count, err);
  if (!launch) return IEC_GENERAL_ERROR;
  gpu_arg_value(launch, x);
  gpu_arg_value(launch, op->outputs[0]);
  gpu_arg_int(launch, code);
  gpu_arg_int(launch, s.kept);
  gpu_arg_int(launch, s.reduced);
  gpu_arg_int(launch, s.count);
  start_value(launch, x->dtype, code);
  return gpu_arg_lists(plan, launch, (const int32_t (*)[8])s.lists, 4, err);
}

/* ---- Softmax, LogSoftmax */

static int supports_softmax(const gpu_op *op) {
  const int64_t axis = gpu_int(op, "axis", -1);
  return gpu_ports(op, 1, 1) && gpu_all_float(op) && axis >= 0 && axis < op->inputs[0]->ndim &&
         gpu_same_shape(op->inputs[0], op->outputs[0]);
}

static iec_status plan_softmax(gpu_plan *plan, gpu_op *op, iec_error *err) {
  const gpu_value *x = op->inputs[0];
  const int32_t axis = (int32_t)gpu_int(op, "axis", 0);
  const int64_t size = x->shape[axis], stride = gpu_product(x->shape, axis + 1, x->ndim),
                vectors = x->count / size;
  const int across = stride >= 16 || size < 16;
  gpu_launch *launch =
      launch_groups(plan, op, across ? "softmax_across" : "softmax", "-DT_FLOAT=1", vectors, size, err);
  if (!launch) return IEC_GENERAL_ERROR;
  gpu_arg_value(launch, x);
  gpu_arg_value(launch, op->outputs[0]);
  if (across) {
    gpu_arg_int(launch, vectors);
    gpu_launch_size(launch, vectors, 1, 1);
  }
  gpu_arg_int(launch, size);
  gpu_arg_int(launch, stride);
  gpu_arg_int(launch, strcmp(op->kind, "LogSoftmax") == 0);
  return IEC_OK;
}

/* ---- MVN, NormalizeL2 */

static int supports_normalize(const gpu_op *op) {
  split s;
  return gpu_ports(op, 1, 1) && gpu_all_float(op) && gpu_same_shape(op->inputs[0], op->outputs[0]) &&
         describe(op, &s);
}

static iec_status plan_normalize(gpu_plan *plan, gpu_op *op, iec_error *err) {
  split s;
  const int mvn = strcmp(op->kind, "MVN") == 0;
  const char *eps_mode = gpu_str(op, "eps_mode", "");
  describe(op, &s);
  gpu_launch *launch =
      launch_groups(plan, op, mvn ? "mvn" : "normalize_l2", "-DT_FLOAT=1", s.results, s.count, err);
  if (!launch) return IEC_GENERAL_ERROR;
  gpu_arg_value(launch, op->inputs[0]);
  gpu_arg_value(launch, op->outputs[0]);
  gpu_arg_int(launch, s.kept);
  gpu_arg_int(launch, s.reduced);
  gpu_arg_int(launch, s.count);
  if (mvn)
    gpu_arg_int(launch, !gpu_int(op, "normalize_variance", 1) ? 0 : strcmp(eps_mode, "outside") == 0 ? 2 : 1);
  else
    gpu_arg_int(launch, strcmp(eps_mode, "max") == 0);
  gpu_arg_float(launch, gpu_float(op, "eps", 0));
  return gpu_arg_lists(plan, launch, (const int32_t (*)[8])s.lists, 4, err);
}

/* ---- LRN */

static int supports_lrn(const gpu_op *op) {
  split s;
  return supports_normalize(op) && describe(op, &s) && gpu_int(op, "size", 0) % 2 == 1;
}

static iec_status plan_lrn(gpu_plan *plan, gpu_op *op, iec_error *err) {
  const gpu_value *x = op->inputs[0];
  size_t axis_count;
  const int64_t *axes = gpu_ints(op, "axes", &axis_count);
  const int64_t size = gpu_int(op, "size", 1);
  int32_t lists[3][8] = {{0}};
  int64_t strides[IEC_MAX_NDIM];
  gpu_nd_strides(x->shape, x->ndim, strides);
  for (int32_t i = 0; i < x->ndim; i++) {
    lists[0][i] = (int32_t)x->shape[i];
    lists[1][i] = (int32_t)strides[i];
  }
  for (size_t i = 0; i < axis_count; i++) lists[2][axes[i]] = 1;
  gpu_launch *launch = gpu_launch_kernel(plan, op, "reduce", "lrn", "-DT_FLOAT=1 -DGROUP=32", err);
  if (!launch) return IEC_GENERAL_ERROR;
  gpu_arg_value(launch, x);
  gpu_arg_value(launch, op->outputs[0]);
  gpu_arg_int(launch, x->count);
  gpu_arg_int(launch, x->ndim);
  gpu_arg_int(launch, size / 2);
  gpu_arg_float(launch, gpu_float(op, "alpha", 1) / pow((double)size, (double)axis_count));
  gpu_arg_float(launch, gpu_float(op, "beta", 1));
  gpu_arg_float(launch, gpu_float(op, "bias", 1));
  GPU_TRY(gpu_arg_lists(plan, launch, (const int32_t (*)[8])lists, 3, err));
  gpu_launch_size(launch, x->count, 1, 1);
  return IEC_OK;
}

const gpu_kind gpu_kinds_reduce[] = {{"Reduce", supports_reduce, NULL, plan_reduce},
                                     {"Softmax", supports_softmax, NULL, plan_softmax},
                                     {"LogSoftmax", supports_softmax, NULL, plan_softmax},
                                     {"MVN", supports_normalize, NULL, plan_normalize},
                                     {"NormalizeL2", supports_normalize, NULL, plan_normalize},
                                     {"LRN", supports_lrn, NULL, plan_lrn},
                                     {0}};
