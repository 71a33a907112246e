/* SPDX-License-Identifier: Apache-2.0 */
/* Kind Recurrent: RNN, GRU and LSTM over time, float32. Formulas: docs/kinds.md and IR 5.1.
 *
 * W x + b of all steps is computed first. The steps then run one (batch row, direction) a member, or, when
 * there are too few of those, all members share the units of each step and meet at barriers. */
#include "cpu/kernels/common.h"
#include "cpu/kernels/vmath.h"

enum { RNN, GRU, LSTM };
enum { SIGMOID, TANH, RELU };
enum { X, H0, C0, LENGTHS, W, R, B };

static const char *const cells[] = {"rnn", "gru", "lstm"};
static const int cell_gates[] = {1, 3, 4}, cell_activations[] = {1, 2, 3};
static const char *const directions[] = {"forward", "reverse", "bidirectional"};

typedef struct recurrent_state {
  int64_t n, steps, d, size, dirs, gates, bias; /* gates and bias in rows: G * S and GB * S */
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
          gates = cell_gates[cell] * size;
  int64_t bias = cell == GRU && op_int(node, "linear_before_reset", 0) ? 4 * size : gates;
  int32_t act[2][3];
  if (!activations(node, cell, (int)dirs, act)) return 0;
  if (!has_shape(node, H0, n, dirs, size) || (cell == LSTM && !has_shape(node, C0, n, dirs, size))) return 0;
  if (!has_shape(node, W, dirs, gates, x->shape[2]) || !has_shape(node, R, dirs, gates, size)) return 0;
  if (b->dtype != IEC_F32 || op_count(b) != dirs * bias) return 0;
  if (lengths && ((lengths->dtype != IEC_I32 && lengths->dtype != IEC_I64) || op_count(lengths) != n))
    return 0;
  for (int i = 0; i < node->output_count; i++) {
    const cpu_tensor *y = node->outputs[i];
    if (y && (y->dtype != IEC_F32 || op_count(y) != n * dirs * size * (i == 0 ? steps : 1))) return 0;
  }
  return node->output_count >= 1 && node->outputs[0] ? 10 : 0;
}

/* Scratch of one (row, direction): h twice, c, reset * h, and the gates' sums. */
static int64_t pair_floats(const recurrent_state *s) {
  return op_div_up(4 * s->size + s->gates + s->size, 16) * 16;
}

static int64_t wx_floats(const recurrent_state *s) {
  return op_div_up(s->dirs * s->n * s->steps * s->gates, 16) * 16;
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
  activations(node, s->cell, (int)s->dirs, s->act);
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

typedef struct recurrent_pair { /* one (batch row, direction) while it runs */
  const float *wx, *r, *rest;   /* [steps][gates]; [gates][S]; bias of the recurrent part of a linear GRU */
  const int32_t *act;
  float *h, *next, *c, *reset, *sum; /* the state, its next value, cell state, reset * h, sums of the gates */
  float *y;                          /* [steps][S] */
  int64_t length;
  int reverse;
} recurrent_pair;

/* Sums of gates [g0, g1) for units [j0, j1): W x + b + R h, without the bias of a linear GRU's last gate. */
static void sums(const recurrent_state *s, const recurrent_pair *p, int64_t at, const float *h, int g0,
                 int g1, int64_t j0, int64_t j1) {
  for (int g = g0; g < g1; g++)
    for (int64_t j = j0; j < j1; j++) {
      int64_t row = g * s->size + j;
      p->sum[row] = p->wx[at * s->gates + row] + dot(p->r + row * s->size, h, s->size);
    }
}

static void lstm_step(const recurrent_state *s, const recurrent_pair *p, int64_t at, int64_t j0, int64_t j1) {
  int64_t size = s->size, n = j1 - j0;
  float *f = p->sum + j0, *i = f + size, *k = i + size, *o = k + size;
  sums(s, p, at, p->h, 0, 4, j0, j1);
  activate_row(p->act[0], f, n, s->clip);
  activate_row(p->act[0], i, n, s->clip);
  activate_row(p->act[1], k, n, s->clip);
  activate_row(p->act[0], o, n, s->clip);
  for (int64_t j = 0; j < n; j++) p->next[j0 + j] = p->c[j0 + j] = f[j] * p->c[j0 + j] + i[j] * k[j];
  activate_row(p->act[2], p->next + j0, n, 0);
  for (int64_t j = 0; j < n; j++) p->next[j0 + j] *= o[j];
}

static void gru_step(const recurrent_state *s, const recurrent_pair *p, int64_t at, int64_t j0, int64_t j1,
                     const cpu_run *shared) {
  int64_t size = s->size, n = j1 - j0;
  float *z = p->sum + j0, *r = z + size, *c = r + size;
  sums(s, p, at, p->h, 0, 2, j0, j1);
  activate_row(p->act[0], z, n, s->clip);
  activate_row(p->act[0], r, n, s->clip);
  if (s->linear) {
    for (int64_t j = 0; j < n; j++) {
      int64_t row = 2 * size + j0 + j;
      c[j] = p->wx[at * s->gates + row] + r[j] * (dot(p->r + row * size, p->h, size) + p->rest[j0 + j]);
    }
  } else {
    for (int64_t j = 0; j < n; j++) p->reset[j0 + j] = r[j] * p->h[j0 + j];
    if (shared) cpu_barrier(shared);
    sums(s, p, at, p->reset, 2, 3, j0, j1);
  }
  activate_row(p->act[1], c, n, s->clip);
  for (int64_t j = 0; j < n; j++) p->next[j0 + j] = (1 - z[j]) * c[j] + z[j] * p->h[j0 + j];
}

/* All steps for units [j0, j1); `shared` when other members do the other units. */
static void walk(const recurrent_state *s, recurrent_pair *p, int64_t j0, int64_t j1, const cpu_run *shared) {
  size_t bytes = (size_t)(j1 - j0) * sizeof(float);
  for (int64_t t = p->length; t < s->steps; t++) memset(p->y + t * s->size + j0, 0, bytes);
  for (int64_t t = 0; t < p->length; t++) {
    int64_t at = p->reverse ? p->length - 1 - t : t;
    if (s->cell == LSTM) {
      lstm_step(s, p, at, j0, j1);
    } else if (s->cell == GRU) {
      gru_step(s, p, at, j0, j1, shared);
    } else {
      sums(s, p, at, p->h, 0, 1, j0, j1);
      activate_row(p->act[0], p->sum + j0, j1 - j0, s->clip);
      memcpy(p->next + j0, p->sum + j0, bytes);
    }
    memcpy(p->y + at * s->size + j0, p->next + j0, bytes);
    if (shared) cpu_barrier(shared);
    float *h = p->h;
    p->h = p->next;
    p->next = h;
  }
}

/* The pair's places in memory, its state copied in for units [j0, j1). */
static recurrent_pair begin(const recurrent_state *s, const cpu_run *r, int64_t pair, int64_t j0,
                            int64_t j1) {
  int64_t n = pair / s->dirs, d = pair % s->dirs, length = s->steps;
  float *scratch = (float *)r->scratch + wx_floats(s) + pair * pair_floats(s);
  if (s->lengths_dtype) {
    const void *p = r->inputs[LENGTHS];
    length = s->lengths_dtype == IEC_I64 ? ((const int64_t *)p)[n] : ((const int32_t *)p)[n];
  }
  recurrent_pair p = {.wx = (const float *)r->scratch + (d * s->n + n) * s->steps * s->gates,
                      .r = (const float *)r->inputs[R] + d * s->gates * s->size,
                      .rest = (const float *)r->inputs[B] + d * s->bias + 3 * s->size * s->linear,
                      .act = s->act[d],
                      .h = scratch,
                      .next = scratch + s->size,
                      .c = scratch + 2 * s->size,
                      .reset = scratch + 3 * s->size,
                      .sum = scratch + 4 * s->size,
                      .y = (float *)r->outputs[0] + pair * s->steps * s->size,
                      .length = op_min(op_max(length, 0), s->steps),
                      .reverse = s->reverse || d == 1};
  size_t bytes = (size_t)(j1 - j0) * sizeof(float);
  memcpy(p.h + j0, (const float *)r->inputs[H0] + pair * s->size + j0, bytes);
  if (s->cell == LSTM) memcpy(p.c + j0, (const float *)r->inputs[C0] + pair * s->size + j0, bytes);
  return p;
}

static void finish(const recurrent_state *s, const cpu_run *r, const recurrent_pair *p, int64_t pair,
                   int64_t j0, int64_t j1) {
  size_t bytes = (size_t)(j1 - j0) * sizeof(float);
  if (s->last_h) memcpy((float *)r->outputs[1] + pair * s->size + j0, p->h + j0, bytes);
  if (s->last_c) memcpy((float *)r->outputs[2] + pair * s->size + j0, p->c + j0, bytes);
}

/* Rows of W x + b: items are a direction and a gate row, done for all inputs while the weights are in cache.
 */
static void inputs(const recurrent_state *s, const cpu_run *r) {
  int64_t b, e, columns = s->n * s->steps;
  while (cpu_next(r, s->dirs * s->gates, 16, &b, &e))
    for (; b < e; b++) {
      int64_t d = b / s->gates, row = b % s->gates;
      const float *w = (const float *)r->inputs[W] + b * s->d, *x = r->inputs[X];
      float bias = ((const float *)r->inputs[B])[d * s->bias + row];
      float *to = (float *)r->scratch + d * columns * s->gates + row;
      for (int64_t i = 0; i < columns; i++) to[i * s->gates] = dot(w, x + i * s->d, s->d) + bias;
    }
}

static void run(const void *state, const cpu_run *r) {
  const recurrent_state *s = state;
  int64_t b, e, pairs = s->n * s->dirs;
  inputs(s, r);
  cpu_barrier(r);
  if (pairs % r->members == 0 || pairs >= 4 * (int64_t)r->members) {
    while (cpu_next_phase(r, 1, pairs, 1, &b, &e)) {
      recurrent_pair p = begin(s, r, b, 0, s->size);
      walk(s, &p, 0, s->size, NULL);
      finish(s, r, &p, b, 0, s->size);
    }
    return;
  }
  int64_t j0 = s->size * r->member / r->members, j1 = s->size * (r->member + 1) / r->members;
  for (int64_t pair = 0; pair < pairs; pair++) {
    recurrent_pair p = begin(s, r, pair, j0, j1);
    cpu_barrier(r);
    walk(s, &p, j0, j1, r);
    finish(s, r, &p, pair, j0, j1);
  }
}

const cpu_kernel IEC_ISA(cpu_kernel_recurrent) = {
    .kind = "Recurrent", .name = "recurrent", .supports = supports, .prepare = prepare, .run = run};
