# SPDX-License-Identifier: Apache-2.0
"""The resize layers: Resample, Interp, Upsampling, Interpolate-1, -4 and -11, all as Interpolate nodes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ie_ctypes.model.ops.interpolate import COORDINATES, MODES, NEAREST
from ie_ctypes.model.ops.registry import legacy, opset

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer, Value

# The original adds it before rounding a scaled size down.
_SIZE_EPSILON = 1e-6

# Pillow's own; the original takes it whatever the file's cube_coeff is.
_PILLOW_COEFFICIENT = -0.5


def _emit(
    layer: Layer,
    x: Value,
    axes: Sequence[int],
    sizes: Sequence[int],
    mode: str,
    coordinates: str,
    *,
    scales: Sequence[float] = (),
    nearest: str = "round_prefer_floor",
    antialias: bool = False,
    cube_coeff: float = -0.75,
) -> None:
    """The Interpolate node. Types other than float32 are interpolated in it, except that nearest only copies."""
    dtype = x.dtype
    work = x if mode == "nearest" else layer.convert(x, "float32")
    out = layer.emit(
        "Interpolate",
        [work],
        axes=tuple(axes),
        sizes=tuple(sizes),
        scales=tuple(scales) or tuple(s / x.shape[a] if x.shape[a] else 0.0 for a, s in zip(axes, sizes, strict=True)),
        mode=mode,
        coordinates=coordinates,
        nearest=nearest,
        antialias=int(antialias),
        cube_coeff=cube_coeff,
    )
    layer.set_output(0, layer.convert(out, dtype))


def _spatial_axes(layer: Layer, x: Value) -> range:
    if len(x.shape) < 3:
        raise layer.fail(f"the input has {len(x.shape)} axes, expected at least 3")
    return range(2, len(x.shape))


@legacy("Resample")
def resample(layer: Layer) -> None:
    """Output size: second input, ``height``/``width``, else ``factor``."""
    x = layer.input(0)
    axes = _spatial_axes(layer, x)
    if layer.has_input(1):
        given = layer.const_ints(1)
        sizes = given[2:] if len(given) == len(x.shape) else given
    elif layer.int("height", 0) and layer.int("width", 0):
        sizes = [*x.shape[2:-2], layer.int("height"), layer.int("width")]
    else:
        factor = layer.float("factor", 1.0)
        sizes = [math.ceil(x.shape[a] * factor - 1e-5) for a in axes]
    if len(sizes) != len(axes):
        raise layer.fail(f"there are {len(sizes)} target sizes, expected {len(axes)}")
    kind = layer.str("type").rpartition(".")[2].upper()
    if kind not in ("NEAREST", "LINEAR", "CUBIC"):
        raise layer.fail(f"attribute 'type' is {layer.str('type')!r}, expected caffe.ResampleParameter.NEAREST, LINEAR or CUBIC")
    antialias = layer.bool("antialias", False)
    _emit(layer, x, axes, sizes, kind.lower(), "half_pixel", nearest="round_prefer_ceil", antialias=antialias)


def _interp_sizes(layer: Layer, x: Value) -> list[int]:
    if layer.has_input(1):
        given = layer.const_ints(1)
        return given[2:] if len(given) == len(x.shape) else given
    sizes = [0, 0]
    if layer.has("factor", "shrink_factor", "zoom_factor"):
        zoom, shrink = layer.float("zoom_factor", 0.0), layer.float("shrink_factor", 0.0)
        ratio = (zoom or 1.0) / (shrink or 1.0) if zoom or shrink else layer.float("factor", 0.0)
        sizes = [int(d * ratio) for d in x.shape[2:]]
    given = [layer.int("height", 0), layer.int("width", 0)]
    sizes = [g or s for g, s in zip(given, sizes, strict=True)]
    return sizes if all(sizes) else list(layer.node.outputs[0].shape[2:])


@legacy("Interp")
def interp(layer: Layer) -> None:
    """Bilinear over corners (default) or without a half pixel offset, on an input cropped by negative pads."""
    x = layer.input(0)
    if len(x.shape) != 4:
        raise layer.fail(f"the input has {len(x.shape)} axes, expected 4")
    sizes = _interp_sizes(layer, x)
    if len(sizes) != 2:
        raise layer.fail(f"there are {len(sizes)} target sizes, expected 2")
    begin, end = layer.int("pad_beg", 0), layer.int("pad_end", 0)
    if begin or end:
        x = layer.emit("Pad", [x], pads_begin=(0, 0, begin, begin), pads_end=(0, 0, end, end), mode="constant", value=0.0)
    coordinates = "align_corners" if layer.bool("align_corners", True) else "asymmetric"
    _emit(layer, x, (2, 3), sizes, "linear_onnx", coordinates)


@legacy("Upsampling")
def upsampling(layer: Layer) -> None:
    x, scale = layer.input(0), layer.int("scale")
    axes = _spatial_axes(layer, x)
    _emit(layer, x, axes, [x.shape[a] * scale for a in axes], "nearest", "asymmetric", nearest="floor")


def _padded(layer: Layer, x: Value) -> Value:
    """The input with ``pads_begin``/``pads_end`` zeros around; missing trailing values are 0."""
    rank = len(x.shape)
    begins, ends = ((*layer.ints(n, ()), *(0,) * rank)[:rank] for n in ("pads_begin", "pads_end"))
    if not any(begins) and not any(ends):
        return x
    return layer.emit("Pad", [x], pads_begin=begins, pads_end=ends, mode="constant", value=0.0)


@opset("Interpolate", versions=(1, 2, 3))
def interpolate_1(layer: Layer) -> None:
    """The oldest operation: no half pixel, corners aligned unless told otherwise."""
    x = _padded(layer, layer.input(0))
    axes = [layer.axis(a, len(x.shape)) for a in layer.ints("axes")]
    mode = layer.str("mode").lower()
    if mode not in ("nearest", "linear", "cubic"):
        raise layer.fail(f"attribute 'mode' is {mode!r}, expected nearest, linear or cubic")
    mode = "linear_onnx" if mode == "linear" and len(axes) <= 3 else mode
    coordinates = "align_corners" if layer.bool("align_corners", True) else "asymmetric"
    _emit(layer, x, axes, layer.const_ints(1), mode, coordinates, nearest="simple")


def _chosen(layer: Layer, name: str, allowed: Sequence[str], default: str | None = None) -> str:
    value = layer.str(name, default).lower()
    if value not in allowed:
        raise layer.fail(f"attribute {name!r} is {value!r}, expected one of {', '.join(allowed)}")
    return value


def _interpolate_new(layer: Layer, sizes_input: int, scales_input: int, axes_input: int) -> None:
    """Interpolate-4 and later. The original reads ``antialias`` and does not act on it, neither does this."""
    x = _padded(layer, layer.input(0))
    rank = len(x.shape)
    axes = [layer.axis(a, rank) for a in layer.const_ints(axes_input)] if layer.has_input(axes_input) else list(range(rank))
    if _chosen(layer, "shape_calculation_mode", ("sizes", "scales")) == "sizes":
        sizes, scales = layer.const_ints(sizes_input), []
    else:
        scales = [float(v) for v in layer.const(scales_input).ravel()]
        sizes = [math.floor(x.shape[a] * (s + _SIZE_EPSILON)) for a, s in zip(axes, scales, strict=False)]
    if len(sizes) != len(axes):
        raise layer.fail(f"{len(axes)} axes have {len(sizes)} sizes or scales")
    mode = _chosen(layer, "mode", MODES)
    _emit(
        layer,
        x,
        axes,
        sizes,
        mode,
        _chosen(layer, "coordinate_transformation_mode", COORDINATES, "half_pixel"),
        scales=scales,
        nearest=_chosen(layer, "nearest_mode", NEAREST, "round_prefer_floor"),
        cube_coeff=_PILLOW_COEFFICIENT if mode == "bicubic_pillow" else layer.float("cube_coeff", -0.75),
    )


@opset("Interpolate")
def interpolate_4(layer: Layer) -> None:
    if layer.node.version.removeprefix("opset").isdigit() and int(layer.node.version.removeprefix("opset")) >= 11:
        _interpolate_new(layer, 1, 1, 2)
    else:
        _interpolate_new(layer, 1, 2, 3)
