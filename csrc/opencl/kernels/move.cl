/* SPDX-License-Identifier: Apache-2.0 */
/* Data movement of any element type. Option T: an unsigned integer of the element's size; I: type of indices. */

/* Element i of the sizes at `nd` goes from one place to another; strides of the input at nd + 8, of the output at nd + 16. */
__kernel void copy_nd(__global const T *restrict x, __global T *restrict y, int n, int rank, __global const int *restrict nd,
                      int x_offset, int y_offset) {
  const int i = get_global_id(0);
  if (i < n) y[y_offset + nd_offset(i, rank, nd, nd + 16)] = x[x_offset + nd_offset(i, rank, nd, nd + 8)];
}

/* Matrices [rows][columns] turned over through a tile, so that both sides are read and written along rows. */
__kernel __attribute__((reqd_work_group_size(16, 8, 1))) void transpose(__global const T *restrict x, __global T *restrict y,
                                                                         int rows, int columns) {
  __local T tile[16][17];
  const int lx = get_local_id(0), ly = get_local_id(1), base = group_id(2) * rows * columns;
  const int column = get_group_id(0) * 16, row = group_id(1) * 16;
  for (int r = ly; r < 16; r += 8)
    if (row + r < rows && column + lx < columns) tile[r][lx] = x[base + (row + r) * columns + column + lx];
  barrier(CLK_LOCAL_MEM_FENCE);
  for (int c = ly; c < 16; c += 8)
    if (column + c < columns && row + lx < rows) y[base + (column + c) * rows + row + lx] = tile[lx][c];
}

/* nd: sizes of the output, of the input, strides of the input, pads at the beginning; 8 ints each. */
__kernel void pad(__global const T *restrict x, __global T *restrict y, int n, int rank, __global const int *restrict nd,
                  int mode, T value) {
  const int i = get_global_id(0);
  if (i >= n) return;
  int left = i, at = 0, outside = 0;
  for (int d = rank - 1; d >= 0; d--) {
    int size = nd[8 + d], c = left % nd[d] - nd[24 + d];
    left /= nd[d];
    if (mode == 0) outside |= c < 0 || c >= size;
    if (mode == 1) c = clamp(c, 0, size - 1);
    if (mode == 2) c = c < 0 ? -c : c >= size ? 2 * (size - 1) - c : c;
    if (mode == 3) c = c < 0 ? -1 - c : c >= size ? 2 * size - 1 - c : c;
    at += c * nd[16 + d];
  }
  y[i] = outside ? value : x[at];
}

#ifdef I
/* x [batch][outer][axis][inner], indices [batch][count], y [batch][outer][count][inner]. */
__kernel void gather(__global const T *restrict x, __global const I *restrict indices, __global T *restrict y, int n, int outer,
                     int axis, int count, int inner, int wrap) {
  const int i = get_global_id(0);
  if (i >= n) return;
  const int k = i % inner, c = i / inner % count, o = i / inner / count % outer, b = i / inner / count / outer;
  long at = indices[b * count + c];
  if (wrap && at < 0) at += axis;
  y[i] = at >= 0 && at < axis ? x[((b * outer + o) * axis + (int)at) * inner + k] : 0;
}
#endif
