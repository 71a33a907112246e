/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds Conv and Deconv: a matrix product over gathered pixels, a plain one for 1x1, one item an output for
 * few channels. */
#include <string.h>

#include "opencl/ops/gemm.h"

typedef struct window { /* depth, height, width; as direct_params of kernels/conv.cl */
  int32_t channels, outputs, groups, images;
  int32_t in[3], out[3], kernel[3], stride[3], dilation[3], pad[3];
} window;

/* 0 when the node does not fit. w is [groups][out or in][in or out][kernel...]. */
static int describe(const gpu_op *op, int transposed, window *p) {
  if (!gpu_ports(op, 2, 1) || !gpu_all_float(op)) return 0;
  const gpu_value *x = op->inputs[0], *w = op->inputs[1], *y = op->outputs[0], *b = gpu_input(op, 2);
  const int32_t spatial = x->ndim - 2;
  if (spatial < 1 || spatial > 3 || w->ndim != x->ndim + 1 || y->ndim != x->ndim) return 0;
  const int64_t *strides = gpu_ints_of(op, "strides", (size_t)spatial),
                *pads = gpu_ints_of(op, "pads_begin", (size_t)spatial),
                *dilations = gpu_ints_of(op, "dilations", (size_t)spatial);
  if (!strides || !pads || !dilations) return 0;
  *p = (window){.groups = (int32_t)w->shape[0], .images = (int32_t)x->shape[0]};
  p->outputs = (int32_t)w->shape[transposed ? 2 : 1];
  p->channels = (int32_t)w->shape[transposed ? 1 : 2];
  for (int i = 0; i < 3; i++) {
    const int32_t a = i - (3 - spatial);
    p->in[i] = p->out[i] = p->kernel[i] = p->stride[i] = p->dilation[i] = 1;
    if (a < 0) continue;
    p->in[i] = (int32_t)x->shape[2 + a];
    p->out[i] = (int32_t)y->shape[2 + a];
    p->kernel[i] = (int32_t)w->shape[3 + a];
    p->stride[i] = (int32_t)strides[a];
    p->dilation[i] = (int32_t)dilations[a];
    p->pad[i] = (int32_t)pads[a];
    if (strides[a] < 1 || dilations[a] < 1) return 0;
  }
  if (b && (!b->data || b->count != y->shape[1])) return 0;
  return x->shape[1] == (int64_t)p->groups * p->channels && y->shape[1] == (int64_t)p->groups * p->outputs &&
         y->shape[0] == x->shape[0];
}

static int supports_conv(const gpu_op *op) {
  window p;
  return describe(op, 0, &p);
}

static int supports_deconv(const gpu_op *op) {
  window p;
  return describe(op, 1, &p);
}

static int64_t channels(const gpu_op *op, int64_t *inner) {
  const gpu_value *y = op->outputs[0];
  *inner = gpu_product(y->shape, 2, y->ndim);
  return y->shape[1];
}

static iec_status plan_direct(gpu_plan *plan, gpu_op *op, const window *p, const char *kernel,
                              iec_error *err) {
  gpu_launch *launch = gpu_launch_kernel(plan, op, "conv", kernel, "", err);
  if (!launch) return IEC_GENERAL_ERROR;
  gpu_arg_value(launch, op->inputs[0]);
  gpu_arg_value(launch, op->inputs[1]);
  gpu_arg_value(launch, op->outputs[0]);
  gpu_arg_bytes(launch, p, sizeof *p);
  GPU_TRY(gpu_arg_posts(plan, launch, err));
  gpu_launch_size(launch, (int64_t)p->out[0] * p->out[1] * p->out[2],
                  op->outputs[0]->shape[0] * op->outputs[0]->shape[1], 1);
  return IEC_OK;
}

static int is_pointwise(const window *p) {
  for (int i = 0; i < 3; i++)
    if (p->kernel[i] != 1 || p->stride[i] != 1 || p->pad[i] != 0 || p->in[i] != p->out[i]) return 0;
  return 1;
}

/* One window that is the whole image: a vector-matrix product. */
static int is_full(const window *p) {
  for (int i = 0; i < 3; i++)
    if (p->out[i] != 1 || p->kernel[i] != p->in[i] || p->pad[i] != 0 ||
        (p->dilation[i] != 1 && p->kernel[i] != 1))
      return 0;
  return p->groups == 1 && p->images <= 4;
}

static gpu_gemm_tap *make_taps(const window *p) {
  const int64_t area = (int64_t)p->in[0] * p->in[1] * p->in[2];
  gpu_gemm_tap *taps = malloc(sizeof *taps * (size_t)p->channels * (size_t)p->kernel[0] *
                              (size_t)p->kernel[1] * (size_t)p->kernel[2]);
  gpu_gemm_tap *t = taps;
  for (int32_t c = 0; taps && c < p->channels; c++)
    for (int32_t z = 0; z < p->kernel[0]; z++)
      for (int32_t y = 0; y < p->kernel[1]; y++)
        for (int32_t x = 0; x < p->kernel[2]; x++, t++) {
          *t = (gpu_gemm_tap){0, z * p->dilation[0], y * p->dilation[1], x * p->dilation[2]};
          t->at = (int32_t)(c * area + ((int64_t)t->z * p->in[1] + t->y) * p->in[2] + t->x);
        }
  return taps;
}

static iec_status plan_gemm(gpu_plan *plan, gpu_op *op, const window *p, iec_error *err) {
  const int32_t in = p->in[0] * p->in[1] * p->in[2], out = p->out[0] * p->out[1] * p->out[2];
  const int32_t k = p->channels * p->kernel[0] * p->kernel[1] * p->kernel[2];
  const gpu_gemm g = {.m = p->outputs,
                      .n = out,
                      .k = k,
                      .a_row = k,
                      .a_col = 1,
                      .b_row = in,
                      .b_col = 1,
                      .c_row = out,
                      .c_col = 1};
  gpu_gemm_image image;
  memcpy(image.in, p->in, sizeof image.in);
  memcpy(image.out, p->out, sizeof image.out);
  memcpy(image.stride, p->stride, sizeof image.stride);
  memcpy(image.pad, p->pad, sizeof image.pad);
  const int64_t count = (int64_t)p->images * p->groups;
  gpu_gemm_batch *batches = malloc((size_t)count * sizeof *batches);
  gpu_gemm_tap *taps = is_pointwise(p) ? NULL : make_taps(p);
  iec_status status = batches && (taps || is_pointwise(p)) ? IEC_OK : gpu_no_memory(err);
  for (int32_t z = 0; !status && z < count; z++) {
    const int32_t group = z % p->groups;
    batches[z] = (gpu_gemm_batch){group * p->outputs * k, z * p->channels * in, z * p->outputs * out,
                                  group * p->outputs};
  }
  if (!status)
    status = gpu_gemm_plan(plan, op, op->inputs[1], op->inputs[0], op->outputs[0], &g, batches, count, &image,
                           taps, err);
  free(batches);
  free(taps);
  return status;
}

static iec_status plan_conv(gpu_plan *plan, gpu_op *op, iec_error *err) {
  window p;
  describe(op, 0, &p);
  gpu_bias_post(op, gpu_input(op, 2));
  if (is_full(&p))
    return gpu_gemv_plan(plan, op, op->inputs[0], op->inputs[1], op->outputs[0], p.images, p.outputs,
                         (int64_t)p.channels * p.kernel[0] * p.kernel[1] * p.kernel[2], 1, err);
  if (p.outputs < 8 || (p.outputs < 16 && p.channels < 4))
    return plan_direct(plan, op, &p, "conv_direct", err);
  return plan_gemm(plan, op, &p, err);
}

static iec_status plan_deconv(gpu_plan *plan, gpu_op *op, iec_error *err) {
  window p;
  describe(op, 1, &p);
  gpu_bias_post(op, gpu_input(op, 2));
  return plan_direct(plan, op, &p, "deconv", err);
}

const gpu_kind gpu_kinds_conv[] = {
    {"Conv", supports_conv, channels, plan_conv}, {"Deconv", supports_deconv, channels, plan_deconv}, {0}};
