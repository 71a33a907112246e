/* SPDX-License-Identifier: Apache-2.0 */
/* Enumeration of devices, contexts, and programs built once. */
#include "opencl/context.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

typedef struct program {
  char *key; /* file and options */
  cl_program handle;
} program;

struct gpu_context {
  const ocl_api *api;
  gpu_device device;
  cl_context handle;
  pthread_mutex_t lock;
  program *programs;
  int32_t program_count, program_capacity;
};

static void read_text(const ocl_api *api, cl_device_id id, cl_uint what, char out[128]) {
  char text[1024] = "";
  if (api->GetDeviceInfo(id, what, sizeof text - 1, text, NULL) != CL_SUCCESS) text[0] = 0;
  const char *start = text + strspn(text, " ");
  snprintf(out, 128, "%.127s", start);
}

static int has_extension(const ocl_api *api, cl_device_id id, const char *name) {
  char text[16384] = "";
  if (api->GetDeviceInfo(id, CL_DEVICE_EXTENSIONS, sizeof text - 1, text, NULL) != CL_SUCCESS) return 0;
  size_t length = strlen(name);
  for (const char *at = strstr(text, name); at; at = strstr(at + length, name))
    if ((at == text || at[-1] == ' ') && (at[length] == ' ' || !at[length])) return 1;
  return 0;
}

#define READ(what, field) api->GetDeviceInfo(id, what, sizeof d->field, &d->field, NULL)

/* Work-groups along y and z that every device takes: CUDA's number, below which OpenCL has no limit of its
 * own to ask for. */
enum { GROUPS = 65535 };

/* For tests on devices that can more: IE_CTYPES_OPENCL_LIMITS="items=64,groups=3,local=8192,fp16=2". */
static void lower_limits(gpu_device *d) {
  const char *text = getenv("IE_CTYPES_OPENCL_LIMITS");
  for (; text && *text; text = strchr(text, ',') ? strchr(text, ',') + 1 : NULL) {
    unsigned long n;
    if (sscanf(text, "items=%lu", &n) == 1 && n < d->most_items) d->most_items = n;
    if (sscanf(text, "groups=%lu", &n) == 1 && n > 0 && n < d->most_groups) d->most_groups = n;
    if (sscanf(text, "local=%lu", &n) == 1 && n < d->local_memory) d->local_memory = n;
    if (sscanf(text, "fp16=%lu", &n) == 1 && n != GPU_FP16_NATIVE)
      d->fp16 = n ? GPU_FP16_EMULATED : GPU_FP16_NONE;
  }
}

/* 0: the device cannot be used. */
static int describe(const ocl_api *api, cl_platform_id platform, cl_device_id id, gpu_device *d) {
  cl_bool available = CL_FALSE, compiler = CL_FALSE;
  memset(d, 0, sizeof *d);
  d->platform = platform;
  d->id = id;
  api->GetDeviceInfo(id, CL_DEVICE_AVAILABLE, sizeof available, &available, NULL);
  api->GetDeviceInfo(id, CL_DEVICE_COMPILER_AVAILABLE, sizeof compiler, &compiler, NULL);
  if (!available || !compiler) return 0;
  READ(CL_DEVICE_TYPE, type);
  READ(CL_DEVICE_MAX_COMPUTE_UNITS, units);
  READ(CL_DEVICE_MAX_CLOCK_FREQUENCY, clock);
  READ(CL_DEVICE_GLOBAL_MEM_SIZE, global_memory);
  READ(CL_DEVICE_LOCAL_MEM_SIZE, local_memory);
  READ(CL_DEVICE_MAX_MEM_ALLOC_SIZE, most_allocation);
  READ(CL_DEVICE_MAX_WORK_GROUP_SIZE, most_items);
  READ(CL_DEVICE_HOST_UNIFIED_MEMORY, unified);
  read_text(api, id, CL_DEVICE_NAME, d->name);
  read_text(api, id, CL_DEVICE_VENDOR, d->vendor);
  read_text(api, id, CL_DEVICE_VERSION, d->version);
  read_text(api, id, CL_DRIVER_VERSION, d->driver);
  api->GetPlatformInfo(platform, CL_PLATFORM_NAME, sizeof d->platform_name - 1, d->platform_name, NULL);
  d->fp16 = has_extension(api, id, "cl_khr_fp16") ? GPU_FP16_NATIVE : GPU_FP16_NONE;
  d->fp64 = has_extension(api, id, "cl_khr_fp64");
  d->most_groups = GROUPS;
  lower_limits(d);
  int major = 0, minor = 0;
  return sscanf(d->version, "OpenCL %d.%d", &major, &minor) == 2 && major * 10 + minor >= 12;
}

static int rank(const gpu_device *d) {
  return d->type & CL_DEVICE_TYPE_GPU ? 0 : d->type & CL_DEVICE_TYPE_CPU ? 2 : 1;
}

static iec_status list_devices(const ocl_api *api, gpu_device **out, int32_t *count, iec_error *err) {
  enum { MOST = 32 };
  cl_platform_id platforms[MOST];
  cl_uint platform_count = 0;
  gpu_device *list = NULL;
  int32_t capacity = 0, n = 0;
  *out = NULL;
  *count = 0;
  if (api->GetPlatformIDs(MOST, platforms, &platform_count) != CL_SUCCESS) platform_count = 0;
  for (cl_uint p = 0; p < platform_count && p < MOST; p++) {
    cl_device_id ids[MOST];
    cl_uint id_count = 0;
    if (api->GetDeviceIDs(platforms[p], CL_DEVICE_TYPE_ALL, MOST, ids, &id_count) != CL_SUCCESS) continue;
    for (cl_uint i = 0; i < id_count && i < MOST; i++) {
      gpu_device found;
      if (!describe(api, platforms[p], ids[i], &found)) continue;
      if (!gpu_grow(&list, sizeof *list, n, &capacity)) {
        free(list);
        return gpu_no_memory(err);
      }
      int32_t to = n++;
      for (; to > 0 && rank(&list[to - 1]) > rank(&found); to--) list[to] = list[to - 1];
      list[to] = found;
    }
  }
  *out = list;
  *count = n;
  return IEC_OK;
}

iec_status gpu_devices(const ocl_api *api, gpu_device **out, int32_t *count, iec_error *err) {
  /* Loaders and drivers set themselves up in the first call, and some (PoCL 3.1) crash when two threads make
   * it. */
  static pthread_mutex_t first = PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_lock(&first);
  iec_status status = list_devices(api, out, count, err);
  pthread_mutex_unlock(&first);
  return status;
}

iec_status gpu_context_create(const ocl_api *api, const gpu_device *device, gpu_context **out,
                              iec_error *err) {
  *out = NULL;
  gpu_context *context = calloc(1, sizeof *context);
  if (!context) return gpu_no_memory(err);
  const intptr_t properties[] = {0x1084 /* CL_CONTEXT_PLATFORM */, (intptr_t)device->platform, 0};
  cl_int code;
  context->api = api;
  context->device = *device;
  context->handle = api->CreateContext(properties, 1, &device->id, NULL, NULL, &code);
  if (!context->handle) {
    free(context);
    return ocl_fail(err, code, "clCreateContext", device->name);
  }
  pthread_mutex_init(&context->lock, NULL);
  *out = context;
  return IEC_OK;
}

void gpu_context_release(gpu_context *context) {
  if (!context) return;
  for (int32_t i = 0; i < context->program_count; i++) {
    if (!ocl_forked()) context->api->ReleaseProgram(context->programs[i].handle);
    free(context->programs[i].key);
  }
  free(context->programs);
  if (!ocl_forked()) context->api->ReleaseContext(context->handle);
  pthread_mutex_destroy(&context->lock);
  free(context);
}

const ocl_api *gpu_api(const gpu_context *context) { return context->api; }
const gpu_device *gpu_context_device(const gpu_context *context) { return &context->device; }
cl_context gpu_context_handle(const gpu_context *context) { return context->handle; }

/* ---- programs */

/* What a program is made of. */
typedef struct recipe {
  const char *name; /* a file of kernels/ without suffix, "custom" */
  const char *texts[2];
  const char *options, *folder; /* folder "": no cache */
  const gpu_custom_source *custom;
} recipe;

static const char *source_of(const char *file) {
  for (const gpu_source *s = gpu_sources; s->name; s++)
    if (strcmp(s->name, file) == 0) return s->text;
  return NULL;
}

static iec_status fail_build(gpu_context *context, cl_program handle, cl_int code, const recipe *r,
                             iec_error *err) {
  char log[800] = "";
  char *full = NULL;
  size_t size = 0;
  context->api->GetProgramBuildInfo(handle, context->device.id, CL_PROGRAM_BUILD_LOG, 0, NULL, &size);
  if (size && (full = calloc(1, size + 1)) != NULL) {
    context->api->GetProgramBuildInfo(handle, context->device.id, CL_PROGRAM_BUILD_LOG, size, full, NULL);
    snprintf(log, sizeof log, "%s", full);
    free(full);
  }
  if (r->custom)
    return gpu_fail(err, IEC_PARAMETER_MISMATCH, r->custom->layer,
                    "%s: custom layer %s: its sources cannot be built with the options '%s': %s: %s",
                    r->custom->file, r->custom->layer_type, r->options, ocl_error_name(code), log);
  return gpu_fail(err, IEC_GENERAL_ERROR, context->device.name, "kernels %s.cl cannot be built: %s: %s",
                  r->name, ocl_error_name(code), log);
}

static cl_program from_binary(gpu_context *context, const char *options, const void *binary, size_t size) {
  cl_int code, loaded;
  const unsigned char *data = binary;
  cl_program handle = context->api->CreateProgramWithBinary(context->handle, 1, &context->device.id, &size,
                                                            &data, &loaded, &code);
  if (!handle) return NULL;
  if (code == CL_SUCCESS && loaded == CL_SUCCESS &&
      context->api->BuildProgram(handle, 1, &context->device.id, options, NULL, NULL) == CL_SUCCESS)
    return handle;
  context->api->ReleaseProgram(handle);
  return NULL;
}

static iec_status from_source(gpu_context *context, const recipe *r, cl_program *out, iec_error *err) {
  const char *texts[] = {r->texts[0], r->texts[1]};
  cl_int code;
  cl_program handle = context->api->CreateProgramWithSource(context->handle, 2, texts, NULL, &code);
  if (!handle) return ocl_fail(err, code, "clCreateProgramWithSource", r->name);
  code = context->api->BuildProgram(handle, 1, &context->device.id, r->options, NULL, NULL);
  if (code != CL_SUCCESS) {
    iec_status status = fail_build(context, handle, code, r, err);
    context->api->ReleaseProgram(handle);
    return status;
  }
  *out = handle;
  return IEC_OK;
}

static void save(gpu_context *context, cl_program handle, const char *folder, const char *key) {
  size_t size = 0;
  if (context->api->GetProgramInfo(handle, CL_PROGRAM_BINARY_SIZES, sizeof size, &size, NULL) != CL_SUCCESS ||
      !size)
    return;
  unsigned char *data = malloc(size);
  if (data &&
      context->api->GetProgramInfo(handle, CL_PROGRAM_BINARIES, sizeof data, &data, NULL) == CL_SUCCESS)
    gpu_cache_write(folder, key, data, size);
  free(data);
}

/* All that a binary depends on. */
static void cache_key(const gpu_context *context, const recipe *r, char out[1024]) {
  const gpu_device *d = &context->device;
  uint64_t hash = gpu_hash(0, r->options, strlen(r->options));
  for (int i = 0; i < 2; i++) hash = gpu_hash(hash, r->texts[i], strlen(r->texts[i]));
  snprintf(out, 1024, "%s\n%s\n%s\n%s\n%016llx\n%s %s", d->platform_name, d->name, d->version, d->driver,
           (unsigned long long)hash, r->name, r->options);
}

static iec_status build(gpu_context *context, const recipe *r, cl_program *out, iec_error *err) {
  char key[1024];
  size_t size;
  cache_key(context, r, key);
  void *binary = *r->folder ? gpu_cache_read(r->folder, key, &size) : NULL;
  if (binary) *out = from_binary(context, r->options, binary, size);
  free(binary);
  if (*out) return IEC_OK;
  GPU_TRY(from_source(context, r, out, err));
  if (*r->folder) save(context, *out, r->folder, key);
  return IEC_OK;
}

static program *find(gpu_context *context, const char *key) {
  for (int32_t i = 0; i < context->program_count; i++)
    if (strcmp(context->programs[i].key, key) == 0) return &context->programs[i];
  return NULL;
}

/* Name and options, and the text of the user's programs. */
static char *program_key(const recipe *r) {
  const char *text = r->custom ? r->custom->text : "";
  const size_t size = strlen(r->name) + strlen(r->options) + strlen(text) + 3;
  char *key = malloc(size);
  if (key) snprintf(key, size, "%s %s\n%s", r->name, r->options, text);
  return key;
}

static iec_status get(gpu_context *context, const recipe *r, cl_program *out, iec_error *err) {
  char *name = program_key(r);
  if (!name) return gpu_no_memory(err);
  program *known = find(context, name);
  if (known) { /* built before a cache was asked for: it is written now */
    char key[1024];
    free(name);
    cache_key(context, r, key);
    if (*r->folder && !gpu_cache_has(r->folder, key)) save(context, known->handle, r->folder, key);
    *out = known->handle;
    return IEC_OK;
  }
  iec_status status = gpu_grow(&context->programs, sizeof *context->programs, context->program_count,
                               &context->program_capacity)
                          ? build(context, r, out, err)
                          : gpu_no_memory(err);
  if (status)
    free(name);
  else
    context->programs[context->program_count++] = (program){name, *out};
  return status;
}

static iec_status get_locked(gpu_context *context, const recipe *r, cl_program *out, iec_error *err) {
  *out = NULL;
  pthread_mutex_lock(&context->lock);
  iec_status status = get(context, r, out, err);
  pthread_mutex_unlock(&context->lock);
  return status;
}

iec_status gpu_program(gpu_context *context, const char *file, const char *options, const char *cache_dir,
                       cl_program *out, iec_error *err) {
  const recipe r = {
      .name = file, .texts = {source_of("common"), source_of(file)}, .options = options, .folder = cache_dir};
  if (!r.texts[1]) return gpu_fail(err, IEC_UNEXPECTED, file, "there are no such kernels");
  return get_locked(context, &r, out, err);
}

iec_status gpu_program_custom(gpu_context *context, const gpu_custom_source *source, const char *options,
                              const char *cache_dir, cl_program *out, iec_error *err) {
  const recipe r = {.name = "custom",
                    .texts = {source->text, "\n"},
                    .options = options,
                    .folder = cache_dir,
                    .custom = source};
  return get_locked(context, &r, out, err);
}
