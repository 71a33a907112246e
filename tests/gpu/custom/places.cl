/* SPDX-License-Identifier: Apache-2.0 */
/* output0: the input times a weight of its feature; output1: where the element lies in the input's memory. One item an element. */
#if !defined(INPUT0_FORMAT_BYXF) || !defined(OUTPUT0_FORMAT_YXFB) || !defined(OUTPUT1_FORMAT_BFYX)
#error formats
#endif
#if NUM_INPUTS != 2 || GLOBAL_WORKSIZE_SIZE != 1 || LOCAL_WORKSIZE_SIZE != 0 || INPUT0_DIMS_SIZE != 4 || INPUT1_PITCHES_SIZE != 4
#error sizes
#endif

#define PLACE(b, f, y, x, tensor) \
  ((b) * tensor##_PITCHES[0] + (f) * tensor##_PITCHES[1] + (y) * tensor##_PITCHES[2] + (x) * tensor##_PITCHES[3] + tensor##_OFFSET)

__kernel void places(const __global INPUT0_TYPE *input, const __global INPUT1_TYPE *weights, __global OUTPUT0_TYPE *output,
                     __global OUTPUT1_TYPE *where) {
  const uint i = get_global_id(0), dims[] = {INPUT0_DIMS[0], INPUT0_DIMS[1], INPUT0_DIMS[2], INPUT0_DIMS[3]};
  const uint x = i % dims[3], y = i / dims[3] % dims[2], f = i / dims[3] / dims[2] % dims[1], b = i / dims[3] / dims[2] / dims[1];
  const uint from = PLACE(b, f, y, x, INPUT0) + INPUT0_LOWER_PADDING[0] + INPUT0_UPPER_PADDING[3];
  output[PLACE(b, f, y, x, OUTPUT0)] = input[from] * weights[f % INPUT1_DIMS[3]];
  where[PLACE(b, f, y, x, OUTPUT1)] = from * (get_global_size(0) == GLOBAL_WORKSIZE[0]);
}
