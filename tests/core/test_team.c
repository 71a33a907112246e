/* SPDX-License-Identifier: Apache-2.0 */
/* Thread teams: every member runs once a run, barriers hold everybody, shared work is done by who comes,
 * forked children get new threads, nobody waits for a thread that has not begun. */
#include <dirent.h>
#include <sched.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/core.h"
#include "tap.h"

#define MEMBERS 4
#define RUNS 1000
#define ROUNDS 20
#define ITEMS 64

typedef struct shared {
  iec_team *team;
  atomic_int calls, wrong;
  int slots[MEMBERS]; /* plain memory: the barrier alone orders it */
  int items[ITEMS];   /* plain memory: each is written by who took it, then read by the caller */
  atomic_int next;
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

static void take(void *arg, int32_t member, int32_t members) {
  shared *s = arg;
  if (member < 0 || member >= members) atomic_fetch_add(&s->wrong, 1);
  for (int i; (i = atomic_fetch_add(&s->next, 1)) < ITEMS;) s->items[i]++;
}

/* Takes items, then divides their sums among those who are there by rank. */
static void divide(void *arg, int32_t member, int32_t members) {
  shared *s = arg;
  int32_t rank = 0, count = 1;
  take(arg, member, members);
  if (members > 1) count = iec_host_table.team_settle(s->team, member, &rank);
  if (rank < 0 || rank >= count || count > members || (member == 0) != (rank == 0))
    atomic_fetch_add(&s->wrong, 1);
  for (int i = ITEMS * rank / count; i < ITEMS * (rank + 1) / count; i++) s->items[i] += 1000;
  if (members > 1) iec_host_table.team_barrier(s->team, member);
  for (int i = 0; i < ITEMS; i++)
    if (s->items[i] % 1000 == 0 || s->items[i] / 1000 != s->items[0] / 1000) atomic_fetch_add(&s->wrong, 1);
}

static int shares_right(shared *s, iec_team_fn fn, int32_t most, int each) {
  memset(s->items, 0, sizeof s->items);
  atomic_store(&s->wrong, 0);
  for (int i = 0; i < RUNS; i++) {
    atomic_store(&s->next, 0);
    iec_host_table.team_share(s->team, most, fn, s);
    for (int k = 0; k < ITEMS; k++) s->items[k] %= 1000;
    for (int k = 0; k < ITEMS; k++)
      if (s->items[k] != i % 900 + 1) return 0;
    if (i % 900 == 899) memset(s->items, 0, sizeof s->items);
    if (i % 100 == each) usleep(2000); /* the members go to sleep */
  }
  return atomic_load(&s->wrong) == 0;
}

/* A member that holds its part of a job up, as one that has lost its cpu does. */
static void hold_up(void *arg, int32_t member, int32_t members) {
  shared *s = arg;
  atomic_fetch_add(&s->calls, 1);
  if (member)
    usleep(20000);
  else
    for (int i = 0; members > 1 && atomic_load(&s->calls) < 2 && i < 1000; i++) usleep(100);
  if (members == 1) atomic_fetch_add(&s->wrong, 1);
}

static int caller_goes_on_alone(shared *s) {
  atomic_store(&s->wrong, 0);
  for (int i = 0; i < 50 && !atomic_load(&s->wrong); i++) { /* twice in a row: once is an accident */
    atomic_store(&s->calls, 0);
    iec_host_table.team_share(s->team, 2, hold_up, s);
  }
  return atomic_load(&s->wrong) == 1;
}

static int runs_right(shared *s) {
  atomic_store(&s->calls, 0);
  atomic_store(&s->wrong, 0);
  for (int i = 0; i < RUNS; i++) iec_host_table.team_run(s->team, count, s);
  if (atomic_load(&s->calls) != RUNS * MEMBERS || atomic_load(&s->wrong)) return 0;
  for (int i = 0; i < RUNS / 10; i++) iec_host_table.team_run(s->team, rounds, s);
  return atomic_load(&s->wrong) == 0;
}

static int threads_there(void) {
  DIR *folder = opendir("/proc/self/task");
  int count = 0;
  for (struct dirent *entry; folder && (entry = readdir(folder));) count += entry->d_name[0] != '.';
  if (folder) closedir(folder);
  return count;
}

/* Teams whose threads share the caller's cpu, so that most have not begun when the team goes. */
static int goes_without_waiting(void) {
  const iec_host_api *host = &iec_host_table;
  int32_t cpu = sched_getcpu(), cpus[MEMBERS] = {cpu, cpu, cpu, cpu};
  iec_error none = {.struct_size = sizeof none};
  int before = threads_there(), good = 1;
  for (int i = 0; i < 200; i++) {
    shared s = {0};
    if (host->team_create(host->self, MEMBERS, cpus, &s.team, &none)) return 0;
    if (i % 2) {
      host->team_share(s.team, MEMBERS, take, &s);
      for (int k = 0; k < ITEMS; k++) good &= s.items[k] == 1;
    }
    host->team_release(s.team);
  }
  for (int i = 0; threads_there() > before && i < 1000; i++) usleep(10000);
  return good && threads_there() == before;
}

int main(int argc, char **argv) {
  alarm(120); /* a lost wake-up would hang */
  const iec_host_api *host = &iec_host_table;
  shared s = {0};
  iec_error err = {.struct_size = sizeof err};
  tap_ok(host->team_create(host->self, 0, NULL, &s.team, &err) == IEC_OUT_OF_BOUNDS && !s.team,
         "a team of none is refused");
  tap_ok(strstr(err.message, "0 threads") != NULL, "the text names the number");

  const int32_t cpus[MEMBERS] = {0, 0, 5000, -1};
  iec_error none = {.struct_size = sizeof none};
  tap_ok(host->team_create(host->self, MEMBERS, cpus, &s.team, &none) == IEC_OK,
         "a pinned team, cpus that are not there ignored");
  tap_ok(runs_right(&s), "every member runs once a run, barriers hold (pinned)");
  host->team_release(s.team);

  tap_ok(host->team_create(host->self, MEMBERS, NULL, &s.team, &none) == IEC_OK, "a team of four");
  tap_ok(runs_right(&s), "every member runs once a run, barriers hold");
  atomic_store(&s.calls, 0);
  host->team_run(s.team, block, &s);
  tap_ok(atomic_load(&s.calls) == MEMBERS, "a sleeping member is woken by the barrier");
  usleep(20000);
  tap_ok(runs_right(&s), "sleeping members are woken by a run");
  tap_ok(shares_right(&s, take, MEMBERS, 50), "shared work is done once whoever comes");
  tap_ok(shares_right(&s, take, 2, 50), "and by two members at most");
  tap_ok(shares_right(&s, divide, MEMBERS, 50), "those who came divide work by rank");
  tap_ok(caller_goes_on_alone(&s), "after a long wait for a member the caller works alone");
  usleep(300000);
  tap_ok(shares_right(&s, divide, MEMBERS, -1) && runs_right(&s), "and with the others again");

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

  tap_ok(goes_without_waiting(), "threads that have not begun when their team goes end by themselves");

  tap_ok(host->team_create(host->self, 1, NULL, &s.team, &none) == IEC_OK, "a team of one");
  atomic_store(&s.calls, 0);
  host->team_run(s.team, block, &s);
  tap_ok(atomic_load(&s.calls) == 1, "its run is the caller's");
  host->team_release(s.team);
  return tap_end();
}
