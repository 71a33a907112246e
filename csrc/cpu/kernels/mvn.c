/* SPDX-License-Identifier: Apache-2.0 */
/* Kind MVN, float32, plain or blocked: mean and, if asked, population variance over the axes are normalised.
 */
#include "cpu/kernels/axes.h"
#include "cpu/kernels/post.h"

enum { TOGETHER = 4 }; /* rows normalised side by side */

typedef struct mvn_state {
  axes_walk walk;
  op_tail tail;
  post_set posts; /* of a layer normalisation: a scale and a shift for each place on the last axis */
  int64_t size;   /* elements in memory */
  int32_t variance, outside;
  double eps;
} mvn_state;

static int32_t supports(const cpu_node *node) {
  if (!op_ports(node, 1, 1) || !op_is(node, 0, IEC_F32) || node->outputs[0]->dtype != IEC_F32) return 0;
  const char *mode = op_text(node, "eps_mode", "inside");
  if (strcmp(mode, "inside") != 0 && strcmp(mode, "outside") != 0) return 0;
  return axes_mask(node) >= 0 && op_keeps_shape(node) ? 10 : 0;
}

static int32_t can_fuse(const cpu_node *node, const cpu_post *post) {
  int last = node->inputs[0]->ndim - 1;
  return last >= 1 && node->inputs[0]->shape[last] > 1 && axes_mask(node) == (int64_t)1 << last &&
         post->type == CPU_POST_CHANNEL && post_can_fuse(node, post);
}

static void layouts(const cpu_node *node, cpu_layout *in, cpu_layout *out) {
  if (!node->post_count && axes_blocked(node, axes_mask(node))) in[0] = out[0] = CPU_BLOCKED16;
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(mvn_state), out, err);
  if (status != IEC_OK) return status;
  mvn_state *s = out->state;
  const cpu_tensor *x = node->inputs[0];
  int64_t dims[IEC_MAX_NDIM + 1];
  axes_plan(x, axes_mask(node), &s->walk);
  s->tail = op_tail_of(x);
  post_init(&s->posts, node);
  s->size = op_product(dims, 0, op_physical(x, dims));
  s->variance = op_int(node, "normalize_variance", 1) != 0;
  s->outside = strcmp(op_text(node, "eps_mode", "inside"), "outside") == 0;
  s->eps = op_float(node, "eps", 0);
  out->cost = (double)(6 * op_count(x));
  out->exec_type = "mvn_" CPU_ISA_NAME;
  out->in_place = 1;
  return IEC_OK;
}

/* What values are multiplied by after their mean is taken off; sum: of squares of what is left. */
static float scale_of(const mvn_state *s, double sum) {
  double v = sum / (double)s->walk.count;
  return (float)(1 / (s->outside ? sqrt(v) + s->eps : sqrt(v + s->eps)));
}

static void run_strip(const mvn_state *s, const axes_item *it, const float *x, float *y) {
  const axes_walk *w = &s->walk;
  double sum[AXES_LANES];
  float mean[AXES_LANES], scale[AXES_LANES];
  axes_strip(AXES_SUM, w, it, x, NULL, sum);
  for (int64_t j = 0; j < it->lanes; j++) {
    mean[j] = (float)(sum[j] / (double)w->count);
    scale[j] = 1;
  }
  if (s->variance) {
    axes_strip(AXES_CENTRED_SQUARE, w, it, x, mean, sum);
    for (int64_t j = 0; j < it->lanes; j++) scale[j] = scale_of(s, sum[j]);
  }
  axes_apply(w, it, mean, scale, x, y);
}

/* One contiguous row, with the scale and shift of each place. */
static void scaled_row(const cpu_post *p, int64_t n, float mean, float scale, const float *x, float *y) {
  vf least = vf_set(p->alpha), most = vf_set(p->beta);
  int64_t i = 0;
  for (; i + VL <= n; i += VL) {
    vf v = (vf_load(x + i) - mean) * scale;
    vf_store(y + i, vm_clamp(v * vf_load(p->scale + i) + vf_load(p->shift + i), least, most));
  }
  if (i == n) return;
  vf v = (vf_load_n(x + i, n - i) - mean) * scale;
  vf_store_n(y + i, vm_clamp(v * vf_load(p->scale + i) + vf_load(p->shift + i), least, most), n - i);
}

/* Kept elements [begin, end), at most TOGETHER, of which each is one lane: none waits for the sums of
 * another.
 */
static void run_rows(const mvn_state *s, const cpu_run *r, int64_t begin, int64_t end) {
  const axes_walk *w = &s->walk;
  const float *x = r->inputs[0];
  float *y = r->outputs[0], mean[TOGETHER], scale[TOGETHER];
  axes_item it[TOGETHER];
  int64_t count = end - begin;
  for (int64_t i = 0; i < count; i++) {
    it[i] = axes_at(w, begin + i);
    mean[i] = (float)(axes_row(AXES_SUM, w, it + i, x, NULL) / (double)w->count);
    scale[i] = 1;
  }
  for (int64_t i = 0; s->variance && i < count; i++)
    scale[i] = scale_of(s, axes_row(AXES_CENTRED_SQUARE, w, it + i, x, mean + i));
  const cpu_post *p = s->posts.posts;
  int scaled = s->posts.count == 1 && p->scale && p->shift;
  for (int64_t i = 0; i < count; i++) {
    if (scaled) {
      scaled_row(p, w->count, mean[i], scale[i], x + it[i].x, y + it[i].x);
      continue;
    }
    axes_apply_row(w, it + i, mean[i], scale[i], x, y);
    post_rows(&s->posts, r, y + it[i].x, 1, w->count, w->count, 0);
  }
}

static void run(const void *state, const cpu_run *r) {
  const mvn_state *s = state;
  const axes_walk *w = &s->walk;
  float *y = r->outputs[0];
  int64_t b, e, grain = op_grain(r, w->items, 1);
  while (cpu_next(r, w->items, grain, &b, &e))
    if (w->width == 1)
      for (; b < e; b += TOGETHER) run_rows(s, r, b, op_min(e, b + TOGETHER));
    else
      for (; b < e; b++) {
        axes_item it = axes_at(w, b);
        run_strip(s, &it, r->inputs[0], y);
      }
  if (!s->tail.rest) return;
  cpu_barrier(r);
  if (r->member == 0) op_tail_zero(&s->tail, y, 0, s->size);
}

const cpu_kernel IEC_ISA(cpu_kernel_mvn) = {.kind = "MVN",
                                            .name = "mvn",
                                            .supports = supports,
                                            .layouts = layouts,
                                            .can_fuse = can_fuse,
                                            .prepare = prepare,
                                            .run = run};
