# SPDX-License-Identifier: Apache-2.0
"""Extensions: libraries with layers and kernels in C, and kernels in Python behind the same table."""

from __future__ import annotations

import ctypes
import itertools
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ie_ctypes.record import Record
from ie_ctypes.runtime import abi, failures
from ie_ctypes.runtime.errors import check, new_error
from ie_ctypes.runtime.flat import CALL, CALLS, Call
from ie_ctypes.runtime.library import library
from ie_ctypes.runtime.objects import DTYPES, Graph

_ATTRIBUTE = CALL.encode()


class OpInfo(Record, frozen=True, kw_only=True):
    """A layer type that an extension defines."""

    type: str
    opset: str
    priority: int


class KernelInfo(Record, frozen=True, kw_only=True):
    """A kernel that an extension has."""

    device: str
    kind: str
    impl_name: str
    priority: int


class Extension:
    """A checked table. It lives as long as the process, as its library does."""

    def __init__(self, table: Any) -> None:
        self._table = table
        content = table.contents
        self.name: str = content.name.decode("utf-8", "replace")
        self.version: str = content.version.decode("utf-8", "replace")
        self.ops = tuple(
            OpInfo(type=o.type.decode("utf-8", "replace"), opset=o.opset.decode("utf-8", "replace"), priority=o.priority)
            for o in (content.ops[i].contents for i in range(content.op_count))
        )
        self.kernels = tuple(
            KernelInfo(device=k.device.decode(), kind=k.kind.decode(), impl_name=k.impl_name.decode(), priority=k.priority)
            for k in (content.kernels[i].contents for i in range(content.kernel_count))
        )

    def infer_shapes(self, op: int, graph: Graph, outputs: Sequence[tuple[str, tuple[int, ...]]]) -> list[tuple[str, tuple[int, ...]]]:
        """Element types and shapes of the outputs of the one node of ``graph``; ``outputs`` are those that its file gives."""
        records, err = (abi.Tensor * len(outputs))(), new_error()
        for record, (dtype, shape) in zip(records, outputs, strict=True):
            record.struct_size = ctypes.sizeof(abi.Tensor)
            record.dtype = abi.DTYPE_CODES[dtype]
            record.ndim = len(shape)
            record.shape[: len(shape)] = shape
        infer = library().iec_extension_infer_shapes
        check(graph._call(lambda pointer: infer(self._table, op, pointer, records, len(records), err)), err)
        return [(DTYPES[r.dtype], tuple(r.shape[: r.ndim])) for r in records]


def open_extension(path: str | os.PathLike[str]) -> Extension:
    """Load a library of layers and kernels. IEError with the loader's text when it cannot be loaded or is faulty."""
    err, out = new_error(), ctypes.POINTER(abi.ExtensionApi)()
    check(library().iec_extension_open(os.fsencode(path), out, err), err)
    return Extension(out)


def set_extensions(device: Any, extensions: Sequence[Extension]) -> None:
    """The extensions whose kernels a device (:class:`ie_ctypes.runtime.Device`) may choose from now on."""
    tables, err = (ctypes.POINTER(abi.ExtensionApi) * len(extensions))(*(e._table for e in extensions)), new_error()
    check(device._call(library().iec_device_set_extensions, tables, len(extensions), err), err)


# -- kernels in Python ------------------------------------------------------------------------------------------------------
# One set of functions serves them all: a node names its call by an attribute, and the state is a number that stands for the call.

_states: dict[int, Call] = {}
_numbers = itertools.count(1)
_tables: dict[tuple[tuple[str, str, int], ...], Extension] = {}
_keep: list[object] = []  # tables are never released, C may hold them


def _find_call(host: Any, node: int) -> Call | None:
    number = ctypes.c_int64()
    found = host.contents.graph.contents.attr_i64(node, _ATTRIBUTE, number)
    return CALLS.get(number.value) if found else None


def _supports(host: Any, graph: int, node: int) -> int:
    return int(_find_call(host, node) is not None)


def _prepare(host: Any, graph: int, node: int, out: Any, out_scratch_size: Any, err: Any) -> int:
    call = _find_call(host, node)
    if call is None:
        return failures.report(err, LookupError("the function of the kernel is gone"))
    number = next(_numbers)
    _states[number] = call
    out[0] = number
    out_scratch_size[0] = 0
    return abi.OK


def _view(tensor: abi.Tensor) -> np.ndarray:
    """An array over memory that is only valid while the kernel runs."""
    dtype, shape = np.dtype(DTYPES[tensor.dtype]), tuple(tensor.shape[: tensor.ndim])
    if not tensor.size_bytes:
        return np.empty(shape, dtype)
    return np.frombuffer((ctypes.c_char * tensor.size_bytes).from_address(tensor.data), dtype).reshape(shape)


def _run(state: int, inputs: Any, input_count: int, outputs: Any, output_count: int, scratch: int, err: Any) -> int:
    try:
        # Copies: a function may keep what it is given.
        given = [_view(inputs[i].contents).copy() if inputs[i] else None for i in range(input_count)]
        for i, result in enumerate(_states[state](given)):
            np.copyto(_view(outputs[i].contents), result)
    except BaseException as e:
        return failures.report(err, e)
    return abi.OK


def _release(state: int | None) -> None:
    _states.pop(state or 0, None)


def python_kernels(kinds: Sequence[tuple[str, str, int]]) -> Extension:
    """The extension whose kernels run node kinds in Python: (device, kind, priority) each."""
    key = tuple(kinds)
    if key not in _tables:
        functions = (abi.SupportsFunction(_supports), abi.PrepareFunction(_prepare), abi.RunFunction(_run), abi.ReleaseFunction(_release))
        size = ctypes.sizeof(abi.KernelDef)
        defs = [abi.KernelDef(size, priority, device.encode(), kind.encode(), b"python", *functions) for device, kind, priority in key]
        pointers = (ctypes.POINTER(abi.KernelDef) * len(defs))(*map(ctypes.pointer, defs))
        version = abi.ABI_MAJOR << 16 | abi.ABI_MINOR
        table = abi.ExtensionApi(ctypes.sizeof(abi.ExtensionApi), version, b"python", b"", pointers, len(defs))
        _keep.append((functions, defs, pointers, table))
        err, out = new_error(), ctypes.POINTER(abi.ExtensionApi)()
        check(library().iec_extension_adopt(table, out, err), err)
        _tables[key] = Extension(out)
    return _tables[key]
