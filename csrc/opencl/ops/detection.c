/* SPDX-License-Identifier: Apache-2.0 */
/* Kind DetectionOutput. As csrc/cpu/kernels/detection_output.c, whose order of equal scores it keeps. */
#include <stdio.h>
#include <string.h>

#include "opencl/kind.h"

enum { LOC, CONF, PRIOR, ARM_CONF, ARM_LOC };
enum { MOST_ROOM = 1 << 25, LOCAL_LIST = 2000 }; /* keys and candidates of 8 bytes */

typedef struct params { /* as detection of kernels/detection.cl */
  int32_t images, classes, loc_classes, priors, prior_size, prior_image, variance, rows, background, capacity,
      keep, padded;
  int32_t center, clip_before, clip_after;
  float threshold, nms, objectness, width, height;
} params;

static int is_float(const gpu_value *value, int64_t count) {
  return value && value->dtype == IEC_F32 && value->count == count;
}

static int is_refined(const gpu_op *op) { return gpu_input(op, ARM_CONF) && gpu_input(op, ARM_LOC); }
static int is_mxnet(const gpu_op *op) { return gpu_int(op, "decrease_label_id", 0) != 0; }

static int64_t keep_top_k(const gpu_op *op) {
  size_t count;
  const int64_t *list = gpu_ints(op, "keep_top_k", &count);
  const int64_t keep = list && count ? list[0] : gpu_int(op, "keep_top_k", -1);
  return keep < 0 ? -1 : keep < INT32_MAX ? keep : INT32_MAX;
}

/* Sizes and counts; 0 when the node does not fit, or needs much memory. */
static int describe(const gpu_op *op, params *s) {
  if (!gpu_ports(op, 3, 1) || !gpu_all_float(op)) return 0;
  const gpu_value *loc = op->inputs[LOC], *prior = op->inputs[PRIOR], *y = op->outputs[0];
  const int64_t classes = gpu_int(op, "num_classes", 0),
                loc_classes = gpu_int(op, "share_location", 1) ? 1 : classes,
                size = gpu_int(op, "normalized", 0) ? 4 : 5, top_k = gpu_int(op, "top_k", -1);
  const int encoded = gpu_int(op, "variance_encoded_in_target", 0) != 0;
  memset(s, 0, sizeof *s);
  if (classes < 1 || classes > INT16_MAX || loc->ndim < 1 || prior->ndim != 3 || y->ndim < 2) return 0;
  const int64_t images = loc->shape[0], priors = prior->shape[2] / size;
  if (priors < 1 || images > INT32_MAX / priors || prior->shape[2] != priors * size ||
      prior->shape[1] < (encoded ? 1 : 2))
    return 0;
  if (prior->shape[0] != 1 && prior->shape[0] != images) return 0;
  if (!is_float(loc, images * priors * loc_classes * 4)) return 0;
  if (!is_float(op->inputs[CONF], images * priors * classes)) return 0;
  if (is_refined(op) && !is_float(op->inputs[ARM_CONF], images * priors * 2)) return 0;
  if (is_refined(op) && !is_float(op->inputs[ARM_LOC], loc->count)) return 0;
  if (y->shape[y->ndim - 1] != 7 || y->count != 7 * y->shape[y->ndim - 2]) return 0;
  s->background = (int32_t)gpu_int(op, "background_label_id", 0);
  if (is_mxnet(op) && s->background != 0) return 0;
  int64_t padded = 1;
  while (padded < priors) padded *= 2;
  if (images * classes * padded > MOST_ROOM) return 0;
  s->images = (int32_t)images;
  s->classes = (int32_t)classes;
  s->loc_classes = (int32_t)loc_classes;
  s->priors = (int32_t)priors;
  s->padded = (int32_t)padded;
  s->prior_size = (int32_t)size;
  s->prior_image = (int32_t)(prior->shape[0] == 1 ? 0 : prior->shape[1] * prior->shape[2]);
  s->variance = (int32_t)(encoded ? 0 : prior->shape[2]);
  s->rows = (int32_t)y->shape[y->ndim - 2];
  s->capacity = (int32_t)(top_k > -1 && top_k < priors ? top_k : priors);
  s->keep = (int32_t)keep_top_k(op);
  return s->capacity > 0;
}

static int supports(const gpu_op *op) {
  params s;
  return describe(op, &s);
}

static void read_numbers(const gpu_op *op, params *s) {
  s->center = strcmp(gpu_str(op, "code_type", ""), "caffe.PriorBoxParameter.CENTER_SIZE") == 0;
  s->clip_before = gpu_int(op, "clip_before_nms", 0) != 0;
  s->clip_after = gpu_int(op, "clip_after_nms", 0) != 0;
  s->threshold = (float)gpu_float(op, "confidence_threshold", -3.4028234663852886e38);
  s->nms = (float)gpu_float(op, "nms_threshold", 0);
  s->objectness = (float)gpu_float(op, "objectness_score", 0);
  s->width = s->prior_size == 4 ? 1 : (float)gpu_float(op, "input_width", 1);
  s->height = s->prior_size == 4 ? 1 : (float)gpu_float(op, "input_height", 1);
}

/* Constant priors stay float32 with FP16: boxes are as exact as the network's results. */
static int prior_is_float(const gpu_plan *plan, const gpu_op *op) {
  return plan->graph->half && op->inputs[PRIOR]->data;
}

static iec_status add_prior(gpu_plan *plan, const gpu_op *op, gpu_launch *launch, iec_error *err) {
  const gpu_value *prior = op->inputs[PRIOR];
  if (prior_is_float(plan, op))
    return gpu_arg_constant(plan, launch, prior->data, (size_t)prior->count * sizeof(float), err);
  gpu_arg_value(launch, prior);
  return IEC_OK;
}

typedef struct memory { /* between the launches, see the kernels */
  gpu_value *boxes, *keys, *labels, *kept, *counts, *all;
} memory;

static gpu_value *room(gpu_plan *plan, int32_t dtype, int64_t count, iec_error *err) {
  return gpu_scratch(plan, dtype, 1, &count, err);
}

static iec_status make_memory(gpu_plan *plan, const gpu_op *op, const params *s, memory *m, iec_error *err) {
  const int64_t classes = (int64_t)s->images * s->classes, priors = (int64_t)s->images * s->priors;
  const int64_t lists = is_mxnet(op) ? s->images : classes;
  m->boxes = room(plan, IEC_U32, priors * s->loc_classes * 4, err);
  m->keys = room(plan, IEC_I64, lists * s->padded, err);
  m->labels = is_mxnet(op) ? room(plan, IEC_I32, priors, err) : NULL;
  m->kept = room(plan, IEC_I64, classes * s->capacity, err);
  m->counts = room(plan, IEC_I32, classes, err);
  m->all = room(plan, IEC_I64, 2 * classes * s->capacity, err);
  const int good = m->boxes && m->keys && m->kept && m->counts && m->all && (m->labels || !is_mxnet(op));
  return good ? IEC_OK : IEC_OUT_OF_MEMORY;
}

static void groups(gpu_launch *launch, int64_t count, int64_t items) {
  const int64_t number[3] = {count, 1, 1}, local[3] = {items, 1, 1};
  gpu_launch_groups(launch, number, local);
}

static iec_status plan_detection(gpu_plan *plan, gpu_op *op, iec_error *err) {
  params s;
  memory m;
  char options[128];
  const gpu_device *device = gpu_context_device(plan->context);
  int64_t items = 256;
  if (!describe(op, &s)) return gpu_fail(err, IEC_UNEXPECTED, op->layer, "the node has changed");
  read_numbers(op, &s);
  while (items > (int64_t)device->most_items) items /= 2;
  const int64_t list = (int64_t)s.classes * s.capacity;
  const int fits = list <= LOCAL_LIST && LOCAL_LIST * 8 + 256 <= device->local_memory;
  snprintf(options, sizeof options, "-DSORT=%d -DPRIOR_FLOAT=%d -DREFINED=%d -DMXNET=%d -DLIST=%d",
           (int)items, prior_is_float(plan, op), is_refined(op), is_mxnet(op), fits ? LOCAL_LIST : 0);
  GPU_TRY(make_memory(plan, op, &s, &m, err));

  gpu_launch *launch = gpu_launch_kernel(plan, op, "detection", "detection_decode", options, err);
  if (!launch) return IEC_GENERAL_ERROR;
  GPU_TRY(add_prior(plan, op, launch, err));
  gpu_arg_value(launch, op->inputs[LOC]);
  gpu_arg_value(launch, is_refined(op) ? op->inputs[ARM_LOC] : NULL);
  gpu_arg_value(launch, m.boxes);
  gpu_arg_bytes(launch, &s, sizeof s);
  gpu_launch_size(launch, (int64_t)s.images * s.loc_classes * s.priors, 1, 1);

  launch = gpu_launch_kernel(plan, op, "detection", "detection_class", options, err);
  if (!launch) return IEC_GENERAL_ERROR;
  gpu_arg_value(launch, op->inputs[CONF]);
  gpu_arg_value(launch, is_refined(op) ? op->inputs[ARM_CONF] : NULL);
  if (s.prior_size == 5)
    GPU_TRY(add_prior(plan, op, launch, err));
  else
    gpu_arg_value(launch, NULL);
  gpu_arg_value(launch, m.boxes);
  gpu_arg_value(launch, m.keys);
  gpu_arg_value(launch, m.labels);
  gpu_arg_value(launch, m.kept);
  gpu_arg_value(launch, m.counts);
  gpu_arg_bytes(launch, &s, sizeof s);
  groups(launch, is_mxnet(op) ? s.images : (int64_t)s.images * s.classes, items);

  launch = gpu_launch_kernel(plan, op, "detection", "detection_rows", options, err);
  if (!launch) return IEC_GENERAL_ERROR;
  gpu_arg_value(launch, m.kept);
  gpu_arg_value(launch, m.counts);
  gpu_arg_value(launch, m.boxes);
  gpu_arg_value(launch, m.all);
  gpu_arg_value(launch, op->outputs[0]);
  gpu_arg_bytes(launch, &s, sizeof s);
  groups(launch, s.images, items);
  op->exec_type = "detection_output";
  return IEC_OK;
}

const gpu_kind gpu_kinds_detection[] = {{"DetectionOutput", supports, NULL, plan_detection}, {0}};
