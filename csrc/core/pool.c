/* SPDX-License-Identifier: Apache-2.0 */
/* Worker threads of one executable: jobs begin in the order of their submission. */
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"

#define BEING_RESET 0u /* a generation no process has */

struct iec_pool {
  pthread_mutex_t mutex;
  pthread_cond_t work;
  iec_job *first, **last;
  int32_t limit, threads, idle, queued;
  int stop;
  int orphan; /* the worker that released the pool frees it when it ends */
  pthread_t owner;
  atomic_uint generation;
  pthread_t handles[];
};

static void pool_free(iec_pool *pool) {
  pthread_cond_destroy(&pool->work);
  pthread_mutex_destroy(&pool->mutex);
  free(pool);
}

static void *worker_main(void *arg) {
  iec_pool *pool = arg;
  pthread_mutex_lock(&pool->mutex);
  for (;;) {
    pool->idle++;
    while (!pool->first && !pool->stop) pthread_cond_wait(&pool->work, &pool->mutex);
    pool->idle--;
    iec_job *job = pool->first;
    if (!job) break;
    pool->queued--;
    pool->first = job->next;
    if (!pool->first) pool->last = &pool->first;
    pthread_mutex_unlock(&pool->mutex);
    job->run(job);
    pthread_mutex_lock(&pool->mutex);
  }
  int frees = pool->orphan && pthread_equal(pool->owner, pthread_self());
  pthread_mutex_unlock(&pool->mutex);
  if (frees) pool_free(pool);
  return NULL;
}

static void pool_init(iec_pool *pool) {
  pthread_mutex_init(&pool->mutex, NULL);
  pthread_cond_init(&pool->work, NULL);
  pool->first = NULL;
  pool->last = &pool->first;
  pool->threads = pool->idle = pool->queued = 0;
}

/* In the child of a fork: no worker lives, and what was queued belongs to the parent. */
static void pool_refresh(iec_pool *pool) {
  unsigned current = iec_fork_generation();
  unsigned seen = atomic_load(&pool->generation);
  if (seen == current) return;
  if (seen != BEING_RESET && atomic_compare_exchange_strong(&pool->generation, &seen, BEING_RESET)) {
    pool_init(pool);
    atomic_store(&pool->generation, current);
  }
  while (atomic_load(&pool->generation) == BEING_RESET) sched_yield();
}

iec_status iec_pool_create(int32_t limit, iec_pool **out, iec_error *err) {
  *out = NULL;
  iec_pool *pool = calloc(1, sizeof *pool + (size_t)limit * sizeof pool->handles[0]);
  if (!pool) return iec_fail(err, IEC_OUT_OF_MEMORY, "pool", "out of memory");
  pool->limit = limit;
  pool_init(pool);
  atomic_store(&pool->generation, iec_fork_generation());
  *out = pool;
  return IEC_OK;
}

void iec_pool_release(iec_pool *pool) {
  if (!pool) return;
  if (atomic_load(&pool->generation) != iec_fork_generation()) {
    free(pool); /* the parent's mutex may be locked; nothing of it holds memory */
    return;
  }
  pthread_mutex_lock(&pool->mutex);
  pool->stop = 1;
  pool->owner = pthread_self();
  for (int32_t i = 0; i < pool->threads; i++)
    if (pthread_equal(pool->handles[i], pool->owner)) pool->orphan = 1;
  pthread_cond_broadcast(&pool->work);
  pthread_mutex_unlock(&pool->mutex);
  for (int32_t i = 0; i < pool->threads; i++) {
    if (pthread_equal(pool->handles[i], pool->owner))
      pthread_detach(pool->handles[i]);
    else
      pthread_join(pool->handles[i], NULL);
  }
  if (!pool->orphan) pool_free(pool);
}

iec_status iec_pool_submit(iec_pool *pool, iec_job *job, iec_error *err) {
  pool_refresh(pool);
  int rc = 0;
  pthread_mutex_lock(&pool->mutex);
  /* A worker that was signalled counts as idle until it runs, and as taken by the job it was signalled for.
   */
  if (pool->idle <= pool->queued && pool->threads < pool->limit) {
    rc = pthread_create(&pool->handles[pool->threads], NULL, worker_main, pool);
    if (!rc) pool->threads++;
    if (pool->threads) rc = 0; /* those there are will do */
  }
  if (!rc) {
    job->next = NULL;
    *pool->last = job;
    pool->last = &job->next;
    pool->queued++;
    pthread_cond_signal(&pool->work);
  }
  pthread_mutex_unlock(&pool->mutex);
  if (rc)
    return iec_fail(err, IEC_GENERAL_ERROR, "pool", "no worker thread can be created: %s", strerror(rc));
  return IEC_OK;
}
