/* SPDX-License-Identifier: Apache-2.0 */
/* Large matrix products with constant weights by Strassen's method. */
#include "cpu/kernels/gemm_rows.h"
#include "cpu/kernels/matmul_common.h"
#include "cpu/kernels/post.h"
#include "cpu/kernels/strassen.h"

typedef struct matmul_strassen {
  matmul_geom geom;
  post_set posts;
  strassen_shape shape;
  strassen_constants constants;
} matmul_strassen;

static int32_t supports(const cpu_node *node) {
  matmul_geom q;
  if (!matmul_geometry(node, IEC_F32, &q) || q.batch < 1 || !strassen_pays(q.m, q.k, q.n)) return 0;
  if (q.n % 32) return 0; /* rows of y have no room for more */
  const cpu_tensor *b = node->inputs[1], *bias = op_in(node, 2);
  if (node->inputs[0]->data || !b->data || op_count(b) != q.k * q.n || (bias && !bias->data)) return 0;
  return q.a_col == 1 && (q.b_row == 1 || q.b_col == 1) ? 25 : 0;
}

static void release(const iec_host_api *host, void *state) {
  matmul_strassen *s = state;
  if (!s) return;
  host->release(host->self, s->constants.bias);
  host->release(host->self, s);
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(matmul_strassen), out, err);
  if (status != IEC_OK) return status;
  matmul_strassen *s = out->state;
  matmul_geom *q = &s->geom;
  matmul_geometry(node, IEC_F32, q);
  post_init(&s->posts, node);
  post_take(&s->posts, 1);
  s->shape = strassen_shape_of(q->k, q->n);
  status = strassen_pack(host, node, &s->shape, q->b_row, q->b_col, &s->constants, err);
  if (status != IEC_OK) {
    release(host, s);
    out->state = NULL;
    return status;
  }
  out->member_scratch_size = (size_t)strassen_floats(&s->shape) * sizeof(float);
  out->cost = 2.0 * (double)(q->batch * q->m * q->n) * (double)q->k * STRASSEN_PRODUCTS / 8;
  out->exec_type = "matmul_strassen_" CPU_ISA_NAME;
  out->packed_inputs = 6;
  return IEC_OK;
}

/* Some rows of a matrix while they are multiplied. */
typedef struct item {
  int64_t count, half;
  const float *quarters[4];
  float *y; /* the first row */
  float *sums, *products;
} item;

static item make_item(const matmul_strassen *s, const cpu_run *r, int64_t matrix, int64_t row,
                      int64_t count) {
  const matmul_geom *q = &s->geom;
  item w = {.count = count, .half = strassen_half(count)};
  const float *a = (const float *)r->inputs[0] + matmul_offset(q, q->a_step, matrix) + row * q->a_row;
  for (int i = 0; i < 4; i++)
    w.quarters[i] = a + i / 2 * (count - w.half) * q->a_row + i % 2 * s->shape.inner;
  w.y = (float *)r->outputs[0] + matmul_offset(q, q->y_step, matrix) + row * q->y_row;
  w.sums = r->member_scratch;
  w.products = w.sums + STRASSEN_SUMS * s->shape.inner * w.half;
  return w;
}

static void run_group(const matmul_strassen *s, const cpu_run *r, const item *w, int64_t j) {
  const matmul_geom *q = &s->geom;
  const strassen_shape *shape = &s->shape;
  int64_t first = strassen_start(shape, j), width = (strassen_start(shape, j + 1) - first) * 16;
  for (int p = 0; p < STRASSEN_PRODUCTS; p++) {
    int last = j + 1 == shape->groups && p + 1 == STRASSEN_PRODUCTS;
    gemm_rows_args a = {.w = s->constants.weights + strassen_panel(shape, j, p),
                        .bias = strassen_bias(shape, &s->constants, j, p),
                        .y = w->products + p * w->half * width,
                        .y_row = width,
                        .ahead = last ? 0 : shape->inner * width};
    const float *from = strassen_factor(w->quarters, q->a_row, w->sums, w->half, shape->inner, p, &a.a_row);
    for (int64_t k = 0; k < shape->inner; k += GEMM_ROWS_DEPTH) {
      a.a = from + k;
      a.inner = op_min(GEMM_ROWS_DEPTH, shape->inner - k);
      a.accumulate = k > 0;
      gemm_rows(&a, (int32_t)(width / 16), w->half);
      a.w += a.inner * width;
    }
  }
  float *y[4];
  const float *addend[4] = {NULL, NULL, NULL, NULL};
  for (int i = 0; i < 4; i++) {
    y[i] = w->y + i / 2 * (w->count - w->half) * q->y_row + (first + i % 2 * shape->blocks) * 16;
    if (s->posts.addend >= 0)
      addend[i] = (const float *)r->inputs[s->posts.addend] + (y[i] - (const float *)r->outputs[0]);
  }
  strassen_join(w->products, w->half, w->half, width, y, addend, q->y_row,
                s->posts.limited ? s->posts.limits : NULL);
  for (int half = 0; half < 2; half++)
    post_rows(&s->posts, r, y[half], w->count, q->y_row, width, (first + half * shape->blocks) * 16);
}

static void run(const void *state, const cpu_run *r) {
  const matmul_strassen *s = state;
  const matmul_geom *q = &s->geom;
  strassen_split c = strassen_share(&s->shape, q->batch, q->m, r->members);
  int64_t begin, end, groups = s->shape.groups, summed = -1;
  item w;
  while (cpu_next(r, q->batch * c.pieces * c.parts, 1, &begin, &end)) {
    int64_t rows = begin / c.parts, part = begin % c.parts, piece = rows % c.pieces;
    if (rows != summed) { /* else the same rows, more columns */
      int64_t row = q->m * piece / c.pieces;
      w = make_item(s, r, rows / c.pieces, row, q->m * (piece + 1) / c.pieces - row);
      strassen_sums(w.quarters, q->a_row, w.half, s->shape.inner, w.sums);
      summed = rows;
    }
    for (int64_t j = groups * part / c.parts; j < groups * (part + 1) / c.parts; j++) run_group(s, r, &w, j);
  }
}

const cpu_kernel IEC_ISA(cpu_kernel_matmul_strassen) = {.kind = "MatMul",
                                                        .name = "matmul_strassen",
                                                        .supports = supports,
                                                        .can_fuse = post_can_fuse,
                                                        .takes_orders = 1,
                                                        .prepare = prepare,
                                                        .run = run,
                                                        .release = release};
