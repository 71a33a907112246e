/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds CTCGreedyDecoder and CTCGreedyDecoderSeqLen: the best class of each step, without blanks and repeats.
 */
#include "cpu/kernels/common.h"

typedef struct ctc_state {
  int64_t steps, batch, classes;
  int64_t step_stride, batch_stride;                 /* of the data, in elements */
  int32_t merge, seq_len, blank_dtype, length_dtype; /* blank_dtype 0: the last class */
  int32_t index_wide, count_wide, counts;
} ctc_state;

static int is_index(const cpu_tensor *t) { return t && (t->dtype == IEC_I32 || t->dtype == IEC_I64); }

static int32_t supports_mask(const cpu_node *node) {
  if (!op_ports(node, 2, 1) || !op_is(node, 0, IEC_F32) || !op_is(node, 1, IEC_F32)) return 0;
  const cpu_tensor *x = node->inputs[0], *y = node->outputs[0];
  if (x->ndim != 3 || x->shape[2] < 1 || op_count(node->inputs[1]) != x->shape[0] * x->shape[1]) return 0;
  return y->dtype == IEC_F32 && op_count(y) == x->shape[0] * x->shape[1] ? 10 : 0;
}

static int32_t supports_lengths(const cpu_node *node) {
  if (!op_ports(node, 2, 1) || !op_is(node, 0, IEC_F32) || !is_index(node->inputs[1])) return 0;
  const cpu_tensor *x = node->inputs[0], *blank = op_in(node, 2);
  if (x->ndim != 3 || x->shape[2] < 1 || op_count(node->inputs[1]) != x->shape[0]) return 0;
  if (blank && (!is_index(blank) || op_count(blank) < 1)) return 0;
  if (!is_index(node->outputs[0]) || op_count(node->outputs[0]) != x->shape[0] * x->shape[1]) return 0;
  const cpu_tensor *counts = node->output_count > 1 ? node->outputs[1] : NULL;
  return !counts || (is_index(counts) && op_count(counts) == x->shape[0]) ? 10 : 0;
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(ctc_state), out, err);
  if (status != IEC_OK) return status;
  ctc_state *s = out->state;
  const cpu_tensor *x = node->inputs[0], *blank = op_in(node, 2);
  s->seq_len = strcmp(node->kind, "CTCGreedyDecoderSeqLen") == 0;
  s->batch = x->shape[s->seq_len ? 0 : 1];
  s->steps = x->shape[s->seq_len ? 1 : 0];
  s->classes = x->shape[2];
  s->step_stride = s->seq_len ? s->classes : s->batch * s->classes;
  s->batch_stride = s->seq_len ? s->steps * s->classes : s->classes;
  s->merge = op_int(node, "merge_repeated", 1) != 0;
  s->blank_dtype = s->seq_len && blank ? blank->dtype : 0;
  s->length_dtype = node->inputs[1]->dtype;
  s->index_wide = node->outputs[0]->dtype == IEC_I64;
  s->counts = s->seq_len && node->output_count > 1 && node->outputs[1];
  s->count_wide = s->counts && node->outputs[1]->dtype == IEC_I64;
  out->cost = (double)op_count(x);
  out->exec_type = "ctc_" CPU_ISA_NAME;
  return IEC_OK;
}

static int64_t index_at(int32_t dtype, const void *p, int64_t i) {
  return dtype == IEC_I64 ? ((const int64_t *)p)[i] : ((const int32_t *)p)[i];
}

static void put(const ctc_state *s, void *y, int64_t i, int64_t v) {
  if (!s->seq_len)
    ((float *)y)[i] = (float)v;
  else if (s->index_wide)
    ((int64_t *)y)[i] = v;
  else
    ((int32_t *)y)[i] = (int32_t)v;
}

/* Steps of sequence n: the first one, then while the mask of the next is not 0; or the given length. */
static int64_t length_of(const ctc_state *s, const void *given, int64_t n) {
  if (s->seq_len) return op_min(op_max(index_at(s->length_dtype, given, n), 0), s->steps);
  int64_t t = op_min(1, s->steps);
  while (t < s->steps && ((const float *)given)[t * s->batch + n] != 0) t++;
  return t;
}

static void run(const void *state, const cpu_run *r) {
  const ctc_state *s = state;
  int64_t b, e, blank = s->blank_dtype ? index_at(s->blank_dtype, r->inputs[2], 0) : s->classes - 1;
  while (cpu_next(r, s->batch, 1, &b, &e)) {
    int64_t length = length_of(s, r->inputs[1], b), previous = -1, count = 0;
    for (int64_t t = 0; t < length; t++) {
      const float *x = (const float *)r->inputs[0] + b * s->batch_stride + t * s->step_stride;
      int64_t best = 0;
      for (int64_t c = 1; c < s->classes; c++)
        if (x[c] > x[best]) best = c;
      if (best != blank && !(s->merge && best == previous))
        put(s, r->outputs[0], b * s->steps + count++, best);
      previous = best;
    }
    for (int64_t t = count; t < s->steps; t++) put(s, r->outputs[0], b * s->steps + t, -1);
    if (!s->counts) continue;
    if (s->count_wide)
      ((int64_t *)r->outputs[1])[b] = count;
    else
      ((int32_t *)r->outputs[1])[b] = (int32_t)count;
  }
}

const cpu_kernel IEC_ISA(cpu_kernel_ctc_mask) = {.kind = "CTCGreedyDecoder",
                                                 .name = "ctc_mask",
                                                 .supports = supports_mask,
                                                 .prepare = prepare,
                                                 .run = run};
const cpu_kernel IEC_ISA(cpu_kernel_ctc_lengths) = {.kind = "CTCGreedyDecoderSeqLen",
                                                    .name = "ctc_lengths",
                                                    .supports = supports_lengths,
                                                    .prepare = prepare,
                                                    .run = run};
