/* SPDX-License-Identifier: Apache-2.0 */
/* Kind Scatter: rows written or reduced at int32 or int64 positions; positions outside are dropped. */
#include "cpu/kernels/common.h"

typedef enum { NONE, SUM, SUB, PROD, MIN, MAX, MEAN } scatter_op;
static const char *const names[] = {"none", "sum", "sub", "prod", "min", "max", "mean"};

typedef struct scatter_state {
  int64_t rows, count, inner; /* inner: elements of a row */
  int32_t op, dtype, size, wide, use_init;
} scatter_state;

static int operation(const cpu_node *node) { return op_choice(op_text(node, "reduction", ""), names, 7); }

static int32_t supports(const cpu_node *node) {
  if (!op_ports(node, 3, 1)) return 0;
  const cpu_tensor *x = node->inputs[0], *at = node->inputs[1], *u = node->inputs[2], *y = node->outputs[0];
  int op = operation(node);
  if (op < 0 || !op_size(x->dtype) || u->dtype != x->dtype || y->dtype != x->dtype) return 0;
  if (op != NONE && x->dtype != IEC_F32 && x->dtype != IEC_I32 && x->dtype != IEC_I64) return 0;
  if ((at->dtype != IEC_I32 && at->dtype != IEC_I64) || at->ndim != 1 || x->ndim != 2 || u->ndim != 2)
    return 0;
  if (u->shape[0] != at->shape[0] || u->shape[1] != x->shape[1]) return 0;
  return op_count(y) == op_count(x) ? 10 : 0;
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(scatter_state), out, err);
  if (status != IEC_OK) return status;
  scatter_state *s = out->state;
  const cpu_tensor *x = node->inputs[0];
  s->rows = x->shape[0];
  s->inner = x->shape[1];
  s->count = node->inputs[1]->shape[0];
  s->op = operation(node);
  s->dtype = x->dtype;
  s->size = (int32_t)op_size(x->dtype);
  s->wide = node->inputs[1]->dtype == IEC_I64;
  s->use_init = op_int(node, "use_init", 1) != 0;
  if (s->op == MEAN || (s->op != NONE && !s->use_init)) out->scratch_size = (size_t)s->rows * sizeof(int64_t);
  out->cost = (double)(op_count(x) * s->size) / 4 + (double)(s->count * op_max(s->inner, 1));
  out->exec_type = "scatter_" CPU_ISA_NAME;
  out->in_place = 1;
  return IEC_OK;
}

/* Integers wrap; the smaller and the larger of floats is NaN when one is. */
static float step_float(int op, float a, float b) {
  switch (op) {
    case SUM:
    case MEAN: return a + b;
    case SUB: return a - b;
    case PROD: return a * b;
    case MIN: return a < b || a != a ? a : b;
    default: return a > b || a != a ? a : b;
  }
}

static int64_t step_integer(int op, int64_t a, int64_t b) {
  switch (op) {
    case SUM:
    case MEAN: return (int64_t)((uint64_t)a + (uint64_t)b);
    case SUB: return (int64_t)((uint64_t)a - (uint64_t)b);
    case PROD: return (int64_t)((uint64_t)a * (uint64_t)b);
    case MIN: return op_min(a, b);
    default: return op_max(a, b);
  }
}

static void reduce_row(const scatter_state *s, void *y, const void *u) {
  for (int64_t i = 0; i < s->inner; i++) {
    if (s->dtype == IEC_F32) {
      float *v = (float *)y + i;
      *v = step_float(s->op, *v, ((const float *)u)[i]);
    } else if (s->dtype == IEC_I32) {
      int32_t *v = (int32_t *)y + i;
      *v = (int32_t)step_integer(s->op, *v, ((const int32_t *)u)[i]);
    } else {
      int64_t *v = (int64_t *)y + i;
      *v = step_integer(s->op, *v, ((const int64_t *)u)[i]);
    }
  }
}

static int64_t floor_div(int64_t a, int64_t n) { return a / n - (a % n < 0); }

static void divide_row(const scatter_state *s, void *y, int64_t n) {
  for (int64_t i = 0; i < s->inner; i++) {
    if (s->dtype == IEC_F32)
      ((float *)y)[i] /= (float)n;
    else if (s->dtype == IEC_I32)
      ((int32_t *)y)[i] = (int32_t)floor_div(((int32_t *)y)[i], n);
    else
      ((int64_t *)y)[i] = floor_div(((int64_t *)y)[i], n);
  }
}

/* Each member owns a range of rows and takes the updates that fall into it, in their order. */
static void run(const void *state, const cpu_run *r) {
  const scatter_state *s = state;
  int32_t rank, members = cpu_settle(r, &rank);
  int64_t row = s->inner * s->size, begin = s->rows * rank / members, end = s->rows * (rank + 1) / members;
  char *y = r->outputs[0];
  int64_t *seen = s->op == MEAN || (s->op != NONE && !s->use_init) ? r->scratch : NULL;
  if (y != r->inputs[0] && end > begin)
    memcpy(y + begin * row, (const char *)r->inputs[0] + begin * row, (size_t)((end - begin) * row));
  for (int64_t i = begin; seen && i < end; i++) seen[i] = 0;
  for (int64_t i = 0; i < s->count; i++) {
    int64_t at = s->wide ? ((const int64_t *)r->inputs[1])[i] : ((const int32_t *)r->inputs[1])[i];
    if (at < begin || at >= end) continue;
    const char *u = (const char *)r->inputs[2] + i * row;
    if (s->op == NONE || (!s->use_init && !seen[at]))
      memcpy(y + at * row, u, (size_t)row);
    else
      reduce_row(s, y + at * row, u);
    if (seen) seen[at]++;
  }
  for (int64_t i = begin; s->op == MEAN && i < end; i++)
    if (seen[i]) divide_row(s, y + i * row, seen[i] + s->use_init);
}

const cpu_kernel IEC_ISA(cpu_kernel_scatter) = {
    .kind = "Scatter", .name = "scatter", .supports = supports, .prepare = prepare, .run = run};
