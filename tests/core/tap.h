/* SPDX-License-Identifier: Apache-2.0 */
/* Test results as TAP lines on stdout. */
#ifndef IEC_TESTS_TAP_H
#define IEC_TESTS_TAP_H
#include <stdio.h>

static int tap_count, tap_failed;

static inline void tap_ok(int good, const char *name) {
  printf("%s %d - %s\n", good ? "ok" : "not ok", ++tap_count, name);
  fflush(stdout);
  tap_failed += !good;
}

static inline void tap_skip(const char *name, const char *reason) {
  printf("ok %d - %s # SKIP %s\n", ++tap_count, name, reason);
  fflush(stdout);
}

static inline int tap_end(void) {
  printf("1..%d\n", tap_count);
  return tap_failed != 0;
}

#endif
