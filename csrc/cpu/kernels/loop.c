/* SPDX-License-Identifier: Apache-2.0 */
/* Kind Loop: a body plan run once a slice. Inputs are whole, sliced or carried; outputs are last values or
 * pieced together. */
#include "cpu/subplan.h"

#include "cpu/kernels/nd.h"

enum { INVARIANT, SLICED, CARRIED };

typedef struct loop_input {
  int32_t kind, carried_from;  /* body output, -1: none */
  nd_copy slice;               /* a slice into its buffer */
  int64_t begin, step, buffer; /* of slices: first element, elements between them; byte offset in scratch */
  int64_t size;
} loop_input;

typedef struct loop_output {
  int32_t from, pieced; /* body output; pieced 0: the last value */
  int32_t gaps;         /* there may be places that no iteration writes */
  int32_t initial;      /* input that carries this value into the first iteration, -1: none */
  nd_copy piece;
  int64_t begin, step, bytes; /* bytes: of the whole output */
} loop_output;

typedef struct loop_state {
  cpu_plan *plan;
  int64_t trips; /* most iterations */
  int32_t condition_input,
      condition_output; /* truth values that let the first, another iteration run; -1: none */
  int32_t input_count, output_count, body_outputs;
  loop_input *inputs;
  loop_output *outputs;
  int64_t *values; /* scratch offset of each body output; two sets, `set` bytes apart */
  int64_t set;
  size_t body_scratch; /* offset in scratch */
} loop_state;

static const iec_graph *body_of(const cpu_node *node) {
  const iec_graph *body = NULL;
  node->api->attr_graph(node->source, "body", &body);
  return body;
}

/* A list attribute of exactly `count` values, NULL otherwise. */
static const int64_t *list(const cpu_node *node, const char *name, int32_t count) {
  static const int64_t none[1] = {0};
  size_t found;
  const int64_t *v = op_ints(node, name, &found);
  if (found != (size_t)count) return NULL;
  return v ? v : none;
}

static int tensor_at(const cpu_node *node, size_t index, iec_tensor *t) {
  memset(t, 0, sizeof *t);
  t->struct_size = sizeof *t;
  return node->api->tensor(body_of(node), index, t, NULL) == IEC_OK;
}

static int body_input(const cpu_node *node, size_t i, iec_tensor *t) {
  return tensor_at(node, node->api->input_at(body_of(node), i), t);
}

static int body_output(const cpu_node *node, size_t i, iec_tensor *t) {
  return tensor_at(node, node->api->output_at(body_of(node), i), t);
}

/* 1 when the piece that step `trips` - 1 touches lies inside, as the first does, and the other axes agree. */
static int fits(const cpu_tensor *whole, const iec_tensor *part, int64_t trips, int64_t axis, int64_t start,
                int64_t stride, int64_t length) {
  if (whole->dtype != part->dtype || whole->ndim != part->ndim || axis < 0 || axis >= whole->ndim) return 0;
  for (int i = 0; i < whole->ndim; i++)
    if (i != axis && whole->shape[i] != part->shape[i]) return 0;
  if (part->shape[axis] != length || length < 0) return 0;
  if (trips == 0) return 1;
  if (start < 0 || start > whole->shape[axis] - length) return 0;
  if (trips == 1) return 1;
  if (stride < -INT32_MAX || stride > INT32_MAX) return 0;
  int64_t last = start + (trips - 1) * stride;
  return last >= 0 && last + length <= whole->shape[axis];
}

static int same(const cpu_tensor *a, const iec_tensor *b) {
  if (a->dtype != b->dtype || a->ndim != b->ndim) return 0;
  for (int i = 0; i < a->ndim; i++)
    if (a->shape[i] != b->shape[i]) return 0;
  return 1;
}

static int inputs_fit(const cpu_node *node, int64_t trips) {
  int32_t n = node->input_count;
  const int64_t *kind = list(node, "input_kind", n), *axis = list(node, "input_axis", n),
                *start = list(node, "input_start", n);
  const int64_t *stride = list(node, "input_stride", n), *part = list(node, "input_part", n);
  const int64_t *from = list(node, "carried_from", n);
  if (!kind || !axis || !start || !stride || !part || !from) return 0;
  for (int32_t i = 0; i < n; i++) {
    const cpu_tensor *x = node->inputs[i];
    iec_tensor t, source;
    if (!x || !op_size(x->dtype) || !body_input(node, (size_t)i, &t)) return 0;
    if (kind[i] == SLICED ? !fits(x, &t, trips, axis[i], start[i], stride[i], part[i]) : !same(x, &t))
      return 0;
    if (from[i] < 0) continue;
    if (kind[i] == SLICED || from[i] >= (int64_t)node->api->output_count(body_of(node))) return 0;
    if (!body_output(node, (size_t)from[i], &source) || !same(x, &source)) return 0;
  }
  return 1;
}

static int outputs_fit(const cpu_node *node, int64_t trips) {
  int32_t n = node->output_count;
  const int64_t *from = list(node, "output_from", n), *axis = list(node, "output_axis", n),
                *start = list(node, "output_start", n);
  const int64_t *stride = list(node, "output_stride", n), *part = list(node, "output_part", n);
  if (!from || !axis || !start || !stride || !part) return 0;
  for (int32_t i = 0; i < n; i++) {
    const cpu_tensor *y = node->outputs[i];
    iec_tensor t;
    if (!y) continue;
    if (from[i] < 0 || from[i] >= (int64_t)node->api->output_count(body_of(node)) || !op_size(y->dtype))
      return 0;
    if (!body_output(node, (size_t)from[i], &t)) return 0;
    if (axis[i] < 0 ? !same(y, &t) : !fits(y, &t, trips, axis[i], start[i], stride[i], part[i])) return 0;
  }
  return 1;
}

/* 1 when the tensors that the conditions name are single truth values. */
static int conditions_fit(const cpu_node *node) {
  int64_t in = op_int(node, "condition_input", -1), from = op_int(node, "condition_output", -1);
  iec_tensor t;
  if (in >= node->input_count || from >= (int64_t)node->api->output_count(body_of(node))) return 0;
  if (in >= 0 && (node->inputs[in]->dtype != IEC_BOOL || op_count(node->inputs[in]) != 1)) return 0;
  if (from < 0) return 1;
  return body_output(node, (size_t)from, &t) && t.dtype == IEC_BOOL && op_product(t.shape, 0, t.ndim) == 1;
}

static int32_t supports(const cpu_node *node) {
  const iec_graph *body = body_of(node);
  int64_t trips = op_int(node, "trip_count", -1);
  if (!body || trips < 0 || trips > INT32_MAX || node->api->input_count(body) != (size_t)node->input_count)
    return 0;
  return inputs_fit(node, trips) && outputs_fit(node, trips) && conditions_fit(node) &&
                 cpu_graph_supported(node, body)
             ? 10
             : 0;
}

static int64_t align(int64_t bytes) { return op_div_up(bytes, 64) * 64; }

/* The copy between a piece (contiguous) and its place in the whole; `into` gives the direction. */
static void plan_piece(nd_copy *c, const cpu_tensor *whole, int64_t axis, int64_t length, int into) {
  int64_t dims[IEC_MAX_NDIM];
  memcpy(dims, whole->shape, sizeof dims);
  dims[axis] = length;
  c->rank = whole->ndim;
  c->size = (int32_t)op_size(whole->dtype);
  memcpy(c->dims, dims, sizeof dims);
  nd_strides(whole->shape, whole->ndim, into ? c->dst : c->src);
  nd_strides(dims, whole->ndim, into ? c->src : c->dst);
  nd_plan(c);
}

static void plan_inputs(const cpu_node *node, loop_state *s, int64_t *offset) {
  int32_t n = s->input_count;
  const int64_t *kind = list(node, "input_kind", n), *axis = list(node, "input_axis", n),
                *start = list(node, "input_start", n);
  const int64_t *stride = list(node, "input_stride", n), *part = list(node, "input_part", n);
  const int64_t *from = list(node, "carried_from", n);
  for (int32_t i = 0; i < n; i++) {
    loop_input *in = &s->inputs[i];
    const cpu_tensor *x = node->inputs[i];
    in->kind = kind[i] == SLICED ? SLICED : INVARIANT;
    in->carried_from = (int32_t)op_max(from[i], -1);
    in->size = op_size(x->dtype);
    if (kind[i] != SLICED || s->trips == 0) continue;
    int64_t inner = op_product(x->shape, (int)axis[i] + 1, x->ndim);
    plan_piece(&in->slice, x, axis[i], part[i], 0);
    in->begin = start[i] * inner;
    in->step = s->trips > 1 ? stride[i] * inner : 0;
    in->buffer = *offset;
    *offset += align(op_count(x) / op_max(x->shape[axis[i]], 1) * part[i] * in->size);
  }
}

static void plan_outputs(const cpu_node *node, loop_state *s) {
  int32_t n = s->output_count;
  const int64_t *from = list(node, "output_from", n), *axis = list(node, "output_axis", n),
                *start = list(node, "output_start", n);
  const int64_t *stride = list(node, "output_stride", n), *part = list(node, "output_part", n);
  for (int32_t i = 0; i < n; i++) {
    loop_output *out = &s->outputs[i];
    const cpu_tensor *y = node->outputs[i];
    out->from = y ? (int32_t)from[i] : -1;
    out->initial = -1;
    if (!y) continue;
    out->pieced = axis[i] >= 0;
    for (int32_t j = 0; !out->pieced && j < s->input_count && out->initial < 0; j++)
      if (s->inputs[j].carried_from == out->from) out->initial = j;
    out->bytes = op_count(y) * op_size(y->dtype);
    int64_t along = out->pieced ? axis[i] : 0, inner = op_product(y->shape, (int)along + 1, y->ndim);
    if (y->ndim == 0) {
      cpu_tensor one = *y;
      one.ndim = 1;
      one.shape[0] = 1;
      plan_piece(&out->piece, &one, 0, 1, 1);
      continue;
    }
    plan_piece(&out->piece, y, along, out->pieced ? part[i] : y->shape[0], 1);
    if (!out->pieced || s->trips == 0) continue;
    out->begin = start[i] * inner;
    out->step = s->trips > 1 ? stride[i] * inner : 0;
    int side_by_side = s->trips == 1 || stride[i] == part[i] || stride[i] == -part[i];
    out->gaps = !side_by_side || s->trips * part[i] != y->shape[along];
  }
}

static void release(const iec_host_api *host, void *state) {
  loop_state *s = state;
  if (s) cpu_plan_release(s->plan);
  host->release(host->self, s);
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  const iec_graph *body = body_of(node);
  size_t body_outputs = node->api->output_count(body), ins = (size_t)node->input_count,
         outs = (size_t)node->output_count;
  size_t bytes = sizeof(loop_state) + ins * sizeof(loop_input) + outs * sizeof(loop_output) +
                 body_outputs * sizeof(int64_t);
  if (ins > CPU_MAX_PORTS || body_outputs > CPU_MAX_PORTS)
    return cpu_fail(err, IEC_OUT_OF_BOUNDS, node->name,
                    "the body has %zu inputs and %zu outputs, at most %d are possible", ins, body_outputs,
                    CPU_MAX_PORTS);
  iec_status status = op_state(host, node, bytes, out, err);
  if (status != IEC_OK) return status;
  loop_state *s = out->state;
  s->inputs = (loop_input *)(s + 1);
  s->outputs = (loop_output *)(s->inputs + ins);
  s->values = (int64_t *)(s->outputs + outs);
  s->input_count = node->input_count;
  s->output_count = node->output_count;
  s->body_outputs = (int32_t)body_outputs;
  s->trips = op_int(node, "trip_count", 0);
  s->condition_input = (int32_t)op_max(op_int(node, "condition_input", -1), -1);
  s->condition_output = (int32_t)op_max(op_int(node, "condition_output", -1), -1);
  status = cpu_plan_create(host, body, node->extensions, &s->plan, err);
  if (status != IEC_OK) {
    release(host, s);
    out->state = NULL;
    return status;
  }
  int64_t offset = 0, first;
  plan_inputs(node, s, &offset);
  plan_outputs(node, s);
  first = offset;
  for (size_t i = 0; i < body_outputs; i++) {
    iec_tensor t;
    body_output(node, i, &t);
    s->values[i] = offset;
    offset += align(op_product(t.shape, 0, t.ndim) * op_size(t.dtype));
  }
  s->set = offset - first;
  s->body_scratch = (size_t)(offset + s->set);
  out->scratch_size = s->body_scratch + cpu_plan_scratch(s->plan);
  out->member_scratch_size = cpu_plan_member_scratch(s->plan);
  out->cost = cpu_plan_shared_ns(s->plan) * (double)s->trips;
  out->leads = 1;
  out->exec_type = "loop_" CPU_ISA_NAME;
  return IEC_OK;
}

/* What an output holds while no iteration has written it: zeros, or the carried value when none will run. */
static void before_all(const loop_state *s, const cpu_run *r, int32_t output, int runs) {
  const loop_output *out = &s->outputs[output];
  if (out->pieced || out->initial < 0)
    memset(r->outputs[output], 0, (size_t)out->bytes);
  else if (!runs)
    memcpy(r->outputs[output], r->inputs[out->initial], (size_t)out->bytes);
}

static void run(const void *state, const cpu_run *r) {
  const loop_state *s = state;
  const void *fed[CPU_MAX_PORTS];
  void *values[CPU_MAX_PORTS];
  char *scratch = r->scratch;
  for (int32_t i = 0; i < s->input_count; i++)
    fed[i] = s->inputs[i].kind == SLICED ? scratch + s->inputs[i].buffer : r->inputs[i];
  int go = s->condition_input < 0 || *(const uint8_t *)r->inputs[s->condition_input];
  int fewer = s->trips == 0 || s->condition_input >= 0 || s->condition_output >= 0;
  for (int32_t i = 0; i < s->output_count; i++)
    if (s->outputs[i].from >= 0 && (fewer || s->outputs[i].gaps)) before_all(s, r, i, go && s->trips > 0);
  for (int64_t t = 0; t < s->trips && go; t++) {
    for (int32_t i = 0; i < s->input_count; i++) {
      const loop_input *in = &s->inputs[i];
      if (in->kind == SLICED)
        nd_run(&in->slice, 0, in->slice.items,
               (const char *)r->inputs[i] + (in->begin + t * in->step) * in->size, scratch + in->buffer);
      else if (t > 0 && in->carried_from >= 0)
        fed[i] = values[in->carried_from];
    }
    for (int32_t i = 0; i < s->body_outputs; i++) values[i] = scratch + s->values[i] + t % 2 * s->set;
    cpu_plan_run(s->plan, r->crew, scratch + s->body_scratch, r->member_scratch, fed, values, NULL);
    if (s->condition_output >= 0) go = *(const uint8_t *)values[s->condition_output];
    for (int32_t i = 0; i < s->output_count; i++) {
      const loop_output *out = &s->outputs[i];
      if (out->from < 0 || (!out->pieced && go && t + 1 < s->trips)) continue;
      nd_run(&out->piece, 0, out->piece.items, values[out->from],
             (char *)r->outputs[i] + (out->begin + t * out->step) * out->piece.size);
    }
  }
}

const cpu_kernel IEC_ISA(cpu_kernel_loop) = {
    .kind = "Loop", .name = "loop", .supports = supports, .prepare = prepare, .run = run, .release = release};
