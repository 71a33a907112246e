/* SPDX-License-Identifier: Apache-2.0 */
/* Fused operations behind convolutions, pools, matrix products and element-wise kernels. */
#include "cpu/kernels/post.h"

#include "cpu/kernels/common.h"
#include "cpu/kernels/vmath.h"

#define PARTS (16 / VL)   /* vectors of a block */
#define SHORTEST_PLANE 16 /* elements of a channel for which its constants are worth fetching */

int32_t post_can_fuse_range(const cpu_node *node, const cpu_post *post) {
  const cpu_tensor *y = node->outputs[0];
  if (y->dtype != IEC_F32 || !post_can_fuse(node, post)) return 0;
  if (post->type == CPU_POST_UNARY || post->type == CPU_POST_SUM) return 1;
  return y->ndim >= 3 && op_product(y->shape, 2, y->ndim) >= SHORTEST_PLANE;
}

/* Limits that the operation keeps values within; 0: it is another one. */
static int limits_of(const cpu_post *p, float *limits) {
  if (p->type != CPU_POST_UNARY) return 0;
  limits[0] = p->op == CPU_UNARY_CLAMP ? p->alpha : 0.0f;
  limits[1] = p->op == CPU_UNARY_CLAMP ? p->beta : INFINITY;
  return p->op == CPU_UNARY_CLAMP || (p->op == CPU_UNARY_RELU && p->alpha == 0.0f);
}

/* Makes `p` do what `next` does, too, in the same pass over the values: scale, shift, limits. */
static int takes(cpu_post *p, const cpu_post *next) {
  float limits[2];
  if (p->type != CPU_POST_CHANNEL || p->alpha != -INFINITY || p->beta != INFINITY) return 0;
  if (limits_of(next, limits)) {
    p->alpha = limits[0];
    p->beta = limits[1];
    return 1;
  }
  if (next->type != CPU_POST_CHANNEL || p->shift || next->scale) return 0;
  p->shift = next->shift;
  p->alpha = next->alpha;
  p->beta = next->beta;
  return 1;
}

static void join(post_set *set) {
  int32_t count = 0;
  for (int32_t i = 0; i < set->count; i++)
    if (!count || !takes(set->posts + count - 1, set->posts + i)) set->posts[count++] = set->posts[i];
  set->count = count;
}

void post_init(post_set *set, const cpu_node *node) {
  const cpu_tensor *y = node->outputs[0];
  set->count = node->post_count;
  set->clean = 1;
  set->addend = -1;
  set->limited = 0;
  set->shape.blocked = op_blocked(y);
  set->shape.channels = y->ndim >= 2 ? y->shape[1] : 1;
  set->shape.plane = op_max(1, op_product(y->shape, 2, y->ndim)) * (op_blocked(y) ? 16 : 1);
  for (int32_t i = 0; i < node->post_count; i++) {
    const cpu_post *p = node->posts + i;
    set->posts[i] = *p;
    if (p->type == CPU_POST_UNARY && vm_unary(p->op, vf_set(0), p->alpha, p->beta, p->gamma)[0] != 0.0f)
      set->clean = 0;
  }
  join(set);
}

void post_lead(post_set *set, const cpu_post *first) {
  memmove(set->posts + 1, set->posts, (size_t)set->count * sizeof *first);
  set->posts[0] = *first;
  set->count++;
  join(set);
}

void post_take(post_set *set, int sum) {
  const cpu_post *p = set->posts, *end = p + set->count;
  if (sum && p < end && p->type == CPU_POST_SUM) set->addend = p++->input;
  if (p < end) set->limited = limits_of(p, set->limits);
  p += set->limited;
  int32_t taken = (int32_t)(p - set->posts);
  set->count -= taken;
  memmove(set->posts, p, (size_t)set->count * sizeof *p);
}

/* The constants of a channel, or of the channels of a block. */
typedef struct channel_set {
  vf scale[PARTS], shift[PARTS], low[PARTS], high[PARTS], step[PARTS];
} channel_set;

static vf scaled(vf x, vf scale, vf shift, vf least, vf most) {
  return vm_clamp(x * scale + shift, least, most);
}

/* CPU_POST_CHANNEL from `x` to `y`, which may be the same. */
static inline __attribute__((always_inline)) void scale_vectors(const cpu_post *p, const float *x, float *y,
                                                                int64_t vectors, const channel_set *c,
                                                                const int parts) {
  vf scale[PARTS], shift[PARTS], least = vf_set(p->alpha), most = vf_set(p->beta);
  for (int v = 0; v < parts; v++) {
    scale[v] = c->scale[v];
    shift[v] = c->shift[v];
  }
  for (int64_t j = 0; j < vectors; j += parts, x += parts * VL, y += parts * VL)
    for (int v = 0; v < parts; v++)
      vf_store(y + v * VL, scaled(vf_load(x + v * VL), scale[v], shift[v], least, most));
}

/* `lines` lines of `vectors` vectors, `step` floats from one to the next in `y` and `other`: the vectors of a
 * line in turn, with the part of the channels' constants that belongs to each, `parts` vectors, then from the
 * first again. */
typedef struct region {
  int64_t lines, step, vectors;
} region;

static __attribute__((noinline)) void apply(const cpu_post *p, float *y, const float *other, region at,
                                            const channel_set *c, int parts) {
  int mask = parts - 1;
  const int64_t vectors = at.vectors;
#define LINES for (const float *end = y + at.lines * at.step; y != end; y += at.step)
  switch (p->type) {
    case CPU_POST_UNARY:
#define CASE(code)                                                                              \
  case code:                                                                                    \
    LINES for (int64_t j = 0; j < vectors; j++)                                                 \
        vf_store(y + j * VL, vm_unary(code, vf_load(y + j * VL), p->alpha, p->beta, p->gamma)); \
    break
      switch (p->op) { /* the switch stands outside the loop: each case is a loop of its own */
        CASE(CPU_UNARY_RELU);
        CASE(CPU_UNARY_SIGMOID);
        CASE(CPU_UNARY_TANH);
        CASE(CPU_UNARY_ELU);
        CASE(CPU_UNARY_CLAMP);
        CASE(CPU_UNARY_MISH);
        CASE(CPU_UNARY_SWISH);
        CASE(CPU_UNARY_HSWISH);
        CASE(CPU_UNARY_GELU);
        CASE(CPU_UNARY_GELU_TANH);
        default:
          LINES for (int64_t j = 0; j < vectors; j++)
              vf_store(y + j * VL, vm_unary(p->op, vf_load(y + j * VL), p->alpha, p->beta, p->gamma));
      }
#undef CASE
      break;
    case CPU_POST_SUM:
      for (int64_t i = 0; i < at.lines; i++, y += at.step, other += at.step)
        for (int64_t j = 0; j < vectors; j++)
          vf_store(y + j * VL, vf_load(y + j * VL) + vf_load(other + j * VL));
      break;
    case CPU_POST_CHANNEL:
      LINES {
        if (parts == PARTS)
          scale_vectors(p, y, y, vectors, c, PARTS);
        else
          scale_vectors(p, y, y, vectors, c, 1);
      }
      break;
    case CPU_POST_PRELU:
      LINES for (int64_t j = 0; j < vectors; j++) {
        vf x = vf_load(y + j * VL);
        vf_store(y + j * VL, vf_sel(x > vf_set(0), x, x * c->scale[j & mask]));
      }
      break;
    case CPU_POST_QUANTIZE:
      LINES for (int64_t j = 0; j < vectors; j++) {
        int64_t k = j & mask;
        vf x = vf_at_most(vf_at_least(vf_load(y + j * VL), c->low[k]), c->high[k]);
        vf_store(y + j * VL, vf_round((x - c->low[k]) * c->scale[k]) * c->step[k] + c->shift[k]);
      }
      break;
    case CPU_POST_GRID:
    case CPU_POST_DEPTHWISE:
    case CPU_POST_MAXPOOL: break; /* by the kernels that take it */
  }
#undef LINES
}

static void apply_line(const cpu_post *p, float *y, const float *other, int64_t vectors, const channel_set *c,
                       int parts) {
  apply(p, y, other, (region){1, vectors * VL, vectors}, c, parts);
}

static const float *sum_input(const cpu_post *p, const cpu_run *run, const float *y) {
  return p->type == CPU_POST_SUM ? (const float *)run->inputs[p->input] + (y - (const float *)run->outputs[0])
                                 : NULL;
}

static int by_channel(const cpu_post *p) { return p->type != CPU_POST_UNARY && p->type != CPU_POST_SUM; }

/* Constants of one channel: the first vector of each. */
static void one_channel(const cpu_post *p, int64_t channel, channel_set *c) {
  c->scale[0] = vf_set(p->scale ? p->scale[channel] : 1.0f);
  c->shift[0] = vf_set(p->shift ? p->shift[channel] : 0.0f);
  if (p->type != CPU_POST_QUANTIZE) return;
  c->low[0] = vf_set(p->low[channel]);
  c->high[0] = vf_set(p->high[channel]);
  c->step[0] = vf_set(p->step[channel]);
}

/* Constants of the 16 channels from `channel` on. */
static void block_channels(const cpu_post *p, int64_t channel, channel_set *c) {
  for (int part = 0; part < PARTS; part++) {
    int64_t at = channel + part * VL;
    c->scale[part] = p->scale ? vf_load(p->scale + at) : vf_set(1.0f);
    c->shift[part] = p->shift ? vf_load(p->shift + at) : vf_set(0.0f);
    if (p->type != CPU_POST_QUANTIZE) continue;
    c->low[part] = vf_load(p->low + at);
    c->high[part] = vf_load(p->high + at);
    c->step[part] = vf_load(p->step + at);
  }
}

/* The operations that need no channel, or all of one channel. */
static void apply_run(const cpu_post *p, float *y, const float *other, int64_t count, const channel_set *c) {
  int64_t whole = count / VL, rest = count - whole * VL;
  apply_line(p, y, other, whole, c, 1);
  if (!rest) return;
  float tail[VL], tail_other[VL] = {0};
  vf_store(tail, vf_load_n(y + whole * VL, rest));
  if (other) vf_store(tail_other, vf_load_n(other + whole * VL, rest));
  apply_line(p, tail, tail_other, 1, c, 1);
  memcpy(y + whole * VL, tail, (size_t)rest * sizeof *y);
}

void post_plain(const post_set *set, const cpu_run *run, float *y, int64_t count, int64_t channel) {
  channel_set c;
  for (int32_t i = 0; i < set->count; i++) {
    const cpu_post *p = set->posts + i;
    if (by_channel(p)) one_channel(p, channel, &c);
    apply_run(p, y, sum_input(p, run, y), count, &c);
  }
}

/* CPU_POST_CHANNEL on neighbouring channels. */
static void scale_row(const cpu_post *p, float *y, int64_t count, int64_t channel) {
  vf scale = vf_set(1.0f), shift = vf_set(0.0f), least = vf_set(p->alpha), most = vf_set(p->beta);
  for (int64_t j = 0; j < count; j += VL) {
    int64_t rest = count - j;
    if (p->scale) scale = vf_load(p->scale + channel + j);
    if (p->shift) shift = vf_load(p->shift + channel + j);
    if (rest >= VL)
      vf_store(y + j, scaled(vf_load(y + j), scale, shift, least, most));
    else
      vf_store_n(y + j, scaled(vf_load_n(y + j, rest), scale, shift, least, most), rest);
  }
}

/* `count` neighbouring channels of a row, the first of which is `channel`. */
static void apply_row(const cpu_post *p, const cpu_run *run, float *y, int64_t count, int64_t channel) {
  if (!by_channel(p)) {
    apply_run(p, y, sum_input(p, run, y), count, NULL);
    return;
  }
  if (p->type == CPU_POST_CHANNEL) {
    scale_row(p, y, count, channel);
    return;
  }
  channel_set c;
  for (int64_t j = 0; j < count; j += 16) {
    block_channels(p, channel + j, &c);
    if (j + 16 <= count) {
      apply_line(p, y + j, NULL, PARTS, &c, PARTS);
      continue;
    }
    float tail[16] = {0};
    size_t size = (size_t)(count - j) * sizeof *y;
    memcpy(tail, y + j, size);
    apply_line(p, tail, NULL, PARTS, &c, PARTS);
    memcpy(y + j, tail, size);
  }
}

void post_rows(const post_set *set, const cpu_run *run, float *y, int64_t rows, int64_t step, int64_t count,
               int64_t channel) {
  for (int32_t i = 0; i < set->count; i++) {
    const cpu_post *p = set->posts + i;
    int64_t done = 0; /* channels of all rows: by one call if none has its own operation, else by blocks */
    if (!by_channel(p) && count % VL == 0) {
      apply(p, y, sum_input(p, run, y), (region){rows, step, count / VL}, NULL, 1);
      done = count;
    }
    if (by_channel(p) && rows > 1)
      for (channel_set c; done + 16 <= count; done += 16) {
        block_channels(p, channel + done, &c);
        apply(p, y + done, NULL, (region){rows, step, PARTS}, &c, PARTS);
      }
    for (int64_t row = 0; row < rows && done < count; row++)
      apply_row(p, run, y + row * step + done, count - done, channel + done);
  }
}

void post_block(const cpu_post *post, float *y, const float *other, int64_t pixels, int64_t channel) {
  channel_set c;
  if (by_channel(post)) block_channels(post, channel, &c);
  apply_line(post, y, other, pixels * PARTS, &c, PARTS);
}

/* The operations from number `first` on. */
static void blocked_from(const post_set *set, int32_t first, const cpu_run *run, float *y, int64_t pixels,
                         int64_t channel, int64_t channels) {
  channel_set c;
  for (int32_t i = first; i < set->count; i++) {
    const cpu_post *p = set->posts + i;
    if (by_channel(p)) block_channels(p, channel, &c);
    apply_line(p, y, sum_input(p, run, y), pixels * PARTS, &c, PARTS);
  }
  if (!set->clean && channel + 16 > channels)
    for (int64_t j = 0; j < pixels; j++)
      for (int64_t lane = channels - channel; lane < 16; lane++) y[j * 16 + lane] = 0;
}

void post_blocked(const post_set *set, const cpu_run *run, float *y, int64_t pixels, int64_t channel,
                  int64_t channels) {
  blocked_from(set, 0, run, y, pixels, channel, channels);
}

void post_scaled(const post_set *set, const cpu_run *run, const float *x, float *y, int64_t pixels,
                 int64_t channel, int64_t channels) {
  channel_set c;
  block_channels(set->posts, channel, &c);
  scale_vectors(set->posts, x, y, pixels * PARTS, &c, PARTS);
  blocked_from(set, 1, run, y, pixels, channel, channels);
}

void post_range(const post_set *set, const cpu_run *run, float *y, int64_t begin, int64_t end) {
  const post_shape *s = &set->shape;
  int64_t planes = s->blocked ? op_div_up(s->channels, 16) : s->channels;
  int split = s->blocked;
  for (int32_t i = 0; i < set->count; i++) split |= by_channel(set->posts + i);
  while (begin < end) {
    int64_t plane = begin / s->plane, stop = split ? op_min(end, (plane + 1) * s->plane) : end;
    if (s->blocked)
      post_blocked(set, run, y + begin, (stop - begin) / 16, plane % planes * 16, s->channels);
    else
      post_plain(set, run, y + begin, stop - begin, plane % planes);
    begin = stop;
  }
}
