/* SPDX-License-Identifier: Apache-2.0 */
/* Error records: the first failure wins, long texts are cut, NULL is accepted. */
#include <string.h>

#include "core/core.h"
#include "tap.h"

int main(void) {
  iec_error err = {.struct_size = sizeof err};
  tap_ok(sizeof err == 1024, "an error record has 1024 bytes");
  tap_ok(iec_fail(&err, IEC_NOT_FOUND, "place", "value %d, limit %d", 5, 4) == IEC_NOT_FOUND,
         "the code is returned");
  tap_ok(err.code == IEC_NOT_FOUND && !strcmp(err.where, "place") && !strcmp(err.message, "value 5, limit 4"),
         "code, place and text are written");
  tap_ok(iec_fail(&err, IEC_UNEXPECTED, "other", "later") == IEC_UNEXPECTED && err.code == IEC_NOT_FOUND,
         "a second failure changes nothing");
  tap_ok(iec_fail(NULL, IEC_NOT_FOUND, "place", "text") == IEC_NOT_FOUND, "no record is needed");
  char lengthy[2000];
  memset(lengthy, 'x', sizeof lengthy - 1);
  lengthy[sizeof lengthy - 1] = 0;
  iec_error full = {.struct_size = sizeof full};
  iec_fail(&full, IEC_GENERAL_ERROR, lengthy, "%s", lengthy);
  tap_ok(strlen(full.where) == sizeof full.where - 1 && strlen(full.message) == sizeof full.message - 1,
         "texts that are too long are cut");
  return tap_end();
}
