/* SPDX-License-Identifier: Apache-2.0 */
/* Kind Unary: float32 in any layout, the integer forms of a few operations, and not on bool. */
#include "cpu/kernels/common.h"
#include "cpu/kernels/post.h"
#include "cpu/kernels/vmath.h"

#define CHUNK 4096 /* elements of the L1 cache; whole blocks of 16 channels */

typedef struct unary_state {
  int32_t op, dtype;
  float alpha, beta, gamma;
  double slope;      /* alpha of an integer relu */
  int64_t low, high; /* integer clamp */
  int64_t count;
  op_tail tail;
  post_set posts;
} unary_state;

static int32_t unary_op(const cpu_node *node) { return cpu_unary_code(op_text(node, "op", "")); }

static int32_t supports(const cpu_node *node) {
  if (!op_ports_only(node, 1, 1)) return 0;
  int32_t op = unary_op(node), type = node->inputs[0]->dtype;
  if (op < 0 || type != node->outputs[0]->dtype || !op_keeps_shape(node)) return 0;
  if (op == CPU_UNARY_NOT) return type == IEC_BOOL ? 10 : 0;
  if (type == IEC_F32) return 10;
  if (type != IEC_I32 && type != IEC_I64) return 0;
  return op == CPU_UNARY_ABS || op == CPU_UNARY_NEG || op == CPU_UNARY_SIGN || op == CPU_UNARY_RELU ||
                 op == CPU_UNARY_CLAMP
             ? 10
             : 0;
}

static void layouts(const cpu_node *node, cpu_layout *in, cpu_layout *out) {
  in[0] = out[0] = node->inputs[0]->layout;
}

/* A limit of an integer clamp: the nearest integer inside, NaN limits nothing. */
static int64_t limit(double value, int32_t dtype, int upper) {
  double low = dtype == IEC_I32 ? -0x1p31 : -0x1p63, high = dtype == IEC_I32 ? 0x1p31 - 1 : 0x1p63;
  int64_t least = dtype == IEC_I32 ? INT32_MIN : INT64_MIN, most = dtype == IEC_I32 ? INT32_MAX : INT64_MAX;
  if (!(value > low)) return value != value && upper ? most : least;
  if (!(value < high)) return most;
  return (int64_t)(upper ? floor(value) : ceil(value));
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(unary_state), out, err);
  if (status != IEC_OK) return status;
  unary_state *s = out->state;
  double alpha = op_float(node, "alpha", 0), beta = op_float(node, "beta", 0);
  s->op = unary_op(node);
  s->dtype = node->inputs[0]->dtype;
  s->alpha = (float)alpha;
  s->beta = (float)beta;
  s->gamma = (float)op_float(node, "gamma", 0);
  s->slope = alpha;
  s->low = limit(alpha, s->dtype, 0);
  s->high = limit(beta, s->dtype, 1);
  int64_t dims[IEC_MAX_NDIM + 1];
  int rank = op_physical(node->outputs[0], dims);
  s->count = op_product(dims, 0, rank);
  s->tail = op_tail_of(node->outputs[0]);
  post_init(&s->posts, node);
  out->cost = (double)s->count * (s->op == CPU_UNARY_RELU || s->op == CPU_UNARY_CLAMP ? 1 : 10);
  out->exec_type = "unary_" CPU_ISA_NAME;
  out->in_place = 1;
  return IEC_OK;
}

static inline __attribute__((always_inline)) void map(int op, const unary_state *s, int64_t n, const float *x,
                                                      float *y) {
  int64_t i = 0;
  for (; i + VL <= n; i += VL) vf_store(y + i, vm_unary(op, vf_load(x + i), s->alpha, s->beta, s->gamma));
  if (i < n) vf_store_n(y + i, vm_unary(op, vf_load_n(x + i, n - i), s->alpha, s->beta, s->gamma), n - i);
}

/* The switch stands outside the loop: each case is a loop of its own. */
static void run_float(const unary_state *s, int64_t n, const float *x, float *y) {
#define CASE(op) \
  case op: map(op, s, n, x, y); break
  switch (s->op) {
    CASE(CPU_UNARY_RELU);
    CASE(CPU_UNARY_SIGMOID);
    CASE(CPU_UNARY_TANH);
    CASE(CPU_UNARY_ELU);
    CASE(CPU_UNARY_CLAMP);
    CASE(CPU_UNARY_EXP);
    CASE(CPU_UNARY_LOG);
    CASE(CPU_UNARY_ABS);
    CASE(CPU_UNARY_NEG);
    CASE(CPU_UNARY_SQRT);
    CASE(CPU_UNARY_SQUARE);
    CASE(CPU_UNARY_RECIPROCAL);
    CASE(CPU_UNARY_FLOOR);
    CASE(CPU_UNARY_SOFTPLUS);
    CASE(CPU_UNARY_MISH);
    CASE(CPU_UNARY_SWISH);
    CASE(CPU_UNARY_HSWISH);
    CASE(CPU_UNARY_HSIGMOID);
    CASE(CPU_UNARY_SELU);
    CASE(CPU_UNARY_GELU);
    CASE(CPU_UNARY_POWER);
    default: map(s->op, s, n, x, y); break;
  }
#undef CASE
}

static int64_t integer(const unary_state *s, int64_t x) {
  switch (s->op) {
    case CPU_UNARY_ABS: return x < 0 ? (int64_t)(0 - (uint64_t)x) : x;
    case CPU_UNARY_NEG: return (int64_t)(0 - (uint64_t)x);
    case CPU_UNARY_SIGN: return (x > 0) - (x < 0);
    case CPU_UNARY_CLAMP: return op_min(op_max(x, s->low), s->high);
    default: return x > 0 ? x : op_integer(s->slope * (double)x); /* relu */
  }
}

static void run(const void *state, const cpu_run *r) {
  const unary_state *s = state;
  int64_t b, e, grain = op_div_up(op_grain(r, s->count, 4096), 64) * 64;
  while (cpu_next(r, s->count, grain, &b, &e)) {
    const char *x = r->inputs[0];
    char *y = r->outputs[0];
    if (s->dtype == IEC_F32) {
      for (int64_t i = b; i < e; i += CHUNK) { /* the fused operations meet results that are still in cache */
        int64_t stop = op_min(e, i + CHUNK);
        run_float(s, stop - i, (const float *)x + i, (float *)y + i);
        op_tail_zero(&s->tail, (float *)y, i, stop);
        if (s->posts.count) post_range(&s->posts, r, (float *)y, i, stop);
      }
    } else if (s->dtype == IEC_I32) {
      for (int64_t i = b; i < e; i++) ((int32_t *)y)[i] = (int32_t)integer(s, ((const int32_t *)x)[i]);
    } else if (s->dtype == IEC_I64) {
      for (int64_t i = b; i < e; i++) ((int64_t *)y)[i] = integer(s, ((const int64_t *)x)[i]);
    } else {
      for (int64_t i = b; i < e; i++) y[i] = !x[i];
    }
  }
}

const cpu_kernel IEC_ISA(cpu_kernel_unary) = {.kind = "Unary",
                                              .name = "unary",
                                              .supports = supports,
                                              .layouts = layouts,
                                              .can_fuse = post_can_fuse_range,
                                              .prepare = prepare,
                                              .run = run};
