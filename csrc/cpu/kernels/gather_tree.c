/* SPDX-License-Identifier: Apache-2.0 */
/* Kind GatherTree: each beam of the last step followed back by its parents. Rule: IR 4.10. */
#include "cpu/kernels/common.h"

typedef struct tree_state {
  int64_t time, batch, width;
  int32_t dtype;
} tree_state;

static int32_t supports(const cpu_node *node) {
  if (!op_ports(node, 4, 1)) return 0;
  const cpu_tensor *steps = node->inputs[0];
  if (steps->dtype != IEC_F32 && steps->dtype != IEC_I32 && steps->dtype != IEC_I64) return 0;
  for (int i = 1; i < 4; i++)
    if (!op_is(node, i, steps->dtype)) return 0;
  if (steps->ndim != 3 || op_count(node->inputs[1]) != op_count(steps) || op_count(node->inputs[3]) != 1)
    return 0;
  if (op_count(node->inputs[2]) != steps->shape[1]) return 0;
  return node->outputs[0]->dtype == steps->dtype && op_count(node->outputs[0]) == op_count(steps) ? 10 : 0;
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(tree_state), out, err);
  if (status != IEC_OK) return status;
  const cpu_tensor *steps = node->inputs[0];
  *(tree_state *)out->state = (tree_state){steps->shape[0], steps->shape[1], steps->shape[2], steps->dtype};
  out->cost = 4.0 * (double)op_count(steps);
  out->exec_type = "gather_tree_" CPU_ISA_NAME;
  return IEC_OK;
}

/* An element as a whole number; -1 for one that no index can be. */
static int64_t index_at(const tree_state *s, const void *p, int64_t i) {
  if (s->dtype == IEC_I32) return ((const int32_t *)p)[i];
  if (s->dtype == IEC_I64) return ((const int64_t *)p)[i];
  float v = ((const float *)p)[i];
  return v > -1 && v < 2147483648.0f ? (int64_t)v : -1;
}

static int same(const tree_state *s, const char *a, const char *b) {
  return s->dtype == IEC_F32 ? *(const float *)(const void *)a == *(const float *)(const void *)b
                             : memcmp(a, b, (size_t)op_size(s->dtype)) == 0;
}

static void run(const void *state, const cpu_run *r) {
  const tree_state *s = state;
  const char *steps = r->inputs[0], *end = r->inputs[3];
  char *y = r->outputs[0];
  size_t size = (size_t)op_size(s->dtype);
  int64_t b, e, stride = s->batch * s->width;
  while (cpu_next(r, stride, 16, &b, &e))
    for (; b < e; b++) {
      int64_t first = b / s->width * s->width, parent = b - first, ended = 0;
      int64_t length = op_max(op_min(s->time, index_at(s, r->inputs[2], b / s->width)), 0);
      for (int64_t t = 0; t < s->time; t++) memcpy(y + (size_t)(t * stride + b) * size, end, size);
      for (int64_t t = length - 1; t >= 0 && parent >= 0 && parent < s->width; t--) {
        int64_t from = t * stride + first + parent;
        memcpy(y + (size_t)(t * stride + b) * size, steps + (size_t)from * size, size);
        parent = index_at(s, r->inputs[1], from);
      }
      for (int64_t t = 0; t < s->time; t++) {
        char *at = y + (size_t)(t * stride + b) * size;
        if (ended)
          memcpy(at, end, size);
        else
          ended = same(s, at, end);
      }
    }
}

const cpu_kernel IEC_ISA(cpu_kernel_gather_tree) = {
    .kind = "GatherTree", .name = "gather_tree", .supports = supports, .prepare = prepare, .run = run};
