/* SPDX-License-Identifier: Apache-2.0 */
/* Kind Slice, for every type, plain or blocked: out[i] = x[begins + i * strides]. */
#include "cpu/kernels/nd.h"

typedef struct slice_state {
  nd_copy copy;
  int64_t offset; /* elements */
} slice_state;

static const int64_t *ints(const cpu_node *node, const char *name) {
  size_t count;
  const int64_t *v = op_ints(node, name, &count);
  return count == (size_t)node->inputs[0]->ndim ? v : NULL;
}

static int32_t supports(const cpu_node *node) {
  if (!op_ports(node, 1, 1)) return 0;
  const cpu_tensor *x = node->inputs[0], *y = node->outputs[0];
  if (!op_size(x->dtype) || x->dtype != y->dtype || x->ndim != y->ndim) return 0;
  if (x->ndim == 0) return 1;
  const int64_t *begins = ints(node, "begins"), *strides = ints(node, "strides");
  if (!begins || !strides) return 0;
  for (int i = 0; i < x->ndim; i++) {
    if (y->shape[i] == 0) continue;
    if (begins[i] < 0 || begins[i] >= x->shape[i]) return 0;
    int64_t room = strides[i] > 0 ? x->shape[i] - 1 - begins[i] : begins[i], step = strides[i];
    if (step < -INT32_MAX || step > INT32_MAX || (step && y->shape[i] - 1 > room / (step < 0 ? -step : step)))
      return 0;
  }
  return 10;
}

/* Blocked when the channels are whole blocks, or run to the end from a whole block. */
static void layouts(const cpu_node *node, cpu_layout *in, cpu_layout *out) {
  const cpu_tensor *x = node->inputs[0], *y = node->outputs[0];
  if (!op_blocked(x)) return;
  int64_t begin = ints(node, "begins")[1], length = y->shape[1];
  if (begin % 16 || ints(node, "strides")[1] != 1 || (length % 16 && begin + length != x->shape[1])) return;
  in[0] = out[0] = CPU_BLOCKED16;
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(slice_state), out, err);
  if (status != IEC_OK) return status;
  slice_state *s = out->state;
  const cpu_tensor *x = node->inputs[0], *y = node->outputs[0];
  const int64_t *begins = ints(node, "begins"), *steps = ints(node, "strides");
  int64_t from[IEC_MAX_NDIM + 1], strides[IEC_MAX_NDIM + 1];
  nd_copy *c = &s->copy;
  int rank = op_physical(x, from);
  c->rank = op_physical(y, c->dims);
  c->size = (int32_t)op_size(x->dtype);
  nd_strides(from, rank, strides);
  nd_strides(c->dims, rank, c->dst);
  for (int i = 0; i < rank; i++) {
    if (c->dims[i] == 0) continue; /* nothing is copied, and begins and strides of this axis are anything */
    int64_t begin = i < x->ndim ? begins[i] : 0;
    if (op_blocked(x) && i == 1) begin /= 16;
    c->src[i] = c->dims[i] == 1 ? 0 : strides[i] * (i < x->ndim ? steps[i] : 1);
    s->offset += begin * strides[i];
  }
  nd_plan(c);
  out->cost = (double)(op_count(y) * c->size);
  out->exec_type = "slice_" CPU_ISA_NAME;
  return IEC_OK;
}

static void run(const void *state, const cpu_run *r) {
  const slice_state *s = state;
  nd_copy_run(&s->copy, r, s->offset, 0);
}

const cpu_kernel IEC_ISA(cpu_kernel_slice) = {.kind = "Slice",
                                              .name = "slice",
                                              .supports = supports,
                                              .layouts = layouts,
                                              .prepare = prepare,
                                              .run = run};
