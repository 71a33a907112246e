/* SPDX-License-Identifier: Apache-2.0 */
/* Kind CTCLoss: minus the logarithm of the probability of all paths that read as the labels. */
#include <math.h>

#include "cpu/kernels/common.h"

enum { LOGITS, LENGTHS, LABELS, COUNTS, BLANK };

typedef struct loss_state {
  int64_t batch, time, classes;
  int32_t collapse, merge, unique, dtype, blank; /* dtype of all integers; blank: it is an input */
} loss_state;

static int32_t supports(const cpu_node *node) {
  if (!op_ports(node, 4, 1) || !op_is(node, LOGITS, IEC_F32)) return 0;
  const cpu_tensor *x = node->inputs[LOGITS], *blank = op_in(node, BLANK);
  int32_t dtype = node->inputs[LENGTHS]->dtype;
  if (x->ndim != 3 || x->shape[2] < 1 || (dtype != IEC_I32 && dtype != IEC_I64)) return 0;
  if (!op_is(node, LABELS, dtype) || !op_is(node, COUNTS, dtype) || (blank && blank->dtype != dtype))
    return 0;
  if (op_count(node->inputs[LENGTHS]) != x->shape[0] || op_count(node->inputs[COUNTS]) != x->shape[0])
    return 0;
  if (op_count(node->inputs[LABELS]) != x->shape[0] * x->shape[1] || (blank && op_count(blank) != 1))
    return 0;
  return node->outputs[0]->dtype == IEC_F32 && op_count(node->outputs[0]) == x->shape[0] ? 10 : 0;
}

/* Member scratch: labels [time], the path's probabilities before and after a step [2 * time + 1]. */
static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(loss_state), out, err);
  if (status != IEC_OK) return status;
  const cpu_tensor *x = node->inputs[LOGITS];
  loss_state *s = out->state;
  s->batch = x->shape[0];
  s->time = x->shape[1];
  s->classes = x->shape[2];
  s->collapse = op_int(node, "preprocess_collapse_repeated", 0) != 0;
  s->merge = op_int(node, "ctc_merge_repeated", 1) != 0;
  s->unique = op_int(node, "unique", 0) != 0;
  s->dtype = node->inputs[LENGTHS]->dtype;
  s->blank = op_in(node, BLANK) != NULL;
  out->member_scratch_size =
      (size_t)s->time * sizeof(int64_t) + 2 * (size_t)(2 * s->time + 1) * sizeof(double);
  out->cost = 20.0 * (double)op_count(x) + 60.0 * (double)(s->batch * s->time) * (double)s->time;
  out->exec_type = "ctc_loss_" CPU_ISA_NAME;
  return IEC_OK;
}

static int64_t integer(const loss_state *s, const void *p, int64_t i) {
  return s->dtype == IEC_I64 ? ((const int64_t *)p)[i] : ((const int32_t *)p)[i];
}

static int64_t clipped(const loss_state *s, const void *p, int64_t i) {
  return op_min(op_max(integer(s, p, i), 0), s->time);
}

/* Labels without repeats, or each once, as the attributes say; -1 when one is no class. */
static int64_t read_labels(const loss_state *s, const cpu_run *r, int64_t n, int64_t *labels) {
  int64_t count = 0, previous = -1, given = clipped(s, r->inputs[COUNTS], n);
  for (int64_t i = 0; i < given; i++) {
    int64_t v = integer(s, r->inputs[LABELS], n * s->time + i), seen = s->collapse && v == previous;
    if (v < 0 || v >= s->classes) return -1;
    for (int64_t k = 0; s->unique && k < count && !seen; k++) seen = labels[k] == v;
    if (!seen) labels[count++] = v;
    previous = v;
  }
  return count;
}

static double add_logs(double a, double b) {
  double high = a > b ? a : b, low = a > b ? b : a;
  return low == -(double)INFINITY ? high : high + log1p(exp(low - high));
}

/* Logarithm of the sum of exponentials of a step's logits. */
static double normaliser(const loss_state *s, const float *x) {
  double peak = x[0], sum = 0;
  for (int64_t c = 1; c < s->classes; c++) peak = x[c] > peak ? x[c] : peak;
  for (int64_t c = 0; c < s->classes; c++) sum += exp((double)x[c] - peak);
  return peak + log(sum);
}

/* The path is blank, label, blank, label, ..., blank; without merging a label takes one step only. */
static double loss(const loss_state *s, const float *x, int64_t steps, const int64_t *labels, int64_t count,
                   int64_t blank, double *before, double *after) {
  const double never = -(double)INFINITY;
  int64_t length = 2 * count + 1;
  for (int64_t i = 0; i < length; i++) after[i] = never;
  after[0] = 0; /* before the first step */
  for (int64_t t = 0; t < steps; t++, x += s->classes) {
    double *swap = before, total = normaliser(s, x);
    before = after;
    after = swap;
    for (int64_t i = 0; i < length; i++) {
      int64_t symbol = i % 2 ? labels[i / 2] : blank;
      double way = i % 2 == 0 || s->merge ? before[i] : never;
      if (i > 0) way = add_logs(way, before[i - 1]);
      if (i > 1 && i % 2 && !(s->merge && symbol == labels[i / 2 - 1])) way = add_logs(way, before[i - 2]);
      after[i] = way + (x[symbol] - total);
    }
  }
  return -(length > 1 ? add_logs(after[length - 1], after[length - 2]) : after[0]);
}

static void run(const void *state, const cpu_run *r) {
  const loss_state *s = state;
  int64_t b, e, *labels = r->member_scratch,
                blank = s->blank ? integer(s, r->inputs[BLANK], 0) : s->classes - 1;
  double *before = (double *)(labels + s->time), *after = before + 2 * s->time + 1;
  while (cpu_next(r, s->batch, 1, &b, &e)) {
    int64_t count = read_labels(s, r, b, labels), steps = clipped(s, r->inputs[LENGTHS], b);
    const float *x = (const float *)r->inputs[LOGITS] + b * s->time * s->classes;
    int valid = count >= 0 && blank >= 0 && blank < s->classes;
    ((float *)r->outputs[0])[b] =
        valid ? (float)loss(s, x, steps, labels, count, blank, before, after) : INFINITY;
  }
}

const cpu_kernel IEC_ISA(cpu_kernel_ctc_loss) = {
    .kind = "CTCLoss", .name = "ctc_loss", .supports = supports, .prepare = prepare, .run = run};
