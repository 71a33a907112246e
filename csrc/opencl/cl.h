/* SPDX-License-Identifier: Apache-2.0 */
/* The part of the OpenCL 1.2 interface that the driver uses, declared here so that building needs no OpenCL.
 */
#ifndef IEC_OPENCL_CL_H
#define IEC_OPENCL_CL_H
#include <stddef.h>
#include <stdint.h>

#include "iec/base.h"

typedef int32_t cl_int;
typedef uint32_t cl_uint;
typedef uint32_t cl_bool;
typedef uint64_t cl_ulong;
typedef cl_ulong cl_bitfield;
typedef struct _cl_platform_id *cl_platform_id;
typedef struct _cl_device_id *cl_device_id;
typedef struct _cl_context *cl_context;
typedef struct _cl_command_queue *cl_command_queue;
typedef struct _cl_mem *cl_mem;
typedef struct _cl_program *cl_program;
typedef struct _cl_kernel *cl_kernel;
typedef struct _cl_event *cl_event;

enum {
  CL_SUCCESS = 0,
  CL_DEVICE_NOT_FOUND = -1,
  CL_BUILD_PROGRAM_FAILURE = -11,
  CL_PLATFORM_NOT_FOUND_KHR = -1001,
  CL_FALSE = 0,
  CL_TRUE = 1,
  CL_PLATFORM_NAME = 0x0902,
  CL_PLATFORM_VERSION = 0x0901,
  CL_DEVICE_TYPE = 0x1000,
  CL_DEVICE_MAX_COMPUTE_UNITS = 0x1002,
  CL_DEVICE_MAX_WORK_GROUP_SIZE = 0x1004,
  CL_DEVICE_MAX_CLOCK_FREQUENCY = 0x100C,
  CL_DEVICE_MAX_MEM_ALLOC_SIZE = 0x1010,
  CL_DEVICE_GLOBAL_MEM_SIZE = 0x101F,
  CL_DEVICE_LOCAL_MEM_SIZE = 0x1023,
  CL_DEVICE_AVAILABLE = 0x1027,
  CL_DEVICE_COMPILER_AVAILABLE = 0x1028,
  CL_DEVICE_NAME = 0x102B,
  CL_DEVICE_VENDOR = 0x102C,
  CL_DRIVER_VERSION = 0x102D,
  CL_DEVICE_VERSION = 0x102F,
  CL_DEVICE_EXTENSIONS = 0x1030,
  CL_DEVICE_HOST_UNIFIED_MEMORY = 0x1035,
  CL_QUEUE_PROFILING_ENABLE = 1 << 1,
  CL_MEM_READ_WRITE = 1 << 0,
  CL_MEM_READ_ONLY = 1 << 2,
  CL_MEM_COPY_HOST_PTR = 1 << 5,
  CL_PROGRAM_BINARY_SIZES = 0x1165,
  CL_PROGRAM_BINARIES = 0x1166,
  CL_PROGRAM_BUILD_LOG = 0x1183,
  CL_KERNEL_NUM_ARGS = 0x1191,
  CL_KERNEL_WORK_GROUP_SIZE = 0x11B0,
  CL_KERNEL_LOCAL_MEM_SIZE = 0x11B2,
  CL_PROFILING_COMMAND_START = 0x1282,
  CL_PROFILING_COMMAND_END = 0x1283
};
#define CL_DEVICE_TYPE_CPU (1u << 1)
#define CL_DEVICE_TYPE_GPU (1u << 2)
#define CL_DEVICE_TYPE_ALL 0xFFFFFFFFu

/* Functions as name, result, parameters: the table below and its loading are made from this one list. */
#define OCL_FUNCTIONS(X)                                                                                     \
  X(GetPlatformIDs, cl_int, (cl_uint, cl_platform_id *, cl_uint *))                                          \
  X(GetPlatformInfo, cl_int, (cl_platform_id, cl_uint, size_t, void *, size_t *))                            \
  X(GetDeviceIDs, cl_int, (cl_platform_id, cl_bitfield, cl_uint, cl_device_id *, cl_uint *))                 \
  X(GetDeviceInfo, cl_int, (cl_device_id, cl_uint, size_t, void *, size_t *))                                \
  X(CreateContext, cl_context,                                                                               \
    (const intptr_t *, cl_uint, const cl_device_id *, void (*)(const char *, const void *, size_t, void *),  \
     void *, cl_int *))                                                                                      \
  X(ReleaseContext, cl_int, (cl_context))                                                                    \
  X(CreateCommandQueue, cl_command_queue, (cl_context, cl_device_id, cl_bitfield, cl_int *))                 \
  X(ReleaseCommandQueue, cl_int, (cl_command_queue))                                                         \
  X(CreateBuffer, cl_mem, (cl_context, cl_bitfield, size_t, void *, cl_int *))                               \
  X(ReleaseMemObject, cl_int, (cl_mem))                                                                      \
  X(CreateProgramWithSource, cl_program, (cl_context, cl_uint, const char **, const size_t *, cl_int *))     \
  X(CreateProgramWithBinary, cl_program,                                                                     \
    (cl_context, cl_uint, const cl_device_id *, const size_t *, const unsigned char **, cl_int *, cl_int *)) \
  X(BuildProgram, cl_int,                                                                                    \
    (cl_program, cl_uint, const cl_device_id *, const char *, void (*)(cl_program, void *), void *))         \
  X(GetProgramInfo, cl_int, (cl_program, cl_uint, size_t, void *, size_t *))                                 \
  X(GetProgramBuildInfo, cl_int, (cl_program, cl_device_id, cl_uint, size_t, void *, size_t *))              \
  X(ReleaseProgram, cl_int, (cl_program))                                                                    \
  X(CreateKernel, cl_kernel, (cl_program, const char *, cl_int *))                                           \
  X(SetKernelArg, cl_int, (cl_kernel, cl_uint, size_t, const void *))                                        \
  X(GetKernelInfo, cl_int, (cl_kernel, cl_uint, size_t, void *, size_t *))                                   \
  X(GetKernelWorkGroupInfo, cl_int, (cl_kernel, cl_device_id, cl_uint, size_t, void *, size_t *))            \
  X(ReleaseKernel, cl_int, (cl_kernel))                                                                      \
  X(EnqueueNDRangeKernel, cl_int,                                                                            \
    (cl_command_queue, cl_kernel, cl_uint, const size_t *, const size_t *, const size_t *, cl_uint,          \
     const cl_event *, cl_event *))                                                                          \
  X(EnqueueReadBuffer, cl_int,                                                                               \
    (cl_command_queue, cl_mem, cl_bool, size_t, size_t, void *, cl_uint, const cl_event *, cl_event *))      \
  X(EnqueueWriteBuffer, cl_int,                                                                              \
    (cl_command_queue, cl_mem, cl_bool, size_t, size_t, const void *, cl_uint, const cl_event *,             \
     cl_event *))                                                                                            \
  X(EnqueueCopyBuffer, cl_int,                                                                               \
    (cl_command_queue, cl_mem, cl_mem, size_t, size_t, size_t, cl_uint, const cl_event *, cl_event *))       \
  X(Flush, cl_int, (cl_command_queue))                                                                       \
  X(Finish, cl_int, (cl_command_queue))                                                                      \
  X(GetEventProfilingInfo, cl_int, (cl_event, cl_uint, size_t, void *, size_t *))                            \
  X(ReleaseEvent, cl_int, (cl_event))

typedef struct ocl_api {
#define X(name, result, parameters) result(*name) parameters;
  OCL_FUNCTIONS(X)
#undef X
} ocl_api;

/* The functions of libOpenCL, opened at the first call and kept for ever. NULL with the loader's text when it
 * is not there, and in a process forked after the first call: OpenCL's threads do not survive a fork.
 * Threads: any. */
const ocl_api *ocl_load(iec_error *err);
/* 1 in such a forked process: nothing of OpenCL may be touched, not even to release it. */
int ocl_forked(void);

/* "CL_OUT_OF_RESOURCES" and so on. */
const char *ocl_error_name(cl_int code);
/* Records an OpenCL failure of `call` ("clBuildProgram") at `where` (a layer's name, or NULL). */
iec_status ocl_fail(iec_error *err, cl_int code, const char *call, const char *where);

#endif
