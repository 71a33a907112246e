/* SPDX-License-Identifier: Apache-2.0 */
/* Noticing forks: threads do not survive them, so what owns threads compares generations before it uses them.
 */
#include "core.h"

static atomic_uint generation = 1;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void in_child(void) { atomic_fetch_add(&generation, 1); }

static void install(void) { pthread_atfork(NULL, NULL, in_child); }

uint32_t iec_fork_generation(void) {
  pthread_once(&once, install);
  return atomic_load_explicit(&generation, memory_order_relaxed);
}
