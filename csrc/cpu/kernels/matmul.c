/* SPDX-License-Identifier: Apache-2.0 */
/* Matrix products on register tiles: rows of a in blocks of 16 inner elements, b in panels packed at load or,
 * when it is computed, at run time. A fully connected layer is one with few rows. */
#include "cpu/kernels/gemm.h"
#include "cpu/kernels/matmul_common.h"
#include "cpu/kernels/post.h"

#define SLAB_BYTES (256 * 1024) /* weights that one pass over the rows uses: a part of the L2 cache */
#define ITEM_ROWS 192           /* rows of a work item at most */
#define MAX_FLOATS ((int64_t)1 << 31)

typedef struct matmul {
  matmul_geom geom;
  post_set posts;
  int32_t constant, has_bias; /* constant: b is packed, one matrix for all batches */
  int64_t in_blocks, out_blocks, groups;
  int64_t batch, m;            /* batches and rows as run: batches that share b are rows of one */
  int64_t a_floats, b_floats;  /* packed a of one batch, packed b of one batch */
  int64_t a_at, b_at, bias_at; /* floats into the scratch memory */
  float *weights, *bias;       /* constant ones; bias: out_blocks * 16 */
} matmul;

static int constant(const cpu_node *node) {
  return node->inputs[1]->data && (!op_in(node, 2) || node->inputs[2]->data);
}

static int32_t supports(const cpu_node *node) {
  matmul_geom q;
  if (!matmul_geometry(node, IEC_F32, &q) || q.batch < 1 || q.m < 1 || q.n < 1 || q.k < 1) return 0;
  if ((q.m + 16) * (q.k + 16) > MAX_FLOATS / q.batch || (q.n + 16) * (q.k + 16) > MAX_FLOATS / q.batch)
    return 0;
  int packing_pays = constant(node) || q.m >= 4 || q.b_col != 1;
  return packing_pays ? 20 : 0;
}

static int32_t can_fuse(const cpu_node *node, const cpu_post *post) {
  return node->inputs[1]->ndim > 1 && post_can_fuse(node, post);
}

/* Group j of out_blocks, rows of b as [block][lane][nb * 16]; what does not exist weighs nothing. */
static void pack_group(const matmul *s, const float *b, int64_t j, float *packed) {
  const matmul_geom *q = &s->geom;
  int64_t first = gemm_group_start(s->out_blocks, j) * 16, end = gemm_group_start(s->out_blocks, j + 1) * 16;
  int64_t columns = op_min(end, q->n) - first;
  float *to = packed + first * s->in_blocks * 16;
  for (int64_t k = 0; k < s->in_blocks * 16; k++, to += end - first) {
    int64_t filled = k < q->k ? columns : 0;
    const float *from = b + k * q->b_row + first * q->b_col;
    if (q->b_col == 1)
      memcpy(to, from, (size_t)filled * sizeof *to);
    else
      for (int64_t i = 0; i < filled; i++) to[i] = from[i * q->b_col];
    memset(to + filled, 0, (size_t)(end - first - filled) * sizeof *to);
  }
}

/* 16 inner elements of every row: [row][16]. */
static void pack_rows(const matmul *s, const float *a, int64_t block, float *to) {
  const matmul_geom *q = &s->geom;
  int64_t count = op_min(16, q->k - block * 16);
  a += block * 16 * q->a_col;
  for (int64_t i = 0; i < s->m; i++, to += 16) {
    const float *from = a + i * q->a_row;
    if (count == 16 && q->a_col == 1) {
      memcpy(to, from, 16 * sizeof *to);
      continue;
    }
    for (int64_t k = 0; k < count; k++) to[k] = from[k * q->a_col];
    for (int64_t k = count; k < 16; k++) to[k] = 0.0f;
  }
}

static void release(const iec_host_api *host, void *state) {
  matmul *s = state;
  if (!s) return;
  host->release(host->self, s->bias);
  host->release(host->self, s);
}

/* Batches of a against one b are one product of more rows when the rows of a follow each other. */
static void merge_batches(matmul *s) {
  const matmul_geom *q = &s->geom;
  int64_t step = q->m * q->k;
  s->batch = q->batch;
  s->m = q->m;
  for (int i = q->dims - 1; i >= 0; i--) {
    if (q->b_step[i] || (q->size[i] > 1 && q->a_step[i] != step)) return;
    step *= q->size[i];
  }
  if (q->m > 1 && q->a_row != q->k) return;
  if (q->m == 1 && q->a_col != 1 && q->k > 1) return;
  s->m *= s->batch;
  s->batch = 1;
  s->geom.a_row = q->k;
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(matmul), out, err);
  if (status != IEC_OK) return status;
  matmul *s = out->state;
  matmul_geom *q = &s->geom;
  matmul_geometry(node, IEC_F32, q);
  post_init(&s->posts, node);
  merge_batches(s);
  s->in_blocks = op_div_up(q->k, 16);
  s->out_blocks = op_div_up(q->n, 16);
  s->groups = gemm_groups(s->out_blocks);
  s->constant = constant(node) && op_count(node->inputs[1]) == q->k * q->n;
  s->has_bias = op_in(node, 2) != NULL;
  s->a_floats = s->in_blocks * s->m * 16;
  s->b_floats = s->in_blocks * s->out_blocks * 256;
  s->b_at = s->batch * s->a_floats;
  s->bias_at = s->b_at + s->batch * s->b_floats;
  out->cost = 2.0 * (double)(q->batch * q->m * q->n) * (double)q->k;
  out->exec_type = "matmul_" CPU_ISA_NAME;
  out->member_scratch_size = ITEM_ROWS * GEMM_MAX_BLOCKS * 16 * sizeof(float);
  if (!s->constant) {
    out->scratch_size = (size_t)(s->bias_at + s->out_blocks * 16) * sizeof(float);
    return IEC_OK;
  }
  out->scratch_size = (size_t)s->b_at * sizeof(float);
  out->packed_inputs = 6;
  int32_t ready;
  s->weights = cpu_pack(node, "panels", (size_t)s->b_floats * sizeof(float), &ready);
  s->bias = host->alloc(host->self, (size_t)(s->out_blocks * 16) * sizeof(float), 64);
  if (!s->weights || !s->bias) {
    release(host, s);
    out->state = NULL;
    return cpu_fail(err, IEC_OUT_OF_MEMORY, node->name, "out of memory for the weights");
  }
  for (int64_t j = 0; !ready && j < s->groups; j++) pack_group(s, node->inputs[1]->data, j, s->weights);
  memset(s->bias, 0, (size_t)(s->out_blocks * 16) * sizeof(float));
  if (s->has_bias) memcpy(s->bias, node->inputs[2]->data, (size_t)q->n * sizeof(float));
  return IEC_OK;
}

static void pack_inputs(const matmul *s, const cpu_run *r) {
  const matmul_geom *q = &s->geom;
  float *scratch = r->scratch;
  int64_t begin, end, a, b;
  while (cpu_next_phase(r, 1, s->batch * s->in_blocks, 1, &begin, &end)) {
    int64_t batch = begin / s->in_blocks, block = begin % s->in_blocks;
    matmul_offsets(q, batch, &a, &b);
    pack_rows(s, (const float *)r->inputs[0] + a, block, scratch + batch * s->a_floats + block * s->m * 16);
  }
  if (s->constant) return;
  while (cpu_next_phase(r, 2, s->batch * s->groups, 1, &begin, &end)) {
    int64_t batch = begin / s->groups;
    matmul_offsets(q, batch, &a, &b);
    pack_group(s, (const float *)r->inputs[1] + b, begin % s->groups,
               scratch + s->b_at + batch * s->b_floats);
  }
  if (r->member) return;
  memset(scratch + s->bias_at, 0, (size_t)(s->out_blocks * 16) * sizeof(float));
  if (s->has_bias) memcpy(scratch + s->bias_at, r->inputs[2], (size_t)q->n * sizeof(float));
}

/* `rows` rows from `row` on of gemm group (first, nb); a group that ends past the last column is computed
 * aside. */
static void run_item(const matmul *s, const cpu_run *r, const float *a, const float *w, const float *bias,
                     float *y, int64_t first, int64_t nb, int64_t row, int64_t rows) {
  static const int64_t no_distance = 0;
  const matmul_geom *q = &s->geom;
  float *to = y + row * q->n + first * 16;
  int partial = (first + nb) * 16 > q->n;
  int64_t panel = 16 * nb * 16, chunk = op_max(1, SLAB_BYTES / (panel * (int64_t)sizeof(float)));
  int64_t width = op_min(nb * 16, q->n - first * 16);
  gemm_args g = {.y = partial ? r->member_scratch : to,
                 .bias = bias + first * 16,
                 .taps = &no_distance,
                 .tap_count = 1,
                 .block_step = s->m * 16,
                 .last_lanes = 16,
                 .y_pixel = partial ? nb * 16 : q->n,
                 .y_block = 16};
  for (int64_t b = 0; b < s->in_blocks; b += chunk) {
    g.x = a + (b * s->m + row) * 16;
    g.w = w + first * s->in_blocks * 256 + b * panel;
    g.blocks = op_min(chunk, s->in_blocks - b);
    g.accumulate = b > 0;
    gemm_pixels(&g, 16, (int32_t)nb, rows);
  }
  for (int64_t i = 0; i < rows; i++) {
    if (partial) memcpy(to + i * q->n, g.y + i * nb * 16, (size_t)width * sizeof *to);
    if (s->posts.count) post_row(&s->posts, r, to + i * q->n, width, first * 16);
  }
}

static void run(const void *state, const cpu_run *r) {
  const matmul *s = state;
  const matmul_geom *q = &s->geom;
  const float *scratch = r->scratch;
  int64_t begin, end, columns = s->batch * s->groups;
  pack_inputs(s, r);
  cpu_barrier(r);
  int64_t wanted = op_div_up(columns * s->m, 8 * (int64_t)r->members); /* about 8 items a member */
  int64_t rows = op_max(12, op_min(wanted, ITEM_ROWS)), pieces = op_div_up(s->m, rows);
  while (cpu_next(r, columns * pieces, 1, &begin, &end)) {
    int64_t column = begin / pieces, row = begin % pieces * rows, batch = column / s->groups,
            j = column % s->groups;
    int64_t first = gemm_group_start(s->out_blocks, j), nb = gemm_group_start(s->out_blocks, j + 1) - first;
    run_item(s, r, scratch + batch * s->a_floats,
             s->constant ? s->weights : scratch + s->b_at + batch * s->b_floats,
             s->constant ? s->bias : scratch + s->bias_at, (float *)r->outputs[0] + batch * s->m * q->n,
             first, nb, row, op_min(rows, s->m - row));
  }
}

const cpu_kernel IEC_ISA(cpu_kernel_matmul) = {.kind = "MatMul",
                                               .name = "matmul",
                                               .supports = supports,
                                               .can_fuse = can_fuse,
                                               .prepare = prepare,
                                               .run = run,
                                               .release = release};
