/* SPDX-License-Identifier: Apache-2.0 */
/* Thread teams: every member runs once a run, barriers hold everybody, forked children get new threads. */
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/core.h"
#include "tap.h"

#define MEMBERS 4
#define RUNS 1000
#define ROUNDS 20

typedef struct shared {
  iec_team *team;
  atomic_int calls, wrong;
  int slots[MEMBERS]; /* plain memory: the barrier alone orders it */
} shared;

static void count(void *arg, int32_t member, int32_t members) {
  shared *s = arg;
  atomic_fetch_add(&s->calls, 1);
  if (members != MEMBERS || member < 0 || member >= MEMBERS) atomic_fetch_add(&s->wrong, 1);
}

static void rounds(void *arg, int32_t member, int32_t members) {
  shared *s = arg;
  for (int round = 1; round <= ROUNDS; round++) {
    s->slots[member] = round;
    iec_host_table.team_barrier(s->team, member);
    for (int32_t i = 0; i < members; i++)
      if (s->slots[i] != round) atomic_fetch_add(&s->wrong, 1);
    iec_host_table.team_barrier(s->team, member);
  }
}

static void block(void *arg, int32_t member, int32_t members) {
  (void)members;
  shared *s = arg;
  if (member) usleep(20000); /* long enough for member 0 to go to sleep in the barrier */
  iec_host_table.team_barrier(s->team, member);
  atomic_fetch_add(&s->calls, 1);
}

static int runs_right(shared *s) {
  atomic_store(&s->calls, 0);
  atomic_store(&s->wrong, 0);
  for (int i = 0; i < RUNS; i++) iec_host_table.team_run(s->team, count, s);
  if (atomic_load(&s->calls) != RUNS * MEMBERS || atomic_load(&s->wrong)) return 0;
  for (int i = 0; i < RUNS / 10; i++) iec_host_table.team_run(s->team, rounds, s);
  return atomic_load(&s->wrong) == 0;
}

int main(int argc, char **argv) {
  alarm(120); /* a lost wake-up would hang */
  const iec_host_api *host = &iec_host_table;
  shared s = {0};
  iec_error err = {.struct_size = sizeof err};
  tap_ok(host->team_create(host->self, 0, NULL, &s.team, &err) == IEC_OUT_OF_BOUNDS && !s.team, "a team of none is refused");
  tap_ok(strstr(err.message, "0 threads") != NULL, "the text names the number");

  const int32_t cpus[MEMBERS] = {0, 0, 5000, -1};
  iec_error none = {.struct_size = sizeof none};
  tap_ok(host->team_create(host->self, MEMBERS, cpus, &s.team, &none) == IEC_OK, "a pinned team, cpus that are not there ignored");
  tap_ok(runs_right(&s), "every member runs once a run, barriers hold (pinned)");
  host->team_release(s.team);

  tap_ok(host->team_create(host->self, MEMBERS, NULL, &s.team, &none) == IEC_OK, "a team of four");
  tap_ok(runs_right(&s), "every member runs once a run, barriers hold");
  atomic_store(&s.calls, 0);
  host->team_run(s.team, block, &s);
  tap_ok(atomic_load(&s.calls) == MEMBERS, "a sleeping member is woken by the barrier");
  usleep(20000);
  tap_ok(runs_right(&s), "sleeping members are woken by a run");

  fflush(stdout);
  int status = -1;
  pid_t child;
  if (argc > 1 && strcmp(argv[1], "no-threads-after-fork") == 0) {
    tap_skip("a forked child uses the team with new threads", "the emulator cannot make threads there");
  } else {
    child = fork();
    if (child == 0) {
      int good = runs_right(&s);
      host->team_release(s.team);
      _exit(good ? 0 : 1);
    }
    waitpid(child, &status, 0);
    tap_ok(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a forked child uses the team with new threads");
  }
  tap_ok(runs_right(&s), "the parent goes on");

  child = fork();
  if (child == 0) {
    host->team_release(s.team);
    _exit(0);
  }
  waitpid(child, &status, 0);
  tap_ok(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a forked child releases a team it never used");
  host->team_release(s.team);
  host->team_release(NULL);

  tap_ok(host->team_create(host->self, 1, NULL, &s.team, &none) == IEC_OK, "a team of one");
  atomic_store(&s.calls, 0);
  host->team_run(s.team, block, &s);
  tap_ok(atomic_load(&s.calls) == 1, "its run is the caller's");
  host->team_release(s.team);
  return tap_end();
}
