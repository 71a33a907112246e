/* SPDX-License-Identifier: Apache-2.0 */
/* Writing failures into the caller's error record. */
#include <stdarg.h>
#include <stdio.h>

#include "core.h"

iec_status iec_fail(iec_error *err, iec_status code, const char *where, const char *format, ...) {
  if (!err || err->code != IEC_OK) return code;
  err->code = code;
  snprintf(err->where, sizeof err->where, "%s", where ? where : "");
  va_list args;
  va_start(args, format);
  vsnprintf(err->message, sizeof err->message, format, args);
  va_end(args);
  return code;
}
