# SPDX-License-Identifier: Apache-2.0
"""The Gather layers of all versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ie_ctypes.model.ops.registry import legacy, opset

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer, Value


def _indices(layer: Layer) -> Value:
    indices = layer.input(1)
    return indices if indices.dtype in ("int32", "int64") else layer.convert(indices, "int32")


@legacy("Gather")
def legacy_gather(layer: Layer) -> None:
    """Indices may be floating; those outside the dictionary, negative ones too, give zeros."""
    data = layer.input(0)
    axis = layer.axis(layer.int("axis", 0), len(data.shape))
    layer.set_output(0, layer.emit("Gather", [data, _indices(layer)], axis=axis, batch_dims=0, wrap=0))


@opset("Gather")
def opset_gather(layer: Layer) -> None:
    """Negative indices count from the end, as every runtime since opset7 has it."""
    data, indices = layer.input(0), _indices(layer)
    listed = layer.const_ints(2) if layer.has_input(2) else [0]
    if len(listed) != 1:
        raise layer.fail(f"axis has {len(listed)} elements, expected 1")
    axis = layer.axis(listed[0], len(data.shape))
    batch = layer.int("batch_dims", 0)
    batch = batch + len(indices.shape) if batch < 0 else batch
    layer.set_output(0, layer.emit("Gather", [data, indices], axis=axis, batch_dims=batch, wrap=1))
