# SPDX-License-Identifier: Apache-2.0
"""Extension libraries: the layer types that they define, for the model, and their kernels, for devices."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes import runtime
from ie_ctypes.model.custom import CustomLayer, LayerView
from ie_ctypes.model.program import Program, ProgramNode, Tensor, TensorType, Text

if TYPE_CHECKING:
    from ie_ctypes.runtime.extension import Extension

_lock = threading.Lock()
_opened: dict[str, LoadedExtension] = {}


class LoadedExtension:
    """A library that has been opened; it stays so."""

    def __init__(self, path: str):
        self.path = path
        from ie_ctypes.runtime.extension import open_extension

        self.native = open_extension(path)
        self.layers = tuple(
            CustomLayer(type=op.type, opset=op.opset, priority=op.priority, infer=_Rule(self.native, i, op.type))
            for i, op in enumerate(self.native.ops)
        )


def open_extension(path: str | os.PathLike[str]) -> LoadedExtension:
    """The extension of a library, opened at the first call with its path. IEError when it cannot be loaded or is faulty."""
    name = os.fspath(path)
    with _lock:
        if name not in _opened:
            _opened[name] = LoadedExtension(name)
        return _opened[name]


def opened_extensions() -> list[LoadedExtension]:
    """All that this process has opened."""
    with _lock:
        return list(_opened.values())


class _Rule:
    """The shape rule of one layer type."""

    def __init__(self, native: Extension, index: int, type: str):
        self._native, self._index, self._type = native, index, type

    def __call__(self, layer: LayerView) -> Sequence[TensorType]:
        with runtime.Graph(_single_node(self._type, layer)) as graph:
            found = self._native.infer_shapes(self._index, graph, [(t.dtype, _known(t.shape)) for t in layer.outputs])
        return [TensorType(dtype, shape) for dtype, shape in found]


def _known(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(max(d, 0) for d in shape)


def _single_node(type: str, layer: LayerView) -> Program:
    """The layer alone: what its shape function may look at."""
    program = Program(layer.name)

    def add(name: str, kind: TensorType, data: np.ndarray | None = None) -> int:
        program.tensors.append(Tensor(name, kind, data))
        return len(program.tensors) - 1

    inputs: list[int] = []
    for i, given in enumerate(layer.inputs):
        if given is None:
            inputs.append(-1)
            continue
        inputs.append(add(f"in{i}", TensorType(given.dtype, given.shape), given.data))
        if given.data is None:
            program.inputs.append(inputs[-1])
            program.input_names.append(f"in{i}")
    inputs += [add(name, TensorType(array.dtype.name, array.shape), array) for name, array in layer.blobs.items()]
    outputs = [add(f"out{i}", TensorType(t.dtype, _known(t.shape))) for i, t in enumerate(layer.outputs)]
    program.outputs = outputs
    program.output_names = [f"out{i}" for i in range(len(outputs))]
    attrs = {name: Text(text) for name, text in layer.params.items()}
    attrs.setdefault("blobs", Text(",".join(layer.blobs)))
    program.nodes.append(ProgramNode(type, layer.name, layer.name, type, tuple(inputs), tuple(outputs), attrs))
    return program
