# SPDX-License-Identifier: Apache-2.0
"""Kinds that move data without computing: Concat, Split, Slice, Reshape, Transpose, Tile, Broadcast, Pad, Gather."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ie_ctypes.model.ops.attrs import array, check_axis, integer, integers, number, tensor, text
from ie_ctypes.model.ops.registry import Attrs, kind
from ie_ctypes.model.program import Shape, TensorType

PAD_MODES = ("constant", "edge", "reflect", "symmetric")

Types = Sequence[TensorType | None]
Arrays = Sequence[np.ndarray | None]


def _per_axis(attrs: Attrs, name: str, rank: int) -> tuple[int, ...]:
    values = integers(attrs, name)
    if len(values) != rank:
        raise ValueError(f"{name} has {len(values)} values, expected {rank}")
    return values


def _concat_type(attrs: Attrs, types: Types) -> list[TensorType]:
    first = tensor(types, 0)
    axis = check_axis(integer(attrs, "axis"), len(first.shape))
    total = 0
    for i in range(len(types)):
        t = tensor(types, i)
        same_rest = t.shape[:axis] + t.shape[axis + 1 :] == first.shape[:axis] + first.shape[axis + 1 :]
        if t.dtype != first.dtype or len(t.shape) != len(first.shape) or not same_rest:
            given, wanted = f"{t.dtype} {list(t.shape)}", f"{first.dtype} {list(first.shape)}"
            raise ValueError(f"input {i} is {given}, incompatible with input 0, {wanted}, along axis {axis}")
        total += t.shape[axis]
    return [TensorType(first.dtype, (*first.shape[:axis], total, *first.shape[axis + 1 :]))]


@kind("Concat", _concat_type)
def concat(attrs: Attrs, arrays: Arrays) -> list[np.ndarray]:
    """Inputs joined along ``axis``."""
    return [np.concatenate([a for a in arrays if a is not None], axis=integer(attrs, "axis"))]


def _split_type(attrs: Attrs, types: Types) -> list[TensorType]:
    x = tensor(types, 0)
    axis, lengths = check_axis(integer(attrs, "axis"), len(x.shape)), integers(attrs, "lengths")
    if sum(lengths) != x.shape[axis] or min(lengths, default=0) < 0:
        raise ValueError(f"the lengths {list(lengths)} do not add up to {x.shape[axis]}, the size of axis {axis}")
    return [TensorType(x.dtype, (*x.shape[:axis], n, *x.shape[axis + 1 :])) for n in lengths]


@kind("Split", _split_type)
def split(attrs: Attrs, arrays: Arrays) -> list[np.ndarray]:
    """Consecutive parts of ``lengths`` along ``axis``."""
    return np.split(array(arrays, 0), np.cumsum(integers(attrs, "lengths"))[:-1], axis=integer(attrs, "axis"))


def _slice_type(attrs: Attrs, types: Types) -> list[TensorType]:
    x = tensor(types, 0)
    begins, strides, lengths = (_per_axis(attrs, n, len(x.shape)) for n in ("begins", "strides", "lengths"))
    for axis, (size, begin, stride, length) in enumerate(zip(x.shape, begins, strides, lengths, strict=True)):
        last = begin + (length - 1) * stride
        if stride == 0:
            raise ValueError(f"stride of axis {axis} is 0")
        if length < 0 or (length > 0 and not (0 <= begin < size and 0 <= last < size)):
            raise ValueError(f"slice of {length} elements from {begin} by {stride} leaves axis {axis} of size {size}")
    return [TensorType(x.dtype, lengths)]


@kind("Slice", _slice_type)
def slice_(attrs: Attrs, arrays: Arrays) -> list[np.ndarray]:
    """``out[i] = x[begins + i * strides]`` on every axis."""
    index = []
    for begin, stride, length in zip(*(integers(attrs, n) for n in ("begins", "strides", "lengths")), strict=True):
        end = begin + length * stride
        index.append(slice(0, 0) if length == 0 else slice(begin, None if end < 0 else end, stride))
    return [array(arrays, 0)[tuple(index)]]


def _reshape_type(attrs: Attrs, types: Types) -> list[TensorType]:
    x = tensor(types, 0)
    out = TensorType(x.dtype, integers(attrs, "shape"))
    if out.size != x.size or min(out.shape, default=0) < 0:
        raise ValueError(f"{x.size} elements of shape {list(x.shape)} cannot take shape {list(out.shape)}")
    return [out]


@kind("Reshape", _reshape_type)
def reshape(attrs: Attrs, arrays: Arrays) -> list[np.ndarray]:
    """The same elements in another shape."""
    return [array(arrays, 0).reshape(integers(attrs, "shape"))]


def _transpose_type(attrs: Attrs, types: Types) -> list[TensorType]:
    x, order = tensor(types, 0), integers(attrs, "order")
    if sorted(order) != list(range(len(x.shape))):
        raise ValueError(f"order {list(order)} is not a permutation of 0..{len(x.shape) - 1}")
    return [TensorType(x.dtype, tuple(x.shape[i] for i in order))]


@kind("Transpose", _transpose_type)
def transpose(attrs: Attrs, arrays: Arrays) -> list[np.ndarray]:
    """Out axis i is input axis ``order[i]``."""
    return [np.ascontiguousarray(array(arrays, 0).transpose(integers(attrs, "order")))]


def _tile_type(attrs: Attrs, types: Types) -> list[TensorType]:
    x = tensor(types, 0)
    repeats = _per_axis(attrs, "repeats", len(x.shape))
    if min(repeats, default=0) < 0:
        raise ValueError(f"repeats are {list(repeats)}, expected >= 0")
    return [TensorType(x.dtype, tuple(d * r for d, r in zip(x.shape, repeats, strict=True)))]


@kind("Tile", _tile_type)
def tile(attrs: Attrs, arrays: Arrays) -> list[np.ndarray]:
    """The whole tensor repeated along each axis."""
    return [np.tile(array(arrays, 0), integers(attrs, "repeats"))]


def _broadcast_type(attrs: Attrs, types: Types) -> list[TensorType]:
    x, shape = tensor(types, 0), integers(attrs, "shape")
    tail = shape[len(shape) - len(x.shape) :] if len(x.shape) <= len(shape) else None
    if tail is None or any(d not in (1, n) for d, n in zip(x.shape, tail, strict=True)):
        raise ValueError(f"shape {list(x.shape)} cannot be broadcast to {list(shape)}")
    return [TensorType(x.dtype, shape)]


@kind("Broadcast", _broadcast_type)
def broadcast_to(attrs: Attrs, arrays: Arrays) -> list[np.ndarray]:
    """Axes of size 1 repeated, missing leading axes added."""
    return [np.broadcast_to(array(arrays, 0), integers(attrs, "shape")).copy()]


def _pad_type(attrs: Attrs, types: Types) -> list[TensorType]:
    x, mode = tensor(types, 0), text(attrs, "mode", PAD_MODES)
    begins, ends = (_per_axis(attrs, n, len(x.shape)) for n in ("pads_begin", "pads_end"))
    for axis, (size, begin, end) in enumerate(zip(x.shape, begins, ends, strict=True)):
        limit = {"constant": None, "edge": None, "reflect": max(size - 1, 0), "symmetric": size}[mode]
        if limit is not None and max(begin, end) > limit:
            raise ValueError(f"padding of axis {axis} is {max(begin, end)}, mode {mode} allows {limit} for size {size}")
        if size == 0 and mode != "constant" and max(begin, end) > 0:
            raise ValueError(f"axis {axis} is empty, mode {mode} has nothing to repeat")
    return [TensorType(x.dtype, tuple(d + b + e for d, b, e in zip(x.shape, begins, ends, strict=True)))]


def _pad_sources(size: int, begin: int, end: int, mode: str) -> np.ndarray:
    """For each output position of one axis the input position that it copies (negative or >= size: outside)."""
    i = np.arange(-begin, size + end)
    if mode == "edge":
        return i.clip(0, size - 1)
    if mode == "reflect":
        return np.where(i < 0, -i, np.where(i >= size, 2 * (size - 1) - i, i))
    if mode == "symmetric":
        return np.where(i < 0, -1 - i, np.where(i >= size, 2 * size - 1 - i, i))
    return i


@kind("Pad", _pad_type)
def pad(attrs: Attrs, arrays: Arrays) -> list[np.ndarray]:
    """Border added by ``pads_begin``/``pads_end``, which crop where they are negative."""
    x, mode = array(arrays, 0), text(attrs, "mode")
    for axis, (begin, end) in enumerate(zip(integers(attrs, "pads_begin"), integers(attrs, "pads_end"), strict=True)):
        if begin == 0 and end == 0:
            continue
        source = _pad_sources(x.shape[axis], begin, end, mode)
        inside = (source >= 0) & (source < x.shape[axis])
        if inside.all():
            x = x.take(source, axis)
            continue
        moved = np.full((*x.shape[:axis], len(source), *x.shape[axis + 1 :]), number(attrs, "value")).astype(x.dtype)
        moved[(slice(None),) * axis + (inside,)] = x.take(source[inside], axis)
        x = moved
    return [x]


def _gather_type(attrs: Attrs, types: Types) -> list[TensorType]:
    data, indices = tensor(types, 0), tensor(types, 1)
    axis, batch = check_axis(integer(attrs, "axis"), len(data.shape)), integer(attrs, "batch_dims")
    if indices.dtype not in ("int32", "int64"):
        raise ValueError(f"indices are {indices.dtype}, expected int32 or int64")
    if not 0 <= batch <= min(axis, len(indices.shape)) or data.shape[:batch] != indices.shape[:batch]:
        raise ValueError(f"batch_dims {batch} does not fit data {list(data.shape)}, indices {list(indices.shape)} and axis {axis}")
    return [TensorType(data.dtype, data.shape[:axis] + indices.shape[batch:] + data.shape[axis + 1 :])]


@kind("Gather", _gather_type)
def gather(attrs: Attrs, arrays: Arrays) -> list[np.ndarray]:
    """``out[.., i.., ..] = data[.., indices[i..], ..]``; zero where the index lies outside (with ``wrap``, -1 is the last)."""
    data, indices = array(arrays, 0), array(arrays, 1).astype(np.int64)
    axis, batch = integer(attrs, "axis"), integer(attrs, "batch_dims")
    size = data.shape[axis]
    if integer(attrs, "wrap"):
        indices = np.where(indices < 0, indices + size, indices)
    inside = (indices >= 0) & (indices < size)
    shape = data.shape[:axis] + indices.shape[batch:] + data.shape[axis + 1 :]
    if not inside.any():
        return [np.zeros(shape, data.dtype)]
    safe = np.where(inside, indices, 0)
    if batch == 0:
        out = data.take(safe, axis)
    else:
        flat_data = data.reshape((-1, *data.shape[batch:]))
        flat_safe = safe.reshape((-1, *safe.shape[batch:]))
        out = np.stack([d.take(i, axis - batch) for d, i in zip(flat_data, flat_safe, strict=True)]).reshape(shape)
    if not inside.all():
        mask_shape: Shape = (
            *indices.shape[:batch], *(1,) * (axis - batch), *indices.shape[batch:], *(1,) * (data.ndim - axis - 1),
        )  # fmt: skip
        out = np.where(inside.reshape(mask_shape), out, np.zeros((), data.dtype))
    return [out]
