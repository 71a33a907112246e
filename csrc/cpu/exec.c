/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a plan: the caller walks the steps and shares the large ones with the members of its team that are
 * free. */
#include <string.h>
#include <time.h>

#include "cpu/plan.h"

enum { LINE = 64 };
_Static_assert(sizeof(atomic_llong[CPU_COUNTERS]) <= LINE, "counters fit");

/* Memory of a run: counters of steps that are not shared, bases, addresses of one step, the arena. */
static size_t bases_size(const cpu_plan *plan) {
  size_t count = (size_t)(CPU_SPACE_CALLER + plan->graph->input_count + plan->graph->output_count);
  return (count * sizeof(char *) + LINE - 1) / LINE * LINE;
}

static size_t addresses_size(const cpu_plan *plan) {
  return ((size_t)plan->most_ports * sizeof(void *) + LINE - 1) / LINE * LINE;
}

static size_t head_size(const cpu_plan *plan) { return LINE + bases_size(plan) + addresses_size(plan); }

size_t cpu_plan_scratch(const cpu_plan *plan) { return head_size(plan) + plan->arena_size; }

size_t cpu_plan_member_scratch(const cpu_plan *plan) { return plan->kernel_member_scratch; }

double cpu_plan_shared_ns(const cpu_plan *plan) { return plan->shared_ns; }

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

typedef struct job { /* one step and the run that all members start from */
  const cpu_step *step;
  cpu_run run;
} job;

static void run_member(void *arg, int32_t member, int32_t members) {
  const job *j = arg;
  cpu_run run = j->run;
  run.member = member;
  run.members = members;
  run.member_scratch = (char *)run.member_scratch + (size_t)member * run.crew->stride;
  j->step->kernel->run(j->step->state, &run);
}

static void reset_counters(atomic_llong *counters, int32_t members) {
  for (int32_t i = 0; i < members; ++i)
    for (int k = 0; k < CPU_COUNTERS; ++k)
      atomic_store_explicit(counters + i * CPU_COUNTERS_STEP + k, 0, memory_order_relaxed);
}

int cpu_next_shared(const cpu_run *run, int phase, int64_t count, int64_t grain, int64_t *begin,
                    int64_t *end) {
  int64_t chunks = (count + grain - 1) / grain;
  for (int32_t i = 0; i < run->members; ++i) {
    int32_t owner = run->member + i;
    if (owner >= run->members) owner -= run->members;
    int64_t first = chunks * owner / run->members, size = chunks * (owner + 1) / run->members - first;
    atomic_llong *taken = run->next + owner * CPU_COUNTERS_STEP + phase;
    if (atomic_load_explicit(taken, memory_order_relaxed) >= size) continue;
    int64_t number = atomic_fetch_add_explicit(taken, 1, memory_order_relaxed);
    if (number >= size) continue;
    *begin = (first + number) * grain;
    *end = *begin + grain < count ? *begin + grain : count;
    return 1;
  }
  return 0;
}

void cpu_plan_run(const cpu_plan *plan, const cpu_crew *crew, void *scratch, void *member_scratch,
                  const void *const *inputs, void *const *outputs, int64_t *times) {
  const cpu_graph *graph = plan->graph;
  uintptr_t *bases = (uintptr_t *)(void *)((char *)scratch + LINE);
  void **addresses = (void **)(void *)((char *)bases + bases_size(plan));
  bases[CPU_SPACE_ARENA] = (uintptr_t)scratch + head_size(plan);
  bases[CPU_SPACE_FIXED] = 0;
  for (int32_t i = 0; i < graph->input_count; ++i) bases[CPU_SPACE_CALLER + i] = (uintptr_t)inputs[i];
  for (int32_t i = 0; i < graph->output_count; ++i)
    bases[CPU_SPACE_CALLER + graph->input_count + i] = (uintptr_t)outputs[i];

  job j = {.run = {.inputs = (const void *const *)addresses,
                   .member_scratch = member_scratch,
                   .members = 1,
                   .crew = crew}};
  int64_t start = times ? now() : 0;
  for (int32_t i = 0; i < plan->step_count; ++i) {
    const cpu_step *step = j.step = &plan->steps[i];
    if (atomic_load_explicit(&crew->failure->code, memory_order_relaxed))
      return; /* behind a failure nothing runs */
    int32_t count = step->input_count + step->output_count;
    for (int32_t k = 0; k <= count; ++k)
      addresses[k] = (void *)(bases[step->ports[k].space] + (uintptr_t)step->ports[k].offset);
    j.run.outputs = addresses + step->input_count;
    j.run.scratch = addresses[count];
    int shared = crew->team && step->most_members > 1;
    j.run.next = shared ? crew->counters : scratch;
    reset_counters(j.run.next, shared ? crew->members : 1);
    if (shared)
      crew->host->team_share(crew->team, step->most_members, run_member, &j);
    else if (step->most_members)
      step->kernel->run(step->state, &j.run);
    if (times) {
      int64_t end = now();
      times[i] = end - start;
      start = end;
    }
  }
}
