/* SPDX-License-Identifier: Apache-2.0 */
/* Transposed convolution on register tiles and blocks of 16 channels, in groups of whole blocks.
 *
 * Output o and tap t of an axis meet at input (o + pad - t*dil) / stride where that is whole. All outputs of
 * one residue mod stride meet the same taps, and neighbours among them read neighbouring inputs: each
 * combination of residues, a phase, is a convolution of stride 1 with some of the taps, written to every
 * stride-th output. */
#include "cpu/kernels/conv_gather.h"
#include "cpu/kernels/gemm.h"
#include "cpu/kernels/post.h"

#define MAX_PHASES 4096

typedef struct phase {
  int64_t taps, count; /* its first tap in the list of all, and how many */
} phase;

typedef struct deconv_direct {
  conv_geom geom;
  conv_geom input; /* the input with its padding, as a convolution of one tap */
  conv_gather gather;
  post_set posts;
  int64_t in_blocks, out_blocks; /* of one group */
  int64_t residues[3];           /* phases of each axis: the stride, or fewer outputs */
  phase *phases;
  int64_t *taps;   /* floats from the pixel of output 0 of its phase */
  int64_t *tap_of; /* which tap of the kernel that is */
  float *weights;  /* [group][gemm group][phase][block][tap][lane][nb * 16] */
  float *bias;     /* [group][out_blocks * 16] */
} deconv_direct;

/* The inputs that outputs reach, [*first, *end) on one axis; may lie outside the input. */
static void reach(const conv_geom *q, int a, int64_t *first, int64_t *end) {
  int64_t low = q->pad[a] - (q->k[a] - 1) * q->dil[a], high = q->out[a] - 1 + q->pad[a];
  *first = low < 0 ? -(-low / q->stride[a]) : op_div_up(low, q->stride[a]);
  *end = high < 0 ? -op_div_up(-high, q->stride[a]) + 1 : high / q->stride[a] + 1;
  if (*end <= *first) *end = *first + 1;
}

/* Geometry, and the input as a convolution of one tap that pads and crops; 0 when the kernel cannot run this.
 */
static int plan(const cpu_node *node, conv_geom *q, conv_geom *input, conv_gather *gather,
                int64_t residues[3]) {
  if (!conv_geometry(node, 1, 1, q) || q->n < 1 || q->out_size < 1 || q->in_size < 1) return 0;
  *input = *q;
  for (int a = 0; a < 3; a++) {
    int64_t end;
    reach(q, a, &input->pad[a], &end);
    input->out[a] = end - input->pad[a];
    input->pad[a] = -input->pad[a];
    input->k[a] = input->stride[a] = input->dil[a] = 1;
    residues[a] = op_min(q->stride[a], q->out[a]);
  }
  if (residues[0] > MAX_PHASES || residues[1] > MAX_PHASES || residues[2] > MAX_PHASES) return 0;
  return residues[0] * residues[1] * residues[2] <= MAX_PHASES && gather_plan(input, gather);
}

static int32_t supports(const cpu_node *node) {
  conv_geom q, input;
  conv_gather gather;
  int64_t residues[3];
  if (!plan(node, &q, &input, &gather, residues) || !conv_bias_ok(node, 2, q.o) || !conv_can_block(node))
    return 0;
  return q.g == 1 || (q.cg % 16 == 0 && q.og % 16 == 0) ? 20 : 0;
}

static void layouts(const cpu_node *node, cpu_layout *in, cpu_layout *out) {
  in[0] = out[0] = CPU_BLOCKED16;
  for (int32_t i = 3; i < node->input_count; i++) in[i] = CPU_BLOCKED16; /* sums */
}

/* The taps of every phase, in the order of the phases. */
static void list_taps(deconv_direct *s) {
  const conv_geom *q = &s->geom;
  int64_t used = 0, r[3], t[3];
  phase *to = s->phases;
  for (r[0] = 0; r[0] < s->residues[0]; r[0]++)
    for (r[1] = 0; r[1] < s->residues[1]; r[1]++)
      for (r[2] = 0; r[2] < s->residues[2]; r[2]++, to++) {
        to->taps = used;
        for (t[0] = 0; t[0] < q->k[0]; t[0]++)
          for (t[1] = 0; t[1] < q->k[1]; t[1]++)
            for (t[2] = 0; t[2] < q->k[2]; t[2]++) {
              int64_t at = 0, whole = 1;
              for (int a = 0; a < 3; a++) {
                int64_t place = r[a] + q->pad[a] - t[a] * q->dil[a];
                whole = whole && place % q->stride[a] == 0;
                at += (place / q->stride[a] + s->input.pad[a]) * s->gather.pitch[a];
              }
              if (!whole) continue;
              s->taps[used] = at * 16;
              s->tap_of[used++] = (t[0] * q->k[1] + t[1]) * q->k[2] + t[2];
            }
        to->count = used - to->taps;
      }
}

/* Weights [G, C/G, O/G, taps] into panels; channels that do not exist weigh nothing. */
static void pack(deconv_direct *s, const float *w, const float *bias) {
  const conv_geom *q = &s->geom;
  int64_t phases = s->residues[0] * s->residues[1] * s->residues[2], groups = gemm_groups(s->out_blocks);
  for (int64_t gj = 0; gj < q->g * groups; gj++) {
    int64_t g = gj / groups, j = gj % groups;
    int64_t first = gemm_group_start(s->out_blocks, j), nb = gemm_group_start(s->out_blocks, j + 1) - first;
    float *to = s->weights + (g * s->out_blocks + first) * s->in_blocks * q->taps * 256;
    for (int64_t p = 0; p < phases; p++)
      for (int64_t b = 0; b < s->in_blocks; b++)
        for (int64_t t = 0; t < s->phases[p].count; t++)
          for (int64_t c = b * 16; c < (b + 1) * 16; c++, to += nb * 16)
            for (int64_t i = 0; i < nb * 16; i++) {
              int64_t o = first * 16 + i;
              to[i] = o < q->og && c < q->cg
                          ? w[((g * q->cg + c) * q->og + o) * q->taps + s->tap_of[s->phases[p].taps + t]]
                          : 0.0f;
            }
  }
  for (int64_t i = 0; i < q->g * s->out_blocks * 16; i++) s->bias[i] = bias && i < q->o ? bias[i] : 0.0f;
}

static void release(const iec_host_api *host, void *state) {
  deconv_direct *s = state;
  if (!s) return;
  host->release(host->self, s->phases);
  host->release(host->self, s->taps);
  host->release(host->self, s->tap_of);
  host->release(host->self, s->weights);
  host->release(host->self, s->bias);
  host->release(host->self, s);
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(deconv_direct), out, err);
  if (status != IEC_OK) return status;
  deconv_direct *s = out->state;
  conv_geom *q = &s->geom;
  plan(node, q, &s->input, &s->gather, s->residues);
  post_init(&s->posts, node);
  s->in_blocks = op_div_up(q->cg, 16);
  s->out_blocks = op_div_up(q->og, 16);
  int64_t outputs = q->g * s->out_blocks * 16, phases = s->residues[0] * s->residues[1] * s->residues[2];
  s->phases = host->alloc(host->self, (size_t)phases * sizeof *s->phases, 64);
  s->taps = host->alloc(host->self, (size_t)q->taps * sizeof *s->taps, 64);
  s->tap_of = host->alloc(host->self, (size_t)q->taps * sizeof *s->tap_of, 64);
  s->weights = host->alloc(host->self, (size_t)(outputs * s->in_blocks * 16 * q->taps) * sizeof(float), 64);
  s->bias = host->alloc(host->self, (size_t)outputs * sizeof(float), 64);
  if (!s->phases || !s->taps || !s->tap_of || !s->weights || !s->bias) {
    release(host, s);
    out->state = NULL;
    return cpu_fail(err, IEC_OUT_OF_MEMORY, node->name, "out of memory for the weights");
  }
  list_taps(s);
  pack(s, node->inputs[1]->data, op_in(node, 2) ? node->inputs[2]->data : NULL);
  if (s->gather.needed)
    out->scratch_size = (size_t)(q->n * q->g * s->in_blocks * s->gather.plane * 16) * sizeof(float);
  if (q->stride[2] > 1)
    out->member_scratch_size =
        (size_t)(gemm_width(s->out_blocks) * op_div_up(q->out[2], q->stride[2]) * 16) * sizeof(float);
  out->cost = 2.0 * (double)(q->n * q->c * q->in_size) * (double)(q->og * q->taps);
  out->exec_type = "deconv_direct_" CPU_ISA_NAME;
  out->packed_inputs = 6;
  return IEC_OK;
}

/* Every `step`-th pixel of a row of nb blocks, `block` floats apart, from `count` neighbours each. */
static void place_apart(const float *from, int64_t count, int64_t nb, float *y, int64_t step, int64_t block) {
  for (int64_t i = 0; i < nb; i++)
    for (int64_t j = 0; j < count; j++, from += 16)
      memcpy(y + i * block + j * step * 16, from, 16 * sizeof *y);
}

/* One output row of one gemm group: every phase of the width axis in turn. x, y: the image's first block of
 * the group. */
static void run_row(const deconv_direct *s, const cpu_run *r, const float *x, float *y, int64_t out_block,
                    int64_t nb, int64_t row) {
  const conv_geom *q = &s->geom;
  int64_t od = row / q->out[1], oh = row % q->out[1];
  int64_t of_row = (od % s->residues[0] * s->residues[1] + oh % s->residues[1]) * s->residues[2];
  int64_t from =
      s->gather.base + od / q->stride[0] * s->gather.pitch[0] + oh / q->stride[1] * s->gather.pitch[1];
  const float *w = s->weights + out_block * s->in_blocks * q->taps * 256;
  for (int64_t f = 0; f < s->residues[2]; f++) {
    const phase *p = s->phases + of_row + f;
    int64_t step = q->stride[2], count = op_div_up(q->out[2] - f, step);
    float *to = y + (row * q->out[2] + f) * 16;
    gemm_args a = {.x = x + from * 16,
                   .w = w + p->taps * s->in_blocks * nb * 256,
                   .y = step > 1 ? r->member_scratch : to,
                   .bias = s->bias + out_block * 16,
                   .taps = s->taps + p->taps,
                   .tap_count = p->count,
                   .blocks = s->in_blocks,
                   .block_step = s->gather.plane * 16,
                   .last_lanes = 16,
                   .y_block = (step > 1 ? count : q->out_size) * 16};
    gemm_pixels(&a, 16, (int32_t)nb, count);
    if (step > 1) place_apart(a.y, count, nb, to, step, q->out_size * 16);
  }
  if (!s->posts.count) return;
  for (int64_t i = 0; i < nb; i++)
    post_blocked(&s->posts, r, y + (i * q->out_size + row * q->out[2]) * 16, q->out[2], (out_block + i) * 16,
                 q->o);
}

static void run(const void *state, const cpu_run *r) {
  const deconv_direct *s = state;
  const conv_geom *q = &s->geom;
  const float *x = r->inputs[0];
  int64_t begin, end, in_blocks = q->g * s->in_blocks, copied = gather_rows(&s->gather);
  if (s->gather.needed) {
    int64_t count = q->n * in_blocks * copied;
    while (cpu_next_phase(r, 1, count, op_grain(r, count, 4), &begin, &end))
      for (int64_t i = begin; i < end; i++)
        gather_row(&s->input, &s->gather, i % copied, 16, x + i / copied * q->in_size * 16,
                   (float *)r->scratch + i / copied * s->gather.plane * 16);
    cpu_barrier(r);
    x = r->scratch;
  }
  int64_t groups = gemm_groups(s->out_blocks), rows = q->out[0] * q->out[1],
          count = q->n * q->g * groups * rows;
  while (cpu_next(r, count, op_grain(r, count, 1), &begin, &end))
    for (int64_t i = begin; i < end; i++) {
      int64_t column = i / rows, image = column % q->n, g = column / q->n / groups,
              j = column / q->n % groups;
      int64_t first = gemm_group_start(s->out_blocks, j), nb = gemm_group_start(s->out_blocks, j + 1) - first;
      int64_t out_block = g * s->out_blocks + first;
      run_row(s, r, x + (image * in_blocks + g * s->in_blocks) * s->gather.plane * 16,
              (float *)r->outputs[0] + (image * q->g * s->out_blocks + out_block) * q->out_size * 16,
              out_block, nb, i % rows);
    }
}

const cpu_kernel IEC_ISA(cpu_kernel_deconv_direct) = {.kind = "Deconv",
                                                      .name = "deconv_direct",
                                                      .supports = supports,
                                                      .layouts = layouts,
                                                      .can_fuse = post_can_fuse,
                                                      .prepare = prepare,
                                                      .run = run,
                                                      .release = release};
