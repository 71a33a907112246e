/* SPDX-License-Identifier: Apache-2.0 */
/* Kind Inverse: square matrices turned over by elimination, in double precision. */
#include <math.h>

#include "cpu/kernels/common.h"

typedef struct inverse_state {
  int64_t count, n;
} inverse_state;

static int32_t supports(const cpu_node *node) {
  if (!op_ports(node, 1, 1) || !op_is(node, 0, IEC_F32)) return 0;
  const cpu_tensor *x = node->inputs[0], *y = node->outputs[0];
  if (x->ndim < 2 || x->shape[x->ndim - 1] != x->shape[x->ndim - 2]) return 0;
  return y->dtype == IEC_F32 && op_count(x) == op_count(y) ? 10 : 0;
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(inverse_state), out, err);
  if (status != IEC_OK) return status;
  inverse_state *s = out->state;
  const cpu_tensor *x = node->inputs[0];
  s->n = x->shape[x->ndim - 1];
  s->count = op_product(x->shape, 0, x->ndim - 2);
  out->member_scratch_size = (size_t)(s->n * s->n * 2) * sizeof(double);
  out->cost = 4.0 * (double)s->count * (double)s->n * (double)s->n * (double)s->n;
  out->exec_type = "inverse_" CPU_ISA_NAME;
  return IEC_OK;
}

/* `rows` holds each row of the matrix and, behind it, the same row of the identity, afterwards of the
 * inverse.
 */
static void eliminate(int64_t n, double *rows) {
  for (int64_t c = 0; c < n; c++) {
    int64_t pivot = c;
    for (int64_t i = c + 1; i < n; i++)
      if (fabs(rows[i * 2 * n + c]) > fabs(rows[pivot * 2 * n + c])) pivot = i;
    double *own = rows + c * 2 * n;
    for (int64_t j = 0; pivot != c && j < 2 * n; j++) {
      double held = own[j];
      own[j] = rows[pivot * 2 * n + j];
      rows[pivot * 2 * n + j] = held;
    }
    double divisor = own[c];
    for (int64_t j = 0; j < 2 * n; j++) own[j] /= divisor;
    for (int64_t i = 0; i < n; i++) {
      double factor = rows[i * 2 * n + c];
      for (int64_t j = 0; i != c && j < 2 * n; j++) rows[i * 2 * n + j] -= factor * own[j];
    }
  }
}

static void run(const void *state, const cpu_run *r) {
  const inverse_state *s = state;
  int64_t b, e, n = s->n;
  double *rows = r->member_scratch;
  while (cpu_next(r, s->count, 1, &b, &e))
    for (; b < e; b++) {
      const float *x = (const float *)r->inputs[0] + b * n * n;
      float *y = (float *)r->outputs[0] + b * n * n;
      for (int64_t i = 0; i < n * n; i++) {
        rows[i / n * 2 * n + i % n] = x[i];
        rows[i / n * 2 * n + n + i % n] = i / n == i % n;
      }
      eliminate(n, rows);
      for (int64_t i = 0; i < n * n; i++) y[i] = (float)rows[i / n * 2 * n + n + i % n];
    }
}

const cpu_kernel IEC_ISA(cpu_kernel_inverse) = {
    .kind = "Inverse", .name = "inverse", .supports = supports, .prepare = prepare, .run = run};
