/* SPDX-License-Identifier: Apache-2.0 */
/* Requests: bound tensors, and inferences on the caller's thread or on a worker. */
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "../core/core.h"

enum { NEVER, QUEUED, RUNNING, DONE };

struct iec_infer_request {
  iec_job job; /* first: the pool hands it back */
  atomic_int refs;
  iec_gate state;         /* NEVER to DONE */
  atomic_uint generation; /* fork generation in which it was queued or run */
  atomic_int cancelled;
  atomic_int code;       /* outcome of the last inference */
  pthread_mutex_t mutex; /* guards `failure` */
  iec_error failure;
  iec_done_fn done;
  void *done_arg;
  iec_executable *executable;
  iec_request *request;
  size_t input_count, output_count;
  iec_tensor *tensors; /* inputs, then outputs; NULL: not bound */
  const iec_tensor **inputs;
  iec_tensor **outputs;
};

static void unref(iec_infer_request *r) {
  if (atomic_fetch_sub(&r->refs, 1) != 1) return;
  r->executable->device->api.request_release(r->request);
  iec_executable_release(r->executable);
  pthread_mutex_destroy(&r->mutex);
  free(r->tensors);
  free(r->inputs);
  free(r->outputs);
  free(r);
}

/* The state, where an inference that the parent of a fork was running counts as never started. */
static unsigned state_of(iec_infer_request *r) {
  unsigned state = atomic_load(&r->state.word);
  if ((state == QUEUED || state == RUNNING) && atomic_load(&r->generation) != iec_fork_generation()) {
    if (atomic_compare_exchange_strong(&r->state.word, &state, NEVER)) state = NEVER;
  }
  return state;
}

static iec_status busy(iec_error *err) {
  return iec_fail(err, IEC_REQUEST_BUSY, "request", "the inference is still running");
}

/* From rest to `state`; from then on the request is the caller's. */
static iec_status claim(iec_infer_request *r, unsigned state, iec_error *err) {
  unsigned old = state_of(r);
  uint32_t generation = iec_fork_generation();
  for (;;) {
    if (old == QUEUED || old == RUNNING) return busy(err);
    if (atomic_compare_exchange_strong(&r->state.word, &old, state)) break;
  }
  atomic_store(&r->generation, generation);
  return IEC_OK;
}

static void finish(iec_infer_request *r, const iec_error *result) {
  if (result->code != IEC_OK) {
    pthread_mutex_lock(&r->mutex);
    r->failure = *result;
    pthread_mutex_unlock(&r->mutex);
  }
  atomic_store(&r->code, result->code);
  iec_gate_set(&r->state, DONE);
}

/* Counts the inferences inside the driver, so that the child of a fork knows whether the driver's locks can
 * be trusted. */
static iec_status enter(iec_executable *executable, iec_error *err) {
  unsigned current = iec_fork_generation(), seen = atomic_load(&executable->generation);
  if (seen != current && seen != 0 && atomic_compare_exchange_strong(&executable->generation, &seen, 0)) {
    if (atomic_exchange(&executable->active, 0)) atomic_store(&executable->broken, 1);
    atomic_store(&executable->generation, current);
  }
  while (atomic_load(&executable->generation) != current) sched_yield();
  if (atomic_load(&executable->broken))
    return iec_fail(err, IEC_GENERAL_ERROR, "infer",
                    "the process forked while this network was inferring; load it anew in the child");
  atomic_fetch_add(&executable->active, 1);
  return IEC_OK;
}

static iec_status run(iec_infer_request *r, iec_error *err) {
  iec_executable *executable = r->executable;
  IEC_TRY(enter(executable, err));
  iec_status status =
      executable->device->api.infer(r->request, r->inputs, r->input_count, r->outputs, r->output_count, err);
  atomic_fetch_sub(&executable->active, 1);
  return status;
}

/* A driver may fail without words. */
static void settle(iec_error *result, iec_status status) {
  if (status != IEC_OK && result->code == IEC_OK)
    iec_fail(result, status, "infer", "the driver failed with status %d", (int)status);
  if (status == IEC_OK) result->code = IEC_OK;
}

/* The job: also releases the reference that iec_request_start took. */
static void complete(iec_infer_request *r, const iec_error *result) {
  iec_done_fn done = r->done;
  void *arg = r->done_arg;
  finish(r, result);
  if (done) done(arg, result);
  unref(r);
}

static void run_job(iec_job *job) {
  iec_infer_request *r = (iec_infer_request *)job;
  iec_error result = {.struct_size = sizeof result};
  if (atomic_load(&r->cancelled)) {
    iec_fail(&result, IEC_INFER_CANCELLED, "infer", "the inference was cancelled");
  } else {
    atomic_store(&r->state.word, RUNNING);
    settle(&result, run(r, &result));
  }
  complete(r, &result);
}

static void driver_done(void *arg, iec_status status) {
  iec_infer_request *r = arg;
  iec_error result = {.struct_size = sizeof result};
  atomic_fetch_sub(&r->executable->active, 1);
  settle(&result, status);
  complete(r, &result);
}

static iec_status check(const iec_infer_request *r, iec_error *err) {
  return r ? IEC_OK : iec_fail(err, IEC_PARAMETER_MISMATCH, "request", "the handle is NULL");
}

iec_status iec_request_create(iec_executable *executable, iec_infer_request **out, iec_error *err) {
  if (!out) return iec_fail(err, IEC_PARAMETER_MISMATCH, "request_create", "out is NULL");
  *out = NULL;
  if (!executable) return iec_fail(err, IEC_PARAMETER_MISMATCH, "request_create", "the handle is NULL");
  iec_infer_request *r = calloc(1, sizeof *r);
  if (!r) return iec_fail(err, IEC_OUT_OF_MEMORY, "request_create", "out of memory");
  iec_status status = executable->device->api.request_create(executable->exec, &r->request, err);
  if (status != IEC_OK) {
    free(r);
    return status;
  }
  pthread_mutex_init(&r->mutex, NULL);
  r->job.run = run_job;
  atomic_store(&r->refs, 1);
  atomic_fetch_add(&executable->refs, 1);
  r->executable = executable;
  *out = r;
  return IEC_OK;
}

void iec_request_release(iec_infer_request *r) {
  if (!r) return;
  atomic_store(&r->cancelled, 1);
  for (unsigned state; (state = state_of(r)) == QUEUED || state == RUNNING;) {
    if (state == RUNNING) r->executable->device->api.cancel(r->request, NULL);
    iec_gate_wait(&r->state, state, 0, -1);
  }
  unref(r);
}

static iec_status check_tensor(const iec_tensor *given, const iec_tensor *type, const char *what,
                               size_t index, iec_error *err) {
  if (given->struct_size < sizeof *given)
    return iec_fail(err, IEC_ABI_MISMATCH, "bind", "%s %zu: tensor of %u bytes, expected %zu", what, index,
                    given->struct_size, sizeof *given);
  if (type) {
    if (given->dtype != type->dtype)
      return iec_fail(err, IEC_PARAMETER_MISMATCH, "bind", "%s %zu: element type %d, expected %d", what,
                      index, given->dtype, type->dtype);
    if (given->ndim != type->ndim)
      return iec_fail(err, IEC_PARAMETER_MISMATCH, "bind", "%s %zu: rank %d, expected %d", what, index,
                      (int)given->ndim, (int)type->ndim);
    for (int32_t i = 0; i < type->ndim; i++)
      if (given->shape[i] != type->shape[i])
        return iec_fail(err, IEC_PARAMETER_MISMATCH, "bind", "%s %zu: dimension %d is %lld, expected %lld",
                        what, index, (int)i, (long long)given->shape[i], (long long)type->shape[i]);
    if (given->size_bytes != type->size_bytes)
      return iec_fail(err, IEC_PARAMETER_MISMATCH, "bind", "%s %zu: %zu bytes, expected %zu", what, index,
                      given->size_bytes, type->size_bytes);
  }
  if (!given->data && given->size_bytes)
    return iec_fail(err, IEC_NOT_ALLOCATED, "bind", "%s %zu: data is NULL", what, index);
  size_t element = iec_dtype_size(given->dtype);
  if (element && (uintptr_t)given->data % element)
    return iec_fail(err, IEC_PARAMETER_MISMATCH, "bind",
                    "%s %zu: data is not aligned to its %zu byte elements", what, index, element);
  return IEC_OK;
}

static iec_status bind(iec_infer_request *r, const iec_tensor *inputs, size_t input_count,
                       const iec_tensor *outputs, size_t output_count, iec_error *err) {
  const iec_executable *executable = r->executable;
  if ((input_count && !inputs) || (output_count && !outputs))
    return iec_fail(err, IEC_PARAMETER_MISMATCH, "bind", "inputs or outputs is NULL");
  if (executable->checked &&
      (input_count != executable->input_count || output_count != executable->output_count))
    return iec_fail(err, IEC_PARAMETER_MISMATCH, "bind",
                    "%zu inputs and %zu outputs, the network has %zu and %zu", input_count, output_count,
                    executable->input_count, executable->output_count);
  const iec_tensor *type = executable->checked ? executable->types : NULL;
  for (size_t i = 0; i < input_count; i++)
    IEC_TRY(check_tensor(&inputs[i], type ? type++ : NULL, "input", i, err));
  for (size_t i = 0; i < output_count; i++)
    IEC_TRY(check_tensor(&outputs[i], type ? type++ : NULL, "output", i, err));
  if (!r->tensors || r->input_count != input_count || r->output_count != output_count) {
    if (input_count + output_count > SIZE_MAX / sizeof *r->tensors - 1 ||
        input_count + output_count < input_count)
      return iec_fail(err, IEC_OUT_OF_MEMORY, "bind", "out of memory");
    iec_tensor *tensors = calloc(input_count + output_count + 1, sizeof *tensors);
    const iec_tensor **in = calloc(input_count + 1, sizeof *in);
    iec_tensor **out = calloc(output_count + 1, sizeof *out);
    if (!tensors || !in || !out) {
      free(tensors);
      free(in);
      free(out);
      return iec_fail(err, IEC_OUT_OF_MEMORY, "bind", "out of memory");
    }
    for (size_t i = 0; i < input_count; i++) in[i] = &tensors[i];
    for (size_t i = 0; i < output_count; i++) out[i] = &tensors[input_count + i];
    free(r->tensors);
    free(r->inputs);
    free(r->outputs);
    r->tensors = tensors;
    r->inputs = in;
    r->outputs = out;
    r->input_count = input_count;
    r->output_count = output_count;
  }
  if (input_count) memcpy(r->tensors, inputs, input_count * sizeof *inputs);
  if (output_count) memcpy(r->tensors + input_count, outputs, output_count * sizeof *outputs);
  return IEC_OK;
}

iec_status iec_request_bind(iec_infer_request *r, const iec_tensor *inputs, size_t input_count,
                            const iec_tensor *outputs, size_t output_count, iec_error *err) {
  IEC_TRY(check(r, err));
  unsigned before = state_of(r);
  IEC_TRY(claim(r, RUNNING, err));
  iec_status status = bind(r, inputs, input_count, outputs, output_count, err);
  iec_gate_set(&r->state, before);
  return status;
}

iec_status iec_request_infer(iec_infer_request *r, iec_error *err) {
  IEC_TRY(check(r, err));
  IEC_TRY(claim(r, RUNNING, err));
  iec_error result = {.struct_size = sizeof result};
  atomic_fetch_add(&r->refs, 1);
  if (r->tensors)
    settle(&result, run(r, &result));
  else
    iec_fail(&result, IEC_NOT_ALLOCATED, "infer", "no tensors are bound to the request");
  iec_status status = result.code;
  finish(r, &result);
  unref(r);
  if (status != IEC_OK && err && err->code == IEC_OK) *err = result;
  return status;
}

/* Hands the claimed request to the driver or to the pool. */
static iec_status launch(iec_infer_request *r, iec_error *err) {
  iec_executable *executable = r->executable;
  const iec_driver_api *api = &executable->device->api;
  if (!r->tensors) return iec_fail(err, IEC_NOT_ALLOCATED, "start", "no tensors are bound to the request");
  if (!api->start) return iec_pool_submit(executable->pool, &r->job, err);
  IEC_TRY(enter(executable, err));
  iec_status status =
      api->start(r->request, r->inputs, r->input_count, r->outputs, r->output_count, driver_done, r, err);
  if (status != IEC_OK) atomic_fetch_sub(&executable->active, 1);
  return status;
}

iec_status iec_request_start(iec_infer_request *r, iec_done_fn done, void *arg, iec_error *err) {
  IEC_TRY(check(r, err));
  IEC_TRY(claim(r, r->executable->device->api.start ? RUNNING : QUEUED, err));
  r->done = done;
  r->done_arg = arg;
  atomic_store(&r->cancelled, 0);
  atomic_fetch_add(&r->refs, 1); /* the running inference's, dropped by complete */
  iec_error failure = {.struct_size = sizeof failure};
  iec_status status = launch(r, &failure);
  if (status == IEC_OK) return IEC_OK;
  settle(&failure, status);
  finish(r, &failure);
  unref(r);
  if (err && err->code == IEC_OK) *err = failure;
  return status;
}

iec_status iec_request_wait(iec_infer_request *r, int64_t timeout_ms, iec_error *err) {
  IEC_TRY(check(r, err));
  int64_t now = iec_now_ns();
  int64_t deadline =
      timeout_ms < 0 || timeout_ms > (INT64_MAX - now) / 1000000 ? -1 : now + timeout_ms * 1000000;
  unsigned state = state_of(r);
  while ((state == QUEUED || state == RUNNING) && iec_gate_wait(&r->state, state, 0, deadline))
    state = state_of(r);
  if (state == NEVER) return iec_fail(err, IEC_INFER_NOT_STARTED, "wait", "the request has not been started");
  if (state != DONE) return iec_fail(err, IEC_RESULT_NOT_READY, "wait", "the inference is still running");
  iec_status code = atomic_load(&r->code);
  if (code != IEC_OK && err && err->code == IEC_OK) {
    pthread_mutex_lock(&r->mutex);
    *err = r->failure;
    pthread_mutex_unlock(&r->mutex);
  }
  return code;
}

iec_status iec_request_cancel(iec_infer_request *r, iec_error *err) {
  IEC_TRY(check(r, err));
  atomic_store(&r->cancelled, 1);
  if (state_of(r) != RUNNING) return IEC_OK;
  return r->executable->device->api.cancel(r->request, err);
}

iec_status iec_request_perf_counts(iec_infer_request *r, char *json, size_t *size, iec_error *err) {
  IEC_TRY(check(r, err));
  if (!size) return iec_fail(err, IEC_PARAMETER_MISMATCH, "perf_counts", "size is NULL");
  unsigned state = state_of(r);
  if (state == QUEUED || state == RUNNING) return busy(err);
  return r->executable->device->api.perf_counts(r->request, json, size, err);
}
