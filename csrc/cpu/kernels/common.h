/* SPDX-License-Identifier: Apache-2.0 */
/* What most kernels need: attributes with presets, element sizes, physical dimensions, failures of prepare.
 */
#ifndef IEC_CPU_KERNELS_COMMON_H
#define IEC_CPU_KERNELS_COMMON_H
#include <string.h>

#include "cpu/kernel.h"

static inline int64_t op_min(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t op_max(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t op_div_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* Bytes of an element, 0 for a type that no kernel takes. */
static inline int64_t op_size(int32_t dtype) {
  switch (dtype) {
    case IEC_U8:
    case IEC_I8:
    case IEC_BOOL: return 1;
    case IEC_I16:
    case IEC_U16:
    case IEC_F16: return 2;
    case IEC_F32:
    case IEC_I32:
    case IEC_U32: return 4;
    case IEC_I64:
    case IEC_U64:
    case IEC_F64: return 8;
    default: return 0;
  }
}

static inline const cpu_tensor *op_in(const cpu_node *node, int index) {
  return index < node->input_count ? node->inputs[index] : NULL;
}

static inline int64_t op_product(const int64_t *dims, int from, int to) {
  int64_t n = 1;
  for (int i = from; i < to; i++) n *= dims[i];
  return n;
}

/* A product of sizes that a network states; the greatest number when it overflows. */
static inline int64_t op_times(int64_t a, int64_t b) {
  int64_t n;
  return __builtin_mul_overflow(a, b, &n) ? INT64_MAX : n;
}

/* What is not whole is truncated; what has no integer is the nearest one, NaN 0. */
static inline int64_t op_integer(double v) {
  return v != v ? 0 : v >= 0x1p63 ? INT64_MAX : v <= -0x1p63 ? INT64_MIN : (int64_t)v;
}

/* Logical number of elements. */
static inline int64_t op_count(const cpu_tensor *t) { return op_product(t->shape, 0, t->ndim); }

/* 1 when input 0 and output 0 have the same shape: a kernel that runs in either layout needs more than as
 * many elements. */
static inline int op_keeps_shape(const cpu_node *node) {
  const cpu_tensor *x = node->inputs[0], *y = node->outputs[0];
  return x->ndim == y->ndim && memcmp(x->shape, y->shape, (size_t)x->ndim * sizeof x->shape[0]) == 0;
}

/* 1 when input `index` is there with that type. */
static inline int op_is(const cpu_node *node, int index, int32_t dtype) {
  const cpu_tensor *t = op_in(node, index);
  return t && t->dtype == dtype;
}

/* 1 when there are that many inputs and outputs at least, and none of the first `inputs` is absent. */
static inline int op_ports(const cpu_node *node, int inputs, int outputs) {
  if (node->input_count < inputs || node->output_count < outputs) return 0;
  for (int i = 0; i < inputs; i++)
    if (!node->inputs[i]) return 0;
  for (int i = 0; i < outputs; i++)
    if (!node->outputs[i]) return 0;
  return 1;
}

/* The same, and no others: passes take the one input and the one output of such a node for all that it has.
 */
static inline int op_ports_only(const cpu_node *node, int inputs, int outputs) {
  return node->input_count == inputs && node->output_count == outputs && op_ports(node, inputs, outputs);
}

static inline int64_t op_int(const cpu_node *node, const char *name, int64_t preset) {
  node->api->attr_i64(node->source, name, &preset);
  return preset;
}

static inline double op_float(const cpu_node *node, const char *name, double preset) {
  node->api->attr_f64(node->source, name, &preset);
  return preset;
}

static inline const char *op_text(const cpu_node *node, const char *name, const char *preset) {
  node->api->attr_str(node->source, name, &preset);
  return preset;
}

/* A list attribute; NULL and count 0 when it is absent. */
static inline const int64_t *op_ints(const cpu_node *node, const char *name, size_t *count) {
  const int64_t *values = NULL;
  *count = 0;
  node->api->attr_i64s(node->source, name, &values, count);
  return values;
}

/* Position of `text` in a list, -1 when it is not there. */
static inline int op_choice(const char *text, const char *const *names, int count) {
  for (int i = 0; i < count; i++)
    if (strcmp(text, names[i]) == 0) return i;
  return -1;
}

/* Dimensions in memory: the shape itself, or N, C/16, spatial..., 16. Returns how many. */
static inline int op_physical(const cpu_tensor *t, int64_t dims[IEC_MAX_NDIM + 1]) {
  for (int i = 0; i < t->ndim; i++) dims[i] = t->shape[i];
  if (t->layout != CPU_BLOCKED16) return t->ndim;
  dims[1] = op_div_up(t->shape[1], 16);
  dims[t->ndim] = 16;
  return t->ndim + 1;
}

/* 1 when the tensor comes in channel blocks. */
static inline int op_blocked(const cpu_tensor *t) { return t && t->layout == CPU_BLOCKED16; }

/* Elements a chunk should have so that `members` threads share `count` of them in several pieces. */
static inline int64_t op_grain(const cpu_run *run, int64_t count, int64_t least) {
  int64_t grain = count / (8 * (int64_t)run->members);
  return run->members == 1 ? op_max(count, 1) : op_max(grain, least);
}

/* Of `columns` times `pieces` of a map, item number `item`: the pieces are cut in as many bands as there are
 * members, and within its band, a member's share, go column by column. Returns how many items from this one
 * on are pieces of the column next to each other. */
static inline int64_t op_place(const cpu_run *run, int64_t item, int64_t columns, int64_t pieces,
                               int64_t *column, int64_t *piece) {
  int64_t begin = 0, end = pieces / run->members;
  for (int32_t band = 1; item >= columns * (end - begin); band++) {
    item -= columns * (end - begin);
    begin = end;
    end = pieces * (band + 1) / run->members;
  }
  *column = item / (end - begin);
  *piece = begin + item % (end - begin);
  return end - *piece;
}

/* Zeroed state of `size` bytes in out->state. */
static inline iec_status op_state(const iec_host_api *host, const cpu_node *node, size_t size,
                                  cpu_prepared *out, iec_error *err) {
  out->state = host->alloc(host->self, size, 64);
  if (!out->state) return cpu_fail(err, IEC_OUT_OF_MEMORY, node->name, "out of memory for %zu bytes", size);
  memset(out->state, 0, size);
  return IEC_OK;
}

/* Where the channels past C of a blocked tensor lie. */
typedef struct op_tail {
  int64_t blocks, plane; /* channel blocks, elements of a block */
  int32_t rest;          /* channels in the last block, 0: it is full */
} op_tail;

static inline op_tail op_tail_of(const cpu_tensor *t) {
  op_tail tail = {1, 1, 0};
  if (t->layout != CPU_BLOCKED16) return tail;
  tail.blocks = op_div_up(t->shape[1], 16);
  tail.plane = op_product(t->shape, 2, t->ndim) * 16;
  tail.rest = (int32_t)(t->shape[1] % 16);
  return tail;
}

/* Zeroes the channels past C in elements [begin, end) of a blocked float tensor; both are multiples of 16. */
static inline void op_tail_zero(const op_tail *tail, float *y, int64_t begin, int64_t end) {
  if (!tail->rest) return;
  for (int64_t i = begin; i < end;) {
    int64_t plane = i / tail->plane, plane_end = op_min(end, (plane + 1) * tail->plane);
    if (plane % tail->blocks == tail->blocks - 1)
      for (; i < plane_end; i += 16) memset(y + i + tail->rest, 0, (size_t)(16 - tail->rest) * sizeof(float));
    i = plane_end;
  }
}
#endif
