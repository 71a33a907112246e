/* SPDX-License-Identifier: Apache-2.0 */
/* Kind NormalizeL2, float32, plain or blocked: x / sqrt(sum of squares over the axes + eps), or with max
 * instead of +. */
#include "cpu/kernels/axes.h"

typedef struct normalize_state {
  axes_walk walk;
  op_tail tail;
  int64_t size; /* elements in memory */
  int32_t max;
  double eps;
} normalize_state;

static int32_t supports(const cpu_node *node) {
  if (!op_ports(node, 1, 1) || !op_is(node, 0, IEC_F32) || node->outputs[0]->dtype != IEC_F32) return 0;
  const char *mode = op_text(node, "eps_mode", "add");
  if (strcmp(mode, "add") != 0 && strcmp(mode, "max") != 0) return 0;
  return axes_mask(node) >= 0 && op_keeps_shape(node) ? 10 : 0;
}

/* Lanes past C are zero and add nothing to a sum of squares. */
static void layouts(const cpu_node *node, cpu_layout *in, cpu_layout *out) {
  in[0] = out[0] = node->inputs[0]->layout;
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(normalize_state), out, err);
  if (status != IEC_OK) return status;
  normalize_state *s = out->state;
  const cpu_tensor *x = node->inputs[0];
  int64_t dims[IEC_MAX_NDIM + 1];
  axes_plan(x, axes_mask(node), &s->walk);
  s->tail = op_tail_of(x);
  s->size = op_product(dims, 0, op_physical(x, dims));
  s->max = strcmp(op_text(node, "eps_mode", "add"), "max") == 0;
  s->eps = op_float(node, "eps", 0);
  out->cost = (double)(4 * op_count(x));
  out->exec_type = "normalize_" CPU_ISA_NAME;
  out->in_place = 1;
  return IEC_OK;
}

static void run(const void *state, const cpu_run *r) {
  const normalize_state *s = state;
  const axes_walk *w = &s->walk;
  const float *x = r->inputs[0];
  float *y = r->outputs[0];
  int64_t b, e, grain = op_grain(r, w->items, 1);
  while (cpu_next(r, w->items, grain, &b, &e))
    for (; b < e; b++) {
      axes_item it = axes_at(w, b);
      double sum[AXES_LANES];
      float zero[AXES_LANES] = {0}, scale[AXES_LANES];
      axes_fold(AXES_SQUARE, w, &it, x, NULL, sum);
      for (int64_t j = 0; j < it.lanes; j++)
        scale[j] = (float)(1 / sqrt(s->max ? (sum[j] < s->eps ? s->eps : sum[j]) : sum[j] + s->eps));
      axes_apply(w, &it, zero, scale, x, y);
    }
  if (!s->tail.rest) return;
  cpu_barrier(r);
  if (r->member == 0) op_tail_zero(&s->tail, y, 0, s->size);
}

const cpu_kernel IEC_ISA(cpu_kernel_normalize) = {.kind = "NormalizeL2",
                                                  .name = "normalize",
                                                  .supports = supports,
                                                  .layouts = layouts,
                                                  .prepare = prepare,
                                                  .run = run};
