/* SPDX-License-Identifier: Apache-2.0 */
/* One time step of a recurrent cell: a work-group of GROUP items makes element `s` of the state of row `n`, its items share
 * the sums along the state. Option CELL: 0 rnn, 1 lstm, 2 gru with linear_before_reset; an ordinary gru takes two launches,
 * 3 its gates and the reset state, 4 the rest. */

#if CELL == 1
#define DOTS 4
#elif CELL == 2
#define DOTS 3
#elif CELL == 3
#define DOTS 2
#else
#define DOTS 1
#endif
#define FIRST (CELL == 4 ? 2 : 0) /* gate of the first sum */

typedef struct { /* places in elements; a stride leads to the next row of the batch */
  int size, gates;
  int x, x_stride;     /* the input's product, [gates][size] */
  int h, h_stride;     /* state before the step */
  int y, y_stride;     /* state after it */
  int c, c_stride;     /* lstm: cell state, updated */
  int r, b;            /* weights of this direction, [gates][size][size]; biases */
} cell_params;

float sigmoid(float x) { return 1 / (1 + exp(-x)); }

/* gru in two launches: `kept` holds the gate z, `reset` the reset state, [rows][size] both. */
__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void cell(
    __global const REAL *restrict x, __global const REAL *restrict r, __global const REAL *restrict b, __global const REAL *h,
    __global REAL *y, __global REAL *restrict c, __global REAL *kept, __global REAL *reset, cell_params p) {
  __local float part[DOTS][GROUP];
  const int item = get_local_id(0), s = get_group_id(0), n = group_id(1);
  const int own = n * p.size + s, from = p.h + n * p.h_stride;
  float acc[DOTS];
  for (int g = 0; g < DOTS; g++) acc[g] = 0;
  for (int k = item; k < p.size; k += GROUP) {
    const float state = CELL == 4 ? LOAD(reset, n * p.size + k) : LOAD(h, from + k);
    for (int g = 0; g < DOTS; g++) acc[g] = mad(state, LOAD(r, p.r + ((FIRST + g) * p.size + s) * p.size + k), acc[g]);
  }
  for (int g = 0; g < DOTS; g++) part[g][item] = acc[g];
  for (int half_size = GROUP / 2; half_size > 0; half_size /= 2) {
    barrier(CLK_LOCAL_MEM_FENCE);
    if (item < half_size)
      for (int g = 0; g < DOTS; g++) part[g][item] += part[g][item + half_size];
  }
  if (item) return;
  float gate[DOTS]; /* all but the state's part of the last gate of CELL 2 */
  for (int g = 0; g < DOTS; g++)
    gate[g] = LOAD(x, p.x + n * p.x_stride + (FIRST + g) * p.size + s) + LOAD(b, p.b + (FIRST + g) * p.size + s) +
              (CELL == 2 && g == 2 ? 0 : part[g][0]);
#if CELL == 0
  const float next = tanh(gate[0]);
#elif CELL == 1
  const int at = p.c + n * p.c_stride + s;
  const float state = sigmoid(gate[0]) * LOAD(c, at) + sigmoid(gate[1]) * tanh(gate[2]);
  const float next = sigmoid(gate[3]) * tanh(state);
  STORE(c, at, state);
#elif CELL == 2
  const float z = sigmoid(gate[0]), fed = sigmoid(gate[1]) * (part[2][0] + LOAD(b, p.b + 3 * p.size + s));
  const float next = (1 - z) * tanh(gate[2] + fed) + z * LOAD(h, from + s);
#elif CELL == 3
  STORE(kept, own, sigmoid(gate[0]));
  STORE(reset, own, sigmoid(gate[1]) * LOAD(h, from + s));
#else
  const float z = LOAD(kept, own), next = (1 - z) * tanh(gate[0]) + z * LOAD(h, from + s);
#endif
#if CELL != 3
  STORE(y, p.y + n * p.y_stride + s, next);
#endif
}
