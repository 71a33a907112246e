/* SPDX-License-Identifier: Apache-2.0 */
/* Deformable convolution, plain layout: taps read bilinear samples at displaced positions. */
#include <math.h>

#include "cpu/kernels/conv_common.h"
#include "cpu/kernels/post.h"

typedef struct conv_deform {
  conv_geom geom;
  post_set posts;
  int64_t parts;      /* deformable groups: parts of the channels with offsets of their own */
  int32_t border;     /* bilinear_pad: neighbours outside count as 0 each, else they are clamped and a centre
                         outside gives 0 */
  int32_t mask, bias; /* they exist */
} conv_deform;

/* Input `index` is float32 [N, channels, OH, OW]. */
static int is_map(const cpu_node *node, int index, const conv_geom *q, int64_t channels) {
  const cpu_tensor *t = op_in(node, index);
  return t && t->dtype == IEC_F32 && t->ndim == 4 && t->shape[0] == q->n && t->shape[1] == channels &&
         t->shape[2] == q->out[1] && t->shape[3] == q->out[2];
}

static int32_t supports(const cpu_node *node) {
  conv_geom q;
  int64_t parts = op_int(node, "deformable_group", 1);
  if (!op_ports(node, 3, 1) || node->inputs[0]->ndim != 4 || !conv_geometry(node, 0, 2, &q) || parts < 1 ||
      q.c % parts)
    return 0;
  int64_t maps = op_times(parts, q.taps);
  if (parts > q.c || q.in_size < 1 || !is_map(node, 1, &q, op_times(2, maps)) ||
      (op_in(node, 3) && !is_map(node, 3, &q, maps)))
    return 0;
  return conv_bias_ok(node, 4, q.o);
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(conv_deform), out, err);
  if (status != IEC_OK) return status;
  conv_deform *s = out->state;
  conv_geom *q = &s->geom;
  conv_geometry(node, 0, 2, q);
  post_init(&s->posts, node);
  s->parts = op_int(node, "deformable_group", 1);
  s->border = op_int(node, "bilinear_pad", 0) != 0;
  s->mask = op_in(node, 3) != NULL;
  s->bias = op_in(node, 4) != NULL;
  out->member_scratch_size = (size_t)(q->c * q->taps * q->out[2]) * sizeof(float);
  out->cost = 2.0 * (double)(q->n * q->o * q->out_size) * (double)(q->cg * q->taps);
  out->exec_type = "conv_deform_" CPU_ISA_NAME;
  return IEC_OK;
}

/* Four neighbours of a position in a plane, and their weights. */
typedef struct sample {
  int64_t at[4];
  float weight[4];
} sample;

static sample sample_at(const conv_deform *s, float row, float column, float scale) {
  const conv_geom *q = &s->geom;
  int64_t height = q->in[1], width = q->in[2];
  sample p = {{0, 0, 0, 0}, {0, 0, 0, 0}};
  float least = s->border ? -1.0f : 0.0f;
  int inside = s->border ? row > least && column > least : row >= least && column >= least;
  if (!inside || !(row < (float)height) || !(column < (float)width))
    return p; /* also when one is not a number */
  int64_t top = (int64_t)floorf(row), left = (int64_t)floorf(column);
  float fy = row - (float)top, fx = column - (float)left;
  for (int i = 0; i < 4; i++) {
    int64_t y = top + i / 2, x = left + i % 2;
    if (s->border && (y < 0 || y >= height || x < 0 || x >= width)) continue;
    p.at[i] = op_min(y, height - 1) * width + op_min(x, width - 1);
    p.weight[i] = (i / 2 ? fy : 1 - fy) * (i % 2 ? fx : 1 - fx) * scale;
  }
  return p;
}

/* All samples of one output row: [channel][tap][OW]. */
static void sample_row(const conv_deform *s, const cpu_run *r, int64_t image, int64_t oh, float *to) {
  const conv_geom *q = &s->geom;
  const float *x = (const float *)r->inputs[0] + image * q->c * q->in_size;
  int64_t channels = q->c / s->parts, width = q->out[2];
  for (int64_t part = 0; part < s->parts; part++)
    for (int64_t t = 0; t < q->taps; t++) {
      int64_t map = (image * s->parts + part) * q->taps + t, line = oh * width;
      const float *dy = (const float *)r->inputs[1] + 2 * map * q->out_size + line, *dx = dy + q->out_size;
      const float *mask = s->mask ? (const float *)r->inputs[3] + map * q->out_size + line : NULL;
      float row = (float)(oh * q->stride[1] - q->pad[1] + t / q->k[2] * q->dil[1]);
      for (int64_t ow = 0; ow < width; ow++) {
        float column = (float)(ow * q->stride[2] - q->pad[2] + t % q->k[2] * q->dil[2]);
        sample p = sample_at(s, row + dy[ow], column + dx[ow], mask ? mask[ow] : 1.0f);
        for (int64_t c = part * channels; c < (part + 1) * channels; c++) {
          const float *plane = x + c * q->in_size;
          to[(c * q->taps + t) * width + ow] = p.weight[0] * plane[p.at[0]] + p.weight[1] * plane[p.at[1]] +
                                               p.weight[2] * plane[p.at[2]] + p.weight[3] * plane[p.at[3]];
        }
      }
    }
}

static void run(const void *state, const cpu_run *r) {
  const conv_deform *s = state;
  const conv_geom *q = &s->geom;
  const float *w = r->inputs[2];
  float *samples = r->member_scratch;
  int64_t begin, end, width = q->out[2], depth = q->cg * q->taps;
  while (cpu_next(r, q->n * q->out[1], 1, &begin, &end)) {
    int64_t image = begin / q->out[1], oh = begin % q->out[1];
    sample_row(s, r, image, oh, samples);
    for (int64_t o = 0; o < q->o; o++) {
      float *y = (float *)r->outputs[0] + (image * q->o + o) * q->out_size + oh * width;
      const float *from = samples + o / q->og * depth * width;
      for (int64_t i = 0; i < width; i++) y[i] = s->bias ? ((const float *)r->inputs[4])[o] : 0.0f;
      for (int64_t k = 0; k < depth; k++)
        for (int64_t i = 0; i < width; i++) y[i] += w[o * depth + k] * from[k * width + i];
      post_plain(&s->posts, r, y, width, o);
    }
  }
}

const cpu_kernel IEC_ISA(cpu_kernel_conv_deform) = {.kind = "DeformConv",
                                                    .name = "conv_deform",
                                                    .supports = supports,
                                                    .can_fuse = post_can_fuse,
                                                    .prepare = prepare,
                                                    .run = run};
