/* SPDX-License-Identifier: Apache-2.0 */
/* Convolutions without matrix tiles: few channels in a group (depthwise above all), transposed, deformable. One work-item
 * makes one output; neighbours along the row read neighbouring pixels. Sizes are depth, height, width. */

typedef struct {
  int channels, outputs; /* of a group */
  int groups, images;
  int in[3], out[3], window[3], stride[3], dilation[3], pad[3];
} direct_params;

__kernel void conv_direct(__global const REAL *restrict x, __global const REAL *restrict w, __global REAL *restrict y,
                          direct_params p, __global const float *restrict post, __global const REAL *restrict sum) {
  const int area = p.out[0] * p.out[1] * p.out[2], position = get_global_id(0), plane = get_global_id(1);
  if (position >= area) return;
  const int o = plane % (p.groups * p.outputs), image = plane / (p.groups * p.outputs), group = o / p.outputs;
  const int ox = position % p.out[2], oy = position / p.out[2] % p.out[1], oz = position / p.out[2] / p.out[1];
  const int ix = ox * p.stride[2] - p.pad[2], iy = oy * p.stride[1] - p.pad[1], iz = oz * p.stride[0] - p.pad[0];
  const int in_area = p.in[0] * p.in[1] * p.in[2], taps = p.window[0] * p.window[1] * p.window[2];
  float acc = 0;
  for (int c = 0; c < p.channels; c++) {
    __global const REAL *from = x + ((image * p.groups + group) * p.channels + c) * in_area;
    __global const REAL *weight = w + (o * p.channels + c) * taps;
    for (int kz = 0, t = 0; kz < p.window[0]; kz++)
      for (int ky = 0; ky < p.window[1]; ky++)
        for (int kx = 0; kx < p.window[2]; kx++, t++) {
          int z = iz + kz * p.dilation[0], v = iy + ky * p.dilation[1], u = ix + kx * p.dilation[2];
          if (z < 0 || z >= p.in[0] || v < 0 || v >= p.in[1] || u < 0 || u >= p.in[2]) continue;
          acc = mad(LOAD(from, (z * p.in[1] + v) * p.in[2] + u), LOAD(weight, t), acc);
        }
  }
  const int to = plane * area + position;
  STORE(y, to, posts(acc, o, to, post, sum));
}

/* Gathers: an output takes the inputs whose window covers it. w [groups][channels][outputs][kernel]. */
__kernel void deconv(__global const REAL *restrict x, __global const REAL *restrict w, __global REAL *restrict y,
                     direct_params p, __global const float *restrict post, __global const REAL *restrict sum) {
  const int area = p.out[0] * p.out[1] * p.out[2], position = get_global_id(0), plane = get_global_id(1);
  if (position >= area) return;
  const int o = plane % (p.groups * p.outputs), image = plane / (p.groups * p.outputs), group = o / p.outputs;
  const int ox = position % p.out[2], oy = position / p.out[2] % p.out[1], oz = position / p.out[2] / p.out[1];
  const int in_area = p.in[0] * p.in[1] * p.in[2], taps = p.window[0] * p.window[1] * p.window[2];
  float acc = 0;
  for (int kz = 0; kz < p.window[0]; kz++) {
    int z = oz + p.pad[0] - kz * p.dilation[0];
    if (z < 0 || z % p.stride[0] || (z /= p.stride[0]) >= p.in[0]) continue;
    for (int ky = 0; ky < p.window[1]; ky++) {
      int v = oy + p.pad[1] - ky * p.dilation[1];
      if (v < 0 || v % p.stride[1] || (v /= p.stride[1]) >= p.in[1]) continue;
      for (int kx = 0; kx < p.window[2]; kx++) {
        int u = ox + p.pad[2] - kx * p.dilation[2];
        if (u < 0 || u % p.stride[2] || (u /= p.stride[2]) >= p.in[2]) continue;
        __global const REAL *from = x + (image * p.groups + group) * p.channels * in_area + (z * p.in[1] + v) * p.in[2] + u;
        __global const REAL *weight = w + (group * p.channels * p.outputs + o % p.outputs) * taps +
                                      (kz * p.window[1] + ky) * p.window[2] + kx;
        for (int c = 0; c < p.channels; c++)
          acc = mad(LOAD(from, c * in_area), LOAD(weight, c * p.outputs * taps), acc);
      }
    }
  }
  const int to = plane * area + position;
  STORE(y, to, posts(acc, o, to, post, sum));
}
