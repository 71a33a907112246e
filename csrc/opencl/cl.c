/* SPDX-License-Identifier: Apache-2.0 */
/* Opens libOpenCL and names its errors. */
#include "opencl/cl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "opencl/common.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static ocl_api api;
static int loaded;
static atomic_int owner; /* the process that opened the library */

int ocl_forked(void) {
  int pid = atomic_load(&owner);
  return pid && pid != (int)getpid();
}

static iec_status load(iec_error *err) {
  /* For tests and unusual installations: another library than the system's loader. */
  const char *given = getenv("IE_CTYPES_OPENCL_LIBRARY"), *why = NULL;
  const char *names[] = {given && *given ? given : "libOpenCL.so.1", given && *given ? NULL : "libOpenCL.so"};
  void *handle = NULL;
  for (int i = 0; i < 2 && names[i] && !handle; i++) {
    handle = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    const char *text = handle ? NULL : dlerror();
    if (!why && text) why = text;
  }
  if (!handle)
    return gpu_fail(err, IEC_NOT_FOUND, NULL,
                    "OpenCL is not installed: %s (needed are an OpenCL loader, as of the package "
                    "ocl-icd-libopencl1, and a driver of the GPU)",
                    why ? why : names[0]);
#define X(name, result, parameters)                                                                       \
  {                                                                                                       \
    void *symbol = dlsym(handle, "cl" #name);                                                             \
    if (!symbol) {                                                                                        \
      dlclose(handle);                                                                                    \
      return gpu_fail(err, IEC_NOT_FOUND, NULL, "%s has no cl" #name ": OpenCL 1.2 is needed", names[0]); \
    }                                                                                                     \
    memcpy(&api.name, &symbol, sizeof symbol);                                                            \
  }
  OCL_FUNCTIONS(X)
#undef X
  loaded = 1;
  atomic_store(&owner, (int)getpid());
  return IEC_OK;
}

const ocl_api *ocl_load(iec_error *err) {
  if (ocl_forked()) {
    gpu_fail(
        err, IEC_GENERAL_ERROR, NULL,
        "this process was forked from one that uses OpenCL, which does not survive that: use the GPU before "
        "no fork, or in a process started anew (multiprocessing's method spawn)");
    return NULL;
  }
  pthread_mutex_lock(&lock);
  iec_status status = loaded ? IEC_OK : load(err);
  pthread_mutex_unlock(&lock);
  return status ? NULL : &api;
}

static const struct {
  cl_int code;
  const char *name;
} names[] = {
    {-1, "CL_DEVICE_NOT_FOUND"},
    {-2, "CL_DEVICE_NOT_AVAILABLE"},
    {-3, "CL_COMPILER_NOT_AVAILABLE"},
    {-4, "CL_MEM_OBJECT_ALLOCATION_FAILURE"},
    {-5, "CL_OUT_OF_RESOURCES"},
    {-6, "CL_OUT_OF_HOST_MEMORY"},
    {-7, "CL_PROFILING_INFO_NOT_AVAILABLE"},
    {-8, "CL_MEM_COPY_OVERLAP"},
    {-11, "CL_BUILD_PROGRAM_FAILURE"},
    {-12, "CL_MAP_FAILURE"},
    {-13, "CL_MISALIGNED_SUB_BUFFER_OFFSET"},
    {-14, "CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST"},
    {-15, "CL_COMPILE_PROGRAM_FAILURE"},
    {-16, "CL_LINKER_NOT_AVAILABLE"},
    {-17, "CL_LINK_PROGRAM_FAILURE"},
    {-30, "CL_INVALID_VALUE"},
    {-31, "CL_INVALID_DEVICE_TYPE"},
    {-32, "CL_INVALID_PLATFORM"},
    {-33, "CL_INVALID_DEVICE"},
    {-34, "CL_INVALID_CONTEXT"},
    {-35, "CL_INVALID_QUEUE_PROPERTIES"},
    {-36, "CL_INVALID_COMMAND_QUEUE"},
    {-37, "CL_INVALID_HOST_PTR"},
    {-38, "CL_INVALID_MEM_OBJECT"},
    {-42, "CL_INVALID_BINARY"},
    {-43, "CL_INVALID_BUILD_OPTIONS"},
    {-44, "CL_INVALID_PROGRAM"},
    {-45, "CL_INVALID_PROGRAM_EXECUTABLE"},
    {-46, "CL_INVALID_KERNEL_NAME"},
    {-47, "CL_INVALID_KERNEL_DEFINITION"},
    {-48, "CL_INVALID_KERNEL"},
    {-49, "CL_INVALID_ARG_INDEX"},
    {-50, "CL_INVALID_ARG_VALUE"},
    {-51, "CL_INVALID_ARG_SIZE"},
    {-52, "CL_INVALID_KERNEL_ARGS"},
    {-53, "CL_INVALID_WORK_DIMENSION"},
    {-54, "CL_INVALID_WORK_GROUP_SIZE"},
    {-55, "CL_INVALID_WORK_ITEM_SIZE"},
    {-56, "CL_INVALID_GLOBAL_OFFSET"},
    {-57, "CL_INVALID_EVENT_WAIT_LIST"},
    {-58, "CL_INVALID_EVENT"},
    {-59, "CL_INVALID_OPERATION"},
    {-61, "CL_INVALID_BUFFER_SIZE"},
    {-63, "CL_INVALID_GLOBAL_WORK_SIZE"},
    {-1001, "CL_PLATFORM_NOT_FOUND_KHR"},
};

const char *ocl_error_name(cl_int code) {
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    if (names[i].code == code) return names[i].name;
  return "an unknown OpenCL error";
}

iec_status ocl_fail(iec_error *err, cl_int code, const char *call, const char *where) {
  iec_status status = code == -4 || code == -6 ? IEC_OUT_OF_MEMORY : IEC_GENERAL_ERROR;
  return gpu_fail(err, status, where, "%s: %s (%d)", call, ocl_error_name(code), code);
}
