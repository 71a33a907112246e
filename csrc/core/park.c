/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for a word to change: a bounded spin, then sleep in the kernel (futex). */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core.h"

static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

int64_t iec_now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int iec_gate_spin(iec_gate *gate, unsigned value, int spins) {
  for (int i = 0; i < spins; i++) {
    if (atomic_load_explicit(&gate->word, memory_order_acquire) == value) return 1;
    relax();
  }
  return atomic_load_explicit(&gate->word, memory_order_acquire) == value;
}

int iec_gate_wait(iec_gate *gate, unsigned old, int spins, int64_t deadline_ns) {
  for (int i = 0; i < spins; i++) {
    if (atomic_load_explicit(&gate->word, memory_order_acquire) != old) return 1;
    relax();
  }
  int changed = 0;
  /* Sequentially consistent with iec_gate_set: either it sees the sleeper, or the sleeper sees the new word.
   */
  atomic_fetch_add(&gate->sleepers, 1);
  while (!(changed = atomic_load(&gate->word) != old)) {
    struct timespec left, *limit = NULL;
    if (deadline_ns >= 0) {
      int64_t ns = deadline_ns - iec_now_ns();
      if (ns <= 0) break;
      left.tv_sec = (time_t)(ns / 1000000000);
      left.tv_nsec = (long)(ns % 1000000000);
      limit = &left;
    }
    syscall(SYS_futex, &gate->word, FUTEX_WAIT_PRIVATE, old, limit, NULL, 0);
  }
  atomic_fetch_sub(&gate->sleepers, 1);
  return changed;
}

static void wake(iec_gate *gate) {
  if (atomic_load(&gate->sleepers))
    syscall(SYS_futex, &gate->word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

void iec_gate_set(iec_gate *gate, unsigned value) {
  atomic_store(&gate->word, value);
  wake(gate);
}

void iec_gate_add(iec_gate *gate, unsigned value) {
  atomic_fetch_add(&gate->word, value);
  wake(gate);
}
