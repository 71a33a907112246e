/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution into blocks of 16 channels, any kernel, stride, dilation and padding: from a blocked input,
 * also in groups, or from a plain input of few channels (the first layer of a network). */
#include "cpu/kernels/conv_gather.h"
#include "cpu/kernels/gemm.h"
#include "cpu/kernels/pack.h"
#include "cpu/kernels/post.h"

#define ITEM_PIXELS 192 /* of a work item at most: a slab of their input stays in the L2 cache */
#define LEAST_PIXELS 24 /* and at least, when threads share the work */
#define ITEMS 6         /* of a thread: enough for all to finish together */

typedef struct conv_direct {
  conv_geom geom; /* groups that are no whole blocks are merged */
  conv_gather gather;
  post_set posts;
  int32_t lanes;
  int64_t in_blocks, out_blocks; /* of one group */
  int64_t last_lanes;            /* channels in the last input block */
  int64_t tap_count;             /* with lanes 1: of all channels together */
  int64_t slab;                  /* input blocks that one pass over the pixels uses */
  int64_t *taps;                 /* floats from the pixel */
  int32_t *at;    /* where each output's first pixel lies in the (gathered) input; NULL: in its own place */
  float *weights; /* [group][slab][gemm group][block][tap][lane][nb * 16] */
  float *bias;    /* [group][out_blocks * 16] */
} conv_direct;

/* How many groups must become one, with zeros between them, for its channels to be whole blocks; 0: too many,
 * the zeros would cost more than plain loops, which are slower still where they step. */
static int64_t groups_to_merge(const conv_geom *q) {
  int64_t most = q->stride[2] > 1 ? 16 : 8;
  for (int64_t count = 1; count <= most && count <= q->g; count++)
    if (count == q->g || (q->g % count == 0 && q->cg * count % 16 == 0 && q->og * count % 16 == 0))
      return count;
  return 0;
}

/* Geometry with *merged groups made one, and gathering; 0 when the node is malformed, the copy of its input
 * too large or the groups do not fit. */
static int plan(const cpu_node *node, conv_geom *q, conv_gather *gather, int64_t *merged) {
  if (!conv_geometry(node, 0, 1, q)) return 0;
  *merged = groups_to_merge(q);
  if (!*merged) return 0;
  q->g /= *merged;
  q->cg *= *merged;
  q->og *= *merged;
  for (int a = 0; a < 3; a++) /* without a second output there is no stride */
    if (q->out[a] == 1 && q->pad[a] <= 0 && (q->k[a] - 1) * q->dil[a] - q->pad[a] < q->in[a])
      q->stride[a] = 1;
  return gather_plan(q, gather);
}

static int32_t supports(const cpu_node *node) {
  conv_geom q;
  conv_gather gather;
  int64_t merged;
  if (!plan(node, &q, &gather, &merged) || !conv_bias_ok(node, 2, q.o) || !conv_can_block(node)) return 0;
  return merged > 1 ? 15 : 20;
}

static void layouts(const cpu_node *node, cpu_layout *in, cpu_layout *out) {
  conv_geom q;
  conv_gather gather;
  int64_t merged;
  if (!plan(node, &q, &gather, &merged)) return;
  in[0] = conv_few_channels(&q) ? CPU_PLAIN : CPU_BLOCKED16;
  for (int32_t i = 3; i < node->input_count; i++) in[i] = CPU_BLOCKED16; /* sums */
  out[0] = CPU_BLOCKED16;
}

/* Input channels that one output channel sums, times their taps. */
static int64_t depth(const conv_direct *s) { return s->geom.cg * s->geom.taps; }

/* Floats from the weights of group g to those of slab b (its first block), gemm group `first` (its first
 * output block). */
static int64_t panel_at(const conv_direct *s, int64_t g, int64_t b, int64_t first) {
  int64_t rows = s->lanes == 1 ? s->tap_count : op_min(s->geom.cg - b * 16, s->slab * 16) * s->tap_count;
  return (s->out_blocks * (g * depth(s) + b * 16 * s->tap_count) + first * rows) * 16;
}

/* Weights [G, O/G, C/G, taps] into panels; output channels that do not exist weigh nothing. */
static void pack(const cpu_node *node, conv_direct *s, const float *w) {
  const conv_geom *q = &s->geom;
  int64_t slab = s->lanes == 1 ? q->cg : s->slab * 16;
  /* A plain channel is a block of its own; without taps a slab is as one block. */
  int64_t width = q->taps == 1 ? slab : s->lanes == 1 ? 1 : 16;
  for (int64_t g = 0; g < q->g; g++)
    for (int64_t j = 0; j < gemm_groups(s->out_blocks); j++) {
      int64_t first = gemm_group_start(s->out_blocks, j) * 16;
      int64_t columns = gemm_group_start(s->out_blocks, j + 1) * 16 - first;
      int64_t count = op_min(columns, q->og - first);
      const float *rows = pack_rows(node, w + (g * q->og + first) * depth(s), count * depth(s), 0);
      for (int64_t from = 0; from < q->cg; from += slab) {
        int64_t end = op_min(from + slab, q->cg);
        float *to = s->weights + (s->out_blocks * 16 * (g * q->cg + from) + first * (end - from)) * q->taps;
        for (int64_t b = from; b < end; b += width) {
          int64_t channels = op_min(width, end - b);
          pack_panel(rows + b * q->taps, depth(s), count, columns, channels, q->taps, to);
          to += channels * q->taps * columns;
        }
      }
    }
}

static void copy_bias(conv_direct *s, const float *bias) {
  const conv_geom *q = &s->geom;
  for (int64_t i = 0; i < q->g * s->out_blocks * 16; i++) s->bias[i] = bias && i < q->o ? bias[i] : 0.0f;
}

/* As pack for groups that were merged: their weights with zeros between them. */
static iec_status pack_merged(const iec_host_api *host, const cpu_node *node, conv_direct *s,
                              int64_t merged) {
  const conv_geom *q = &s->geom;
  int64_t row = q->cg * q->taps, part = row / merged, rows = q->og / merged;
  size_t size = (size_t)(q->g * q->og * row) * sizeof(float);
  const float *w = node->inputs[1]->data;
  float *whole = host->alloc(host->self, size, 64);
  if (!whole) return IEC_OUT_OF_MEMORY;
  memset(whole, 0, size);
  for (int64_t o = 0; o < q->g * q->og; o++)
    memcpy(whole + o * row + o % q->og / rows * part, w + o * part, (size_t)part * sizeof *w);
  pack(node, s, whole);
  host->release(host->self, whole);
  return IEC_OK;
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

/* Where the outputs' first pixels lie; nothing when that is where the outputs lie. */
static void list_pixels(conv_direct *s) {
  const conv_geom *q = &s->geom;
  int32_t *to = s->at;
  int64_t o[3];
  for (o[0] = 0; o[0] < q->out[0]; o[0]++)
    for (o[1] = 0; o[1] < q->out[1]; o[1]++)
      for (o[2] = 0; o[2] < q->out[2]; o[2]++) *to++ = (int32_t)gather_pixel(&s->gather, o);
}

static void release(const iec_host_api *host, void *state) {
  conv_direct *s = state;
  if (!s) return;
  host->release(host->self, s->taps);
  host->release(host->self, s->at);
  host->release(host->self, s->bias);
  host->release(host->self, s);
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(conv_direct), out, err);
  if (status != IEC_OK) return status;
  conv_direct *s = out->state;
  conv_geom *q = &s->geom;
  int64_t merged;
  plan(node, q, &s->gather, &merged);
  post_init(&s->posts, node);
  post_take(&s->posts, 1);
  s->lanes = conv_few_channels(q) ? 1 : 16;
  s->in_blocks = s->lanes == 1 ? 1 : op_div_up(q->cg, 16);
  s->out_blocks = op_div_up(q->og, 16);
  s->last_lanes = s->lanes == 1 ? 1 : q->cg - (s->in_blocks - 1) * 16;
  s->tap_count = s->lanes == 1 ? q->taps * q->c : q->taps;
  int64_t outputs = q->g * s->out_blocks * 16;
  s->slab = s->lanes == 1 ? 1 : gemm_slab(s->in_blocks, s->tap_count * 1024 * gemm_width(s->out_blocks));
  int spread = !gather_in_place(q, &s->gather);
  if (spread) s->at = host->alloc(host->self, (size_t)q->out_size * sizeof *s->at, 64);
  s->taps = host->alloc(host->self, (size_t)s->tap_count * sizeof *s->taps, 64);
  int32_t ready;
  s->weights = cpu_pack(node, "panels", (size_t)(outputs * depth(s)) * sizeof(float), &ready);
  s->bias = host->alloc(host->self, (size_t)outputs * sizeof(float), 64);
  const float *bias = op_in(node, 2) ? node->inputs[2]->data : NULL;
  if ((spread && !s->at) || !s->taps || !s->weights || !s->bias) {
    status = IEC_OUT_OF_MEMORY;
  } else if (!ready && merged > 1) {
    status = pack_merged(host, node, s, merged);
  } else if (!ready) {
    pack(node, s, node->inputs[1]->data);
  }
  if (status) {
    release(host, s);
    out->state = NULL;
    return cpu_fail(err, status, node->name, "out of memory for the weights");
  }
  list_taps(s);
  if (spread) list_pixels(s);
  copy_bias(s, bias);
  if (s->gather.needed)
    out->scratch_size =
        (size_t)(q->n * (s->lanes == 1 ? q->c : q->g * s->in_blocks) * s->gather.plane * s->lanes) *
        sizeof(float);
  out->cost = 2.0 * (double)(q->n * q->o * q->out_size) * (double)(q->cg * q->taps);
  out->exec_type = s->lanes == 1 ? "conv_first_" CPU_ISA_NAME : "conv_direct_" CPU_ISA_NAME;
  out->packed_inputs = 6;
  return IEC_OK;
}

/* One work item: pixels [begin, end) of all images, gemm groups [j0, j1) of one group. */
typedef struct item {
  int64_t group, j0, j1, begin, end;
} item;

/* One gemm group over a slab of the input for pixels [begin, end), image by image. */
static void run_slab(const conv_direct *s, const cpu_run *r, const float *x, const item *w, int64_t b,
                     int64_t first, gemm_args *a, int64_t nb) {
  const conv_geom *q = &s->geom;
  int64_t all_in = s->lanes == 1 ? q->c : q->g * s->in_blocks, pixel, count;
  for (int64_t at = w->begin; at < w->end; at += count) {
    int64_t image = at / q->out_size;
    pixel = at - image * q->out_size;
    count = op_min(w->end - at, q->out_size - pixel);
    a->at = s->at ? s->at + pixel : NULL;
    a->x = x + ((image * all_in + w->group * s->in_blocks + b) * s->gather.plane + s->gather.base +
                (s->at ? 0 : pixel)) *
                   s->lanes;
    int64_t block = (image * q->g + w->group) * s->out_blocks + first,
            to = (block * q->out_size + pixel) * 16;
    a->y = (float *)r->outputs[0] + to;
    a->addend = b == 0 && s->posts.addend >= 0 ? (const float *)r->inputs[s->posts.addend] + to : NULL;
    gemm_pixels(a, s->lanes, (int32_t)nb, count);
    if (b + s->slab < s->in_blocks || !post_left(&s->posts)) continue;
    for (int64_t i = 0; i < nb; i++)
      post_blocked(&s->posts, r, a->y + i * q->out_size * 16, count,
                   (w->group * s->out_blocks + first + i) * 16, q->o);
  }
}

/* The weights of a slab and gemm group serve all pixels of the item out of the L1 cache, the slab of the
 * input all gemm groups out of the L2 cache. */
static void run_item(const conv_direct *s, const cpu_run *r, const float *x, const item *w) {
  const conv_geom *q = &s->geom;
  gemm_args a = {.taps = s->taps,
                 .tap_count = s->tap_count,
                 .block_step = s->gather.plane * s->lanes,
                 .y_block = q->out_size * 16};
  for (int64_t b = 0; b < s->in_blocks; b += s->slab) {
    int last = b + s->slab >= s->in_blocks;
    a.blocks = op_min(s->slab, s->in_blocks - b);
    a.last_lanes = last ? s->last_lanes : 16;
    a.accumulate = b > 0;
    a.limits = s->posts.limited && last ? s->posts.limits : NULL;
    for (int64_t j = w->j0; j < w->j1; j++) {
      int64_t first = gemm_group_start(s->out_blocks, j), end = gemm_group_start(s->out_blocks, j + 1);
      int64_t here = panel_at(s, w->group, b, first);
      int64_t next = j + 1 < w->j1 ? panel_at(s, w->group, b, end)
                     : last ? here
                            : panel_at(s, w->group, b + s->slab, gemm_group_start(s->out_blocks, w->j0));
      a.w = s->weights + here;
      a.half = gemm_is_half(q->og, first, end - first);
      a.ahead = next - here;
      a.bias = s->bias + (w->group * s->out_blocks + first) * 16;
      run_slab(s, r, x, w, b, first, &a, end - first);
    }
  }
}

static void gather_input(const conv_direct *s, const cpu_run *r) {
  const conv_geom *q = &s->geom;
  int64_t blocks = q->n * (s->lanes == 1 ? q->c : q->g * s->in_blocks), rows = gather_rows(&s->gather), begin,
          end;
  /* Rows of several phases are copied side by side, so that a band of them is a band of the map. */
  const gather_axis *axis = s->gather.axis + 1;
  int64_t phases = rows == axis->phases * axis->length ? axis->phases : 1, length = rows / phases;
  while (cpu_next_phase(r, 1, blocks * rows, op_grain(r, blocks * rows, 4), &begin, &end))
    while (begin < end) {
      int64_t block, row, next = op_min(end, begin + op_place(r, begin, blocks, rows, &block, &row));
      const float *x = (const float *)r->inputs[0] + block * q->in_size * s->lanes;
      float *y = (float *)r->scratch + block * s->gather.plane * s->lanes;
      for (; begin < next; begin++, row++)
        gather_row(q, &s->gather, row % phases * length + row / phases, s->lanes, x, y);
    }
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
  int64_t groups = gemm_groups(s->out_blocks), pixels = q->n * q->out_size;
  int64_t pieces = op_div_up(pixels, ITEM_PIXELS), parts = 1;
  while (r->members > 1 && q->g * pieces * parts < ITEMS * r->members) {
    /* Pieces read all weights again, parts all the input: what costs less is cut in two. */
    int more_pieces = pixels / (2 * pieces) >= LEAST_PIXELS, more_parts = 2 * parts <= groups;
    if (more_pieces && (!more_parts || s->out_blocks * 16 * q->taps * pieces <= pixels * parts))
      pieces *= 2;
    else if (more_parts)
      parts *= 2;
    else
      break;
  }
  while (cpu_next(r, q->g * parts * pieces, 1, &begin, &end)) {
    int64_t column, piece, part;
    op_place(r, begin, q->g * parts, pieces, &column, &piece);
    part = column % parts;
    item w = {.group = column / parts,
              .j0 = groups * part / parts,
              .j1 = groups * (part + 1) / parts,
              .begin = pixels * piece / pieces,
              .end = pixels * (piece + 1) / pieces};
    run_item(s, r, x, &w);
  }
}

extern const cpu_kernel IEC_ISA(cpu_kernel_conv_pair), IEC_ISA(cpu_kernel_conv_pool);
const cpu_kernel IEC_ISA(cpu_kernel_conv_direct) = {.kind = "Conv",
                                                    .name = "conv_direct",
                                                    .supports = supports,
                                                    .layouts = layouts,
                                                    .can_fuse = post_can_fuse,
                                                    .pooled = &IEC_ISA(cpu_kernel_conv_pool),
                                                    .paired = &IEC_ISA(cpu_kernel_conv_pair),
                                                    .prepare = prepare,
                                                    .run = run,
                                                    .release = release};
