/* SPDX-License-Identifier: Apache-2.0 */
/* Element types. Options: FROM and TO, types in memory; FROM_HALF and TO_HALF; CAST, the conversion's name; WRAP: a
 * float is truncated to an integer. */

#if FROM_HALF
#define READ(p, i) vload_half(i, p)
#else
#define READ(p, i) ((p)[i])
#endif

__kernel void convert(__global const FROM *restrict x, __global TO *restrict y, int n) {
  const int i = get_global_id(0);
  if (i >= n) return;
#if TO_HALF
  vstore_half_rte((float)READ(x, i), i, y);
#elif TO_BOOL
  y[i] = READ(x, i) != 0;
#elif WRAP /* as the CPU: saturated at 64 bits, then cut off */
  y[i] = CAST(convert_long_sat_rtz(READ(x, i)));
#else
  y[i] = CAST(READ(x, i));
#endif
}
