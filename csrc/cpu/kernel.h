/* SPDX-License-Identifier: Apache-2.0 */
/* What a CPU kernel is: choose, prepare once at load, run many times. The engine (plan.c) and the kernels
 * agree on this file.
 *
 * A source of csrc/cpu/kernels is compiled once per instruction set. It exports one table per kernel,
 *   const cpu_kernel IEC_ISA(cpu_kernel_softmax) = {...};
 * and nothing else; the table is named in kernels/list.h by the line CPU_KERNEL(softmax). */
#ifndef IEC_CPU_KERNEL_H
#define IEC_CPU_KERNEL_H
#include <stdatomic.h>
#include <stdint.h>

#include "iec/base.h"

#ifndef CPU_ISA
#define CPU_ISA scalar /* scalar avx2 avx512 neon: set by the build */
#endif
#define CPU_PASTE_(a, b) a##_##b
#define CPU_PASTE(a, b) CPU_PASTE_(a, b)
#define CPU_TEXT_(a) #a
#define CPU_TEXT(a) CPU_TEXT_(a)
#define IEC_ISA(name) CPU_PASTE(name, CPU_ISA)
#define CPU_ISA_NAME CPU_TEXT(CPU_ISA) /* for exec_type: "winograd_" CPU_ISA_NAME */

/* Memory layouts of an activation. BLOCKED16: [N][ceil(C/16)][spatial...][16], float32 and quantised bytes,
 * rank 3 to 5; channels past C are zero in float32, and who writes such a tensor writes those zeros; in bytes
 * they are anything. A blocked buffer is aligned to
 * 64 bytes; a plain one may be the caller's or a part of another tensor and is aligned to its element size
 * only. */
typedef enum { CPU_PLAIN = 0, CPU_BLOCKED16 = 1 } cpu_layout;

/* What the bytes of a quantised tensor mean: x = (q - zero) * scale[c]. Activations are IEC_U8, q from 0 to
 * top, c on axis 1; weights are IEC_I8, q from -128 to 127, c an output channel (of all groups together). */
typedef struct cpu_grid {
  int64_t count;      /* 1: the same scale for all channels, else as many as channels */
  const float *scale; /* count numbers and zeros up to a multiple of 16; live as long as the plan */
  float zero;         /* what stands for 0: a whole number from 0 to top where whole is 1 */
  int32_t whole, top;
} cpu_grid;

typedef struct cpu_tensor { /* plan-time view; shape is logical whatever the layout */
  int32_t dtype, ndim;
  int64_t shape[IEC_MAX_NDIM];
  cpu_layout layout;
  const void *data;     /* constants (always plain); NULL for activations */
  const cpu_grid *grid; /* of a quantised tensor, else NULL */
} cpu_tensor;

/* Unary operations of docs/kinds.md, in its order. */
typedef enum {
  CPU_UNARY_RELU,
  CPU_UNARY_SIGMOID,
  CPU_UNARY_TANH,
  CPU_UNARY_ELU,
  CPU_UNARY_CLAMP,
  CPU_UNARY_EXP,
  CPU_UNARY_LOG,
  CPU_UNARY_ABS,
  CPU_UNARY_NEG,
  CPU_UNARY_SQRT,
  CPU_UNARY_SQUARE,
  CPU_UNARY_RECIPROCAL,
  CPU_UNARY_SIGN,
  CPU_UNARY_BINARY_SIGN,
  CPU_UNARY_FLOOR,
  CPU_UNARY_CEIL,
  CPU_UNARY_ROUND_EVEN,
  CPU_UNARY_ROUND_AWAY,
  CPU_UNARY_ERF,
  CPU_UNARY_SIN,
  CPU_UNARY_COS,
  CPU_UNARY_TAN,
  CPU_UNARY_ASIN,
  CPU_UNARY_ACOS,
  CPU_UNARY_ATAN,
  CPU_UNARY_SINH,
  CPU_UNARY_COSH,
  CPU_UNARY_ASINH,
  CPU_UNARY_ACOSH,
  CPU_UNARY_ATANH,
  CPU_UNARY_SOFTPLUS,
  CPU_UNARY_SOFTSIGN,
  CPU_UNARY_MISH,
  CPU_UNARY_SWISH,
  CPU_UNARY_HSWISH,
  CPU_UNARY_HSIGMOID,
  CPU_UNARY_HARD_SIGMOID,
  CPU_UNARY_SELU,
  CPU_UNARY_GELU,
  CPU_UNARY_GELU_TANH,
  CPU_UNARY_POWER,
  CPU_UNARY_NOT,
  CPU_UNARY_COUNT
} cpu_unary;

/* The code of an op attribute of kind Unary, -1 when unknown. */
int32_t cpu_unary_code(const char *op);

/* Writes the first failure into `err` (NULL accepted) and returns `code`. `where`: node name, or NULL. */
iec_status cpu_fail(iec_error *err, iec_status code, const char *where, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* An operation fused behind a node, applied to each result in order. */
typedef enum {
  CPU_POST_UNARY,    /* x = unary(op, x); op is a cpu_unary code, alpha, beta, gamma as in docs/kinds.md */
  CPU_POST_SUM,      /* x = x + input[input] (shape and layout of output 0; float32, and behind kernels with
                        quantised inputs also quantised bytes) */
  CPU_POST_CHANNEL,  /* x = min(max(x * scale[c] + shift[c], alpha), beta); scale or shift may be NULL */
  CPU_POST_PRELU,    /* x = x > 0 ? x : x * scale[c] */
  CPU_POST_QUANTIZE, /* x = round_half_even((min(max(x, low[c]), high[c]) - low[c]) * scale[c]) * step[c] +
                        shift[c] */
  CPU_POST_GRID,     /* the same without step and shift: the bytes of a quantised output 0. The last one; only
                        kernels with quantised inputs take it */
  CPU_POST_DEPTHWISE, /* a depthwise convolution of the results so far, its weights and bias (NULL: none)
                         being input[input] and input[input + 1], constants: output 0 is its result, and so
                         are the posts behind it */
  CPU_POST_MAXPOOL /* the windows of a MaxPool instead of the results so far: output 0 is theirs, and so are
                      the posts behind it */
} cpu_post_type;

/* `c` is the index on axis 1 of output 0, on the last axis for MatMul and MVN of it. scale, shift, low, high
 * and step live as long as the plan, start at a multiple of 64 bytes and hold that axis' size rounded up to
 * 16, the rest being zero. */
typedef struct cpu_post {
  cpu_post_type type;
  int32_t op;
  float alpha, beta, gamma;
  int32_t input; /* index into the node's inputs, CPU_POST_SUM and CPU_POST_DEPTHWISE */
  const float *scale, *shift;
  const float *low, *high, *step; /* CPU_POST_QUANTIZE, and the first two CPU_POST_GRID */
  const iec_node *behind;         /* CPU_POST_MAXPOOL and CPU_POST_DEPTHWISE: the node with its attributes */
  const cpu_tensor *from, *to, *weights, *bias; /* and what it reads and makes */
} cpu_post;

typedef struct cpu_packs cpu_packs;

#define CPU_MAX_POSTS 8
#define CPU_MAX_PORTS 1024

typedef struct cpu_extensions cpu_extensions; /* extension.h */

typedef struct cpu_node { /* what a kernel sees of a node while the plan is made */
  const char *kind, *name;
  const iec_graph_api *api; /* attributes: api->attr_i64(source, "axis", &axis) ... */
  const iec_node *source;
  const cpu_extensions *extensions; /* for the bodies that the node holds; NULL: none */
  /* For kernels of extensions: a host whose graph functions understand `graph` and `source`, and the kernel's
   * definition. */
  const iec_host_api *host;
  const iec_graph *graph;
  const void *closure;
  int32_t input_count, output_count;
  const cpu_tensor *const *inputs; /* NULL entry: absent optional input */
  const cpu_tensor *const *outputs;
  cpu_post posts[CPU_MAX_POSTS];
  int32_t post_count;
  int32_t threads;  /* that the network may have; 0: not known */
  cpu_packs *packs; /* for cpu_pack, in prepare only */
} cpu_node;

#define CPU_MAX_PACKS 4

/* Memory for what prepare makes of constants, above all packed weights: 64-byte aligned, the engine's, there
 * as long as the plan; NULL when out of memory. *ready set: it holds what an earlier load of the same network
 * made of the same call (a file of CACHE_DIR, shared with other processes) and must not be written. `what`
 * names the packing with all that it depends on beside the node. Up to CPU_MAX_PACKS a node, always in the
 * same order, in prepare only. */
void *cpu_pack(const cpu_node *node, const char *what, size_t bytes, int32_t *ready);

/* `bytes` of a constant from `at` on, in prepare only: where they lie, or read from their file into a buffer
 * that the thread's next call with the same slot, 0 or 1, uses again. For rows that are read once, as many as
 * fit in a cache together. */
const void *cpu_read(const cpu_node *node, const void *at, size_t bytes, int slot);

#define CPU_COUNTERS 4
#define CPU_COUNTERS_STEP 16 /* from one member's counters to the next one's: lines of their own */

/* The first failure of an inference; only kernels of extensions can fail. Set in a step that runs on
 * member 0 alone. */
typedef struct cpu_failure {
  atomic_int code;
  iec_error error;
} cpu_failure;

typedef struct cpu_crew { /* who may share the steps of an inference */
  const iec_host_api *host;
  iec_team *team; /* NULL: nobody but the caller */
  int32_t members;
  cpu_failure *failure;
  size_t stride;          /* bytes from one member's scratch to the next one's */
  atomic_llong *counters; /* of shared steps, CPU_COUNTERS_STEP a member; NULL without a team */
} cpu_crew;

typedef struct cpu_run { /* one execution of one step, as a team member sees it */
  const void *const
      *inputs; /* by input index; NULL: absent. Constants too, unless packed_inputs names them */
  void *const *outputs;
  void *scratch;        /* scratch_size bytes shared by the members, 64-byte aligned; content undefined */
  void *member_scratch; /* member_scratch_size bytes of this member, 64-byte aligned; content undefined */
  /* members: the most that may take part. Only member 0 is certain to; others come if they are free, and none
   * after member 0's first barrier. So work is handed out by cpu_next, or divided after cpu_settle. */
  int32_t member, members;
  atomic_llong *next;   /* CPU_COUNTERS for each member, 0 at the start of the step: cpu_next */
  const cpu_crew *crew; /* barriers: cpu_barrier(run) */
} cpu_run;

int cpu_next_shared(const cpu_run *run, int phase, int64_t count, int64_t grain, int64_t *begin,
                    int64_t *end);

/* The next chunk [*begin, *end) of `count` items in pieces of `grain`; 0 when none is left. Every member has
 * a share of its own, the same part of all items in every step, so that it finds in its caches what it wrote
 * in the step before; whoever is done takes from the others. `phase` names the counter: a kernel of several
 * phases with barriers between them takes one each. */
static inline int cpu_next_phase(const cpu_run *run, int phase, int64_t count, int64_t grain, int64_t *begin,
                                 int64_t *end) {
  if (run->members > 1) return cpu_next_shared(run, phase, count, grain, begin, end);
  atomic_llong *counter = run->next + phase; /* alone: no locked instruction */
  int64_t b = atomic_load_explicit(counter, memory_order_relaxed);
  if (b >= count) return 0;
  atomic_store_explicit(counter, b + grain, memory_order_relaxed);
  *begin = b;
  *end = b + grain < count ? b + grain : count;
  return 1;
}

static inline int cpu_next(const cpu_run *run, int64_t count, int64_t grain, int64_t *begin, int64_t *end) {
  return cpu_next_phase(run, 0, count, grain, begin, end);
}

/* The members that have begun the step wait for each other. */
static inline void cpu_barrier(const cpu_run *run) {
  if (run->members > 1) run->crew->host->team_barrier(run->crew->team, run->member);
}

/* A barrier that says how many members the step has and which of them, from 0, this one is. */
static inline int32_t cpu_settle(const cpu_run *run, int32_t *out_rank) {
  *out_rank = 0;
  return run->members > 1 ? run->crew->host->team_settle(run->crew->team, run->member, out_rank) : 1;
}

typedef struct cpu_prepared { /* filled by prepare, zeroed before */
  void *state; /* the kernel's own, immutable after prepare, shared by all requests and streams */
  size_t scratch_size, member_scratch_size;
  double cost; /* estimated float operations (or bytes moved); a small step runs on member 0 alone */
  int32_t
      leads; /* 1: member 0 runs it and what it runs, a subplan, is shared step by step; then cost is in ns */
  const char *exec_type;  /* static text for perf counts, e.g. "winograd_" CPU_ISA_NAME */
  int32_t in_place;       /* 1 + index of an input whose memory output 0 may share; 0: none */
  uint64_t packed_inputs; /* bit i: run does not read constant input i, so the engine keeps no copy of it */
} cpu_prepared;

typedef struct cpu_kernel cpu_kernel;
struct cpu_kernel { /* const, one per (source file, ISA) */
  const char *kind; /* node kind it serves */
  const char *name;
  /* 0: cannot run this node. Else a priority, highest wins (plain reference 1, good generic 10, special 20+).
   * Asked before anything is fused and before layouts are known (all plain). */
  int32_t (*supports)(const cpu_node *node);
  /* Layouts it wants for this node: fill in[i], out[i] (CPU_PLAIN preset). NULL: all plain. inputs[i]->layout
   * is the layout in which that input comes, so that a kernel that runs in both can follow it; the engine
   * reorders where the wish differs. Entries of constants are ignored: constants stay plain. Tensors that
   * cannot be blocked (see cpu_layout) stay plain too. */
  void (*layouts)(const cpu_node *node, cpu_layout *in, cpu_layout *out);
  /* 1 when the kernel can apply `post` after the posts already on the node. NULL: none. For a sum,
   * post->input is the port that the addend gets after a yes, behind all optional inputs of the kind. */
  int32_t (*can_fuse)(const cpu_node *node, const cpu_post *post);
  /* Layouts are decided now. Weights are packed here; the constants need not live longer. */
  iec_status (*prepare)(const iec_host_api *host, const cpu_node *node, cpu_prepared *out, iec_error *err);
  void (*run)(const void *state, const cpu_run *run); /* called by every member; no allocation, no failure */
  void (*release)(const iec_host_api *host, void *state); /* NULL: host->release of the state */
  int32_t takes_orders; /* MatMul: it understands the attributes order_a, order_b and order_y, the orders of
                           transposes that lay before its inputs and behind its output */
  const cpu_kernel *pooled; /* Conv: runs the node with a MaxPool behind it, if its can_fuse takes the pool.
                               NULL: none */
  const cpu_kernel *paired; /* likewise with a depthwise convolution behind it */
  const void *closure;      /* not NULL: an extension's kernel, see extension.c; cpu_node.closure for it */
};

#endif
