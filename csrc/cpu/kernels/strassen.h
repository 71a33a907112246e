/* SPDX-License-Identifier: Apache-2.0 */
/* Strassen's method, one step: C = A B by seven products of quarters of A and B instead of eight (V.
 * Strassen, Gaussian elimination is not optimal, 1969). B is constant: its quarters' sums are packed at load.
 *
 *   P0 = (A11 + A22)(B11 + B22)   C11 = P0 + P3 - P4 + P6
 *   P1 = (A21 + A22) B11          C12 = P2 + P4
 *   P2 = A11 (B12 - B22)          C21 = P1 + P3
 *   P3 = A22 (B21 - B11)          C22 = P0 - P1 + P2 + P5
 *   P4 = (A11 + A12) B22
 *   P5 = (A21 - A11)(B11 + B12)
 *   P6 = (A12 - A22)(B21 + B22)
 *
 * A bias of the first half of the columns begins P3, one of the second half P2. Where A has an odd number of
 * rows its halves share one. */
#ifndef IEC_CPU_STRASSEN_H
#define IEC_CPU_STRASSEN_H
#include "cpu/kernels/common.h"
#include "cpu/kernels/gemm.h"
#include "cpu/kernels/vec.h"

enum { STRASSEN_PRODUCTS = 7, STRASSEN_SUMS = 5 };
#define STRASSEN_ROWS 192           /* of a work item at most */
#define STRASSEN_BYTES (512 * 1024) /* of their sums: a part of the L2 cache */
#define STRASSEN_LEAST_ROWS 96      /* all the same: fewer do not pay for the greater weights */
#define STRASSEN_ITEMS 6            /* of a thread: enough for all to finish together */
#define STRASSEN_LEAST 256 /* inner elements and columns for which sums cost less than what they save */

/* Products that are large enough; measured with AVX-512. */
static inline int strassen_pays(int64_t rows, int64_t inner, int64_t columns) {
  return rows >= STRASSEN_LEAST_ROWS && inner >= STRASSEN_LEAST && columns >= STRASSEN_LEAST &&
         inner % 32 == 0;
}

/* The product of an item, as all its kernels see it. */
typedef struct strassen_shape {
  /* Half of the inner elements; blocks and gemm groups of half the columns, which are filled up with zeros.
   */
  int64_t inner, blocks, groups, columns;
} strassen_shape;

static inline strassen_shape strassen_shape_of(int64_t inner, int64_t columns) {
  int64_t blocks = op_div_up(columns, 32), groups = gemm_groups(blocks);
  return (strassen_shape){inner / 2, blocks, op_min(blocks, op_div_up(groups, 2) * 2), columns};
}

/* The first block of gemm group j. */
static inline int64_t strassen_start(const strassen_shape *s, int64_t j) { return s->blocks * j / s->groups; }

/* Floats from the packed weights to those of product p of gemm group j. */
static inline int64_t strassen_panel(const strassen_shape *s, int64_t j, int64_t p) {
  int64_t first = strassen_start(s, j), nb = strassen_start(s, j + 1) - first;
  return (first * STRASSEN_PRODUCTS + nb * p) * 16 * s->inner;
}

static inline int64_t strassen_weights(const strassen_shape *s) { return strassen_panel(s, s->groups, 0); }

static inline int64_t strassen_half(int64_t rows) { return (rows + 1) / 2; }

static inline int64_t strassen_most_rows(const strassen_shape *s) {
  int64_t fit = STRASSEN_BYTES / (STRASSEN_SUMS * s->inner * (int64_t)sizeof(float)) * 2;
  return op_min(STRASSEN_ROWS, op_max(STRASSEN_LEAST_ROWS, fit));
}

/* Floats that an item needs: its sums, then what the products of one gemm group are. */
static inline int64_t strassen_floats(const strassen_shape *s) {
  return strassen_half(strassen_most_rows(s)) *
         (STRASSEN_SUMS * s->inner + STRASSEN_PRODUCTS * GEMM_MAX_BLOCKS * 16);
}

/* How often the rows are cut, and the gemm groups of each piece, so that the members share them. */
typedef struct strassen_split {
  int64_t pieces, parts;
} strassen_split;

static inline strassen_split strassen_share(const strassen_shape *s, int64_t matrices, int64_t rows,
                                            int32_t members) {
  strassen_split c = {op_div_up(rows, strassen_most_rows(s)), 1};
  while (members > 1 && matrices * c.pieces * c.parts < STRASSEN_ITEMS * members) {
    if (rows / (2 * c.pieces) >= STRASSEN_LEAST_ROWS)
      c.pieces *= 2;
    else if (2 * c.parts <= s->groups)
      c.parts *= 2;
    else
      break;
  }
  return c;
}

/* B and the bias, of nothing but zeros where there is none. */
typedef struct strassen_constants {
  float *weights; /* for every gemm group and product [inner][nb * 16] */
  float *bias;    /* of all columns with those that fill them up; to be released */
} strassen_constants;

/* Packs a node's input 1, element (k, n) of which is at k * k_step + n * n_step, and its bias in input 2. */
iec_status IEC_ISA(strassen_pack)(const iec_host_api *host, const cpu_node *node, const strassen_shape *s,
                                  int64_t k_step, int64_t n_step, strassen_constants *out, iec_error *err);

/* The sums of A that are factors, one behind the other: of quarters of `lines` times `length` floats, a
 * multiple of 16, whose lines lie `step` floats apart. q: A11, A12, A21, A22. */
void IEC_ISA(strassen_sums)(const float *const q[4], int64_t step, int64_t lines, int64_t length, float *to);

/* C of the products, which lie one behind the other. y and addend (of NULLs: nothing is added): C11, C12,
 * C21, C22, lines `step` floats apart; C12 and C22 have `seconds` lines only. limits: least and greatest
 * result, NULL: none. */
void IEC_ISA(strassen_join)(const float *products, int64_t lines, int64_t seconds, int64_t length,
                            float *const y[4], const float *const addend[4], int64_t step,
                            const float *limits);
#define strassen_pack IEC_ISA(strassen_pack)
#define strassen_sums IEC_ISA(strassen_sums)
#define strassen_join IEC_ISA(strassen_join)

/* What product p begins with in gemm group j; NULL: zeros. */
static inline const float *strassen_bias(const strassen_shape *s, const strassen_constants *c, int64_t j,
                                         int p) {
  if (p != 2 && p != 3) return NULL;
  return c->bias + (strassen_start(s, j) + (p == 2 ? s->blocks : 0)) * 16;
}

/* The factor from A of product p: a sum (lines `length` floats apart), or A itself; *out_step: floats from
 * one line to the next. */
static inline const float *strassen_factor(const float *const q[4], int64_t step, const float *sums,
                                           int64_t lines, int64_t length, int p, int64_t *out_step) {
  static const int8_t sum_of[STRASSEN_PRODUCTS] = {0, 1, -1, -1, 2, 3, 4};
  *out_step = sum_of[p] < 0 ? step : length;
  return sum_of[p] < 0 ? q[p == 2 ? 0 : 3] : sums + sum_of[p] * lines * length;
}
#endif
