/* SPDX-License-Identifier: Apache-2.0 */
/* Kind Recurrent: the input's product with all steps at once, then a launch or two a step. Sequences of
 * different lengths, clipping and unusual activations are left to the host. */
#include <stdio.h>
#include <string.h>

#include "opencl/ops/gemm.h"

enum { X, H0, C0, LENGTHS, W, R, B };
enum { RNN, LSTM, GRU_BEFORE, GRU };
enum { MOST_STEPS = 4096, GROUP = 32 };

typedef struct params { /* as cell_params of kernels/recurrent.cl */
  int32_t size, gates;
  int32_t x, x_stride, h, h_stride, y, y_stride, c, c_stride, r, b;
} params;

typedef struct sizes {
  int32_t cell, gates, bias_gates;
  int64_t rows, steps, width, directions, size;
  int reverse;
} sizes;

static int describe(const gpu_op *op, sizes *s) {
  static const char *const cells[] = {"rnn", "lstm", "gru", NULL};
  static const char *const usual[] = {"tanh", "sigmoid,tanh,tanh", "sigmoid,tanh"};
  if (op->input_count < 7 || op->output_count < 2) return 0;
  for (int i = 0; i < 7; i++)
    if (i != C0 && i != LENGTHS && !op->inputs[i]) return 0;
  if (op->inputs[LENGTHS] || !gpu_ports(op, 2, 2) || !gpu_all_float(op)) return 0;
  const int32_t cell = gpu_index(gpu_str(op, "cell", ""), cells);
  const char *direction = gpu_str(op, "direction", "forward");
  const gpu_value *x = op->inputs[X], *w = op->inputs[W];
  if (cell < 0 || gpu_float(op, "clip", 0) != 0 || strcmp(gpu_str(op, "activations", ""), usual[cell]))
    return 0;
  if (x->ndim != 3 || w->ndim != 3 || op->inputs[H0]->ndim != 3) return 0;
  s->cell = cell < 2 ? cell : gpu_int(op, "linear_before_reset", 0) ? GRU_BEFORE : GRU;
  s->gates = cell == RNN ? 1 : cell == LSTM ? 4 : 3;
  s->bias_gates = s->gates + (s->cell == GRU_BEFORE);
  s->rows = x->shape[0];
  s->steps = x->shape[1];
  s->width = x->shape[2];
  s->directions = w->shape[0];
  s->size = op->inputs[H0]->shape[2];
  s->reverse = strcmp(direction, "reverse") == 0;
  const int64_t state = s->rows * s->directions * s->size;
  if (cell == LSTM &&
      (!op->inputs[C0] || op->output_count < 3 || !op->outputs[2] || op->inputs[C0]->count != state))
    return 0;
  return s->steps <= MOST_STEPS && w->shape[1] == s->gates * s->size && w->shape[2] == s->width &&
         op->inputs[H0]->count == state &&
         op->inputs[R]->count == s->directions * s->gates * s->size * s->size &&
         op->inputs[B]->count == s->directions * s->bias_gates * s->size &&
         op->outputs[0]->count == state * s->steps && op->outputs[1]->count == state;
}

static int supports(const gpu_op *op) {
  sizes s;
  return describe(op, &s);
}

/* The gates' part of the input, for all rows and steps. */
static iec_status input_product(gpu_plan *plan, gpu_op *op, const sizes *s, int64_t d, const gpu_value *to,
                                iec_error *err) {
  const int32_t n = (int32_t)(s->gates * s->size), k = (int32_t)s->width;
  const gpu_gemm g = {.m = (int32_t)(s->rows * s->steps),
                      .n = n,
                      .k = k,
                      .a_row = k,
                      .a_col = 1,
                      .b_row = 1,
                      .b_col = k,
                      .c_row = n,
                      .c_col = 1,
                      .by_column = 1};
  const gpu_gemm_batch batch = {.b = (int32_t)(d * n * k)};
  return gpu_gemm_plan(plan, op, op->inputs[X], op->inputs[W], to, &g, &batch, 1, NULL, NULL, err);
}

static iec_status launch_cell(gpu_plan *plan, gpu_op *op, int variant, const gpu_value *wx,
                              const gpu_value *h, gpu_value *const scratch[2], const params *p, int64_t rows,
                              iec_error *err) {
  char options[64];
  snprintf(options, sizeof options, "-DCELL=%d -DGROUP=%d", variant, GROUP);
  gpu_launch *launch = gpu_launch_kernel(plan, op, "recurrent", "cell", options, err);
  if (!launch) return IEC_GENERAL_ERROR;
  gpu_arg_value(launch, wx);
  gpu_arg_value(launch, op->inputs[R]);
  gpu_arg_value(launch, op->inputs[B]);
  gpu_arg_value(launch, h);
  gpu_arg_value(launch, op->outputs[0]);
  gpu_arg_value(launch, variant == LSTM ? op->outputs[2] : NULL);
  gpu_arg_value(launch, scratch[0]);
  gpu_arg_value(launch, scratch[1]);
  gpu_arg_bytes(launch, p, sizeof *p);
  const int64_t groups[3] = {p->size, rows, 1}, local[3] = {GROUP, 1, 1};
  gpu_launch_groups(launch, groups, local);
  return IEC_OK;
}

/* The state after the last step lies in y; each row's part of it is copied out. */
static iec_status last_state(gpu_plan *plan, gpu_op *op, const sizes *s, int64_t d, int64_t at,
                             iec_error *err) {
  const size_t element = gpu_element_size(plan->graph, op->outputs[0]), bytes = (size_t)s->size * element;
  for (int64_t n = 0; n < s->rows; n++) {
    const int64_t state = n * s->directions + d;
    GPU_TRY(gpu_launch_copy(plan, op, op->outputs[0], (size_t)(state * s->steps + at) * bytes, op->outputs[1],
                            (size_t)state * bytes, bytes, err));
  }
  return IEC_OK;
}

static iec_status plan_direction(gpu_plan *plan, gpu_op *op, const sizes *s, int64_t d, const gpu_value *wx,
                                 gpu_value *const scratch[2], iec_error *err) {
  const int64_t size = s->size, gates = s->gates;
  params p = {.size = (int32_t)size,
              .gates = (int32_t)gates,
              .r = (int32_t)(d * gates * size * size),
              .b = (int32_t)(d * s->bias_gates * size),
              .x_stride = (int32_t)(s->steps * gates * size),
              .c = (int32_t)(d * size),
              .c_stride = (int32_t)(s->directions * size),
              .y_stride = (int32_t)(s->directions * s->steps * size)};
  GPU_TRY(input_product(plan, op, s, d, wx, err));
  int64_t before = -1;
  for (int64_t t = 0; t < s->steps; t++) {
    const int64_t at = s->reverse || d == 1 ? s->steps - 1 - t : t;
    const gpu_value *h = before < 0 ? op->inputs[H0] : op->outputs[0];
    p.x = (int32_t)(at * gates * size);
    p.y = (int32_t)((d * s->steps + at) * size);
    p.h = (int32_t)(before < 0 ? d * size : (d * s->steps + before) * size);
    p.h_stride = before < 0 ? (int32_t)(s->directions * size) : p.y_stride;
    GPU_TRY(launch_cell(plan, op, s->cell, wx, h, scratch, &p, s->rows, err));
    if (s->cell == GRU) GPU_TRY(launch_cell(plan, op, GRU + 1, wx, h, scratch, &p, s->rows, err));
    before = at;
  }
  return last_state(plan, op, s, d, before, err);
}

static iec_status plan_recurrent(gpu_plan *plan, gpu_op *op, iec_error *err) {
  sizes s;
  if (!describe(op, &s)) return gpu_fail(err, IEC_UNEXPECTED, op->layer, "the node has changed");
  const int64_t product_shape[] = {s.rows * s.steps, s.gates * s.size}, state_shape[] = {s.rows, s.size};
  const gpu_value *wx = gpu_scratch(plan, IEC_F32, 2, product_shape, err);
  gpu_value *scratch[2] = {NULL, NULL};
  if (!wx) return IEC_OUT_OF_MEMORY;
  for (int i = 0; s.cell == GRU && i < 2; i++)
    if (!(scratch[i] = gpu_scratch(plan, IEC_F32, 2, state_shape, err))) return IEC_OUT_OF_MEMORY;
  if (s.cell == LSTM)
    GPU_TRY(gpu_launch_copy(plan, op, op->inputs[C0], 0, op->outputs[2], 0,
                            gpu_value_bytes(plan->graph, op->outputs[2]), err));
  for (int64_t d = 0; d < s.directions; d++) GPU_TRY(plan_direction(plan, op, &s, d, wx, scratch, err));
  op->exec_type = "recurrent";
  return IEC_OK;
}

const gpu_kind gpu_kinds_recurrent[] = {{"Recurrent", supports, NULL, plan_recurrent}, {0}};
