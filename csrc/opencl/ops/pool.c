/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds MaxPool (without indices) and AvgPool. */
#include <string.h>

#include "opencl/ops/nd.h"

typedef struct window { /* depth, height, width; as pool_params of kernels/pool.cl */
  int32_t in[3], out[3], kernel[3], stride[3], dilation[3], pad[3];
  int32_t channels, divisor;
} window;

static const char *const divisors[] = {"valid", "kernel", "legacy", NULL};

/* 1 when sizes of an axis make sense and every place that a window of `out` outputs can touch fits 32 bits.
 */
static int axis_fits(int64_t out, int64_t kernel, int64_t stride, int64_t dilation, int64_t pad) {
  const int64_t most = INT32_MAX / 2;
  int64_t last, reach;
  if (kernel < 1 || stride < 1 || dilation < 1 || kernel > most || pad < -most || pad > most) return 0;
  if (__builtin_mul_overflow(out, stride, &last) || __builtin_mul_overflow(kernel, dilation, &reach))
    return 0;
  return last <= most && reach <= most && last + reach - pad <= most;
}

static int describe(const gpu_op *op, window *p) {
  if (!gpu_ports(op, 1, 1) || op->inputs[0]->dtype != IEC_F32 || op->outputs[0]->dtype != IEC_F32) return 0;
  for (int32_t i = 1; i < op->output_count; i++) /* indices */
    if (op->outputs[i] && (op->outputs[i]->user_count || op->outputs[i]->output_count)) return 0;
  const gpu_value *x = op->inputs[0], *y = op->outputs[0];
  const int32_t spatial = x->ndim - 2;
  if (spatial < 1 || spatial > 3 || y->ndim != x->ndim || x->shape[0] != y->shape[0] ||
      x->shape[1] != y->shape[1])
    return 0;
  const int64_t *kernel = gpu_ints_of(op, "kernel", (size_t)spatial),
                *strides = gpu_ints_of(op, "strides", (size_t)spatial),
                *pads = gpu_ints_of(op, "pads_begin", (size_t)spatial),
                *dilations = gpu_ints_of(op, "dilations", (size_t)spatial);
  if (!kernel || !strides || !pads) return 0;
  for (int32_t a = 0; a < spatial; a++)
    if (!axis_fits(y->shape[2 + a], kernel[a], strides[a], dilations ? dilations[a] : 1, pads[a])) return 0;
  *p = (window){.channels = (int32_t)x->shape[1],
                .divisor = gpu_index(gpu_str(op, "divisor", "valid"), divisors)};
  for (int i = 0; i < 3; i++) {
    const int32_t a = i - (3 - spatial);
    p->in[i] = a < 0 ? 1 : (int32_t)x->shape[2 + a];
    p->out[i] = a < 0 ? 1 : (int32_t)y->shape[2 + a];
    p->kernel[i] = a < 0 ? 1 : (int32_t)kernel[a];
    p->stride[i] = a < 0 ? 1 : (int32_t)strides[a];
    p->dilation[i] = a < 0 || !dilations ? 1 : (int32_t)dilations[a];
    p->pad[i] = a < 0 ? 0 : (int32_t)pads[a];
  }
  return p->divisor >= 0;
}

static int supports(const gpu_op *op) {
  window p;
  return describe(op, &p);
}

static int64_t channels(const gpu_op *op, int64_t *inner) {
  *inner = gpu_product(op->outputs[0]->shape, 2, op->outputs[0]->ndim);
  return op->outputs[0]->shape[1];
}

static iec_status plan_pool(gpu_plan *plan, gpu_op *op, iec_error *err) {
  window p;
  describe(op, &p);
  gpu_launch *launch = gpu_launch_kernel(plan, op, "pool",
                                         strcmp(op->kind, "MaxPool") == 0 ? "max_pool" : "avg_pool", "", err);
  if (!launch) return IEC_GENERAL_ERROR;
  gpu_arg_value(launch, op->inputs[0]);
  gpu_arg_value(launch, op->outputs[0]);
  gpu_arg_bytes(launch, &p, sizeof p);
  GPU_TRY(gpu_arg_posts(plan, launch, err));
  gpu_launch_size(launch, (int64_t)p.out[0] * p.out[1] * p.out[2],
                  op->inputs[0]->shape[0] * op->inputs[0]->shape[1], 1);
  return IEC_OK;
}

const gpu_kind gpu_kinds_pool[] = {
    {"MaxPool", supports, channels, plan_pool}, {"AvgPool", supports, channels, plan_pool}, {0}};
