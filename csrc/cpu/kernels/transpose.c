/* SPDX-License-Identifier: Apache-2.0 */
/* Kind Transpose, for every type: axes are merged and what remains is copied in rows or in square tiles. A
 * blocked tensor whose channels move behind all other axes is copied block by block. */
#include "cpu/kernels/nd.h"

typedef struct transpose_state {
  nd_copy copy;
  int64_t blocks, images, pixels, channels; /* of a blocked input; blocks 0: it is plain */
} transpose_state;

static int32_t supports(const cpu_node *node) {
  if (!op_ports_only(node, 1, 1)) return 0;
  const cpu_tensor *x = node->inputs[0], *y = node->outputs[0];
  size_t count;
  const int64_t *order = op_ints(node, "order", &count);
  if (!op_size(x->dtype) || x->dtype != y->dtype || x->ndim != y->ndim || count != (size_t)x->ndim) return 0;
  unsigned seen = 0;
  for (int i = 0; i < x->ndim; i++) {
    if (order[i] < 0 || order[i] >= x->ndim || y->shape[i] != x->shape[order[i]]) return 0;
    seen |= 1u << order[i];
  }
  return seen == (1u << x->ndim) - 1 ? 10 : 0;
}

/* As detectors bring their results: what a convolution made, channels last. */
static void layouts(const cpu_node *node, cpu_layout *in, cpu_layout *out) {
  const cpu_tensor *x = node->inputs[0];
  size_t count;
  const int64_t *order = op_ints(node, "order", &count);
  int last = x->ndim - 1;
  (void)out;
  if (!op_blocked(x) || x->dtype != IEC_F32 || order[0] != 0 || order[last] != 1) return;
  for (int i = 1; i < last; i++)
    if (order[i] != i + 1) return;
  in[0] = CPU_BLOCKED16;
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(transpose_state), out, err);
  if (status != IEC_OK) return status;
  transpose_state *s = out->state;
  nd_copy *c = &s->copy;
  const cpu_tensor *x = node->inputs[0], *y = node->outputs[0];
  size_t count;
  const int64_t *order = op_ints(node, "order", &count);
  int64_t strides[IEC_MAX_NDIM];
  c->size = (int32_t)op_size(x->dtype);
  out->cost = (double)(2 * op_count(y) * c->size);
  out->exec_type = "transpose_" CPU_ISA_NAME;
  if (op_blocked(x)) {
    s->images = x->shape[0];
    s->channels = x->shape[1];
    s->blocks = op_div_up(s->channels, 16);
    s->pixels = op_product(x->shape, 2, x->ndim);
    return IEC_OK;
  }
  nd_strides(x->shape, x->ndim, strides);
  c->rank = y->ndim;
  for (int i = 0; i < y->ndim; i++) {
    c->dims[i] = y->shape[i];
    c->src[i] = strides[order[i]];
  }
  nd_strides(y->shape, y->ndim, c->dst);
  nd_plan(c);
  return IEC_OK;
}

static void run_blocked(const transpose_state *s, const cpu_run *r) {
  int64_t begin, end, count = s->images * s->pixels, whole = s->channels / 16, rest = s->channels % 16;
  while (cpu_next(r, count, op_grain(r, count, op_max(1, 4096 / s->channels)), &begin, &end))
    for (; begin < end; begin++) {
      int64_t image = begin / s->pixels, pixel = begin % s->pixels;
      const float *from = (const float *)r->inputs[0] + (image * s->blocks * s->pixels + pixel) * 16;
      float *to = (float *)r->outputs[0] + begin * s->channels;
      for (int64_t b = 0; b < whole; b++, from += s->pixels * 16, to += 16) memcpy(to, from, 16 * sizeof *to);
      if (rest) memcpy(to, from, (size_t)rest * sizeof *to);
    }
}

static void run(const void *state, const cpu_run *r) {
  const transpose_state *s = state;
  if (s->blocks)
    run_blocked(s, r);
  else
    nd_copy_run(&s->copy, r, 0, 0);
}

const cpu_kernel IEC_ISA(cpu_kernel_transpose) = {.kind = "Transpose",
                                                  .name = "transpose",
                                                  .supports = supports,
                                                  .layouts = layouts,
                                                  .prepare = prepare,
                                                  .run = run};
