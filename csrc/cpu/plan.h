/* SPDX-License-Identifier: Apache-2.0 */
/* A compiled graph: ordered steps over one arena. Public parts (also used for loop bodies) are in subplan.h.
 */
#ifndef IEC_CPU_PLAN_H
#define IEC_CPU_PLAN_H
#include "cpu/cache.h"
#include "cpu/graph.h"
#include "cpu/subplan.h"

/* Where a root value lives: in the arena, at a fixed address, or in the n-th buffer of the caller. */
enum { CPU_SPACE_NONE = -1, CPU_SPACE_ARENA = 0, CPU_SPACE_FIXED = 1, CPU_SPACE_CALLER = 2 };

typedef struct cpu_ref { /* address = bases[space] + offset; the base of CPU_SPACE_FIXED is 0 */
  int32_t space;
  intptr_t offset;
} cpu_ref;

typedef struct cpu_step {
  const cpu_op *op;
  const cpu_kernel *kernel;
  const void *state;
  cpu_ref *ports; /* inputs, then outputs, then shared scratch */
  int32_t input_count, output_count;
  int32_t most_members; /* that are worth waking for it; 1: not shared; 0: all its outputs are empty, nothing
                           runs */
} cpu_step;

struct cpu_plan {
  const iec_host_api *host;
  cpu_graph *graph;
  cpu_step *steps;
  int32_t step_count;
  int32_t most_ports; /* of any step */
  size_t arena_size;
  size_t kernel_member_scratch; /* the most that a kernel asked for */
  cpu_cache_key key;            /* of the files below; all zero when none was asked for */
  cpu_cache *cache;             /* the file that packed weights lie in, NULL: none */
  double member_ns, shared_ns;  /* work that one more member is woken for; all work in shared steps */
};

typedef struct cpu_plan_options {
  int32_t threads; /* that pack weights */
  int32_t bound;   /* each of them begins on a processor of its own, if there are enough */
  const char *
      cache_folder; /* where packed weights are looked for, and left when they are not there; NULL: nowhere */
  const char *cache_file; /* the file that must hold them, from `cache_offset` on; NULL: none */
  uint64_t cache_offset;
  int32_t exportable; /* make the key of such a file in any case */
} cpu_plan_options;

/* As cpu_plan_create. */
iec_status cpu_plan_compile(const iec_host_api *host, const iec_graph *graph,
                            const cpu_extensions *extensions, const cpu_plan_options *options, cpu_plan **out,
                            iec_error *err);

/* memory.c. First: aliases, and the network outputs; may append copies to the graph. */
iec_status cpu_memory_bind(cpu_graph *graph, iec_error *err);
/* Then, when kernels are prepared and steps numbered: in-place results, lifetimes, offsets. `scratch` (one a
 * step, space and offset are written) asks for op->prepared.scratch_size bytes. */
iec_status cpu_memory_assign(cpu_graph *graph, int32_t step_count, cpu_ref *scratch, size_t *out_arena_size,
                             iec_error *err);
cpu_ref cpu_memory_ref(const cpu_value *value);

#endif
