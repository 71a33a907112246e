/* SPDX-License-Identifier: Apache-2.0 */
/* Matrix products of any shape and number type, row by row. */
#include "cpu/kernels/matmul_common.h"
#include "cpu/kernels/post.h"

typedef struct matmul_ref {
  matmul_geom geom;
  post_set posts;
  int32_t dtype, has_bias;
} matmul_ref;

static int32_t supports(const cpu_node *node) {
  matmul_geom q;
  return matmul_geometry(node, IEC_F32, &q) || matmul_geometry(node, IEC_I32, &q) ||
         matmul_geometry(node, IEC_I64, &q);
}

static int32_t can_fuse(const cpu_node *node, const cpu_post *post) {
  return op_is(node, 0, IEC_F32) && node->inputs[1]->ndim > 1 && post_can_fuse(node, post);
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(matmul_ref), out, err);
  if (status != IEC_OK) return status;
  matmul_ref *s = out->state;
  s->dtype = node->inputs[0]->dtype;
  matmul_geometry(node, s->dtype, &s->geom);
  post_init(&s->posts, node);
  s->has_bias = op_in(node, 2) != NULL;
  out->cost = 2.0 * (double)(s->geom.batch * s->geom.m * s->geom.n) * (double)s->geom.k;
  out->exec_type = "matmul_ref_" CPU_ISA_NAME;
  return IEC_OK;
}

static void row_f32(const matmul_geom *q, const float *a, const float *b, const float *bias, float *y) {
  for (int64_t j = 0; j < q->n; j++) y[j] = bias ? bias[j] : 0.0f;
  for (int64_t k = 0; k < q->k; k++, a += q->a_col, b += q->b_row) {
    float v = *a;
    if (q->b_col == 1)
      for (int64_t j = 0; j < q->n; j++) y[j] += v * b[j];
    else
      for (int64_t j = 0; j < q->n; j++) y[j] += v * b[j * q->b_col];
  }
}

/* Products and sums wrap around, hence the unsigned arithmetic. */
static void row_i32(const matmul_geom *q, const uint32_t *a, const uint32_t *b, const uint32_t *bias,
                    uint32_t *y) {
  for (int64_t j = 0; j < q->n; j++) y[j] = bias ? bias[j] : 0;
  for (int64_t k = 0; k < q->k; k++, a += q->a_col, b += q->b_row)
    for (int64_t j = 0; j < q->n; j++) y[j] += *a * b[j * q->b_col];
}

static void row_i64(const matmul_geom *q, const uint64_t *a, const uint64_t *b, const uint64_t *bias,
                    uint64_t *y) {
  for (int64_t j = 0; j < q->n; j++) y[j] = bias ? bias[j] : 0;
  for (int64_t k = 0; k < q->k; k++, a += q->a_col, b += q->b_row)
    for (int64_t j = 0; j < q->n; j++) y[j] += *a * b[j * q->b_col];
}

static void run(const void *state, const cpu_run *r) {
  const matmul_ref *s = state;
  const matmul_geom *q = &s->geom;
  int64_t begin, end;
  const void *bias = s->has_bias ? r->inputs[2] : NULL;
  while (cpu_next(r, q->batch * q->m, 1, &begin, &end)) {
    int64_t a, b, to = begin * q->n;
    matmul_offsets(q, begin / q->m, &a, &b);
    a += begin % q->m * q->a_row;
    switch (s->dtype) {
      case IEC_I32:
        row_i32(q, (const uint32_t *)r->inputs[0] + a, (const uint32_t *)r->inputs[1] + b, bias,
                (uint32_t *)r->outputs[0] + to);
        break;
      case IEC_I64:
        row_i64(q, (const uint64_t *)r->inputs[0] + a, (const uint64_t *)r->inputs[1] + b, bias,
                (uint64_t *)r->outputs[0] + to);
        break;
      default:
        row_f32(q, (const float *)r->inputs[0] + a, (const float *)r->inputs[1] + b, bias,
                (float *)r->outputs[0] + to);
        post_rows(&s->posts, r, (float *)r->outputs[0] + to, 1, q->n, q->n, 0);
    }
  }
}

const cpu_kernel IEC_ISA(cpu_kernel_matmul_ref) = {.kind = "MatMul",
                                                   .name = "matmul_ref",
                                                   .supports = supports,
                                                   .can_fuse = can_fuse,
                                                   .prepare = prepare,
                                                   .run = run};
