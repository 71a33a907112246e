# SPDX-License-Identifier: Apache-2.0
"""The lowered network: a flat list of runtime nodes with every shape known. What devices compile. See docs/kinds.md."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ie_ctypes.record import Record, field

if TYPE_CHECKING:
    from ie_ctypes.model.custom import CustomCall

Shape = tuple[int, ...]


class Text(str):
    """An attribute of a layer that only others understand, as the file gives it."""

    __slots__ = ()

    def readings(self) -> list[object]:
        """Itself, and what it is as a number or a list of numbers."""
        found: list[object] = [str(self)]
        parts = [p.strip() for p in self.split(",") if p.strip()]
        for kind in (int, float):
            try:
                values = tuple(kind(p) for p in parts)
            except ValueError:
                continue
            if not values or (kind is int and not all(-(1 << 63) <= v < 1 << 63 for v in values)):
                continue
            found += [values[0], values] if len(values) == 1 else [values]
        if self.lower() in ("true", "false"):
            found.append(int(self.lower() == "true"))
        return found


AttrValue: TypeAlias = "int | float | str | tuple[int, ...] | tuple[float, ...] | Program"

#: Element types that a lowered tensor can have: numpy names.
DTYPES = ("float32", "int32", "int64", "uint8", "int8", "bool", "int16", "uint16", "float16", "float64", "uint32", "uint64")


class TensorType(Record, frozen=True):
    """Shape and numpy type name of a tensor."""

    dtype: str
    shape: Shape

    def __init__(self, dtype: str, shape: Shape):
        object.__setattr__(self, "dtype", dtype)
        object.__setattr__(self, "shape", shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


class Tensor(Record):
    """A value of the program. ``data`` is set for constants only (C order, of exactly this type)."""

    name: str
    type: TensorType
    data: np.ndarray | None

    def __init__(self, name: str, type: TensorType, data: np.ndarray | None = None):
        self.name = name
        self.type = type
        self.data = data


class ProgramNode(Record):
    """One runtime node. ``inputs`` and ``outputs`` index ``Program.tensors``; -1 is an absent optional input."""

    kind: str
    name: str  # unique in the program
    layer: str  # the network layer it came from
    layer_type: str  # that layer's type in the file
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    attrs: Mapping[str, AttrValue]
    custom: CustomCall | None  # of layers that others define: what they compute, in numpy

    def __init__(
        self,
        kind: str,
        name: str,
        layer: str,
        layer_type: str,
        inputs: tuple[int, ...],
        outputs: tuple[int, ...],
        attrs: Mapping[str, AttrValue] | None = None,
        custom: CustomCall | None = None,
    ):
        self.kind = kind
        self.name = name
        self.layer = layer
        self.layer_type = layer_type
        self.inputs = inputs
        self.outputs = outputs
        self.attrs = {} if attrs is None else attrs
        self.custom = custom


class State(Record):
    """A value that a request keeps from one inference to the next. Numbers are places in the program's inputs and outputs."""

    name: str
    input: int
    output: int
    initial: np.ndarray  # of the input's type
    fresh: int = -1  # a bool input that is true while nothing is stored: the program then computes the value; -1 none


class OutputSize(Record):
    """An output of which only the first places of an axis are real. How many is another output; numbers are places in the outputs."""

    output: int
    axis: int
    count: int


class Program(Record):
    """A lowered network or loop body. ``inputs`` and ``outputs`` index ``tensors``.

    The inputs and outputs of ``states``, then the counts of ``sizes`` come behind those of the network: who runs the program hands the
    states' outputs on to inputs, and cuts the outputs to their sizes.
    """

    name: str
    tensors: list[Tensor] = field(default_factory=list)
    nodes: list[ProgramNode] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    input_names: list[str] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    output_names: list[str] = field(default_factory=list)
    states: list[State] = field(default_factory=list)
    sizes: list[OutputSize] = field(default_factory=list)
    affinities: Mapping[str, str] = field(default_factory=dict)  # layer -> device that the user wants it to run on

    @property
    def has_hidden(self) -> bool:
        """Are there states or sizes: inputs and outputs that are not the network's?"""
        return bool(self.states or self.sizes)
