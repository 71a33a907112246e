# SPDX-License-Identifier: Apache-2.0
"""Resize and Upsample as Interpolate layers."""

from __future__ import annotations

import numpy as np

from ie_ctypes.model.readers.onnx.op import Op
from ie_ctypes.model.readers.onnx.registry import onnx_op
from ie_ctypes.model.readers.onnx.resize_table import Axis, resized
from ie_ctypes.model.readers.onnx.scope import Tensor

_COORDINATES = ("half_pixel", "pytorch_half_pixel", "asymmetric", "tf_half_pixel_for_nn", "align_corners")
_BY_TABLE = ("half_pixel_symmetric", "tf_crop_and_resize")
_MODES = {"nearest": "nearest", "linear": "linear_onnx", "bilinear": "linear_onnx", "trilinear": "linear_onnx", "cubic": "cubic"}


def _layer(
    op: Op,
    x: Tensor,
    axes: list[int],
    sizes: Tensor | None,
    scales: Tensor | None,
    mode: str,
    coordinates: str,
    nearest: str = "round_prefer_floor",
    cube_coeff: float = -0.75,
) -> Tensor:
    """Interpolate along the axes that change, by sizes or by scales; the layer wants both, the other one is worked out."""
    rank = op.rank(x)
    given = sizes if sizes is not None else scales
    assert given is not None
    spatial = [i for i, a in enumerate(axes) if not _unchanged(op, x, a, i, sizes, scales)]
    if len(spatial) < len(axes):
        axes = [axes[i] for i in spatial]
        given = op.gather(given, np.array(spatial, np.int64).tolist())
    if not axes:
        return x
    old = op.gather(op.shape_of(x), axes)
    if sizes is not None:
        new = op.convert(given, "I64")
        factor = op.div(op.convert(new, "FP32"), op.convert(old, "FP32"))
    else:
        factor = op.convert(given, "FP32")
        new = op.convert(op.make("Floor", op.mul(op.convert(old, "FP32"), factor)), "I64")
    zeros = [0] * rank
    return op.make(
        "Interpolate",
        x,
        new,
        factor,
        op.constant(np.array(axes, np.int64)),
        mode=mode,
        shape_calculation_mode="sizes" if sizes is not None else "scales",
        coordinate_transformation_mode=coordinates,
        nearest_mode=nearest,
        antialias=False,
        pads_begin=zeros,
        pads_end=zeros,
        cube_coeff=cube_coeff,
    )


def _unchanged(op: Op, x: Tensor, axis: int, place: int, sizes: Tensor | None, scales: Tensor | None) -> bool:
    """True when an axis keeps its size, as far as is known now; batch and channels always do in practice."""
    if scales is not None:
        factors = op.known(scales)
        return factors is not None and place < factors.size and float(factors.ravel()[place]) == 1
    value = sizes.value if sizes is not None else None
    if value is None or not value.is_const or x.value is None:
        return axis < 2 and op.rank(x) > 2
    return place < value.data.size and int(value.data.ravel()[place]) == x.value.shape[axis] and axis < 2


@onnx_op("Resize")
def resize(op: Op) -> Tensor:
    x, mode = op.input(0), op.str("mode", "nearest")
    if mode not in _MODES:
        raise op.fail(f"mode is {mode!r}, expected nearest, linear or cubic")
    if op.opset < 11:
        return _layer(op, x, list(range(op.rank(x))), None, op.input(1), _MODES[mode], "asymmetric", "simple")
    coordinates = op.str("coordinate_transformation_mode", "half_pixel")
    if coordinates not in (*_COORDINATES, *_BY_TABLE):
        raise op.fail(f"coordinate_transformation_mode is {coordinates!r}, expected one of {', '.join((*_COORDINATES, *_BY_TABLE))}")
    axes = [op.wrap(a, op.rank(x), "axes") for a in op.ints("axes", range(op.rank(x)))]
    scales = op.optional(2)
    if scales is not None and scales.value is not None and scales.value.type.size == 0:
        scales = None
    sizes = op.optional(3)
    if sizes is not None:
        scales = None
        policy = op.str("keep_aspect_ratio_policy", "stretch")
        if policy != "stretch":
            old = op.convert(op.gather(op.shape_of(x), axes), "FP32")
            ratio = op.div(op.convert(sizes, "FP32"), old)
            best = op.reduce("ReduceMin" if policy == "not_larger" else "ReduceMax", ratio, [0])
            sizes = op.convert(op.make("Floor", op.add(op.mul(old, best), 0.5)), "I64")
    if scales is None and sizes is None:
        raise op.fail("there are neither scales nor sizes")
    if coordinates in _BY_TABLE or (mode != "nearest" and (op.int("antialias", 0) or op.int("exclude_outside", 0))):
        return _by_table(op, x, axes, sizes, scales, mode, coordinates)
    nearest = op.str("nearest_mode", "round_prefer_floor")
    return _layer(op, x, axes, sizes, scales, _MODES[mode], coordinates, nearest, op.float("cubic_coeff_a", -0.75))


def _by_table(op: Op, x: Tensor, axes: list[int], sizes: Tensor | None, scales: Tensor | None, mode: str, coordinates: str) -> Tensor:
    """What the layer does not do; nearest neighbours are not among it."""
    if mode == "nearest":
        raise op.fail(f"mode nearest with coordinate_transformation_mode {coordinates} is not supported")
    region = op.convert(op.input(1), "FP32") if coordinates == "tf_crop_and_resize" else None
    given = sizes if sizes is not None else scales
    assert given is not None
    found = []
    for i, axis in enumerate(axes):
        if region is None and _unchanged(op, x, axis, i, sizes, scales):
            continue
        old, one = op.size(x, axis), op.gather(given, [i])
        if sizes is not None:
            new = op.convert(one, "I64")
            scale = op.div(op.convert(new, "FP32"), op.convert(old, "FP32"))
        else:
            scale = op.convert(one, "FP32")
            new = op.convert(op.make("Floor", op.mul(op.convert(old, "FP32"), scale)), "I64")
        limits = [None, None] if region is None else [op.gather(region, [i]), op.gather(region, [i + len(axes)])]
        found.append(Axis(axis=axis, old=old, new=new, scale=scale, start=limits[0], end=limits[1]))
    return resized(op, x, found, mode, coordinates)


@onnx_op("Upsample")
def upsample(op: Op) -> Tensor:
    x, mode = op.input(0), op.str("mode", "nearest")
    if mode not in _MODES:
        raise op.fail(f"mode is {mode!r}, expected nearest or linear")
    scales = op.input(1) if op.opset >= 9 else op.constant(op.floats("scales"), "FP32")
    return _layer(op, x, list(range(op.rank(x))), None, scales, _MODES[mode], "asymmetric", "simple")
