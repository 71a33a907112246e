/* SPDX-License-Identifier: Apache-2.0 */
/* Failures, growing arrays, and texts. */
#include "opencl/common.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

iec_status gpu_fail(iec_error *err, iec_status code, const char *where, const char *format, ...) {
  if (!err || err->code != IEC_OK) return code;
  err->code = code;
  snprintf(err->where, sizeof err->where, "%s", where ? where : "GPU");
  va_list args;
  va_start(args, format);
  vsnprintf(err->message, sizeof err->message, format, args);
  va_end(args);
  return code;
}

iec_status gpu_no_memory(iec_error *err) { return gpu_fail(err, IEC_OUT_OF_MEMORY, NULL, "out of memory"); }

int gpu_grow(void *array, size_t element, int32_t count, int32_t *capacity) {
  if (count < *capacity) return 1;
  int32_t wanted = count < 8 ? 16 : 2 * count;
  void *old;
  memcpy(&old, array, sizeof old);
  void *grown = realloc(old, (size_t)wanted * element);
  if (!grown) return 0;
  memset((char *)grown + (size_t)count * element, 0, (size_t)(wanted - count) * element);
  memcpy(array, &grown, sizeof grown);
  *capacity = wanted;
  return 1;
}

void gpu_text_add(gpu_text *text, const char *format, ...) {
  va_list args;
  va_start(args, format);
  size_t room = text->buf && text->length < text->room ? text->room - text->length : 0;
  int count = vsnprintf(room ? text->buf + text->length : NULL, room, format, args);
  va_end(args);
  if (count > 0) text->length += (size_t)count;
}

void gpu_text_escaped(gpu_text *text, const char *value) {
  for (; *value; ++value) {
    unsigned char c = (unsigned char)*value;
    if (c == '"' || c == '\\')
      gpu_text_add(text, "\\%c", c);
    else if (c < 0x20)
      gpu_text_add(text, "\\u%04x", c);
    else
      gpu_text_add(text, "%c", c);
  }
}

iec_status gpu_text_finish(gpu_text *text, size_t *size, iec_error *err) {
  size_t needed = text->length + 1;
  if (text->buf && text->room < needed)
    return gpu_fail(err, IEC_OUT_OF_BOUNDS, NULL, "the text needs %zu bytes, the buffer has %zu", needed,
                    text->room);
  *size = needed;
  return IEC_OK;
}
