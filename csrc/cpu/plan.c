/* SPDX-License-Identifier: Apache-2.0 */
/* From the host's graph to a plan: passes, kernels' preparation, memory, steps. */
#include "cpu/plan.h"

#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/machine.h"
#include "cpu/pages.h"
#include "cpu/passes.h"
#include "cpu/source.h"

/* Nanoseconds of work for which one more member is worth waking: its coming and going, and what it fetches
 * from the other cores' caches, take 3 to 10 us. IE_CTYPES_MEMBER_NS overrides it for tests, whose steps are
 * small. */
static double member_ns(void) {
  const char *wanted = getenv("IE_CTYPES_MEMBER_NS");
  double ns = wanted ? atof(wanted) : 0;
  return ns > 0 ? ns : 8000;
}

/* What a step may take, in ns of one core: products run from registers, everything else waits for memory. */
static double step_ns(const cpu_op *op) {
  static const char *const products[] = {"Conv", "Deconv", "MatMul", "Recurrent"};
  if (op->prepared.leads) return op->prepared.cost;
  for (size_t i = 0; i < sizeof products / sizeof *products; ++i)
    if (strcmp(op->kind, products[i]) == 0) return op->prepared.cost / 32;
  return op->prepared.cost / 4;
}

/* Bytes of constants from which a team is worth making for packing them, and from which packs share chunks
 * of memory. */
static const size_t SHARED_CONSTANTS = 1 << 20, ROOMY_CONSTANTS = 2 << 20;

static iec_status prepare_op(cpu_graph *graph, cpu_op *op, const cpu_node *node, iec_error *err) {
  iec_status status = op->kernel->prepare(graph->host, node, &op->prepared, err);
  if (status == IEC_OK) {
    op->is_prepared = 1;
    return IEC_OK;
  }
  return cpu_fail(err, status, op->name, "kernel %s cannot prepare the node",
                  op->kernel->name); /* if it said nothing */
}

typedef struct turn {
  int32_t op;
  size_t bytes; /* of its constants */
} turn;

/* Preparing all ops, shared by the members of a team: packing weights is most of a load. */
typedef struct preparation {
  cpu_graph *graph;
  turn *turns;     /* large constants first: the last ones are small, so that all members finish together */
  cpu_view *views; /* of the members */
  cpu_room *rooms;
  cpu_reader *readers;
  iec_error *errors;          /* of the members' failures */
  int32_t *failed;            /* their ops, the first in the graph; op_count: none */
  atomic_int_least32_t *next; /* turn */
  const cpu_set_t *usable;    /* by members that begin on cores of their own; NULL: by the system's choice */
} preparation;

static void prepare_some(void *arg, int32_t member, int32_t members) {
  const preparation *p = arg;
  cpu_graph *graph = p->graph;
  (void)members;
  /* Whoever waits for a busy core may go to one that has become idle. */
  if (member && p->usable) sched_setaffinity(0, sizeof *p->usable, p->usable);
  for (int32_t n; (n = atomic_fetch_add(p->next, 1)) < graph->op_count;) {
    int32_t i = p->turns[n].op;
    cpu_op *op = graph->ops[i];
    if (op->alias || i > p->failed[member]) continue; /* of those that fail the first is told */
    const cpu_node *node = cpu_view_fill(&p->views[member], op);
    p->views[member].node.packs = &op->packs;
    op->packs.room = &p->rooms[member];
    op->packs.reader = &p->readers[member];
    iec_error error = {.struct_size = sizeof error};
    iec_status status = prepare_op(graph, op, node, &error);
    op->packs.reader = NULL;
    if (status != IEC_OK) {
      p->failed[member] = i;
      p->errors[member] = error;
      continue;
    }
    for (int32_t j = 0; j < op->input_count && j < 64; ++j)
      if (op->inputs[j] && op->prepared.packed_inputs >> j & 1) cpu_pages_drop(&op->inputs[j]->tensor);
  }
}

static int by_bytes(const void *a, const void *b) {
  const turn *x = a, *y = b;
  return x->bytes != y->bytes ? (x->bytes < y->bytes ? 1 : -1) : (x->op > y->op) - (x->op < y->op);
}

static void make_turns(const cpu_graph *graph, turn *turns) {
  for (int32_t i = 0; i < graph->op_count; ++i) {
    const cpu_op *op = graph->ops[i];
    turns[i] = (turn){.op = i};
    for (int32_t j = 0; j < op->input_count; ++j)
      if (op->inputs[j] && op->inputs[j]->tensor.data)
        turns[i].bytes += cpu_tensor_bytes(&op->inputs[j]->tensor);
  }
  qsort(turns, (size_t)graph->op_count, sizeof *turns, by_bytes);
}

/* Bytes of the constants that kernels may pack. */
static size_t constant_bytes(const cpu_graph *graph) {
  size_t total = 0;
  for (int32_t i = 0; i < graph->value_count; ++i)
    if (graph->values[i]->tensor.data) total += cpu_tensor_bytes(&graph->values[i]->tensor);
  return total;
}

static iec_status prepare_all(cpu_graph *graph, int32_t threads, int32_t bound, int32_t *out_steps,
                              iec_error *err) {
  const iec_host_api *host = graph->host;
  iec_team *team = NULL;
  iec_status status = IEC_OK;
  *out_steps = 0;
  size_t bytes = constant_bytes(graph);
  if (bytes < SHARED_CONSTANTS) threads = 1;
  /* Packs are greater than what they are made of: one or two chunks a thread. */
  size_t chunk = (bytes / (size_t)threads / CPU_HUGE_PAGE + 1) * CPU_HUGE_PAGE;
  atomic_int_least32_t next = 0;
  preparation p = {.graph = graph, .next = &next};
  cpu_set_t usable;
  p.rooms = graph->rooms = cpu_graph_alloc(graph, (size_t)threads * sizeof *p.rooms);
  p.readers = cpu_graph_alloc(graph, (size_t)threads * sizeof *p.readers);
  p.views = cpu_graph_alloc(graph, (size_t)threads * sizeof *p.views);
  p.errors = cpu_graph_alloc(graph, (size_t)threads * sizeof *p.errors);
  p.failed = cpu_graph_alloc(graph, (size_t)threads * sizeof *p.failed);
  cpu_paging *paging = cpu_graph_alloc(graph, sizeof *paging); /* the rooms keep it */
  p.turns = cpu_graph_alloc(graph, (size_t)(graph->op_count + 1) * sizeof *p.turns);
  if (!p.rooms || !p.readers || !p.views || !p.errors || !p.failed || !p.turns || !paging)
    return cpu_graph_no_memory(err);
  graph->room_count = threads;
  cpu_source source = {.file = -1, .pages = -1};
  int cached = graph->op_count && graph->ops[0]->packs.cache;
  if (bytes >= SHARED_CONSTANTS && !cached) cpu_source_open(&source, graph);
  for (int32_t i = 0; !status && i < threads; ++i) {
    p.rooms[i] =
        (cpu_room){.host = host, .chunk_size = bytes < ROOMY_CONSTANTS ? 0 : chunk, .paging = paging};
    p.readers[i] = (cpu_reader){.host = host, .source = &source};
    p.failed[i] = graph->op_count;
    status = cpu_view_create(graph, &p.views[i], err);
  }
  make_turns(graph, p.turns);
  if (!status && threads > 1) {
    int32_t *cpus = bound ? cpu_machine_members(host, threads) : NULL;
    if (cpus && !sched_getaffinity(0, sizeof usable, &usable)) p.usable = &usable;
    status = host->team_create(host->self, threads, cpus, &team, err);
    host->release(host->self, cpus);
  }
  if (!status && team)
    host->team_share(team, threads, prepare_some, &p);
  else if (!status)
    prepare_some(&p, 0, 1);
  host->team_release(team);
  cpu_source_close(&source);
  if (status) return status;
  for (int32_t i = 0; i < threads; ++i) {
    cpu_room_close(&p.rooms[i]);
    cpu_reader_close(&p.readers[i]);
  }
  int32_t first = 0;
  for (int32_t i = 1; i < threads; ++i)
    if (p.failed[i] < p.failed[first]) first = i;
  if (p.failed[first] < graph->op_count) {
    if (err) *err = p.errors[first];
    return p.errors[first].code;
  }
  for (int32_t i = 0; i < graph->op_count; ++i)
    graph->ops[i]->step = graph->ops[i]->alias ? -1 : (*out_steps)++;
  return IEC_OK;
}

/* The host's constants are borrowed: keeps a copy of those that kernels read at run time, drops ours that
 * none does. */
static iec_status settle_constants(cpu_graph *graph, iec_error *err) {
  const iec_host_api *host = graph->host;
  uint8_t *needed = cpu_graph_alloc(graph, (size_t)graph->value_count + 1);
  if (!needed) return cpu_graph_no_memory(err);
  for (int32_t i = 0; i < graph->op_count; ++i) {
    const cpu_op *op = graph->ops[i];
    for (int32_t j = 0; op->step >= 0 && j < op->input_count; ++j) {
      const cpu_value *value = op->inputs[j];
      if (!value || (j < 64 && op->prepared.packed_inputs >> j & 1)) continue;
      while (value->base) value = value->base;
      needed[value->index] = 1;
    }
  }
  for (int32_t i = 0; i < graph->value_count; ++i) {
    cpu_value *value = graph->values[i];
    if (!value->tensor.data) continue;
    if (!needed[i]) {
      /* Again: packing a neighbour may have mapped these pages anew, the system maps up to 2 MB at a touch.
       */
      if (!value->owned) cpu_pages_drop(&value->tensor);
      host->release(host->self, value->owned);
      value->owned = NULL;
      value->tensor.data = NULL;
    } else if (!value->owned) {
      size_t bytes = cpu_tensor_bytes(&value->tensor);
      value->owned = host->alloc(host->self, bytes ? bytes : 1, 64);
      if (!value->owned) return cpu_graph_no_memory(err);
      memcpy(value->owned, value->tensor.data, bytes);
      cpu_pages_drop(&value->tensor);
      value->tensor.data = value->owned;
    }
  }
  return IEC_OK;
}

/* 1 when the op has outputs and none of them has an element: other sizes of it may be anything then. */
static int makes_nothing(const cpu_op *op) {
  for (int32_t i = 0; i < op->output_count; ++i)
    if (op->outputs[i] && cpu_tensor_elements(&op->outputs[i]->tensor)) return 0;
  return op->output_count > 0;
}

static iec_status make_step(cpu_plan *plan, const cpu_op *op, cpu_ref scratch, iec_error *err) {
  cpu_step *step = &plan->steps[op->step];
  int32_t count = op->input_count + op->output_count;
  *step = (cpu_step){op, op->kernel, op->prepared.state, NULL, op->input_count, op->output_count, 1};
  double ns = step_ns(op), members = ns / plan->member_ns;
  if (!op->prepared.leads && members >= 2)
    step->most_members = members < INT32_MAX ? (int32_t)members : INT32_MAX;
  if (makes_nothing(op)) step->most_members = 0;
  step->ports = cpu_graph_alloc(plan->graph, (size_t)(count + 1) * sizeof *step->ports);
  if (!step->ports) return cpu_graph_no_memory(err);
  for (int32_t i = 0; i < op->input_count; ++i) step->ports[i] = cpu_memory_ref(op->inputs[i]);
  for (int32_t i = 0; i < op->output_count; ++i)
    step->ports[op->input_count + i] = cpu_memory_ref(op->outputs[i]);
  step->ports[count] = scratch;
  if (count + 1 > plan->most_ports) plan->most_ports = count + 1;
  if (op->prepared.member_scratch_size > plan->kernel_member_scratch)
    plan->kernel_member_scratch = (op->prepared.member_scratch_size + 63) / 64 * 64;
  if (members >= 2) plan->shared_ns += ns;
  return IEC_OK;
}

static iec_status make_steps(cpu_plan *plan, iec_error *err) {
  cpu_graph *graph = plan->graph;
  cpu_ref *scratch = cpu_graph_alloc(graph, (size_t)(plan->step_count + 1) * sizeof *scratch);
  plan->steps = cpu_graph_alloc(graph, (size_t)(plan->step_count + 1) * sizeof *plan->steps);
  if (!scratch || !plan->steps) return cpu_graph_no_memory(err);
  for (int32_t i = 0; i < plan->step_count; ++i) scratch[i] = (cpu_ref){CPU_SPACE_FIXED, 0};
  iec_status status = cpu_memory_assign(graph, plan->step_count, scratch, &plan->arena_size, err);
  for (int32_t i = 0; !status && i < graph->op_count; ++i)
    if (graph->ops[i]->step >= 0) status = make_step(plan, graph->ops[i], scratch[graph->ops[i]->step], err);
  return status;
}

iec_status cpu_plan_create(const iec_host_api *host, const iec_graph *base, const cpu_extensions *extensions,
                           cpu_plan **out, iec_error *err) {
  const cpu_plan_options alone = {.threads = 1};
  return cpu_plan_compile(host, base, extensions, &alone, out, err);
}

/* What went wrong with a cache folder is no failure of the load. */
static void report(const iec_host_api *host, const iec_error *err) {
  char text[sizeof err->where + sizeof err->message + 2];
  snprintf(text, sizeof text, "%s: %s", err->where, err->message);
  host->log(host->self, 2, text);
}

/* The packed weights of an earlier load, where the options name any. */
static iec_status open_cache(cpu_plan *plan, const cpu_plan_options *options, iec_error *err) {
  const iec_host_api *host = plan->host;
  if (!options->cache_file && !options->cache_folder && !options->exportable) return IEC_OK;
  iec_status status = cpu_cache_key_of(plan->graph, options->threads, &plan->key, err);
  if (status || (!options->cache_file && !options->cache_folder)) return status;
  if (options->cache_file)
    return cpu_cache_open(host, options->cache_file, options->cache_offset, &plan->key, 0, &plan->cache, err);
  char *path = cpu_cache_path(host, options->cache_folder, &plan->key, ".blob");
  if (!path) return cpu_graph_no_memory(err);
  iec_error unfit = {.struct_size = sizeof unfit};
  status = cpu_cache_open(host, path, 0, &plan->key, 1, &plan->cache, &unfit);
  if (status && status != IEC_NOT_FOUND) report(host, &unfit);
  host->release(host->self, path);
  return IEC_OK;
}

/* Leaves packed weights for later loads unless they all came from there. */
static iec_status close_cache(const cpu_plan *plan, const cpu_plan_options *options, iec_error *err) {
  const cpu_graph *graph = plan->graph;
  if (options->cache_file)
    return cpu_cache_is_damaged(plan->cache) ? cpu_fail(err, IEC_NETWORK_NOT_READ, options->cache_file,
                                                        "damaged: wrong checksum of packed weights")
                                             : IEC_OK;
  int complete = plan->cache != NULL;
  for (int32_t i = 0; i < graph->op_count; ++i)
    for (int32_t j = 0; j < graph->ops[i]->packs.count; ++j)
      complete &= graph->ops[i]->packs.list[j].is_shared;
  if (!options->cache_folder || complete) return IEC_OK;
  iec_error failed = {.struct_size = sizeof failed};
  if (cpu_cache_store(graph, options->cache_folder, &plan->key, &failed)) report(plan->host, &failed);
  return IEC_OK;
}

iec_status cpu_plan_compile(const iec_host_api *host, const iec_graph *base, const cpu_extensions *extensions,
                            const cpu_plan_options *options, cpu_plan **out, iec_error *err) {
  *out = NULL;
  cpu_plan *plan = host->alloc(host->self, sizeof *plan, alignof(max_align_t));
  if (!plan) return cpu_graph_no_memory(err);
  memset(plan, 0, sizeof *plan);
  plan->host = host;
  plan->member_ns = member_ns();
  iec_status status = cpu_graph_create(host, base, extensions, &plan->graph, err);
  if (!status) plan->graph->threads = options->threads;
  if (!status) status = cpu_passes_run(plan->graph, err);
  if (!status) status = cpu_memory_bind(plan->graph, err);
  if (!status) status = open_cache(plan, options, err);
  for (int32_t i = 0; !status && i < plan->graph->op_count; ++i)
    plan->graph->ops[i]->packs = (cpu_packs){.cache = plan->cache, .op = i};
  if (!status) status = prepare_all(plan->graph, options->threads, options->bound, &plan->step_count, err);
  if (!status) status = close_cache(plan, options, err);
  if (!status) status = settle_constants(plan->graph, err);
  if (!status) status = make_steps(plan, err);
  if (status)
    cpu_plan_release(plan);
  else
    *out = plan;
  return status;
}

void cpu_plan_release(cpu_plan *plan) {
  if (!plan) return;
  const iec_host_api *host = plan->host;
  for (int32_t i = 0; plan->graph && i < plan->graph->op_count; ++i) {
    cpu_op *op = plan->graph->ops[i];
    if (!op) continue;
    if (!op->is_prepared || !op->prepared.state) continue;
    if (op->kernel->release)
      op->kernel->release(host, op->prepared.state);
    else
      host->release(host->self, op->prepared.state);
  }
  for (int32_t i = 0; plan->graph && i < plan->graph->room_count; ++i)
    cpu_room_release(&plan->graph->rooms[i]);
  cpu_cache_release(plan->cache);
  cpu_graph_release(plan->graph);
  host->release(host->self, plan);
}
