# SPDX-License-Identifier: Apache-2.0
"""Layers that join, cut and pad: Concat, Split, VariadicSplit, Crop, StridedSlice, Slice, SliceScatter, Reverse, Pad."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model.ops.movement import PAD_MODES
from ie_ctypes.model.ops.registry import legacy, opset
from ie_ctypes.model.ops.scatter import emit_scatter
from ie_ctypes.record import Record

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer, Value


@legacy("Concat")
def legacy_concat(layer: Layer) -> None:
    """Inputs of several types become float32, as everything was in the legacy dialect."""
    inputs = [layer.input(i) for i in range(len(layer.inputs))]
    axis = layer.axis(layer.int("axis", 1), max(len(inputs[0].shape), 1)) if inputs else 0
    if len({v.dtype for v in inputs}) > 1:
        inputs = [layer.convert(v, "float32") for v in inputs]
    layer.set_output(0, layer.emit("Concat", inputs, axis=axis))


@opset("Concat")
def opset_concat(layer: Layer) -> None:
    inputs = [layer.input(i) for i in range(len(layer.inputs))]
    if not inputs:
        raise layer.fail("there is no input")
    layer.set_output(0, layer.emit("Concat", inputs, axis=layer.axis(layer.int("axis"), len(inputs[0].shape))))


def _emit_split(layer: Layer, x: Value, axis: int, lengths: Sequence[int]) -> None:
    for i, part in enumerate(layer.emit_many("Split", [x], axis=axis, lengths=tuple(lengths))):
        layer.set_output(i, part)


@legacy("Split", "Slice")
def legacy_split(layer: Layer) -> None:
    """Sizes are those of the output ports; equal parts are divided anew when the axis has another size."""
    x = layer.input(0)
    axis = layer.axis(layer.int("axis", 1), len(x.shape))
    ports = layer.node.outputs
    if any(len(p.shape) <= axis for p in ports):
        raise layer.fail(f"an output has no axis {axis}")
    lengths = [p.shape[axis] for p in ports]
    if sum(lengths) != x.shape[axis]:
        if len(set(lengths)) > 1 or x.shape[axis] % len(lengths):
            raise layer.fail(f"The sum of the dimensions on the axis({axis}) is not equal out_sizes: {lengths}")
        lengths = [x.shape[axis] // len(lengths)] * len(lengths)
    _emit_split(layer, x, axis, lengths)


@opset("Split")
def opset_split(layer: Layer) -> None:
    x = layer.input(0)
    axis = layer.axis(_single(layer, 1), len(x.shape))
    parts = layer.int("num_splits")
    if parts < 1 or x.shape[axis] % parts:
        raise layer.fail(f"num_splits is {parts}, axis {axis} has size {x.shape[axis]}")
    _emit_split(layer, x, axis, [x.shape[axis] // parts] * parts)


@legacy("VariadicSplit")
@opset("VariadicSplit")
def variadic_split(layer: Layer) -> None:
    """Lengths are an input; one -1 takes what is left."""
    x = layer.input(0)
    axis, lengths = layer.axis(_single(layer, 1), len(x.shape)), layer.const_ints(2)
    if lengths.count(-1) == 1:
        lengths[lengths.index(-1)] = x.shape[axis] - sum(n for n in lengths if n != -1)
    _emit_split(layer, x, axis, lengths)


def _single(layer: Layer, index: int) -> int:
    values = layer.const_ints(index)
    if len(values) != 1:
        raise layer.fail(f"input {index} has {len(values)} elements, expected 1")
    return values[0]


@legacy("Crop")
def crop(layer: Layer) -> None:
    """Three forms: size of a second input, ``dim``, or ``crop_begin``/``crop_end``."""
    x = layer.input(0)
    axes = [layer.axis(a, len(x.shape)) for a in layer.ints("axis")]
    offsets = layer.ints("crop_begin" if layer.has("crop_begin") else "offset")
    begins, lengths = [0] * len(x.shape), list(x.shape)
    if len(axes) != len(offsets):
        raise layer.fail(
            f"Incorrect format of the Crop layer: number of axis doesn't match number of offset - ({len(axes)} vs. {len(offsets)})"
        )
    if layer.has("crop_end"):
        sizes = [x.shape[a] - b - e for a, b, e in zip(axes, offsets, layer.ints("crop_end"), strict=False)]
    elif layer.has("dim"):
        sizes = list(layer.ints("dim"))
    else:
        sizes = [layer.input(1).shape[a] for a in axes]
    if len(sizes) != len(axes):
        raise layer.fail(f"{len(axes)} axes have {len(sizes)} sizes")
    whole = {i for i, (a, b) in enumerate(zip(layer.node.inputs[0].shape, layer.node.outputs[0].shape, strict=False)) if a == b}
    for axis, offset, size in zip(axes, offsets, sizes, strict=True):
        if offset == 0 and axis in whole:
            continue  # the file keeps this axis, whatever its size became
        if offset < 0 or size < 1 or offset + size > x.shape[axis]:
            raise layer.fail(f"crop of {size} from {offset} leaves axis {axis} of size {x.shape[axis]}")
        begins[axis], lengths[axis] = offset, size
    layer.set_output(0, layer.emit("Slice", [x], begins=tuple(begins), strides=(1,) * len(begins), lengths=tuple(lengths)))


class _Entry(Record):
    """One position of a StridedSlice. ``begin``/``end`` None: from or to the edge."""

    begin: int | None
    end: int | None
    stride: int
    new_axis: bool = False
    shrink: bool = False
    ellipsis: bool = False


def _strided_slice(layer: Layer, entries: Sequence[_Entry]) -> None:
    """Half-open slices with clamping, as numpy takes them."""
    x = layer.input(0)
    rank = len(x.shape)
    used = sum(not (e.new_axis or e.ellipsis) for e in entries)
    if used > rank or sum(e.ellipsis for e in entries) > 1:
        raise layer.fail(f"{used} axes are sliced, the input has {rank}")
    begins, strides, lengths = [0] * rank, [1] * rank, list(x.shape)
    out: list[int] = []
    axis = 0
    for entry in entries:
        if entry.ellipsis:
            out.extend(x.shape[axis : axis + rank - used])
            axis += rank - used
            continue
        if entry.new_axis:
            out.append(1)
            continue
        size = x.shape[axis]
        if entry.shrink:
            begins[axis] = layer.axis(entry.begin or 0, size, f"begin of axis {axis}")
            lengths[axis] = 1
        else:
            if entry.stride == 0:
                raise layer.fail(f"stride of axis {axis} is 0")
            begin, end, stride = slice(entry.begin, entry.end, entry.stride).indices(size)
            lengths[axis] = len(range(begin, end, stride))
            begins[axis], strides[axis] = (begin, stride) if lengths[axis] else (0, 1)
            out.append(lengths[axis])
        axis += 1
    out.extend(x.shape[axis:])
    if tuple(lengths) != x.shape or any(s != 1 for s in strides):
        x = layer.emit("Slice", [x], begins=tuple(begins), strides=tuple(strides), lengths=tuple(lengths))
    layer.set_output(0, layer.emit("Reshape", [x], shape=tuple(out)))


def _mask(layer: Layer, name: str, count: int, missing: int) -> list[bool]:
    """Bits of a mask attribute; legacy files may leave out the commas."""
    bits = [c == "1" for c in layer.str(name, "") if c in "01"]
    return (bits + [bool(missing)] * count)[:count]


def _entries(layer: Layer, used_bit: bool) -> list[_Entry]:
    """``used_bit``: value of a begin or end mask bit that says `use the given value`."""
    begins, ends = layer.const_ints(1), layer.const_ints(2)
    count = len(begins)
    strides = layer.const_ints(3) if layer.has_input(3) else [1] * count
    if len(ends) != count or len(strides) != count:
        raise layer.fail(f"begin, end and strides have {count}, {len(ends)} and {len(strides)} elements")
    if layer.legacy:
        strides = [s or 1 for s in strides]
    use_begin, use_end = (_mask(layer, n, count, used_bit) for n in ("begin_mask", "end_mask"))
    new, shrink, ellipsis = (_mask(layer, n, count, 0) for n in ("new_axis_mask", "shrink_axis_mask", "ellipsis_mask"))
    return [
        _Entry(
            begins[i] if use_begin[i] == used_bit else None,
            ends[i] if use_end[i] == used_bit else None,
            strides[i],
            new_axis=new[i],
            shrink=shrink[i],
            ellipsis=ellipsis[i],
        )
        for i in range(count)
    ]


@legacy("StridedSlice")
def legacy_strided_slice(layer: Layer) -> None:
    _strided_slice(layer, _entries(layer, used_bit=True))


@opset("StridedSlice")
def opset_strided_slice(layer: Layer) -> None:
    _strided_slice(layer, _entries(layer, used_bit=False))


def _slice_entries(layer: Layer, first: int) -> list[_Entry]:
    """An entry for each axis, from the inputs start, stop, step and axes; ``first`` is the number of the start."""
    x = layer.input(0)
    starts, stops, steps = (layer.const_ints(first + i) for i in range(3))
    axes = layer.const_ints(first + 3) if layer.has_input(first + 3) else list(range(len(starts)))
    if not len(starts) == len(stops) == len(steps) == len(axes):
        raise layer.fail(f"start, stop, step and axes have {len(starts)}, {len(stops)}, {len(steps)} and {len(axes)} elements")
    entries = [_Entry(None, None, 1) for _ in x.shape]
    for start, stop, step, axis in zip(starts, stops, steps, axes, strict=True):
        entries[layer.axis(axis, len(x.shape))] = _Entry(start, stop, step)
    return entries


@opset("Slice")
def opset_slice(layer: Layer) -> None:
    _strided_slice(layer, _slice_entries(layer, 1))


@opset("SliceScatter")
def slice_scatter(layer: Layer) -> None:
    """The data with the slice replaced by the updates, which have its shape."""
    x, updates = layer.input(0), layer.input(1)
    entries = _slice_entries(layer, 2)
    if any(e.stride == 0 for e in entries):
        raise layer.fail("a step is 0")
    places = np.arange(x.type.size).reshape(x.shape)[tuple(slice(e.begin, e.end, e.stride) for e in entries)]
    if updates.shape != places.shape:
        raise layer.fail(f"updates have shape {list(updates.shape)}, the slice has {list(places.shape)}")
    layer.set_output(0, emit_scatter(layer, x, layer.value(places.ravel(), "places"), layer.convert(updates, x.dtype)))


@opset("Reverse")
def reverse(layer: Layer) -> None:
    x = layer.input(0)
    if layer.str("mode", "index") == "mask":
        axes = {i for i, bit in enumerate(layer.const_ints(1)) if bit}
    else:
        axes = {layer.axis(a, len(x.shape)) for a in layer.const_ints(1)}
    _strided_slice(layer, [_Entry(None, None, -1 if i in axes else 1) for i in range(len(x.shape))])


def _pad(layer: Layer, begins: Sequence[int], ends: Sequence[int], value: float) -> None:
    mode = layer.str("pad_mode", "constant").lower()
    if mode not in PAD_MODES:
        raise layer.fail(f"attribute 'pad_mode' is {mode!r}, expected one of {', '.join(PAD_MODES)}")
    x = layer.input(0)
    layer.set_output(0, layer.emit("Pad", [x], pads_begin=tuple(begins), pads_end=tuple(ends), mode=mode, value=value))


@legacy("Pad")
def legacy_pad(layer: Layer) -> None:
    _pad(layer, layer.ints("pads_begin"), layer.ints("pads_end"), layer.float("pad_value", 0.0))


@opset("Pad")
def opset_pad(layer: Layer) -> None:
    value = float(layer.const(3).ravel()[0]) if layer.has_input(3) else 0.0
    _pad(layer, layer.const_ints(1), layer.const_ints(2), value)
