# SPDX-License-Identifier: Apache-2.0
"""Kinds ROIPooling and PSROIPooling: a grid of bins over each region of a feature map. Rules: IR 6.6, 6.7."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model.ops.attrs import array, expect_dtype, integer, number, optional, tensor, text
from ie_ctypes.model.ops.registry import Attrs, kind, legacy, opset
from ie_ctypes.model.program import TensorType

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer


def _regions(attrs: Attrs, types: Sequence[TensorType | None]) -> tuple[TensorType, int]:
    """The feature map's type and the number of regions."""
    expect_dtype(types, ("float32",))
    x, rois = tensor(types, 0), tensor(types, 1)
    if len(x.shape) != 4 or 0 in x.shape:
        raise ValueError(f"input 0 has shape {list(x.shape)}, expected [N, C, H, W] without zeros")
    if len(rois.shape) < 2 or rois.size != rois.shape[0] * 5:
        raise ValueError(f"the regions have shape {list(rois.shape)}, expected [R, 5]")
    return x, rois.shape[0]


def _positive(attrs: Attrs, *names: str) -> None:
    for name in names:
        if integer(attrs, name) < 1:
            raise ValueError(f"{name} is {integer(attrs, name)}, expected at least 1")


def _roi_pooling_type(attrs: Attrs, types: Sequence[TensorType | None]) -> list[TensorType]:
    x, count = _regions(attrs, types)
    _positive(attrs, "pooled_h", "pooled_w")
    text(attrs, "method", ("max", "bilinear"))
    return [TensorType("float32", (count, x.shape[1], integer(attrs, "pooled_h"), integer(attrs, "pooled_w")))]


def _image(x: np.ndarray, number: np.float32) -> np.ndarray:
    """The feature map [C, H, W] of a region's image; an image that does not exist has no features."""
    return np.asarray(x[int(number)]) if 0 <= number < len(x) else np.zeros(x.shape[1:], x.dtype)


def _half_away(v: np.ndarray) -> np.ndarray:
    return np.asarray(np.trunc(v + np.copysign(np.float32(0.5), v)))


def _listed(rois: np.ndarray) -> np.ndarray:
    """The regions [R, 5] before the one with image -1, which ends the list."""
    rois = rois.reshape(-1, 5)
    ends = np.flatnonzero(rois[:, 0] == -1)
    return np.asarray(rois[: ends[0]] if ends.size else rois)


def bilinear(x: np.ndarray, at_y: np.ndarray, at_x: np.ndarray) -> np.ndarray:
    """Values [C, K] of a map [C, H, W] at K points inside it."""
    h, w = x.shape[1:]
    top, left = np.floor(at_y).astype(int), np.floor(at_x).astype(int)
    bottom, right = np.minimum(np.ceil(at_y).astype(int), h - 1), np.minimum(np.ceil(at_x).astype(int), w - 1)
    dy, dx = (at_y - top).astype(np.float32), (at_x - left).astype(np.float32)
    upper = x[:, top, left] + (x[:, top, right] - x[:, top, left]) * dx
    lower = x[:, bottom, left] + (x[:, bottom, right] - x[:, bottom, left]) * dx
    return np.asarray(upper + (lower - upper) * dy)


def _max_bins(x: np.ndarray, corners: np.ndarray, bins: tuple[int, int]) -> np.ndarray:
    """Maximum [C, ph, pw] of each bin of a region of whole pixels."""
    x0, y0, x1, y1 = (int(v) for v in corners)
    out = np.zeros((x.shape[0], *bins), np.float32)
    height, width = max(y1 - y0 + 1, 1), max(x1 - x0 + 1, 1)
    for i in range(bins[0]):
        top = y0 + i * height // bins[0]
        bottom = y0 - (-(i + 1) * height // bins[0])
        rows = slice(max(top, 0), min(max(bottom, 0), x.shape[1]))
        for j in range(bins[1]):
            left = x0 + j * width // bins[1]
            right = x0 - (-(j + 1) * width // bins[1])
            window = x[:, rows, max(left, 0) : min(max(right, 0), x.shape[2])]
            if window.size:
                out[:, i, j] = window.max((1, 2))
    return out


def _points(start: np.float32, end: np.float32, count: int, size: int) -> np.ndarray:
    """``count`` points from start to end, which are parts of a map of that size; one point lies in the middle."""
    if count == 1:
        return np.array([(start + end) * np.float32(size - 1) * np.float32(0.5)], np.float32)
    step = (end - start) * np.float32(size - 1) / np.float32(count - 1)
    return np.asarray(np.arange(count, dtype=np.float32) * step + start * np.float32(size - 1))


def _sample_grid(x: np.ndarray, at_y: np.ndarray, at_x: np.ndarray) -> np.ndarray:
    """Values [C, Y, X] at a grid of points; 0 outside the map."""
    ys, xs = (v.ravel() for v in np.meshgrid(at_y, at_x, indexing="ij"))
    inside = (ys >= 0) & (ys <= x.shape[1] - 1) & (xs >= 0) & (xs <= x.shape[2] - 1)
    out = np.zeros((x.shape[0], len(ys)), np.float32)
    out[:, inside] = bilinear(x, ys[inside], xs[inside])
    return out.reshape(x.shape[0], len(at_y), len(at_x))


@kind("ROIPooling", _roi_pooling_type)
def roi_pooling(attrs: Attrs, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """``max``: corners are pixels times the scale; ``bilinear``: corners are parts of the map. Regions after image -1 give 0."""
    x, rois = array(arrays, 0), array(arrays, 1)
    bins = (integer(attrs, "pooled_h"), integer(attrs, "pooled_w"))
    out = np.zeros((rois.shape[0], x.shape[1], *bins), np.float32)
    for r, (image, *corners) in enumerate(_listed(rois)):
        source = _image(x, image)
        if text(attrs, "method") == "max":
            scaled = np.array(corners, np.float32) * np.float32(number(attrs, "spatial_scale"))
            limit = np.float32(2**24)  # beyond any map, and far from overflow
            out[r] = _max_bins(source, _half_away(np.nan_to_num(scaled, posinf=limit, neginf=-limit).clip(-limit, limit)), bins)
        else:
            x0, y0, x1, y1 = corners
            out[r] = _sample_grid(source, _points(y0, y1, bins[0], x.shape[2]), _points(x0, x1, bins[1], x.shape[3]))
    return [out]


def _ps_type(attrs: Attrs, types: Sequence[TensorType | None]) -> list[TensorType]:
    x, count = _regions(attrs, types)
    mode = text(attrs, "mode", ("average", "bilinear", "bilinear_deformable"))
    _positive(attrs, "output_dim", "group_size", "spatial_bins_x", "spatial_bins_y", "part_size")
    group, dim = integer(attrs, "group_size"), integer(attrs, "output_dim")
    parts = integer(attrs, "spatial_bins_x") * integer(attrs, "spatial_bins_y") if mode == "bilinear" else group * group
    if x.shape[1] != dim * parts:
        raise ValueError(f"input 0 has {x.shape[1]} channels, expected {dim * parts} for output_dim {dim} and {parts} parts of a region")
    trans = types[2] if len(types) > 2 else None
    part = integer(attrs, "part_size")
    if trans is not None:
        shape = trans.shape
        if mode != "bilinear_deformable" or len(shape) != 4 or shape[0] != count or shape[1] % 2 or shape[2:] != (part, part):
            raise ValueError(
                f"the offsets of mode {mode} are {list(shape)}, expected [{count}, 2*K, {part}, {part}] and bilinear_deformable"
            )
        if shape[1] < 2 or dim % (shape[1] // 2):
            raise ValueError(f"the offsets are for {shape[1] // 2} classes, expected a divisor of output_dim {dim}")
    return [TensorType("float32", (count, dim, group, group))]


def _average_bins(attrs: Attrs, x: np.ndarray, corners: np.ndarray) -> np.ndarray:
    group, scale = integer(attrs, "group_size"), np.float32(number(attrs, "spatial_scale"))
    x = x.reshape(-1, group, group, *x.shape[1:])
    out = np.zeros(x.shape[:3], np.float32)
    start, end = _half_away(corners[:2]) * scale, (_half_away(corners[2:]) + np.float32(1)) * scale
    step = np.maximum(end - start, np.float32(0.1)) / np.float32(group)
    limit = np.array(x.shape[:2:-1])
    for i in range(group):
        for j in range(group):
            at = np.array([j, i], np.float32)
            low = np.clip(np.floor(at * step + start), 0, limit).astype(int)
            high = np.clip(np.ceil((at + np.float32(1)) * step + start), 0, limit).astype(int)
            window = x[:, i, j, low[1] : high[1], low[0] : high[0]]
            if window.size:
                out[:, i, j] = window.mean((1, 2), dtype=np.float64)
    return out


def _bilinear_bins(attrs: Attrs, x: np.ndarray, corners: np.ndarray) -> np.ndarray:
    group, dim = integer(attrs, "group_size"), integer(attrs, "output_dim")
    bins_x, bins_y = integer(attrs, "spatial_bins_x"), integer(attrs, "spatial_bins_y")
    start = corners[:2] * np.float32(number(attrs, "spatial_scale"))
    step = (corners[2:] * np.float32(number(attrs, "spatial_scale")) - start) / np.array([bins_x, bins_y], np.float32)
    out = np.zeros((dim, group, group), np.float32)
    for i in range(bins_y):
        for j in range(bins_x):
            low = start + np.array([j, i], np.float32) * step
            high = low + step
            at_y, at_x = (_points(low[k], high[k], group, x.shape[2 - k]) for k in (1, 0))
            out += _sample_grid(x[(i * bins_x + j) * dim :][:dim], at_y, at_x)
    return np.asarray(out / np.float32(bins_x * bins_y))


def _deformable_bins(attrs: Attrs, x: np.ndarray, corners: np.ndarray, trans: np.ndarray | None) -> np.ndarray:
    """Each bin is shifted by its offset. In the legacy layer the number of samples of one axis divides the bin of the other."""
    group, dim, part = integer(attrs, "group_size"), integer(attrs, "output_dim"), integer(attrs, "part_size")
    samples = (integer(attrs, "spatial_bins_x"), integer(attrs, "spatial_bins_y"))
    scale, half = np.float32(number(attrs, "spatial_scale")), np.float32(0.5)
    start, end = _half_away(corners[:2]) * scale - half, (_half_away(corners[2:]) + np.float32(1)) * scale - half
    size = np.maximum(end - start, np.float32(0.1))
    step = size / np.float32(group)
    sub = step / np.array(samples[::-1] if integer(attrs, "crossed_steps") else samples, np.float32)
    limit = np.array(x.shape[:0:-1], np.float32)
    x = x.reshape(dim, group, group, *x.shape[1:])
    classes = 1 if trans is None else trans.shape[0] // 2
    each = dim // classes
    out = np.zeros((dim, group, group), np.float32)
    for i in range(group):
        for j in range(group):
            for k in range(classes):
                shift = np.zeros(2, np.float32)
                if trans is not None:
                    shift = trans[2 * k : 2 * k + 2, i * part // group, j * part // group] * np.float32(number(attrs, "trans_std"))
                at = np.array([j, i], np.float32) * step + start + shift * size
                xs = at[0] + np.arange(samples[0], dtype=np.float32) * sub[0]
                ys = at[1] + np.arange(samples[1], dtype=np.float32) * sub[1]
                xs = xs[(xs >= -half) & (xs <= limit[0] - half)].clip(0, limit[0] - 1)
                ys = ys[(ys >= -half) & (ys <= limit[1] - half)].clip(0, limit[1] - 1)
                if xs.size and ys.size:
                    out[k * each : (k + 1) * each, i, j] = _sample_grid(x[k * each : (k + 1) * each, i, j], ys, xs).mean((1, 2))
    return out


@kind("PSROIPooling", _ps_type)
def ps_roi_pooling(attrs: Attrs, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """Each bin of a region has channels of its own. Regions after image -1 give 0."""
    x, rois, trans = array(arrays, 0), array(arrays, 1), optional(arrays, 2)
    group = integer(attrs, "group_size")
    out = np.zeros((rois.shape[0], integer(attrs, "output_dim"), group, group), np.float32)
    for r, region in enumerate(_listed(rois)):
        source, corners, mode = _image(x, region[0]), region[1:], text(attrs, "mode")
        if mode == "average":
            out[r] = _average_bins(attrs, source, corners)
        elif mode == "bilinear":
            out[r] = _bilinear_bins(attrs, source, corners)
        else:
            out[r] = _deformable_bins(attrs, source, corners, None if trans is None else trans[r])
    return [out]


@legacy("ROIPooling")
@opset("ROIPooling")
def translate_roi_pooling(layer: Layer) -> None:
    """Old files give the regions first."""
    x, rois = layer.float_input(0), layer.float_input(1)
    if len(x.shape) == 2 and len(rois.shape) == 4:
        x, rois = rois, x
    attrs = {"pooled_h": layer.int("pooled_h", 0), "pooled_w": layer.int("pooled_w", 0)}
    if not layer.legacy and layer.has("output_size"):
        size = layer.ints("output_size")
        if len(size) != 2:
            raise layer.fail(f"output_size is {list(size)}, expected height and width")
        attrs = {"pooled_h": size[0], "pooled_w": size[1]}
    out = layer.emit(
        "ROIPooling", [x, rois], spatial_scale=layer.float("spatial_scale"), method=layer.str("method", "max").lower(), **attrs
    )
    layer.set_output(0, out)


@legacy("PSROIPooling")
@opset("PSROIPooling", "DeformablePSROIPooling")
def translate_ps_roi_pooling(layer: Layer) -> None:
    deformable = layer.type.lower() == "deformablepsroipooling"
    mode = layer.str("mode", "bilinear_deformable" if deformable else "average").lower()
    group = layer.int("group_size", 1 if deformable or not layer.legacy else None)
    inputs = [layer.float_input(0), layer.float_input(1)]
    if mode == "bilinear_deformable" and layer.has_input(2) and not layer.bool("no_trans", not (deformable or layer.has_input(2))):
        inputs.append(layer.float_input(2))
    out = layer.emit(
        "PSROIPooling",
        inputs,
        output_dim=layer.int("output_dim"),
        group_size=group,
        spatial_scale=layer.float("spatial_scale"),
        mode=mode,
        spatial_bins_x=layer.int("spatial_bins_x", 1),
        spatial_bins_y=layer.int("spatial_bins_y", 1),
        part_size=layer.int("part_size", 1),
        trans_std=layer.float("trans_std", 1.0),
        crossed_steps=int(layer.legacy),
    )
    layer.set_output(0, out)
