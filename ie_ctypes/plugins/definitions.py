# SPDX-License-Identifier: Apache-2.0
"""What the model needs of a kernel: the shapes of its layers, and the call that computes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ie_ctypes.errors import ParameterMismatchError
from ie_ctypes.model.custom import CustomLayer, Input, LayerView, Params, as_in_file
from ie_ctypes.model.program import TensorType
from ie_ctypes.plugins.records import Kernel


def definition(record: Kernel) -> CustomLayer:
    """The layer type that a kernel defines."""

    function = record.function

    def compute(params: Params, arrays: Sequence[np.ndarray | None], blobs: Mapping[str, np.ndarray]) -> Sequence[np.ndarray]:
        assert function is not None
        result = function(params, *arrays, **blobs)
        return list(result) if isinstance(result, (list, tuple)) else [result]

    return CustomLayer(
        type=record.type,
        infer=lambda layer: _infer(record, layer),
        compute=None if function is None else compute,
        opset=record.opset,
        priority=record.priority,
    )


def _infer(record: Kernel, layer: LayerView) -> list[TensorType]:
    if record.shape is None:
        shapes = [t.shape for t in as_in_file(layer)]
    else:
        shapes = _shapes(record.shape(layer.params, *layer.inputs, **_described(layer.blobs)))
    if record.dtypes and len(record.dtypes) != len(shapes):
        raise ParameterMismatchError(f"it gave {len(shapes)} shapes for the {len(record.dtypes)} declared element types")
    if len(shapes) != len(layer.outputs):
        raise ParameterMismatchError(f"it gave {len(shapes)} shapes, the layer has {len(layer.outputs)} outputs")
    return [TensorType(record.dtypes[i] if record.dtypes else layer.outputs[i].dtype, shape) for i, shape in enumerate(shapes)]


def _described(blobs: Mapping[str, np.ndarray]) -> dict[str, Input]:
    return {name: Input(shape=array.shape, dtype=array.dtype.name, data=array) for name, array in blobs.items()}


def _shapes(answer: Any) -> list[tuple[int, ...]]:
    """One shape, or a list of them."""
    if not isinstance(answer, (list, tuple)):
        raise ParameterMismatchError(f"it gave {answer!r}, expected a shape or a list of shapes")
    whole = all(isinstance(d, (int, np.integer)) for d in answer)
    shapes = [answer] if whole and (isinstance(answer, tuple) or answer) else answer
    for shape in shapes:
        if not isinstance(shape, (list, tuple)) or not all(isinstance(d, (int, np.integer)) for d in shape):
            raise ParameterMismatchError(f"it gave {shape!r}, expected a shape of integers")
    return [tuple(int(d) for d in shape) for shape in shapes]
