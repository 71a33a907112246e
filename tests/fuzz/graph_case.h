/* SPDX-License-Identifier: Apache-2.0 */
/* A case of the graph fuzzer: the flat description of csrc/include/iec/runtime.h and contents of its
 * constants, as bytes. */
#ifndef GRAPH_CASE_H
#define GRAPH_CASE_H
#include <stddef.h>
#include <stdint.h>

/* Two bytes (flags, where inputs begin in the data), a 16-bit count of the items of each section, then the
 * sections; all little-endian. Word 3 of a tensor record is 1 + the place of a constant's contents in the
 * data, which is repeated as often as needed, or 0. */
enum {
  CASE_INTS,
  CASE_DOUBLES,
  CASE_PORTS,
  CASE_GRAPHS,
  CASE_TENSORS,
  CASE_NODES,
  CASE_ATTRS,
  CASE_STRINGS,
  CASE_DATA,
  CASE_SECTIONS
};
enum { CASE_HEADER = 2 + 2 * CASE_SECTIONS };

/* Flags. */
enum { CASE_SCALAR = 1, CASE_THREADS = 2, CASE_EXPORT = 4, CASE_TWICE = 8 };

/* Bytes of an item of each section. */
static const size_t case_item[CASE_SECTIONS] = {8, 8, 8, 40, 40, 56, 32, 1, 1};

/* graph_mutate.c: told of every case that ran to the end. */
void case_ran(const uint8_t *data, size_t size) __attribute__((weak));

/* Finds the sections in `data`: their first bytes and numbers of items. 0 when they do not fill it exactly.
 */
static inline int case_sections(const uint8_t *data, size_t size, const uint8_t *at[CASE_SECTIONS],
                                size_t count[CASE_SECTIONS]) {
  if (size < CASE_HEADER) return 0;
  size_t place = CASE_HEADER;
  for (int s = 0; s < CASE_SECTIONS; s++) {
    count[s] = (size_t)data[2 + 2 * s] | (size_t)data[3 + 2 * s] << 8;
    at[s] = data + place;
    place += count[s] * case_item[s];
    if (place > size) return 0;
  }
  return place == size;
}
#endif
