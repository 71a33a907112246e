# SPDX-License-Identifier: Apache-2.0
"""Sequences and optionals: they are taken apart while the model is read, so their lengths must be fixed."""

from __future__ import annotations

import numpy as np

from ie_ctypes.model.readers.onnx.op import Op
from ie_ctypes.model.readers.onnx.registry import Item, onnx_op
from ie_ctypes.model.readers.onnx.scope import Tensor


@onnx_op("SequenceConstruct")
def sequence_construct(op: Op) -> list[Item]:
    return [tuple(op.inputs)]


@onnx_op("SequenceEmpty")
def sequence_empty(op: Op) -> list[Item]:
    return [()]


def _position(op: Op, index: int, length: int, default: int) -> int:
    position = op.const_ints(index)[0] if op.has_input(index) else default
    if not -length <= position < max(length, 1):
        raise op.fail(f"position is {position}, the sequence has {length} elements")
    return position % max(length, 1)


@onnx_op("SequenceAt")
def sequence_at(op: Op) -> Tensor:
    parts = op.sequence(0)
    if not parts:
        raise op.fail("the sequence is empty")
    return parts[_position(op, 1, len(parts), 0)]


@onnx_op("SequenceInsert")
def sequence_insert(op: Op) -> list[Item]:
    parts = op.sequence(0)
    at = _position(op, 2, len(parts) + 1, len(parts))
    return [(*parts[:at], op.input(1), *parts[at:])]


@onnx_op("SequenceErase")
def sequence_erase(op: Op) -> list[Item]:
    parts = op.sequence(0)
    at = _position(op, 1, len(parts), -1)
    return [(*parts[:at], *parts[at + 1 :])]


@onnx_op("SequenceLength")
def sequence_length(op: Op) -> Tensor:
    return op.constant(len(op.sequence(0)))


@onnx_op("ConcatFromSequence")
def concat_from_sequence(op: Op) -> Tensor:
    axis, parts = op.int("axis"), op.sequence(0)
    if op.int("new_axis", 0):
        return op.concat([op.unsqueeze(t, [axis]) for t in parts], axis)
    return op.concat(parts, axis)


@onnx_op("SplitToSequence")
def split_to_sequence(op: Op) -> list[Item]:
    """Parts of the given lengths, of one length, or single slices; their number is that of the shapes known now."""
    x = op.input(0)
    axis = op.axis(x, 0)
    if x.value is None:
        raise op.fail("the number of parts depends on dynamic dimensions")
    total = x.value.shape[axis]
    lengths = op.const(1) if op.has_input(1) else np.array(1)
    if lengths.ndim == 0:
        each = max(int(lengths), 1)
        lengths = np.array([min(each, total - i) for i in range(0, total, each)])
    parts = op.make_many("VariadicSplit", x, op.constant(axis), op.constant(lengths), outputs=len(lengths))
    if not op.has_input(1) and not op.int("keepdims", 1):
        parts = [op.squeeze(t, [axis]) for t in parts]
    return [tuple(parts)]


@onnx_op("Optional")
def optional(op: Op) -> list[Item]:
    return [op.items[0] if op.items else None]


@onnx_op("OptionalHasElement")
def optional_has_element(op: Op) -> Tensor:
    return op.constant(bool(op.items) and op.items[0] is not None, "BOOL")


@onnx_op("OptionalGetElement")
def optional_get_element(op: Op) -> list[Item]:
    if not op.items or op.items[0] is None:
        raise op.fail("the optional has no value")
    return [op.items[0]]
