/* SPDX-License-Identifier: Apache-2.0 */
/* Hands inferences to free streams. */
#include "cpu/streams.h"

#include <pthread.h>
#include <stdalign.h>
#include <string.h>
#include <unistd.h>

#include "cpu/machine.h"

typedef struct stream {
  cpu_crew crew;
  void *scratch, *member_scratch;
  int32_t busy;
} stream;

struct cpu_streams {
  const iec_host_api *host;
  const cpu_plan *plan;
  stream *streams;
  int32_t count, threads;
  pthread_mutex_t lock;
  pthread_cond_t freed;
  pid_t owner; /* process in which lock, freed and busy mean something: a fork copies them in any state */
};

static size_t member_stride(const cpu_plan *plan) {
  return (cpu_plan_member_scratch(plan) + 127) / 128 * 128;
}

/* `cpus`: one for each member, NULL: they are not bound. */
static iec_status stream_create(cpu_streams *streams, stream *s, const int32_t *cpus, iec_error *err) {
  const iec_host_api *host = streams->host;
  s->scratch = host->alloc(host->self, cpu_plan_scratch(streams->plan), 64);
  s->member_scratch = host->alloc(host->self, member_stride(streams->plan) * (size_t)streams->threads, 64);
  if (!s->scratch || !s->member_scratch)
    return cpu_fail(err, IEC_OUT_OF_MEMORY, NULL, "no memory for activations, %zu bytes",
                    cpu_plan_scratch(streams->plan));
  s->crew = (cpu_crew){.host = host, .members = streams->threads, .stride = member_stride(streams->plan)};
  if (streams->threads == 1) return IEC_OK;
  size_t counters = (size_t)streams->threads * CPU_COUNTERS_STEP * sizeof *s->crew.counters;
  s->crew.counters = host->alloc(host->self, counters, 128);
  if (!s->crew.counters) return cpu_fail(err, IEC_OUT_OF_MEMORY, NULL, "no memory for %zu bytes", counters);
  return host->team_create(host->self, streams->threads, cpus, &s->crew.team, err);
}

iec_status cpu_streams_create(const iec_host_api *host, const cpu_plan *plan, int32_t count, int32_t threads,
                              int32_t bound, cpu_streams **out, iec_error *err) {
  *out = NULL;
  cpu_streams *streams = host->alloc(host->self, sizeof *streams, alignof(max_align_t));
  stream *slots = host->alloc(host->self, (size_t)count * sizeof *slots, alignof(max_align_t));
  if (!streams || !slots) {
    host->release(host->self, streams);
    host->release(host->self, slots);
    return cpu_graph_no_memory(err);
  }
  memset(slots, 0, (size_t)count * sizeof *slots);
  *streams = (cpu_streams){.host = host, .plan = plan, .streams = slots, .count = count, .threads = threads};
  streams->owner = getpid();
  pthread_mutex_init(&streams->lock, NULL);
  pthread_cond_init(&streams->freed, NULL);
  iec_status status = IEC_OK;
  int32_t *cpus = bound && threads > 1 ? cpu_machine_members(host, count * threads) : NULL;
  for (int32_t i = 0; !status && i < count; ++i)
    status = stream_create(streams, &slots[i], cpus ? cpus + i * threads : NULL, err);
  host->release(host->self, cpus);
  if (status)
    cpu_streams_release(streams);
  else
    *out = streams;
  return status;
}

void cpu_streams_release(cpu_streams *streams) {
  if (!streams) return;
  const iec_host_api *host = streams->host;
  for (int32_t i = 0; i < streams->count; ++i) {
    stream *s = &streams->streams[i];
    if (s->crew.team) host->team_release(s->crew.team);
    host->release(host->self, s->crew.counters);
    host->release(host->self, s->scratch);
    host->release(host->self, s->member_scratch);
  }
  host->release(host->self, streams->streams);
  if (streams->owner == getpid()) { /* a copy in a child may be locked for ever: nothing to destroy there */
    pthread_mutex_destroy(&streams->lock);
    pthread_cond_destroy(&streams->freed);
  }
  host->release(host->self, streams);
}

/* In a child process the parent's inferences do not run: every stream is free. */
static void reset_after_fork(cpu_streams *streams) {
  if (streams->owner == getpid()) return;
  pthread_mutex_init(&streams->lock, NULL);
  pthread_cond_init(&streams->freed, NULL);
  for (int32_t i = 0; i < streams->count; ++i) streams->streams[i].busy = 0;
  streams->owner = getpid();
}

static stream *take(cpu_streams *streams) {
  stream *found = NULL;
  reset_after_fork(streams);
  pthread_mutex_lock(&streams->lock);
  while (!found) {
    for (int32_t i = 0; !found && i < streams->count; ++i)
      if (!streams->streams[i].busy) found = &streams->streams[i];
    if (!found) pthread_cond_wait(&streams->freed, &streams->lock);
  }
  found->busy = 1;
  pthread_mutex_unlock(&streams->lock);
  return found;
}

static void give_back(cpu_streams *streams, stream *s) {
  pthread_mutex_lock(&streams->lock);
  s->busy = 0;
  pthread_cond_signal(&streams->freed);
  pthread_mutex_unlock(&streams->lock);
}

iec_status cpu_streams_run(cpu_streams *streams, const void *const *inputs, void *const *outputs,
                           int64_t *times, iec_error *err) {
  stream *s = take(streams);
  cpu_failure failure;
  cpu_crew crew = s->crew;
  atomic_init(&failure.code, IEC_OK);
  failure.error.code = IEC_OK;
  crew.failure = &failure;
  cpu_plan_run(streams->plan, &crew, s->scratch, s->member_scratch, inputs, outputs, times);
  give_back(streams, s);
  iec_status status = atomic_load(&failure.code);
  return status ? cpu_fail(err, status, NULL, "%s", failure.error.message) : IEC_OK;
}
