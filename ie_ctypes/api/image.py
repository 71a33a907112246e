# SPDX-License-Identifier: Apache-2.0
"""Image pre-processing with numpy: colour conversion and resizing of batches in N, C, H, W order."""

from __future__ import annotations

import numpy as np

from ie_ctypes.api.codes import ColorFormat, ResizeAlgorithm
from ie_ctypes.errors import ParameterMismatchError

_YUV = (ColorFormat.NV12, ColorFormat.I420)


def source_channels(color: ColorFormat) -> int | None:
    """Channels of a blob in that format; None: those of the network."""
    return {ColorFormat.RGBX: 4, ColorFormat.BGRX: 4, ColorFormat.NV12: 1, ColorFormat.I420: 1, ColorFormat.RGB: 3, ColorFormat.BGR: 3}.get(
        color
    )


def source_shape(color: ColorFormat, dims: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of the blob that becomes ``dims`` [N, 3, H, W]: NV12 and I420 are one plane of H * 3 / 2 rows."""
    channels = source_channels(color)
    if channels is None:
        return dims
    if len(dims) != 4 or dims[1] != 3:
        raise ParameterMismatchError(f"color format {color.name} needs an input of dims [N, 3, H, W], this one has {list(dims)}")
    n, _, h, w = dims
    if color in _YUV and (h % 2 or w % 2):
        raise ParameterMismatchError(f"color format {color.name} needs even height and width, the input has {h} x {w}")
    return (n, channels, h * 3 // 2 if color in _YUV else h, w)


def to_bgr(image: np.ndarray, color: ColorFormat) -> np.ndarray:
    """[N, C, H, W] of ``color`` as BGR [N, 3, H, W]. YUV follows ITU-R BT.601 (studio range), rounded and clipped to 0..255."""
    if color in (ColorFormat.RAW, ColorFormat.BGR):
        return image
    if color == ColorFormat.RGB:
        return image[:, ::-1]
    if color == ColorFormat.BGRX:
        return image[:, :3]
    if color == ColorFormat.RGBX:
        return image[:, 2::-1]
    n, _, rows, w = image.shape
    h = rows * 2 // 3
    luma = (image[:, 0, :h].astype(np.float32) - 16) * np.float32(1.164)
    chroma = image[:, 0, h:]
    if color == ColorFormat.NV12:
        pairs = chroma.reshape(n, h // 2, w // 2, 2)
        u, v = pairs[..., 0], pairs[..., 1]
    else:
        planes = chroma.reshape(n, 2, h // 2, w // 2)
        u, v = planes[:, 0], planes[:, 1]
    u, v = (p.astype(np.float32).repeat(2, axis=1).repeat(2, axis=2) - 128 for p in (u, v))
    b, g, r = luma + np.float32(2.018) * u, luma - np.float32(0.813) * v - np.float32(0.391) * u, luma + np.float32(1.596) * v
    return np.stack([np.clip(np.rint(p), 0, 255) for p in (b, g, r)], axis=1).astype(image.dtype)


def resize(image: np.ndarray, height: int, width: int, algorithm: ResizeAlgorithm) -> np.ndarray:
    """[N, C, H, W] at another size, in the same type (integers rounded half to even).

    ``RESIZE_BILINEAR`` samples at half-pixel centres with clamped edges; ``RESIZE_AREA`` averages the area that an output pixel
    covers. Both as OpenCV's ``INTER_LINEAR`` and, when shrinking, ``INTER_AREA``.
    """
    if image.shape[2:] == (height, width):
        return image
    step = _linear if algorithm == ResizeAlgorithm.RESIZE_BILINEAR else _area
    out = step(step(image.astype(np.float32), 2, height), 3, width)
    if np.issubdtype(image.dtype, np.integer):
        info = np.iinfo(image.dtype)
        out = np.clip(np.rint(out), info.min, info.max)
    return out.astype(image.dtype)


def _linear(x: np.ndarray, axis: int, size: int) -> np.ndarray:
    old = x.shape[axis]
    position = np.clip((np.arange(size) + 0.5) * (old / size) - 0.5, 0, old - 1)
    low = position.astype(np.intp)
    high = np.minimum(low + 1, old - 1)
    weight = (position - low).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(x.ndim)])
    first = x.take(low, axis)
    return np.asarray(first + (x.take(high, axis) - first) * weight)


def _area(x: np.ndarray, axis: int, size: int) -> np.ndarray:
    """Mean over [i * scale, (i + 1) * scale): a difference of the running sum, which is linear between pixels."""
    old = x.shape[axis]
    total = np.cumsum(x, axis=axis, dtype=np.float64)
    total = np.concatenate([np.zeros_like(total.take([0], axis)), total], axis=axis)
    edges = np.arange(size + 1) * (old / size)
    low = np.minimum(edges.astype(np.intp), old - 1)
    weight = (edges - low).reshape([-1 if a == axis else 1 for a in range(x.ndim)])
    first = total.take(low, axis)
    at_edges = first + (total.take(low + 1, axis) - first) * weight
    return np.asarray(np.diff(at_edges, axis=axis) * (size / old), dtype=np.float32)
