/* SPDX-License-Identifier: Apache-2.0 */
/* Kind FakeQuantize, float32, plain or blocked; the four limits broadcast. Limits that a whole block of work
 * shares are turned into factors once. */
#include "cpu/kernels/bcast.h"
#include "cpu/kernels/post.h"
#include "cpu/kernels/vec.h"

#define SHARED (16 / VL) /* vectors of limits that a block of work shares at most: those of 16 channels */

#define FACTOR_STEPS 255 /* beyond it the rounding of a factor would move values to the next level */

typedef struct quantize_state {
  bcast walk;
  op_tail tail;
  post_set posts;
  float steps;               /* levels - 1 */
  int64_t packed[BCAST_MAX]; /* 1 + offset of a constant in blocked form, 0: read from the input */
  float data[];
} quantize_state;

static int32_t supports(const cpu_node *node) {
  if (!op_ports(node, 5, 1) || !op_is(node, 0, IEC_F32) || node->outputs[0]->dtype != IEC_F32) return 0;
  for (int i = 1; i < 5; i++)
    if (!op_is(node, i, IEC_F32)) return 0;
  int64_t levels = op_int(node, "levels", 0);
  return levels >= 2 && levels <= INT32_MAX && bcast_fits(node, 5) ? 10 : 0;
}

static void layouts(const cpu_node *node, cpu_layout *in, cpu_layout *out) {
  bcast_layouts(node, 5, in, out);
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  int64_t total = 0;
  for (int k = 0; k < 5; k++) total += bcast_packed(node, k);
  iec_status status = op_state(host, node, sizeof(quantize_state) + (size_t)total * sizeof(float), out, err);
  if (status != IEC_OK) return status;
  quantize_state *s = out->state;
  int64_t used = 0;
  for (int k = 0; k < 5; k++) {
    int64_t size = bcast_packed(node, k);
    if (!size) continue;
    bcast_pack(node, k, s->data + used);
    s->packed[k] = used + 1;
    used += size;
    out->packed_inputs |= (uint64_t)1 << k;
  }
  s->steps = (float)(op_int(node, "levels", 0) - 1);
  bcast_plan(node, 5, &s->walk);
  s->tail = op_tail_of(node->outputs[0]);
  post_init(&s->posts, node);
  out->cost = (double)(10 * op_count(node->outputs[0]));
  out->exec_type = "fake_quantize_" CPU_ISA_NAME;
  out->in_place = op_count(node->inputs[0]) == op_count(node->outputs[0]) &&
                  node->inputs[0]->layout == node->outputs[0]->layout;
  return IEC_OK;
}

static inline vf quantize(vf x, vf il, vf ih, vf ol, vf oh, float steps) {
  vf y = vf_round((x - il) / (ih - il) * steps) / steps * (oh - ol) + ol;
  y = vf_sel(x > vf_max(il, ih), oh, y);
  return vf_sel(x <= vf_min(il, ih), ol, y);
}

static void row(const quantize_state *s, const bcast_block *k, const float *const p[5], float *y) {
  vf v[5];
  for (int o = 0; o < 5; o++) v[o] = vf_set(k->cols ? p[o][0] : 0.0f);
  int64_t i = 0;
  for (; i + VL <= k->cols; i += VL) {
    for (int o = 0; o < 5; o++)
      if (k->col[o]) v[o] = vf_load(p[o] + i);
    vf_store(y + i, quantize(v[0], v[1], v[2], v[3], v[4], s->steps));
  }
  if (i == k->cols) return;
  for (int o = 0; o < 5; o++)
    if (k->col[o]) v[o] = vf_load_n(p[o] + i, k->cols - i);
  vf_store_n(y + i, quantize(v[0], v[1], v[2], v[3], v[4], s->steps), k->cols - i);
}

/* A block whose limits repeat every `parts` vectors: 1 when done, 0 when they are not in order or not
 * constant over the block. */
static int shared_limits(const quantize_state *s, const bcast_block *k, const float *const base[5],
                         float *y) {
  int parts = k->cols == 16 ? SHARED : 1;
  vf low[SHARED], high[SHARED], scale[SHARED], step[SHARED], shift[SHARED];
  if (s->steps > FACTOR_STEPS || !k->col[0] || (k->row[0] != k->cols && k->rows > 1)) return 0;
  for (int o = 1; o < 5; o++)
    if ((k->row[o] && k->rows > 1) || (k->col[o] && k->cols != 16)) return 0;
  for (int i = 0; i < parts; i++) {
    vf v[5];
    for (int o = 1; o < 5; o++)
      v[o] = k->col[o] ? vf_load(base[o] + k->at[o] + i * VL) : vf_set(base[o][k->at[o]]);
    low[i] = v[1];
    high[i] = v[2];
    scale[i] = s->steps / (v[2] - v[1]);
    step[i] = (v[4] - v[3]) / s->steps;
    shift[i] = v[3];
    for (int j = 0; j < VL; j++)
      if (!(scale[i][j] > 0 && isfinite(scale[i][j]))) return 0;
  }
  const float *x = base[0] + k->at[0];
  int64_t count = k->rows * k->cols, i = 0;
  for (int part = 0; i + VL <= count; i += VL, part = (part + 1) & (parts - 1)) {
    vf v = vf_at_most(vf_at_least(vf_load(x + i), low[part]), high[part]);
    vf_store(y + i, vf_round((v - low[part]) * scale[part]) * step[part] + shift[part]);
  }
  if (i == count) return 1;
  vf v = vf_at_most(vf_at_least(vf_load_n(x + i, count - i), low[0]), high[0]);
  vf_store_n(y + i, vf_round((v - low[0]) * scale[0]) * step[0] + shift[0], count - i);
  return 1;
}

static void run(const void *state, const cpu_run *r) {
  const quantize_state *s = state;
  const float *base[5];
  for (int o = 0; o < 5; o++) base[o] = s->packed[o] ? s->data + s->packed[o] - 1 : r->inputs[o];
  float *y = r->outputs[0];
  int64_t begin, end;
  while (cpu_next(r, s->walk.items, op_grain(r, s->walk.items, 1), &begin, &end))
    for (int64_t item = begin; item < end; item++) {
      bcast_block k;
      bcast_at(&s->walk, item, &k);
      int done = shared_limits(s, &k, base, y + k.out);
      for (int64_t i = 0; !done && i < k.rows; i++) {
        const float *p[5];
        for (int o = 0; o < 5; o++) p[o] = base[o] + k.at[o] + i * k.row[o];
        row(s, &k, p, y + k.out + i * k.cols);
      }
      if (s->tail.rest) op_tail_zero(&s->tail, y, k.out, k.out + k.rows * k.cols);
      if (s->posts.count) post_range(&s->posts, r, y, k.out, k.out + k.rows * k.cols);
    }
}

const cpu_kernel IEC_ISA(cpu_kernel_fakequantize) = {.kind = "FakeQuantize",
                                                     .name = "fakequantize",
                                                     .supports = supports,
                                                     .layouts = layouts,
                                                     .can_fuse = post_can_fuse_range,
                                                     .prepare = prepare,
                                                     .run = run};
