# SPDX-License-Identifier: Apache-2.0
"""Kind DFT and the layers DFT, IDFT, RDFT, IRDFT, STFT, ISTFT. Complex numbers are pairs on the last axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model.ops.attrs import FLOAT, Attrs, array, expect_dtype, integer, tensor
from ie_ctypes.model.ops.registry import kind, opset
from ie_ctypes.model.program import TensorType

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer, Value


def infer_dft(attrs: Attrs, inputs: Sequence[TensorType | None]) -> list[TensorType]:
    """The input's type, [..., 2]."""
    x, axis = tensor(inputs, 0), integer(attrs, "axis")
    expect_dtype(inputs, FLOAT)
    if len(x.shape) < 2 or x.shape[-1] != 2:
        raise ValueError(f"the input has shape {list(x.shape)}, expected pairs on the last of several axes")
    if not 0 <= axis < len(x.shape) - 1:
        raise ValueError(f"axis is {axis}, expected 0..{len(x.shape) - 2}")
    return [x]


@kind("DFT", infer_dft)
def dft(attrs: Attrs, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """``sum(x[k] * exp(-2i*pi*j*k/n))`` along the axis; ``inverse``: with the other sign, divided by n."""
    x, axis = array(inputs, 0), integer(attrs, "axis")
    if not x.shape[axis]:
        return [x]
    z = x[..., 0].astype(np.complex128) + 1j * x[..., 1]
    z = np.fft.ifft(z, axis=axis) if integer(attrs, "inverse") else np.fft.fft(z, axis=axis)
    return [np.stack([z.real, z.imag], -1).astype(np.float32)]


# -- translators -------------------------------------------------------------------------------------------------------------


def _axes(layer: Layer, rank: int) -> list[int]:
    """The second input: axes of a tensor of ``rank`` axes, the pairs not counted; in the order of the transforms' sizes."""
    axes = [layer.axis(a, rank, "axes") for a in layer.const_ints(1)]
    if not axes or len(set(axes)) != len(axes):
        raise layer.fail(f"axes are {layer.const_ints(1)}, expected at least one, each once")
    return axes


def _sizes(layer: Layer, axes: Sequence[int], defaults: Sequence[int]) -> list[int]:
    """The third input: points of each transform; -1 and a missing input keep the default."""
    if not layer.has_input(2):
        return list(defaults)
    given = layer.const_ints(2)
    if len(given) != len(axes):
        raise layer.fail(f"signal_size has {len(given)} elements, there are {len(axes)} axes")
    sizes = [d if g == -1 else g for g, d in zip(given, defaults, strict=True)]
    if min(sizes) < 1:
        raise layer.fail(f"signal_size is {given}, expected -1 or at least 1")
    return sizes


def _resized(layer: Layer, x: Value, axis: int, size: int) -> Value:
    """Cut or padded with zeros at the end of an axis."""
    if x.shape[axis] == size:
        return x
    ends = tuple(size - d if i == axis else 0 for i, d in enumerate(x.shape))
    return layer.emit("Pad", [x], pads_begin=(0,) * len(ends), pads_end=ends, mode="constant", value=0.0)


def _transformed(layer: Layer, x: Value, axes: Sequence[int], sizes: Sequence[int], inverse: int) -> Value:
    for axis, size in zip(axes, sizes, strict=True):
        x = layer.emit("DFT", [_resized(layer, x, axis, size)], axis=axis, inverse=inverse)
    return x


def _complex_rank(layer: Layer, x: Value) -> int:
    if len(x.shape) < 2 or x.shape[-1] != 2:
        raise layer.fail(f"the input has shape {list(x.shape)}, expected pairs on the last of several axes")
    return len(x.shape) - 1


@opset("DFT", "IDFT")
def dft_layer(layer: Layer) -> None:
    x = layer.float_input(0)
    axes = _axes(layer, _complex_rank(layer, x))
    sizes = _sizes(layer, axes, [x.shape[a] for a in axes])
    layer.set_output(0, _transformed(layer, x, axes, sizes, int(layer.type.lower() == "idft")))


def _real(layer: Layer, x: Value, axes: Sequence[int], sizes: Sequence[int]) -> Value:
    """Pairs of real numbers; the last of the axes keeps the first ``size / 2 + 1`` points, the others mirror them."""
    for axis, size in zip(axes, sizes, strict=True):
        x = _resized(layer, x, axis, size)
    real = layer.emit("Reshape", [x], shape=(*x.shape, 1))
    x = layer.emit("Concat", [real, layer.value(np.zeros(real.shape, np.float32), "imaginary")], axis=len(x.shape))
    x = layer.emit("DFT", [x], axis=axes[-1], inverse=0)
    x = _resized(layer, x, axes[-1], sizes[-1] // 2 + 1)
    return _transformed(layer, x, axes[:-1], sizes[:-1], 0)


@opset("RDFT")
def rdft_layer(layer: Layer) -> None:
    x = layer.float_input(0)
    axes = _axes(layer, len(x.shape))
    layer.set_output(0, _real(layer, x, axes, _sizes(layer, axes, [x.shape[a] for a in axes])))


@opset("STFT")
def stft_layer(layer: Layer) -> None:
    """[.., length] to [.., frames, points, 2]: the transform of each frame times the window; ``transpose_frames`` puts points first."""
    x, window = layer.float_input(0), layer.float_input(1)
    (size,), (step,) = layer.const_ints(2), layer.const_ints(3)
    length = x.shape[-1] if x.shape else 0
    if len(x.shape) not in (1, 2) or len(window.shape) != 1 or not 1 <= window.shape[0] <= size <= length or step < 1:
        raise layer.fail(f"signal {list(x.shape)}, window {list(window.shape)}, frame size {size} and step {step} do not fit each other")
    before = (size - window.shape[0]) // 2
    pads = {"pads_begin": (before,), "pads_end": (size - window.shape[0] - before,)}
    window = layer.emit("Pad", [window], **pads, mode="constant", value=0.0)
    places = np.arange((length - size) // step + 1)[:, None] * step + np.arange(size)
    frames = layer.emit("Gather", [x, layer.value(places, "places")], axis=len(x.shape) - 1, batch_dims=0, wrap=0)
    frames = layer.emit("Binary", [frames, window], op="mul")
    last = len(frames.shape) - 1
    y = _real(layer, frames, [last], [size])
    if layer.bool("transpose_frames", False):
        y = layer.emit("Transpose", [y], order=(*range(last - 1), last, last - 1, last + 1))
    layer.set_output(0, y)


@opset("IRDFT")
def irdft_layer(layer: Layer) -> None:
    """The inverse of RDFT: real numbers, by default ``2 * (points - 1)`` on the last of the axes."""
    x = layer.float_input(0)
    axes = _axes(layer, _complex_rank(layer, x))
    last = axes[-1]
    sizes = _sizes(layer, axes, [*(x.shape[a] for a in axes[:-1]), 2 * (x.shape[last] - 1)])
    x = _transformed(layer, x, axes[:-1], sizes[:-1], 1)
    layer.set_output(0, _back_to_real(layer, x, last, sizes[-1]))


def _back_to_real(layer: Layer, x: Value, last: int, n: int) -> Value:
    """``n`` real numbers of the first ``n / 2 + 1`` points of an axis."""
    x = _resized(layer, x, last, n // 2 + 1)
    if n > 2:  # the other points are the conjugates of those before the middle, in reverse
        begins = [n - n // 2 - 1 if i == last else 0 for i in range(len(x.shape))]
        lengths = [n - n // 2 - 1 if i == last else d for i, d in enumerate(x.shape)]
        strides = [-1 if i == last else 1 for i in range(len(x.shape))]
        mirrored = layer.emit("Slice", [x], begins=tuple(begins), strides=tuple(strides), lengths=tuple(lengths))
        mirrored = layer.emit("Binary", [mirrored, layer.value(np.array([1, -1], np.float32), "conjugate")], op="mul")
        x = layer.emit("Concat", [x, mirrored], axis=last)
    x = layer.emit("DFT", [x], axis=last, inverse=1)
    real, _ = layer.emit_many("Split", [x], axis=len(x.shape) - 1, lengths=(1, 1))
    return layer.emit("Reshape", [real], shape=x.shape[:-1])


@opset("ISTFT")
def istft_layer(layer: Layer) -> None:
    """[.., points, frames, 2] to [.., length]: frames times the window, added where they overlap, over the squares of the windows."""
    x, window = layer.float_input(0), layer.float_input(1)
    (size,), (step,) = layer.const_ints(2), layer.const_ints(3)
    fits = len(x.shape) in (3, 4) and x.shape[-1] == 2 and len(window.shape) == 1 and step >= 1
    if not fits or not 1 <= window.shape[0] <= size or x.shape[-3] != size // 2 + 1 or not x.shape[-2]:
        raise layer.fail(f"points {list(x.shape)}, window {list(window.shape)}, frame size {size} and step {step} do not fit each other")
    before = (size - window.shape[0]) // 2
    pads = {"pads_begin": (before,), "pads_end": (size - window.shape[0] - before,)}
    window = layer.emit("Pad", [window], **pads, mode="constant", value=0.0)
    rank, count = len(x.shape) - 1, x.shape[-2]
    points = layer.emit("Transpose", [x], order=(*range(rank - 2), rank - 1, rank - 2, rank))
    frames = _back_to_real(layer, points, rank - 1, size)
    if layer.bool("normalized"):
        frames = layer.emit("Binary", [frames, layer.scalar(math.sqrt(size))], op="mul")
    frames = layer.emit("Binary", [frames, window], op="mul")
    squares = layer.emit("Broadcast", [layer.emit("Unary", [window], op="square")], shape=(count, size))
    total, weight = (_added(layer, v, count, size, step) for v in (frames, squares))
    some = layer.emit("Binary", [weight, layer.scalar(0.0)], op="not_equal")
    y = layer.emit("Binary", [total, layer.emit("Select", [some, weight, layer.scalar(1.0)])], op="div")
    begin = size // 2 if layer.bool("center") else 0
    length = layer.const_ints(4)[0] if layer.has_input(4) else y.shape[-1] - 2 * begin
    if length < 1:
        raise layer.fail(f"the signal would have {length} elements")
    cut = layer.emit("Slice", [y], **_last_part(y.shape, begin, min(y.shape[-1] - begin, length)))
    layer.set_output(0, _resized(layer, cut, len(y.shape) - 1, length))


def _last_part(shape: Sequence[int], begin: int, length: int) -> dict[str, tuple[int, ...]]:
    """Attributes of a Slice along the last axis."""
    return {"begins": (*(0 for _ in shape[1:]), begin), "strides": (1,) * len(shape), "lengths": (*shape[:-1], length)}


def _added(layer: Layer, frames: Value, count: int, size: int, step: int) -> Value:
    """Frames [.., count, size], each ``step`` behind the one before it, summed: [.., (count - 1) * step + size]."""
    length, most = (count - 1) * step + size, -(-size // step)
    last = np.minimum(np.arange(length) // step, count - 1)[:, None]  # the last frame that reaches each place
    frame = last - np.arange(most)
    inside = np.arange(length)[:, None] - frame * step
    valid = (frame >= 0) & (inside < size)
    places = np.where(valid, frame * size + inside, 0)
    rank = len(frames.shape) - 2
    flat = layer.reshape(frames, (*frames.shape[:-2], count * size))
    parts = layer.emit("Gather", [flat, layer.value(places, "places")], axis=rank, batch_dims=0, wrap=0)
    parts = layer.emit("Binary", [parts, layer.value(valid.astype(np.float32), "valid")], op="mul")
    return layer.emit("Reduce", [parts], op="sum", axes=(rank + 1,), keep_dims=0)
