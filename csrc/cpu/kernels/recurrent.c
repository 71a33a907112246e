/* SPDX-License-Identifier: Apache-2.0 */
/* Kind Recurrent: RNN, GRU and LSTM over time, float32. Formulas: docs/kinds.md and IR 5.1.
 *
 * W x + b of all steps is computed first. The steps then run one direction and some batch rows a member, or,
 * when there are too few of those, all members share the units of each step and meet at barriers. Constant
 * weights are packed for the register tiles of gemm_rows.h; others are read as they come, a dot product a
 * row. */
#include "cpu/kernels/common.h"
#include "cpu/kernels/gemm_rows.h"
#include "cpu/kernels/pack.h"
#include "cpu/kernels/vmath.h"

enum { RNN, GRU, LSTM };
enum { SIGMOID, TANH, RELU };
enum { X, H0, C0, LENGTHS, W, R, B };

static const char *const cells[] = {"rnn", "gru", "lstm"};
static const int cell_gates[] = {1, 3, 4}, cell_activations[] = {1, 2, 3};
static const char *const directions[] = {"forward", "reverse", "bidirectional"};

typedef struct recurrent_state {
  int64_t n, steps, d, size, dirs, gates, bias; /* gates and bias in rows: G * S and GB * S */
  int64_t wide;     /* S rounded up to 16: a gate's place in sums and in W x + b */
  int64_t sums;     /* G * wide */
  float *w, *r, *b; /* packed constants, or NULL: [dirs][gate][gemm group][D or S][nb * 16]; [dirs][sums],
                       then [dirs][wide] of a linear GRU's recurrent part */
  int32_t cell, reverse, linear, lengths_dtype; /* linear: linear_before_reset; lengths_dtype 0: all steps */
  int32_t act[2][3], last_h, last_c;            /* last_*: the output exists */
  float clip;
} recurrent_state;

/* Activation codes of every direction; 0 when the list does not fit. */
static int activations(const cpu_node *node, int cell, int dirs, int32_t act[2][3]) {
  static const char *const names[] = {"sigmoid", "tanh", "relu"};
  const char *text = op_text(node, "activations", "");
  int count = 0, each = cell_activations[cell];
  int32_t list[6];
  while (*text) {
    size_t length = strcspn(text, ",");
    int found = -1;
    for (int i = 0; i < 3; i++)
      if (strlen(names[i]) == length && strncmp(text, names[i], length) == 0) found = i;
    if (found < 0 || count == 6) return 0;
    list[count++] = found;
    text += length + (text[length] == ',');
  }
  if (count != each && count != each * dirs) return 0;
  for (int d = 0; d < dirs; d++)
    for (int i = 0; i < each; i++) act[d][i] = list[count == each ? i : d * each + i];
  return 1;
}

static int has_shape(const cpu_node *node, int index, int64_t a, int64_t b, int64_t c) {
  const cpu_tensor *t = op_in(node, index);
  return t && t->dtype == IEC_F32 && t->ndim == 3 && t->shape[0] == a && t->shape[1] == b && t->shape[2] == c;
}

static int32_t supports(const cpu_node *node) {
  const cpu_tensor *x = op_in(node, X), *h = op_in(node, H0), *lengths = op_in(node, LENGTHS),
                   *b = op_in(node, B);
  int cell = op_choice(op_text(node, "cell", ""), cells, 3),
      way = op_choice(op_text(node, "direction", ""), directions, 3);
  if (cell < 0 || way < 0 || !x || !h || !b || x->dtype != IEC_F32 || x->ndim != 3 || h->ndim != 3) return 0;
  int64_t n = x->shape[0], steps = x->shape[1], size = h->shape[2], dirs = way == 2 ? 2 : 1,
          gates = op_times(cell_gates[cell], size);
  int64_t bias = cell == GRU && op_int(node, "linear_before_reset", 0) ? op_times(4, size) : gates;
  int32_t act[2][3];
  if (!activations(node, cell, (int)dirs, act)) return 0;
  if (!has_shape(node, H0, n, dirs, size) || (cell == LSTM && !has_shape(node, C0, n, dirs, size))) return 0;
  if (!has_shape(node, W, dirs, gates, x->shape[2]) || !has_shape(node, R, dirs, gates, size)) return 0;
  if (b->dtype != IEC_F32 || op_count(b) != op_times(dirs, bias)) return 0;
  if (lengths && ((lengths->dtype != IEC_I32 && lengths->dtype != IEC_I64) || op_count(lengths) != n))
    return 0;
  for (int i = 0; i < node->output_count; i++) {
    const cpu_tensor *y = node->outputs[i];
    if (y && (y->dtype != IEC_F32 || op_count(y) != op_times(n * dirs * size, i == 0 ? steps : 1))) return 0;
  }
  return node->output_count >= 1 && node->outputs[0] ? 10 : 0;
}

/* Scratch of one (row, direction): h twice, c, reset * h, and the gates' sums. */
static int64_t pair_floats(const recurrent_state *s) { return 4 * s->wide + s->sums; }

static int64_t wx_floats(const recurrent_state *s) { return s->dirs * s->n * s->steps * s->sums; }

static void release(const iec_host_api *host, void *state) {
  recurrent_state *s = state;
  if (!s) return;
  host->release(host->self, s->b);
  host->release(host->self, s);
}

/* Rows of [dirs][gates * S][depth] into panels, a gate beginning with a new one. */
static void pack(const recurrent_state *s, const float *from, int64_t depth, float *to) {
  int64_t blocks = s->wide / 16;
  for (int64_t gate = 0; gate < s->dirs * s->gates / s->size; gate++)
    for (int64_t j = 0; j < gemm_groups(blocks); j++) {
      int64_t first = gemm_group_start(blocks, j) * 16, end = gemm_group_start(blocks, j + 1) * 16;
      pack_panel(from + (gate * s->size + first) * depth, depth, s->size - first, end - first, depth, 1, to);
      to += (end - first) * depth;
    }
}

static iec_status pack_constants(const iec_host_api *host, const cpu_node *node, recurrent_state *s,
                                 cpu_prepared *out, iec_error *err) {
  if (!node->inputs[W]->data || !node->inputs[R]->data || !node->inputs[B]->data || !s->size) return IEC_OK;
  size_t rows = (size_t)(s->dirs * s->sums) * sizeof(float),
         biases = rows + (size_t)(s->dirs * s->wide) * sizeof(float);
  int32_t ready[2];
  s->w = cpu_pack(node, "inputs", rows * (size_t)op_max(s->d, 1), ready);
  s->r = cpu_pack(node, "state", rows * (size_t)s->size, ready + 1);
  s->b = host->alloc(host->self, biases, 64);
  if (!s->w || !s->r || !s->b)
    return cpu_fail(err, IEC_OUT_OF_MEMORY, node->name, "out of memory for the weights");
  if (!ready[0]) pack(s, node->inputs[W]->data, s->d, s->w);
  if (!ready[1]) pack(s, node->inputs[R]->data, s->size, s->r);
  memset(s->b, 0, biases);
  const float *bias = node->inputs[B]->data;
  size_t unit = (size_t)s->size * sizeof(float);
  for (int64_t d = 0; d < s->dirs; d++, bias += s->bias) {
    for (int64_t g = 0; g < s->gates / s->size; g++)
      memcpy(s->b + d * s->sums + g * s->wide, bias + g * s->size, unit);
    if (s->linear) memcpy(s->b + s->dirs * s->sums + d * s->wide, bias + 3 * s->size, unit);
  }
  out->packed_inputs = (uint64_t)1 << W | (uint64_t)1 << R;
  return IEC_OK;
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(recurrent_state), out, err);
  if (status != IEC_OK) return status;
  recurrent_state *s = out->state;
  const cpu_tensor *x = node->inputs[X], *h = node->inputs[H0], *lengths = op_in(node, LENGTHS);
  int way = op_choice(op_text(node, "direction", ""), directions, 3);
  s->cell = op_choice(op_text(node, "cell", ""), cells, 3);
  s->n = x->shape[0];
  s->steps = x->shape[1];
  s->d = x->shape[2];
  s->size = h->shape[2];
  s->dirs = way == 2 ? 2 : 1;
  s->reverse = way == 1;
  s->gates = cell_gates[s->cell] * s->size;
  s->linear = s->cell == GRU && op_int(node, "linear_before_reset", 0) != 0;
  s->bias = s->linear ? 4 * s->size : s->gates;
  s->lengths_dtype = lengths ? lengths->dtype : 0;
  s->last_h = node->output_count > 1 && node->outputs[1];
  s->last_c = s->cell == LSTM && node->output_count > 2 && node->outputs[2];
  s->clip = (float)op_float(node, "clip", 0);
  s->wide = op_div_up(s->size, 16) * 16;
  s->sums = cell_gates[s->cell] * s->wide;
  activations(node, s->cell, (int)s->dirs, s->act);
  status = pack_constants(host, node, s, out, err);
  if (status != IEC_OK) {
    release(host, s);
    out->state = NULL;
    return status;
  }
  out->scratch_size = (size_t)(wx_floats(s) + s->n * s->dirs * pair_floats(s)) * sizeof(float);
  out->cost = 2.0 * (double)(s->n * s->dirs * s->steps) * (double)s->gates * (double)(s->d + s->size);
  out->exec_type = "recurrent_" CPU_ISA_NAME;
  return IEC_OK;
}

static float dot(const float *a, const float *b, int64_t n) {
  vf s0 = vf_set(0), s1 = s0;
  int64_t i = 0;
  for (; i + 2 * VL <= n; i += 2 * VL) {
    s0 += vf_load(a + i) * vf_load(b + i);
    s1 += vf_load(a + i + VL) * vf_load(b + i + VL);
  }
  for (; i < n; i += VL) {
    int64_t part = op_min(VL, n - i);
    s0 += part == VL ? vf_load(a + i) * vf_load(b + i) : vf_load_n(a + i, part) * vf_load_n(b + i, part);
  }
  return vf_sum(s0 + s1);
}

static vf activate(int code, vf x, float clip) {
  if (clip > 0) x = vm_clamp(x, vf_set(-clip), vf_set(clip));
  if (code == RELU) return vf_sel(x < 0.0f, vf_set(0), x);
  return code == TANH ? vm_tanh(x) : vm_sigmoid(x);
}

/* v[0..n) = activation(clip(v)). */
static void activate_row(int code, float *v, int64_t n, float clip) {
  int64_t i = 0;
  for (; i + VL <= n; i += VL) vf_store(v + i, activate(code, vf_load(v + i), clip));
  if (i < n) vf_store_n(v + i, activate(code, vf_load_n(v + i, n - i), clip), n - i);
}

#define MOST_ROWS 16 /* of a batch that go through the weights together */

typedef struct recurrent_pair { /* a direction and one or more batch rows while they run, in step */
  const float *wx, *r, *rest; /* [steps][sums]; [gates][S] or packed; bias of a linear GRU's recurrent part */
  const int32_t *act;
  float *h, *next, *c, *reset, *sum; /* the state, its next value, cell state, reset * h, sums of the gates */
  float *y;                          /* [steps][S] */
  int64_t length;
  int reverse;
  int64_t rows, stride, wx_row, y_row; /* floats from one row's state, W x, y to the next one's */
} recurrent_pair;

/* sum = from + R h of gates [g0, g1), `from` beginning with g0 and `from_row` floats from one row to the
 * next, for units [j0, j1), which are whole gemm groups when R is packed. Every other step goes through R
 * backwards: what was read last is what the cache still has. */
static void add_product(const recurrent_state *s, const recurrent_pair *p, int64_t step, const float *h,
                        const float *from, int64_t from_row, int g0, int g1, int64_t j0, int64_t j1) {
  if (!s->r) { /* one row */
    for (int g = g0; g < g1; g++)
      for (int64_t j = j0; j < j1; j++)
        p->sum[g * s->wide + j] =
            from[(g - g0) * s->wide + j] + dot(p->r + (g * s->size + j) * s->size, h, s->size);
    return;
  }
  size_t bytes = (size_t)((g1 - g0) * s->wide) * sizeof(float);
  for (int64_t i = 0; p->rows > 1 && i < p->rows; i++) /* all units are theirs */
    memcpy(p->sum + i * p->stride + g0 * s->wide, from + i * from_row, bytes);
  int64_t blocks = s->wide / 16, groups = gemm_groups(blocks), count = (g1 - g0) * groups;
  for (int64_t i = 0; i < count; i++) {
    int64_t at = step % 2 ? count - 1 - i : i, gate = g0 + at / groups, j = at % groups;
    int64_t first = gemm_group_start(blocks, j) * 16, nb = gemm_group_start(blocks, j + 1) - first / 16;
    if (first < j0 || first >= j1) continue;
    gemm_rows_args a = {.a = h,
                        .w = p->r + (gate * s->wide + first) * s->size,
                        .bias = from + (gate - g0) * s->wide + first,
                        .y = p->sum + gate * s->wide + first,
                        .inner = s->size,
                        .a_row = p->stride,
                        .y_row = p->stride,
                        .accumulate = p->rows > 1};
    gemm_rows(&a, (int32_t)nb, p->rows);
  }
}

/* Sums of gates [g0, g1) for units [j0, j1): W x + b + R h. */
static void sums(const recurrent_state *s, const recurrent_pair *p, int64_t at, const float *h, int g0,
                 int g1, int64_t j0, int64_t j1) {
  add_product(s, p, at, h, p->wx + at * s->sums + g0 * s->wide, p->wx_row, g0, g1, j0, j1);
}

static void lstm_step(const recurrent_state *s, const recurrent_pair *p, int64_t at, int64_t j0, int64_t j1) {
  int64_t n = j1 - j0;
  sums(s, p, at, p->h, 0, 4, j0, j1);
  for (int64_t row = 0; row < p->rows; row++) {
    float *f = p->sum + row * p->stride + j0, *i = f + s->wide, *k = i + s->wide, *o = k + s->wide;
    float *c = p->c + row * p->stride + j0, *next = p->next + row * p->stride + j0;
    activate_row(p->act[0], f, n, s->clip);
    activate_row(p->act[0], i, n, s->clip);
    activate_row(p->act[1], k, n, s->clip);
    activate_row(p->act[0], o, n, s->clip);
    for (int64_t j = 0; j < n; j++) next[j] = c[j] = f[j] * c[j] + i[j] * k[j];
    activate_row(p->act[2], next, n, 0);
    for (int64_t j = 0; j < n; j++) next[j] *= o[j];
  }
}

static void gru_step(const recurrent_state *s, const recurrent_pair *p, int64_t at, int64_t j0, int64_t j1,
                     const cpu_run *shared) {
  int64_t n = j1 - j0, all = p->rows * p->stride;
  sums(s, p, at, p->h, 0, 2, j0, j1);
  for (int64_t row = 0; row < all; row += p->stride) {
    float *z = p->sum + row + j0, *r = z + s->wide, *reset = p->reset + row + j0;
    const float *h = p->h + row + j0;
    activate_row(p->act[0], z, n, s->clip);
    activate_row(p->act[0], r, n, s->clip);
    if (!s->linear)
      for (int64_t j = 0; j < n; j++) reset[j] = r[j] * h[j];
  }
  if (s->linear) {
    add_product(s, p, at, p->h, p->rest, 0, 2, 3, j0, j1);
  } else {
    if (shared) cpu_barrier(shared);
    sums(s, p, at, p->reset, 2, 3, j0, j1);
  }
  for (int64_t row = 0; row < p->rows; row++) {
    float *z = p->sum + row * p->stride + j0, *r = z + s->wide, *c = r + s->wide;
    float *next = p->next + row * p->stride + j0;
    const float *h = p->h + row * p->stride + j0;
    const float *wx = p->wx + row * p->wx_row + at * s->sums + 2 * s->wide + j0;
    if (s->linear)
      for (int64_t j = 0; j < n; j++) c[j] = wx[j] + r[j] * c[j];
    activate_row(p->act[1], c, n, s->clip);
    for (int64_t j = 0; j < n; j++) next[j] = (1 - z[j]) * c[j] + z[j] * h[j];
  }
}

static void rnn_step(const recurrent_state *s, const recurrent_pair *p, int64_t at, int64_t j0, int64_t j1) {
  sums(s, p, at, p->h, 0, 1, j0, j1);
  for (int64_t row = 0; row < p->rows; row++) {
    float *sum = p->sum + row * p->stride + j0;
    activate_row(p->act[0], sum, j1 - j0, s->clip);
    memcpy(p->next + row * p->stride + j0, sum, (size_t)(j1 - j0) * sizeof(float));
  }
}

/* All steps for units [j0, j1); `shared` when other members do the other units. */
static void walk(const recurrent_state *s, recurrent_pair *p, int64_t j0, int64_t j1, const cpu_run *shared) {
  size_t bytes = (size_t)(j1 - j0) * sizeof(float);
  for (int64_t t = p->length; t < s->steps; t++) memset(p->y + t * s->size + j0, 0, bytes); /* one row */
  for (int64_t t = 0; t < p->length; t++) {
    int64_t at = p->reverse ? p->length - 1 - t : t;
    if (s->cell == LSTM) {
      lstm_step(s, p, at, j0, j1);
    } else if (s->cell == GRU) {
      gru_step(s, p, at, j0, j1, shared);
    } else {
      rnn_step(s, p, at, j0, j1);
    }
    for (int64_t row = 0; row < p->rows; row++)
      memcpy(p->y + row * p->y_row + at * s->size + j0, p->next + row * p->stride + j0, bytes);
    if (shared) cpu_barrier(shared);
    float *h = p->h;
    p->h = p->next;
    p->next = h;
  }
}

/* The places in memory of `rows` batch rows from that of `pair` on, their state copied in for units [j0, j1).
 */
static recurrent_pair begin(const recurrent_state *s, const cpu_run *r, int64_t pair, int64_t rows,
                            int64_t j0, int64_t j1) {
  int64_t n = pair / s->dirs, d = pair % s->dirs, length = s->steps;
  float *scratch = (float *)r->scratch + wx_floats(s) + pair * pair_floats(s);
  if (s->lengths_dtype) {
    const void *p = r->inputs[LENGTHS];
    length = s->lengths_dtype == IEC_I64 ? ((const int64_t *)p)[n] : ((const int32_t *)p)[n];
  }
  recurrent_pair p = {
      .wx = (const float *)r->scratch + (d * s->n + n) * s->steps * s->sums,
      .r = s->r ? s->r + d * s->sums * s->size : (const float *)r->inputs[R] + d * s->gates * s->size,
      .rest = s->b ? s->b + s->dirs * s->sums + d * s->wide
                   : (const float *)r->inputs[B] + d * s->bias + 3 * s->size * s->linear,
      .act = s->act[d],
      .h = scratch,
      .next = scratch + s->wide,
      .c = scratch + 2 * s->wide,
      .reset = scratch + 3 * s->wide,
      .sum = scratch + 4 * s->wide,
      .y = (float *)r->outputs[0] + pair * s->steps * s->size,
      .length = op_min(op_max(length, 0), s->steps),
      .reverse = s->reverse || d == 1,
      .rows = rows,
      .stride = s->dirs * pair_floats(s),
      .wx_row = s->steps * s->sums,
      .y_row = s->dirs * s->steps * s->size};
  size_t bytes = (size_t)(j1 - j0) * sizeof(float);
  for (int64_t i = 0; i < rows; i++) {
    int64_t from = (pair + i * s->dirs) * s->size + j0, to = i * p.stride + j0;
    memcpy(p.h + to, (const float *)r->inputs[H0] + from, bytes);
    if (s->cell == LSTM) memcpy(p.c + to, (const float *)r->inputs[C0] + from, bytes);
  }
  return p;
}

static void finish(const recurrent_state *s, const cpu_run *r, const recurrent_pair *p, int64_t pair,
                   int64_t j0, int64_t j1) {
  size_t bytes = (size_t)(j1 - j0) * sizeof(float);
  for (int64_t i = 0; i < p->rows; i++) {
    int64_t from = i * p->stride + j0, to = (pair + i * s->dirs) * s->size + j0;
    if (s->last_h) memcpy((float *)r->outputs[1] + to, p->h + from, bytes);
    if (s->last_c) memcpy((float *)r->outputs[2] + to, p->c + from, bytes);
  }
}

/* Floats from the packed W to item b, a direction, a gate and a gemm group. */
static int64_t inputs_panel(const recurrent_state *s, int64_t b) {
  int64_t blocks = s->wide / 16, groups = gemm_groups(blocks);
  return (b / groups * s->wide + gemm_group_start(blocks, b % groups) * 16) * s->d;
}

/* W x + b of all steps from packed weights, item by item; the panels of the next one are fetched on the way.
 */
static void packed_inputs(const recurrent_state *s, const cpu_run *r) {
  int64_t b, e, columns = s->n * s->steps, blocks = s->wide / 16, groups = gemm_groups(blocks);
  int64_t items = s->dirs * s->gates / s->size * groups;
  while (cpu_next(r, items, 1, &b, &e)) {
    int64_t gate = b / groups, first = gemm_group_start(blocks, b % groups);
    int64_t nb = gemm_group_start(blocks, b % groups + 1) - first, row = gate * s->wide + first * 16;
    gemm_rows_args a = {.bias = s->b + row,
                        .y = (float *)r->scratch + row / s->sums * columns * s->sums + row % s->sums,
                        .a_row = s->d,
                        .y_row = s->sums};
    for (int64_t k = 0; k < s->d || k == 0; k += GEMM_ROWS_DEPTH) {
      int64_t here = inputs_panel(s, b) + k * nb * 16;
      int64_t next = k + GEMM_ROWS_DEPTH < s->d ? here + GEMM_ROWS_DEPTH * nb * 16
                                                : inputs_panel(s, op_min(b + 1, items - 1));
      a.a = (const float *)r->inputs[X] + k;
      a.w = s->w + here;
      a.inner = op_min(GEMM_ROWS_DEPTH, s->d - k);
      a.accumulate = k > 0;
      a.ahead = next - here;
      gemm_rows(&a, (int32_t)nb, columns);
    }
  }
}

/* The same from weights as they come: items are a direction and a gate row, done for all inputs while the
 * weights are in cache. */
static void inputs(const recurrent_state *s, const cpu_run *r) {
  int64_t b, e, columns = s->n * s->steps;
  while (cpu_next(r, s->dirs * s->gates, 16, &b, &e))
    for (; b < e; b++) {
      int64_t d = b / s->gates, row = b % s->gates;
      const float *w = (const float *)r->inputs[W] + b * s->d, *x = r->inputs[X];
      float bias = ((const float *)r->inputs[B])[d * s->bias + row];
      float *to = (float *)r->scratch + d * columns * s->sums + row / s->size * s->wide + row % s->size;
      for (int64_t i = 0; i < columns; i++) to[i * s->sums] = dot(w, x + i * s->d, s->d) + bias;
    }
}

/* The first unit of a member when all share a step: a multiple of 16 in packed weights, the begin of a gemm
 * group. */
static int64_t share(const recurrent_state *s, int64_t member, int64_t members) {
  int64_t blocks = s->wide / 16;
  if (!s->r) return s->size * member / members;
  return op_min(s->size, gemm_group_start(blocks, gemm_groups(blocks) * member / members) * 16);
}

/* Rows of a batch in step, so that weights are read once for all that a member has. */
static void run_rows(const recurrent_state *s, const cpu_run *r, int32_t members) {
  int64_t b, e, parts = op_max(1, members / s->dirs), each = op_min(MOST_ROWS, op_div_up(s->n, parts));
  int64_t pieces = op_div_up(s->n, each);
  while (cpu_next_phase(r, 1, s->dirs * pieces, 1, &b, &e)) {
    int64_t first = s->n * (b % pieces) / pieces, end = s->n * (b % pieces + 1) / pieces;
    int64_t pair = first * s->dirs + b / pieces;
    recurrent_pair p = begin(s, r, pair, end - first, 0, s->size);
    walk(s, &p, 0, s->size, NULL);
    finish(s, r, &p, pair, 0, s->size);
  }
}

static void run(const void *state, const cpu_run *r) {
  const recurrent_state *s = state;
  int64_t b, e, pairs = s->n * s->dirs;
  if (s->w)
    packed_inputs(s, r);
  else
    inputs(s, r);
  int32_t rank, members = cpu_settle(r, &rank);
  if (s->r && !s->lengths_dtype && s->n > 1 && pairs >= members) {
    run_rows(s, r, members);
    return;
  }
  if (pairs % members == 0 || pairs >= 4 * (int64_t)members) {
    while (cpu_next_phase(r, 1, pairs, 1, &b, &e)) {
      recurrent_pair p = begin(s, r, b, 1, 0, s->size);
      walk(s, &p, 0, s->size, NULL);
      finish(s, r, &p, b, 0, s->size);
    }
    return;
  }
  int64_t j0 = share(s, rank, members), j1 = share(s, rank + 1, members);
  for (int64_t pair = 0; pair < pairs; pair++) {
    recurrent_pair p = begin(s, r, pair, 1, j0, j1);
    cpu_barrier(r);
    walk(s, &p, j0, j1, r);
    finish(s, r, &p, pair, j0, j1);
  }
}

const cpu_kernel IEC_ISA(cpu_kernel_recurrent) = {.kind = "Recurrent",
                                                  .name = "recurrent",
                                                  .supports = supports,
                                                  .prepare = prepare,
                                                  .run = run,
                                                  .release = release};
