# SPDX-License-Identifier: Apache-2.0
"""Resizing: the separable reference against direct sums over pixels, and the layers that use it."""

from __future__ import annotations

import math
from itertools import product

import corpus
import numpy as np
import pytest
from layers import random, run_kind, run_one

from ie_ctypes.errors import ModelError
from ie_ctypes.model.ops.interpolate import COORDINATES, NEAREST
from ie_ctypes.model.ops.registry import KINDS
from ie_ctypes.model.program import TensorType

SIZES = [((4, 5), (8, 15)), ((6, 7), (3, 4)), ((5, 4), (7, 2)), ((3, 3), (1, 5))]


def attributes(size, out, mode, coordinates="half_pixel", nearest="floor", antialias=0, cube_coeff=-0.75):
    scales = tuple(o / i for o, i in zip(out, size, strict=True))
    return {
        "axes": (2, 3),
        "sizes": out,
        "scales": scales,
        "mode": mode,
        "coordinates": coordinates,
        "nearest": nearest,
        "antialias": antialias,
        "cube_coeff": cube_coeff,
    }


def position(o, size, out, coordinates):
    s = np.float32(out / size)
    o = np.float32(o)
    return float(
        {
            "half_pixel": lambda: (o + np.float32(0.5)) / s - np.float32(0.5),
            "pytorch_half_pixel": lambda: (o + np.float32(0.5)) / s - np.float32(0.5) if out > 1 else 0.0,
            "asymmetric": lambda: o / s,
            "tf_half_pixel_for_nn": lambda: (o + np.float32(0.5)) / s,
            "align_corners": lambda: o * np.float32(size - 1) / np.float32(out - 1) if out > 1 else 0.0,
        }[coordinates]()
    )


@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize("nearest", NEAREST)
@pytest.mark.parametrize(("size", "out"), SIZES)
def test_nearest_copies_the_rounded_position(coordinates, nearest, size, out):
    x = random(1, 2, *size)
    (y,) = run_kind("Interpolate", [x], **attributes(size, out, "nearest", coordinates, nearest))
    for at in np.ndindex(out):
        source = []
        for o, n, k in zip(at, size, out, strict=True):
            p = position(o, n, k, coordinates)
            down, up = math.floor(p), math.ceil(p)
            index = {
                "round_prefer_floor": down if p - down <= 0.5 else up,
                "round_prefer_ceil": up if up - p <= 0.5 else down,
                "floor": down,
                "ceil": up,
                "simple": up if k < n else int(p),
            }[nearest]
            source.append(min(max(index, 0), n - 1))
        np.testing.assert_array_equal(y[:, :, at[0], at[1]], x[:, :, source[0], source[1]])


@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize(("size", "out"), SIZES)
def test_linear_onnx_is_bilinear(coordinates, size, out):
    x = random(1, 2, *size)
    (y,) = run_kind("Interpolate", [x], **attributes(size, out, "linear_onnx", coordinates))
    for at in np.ndindex(out):
        total = np.zeros(2)
        place = [min(max(position(o, n, k, coordinates), 0), n - 1) for o, n, k in zip(at, size, out, strict=True)]
        for corner in product((0, 1), repeat=2):
            weight, index = 1.0, []
            for p, c, n in zip(place, corner, size, strict=True):
                low = math.floor(p)
                weight *= p - low if c else 1 - (p - low)
                index.append(min(low + c, n - 1))
            total += weight * x[0, :, index[0], index[1]]
        np.testing.assert_allclose(y[0, :, at[0], at[1]], total, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("antialias", [0, 1])
@pytest.mark.parametrize(("size", "out"), SIZES)
def test_linear_is_a_normalised_triangle_over_all_pixels(antialias, size, out):
    x = random(1, 1, *size)
    (y,) = run_kind("Interpolate", [x], **attributes(size, out, "linear", antialias=antialias))
    scale = [k / n for k, n in zip(out, size, strict=True)]
    wide = antialias and min(scale) < 1
    for at in np.ndindex(out):
        total = weights = 0.0
        for pixel in np.ndindex(size):
            weight = 1.0
            for o, n, k, s, i in zip(at, size, out, scale, pixel, strict=True):
                p = position(o, n, k, "half_pixel")
                a = s if wide else 1.0
                radius = 2 if s > 1 else math.ceil(2 / a)
                weight *= max(0.0, 1 - abs(a * (p - i))) if abs(i - math.floor(p + 0.5)) <= radius else 0.0
            total += weight * x[(0, 0, *pixel)]
            weights += weight
        np.testing.assert_allclose(y[(0, 0, *at)], total / weights if weights else 0.0, rtol=1e-4, atol=1e-5)


def keys(a, d):
    d = abs(d)
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0.0


@pytest.mark.parametrize(("size", "out"), SIZES)
def test_cubic_is_keys_kernel_with_repeated_border(size, out):
    x = random(1, 1, *size)
    (y,) = run_kind("Interpolate", [x], **attributes(size, out, "cubic", cube_coeff=-0.6))
    for at in np.ndindex(out):
        total = 0.0
        places = [position(o, n, k, "half_pixel") for o, n, k in zip(at, size, out, strict=True)]
        for taps in product(range(-1, 3), repeat=2):
            index = [math.floor(p) + t for p, t in zip(places, taps, strict=True)]
            weight = math.prod(keys(-0.6, p - i) for p, i in zip(places, index, strict=True))
            clamped = [min(max(i, 0), n - 1) for i, n in zip(index, size, strict=True)]
            total += weight * float(x[(0, 0, *clamped)])
        np.testing.assert_allclose(y[(0, 0, *at)], total, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("mode", "filter"), [("bilinear_pillow", "BILINEAR"), ("bicubic_pillow", "BICUBIC")])
@pytest.mark.parametrize(("size", "out"), SIZES)
def test_pillow_modes_equal_pillow(mode, filter, size, out):
    image = pytest.importorskip("PIL.Image")
    x = random(1, 1, *size)
    (y,) = run_kind("Interpolate", [x], **attributes(size, out, mode, cube_coeff=-0.5))
    want = np.asarray(image.fromarray(x[0, 0]).resize(out[::-1], getattr(image.Resampling, filter)))
    np.testing.assert_allclose(y[0, 0], want, rtol=1e-4, atol=1e-5)


def test_scales_need_not_be_the_ratio_of_sizes():
    x = np.arange(4, dtype=np.float32).reshape(1, 1, 1, 4)
    attrs = attributes((1, 4), (1, 6), "linear_onnx", "asymmetric") | {"scales": (1.0, 2.0)}
    np.testing.assert_allclose(run_kind("Interpolate", [x], **attrs)[0].ravel(), [0, 0.5, 1, 1.5, 2, 2.5])


def test_faulty_attributes_are_refused():
    def refuse(match, dtype="float32", **changes):
        attrs = attributes((4, 5), (8, 10), "linear") | changes
        with pytest.raises(ValueError, match=match):
            KINDS["Interpolate"].infer(attrs, [TensorType(dtype, (1, 1, 4, 5))])

    refuse("mode is 'area'", mode="area")
    refuse("resized to 0", sizes=(0, 3))
    refuse("with scale 0", scales=(0.0, 1.0))
    refuse("do not fit", axes=(2,))
    refuse("do not fit", axes=(2, 2))
    refuse("mode linear needs float32", dtype="int32")


def test_interp_pads_crop_and_factors_size():
    x = random(1, 2, 6, 7)
    want = run_one("Interp", [x[:, :, 1:-1, 1:-1]], {"height": 8, "width": 3, "pad_beg": 0, "pad_end": 0})
    np.testing.assert_array_equal(run_one("Interp", [x], {"height": 8, "width": 3, "pad_beg": -1, "pad_end": -1}), want)
    assert run_one("Interp", [x], {"zoom_factor": 3, "shrink_factor": 2, "pad_beg": 0, "pad_end": 0}).shape == (1, 2, 9, 10)
    assert run_one("Interp", [x], {"factor": 2, "width": 5}).shape == (1, 2, 12, 5)
    target = np.array([1, 2, 8, 3], np.int32)
    np.testing.assert_array_equal(run_one("Interp", [x, target], {"pad_beg": -1, "pad_end": -1}, constants=[1]), want)
    corners = run_one("Interp", [x], {"height": 11, "width": 13})
    np.testing.assert_allclose(corners[..., ::2, ::2], x, atol=1e-5)
    with pytest.raises(ModelError, match="the input has 3 axes, expected 4"):
        run_one("Interp", [x[0]], {"height": 8, "width": 3})


def test_resample_and_upsampling_replicate():
    x = random(1, 2, 3, 4)
    want = x.repeat(2, 2).repeat(2, 3)
    np.testing.assert_array_equal(run_one("Resample", [x], {"type": "caffe.ResampleParameter.NEAREST", "factor": 2}), want)
    np.testing.assert_array_equal(run_one("Upsampling", [x], {"scale": 2}), want)
    sizes = np.array([1, 2, 6, 8], np.int32)
    np.testing.assert_array_equal(run_one("Resample", [x, sizes], {"type": "caffe.ResampleParameter.NEAREST"}, constants=[1]), want)
    with pytest.raises(ModelError, match="attribute 'type' is 'AREA'"):
        run_one("Resample", [x], {"type": "AREA"})


def test_interpolate_4_sizes_by_scales_and_nearest_of_integers():
    x = np.arange(12, dtype=np.int32).reshape(1, 1, 3, 4)
    params = {
        "mode": "nearest",
        "coordinate_transformation_mode": "asymmetric",
        "nearest_mode": "floor",
        "shape_calculation_mode": "scales",
    }
    inputs = [x, np.array([0, 0]), np.array([1.5, 2.0], np.float32), np.array([2, 3])]
    y = run_one("Interpolate", inputs, params, version="opset4", constants=[1, 2, 3], result="I32")
    np.testing.assert_array_equal(y[0, 0], x[0, 0][[0, 0, 1, 2]].repeat(2, 1))
    with pytest.raises(ModelError, match="'mode' is 'area'"):
        run_one("Interpolate", inputs, params | {"mode": "area"}, version="opset4", constants=[1, 2, 3])
    params["shape_calculation_mode"] = "sizes"
    with pytest.raises(ModelError, match="2 axes have 1 sizes or scales"):
        run_one("Interpolate", [x, np.array([4]), *inputs[2:]], params, version="opset4", constants=[1, 2, 3])


@pytest.mark.parametrize("path", corpus.cases("legacy/Interp", "legacy/Resample", "opset/Interpolate"))
def test_corpus(path):
    corpus.check(path)
