/* SPDX-License-Identifier: Apache-2.0 */
/* Transposed convolution of any rank, groups and dilations in plain layout, also with weights that are
 * computed at run time. */
#include "cpu/kernels/conv_common.h"
#include "cpu/kernels/post.h"

typedef struct deconv_ref {
  conv_geom geom;
  post_set posts;
  int32_t has_bias;
} deconv_ref;

static int32_t supports(const cpu_node *node) {
  conv_geom geom;
  return conv_geometry(node, 1, 1, &geom) && conv_bias_ok(node, 2, geom.o);
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(deconv_ref), out, err);
  if (status != IEC_OK) return status;
  deconv_ref *s = out->state;
  conv_geometry(node, 1, 1, &s->geom);
  post_init(&s->posts, node);
  s->has_bias = op_in(node, 2) != NULL;
  out->cost = 2.0 * (double)(s->geom.n * s->geom.c * s->geom.in_size) * (double)(s->geom.og * s->geom.taps);
  out->exec_type = "deconv_ref_" CPU_ISA_NAME;
  return IEC_OK;
}

/* Adds one input row times the taps of one kernel row. */
static void scatter_row(const conv_geom *q, const float *x, const float *w, float *y) {
  int64_t step = q->stride[2];
  for (int64_t kw = 0; kw < q->k[2]; kw++) {
    int64_t to = kw * q->dil[2] - q->pad[2]; /* output column of input 0 */
    int64_t first = to < 0 ? op_div_up(-to, step) : 0;
    int64_t end = to >= q->out[2] ? 0 : op_min(q->in[2], op_div_up(q->out[2] - to, step));
    float weight = w[kw];
    for (int64_t i = first; i < end; i++) y[to + i * step] += weight * x[i];
  }
}

/* Adds one input channel to one output channel. */
static void scatter_plane(const conv_geom *q, const float *x, const float *w, float *y) {
  for (int64_t id = 0; id < q->in[0]; id++)
    for (int64_t kd = 0; kd < q->k[0]; kd++) {
      int64_t od = id * q->stride[0] + kd * q->dil[0] - q->pad[0];
      if (od < 0 || od >= q->out[0]) continue;
      for (int64_t ih = 0; ih < q->in[1]; ih++)
        for (int64_t kh = 0; kh < q->k[1]; kh++) {
          int64_t oh = ih * q->stride[1] + kh * q->dil[1] - q->pad[1];
          if (oh < 0 || oh >= q->out[1]) continue;
          scatter_row(q, x + (id * q->in[1] + ih) * q->in[2], w + (kd * q->k[1] + kh) * q->k[2],
                      y + (od * q->out[1] + oh) * q->out[2]);
        }
    }
}

static void run(const void *state, const cpu_run *r) {
  const deconv_ref *s = state;
  const conv_geom *q = &s->geom;
  int64_t begin, end;
  while (cpu_next(r, q->n * q->o, 1, &begin, &end)) {
    int64_t o = begin % q->o, n = begin / q->o, g = o / q->og;
    float *y = (float *)r->outputs[0] + begin * q->out_size;
    float bias = s->has_bias ? ((const float *)r->inputs[2])[o] : 0.0f;
    for (int64_t i = 0; i < q->out_size; i++) y[i] = bias;
    for (int64_t c = g * q->cg; c < (g + 1) * q->cg; c++)
      scatter_plane(q, (const float *)r->inputs[0] + (n * q->c + c) * q->in_size,
                    (const float *)r->inputs[1] + (c * q->og + o % q->og) * q->taps, y);
    post_plain(&s->posts, r, y, q->out_size, o);
  }
}

const cpu_kernel IEC_ISA(cpu_kernel_deconv_ref) = {.kind = "Deconv",
                                                   .name = "deconv_ref",
                                                   .supports = supports,
                                                   .can_fuse = post_can_fuse,
                                                   .prepare = prepare,
                                                   .run = run};
