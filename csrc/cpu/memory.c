/* SPDX-License-Identifier: Apache-2.0 */
/* Where every value lives: views of other values, the caller's buffers, and one arena shared by lifetimes. */
#include <stdlib.h>
#include <string.h>

#include "cpu/plan.h"

enum { ALIGNMENT = 64 };

static cpu_value *root_of(cpu_value *value, int64_t *out_offset) {
  int64_t offset = 0;
  for (; value->base; value = value->base) offset += value->offset;
  if (out_offset) *out_offset = offset;
  return value;
}

static size_t value_bytes(const cpu_value *value) { return cpu_tensor_bytes(&value->tensor); }

static int is_constant(const cpu_value *value) { return !value->producer && value->input_index < 0; }

cpu_ref cpu_memory_ref(const cpu_value *value) {
  int64_t offset = 0;
  if (!value) return (cpu_ref){CPU_SPACE_FIXED, 0};
  const cpu_value *root = value;
  for (; root->base; root = root->base) offset += root->offset;
  if (root->tensor.data) return (cpu_ref){CPU_SPACE_FIXED, (intptr_t)root->tensor.data + (intptr_t)offset};
  if (is_constant(root)) return (cpu_ref){CPU_SPACE_FIXED, 0}; /* packed by its kernels, not kept */
  return (cpu_ref){root->space,
                   (intptr_t)(root->space == CPU_SPACE_ARENA ? root->offset : 0) + (intptr_t)offset};
}

static void make_view(cpu_value *value, cpu_value *of, int64_t offset) {
  value->base = of;
  value->offset = offset;
}

/* Parts along `axis` lie one after the other when every axis before it has size 1. */
static int parts_are_contiguous(const cpu_tensor *whole, int64_t axis) {
  if (axis < 0 || axis >= whole->ndim) return 0;
  for (int64_t i = 0; i < axis; ++i)
    if (whole->shape[i] != 1) return 0;
  return whole->layout == CPU_PLAIN || axis == 1;
}

static int blocks_are_whole(const cpu_tensor *part) {
  return part->layout == CPU_PLAIN || part->shape[1] % 16 == 0;
}

static void bind_split(cpu_op *op) {
  cpu_value *whole = op->inputs[0];
  if (!parts_are_contiguous(&whole->tensor, cpu_op_i64(op, "axis", -1))) return;
  for (int32_t i = 0; i < op->output_count; ++i) {
    const cpu_value *part = op->outputs[i];
    if (!part || part->tensor.layout != whole->tensor.layout || !blocks_are_whole(&part->tensor)) return;
  }
  int64_t offset = 0;
  for (int32_t i = 0; i < op->output_count; ++i) {
    make_view(op->outputs[i], whole, offset);
    offset += (int64_t)value_bytes(op->outputs[i]);
  }
  op->alias = 1;
}

/* Whether the inputs of a concat from `first` on are all parts of one split value, in order; *out_count is
 * how many. */
static cpu_value *split_whole(const cpu_op *op, int32_t first, int32_t *out_count) {
  cpu_value *whole = op->inputs[first]->base;
  int64_t offset = 0;
  if (!whole || whole->base || !whole->producer || op->inputs[first]->tensor.ndim != whole->tensor.ndim)
    return NULL;
  for (*out_count = 0; first + *out_count < op->input_count; ++*out_count) {
    const cpu_value *part = op->inputs[first + *out_count];
    if (!part || part->base != whole || part->offset != offset) break;
    offset += (int64_t)value_bytes(part);
  }
  return offset == (int64_t)value_bytes(whole) ? whole : NULL;
}

static int can_move_into(const cpu_value *part, const cpu_value *whole) {
  return !part->tensor.data && !part->base && part->producer && part->space == CPU_SPACE_NONE &&
         part->tensor.layout == whole->tensor.layout && blocks_are_whole(&part->tensor);
}

/* The producers write straight into the result: each input, or the split value that it is a part of, becomes
 * a view of it. */
static iec_status bind_concat(cpu_graph *graph, cpu_op *op, iec_error *err) {
  cpu_value *whole = op->outputs[0];
  if (op->post_count || !parts_are_contiguous(&whole->tensor, cpu_op_i64(op, "axis", -1))) return IEC_OK;
  cpu_value **parts = cpu_graph_alloc(graph, (size_t)op->input_count * sizeof *parts);
  if (!parts) return cpu_graph_no_memory(err);
  int32_t part_count = 0, step = 1;
  for (int32_t i = 0; i < op->input_count; i += step) {
    cpu_value *split = op->inputs[i] ? split_whole(op, i, &step) : NULL;
    cpu_value *part = split ? split : op->inputs[i];
    if (!split) step = 1;
    if (!part || !can_move_into(part, whole)) return IEC_OK;
    for (int32_t j = 0; j < part_count; ++j)
      if (parts[j] == part) return IEC_OK;
    parts[part_count++] = part;
  }
  int64_t offset = 0;
  for (int32_t i = 0; i < part_count; ++i) {
    make_view(parts[i], whole, offset);
    offset += (int64_t)value_bytes(parts[i]);
  }
  op->alias = 1;
  return IEC_OK;
}

/* A value goes straight to the caller's buffer when it is all of a plain root that is not spoken for; else a
 * copy does. */
static iec_status bind_output(cpu_graph *graph, int32_t number, iec_error *err) {
  cpu_value *value = graph->outputs[number];
  int64_t offset;
  cpu_value *root = root_of(value, &offset);
  int32_t space = CPU_SPACE_CALLER + graph->input_count + number;
  if (root->space == CPU_SPACE_NONE && !root->tensor.data && root->tensor.layout == CPU_PLAIN &&
      offset == 0 && value_bytes(root) == value_bytes(value)) {
    root->space = space;
    return IEC_OK;
  }
  cpu_value *copy = cpu_graph_value(graph, &value->tensor, value->name);
  cpu_op *op = cpu_graph_op(graph, CPU_REORDER, value->name, 1, 1);
  cpu_op **ops = cpu_graph_alloc(graph, (size_t)(graph->op_count + 1) * sizeof *ops);
  if (!copy || !op || !ops) return cpu_graph_no_memory(err);
  copy->tensor.data = NULL;
  if (value->producer) op->layer = value->producer->layer;
  if (graph->op_count) memcpy(ops, graph->ops, (size_t)graph->op_count * sizeof *ops);
  graph->ops = ops;
  op->index = graph->op_count;
  graph->ops[graph->op_count++] = op;
  graph->op_capacity = graph->op_count;
  graph->outputs[number] = copy;
  --value->output_count;
  ++copy->output_count;
  copy->space = space;
  cpu_graph_set_output(op, 0, copy);
  iec_status status = cpu_graph_set_input(graph, op, 0, value, err);
  return status ? status : cpu_graph_select(graph, err);
}

iec_status cpu_memory_bind(cpu_graph *graph, iec_error *err) {
  for (int32_t i = 0; i < graph->value_count; ++i) graph->values[i]->space = CPU_SPACE_NONE;
  for (int32_t i = 0; i < graph->input_count; ++i) graph->inputs[i]->space = CPU_SPACE_CALLER + i;
  for (int32_t i = 0; i < graph->op_count; ++i) {
    cpu_op *op = graph->ops[i];
    if (op->alias)
      make_view(op->outputs[0], op->inputs[0], 0);
    else if (strcmp(op->kind, "Split") == 0)
      bind_split(op);
  }
  iec_status status = IEC_OK;
  for (int32_t i = 0; !status && i < graph->op_count; ++i)
    if (!graph->ops[i]->alias && strcmp(graph->ops[i]->kind, "Concat") == 0)
      status = bind_concat(graph, graph->ops[i], err);
  for (int32_t i = 0; !status && i < graph->output_count; ++i) status = bind_output(graph, i, err);
  return status;
}

/* ---- lifetimes */

static void extend(cpu_value *value, int32_t step) {
  cpu_value *root = root_of(value, NULL);
  if (root->first > step) root->first = step;
  if (root->last < step) root->last = step;
}

static void find_lifetimes(cpu_graph *graph, int32_t step_count) {
  for (int32_t i = 0; i < graph->value_count; ++i) {
    graph->values[i]->first = step_count;
    graph->values[i]->last = -1;
  }
  for (int32_t i = 0; i < graph->op_count; ++i) {
    const cpu_op *op = graph->ops[i];
    if (op->step < 0) continue;
    for (int32_t j = 0; j < op->input_count; ++j)
      if (op->inputs[j]) extend(op->inputs[j], op->step);
    for (int32_t j = 0; j < op->output_count; ++j)
      if (op->outputs[j]) extend(op->outputs[j], op->step);
  }
}

/* Lets an op write over an input that nobody reads afterwards. */
static void share_in_place(cpu_op *op) {
  int32_t port = op->prepared.in_place - 1;
  if (op->step < 0 || port < 0 || port >= op->input_count || !op->inputs[port] || !op->outputs[0]) return;
  cpu_value *in = op->inputs[port], *out = op->outputs[0];
  cpu_value *in_root = root_of(in, NULL);
  if (is_constant(in_root) || in_root->space != CPU_SPACE_NONE || in_root->last > op->step) return;
  if (value_bytes(in) != value_bytes(out) || in->tensor.layout != out->tensor.layout) return;
  for (int32_t i = 0; i < op->input_count;
       ++i) /* another input in the same memory would be overwritten while it is read */
    if (i != port && op->inputs[i] && root_of(op->inputs[i], NULL) == in_root) return;
  if (!out->base && out->space == CPU_SPACE_NONE) {
    make_view(out, in, 0);
    in_root->last = out->last;
  } else if (in == in_root) { /* the result has its place already: its input moves there */
    cpu_value *out_root = root_of(out, NULL);
    if (out_root->space >= CPU_SPACE_CALLER && in->tensor.layout != CPU_PLAIN) return;
    make_view(in, out, 0); /* a concat's part or the caller's buffer: nothing else uses that place before */
    if (in->first < out_root->first) out_root->first = in->first;
  }
}

/* ---- the arena */

typedef struct piece { /* memory needed from step `first` to step `last` */
  size_t bytes, offset;
  int32_t first, last;
  cpu_value *value; /* NULL: scratch of step `first` */
} piece;

static int larger_first(const void *a, const void *b) {
  const piece *x = a, *y = b;
  if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
  if (x->first != y->first) return x->first < y->first ? -1 : 1;
  return (x->value != NULL) - (y->value != NULL);
}

/* The lowest offset at which `p` fits beside the placed pieces that live at the same time; they are sorted by
 * offset. */
static size_t find_offset(const piece *p, const piece *const *placed, int32_t count) {
  size_t offset = 0;
  for (int32_t i = 0; i < count; ++i) {
    const piece *q = placed[i];
    if (q->last < p->first || q->first > p->last) continue;
    if (q->offset >= offset + p->bytes) break;
    if (q->offset + q->bytes > offset) offset = q->offset + q->bytes;
  }
  return offset;
}

static size_t place_pieces(piece *pieces, int32_t count, const piece **placed) {
  size_t size = 0;
  qsort(pieces, (size_t)count, sizeof *pieces, larger_first);
  for (int32_t i = 0; i < count; ++i) {
    piece *p = &pieces[i];
    p->offset = find_offset(p, placed, i);
    if (p->offset + p->bytes > size) size = p->offset + p->bytes;
    int32_t at = i;
    for (; at > 0 && placed[at - 1]->offset > p->offset; --at) placed[at] = placed[at - 1];
    placed[at] = p;
  }
  return size;
}

static size_t round_up(size_t bytes) { return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; }

iec_status cpu_memory_assign(cpu_graph *graph, int32_t step_count, cpu_ref *scratch, size_t *out_arena_size,
                             iec_error *err) {
  find_lifetimes(graph, step_count);
  for (int32_t i = 0; i < graph->op_count; ++i) share_in_place(graph->ops[i]);
  size_t most = (size_t)graph->value_count + (size_t)step_count + 1;
  piece *pieces = cpu_graph_alloc(graph, most * sizeof *pieces);
  const piece **placed = cpu_graph_alloc(graph, most * sizeof *placed);
  if (!pieces || !placed) return cpu_graph_no_memory(err);
  int32_t count = 0;
  for (int32_t i = 0; i < graph->value_count; ++i) {
    cpu_value *value = graph->values[i];
    if (value->base || is_constant(value) || value->space != CPU_SPACE_NONE || value->last < 0) continue;
    size_t bytes = round_up(value_bytes(value));
    pieces[count++] = (piece){bytes ? bytes : ALIGNMENT, 0, value->first, value->last, value};
  }
  for (int32_t i = 0; i < graph->op_count; ++i) {
    const cpu_op *op = graph->ops[i];
    if (op->step < 0 || !op->prepared.scratch_size) continue;
    pieces[count++] = (piece){round_up(op->prepared.scratch_size), 0, op->step, op->step, NULL};
  }
  *out_arena_size = place_pieces(pieces, count, placed);
  for (int32_t i = 0; i < count; ++i) {
    const piece *p = &pieces[i];
    if (p->value) {
      p->value->space = CPU_SPACE_ARENA;
      p->value->offset = (int64_t)p->offset;
    } else {
      scratch[p->first] = (cpu_ref){CPU_SPACE_ARENA, (intptr_t)p->offset};
    }
  }
  return IEC_OK;
}
