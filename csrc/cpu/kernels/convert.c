/* SPDX-License-Identifier: Apache-2.0 */
/* Kind Convert between all element types. Floats become integers by truncation, or half to even with
 * saturation. */
#include "cpu/kernels/common.h"
#include "cpu/kernels/vec.h"

#define PIECE 256 /* elements that pass through the intermediate type at a time */

typedef struct convert_state {
  int64_t count;
  int32_t from, to, nearest, same;
} convert_state;

static int32_t dtype_of(const char *name) {
  static const char *const names[] = {"float32", "int32",  "int64",   "uint8",   "int8",   "bool",
                                      "int16",   "uint16", "float16", "float64", "uint32", "uint64"};
  static const int32_t types[] = {IEC_F32, IEC_I32, IEC_I64, IEC_U8,  IEC_I8,  IEC_BOOL,
                                  IEC_I16, IEC_U16, IEC_F16, IEC_F64, IEC_U32, IEC_U64};
  int i = op_choice(name, names, 12);
  return i < 0 ? -1 : types[i];
}

static int is_float(int32_t dtype) { return dtype == IEC_F32 || dtype == IEC_F16 || dtype == IEC_F64; }

static int32_t supports(const cpu_node *node) {
  if (!op_ports(node, 1, 1)) return 0;
  const cpu_tensor *x = node->inputs[0], *y = node->outputs[0];
  const char *rounding = op_text(node, "round", "truncate");
  if (strcmp(rounding, "truncate") != 0 && strcmp(rounding, "nearest") != 0) return 0;
  if (dtype_of(op_text(node, "dtype", "")) != y->dtype) return 0;
  return op_size(x->dtype) && op_size(y->dtype) && op_count(x) == op_count(y) ? 10 : 0;
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(convert_state), out, err);
  if (status != IEC_OK) return status;
  convert_state *s = out->state;
  s->count = op_count(node->inputs[0]);
  s->from = node->inputs[0]->dtype;
  s->to = node->outputs[0]->dtype;
  s->nearest = strcmp(op_text(node, "round", "truncate"), "nearest") == 0;
  s->same = s->from == s->to;
  out->cost = (double)(2 * s->count);
  out->exec_type = "convert_" CPU_ISA_NAME;
  out->in_place = s->same ? 1 : 0;
  return IEC_OK;
}

static double half_to_double(uint16_t h) {
  int exponent = h >> 10 & 31, fraction = h & 1023;
  double v = exponent == 31  ? (fraction ? NAN : INFINITY)
             : exponent == 0 ? ldexp(fraction, -24)
                             : ldexp(1024 + fraction, exponent - 25);
  return h & 0x8000 ? -v : v;
}

/* Rounds half to even; beyond the largest half it is infinity. */
static uint16_t double_to_half(double v) {
  uint16_t sign = signbit(v) ? 0x8000 : 0;
  double a = fabs(v);
  if (a != a) return 0x7e00;
  if (a == 0) return sign;
  if (a >= 65520.0) return sign | 0x7c00;
  int exponent = 0;
  frexp(a, &exponent);
  exponent = exponent < -13 ? -13 : exponent; /* denormals share the exponent of the smallest normal */
  int64_t units = (int64_t)rint(ldexp(a, 11 - exponent)); /* 1024..2048 for normals: 2048 carries by itself */
  return (uint16_t)(sign + ((exponent + 13) << 10) + units);
}

static void load_double(const convert_state *s, const void *x, int64_t at, int n, double *v) {
  for (int i = 0; i < n; i++) {
    if (s->from == IEC_F32)
      v[i] = ((const float *)x)[at + i];
    else if (s->from == IEC_F64)
      v[i] = ((const double *)x)[at + i];
    else
      v[i] = half_to_double(((const uint16_t *)x)[at + i]);
  }
}

static void load_int(const convert_state *s, const void *x, int64_t at, int n, int64_t *v) {
#define LOAD(code, type)                                                   \
  case code:                                                               \
    for (int i = 0; i < n; i++) v[i] = (int64_t)((const type *)x)[at + i]; \
    break
  switch (s->from) {
    LOAD(IEC_I32, int32_t);
    LOAD(IEC_U32, uint32_t);
    LOAD(IEC_I64, int64_t);
    LOAD(IEC_U64, uint64_t);
    LOAD(IEC_I8, int8_t);
    LOAD(IEC_I16, int16_t);
    LOAD(IEC_U16, uint16_t);
    default:
      for (int i = 0; i < n; i++) v[i] = ((const uint8_t *)x)[at + i];
      break;
  }
#undef LOAD
}

/* Integers in [low, high] of the target type; uint64 is limited to what int64 holds. */
static void limits(int32_t dtype, int64_t *low, int64_t *high) {
  switch (dtype) {
    case IEC_I32:
      *low = INT32_MIN;
      *high = INT32_MAX;
      break;
    case IEC_U32:
      *low = 0;
      *high = UINT32_MAX;
      break;
    case IEC_I8:
      *low = INT8_MIN;
      *high = INT8_MAX;
      break;
    case IEC_U8:
      *low = 0;
      *high = UINT8_MAX;
      break;
    case IEC_I16:
      *low = INT16_MIN;
      *high = INT16_MAX;
      break;
    case IEC_U16:
      *low = 0;
      *high = UINT16_MAX;
      break;
    case IEC_U64:
      *low = 0;
      *high = INT64_MAX;
      break;
    default:
      *low = INT64_MIN;
      *high = INT64_MAX;
      break;
  }
}

/* `nearest`: half to even, saturating. Else truncation that saturates at 64 bits; the store then wraps. NaN
 * is 0. */
static void to_int(const convert_state *s, int n, const double *x, int64_t *v) {
  int64_t low = INT64_MIN, high = INT64_MAX;
  if (s->nearest) limits(s->to, &low, &high);
  for (int i = 0; i < n; i++) {
    double d = s->nearest ? rint(x[i]) : x[i];
    v[i] = d != d ? 0 : d >= (double)high ? high : d <= (double)low ? low : (int64_t)d;
  }
}

static void store_double(const convert_state *s, void *y, int64_t at, int n, const double *v) {
  for (int i = 0; i < n; i++) {
    if (s->to == IEC_F32)
      ((float *)y)[at + i] = (float)v[i];
    else if (s->to == IEC_F64)
      ((double *)y)[at + i] = v[i];
    else
      ((uint16_t *)y)[at + i] = double_to_half(v[i]);
  }
}

static void store_int(const convert_state *s, void *y, int64_t at, int n, const int64_t *v) {
#define STORE(code, type)                                         \
  case code:                                                      \
    for (int i = 0; i < n; i++) ((type *)y)[at + i] = (type)v[i]; \
    break
  switch (s->to) {
    STORE(IEC_I32, int32_t);
    STORE(IEC_U32, uint32_t);
    STORE(IEC_I64, int64_t);
    STORE(IEC_U64, uint64_t);
    STORE(IEC_I8, int8_t);
    STORE(IEC_I16, int16_t);
    STORE(IEC_U16, uint16_t);
    default:
      for (int i = 0; i < n; i++) ((uint8_t *)y)[at + i] = (uint8_t)v[i];
      break;
  }
#undef STORE
}

static void piece(const convert_state *s, const void *x, void *y, int64_t at, int n) {
  int64_t ints[PIECE];
  double reals[PIECE];
  if (is_float(s->from)) {
    load_double(s, x, at, n, reals);
    if (is_float(s->to)) {
      store_double(s, y, at, n, reals);
      return;
    }
    if (s->to == IEC_BOOL)
      for (int i = 0; i < n; i++) ints[i] = reals[i] != 0;
    else
      to_int(s, n, reals, ints);
    store_int(s, y, at, n, ints);
    return;
  }
  load_int(s, x, at, n, ints);
  if (is_float(s->to)) {
    for (int i = 0; i < n; i++) reals[i] = s->from == IEC_U64 ? (double)(uint64_t)ints[i] : (double)ints[i];
    store_double(s, y, at, n, reals);
    return;
  }
  if (s->to == IEC_BOOL)
    for (int i = 0; i < n; i++) ints[i] = ints[i] != 0;
  else if (s->nearest && s->from != IEC_BOOL) {
    int64_t low, high;
    limits(s->to, &low, &high);
    for (int i = 0; i < n; i++) {
      int64_t v = s->from == IEC_U64 && ints[i] < 0 ? INT64_MAX : ints[i];
      ints[i] = op_min(op_max(v, low), high);
    }
  }
  store_int(s, y, at, n, ints);
}

static void run(const void *state, const cpu_run *r) {
  const convert_state *s = state;
  const void *x = r->inputs[0];
  void *y = r->outputs[0];
  int64_t b, e, grain = op_grain(r, s->count, 8192), size = op_size(s->from);
  while (cpu_next(r, s->count, grain, &b, &e)) {
    if (s->same) {
      if (x != y) memcpy((char *)y + b * size, (const char *)x + b * size, (size_t)((e - b) * size));
    } else if (s->from == IEC_U8 && s->to == IEC_F32) {
      for (int64_t i = b; i < e; i++) ((float *)y)[i] = ((const uint8_t *)x)[i];
    } else if (s->from == IEC_I32 && s->to == IEC_F32) {
      for (int64_t i = b; i < e; i++) ((float *)y)[i] = (float)((const int32_t *)x)[i];
    } else {
      for (int64_t at = b; at < e; at += PIECE) piece(s, x, y, at, (int)op_min(PIECE, e - at));
    }
  }
}

const cpu_kernel IEC_ISA(cpu_kernel_convert) = {
    .kind = "Convert", .name = "convert", .supports = supports, .prepare = prepare, .run = run};
