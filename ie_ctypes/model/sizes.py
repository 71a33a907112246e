# SPDX-License-Identifier: Apache-2.0
"""Sizes that depend on data: tensors have the upper bound, and what comes behind the true size along one axis is padding.

A translator marks such a value with :class:`TrueSize`; the rules here carry the mark through nodes that keep that axis, so that outputs of
the network can be cut to what is real.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ie_ctypes.model.program import AttrValue, Shape, TensorType
from ie_ctypes.record import Record

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Value


class TrueSize(Record, frozen=True):
    """Only the first ``count`` places of ``axis`` are real; ``count`` is a tensor of one integer."""

    axis: int
    count: Value


_ELEMENTWISE = ("Convert", "Unary", "Binary", "Select", "FakeQuantize", "Softmax", "LogSoftmax", "CumSum")


def carried(kind: str, attrs: Mapping[str, AttrValue], inputs: Sequence[Value | None], types: Sequence[TensorType]) -> TrueSize | None:
    """The true size of the outputs of a node of which an input has one, or None."""
    marked = [(i, v.true_size) for i, v in enumerate(inputs) if v is not None and v.true_size is not None]
    if not marked or any(size.count is not marked[0][1].count for _, size in marked):
        return None
    place, true_size = marked[0]
    axis = true_size.axis
    source = inputs[place]
    assert source is not None
    found = _axis(kind, attrs, place, axis, [None if v is None else v.shape for v in inputs], types[0].shape)
    if found is None or any(len(t.shape) <= found or t.shape[found] != source.shape[axis] for t in types):
        return None
    return TrueSize(found, true_size.count)


def _axis(kind: str, attrs: Mapping[str, AttrValue], place: int, axis: int, shapes: Sequence[Shape | None], out: Shape) -> int | None:
    """The axis of the output that is ``axis`` of input ``place``; the caller compares their sizes."""
    shape = shapes[place]
    assert shape is not None
    if kind in _ELEMENTWISE:
        return None if attrs.get("axis") == axis else axis + len(out) - len(shape)
    if kind == "Transpose":
        return _ints(attrs, "order").index(axis)
    if kind == "Reshape":
        before = math.prod(shape[:axis])
        return next((i for i, d in enumerate(out) if d == shape[axis] and math.prod(out[:i]) == before), None)
    if kind == "Gather":
        along, batch, data = int(attrs["axis"]), int(attrs["batch_dims"]), shapes[0]  # type: ignore[arg-type]
        if place == 1:
            return along + axis - batch if axis >= batch else None
        indices = shapes[1]
        assert data is not None
        assert indices is not None
        return None if axis == along else axis if axis < along else axis + len(indices) - batch - 1
    if kind == "Slice":
        return axis if _ints(attrs, "strides")[axis] == 1 and _ints(attrs, "begins")[axis] == 0 else None
    if kind in ("Split", "Concat"):
        return None if attrs["axis"] == axis else axis
    if kind == "Reduce":
        axes = _ints(attrs, "axes")
        return None if axis in axes else axis if attrs["keep_dims"] else axis - sum(a < axis for a in axes)
    return None


def _ints(attrs: Mapping[str, AttrValue], name: str) -> tuple[int, ...]:
    return attrs[name]  # type: ignore[return-value]
