/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of a convolution's map for a kernel that uses them while they are in the cache: the last rows are kept
 * in a ring. The convolution is the first one of a network, of few plain channels, or 1x1 on channel blocks.
 *
 * Padding and strides are taken out of the input as conv_gather.h does, a band of rows at a time. */
#ifndef IEC_CPU_MAP_ROWS_H
#define IEC_CPU_MAP_ROWS_H
#include "cpu/kernels/conv_gather.h"
#include "cpu/kernels/gemm.h"
#include "cpu/kernels/pack.h"
#include "cpu/kernels/post.h"

#define MAP_BAND_BYTES (128 << 10) /* that the input of a band should have at most */

typedef struct map_rows {
  conv_geom geom, band; /* of the convolution, of its rows in a band */
  conv_gather gather;   /* of a band */
  post_set posts;
  int32_t lanes;                         /* as in gemm.h: 1 or 16 */
  int64_t in_blocks, last_lanes, blocks; /* blocks of the input, of the map */
  int64_t tap_count;                     /* with lanes 1: of all channels together */
  int64_t kept, pitch;                   /* of the ring: rows, pixels of a row */
  int64_t gather_floats;
  int64_t *taps;  /* floats from the pixel */
  float *weights; /* [gemm group][channel][tap][nb * 16] */
  float *bias;    /* [block][16] */
} map_rows;

/* What a member has and does at the moment. */
typedef struct map_work {
  const cpu_run *run;
  int64_t image;
  int64_t begin, end;  /* of the map, the rows in the ring */
  const float *x;      /* the first pixel of row `from` */
  int64_t from, until; /* rows whose input is gathered */
  float *gathered, *map;
} map_work;

/* Geometry; 0 when it is another convolution. */
static inline int map_rows_read(const cpu_node *conv, map_rows *s) {
  conv_geom *q = &s->geom;
  if (!conv_geometry(conv, 0, 1, q) || q->g != 1) return 0;
  s->lanes = conv_few_channels(q) ? 1 : 16;
  s->in_blocks = s->lanes == 1 ? 1 : op_div_up(q->c, 16);
  s->last_lanes = s->lanes == 1 ? 1 : q->c - (s->in_blocks - 1) * 16;
  s->blocks = op_div_up(q->o, 16);
  s->tap_count = s->lanes == 1 ? q->taps * q->c : 1;
  if (s->lanes == 1) return 1;
  for (int a = 0; a < 3; a++)
    if (q->k[a] != 1 || q->stride[a] != 1 || q->pad[a] || q->out[a] != q->in[a]) return 0;
  return 1;
}

/* Bytes of the input behind a row of the map. */
static inline int64_t map_rows_input(const conv_geom *q) {
  int64_t row = q->c * (q->in[2] + 2 * op_max(0, q->pad[2])) * (int64_t)sizeof(float);
  return op_times(row, q->stride[1]);
}

/* Bands of `rows` rows. 0 when the copy of their input would be too large, or is none for other bands. */
static inline int map_rows_bands(map_rows *s, int64_t rows) {
  conv_geom *q = &s->geom;
  s->band = *q;
  s->band.out[1] = op_min(q->out[1], rows);
  if (!gather_plan(q, &s->gather)) return 0;
  if (s->gather.needed && (!gather_plan(&s->band, &s->gather) || !s->gather.needed)) return 0;
  s->gather_floats = s->gather.needed ? op_div_up(q->c * s->gather.plane, 16) * 16 : 0;
  return 1;
}

static inline void map_rows_release(const iec_host_api *host, map_rows *s) {
  host->release(host->self, s->taps);
  host->release(host->self, s->bias);
}

static inline void map_rows_pack(const map_rows *s, const float *w) {
  const conv_geom *q = &s->geom;
  float *to = s->weights;
  int64_t width = s->lanes == 1 ? 1 : q->c; /* a plain channel's taps follow each other */
  for (int64_t j = 0; j < gemm_groups(s->blocks); j++) {
    int64_t first = gemm_group_start(s->blocks, j) * 16,
            columns = gemm_group_start(s->blocks, j + 1) * 16 - first;
    for (int64_t c = 0; c < q->c; c += width, to += width * q->taps * columns)
      pack_panel(w + (first * q->c + c) * q->taps, q->c * q->taps, q->o - first, columns, width, q->taps, to);
  }
}

static inline void map_rows_taps(const map_rows *s) {
  const conv_geom *q = &s->geom;
  int64_t *to = s->taps, t[3] = {0};
  for (int64_t c = 0; c < (s->lanes == 1 ? q->c : 1); c++)
    for (t[1] = 0; t[1] < q->k[1]; t[1]++)
      for (t[2] = 0; t[2] < q->k[2]; t[2]++) *to++ = c * s->gather.plane + gather_tap(q, &s->gather, t);
}

/* Weights, of `conv`, whose posts are those in front of what uses the rows. 0: out of memory. */
static inline int map_rows_prepare(const iec_host_api *host, const cpu_node *conv, map_rows *s) {
  post_init(&s->posts, conv);
  post_take(&s->posts, 0);
  int32_t ready;
  size_t outputs = (size_t)s->blocks * 16;
  s->taps = host->alloc(host->self, (size_t)s->tap_count * sizeof *s->taps, 64);
  s->weights = cpu_pack(conv, "panels", outputs * (size_t)(s->geom.c * s->geom.taps) * sizeof(float), &ready);
  s->bias = host->alloc(host->self, outputs * sizeof(float), 64);
  if (!s->taps || !s->weights || !s->bias) return 0;
  if (!ready) map_rows_pack(s, conv->inputs[1]->data);
  map_rows_taps(s);
  memset(s->bias, 0, outputs * sizeof(float));
  if (op_in(conv, 2)) memcpy(s->bias, conv->inputs[2]->data, (size_t)s->geom.o * sizeof(float));
  return 1;
}

/* Copies the input of rows [begin, end) of the map, or finds it. */
static inline void map_rows_fetch(const map_rows *s, map_work *w, int64_t begin, int64_t end) {
  const conv_geom *q = &s->geom;
  const float *x = (const float *)w->run->inputs[0] +
                   w->image * (s->lanes == 1 ? q->c : s->in_blocks) * q->in_size * s->lanes;
  const gather_axis *axis = s->gather.axis + 1;
  w->from = begin;
  w->until = end;
  w->x = s->gather.needed ? w->gathered : x + (s->gather.base + begin * s->gather.pitch[1]) * s->lanes;
  if (!s->gather.needed) return;
  conv_geom band = s->band;
  band.pad[1] -= begin * q->stride[1];
  int64_t length = end - begin + (q->k[1] - 1) * q->dil[1] / q->stride[1];
  for (int64_t c = 0; c < q->c; c++)
    for (int64_t f = 0; f < axis->phases; f++)
      for (int64_t i = 0; i < length; i++)
        gather_row(&band, &s->gather, f * axis->length + i, 1, x + c * q->in_size,
                   w->gathered + c * s->gather.plane);
}

/* Columns [begin, end) of row n of the map in the blocks of gemm group j. */
static inline void map_rows_group(const map_rows *s, const map_work *w, int64_t j, int64_t n, int64_t begin,
                                  int64_t end) {
  const conv_geom *q = &s->geom;
  int64_t first = gemm_group_start(s->blocks, j), nb = gemm_group_start(s->blocks, j + 1) - first;
  int64_t count = end - begin, block = s->kept * s->pitch * 16;
  gemm_args a = {.x = w->x + ((n - w->from) * s->gather.pitch[1] + begin) * s->lanes,
                 .w = s->weights + first * 16 * q->c * q->taps,
                 .y = w->map + first * block + n % s->kept * s->pitch * 16,
                 .bias = s->bias + first * 16,
                 .taps = s->taps,
                 .tap_count = s->tap_count,
                 .blocks = s->in_blocks,
                 .block_step = q->in_size * 16,
                 .last_lanes = s->last_lanes,
                 .y_block = block,
                 .half = gemm_is_half(q->o, first, nb),
                 .limits = s->posts.limited ? s->posts.limits : NULL};
  gemm_pixels(&a, s->lanes, (int32_t)nb, count);
  if (!post_left(&s->posts)) return;
  for (int64_t i = 0; i < nb; i++)
    post_blocked(&s->posts, w->run, a.y + i * block, count, (first + i) * 16, q->o);
}
#endif
