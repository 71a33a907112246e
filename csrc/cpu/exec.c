/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a plan: every member of a team walks the steps, with one barrier behind each shared one. */
#include <string.h>
#include <time.h>

#include "cpu/plan.h"

enum { LINE = 64, COUNTER_SETS = 3, COUNTERS_SIZE = 256 };
_Static_assert(sizeof(atomic_llong[COUNTER_SETS][CPU_COUNTERS]) <= COUNTERS_SIZE, "counters fit");

/* Shared memory of a run: the counters, then the arena. A member's memory: bases, addresses of one step,
 * kernel scratch. */
static size_t bases_size(const cpu_plan *plan) {
  size_t count = (size_t)(CPU_SPACE_CALLER + plan->graph->input_count + plan->graph->output_count);
  return (count * sizeof(char *) + LINE - 1) / LINE * LINE;
}

static size_t addresses_size(const cpu_plan *plan) {
  return ((size_t)plan->most_ports * sizeof(void *) + LINE - 1) / LINE * LINE;
}

size_t cpu_plan_scratch(const cpu_plan *plan) { return COUNTERS_SIZE + plan->arena_size; }

size_t cpu_plan_member_scratch(const cpu_plan *plan) {
  return bases_size(plan) + addresses_size(plan) + plan->kernel_member_scratch;
}

double cpu_plan_shared_cost(const cpu_plan *plan) { return plan->shared_cost; }

static void clear(atomic_llong *counters) {
  for (int i = 0; i < CPU_COUNTERS; ++i) atomic_store_explicit(counters + i, 0, memory_order_relaxed);
}

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void run_step(const cpu_step *step, cpu_run *run, uintptr_t const *bases, void **addresses) {
  /* Behind a failure nothing runs. Every member is behind a barrier here that follows it, so all skip the same. */
  if (atomic_load_explicit(&run->failure->code, memory_order_relaxed)) return;
  int32_t count = step->input_count + step->output_count;
  for (int32_t i = 0; i <= count; ++i)
    addresses[i] = (void *)(bases[step->ports[i].space] + (uintptr_t)step->ports[i].offset);
  run->inputs = (const void *const *)addresses;
  run->outputs = addresses + step->input_count;
  run->scratch = addresses[count];
  step->kernel->run(step->state, run);
}

void cpu_plan_walk(const cpu_plan *plan, const cpu_run *outer, void *scratch, void *member_scratch,
                   const void *const *inputs, void *const *outputs, int64_t *times) {
  const cpu_graph *graph = plan->graph;
  uintptr_t *bases = member_scratch;
  void **addresses = (void **)(void *)((char *)member_scratch + bases_size(plan));
  bases[CPU_SPACE_ARENA] = (uintptr_t)scratch + COUNTERS_SIZE;
  bases[CPU_SPACE_FIXED] = 0;
  for (int32_t i = 0; i < graph->input_count; ++i) bases[CPU_SPACE_CALLER + i] = (uintptr_t)inputs[i];
  for (int32_t i = 0; i < graph->output_count; ++i)
    bases[CPU_SPACE_CALLER + graph->input_count + i] = (uintptr_t)outputs[i];

  int32_t member = outer->member;
  cpu_run shared = *outer, alone = *outer;
  shared.member_scratch = alone.member_scratch = (char *)addresses + addresses_size(plan);
  alone.members = 1;
  /* Two sets of counters alternate over the shared steps: one is cleared while the other is in use. */
  atomic_llong *counters = scratch, *solo = counters + 2 * CPU_COUNTERS;
  alone.next = solo;
  if (member == 0) clear(counters), clear(counters + CPU_COUNTERS);
  int32_t turn = 0, behind = 1; /* behind: the others must wait for what member 0 did alone */
  int64_t start = member == 0 && times ? now() : 0;
  for (int32_t i = 0; i < plan->step_count; ++i) {
    const cpu_step *step = &plan->steps[i];
    if (step->shared && outer->members > 1) {
      if (behind) cpu_barrier(&shared);
      behind = 0;
      shared.next = counters + turn * CPU_COUNTERS;
      run_step(step, &shared, bases, addresses);
      cpu_barrier(&shared);
      if (member == 0) clear(shared.next);
      turn = !turn;
    } else {
      behind = 1;
      if (member != 0) continue;
      clear(solo);
      run_step(step, &alone, bases, addresses);
    }
    if (member == 0 && times) {
      int64_t end = now();
      times[i] = end - start;
      start = end;
    }
  }
}

void cpu_plan_run(const cpu_plan *plan, const cpu_run *run, void *scratch, void *member_scratch,
                  const void *const *inputs, void *const *outputs) {
  cpu_plan_walk(plan, run, scratch, member_scratch, inputs, outputs, NULL);
  cpu_barrier(run);
}
