/* SPDX-License-Identifier: Apache-2.0 */
/* Interpolation: one work-item an output, a product of one-dimensional filters whose taps come in tables. Option T_REAL: the
 * element is a float; else T is an unsigned integer of its size and only the nearest tap counts. */

/* Input [planes][in0][in1][in2], output alike. Axis a has taps[a] taps for each output: their places (already times the
 * axis' stride) at places + first[a] and their weights at weights + first[a]. */
typedef struct {
  int planes, in_area;
  int out[3], taps[3], first[3];
} resample_params;

#if T_REAL
__kernel void resample(__global const REAL *restrict x, __global REAL *restrict y, resample_params p,
                       __global const int *restrict places, __global const float *restrict weights) {
#else
__kernel void resample(__global const T *restrict x, __global T *restrict y, resample_params p,
                       __global const int *restrict places, __global const float *restrict weights) {
#endif
  const int area = p.out[0] * p.out[1] * p.out[2], position = get_global_id(0), plane = get_global_id(1);
  if (position >= area) return;
  const int k0 = p.first[0] + position / p.out[2] / p.out[1] * p.taps[0],
            k1 = p.first[1] + position / p.out[2] % p.out[1] * p.taps[1], k2 = p.first[2] + position % p.out[2] * p.taps[2];
  x += plane * p.in_area;
#if T_REAL
  float acc = 0;
  for (int a = 0; a < p.taps[0]; a++)
    for (int b = 0; b < p.taps[1]; b++) {
      const float w = weights[k0 + a] * weights[k1 + b];
      const int row = places[k0 + a] + places[k1 + b];
      if (w == 0) continue;
      for (int c = 0; c < p.taps[2]; c++)
        if (weights[k2 + c] != 0) acc = mad(w * weights[k2 + c], LOAD(x, row + places[k2 + c]), acc);
    }
  STORE(y, plane * area + position, acc);
#else
  y[plane * area + position] = x[places[k0] + places[k1] + places[k2]];
#endif
}
