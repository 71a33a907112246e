/* SPDX-License-Identifier: Apache-2.0 */
/* Kind Reduce: float32 plain or blocked, int32 and int64, and and or on bool. */
#include "cpu/kernels/axes.h"

typedef enum { SUM, MEAN, MAX, MIN, PROD, L1, L2, LOG_SUM, LOG_SUM_EXP, SUM_SQUARE, AND, OR } reduce_op;
static const char *const names[] = {"sum", "mean",    "max",         "min",        "prod", "l1",
                                    "l2",  "log_sum", "log_sum_exp", "sum_square", "and",  "or"};

typedef struct reduce_state {
  axes_walk walk;
  op_tail tail;
  int64_t size; /* elements of the output in memory */
  int32_t op, dtype;
} reduce_state;

static int operation(const cpu_node *node) { return op_choice(op_text(node, "op", ""), names, 12); }

static int32_t supports(const cpu_node *node) {
  if (!op_ports(node, 1, 1)) return 0;
  const cpu_tensor *x = node->inputs[0], *y = node->outputs[0];
  int op = operation(node);
  int64_t mask = axes_mask(node), kept = 1;
  if (op < 0 || mask < 0 || x->dtype != y->dtype) return 0;
  if (op >= AND ? x->dtype != IEC_BOOL : x->dtype != IEC_F32 && x->dtype != IEC_I32 && x->dtype != IEC_I64)
    return 0;
  for (int i = 0; i < x->ndim; i++) {
    int64_t size = mask >> i & 1 ? 1 : x->shape[i];
    if (y->ndim == x->ndim && y->shape[i] != size) return 0;
    kept *= size;
  }
  return kept == op_count(y) ? 10 : 0;
}

/* Blocked when whole channels are kept: spatial reductions of feature maps. */
static void layouts(const cpu_node *node, cpu_layout *in, cpu_layout *out) {
  int64_t mask = axes_mask(node);
  if (op_blocked(node->inputs[0]) && !(mask >> 1 & 1) && node->outputs[0]->ndim == node->inputs[0]->ndim)
    in[0] = out[0] = CPU_BLOCKED16;
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(reduce_state), out, err);
  if (status != IEC_OK) return status;
  reduce_state *s = out->state;
  int64_t dims[IEC_MAX_NDIM + 1];
  axes_plan(node->inputs[0], axes_mask(node), &s->walk);
  s->tail = op_tail_of(node->outputs[0]);
  s->size = op_product(dims, 0, op_physical(node->outputs[0], dims));
  s->op = operation(node);
  s->dtype = node->inputs[0]->dtype;
  out->cost = (double)op_count(node->inputs[0]) * (s->op == LOG_SUM_EXP ? 20 : 1);
  out->exec_type = "reduce_" CPU_ISA_NAME;
  return IEC_OK;
}

static void fold(int op, const axes_walk *w, const axes_item *it, const float *x, double *v) {
  switch (op) {
    case SUM:
    case MEAN:
    case LOG_SUM: axes_fold(AXES_SUM, w, it, x, NULL, v); return;
    case MAX: axes_fold(AXES_MAX, w, it, x, NULL, v); return;
    case MIN: axes_fold(AXES_MIN, w, it, x, NULL, v); return;
    case PROD: axes_fold(AXES_PROD, w, it, x, NULL, v); return;
    case L1: axes_fold(AXES_ABS, w, it, x, NULL, v); return;
    case L2:
    case SUM_SQUARE: axes_fold(AXES_SQUARE, w, it, x, NULL, v); return;
    default: break;
  }
  float top[AXES_LANES]; /* log_sum_exp: the maximum is taken out; an infinite one stays in */
  axes_fold(AXES_MAX, w, it, x, NULL, v);
  for (int64_t j = 0; j < it->lanes; j++) top[j] = isfinite((float)v[j]) ? (float)v[j] : 0.0f;
  axes_fold(AXES_EXP, w, it, x, top, v);
  for (int64_t j = 0; j < it->lanes; j++) v[j] = log(v[j]) + (double)top[j];
}

static double finish(int op, double v, int64_t count) {
  if (op == MEAN) return v / (double)count;
  if (op == L2) return sqrt(v);
  if (op == LOG_SUM) return log(v);
  return v;
}

/* -- integers: sums and products wrap, what is not whole is truncated -- */

static int64_t element(int32_t dtype, const void *x, int64_t i) {
  return dtype == IEC_I64   ? ((const int64_t *)x)[i]
         : dtype == IEC_I32 ? ((const int32_t *)x)[i]
                            : ((const uint8_t *)x)[i] != 0;
}

static int64_t integer(const reduce_state *s, const void *x, int64_t at) {
  const axes_walk *w = &s->walk;
  int64_t n = w->outer * w->reduced[w->reduced_rank - 1];
  uint64_t acc = s->op == PROD || s->op == AND ? 1 : 0;
  int64_t best = s->op == MAX ? INT64_MIN : INT64_MAX;
  double real = 0;
  for (int64_t i = 0; i < n; i++) {
    int64_t v = element(s->dtype, x, at + axes_offset(w->reduced, w->reduced_step, w->reduced_rank, i));
    switch (s->op) {
      case MAX: best = op_max(best, v); break;
      case MIN: best = op_min(best, v); break;
      case PROD: acc *= (uint64_t)v; break;
      case L1: acc += v < 0 ? 0 - (uint64_t)v : (uint64_t)v; break;
      case L2:
      case SUM_SQUARE: acc += (uint64_t)v * (uint64_t)v; break;
      case LOG_SUM_EXP: real += exp((double)v); break;
      case AND: acc &= (uint64_t)v; break;
      case OR: acc |= (uint64_t)v; break;
      default: acc += (uint64_t)v; break;
    }
  }
  switch (s->op) {
    case MAX:
    case MIN: return best;
    case MEAN: return n ? (int64_t)acc / n : 0;
    case L2: return op_integer(sqrt((double)(int64_t)acc));
    case LOG_SUM: return op_integer(log((double)(int64_t)acc));
    case LOG_SUM_EXP: return op_integer(log(real));
    default: return (int64_t)acc;
  }
}

static void run_int(const reduce_state *s, const axes_item *it, const void *x, void *y) {
  for (int64_t j = 0; j < it->lanes; j++) {
    int64_t v = integer(s, x, it->x + j);
    if (s->dtype == IEC_I64)
      ((int64_t *)y)[it->y + j] = v;
    else if (s->dtype == IEC_I32)
      ((int32_t *)y)[it->y + j] = (int32_t)v;
    else
      ((uint8_t *)y)[it->y + j] = (uint8_t)v;
  }
}

static void run(const void *state, const cpu_run *r) {
  const reduce_state *s = state;
  const axes_walk *w = &s->walk;
  const void *x = r->inputs[0];
  void *y = r->outputs[0];
  int64_t b, e, grain = op_grain(r, w->items, 1);
  while (cpu_next(r, w->items, grain, &b, &e))
    for (; b < e; b++) {
      axes_item it = axes_at(w, b);
      if (s->dtype != IEC_F32) {
        run_int(s, &it, x, y);
        continue;
      }
      double v[AXES_LANES];
      fold(s->op, w, &it, x, v);
      for (int64_t j = 0; j < it.lanes; j++) ((float *)y)[it.y + j] = (float)finish(s->op, v[j], w->count);
    }
  if (!s->tail.rest) return;
  cpu_barrier(r);
  if (r->member == 0) op_tail_zero(&s->tail, y, 0, s->size);
}

const cpu_kernel IEC_ISA(cpu_kernel_reduce) = {.kind = "Reduce",
                                               .name = "reduce",
                                               .supports = supports,
                                               .layouts = layouts,
                                               .prepare = prepare,
                                               .run = run};
