/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution of quantised bytes in blocks of 16 channels: any kernel, stride, dilation and padding, groups
 * of whole blocks. */
#include "cpu/kernels/int8_conv.h"
#include "cpu/kernels/int8_gemm.h"

typedef struct int8_conv {
  conv_geom geom;
  int8_padding pad;
  int8_store store;
  int64_t in_blocks, out_blocks; /* of one group */
  int8_panel *panels;            /* [group][out block] */
  int32_t *pixels;               /* [out_size] bytes from the input's first */
  uint8_t zero;
  int32_t pixels_outer; /* more input than weights: all weights meet some pixels before the next */
} int8_conv;

/* Inputs of a block that exist, in steps of four. */
static int64_t steps_of(const conv_geom *q, int64_t block) {
  return op_div_up(op_min(16, q->cg - block * 16), 4);
}

static int64_t steps_of_panel(const conv_geom *q) { return op_div_up(q->cg, 4) * q->taps; }

static int32_t supports(const cpu_node *node) {
  conv_geom q;
  int8_padding pad;
  return int8_conv_is_dense(node, &q, &pad) ? 30 : 0;
}

static void release(const iec_host_api *host, void *state) {
  int8_conv *s = state;
  if (!s) return;
  int8_store_release(&s->store, host);
  for (int64_t i = 0; s->panels && i < s->geom.g * s->out_blocks; i++)
    int8_panel_release(s->panels + i, host);
  host->release(host->self, s->panels);
  host->release(host->self, s->pixels);
  host->release(host->self, s);
}

/* The weights [16][4] of four input channels from `c` on and one tap for an output block. */
static void gather_step(const conv_geom *q, const int8_t *w, int64_t group, int64_t block, int64_t c,
                        int64_t tap, int8_t step[INT8_STEP]) {
  memset(step, 0, INT8_STEP);
  for (int64_t i = 0; i < 16 && block * 16 + i < q->og; i++)
    for (int64_t j = 0; j < 4 && c + j < q->cg; j++)
      step[i * 4 + j] = w[((group * q->og + block * 16 + i) * q->cg + c + j) * q->taps + tap];
}

/* Packs the weights of an output block: lists its steps, then has the instruction set arrange them. */
static iec_status pack_block(int8_conv *s, const iec_host_api *host, const int8_t *w, int64_t j,
                             int8_t *steps, int32_t *offsets) {
  const conv_geom *q = &s->geom;
  int64_t count = 0;
  for (int64_t b = 0; b < s->in_blocks; b++)
    for (int64_t tap = 0; tap < q->taps; tap++) {
      int64_t pixel = int8_tap(q, &s->pad, tap) + b * s->pad.plane;
      for (int64_t i = 0; i < steps_of(q, b); i++, count++) {
        gather_step(q, w, j / s->out_blocks, j % s->out_blocks, b * 16 + i * 4, tap,
                    steps + count * INT8_STEP);
        offsets[count] = (int32_t)(pixel * 16 + i * 4);
      }
    }
  return int8_pack(host, steps, offsets, count, s->panels + j);
}

static iec_status pack(int8_conv *s, const iec_host_api *host, const int8_t *w) {
  int64_t count = steps_of_panel(&s->geom);
  int8_t *steps = host->alloc(host->self, (size_t)count * INT8_STEP, 64);
  int32_t *offsets = host->alloc(host->self, (size_t)count * sizeof *offsets, 64);
  iec_status status = steps && offsets ? IEC_OK : IEC_OUT_OF_MEMORY;
  for (int64_t j = 0; !status && j < s->geom.g * s->out_blocks; j++)
    status = pack_block(s, host, w, j, steps, offsets);
  host->release(host->self, steps);
  host->release(host->self, offsets);
  return status;
}

static iec_status prepare(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err) {
  iec_status status = op_state(host, node, sizeof(int8_conv), out, err);
  if (status != IEC_OK) return status;
  int8_conv *s = out->state;
  conv_geom *q = &s->geom;
  int8_conv_geometry(node, q, &s->pad);
  s->in_blocks = op_div_up(q->cg, 16);
  s->out_blocks = op_div_up(q->og, 16);
  s->zero = int8_zero(node->inputs[0]->grid);
  size_t blocks = (size_t)(q->g * s->out_blocks);
  s->panels = host->alloc(host->self, blocks * sizeof *s->panels, 64);
  s->pixels = host->alloc(host->self, (size_t)q->out_size * sizeof *s->pixels, 64);
  if (s->panels) memset(s->panels, 0, blocks * sizeof *s->panels);
  if (!s->panels || !s->pixels || pack(s, host, node->inputs[1]->data))
    status = cpu_fail(err, IEC_OUT_OF_MEMORY, node->name, "out of memory for the weights");
  else
    status = int8_conv_store(&s->store, host, node, q, err);
  if (status) {
    release(host, s);
    out->state = NULL;
    return status;
  }
  int8_list_pixels(q, &s->pad, s->pixels);
  s->pixels_outer = q->c * s->pad.plane > q->o * q->cg * q->taps;
  if (s->pad.needed) out->scratch_size = (size_t)(q->n * q->g * s->in_blocks * s->pad.plane) * 16;
  out->member_scratch_size = sizeof(int8_buffers);
  out->cost = (double)(q->n * q->o * q->out_size) * (double)(q->cg * q->taps);
  out->exec_type = "int8_conv_" CPU_ISA_NAME;
  out->packed_inputs = 6;
  return IEC_OK;
}

static void run(const void *state, const cpu_run *r) {
  const int8_conv *s = state;
  const conv_geom *q = &s->geom;
  const uint8_t *x = r->inputs[0];
  int8_buffers *buffers = r->member_scratch;
  int64_t begin, end, columns = q->n * q->g * s->out_blocks;
  if (s->pad.needed) {
    int8_pad_input(q, &s->pad, r, q->g * s->in_blocks, s->zero);
    cpu_barrier(r);
    x = r->scratch;
  }
  int64_t pieces = op_div_up(q->out_size, INT8_PIXELS);
  while (cpu_next_phase(r, 0, columns * pieces, 1, &begin, &end)) {
    int64_t column = begin % columns, piece = begin / columns;
    if (!s->pixels_outer) op_place(r, begin, columns, pieces, &column, &piece);
    int64_t image = column % q->n, block = column / q->n; /* images next to each other use the same weights */
    int64_t first = q->out_size * piece / pieces, count = q->out_size * (piece + 1) / pieces - first;
    const uint8_t *from = x + (image * q->g + block / s->out_blocks) * s->in_blocks * s->pad.plane * 16;
    int64_t at = ((image * q->g * s->out_blocks + block) * q->out_size + first) * 16;
    int8_store_ahead(&s->store, r, at, count);
    int8_sums(s->panels + block, from, s->pixels + first, count, buffers->sums);
    int8_store_block(&s->store, r, buffers, buffers->sums, at, count, block * 16);
  }
}

const cpu_kernel IEC_ISA(cpu_kernel_int8_conv) = {.kind = "Conv",
                                                  .name = "int8_conv",
                                                  .supports = supports,
                                                  .layouts = int8_conv_layouts,
                                                  .can_fuse = int8_can_fuse,
                                                  .prepare = prepare,
                                                  .run = run,
                                                  .release = release};
