/* SPDX-License-Identifier: Apache-2.0 */
/* Negative numbers times SLOPE, ROUNDS times, then an offset by the feature. */
__kernel void bend(const __global INPUT0_TYPE *input, __global OUTPUT0_TYPE *output) {
  const uint x = get_global_id(0), y = get_global_id(1), bf = get_global_id(2);
  const uint f = bf % OUTPUT0_DIMS[1], b = bf / OUTPUT0_DIMS[1];
  const uint from = b * INPUT0_PITCHES[0] + f * INPUT0_PITCHES[1] + y * INPUT0_PITCHES[2] + x * INPUT0_PITCHES[3] + INPUT0_OFFSET;
  const uint to = b * OUTPUT0_PITCHES[0] + f * OUTPUT0_PITCHES[1] + y * OUTPUT0_PITCHES[2] + x * OUTPUT0_PITCHES[3] + OUTPUT0_OFFSET;
  INPUT0_TYPE value = input[from];
  for (int i = 0; i < ROUNDS; i++)
    if (value < 0) value *= SLOPE;
  output[to] = value + OFFSETS[f % (sizeof(OFFSETS) / sizeof(float))];
}
