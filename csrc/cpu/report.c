/* SPDX-License-Identifier: Apache-2.0 */
/* Performance counters and the executable graph as JSON. */
#include "cpu/report.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void cpu_text_add(cpu_text *text, const char *format, ...) {
  va_list args;
  va_start(args, format);
  size_t room = text->length < text->room ? text->room - text->length : 0;
  int count = vsnprintf(room ? text->buf + text->length : NULL, room, format, args);
  va_end(args);
  if (count > 0) text->length += (size_t)count;
}

iec_status cpu_text_finish(cpu_text *text, size_t *size, iec_error *err) {
  size_t needed = text->length + 1;
  *size = needed;
  if (text->buf && text->room < needed)
    return cpu_fail(err, IEC_OUT_OF_BOUNDS, NULL, "the text needs %zu bytes, the buffer has %zu", needed,
                    text->room);
  return IEC_OK;
}

/* Text inside a JSON string. */
static void add_escaped(cpu_text *text, const char *value) {
  for (; *value; ++value) {
    unsigned char c = (unsigned char)*value;
    if (c == '"' || c == '\\')
      cpu_text_add(text, "\\%c", c);
    else if (c < 0x20)
      cpu_text_add(text, "\\u%04x", c);
    else
      cpu_text_add(text, "%c", c);
  }
}

static void add_quoted(cpu_text *text, const char *value) {
  cpu_text_add(text, "\"");
  add_escaped(text, value);
  cpu_text_add(text, "\"");
}

static void add_field(cpu_text *text, const char *key, const char *value) {
  cpu_text_add(text, "\"%s\":", key);
  add_quoted(text, value);
  cpu_text_add(text, ",");
}

static const char *precision(int32_t dtype) {
  switch (dtype) {
    case IEC_F32: return "FP32";
    case IEC_F16: return "FP16";
    case IEC_BF16: return "BF16";
    case IEC_F64: return "FP64";
    case IEC_I16: return "I16";
    case IEC_U8: return "U8";
    case IEC_BOOL: return "BOOL";
    case IEC_I8: return "I8";
    case IEC_U16: return "U16";
    case IEC_I32: return "I32";
    case IEC_I64: return "I64";
    case IEC_U64: return "U64";
    default: return "U32";
  }
}

/* "winograd_avx512_FP32": the algorithm and the element type of the result. */
static void primitive(const cpu_op *op, char *out, size_t size) {
  const char *name = op->prepared.exec_type ? op->prepared.exec_type : op->kernel->name;
  snprintf(out, size, "%s_%s", name,
           op->output_count && op->outputs[0] ? precision(op->outputs[0]->tensor.dtype) : "undef");
}

static void add_perf_row(cpu_text *text, const cpu_op *op, const int64_t *times) {
  char exec_type[96] = "undef";
  const char *status = "NOT_RUN";
  int64_t microseconds = 0;
  if (op->state == CPU_OP_REMOVED || (op->state == CPU_OP_LIVE && op->alias))
    status = "OPTIMIZED_OUT";
  else if (op->state == CPU_OP_LIVE) {
    primitive(op, exec_type, sizeof exec_type);
    if (times) status = "EXECUTED";
    microseconds = times ? (times[op->step] + 500) / 1000 : 0;
  }
  cpu_text_add(text, "%s{", text->length > 1 ? "," : "");
  add_field(text, "layer", op->base ? op->layer : op->name);
  add_field(text, "layer_type", op->layer_type);
  add_field(text, "kind", op->kind);
  add_field(text, "exec_type", exec_type);
  add_field(text, "status", status);
  cpu_text_add(text, "\"real_time_us\":%" PRId64 ",\"cpu_time_us\":%" PRId64 ",\"order\":%d}", microseconds,
               microseconds, op->step);
}

void cpu_report_perf(const cpu_plan *plan, const int64_t *times, cpu_text *out) {
  const cpu_graph *graph = plan->graph;
  cpu_text_add(out, "[");
  for (int32_t i = 0; i < graph->origin_count; ++i) add_perf_row(out, graph->origins[i], times);
  for (int32_t i = 0; i < plan->step_count; ++i)
    if (!plan->steps[i].op->base) add_perf_row(out, plan->steps[i].op, times);
  cpu_text_add(out, "]");
}

/* Names of the network layers that a step computes, each once. */
static void add_layers(cpu_text *text, const cpu_graph *graph, const cpu_op *op) {
  const char *last = NULL;
  cpu_text_add(text, "\"originalLayersNames\":\"");
  for (int32_t i = 0; op->base && i < graph->origin_count; ++i) {
    const cpu_op *origin = graph->origins[i], *owner = origin;
    while (owner->state == CPU_OP_FUSED && owner->into) owner = owner->into;
    if (owner != op || (last && strcmp(last, origin->layer) == 0)) continue;
    if (last) cpu_text_add(text, ",");
    last = origin->layer;
    add_escaped(text, last);
  }
  cpu_text_add(text, "\",");
}

static void add_outputs(cpu_text *text, const cpu_op *op) {
  cpu_text_add(text, "\"outputLayouts\":\"");
  for (int32_t i = 0; i < op->output_count; ++i)
    if (op->outputs[i])
      cpu_text_add(text, "%s%s", i ? "," : "", op->outputs[i]->tensor.layout ? "nChw16c" : "plain");
  cpu_text_add(text, "\",\"outputPrecisions\":\"");
  for (int32_t i = 0; i < op->output_count; ++i)
    if (op->outputs[i]) cpu_text_add(text, "%s%s", i ? "," : "", precision(op->outputs[i]->tensor.dtype));
  cpu_text_add(text, "\",\"outputShapes\":\"");
  for (int32_t i = 0; i < op->output_count; ++i)
    for (int32_t a = 0; op->outputs[i] && a < op->outputs[i]->tensor.ndim; ++a)
      cpu_text_add(text, "%s%" PRId64, a ? "x" : i ? "," : "", op->outputs[i]->tensor.shape[a]);
  cpu_text_add(text, "\",");
}

static void add_inputs(cpu_text *text, const cpu_op *op) {
  int first = 1;
  cpu_text_add(text, "\"inputs\":[");
  for (int32_t i = 0; i < op->input_count; ++i) {
    const cpu_value *value = op->inputs[i];
    while (value && value->producer && value->producer->alias && value->producer->inputs[0])
      value = value->producer->inputs[0];
    if (!value || (!value->producer && value->input_index < 0)) continue;
    if (!first) cpu_text_add(text, ",");
    add_quoted(text, value->producer ? value->producer->name : value->name);
    first = 0;
  }
  cpu_text_add(text, "]");
}

void cpu_report_graph(const cpu_plan *plan, const atomic_llong *times, cpu_text *out) {
  cpu_text_add(out, "[");
  for (int32_t i = 0; i < plan->step_count; ++i) {
    const cpu_op *op = plan->steps[i].op;
    char name[96];
    primitive(op, name, sizeof name);
    cpu_text_add(out, "%s{", i ? "," : "");
    add_field(out, "name", op->name);
    add_field(out, "type", op->kind);
    add_field(out, "layer_type", op->layer_type);
    cpu_text_add(out, "\"execOrder\":\"%d\",", i);
    if (times)
      cpu_text_add(out, "\"execTimeMcs\":\"%lld\",", (atomic_load(&times[i]) + 500) / 1000);
    else
      cpu_text_add(out, "\"execTimeMcs\":\"not_executed\",");
    add_layers(out, plan->graph, op);
    add_outputs(out, op);
    add_field(out, "primitiveType", name);
    add_inputs(out, op);
    cpu_text_add(out, "}");
  }
  cpu_text_add(out, "]");
}
