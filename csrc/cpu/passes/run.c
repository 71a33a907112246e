/* SPDX-License-Identifier: Apache-2.0 */
/* The order of the passes. */
#include "cpu/passes.h"

iec_status cpu_passes_run(cpu_graph *graph, iec_error *err) {
  /* Malformed ops are refused first: passes read shapes and attributes that they rely on. */
  static iec_status (*const passes[])(cpu_graph *, iec_error *) = {
      cpu_graph_check, cpu_pass_transpose, cpu_pass_noop,   cpu_pass_dead,  cpu_pass_pad,  cpu_pass_scale,
      cpu_pass_int8,   cpu_graph_select,   cpu_pass_matmul, cpu_pass_posts, cpu_pass_dead, cpu_pass_layout};
  iec_status status = IEC_OK;
  for (size_t i = 0; !status && i < sizeof passes / sizeof passes[0]; ++i) status = passes[i](graph, err);
  return status;
}
