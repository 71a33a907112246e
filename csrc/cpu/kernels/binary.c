/* SPDX-License-Identifier: Apache-2.0 */
/* Kind Binary: float32 plain or blocked, int32 and int64, comparisons of every type, logic on bool; numpy
 * broadcast. */
#include "cpu/kernels/bcast.h"
#include "cpu/kernels/post.h"
#include "cpu/kernels/vec.h"

typedef enum {
  ADD,
  SUB,
  MUL,
  DIV,
  FLOOR_DIV,
  MAX,
  MIN,
  POW,
  SQUARED_DIFF,
  MOD,
  FLOOR_MOD,
  PRELU,
  BIT_AND,
  BIT_OR,
  BIT_XOR,
  SHIFT_LEFT,
  SHIFT_RIGHT,
  EQUAL,
  NOT_EQUAL,
  LESS,
  LESS_EQUAL,
  GREATER,
  GREATER_EQUAL,
  LOGICAL_AND,
  LOGICAL_OR,
  LOGICAL_XOR
} binary_op;

static const char *const names[] = {
    "add",     "sub",           "mul",         "div",        "floor_div",  "max",     "min",
    "pow",     "squared_diff",  "mod",         "floor_mod",  "prelu",      "bit_and", "bit_or",
    "bit_xor", "shift_left",    "shift_right", "equal",      "not_equal",  "less",    "less_equal",
    "greater", "greater_equal", "logical_and", "logical_or", "logical_xor"};

typedef struct binary_state {
  bcast walk;
  op_tail tail;
  post_set posts;
  int32_t op, dtype, packed[2];
  int32_t scaled; /* 1 + the operand that constants of the channels scale or shift: posts do all; 0: others */
  float data[];   /* constants in blocked form, one after the other */
} binary_state;

static int operation(const cpu_node *node) {
  return op_choice(op_text(node, "op", ""), names, (int)(sizeof names / sizeof *names));
}

static int32_t supports(const cpu_node *node) {
  if (!op_ports_only(node, 2, 1)) return 0;
  int op = operation(node);
  int32_t type = node->inputs[0]->dtype, result = node->outputs[0]->dtype;
  if (op < 0 || node->inputs[1]->dtype != type || result != (op >= EQUAL ? IEC_BOOL : type)) return 0;
  if (!bcast_fits(node, 2)) return 0;
  if (op >= LOGICAL_AND) return type == IEC_BOOL ? 10 : 0;
  if (op >= BIT_AND && op <= SHIFT_RIGHT) return type == IEC_I32 || type == IEC_I64 ? 10 : 0;
  if (type == IEC_F32 || type == IEC_I32 || type == IEC_I64) return 10;
  return op >= EQUAL && (type == IEC_U8 || type == IEC_I8 || type == IEC_BOOL) ? 10 : 0;
}

static void layouts(const cpu_node *node, cpu_layout *in, cpu_layout *out) {
  bcast_layouts(node, 2, in, out);
}

/* Makes a product or sum with one packed constant a channel the first of the posts. */
static void lead_posts(const cpu_node *node, binary_state *s) {
  int constant = s->packed[1];
  const cpu_tensor *y = node->outputs[0], *b = node->inputs[constant];
  if ((s->op != MUL && s->op != ADD) || !s->packed[constant] || op_count(b) != y->shape[1]) return;
  if (s->walk.cols != 16) return; /* maps of one pixel: blocks have become one row */
  if (op_count(node->inputs[!constant]) != op_count(y)) return;
  cpu_post first = {.type = CPU_POST_CHANNEL, .alpha = -INFINITY, .beta = INFINITY};
  *(s->op == MUL ? &first.scale : &first.shift) = s->data;
  post_lead(&s->posts, &first);
  s->scaled = 1 + !constant;
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  int64_t a = bcast_packed(node, 0), b = bcast_packed(node, 1);
  iec_status status =
      op_state(host, node, sizeof(binary_state) + (size_t)(a + b) * sizeof(float) + 64, out, err);
  if (status != IEC_OK) return status;
  binary_state *s = out->state;
  s->op = operation(node);
  s->dtype = node->inputs[0]->dtype;
  s->packed[0] = a > 0;
  s->packed[1] = b > 0;
  if (a) bcast_pack(node, 0, s->data);
  if (b) bcast_pack(node, 1, s->data + a);
  out->packed_inputs = (uint64_t)(a > 0) | (uint64_t)(b > 0) << 1;
  bcast_plan(node, 2, &s->walk);
  s->tail = op_tail_of(node->outputs[0]);
  post_init(&s->posts, node);
  lead_posts(node, s);
  int64_t count = op_count(node->outputs[0]);
  out->cost = (double)count * (s->op == POW || s->op == MOD || s->op == FLOOR_MOD ? 20 : 1);
  out->exec_type = "binary_" CPU_ISA_NAME;
  for (int i = 1; i >= 0 && s->op < EQUAL; i--)
    if (op_count(node->inputs[i]) == count && node->inputs[i]->layout == node->outputs[0]->layout)
      out->in_place = i + 1;
  return IEC_OK;
}

/* -- float32 -- */

static inline __attribute__((always_inline)) vf vector(int op, vf a, vf b) {
  switch (op) {
    case ADD: return a + b;
    case SUB: return a - b;
    case MUL: return a * b;
    case DIV: return a / b;
    case FLOOR_DIV: return vf_floor(a / b);
    case MAX: return vf_max(a, b);
    case MIN: return vf_min(a, b);
    case SQUARED_DIFF: return (a - b) * (a - b);
    case PRELU: return vf_sel(a > 0.0f, a, a * b);
    case POW:
      for (int i = 0; i < VL; i++) a[i] = powf(a[i], b[i]);
      return a;
    case MOD:
      for (int i = 0; i < VL; i++) a[i] = fmodf(a[i], b[i]);
      return a;
    default: /* floor_mod: the sign of the divisor */
      for (int i = 0; i < VL; i++) {
        float m = fmodf(a[i], b[i]);
        a[i] = m != 0 && (m < 0) != (b[i] < 0) ? m + b[i] : m == 0 ? copysignf(0.0f, b[i]) : m;
      }
      return a;
  }
}

/* Strides are 0 or 1 within a row: a scalar is repeated once, not loaded each time. */
static inline __attribute__((always_inline)) void row(int op, int64_t n, const float *a, int64_t as,
                                                      const float *b, int64_t bs, float *y) {
  int64_t i = 0;
  vf av = vf_set(n ? a[0] : 0.0f), bv = vf_set(n ? b[0] : 0.0f);
  for (; i + VL <= n; i += VL) {
    if (as) av = vf_load(a + i);
    if (bs) bv = vf_load(b + i);
    vf_store(y + i, vector(op, av, bv));
  }
  if (i < n) {
    if (as) av = vf_load_n(a + i, n - i);
    if (bs) bv = vf_load_n(b + i, n - i);
    vf_store_n(y + i, vector(op, av, bv), n - i);
  }
}

/* Rows of a channel block beside one value a channel. */
static inline __attribute__((always_inline)) void channel_rows(int op, const bcast_block *k, const float *a,
                                                               const float *b, float *y) {
  vf bv[16 / VL];
  for (int v = 0; v < 16 / VL; v++) bv[v] = vf_load(b + v * VL);
  for (int64_t i = 0; i < k->rows; i++, a += k->row[0], y += 16)
    for (int v = 0; v < 16 / VL; v++) vf_store(y + v * VL, vector(op, vf_load(a + v * VL), bv[v]));
}

static inline __attribute__((always_inline)) void rows(int op, const bcast_block *k, const float *a,
                                                       const float *b, float *y) {
  if (k->cols == 16 && k->col[0] && k->col[1] && !k->row[1]) {
    channel_rows(op, k, a, b, y);
    return;
  }
  for (int64_t i = 0; i < k->rows; i++) {
    const float *ai = a + i * k->row[0], *bi = b + i * k->row[1];
    if (k->col[0] && k->col[1])
      row(op, k->cols, ai, 1, bi, 1, y + i * k->cols);
    else if (k->col[0])
      row(op, k->cols, ai, 1, bi, 0, y + i * k->cols);
    else
      row(op, k->cols, ai, k->col[0], bi, k->col[1], y + i * k->cols);
  }
}

static void run_float(int op, const bcast_block *k, const float *a, const float *b, float *y) {
#define CASE(o) \
  case o: rows(o, k, a, b, y); break
  switch (op) {
    CASE(ADD);
    CASE(SUB);
    CASE(MUL);
    CASE(DIV);
    CASE(MAX);
    CASE(MIN);
    CASE(SQUARED_DIFF);
    CASE(PRELU);
    CASE(POW);
    default: rows(op, k, a, b, y); break;
  }
#undef CASE
}

/* -- integers: wrap on overflow, a division by zero gives 0 -- */

static int64_t power(int64_t a, int64_t b) {
  if (b < 0) return a == 1 ? 1 : a == -1 ? (b % 2 ? -1 : 1) : 0;
  uint64_t y = 1, base = (uint64_t)a;
  for (; b; b >>= 1, base *= base)
    if (b & 1) y *= base;
  return (int64_t)y;
}

/* `bits` is the width of the elements: a shift takes its count modulo that. */
static int64_t integer(int op, int64_t a, int64_t b, int64_t bits) {
  uint64_t ua = (uint64_t)a, ub = (uint64_t)b;
  int64_t q = b == 0 ? 0 : b == -1 ? (int64_t)(0 - ua) : a / b;
  int64_t m = b == 0 || b == -1 ? 0 : a % b;
  switch (op) {
    case ADD: return (int64_t)(ua + ub);
    case SUB: return (int64_t)(ua - ub);
    case MUL: return (int64_t)(ua * ub);
    case DIV: return q;
    case FLOOR_DIV: return m != 0 && (m < 0) != (b < 0) ? q - 1 : q;
    case MAX: return a > b ? a : b;
    case MIN: return a < b ? a : b;
    case POW: return power(a, b);
    case SQUARED_DIFF: return (int64_t)((ua - ub) * (ua - ub));
    case MOD: return m;
    case FLOOR_MOD: return m != 0 && (m < 0) != (b < 0) ? m + b : m;
    case BIT_AND: return a & b;
    case BIT_OR: return a | b;
    case BIT_XOR: return a ^ b;
    case SHIFT_LEFT: return (int64_t)(ua << (b & (bits - 1)));
    case SHIFT_RIGHT: return a >> (b & (bits - 1));
    default: return a > 0 ? a : (int64_t)(ua * ub); /* prelu */
  }
}

static void run_int(int op, int32_t dtype, const bcast_block *k, const void *a, const void *b, void *y) {
  for (int64_t i = 0; i < k->rows; i++)
    for (int64_t j = 0; j < k->cols; j++) {
      int64_t ai = k->at[0] + i * k->row[0] + j * k->col[0], bi = k->at[1] + i * k->row[1] + j * k->col[1];
      int64_t yi = k->out + i * k->cols + j;
      if (dtype == IEC_I64)
        ((int64_t *)y)[yi] = integer(op, ((const int64_t *)a)[ai], ((const int64_t *)b)[bi], 64);
      else
        ((int32_t *)y)[yi] = (int32_t)integer(op, ((const int32_t *)a)[ai], ((const int32_t *)b)[bi], 32);
    }
}

/* -- comparisons and logic -- */

#define TRUTH(name, type)                                                                    \
  static void name(int op, const bcast_block *k, const type *a, const type *b, uint8_t *y) { \
    for (int64_t i = 0; i < k->rows; i++)                                                    \
      for (int64_t j = 0; j < k->cols; j++) {                                                \
        type u = a[k->at[0] + i * k->row[0] + j * k->col[0]],                                \
             v = b[k->at[1] + i * k->row[1] + j * k->col[1]];                                \
        uint8_t t;                                                                           \
        switch (op) {                                                                        \
          case EQUAL: t = u == v; break;                                                     \
          case NOT_EQUAL: t = u != v; break;                                                 \
          case LESS: t = u < v; break;                                                       \
          case LESS_EQUAL: t = u <= v; break;                                                \
          case GREATER: t = u > v; break;                                                    \
          case GREATER_EQUAL: t = u >= v; break;                                             \
          case LOGICAL_AND: t = u && v; break;                                               \
          case LOGICAL_OR: t = u || v; break;                                                \
          default: t = !u != !v; break;                                                      \
        }                                                                                    \
        y[k->out + i * k->cols + j] = t;                                                     \
      }                                                                                      \
  }
TRUTH(truth_f32, float)
TRUTH(truth_i32, int32_t)
TRUTH(truth_i64, int64_t)
TRUTH(truth_i8, int8_t)
TRUTH(truth_u8, uint8_t)

static void run_truth(int op, int32_t dtype, const bcast_block *k, const void *a, const void *b, void *y) {
  switch (dtype) {
    case IEC_F32: truth_f32(op, k, a, b, y); break;
    case IEC_I32: truth_i32(op, k, a, b, y); break;
    case IEC_I64: truth_i64(op, k, a, b, y); break;
    case IEC_I8: truth_i8(op, k, a, b, y); break;
    default: truth_u8(op, k, a, b, y); break;
  }
}

static void run(const void *state, const cpu_run *r) {
  const binary_state *s = state;
  const void *a = s->packed[0] ? (const void *)s->data : r->inputs[0];
  /* both packed cannot happen: a node of constants is folded */
  const void *b = s->packed[1] ? (const void *)s->data : r->inputs[1];
  void *y = r->outputs[0];
  int64_t begin, end, unit = s->walk.row_part * s->walk.cols;
  int64_t grain = op_max(op_grain(r, s->walk.items, 1), 4096 / op_max(unit, 1));
  while (cpu_next(r, s->walk.items, op_max(grain, 1), &begin, &end))
    for (int64_t item = begin; item < end; item++) {
      bcast_block k;
      bcast_at(&s->walk, item, &k);
      if (s->op >= EQUAL) {
        run_truth(s->op, s->dtype, &k, a, b, y);
      } else if (s->scaled) {
        const float *x = (const float *)(s->scaled == 1 ? a : b) + k.at[s->scaled - 1];
        post_scaled(&s->posts, r, x, (float *)y + k.out, k.rows, k.at[2 - s->scaled],
                    s->posts.shape.channels);
      } else if (s->dtype == IEC_F32) {
        run_float(s->op, &k, (const float *)a + k.at[0], (const float *)b + k.at[1], (float *)y + k.out);
        if (s->tail.rest) op_tail_zero(&s->tail, y, k.out, k.out + k.rows * k.cols);
        if (s->posts.count) post_range(&s->posts, r, y, k.out, k.out + k.rows * k.cols);
      } else {
        run_int(s->op, s->dtype, &k, a, b, y);
      }
    }
}

const cpu_kernel IEC_ISA(cpu_kernel_binary) = {.kind = "Binary",
                                               .name = "binary",
                                               .supports = supports,
                                               .layouts = layouts,
                                               .can_fuse = post_can_fuse_range,
                                               .prepare = prepare,
                                               .run = run};
