/* SPDX-License-Identifier: Apache-2.0 */
/* Matrix products through tiles in local memory; with CONV, a convolution as a product whose right matrix is gathered
 * from the image. Options: TILE_M, TILE_N, TILE_K; GROUP_X * GROUP_Y work-items make TILE_M x TILE_N results, each of them
 * every GROUP_X-th column of TILE_M / GROUP_Y rows. GROUP_X * GROUP_Y is a multiple of TILE_N.
 * With half arithmetic (NARROW) the TILE_K products of a tile are summed in halves, the tiles in floats: the error is that of
 * TILE_K roundings, whatever the length of the sum. */

typedef struct { /* element (r, c) of a matrix is at r * row + c * col */
  int m, n, k;
  int a_row, a_col, b_row, b_col, c_row, c_col;
  int by_column; /* the channel of the posts: 0 row, 1 column */
} gemm_params;

typedef struct { /* sizes are depth, height, width */
  int in[3], out[3], stride[3], pad[3];
} conv_params;

#define ROWS (TILE_M / GROUP_Y)
#define COLUMNS (TILE_N / GROUP_X)
#define ITEMS (GROUP_X * GROUP_Y)

/* batches: places of a, b, c and the first channel of each matrix of a batch. taps (CONV): place in the image of each
 * row of the right matrix, and its distance from the window's corner in depth, height, width. */
__kernel __attribute__((reqd_work_group_size(GROUP_X, GROUP_Y, 1))) void gemm(
    __global const REAL *restrict a, __global const REAL *restrict b, __global REAL *restrict c, gemm_params p,
    __global const int4 *restrict batches, __global const float *restrict post, __global const REAL *restrict sum
#if CONV
    , __global const int4 *restrict taps, conv_params q
#endif
) {
  __local narrow at[TILE_K][TILE_M + 1], bt[TILE_K][TILE_N];
  const int lx = get_local_id(0), ly = get_local_id(1), item = ly * GROUP_X + lx;
  const int m0 = group_id(1) * TILE_M, n0 = get_group_id(0) * TILE_N;
  const int4 batch = batches[group_id(2)];
  a += batch.x;
  b += batch.y;
  float acc[ROWS][COLUMNS];
  for (int i = 0; i < ROWS; i++)
    for (int j = 0; j < COLUMNS; j++) acc[i][j] = 0;
#if CONV
  /* This work-item gathers one column of the tile: one output position. */
  const int column = item % TILE_N, position = n0 + column;
  const int x = position % q.out[2], y = position / q.out[2] % q.out[1], z = position / q.out[2] / q.out[1];
  const int ix = x * q.stride[2] - q.pad[2], iy = y * q.stride[1] - q.pad[1], iz = z * q.stride[0] - q.pad[0];
  const int corner = (iz * q.in[1] + iy) * q.in[2] + ix;
#endif
  for (int k0 = 0; k0 < p.k; k0 += TILE_K) {
    for (int i = item; i < TILE_M * TILE_K; i += ITEMS) { /* neighbours read along the contiguous axis */
      int m = p.a_row == 1 ? i % TILE_M : i / TILE_K, k = p.a_row == 1 ? i / TILE_M : i % TILE_K;
      at[k][m] = m0 + m < p.m && k0 + k < p.k ? LOAD_NARROW(a, (m0 + m) * p.a_row + (k0 + k) * p.a_col) : 0;
    }
#if CONV
    for (int k = item / TILE_N; k < TILE_K; k += ITEMS / TILE_N) {
      narrow v = 0;
      if (position < p.n && k0 + k < p.k) {
        int4 t = taps[k0 + k];
        int inside = iz + t.y >= 0 && iz + t.y < q.in[0] && iy + t.z >= 0 && iy + t.z < q.in[1] && ix + t.w >= 0 &&
                     ix + t.w < q.in[2];
        if (inside) v = LOAD_NARROW(b, corner + t.x);
      }
      bt[k][column] = v;
    }
#else
    for (int i = item; i < TILE_K * TILE_N; i += ITEMS) {
      int n = p.b_col == 1 ? i % TILE_N : i / TILE_K, k = p.b_col == 1 ? i / TILE_N : i % TILE_K;
      bt[k][n] = n0 + n < p.n && k0 + k < p.k ? LOAD_NARROW(b, (k0 + k) * p.b_row + (n0 + n) * p.b_col) : 0;
    }
#endif
    barrier(CLK_LOCAL_MEM_FENCE);
#if NARROW
    narrow sums[ROWS][COLUMNS];
    for (int i = 0; i < ROWS; i++)
      for (int j = 0; j < COLUMNS; j++) sums[i][j] = 0;
#else
#define sums acc
#endif
    for (int k = 0; k < TILE_K; k++) {
      narrow left[ROWS], right[COLUMNS];
      for (int i = 0; i < ROWS; i++) left[i] = at[k][ly * ROWS + i];
      for (int j = 0; j < COLUMNS; j++) right[j] = bt[k][lx + j * GROUP_X];
      for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < COLUMNS; j++) sums[i][j] = MAD(left[i], right[j], sums[i][j]);
    }
#if NARROW
    for (int i = 0; i < ROWS; i++)
      for (int j = 0; j < COLUMNS; j++) acc[i][j] += sums[i][j];
#endif
    barrier(CLK_LOCAL_MEM_FENCE);
  }
  for (int i = 0; i < ROWS; i++)
    for (int j = 0; j < COLUMNS; j++) {
      int m = m0 + ly * ROWS + i, n = n0 + lx + j * GROUP_X;
      if (m >= p.m || n >= p.n) continue;
      int to = batch.z + m * p.c_row + n * p.c_col;
      STORE(c, to, posts(acc[i][j], batch.w + (p.by_column ? n : m), to, post, sum));
    }
}
