/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: a flat description from bytes is checked, loaded on the CPU driver, run and reported; an error
 * is as good as a result.
 *
 * tests/fuzz/libfuzzer builds it with clang for libFuzzer. With -DREPLAY it has a main that runs the files
 * and folders of files named on the command line once. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph_case.h"
#include "iec/runtime.h"

enum {
  MOST_BYTES = 1 << 20,
  MOST_TRIPS = 16
}; /* of all tensors together; of a loop: more only takes longer */

static iec_device *device;
static const char *outcome; /* of the last case: how far it came */

/* Memory of exactly `size` bytes, so that AddressSanitizer sees the first one past them. */
static void *block(size_t size) {
  void *memory = malloc(size);
  if (!memory && size) abort();
  return memory;
}

static void *copy(const void *from, size_t size) {
  void *to = block(size);
  if (size) memcpy(to, from, size);
  return to;
}

/* `size` bytes of the case's data from `place` on, over and over again. */
static void fill(uint8_t *to, size_t size, const uint8_t *data, size_t data_size, size_t place) {
  for (size_t i = 0; i < size; i++) to[i] = data_size ? data[(place + i) % data_size] : 0;
}

static size_t element(int64_t dtype) {
  switch (dtype) {
    case IEC_U8:
    case IEC_I8:
    case IEC_BOOL: return 1;
    case IEC_F16:
    case IEC_BF16:
    case IEC_I16:
    case IEC_U16: return 2;
    case IEC_F32:
    case IEC_I32:
    case IEC_U32: return 4;
    default: return 8;
  }
}

/* What infers needs of the outer graph: types of its tensors as the description gives them. */
static iec_tensor tensor_type(const iec_graph_desc *d, size_t number) {
  iec_tensor t = {.struct_size = sizeof t};
  size_t dims = 0;
  for (size_t i = 0; i < number; i++) dims += (size_t)d->tensors[i * IEC_TENSOR_WORDS + 2];
  const int64_t *record = d->tensors + number * IEC_TENSOR_WORDS;
  t.dtype = (uint16_t)record[1];
  t.ndim = (int32_t)record[2];
  t.size_bytes = element(record[1]);
  for (int32_t i = t.ndim; i-- > 0;) {
    t.shape[i] = d->ints[dims + (size_t)i];
    t.strides[i] = (int64_t)t.size_bytes;
    t.size_bytes *= (size_t)t.shape[i];
  }
  return t;
}

/* 1 when the attribute says how often something is done. */
static int is_count(const char *name) {
  return !strcmp(name, "trip_count") || !strcmp(name, "sampling_ratio");
}

/* 1 when all tensors together are small and loops short. The description has been checked, so the sizes do
 * not overflow. */
static int is_small(const iec_graph_desc *d) {
  const int64_t *ints = d->ints, *tensor = d->tensors, *node = d->nodes, *attr = d->attrs;
  size_t total = 0;
  for (size_t g = 0; g < d->graph_count; g++) {
    const int64_t *graph = d->graphs + g * IEC_GRAPH_WORDS;
    for (int64_t i = 0; i < graph[1]; i++, tensor += IEC_TENSOR_WORDS) {
      size_t bytes = element(tensor[1]);
      for (int64_t a = 0; a < tensor[2]; a++) bytes *= (size_t)*ints++;
      if (bytes > MOST_BYTES || (total += bytes) > MOST_BYTES) return 0;
    }
    for (int64_t i = 0; i < graph[2]; i++, node += IEC_NODE_WORDS) {
      for (int64_t a = 0; a < node[6]; a++, attr += IEC_ATTR_WORDS) {
        if (attr[1] == IEC_ATTR_INTS) ints += attr[3];
        if (attr[1] == IEC_ATTR_INT && attr[2] > MOST_TRIPS && is_count(d->strings + attr[0])) return 0;
      }
    }
  }
  return 1;
}

static void report(iec_executable *executable, iec_infer_request *request) {
  size_t size = 0;
  if (iec_request_perf_counts(request, NULL, &size, NULL) == IEC_OK) {
    char *text = block(size);
    iec_request_perf_counts(request, text, &size, NULL);
    free(text);
  }
  size = 0;
  if (iec_executable_get_property(executable, "EXEC_GRAPH", NULL, &size, NULL) == IEC_OK) {
    char *text = block(size);
    iec_executable_get_property(executable, "EXEC_GRAPH", text, &size, NULL);
    free(text);
  }
  size = 0;
  if (iec_executable_export(executable, NULL, &size, NULL) == IEC_OK) {
    char *bytes = block(size);
    iec_executable_export(executable, bytes, &size, NULL);
    free(bytes);
  }
}

static void run(const iec_graph_desc *d, iec_executable *executable, int times, const uint8_t *data,
                size_t data_size, size_t place) {
  size_t inputs = (size_t)d->graphs[3], outputs = (size_t)d->graphs[4];
  iec_infer_request *request;
  if (iec_request_create(executable, &request, NULL) != IEC_OK) return;
  iec_tensor *tensors = calloc(inputs + outputs + 1, sizeof *tensors);
  for (size_t i = 0; i < inputs + outputs; i++) {
    tensors[i] = tensor_type(d, (size_t)d->ports[i]);
    tensors[i].data = block(tensors[i].size_bytes);
    fill(tensors[i].data, tensors[i].size_bytes, data, data_size, place + 64 * i);
    if (tensors[i].dtype == IEC_BOOL)
      for (size_t k = 0; k < tensors[i].size_bytes; k++) ((uint8_t *)tensors[i].data)[k] &= 1;
  }
  if (iec_request_bind(request, tensors, inputs, tensors + inputs, outputs, NULL) == IEC_OK)
    for (int i = 0; i < times; i++) outcome = iec_request_infer(request, NULL) == IEC_OK ? "ran" : "failed";
  report(executable, request);
  iec_request_release(request);
  for (size_t i = 0; i < inputs + outputs; i++) free(tensors[i].data);
  free(tensors);
}

static void load(const iec_graph_desc *d, const iec_graph *graph, int flags, const uint8_t *data,
                 size_t data_size, size_t place) {
  outcome = "large";
  if (!is_small(d)) return;
  outcome = "refused";
  if (flags & CASE_SCALAR)
    setenv("IE_CTYPES_ISA", "scalar", 1);
  else
    unsetenv("IE_CTYPES_ISA");
  uint8_t *supported = block((size_t)d->graphs[2]);
  iec_device_query(device, graph, supported, (size_t)d->graphs[2], NULL);
  free(supported);
  const iec_kv config[] = {{"CPU_THREADS_NUM", flags & CASE_THREADS ? "2" : "1"},
                           {"EXPORT", flags & CASE_EXPORT ? "YES" : "NO"}};
  iec_executable *executable;
  iec_error err = {.struct_size = sizeof err};
  if (iec_device_compile(device, graph, config, 2, &executable, &err) == IEC_OK) {
    run(d, executable, flags & CASE_TWICE ? 2 : 1, data, data_size, place);
    iec_executable_release(executable);
  } else if (!err.message[0]) {
    abort(); /* an error without words */
  }
}

/* Gives every constant memory of its own. 0 when one is too large. */
static int constants(int64_t *tensors, size_t count, const uint8_t *data, size_t data_size, void **memory) {
  size_t total = 0;
  for (size_t i = 0; i < count; i++) {
    int64_t *record = tensors + i * IEC_TENSOR_WORDS;
    if (!record[3]) continue;
    if (record[4] < 0 || (total += (size_t)record[4]) > MOST_BYTES) return 0;
    memory[i] = block((size_t)record[4] + !record[4]);
    fill(memory[i], (size_t)record[4], data, data_size, data_size ? (size_t)(record[3] - 1) % data_size : 0);
    if (record[1] == IEC_BOOL)
      for (size_t k = 0; k < (size_t)record[4]; k++) ((uint8_t *)memory[i])[k] &= 1;
    record[3] = (int64_t)(uintptr_t)memory[i];
  }
  return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  const uint8_t *at[CASE_SECTIONS];
  size_t count[CASE_SECTIONS];
  if (!case_sections(bytes, size, at, count)) return -1;
  if (!device) {
    setenv("IE_CTYPES_MEMBER_NS", "50", 0); /* small steps are shared */
    if (iec_device_open(NULL, "CPU", NULL, 0, &device, NULL) != IEC_OK) abort();
  }
  outcome = "malformed";
  void *table[CASE_SECTIONS];
  for (int s = 0; s < CASE_SECTIONS; s++) table[s] = copy(at[s], count[s] * case_item[s]);
  void **memory = calloc(count[CASE_TENSORS] + 1, sizeof *memory);
  const iec_graph_desc d = {
      .struct_size = sizeof d,
      .strings = table[CASE_STRINGS],
      .ints = table[CASE_INTS],
      .doubles = table[CASE_DOUBLES],
      .ports = table[CASE_PORTS],
      .graphs = table[CASE_GRAPHS],
      .tensors = table[CASE_TENSORS],
      .nodes = table[CASE_NODES],
      .attrs = table[CASE_ATTRS],
      .strings_size = count[CASE_STRINGS],
      .int_count = count[CASE_INTS],
      .double_count = count[CASE_DOUBLES],
      .port_count = count[CASE_PORTS],
      .graph_count = count[CASE_GRAPHS],
      .tensor_count = count[CASE_TENSORS],
      .node_count = count[CASE_NODES],
      .attr_count = count[CASE_ATTRS],
  };
  iec_graph *graph = NULL;
  if (constants(table[CASE_TENSORS], count[CASE_TENSORS], table[CASE_DATA], count[CASE_DATA], memory) &&
      iec_graph_create(&d, &graph, NULL) == IEC_OK)
    load(&d, graph, bytes[0], table[CASE_DATA], count[CASE_DATA], bytes[1]);
  if (case_ran && !strcmp(outcome, "ran")) case_ran(bytes, size);
  iec_graph_release(graph);
  for (size_t i = 0; i < count[CASE_TENSORS]; i++) free(memory[i]);
  free(memory);
  for (int s = 0; s < CASE_SECTIONS; s++) free(table[s]);
  return 0;
}

#ifdef REPLAY
#include <dirent.h>

static int replay(const char *path) {
  DIR *folder = opendir(path);
  if (folder) {
    int good = 1;
    for (struct dirent *entry; (entry = readdir(folder));) {
      char name[4096];
      if (entry->d_name[0] == '.') continue;
      snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
      good &= replay(name);
    }
    closedir(folder);
    return good;
  }
  static uint8_t bytes[1 << 20];
  FILE *file = fopen(path, "rb");
  size_t size = file ? fread(bytes, 1, sizeof bytes, file) : 0;
  if (file) fclose(file);
  printf("%s ", path);
  fflush(stdout);
  uint8_t *exact = copy(bytes, size);
  int good = file && LLVMFuzzerTestOneInput(exact, size) == 0;
  free(exact);
  printf("%s\n", good ? outcome : "is no case");
  return good;
}

int main(int argc, char **argv) {
  int good = argc > 1;
  for (int i = 1; i < argc; i++) good &= replay(argv[i]);
  iec_device_release(device);
  return good ? 0 : 1;
}
#endif
