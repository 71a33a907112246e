/* SPDX-License-Identifier: Apache-2.0 */
/* A driver for tests: doubles its float inputs, waits at a gate, fails on wish, counts what is alive. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "iec/driver.h"

struct iec_driver {
  const iec_host_api *host;
};
struct iec_exec {
  iec_driver *driver;
  char streams[16];
};
struct iec_request {
  iec_exec *exec;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int is_shut, inside, most_inside; /* guarded by mutex */
static char order[4096]; /* first input value of each inference, in the order of their begin */
static atomic_int drivers, execs, requests;
static char log_text[256];

static iec_status fail(iec_error *err, iec_status code, const char *message) {
  if (err && err->code == IEC_OK) {
    err->code = code;
    snprintf(err->where, sizeof err->where, "gate");
    snprintf(err->message, sizeof err->message, "%s", message);
  }
  return code;
}

static iec_status open_driver(const iec_host_api *host, const iec_kv *options, size_t count, iec_driver **out,
                              iec_error *err) {
  for (size_t i = 0; i < count; i++)
    if (!strcmp(options[i].key, "refuse")) return fail(err, IEC_GENERAL_ERROR, options[i].value);
  iec_driver *driver = calloc(1, sizeof *driver);
  if (!driver) return fail(err, IEC_OUT_OF_MEMORY, "out of memory");
  driver->host = host;
  atomic_fetch_add(&drivers, 1);
  *out = driver;
  return IEC_OK;
}

static void close_driver(iec_driver *driver) {
  if (!driver) return;
  atomic_fetch_sub(&drivers, 1);
  free(driver);
}

/* Supports every kind but "Odd". */
static iec_status query(iec_driver *driver, const iec_graph *graph, uint8_t *supported, size_t count,
                        iec_error *err) {
  (void)err;
  const iec_graph_api *api = driver->host->graph;
  for (size_t i = 0; i < count; i++)
    supported[i] = strcmp(api->node_kind(api->node_at(graph, i)), "Odd") != 0;
  return IEC_OK;
}

/* Writes what the accessors say of the first node into log_text, so that a test can compare. */
static void describe(const iec_graph_api *api, const iec_graph *graph) {
  if (!api->node_count(graph)) return;
  const iec_node *node = api->node_at(graph, 0);
  int64_t i = -1;
  double f = -1, fi = -1;
  const char *s = "";
  const int64_t *is = NULL;
  const double *fs = NULL;
  size_t is_count = 0, fs_count = 0;
  const iec_graph *body = NULL;
  api->attr_i64(node, "i", &i);
  api->attr_f64(node, "f", &f);
  api->attr_f64(node, "i", &fi);
  api->attr_str(node, "s", &s);
  api->attr_i64s(node, "is", &is, &is_count);
  api->attr_f64s(node, "fs", &fs, &fs_count);
  api->attr_graph(node, "body", &body);
  snprintf(log_text, sizeof log_text,
           "%s %s/%s/%s/%s i=%lld f=%g fi=%g s=%s is=%zu:%lld fs=%zu:%g body=%s wrong=%d absent=%d",
           api->name(graph), api->node_kind(node), api->node_name(node), api->node_layer(node),
           api->node_layer_type(node), (long long)i, f, fi, s, is_count,
           is_count ? (long long)is[is_count - 1] : 0, fs_count, fs_count ? fs[0] : 0,
           body ? api->name(body) : "", (int)api->attr_str(node, "i", &s),
           (int)(api->port(node, 0, api->port_count(node, 0) - 1) == IEC_NO_TENSOR));
}

static iec_status compile(iec_driver *driver, const iec_graph *graph, const iec_kv *config, size_t count,
                          iec_exec **out, iec_error *err) {
  iec_exec *exec = calloc(1, sizeof *exec);
  if (!exec) return fail(err, IEC_OUT_OF_MEMORY, "out of memory");
  exec->driver = driver;
  snprintf(exec->streams, sizeof exec->streams, "1");
  for (size_t i = 0; i < count; i++) {
    if (!strcmp(config[i].key, "refuse")) {
      free(exec);
      return fail(err, IEC_PARAMETER_MISMATCH, config[i].value);
    }
    if (!strcmp(config[i].key, "streams"))
      snprintf(exec->streams, sizeof exec->streams, "%s", config[i].value);
  }
  describe(driver->host->graph, graph);
  atomic_fetch_add(&execs, 1);
  *out = exec;
  return IEC_OK;
}

static void exec_release(iec_exec *exec) {
  if (!exec) return;
  atomic_fetch_sub(&execs, 1);
  free(exec);
}

static iec_status request_create(iec_exec *exec, iec_request **out, iec_error *err) {
  iec_request *request = calloc(1, sizeof *request);
  if (!request) return fail(err, IEC_OUT_OF_MEMORY, "out of memory");
  request->exec = exec;
  atomic_fetch_add(&requests, 1);
  *out = request;
  return IEC_OK;
}

static void request_release(iec_request *request) {
  if (!request) return;
  atomic_fetch_sub(&requests, 1);
  free(request);
}

static iec_status infer(iec_request *request, const iec_tensor *const *inputs, size_t input_count,
                        iec_tensor *const *outputs, size_t output_count, iec_error *err) {
  (void)request;
  float first = input_count ? *(const float *)inputs[0]->data : 0;
  pthread_mutex_lock(&mutex);
  size_t used = strlen(order);
  snprintf(order + used, sizeof order - used, "%g ", (double)first);
  if (++inside > most_inside) most_inside = inside;
  while (is_shut) pthread_cond_wait(&changed, &mutex);
  inside--;
  pthread_mutex_unlock(&mutex);
  if (first < 0) return fail(err, IEC_GENERAL_ERROR, "a negative input");
  for (size_t i = 0; i < output_count && i < input_count; i++)
    for (size_t j = 0; j < outputs[i]->size_bytes / sizeof(float); j++)
      ((float *)outputs[i]->data)[j] = 2 * ((const float *)inputs[i]->data)[j];
  return IEC_OK;
}

static iec_status give(const char *text, char *buf, size_t *size, iec_error *err) {
  size_t need = strlen(text) + 1, room = *size;
  *size = need;
  if (!buf) return IEC_OK;
  if (room < need) return fail(err, IEC_OUT_OF_BOUNDS, "the buffer is too small");
  memcpy(buf, text, need);
  return IEC_OK;
}

static iec_status get_property(iec_driver *driver, iec_exec *exec, const char *key, char *buf, size_t *size,
                               iec_error *err) {
  (void)driver;
  char text[4200];
  pthread_mutex_lock(&mutex);
  if (exec && !strcmp(key, "STREAMS"))
    snprintf(text, sizeof text, "%s", exec->streams);
  else if (!strcmp(key, "live"))
    snprintf(text, sizeof text, "%d %d %d", atomic_load(&drivers), atomic_load(&execs),
             atomic_load(&requests));
  else if (!strcmp(key, "order"))
    snprintf(text, sizeof text, "%s", order);
  else if (!strcmp(key, "inside"))
    snprintf(text, sizeof text, "%d %d", inside, most_inside);
  else if (!strcmp(key, "log"))
    snprintf(text, sizeof text, "%s", log_text);
  else
    text[0] = 1, text[1] = 0;
  pthread_mutex_unlock(&mutex);
  if (text[0] == 1) return fail(err, IEC_NOT_FOUND, "no such property");
  return give(text, buf, size, err);
}

static iec_status set_property(iec_driver *driver, iec_exec *exec, const char *key, const char *value,
                               iec_error *err) {
  (void)driver, (void)exec;
  if (strcmp(key, "gate")) return fail(err, IEC_NOT_FOUND, "no such property");
  pthread_mutex_lock(&mutex);
  is_shut = !strcmp(value, "shut");
  if (is_shut) order[0] = 0, most_inside = 0;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&mutex);
  return IEC_OK;
}

static iec_status perf_counts(iec_request *request, char *json, size_t *size, iec_error *err) {
  (void)request;
  return give(
      "[{\"layer\": \"a\", \"layer_type\": \"ReLU\", \"kind\": \"Unary\", \"exec_type\": \"twice\", \"status\": \"EXECUTED\", "
      "\"real_time_us\": 3, \"cpu_time_us\": 2, \"order\": 0}]",
      json, size, err);
}

static const iec_driver_api table = {
    .struct_size = sizeof(iec_driver_api),
    .abi_version = IEC_ABI_VERSION,
    .name = "GATE",
    .version = "1.2.3",
    .description = "a driver for tests",
    .open = open_driver,
    .close = close_driver,
    .query = query,
    .compile = compile,
    .exec_release = exec_release,
    .request_create = request_create,
    .request_release = request_release,
    .infer = infer,
    .get_property = get_property,
    .set_property = set_property,
    .perf_counts = perf_counts,
};

iec_status iec_driver_query(uint32_t host_abi, const iec_driver_api **out, iec_error *err);

__attribute__((visibility("default"))) iec_status iec_driver_query(uint32_t host_abi,
                                                                   const iec_driver_api **out,
                                                                   iec_error *err) {
  if (host_abi >> 16 != IEC_ABI_MAJOR)
    return fail(err, IEC_ABI_MISMATCH, "built for another version of the host");
#ifdef OTHER_MAJOR
  static iec_driver_api other;
  other = table;
  other.abi_version = 7u << 16;
  *out = &other;
#elif defined(SHORT_TABLE)
  static iec_driver_api shorter;
  shorter = table;
  shorter.struct_size = offsetof(iec_driver_api, infer);
  *out = &shorter;
#else
  *out = &table;
#endif
  return IEC_OK;
}
