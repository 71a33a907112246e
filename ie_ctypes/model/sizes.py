# SPDX-License-Identifier: Apache-2.0
"""Sizes that depend on data: tensors have the upper bound, and what comes behind the true size along an axis is padding.

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
    """Only the first ``count`` places of ``axis`` are real; ``count`` is a tensor of one integer.

    ``strict``: a layer that mixes the axis must not see the padding, so that it is an error.
    """

    axis: int
    count: Value
    strict: bool = False


_ELEMENTWISE = ("Convert", "Unary", "Binary", "Select", "FakeQuantize", "Softmax", "LogSoftmax", "CumSum")


def carried(kind: str, attrs: Mapping[str, AttrValue], inputs: Sequence[Value | None], types: Sequence[TensorType]) -> tuple[TrueSize, ...]:
    """The true sizes of the outputs of a node, from those of its inputs. ValueError where a strict one gets lost."""
    marked = [(place, source) for place, source in enumerate(inputs) if source is not None and source.true_sizes]
    if not marked:
        return ()
    kept: dict[int, TrueSize] = {}
    mixed: set[int] = set()
    for place, source in marked:
        for size in source.true_sizes:
            found = _axis(kind, attrs, place, size.axis, [None if v is None else v.shape for v in inputs], types[0].shape)
            lost = found is None or any(len(t.shape) <= found or t.shape[found] != source.shape[size.axis] for t in types)
            if lost and size.strict:
                raise ValueError(f"axis {size.axis} of input {place} has a size that is only known while running")
            if found is None or lost:
                continue
            if kept.setdefault(found, TrueSize(found, size.count, size.strict)).count is not size.count:
                mixed.add(found)
    return tuple(size for axis, size in kept.items() if axis not in mixed)


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
