/* SPDX-License-Identifier: Apache-2.0 */
/* Devices, performance counters and the executable graph as JSON. */
#include "opencl/report.h"

#include <inttypes.h>

static void field(gpu_text *text, const char *key, const char *value) {
  gpu_text_add(text, "\"%s\":\"", key);
  gpu_text_escaped(text, value);
  gpu_text_add(text, "\",");
}

void gpu_report_devices(const gpu_device *devices, int32_t count, gpu_text *out) {
  gpu_text_add(out, "[");
  for (int32_t i = 0; i < count; i++) {
    const gpu_device *d = &devices[i];
    gpu_text_add(out, "%s{", i ? "," : "");
    field(out, "name", d->name);
    field(out, "vendor", d->vendor);
    field(out, "version", d->version);
    field(out, "driver", d->driver);
    field(out, "platform", d->platform_name);
    field(out, "type",
          d->type & CL_DEVICE_TYPE_GPU   ? "GPU"
          : d->type & CL_DEVICE_TYPE_CPU ? "CPU"
                                         : "ACCELERATOR");
    gpu_text_add(out,
                 "\"units\":%u,\"clock_mhz\":%u,\"global_memory\":%" PRIu64 ",\"local_memory\":%" PRIu64
                 ",\"unified\":%d,\"fp16\":%d,\"fp64\":%d}",
                 d->units, d->clock, d->global_memory, d->local_memory, d->unified != 0, d->fp16, d->fp64);
  }
  gpu_text_add(out, "]");
}

static const char *precision(const gpu_graph *graph, const gpu_value *value) {
  switch (value->dtype) {
    case IEC_F32: return graph->half ? "FP16" : "FP32";
    case IEC_F16: return "FP16";
    case IEC_F64: return "FP64";
    case IEC_I16: return "I16";
    case IEC_U8: return "U8";
    case IEC_BOOL: return "BOOL";
    case IEC_I8: return "I8";
    case IEC_U16: return "U16";
    case IEC_I64: return "I64";
    default: return "I32";
  }
}

void gpu_report_perf(const gpu_plan *plan, const int64_t *times, gpu_text *out) {
  const gpu_graph *graph = plan->graph;
  gpu_text_add(out, "[");
  for (int32_t i = 0; i < graph->op_count; i++) {
    const gpu_op *op = graph->origins[i];
    const int live = op->state == GPU_OP_LIVE && op->launch_count > 0;
    const char *status = op->state == GPU_OP_FUSED ? "NOT_RUN"
                         : !live                   ? "OPTIMIZED_OUT"
                         : times                   ? "EXECUTED"
                                                   : "NOT_RUN";
    int64_t total = 0;
    for (int32_t l = 0; live && times && l < op->launch_count; l++) total += times[op->first_launch + l];
    gpu_text_add(out, "%s{", i ? "," : "");
    field(out, "layer", op->layer);
    field(out, "layer_type", op->layer_type);
    field(out, "kind", op->kind);
    field(out, "exec_type", live && op->exec_type ? op->exec_type : "undef");
    field(out, "status", status);
    gpu_text_add(out, "\"real_time_us\":%" PRId64 ",\"cpu_time_us\":0,\"order\":%d}", (total + 500) / 1000,
                 live ? op->first_launch : -1);
  }
  gpu_text_add(out, "]");
}

static void layers(gpu_text *text, const gpu_graph *graph, const gpu_op *op) {
  const char *between = "";
  gpu_text_add(text, "\"originalLayersNames\":\"");
  for (int32_t i = 0; i < graph->op_count; i++) {
    const gpu_op *owner = graph->origins[i];
    while (owner->state == GPU_OP_FUSED && owner->into) owner = owner->into;
    if (owner != op) continue;
    gpu_text_add(text, "%s", between);
    gpu_text_escaped(text, graph->origins[i]->layer);
    between = ",";
  }
  gpu_text_add(text, "\",");
}

static void outputs(gpu_text *text, const gpu_graph *graph, const gpu_op *op) {
  gpu_text_add(text, "\"outputLayouts\":\"plain\",\"outputPrecisions\":\"");
  for (int32_t i = 0; i < op->output_count; i++)
    if (op->outputs[i]) gpu_text_add(text, "%s%s", i ? "," : "", precision(graph, op->outputs[i]));
  gpu_text_add(text, "\",\"outputShapes\":\"");
  for (int32_t i = 0; i < op->output_count; i++)
    for (int32_t a = 0; op->outputs[i] && a < op->outputs[i]->ndim; a++)
      gpu_text_add(text, "%s%" PRId64, a ? "x" : i ? "," : "", op->outputs[i]->shape[a]);
  gpu_text_add(text, "\",");
}

static void inputs(gpu_text *text, const gpu_op *op) {
  const char *between = "";
  gpu_text_add(text, "\"inputs\":[");
  for (int32_t i = 0; i <= op->input_count; i++) {
    const gpu_value *value = i < op->input_count ? op->inputs[i] : op->sum;
    while (value && value->base) value = value->base;
    if (!value || (!value->producer && value->input_index < 0)) continue;
    gpu_text_add(text, "%s\"", between);
    gpu_text_escaped(text, value->producer ? value->producer->name : value->name);
    gpu_text_add(text, "\"");
    between = ",";
  }
  gpu_text_add(text, "]");
}

void gpu_report_graph(const gpu_plan *plan, gpu_text *out) {
  const gpu_graph *graph = plan->graph;
  const char *between = "";
  int32_t order = 0;
  gpu_text_add(out, "[");
  for (int32_t i = 0; i < graph->op_count; i++) {
    const gpu_op *op = graph->ops[i];
    if (!op) continue;
    gpu_text_add(out, "%s{", between);
    between = ",";
    field(out, "name", op->name);
    field(out, "type", op->kind);
    field(out, "layer_type", op->layer_type);
    gpu_text_add(out, "\"execOrder\":\"%d\",\"execTimeMcs\":\"not_executed\",", order++);
    layers(out, graph, op);
    outputs(out, graph, op);
    field(out, "primitiveType", op->exec_type ? op->exec_type : "undef");
    inputs(out, op);
    gpu_text_add(out, "}");
  }
  gpu_text_add(out, "]");
}
