/* SPDX-License-Identifier: Apache-2.0 */
/* Members of a step: every chunk goes to one of them, each begins in its own share, whoever is left takes the
 * rest. */
#include <stdlib.h>
#include <string.h>

#include "cpu/kernels/common.h"
#include "tap.h"

enum { MOST = 7, COUNT = 1000 };

static atomic_llong counters[MOST * CPU_COUNTERS_STEP];

/* How often each item is handed out when members take turns, of which `present` come. */
static void hand_out(int32_t members, int32_t present, int64_t count, int64_t grain, int *times) {
  int going = 1;
  memset(counters, 0, sizeof counters);
  memset(times, 0, (size_t)count * sizeof *times);
  while (going) {
    going = 0;
    for (int32_t m = 0; m < present; m++) {
      cpu_run run = {.member = m, .members = members, .next = counters};
      int64_t begin, end;
      if (!cpu_next_phase(&run, 3, count, grain, &begin, &end)) continue;
      going = 1;
      for (; begin < end; begin++) times[begin]++;
    }
  }
}

static int all_once(int32_t members, int32_t present) {
  int times[COUNT];
  static const int64_t counts[] = {0, 1, 2, 3, 5, 12, 64, 999, COUNT}, grains[] = {1, 3, 16, 2000};
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
    for (size_t j = 0; j < sizeof grains / sizeof *grains; j++) {
      hand_out(members, present, counts[i], grains[j], times);
      for (int64_t k = 0; k < counts[i]; k++)
        if (times[k] != 1) return 0;
    }
  return 1;
}

static int begins_at(int32_t member, int32_t members, int64_t expected) {
  cpu_run run = {.member = member, .members = members, .next = counters};
  int64_t begin = -1, end;
  memset(counters, 0, sizeof counters);
  return cpu_next(&run, 12, 1, &begin, &end) && begin == expected && end == expected + 1;
}

/* Every place of the map once, and the first share of the items in the first band. */
static int places_once(int32_t members, int64_t columns, int64_t pieces) {
  char seen[COUNT] = {0};
  cpu_run run = {.members = members};
  for (int64_t i = 0; i < columns * pieces; i++) {
    int64_t column, piece;
    op_place(&run, i, columns, pieces, &column, &piece);
    if (column < 0 || column >= columns || piece < 0 || piece >= pieces) return 0;
    if (i < columns * (pieces / members) && piece >= pieces / members) return 0;
    if (seen[column * pieces + piece]++) return 0;
  }
  return 1;
}

int main(void) {
  int shared = 1, alone = 1, places = 1;
  for (int32_t members = 1; members <= MOST; members++) {
    shared &= all_once(members, members);
    alone &= all_once(members, 1);
    for (int64_t pieces = 1; pieces <= 20; pieces++)
      places &= places_once(members, 3, pieces) & places_once(members, 1, pieces);
  }
  tap_ok(shared, "every item goes to one member");
  tap_ok(alone, "one member does the work of those that do not come");
  tap_ok(begins_at(0, 3, 0) && begins_at(1, 3, 4) && begins_at(2, 3, 8), "each begins in its own share");
  tap_ok(places, "bands and columns reach every place once");
  return tap_end();
}
