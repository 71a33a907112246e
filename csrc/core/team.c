/* SPDX-License-Identifier: Apache-2.0 */
/* Thread teams: a caller and pooled threads that run one function together, with barriers inside it. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"

/* About 50 to 100 microseconds: longer than the gap between two runs of a busy network, short enough not to starve others. */
#define SPINS 2000
#define MAX_THREADS 1024

typedef struct member {
  iec_team *team;
  int32_t index;
} member;

struct iec_team {
  _Alignas(64) iec_gate run;     /* changes when there is work; 0: stop */
  _Alignas(64) iec_gate phase;   /* changes when a barrier opens */
  _Alignas(64) atomic_int arrived;
  _Alignas(64) iec_team_fn fn;
  void *arg;
  int32_t threads;               /* asked for */
  int spins;                     /* before sleeping; none where members outnumber cpus: they would wait for each other's cpu */
  int32_t members;               /* there are: `threads` but after a fork */
  uint32_t generation;
  int32_t *cpus;
  pthread_t *handles;
  member *slots;
};

/* Central barrier: the last to arrive opens the next phase. A member reads the phase before it arrives, so it cannot miss it. */
void iec_team_barrier(iec_team *team, int32_t index) {
  (void)index;
  if (team->members == 1) return;
  unsigned phase = atomic_load_explicit(&team->phase.word, memory_order_relaxed);
  if (atomic_fetch_add_explicit(&team->arrived, 1, memory_order_acq_rel) + 1 == team->members) {
    atomic_store_explicit(&team->arrived, 0, memory_order_relaxed);
    iec_gate_set(&team->phase, phase + 1);
  } else {
    iec_gate_wait(&team->phase, phase, team->spins, -1);
  }
}

static void *member_main(void *arg) {
  member *self = arg;
  iec_team *team = self->team;
  unsigned seen = 1;
  for (;;) {
    iec_gate_wait(&team->run, seen, team->spins, -1);
    seen = atomic_load_explicit(&team->run.word, memory_order_acquire);
    if (seen == 0) return NULL;
    team->fn(team->arg, self->index, team->members);
    iec_team_barrier(team, self->index);
  }
}

static int start_member(iec_team *team, int32_t index) {
  pthread_attr_t attr;
  int rc = pthread_attr_init(&attr);
  if (rc) return rc;
  if (team->cpus && team->cpus[index] >= 0 && team->cpus[index] < CPU_SETSIZE) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((unsigned)team->cpus[index], &set);
    rc = pthread_attr_setaffinity_np(&attr, sizeof set, &set);
  }
  team->slots[index] = (member){.team = team, .index = index};
  if (!rc) rc = pthread_create(&team->handles[index], &attr, member_main, &team->slots[index]);
  pthread_attr_destroy(&attr);
  /* A cpu outside of what the process may use: run it unpinned rather than not at all. */
  if (rc == EINVAL) rc = pthread_create(&team->handles[index], NULL, member_main, &team->slots[index]);
  return rc;
}

/* Starts the pooled threads; team->members tells how many members there are. */
static int start_members(iec_team *team) {
  int rc = 0;
  atomic_store(&team->run.word, 1);
  atomic_store(&team->run.sleepers, 0);
  atomic_store(&team->phase.word, 0);
  atomic_store(&team->phase.sleepers, 0);
  atomic_store(&team->arrived, 0);
  team->members = 1;
  while (team->members < team->threads && !(rc = start_member(team, team->members))) team->members++;
  team->generation = iec_fork_generation();
  return rc;
}

static void stop_members(iec_team *team) {
  if (team->generation != iec_fork_generation()) return;
  iec_gate_set(&team->run, 0);
  for (int32_t i = 1; i < team->members; i++) pthread_join(team->handles[i], NULL);
}

static void team_free(iec_team *team) {
  free(team->cpus);
  free(team->handles);
  free(team->slots);
  free(team);
}

iec_status iec_team_create(iec_host *host, int32_t threads, const int32_t *cpus, iec_team **out, iec_error *err) {
  (void)host;
  *out = NULL;
  if (threads < 1 || threads > MAX_THREADS)
    return iec_fail(err, IEC_OUT_OF_BOUNDS, "team_create", "%d threads, expected 1 to %d", (int)threads, MAX_THREADS);
  iec_team *team = aligned_alloc(64, sizeof *team);
  if (!team) return iec_fail(err, IEC_OUT_OF_MEMORY, "team_create", "out of memory");
  memset(team, 0, sizeof *team);
  team->threads = threads;
  cpu_set_t usable;
  team->spins = sched_getaffinity(0, sizeof usable, &usable) || CPU_COUNT(&usable) >= threads ? SPINS : 0;
  team->handles = calloc((size_t)threads, sizeof *team->handles);
  team->slots = calloc((size_t)threads, sizeof *team->slots);
  if (cpus) team->cpus = malloc((size_t)threads * sizeof *cpus);
  if (!team->handles || !team->slots || (cpus && !team->cpus)) {
    team_free(team);
    return iec_fail(err, IEC_OUT_OF_MEMORY, "team_create", "out of memory");
  }
  if (cpus) memcpy(team->cpus, cpus, (size_t)threads * sizeof *cpus);
  int rc = start_members(team);
  if (rc) {
    iec_status status = iec_fail(err, IEC_GENERAL_ERROR, "team_create", "thread %d of %d cannot be created: %s",
                                 (int)team->members + 1, (int)threads, strerror(rc));
    stop_members(team);
    team_free(team);
    return status;
  }
  *out = team;
  return IEC_OK;
}

void iec_team_release(iec_team *team) {
  if (!team) return;
  stop_members(team);
  team_free(team);
}

void iec_team_run(iec_team *team, iec_team_fn fn, void *arg) {
  if (team->generation != iec_fork_generation()) start_members(team);
  if (team->members > 1) {
    team->fn = fn;
    team->arg = arg;
    unsigned next = atomic_load_explicit(&team->run.word, memory_order_relaxed) + 1;
    iec_gate_set(&team->run, next ? next : 1);
  }
  fn(arg, 0, team->members);
  iec_team_barrier(team, 0);
}
