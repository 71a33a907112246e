/* SPDX-License-Identifier: Apache-2.0 */
/* Maximum and average pools of any rank in plain layout; the maximum also of integers and with indices. */
#include <float.h>

#include "cpu/kernels/pool_common.h"
#include "cpu/kernels/post.h"

typedef struct pool_ref {
  conv_geom geom;
  post_set posts;
  pool_divisor divisor;
  int32_t dtype;
  int32_t index_type; /* IEC_I32 or IEC_I64, 0: no second output */
  int64_t index_span; /* indices count anew after so many elements: the axes from index_axis on */
} pool_ref;

static int32_t supports_max(const cpu_node *node) {
  conv_geom geom;
  if (!pool_geometry(node, &geom)) return 0;
  if (!op_is(node, 0, IEC_F32) && !op_is(node, 0, IEC_I32) && !op_is(node, 0, IEC_I64)) return 0;
  const cpu_tensor *index = node->output_count > 1 ? node->outputs[1] : NULL;
  int64_t axis = op_int(node, "index_axis", 0);
  if (!index) return 1;
  if ((index->dtype != IEC_I32 && index->dtype != IEC_I64) || axis < 0 || axis >= index->ndim) return 0;
  return op_count(index) == op_count(node->outputs[0]);
}

static int32_t supports_avg(const cpu_node *node) {
  conv_geom geom;
  return pool_geometry(node, &geom) && op_is(node, 0, IEC_F32) && pool_divisor_code(node) >= 0;
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(pool_ref), out, err);
  if (status != IEC_OK) return status;
  pool_ref *s = out->state;
  int divisor = pool_divisor_code(node);
  pool_geometry(node, &s->geom);
  post_init(&s->posts, node);
  s->divisor = divisor < 0 ? POOL_VALID : (pool_divisor)divisor;
  s->dtype = node->inputs[0]->dtype;
  s->index_type = node->output_count > 1 && node->outputs[1] ? node->outputs[1]->dtype : 0;
  const cpu_tensor *x = node->inputs[0];
  int64_t axis = s->index_type ? op_int(node, "index_axis", 0) : 0;
  s->index_span = op_max(op_product(x->shape, (int)axis, x->ndim), 1);
  out->cost = (double)(s->geom.n * s->geom.c * s->geom.out_size) * (double)s->geom.taps;
  out->exec_type = "pool_ref_" CPU_ISA_NAME;
  return IEC_OK;
}

/* Taps of the three axes that lie inside the input for one output; `start` is where tap 0, 0, 0 would be. */
typedef struct window {
  int64_t first[3], end[3], start[3];
} window;

static window window_of(const conv_geom *q, const int64_t o[3]) {
  window w;
  for (int a = 0; a < 3; a++) {
    conv_valid_taps(q, a, o[a], &w.first[a], &w.end[a]);
    w.start[a] = o[a] * q->stride[a] - q->pad[a];
  }
  return w;
}

static int64_t tap_at(const conv_geom *q, const window *w, int64_t kd, int64_t kh, int64_t kw) {
  int64_t row = (w->start[0] + kd * q->dil[0]) * q->in[1] + w->start[1] + kh * q->dil[1];
  return row * q->in[2] + w->start[2] + kw * q->dil[2];
}

/* The largest tap, the first of equals, NaN before all, and where it is; the lowest float and -1 for an empty
 * window. */
static float maximum(const conv_geom *q, const window *w, const float *x, int64_t *index) {
  float best = -FLT_MAX;
  int64_t found = -1;
  for (int64_t kd = w->first[0]; kd < w->end[0]; kd++)
    for (int64_t kh = w->first[1]; kh < w->end[1]; kh++)
      for (int64_t kw = w->first[2]; kw < w->end[2]; kw++) {
        int64_t at = tap_at(q, w, kd, kh, kw);
        if (found < 0 || x[at] > best || (x[at] != x[at] && best == best)) {
          best = x[at];
          found = at;
        }
      }
  *index = found;
  return best;
}

/* The same of integers. */
static int64_t maximum_integer(const pool_ref *s, const window *w, const void *x, int64_t *index) {
  const conv_geom *q = &s->geom;
  int64_t best = s->dtype == IEC_I32 ? INT32_MIN : INT64_MIN;
  *index = -1;
  for (int64_t kd = w->first[0]; kd < w->end[0]; kd++)
    for (int64_t kh = w->first[1]; kh < w->end[1]; kh++)
      for (int64_t kw = w->first[2]; kw < w->end[2]; kw++) {
        int64_t at = tap_at(q, w, kd, kh, kw);
        int64_t v = s->dtype == IEC_I32 ? ((const int32_t *)x)[at] : ((const int64_t *)x)[at];
        if (*index >= 0 && v <= best) continue;
        best = v;
        *index = at;
      }
  return best;
}

static void run_max(const void *state, const cpu_run *r) {
  const pool_ref *s = state;
  const conv_geom *q = &s->geom;
  int64_t begin, end;
  while (cpu_next(r, q->n * q->c, 1, &begin, &end)) {
    const void *x = (const char *)r->inputs[0] + begin * q->in_size * op_size(s->dtype);
    void *y = (char *)r->outputs[0] + begin * q->out_size * op_size(s->dtype);
    int64_t base = begin * q->in_size, o[3], i = 0;
    for (o[0] = 0; o[0] < q->out[0]; o[0]++)
      for (o[1] = 0; o[1] < q->out[1]; o[1]++)
        for (o[2] = 0; o[2] < q->out[2]; o[2]++, i++) {
          window w = window_of(q, o);
          int64_t index;
          if (s->dtype == IEC_F32)
            ((float *)y)[i] = maximum(q, &w, x, &index);
          else if (s->dtype == IEC_I32)
            ((int32_t *)y)[i] = (int32_t)maximum_integer(s, &w, x, &index);
          else
            ((int64_t *)y)[i] = maximum_integer(s, &w, x, &index);
          index = index < 0 ? 0 : (base + index) % s->index_span;
          if (s->index_type == IEC_I64) ((int64_t *)r->outputs[1])[begin * q->out_size + i] = index;
          if (s->index_type == IEC_I32) ((int32_t *)r->outputs[1])[begin * q->out_size + i] = (int32_t)index;
        }
    if (s->dtype == IEC_F32) post_plain(&s->posts, r, y, q->out_size, begin % q->c);
  }
}

static void run_avg(const void *state, const cpu_run *r) {
  const pool_ref *s = state;
  const conv_geom *q = &s->geom;
  int64_t begin, end;
  while (cpu_next(r, q->n * q->c, 1, &begin, &end)) {
    const float *x = (const float *)r->inputs[0] + begin * q->in_size;
    float *y = (float *)r->outputs[0] + begin * q->out_size;
    int64_t o[3], i = 0;
    for (o[0] = 0; o[0] < q->out[0]; o[0]++)
      for (o[1] = 0; o[1] < q->out[1]; o[1]++)
        for (o[2] = 0; o[2] < q->out[2]; o[2]++, i++) {
          window w = window_of(q, o);
          int64_t divisor = 1;
          float sum = 0;
          for (int64_t kd = w.first[0]; kd < w.end[0]; kd++)
            for (int64_t kh = w.first[1]; kh < w.end[1]; kh++)
              for (int64_t kw = w.first[2]; kw < w.end[2]; kw++) sum += x[tap_at(q, &w, kd, kh, kw)];
          for (int a = 0; a < 3; a++) divisor *= pool_extent(q, s->divisor, a, o[a]);
          y[i] = divisor > 0 || s->divisor == POOL_VALID ? sum / (float)divisor : 0.0f;
        }
    post_plain(&s->posts, r, y, q->out_size, begin % q->c);
  }
}

static int32_t can_fuse(const cpu_node *node, const cpu_post *post) {
  return op_is(node, 0, IEC_F32) && post_can_fuse(node, post);
}

const cpu_kernel IEC_ISA(cpu_kernel_maxpool_ref) = {.kind = "MaxPool",
                                                    .name = "maxpool_ref",
                                                    .supports = supports_max,
                                                    .can_fuse = can_fuse,
                                                    .prepare = prepare,
                                                    .run = run_max};
const cpu_kernel IEC_ISA(cpu_kernel_avgpool_ref) = {.kind = "AvgPool",
                                                    .name = "avgpool_ref",
                                                    .supports = supports_avg,
                                                    .can_fuse = post_can_fuse,
                                                    .prepare = prepare,
                                                    .run = run_avg};
