# SPDX-License-Identifier: Apache-2.0
"""Convolutions: references against plain loops, and the attribute rules of both dialects."""

from __future__ import annotations

from itertools import product

import corpus
import numpy as np
import pytest
from layers import random, run_kind, run_one

from ie_ctypes.devices.reference import evaluate
from ie_ctypes.errors import ModelError
from ie_ctypes.model.builder import NetworkBuilder
from ie_ctypes.model.graph import Blob
from ie_ctypes.model.network import Network


def conv_loops(x, w, strides, dilations, begin, end, transposed=False):
    """Convolution element by element in float64; w is [G, O/G, C/G, k...], or [G, C/G, O/G, k...] when transposed."""
    groups, kernel = w.shape[0], w.shape[3:]
    extent = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    if transposed:
        outs, ins = w.shape[2], w.shape[1]
        size = [(n - 1) * s + e - b - f for n, s, e, b, f in zip(x.shape[2:], strides, extent, begin, end, strict=True)]
    else:
        outs, ins = w.shape[1], w.shape[2]
        size = [(n + b + f - e) // s + 1 for n, s, e, b, f in zip(x.shape[2:], strides, extent, begin, end, strict=True)]
    y = np.zeros((x.shape[0], groups * outs, *size))
    source = x.shape[2:] if transposed else size
    for n, g, o, c in product(range(x.shape[0]), range(groups), range(outs), range(ins)):
        for at, tap in product(product(*map(range, source)), product(*map(range, kernel))):
            other = tuple(a * s + t * d - b for a, s, t, d, b in zip(at, strides, tap, dilations, begin, strict=True))
            if transposed:
                if all(0 <= p < m for p, m in zip(other, size, strict=True)):
                    y[(n, g * outs + o, *other)] += float(x[(n, g * ins + c, *at)]) * w[(g, c, o, *tap)]
            elif all(0 <= p < m for p, m in zip(other, x.shape[2:], strict=True)):
                y[(n, g * outs + o, *at)] += float(x[(n, g * ins + c, *other)]) * w[(g, o, c, *tap)]
    return y


SHAPES = [
    ((2, 4, 7), (2, 3, 2, 3), (2,), (1,), (1,), (2,)),
    ((1, 3, 6, 5), (1, 2, 3, 3, 2), (2, 1), (1, 2), (1, 0), (0, 1)),
    ((1, 3, 5, 5), (3, 2, 1, 3, 3), (1, 2), (1, 1), (1, 1), (1, 1)),
    ((1, 2, 4, 4, 3), (1, 2, 2, 2, 2, 2), (1, 2, 1), (1, 1, 1), (0, 1, 0), (1, 0, 0)),
    ((1, 2, 6, 6), (1, 1, 2, 3, 3), (1, 1), (1, 1), (-1, 1), (1, -1)),
]


@pytest.mark.parametrize(("shape", "kernel", "strides", "dilations", "begin", "end"), SHAPES)
def test_conv_reference_equals_loops(shape, kernel, strides, dilations, begin, end):
    x, w = random(*shape), random(*kernel, seed=1)
    b = random(kernel[0] * kernel[1], seed=2)
    (y,) = run_kind("Conv", [x, w, b], strides=strides, dilations=dilations, pads_begin=begin, pads_end=end)
    expected = conv_loops(x, w, strides, dilations, begin, end) + b.reshape(-1, *[1] * (len(shape) - 2))
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("shape", "kernel", "strides", "dilations", "begin", "end"), SHAPES)
def test_deconv_reference_equals_loops(shape, kernel, strides, dilations, begin, end):
    groups, _, ins, *taps = kernel
    x, w = random(*shape), random(groups, ins, 2, *taps, seed=1)
    (y,) = run_kind(
        "Deconv", [x, w, None], strides=strides, dilations=dilations, pads_begin=begin, pads_end=end, output_padding=(0,) * len(taps)
    )
    np.testing.assert_allclose(y, conv_loops(x, w, strides, dilations, begin, end, transposed=True), rtol=1e-5, atol=1e-5)


def test_output_padding_adds_zeros_after_the_last_element():
    x, w = random(1, 1, 3, 3), random(1, 1, 1, 2, 2, seed=1)
    options = {"strides": (3, 3), "dilations": (1, 1), "pads_begin": (0, 0), "pads_end": (0, 0)}
    (y,) = run_kind("Deconv", [x, w], **options, output_padding=(1, 0))
    assert y.shape == (1, 1, 9, 8)
    assert not y[:, :, 8].any()


def deform_loops(x, offsets, w, mask, strides, begin, dg):
    """Deformable convolution element by element in float64, one group, neighbours clamped."""
    _, outs, ins, kh, kw = w.shape
    n_, _, oh, ow = offsets.shape
    height, width = x.shape[2:]
    y = np.zeros((n_, outs, oh, ow))
    for n, o, c, i, j, r, s in product(range(n_), range(outs), range(ins), range(kh), range(kw), range(oh), range(ow)):
        g = c // (ins // dg)
        tap = g * kh * kw + i * kw + j
        v = r * strides[0] - begin[0] + i + float(offsets[n, 2 * tap, r, s])
        u = s * strides[1] - begin[1] + j + float(offsets[n, 2 * tap + 1, r, s])
        if not (0 <= v < height and 0 <= u < width):
            continue
        v0, u0 = int(v), int(u)
        v1, u1 = min(v0 + 1, height - 1), min(u0 + 1, width - 1)
        a, b = v - v0, u - u0
        p = x[n, c].astype(np.float64)
        value = (1 - a) * (1 - b) * p[v0, u0] + (1 - a) * b * p[v0, u1] + a * (1 - b) * p[v1, u0] + a * b * p[v1, u1]
        y[n, o, r, s] += value * w[0, o, c, i, j] * (1 if mask is None else mask[n, tap, r, s])
    return y


@pytest.mark.parametrize("with_mask", [False, True])
def test_deformable_reference_equals_loops(with_mask):
    x, w = random(1, 4, 5, 6), random(1, 2, 4, 3, 2, seed=1)
    offsets = random(1, 2 * 2 * 6, 3, 4, seed=2)
    mask = random(1, 2 * 6, 3, 4, seed=3) if with_mask else None
    attrs = {"strides": (2, 2), "dilations": (1, 1), "pads_begin": (1, 1), "pads_end": (1, 1)}
    (y,) = run_kind("DeformConv", [x, offsets, w, mask, None], **attrs, deformable_group=2, bilinear_pad=0)
    np.testing.assert_allclose(y, deform_loops(x, offsets, w, mask, (2, 2), (1, 1), 2), rtol=1e-4, atol=1e-4)


def test_deformable_without_offsets_is_a_convolution():
    x, w = random(2, 2, 6, 6), random(1, 3, 2, 3, 3, seed=1)
    attrs = {"strides": (1, 1), "dilations": (2, 2), "pads_begin": (2, 2), "pads_end": (2, 2)}
    (plain,) = run_kind("Conv", [x, w, None], **attrs)
    for pad in (0, 1):
        (y,) = run_kind("DeformConv", [x, np.zeros((2, 18, 6, 6), np.float32), w], **attrs, deformable_group=1, bilinear_pad=pad)
        np.testing.assert_allclose(y, plain, rtol=1e-5, atol=1e-5)


def test_legacy_defaults_pads_end_to_pads_begin():
    x, w = random(1, 2, 5, 5), random(1, 2, 2, 3, 3, seed=1)
    y = run_one("Convolution", [x], {"kernel": "3,3", "pads_begin": "1,2", "output": 2}, blobs={"weights": w})
    np.testing.assert_allclose(y, conv_loops(x, w, (1, 1), (1, 1), (1, 2), (1, 2)), rtol=1e-5, atol=1e-5)


def test_names_of_ir_v2_give_the_same_window():
    x, w = random(1, 2, 6, 5), random(1, 2, 2, 3, 2, seed=1)
    old = {"kernel-x": 2, "kernel-y": 3, "stride-y": 2, "pad-x": 1, "pad-r": 0, "output": 2}
    new = {"kernel": "3,2", "strides": "2,1", "pads_begin": "0,1", "pads_end": "0,0", "output": 2}
    np.testing.assert_array_equal(*(run_one("Convolution", [x], p, blobs={"weights": w}) for p in (old, new)))


@pytest.mark.parametrize(
    ("auto_pad", "size", "legacy_out", "opset_out"),
    [("same_upper", 9, 5, 5), ("same_lower", 9, 4, 5), ("same_lower", 8, 4, 4), ("valid", 9, 4, 4)],
)
def test_auto_pad_sizes_differ_by_dialect(auto_pad, size, legacy_out, opset_out):
    x, w = random(1, 1, size, size), random(1, 1, 3, 3, seed=1)
    params = {"strides": "2,2", "auto_pad": auto_pad}
    y = run_one("Convolution", [x], {**params, "kernel": "3,3", "output": 1}, blobs={"weights": w})
    assert y.shape[2:] == (legacy_out, legacy_out)
    assert run_one("Convolution", [x, w], params, version="opset1", constants=[1]).shape[2:] == (opset_out, opset_out)


def test_deconvolution_output_shape_input_chooses_the_padding():
    x, w = random(1, 2, 4, 4), random(2, 3, 3, 3, seed=1)
    out = np.array([7, 8], np.int64)
    y = run_one("ConvolutionBackpropData", [x, w, out], {"strides": "2,2", "auto_pad": "same_lower"}, version="opset1", constants=[1, 2])
    full = conv_loops(x, w[None], (2, 2), (1, 1), (0, 0), (0, 0), transposed=True)
    np.testing.assert_allclose(y, full[:, :, 1:8, 0:8], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("pad_value", [0, 1, -1])
def test_binary_convolution_counts_equal_bits(pad_value):
    x, bits = random(1, 8, 3, 3), (random(2, 8, 3, 3, seed=1) > 0)
    packed = np.packbits(bits.ravel(), bitorder="little")
    params = {
        "kernel": "3,3",
        "pads_begin": "1,1",
        "pads_end": "1,1",
        "output": 2,
        "input": 8,
        "pad_value": pad_value,
        "mode": "xnor-popcount",
    }
    y = run_one("BinaryConvolution", [x], params, blobs={"weights": packed})
    signs = np.pad(np.where(x > 0, 1, -1), [(0, 0), (0, 0), (1, 1), (1, 1)], constant_values=pad_value)
    expected = conv_loops(signs, np.where(bits, 1, -1)[None], (1, 1), (1, 1), (0, 0), (0, 0))
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("shape", [(2, 8, 2, 2), (1, 3, 1, 1)])
def test_packed_constants_of_binary_convolution_begin_with_the_low_bits(shape):
    bits = random(*shape, seed=1) > 0
    b = NetworkBuilder.opset()
    x, w = b.input("x", (1, shape[1], 3, 3)), b.constant("w", bits)
    w.outputs[0].precision = w.precision = "BIN"
    w.blobs["custom"] = Blob("BIN", np.packbits(bits.ravel(), bitorder="little"))
    size = 4 - shape[2]
    params = {"strides": "1,1", "pads_begin": "0,0", "pads_end": "0,0", "dilations": "1,1", "mode": "xnor-popcount", "pad_value": 0}
    b.result(b.layer("BinaryConvolution", "y", [x, w], [(1, shape[0], size, size)], params=params))
    data = random(1, shape[1], 3, 3)
    (y,) = evaluate(Network(b.graph()).lower(), [data])
    want = conv_loops(np.where(data > 0, 1, -1), np.where(bits, 1, -1)[None], (1, 1), (1, 1), (0, 0), (0, 0))
    np.testing.assert_array_equal(y, want)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"kernel": "3,3", "output": 2, "strides": "0,1"}, "'strides'.*>= 1"),
        ({"kernel": "3", "output": 2}, "'kernel' has 1 values, expected 2"),
        ({"kernel": "9,1", "output": 2}, "exceeds padded input"),
        ({"kernel": "3,3", "output": 3}, "blob 'weights' has 36 elements, expected 54"),
        ({"kernel": "3,3", "output": 2, "group": 3}, "group 3 does not divide"),
        ({"kernel": "3,3", "output": 2, "auto_pad": "some"}, "'auto_pad' is 'some'"),
        ({"kernel": "3,x", "output": 2}, "'kernel' is 'x', expected an integer"),
        ({"output": 2}, "'kernel-y' is missing"),
    ],
)
def test_bad_attributes_name_layer_attribute_and_value(params, words):
    with pytest.raises(ModelError, match=f"layer out of type Convolution: .*{words}"):
        run_one("Convolution", [random(1, 2, 5, 5)], params, blobs={"weights": random(36)})


@pytest.mark.parametrize(
    "path",
    corpus.cases(
        *(f"legacy/{t}" for t in ("Convolution", "Deconvolution", "DeformableConvolution", "BinaryConvolution")),
        *(f"opset/{t}" for t in ("Convolution", "GroupConvolution", "ConvolutionBackpropData", "GroupConvolutionBackpropData")),
        "opset/DeformableConvolution",
    ),
)
def test_corpus(path):
    corpus.check(path)
