# SPDX-License-Identifier: Apache-2.0
"""From a program to the flat description of runtime.h."""

from __future__ import annotations

import ctypes
import functools
import itertools
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from ie_ctypes.errors import ParameterMismatchError
from ie_ctypes.runtime import abi

if TYPE_CHECKING:
    from typing import Protocol

    class TensorTypeLike(Protocol):
        """Element type and shape of a tensor."""

        @property
        def dtype(self) -> str: ...
        @property
        def shape(self) -> tuple[int, ...]: ...

    class TensorLike(Protocol):
        """A value of a program; ``data`` is set for constants."""

        @property
        def name(self) -> str: ...
        @property
        def type(self) -> TensorTypeLike: ...
        @property
        def data(self) -> np.ndarray | None: ...

    class NodeLike(Protocol):
        """A node of a program."""

        @property
        def kind(self) -> str: ...
        @property
        def name(self) -> str: ...
        @property
        def layer(self) -> str: ...
        @property
        def layer_type(self) -> str: ...
        @property
        def inputs(self) -> Sequence[int]: ...
        @property
        def outputs(self) -> Sequence[int]: ...
        @property
        def attrs(self) -> Mapping[str, object]: ...
        @property
        def custom(self) -> Call | None: ...

    class ProgramLike(Protocol):
        """What ``ie_ctypes.model.program.Program`` offers."""

        @property
        def name(self) -> str: ...
        @property
        def tensors(self) -> Sequence[TensorLike]: ...
        @property
        def nodes(self) -> Sequence[NodeLike]: ...
        @property
        def inputs(self) -> Sequence[int]: ...
        @property
        def outputs(self) -> Sequence[int]: ...


#: What a layer that is defined in Python computes: inputs (None: absent) -> outputs of exactly the node's types.
Call = Callable[[Sequence[np.ndarray | None]], Sequence[np.ndarray]]
#: The attribute by which the kernel of such a node finds its call.
CALL = "python_call"
#: The calls of the graphs that are open, by the value of that attribute.
CALLS: dict[int, Call] = {}
_numbers = itertools.count(1)


@functools.cache
def _name(dtype: np.dtype) -> str:
    return str(dtype.name)


def constant(tensor: TensorLike) -> np.ndarray:
    """The data of a constant as C takes it: contiguous, aligned, of exactly the tensor's type. A view where it already is."""
    data = tensor.data
    assert data is not None
    if _name(data.dtype) != tensor.type.dtype or data.shape != tensor.type.shape:
        raise ParameterMismatchError(
            f"constant {tensor.name}: array of {data.dtype.name} {data.shape}, its type is {tensor.type.dtype} {tensor.type.shape}"
        )
    flags = data.flags
    if flags.c_contiguous and flags.aligned and data.dtype.isnative:
        return data
    return np.require(data, dtype=data.dtype.newbyteorder("="), requirements=["C", "A"])


class _Strings(dict[str, int]):
    """Where each text begins in ``pool``; a new one is put there."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = bytearray()

    def __missing__(self, text: str) -> int:
        data = text.encode("utf-8", "surrogatepass")
        if 0 in data:
            raise ParameterMismatchError(f"the name {text!r} contains a zero byte")
        offset = self[text] = len(self.pool)
        self.pool += data
        self.pool.append(0)
        return offset


class Description:
    """The tables of one program. Keeps the arrays of its constants alive."""

    def __init__(self, program: ProgramLike) -> None:
        self.keep: list[np.ndarray] = []
        self.calls: dict[int, Call] = {}
        self._strings = _Strings()
        self.ints: list[int] = []
        self.doubles: list[float] = []
        self.ports: list[int] = []
        self.graphs: list[int] = []
        self.tensors: list[int] = []
        self.nodes: list[int] = []
        self.attrs: list[int] = []
        waiting: list[ProgramLike] = [program]
        for graph in waiting:  # grows: bodies are numbered in the order in which nodes name them
            self._add_graph(graph, waiting)

    def _add_graph(self, graph: ProgramLike, waiting: list[ProgramLike]) -> None:
        strings, ports = self._strings, self.ports
        self.graphs.extend((strings[graph.name], len(graph.tensors), len(graph.nodes), len(graph.inputs), len(graph.outputs)))
        for tensor in graph.tensors:
            kind = tensor.type
            code = abi.DTYPE_CODES.get(kind.dtype)
            if code is None:
                raise ParameterMismatchError(f"tensor {tensor.name}: unknown element type {kind.dtype}")
            address = size = 0
            if tensor.data is not None:
                data = constant(tensor)
                self.keep.append(data)
                address, size = data.__array_interface__["data"][0], data.nbytes
            self.tensors.extend((strings[tensor.name], code, len(kind.shape), address, size))
            self.ints.extend(kind.shape)
        ports.extend(graph.inputs)
        ports.extend(graph.outputs)
        for node in graph.nodes:
            # A text whose meaning is not known has several values.
            attrs = [(k, v) for k, value in node.attrs.items() for v in (value.readings() if hasattr(value, "readings") else (value,))]
            if node.custom is not None:
                number = next(_numbers)
                self.calls[number] = node.custom
                attrs.append((CALL, number))
            self.nodes.extend(
                (
                    strings[node.kind],
                    strings[node.name],
                    strings[node.layer],
                    strings[node.layer_type],
                    len(node.inputs),
                    len(node.outputs),
                    len(attrs),
                )
            )
            ports.extend(node.inputs)
            ports.extend(node.outputs)
            for name, value in attrs:
                self._add_attr(node, name, value, waiting)

    def _add_attr(self, node: NodeLike, name: str, value: object, waiting: list[ProgramLike]) -> None:
        kind, word, count = abi.ATTR_INT, 0, 1
        if isinstance(value, int):
            word = int(value)
        elif isinstance(value, float):
            kind = abi.ATTR_FLOAT
            self.doubles.append(value)
        elif isinstance(value, str):
            kind, word = abi.ATTR_STR, self._strings[value]
        elif isinstance(value, (tuple, list)):
            count = len(value)
            if all(isinstance(item, int) for item in value):
                kind = abi.ATTR_INTS
                self.ints.extend(value)
            elif all(isinstance(item, (int, float)) for item in value):
                kind = abi.ATTR_FLOATS
                self.doubles.extend(value)
            else:
                raise ParameterMismatchError(f"node {node.name}: attribute {name} is a list of other things than numbers")
        elif hasattr(value, "tensors") and hasattr(value, "nodes"):
            kind, word = abi.ATTR_GRAPH, len(waiting)
            waiting.append(cast("ProgramLike", value))
        else:
            raise ParameterMismatchError(f"node {node.name}: attribute {name} has the unknown type {type(value).__name__}")
        self.attrs.extend((self._strings[name], kind, word, count))

    def packed(self, table: str) -> bytes:
        """A table as C reads it; what bytes hold begins at a multiple of 8. OverflowError for numbers that no 64 bits hold."""
        words, code = getattr(self, table), "d" if table == "doubles" else "q"
        try:
            return struct.pack(f"{len(words)}{code}", *words)
        except struct.error:  # does not say why; an array does
            from array import array

            return array(code, words).tobytes()

    def fill(self) -> abi.GraphDesc:
        """The C description; it borrows from this object."""
        desc = abi.GraphDesc(struct_size=ctypes.sizeof(abi.GraphDesc))
        desc.strings_size = len(self._strings.pool)
        self._buffers = {"strings": bytes(self._strings.pool)}
        for name, words in (
            ("int", 1),
            ("double", 1),
            ("port", 1),
            ("graph", abi.GRAPH_WORDS),
            ("tensor", abi.TENSOR_WORDS),
            ("node", abi.NODE_WORDS),
            ("attr", abi.ATTR_WORDS),
        ):
            self._buffers[name + "s"] = self.packed(name + "s")
            setattr(desc, name + "_count", len(getattr(self, name + "s")) // words)
        for name, buffer in self._buffers.items():
            setattr(desc, name, ctypes.cast(ctypes.c_char_p(buffer), ctypes.c_void_p))
        return desc
