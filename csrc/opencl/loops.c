/* SPDX-License-Identifier: Apache-2.0 */
/* Loops of a known number of iterations become the ops of their iterations, so that values stay on the
 * device. */
#include <stdio.h>
#include <string.h>

#include "opencl/host.h"
#include "opencl/ops/nd.h"

enum { SLICED = 1, MOST_OPS = 4096 };

typedef struct rows { /* the lists of a Loop for its inputs or outputs */
  const int64_t *kind, *axis, *start, *stride, *part, *from;
} rows;

typedef struct loop {
  gpu_op *op;
  const iec_graph *body;
  int64_t trips;
  rows in, out;
  size_t tensors, nodes, body_outputs;
  gpu_value **values;  /* by tensor of the body, of the present iteration; NULL: not known yet */
  gpu_value **carried; /* by body output, of the iteration before */
} loop;

typedef struct list { /* the ops of the new graph */
  gpu_op **ops;
  int32_t count, capacity;
} list;

/* ---- which loops */

static int read_lists(const gpu_op *op, loop *l) {
  const size_t inputs = (size_t)op->input_count, outputs = (size_t)op->output_count;
  l->in = (rows){gpu_ints_of(op, "input_kind", inputs),  gpu_ints_of(op, "input_axis", inputs),
                 gpu_ints_of(op, "input_start", inputs), gpu_ints_of(op, "input_stride", inputs),
                 gpu_ints_of(op, "input_part", inputs),  gpu_ints_of(op, "carried_from", inputs)};
  l->out = (rows){NULL,
                  gpu_ints_of(op, "output_axis", outputs),
                  gpu_ints_of(op, "output_start", outputs),
                  gpu_ints_of(op, "output_stride", outputs),
                  gpu_ints_of(op, "output_part", outputs),
                  gpu_ints_of(op, "output_from", outputs)};
  return l->in.kind && l->in.axis && l->in.start && l->in.stride && l->in.part && l->in.from && l->out.axis &&
         l->out.start && l->out.stride && l->out.part && l->out.from;
}

static int body_tensor(const loop *l, size_t tensor, iec_tensor *t) {
  memset(t, 0, sizeof *t);
  t->struct_size = sizeof *t;
  return l->op->api->tensor(l->body, tensor, t, NULL) == IEC_OK;
}

static int body_output(const loop *l, int64_t output, iec_tensor *t) {
  return output >= 0 && output < (int64_t)l->body_outputs &&
         body_tensor(l, l->op->api->output_at(l->body, (size_t)output), t);
}

/* The same type and sizes, but for an axis (-1: none), of which the piece has a part. */
static int same(const gpu_value *whole, const iec_tensor *piece, int64_t axis, int64_t part) {
  if (whole->dtype != piece->dtype || whole->ndim != piece->ndim || axis >= whole->ndim) return 0;
  for (int32_t i = 0; i < whole->ndim; i++)
    if (piece->shape[i] != (i == axis ? part : whole->shape[i])) return 0;
  return 1;
}

/* The pieces of all iterations lie inside. */
static int inside(const loop *l, const gpu_value *whole, const rows *r, int32_t i) {
  if (r->stride[i] < -INT32_MAX || r->stride[i] > INT32_MAX || r->start[i] < 0 || r->start[i] > INT32_MAX)
    return 0;
  const int64_t last = r->start[i] + (l->trips - 1) * r->stride[i],
                most = whole->shape[r->axis[i]] - r->part[i];
  return r->part[i] > 0 && r->start[i] <= most && last >= 0 && last <= most;
}

/* Every place of a pieced output is written. */
static int is_covered(const loop *l, const gpu_value *whole, int32_t i) {
  const int64_t step = l->out.stride[i] < 0 ? -l->out.stride[i] : l->out.stride[i];
  return whole->shape[l->out.axis[i]] == l->trips * l->out.part[i] &&
         (l->trips == 1 || step == l->out.part[i]);
}

static int input_fits(const gpu_op *op, const loop *l, int32_t i) {
  const gpu_value *x = op->inputs[i];
  const int sliced = l->in.kind[i] == SLICED;
  const int64_t axis = l->in.axis[i], from = l->in.from[i];
  iec_tensor t;
  if (!x || !body_tensor(l, op->api->input_at(l->body, (size_t)i), &t) || (sliced && axis < 0)) return 0;
  if (!same(x, &t, sliced ? axis : -1, l->in.part[i]) || (sliced && !inside(l, x, &l->in, i))) return 0;
  return from < 0 || (!sliced && body_output(l, from, &t) && same(x, &t, -1, 0));
}

static int output_fits(const gpu_op *op, const loop *l, int32_t i) {
  const gpu_value *y = op->outputs[i];
  const int64_t axis = l->out.axis[i];
  iec_tensor t;
  if (!y) return 1;
  if (!body_output(l, l->out.from[i], &t) || !same(y, &t, axis < 0 ? -1 : axis, l->out.part[i])) return 0;
  return axis < 0 || (inside(l, y, &l->out, i) && is_covered(l, y, i));
}

static int ports_fit(const gpu_op *op, const loop *l) {
  int fit = 1;
  for (int32_t i = 0; i < op->input_count && fit; i++) fit = input_fits(op, l, i);
  for (int32_t i = 0; i < op->output_count && fit; i++) fit = output_fits(op, l, i);
  return fit;
}

/* 0: the loop is left to the host. */
static int describe(gpu_graph *graph, gpu_op *op, loop *l) {
  memset(l, 0, sizeof *l);
  if (strcmp(op->kind, "Loop") || !op->api->attr_graph(op->node, "body", &l->body) || !l->body) return 0;
  l->op = op;
  l->trips = gpu_int(op, "trip_count", -1);
  l->tensors = op->api->tensor_count(l->body);
  l->nodes = op->api->node_count(l->body);
  l->body_outputs = op->api->output_count(l->body);
  if (l->trips < 1 || l->trips > MOST_OPS || l->nodes > MOST_OPS ||
      l->trips * (int64_t)(l->nodes + 2) > MOST_OPS)
    return 0;
  if (gpu_int(op, "condition_input", -1) >= 0 || gpu_int(op, "condition_output", -1) >= 0) return 0;
  if (op->api->input_count(l->body) != (size_t)op->input_count || !read_lists(op, l) || !ports_fit(op, l))
    return 0;
  l->values = gpu_graph_alloc(graph, l->tensors * sizeof *l->values);
  l->carried = gpu_graph_alloc(graph, l->body_outputs * sizeof *l->carried);
  return l->values && l->carried;
}

/* ---- one iteration */

/* A name of its own for an op. */
static char *name_of(gpu_graph *graph, const loop *l, int64_t iteration, const char *what, int64_t number) {
  const size_t room = strlen(l->op->name) + 64;
  char *name = gpu_graph_alloc(graph, room);
  if (name) snprintf(name, room, "%s/%d/%s%d", l->op->name, (int)iteration, what, (int)number);
  return name;
}

static iec_status append(list *to, gpu_op *op, iec_error *err) {
  if (!gpu_grow(&to->ops, sizeof *to->ops, to->count, &to->capacity)) return gpu_no_memory(err);
  to->ops[to->count++] = op;
  return IEC_OK;
}

static iec_status plan_part(gpu_plan *plan, gpu_op *op, iec_error *err) {
  const gpu_value *x = op->inputs[0], *y = op->outputs[0];
  return gpu_move_part(plan, op, x, y, op->part_of_output ? x : y, op->part_offset, err);
}

static const gpu_kind part_kind = {"", NULL, NULL, plan_part};

/* The copy between a whole tensor and the piece of an iteration. */
static iec_status add_part(gpu_graph *graph, list *to, const loop *l, const rows *r, int32_t i,
                           int64_t iteration, gpu_value *x, gpu_value *y, int is_output, iec_error *err) {
  gpu_op *op = gpu_graph_alloc(graph, sizeof *op);
  if (!op) return gpu_no_memory(err);
  const gpu_value *whole = is_output ? y : x;
  *op = *l->op;
  op->inputs = gpu_graph_alloc(graph, sizeof *op->inputs);
  op->outputs = gpu_graph_alloc(graph, sizeof *op->outputs);
  op->name = name_of(graph, l, iteration, is_output ? "out" : "in", i);
  if (!op->inputs || !op->outputs || !op->name) return gpu_no_memory(err);
  op->kind = is_output ? "Concat" : "Slice";
  op->impl = &part_kind;
  op->input_count = op->output_count = 1;
  op->inputs[0] = x;
  op->outputs[0] = y;
  x->user_count++;
  y->producer = op;
  op->part_of_output = is_output;
  op->part_offset = (r->start[i] + iteration * r->stride[i]) *
                    gpu_product(whole->shape, (int32_t)r->axis[i] + 1, whole->ndim);
  return append(to, op, err);
}

static iec_status new_value(gpu_graph *graph, const loop *l, size_t tensor, gpu_value **out, iec_error *err) {
  iec_tensor t = {.struct_size = sizeof t};
  GPU_TRY(l->op->api->tensor(l->body, tensor, &t, err));
  *out = gpu_graph_value(graph, t.dtype, t.ndim, t.shape);
  if (!*out) return gpu_no_memory(err);
  (*out)->name = l->op->name;
  (*out)->data = t.data;
  return IEC_OK;
}

static iec_status feed(gpu_graph *graph, list *to, loop *l, int64_t iteration, iec_error *err) {
  for (int32_t i = 0; i < l->op->input_count; i++) {
    const size_t tensor = l->op->api->input_at(l->body, (size_t)i);
    gpu_value *outer = l->op->inputs[i];
    if (l->in.kind[i] == SLICED) {
      GPU_TRY(new_value(graph, l, tensor, &l->values[tensor], err));
      GPU_TRY(add_part(graph, to, l, &l->in, i, iteration, outer, l->values[tensor], 0, err));
    } else {
      l->values[tensor] = iteration && l->in.from[i] >= 0 ? l->carried[l->in.from[i]] : outer;
    }
  }
  return IEC_OK;
}

static iec_status copy_node(gpu_graph *graph, list *to, loop *l, size_t index, int64_t iteration,
                            iec_error *err) {
  gpu_op *op;
  GPU_TRY(gpu_graph_op(graph, l->body, index, l->values, &op, err));
  op->name = name_of(graph, l, iteration, "", (int64_t)index);
  if (!op->name) return gpu_no_memory(err);
  op->layer = l->op->layer;
  op->layer_type = l->op->layer_type;
  return append(to, op, err);
}

static iec_status iterate(gpu_graph *graph, list *to, loop *l, int64_t iteration, iec_error *err) {
  const iec_graph_api *api = l->op->api;
  for (size_t i = 0; i < l->tensors; i++) /* constants stay, the rest is new */
    if (l->values[i] && !l->values[i]->data) l->values[i] = NULL;
  GPU_TRY(feed(graph, to, l, iteration, err));
  for (size_t i = 0; i < l->tensors; i++)
    if (!l->values[i]) GPU_TRY(new_value(graph, l, i, &l->values[i], err));
  for (size_t i = 0; i < l->nodes; i++) GPU_TRY(copy_node(graph, to, l, i, iteration, err));
  for (size_t i = 0; i < l->body_outputs; i++) l->carried[i] = l->values[api->output_at(l->body, i)];
  for (int32_t i = 0; i < l->op->output_count; i++) {
    gpu_value *whole = l->op->outputs[i], *own = l->carried[l->out.from[i]];
    if (!whole || (!whole->user_count && !whole->output_count)) continue;
    if (l->out.axis[i] >= 0) {
      GPU_TRY(add_part(graph, to, l, &l->out, i, iteration, own, whole, 1, err));
    } else if (iteration == l->trips - 1) {
      whole->base = own;
      own->user_count++;
    }
  }
  return IEC_OK;
}

/* ---- the pass */

/* Can the device run every node of the body? Tried with values of their own, that nobody uses. */
static iec_status try_body(gpu_graph *graph, loop *l, int *runs, iec_error *err) {
  *runs = 1;
  for (size_t i = 0; i < l->tensors; i++) GPU_TRY(new_value(graph, l, i, &l->values[i], err));
  for (int32_t i = 0; i < l->op->input_count; i++)
    if (l->in.kind[i] != SLICED && l->in.from[i] < 0)
      l->values[l->op->api->input_at(l->body, (size_t)i)]->data = l->op->inputs[i]->data;
  for (size_t i = 0; i < l->nodes && *runs; i++) {
    gpu_op *op;
    GPU_TRY(gpu_graph_op(graph, l->body, i, l->values, &op, err));
    *runs = op->impl && op->impl->plan != gpu_host_plan;
  }
  return IEC_OK;
}

static iec_status unroll(gpu_graph *graph, gpu_op *op, list *to, int *done, iec_error *err) {
  loop l;
  *done = 0;
  if (!describe(graph, op, &l)) return IEC_OK;
  GPU_TRY(try_body(graph, &l, done, err));
  for (int64_t i = 0; i < l.trips && *done; i++) GPU_TRY(iterate(graph, to, &l, i, err));
  for (int32_t i = 0; i < op->input_count && *done; i++) op->inputs[i]->user_count--;
  return IEC_OK;
}

iec_status gpu_loops_unroll(gpu_graph *graph, iec_error *err) {
  list to = {0};
  iec_status status = IEC_OK;
  for (int32_t i = 0; !status && i < graph->op_count; i++) {
    int done;
    status = unroll(graph, graph->ops[i], &to, &done, err);
    if (!status && !done) status = append(&to, graph->ops[i], err);
  }
  const size_t bytes = (size_t)to.count * sizeof *to.ops;
  gpu_op **ops = status ? NULL : gpu_graph_alloc(graph, bytes),
         **origins = status ? NULL : gpu_graph_alloc(graph, bytes);
  if (!status && (!ops || !origins)) status = gpu_no_memory(err);
  if (!status && to.count) {
    memcpy(ops, to.ops, bytes);
    memcpy(origins, to.ops, bytes);
  }
  if (!status) {
    graph->ops = ops;
    graph->origins = origins;
    graph->op_count = to.count;
  }
  free(to.ops);
  return status;
}
