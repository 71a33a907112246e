# SPDX-License-Identifier: Apache-2.0
"""Kind ROIAlignRotated: turned regions of feature maps, the mean of bilinear samples inside each bin."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model.ops.attrs import array, expect_dtype, integer, number, tensor
from ie_ctypes.model.ops.registry import Attrs, kind, opset
from ie_ctypes.model.ops.roi_align import MAX_SAMPLES
from ie_ctypes.model.program import TensorType

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer


def _type(attrs: Attrs, types: Sequence[TensorType | None]) -> list[TensorType]:
    expect_dtype(types[:2], ("float32",))
    x, rois, images = (tensor(types, i) for i in range(3))
    h, w, ratio = (integer(attrs, n) for n in ("pooled_h", "pooled_w", "sampling_ratio"))
    if len(x.shape) != 4 or 0 in x.shape:
        raise ValueError(f"input 0 has shape {list(x.shape)}, expected [N, C, H, W] without zeros")
    if len(rois.shape) != 2 or rois.shape[1] != 5 or images.shape != rois.shape[:1] or images.dtype not in ("int32", "int64"):
        raise ValueError(f"regions {list(rois.shape)} and images {images.dtype} {list(images.shape)}: expected [R, 5] and integers [R]")
    if h < 1 or w < 1 or ratio < 0:
        raise ValueError(f"pooled_h is {h}, pooled_w is {w}, sampling_ratio is {ratio}; expected at least 1, 1 and 0")
    return [TensorType("float32", (rois.shape[0], x.shape[1], h, w))]


def _bilinear(x: np.ndarray, across: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Samples [C, ...] of a map [C, H, W] at those points; 0 more than a pixel outside."""
    height, width = x.shape[1:]
    inside = (down >= -1) & (down <= height) & (across >= -1) & (across <= width)
    down, across = np.where(inside, down, 0).clip(0, height - 1), np.where(inside, across, 0).clip(0, width - 1)
    top, left = np.floor(down).astype(int), np.floor(across).astype(int)
    bottom, right = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    dy, dx = (down - top).astype(np.float32), (across - left).astype(np.float32)
    upper = x[:, top, left] * ((1 - dy) * (1 - dx)) + x[:, top, right] * ((1 - dy) * dx)
    lower = x[:, bottom, left] * (dy * (1 - dx)) + x[:, bottom, right] * (dy * dx)
    return np.asarray(np.where(inside, upper + lower, np.float32(0)))


@kind("ROIAlignRotated", _type)
def roi_align_rotated(attrs: Attrs, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """Regions are [x of the centre, y of the centre, width, height, angle in radians]; ``clockwise``: y points down as the angle grows."""
    x, rois, images = (array(arrays, i) for i in range(3))
    bins = np.array([integer(attrs, "pooled_h"), integer(attrs, "pooled_w")])
    scale, ratio = np.float32(number(attrs, "spatial_scale")), integer(attrs, "sampling_ratio")
    out = np.zeros((rois.shape[0], x.shape[1], *bins), np.float32)
    for r, region in enumerate(rois):
        centre = region[:2] * scale - np.float32(0.5)
        size = (region[3:1:-1] * scale).astype(np.float32)  # height, width
        if not 0 <= images[r] < len(x) or not np.isfinite(region).all():
            continue
        step = size / bins.astype(np.float32)
        samples = [min(ratio or math.ceil(s), MAX_SAMPLES) for s in step]
        if min(samples) < 1:
            continue
        down, across = (
            -size[i] / np.float32(2) + (np.arange(bins[i] * n, dtype=np.float32) + np.float32(0.5)) * (step[i] / np.float32(n))
            for i, n in enumerate(samples)
        )
        angle = np.float64(region[4]) * (1 if integer(attrs, "clockwise") else -1)
        sine, cosine = np.float32(np.sin(angle)), np.float32(np.cos(angle))
        found = _bilinear(
            x[images[r]],
            across * cosine - down[:, None] * sine + centre[0],
            across * sine + down[:, None] * cosine + centre[1],
        )
        out[r] = found.reshape(len(found), bins[0], samples[0], bins[1], samples[1]).mean((2, 4), dtype=np.float32)
    return [out]


@opset("ROIAlignRotated")
def translate_roi_align_rotated(layer: Layer) -> None:
    images = layer.input(2)
    out = layer.emit(
        "ROIAlignRotated",
        [layer.float_input(0), layer.float_input(1), images if images.dtype in ("int32", "int64") else layer.convert(images, "int32")],
        pooled_h=layer.int("pooled_h"),
        pooled_w=layer.int("pooled_w"),
        sampling_ratio=layer.int("sampling_ratio"),
        spatial_scale=layer.float("spatial_scale"),
        clockwise=int(layer.bool("clockwise_mode")),
    )
    layer.set_output(0, out)
