# SPDX-License-Identifier: Apache-2.0
"""Convolutions: plain, transposed, deformable, and the quantised forms."""

from __future__ import annotations

from typing import Any

import numpy as np

from ie_ctypes.model.readers.onnx.op import Op
from ie_ctypes.model.readers.onnx.quantize import dequantized, requantized
from ie_ctypes.model.readers.onnx.registry import onnx_op
from ie_ctypes.model.readers.onnx.scope import Tensor

_AUTO_PAD = {"NOTSET": "explicit", "SAME_UPPER": "same_upper", "SAME_LOWER": "same_lower", "VALID": "valid"}


def auto_pad(op: Op) -> str:
    """The attribute in the spelling of the operation sets."""
    mode = op.str("auto_pad", "NOTSET") or "NOTSET"
    if mode not in _AUTO_PAD:
        raise op.fail(f"auto_pad is {mode!r}, expected one of {', '.join(_AUTO_PAD)}")
    return _AUTO_PAD[mode]


def window(op: Op, spatial: int) -> dict[str, Any]:
    """strides, dilations, pads_begin, pads_end and auto_pad."""
    pads = op.ints("pads", (0,) * 2 * spatial)
    if len(pads) != 2 * spatial:
        raise op.fail(f"pads has {len(pads)} values, expected {2 * spatial}")
    return {
        "strides": op.ints("strides", (1,) * spatial),
        "dilations": op.ints("dilations", (1,) * spatial),
        "pads_begin": pads[:spatial],
        "pads_end": pads[spatial:],
        "auto_pad": auto_pad(op),
    }


def _grouped(op: Op, w: Tensor, groups: int) -> Tensor:
    """Weights [A, B, k...] as [G, A / G, B, k...]."""
    shape = op.shape_of(w)
    rest = op.slice(shape, 0, 1, 9)
    return op.reshape(w, op.concat([op.constant([groups, -1]), rest], 0))


def _with_bias(op: Op, y: Tensor, bias: Tensor | None, spatial: int) -> Tensor:
    return y if bias is None else op.add(y, op.unsqueeze(bias, [0, *range(2, 2 + spatial)]))


def convolved(op: Op, x: Tensor, w: Tensor, bias: Tensor | None) -> Tensor:
    """Convolution or GroupConvolution by the attributes of the node."""
    spatial, groups = op.rank(w) - 2, op.int("group", 1)
    if groups < 1:
        raise op.fail(f"group is {groups}, expected >= 1")
    attributes = window(op, spatial)
    layer, weights = ("Convolution", w) if groups == 1 else ("GroupConvolution", _grouped(op, w, groups))
    y = op.make(layer, x, weights, **attributes)
    return _with_bias(op, y, bias, spatial)


@onnx_op("Conv")
def conv(op: Op) -> Tensor:
    return convolved(op, op.input(0), op.input(1), op.optional(2))


@onnx_op("ConvInteger")
def conv_integer(op: Op) -> Tensor:
    """Sums of products of 8-bit integers, exact in FP32 up to 2^24."""
    x, w = op.convert(op.input(0), "FP32"), op.convert(op.input(1), "FP32")
    if op.has_input(2):
        x = op.sub(x, op.convert(op.input(2), "FP32"))
    if op.has_input(3):
        zero = op.convert(op.input(3), "FP32")
        w = op.sub(w, op.unsqueeze(zero, list(range(1, op.rank(w)))) if op.rank(zero) == 1 else zero)
    return op.convert(convolved(op, x, w, None), "I32")


@onnx_op("QLinearConv")
def qlinear_conv(op: Op) -> Tensor:
    x = dequantized(op, op.input(0), op.input(1), op.input(2), 1)
    w = dequantized(op, op.input(3), op.input(4), op.input(5), 0)
    bias = op.optional(8)
    if bias is not None:
        scale = op.mul(op.input(1), op.input(4))
        bias = op.mul(op.convert(bias, "FP32"), scale)
    return requantized(op, convolved(op, x, w, bias), op.input(6), op.input(7), 1)


@onnx_op("ConvTranspose")
def conv_transpose(op: Op) -> Tensor:
    """With ``output_shape`` the padding follows from it: the odd element goes behind, before for SAME_LOWER."""
    x, w, bias = op.input(0), op.input(1), op.optional(2)
    spatial, groups = op.rank(w) - 2, op.int("group", 1)
    attributes = window(op, spatial)
    attributes["output_padding"] = op.ints("output_padding", (0,) * spatial)
    layer, weights = "ConvolutionBackpropData", w
    if groups != 1:
        layer, weights = "GroupConvolutionBackpropData", _grouped(op, w, groups)
    extra: list[Tensor] = []
    if op.has("output_shape"):
        extra = [op.constant(op.ints("output_shape")[-spatial:])]
        # the standard pads like SAME_LOWER unless SAME_UPPER is asked for; the layer names them the other way round
        attributes["auto_pad"] = "same_lower" if attributes["auto_pad"] == "same_upper" else "same_upper"
    elif str(attributes["auto_pad"]).startswith("same"):
        shape = op.slice(op.shape_of(x), 0, 2, 9)
        extra = [op.mul(shape, op.constant(attributes["strides"]))]
        attributes["auto_pad"] = "same_lower" if attributes["auto_pad"] == "same_upper" else "same_upper"
    return _with_bias(op, op.make(layer, x, weights, *extra, **attributes), bias, spatial)


@onnx_op("DeformConv")
def deform_conv(op: Op) -> Tensor:
    x, w, offset, bias, mask = op.input(0), op.input(1), op.input(2), op.optional(3), op.optional(4)
    spatial = op.rank(w) - 2
    if spatial != 2:
        raise op.fail(f"the weights have {spatial} spatial axes, expected 2")
    attributes = window(op, spatial) | {"group": op.int("group", 1), "deformable_group": op.int("offset_group", 1)}
    inputs = [x, offset, w] + ([] if mask is None else [mask])
    y = op.make("DeformableConvolution", *inputs, **attributes, bilinear_interpolation_pad=True)
    return _with_bias(op, y, bias, spatial)


@onnx_op("Col2Im")
def col2im(op: Op) -> Tensor:
    """Columns of blocks added up at their places: a transposed convolution of each channel whose kernels have a single one."""
    x = op.input(0)
    image, block = op.const_ints(1), op.const_ints(2)
    spatial = len(image)
    attributes = window(op, spatial)
    strides, dilations, begin, end = (attributes[n] for n in ("strides", "dilations", "pads_begin", "pads_end"))
    rows = zip(image, block, strides, dilations, begin, end, strict=True)
    places = [(size + b + e - (d * (k - 1) + 1)) // s + 1 for size, k, s, d, b, e in rows]
    count = int(np.prod(block))
    ones = np.eye(count, dtype=np.float32).reshape(count, 1, *block)
    planes = op.reshape(x, [-1, count, *places])
    y = op.make("ConvolutionBackpropData", planes, op.constant(ones, x.precision), op.constant(image), **attributes)
    return op.reshape(y, op.concat([op.size(x, 0), op.constant([-1, *image])], 0))
