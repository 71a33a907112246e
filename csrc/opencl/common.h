/* SPDX-License-Identifier: Apache-2.0 */
/* Small services for the files of the OpenCL driver: failures, texts, zeroed memory. */
#ifndef IEC_OPENCL_COMMON_H
#define IEC_OPENCL_COMMON_H
#include <stddef.h>
#include <stdlib.h>

#include "iec/base.h"

#define GPU_TRY(call)                  \
  do {                                 \
    iec_status try_status = (call);    \
    if (try_status) return try_status; \
  } while (0)

/* Writes the first failure into `err` (NULL accepted) and returns `code`. `where`: a layer's name, or NULL.
 */
iec_status gpu_fail(iec_error *err, iec_status code, const char *where, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
iec_status gpu_no_memory(iec_error *err);

/* Room for `count` + 1 elements of an array that is at `*array` and has `*capacity`; 0 when out of memory. */
int gpu_grow(void *array, size_t element, int32_t count, int32_t *capacity);

typedef struct gpu_text { /* as snprintf: `length` grows past `room`, nothing is written beyond it */
  char *buf;              /* may be NULL */
  size_t room, length;
} gpu_text;

void gpu_text_add(gpu_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void gpu_text_escaped(gpu_text *text, const char *value); /* inside a JSON string */
/* Ends the text and does the (buf, size) protocol of driver.h. */
iec_status gpu_text_finish(gpu_text *text, size_t *size, iec_error *err);

#endif
