/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of quarters for Strassen's method. */
#include "cpu/kernels/strassen.h"

#include "cpu/kernels/pack.h"

/* A factor from B: quarter `first` plus `sign` times quarter `second`. Quarters: 11, 12, 21, 22. */
static const struct {
  int8_t first, second, sign;
} factors[STRASSEN_PRODUCTS] = {{0, 3, 1}, {0, 0, 0}, {1, 3, -1}, {2, 0, -1},
                                {3, 0, 0}, {0, 1, 1}, {2, 3, 1}};

/* Sixteen columns of one factor, [inner][width]. Of either quarter `there` columns exist, the others weigh
 * nothing; sign 0: the second is not read. Inlined with one step 1. */
static inline __attribute__((always_inline)) void pack_columns(const float *const quarters[2],
                                                               const int64_t there[2], int sign,
                                                               int64_t k_step, int64_t n_step, int64_t inner,
                                                               int64_t width, float *to) {
  _Alignas(64) float square[2][16][16] = {0};
  int64_t line = k_step == 1 ? n_step : k_step;
  for (int64_t k = 0; k < inner; k += 16, to += 16 * width) {
    const float *from[2];
    int64_t step[2];
    for (int part = 0; part < (sign ? 2 : 1); part++) {
      from[part] = quarters[part] + k * k_step;
      step[part] = line;
      if (there[part] == 16) continue;
      int64_t lines = k_step == 1 ? there[part] : 16, length = k_step == 1 ? 16 : there[part];
      for (int64_t i = 0; i < lines; i++)
        memcpy(square[part][i], from[part] + i * line, (size_t)length * sizeof(float));
      from[part] = square[part][0];
      step[part] = 16;
    }
    for (int i = 0; i < 16; i += VL)
      for (int j = 0; j < 16; j += VL) {
        vf sums[VL];
#pragma GCC unroll 16
        for (int l = 0; l < VL; l++) {
          sums[l] = vf_load(from[0] + (i + l) * step[0] + j);
          if (sign > 0) sums[l] += vf_load(from[1] + (i + l) * step[1] + j);
          if (sign < 0) sums[l] -= vf_load(from[1] + (i + l) * step[1] + j);
        }
        if (k_step == 1) vf_flip(sums);
        float *at = k_step == 1 ? to + j * width + i : to + i * width + j;
#pragma GCC unroll 16
        for (int l = 0; l < VL; l++) vf_store(at + l * width, sums[l]);
      }
  }
}

static void pack(const cpu_node *node, const strassen_shape *s, int64_t k_step, int64_t n_step, float *to) {
  const float *b = node->inputs[1]->data;
  int turned = k_step == 1 && n_step == 2 * s->inner; /* columns of b are rows in memory */
  for (int64_t j = 0; j < s->groups; j++) {
    int64_t begin = strassen_start(s, j) * 16, end = strassen_start(s, j + 1) * 16;
    int64_t first[2]; /* of the group's columns in the left and the right quarters */
    const float *half[2];
    for (int i = 0; i < 2; i++) {
      first[i] = op_min(begin + i * s->blocks * 16, s->columns);
      half[i] = b + first[i] * n_step;
      int64_t count = op_min(end - begin, s->columns - first[i]);
      if (turned) half[i] = pack_rows(node, half[i], count * n_step, i);
    }
    for (int p = 0; p < STRASSEN_PRODUCTS; p++, to += s->inner * (end - begin))
      for (int64_t n = begin; n < end; n += 16) {
        const float *quarters[2];
        int64_t there[2];
        for (int i = 0; i < 2; i++) {
          int q = i ? factors[p].second : factors[p].first;
          int64_t column = n + q % 2 * s->blocks * 16;
          there[i] = op_max(0, op_min(16, s->columns - column));
          quarters[i] =
              half[q % 2] + q / 2 * s->inner * k_step + (op_min(column, s->columns) - first[q % 2]) * n_step;
        }
        float *column = to + n - begin;
        if (k_step == 1)
          pack_columns(quarters, there, factors[p].sign, 1, n_step, s->inner, end - begin, column);
        else
          pack_columns(quarters, there, factors[p].sign, k_step, 1, s->inner, end - begin, column);
      }
  }
}

iec_status strassen_pack(const iec_host_api *host, const cpu_node *node, const strassen_shape *s,
                         int64_t k_step, int64_t n_step, strassen_constants *out, iec_error *err) {
  int32_t ready;
  size_t bias = (size_t)(2 * s->blocks * 16) * sizeof(float);
  out->weights = cpu_pack(node, "strassen", (size_t)strassen_weights(s) * sizeof(float), &ready);
  out->bias = host->alloc(host->self, bias, 64);
  if (!out->weights || !out->bias)
    return cpu_fail(err, IEC_OUT_OF_MEMORY, node->name, "out of memory for the weights");
  if (!ready) pack(node, s, k_step, n_step, out->weights);
  memset(out->bias, 0, bias);
  if (op_in(node, 2)) memcpy(out->bias, node->inputs[2]->data, (size_t)s->columns * sizeof(float));
  return IEC_OK;
}

void strassen_sums(const float *const q[4], int64_t step, int64_t lines, int64_t length, float *to) {
  int64_t size = lines * length;
  for (int64_t line = 0; line < lines; line++, to += length)
    for (int64_t i = 0; i < length; i += VL) {
      vf a11 = vf_load(q[0] + line * step + i), a12 = vf_load(q[1] + line * step + i),
         a21 = vf_load(q[2] + line * step + i), a22 = vf_load(q[3] + line * step + i);
      vf_store(to + i, a11 + a22);
      vf_store(to + size + i, a21 + a22);
      vf_store(to + 2 * size + i, a11 + a12);
      vf_store(to + 3 * size + i, a21 - a11);
      vf_store(to + 4 * size + i, a12 - a22);
    }
}

static inline __attribute__((always_inline)) void put(float *y, const float *addend, int64_t at, vf x, vf low,
                                                      vf high) {
  if (addend) x += vf_load(addend + at);
  vf_store(y + at, vf_at_most(vf_at_least(x, low), high));
}

void strassen_join(const float *products, int64_t lines, int64_t seconds, int64_t length, float *const y[4],
                   const float *const addend[4], int64_t step, const float *limits) {
  int64_t size = lines * length;
  vf low = vf_set(limits ? limits[0] : -INFINITY), high = vf_set(limits ? limits[1] : INFINITY);
  for (int64_t line = 0; line < lines; line++)
    for (int64_t i = 0; i < length; i += VL) {
      const float *from = products + line * length + i;
      int64_t at = line * step + i;
      vf p0 = vf_load(from), p1 = vf_load(from + size), p2 = vf_load(from + 2 * size),
         p3 = vf_load(from + 3 * size), p4 = vf_load(from + 4 * size);
      put(y[0], addend[0], at, p0 + p3 - p4 + vf_load(from + 6 * size), low, high);
      put(y[2], addend[2], at, p1 + p3, low, high);
      if (line >= seconds) continue;
      put(y[1], addend[1], at, p2 + p4, low, high);
      put(y[3], addend[3], at, p0 - p1 + p2 + vf_load(from + 5 * size), low, high);
    }
}
