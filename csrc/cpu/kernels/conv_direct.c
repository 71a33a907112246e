/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution into blocks of 16 channels, any kernel, stride, dilation and padding: from a blocked input,
 * also in groups of whole blocks, or from a plain input of few channels (the first layer of a network). */
#include "cpu/kernels/conv_gather.h"
#include "cpu/kernels/gemm.h"
#include "cpu/kernels/post.h"

#define FEW_CHANNELS 8          /* below it a plain input wastes less than a blocked one */
#define SLAB_BYTES (256 * 1024) /* weights that one pass over the pixels uses: a part of the L2 cache */
#define ITEM_PIXELS \
  192 /* pixels of a work item at most: their outputs stay in the L1 cache until they are fused */

typedef struct conv_direct {
  conv_geom geom;
  conv_gather gather;
  post_set posts;
  int32_t lanes;
  int64_t in_blocks, out_blocks; /* of one group */
  int64_t last_lanes;            /* channels in the last input block */
  int64_t tap_count;             /* with lanes 1: of all channels together */
  int64_t rows[2], run; /* outputs as depth x rows x run: in a run, neighbours read neighbouring pixels */
  int64_t *taps;        /* floats from the pixel */
  float *weights;       /* [group][gemm group][block][tap][lane][nb * 16] */
  int32_t pixels_outer; /* more input than weights: a work item's pixels meet all the weights before the next
                           pixels */
  float *bias;          /* [group][out_blocks * 16] */
} conv_direct;

static int few_channels(const conv_geom *q) { return q->g == 1 && q->c < FEW_CHANNELS; }

/* Geometry and gathering; 0 when the node is malformed or the copy of its input too large. */
static int plan(const cpu_node *node, conv_geom *q, conv_gather *gather) {
  if (!conv_geometry(node, 0, 1, q)) return 0;
  for (int a = 0; a < 3; a++) /* without a second output there is no stride */
    if (q->out[a] == 1 && q->pad[a] <= 0 && (q->k[a] - 1) * q->dil[a] - q->pad[a] < q->in[a])
      q->stride[a] = 1;
  return gather_plan(q, gather);
}

static int32_t supports(const cpu_node *node) {
  conv_geom q;
  conv_gather gather;
  if (!plan(node, &q, &gather) || !conv_bias_ok(node, 2, q.o) || !node->inputs[1]->data) return 0;
  if (op_in(node, 2) && !node->inputs[2]->data) return 0;
  if (q.g > 1 && (q.cg % 16 || q.og % 16)) return 0;
  return q.out_size > 0 && q.n > 0 ? 20 : 0;
}

static void layouts(const cpu_node *node, cpu_layout *in, cpu_layout *out) {
  conv_geom q;
  if (!conv_geometry(node, 0, 1, &q)) return;
  in[0] = few_channels(&q) ? CPU_PLAIN : CPU_BLOCKED16;
  for (int32_t i = 3; i < node->input_count; i++) in[i] = CPU_BLOCKED16; /* sums */
  out[0] = CPU_BLOCKED16;
}

/* Input channels that one output channel sums, times their taps. */
static int64_t depth(const conv_direct *s) { return s->geom.cg * s->geom.taps; }

/* Weights [G, O/G, C/G, taps] into panels; output channels that do not exist weigh nothing. */
static void pack(conv_direct *s, const float *w, const float *bias) {
  const conv_geom *q = &s->geom;
  for (int64_t g = 0; g < q->g; g++)
    for (int64_t j = 0; j < gemm_groups(s->out_blocks); j++) {
      int64_t first = gemm_group_start(s->out_blocks, j), nb = gemm_group_start(s->out_blocks, j + 1) - first;
      int64_t width = s->lanes == 1 ? 1 : 16; /* a plain channel is a block of its own */
      float *to = s->weights + (g * s->out_blocks + first) * 16 * depth(s);
      for (int64_t b = 0; b < q->cg; b += width)
        for (int64_t t = 0; t < q->taps; t++)
          for (int64_t c = b; c < op_min(b + width, q->cg); c++, to += nb * 16)
            for (int64_t i = 0; i < nb * 16; i++) {
              int64_t o = first * 16 + i;
              to[i] = o < q->og ? w[((g * q->og + o) * q->cg + c) * q->taps + t] : 0.0f;
            }
    }
  for (int64_t i = 0; i < q->g * s->out_blocks * 16; i++) s->bias[i] = bias && i < q->o ? bias[i] : 0.0f;
}

static void list_taps(conv_direct *s) {
  const conv_geom *q = &s->geom;
  int64_t *to = s->taps, t[3];
  for (int64_t c = 0; c < (s->lanes == 1 ? q->c : 1); c++)
    for (t[0] = 0; t[0] < q->k[0]; t[0]++)
      for (t[1] = 0; t[1] < q->k[1]; t[1]++)
        for (t[2] = 0; t[2] < q->k[2]; t[2]++)
          *to++ = (c * s->gather.plane + gather_tap(q, &s->gather, t)) * s->lanes;
}

/* Rows that follow each other without a gap are one run. */
static void merge_rows(conv_direct *s) {
  const int64_t *out = s->geom.out, *pitch = s->gather.pitch;
  s->rows[0] = out[0];
  s->rows[1] = out[1];
  s->run = out[2];
  if (s->rows[1] > 1 && pitch[1] != s->run) return;
  s->run *= s->rows[1];
  s->rows[1] = 1;
  if (s->rows[0] > 1 && pitch[0] != s->run) return;
  s->run *= s->rows[0];
  s->rows[0] = 1;
}

static void release(const iec_host_api *host, void *state) {
  conv_direct *s = state;
  if (!s) return;
  host->release(host->self, s->taps);
  host->release(host->self, s->weights);
  host->release(host->self, s->bias);
  host->release(host->self, s);
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(conv_direct), out, err);
  if (status != IEC_OK) return status;
  conv_direct *s = out->state;
  conv_geom *q = &s->geom;
  plan(node, q, &s->gather);
  merge_rows(s);
  post_init(&s->posts, node);
  post_take(&s->posts, 1);
  s->lanes = few_channels(q) ? 1 : 16;
  s->in_blocks = s->lanes == 1 ? 1 : op_div_up(q->cg, 16);
  s->out_blocks = op_div_up(q->og, 16);
  s->last_lanes = s->lanes == 1 ? 1 : q->cg - (s->in_blocks - 1) * 16;
  s->tap_count = s->lanes == 1 ? q->taps * q->c : q->taps;
  int64_t outputs = q->g * s->out_blocks * 16;
  s->taps = host->alloc(host->self, (size_t)s->tap_count * sizeof *s->taps, 64);
  s->weights = host->alloc(host->self, (size_t)(outputs * depth(s)) * sizeof(float), 64);
  s->bias = host->alloc(host->self, (size_t)outputs * sizeof(float), 64);
  if (!s->taps || !s->weights || !s->bias) {
    release(host, s);
    out->state = NULL;
    return cpu_fail(err, IEC_OUT_OF_MEMORY, node->name, "out of memory for the weights");
  }
  s->pixels_outer = q->c * s->gather.plane > outputs * depth(s);
  list_taps(s);
  pack(s, node->inputs[1]->data, op_in(node, 2) ? node->inputs[2]->data : NULL);
  if (s->gather.needed)
    out->scratch_size =
        (size_t)(q->n * (s->lanes == 1 ? q->c : q->g * s->in_blocks) * s->gather.plane * s->lanes) *
        sizeof(float);
  out->cost = 2.0 * (double)(q->n * q->o * q->out_size) * (double)(q->cg * q->taps);
  out->exec_type = s->lanes == 1 ? "conv_first_" CPU_ISA_NAME : "conv_direct_" CPU_ISA_NAME;
  out->packed_inputs = 6;
  return IEC_OK;
}

/* One work item: units [begin, end) of `segment` pixels for one image, group and gemm group. */
typedef struct item {
  int64_t image, group, first, nb; /* first: output block within the group */
  int64_t begin, end, segment;
} item;

/* The first pixel of a unit in the (gathered) input and in the output, and its length. */
static int64_t unit_pixels(const conv_direct *s, const item *w, int64_t unit, int64_t *from, int64_t *to) {
  int64_t pieces = op_div_up(s->run, w->segment), row = unit / pieces, at = unit % pieces * w->segment;
  *from = s->gather.base + row / s->rows[1] * s->gather.pitch[0] + row % s->rows[1] * s->gather.pitch[1] + at;
  *to = row * s->run + at;
  return op_min(w->segment, s->run - at);
}

static void run_item(const conv_direct *s, const cpu_run *r, const float *x, const item *w) {
  const conv_geom *q = &s->geom;
  int64_t all_in = s->lanes == 1 ? q->c : q->g * s->in_blocks,
          out_block = w->group * s->out_blocks + w->first;
  int64_t panel = s->tap_count * s->lanes * w->nb * 16; /* weights of one full input block */
  int64_t chunk = op_max(1, SLAB_BYTES / (panel * (int64_t)sizeof(float)));
  const float *weights = s->weights + out_block * 16 * depth(s);
  x += (w->image * all_in + w->group * s->in_blocks) * s->gather.plane * s->lanes;
  float *y = (float *)r->outputs[0] + (w->image * q->g * s->out_blocks + out_block) * q->out_size * 16;
  const float *addend = NULL; /* lies as y does */
  if (s->posts.addend >= 0)
    addend = (const float *)r->inputs[s->posts.addend] + (y - (const float *)r->outputs[0]);
  gemm_args a = {.bias = s->bias + out_block * 16,
                 .taps = s->taps,
                 .tap_count = s->tap_count,
                 .block_step = s->gather.plane * s->lanes,
                 .y_pixel = 16,
                 .y_block = q->out_size * 16};
  for (int64_t b = 0; b < s->in_blocks; b += chunk)
    for (int64_t u = w->begin; u < w->end; u++) {
      int64_t from, to, pixels = unit_pixels(s, w, u, &from, &to);
      a.x = x + (from + b * s->gather.plane) * s->lanes;
      a.w = weights + b * panel;
      a.y = y + to * 16;
      a.blocks = op_min(chunk, s->in_blocks - b);
      a.last_lanes = b + chunk < s->in_blocks ? 16 : s->last_lanes;
      a.accumulate = b > 0;
      a.addend = addend && b == 0 ? addend + to * 16 : NULL;
      a.limits = s->posts.limited && b + chunk >= s->in_blocks ? s->posts.limits : NULL;
      gemm_pixels(&a, s->lanes, (int32_t)w->nb, pixels);
    }
  if (!post_left(&s->posts)) return;
  for (int64_t u = w->begin; u < w->end; u++) {
    int64_t from, to, pixels = unit_pixels(s, w, u, &from, &to);
    for (int64_t i = 0; i < w->nb; i++)
      post_blocked(&s->posts, r, y + i * q->out_size * 16 + to * 16, pixels, (out_block + i) * 16, q->o);
  }
}

static void gather_input(const conv_direct *s, const cpu_run *r) {
  const conv_geom *q = &s->geom;
  int64_t blocks = q->n * (s->lanes == 1 ? q->c : q->g * s->in_blocks), rows = gather_rows(&s->gather), begin,
          end;
  while (cpu_next_phase(r, 1, blocks * rows, op_grain(r, blocks * rows, 4), &begin, &end))
    for (int64_t i = begin; i < end; i++)
      gather_row(q, &s->gather, i % rows, s->lanes,
                 (const float *)r->inputs[0] + i / rows * q->in_size * s->lanes,
                 (float *)r->scratch + i / rows * s->gather.plane * s->lanes);
}

static void run(const void *state, const cpu_run *r) {
  const conv_direct *s = state;
  const conv_geom *q = &s->geom;
  const float *x = r->inputs[0];
  int64_t begin, end;
  if (s->gather.needed) {
    gather_input(s, r);
    cpu_barrier(r);
    x = r->scratch;
  }
  int64_t groups = gemm_groups(s->out_blocks), columns = q->n * q->g * groups;
  int64_t wanted = op_div_up(columns * q->out_size, 8 * (int64_t)r->members); /* about 8 items a member */
  int64_t pixels = op_max(24, op_min(wanted, ITEM_PIXELS));
  item w = {.segment = op_div_up(s->run, op_div_up(s->run, pixels))};
  int64_t units = s->rows[0] * s->rows[1] * op_div_up(s->run, w.segment),
          grain = op_max(1, pixels / w.segment);
  int64_t pieces = op_div_up(units, grain);
  while (cpu_next(r, columns * pieces, 1, &begin, &end)) {
    int64_t column = s->pixels_outer ? begin % columns : begin / pieces,
            piece = s->pixels_outer ? begin / columns : begin % pieces;
    int64_t j = column / q->n % groups;
    w.image = column % q->n; /* images next to each other use the same weights */
    w.group = column / q->n / groups;
    w.first = gemm_group_start(s->out_blocks, j);
    w.nb = gemm_group_start(s->out_blocks, j + 1) - w.first;
    w.begin = piece * grain;
    w.end = op_min(units, w.begin + grain);
    run_item(s, r, x, &w);
  }
}

const cpu_kernel IEC_ISA(cpu_kernel_conv_direct) = {.kind = "Conv",
                                                    .name = "conv_direct",
                                                    .supports = supports,
                                                    .layouts = layouts,
                                                    .can_fuse = post_can_fuse,
                                                    .prepare = prepare,
                                                    .run = run,
                                                    .release = release};
