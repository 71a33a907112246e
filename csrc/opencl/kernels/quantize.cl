/* SPDX-License-Identifier: Apache-2.0 */
/* FakeQuantize with limits of any broadcast shape. `nd`: see binary.cl. */

__kernel void fake_quantize(__global const REAL *restrict x, __global const REAL *restrict il,
                            __global const REAL *restrict ih, __global const REAL *restrict ol,
                            __global const REAL *restrict oh, __global REAL *restrict y, int n, int rank, float steps,
                            __global const int *restrict nd, int inner, int channels, __global const float *restrict post,
                            __global const REAL *restrict sum) {
  const int i = get_global_id(0);
  if (i >= n) return;
  float v = quantize(LOAD(x, nd_offset(i, rank, nd, nd + 8)), LOAD(il, nd_offset(i, rank, nd, nd + 16)),
                     LOAD(ih, nd_offset(i, rank, nd, nd + 24)), LOAD(ol, nd_offset(i, rank, nd, nd + 32)),
                     LOAD(oh, nd_offset(i, rank, nd, nd + 40)), steps);
  STORE(y, i, posts(v, i / inner % channels, i, post, sum));
}
