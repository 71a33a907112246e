# SPDX-License-Identifier: Apache-2.0
"""Arithmetic of other devices: a program rewritten so that any device computes it with that device's rounding.

Rounding is done where a device stores a value: at network inputs, constants and the end of each layer. Inside a layer everything is
float32, as the wide accumulators of these devices are. What only moves values keeps them rounded.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np

from ie_ctypes.model.program import AttrValue, Program, ProgramNode, Tensor, TensorType
from ie_ctypes.record import Record, field, replace

#: kinds whose results are among their inputs
MOVES = frozenset(("Reshape", "Transpose", "Concat", "Split", "Slice", "Tile", "Broadcast", "Gather", "GatherND", "ReverseSequence"))

_GREATEST_HALF = 65504.0


class Emit(Protocol):
    """Adds a node of one output to the program and gives its tensor. Inputs are tensors or constants."""

    def __call__(self, kind: str, inputs: list[int | np.ndarray], type: TensorType, **attrs: AttrValue) -> int: ...


class Arithmetic(Protocol):
    """How a device stores numbers. Everything here concerns float32 tensors."""

    def constant(self, data: np.ndarray) -> np.ndarray:
        """What the device stores of a constant."""

    def input(self, emit: Emit, tensor: int, type: TensorType, name: str, number: int) -> int:
        """A network input as the device stores it; ``number`` is its place among the inputs."""

    def result(self, emit: Emit, tensor: int, type: TensorType) -> int:
        """The result of a layer as the device stores it."""


class Half(Record, frozen=True, kw_only=True):
    """FP16. What lies beyond its range becomes 65504; what the accelerators did there is not documented."""

    def constant(self, data: np.ndarray) -> np.ndarray:
        stored: np.ndarray = np.clip(data, -_GREATEST_HALF, _GREATEST_HALF).astype(np.float16).astype(np.float32)
        return stored

    def input(self, emit: Emit, tensor: int, type: TensorType, name: str, number: int) -> int:
        return self.result(emit, tensor, type)

    def result(self, emit: Emit, tensor: int, type: TensorType) -> int:
        inside = emit("Unary", [tensor], type, op="clamp", alpha=-_GREATEST_HALF, beta=_GREATEST_HALF)
        half = emit("Convert", [inside], TensorType("float16", type.shape), dtype="float16")
        return emit("Convert", [half], type, dtype="float32")


class Fixed(Record, frozen=True, kw_only=True):
    """Integers of ``bits`` and a scale: that of a tensor's greatest magnitude, or the one given for a network input.

    Weights (constants of two axes and more) of 8 bits have a scale for each output channel.
    """

    bits: int = 16
    weight_bits: int = 16
    scales: Mapping[str, float] = field(default_factory=dict)  # of inputs, by name or number; "" is the default

    def constant(self, data: np.ndarray) -> np.ndarray:
        bits = self.weight_bits if data.ndim > 1 else self.bits
        axes = tuple(range(1, data.ndim)) if bits == 8 else None
        if not data.size:
            return data
        scale = np.maximum(np.abs(data).max(axis=axes, keepdims=True) / _limit(bits), np.float32(1e-30))
        stored: np.ndarray = (np.rint(data / scale) * scale).astype(np.float32)
        return stored

    def input(self, emit: Emit, tensor: int, type: TensorType, name: str, number: int) -> int:
        scale = self.scales.get(name) or self.scales.get(str(number)) or self.scales.get("", 0.0)
        if not scale:
            return self.result(emit, tensor, type)
        scaled = emit("Binary", [tensor, np.float32(scale)], type, op="mul")
        whole = emit("Unary", [scaled], type, op="round_even")
        limit = float(_limit(self.bits))
        stored = emit("Unary", [whole], type, op="clamp", alpha=-limit - 1, beta=limit)
        return emit("Binary", [stored, np.float32(1 / scale)], type, op="mul")

    def result(self, emit: Emit, tensor: int, type: TensorType) -> int:
        one = TensorType("float32", (1,) * len(type.shape))
        greatest = emit("Unary", [tensor], type, op="abs")
        if type.shape:
            greatest = emit("Reduce", [greatest], one, op="max", axes=tuple(range(len(type.shape))), keep_dims=1)
        scale = emit("Binary", [greatest, np.float32(1 / _limit(self.bits))], one, op="mul")
        scale = emit("Binary", [scale, np.float32(1e-30)], one, op="max")
        whole = emit("Unary", [emit("Binary", [tensor, scale], type, op="div")], type, op="round_even")
        return emit("Binary", [whole, scale], type, op="mul")


def _limit(bits: int) -> int:
    return (1 << (bits - 1)) - 1


def emulated(program: Program, arithmetic: Arithmetic) -> Program:
    """The program with the arithmetic of a device."""
    return _Rewriting(program, arithmetic).run(body=False)


class _Rewriting:
    """One pass over a program. ``place`` says which tensor stands for one of the old program."""

    def __init__(self, program: Program, arithmetic: Arithmetic):
        self.old = program
        self.new = replace(program, tensors=[], nodes=[], inputs=[], outputs=[])
        self.arithmetic = arithmetic
        self.place: dict[int, int] = {}
        self.rounded: set[int] = set()  # tensors of the old program
        self.names = {node.name for node in program.nodes}
        self.readers: dict[int, set[str]] = {}
        for node in program.nodes:
            for t in node.inputs:
                self.readers.setdefault(t, set()).add(node.layer)

    def run(self, body: bool) -> Program:
        """A body gets and gives values that are rounded outside of it or by its own layers."""
        for number, (t, name) in enumerate(zip(self.old.inputs, self.old.input_names, strict=True)):
            self.new.inputs.append(self._tensor(t))
            if body:
                self.rounded.add(t)
            elif self._is_float(t) and t in self.readers:
                owner = ProgramNode("", name, name, "Input", (), ())
                self._round(t, owner, functools.partial(self.arithmetic.input, name=name, number=number))
        for node in self.old.nodes:
            self._node(node)
        self.new.outputs = [self._tensor(t) for t in self.old.outputs]
        return self.new

    def _is_float(self, tensor: int) -> bool:
        return self.old.tensors[tensor].type.dtype == "float32"

    def _tensor(self, index: int) -> int:
        if index < 0:
            return index
        if index not in self.place:
            tensor = self.old.tensors[index]
            data = tensor.data
            if data is not None and self._is_float(index):
                data = np.asarray(self.arithmetic.constant(data), order="C").reshape(data.shape)
                self.rounded.add(index)
            self.place[index] = len(self.new.tensors)
            self.new.tensors.append(Tensor(tensor.name, tensor.type, data))
        return self.place[index]

    def _node(self, node: ProgramNode) -> None:
        attrs = {k: _Rewriting(v, self.arithmetic).run(body=True) if isinstance(v, Program) else v for k, v in node.attrs.items()}
        inputs = tuple(map(self._tensor, node.inputs))
        outputs = tuple(map(self._tensor, node.outputs))
        self.new.nodes.append(replace(node, inputs=inputs, outputs=outputs, attrs=attrs))
        keeps = node.kind in MOVES and all(t in self.rounded for t in node.inputs if t >= 0 and self._is_float(t))
        for t in node.outputs:
            if keeps:
                self.rounded.add(t)
            elif self._is_float(t) and (t in self.old.outputs or self.readers.get(t, set()) - {node.layer}):
                self._round(t, node, self.arithmetic.result)

    def _round(self, tensor: int, owner: ProgramNode, rule: Callable[[Emit, int, TensorType], int]) -> None:
        """Let the rounded value stand for a tensor from here on."""

        def emit(kind: str, inputs: list[int | np.ndarray], type: TensorType, **attrs: AttrValue) -> int:
            places = []
            for value in inputs:
                if not isinstance(value, int):
                    array = np.asarray(value)
                    self.new.tensors.append(Tensor(f"{owner.name}/constant", TensorType(array.dtype.name, array.shape), array))
                    value = len(self.new.tensors) - 1
                places.append(value)
            self.new.tensors.append(Tensor(f"{self.old.tensors[tensor].name}/rounded", type))
            out = len(self.new.tensors) - 1
            self.new.nodes.append(
                ProgramNode(kind, self._unique(f"{owner.name}/round"), owner.layer, owner.layer_type, tuple(places), (out,), attrs)
            )
            return out

        self.place[tensor] = rule(emit, self._tensor(tensor), self.old.tensors[tensor].type)
        self.rounded.add(tensor)

    def _unique(self, name: str) -> str:
        candidate, n = name, 1
        while candidate in self.names:
            n += 1
            candidate = f"{name}_{n}"
        self.names.add(candidate)
        return candidate
