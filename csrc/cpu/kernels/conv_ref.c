/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution of any rank, groups and dilations in plain layout, also with weights that are computed at run
 * time. */
#include "cpu/kernels/conv_common.h"
#include "cpu/kernels/post.h"

typedef struct conv_ref {
  conv_geom geom;
  post_set posts;
  int32_t has_bias;
} conv_ref;

static int32_t supports(const cpu_node *node) {
  conv_geom geom;
  return conv_geometry(node, 0, 1, &geom) && conv_bias_ok(node, 2, geom.o);
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(conv_ref), out, err);
  if (status != IEC_OK) return status;
  conv_ref *s = out->state;
  conv_geometry(node, 0, 1, &s->geom);
  post_init(&s->posts, node);
  s->has_bias = node->input_count > 2 && node->inputs[2] != NULL;
  out->cost = 2.0 * (double)(s->geom.n * s->geom.o * s->geom.out_size) * (double)(s->geom.cg * s->geom.taps);
  out->exec_type = "conv_ref_" CPU_ISA_NAME;
  return IEC_OK;
}

/* The outputs [*first, *end) of the width axis for which tap `kw` reads inside the input. */
static void valid_outputs(const conv_geom *q, int64_t kw, int64_t *first, int64_t *end) {
  int64_t shift = kw * q->dil[2] - q->pad[2]; /* input column of output 0 */
  *first = shift < 0 ? op_div_up(-shift, q->stride[2]) : 0;
  *end = shift >= q->in[2] ? 0 : op_min(q->out[2], op_div_up(q->in[2] - shift, q->stride[2]));
}

static void add_row(const conv_geom *q, const float *x, const float *w, float *y) {
  for (int64_t kw = 0; kw < q->k[2]; kw++) {
    int64_t first, end, step = q->stride[2];
    valid_outputs(q, kw, &first, &end);
    int64_t from = kw * q->dil[2] - q->pad[2];
    float weight = w[kw];
    if (step == 1)
      for (int64_t i = first; i < end; i++) y[i] += weight * x[from + i];
    else
      for (int64_t i = first; i < end; i++) y[i] += weight * x[from + i * step];
  }
}

static void run(const void *state, const cpu_run *r) {
  const conv_ref *s = state;
  const conv_geom *q = &s->geom;
  int64_t begin, end, slice = q->out[1] * q->out[2];
  while (cpu_next(r, q->n * q->o * q->out[0], 1, &begin, &end)) {
    int64_t od = begin % q->out[0], o = begin / q->out[0] % q->o, n = begin / q->out[0] / q->o;
    float *y = (float *)r->outputs[0] + begin * slice;
    const float *x = (const float *)r->inputs[0] + (n * q->c + o / q->og * q->cg) * q->in_size;
    const float *w = (const float *)r->inputs[1] + o * q->cg * q->taps;
    float bias = s->has_bias ? ((const float *)r->inputs[2])[o] : 0.0f;
    for (int64_t i = 0; i < slice; i++) y[i] = bias;
    int64_t d0, d1, h0, h1;
    conv_valid_taps(q, 0, od, &d0, &d1);
    for (int64_t c = 0; c < q->cg; c++, x += q->in_size, w += q->taps)
      for (int64_t kd = d0; kd < d1; kd++)
        for (int64_t oh = 0; oh < q->out[1]; oh++) {
          conv_valid_taps(q, 1, oh, &h0, &h1);
          for (int64_t kh = h0; kh < h1; kh++) {
            int64_t id = od * q->stride[0] - q->pad[0] + kd * q->dil[0];
            int64_t ih = oh * q->stride[1] - q->pad[1] + kh * q->dil[1];
            add_row(q, x + (id * q->in[1] + ih) * q->in[2], w + (kd * q->k[1] + kh) * q->k[2],
                    y + oh * q->out[2]);
          }
        }
    post_plain(&s->posts, r, y, slice, o);
  }
}

const cpu_kernel IEC_ISA(cpu_kernel_conv_ref) = {.kind = "Conv",
                                                 .name = "conv_ref",
                                                 .supports = supports,
                                                 .can_fuse = post_can_fuse,
                                                 .prepare = prepare,
                                                 .run = run};
