# SPDX-License-Identifier: Apache-2.0
"""Layers that change or make shapes: Reshape, Flatten, Squeeze, Unsqueeze, Permute, Tile, Broadcast, ShapeOf, Range, Fill."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model.ops.registry import legacy, opset
from ie_ctypes.model.program import Shape

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer, Value

_INTEGER_TYPES = {"i64": np.int64, "i32": np.int32, "u64": np.int64, "u32": np.int64, "i16": np.int32, "u8": np.uint8, "i8": np.int8}


def element_type(layer: Layer, name: str, default: str) -> np.dtype:
    """Numpy type of an ``element_type`` attribute, in the type that computes it."""
    text = layer.str(name, default).lower()
    if text in ("f32", "f16", "bf16", "f64"):
        return np.dtype(np.float32)
    if text not in _INTEGER_TYPES:
        raise layer.fail(f"attribute {name!r} is {text!r}, expected an element type")
    return np.dtype(_INTEGER_TYPES[text])


def resolve_reshape(layer: Layer, shape: Shape, mask: Sequence[int], *, zero_copies: bool = True) -> Shape:
    """The shape that a Reshape mask asks for: 0 copies the input's dimension, one -1 takes what is left."""
    out = list(mask)
    if zero_copies:
        for i, d in enumerate(out):
            if d == 0:
                if i >= len(shape):
                    raise layer.fail(f"shape {list(mask)} copies dimension {i}, the input has {len(shape)}")
                out[i] = shape[i]
    total = math.prod(shape)
    if out.count(-1) > 1 or min(out, default=0) < -1:
        raise layer.fail(f"shape {list(mask)} is not valid: one -1 and no other negative value is allowed")
    if -1 in out:
        rest = math.prod(d for d in out if d != -1)
        out[out.index(-1)] = total // rest if rest else 0
    if math.prod(out) != total:
        raise layer.fail(
            f"Invalid reshape mask (dim attribute): number of elements in input: {list(shape)} and output: {list(mask)} mismatch"
        )
    return tuple(out)


def _for_batch(layer: Layer, shape: Shape, mask: list[int]) -> list[int]:
    """``mask`` with the batch of ``shape`` in front, where the file fixed the batch that it was made for.

    That is so when the ports of the file, which shape inference keeps up to date, begin with the same dimension.
    """
    ins, outs = layer.node.inputs[0].shape, layer.node.outputs[0].shape
    if not (mask and shape and ins and outs) or ins[0] != outs[0] or mask[0] < 1 or mask[0] == shape[0]:
        return mask
    rest = math.prod(d if d else shape[i] if i < len(shape) else 0 for i, d in enumerate(mask) if i and d != -1)
    return [shape[0], *mask[1:]] if math.prod(shape[1:]) % max(rest, 1) == 0 else mask


@legacy("Reshape")
def legacy_reshape(layer: Layer) -> None:
    """``dim`` attribute, else the constant second input, else the output port."""
    x = layer.input(0)
    mask = list(layer.ints("dim", ())) or (layer.const_ints(1) if layer.has_input(1) else list(layer.node.outputs[0].shape))
    layer.set_output(0, layer.emit("Reshape", [x], shape=resolve_reshape(layer, x.shape, _for_batch(layer, x.shape, mask))))


@opset("Reshape")
def opset_reshape(layer: Layer) -> None:
    x = layer.input(0)
    mask = _for_batch(layer, x.shape, layer.const_ints(1))
    shape = resolve_reshape(layer, x.shape, mask, zero_copies=layer.bool("special_zero", True))
    layer.set_output(0, layer.emit("Reshape", [x], shape=shape))


@legacy("Flatten")
def flatten(layer: Layer) -> None:
    """Axes ``axis``..``end_axis`` become one. Without ``axis`` the output port tells whether the batch stays."""
    x = layer.input(0)
    rank = len(x.shape)
    default = 0 if len(layer.node.outputs[0].shape) == 1 else 1
    first = layer.axis(layer.int("axis", default), rank)
    last = layer.axis(layer.int("end_axis", -1), rank, "end_axis")
    if last < first:
        raise layer.fail(f"end_axis is {last}, expected >= axis, which is {first}")
    shape = (*x.shape[:first], math.prod(x.shape[first : last + 1]), *x.shape[last + 1 :])
    layer.set_output(0, layer.emit("Reshape", [x], shape=shape))


@legacy("Squeeze")
@opset("Squeeze")
def squeeze(layer: Layer) -> None:
    """The listed axes of size 1 go; without a list all of size 1."""
    x = layer.input(0)
    if layer.has_input(1):
        axes = {layer.axis(a, len(x.shape)) for a in layer.const_ints(1)}
    else:
        axes = {i for i, d in enumerate(x.shape) if d == 1}
    for a in axes:
        if x.shape[a] != 1:
            raise layer.fail(f"Index to squeeze of data tensor dimension is not 1: axis {a} of {list(x.shape)}")
    shape = tuple(d for i, d in enumerate(x.shape) if i not in axes)
    layer.set_output(0, layer.emit("Reshape", [x], shape=shape))


@legacy("Unsqueeze")
@opset("Unsqueeze")
def unsqueeze(layer: Layer) -> None:
    """Axes of size 1 are put at the listed positions of the output."""
    x = layer.input(0)
    listed = layer.const_ints(1)
    rank = len(x.shape) + len(listed)
    axes = {layer.axis(a, rank) for a in listed}
    if len(axes) != len(listed):
        raise layer.fail(f"axes {listed} name a position twice")
    old = iter(x.shape)
    layer.set_output(0, layer.emit("Reshape", [x], shape=tuple(1 if i in axes else next(old) for i in range(rank))))


def _permute(layer: Layer, order: Sequence[int]) -> None:
    x = layer.input(0)
    order = tuple(order) or tuple(range(len(x.shape)))[::-1]
    layer.set_output(0, layer.emit("Transpose", [x], order=order))


@legacy("Permute")
def permute(layer: Layer) -> None:
    _permute(layer, layer.ints("order"))


@opset("Transpose")
def transpose(layer: Layer) -> None:
    _permute(layer, layer.const_ints(1) if layer.has_input(1) else ())


@legacy("Tile")
def legacy_tile(layer: Layer) -> None:
    x = layer.input(0)
    axis, tiles = layer.axis(layer.int("axis"), len(x.shape)), layer.int("tiles")
    if tiles < 1:
        raise layer.fail(f"tiles is {tiles}, expected >= 1")
    layer.set_output(0, layer.emit("Tile", [x], repeats=tuple(tiles if i == axis else 1 for i in range(len(x.shape)))))


@opset("Tile")
def opset_tile(layer: Layer) -> None:
    """The shorter one of shape and repeats is filled with ones in front."""
    x, repeats = layer.input(0), layer.const_ints(1)
    rank = max(len(repeats), len(x.shape))
    if len(x.shape) < rank:
        x = layer.emit("Reshape", [x], shape=(1,) * (rank - len(x.shape)) + x.shape)
    layer.set_output(0, layer.emit("Tile", [x], repeats=(1,) * (rank - len(repeats)) + tuple(repeats)))


@legacy("Broadcast", "Expand")
def legacy_broadcast(layer: Layer) -> None:
    layer.set_output(0, layer.emit("Broadcast", [layer.input(0)], shape=tuple(layer.const_ints(1))))


@opset("Broadcast")
def opset_broadcast(layer: Layer) -> None:
    """Modes numpy, explicit (axes mapping input), pdpd (aligned at ``axis``), bidirectional."""
    x, target = layer.input(0), tuple(layer.const_ints(1))
    mode = layer.str("mode", layer.str("broadcast_type", "numpy")).lower()
    if mode == "explicit" or (mode == "none" and layer.has_input(2)):
        mapping = layer.const_ints(2)
        if len(mapping) != len(x.shape) or any(not 0 <= m < len(target) for m in mapping):
            raise layer.fail(f"axes mapping {mapping} does not map shape {list(x.shape)} into {list(target)}")
        order = tuple(int(i) for i in np.argsort(mapping, kind="stable"))
        if order != tuple(range(len(order))):
            x = layer.emit("Transpose", [x], order=order)
        placed = [1] * len(target)
        for axis, size in zip(sorted(mapping), x.shape, strict=True):
            placed[axis] = size
        x = layer.emit("Reshape", [x], shape=tuple(placed))
    elif mode == "pdpd":
        start = layer.int("axis", -1)
        start = len(target) - len(x.shape) if start == -1 else start
        tail = len(target) - start - len(x.shape)
        if start < 0 or tail < 0:
            raise layer.fail(f"axis {start} does not place shape {list(x.shape)} in {list(target)}")
        x = layer.emit("Reshape", [x], shape=(1,) * start + x.shape + (1,) * tail)
    elif mode == "bidirectional":
        try:
            target = np.broadcast_shapes(x.shape, target)
        except ValueError:
            raise layer.fail(f"shapes {list(x.shape)} and {list(target)} cannot be broadcast") from None
    elif mode != "numpy":
        raise layer.fail(f"attribute 'mode' is {mode!r}, expected numpy, explicit, pdpd or bidirectional")
    layer.set_output(0, layer.emit("Broadcast", [x], shape=target))


def _refuse_running_size(layer: Layer) -> None:
    for size in layer.input(0).true_sizes:
        if size.strict:
            raise layer.fail(f"axis {size.axis} of input 0 has a size that is only known while running")


@legacy("Shape", "ShapeOf")
def legacy_shape_of(layer: Layer) -> None:
    _refuse_running_size(layer)
    dtype = np.float32 if layer.node.outputs[0].precision in ("FP32", "FP16") else np.int32
    layer.set_output(0, layer.value(np.array(layer.input(0).shape, dtype)))


@opset("ShapeOf")
def opset_shape_of(layer: Layer) -> None:
    _refuse_running_size(layer)
    layer.set_output(0, layer.value(np.array(layer.input(0).shape, element_type(layer, "output_type", "i64"))))


def _range_values(layer: Layer, dtype: np.dtype) -> Value:
    """``start + i * step`` for max(ceil((stop - start) / step), 0) values."""
    start, stop, step = (np.asarray(layer.const(i)).ravel() for i in range(3))
    if any(v.size != 1 for v in (start, stop, step)):
        raise layer.fail("start, stop and step must have one element each")
    if dtype.kind != "f":  # a float limit of an integer range is cut first
        start, stop, step = (v.astype(dtype) for v in (start, stop, step))
    first, last, delta = start[0].item(), stop[0].item(), step[0].item()
    if delta == 0 or not all(math.isfinite(v) for v in (first, last, delta)):
        raise layer.fail(f"range from {first} to {last} by {delta} is not finite")
    count = max(math.ceil((last - first) / delta), 0)
    if count > 1 << 31:
        raise layer.fail(f"range has {count} elements, more than {1 << 31}")
    return layer.value((first + np.arange(count) * delta).astype(dtype))


@legacy("Range")
def legacy_range(layer: Layer) -> None:
    layer.set_output(0, _range_values(layer, np.dtype(layer.input(0).dtype)))


@opset("Range")
def opset_range(layer: Layer) -> None:
    dtype = np.dtype(layer.input(0).dtype)
    layer.set_output(0, _range_values(layer, element_type(layer, "output_type", "f32") if layer.has("output_type") else dtype))


@legacy("Fill")
def fill(layer: Layer) -> None:
    shape = tuple(layer.const_ints(0))
    value = layer.emit("Reshape", [layer.input(1)], shape=())
    layer.set_output(0, layer.emit("Broadcast", [value], shape=shape))
