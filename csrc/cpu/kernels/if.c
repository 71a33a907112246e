/* SPDX-License-Identifier: Apache-2.0 */
/* Kind If: one of two body plans, chosen by a truth value while running. */
#include "cpu/subplan.h"

#include "cpu/kernels/common.h"

typedef struct if_branch {
  cpu_plan *plan;
  int32_t input_count;
  int32_t *inputs; /* the node input of each body input */
} if_branch;

typedef struct if_state {
  if_branch branches[2]; /* then, else */
  int32_t output_count;
  int32_t inputs[];
} if_state;

static const char *const body_names[2] = {"then_body", "else_body"};
static const char *const input_names[2] = {"then_inputs", "else_inputs"};

static int same(const cpu_tensor *a, const iec_graph_api *api, const iec_graph *body, size_t index) {
  iec_tensor t;
  memset(&t, 0, sizeof t);
  t.struct_size = sizeof t;
  if (!a || api->tensor(body, index, &t, NULL) != IEC_OK || a->dtype != t.dtype || a->ndim != t.ndim)
    return 0;
  for (int i = 0; i < a->ndim; i++)
    if (a->shape[i] != t.shape[i]) return 0;
  return 1;
}

static int branch_fits(const cpu_node *node, int which) {
  const iec_graph *body = NULL;
  const iec_graph_api *api = node->api;
  size_t count;
  const int64_t *from = op_ints(node, input_names[which], &count);
  if (!api->attr_graph(node->source, body_names[which], &body) || !body) return 0;
  if (api->input_count(body) != count || api->output_count(body) != (size_t)node->output_count) return 0;
  for (size_t i = 0; i < count; i++)
    if (from[i] < 1 || from[i] >= node->input_count ||
        !same(node->inputs[from[i]], api, body, api->input_at(body, i)))
      return 0;
  for (int32_t i = 0; i < node->output_count; i++)
    if (node->outputs[i] && !same(node->outputs[i], api, body, api->output_at(body, (size_t)i))) return 0;
  return cpu_graph_supported(node, body);
}

static int32_t supports(const cpu_node *node) {
  if (!op_ports(node, 1, 1) || !op_is(node, 0, IEC_BOOL) || op_count(node->inputs[0]) != 1) return 0;
  for (int32_t i = 0; i < node->output_count; i++)
    if (!node->outputs[i]) return 0;
  return branch_fits(node, 0) && branch_fits(node, 1) ? 10 : 0;
}

static void release(const iec_host_api *host, void *state) {
  if_state *s = state;
  for (int i = 0; s && i < 2; i++) cpu_plan_release(s->branches[i].plan);
  host->release(host->self, s);
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  size_t counts[2];
  const int64_t *from[2];
  for (int i = 0; i < 2; i++) {
    from[i] = op_ints(node, input_names[i], &counts[i]);
    if (counts[i] > CPU_MAX_PORTS || node->output_count > CPU_MAX_PORTS)
      return cpu_fail(err, IEC_OUT_OF_BOUNDS, node->name,
                      "a branch has %zu inputs and %d outputs, at most %d are possible", counts[i],
                      (int)node->output_count, CPU_MAX_PORTS);
  }
  iec_status status =
      op_state(host, node, sizeof(if_state) + (counts[0] + counts[1]) * sizeof(int32_t), out, err);
  if (status != IEC_OK) return status;
  if_state *s = out->state;
  int32_t *list = s->inputs;
  s->output_count = node->output_count;
  for (int i = 0; i < 2 && status == IEC_OK; i++) {
    if_branch *b = &s->branches[i];
    const iec_graph *body = NULL;
    node->api->attr_graph(node->source, body_names[i], &body);
    b->input_count = (int32_t)counts[i];
    b->inputs = list;
    for (size_t j = 0; j < counts[i]; j++) *list++ = (int32_t)from[i][j];
    status = cpu_plan_create(host, body, node->extensions, &b->plan, err);
    if (status != IEC_OK) break;
    if (cpu_plan_scratch(b->plan) > out->scratch_size) out->scratch_size = cpu_plan_scratch(b->plan);
    if (cpu_plan_member_scratch(b->plan) > out->member_scratch_size)
      out->member_scratch_size = cpu_plan_member_scratch(b->plan);
    if (cpu_plan_shared_ns(b->plan) > out->cost) out->cost = cpu_plan_shared_ns(b->plan);
  }
  if (status != IEC_OK) {
    release(host, s);
    out->state = NULL;
    return status;
  }
  out->leads = 1;
  out->exec_type = "if_" CPU_ISA_NAME;
  return IEC_OK;
}

static void run(const void *state, const cpu_run *r) {
  const if_state *s = state;
  const void *fed[CPU_MAX_PORTS];
  void *results[CPU_MAX_PORTS];
  const if_branch *b = &s->branches[*(const uint8_t *)r->inputs[0] ? 0 : 1];
  for (int32_t i = 0; i < b->input_count; i++) fed[i] = r->inputs[b->inputs[i]];
  for (int32_t i = 0; i < s->output_count; i++) results[i] = r->outputs[i];
  cpu_plan_run(b->plan, r->crew, r->scratch, r->member_scratch, fed, results, NULL);
}

const cpu_kernel IEC_ISA(cpu_kernel_if) = {
    .kind = "If", .name = "if", .supports = supports, .prepare = prepare, .run = run, .release = release};
