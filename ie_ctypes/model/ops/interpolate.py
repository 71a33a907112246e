# SPDX-License-Identifier: Apache-2.0
"""Kind Interpolate: resizing by nearest, linear, cubic and Pillow filters, one axis after the other."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ie_ctypes.model.ops.attrs import array, check_axis, integer, integers, number, numbers, tensor, text
from ie_ctypes.model.ops.registry import Attrs, kind
from ie_ctypes.model.program import TensorType

MODES = ("nearest", "linear", "linear_onnx", "cubic", "bilinear_pillow", "bicubic_pillow")
COORDINATES = ("half_pixel", "pytorch_half_pixel", "asymmetric", "tf_half_pixel_for_nn", "align_corners")
NEAREST = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil", "simple")

#: input positions and weights of the taps of each output position: two arrays [outputs, taps]
Taps = tuple[np.ndarray, np.ndarray]


def _interpolate_type(attrs: Attrs, types: Sequence[TensorType | None]) -> list[TensorType]:
    x = tensor(types, 0)
    axes, sizes, scales = integers(attrs, "axes"), integers(attrs, "sizes"), numbers(attrs, "scales")
    mode = text(attrs, "mode", MODES)
    text(attrs, "coordinates", COORDINATES)
    text(attrs, "nearest", NEAREST)
    if mode != "nearest" and x.dtype != "float32":
        raise ValueError(f"the input is {x.dtype}, mode {mode} needs float32")
    if not len(axes) == len(sizes) == len(scales) or len(set(axes)) != len(axes):
        raise ValueError(f"axes {list(axes)}, sizes {list(sizes)} and scales {list(scales)} do not fit")
    shape = list(x.shape)
    for axis, size, scale in zip(axes, sizes, scales, strict=True):
        check_axis(axis, len(x.shape))
        if size < 1 or shape[axis] < 1 or not (scale > 0 and math.isfinite(scale)):
            raise ValueError(f"axis {axis} of size {shape[axis]} cannot be resized to {size} with scale {scale}")
        shape[axis] = size
    return [TensorType(x.dtype, tuple(shape))]


def source_positions(size: int, out: int, scale: float, coordinates: str) -> np.ndarray:
    """Position in the input, in single precision as the original has it, of each output position of one axis."""
    o, s, half = np.arange(out, dtype=np.float32), np.float32(scale), np.float32(0.5)
    if coordinates == "asymmetric":
        position = o / s
    elif coordinates == "tf_half_pixel_for_nn":
        position = (o + half) / s
    elif coordinates == "align_corners":
        position = o * np.float32(size - 1) / np.float32(out - 1) if out > 1 else np.zeros_like(o)
    elif coordinates == "pytorch_half_pixel" and out == 1:
        position = np.zeros_like(o)
    else:
        position = (o + half) / s - half
    return np.asarray(position, np.float32)


def _nearest_taps(position: np.ndarray, size: int, scale: float, rounding: str) -> np.ndarray:
    if rounding == "round_prefer_floor":
        index = np.ceil(position - np.float32(0.5))
    elif rounding == "round_prefer_ceil":
        index = np.floor(position + np.float32(0.5))
    elif rounding == "simple":
        index = np.ceil(position) if scale < 1 else np.trunc(position)
    else:
        index = np.floor(position) if rounding == "floor" else np.ceil(position)
    return np.asarray(index.clip(0, size - 1), np.int64)


def _linear_onnx_taps(position: np.ndarray, size: int) -> Taps:
    """Two neighbours of the position clamped into the input."""
    position = position.clip(0, size - 1)
    low = np.floor(position).astype(np.int64)
    high = (position - low).astype(np.float32)
    return np.stack([low, np.minimum(low + 1, size - 1)], 1), np.stack([1 - high, high], 1)


def _cubic_taps(position: np.ndarray, size: int, a: float) -> Taps:
    """Keys' four taps; positions outside repeat the border."""
    low = np.floor(position)
    t = (position - low).astype(np.float64)
    weights = [
        a * (t - 1) ** 2 * t,
        ((a + 2) * t - (a + 3)) * t**2 + 1,
        ((-a - 2) * t + (2 * a + 3)) * t**2 - a * t,
        -a * t**2 * (t - 1),
    ]
    index = low.astype(np.int64)[:, None] + np.arange(-1, 3)
    return index.clip(0, size - 1), np.stack(weights, 1)


def _normalised(index: np.ndarray, weights: np.ndarray, size: int) -> Taps:
    """Taps outside the input dropped, the rest scaled to the sum 1 (0 when nothing is left)."""
    weights = np.where((index >= 0) & (index < size), weights, 0.0)
    total = weights.sum(1, keepdims=True)
    return index.clip(0, size - 1), np.divide(weights, total, out=np.zeros_like(weights), where=total != 0)


def _linear_taps(position: np.ndarray, size: int, scale: float, antialias: bool) -> Taps:
    """Triangle window around the rounded position, widened when antialiasing."""
    a = np.float32(scale if antialias else 1.0)
    radius = 2 if scale > 1 else math.ceil(2 / float(a))
    centre = np.where(position < 0, np.ceil(position - 0.5), np.floor(position + 0.5)).astype(np.int64)
    index = centre[:, None] + np.arange(-radius, radius + 1)
    distance = position[:, None] - index.astype(np.float32)
    return _normalised(index, np.maximum(0.0, 1.0 - np.abs(float(a) * distance.astype(np.float64))), size)


def _pillow_taps(size: int, out: int, scale: float, cubic: bool, a: float) -> Taps:
    """Pillow's resampling window: the filter is stretched when the output is smaller."""
    ratio = 1 / scale
    stretch = max(ratio, 1.0)
    support = (2.0 if cubic else 1.0) * stretch
    centre = (np.arange(out) + 0.5) * ratio
    first = np.trunc(centre - support + 0.5).clip(0).astype(np.int64)
    last = np.trunc(centre + support + 0.5).clip(None, size).astype(np.int64)
    index = first[:, None] + np.arange(int((last - first).max(initial=1)))
    d = np.abs((index - centre[:, None] + 0.5) / stretch)
    if cubic:
        near, far = ((a + 2) * d - (a + 3)) * d * d + 1, (((d - 5) * d + 8) * d - 4) * a
        weights = np.where(d < 1, near, np.where(d < 2, far, 0.0))
    else:
        weights = np.maximum(0.0, 1.0 - d)
    return _normalised(index, np.where(index < last[:, None], weights, 0.0), size)


def _apply(x: np.ndarray, axis: int, taps: Taps) -> np.ndarray:
    index, weights = taps
    weights = weights.astype(np.float32)
    across = (-1, *(1,) * (x.ndim - axis - 1))
    out = np.zeros((*x.shape[:axis], len(index), *x.shape[axis + 1 :]), np.float32)
    for k in range(index.shape[1]):
        if weights[:, k].any():
            weight = weights[:, k].reshape(across)
            out += np.where(weight == 0, np.float32(0), x.take(index[:, k], axis) * weight)  # what has no weight may be infinite
    return out


@kind("Interpolate", _interpolate_type)
def interpolate(attrs: Attrs, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """Resized input. All filters are products of one-dimensional ones, so the axes are done in turn. Formulas: IR 10.6."""
    x = array(arrays, 0)
    mode, coordinates = text(attrs, "mode"), text(attrs, "coordinates")
    axes, sizes, scales = integers(attrs, "axes"), integers(attrs, "sizes"), numbers(attrs, "scales")
    antialias = bool(integer(attrs, "antialias")) and min(scales, default=1.0) < 1
    for axis, out, scale in zip(axes, sizes, scales, strict=True):
        size = x.shape[axis]
        if out == size and scale == 1 and coordinates != "tf_half_pixel_for_nn":
            continue
        position = source_positions(size, out, scale, coordinates)
        if mode == "nearest":
            x = x.take(_nearest_taps(position, size, scale, text(attrs, "nearest")), axis)
        elif mode == "linear_onnx":
            x = _apply(x, axis, _linear_onnx_taps(position, size))
        elif mode == "cubic":
            x = _apply(x, axis, _cubic_taps(position, size, number(attrs, "cube_coeff")))
        elif mode == "linear":
            x = _apply(x, axis, _linear_taps(position, size, scale, antialias))
        else:
            x = _apply(x, axis, _pillow_taps(size, out, scale, mode == "bicubic_pillow", number(attrs, "cube_coeff")))
    return [x]
