/* SPDX-License-Identifier: Apache-2.0 */
/* Kind MatMul: tiles, or for few rows a sum along the matrix. */
#include "opencl/ops/gemm.h"

typedef struct product {
  gpu_gemm g;
  int64_t batches;
  int32_t batch_rank;
  int64_t sizes[IEC_MAX_NDIM], a_strides[IEC_MAX_NDIM], b_strides[IEC_MAX_NDIM]; /* of the batch axes */
} product;

/* Strides of a matrix's batch axes under those of the output; 0 when they do not fit. */
static int batch_strides(const gpu_value *v, int32_t matrix, product *p, int64_t *strides) {
  const int32_t own = v->ndim > matrix ? v->ndim - matrix : 0, shift = p->batch_rank - own;
  int64_t dense[IEC_MAX_NDIM];
  int64_t stride = gpu_product(v->shape, own, v->ndim);
  if (shift < 0) return 0;
  for (int32_t i = own - 1; i >= 0; i--) {
    dense[i] = stride;
    stride *= v->shape[i];
  }
  for (int32_t i = 0; i < p->batch_rank; i++) {
    strides[i] = i < shift || v->shape[i - shift] == 1 ? 0 : dense[i - shift];
    if (i >= shift && v->shape[i - shift] != 1 && v->shape[i - shift] != p->sizes[i]) return 0;
  }
  return 1;
}

static int describe(const gpu_op *op, product *p) {
  if (!gpu_ports(op, 2, 1) || !gpu_all_float(op)) return 0;
  const gpu_value *a = op->inputs[0], *b = op->inputs[1], *y = op->outputs[0], *bias = gpu_input(op, 2);
  if (a->ndim < 1 || b->ndim < 1) return 0;
  const int ta = gpu_int(op, "transpose_a", 0) && a->ndim > 1,
            tb = gpu_int(op, "transpose_b", 0) && b->ndim > 1;
  const int64_t a_rows = a->ndim > 1 ? a->shape[a->ndim - 2] : 1, a_columns = a->shape[a->ndim - 1];
  const int64_t b_rows = b->ndim > 1 ? b->shape[b->ndim - 2] : b->shape[0],
                b_columns = b->ndim > 1 ? b->shape[b->ndim - 1] : 1;
  const int64_t m = ta ? a_columns : a_rows, k = ta ? a_rows : a_columns, n = tb ? b_rows : b_columns;
  if ((tb ? b_columns : b_rows) != k) return 0;
  p->batch_rank = y->ndim - (a->ndim > 1) - (b->ndim > 1);
  if (p->batch_rank < 0) return 0;
  p->batches = 1;
  for (int32_t i = 0; i < p->batch_rank; i++) p->batches *= p->sizes[i] = y->shape[i];
  if (!batch_strides(a, 2, p, p->a_strides) || !batch_strides(b, 2, p, p->b_strides)) return 0;
  if ((a->ndim > 1 && y->shape[p->batch_rank] != m) || (b->ndim > 1 && y->shape[y->ndim - 1] != n)) return 0;
  if (y->count != p->batches * m * n || (bias && (!bias->data || bias->count != n))) return 0;
  p->g = (gpu_gemm){
      .m = (int32_t)m, .n = (int32_t)n, .k = (int32_t)k, .c_row = (int32_t)n, .c_col = 1, .by_column = 1};
  p->g.a_row = ta ? 1 : (int32_t)k;
  p->g.a_col = ta ? (int32_t)m : 1;
  p->g.b_row = tb ? 1 : (int32_t)n;
  p->g.b_col = tb ? (int32_t)k : 1;
  if (!ta && b->count == k * n) { /* one right matrix: all batches are rows */
    p->g.m = (int32_t)(p->batches * m);
    p->batches = 1;
    p->batch_rank = 0;
  }
  return 1;
}

static int supports(const gpu_op *op) {
  product p;
  return describe(op, &p);
}

static int64_t channels(const gpu_op *op, int64_t *inner) {
  *inner = 1;
  return op->inputs[1]->ndim > 1 ? op->outputs[0]->shape[op->outputs[0]->ndim - 1] : 0;
}

static iec_status plan_product(gpu_plan *plan, gpu_op *op, iec_error *err) {
  product p;
  describe(op, &p);
  gpu_bias_post(op, gpu_input(op, 2));
  const gpu_value *a = op->inputs[0], *b = op->inputs[1], *c = op->outputs[0];
  if (p.batches == 1 && p.g.m <= 4 && (p.g.a_col == 1 || p.g.m == 1))
    return gpu_gemv_plan(plan, op, a, b, c, p.g.m, p.g.n, p.g.k, p.g.b_row == 1, err);
  gpu_gemm_batch *batches = malloc((size_t)p.batches * sizeof *batches);
  if (!batches) return gpu_no_memory(err);
  for (int64_t z = 0; z < p.batches; z++) {
    int64_t left = z, from_a = 0, from_b = 0;
    for (int32_t i = p.batch_rank - 1; i >= 0; i--) {
      from_a += left % p.sizes[i] * p.a_strides[i];
      from_b += left % p.sizes[i] * p.b_strides[i];
      left /= p.sizes[i];
    }
    batches[z] = (gpu_gemm_batch){(int32_t)from_a, (int32_t)from_b, (int32_t)(z * p.g.m * p.g.n), 0};
  }
  iec_status status = gpu_gemm_plan(plan, op, a, b, c, &p.g, batches, p.batches, NULL, NULL, err);
  free(batches);
  return status;
}

const gpu_kind gpu_kinds_matmul[] = {{"MatMul", supports, channels, plan_product}, {0}};
