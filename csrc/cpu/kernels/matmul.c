/* SPDX-License-Identifier: Apache-2.0 */
/* Matrix products on register tiles: rows of a as they lie, b in panels packed at load or, when it is
 * computed, at run time. A fully connected layer is one with few rows. */
#include "cpu/kernels/gemm_rows.h"
#include "cpu/kernels/matmul_common.h"
#include "cpu/kernels/pack.h"
#include "cpu/kernels/post.h"

#define ITEM_ROWS 192                     /* rows of a work item at most */
#define ITEM_GROUPS (4 / GEMM_MAX_BLOCKS) /* gemm groups of a work item: 64 columns */
#define MAX_FLOATS ((int64_t)1 << 31)

typedef struct matmul {
  matmul_geom geom;
  post_set posts;
  int32_t constant, has_bias; /* constant: b is packed, one matrix for all batches */
  int32_t gathers;            /* a's inner elements lie apart: its rows are copied first */
  int64_t out_blocks, groups;
  int64_t batch, m;           /* batches and rows as run: batches that share b are rows of one */
  int64_t a_floats, b_floats; /* copied rows of one batch, packed b of one batch */
  int64_t b_at, bias_at;      /* floats into the scratch memory */
  float *weights, *bias;      /* constant ones; bias: out_blocks * 16 */
} matmul;

static int constant(const cpu_node *node) {
  return node->inputs[1]->data && (!op_in(node, 2) || node->inputs[2]->data);
}

static int32_t supports(const cpu_node *node) {
  matmul_geom q;
  if (!matmul_geometry(node, IEC_F32, &q) || q.batch < 1 || q.m < 1 || q.n < 1 || q.k < 1) return 0;
  if (op_times(q.m + 16, q.k + 16) > MAX_FLOATS / q.batch ||
      op_times(q.n + 16, q.k + 16) > MAX_FLOATS / q.batch)
    return 0;
  int packing_pays = constant(node) || q.m >= 4 || q.b_col != 1;
  return packing_pays ? 20 : 0;
}

static int32_t can_fuse(const cpu_node *node, const cpu_post *post) {
  return node->inputs[1]->ndim > 1 && post_can_fuse(node, post);
}

/* Floats of b before the first column of group j of out_blocks. */
static int64_t columns_before(const matmul *s, int64_t j) {
  return gemm_group_start(s->out_blocks, j) * 16 * s->geom.b_col;
}

/* Are the columns of b rows in memory? */
static int is_turned(const matmul_geom *q) { return q->b_row == 1 && q->b_col != 1; }

/* Group j, whose columns begin at `from`, as [inner][nb * 16]; columns that do not exist weigh nothing. */
static void pack_group(const matmul *s, const float *from, int64_t j, float *packed) {
  const matmul_geom *q = &s->geom;
  int64_t first = gemm_group_start(s->out_blocks, j) * 16, end = gemm_group_start(s->out_blocks, j + 1) * 16;
  int64_t columns = op_min(end, q->n) - first, width = end - first;
  float *to = packed + first * q->k;
  if (is_turned(q)) {
    pack_panel(from, q->b_col, columns, width, q->k, 1, to);
    return;
  }
  for (int64_t k = 0; k < q->k; k++, from += q->b_row, to += width) {
    if (q->b_col == 1)
      memcpy(to, from, (size_t)columns * sizeof *to);
    else
      for (int64_t i = 0; i < columns; i++) to[i] = from[i * q->b_col];
    memset(to + columns, 0, (size_t)(width - columns) * sizeof *to);
  }
}

static void release(const iec_host_api *host, void *state) {
  matmul *s = state;
  if (!s) return;
  host->release(host->self, s->bias);
  host->release(host->self, s);
}

/* Batches of a against one b are one product of more rows when the rows of a and of y follow each other. */
static void merge_batches(matmul *s) {
  const matmul_geom *q = &s->geom;
  int64_t a_step = q->m * q->k, y_step = q->m * q->n;
  s->batch = q->batch;
  s->m = q->m;
  for (int i = q->dims - 1; i >= 0; a_step *= q->size[i], y_step *= q->size[i], i--) {
    if (q->b_step[i]) return;
    if (q->size[i] > 1 && (q->a_step[i] != a_step || q->y_step[i] != y_step)) return;
  }
  if (q->m > 1 && (q->a_row != q->k || q->y_row != q->n)) return;
  if (q->m == 1 && q->a_col != 1 && q->k > 1) return;
  s->m *= s->batch;
  s->batch = 1;
  s->geom.a_row = q->k;
  s->geom.y_row = q->n;
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(matmul), out, err);
  if (status != IEC_OK) return status;
  matmul *s = out->state;
  matmul_geom *q = &s->geom;
  matmul_geometry(node, IEC_F32, q);
  post_init(&s->posts, node);
  merge_batches(s);
  s->gathers = q->a_col != 1 && q->k > 1;
  s->out_blocks = op_div_up(q->n, 16);
  s->groups = gemm_groups(s->out_blocks);
  s->constant = constant(node) && op_count(node->inputs[1]) == q->k * q->n;
  s->has_bias = op_in(node, 2) != NULL;
  s->a_floats = s->gathers ? op_div_up(s->m * q->k, 16) * 16 : 0;
  s->b_floats = q->k * s->out_blocks * 16;
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
  for (int64_t j = 0; !ready && j < s->groups; j++) {
    const float *from = (const float *)node->inputs[1]->data + columns_before(s, j);
    int64_t count = op_min(columns_before(s, j + 1), q->n * q->b_col) - columns_before(s, j);
    if (is_turned(q) && q->b_col == q->k) from = pack_rows(node, from, count, 0);
    pack_group(s, from, j, s->weights);
  }
  memset(s->bias, 0, (size_t)(s->out_blocks * 16) * sizeof(float));
  if (s->has_bias) memcpy(s->bias, node->inputs[2]->data, (size_t)q->n * sizeof(float));
  return IEC_OK;
}

static void pack_inputs(const matmul *s, const cpu_run *r) {
  const matmul_geom *q = &s->geom;
  float *scratch = r->scratch;
  int64_t begin, end, a, b;
  while (s->gathers && cpu_next_phase(r, 1, s->batch * s->m, op_max(1, 1024 / q->k), &begin, &end))
    for (int64_t i = begin; i < end; i++) {
      int64_t batch = i / s->m, row = i % s->m;
      matmul_offsets(q, batch, &a, &b);
      const float *from = (const float *)r->inputs[0] + a + row * q->a_row;
      float *to = scratch + batch * s->a_floats + row * q->k;
      for (int64_t k = 0; k < q->k; k++) to[k] = from[k * q->a_col];
    }
  if (s->constant) return;
  while (cpu_next_phase(r, 2, s->batch * s->groups, 1, &begin, &end)) {
    int64_t batch = begin / s->groups;
    matmul_offsets(q, batch, &a, &b);
    int64_t j = begin % s->groups;
    pack_group(s, (const float *)r->inputs[1] + b + columns_before(s, j), j,
               scratch + s->b_at + batch * s->b_floats);
  }
  if (r->member) return;
  memset(scratch + s->bias_at, 0, (size_t)(s->out_blocks * 16) * sizeof(float));
  if (s->has_bias) memcpy(scratch + s->bias_at, r->inputs[2], (size_t)q->n * sizeof(float));
}

/* One matrix of the batch as its work items see it. */
typedef struct product {
  const float *a, *w, *bias;
  float *y, *aside; /* y: row 0; aside: ITEM_ROWS rows of a group that ends past the last column */
  int64_t a_row;
} product;

/* Floats from the packed b to its inner element k for gemm group j. */
static int64_t panel_at(const matmul *s, int64_t j, int64_t k) {
  int64_t first = gemm_group_start(s->out_blocks, j), nb = gemm_group_start(s->out_blocks, j + 1) - first;
  return (first * s->geom.k + k * nb) * 16;
}

/* Inner elements [k, k + depth) of `rows` rows from `row` on for gemm group j; `next`: the panel that comes
 * afterwards. */
static void run_group(const matmul *s, const product *p, int64_t j, int64_t k, int64_t depth, int64_t row,
                      int64_t rows, int64_t next) {
  const matmul_geom *q = &s->geom;
  int64_t first = gemm_group_start(s->out_blocks, j), nb = gemm_group_start(s->out_blocks, j + 1) - first;
  int partial = (first + nb) * 16 > q->n;
  float *to = p->y + row * q->y_row + first * 16;
  gemm_rows_args g = {.a = p->a + row * p->a_row + k,
                      .w = p->w + panel_at(s, j, k),
                      .bias = p->bias + first * 16,
                      .y = partial ? p->aside : to,
                      .inner = depth,
                      .a_row = p->a_row,
                      .y_row = partial ? nb * 16 : q->y_row,
                      .accumulate = k > 0,
                      .ahead = next - panel_at(s, j, k)};
  gemm_rows(&g, (int32_t)nb, rows);
  if (partial && k + depth == q->k)
    for (int64_t i = 0; i < rows; i++)
      memcpy(to + i * q->y_row, g.y + i * nb * 16, (size_t)(q->n - first * 16) * sizeof *to);
}

/* Rows [row, row + rows) of gemm groups [begin, end): the rows' part that one depth uses stays in L2.
 * `after`: the group that this thread will probably turn to next. */
static void run_item(const matmul *s, const cpu_run *r, const product *p, int64_t begin, int64_t end,
                     int64_t row, int64_t rows, int64_t after) {
  const matmul_geom *q = &s->geom;
  int64_t first = gemm_group_start(s->out_blocks, begin) * 16;
  int64_t columns = op_min(gemm_group_start(s->out_blocks, end) * 16, q->n) - first;
  for (int64_t k = 0; k < q->k; k += GEMM_ROWS_DEPTH)
    for (int64_t j = begin; j < end; j++) {
      int64_t depth = op_min(GEMM_ROWS_DEPTH, q->k - k);
      int64_t next = j + 1 < end        ? panel_at(s, j + 1, k)
                     : k + depth < q->k ? panel_at(s, begin, k + depth)
                                        : panel_at(s, after, 0);
      run_group(s, p, j, k, depth, row, rows, next);
    }
  post_rows(&s->posts, r, p->y + row * q->y_row + first, rows, q->y_row, columns, first);
}

static void run(const void *state, const cpu_run *r) {
  const matmul *s = state;
  const matmul_geom *q = &s->geom;
  const float *scratch = r->scratch;
  int64_t begin, end, spans = op_div_up(s->groups, ITEM_GROUPS), columns = s->batch * spans;
  if (s->gathers || !s->constant) {
    pack_inputs(s, r);
    cpu_barrier(r);
  }
  int64_t wanted = op_div_up(columns * s->m, 8 * (int64_t)r->members); /* about 8 items a member */
  int64_t rows = r->members == 1 ? ITEM_ROWS : op_max(12, op_min(wanted, ITEM_ROWS));
  int64_t pieces = op_div_up(s->m, rows);
  while (cpu_next(r, columns * pieces, 1, &begin, &end)) {
    int64_t column = begin / pieces, row = begin % pieces * rows, batch = column / spans, a, b;
    int64_t j = column % spans * ITEM_GROUPS;
    matmul_offsets(q, batch, &a, &b);
    product p = {.a = s->gathers ? scratch + batch * s->a_floats : (const float *)r->inputs[0] + a,
                 .w = s->constant ? s->weights : scratch + s->b_at + batch * s->b_floats,
                 .bias = s->constant ? s->bias : scratch + s->bias_at,
                 .y = (float *)r->outputs[0] + matmul_offset(q, q->y_step, batch),
                 .aside = r->member_scratch,
                 .a_row = s->gathers ? q->k : q->a_row};
    int64_t after = (begin + 1) / pieces % spans * ITEM_GROUPS;
    run_item(s, r, &p, j, op_min(j + ITEM_GROUPS, s->groups), row, op_min(rows, s->m - row), after);
  }
}

const cpu_kernel IEC_ISA(cpu_kernel_matmul) = {.kind = "MatMul",
                                               .name = "matmul",
                                               .supports = supports,
                                               .can_fuse = can_fuse,
                                               .takes_orders = 1,
                                               .prepare = prepare,
                                               .run = run,
                                               .release = release};
