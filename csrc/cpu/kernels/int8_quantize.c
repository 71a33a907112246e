/* SPDX-License-Identifier: Apache-2.0 */
/* The borders of integer execution: a FakeQuantize whose result is bytes, and Dequantize. */
#include "cpu/kernels/int8_conv.h"
#include "cpu/kernels/vec.h"

enum { PIECE = 256 /* pixels of a work item */ };

typedef struct border {
  int64_t images, channels, pixels;
  int32_t in_blocked, out_blocked;
  float top, zero;
  float *low,
      *scale; /* of channels, up to a multiple of 16: q = (x - low) * scale, or x = (q - zero) * scale */
} border;

static void release(const iec_host_api *host, void *state) {
  border *s = state;
  if (s) host->release(host->self, s->low);
  host->release(host->self, s);
}

static iec_status init(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(border), out, err);
  if (status) return status;
  border *s = out->state;
  const cpu_tensor *x = node->inputs[0];
  s->images = x->shape[0];
  s->channels = x->shape[1];
  s->pixels = op_product(x->shape, 2, x->ndim);
  s->in_blocked = op_blocked(x);
  s->out_blocked = op_blocked(node->outputs[0]);
  size_t floats = (size_t)(op_div_up(s->channels, 16) * 16 + 16);
  s->low = host->alloc(host->self, 2 * floats * sizeof(float), 64);
  if (!s->low) {
    release(host, s);
    out->state = NULL;
    return cpu_fail(err, IEC_OUT_OF_MEMORY, node->name, "out of memory for the limits");
  }
  memset(s->low, 0, 2 * floats * sizeof(float));
  s->scale = s->low + floats;
  out->cost = (double)op_count(x) * 2;
  return IEC_OK;
}

/* ---- to bytes */

static int is_constant_limit(const cpu_node *node, int port) {
  const cpu_tensor *t = op_in(node, port);
  return t && t->data && t->dtype == IEC_F32 &&
         (op_count(t) == 1 || op_count(t) == node->inputs[0]->shape[1]);
}

static int32_t supports_quantize(const cpu_node *node) {
  if (!op_ports(node, 5, 1) || !op_is(node, 0, IEC_F32) || !node->outputs[0]->grid) return 0;
  for (int i = 1; i < 5; i++)
    if (!is_constant_limit(node, i)) return 0;
  return node->inputs[0]->ndim >= 2 && op_keeps_shape(node) ? 30 : 0;
}

/* The input as it comes, bytes in blocks. Few channels stay plain where convolutions like them so. */
static void layouts_quantize(const cpu_node *node, cpu_layout *in, cpu_layout *out) {
  in[0] = node->inputs[0]->layout;
  out[0] = CPU_BLOCKED16;
  if (node->inputs[0]->shape[1] <= INT8_FEW) in[0] = out[0] = CPU_PLAIN;
}

static iec_status prepare_quantize(const iec_host_api *host, const cpu_node *node, cpu_prepared *out,
                                   iec_error *err) {
  iec_status status = init(host, node, out, err);
  if (status) return status;
  border *s = out->state;
  const float *il = node->inputs[1]->data, *ih = node->inputs[2]->data;
  int each_low = op_count(node->inputs[1]) > 1, each_high = op_count(node->inputs[2]) > 1;
  s->top = (float)node->outputs[0]->grid->top;
  for (int64_t c = 0; c < s->channels; c++) {
    s->low[c] = il[each_low ? c : 0];
    s->scale[c] = s->top / (ih[each_high ? c : 0] - s->low[c]);
  }
  out->exec_type = "int8_quantize_" CPU_ISA_NAME;
  out->packed_inputs = 30;
  return IEC_OK;
}

static inline vf to_steps(vf x, vf low, vf scale, float top) {
  x = (x - low) * scale;
  return vf_round(vf_at_most(vf_at_least(x, vf_set(0)), vf_set(top))); /* NaN is 0: see store */
}

static inline void store(uint8_t *y, vf q, int64_t step, int64_t count) {
  vi bytes = __builtin_convertvector(vf_sel(q == q, q, vf_set(0)), vi);
  for (int64_t i = 0; i < count; i++) y[i * step] = (uint8_t)bytes[i];
}

/* Pixels of a block of at most four plain channels, from channel `first`: a pixel's bytes are one number that
 * is stored at once. */
static void quantize_few(const border *s, const float *x, uint8_t *y, int64_t first, int64_t channels,
                         int64_t begin, int64_t end) {
  typedef int32_t pixel __attribute__((vector_size(16), aligned(1), may_alias));
  for (int64_t p = begin; p < end; p += VL) {
    int64_t count = op_min(VL, end - p);
    vi bytes = {0};
    for (int64_t c = 0; c < channels; c++) {
      const float *from = x + c * s->pixels + p;
      vf v = count == VL ? vf_load(from) : vf_load_n(from, count);
      v = to_steps(v, vf_set(s->low[first + c]), vf_set(s->scale[first + c]), s->top);
      bytes |= __builtin_convertvector(vf_sel(v == v, v, vf_set(0)), vi) << (int)(8 * c);
    }
    for (int64_t i = 0; i < count; i++) *(pixel *)(y + (p + i) * 16) = (pixel){bytes[i]};
  }
}

/* Pixels of a block of channels, from blocks or from plain channels, to blocks. */
static void quantize_block(const border *s, const float *x, uint8_t *y, int64_t block, int64_t begin,
                           int64_t end) {
  int64_t channels = op_min(16, s->channels - block * 16);
  if (s->in_blocked) {
    vf low[16 / VL], scale[16 / VL];
    for (int i = 0; i < 16 / VL; i++) {
      low[i] = vf_load(s->low + block * 16 + i * VL);
      scale[i] = vf_load(s->scale + block * 16 + i * VL);
    }
    for (int64_t p = begin; p < end; p++)
      for (int i = 0; i < 16 / VL; i++)
        store(y + p * 16 + i * VL, to_steps(vf_load(x + p * 16 + i * VL), low[i], scale[i], s->top), 1, VL);
    return;
  }
  if (channels <= 4) {
    quantize_few(s, x, y, block * 16, channels, begin, end);
    return;
  }
  if (channels < 16) memset(y + begin * 16, 0, (size_t)(end - begin) * 16);
  for (int64_t c = 0; c < channels; c++) {
    vf low = vf_set(s->low[block * 16 + c]), scale = vf_set(s->scale[block * 16 + c]);
    for (int64_t p = begin; p < end; p += VL) {
      int64_t count = op_min(VL, end - p);
      const float *from = x + c * s->pixels + p;
      vf v = count == VL ? vf_load(from) : vf_load_n(from, count);
      store(y + p * 16 + c, to_steps(v, low, scale, s->top), 16, count);
    }
  }
}

/* Elements [begin, end) of plain memory to plain memory. */
static void quantize_plain(const border *s, const float *x, uint8_t *y, int64_t begin, int64_t end) {
  while (begin < end) {
    int64_t c = begin / s->pixels % s->channels, stop = op_min(end, (begin / s->pixels + 1) * s->pixels);
    vf low = vf_set(s->low[c]), scale = vf_set(s->scale[c]);
    for (; begin + VL <= stop; begin += VL)
      store(y + begin, to_steps(vf_load(x + begin), low, scale, s->top), 1, VL);
    for (; begin < stop; begin++) store(y + begin, to_steps(vf_set(x[begin]), low, scale, s->top), 1, 1);
  }
}

static void run_quantize(const void *state, const cpu_run *r) {
  const border *s = state;
  const float *x = r->inputs[0];
  uint8_t *y = r->outputs[0];
  int64_t begin, end, blocks = op_div_up(s->channels, 16), pieces = op_div_up(s->pixels, PIECE);
  if (!s->out_blocked) {
    int64_t count = s->images * s->channels * s->pixels;
    while (cpu_next(r, count, op_grain(r, count, 1024), &begin, &end)) quantize_plain(s, x, y, begin, end);
    return;
  }
  while (cpu_next(r, s->images * blocks * pieces, 1, &begin, &end)) {
    int64_t plane, piece;
    op_place(r, begin, s->images * blocks, pieces, &plane, &piece);
    int64_t block = plane % blocks, image = plane / blocks;
    piece *= PIECE;
    int64_t in = s->in_blocked ? (image * blocks + block) * 16 : image * s->channels + block * 16;
    quantize_block(s, x + in * s->pixels, y + (image * blocks + block) * 16 * s->pixels, block, piece,
                   op_min(piece + PIECE, s->pixels));
  }
}

/* ---- to numbers */

static int32_t supports_dequantize(const cpu_node *node) {
  return op_ports(node, 1, 1) && op_is(node, 0, IEC_U8) && node->inputs[0]->grid &&
                 node->outputs[0]->dtype == IEC_F32 && node->inputs[0]->ndim >= 2 && op_keeps_shape(node)
             ? 10
             : 0;
}

static void layouts_dequantize(const cpu_node *node, cpu_layout *in, cpu_layout *out) {
  in[0] = out[0] = node->inputs[0]->layout;
}

static iec_status prepare_dequantize(const iec_host_api *host, const cpu_node *node, cpu_prepared *out,
                                     iec_error *err) {
  iec_status status = init(host, node, out, err);
  if (status) return status;
  border *s = out->state;
  const cpu_grid *grid = node->inputs[0]->grid;
  s->zero = grid->zero;
  for (int64_t c = 0; c < s->channels; c++) s->scale[c] = grid->scale[grid->count == 1 ? 0 : c];
  out->exec_type = "int8_dequantize_" CPU_ISA_NAME;
  return IEC_OK;
}

/* Lanes past the last channel have scale 0: they become 0, or -0. */
static void run_dequantize(const void *state, const cpu_run *r) {
  const border *s = state;
  const uint8_t *x = r->inputs[0];
  float *y = r->outputs[0];
  int64_t lanes = s->in_blocked ? 16 : 1, groups = op_div_up(s->channels, lanes);
  int64_t begin, end, rows = s->images * groups, pieces = op_div_up(s->pixels, PIECE);
  while (cpu_next(r, rows * pieces, op_grain(r, rows * pieces, 1), &begin, &end))
    for (int64_t i = begin; i < end; i++) {
      int64_t piece = i % pieces * PIECE, stop = op_min(piece + PIECE, s->pixels), row = i / pieces;
      const float *scale = s->scale + row % groups * lanes;
      for (int64_t p = row * s->pixels + piece; p < row * s->pixels + stop; p++)
        for (int64_t lane = 0; lane < lanes; lane++)
          y[p * lanes + lane] = ((float)x[p * lanes + lane] - s->zero) * scale[lane];
    }
}

const cpu_kernel IEC_ISA(cpu_kernel_int8_quantize) = {.kind = "FakeQuantize",
                                                      .name = "int8_quantize",
                                                      .supports = supports_quantize,
                                                      .layouts = layouts_quantize,
                                                      .prepare = prepare_quantize,
                                                      .run = run_quantize,
                                                      .release = release};
const cpu_kernel IEC_ISA(cpu_kernel_int8_dequantize) = {.kind = "Dequantize",
                                                        .name = "int8_dequantize",
                                                        .supports = supports_dequantize,
                                                        .layouts = layouts_dequantize,
                                                        .prepare = prepare_dequantize,
                                                        .run = run_dequantize,
                                                        .release = release};
