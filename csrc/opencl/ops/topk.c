/* SPDX-License-Identifier: Apache-2.0 */
/* Kind TopK: many rows are searched by an item each, few long ones sorted by a work-group each. */
#include <stdio.h>
#include <string.h>

#include "opencl/kind.h"

enum { MOST_KEYS = 1 << 25, MOST_ITEMS = 256 };
enum { SHORT = 256, MANY_ROWS = 1024, FEW = 16 }; /* guesses: elements looked at, rows, values of each */

typedef struct sizes {
  int64_t outer, n, inner, k, padded;
} sizes;

static int describe(const gpu_op *op, sizes *s) {
  static const char *const modes[] = {"max", "min", NULL}, *const sorts[] = {"value", "index", "none", NULL};
  if (!gpu_ports(op, 1, 1) || op->output_count > 2) return 0;
  const gpu_value *x = op->inputs[0], *y = op->outputs[0],
                  *places = op->output_count > 1 ? op->outputs[1] : NULL;
  const int64_t axis = gpu_int(op, "axis", -1);
  if (axis < 0 || axis >= x->ndim || gpu_index(gpu_str(op, "mode", "max"), modes) < 0 ||
      gpu_index(gpu_str(op, "sort", "value"), sorts) < 0)
    return 0;
  s->outer = gpu_product(x->shape, 0, (int32_t)axis);
  s->n = x->shape[axis];
  s->inner = gpu_product(x->shape, (int32_t)axis + 1, x->ndim);
  s->k = gpu_int(op, "k", -1);
  for (s->padded = 1; s->padded < s->n;) s->padded *= 2;
  if (s->k < 1 || s->k > s->n || y->dtype != x->dtype || y->count != s->outer * s->k * s->inner) return 0;
  return !places || (places->count == y->count && (places->dtype == IEC_I32 || places->dtype == IEC_I64));
}

static int is_scanned(const sizes *s) {
  const int64_t rows = s->outer * s->inner;
  return s->k * s->n <= SHORT || (rows >= MANY_ROWS && s->k <= FEW);
}

static const char *type_option(const gpu_value *x) {
  switch (x->dtype) {
    case IEC_F32: return "-DT_FLOAT=1";
    case IEC_I32: return "-DT=int";
    case IEC_I64: return "-DT=long -DWIDE=1";
    case IEC_U8: return "-DT=uchar";
    case IEC_I8: return "-DT=char";
    default: return NULL;
  }
}

static int supports(const gpu_op *op) {
  sizes s;
  if (!describe(op, &s) || !type_option(op->inputs[0])) return 0;
  return is_scanned(&s) || (op->inputs[0]->dtype != IEC_I64 && s.outer * s.inner * s.padded <= MOST_KEYS);
}

static iec_status plan_topk(gpu_plan *plan, gpu_op *op, iec_error *err) {
  const gpu_value *x = op->inputs[0], *places = op->output_count > 1 ? op->outputs[1] : NULL;
  sizes s;
  char options[128];
  if (!describe(op, &s)) return gpu_fail(err, IEC_UNEXPECTED, op->layer, "the node has changed");
  const int scanned = is_scanned(&s);
  const int64_t rows = s.outer * s.inner, count = rows * s.padded;
  int64_t items = MOST_ITEMS;
  while (items > (int64_t)gpu_context_device(plan->context)->most_items) items /= 2;
  snprintf(options, sizeof options, "%s -DOUT=%s -DLEAST=%d -DSORT=%d", type_option(x),
           places && places->dtype == IEC_I64 ? "long" : "int",
           strcmp(gpu_str(op, "mode", "max"), "min") == 0, (int)items);
  gpu_value *keys = scanned ? NULL : gpu_scratch(plan, IEC_I64, 1, &count, err);
  if (!scanned && !keys) return IEC_OUT_OF_MEMORY;
  gpu_launch *launch = gpu_launch_kernel(plan, op, "topk", scanned ? "topk_scan" : "topk_sort", options, err);
  if (!launch) return IEC_GENERAL_ERROR;
  gpu_arg_value(launch, x);
  gpu_arg_value(launch, op->outputs[0]);
  gpu_arg_value(launch, places);
  if (scanned)
    gpu_arg_int(launch, rows);
  else
    gpu_arg_value(launch, keys);
  gpu_arg_int(launch, s.n);
  gpu_arg_int(launch, s.inner);
  gpu_arg_int(launch, s.k);
  gpu_arg_int(launch, strcmp(gpu_str(op, "sort", "value"), "index") == 0);
  if (scanned) {
    gpu_launch_size(launch, rows, 1, 1);
    return IEC_OK;
  }
  gpu_arg_int(launch, s.padded);
  const int64_t groups[3] = {rows, 1, 1}, local[3] = {items, 1, 1};
  gpu_launch_groups(launch, groups, local);
  return IEC_OK;
}

const gpu_kind gpu_kinds_topk[] = {{"TopK", supports, NULL, plan_topk}, {0}};
