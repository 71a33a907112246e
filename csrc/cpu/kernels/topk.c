/* SPDX-License-Identifier: Apache-2.0 */
/* Kind TopK: values and positions of the k best along an axis. Equal values: lower index first; NaN counts as
 * the largest. */
#include "cpu/kernels/common.h"

typedef struct topk_state {
  int64_t outer, n, inner, k;
  int32_t dtype, least, by_index, wide; /* least: mode min; wide: int64 indices */
  int32_t indices;                      /* there is a second output */
} topk_state;

static int32_t supports(const cpu_node *node) {
  if (!op_ports(node, 1, 1)) return 0;
  const cpu_tensor *x = node->inputs[0];
  const char *mode = op_text(node, "mode", "max"), *sort = op_text(node, "sort", "value");
  int64_t axis = op_int(node, "axis", -1), k = op_int(node, "k", -1);
  if (strcmp(mode, "max") != 0 && strcmp(mode, "min") != 0) return 0;
  if (strcmp(sort, "value") != 0 && strcmp(sort, "index") != 0 && strcmp(sort, "none") != 0) return 0;
  if (axis < 0 || axis >= x->ndim || k < 0 || k > x->shape[axis] || x->shape[axis] > INT32_MAX) return 0;
  if (x->dtype != IEC_F32 && x->dtype != IEC_I32 && x->dtype != IEC_I64 && x->dtype != IEC_U8 &&
      x->dtype != IEC_I8)
    return 0;
  int64_t count = op_product(x->shape, 0, (int)axis) * k * op_product(x->shape, (int)axis + 1, x->ndim);
  for (int i = 0; i < node->output_count && i < 2; i++) {
    const cpu_tensor *y = node->outputs[i];
    if (!y) continue;
    if (op_count(y) != count) return 0;
    if (i == 0 ? y->dtype != x->dtype : y->dtype != IEC_I32 && y->dtype != IEC_I64) return 0;
  }
  return 10;
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(topk_state), out, err);
  if (status != IEC_OK) return status;
  topk_state *s = out->state;
  const cpu_tensor *x = node->inputs[0];
  int axis = (int)op_int(node, "axis", 0);
  s->outer = op_product(x->shape, 0, axis);
  s->n = x->shape[axis];
  s->inner = op_product(x->shape, axis + 1, x->ndim);
  s->k = op_int(node, "k", 0);
  s->dtype = x->dtype;
  s->least = strcmp(op_text(node, "mode", "max"), "min") == 0;
  s->by_index = strcmp(op_text(node, "sort", "value"), "index") == 0;
  s->indices = node->output_count > 1 && node->outputs[1];
  s->wide = s->indices && node->outputs[1]->dtype == IEC_I64;
  out->member_scratch_size = (size_t)s->k * sizeof(int32_t);
  out->cost = (double)(4 * op_count(x));
  out->exec_type = "topk_" CPU_ISA_NAME;
  return IEC_OK;
}

/* -1, 0, 1: element i before, equal to, behind element j in rising order. */
static int compare(const topk_state *s, const void *x, int64_t i, int64_t j) {
#define ORDER(type)                                                                \
  do {                                                                             \
    type a = ((const type *)x)[i * s->inner], b = ((const type *)x)[j * s->inner]; \
    return a < b ? -1 : a > b ? 1 : 0;                                             \
  } while (0)
  switch (s->dtype) {
    case IEC_F32: {
      float a = ((const float *)x)[i * s->inner], b = ((const float *)x)[j * s->inner];
      if (a != a || b != b) return (a != a) - (b != b);
      return a < b ? -1 : a > b ? 1 : 0;
    }
    case IEC_I32: ORDER(int32_t);
    case IEC_I64: ORDER(int64_t);
    case IEC_U8: ORDER(uint8_t);
    default: ORDER(int8_t);
  }
#undef ORDER
}

static int better(const topk_state *s, const void *x, int64_t i, int64_t j) {
  int order = compare(s, x, i, j);
  return order == 0 ? i < j : s->least ? order < 0 : order > 0;
}

/* Restores the heap below `at`: the root is the worst of those kept (by_index: the greatest position). */
static void sink(const topk_state *s, const void *x, int32_t *heap, int64_t count, int64_t at, int by_index) {
  for (;;) {
    int64_t worst = at;
    for (int64_t child = 2 * at + 1; child <= 2 * at + 2 && child < count; child++)
      if (by_index ? heap[child] > heap[worst] : better(s, x, heap[worst], heap[child])) worst = child;
    if (worst == at) return;
    int32_t t = heap[at];
    heap[at] = heap[worst];
    heap[worst] = t;
    at = worst;
  }
}

static void column(const topk_state *s, const void *x, int32_t *heap) {
  for (int64_t i = 0; i < s->k; i++) heap[i] = (int32_t)i;
  for (int64_t i = s->k / 2 - 1; i >= 0; i--) sink(s, x, heap, s->k, i, 0);
  for (int64_t i = s->k; i < s->n; i++)
    if (better(s, x, i, heap[0])) {
      heap[0] = (int32_t)i;
      sink(s, x, heap, s->k, 0, 0);
    }
  if (s->by_index)
    for (int64_t i = s->k / 2 - 1; i >= 0; i--) sink(s, x, heap, s->k, i, 1);
  for (int64_t end = s->k - 1; end > 0; end--) { /* the worst goes to the back */
    int32_t t = heap[0];
    heap[0] = heap[end];
    heap[end] = t;
    sink(s, x, heap, end, 0, s->by_index);
  }
}

static void run(const void *state, const cpu_run *r) {
  const topk_state *s = state;
  int64_t b, e, size = op_size(s->dtype), grain = op_max(1, 4096 / op_max(s->n, 1));
  int32_t *heap = r->member_scratch;
  if (s->k == 0) return;
  while (cpu_next(r, s->outer * s->inner, grain, &b, &e))
    for (; b < e; b++) {
      int64_t o = b / s->inner, i = b % s->inner;
      const char *x = (const char *)r->inputs[0] + (o * s->n * s->inner + i) * size;
      column(s, x, heap);
      for (int64_t k = 0; k < s->k; k++) {
        int64_t y = (o * s->k + k) * s->inner + i;
        memcpy((char *)r->outputs[0] + y * size, x + heap[k] * s->inner * size, (size_t)size);
        if (!s->indices) continue;
        if (s->wide)
          ((int64_t *)r->outputs[1])[y] = heap[k];
        else
          ((int32_t *)r->outputs[1])[y] = heap[k];
      }
    }
}

const cpu_kernel IEC_ISA(cpu_kernel_topk) = {
    .kind = "TopK", .name = "topk", .supports = supports, .prepare = prepare, .run = run};
