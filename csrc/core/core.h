/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the core share. Not public: drivers see include/iec only. */
#ifndef IEC_CORE_H
#define IEC_CORE_H
#include <pthread.h>
#include <stdatomic.h>

#include "iec/base.h"
#include "iec/driver.h"
#include "iec/extension.h"
#include "iec/runtime.h"

#define IEC_TRY(call)                            \
  do {                                           \
    iec_status try_status = (call);              \
    if (try_status != IEC_OK) return try_status; \
  } while (0)

/* error.c: writes `err` unless it is NULL or already holds a failure; returns `code`. `where` NULL: none. */
iec_status iec_fail(iec_error *err, iec_status code, const char *where, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Product of sizes that must fit; 0 when it does not. */
static inline int iec_mul(size_t a, size_t b, size_t *out) { return !__builtin_mul_overflow(a, b, out); }

/* hash.c: state = a hash of it and of `size` bytes. Begin with any state. */
void iec_hash(const void *data, size_t size, uint64_t state[2]);

/* host.c */
extern const iec_host_api iec_host_table;

/* fork.c: counts the forks between this process and the one that loaded the library. */
uint32_t iec_fork_generation(void);

/* park.c: sleeping until a word changes. */
typedef struct iec_gate {
  atomic_uint word;
  atomic_uint sleepers;
} iec_gate;
/* Returns 1 once gate->word differs from `old`, 0 after the time `deadline_ns` (negative: none). Spins
 * `spins` pauses first. */
int iec_gate_wait(iec_gate *gate, unsigned old, int spins, int64_t deadline_ns);
/* Up to `spins` pauses for gate->word to be `value`; 1 when it is. */
int iec_gate_spin(iec_gate *gate, unsigned value, int spins);
/* A new word, a word raised by `value`: sleepers look at it. */
void iec_gate_set(iec_gate *gate, unsigned value);
void iec_gate_add(iec_gate *gate, unsigned value);
int64_t iec_now_ns(void);

/* team.c */
iec_status iec_team_create(iec_host *host, int32_t threads, const int32_t *cpus, iec_team **out,
                           iec_error *err);
void iec_team_release(iec_team *team);
void iec_team_run(iec_team *team, iec_team_fn fn, void *arg);
void iec_team_barrier(iec_team *team, int32_t member);
void iec_team_share(iec_team *team, int32_t most, iec_team_fn fn, void *arg);
int32_t iec_team_settle(iec_team *team, int32_t member, int32_t *out_rank);

/* graph.c */
typedef struct iec_attr {
  const char *name;
  int32_t type; /* IEC_ATTR_* */
  int64_t i;
  double f;
  const char *s;
  const int64_t *ints;
  const double *floats;
  size_t count;
  const iec_graph *graph;
} iec_attr;

struct iec_node {
  const char *kind, *name, *layer, *layer_type;
  const size_t *ports[2]; /* inputs, outputs */
  size_t port_count[2];
  const iec_attr *attrs;
  size_t attr_count;
};

typedef struct iec_value {
  const char *name;
  iec_tensor tensor;
} iec_value;

struct iec_graph {
  const char *name;
  const iec_value *values;
  const iec_node *nodes;
  const size_t *inputs, *outputs;
  size_t value_count, node_count, input_count, output_count;
  struct iec_graph_store *store; /* set in graph 0, which owns everything */
};
extern const iec_graph_api iec_graph_table;
/* api/graph.c: the accessor of the same name. */
int32_t iec_graph_fingerprint(const iec_graph *graph, uint64_t out[2]);
/* Bytes of one element; 0 for an unknown type. */
size_t iec_dtype_size(int64_t dtype);

/* registry.c: a full-size table of the driver, absent members filled with stubs; `start` stays NULL. */
iec_status iec_driver_find(const char *library, const char *name, iec_driver_api *out, iec_error *err);

/* extension.c: a full-size copy of a checked table, the same one for the same table, for the life of the
 * process. */
iec_status iec_extension_complete(const iec_extension_api *given, const char *where,
                                  const iec_extension_api **out, iec_error *err);
/* 1 when `extension` came from iec_extension_complete. */
int iec_extension_known(const iec_extension_api *extension);
/* registry.c: opens a shared library and finds a function in it; the library stays loaded. */
iec_status iec_library_symbol(const char *library, const char *symbol, void **out, iec_error *err);

/* pool.c: worker threads that run jobs in the order of their submission. */
typedef struct iec_job {
  struct iec_job *next;
  void (*run)(struct iec_job *job);
} iec_job;
typedef struct iec_pool iec_pool;
/* At most `limit` threads, made when there is work for them. */
iec_status iec_pool_create(int32_t limit, iec_pool **out, iec_error *err);
/* Joins the workers; no job may be queued. May be called by a worker. */
void iec_pool_release(iec_pool *pool);
iec_status iec_pool_submit(iec_pool *pool, iec_job *job, iec_error *err);

/* api/device.c, api/executable.c */
struct iec_device {
  atomic_int refs;
  iec_driver_api api;
  iec_driver *driver;
};
struct iec_executable {
  atomic_int refs;
  iec_device *device;
  iec_exec *exec;
  iec_pool *pool;
  int32_t streams;
  atomic_int active;      /* inferences inside the driver */
  atomic_uint generation; /* fork generation `active` belongs to */
  atomic_int broken; /* the process forked while an inference ran: the driver's locks may be held by nobody */
  int32_t checked;   /* 1: the types below are known */
  iec_tensor *types; /* inputs, then outputs */
  size_t input_count, output_count;
};
iec_status iec_executable_make(iec_device *device, iec_exec *exec, const iec_graph *graph,
                               iec_executable **out, iec_error *err);

#endif
