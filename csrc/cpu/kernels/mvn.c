/* SPDX-License-Identifier: Apache-2.0 */
/* Kind MVN, float32, plain or blocked: mean and, if asked, population variance over the axes are normalised.
 */
#include "cpu/kernels/axes.h"
#include "cpu/kernels/post.h"

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

static void run(const void *state, const cpu_run *r) {
  const mvn_state *s = state;
  const axes_walk *w = &s->walk;
  const float *x = r->inputs[0];
  float *y = r->outputs[0];
  int64_t b, e, grain = op_grain(r, w->items, 1);
  while (cpu_next(r, w->items, grain, &b, &e))
    for (; b < e; b++) {
      axes_item it = axes_at(w, b);
      double sum[AXES_LANES];
      float mean[AXES_LANES], scale[AXES_LANES];
      axes_fold(AXES_SUM, w, &it, x, NULL, sum);
      for (int64_t j = 0; j < it.lanes; j++) {
        mean[j] = (float)(sum[j] / (double)w->count);
        scale[j] = 1;
      }
      if (s->variance) {
        axes_fold(AXES_CENTRED_SQUARE, w, &it, x, mean, sum);
        for (int64_t j = 0; j < it.lanes; j++) {
          double v = sum[j] / (double)w->count;
          scale[j] = (float)(1 / (s->outside ? sqrt(v) + s->eps : sqrt(v + s->eps)));
        }
      }
      axes_apply(w, &it, mean, scale, x, y);
      if (s->posts.count) post_row(&s->posts, r, y + it.x, w->count, 0);
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
