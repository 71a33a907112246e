/* SPDX-License-Identifier: Apache-2.0 */
/* What a CPU kernel is: choose, prepare once at load, run many times. The engine (plan.c) and the kernels agree on this file. */
#ifndef IEC_CPU_KERNEL_H
#define IEC_CPU_KERNEL_H
#include <stdatomic.h>
#include <stdint.h>

#include "iec/base.h"

/* Memory layouts of an activation. BLOCKED16: [N][ceil(C/16)][spatial...][16], float32 only, channels past C are zero. */
typedef enum { CPU_PLAIN = 0, CPU_BLOCKED16 = 1 } cpu_layout;

typedef struct cpu_tensor { /* plan-time view; shape is logical whatever the layout */
  int32_t dtype, ndim;
  int64_t shape[IEC_MAX_NDIM];
  cpu_layout layout;
  const void *data; /* constants (always plain); NULL for activations */
} cpu_tensor;

/* An operation fused behind a node, applied to each result in order. */
typedef enum {
  CPU_POST_UNARY,   /* x = unary(op, x); op is a cpu_unary code, alpha, beta, gamma as in docs/kinds.md */
  CPU_POST_SUM,     /* x = x + input[input] (same shape and layout as the output) */
  CPU_POST_CHANNEL, /* x = x * scale[c] + shift[c]; constants of C floats, either may be NULL */
  CPU_POST_PRELU    /* x = x > 0 ? x : x * scale[c] */
} cpu_post_type;

typedef struct cpu_post {
  cpu_post_type type;
  int32_t op;
  float alpha, beta, gamma;
  int32_t input; /* index into the node's inputs, CPU_POST_SUM only */
  const float *scale, *shift;
} cpu_post;

#define CPU_MAX_POSTS 8
#define CPU_MAX_PORTS 1024

typedef struct cpu_node { /* what a kernel sees of a node while the plan is made */
  const char *kind, *name;
  const iec_graph_api *api; /* attributes: api->attr_i64(source, "axis", &axis) ... */
  const iec_node *source;
  int32_t input_count, output_count;
  const cpu_tensor *const *inputs; /* NULL entry: absent optional input */
  const cpu_tensor *const *outputs;
  cpu_post posts[CPU_MAX_POSTS];
  int32_t post_count;
} cpu_node;

typedef struct cpu_run { /* one execution of one step, as a team member sees it */
  const void *const *inputs; /* by input index; NULL: absent. Constants too */
  void *const *outputs;
  void *scratch;         /* scratch_size bytes shared by the members, 64-byte aligned; content undefined */
  void *member_scratch;  /* member_scratch_size bytes of this member, 64-byte aligned */
  int32_t member, members;
  atomic_llong *next;    /* 0 at the start of the step: hand out chunks with cpu_next */
  iec_team *team;        /* barriers: run->barrier(run->team, member), NULL when members == 1 */
  void (*barrier)(iec_team *team, int32_t member);
} cpu_run;

/* The next chunk [*begin, *end) of `count` items in pieces of `grain`; 0 when none is left. */
static inline int cpu_next(const cpu_run *run, int64_t count, int64_t grain, int64_t *begin, int64_t *end) {
  int64_t b = atomic_fetch_add_explicit(run->next, grain, memory_order_relaxed);
  if (b >= count) return 0;
  *begin = b;
  *end = b + grain < count ? b + grain : count;
  return 1;
}

typedef struct cpu_prepared { /* filled by prepare */
  void *state;                /* the kernel's own, immutable after prepare, shared by all requests and streams */
  size_t scratch_size, member_scratch_size;
  double cost;                /* estimated float operations (or bytes moved); a small step runs on member 0 alone */
  const char *exec_type;      /* static text for perf counts, e.g. "winograd_avx512" */
  int32_t in_place;           /* 1: output 0 may share memory with input 0 */
} cpu_prepared;

typedef struct cpu_kernel { /* static const, one per (source file, ISA) */
  const char *kind; /* node kind it serves */
  const char *name;
  /* 0: cannot run this node. Else a priority, highest wins (plain reference 1, good generic 10, special 20+). */
  int32_t (*supports)(const cpu_node *node);
  /* Layouts it wants for this node: fill in[i], out[i] (CPU_PLAIN preset). NULL: all plain. */
  void (*layouts)(const cpu_node *node, cpu_layout *in, cpu_layout *out);
  /* 1 when the kernel can apply `post` after the posts already on the node. NULL: none. */
  int32_t (*can_fuse)(const cpu_node *node, const cpu_post *post);
  /* Layouts are decided now. Weights are packed here; the constants need not live longer. */
  iec_status (*prepare)(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err);
  void (*run)(const void *state, const cpu_run *run); /* called by every member; no allocation, no failure */
  void (*release)(const iec_host_api *host, void *state);
} cpu_kernel;

#endif
