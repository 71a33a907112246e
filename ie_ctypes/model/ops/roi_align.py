# SPDX-License-Identifier: Apache-2.0
"""Kinds ROIAlign and ROIFeatureExtractor: regions of feature maps sampled bilinearly at points inside each bin. Rules: IR 7, 10.7."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model.ops.attrs import array, expect_dtype, integer, integers, number, tensor, text
from ie_ctypes.model.ops.registry import Attrs, kind, legacy, opset
from ie_ctypes.model.program import TensorType

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer

ALIGNED = ("asymmetric", "half_pixel_for_nn", "half_pixel")
MAX_SAMPLES = 1 << 10  # on an axis of a bin: regions of broken numbers take no minutes


def _align_type(attrs: Attrs, types: Sequence[TensorType | None]) -> list[TensorType]:
    expect_dtype(types[:2], ("float32",))
    x, rois, images = (tensor(types, i) for i in range(3))
    h, w = integer(attrs, "pooled_h"), integer(attrs, "pooled_w")
    if len(x.shape) != 4 or 0 in x.shape:
        raise ValueError(f"input 0 has shape {list(x.shape)}, expected [N, C, H, W] without zeros")
    if len(rois.shape) != 2 or rois.shape[1] != 4 or images.shape != rois.shape[:1] or images.dtype not in ("int32", "int64"):
        raise ValueError(f"regions {list(rois.shape)} and images {images.dtype} {list(images.shape)}: expected [R, 4] and integers [R]")
    if h < 1 or w < 1 or integer(attrs, "sampling_ratio") < 0:
        raise ValueError(
            f"pooled_h is {h}, pooled_w is {w}, sampling_ratio is {integer(attrs, 'sampling_ratio')}; expected at least 1, 1 and 0"
        )
    text(attrs, "mode", ("avg", "max"))
    text(attrs, "aligned_mode", ALIGNED)
    return [TensorType("float32", (rois.shape[0], x.shape[1], h, w))]


def _axis(start: np.float32, bin_size: np.float32, bins: int, samples: int, size: int) -> tuple[np.ndarray, ...]:
    """Lower and upper pixel, fraction, and whether the point counts, of all samples [bins, samples] on an axis."""
    step = bin_size / np.float32(max(samples, 1))
    at = start + np.arange(bins, dtype=np.float32)[:, None] * bin_size + (np.arange(samples, dtype=np.float32) + np.float32(0.5)) * step
    counts = (at >= -1) & (at <= size)
    at = np.where(counts, at, np.float32(0)).clip(0, size - 1)
    low = np.floor(at).astype(int)
    return low, np.minimum(low + 1, size - 1), (at - low).astype(np.float32), counts


def align(x: np.ndarray, start: np.ndarray, size: np.ndarray, bins: tuple[int, int], ratio: int, mode: str = "avg") -> np.ndarray:
    """Bins [C, ph, pw] of one region of a map [C, H, W]; ``start`` and ``size`` are (x, y). A bin without samples is 0."""
    out = np.zeros((x.shape[0], *bins), np.float32)
    steps = size / np.array(bins[::-1], np.float32)
    samples = [min(ratio or math.ceil(s) if np.isfinite(s) else 0, MAX_SAMPLES) for s in steps]
    if min(samples) < 1:
        return out
    left, right, dx, in_x = _axis(start[0], steps[0], bins[1], samples[0], x.shape[2])
    top, bottom, dy, in_y = _axis(start[1], steps[1], bins[0], samples[1], x.shape[1])
    one = np.float32(1)
    for i in range(bins[0]):
        for j in range(bins[1]):
            parts = []
            for rows, wy in ((top[i], one - dy[i]), (bottom[i], dy[i])):
                for columns, wx in ((left[j], one - dx[j]), (right[j], dx[j])):
                    parts.append(x[:, rows[:, None], columns] * (wy[:, None] * wx))
            value = np.where(in_y[i][:, None] & in_x[j], parts[0] + parts[1] + parts[2] + parts[3], np.float32(0))
            if mode == "avg":
                out[:, i, j] = value.sum((1, 2)) / np.float32(samples[0] * samples[1])
            else:
                out[:, i, j] = value.max((1, 2)).clip(0)
    return out


@kind("ROIAlign", _align_type)
def roi_align(attrs: Attrs, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """Regions are [x0, y0, x1, y1]. ``max`` never falls below 0, as in the original."""
    x, rois, images = (array(arrays, i) for i in range(3))
    bins, aligned = (integer(attrs, "pooled_h"), integer(attrs, "pooled_w")), text(attrs, "aligned_mode")
    scale = np.float32(number(attrs, "spatial_scale"))
    before = np.float32(0.5 if aligned == "half_pixel" else 0)
    after = np.float32(0 if aligned == "asymmetric" else 0.5)
    out = np.zeros((rois.shape[0], x.shape[1], *bins), np.float32)
    for r, region in enumerate(rois):
        if not 0 <= images[r] < len(x):
            continue
        corners = (region + before) * scale - after
        size = corners[2:] - corners[:2]
        if aligned == "asymmetric":
            size = np.maximum(size, np.float32(1))
        out[r] = align(x[images[r]], corners[:2], size, bins, integer(attrs, "sampling_ratio"), text(attrs, "mode"))
    return [out]


def _extractor_type(attrs: Attrs, types: Sequence[TensorType | None]) -> list[TensorType]:
    expect_dtype(types, ("float32",))
    rois, maps = tensor(types, 0), [tensor(types, i) for i in range(1, len(types))]
    scales, size = integers(attrs, "pyramid_scales"), integer(attrs, "output_size")
    if len(rois.shape) != 2 or rois.shape[1] != 4:
        raise ValueError(f"the regions have shape {list(rois.shape)}, expected [R, 4]")
    if not maps or len(scales) < len(maps) or min(scales) < 1:
        raise ValueError(
            f"pyramid_scales are {list(scales)}, expected one or more positive numbers, one for each of {len(maps)} feature maps"
        )
    for t in maps:
        if len(t.shape) != 4 or t.shape[0] != 1 or 0 in t.shape or t.shape[1] != maps[0].shape[1]:
            raise ValueError(f"a feature map has shape {list(t.shape)}, expected [1, C, H, W] with one C for all")
    if size < 1 or integer(attrs, "sampling_ratio") < 0:
        raise ValueError(f"output_size is {size}, sampling_ratio is {integer(attrs, 'sampling_ratio')}; expected at least 1 and 0")
    return [TensorType("float32", (rois.shape[0], maps[0].shape[1], size, size))]


@kind("ROIFeatureExtractor", _extractor_type)
def roi_feature_extractor(attrs: Attrs, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """The level of a region goes by the root of its area: 224 pixels are level 2. A region without area has no features."""
    rois, maps = array(arrays, 0), [array(arrays, i) for i in range(1, len(arrays))]
    size, aligned = integer(attrs, "output_size"), bool(integer(attrs, "aligned"))
    out = np.zeros((rois.shape[0], maps[0].shape[1], size, size), np.float32)
    for r, region in enumerate(rois):
        width, height = region[2:] - region[:2]
        area = np.sqrt(np.float32(width * height)) if width * height > 0 else np.float32(0)
        if not area > 0 or not np.isfinite(area):
            continue
        level = math.floor(np.float32(2) + np.log2(area / np.float32(224) + np.float32(1e-6)))
        level = min(max(level, 0), len(maps) - 1)
        scale = np.float32(1) / np.float32(integers(attrs, "pyramid_scales")[level])
        corners = region * scale - np.float32(0.5 if aligned else 0)
        extent = corners[2:] - corners[:2]
        if not aligned:
            extent = np.maximum(extent, np.float32(1))
        out[r] = align(maps[level][0], corners[:2], extent, (size, size), integer(attrs, "sampling_ratio"))
    return [out]


@opset("ROIAlign")
def translate_roi_align(layer: Layer) -> None:
    images = layer.input(2)
    out = layer.emit(
        "ROIAlign",
        [layer.float_input(0), layer.float_input(1), images if images.dtype in ("int32", "int64") else layer.convert(images, "int32")],
        pooled_h=layer.int("pooled_h"),
        pooled_w=layer.int("pooled_w"),
        sampling_ratio=layer.int("sampling_ratio"),
        spatial_scale=layer.float("spatial_scale"),
        mode=layer.str("mode").lower(),
        aligned_mode=layer.str("aligned_mode", "asymmetric").lower(),
    )
    layer.set_output(0, out)


@legacy("ExperimentalDetectronROIFeatureExtractor")
@opset("ExperimentalDetectronROIFeatureExtractor")
def translate_roi_feature_extractor(layer: Layer) -> None:
    """The second output is the regions themselves."""
    rois = layer.float_input(0)
    out = layer.emit(
        "ROIFeatureExtractor",
        [rois, *(layer.float_input(i) for i in range(1, len(layer.inputs)))],
        output_size=layer.int("output_size"),
        sampling_ratio=layer.int("sampling_ratio"),
        pyramid_scales=layer.ints("pyramid_scales"),
        aligned=int(layer.bool("aligned", False)),
    )
    layer.set_output(0, out)
    if len(layer.node.outputs) > 1:
        layer.set_output(1, layer.emit("Reshape", [rois], shape=rois.shape))
