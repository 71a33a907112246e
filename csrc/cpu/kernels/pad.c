/* SPDX-License-Identifier: Apache-2.0 */
/* Kind Pad, for every type: constant, edge, reflect (edge not repeated) and symmetric (edge repeated), pads
 * may be negative. */
#include <math.h>

#include "cpu/kernels/nd.h"

enum { PAD_CONSTANT, PAD_EDGE, PAD_REFLECT, PAD_SYMMETRIC };
static const char *const modes[] = {"constant", "edge", "reflect", "symmetric"};

typedef struct pad_state {
  int32_t rank, size;
  int64_t dims[IEC_MAX_NDIM]; /* output */
  const int64_t
      *map[IEC_MAX_NDIM]; /* input offset in elements for each output index, -1: the padding value */
  int64_t rows, row, inner_begin, inner_end; /* the part of a row that is a plain copy */
  uint64_t fill;                             /* bytes of the padding value */
  int64_t table[];
} pad_state;

static const int64_t *begins(const cpu_node *node) {
  size_t count;
  const int64_t *v = op_ints(node, "pads_begin", &count);
  return count == (size_t)node->inputs[0]->ndim ? v : NULL;
}

static int32_t supports(const cpu_node *node) {
  if (!op_ports(node, 1, 1)) return 0;
  const cpu_tensor *x = node->inputs[0], *y = node->outputs[0];
  int mode = op_choice(op_text(node, "mode", "constant"), modes, 4);
  if (mode < 0 || !op_size(x->dtype) || x->dtype != y->dtype || x->ndim != y->ndim || x->ndim < 1) return 0;
  const int64_t *begin = begins(node);
  if (!begin) return 0;
  for (int i = 0; i < x->ndim; i++) {
    if (begin[i] < -INT32_MAX || begin[i] > INT32_MAX) return 0;
    if (mode != PAD_CONSTANT && x->shape[i] < 1 && y->shape[i]) return 0;
  }
  return 10;
}

/* Where output index `o` reads on an axis of `n` elements; -1: nowhere. */
static int64_t source(int mode, int64_t o, int64_t n) {
  if (o >= 0 && o < n) return o;
  if (mode == PAD_CONSTANT) return -1;
  if (mode == PAD_EDGE || (mode == PAD_REFLECT && n == 1)) return o < 0 ? 0 : n - 1;
  int64_t period = mode == PAD_REFLECT ? 2 * n - 2 : 2 * n, at = o % period;
  if (at < 0) at += period;
  if (at < n) return at;
  return mode == PAD_REFLECT ? period - at : period - 1 - at;
}

static uint64_t fill_bytes(int32_t dtype, double value) {
  uint64_t bytes = 0;
  float f = (float)value;
  int64_t i = op_integer(value);
  if (dtype == IEC_F32)
    memcpy(&bytes, &f, sizeof f);
  else if (dtype == IEC_F64)
    memcpy(&bytes, &value, sizeof value);
  else if (dtype == IEC_BOOL)
    bytes = value != 0;
  else
    bytes = (uint64_t)i; /* little-endian: the low bytes are the value in every width */
  return bytes;
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  const cpu_tensor *x = node->inputs[0], *y = node->outputs[0];
  size_t entries = 0;
  for (int i = 0; i < y->ndim; i++) entries += (size_t)y->shape[i];
  iec_status status = op_state(host, node, sizeof(pad_state) + entries * sizeof(int64_t), out, err);
  if (status != IEC_OK) return status;
  pad_state *s = out->state;
  int mode = op_choice(op_text(node, "mode", "constant"), modes, 4), last = y->ndim - 1;
  const int64_t *begin = begins(node);
  int64_t strides[IEC_MAX_NDIM], *next = s->table;
  nd_strides(x->shape, x->ndim, strides);
  s->rank = y->ndim;
  s->size = (int32_t)op_size(x->dtype);
  for (int i = 0; i < y->ndim; i++) {
    s->dims[i] = y->shape[i];
    s->map[i] = next;
    for (int64_t o = 0; o < y->shape[i]; o++) {
      int64_t at = source(mode, o - begin[i], x->shape[i]);
      *next++ = at < 0 ? -1 : at * strides[i];
    }
  }
  s->row = y->shape[last];
  s->rows = op_product(y->shape, 0, last);
  s->inner_begin = op_min(op_max(begin[last], 0), s->row);
  s->inner_end = op_max(op_min(begin[last] + x->shape[last], s->row), s->inner_begin);
  s->fill = fill_bytes(x->dtype, op_float(node, "value", 0));
  out->cost = (double)(op_count(y) * s->size);
  out->exec_type = "pad_" CPU_ISA_NAME;
  return IEC_OK;
}

/* Elements [begin, end) of a row; `x` is NULL for a row of padding. */
static void part(const pad_state *s, const char *x, char *y, int64_t begin, int64_t end) {
  const int64_t *map = s->map[s->rank - 1];
#define PART(type)                      \
  for (int64_t i = begin; i < end; i++) \
  ((type *)y)[i] = x && map[i] >= 0 ? ((const type *)x)[map[i]] : (type)s->fill
  switch (s->size) {
    case 1: PART(uint8_t); break;
    case 2: PART(uint16_t); break;
    case 4: PART(uint32_t); break;
    default: PART(uint64_t); break;
  }
#undef PART
}

static void run(const void *state, const cpu_run *r) {
  const pad_state *s = state;
  int64_t b, e, grain = op_max(1, 16384 / op_max(s->row, 1));
  while (cpu_next(r, s->rows, grain, &b, &e))
    for (int64_t row = b; row < e; row++) {
      int64_t left = row, at = 0;
      int inside = 1;
      for (int i = s->rank - 2; i >= 0; i--) {
        int64_t from = s->map[i][left % s->dims[i]];
        left /= s->dims[i];
        if (from < 0) inside = 0;
        at += from;
      }
      char *y = (char *)r->outputs[0] + row * s->row * s->size;
      const char *x = inside ? (const char *)r->inputs[0] + at * s->size : NULL;
      if (!x) {
        part(s, NULL, y, 0, s->row);
        continue;
      }
      part(s, x, y, 0, s->inner_begin);
      if (s->inner_end > s->inner_begin)
        memcpy(y + s->inner_begin * s->size, x + s->map[s->rank - 1][s->inner_begin] * s->size,
               (size_t)((s->inner_end - s->inner_begin) * s->size));
      part(s, x, y, s->inner_end, s->row);
    }
}

const cpu_kernel IEC_ISA(cpu_kernel_pad) = {
    .kind = "Pad", .name = "pad", .supports = supports, .prepare = prepare, .run = run};
