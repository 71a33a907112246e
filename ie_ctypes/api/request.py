# SPDX-License-Identifier: Apache-2.0
"""InferRequest: buffers, filling them, synchronous and asynchronous runs."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from ie_ctypes.api.errors import UnknownInputError
from ie_ctypes.api.preprocess import PreProcessInfo
from ie_ctypes.api.slots import InputSlot, OutputSlot
from ie_ctypes.errors import IEError, InferCancelledError, NotAllocatedError, NotFoundError, ParameterMismatchError, RequestBusyError
from ie_ctypes.model.dtypes import from_numpy
from ie_ctypes.model.layouts import default_layout

if TYPE_CHECKING:
    from ie_ctypes.api.blob import Blob
    from ie_ctypes.api.codes import StatusCode
    from ie_ctypes.api.loaded import Loaded
    from ie_ctypes.devices.base import PerfCount, Request
    from ie_ctypes.devices.stateful import StatefulRequest, Variable

Callback = Callable[[int, Any], object]

#: Numbers of StatusCode: the enumeration itself is made when somebody asks for one.
_OK, _INFER_NOT_STARTED = 0, -11


class _Run:
    """One asynchronous inference."""

    __slots__ = ("callback", "cancelled", "data", "done", "ended", "error", "request", "thread")

    def __init__(self, request: InferRequest):
        self.request = request
        self.callback = request._callback
        self.data = request._callback_data
        self.error: IEError | None = None
        self.cancelled = False
        self.ended = False  # the result is there
        self.done = False  # and the callback has returned
        self.thread = 0  # that runs the callback

    def run(self) -> None:
        try:
            if self.cancelled:
                raise InferCancelledError(f"infer request {self.request._id} was cancelled")
            self.request._execute()
        except IEError as e:
            self.error = e
        except BaseException as e:  # a device written in Python must not take the worker thread with it
            self.error = IEError(f"infer request {self.request._id}: {type(e).__name__}: {e}")
            self.error.__cause__ = e

    def finish(self) -> None:
        self.thread = threading.get_ident()
        self.ended = True
        try:
            if self.callback is not None:
                self.callback(_status_of(self.error), self.data)
        except BaseException as e:  # a callback must never take the worker thread with it
            report = SimpleNamespace(exc_type=type(e), exc_value=e, exc_traceback=e.__traceback__, object=self.callback)
            report.err_msg = f"Exception ignored in completion callback of infer request {self.request._id}"
            sys.unraisablehook(report)
        finally:
            self._end()

    def abandon(self, error: IEError) -> None:
        if not self.done:
            self.error = error
            self._end()

    def _end(self) -> None:
        request, self.callback, self.data = self.request, None, None
        loaded = request._loaded
        with loaded.changed:
            if request._run is self or request._run is None:  # else the callback started it again
                loaded.idle[request._id] = None
            self.ended = self.done = True
            loaded.changed.notify_all()
        del self.request  # which refers to its last run: without the cycle it goes with its last user

    def blocks(self) -> bool:
        """Is the request in use, seen from this thread? Inside its own callback it is not."""
        return not self.done and not (self.ended and self.thread == threading.get_ident())


class VariableState:
    """A value that a request keeps from one inference to the next."""

    def __init__(self, request: InferRequest, variable: Variable):
        self._request = request
        self._variable = variable

    @property
    def name(self) -> str:
        return self._variable.name

    @property
    def state(self) -> Blob:
        """A copy of the value, which cannot be written; assign a Blob or an array of as many elements to replace it."""
        from ie_ctypes.api.blob import Blob, TensorDesc

        with self._request._lock:
            self._request._check_idle()
            value = self._variable.value.copy()
        desc = TensorDesc(from_numpy(value.dtype).name, value.shape, default_layout(value.ndim))
        value.flags.writeable = False
        return Blob._over(desc, value)

    @state.setter
    def state(self, value: Blob | np.ndarray) -> None:
        from ie_ctypes.api.blob import Blob

        array = value.buffer if isinstance(value, Blob) else np.asarray(value)
        with self._request._lock:
            self._request._check_idle()
            if array.size != self._variable.value.size:
                raise ParameterMismatchError(f"state {self.name} has shape {list(self._variable.value.shape)}, got {list(array.shape)}")
            self._variable.set(array)

    def reset(self) -> None:
        """Back to the initial value."""
        with self._request._lock:
            self._request._check_idle()
            self._variable.reset()


class InferRequest:
    """One slot of inference with its own buffers. Made by ``load_network``; every method may be called from any thread.

    Synchronous calls from several threads wait for each other; every call but ``wait``, ``latency`` and ``get_perf_counts`` on a request
    that was started and is not done raises :class:`~ie_ctypes.errors.RequestBusyError`.
    """

    def __init__(self, loaded: Loaded, index: int):
        self._loaded = loaded
        self._id = index
        self._lock = threading.RLock()
        self._run: _Run | None = None  # the last asynchronous run; None when a synchronous one came later
        self._status = _INFER_NOT_STARTED
        self._failure: IEError | None = None
        self._callback: Callback | None = None
        self._callback_data: Any = None
        self._latency = 0.0
        self._batch = loaded.batch
        self._inputs = {name: InputSlot(state, type, loaded.preprocess[name]) for name, state, type in loaded.input_types()}
        self._outputs = {name: OutputSlot(state, type) for name, state, type in loaded.output_types()}
        self._requests: dict[int, Request] = {}  # of the device, for each batch in use
        self._rebind()

    # -- buffers ---------------------------------------------------------------------------------------------------------
    @property
    def inputs(self) -> dict[str, np.ndarray]:
        """Writable views of the input buffers, shape as ``IENetwork.inputs`` reports it."""
        with self._lock:
            self._check_idle()
            return {name: slot.view for name, slot in self._inputs.items()}

    @property
    def outputs(self) -> dict[str, np.ndarray]:
        """Copies of the outputs of the last inference."""
        with self._lock:
            self._check_idle()
            return {name: slot.view.copy() for name, slot in self._outputs.items()}

    @property
    def input_blobs(self) -> dict[str, Blob]:
        """Blobs over the live input buffers; one that was given to ``set_blob`` is that very object."""
        with self._lock:
            self._check_idle()
            return {name: slot.as_blob() for name, slot in self._inputs.items()}

    @property
    def output_blobs(self) -> dict[str, Blob]:
        """Copies of the outputs as blobs. For outputs without a copy give your own blob to ``set_blob``."""
        with self._lock:
            self._check_idle()
            return {name: slot.as_blob() for name, slot in self._outputs.items()}

    @property
    def preprocess_info(self) -> dict[str, PreProcessInfo]:
        """Constant pre-processing of every input."""
        with self._lock:
            self._check_idle()
            return {name: slot.preprocess._constant() for name, slot in self._inputs.items()}

    @property
    def _inputs_list(self) -> list[str]:
        return list(self._inputs)

    @property
    def _outputs_list(self) -> list[str]:
        return list(self._outputs)

    def set_blob(self, blob_name: str, blob: Blob, preprocess_info: PreProcessInfo | None = None) -> None:
        """Use ``blob`` as the memory of an input or output; kept alive by the request.

        Its precision must be that of the network's tensor and its dims too, unless the input has a resize algorithm or a colour format.
        ``preprocess_info`` replaces resizing and colour format of this request's input; means belong to the network.
        Raises :class:`~ie_ctypes.errors.NotFoundError`, :class:`~ie_ctypes.errors.NotAllocatedError`,
        :class:`~ie_ctypes.errors.ParameterMismatchError`.
        """
        from ie_ctypes.api.blob import Blob

        if not blob_name:
            raise NotFoundError("[NOT_FOUND] Failed to set blob with empty name")
        if blob is None or (isinstance(blob, Blob) and blob._buffer is None):
            raise NotAllocatedError(f"[NOT_ALLOCATED] Failed to set empty blob with name: '{blob_name}'")
        if not isinstance(blob, Blob):
            raise TypeError(f"Argument 'blob' has incorrect type (expected Blob, got {type(blob).__name__})")
        with self._lock:
            self._check_idle()
            slot: InputSlot | OutputSlot | None = self._inputs.get(blob_name) or self._outputs.get(blob_name)
            if slot is None:
                raise NotFoundError(f"[NOT_FOUND] Failed to find input or output with name: '{blob_name}'")
            if isinstance(slot, InputSlot):
                slot.set_blob(blob, preprocess_info)
            elif preprocess_info is not None:
                raise ParameterMismatchError(f"[PARAMETER_MISMATCH] '{blob_name}' is an output, it takes no preprocess_info")
            else:
                slot.set_blob(blob)
            self._rebind()

    def _get_blob_buffer(self, blob_name: bytes | str) -> Any:
        """Private name of the original that test programs use: an object with ``to_numpy()``."""
        name = blob_name.decode() if isinstance(blob_name, bytes) else blob_name
        slot = self._inputs.get(name) or self._outputs.get(name)
        if slot is None:
            raise NotFoundError(f"Cannot find blob with name: {name}")
        return SimpleNamespace(to_numpy=lambda: slot.view)

    # -- running ---------------------------------------------------------------------------------------------------------
    def infer(self, inputs: Mapping[str, Any] | None = None) -> None:
        """Fill the inputs and run; returns when the outputs are there. See :meth:`async_infer` for what ``inputs`` may be."""
        with self._lock:
            self._check_idle()
            if inputs is not None:
                self._fill(inputs)
            self._infer_sync()

    def async_infer(self, inputs: Mapping[str, Any] | None = None) -> None:
        """Fill the inputs, start the inference and return at once.

        ``inputs`` maps names to arrays or array-likes, copied with numpy's broadcasting and casting rules; inputs left out keep their
        content. Raises :class:`~ie_ctypes.api.errors.UnknownInputError` (an ``AssertionError``) for an unknown name and
        :class:`~ie_ctypes.errors.ParameterMismatchError` (a ``ValueError``) for a value of the wrong shape or type.
        """
        with self._lock:
            self._check_idle()
            if inputs is not None:
                self._fill(inputs)
            run = _Run(self)
            loaded = self._loaded
            with loaded.changed:
                self._run = run
                self._failure = None
                loaded.idle.pop(self._id, None)
            loaded.pool.submit(run)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end of a started inference, its callback included, and return a :class:`StatusCode`.

        ``timeout`` in milliseconds; None and -1 wait without limit, 0 only asks. OK when done; INFER_NOT_STARTED before the first run;
        when time is up RESULT_NOT_READY, or REQUEST_BUSY if a completion callback is set. A failed inference raises its error.
        Inside the request's own callback the run counts as done.
        """
        if timeout is None:
            timeout = -1
        elif isinstance(timeout, str) or not hasattr(timeout, "__int__"):
            raise TypeError(f"an integer is required for timeout, got {type(timeout).__name__}")
        timeout = int(timeout)
        if timeout < -1:
            raise ParameterMismatchError(f"[PARAMETER_MISMATCH] Timeout can't be less -1 for InferRequest::Wait (given {timeout})")
        from ie_ctypes.api.codes import StatusCode

        run = self._run
        if run is None:
            if self._failure is not None:
                raise self._failure
            return StatusCode(self._status)
        if run.blocks():
            busy = StatusCode.RESULT_NOT_READY if run.callback is None else StatusCode.REQUEST_BUSY
            changed = self._loaded.changed
            with changed:
                if not changed.wait_for(lambda: not run.blocks(), None if timeout < 0 else timeout / 1000):
                    return busy
        if run.error is not None:
            raise run.error
        return StatusCode.OK

    def cancel(self) -> None:
        """End a started inference: one that waits for its turn ends when that comes, one that runs if the device can stop it.

        ``wait`` then raises :class:`~ie_ctypes.errors.InferCancelledError`, and the completion callback gets INFER_CANCELLED. Nothing
        happens to a request that is not running.
        """
        run = self._run
        if run is not None and not run.ended:
            run.cancelled = True
            self._request.cancel()

    def set_completion_callback(self, py_callback: Callback | None, py_data: Any = None) -> None:
        """Call ``py_callback(status, py_data)`` from another thread at the end of every asynchronous inference, failed ones too.

        None removes it. An exception in it goes to ``sys.unraisablehook``; the request is done all the same.
        """
        if py_callback is not None and not callable(py_callback):
            raise TypeError(f"completion callback of type {type(py_callback).__name__} is not callable")
        with self._lock:
            self._check_idle()
            self._callback, self._callback_data = py_callback, py_data

    @property
    def latency(self) -> float:
        """Milliseconds of the last finished inference; 0.0 before."""
        return self._latency

    def get_perf_counts(self) -> dict[str, dict[str, Any]]:
        """Counters of the last inference for every layer, sorted by name; empty while the request is running.

        ``status`` EXECUTED, NOT_RUN (fused into another layer) or OPTIMIZED_OUT; ``exec_type``, ``layer_type``;
        ``real_time`` and ``cpu_time`` in microseconds; ``execution_index``.
        """
        with self._lock:
            run = self._run
            if run is not None and run.blocks():
                return {}
            counts = self._requests[self._batch].perf_counts()
            if not counts and self._loaded.executable.counts:
                counts = self._loaded.perf_rows()
            return perf_table(counts)

    def set_batch(self, size: int) -> None:
        """Compute only the first ``size`` rows from now on; the network must have been loaded with ``DYN_BATCH_ENABLED=YES``.

        Buffers keep the full shape; the rows behind ``size`` of the outputs keep what they held.
        """
        if isinstance(size, bool) or not hasattr(size, "__index__"):
            raise TypeError(f"Argument 'size' has incorrect type (expected int, got {type(size).__name__})")
        size = int(size)
        if size <= 0:
            raise ParameterMismatchError(f"Batch size should be positive integer number but {size} specified")
        with self._lock:
            self._check_idle()
            if not self._loaded.dynamic_batch:
                raise IEError("Dynamic batch is not enabled.")
            if size > self._loaded.batch:
                raise ParameterMismatchError(
                    f"Invalid dynamic batch size {size} for this request. The network was loaded with {self._loaded.batch}"
                )
            before, self._batch = self._batch, size
            try:
                self._rebind()
            except BaseException:
                self._batch = before
                raise

    def query_state(self) -> list[VariableState]:
        """The states of this request: what the memory layers of the network keep from one inference to the next."""
        with self._lock:
            self._check_idle()
            request = self._stateful()
            return [VariableState(self, v) for v in request.variables] if request is not None else []

    # -- inside ----------------------------------------------------------------------------------------------------------
    def _check_idle(self) -> None:
        run = self._run
        if run is not None and run.blocks():
            raise RequestBusyError(
                f"[REQUEST_BUSY] infer request {self._id} is running: call wait() on it, or take another one from get_idle_request_id()"
            )

    def _fill(self, inputs: Mapping[str, Any]) -> None:
        if not hasattr(inputs, "items"):
            raise TypeError(f"inputs must be a dictionary of input names and arrays, got {type(inputs).__name__}")
        for name, value in inputs.items():
            slot = self._inputs.get(name)
            if slot is None:
                raise UnknownInputError(f"No input with name {name} found in network, its inputs are {', '.join(self._inputs)}")
            slot.fill(value)

    def _infer_sync(self) -> None:
        """Run now, in this thread. The lock is held."""
        self._run = None
        try:
            self._execute()
        except IEError as e:
            self._failure, self._status = e, _status_of(e)
            raise
        self._failure, self._status = None, _OK

    def _execute(self) -> None:
        start = time.perf_counter()
        for slot in self._staged:
            slot.stage()
        self._request.infer(self._arrays_in, self._arrays_out)
        for target, source in self._copies:
            target[...] = source
        for name, counts in self._cuts.items():
            self._outputs[name].cut({axis: int(count.ravel()[0]) for axis, count in counts})
        self._latency = (time.perf_counter() - start) * 1e3

    def _rebind(self) -> None:
        """Choose the device request and the arrays for the current batch and blobs."""
        batch, full = self._batch, self._batch == self._loaded.batch
        executable, program = self._loaded.variant(batch)
        inputs = [self._inputs[n].memory for n in program.input_names]
        outputs = [self._outputs[n].memory for n in program.output_names]
        copies: list[tuple[np.ndarray, np.ndarray]] = []
        if not full:
            inputs = [_part(a, program.tensors[t].type.shape) for a, t in zip(inputs, program.inputs, strict=True)]
            if not all(a.flags.c_contiguous for a in inputs):
                raise ParameterMismatchError(
                    f"Invalid dynamic batch size {batch} for this request: the first dimension of an input is not its batch"
                )
            parts = [_part(a, program.tensors[t].type.shape) for a, t in zip(outputs, program.outputs, strict=True)]
            outputs = [p if p.flags.c_contiguous else np.empty(p.shape, p.dtype) for p in parts]
            copies = [(p, o) for p, o in zip(parts, outputs, strict=True) if o is not p]
        if batch not in self._requests:
            self._requests[batch] = executable.create_request()
        self._request, self._arrays_in, self._arrays_out, self._copies = self._requests[batch], inputs, outputs, copies
        self._staged = [s for s in self._inputs.values() if s.staged]
        stateful = self._stateful()
        self._cuts: dict[str, list[tuple[int, np.ndarray]]] = {}
        for place, axis, count in stateful.sizes if stateful is not None else ():
            self._cuts.setdefault(program.output_names[place], []).append((axis, count))

    def _stateful(self) -> StatefulRequest | None:
        """The device's request as one that keeps states or counts; None for programs without."""
        if not self._loaded.program.has_hidden:
            return None
        from ie_ctypes.devices.stateful import StatefulRequest

        return self._request if isinstance(self._request, StatefulRequest) else None


def _part(full: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The first elements along every axis."""
    return full[tuple(slice(0, d) for d in shape)] if full.shape != shape else full


def _status_of(error: IEError | None) -> StatusCode:
    from ie_ctypes.api.codes import StatusCode

    if error is None:
        return StatusCode.OK
    return StatusCode(error.code) if error.code in StatusCode._value2member_map_ else StatusCode.GENERAL_ERROR


def perf_table(rows: Iterable[PerfCount]) -> dict[str, dict[str, Any]]:
    """Rows as ``get_perf_counts`` returns them, sorted by layer name; several steps of one layer are added up."""
    table: dict[str, dict[str, Any]] = {}
    for row in rows:
        known = table.get(row.layer)
        if known is not None and (known["status"] == "EXECUTED" or row.status != "EXECUTED"):
            known["real_time"] += row.real_time
            known["cpu_time"] += row.cpu_time
            continue
        table[row.layer] = {
            "status": row.status,
            "exec_type": row.exec_type,
            "layer_type": row.layer_type,
            "real_time": row.real_time,
            "cpu_time": row.cpu_time,
            "execution_index": row.order,
        }
    return dict(sorted(table.items(), key=lambda item: item[0].encode()))
