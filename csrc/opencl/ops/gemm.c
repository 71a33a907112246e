/* SPDX-License-Identifier: Apache-2.0 */
/* Launches of matrix products: which tile for which sizes and device. */
#include "opencl/ops/gemm.h"

#include <stdio.h>

#include "opencl/grid.h"
#include "opencl/tune.h"

typedef struct tile {
  int32_t m, n, k, group_x, group_y;
} tile;

enum { TILE_COUNT = 3 };
static const tile TILES[TILE_COUNT] = {{64, 64, 16, 16, 16}, {32, 32, 16, 8, 8}, {16, 64, 16, 16, 4}};
static const tile *const SMALL = &TILES[1]; /* takes the least of a work-group */

static int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* The big tile reads each element least often, but needs enough tiles for all compute units; a flat one
 * wastes less on few rows. */
static const tile *choose_tile(const gpu_device *device, const gpu_gemm *p, int64_t batches) {
  if (p->m <= 24) return &TILES[2];
  int64_t big = divide_up(p->m, TILES[0].m) * divide_up(p->n, TILES[0].n) * batches;
  return device->most_items >= 256 && big >= 2 * (int64_t)device->units && p->m > 32 ? &TILES[0] : &TILES[1];
}

/* One product: what gpu_gemm_plan is given. */
typedef struct product {
  gpu_op *op;
  const gpu_value *a, *b, *c;
  const gpu_gemm *p;
  const gpu_gemm_batch *batches;
  int64_t batch_count;
  const gpu_gemm_image *image;
  const gpu_gemm_tap *taps;
} product;

static iec_status add_launch(gpu_plan *plan, const product *g, const tile *t, iec_error *err) {
  char options[160];
  snprintf(options, sizeof options, "-DTILE_M=%d -DTILE_N=%d -DTILE_K=%d -DGROUP_X=%d -DGROUP_Y=%d -DCONV=%d",
           t->m, t->n, t->k, t->group_x, t->group_y, g->taps != NULL);
  gpu_launch *launch = gpu_launch_kernel(plan, g->op, "gemm", "gemm", options, err);
  if (!launch) return IEC_GENERAL_ERROR;
  gpu_arg_value(launch, g->a);
  gpu_arg_value(launch, g->b);
  gpu_arg_value(launch, g->c);
  gpu_arg_bytes(launch, g->p, sizeof *g->p);
  GPU_TRY(gpu_arg_constant(plan, launch, g->batches, (size_t)g->batch_count * sizeof *g->batches, err));
  GPU_TRY(gpu_arg_posts(plan, launch, err));
  if (g->taps) {
    GPU_TRY(gpu_arg_constant(plan, launch, g->taps, (size_t)g->p->k * sizeof *g->taps, err));
    gpu_arg_bytes(launch, g->image, sizeof *g->image);
    g->op->exec_type = "conv_gemm";
  }
  const int64_t groups[3] = {divide_up(g->p->n, t->n), divide_up(g->p->m, t->m), g->batch_count};
  const int64_t local[3] = {t->group_x, t->group_y, 1};
  gpu_launch_groups(launch, groups, local);
  return IEC_OK;
}

/* The fastest tile for a product of these sizes, `start` when none can be measured. */
static iec_status tuned_tile(gpu_plan *plan, const product *g, const tile *start, const tile **out,
                             iec_error *err) {
  char key[160];
  *out = start;
  snprintf(key, sizeof key, "gemm %d %d %d %d %d %lld %d %d", g->p->m, g->p->n, g->p->k, g->p->a_row == 1,
           g->p->b_col == 1, (long long)g->batch_count, g->taps != NULL, plan->graph->half);
  const int32_t kept = gpu_tuning_find(plan->tuning, key);
  if (kept >= 0 && kept < TILE_COUNT) *out = &TILES[kept];
  if ((kept >= 0 && kept < TILE_COUNT) || !gpu_tuning_measures(plan->tuning)) return IEC_OK;
  int64_t best = -1;
  for (int32_t i = 0; i < TILE_COUNT; i++) {
    const int32_t constants = plan->constant_count;
    GPU_TRY(add_launch(plan, g, &TILES[i], err));
    const int64_t time =
        gpu_grid_fits(plan, &plan->launches[plan->launch_count - 1]) ? gpu_tune_measure(plan) : -1;
    gpu_launch_undo(plan, constants);
    if (time < 0 || (best >= 0 && time >= best)) continue;
    best = time;
    *out = &TILES[i];
  }
  if (best >= 0) gpu_tuning_keep(plan->tuning, key, (int32_t)(*out - TILES));
  return IEC_OK;
}

iec_status gpu_gemm_plan(gpu_plan *plan, gpu_op *op, const gpu_value *a, const gpu_value *b,
                         const gpu_value *c, const gpu_gemm *p, const gpu_gemm_batch *batches,
                         int64_t batch_count, const gpu_gemm_image *image, const gpu_gemm_tap *taps,
                         iec_error *err) {
  const product g = {op, a, b, c, p, batches, batch_count, image, taps};
  const tile *t = choose_tile(gpu_context_device(plan->context), p, batch_count);
  if (plan->tuning) GPU_TRY(tuned_tile(plan, &g, t, &t, err));
  const int32_t constants = plan->constant_count;
  GPU_TRY(add_launch(plan, &g, t, err));
  if (t == SMALL || gpu_grid_fits(plan, &plan->launches[plan->launch_count - 1])) return IEC_OK;
  gpu_launch_undo(plan, constants);
  return add_launch(plan, &g, SMALL, err);
}

iec_status gpu_gemv_plan(gpu_plan *plan, gpu_op *op, const gpu_value *a, const gpu_value *b,
                         const gpu_value *c, int64_t rows, int64_t n, int64_t k, int by_rows,
                         iec_error *err) {
  gpu_launch *launch = gpu_launch_kernel(plan, op, "gemv", by_rows ? "gemv_rows" : "gemv_columns",
                                         "-DGROUP=64 -DSLICES=4", err);
  if (!launch) return IEC_GENERAL_ERROR;
  gpu_arg_value(launch, a);
  gpu_arg_value(launch, b);
  gpu_arg_value(launch, c);
  gpu_arg_int(launch, n);
  gpu_arg_int(launch, k);
  GPU_TRY(gpu_arg_posts(plan, launch, err));
  const int64_t by_row[2][3] = {{n, rows, 1}, {64, 1, 1}},
                by_column[2][3] = {{divide_up(n, 16), 1, rows}, {16, 4, 1}};
  gpu_launch_groups(launch, by_rows ? by_row[0] : by_column[0], by_rows ? by_row[1] : by_column[1]);
  return IEC_OK;
}
