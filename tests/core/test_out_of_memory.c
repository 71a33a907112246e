/* SPDX-License-Identifier: Apache-2.0 */
/* Every allocation of a whole life (graph, device, executable, request, bind, start) fails once: always an
 * error, never a leak. Linked with --wrap for the allocation functions; the argument is the path of the null
 * driver. */
#include <stdlib.h>
#include <unistd.h>

#include "core/core.h"
#include "tap.h"

static atomic_long countdown = -1; /* the allocation that fails; negative: none */
static atomic_long live;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_aligned_alloc(size_t align, size_t size);
int __real_posix_memalign(void **out, size_t align, size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);
int __wrap_posix_memalign(void **out, size_t align, size_t size);
void __wrap_free(void *memory);

static int fails(void) {
  if (atomic_load(&countdown) >= 0 && atomic_fetch_sub(&countdown, 1) == 0) return 1;
  atomic_fetch_add(&live, 1);
  return 0;
}
void *__wrap_malloc(size_t size) { return fails() ? NULL : __real_malloc(size); }
void *__wrap_calloc(size_t count, size_t size) { return fails() ? NULL : __real_calloc(count, size); }
void *__wrap_aligned_alloc(size_t align, size_t size) {
  return fails() ? NULL : __real_aligned_alloc(align, size);
}
int __wrap_posix_memalign(void **out, size_t align, size_t size) {
  return fails() ? 12 : __real_posix_memalign(out, align, size);
}
void __wrap_free(void *memory) {
  if (memory) atomic_fetch_sub(&live, 1);
  __real_free(memory);
}

static iec_status whole_life(const char *driver, iec_error *err) {
  static const char strings[] = "net\0x\0y\0Unary\0n";
  static const int64_t ints[] = {2, 3, 2, 3}, ports[] = {0, 1, 0, 1};
  static const int64_t graphs[] = {0, 2, 1, 1, 1};
  static const int64_t tensors[] = {4, IEC_F32, 2, 0, 0, 6, IEC_F32, 2, 0, 0};
  static const int64_t nodes[] = {8, 14, 14, 8, 1, 1, 0};
  const iec_graph_desc desc = {.struct_size = sizeof desc,
                               .strings = strings,
                               .ints = ints,
                               .ports = ports,
                               .graphs = graphs,
                               .tensors = tensors,
                               .nodes = nodes,
                               .strings_size = sizeof strings,
                               .int_count = 4,
                               .port_count = 4,
                               .graph_count = 1,
                               .tensor_count = 2,
                               .node_count = 1};
  float data[12] = {0};
  iec_tensor tensor[2];
  for (int i = 0; i < 2; i++)
    tensor[i] = (iec_tensor){.struct_size = sizeof tensor[i],
                             .dtype = IEC_F32,
                             .ndim = 2,
                             .shape = {2, 3},
                             .strides = {12, 4},
                             .data = data + 6 * i,
                             .size_bytes = 24};
  iec_graph *graph = NULL;
  iec_device *device = NULL;
  iec_executable *executable = NULL;
  iec_infer_request *request = NULL;
  iec_team *team = NULL;
  const int32_t cpus[] = {0, 0};
  iec_status status = iec_graph_create(&desc, &graph, err);
  if (status == IEC_OK) status = iec_device_open(driver, NULL, NULL, 0, &device, err);
  if (status == IEC_OK) status = iec_device_compile(device, graph, NULL, 0, &executable, err);
  if (status == IEC_OK) status = iec_request_create(executable, &request, err);
  if (status == IEC_OK) status = iec_request_bind(request, &tensor[0], 1, &tensor[1], 1, err);
  if (status == IEC_OK) status = iec_request_infer(request, err);
  if (status == IEC_OK) status = iec_request_start(request, NULL, NULL, err);
  if (status == IEC_OK) status = iec_request_wait(request, -1, err);
  if (status == IEC_OK) status = iec_team_create(NULL, 2, cpus, &team, err);
  iec_team_release(team);
  iec_device_release(device);
  iec_executable_release(executable);
  iec_request_release(request);
  iec_graph_release(graph);
  return status;
}

int main(int argc, char **argv) {
  const char *driver = argc > 1 ? argv[1] : "";
  iec_error first = {.struct_size = sizeof first};
  tap_ok(whole_life(driver, &first) == IEC_OK, "without a failure it works");
  if (first.code) printf("# %s: %s\n", first.where, first.message);
  int failures = 0, wrong_status = 0, leaks = 0;
  long least = atomic_load(&live); /* that is left behind a life */
  for (long n = 0; n < 1000; n++) {
    iec_error err = {.struct_size = sizeof err};
    atomic_store(&countdown, n);
    iec_status status = whole_life(driver, &err);
    int failed = atomic_load(&countdown) < 0;
    atomic_store(&countdown, -1);
    /* The worker drops its hold on the request a moment after the wait has ended, and a thread that had not
     * begun when its team went ends when it gets a cpu: of the first life, too, whose rest `least` may count.
     */
    for (int i = 0; i < 30000 && atomic_load(&live) > least; i++) usleep(1000);
    if (atomic_load(&live) > least) leaks++;
    least = atomic_load(&live);
    if (!failed) break;
    failures++;
    if (status != IEC_OUT_OF_MEMORY || err.code != IEC_OUT_OF_MEMORY || !err.message[0]) {
      printf("# allocation %ld: status %d, %s: %s\n", n, (int)status, err.where, err.message);
      wrong_status++;
    }
  }
  printf("# %d allocations\n", failures);
  tap_ok(failures > 15, "there are allocations to fail");
  tap_ok(wrong_status == 0, "each failed allocation is an out of memory error with words");
  tap_ok(leaks == 0, "nothing leaks");
  return tap_end();
}
