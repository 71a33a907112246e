/* SPDX-License-Identifier: Apache-2.0 */
/* Matrix product of rows of quantised bytes with constant integer weights: fully connected layers. */
#include "cpu/kernels/int8_gemm.h"
#include "cpu/kernels/int8_store.h"
#include "cpu/kernels/matmul_common.h"

#define MAX_BYTES ((int64_t)1 << 30) /* of rows, and of packed weights */

typedef struct int8_matmul {
  int64_t m, k, n, blocks; /* blocks of 16 columns */
  int8_store store;
  int8_panel *panels;
  int32_t *rows; /* bytes from the first row to each */
} int8_matmul;

/* Rows, depth and columns; 0 when kernels of bytes cannot run the node. */
static int geometry(const cpu_node *node, int64_t *m, int64_t *k, int64_t *n) {
  const cpu_tensor *a = op_in(node, 0), *b = op_in(node, 1), *bias = op_in(node, 2);
  if (!op_ports(node, 2, 1) || !a->grid || !b->grid || a->dtype != IEC_U8 || b->dtype != IEC_I8) return 0;
  if (a->grid->count != 1 || a->ndim < 2 || b->ndim != 2 || op_int(node, "transpose_a", 0)) return 0;
  int flip = op_int(node, "transpose_b", 0) != 0;
  *k = a->shape[a->ndim - 1];
  *n = b->shape[!flip];
  if (*k < 4 || *k % 4 || *n < 1 || b->shape[flip] != *k)
    return 0; /* steps of four bytes stay within a row */
  *m = op_count(a) / *k;
  if (bias && (!bias->data || bias->dtype != IEC_F32 || op_count(bias) != *n)) return 0;
  if (*m < 1 || *m > MAX_BYTES / *k || *k > MAX_BYTES / 128 / (*n + 16)) return 0;
  return op_count(node->outputs[0]) == *m * *n;
}

static int32_t supports(const cpu_node *node) {
  int64_t m, k, n;
  return geometry(node, &m, &k, &n) ? 30 : 0;
}

static int32_t can_fuse(const cpu_node *node, const cpu_post *post) {
  return post->type != CPU_POST_SUM && int8_can_fuse(node, post);
}

static void release(const iec_host_api *host, void *state) {
  int8_matmul *s = state;
  if (!s) return;
  int8_store_release(&s->store, host);
  for (int64_t i = 0; s->panels && i < s->blocks; i++) int8_panel_release(s->panels + i, host);
  host->release(host->self, s->panels);
  host->release(host->self, s->rows);
  host->release(host->self, s);
}

/* Weights of column `c`, row `i`. */
static int8_t weight(const int8_matmul *s, const cpu_node *node, int64_t c, int64_t i) {
  const int8_t *w = node->inputs[1]->data;
  return op_int(node, "transpose_b", 0) ? w[c * s->k + i] : w[i * s->n + c];
}

static iec_status pack(int8_matmul *s, const iec_host_api *host, const cpu_node *node, int32_t *sums) {
  int64_t steps = s->k / 4;
  int8_t *list = host->alloc(host->self, (size_t)steps * INT8_STEP, 64);
  int32_t *at = host->alloc(host->self, (size_t)steps * sizeof *at, 64);
  iec_status status = list && at ? IEC_OK : IEC_OUT_OF_MEMORY;
  for (int64_t j = 0; !status && j < s->blocks; j++) {
    memset(list, 0, (size_t)steps * INT8_STEP);
    for (int64_t c = j * 16; c < op_min(s->n, j * 16 + 16); c++) {
      sums[c] = 0;
      for (int64_t i = 0; i < s->k; i++) {
        int8_t w = weight(s, node, c, i);
        list[i / 4 * INT8_STEP + c % 16 * 4 + i % 4] = w;
        sums[c] += w;
      }
    }
    for (int64_t i = 0; i < steps; i++) at[i] = (int32_t)(i * 4);
    status = int8_pack(host, list, at, steps, s->panels + j);
  }
  host->release(host->self, list);
  host->release(host->self, at);
  return status;
}

/* Packs the weights and makes the store from their sums. */
static iec_status pack_all(int8_matmul *s, const iec_host_api *host, const cpu_node *node, iec_error *err) {
  const cpu_grid *x = node->inputs[0]->grid, *w = node->inputs[1]->grid;
  const float *given = op_in(node, 2) ? node->inputs[2]->data : NULL;
  size_t n = (size_t)s->n;
  float *scale = host->alloc(host->self, n * 2 * sizeof *scale, 64);
  int32_t *sums = host->alloc(host->self, n * sizeof *sums, 64);
  iec_status status = scale && sums ? pack(s, host, node, sums) : IEC_OUT_OF_MEMORY;
  for (size_t c = 0; !status && c < n; c++) {
    scale[c] = x->scale[0] * w->scale[c];
    scale[n + c] = (float)((given ? (double)given[c] : 0.0) - (double)scale[c] * (double)x->zero * sums[c]);
  }
  if (!status) status = int8_store_init(&s->store, host, node, scale, scale + n, err);
  host->release(host->self, scale);
  host->release(host->self, sums);
  return status;
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(int8_matmul), out, err);
  if (status != IEC_OK) return status;
  int8_matmul *s = out->state;
  geometry(node, &s->m, &s->k, &s->n);
  s->blocks = op_div_up(s->n, 16);
  size_t blocks = (size_t)s->blocks;
  s->panels = host->alloc(host->self, blocks * sizeof *s->panels, 64);
  if (s->panels) memset(s->panels, 0, blocks * sizeof *s->panels);
  s->rows = host->alloc(host->self, (size_t)s->m * sizeof *s->rows, 64);
  status = s->panels && s->rows ? pack_all(s, host, node, err) : IEC_OUT_OF_MEMORY;
  if (status) {
    release(host, s);
    out->state = NULL;
    return cpu_fail(err, status, node->name, "out of memory for the weights");
  }
  for (int64_t i = 0; i < s->m; i++) s->rows[i] = (int32_t)(i * s->k);
  out->member_scratch_size = sizeof(int8_buffers);
  out->cost = (double)(s->m * s->n) * (double)s->k;
  out->exec_type = "int8_matmul_" CPU_ISA_NAME;
  out->packed_inputs = 6;
  return IEC_OK;
}

static void run(const void *state, const cpu_run *r) {
  const int8_matmul *s = state;
  int8_buffers *buffers = r->member_scratch;
  int64_t begin, end, pieces = op_div_up(s->m, INT8_PIXELS);
  while (cpu_next(r, s->blocks * pieces, 1, &begin, &end)) {
    int64_t block = begin / pieces, piece = begin % pieces;
    int64_t first = s->m * piece / pieces, count = s->m * (piece + 1) / pieces - first;
    int8_sums(s->panels + block, r->inputs[0], s->rows + first, count, buffers->sums);
    int8_store_columns(&s->store, r, buffers, first * s->n + block * 16, count, block * 16);
  }
}

const cpu_kernel IEC_ISA(cpu_kernel_int8_matmul) = {.kind = "MatMul",
                                                    .name = "int8_matmul",
                                                    .supports = supports,
                                                    .can_fuse = can_fuse,
                                                    .prepare = prepare,
                                                    .run = run,
                                                    .release = release};
