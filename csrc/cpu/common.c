/* SPDX-License-Identifier: Apache-2.0 */
/* Small services for the engine and the kernels: failure texts and op codes. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cpu/kernel.h"

iec_status cpu_fail(iec_error *err, iec_status code, const char *where, const char *format, ...) {
  if (!err || err->code != IEC_OK) return code;
  err->code = code;
  snprintf(err->where, sizeof err->where, "%s", where ? where : "CPU");
  va_list args;
  va_start(args, format);
  vsnprintf(err->message, sizeof err->message, format, args);
  va_end(args);
  return code;
}

static const char *const unary_names[CPU_UNARY_COUNT] = {
    "relu",     "sigmoid",      "tanh",       "elu",        "clamp",      "exp",   "log",
    "abs",      "neg",          "sqrt",       "square",     "reciprocal", "sign",  "binary_sign",
    "floor",    "ceil",         "round_even", "round_away", "erf",        "sin",   "cos",
    "tan",      "asin",         "acos",       "atan",       "sinh",       "cosh",  "asinh",
    "acosh",    "atanh",        "softplus",   "softsign",   "mish",       "swish", "hswish",
    "hsigmoid", "hard_sigmoid", "selu",       "gelu",       "gelu_tanh",  "power", "not"};

int32_t cpu_unary_code(const char *op) {
  for (int32_t i = 0; i < CPU_UNARY_COUNT; ++i)
    if (strcmp(unary_names[i], op) == 0) return i;
  return -1;
}
