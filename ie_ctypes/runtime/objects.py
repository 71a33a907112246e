# SPDX-License-Identifier: Apache-2.0
"""The objects of libiec: graph, device, executable, request. One method a C function."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ie_ctypes.errors import ParameterMismatchError
from ie_ctypes.record import Record
from ie_ctypes.runtime import abi, jobs
from ie_ctypes.runtime.errors import check as _check
from ie_ctypes.runtime.errors import new_error as _error
from ie_ctypes.runtime.flat import CALLS, Description
from ie_ctypes.runtime.handles import Handle
from ie_ctypes.runtime.library import library

if TYPE_CHECKING:
    from ie_ctypes.runtime.flat import ProgramLike

_TENSOR_SIZE = ctypes.sizeof(abi.Tensor)


#: element type code -> numpy type name
DTYPES = {code: name for name, code in abi.DTYPE_CODES.items()}


def _pairs(values: Mapping[str, str]) -> Any:
    return (abi.KeyValue * len(values))(*(abi.KeyValue(k.encode(), v.encode()) for k, v in values.items()))


class CpuInfo(Record, frozen=True, kw_only=True):
    """This machine. ``usable`` hardware threads lie on ``physical`` cores of ``sockets`` processors."""

    brand: str
    logical: int
    usable: int
    physical: int
    sockets: int
    isa: tuple[str, ...]


def cpu_info() -> CpuInfo:
    """Describe the processor as far as this process may use it."""
    info = abi.CpuInfo(struct_size=ctypes.sizeof(abi.CpuInfo))
    err = _error()
    _check(library().iec_cpu_info_get(info, err), err)
    return CpuInfo(
        brand=info.brand.decode("utf-8", "replace") or platform.processor() or platform.machine(),
        logical=info.logical,
        usable=info.usable,
        physical=info.physical,
        sockets=info.sockets,
        isa=tuple(info.isa.decode().split()),
    )


def version() -> str:
    """Version of the package that the library was built from."""
    text: bytes = library().iec_version()
    return text.decode()


class _WithProperties(Handle):
    _get_property: str
    _set_property: str

    def get_property(self, key: str) -> str:
        """A property of the driver as text. NotFoundError when it has none of that name."""
        text = _sized(self, getattr(library(), self._get_property), key.encode())
        return text.rstrip(b"\0").decode("utf-8", "replace")

    def set_property(self, key: str, value: str) -> None:
        """Change a property of the driver."""
        err = _error()
        _check(self._call(getattr(library(), self._set_property), key.encode(), value.encode(), err), err)


def _sized(handle: Handle, function: Callable[..., Any], *arguments: Any) -> bytes:
    """Bytes of a length that only the callee knows: asked for the size, then for the content, again if it grew meanwhile."""
    size = ctypes.c_size_t()
    while True:
        err = _error()
        _check(handle._call(function, *arguments, None, size, err), err)
        room = size.value
        buffer = ctypes.create_string_buffer(max(room, 1))
        err = _error()
        status = handle._call(function, *arguments, buffer, size, err)
        if status and size.value > room:
            continue
        _check(status, err)
        return buffer.raw[: min(size.value, room)]


class Graph(Handle):
    """A checked program. Keeps the constants alive that C borrows."""

    def __init__(self, program: ProgramLike) -> None:
        description = Description(program)
        self._keep = description.keep
        self.node_count = len(program.nodes)
        lib, err, out = library(), _error(), ctypes.POINTER(abi.GraphHandle)()
        _check(lib.iec_graph_create(description.fill(), out, err), err)
        calls = description.calls
        CALLS.update(calls)

        def release(pointer: Any) -> None:
            lib.iec_graph_release(pointer)
            for number in calls:
                del CALLS[number]

        super().__init__(out, release)


class Device(_WithProperties):
    """An open driver: the built-in ``name``, or the one of the shared library ``path``."""

    _get_property = "iec_device_get_property"
    _set_property = "iec_device_set_property"

    def __init__(self, name: str, *, path: str | None = None, options: Mapping[str, str] | None = None) -> None:
        lib, err, out = library(), _error(), ctypes.POINTER(abi.DeviceHandle)()
        options = options or {}
        where = None if path is None else path.encode("utf-8", "surrogateescape")
        _check(lib.iec_device_open(where, name.encode(), _pairs(options), len(options), out, err), err)
        super().__init__(out, lib.iec_device_release)

    def _about(self, function: str) -> str:
        text: bytes = self._call(getattr(library(), function))
        return text.decode("utf-8", "replace")

    @property
    def name(self) -> str:
        """What the driver calls itself."""
        return self._about("iec_device_name")

    @property
    def version(self) -> str:
        """The driver's version."""
        return self._about("iec_device_version")

    @property
    def description(self) -> str:
        """The driver's description."""
        return self._about("iec_device_description")

    def query(self, graph: Graph) -> list[bool]:
        """For every node: can it run here?"""
        supported, err = (ctypes.c_uint8 * graph.node_count)(), _error()
        _check(self._call(lambda p: graph._call(lambda g: library().iec_device_query(p, g, supported, graph.node_count, err))), err)
        return [bool(flag) for flag in supported]

    def compile(self, graph: Graph, config: Mapping[str, str]) -> Executable:
        """Load a graph, which may be closed afterwards."""
        lib, err, out = library(), _error(), ctypes.POINTER(abi.ExecutableHandle)()
        pairs, count = _pairs(config), len(config)
        _check(self._call(lambda p: graph._call(lambda g: lib.iec_device_compile(p, g, pairs, count, out, err))), err)
        return Executable(out)

    def import_blob(self, blob: bytes, config: Mapping[str, str]) -> Executable:
        """Load what ``Executable.export_blob`` gave."""
        lib, err, out = library(), _error(), ctypes.POINTER(abi.ExecutableHandle)()
        _check(self._call(lib.iec_device_import, blob, len(blob), _pairs(config), len(config), out, err), err)
        return Executable(out)


class Executable(_WithProperties):
    """A network loaded on a device; made by ``Device.compile``."""

    _get_property = "iec_executable_get_property"
    _set_property = "iec_executable_set_property"

    def __init__(self, pointer: Any) -> None:
        super().__init__(pointer, library().iec_executable_release)

    @property
    def streams(self) -> int:
        """How many started requests run at once."""
        return int(self._call(library().iec_executable_streams))

    def export_blob(self) -> bytes:
        """The loaded network as bytes, if the driver can."""
        return _sized(self, library().iec_executable_export)

    def create_request(self) -> Request:
        """A new request, not bound yet."""
        lib, err, out = library(), _error(), ctypes.POINTER(abi.RequestHandle)()
        _check(self._call(lib.iec_request_create, out, err), err)
        return Request(out)


def _tensors(arrays: Sequence[np.ndarray], what: str) -> Any:
    """iec_tensor records over numpy arrays, which must be C-contiguous and, for outputs, writable."""
    out = (abi.Tensor * len(arrays))()
    for i, (record, data) in enumerate(zip(out, arrays, strict=True)):
        code = abi.DTYPE_CODES.get(data.dtype.name)
        if code is None or not data.dtype.isnative:
            raise ParameterMismatchError(f"{what} {i}: arrays of {data.dtype} are not supported")
        if data.ndim > abi.MAX_NDIM:
            raise ParameterMismatchError(f"{what} {i}: rank {data.ndim}, limit {abi.MAX_NDIM}")
        if not data.flags.c_contiguous:
            raise ParameterMismatchError(f"{what} {i}: the array is not contiguous")
        if what == "output" and not data.flags.writeable:
            raise ParameterMismatchError(f"output {i}: the array is read-only")
        record.struct_size = _TENSOR_SIZE
        record.dtype = code
        record.ndim = data.ndim
        for axis in range(data.ndim):
            record.shape[axis] = data.shape[axis]
            record.strides[axis] = data.strides[axis]
        record.data = data.__array_interface__["data"][0]
        record.size_bytes = data.nbytes
    return out


class Request(Handle):
    """One inference at a time over bound arrays. Keeps them alive while C may use them."""

    def __init__(self, pointer: Any) -> None:
        lib = library()
        super().__init__(pointer, lib.iec_request_release)
        self._bound: tuple[Sequence[np.ndarray], Sequence[np.ndarray]] | None = None
        self._infer = lib.iec_request_infer

    def bind(self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> None:
        """Say where the following inferences read and write. Arrays of exactly the program's types and shapes, C-contiguous."""
        inputs, outputs = tuple(inputs), tuple(outputs)
        err = _error()
        ins, outs = _tensors(inputs, "input"), _tensors(outputs, "output")
        _check(self._call(library().iec_request_bind, ins, len(ins), outs, len(outs), err), err)
        self._bound = (inputs, outputs)

    def infer(self) -> None:
        """Run on this thread, with the GIL released."""
        err = _error()
        status = self._call(self._infer, err)
        if status:
            _check(status, err)

    def start(self, done: Callable[[BaseException | None], None]) -> None:
        """Begin an inference; ``done(error)`` is called from a thread of the library when it has ended."""
        err = _error()
        token = jobs.add(self, done)
        status = self._call(library().iec_request_start, jobs.callback(), token, err)
        if status:
            jobs.drop(token)
            _check(status, err)

    def wait(self, timeout_ms: int) -> int:
        """Wait for the last inference, without limit when negative, in slices so that Ctrl-C works.

        Gives 0 when it has ended well, RESULT_NOT_READY (-9), INFER_NOT_STARTED (-11); raises what it failed with.
        """
        left = timeout_ms
        while True:
            err = _error()
            slice_ms = min(left, 200) if timeout_ms >= 0 else 200
            status: int = self._call(library().iec_request_wait, slice_ms, err)
            left -= slice_ms
            if status in (abi.OK, abi.INFER_NOT_STARTED):
                return status
            if status != abi.RESULT_NOT_READY:
                _check(status, err)
            if timeout_ms >= 0 and left <= 0:
                return status

    def cancel(self) -> None:
        """End a queued inference when its turn comes; ask the driver to stop a running one, if it can."""
        err = _error()
        status = self._call(library().iec_request_cancel, err)
        if status != abi.NOT_IMPLEMENTED:
            _check(status, err)

    def perf_counts(self) -> str:
        """JSON text of the last inference."""
        return _sized(self, library().iec_request_perf_counts).rstrip(b"\0").decode("utf-8", "replace")
