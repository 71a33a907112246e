/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of files of packed weights. */
#include <string.h>

#include "cpu/build_id.h"
#include "cpu/cache.h"

/* Constants are hashed in pieces, so that threads can share a large one. */
static const size_t PIECE = 4 << 20;

typedef struct piece {
  const unsigned char *data;
  size_t bytes;
  uint64_t hash[2];
} piece;

typedef struct pieces {
  const iec_host_api *host;
  piece *list;
  size_t count;
  atomic_size_t next;
} pieces;

/* The pieces of an op's constants, as its kernel will read them; how many. `list` NULL: only counts. */
static size_t list_pieces(const cpu_op *op, piece *list) {
  size_t count = 0;
  for (int32_t i = 0; i < op->input_count; ++i) {
    const cpu_tensor *t = op->inputs[i] ? &op->inputs[i]->tensor : NULL;
    if (!t || !t->data) continue;
    size_t bytes = cpu_tensor_bytes(t);
    for (size_t at = 0; at < bytes; at += PIECE, ++count)
      if (list)
        list[count] = (piece){.data = (const unsigned char *)t->data + at,
                              .bytes = bytes - at < PIECE ? bytes - at : PIECE};
  }
  return count;
}

static void hash_some(void *arg, int32_t member, int32_t members) {
  pieces *p = arg;
  (void)member, (void)members;
  for (size_t i; (i = atomic_fetch_add(&p->next, 1)) < p->count;)
    p->host->hash(p->list[i].data, p->list[i].bytes, p->list[i].hash);
}

static iec_status hash_constants(const cpu_graph *graph, int32_t threads, uint64_t state[2], iec_error *err) {
  const iec_host_api *host = graph->host;
  pieces p = {.host = host};
  for (int32_t i = 0; i < graph->op_count; ++i) p.count += list_pieces(graph->ops[i], NULL);
  p.list = host->alloc(host->self, (p.count + 1) * sizeof *p.list, 64);
  if (!p.list) return cpu_graph_no_memory(err);
  size_t at = 0;
  for (int32_t i = 0; i < graph->op_count; ++i) at += list_pieces(graph->ops[i], p.list + at);
  iec_team *team = NULL;
  iec_status status = IEC_OK;
  if (threads > 1 && p.count > 1) status = host->team_create(host->self, threads, NULL, &team, err);
  if (!status && team)
    host->team_share(team, threads, hash_some, &p);
  else if (!status)
    hash_some(&p, 0, 1);
  host->team_release(team);
  for (size_t i = 0; i < p.count; ++i) host->hash(p.list[i].hash, sizeof p.list[i].hash, state);
  host->release(host->self, p.list);
  return status;
}

static void hash_text(const iec_host_api *host, const char *text, uint64_t state[2]) {
  host->hash(text, strlen(text) + 1, state);
}

static void hash_value(const iec_host_api *host, const cpu_value *value, uint64_t state[2]) {
  static const cpu_tensor absent = {.ndim = -1};
  const cpu_tensor *t = value ? &value->tensor : &absent;
  int64_t facts[4 + IEC_MAX_NDIM] = {t->data != NULL, t->dtype, t->layout, t->ndim};
  memcpy(facts + 4, t->shape, sizeof t->shape);
  host->hash(facts, sizeof facts, state);
}

static void hash_post(const iec_host_api *host, const cpu_op *op, const cpu_post *p, uint64_t state[2]) {
  const cpu_tensor *y = &op->outputs[0]->tensor;
  int axis = strcmp(op->kind, "MatMul") == 0 ? y->ndim - 1 : 1;
  size_t channels = axis < y->ndim ? (size_t)(y->shape[axis] + 15) / 16 * 16 : 16;
  int32_t codes[3] = {(int32_t)p->type, p->op, p->input};
  float numbers[3] = {p->alpha, p->beta, p->gamma};
  const float *arrays[5] = {p->scale, p->shift, p->low, p->high, p->step};
  host->hash(codes, sizeof codes, state);
  host->hash(numbers, sizeof numbers, state);
  for (int i = 0; i < 5; ++i) host->hash(arrays[i], arrays[i] ? channels * sizeof(float) : 0, state);
}

/* What the passes made of an op: its kernel, its tensors, what is fused into it. */
static void hash_op(const iec_host_api *host, const cpu_op *op, uint64_t state[2]) {
  hash_text(host, op->name, state);
  hash_text(host, op->kernel ? op->kernel->name : "", state);
  for (int32_t i = 0; i < op->input_count; ++i) hash_value(host, op->inputs[i], state);
  for (int32_t i = 0; i < op->output_count; ++i) hash_value(host, op->outputs[i], state);
  for (int32_t i = 0; i < op->post_count; ++i) hash_post(host, op, &op->posts[i], state);
}

iec_status cpu_cache_key_of(const cpu_graph *graph, int32_t threads, cpu_cache_key *out, iec_error *err) {
  const iec_host_api *host = graph->host;
  if (!*cpu_build_id())
    return cpu_fail(err, IEC_NOT_IMPLEMENTED, "CACHE_DIR", "the library was linked without a build id");
  if (!IEC_HAS(iec_host_api, host, hash) || !IEC_HAS(iec_graph_api, graph->base_api, fingerprint) ||
      !graph->base_api->fingerprint(graph->base, out->words))
    return cpu_fail(err, IEC_NOT_IMPLEMENTED, "CACHE_DIR", "the host gives no fingerprint of the graph");
  hash_text(host, cpu_build_id(), out->words);
  hash_text(host, cpu_isa(), out->words);
  for (int32_t i = 0; i < graph->op_count; ++i) hash_op(host, graph->ops[i], out->words);
  return hash_constants(graph, threads, out->words, err);
}
