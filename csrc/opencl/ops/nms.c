/* SPDX-License-Identifier: Apache-2.0 */
/* Kind NonMaxSuppression. Turned boxes, scores that fall by overlap and limits that are not constant are left
 * to the host. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "opencl/kind.h"

enum { BOXES, SCORES, MOST, IOU, LEAST, SIGMA };
enum { MOST_ROOM = 1 << 25, MOST_ITEMS = 256 };

typedef struct params { /* as nms_params of kernels/nms.cl */
  int32_t groups, classes, boxes, rows, padded;
  int32_t center, sort, equal, most;
  float iou, least;
} params;

/* A constant number, or `absent`; NAN when it is no constant. */
static double number(const gpu_op *op, int32_t input, double absent) {
  const gpu_value *value = gpu_input(op, input);
  if (!value) return absent;
  if (!value->data || value->count != 1) return NAN;
  if (input != MOST) return value->dtype == IEC_F32 ? *(const float *)value->data : NAN;
  if (value->dtype == IEC_I64) return (double)*(const int64_t *)value->data;
  return value->dtype == IEC_I32 ? *(const int32_t *)value->data : NAN;
}

static int is_index(const gpu_value *value) { return value->dtype == IEC_I32 || value->dtype == IEC_I64; }

static int describe(const gpu_op *op, params *s) {
  if (!gpu_ports(op, 2, 1) || gpu_int(op, "rotated", 0)) return 0;
  const gpu_value *boxes = op->inputs[BOXES], *scores = op->inputs[SCORES], *index = op->outputs[0];
  const gpu_value *found = op->output_count > 1 ? op->outputs[1] : NULL,
                  *count = op->output_count > 2 ? op->outputs[2] : NULL;
  if (boxes->dtype != IEC_F32 || boxes->ndim != 3 || boxes->shape[2] != 4) return 0;
  if (scores->dtype != IEC_F32 || scores->ndim != 3 || scores->shape[0] != boxes->shape[0] ||
      scores->shape[2] != boxes->shape[1])
    return 0;
  if (index->ndim != 2 || index->shape[1] != 3 || !is_index(index)) return 0;
  if (found && (found->dtype != IEC_F32 || found->count != index->count)) return 0;
  if (count && (count->dtype != index->dtype || count->count != 1)) return 0;
  int64_t padded = 1, all = 1;
  while (padded < boxes->shape[1]) padded *= 2;
  while (all < scores->count) all *= 2;
  if (scores->shape[0] * scores->shape[1] * padded > MOST_ROOM || all > MOST_ROOM) return 0;
  const double most = number(op, MOST, (double)boxes->shape[1]), iou = number(op, IOU, 0),
               least = number(op, LEAST, 0), sigma = number(op, SIGMA, 0);
  if (isnan(most) || isnan(iou) || isnan(least) || isnan(sigma) || sigma > 0) return 0;
  *s = (params){.groups = (int32_t)(scores->shape[0] * scores->shape[1]),
                .classes = (int32_t)scores->shape[1],
                .boxes = (int32_t)boxes->shape[1],
                .rows = (int32_t)index->shape[0],
                .padded = (int32_t)padded,
                .center = gpu_int(op, "center", 0) != 0,
                .sort = gpu_int(op, "sort", 1) != 0,
                .equal = gpu_int(op, "equal", 0) != 0,
                .most = most < 0                         ? 0
                        : most < (double)boxes->shape[1] ? (int32_t)most
                                                         : (int32_t)boxes->shape[1],
                .iou = (float)iou,
                .least = (float)least};
  return 1;
}

static int supports(const gpu_op *op) {
  params s;
  return describe(op, &s);
}

static gpu_value *room(gpu_plan *plan, int32_t dtype, int64_t count, iec_error *err) {
  return gpu_scratch(plan, dtype, 1, &count, err);
}

static iec_status plan_nms(gpu_plan *plan, gpu_op *op, iec_error *err) {
  params s;
  char options[64];
  int64_t items = MOST_ITEMS, all = 1;
  if (!describe(op, &s)) return gpu_fail(err, IEC_UNEXPECTED, op->layer, "the node has changed");
  while (items > (int64_t)gpu_context_device(plan->context)->most_items) items /= 2;
  while (all < (int64_t)s.groups * s.boxes) all *= 2;
  const int64_t groups[3] = {s.groups, 1, 1}, one[3] = {1, 1, 1}, local[3] = {items, 1, 1};
  gpu_value *keys = room(plan, IEC_I64, (int64_t)s.groups * s.padded, err),
            *kept = room(plan, IEC_I64, (int64_t)s.groups * s.boxes, err),
            *counts = room(plan, IEC_I32, s.groups, err), *joined = room(plan, IEC_I64, all, err),
            *places = room(plan, IEC_I32, all, err);
  if (!keys || !kept || !counts || !joined || !places) return IEC_OUT_OF_MEMORY;
  snprintf(options, sizeof options, "-DSORT=%d -DOUT=%s", (int)items,
           op->outputs[0]->dtype == IEC_I64 ? "long" : "int");

  gpu_launch *launch = gpu_launch_kernel(plan, op, "nms", "nms_class", options, err);
  if (!launch) return IEC_GENERAL_ERROR;
  gpu_arg_value(launch, op->inputs[BOXES]);
  gpu_arg_value(launch, op->inputs[SCORES]);
  gpu_arg_value(launch, keys);
  gpu_arg_value(launch, kept);
  gpu_arg_value(launch, counts);
  gpu_arg_bytes(launch, &s, sizeof s);
  gpu_launch_groups(launch, groups, local);

  launch = gpu_launch_kernel(plan, op, "nms", "nms_rows", options, err);
  if (!launch) return IEC_GENERAL_ERROR;
  gpu_arg_value(launch, kept);
  gpu_arg_value(launch, counts);
  gpu_arg_value(launch, joined);
  gpu_arg_value(launch, places);
  for (int32_t o = 0; o < 3; o++) gpu_arg_value(launch, o < op->output_count ? op->outputs[o] : NULL);
  gpu_arg_bytes(launch, &s, sizeof s);
  gpu_launch_groups(launch, one, local);
  op->exec_type = "nms";
  return IEC_OK;
}

const gpu_kind gpu_kinds_nms[] = {{"NonMaxSuppression", supports, NULL, plan_nms}, {0}};
