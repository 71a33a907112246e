/* SPDX-License-Identifier: Apache-2.0 */
/* Kind Tile, for every type: out axis i is input axis i, repeats[i] times. */
#include "cpu/kernels/nd.h"

static int32_t supports(const cpu_node *node) {
  if (!op_ports(node, 1, 1)) return 0;
  const cpu_tensor *x = node->inputs[0], *y = node->outputs[0];
  size_t count;
  const int64_t *repeats = op_ints(node, "repeats", &count);
  if (!op_size(x->dtype) || x->dtype != y->dtype || x->ndim != y->ndim || count != (size_t)x->ndim) return 0;
  for (int i = 0; i < x->ndim; i++)
    if (repeats[i] < 0 || y->shape[i] != op_times(x->shape[i], repeats[i])) return 0;
  return 10;
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(nd_copy), out, err);
  if (status != IEC_OK) return status;
  nd_copy *c = out->state;
  const cpu_tensor *x = node->inputs[0], *y = node->outputs[0];
  size_t count;
  const int64_t *repeats = op_ints(node, "repeats", &count);
  int64_t from[IEC_MAX_NDIM], to[IEC_MAX_NDIM];
  nd_strides(x->shape, x->ndim, from);
  nd_strides(y->shape, y->ndim, to);
  c->rank = 2 * x->ndim;
  c->size = (int32_t)op_size(x->dtype);
  for (int i = 0; i < x->ndim; i++) {
    c->dims[2 * i] = x->shape[i] ? repeats[i] : 0;
    c->src[2 * i] = 0;
    c->dst[2 * i] = to[i] * x->shape[i];
    c->dims[2 * i + 1] = x->shape[i];
    c->src[2 * i + 1] = from[i];
    c->dst[2 * i + 1] = to[i];
  }
  nd_plan(c);
  out->cost = (double)(op_count(y) * c->size);
  out->exec_type = "tile_" CPU_ISA_NAME;
  return IEC_OK;
}

static void run(const void *state, const cpu_run *r) { nd_copy_run(state, r, 0, 0); }

const cpu_kernel IEC_ISA(cpu_kernel_tile) = {
    .kind = "Tile", .name = "tile", .supports = supports, .prepare = prepare, .run = run};
