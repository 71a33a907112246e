/* SPDX-License-Identifier: Apache-2.0 */
/* Thread teams: a caller and pooled threads that run one function together, with barriers inside it.
 *
 * The caller announces a job in one word: its number, whether members may still begin it, how many are
 * inside. A pooled member enters by counting itself in, and only the caller closes a job, so what belongs to
 * it stands still while anybody is inside. A member that comes late finds the job closed and waits for the
 * next one. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"

/* About 50 to 100 microseconds: longer than the gap between two runs of a busy network, short enough not to
 * starve others. */
#define SPINS 2000
#define MAX_THREADS 1024

#define OPEN 0x800u
#define INSIDE(word) ((word) & 0x7ffu)
#define NUMBER(word) ((word) >> 12)
#define NUMBERS 0x100000u

/* A wait of so many nanoseconds that is also a fifth of the job means that a member inside has lost its cpu.
 * When that happens more often than once in SHARED_TIMES such waits, the caller works alone for a while, each
 * time for longer. */
#define LONG_WAIT 50000
#define SHARED_TIMES 8
#define ALONE_TIMES 4
#define ALONE_MOST 250000000

/* A pooled thread. One that the system has not let begin when the team goes is given up: it finds that out by
 * itself, and the team does not wait for it. */
enum { CREATED, BEGUN, GIVEN_UP };

typedef struct member {
  iec_team *team;
  int32_t index, rank; /* rank: among those that began the job */
  atomic_int state;    /* the thread frees a member that it finds given up */
} member;

struct iec_team {
  _Alignas(64) iec_gate job; /* number, OPEN, pooled members inside */
  iec_team_fn fn;            /* what a member wants to know next lies in the same line */
  void *arg;
  atomic_int most;               /* pooled members that may enter */
  int32_t whole;                 /* every member enters */
  _Alignas(64) iec_gate phase;   /* changes when a barrier opens */
  _Alignas(64) iec_gate arrived; /* pooled members that wait in a barrier */
  _Alignas(64) iec_gate left; /* counts the jobs that were closed with somebody inside and then left by all */
  _Alignas(64) int32_t inside; /* of a closed job; negative: it is open */
  atomic_int stop;
  int32_t threads; /* asked for */
  int spins; /* before sleeping; none where members outnumber cpus: they would wait for each other's cpu */
  int32_t members; /* there are: `threads` but after a fork */
  uint32_t generation;
  unsigned lefts; /* the caller's copy of `left` */
  int64_t began;  /* when the job began */
  int64_t alone,
      alone_until; /* how long, and until when, the caller works or has worked alone; nanoseconds */
  int32_t is_alone;
  int32_t *cpus;
  pthread_t *handles;
  member **slots;
};

/* The caller waits until the gate's word is `value`. */
static void await(iec_team *team, iec_gate *gate, unsigned value) {
  if (iec_gate_spin(gate, value, team->spins)) return;
  int64_t start = iec_now_ns();
  for (unsigned now; (now = atomic_load(&gate->word)) != value;) iec_gate_wait(gate, now, 0, -1);
  int64_t end = iec_now_ns(), waited = end - start;
  if (waited < LONG_WAIT || waited * 5 < end - team->began) return;
  if (start - team->alone_until > SHARED_TIMES * waited) { /* the first for long */
    team->alone = 0;
    team->alone_until = end;
    return;
  }
  team->alone = team->alone * 2 > waited * ALONE_TIMES ? team->alone * 2 : waited * ALONE_TIMES;
  if (team->alone > ALONE_MOST) team->alone = ALONE_MOST;
  team->alone_until = end + team->alone;
  team->is_alone = 1;
}

/* Nobody begins the job any more; once. The last of those inside raises `left`. */
static void close_job(iec_team *team) {
  if (team->inside < 0) team->inside = (int32_t)INSIDE(atomic_fetch_and(&team->job.word, ~OPEN));
}

/* The caller waits until all who are inside have arrived and opens the next phase. A member reads the phase
 * before it arrives, so it cannot miss it. */
void iec_team_barrier(iec_team *team, int32_t index) {
  if (team->members == 1) return;
  unsigned phase = atomic_load_explicit(&team->phase.word, memory_order_relaxed);
  if (index) {
    iec_gate_add(&team->arrived, 1);
    iec_gate_wait(&team->phase, phase, team->spins, -1);
    return;
  }
  if (team->whole && team->inside < 0) await(team, &team->arrived, (unsigned)team->members - 1);
  close_job(team);
  if (!team->inside) return;
  await(team, &team->arrived, (unsigned)team->inside);
  atomic_store_explicit(&team->arrived.word, 0, memory_order_relaxed);
  iec_gate_set(&team->phase, phase + 1);
}

int32_t iec_team_settle(iec_team *team, int32_t index, int32_t *out_rank) {
  *out_rank = 0;
  if (team->members == 1) return 1;
  iec_team_barrier(team, index);
  if (index) *out_rank = team->slots[index]->rank;
  return team->inside + 1;
}

/* 1 when the member has become part of the job that `word` announces. */
static int enter(iec_team *team, unsigned word, member *self) {
  while (word & OPEN && (int32_t)INSIDE(word) < atomic_load_explicit(&team->most, memory_order_relaxed)) {
    unsigned seen = word;
    if (atomic_compare_exchange_weak(&team->job.word, &seen, word + 1)) {
      self->rank = (int32_t)INSIDE(word) + 1;
      return 1;
    }
    if (NUMBER(seen) != NUMBER(word)) return 0;
    word = seen;
  }
  return 0;
}

static void *member_main(void *arg) {
  member *self = arg;
  int state = CREATED;
  if (!atomic_compare_exchange_strong(&self->state, &state, BEGUN)) {
    free(self);
    return NULL;
  }
  iec_team *team = self->team;
  unsigned last = 0;
  while (!atomic_load_explicit(&team->stop, memory_order_acquire)) {
    unsigned word = atomic_load_explicit(&team->job.word, memory_order_acquire);
    if (NUMBER(word) == last) {
      iec_gate_wait(&team->job, word, team->spins, -1);
      continue;
    }
    last = NUMBER(word);
    if (!enter(team, word, self)) continue;
    team->fn(team->arg, self->index, team->members);
    if (team->whole) iec_team_barrier(team, self->index);
    word = atomic_fetch_sub(&team->job.word, 1);
    if (!(word & OPEN) && INSIDE(word) == 1) iec_gate_add(&team->left, 1);
  }
  return NULL;
}

/* The cpu that the member is bound to, as a set; 0: it is not bound. */
static int bound_to(const iec_team *team, int32_t index, cpu_set_t *set) {
  if (!team->cpus || team->cpus[index] < 0 || team->cpus[index] >= CPU_SETSIZE) return 0;
  CPU_ZERO(set);
  CPU_SET((unsigned)team->cpus[index], set);
  return 1;
}

static int start_member(iec_team *team, int32_t index) {
  pthread_attr_t attr;
  cpu_set_t set;
  member *self = malloc(sizeof *self);
  if (!self) return ENOMEM;
  *self = (member){.team = team, .index = index};
  int rc = pthread_attr_init(&attr);
  if (!rc) {
    if (bound_to(team, index, &set)) rc = pthread_attr_setaffinity_np(&attr, sizeof set, &set);
    if (!rc) rc = pthread_create(&team->handles[index], &attr, member_main, self);
    pthread_attr_destroy(&attr);
  }
  /* A cpu outside of what the process may use: run it unpinned rather than not at all. */
  if (rc == EINVAL) rc = pthread_create(&team->handles[index], NULL, member_main, self);
  if (rc)
    free(self);
  else
    team->slots[index] = self;
  return rc;
}

/* The caller runs where the system puts it: a member that is bound to that cpu takes the place kept for the
 * caller. */
static void make_room(iec_team *team) {
  int cpu = sched_getcpu();
  for (int32_t i = 1; i < team->members; i++) {
    cpu_set_t set;
    if (team->cpus[i] != cpu || team->cpus[0] == cpu || team->cpus[0] < 0) continue;
    team->cpus[i] = team->cpus[0];
    team->cpus[0] = cpu;
    if (bound_to(team, i, &set)) pthread_setaffinity_np(team->handles[i], sizeof set, &set);
    return;
  }
}

static void free_members(iec_team *team) {
  for (int32_t i = 1; i < team->members; i++) free(team->slots[i]);
  team->members = 1;
}

/* Starts the pooled threads; team->members tells how many members there are. */
static int start_members(iec_team *team) {
  int rc = 0;
  iec_gate *gates[] = {&team->job, &team->phase, &team->arrived, &team->left};
  for (size_t i = 0; i < sizeof gates / sizeof *gates; i++) {
    atomic_store(&gates[i]->word, 0);
    atomic_store(&gates[i]->sleepers, 0);
  }
  team->lefts = 0;
  team->alone = team->alone_until = team->is_alone = 0;
  free_members(team); /* of before a fork */
  while (team->members < team->threads && !(rc = start_member(team, team->members))) team->members++;
  team->generation = iec_fork_generation();
  return rc;
}

/* The word of the next job. */
static unsigned next_word(iec_team *team) {
  unsigned word = atomic_load_explicit(&team->job.word, memory_order_relaxed);
  return (NUMBER(word) + 1) % NUMBERS << 12;
}

static void stop_members(iec_team *team) {
  if (team->generation != iec_fork_generation()) return;
  atomic_store(&team->stop, 1);
  iec_gate_set(&team->job, next_word(team));
  for (int32_t i = 1; i < team->members; i++) {
    int state = CREATED;
    if (atomic_compare_exchange_strong(&team->slots[i]->state, &state, GIVEN_UP)) {
      pthread_detach(team->handles[i]);
      team->slots[i] = NULL; /* the thread's */
    } else {
      pthread_join(team->handles[i], NULL);
    }
  }
}

static void team_free(iec_team *team) {
  free_members(team);
  free(team->cpus);
  free(team->handles);
  free(team->slots);
  free(team);
}

iec_status iec_team_create(iec_host *host, int32_t threads, const int32_t *cpus, iec_team **out,
                           iec_error *err) {
  (void)host;
  *out = NULL;
  if (threads < 1 || threads > MAX_THREADS)
    return iec_fail(err, IEC_OUT_OF_BOUNDS, "team_create", "%d threads, expected 1 to %d", (int)threads,
                    MAX_THREADS);
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
    iec_status status =
        iec_fail(err, rc == ENOMEM ? IEC_OUT_OF_MEMORY : IEC_GENERAL_ERROR, "team_create",
                 "thread %d of %d cannot be created: %s", (int)team->members + 1, (int)threads, strerror(rc));
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

/* The caller's part of a job that up to `most` pooled members enter, all of them when it is `whole`. */
static void run_job(iec_team *team, int32_t most, int32_t whole, iec_team_fn fn, void *arg) {
  if (team->cpus) make_room(team);
  team->fn = fn;
  team->arg = arg;
  team->whole = whole;
  team->inside = -1;
  atomic_store_explicit(&team->most, most, memory_order_relaxed);
  team->began = iec_now_ns();
  iec_gate_set(&team->job, next_word(team) | OPEN);
  fn(arg, 0, team->members);
  if (whole) iec_team_barrier(team, 0);
  close_job(team);
  if (team->inside) await(team, &team->left, ++team->lefts);
}

static void run_alone(iec_team *team, iec_team_fn fn, void *arg) {
  team->inside = 0;
  fn(arg, 0, 1);
}

void iec_team_run(iec_team *team, iec_team_fn fn, void *arg) {
  if (team->generation != iec_fork_generation()) start_members(team);
  if (team->members > 1)
    run_job(team, team->members - 1, 1, fn, arg);
  else
    run_alone(team, fn, arg);
}

void iec_team_share(iec_team *team, int32_t most, iec_team_fn fn, void *arg) {
  if (team->generation != iec_fork_generation()) start_members(team);
  if (team->is_alone) team->is_alone = iec_now_ns() < team->alone_until;
  if (team->members > 1 && most > 1 && !team->is_alone)
    run_job(team, most - 1, 0, fn, arg);
  else
    run_alone(team, fn, arg);
}
