/* SPDX-License-Identifier: Apache-2.0 */
/* Pooling over windows: one work-item an output. Sizes are depth, height, width. */

typedef struct {
  int in[3], out[3], window[3], stride[3], dilation[3], pad[3];
  int channels, divisor; /* divisor: 0 real elements, 1 the kernel's size, 2 as the legacy layer */
} pool_params;

#define POSITION                                                                                                    \
  const int area = p.out[0] * p.out[1] * p.out[2], position = get_global_id(0), plane = get_global_id(1);            \
  if (position >= area) return;                                                                                     \
  const int ox = position % p.out[2], oy = position / p.out[2] % p.out[1], oz = position / p.out[2] / p.out[1];      \
  const int ix = ox * p.stride[2] - p.pad[2], iy = oy * p.stride[1] - p.pad[1], iz = oz * p.stride[0] - p.pad[0];    \
  x += plane * p.in[0] * p.in[1] * p.in[2];

#define WINDOW                                                                                     \
  for (int kz = 0; kz < p.window[0]; kz++)                                                         \
    for (int ky = 0; ky < p.window[1]; ky++)                                                       \
      for (int kx = 0; kx < p.window[2]; kx++) {                                                   \
        int z = iz + kz * p.dilation[0], v = iy + ky * p.dilation[1], u = ix + kx * p.dilation[2]; \
        if (z < 0 || z >= p.in[0] || v < 0 || v >= p.in[1] || u < 0 || u >= p.in[2]) continue;     \
        int from = (z * p.in[1] + v) * p.in[2] + u;

__kernel void max_pool(__global const REAL *restrict x, __global REAL *restrict y, pool_params p,
                       __global const float *restrict post, __global const REAL *restrict sum) {
  POSITION
  float best = -FLT_MAX;
  WINDOW
    best = fmax(best, LOAD(x, from));
  }
  const int to = plane * area + position;
  STORE(y, to, posts(best, plane % p.channels, to, post, sum));
}

int legacy_extent(int begin, int kernel_size, int in, int pad) {
  return max(min(begin + kernel_size, in + pad) - begin, 0);
}

__kernel void avg_pool(__global const REAL *restrict x, __global REAL *restrict y, pool_params p,
                       __global const float *restrict post, __global const REAL *restrict sum) {
  POSITION
  float acc = 0;
  int count = 0;
  WINDOW
    acc += LOAD(x, from);
    count++;
  }
  if (p.divisor == 1) count = p.window[0] * p.window[1] * p.window[2];
  if (p.divisor == 2)
    count = legacy_extent(iz, p.window[0], p.in[0], p.pad[0]) * legacy_extent(iy, p.window[1], p.in[1], p.pad[1]) *
            legacy_extent(ix, p.window[2], p.in[2], p.pad[2]);
  const int to = plane * area + position;
  STORE(y, to, posts(count || p.divisor == 0 ? acc / count : 0, plane % p.channels, to, post, sum));
}
