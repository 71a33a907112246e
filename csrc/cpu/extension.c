/* SPDX-License-Identifier: Apache-2.0 */
/* An extension's kernel behind the table of a CPU kernel: plain layouts, member 0 alone, views made in
 * scratch. */
#include "cpu/extension.h"

#include <stdalign.h>
#include <stdio.h>
#include <string.h>

#include "cpu/graph.h"

struct cpu_extensions {
  atomic_int refs;
  const iec_host_api *host;
  const cpu_kernel **list; /* NULL-terminated, into `kernels` */
  cpu_kernel *kernels;
};

typedef struct extension_state {
  const iec_kernel_def *def;
  iec_kernel_state *state;
  int32_t input_count, output_count;
  size_t views_size; /* what comes before the kernel's own scratch */
  char *layer, *type;
  iec_tensor ports[]; /* inputs, then outputs, without data; ndim -1: absent */
} extension_state;

static int32_t supports(const cpu_node *node) {
  const iec_kernel_def *def = node->closure;
  return def->supports(node->host, node->graph, node->source) ? def->priority : 0;
}

static void fill_port(iec_tensor *out, const cpu_tensor *tensor) {
  *out = (iec_tensor){.struct_size = sizeof *out, .ndim = -1};
  if (!tensor) return;
  out->dtype = (uint16_t)tensor->dtype;
  out->ndim = tensor->ndim;
  int64_t stride = (int64_t)cpu_dtype_size(tensor->dtype);
  for (int32_t i = tensor->ndim - 1; i >= 0; --i) {
    out->shape[i] = tensor->shape[i];
    out->strides[i] = stride;
    stride *= tensor->shape[i];
  }
  out->size_bytes = cpu_tensor_bytes(tensor);
}

static void release(const iec_host_api *host, void *state) {
  extension_state *s = state;
  if (!s) return;
  s->def->release(s->state);
  host->release(host->self, s);
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  const iec_kernel_def *def = node->closure;
  const char *layer = node->host->graph->node_layer(node->source),
             *type = node->host->graph->node_layer_type(node->source);
  size_t ports = (size_t)(node->input_count + node->output_count), layer_size = strlen(layer) + 1,
         type_size = strlen(type) + 1;
  size_t head = sizeof(extension_state) + ports * sizeof(iec_tensor);
  extension_state *s = host->alloc(host->self, head + layer_size + type_size, alignof(max_align_t));
  if (!s) return cpu_graph_no_memory(err);
  *s = (extension_state){.def = def, .input_count = node->input_count, .output_count = node->output_count};
  s->layer = memcpy((char *)s + head, layer, layer_size);
  s->type = memcpy(s->layer + layer_size, type, type_size);
  for (int32_t i = 0; i < node->input_count; ++i) fill_port(&s->ports[i], node->inputs[i]);
  for (int32_t i = 0; i < node->output_count; ++i)
    fill_port(&s->ports[node->input_count + i], node->outputs[i]);
  s->views_size = (ports * (sizeof(iec_tensor) + sizeof(iec_tensor *)) + 63) / 64 * 64;
  size_t scratch = 0;
  iec_error own = {.struct_size = sizeof own};
  iec_status status = def->prepare(node->host, node->graph, node->source, &s->state, &scratch, &own);
  if (status == IEC_OK && scratch > SIZE_MAX / 4) {
    def->release(s->state);
    status = cpu_fail(&own, IEC_OUT_OF_BOUNDS, NULL, "%zu bytes of scratch", scratch);
  }
  if (status != IEC_OK) {
    cpu_fail(err, status, NULL, "layer %s of type %s: kernel %s: %s", layer, type, def->impl_name,
             own.code ? own.message : "it cannot be prepared");
    host->release(host->self, s);
    return status;
  }
  out->state = s;
  out->scratch_size = s->views_size + scratch;
  out->exec_type = def->impl_name;
  return IEC_OK;
}

static void fail(const extension_state *s, cpu_failure *failure, iec_status status, const iec_error *given) {
  const char *text = given->code ? given->message : "the kernel fails";
  cpu_fail(&failure->error, status, NULL, "layer %s of type %s: %s", s->layer, s->type, text);
  atomic_store(&failure->code, status);
}

static void run(const void *state, const cpu_run *r) {
  const extension_state *s = state;
  int32_t count = s->input_count + s->output_count;
  iec_tensor *views = r->scratch;
  iec_tensor **ports = (iec_tensor **)(void *)(views + count);
  for (int32_t i = 0; i < count; ++i) {
    int is_output = i >= s->input_count;
    views[i] = s->ports[i];
    /* An input is not written, whatever the type of the view says. */
    views[i].data = is_output ? r->outputs[i - s->input_count] : (void *)(uintptr_t)r->inputs[i];
    ports[i] = views[i].ndim < 0 ? NULL : &views[i];
  }
  iec_error error = {.struct_size = sizeof error};
  iec_status status =
      s->def->run(s->state, (const iec_tensor *const *)ports, (size_t)s->input_count, ports + s->input_count,
                  (size_t)s->output_count, (char *)r->scratch + s->views_size, &error);
  if (status != IEC_OK) fail(s, r->crew->failure, status, &error);
}

static int is_mine(const iec_kernel_def *def) { return strcmp(def->device, "CPU") == 0; }

iec_status cpu_extensions_create(const iec_host_api *host, const iec_extension_api *const *extensions,
                                 size_t count, cpu_extensions **out, iec_error *err) {
  *out = NULL;
  size_t mine = 0;
  for (size_t i = 0; i < count; ++i)
    for (size_t k = 0; k < extensions[i]->kernel_count; ++k)
      mine += (size_t)is_mine(extensions[i]->kernels[k]);
  size_t size = sizeof(cpu_extensions) + mine * sizeof(cpu_kernel) + (mine + 1) * sizeof(cpu_kernel *);
  cpu_extensions *made = host->alloc(host->self, size, alignof(max_align_t));
  if (!made) return cpu_graph_no_memory(err);
  memset(made, 0, size);
  atomic_store(&made->refs, 1);
  made->host = host;
  made->kernels = (cpu_kernel *)(void *)(made + 1);
  made->list = (const cpu_kernel **)(void *)(made->kernels + mine);
  size_t next = 0;
  for (size_t i = 0; i < count; ++i)
    for (size_t k = 0; k < extensions[i]->kernel_count; ++k) {
      const iec_kernel_def *def = extensions[i]->kernels[k];
      if (!is_mine(def)) continue;
      cpu_kernel kernel = {
          .kind = def->kind, .name = def->impl_name, .supports = supports, .prepare = prepare, .run = run};
      kernel.release = release;
      kernel.closure = def;
      made->kernels[next] = kernel;
      made->list[next] = &made->kernels[next];
      ++next;
    }
  *out = made;
  return IEC_OK;
}

cpu_extensions *cpu_extensions_retain(cpu_extensions *extensions) {
  if (extensions) atomic_fetch_add(&extensions->refs, 1);
  return extensions;
}

void cpu_extensions_release(cpu_extensions *extensions) {
  if (extensions && atomic_fetch_sub(&extensions->refs, 1) == 1)
    extensions->host->release(extensions->host->self, extensions);
}

const cpu_kernel *const *cpu_extensions_kernels(const cpu_extensions *extensions) {
  static const cpu_kernel *const none[] = {NULL};
  return extensions ? extensions->list : none;
}
