# SPDX-License-Identifier: Apache-2.0
"""Kinds Conv, Deconv and DeformConv, and the convolution layers of both dialects."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model.ops.attrs import FLOAT, Attrs, array, expect_dtype, expect_rank, integer, integers, optional, tensor
from ie_ctypes.model.ops.registry import kind, legacy, opset
from ie_ctypes.model.ops.windows import Window, legacy_window, opset_window, output_sizes, padded, resolve, taps
from ie_ctypes.model.program import Shape, TensorType

if TYPE_CHECKING:
    from ie_ctypes.model.graph import Blob
    from ie_ctypes.model.lowering import Layer, Value


_SPATIAL = ("strides", "dilations", "pads_begin", "pads_end")


def _spatial_attrs(attrs: Attrs, rank: int) -> list[Shape]:
    """The lists of ``_SPATIAL``."""
    lists = [integers(attrs, name) for name in _SPATIAL]
    for name, values in zip(_SPATIAL, lists, strict=True):
        if len(values) != rank:
            raise ValueError(f"{name} has {len(values)} values, expected {rank}")
    if min(lists[0]) < 1 or min(lists[1]) < 1:
        raise ValueError("strides and dilations must be >= 1")
    return lists


def _check_bias(bias: TensorType | None, channels: int) -> None:
    if bias is not None and bias.shape != (channels,):
        raise ValueError(f"bias has shape {list(bias.shape)}, expected [{channels}]")


def infer_conv(attrs: Attrs, inputs: Sequence[TensorType | None]) -> list[TensorType]:
    """[N, O, out...]; the weights are [G, O/G, C/G, k...]."""
    x, w = tensor(inputs, 0), tensor(inputs, 1)
    expect_dtype(inputs, FLOAT)
    rank = expect_rank(x, 3, 5) - 2
    strides, dilations, begin, end = _spatial_attrs(attrs, rank)
    expect_rank(w, rank + 3, rank + 3, "weights")
    groups, out_channels, in_channels = w.shape[:3]
    if groups * in_channels != x.shape[1]:
        raise ValueError(f"input {list(x.shape)} has {x.shape[1]} channels, weights {list(w.shape)} take {groups * in_channels}")
    _check_bias(inputs[2] if len(inputs) > 2 else None, groups * out_channels)
    out = output_sizes(x.shape[2:], w.shape[3:], strides, dilations, begin, end)
    return [TensorType("float32", (x.shape[0], groups * out_channels, *out))]


def _accumulate(w: np.ndarray, x: np.ndarray) -> np.ndarray:
    """One tap: weights [G, O, C] times samples [N, G, C, P] -> [N, G, O, P]. Depthwise needs no matrix product."""
    product: np.ndarray = w[None] * x if w.shape[2] == 1 else np.matmul(w[None], x)
    return product


def _with_bias(y: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    return y if bias is None else np.asarray(y + bias.reshape((-1,) + (1,) * (y.ndim - 2)))


@kind("Conv", infer_conv)
def conv(attrs: Attrs, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """Cross-correlation, one matrix product a kernel position."""
    x, w = array(inputs, 0), array(inputs, 1)
    shape = infer_conv(attrs, [None if v is None else TensorType(v.dtype.name, v.shape) for v in inputs])[0].shape
    strides, dilations, begin = (integers(attrs, n) for n in ("strides", "dilations", "pads_begin"))
    groups, out_channels, in_channels, *kernel = w.shape
    out = shape[2:]
    needed = tuple((o - 1) * s + (k - 1) * d + 1 for o, s, k, d in zip(out, strides, kernel, dilations, strict=True))
    source = padded(x, begin, needed)
    y = np.zeros((x.shape[0], groups, out_channels, prod(out)), np.float32)
    for index, samples in taps(source, tuple(kernel), strides, dilations, out):
        weights = w[(slice(None),) * 3 + index]
        y += _accumulate(weights, samples.reshape(x.shape[0], groups, in_channels, prod(out)))
    return [_with_bias(y.reshape(shape), optional(inputs, 2))]


def infer_deconv(attrs: Attrs, inputs: Sequence[TensorType | None]) -> list[TensorType]:
    """[N, O, (in-1)*stride + extent - pads + output_padding ...]; the weights are [G, C/G, O/G, k...]."""
    x, w = tensor(inputs, 0), tensor(inputs, 1)
    expect_dtype(inputs, FLOAT)
    rank = expect_rank(x, 3, 5) - 2
    spatial = _spatial_attrs(attrs, rank)
    expect_rank(w, rank + 3, rank + 3, "weights")
    if w.shape[0] * w.shape[1] != x.shape[1]:
        raise ValueError(f"input {list(x.shape)} has {x.shape[1]} channels, weights {list(w.shape)} take {w.shape[0] * w.shape[1]}")
    channels = w.shape[0] * w.shape[2]
    _check_bias(inputs[2] if len(inputs) > 2 else None, channels)
    out = [
        (size - 1) * s + (k - 1) * d + 1 - b - e + extra
        for size, k, s, d, b, e, extra in zip(x.shape[2:], w.shape[3:], *spatial, integers(attrs, "output_padding"), strict=True)
    ]
    if min(out) < 1:
        raise ValueError(f"output sizes are {out}, expected >= 1")
    return [TensorType("float32", (x.shape[0], channels, *out))]


@kind("Deconv", infer_deconv)
def deconv(attrs: Attrs, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """Every input element adds its weighted kernel to the output; what falls outside is dropped."""
    x, w = array(inputs, 0), array(inputs, 1)
    shape = infer_deconv(attrs, [None if v is None else TensorType(v.dtype.name, v.shape) for v in inputs])[0].shape
    strides, dilations, begin = (integers(attrs, n) for n in ("strides", "dilations", "pads_begin"))
    groups, in_channels, out_channels, *kernel = w.shape
    sizes = x.shape[2:]
    full = [(n - 1) * s + (k - 1) * d + 1 for n, s, k, d in zip(sizes, strides, kernel, dilations, strict=True)]
    y = np.zeros((x.shape[0], groups * out_channels, *full), np.float32)
    samples = x.reshape(x.shape[0], groups, in_channels, prod(sizes))
    for index, target in taps(y, tuple(kernel), strides, dilations, sizes):
        weights = w[(slice(None),) * 3 + index].swapaxes(1, 2)
        target += np.matmul(weights[None], samples).reshape(target.shape)
    y = padded(y, tuple(-b for b in begin), shape[2:])
    return [_with_bias(y, optional(inputs, 2))]


def infer_deform_conv(attrs: Attrs, inputs: Sequence[TensorType | None]) -> list[TensorType]:
    """As Conv, two spatial axes; the offsets are [N, 2*dg*kh*kw, OH, OW] and the mask [N, dg*kh*kw, OH, OW]."""
    x, offsets, w = (tensor(inputs, i) for i in range(3))
    mask, bias = (inputs[i] if len(inputs) > i else None for i in (3, 4))
    expect_rank(x, 4, 4)
    out = infer_conv(attrs, [x, w, bias])[0]
    groups = integer(attrs, "deformable_group")
    if groups < 1 or x.shape[1] % groups:
        raise ValueError(f"deformable_group {groups} does not divide {x.shape[1]} channels")
    count = groups * prod(w.shape[3:])
    for t, n, what in ((offsets, 2 * count, "offsets"), (mask, count, "mask")):
        if t is not None and t.shape != (x.shape[0], n, *out.shape[2:]):
            raise ValueError(f"{what} have shape {list(t.shape)}, expected {[x.shape[0], n, *out.shape[2:]]}")
    return [out]


def _sample(x: np.ndarray, y0: np.ndarray, x0: np.ndarray, bilinear_pad: bool) -> np.ndarray:
    """Bilinear samples of x [N, G, C, H, W] at rows y0 and columns x0 [N, G, OH, OW] -> [N, G, C, OH, OW].

    A position outside gives 0 and neighbours are clamped; with ``bilinear_pad`` neighbours outside count as 0 each.
    """
    height, width = x.shape[3:]
    n, g = np.ogrid[: x.shape[0], : x.shape[1]]
    n, g = n[..., None, None], g[..., None, None]

    def pixel(row: np.ndarray, column: np.ndarray) -> np.ndarray:
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        got = x[n, g, :, np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
        return np.where(inside[..., None], got, 0) if bilinear_pad else got

    top, left = np.floor(y0).astype(np.int64), np.floor(x0).astype(np.int64)
    fy, fx = (y0 - top)[..., None], (x0 - left)[..., None]
    value = (1 - fy) * ((1 - fx) * pixel(top, left) + fx * pixel(top, left + 1))
    value = value + fy * ((1 - fx) * pixel(top + 1, left) + fx * pixel(top + 1, left + 1))
    if not bilinear_pad:
        inside = (y0 >= 0) & (y0 < height) & (x0 >= 0) & (x0 < width)
        value = np.where(inside[..., None], value, 0)
    return np.moveaxis(value, -1, 2)


@kind("DeformConv", infer_deform_conv)
def deform_conv(attrs: Attrs, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """Convolution whose taps read bilinear samples at displaced positions (IR.md 4.3)."""
    x, offsets, w = (array(inputs, i) for i in range(3))
    mask = optional(inputs, 3)
    types = [None if v is None else TensorType(v.dtype.name, v.shape) for v in inputs]
    shape = infer_deform_conv(attrs, types)[0].shape
    strides, dilations, begin = (integers(attrs, n) for n in ("strides", "dilations", "pads_begin"))
    dg, pad = integer(attrs, "deformable_group"), bool(integer(attrs, "bilinear_pad"))
    groups, out_channels, in_channels, kh, kw = w.shape
    batch, channels, oh, ow = x.shape[0], x.shape[1], shape[2], shape[3]
    source = x.reshape(batch, dg, channels // dg, *x.shape[2:])
    moves = offsets.reshape(batch, dg, kh, kw, 2, oh, ow)
    y = np.zeros((batch, groups, out_channels, oh * ow), np.float32)
    rows = (np.arange(oh) * strides[0] - begin[0])[:, None]
    columns = (np.arange(ow) * strides[1] - begin[1])[None, :]
    for i in range(kh):
        for j in range(kw):
            row, column = rows + i * dilations[0] + moves[:, :, i, j, 0], columns + j * dilations[1] + moves[:, :, i, j, 1]
            samples = _sample(source, row, column, pad)
            if mask is not None:
                samples = samples * mask.reshape(batch, dg, 1, kh, kw, oh, ow)[:, :, :, i, j]
            y += _accumulate(w[:, :, :, i, j], samples.reshape(batch, groups, in_channels, oh * ow).astype(np.float32))
    return [_with_bias(y.reshape(shape), optional(inputs, 4))]


# -- translators -------------------------------------------------------------------------------------------------------------


def _legacy_head(layer: Layer) -> tuple[Value, Window, int, int]:
    """Data, window, output channels and groups of a legacy convolution."""
    x = layer.float_input(0)
    if not 3 <= len(x.shape) <= 5:
        raise layer.fail(f"input has shape {list(x.shape)}, expected rank 3 to 5")
    outputs, groups = layer.int("output"), layer.int("group", 1)
    if groups < 1 or outputs < 1 or outputs % groups or x.shape[1] % groups:
        raise layer.fail(f"group {groups} does not divide {x.shape[1]} input and {outputs} output channels")
    return x, legacy_window(layer, len(x.shape) - 2), outputs, groups


def _weights(layer: Layer, first: int, shape: Shape) -> Value:
    """The ``weights`` blob, or input ``first``, in the runtime's shape."""
    blob = layer.blob("weights", shape)
    if blob is None:
        value = layer.float_input(first)
        if value.type.size != prod(shape):
            raise layer.fail(f"weights have {value.type.size} elements, expected {prod(shape)} for {list(shape)}")
        return layer.reshape(value, shape)
    return layer.convert(blob, "float32")


def _biases(layer: Layer, index: int, channels: int) -> Value | None:
    """The ``biases`` blob, or input ``index``; None when the layer has none."""
    blob = layer.blob("biases", (channels,))
    if blob is not None:
        return layer.convert(blob, "float32")
    if not layer.has_input(index):
        return None
    value = layer.float_input(index)
    if value.type.size != channels:
        raise layer.fail(f"biases have {value.type.size} elements, expected {channels}")
    return layer.reshape(value, (channels,))


def _conv_attrs(layer: Layer, x: Value, w: Window) -> dict[str, Shape]:
    """Attributes of Conv with the padding worked out."""
    sizes = x.shape[2:]
    try:
        explicit = output_sizes(sizes, w.kernel, w.strides, w.dilations, w.pads_begin, w.pads_end) if w.auto_pad == "" else ()
    except ValueError as e:
        raise layer.fail(str(e)) from None
    _, begin, end = resolve(layer, w, sizes, explicit)
    return {"strides": w.strides, "dilations": w.dilations, "pads_begin": begin, "pads_end": end}


@legacy("Convolution")
def convolution_legacy(layer: Layer) -> None:
    x, window, outputs, groups = _legacy_head(layer)
    weights = _weights(layer, 1, (groups, outputs // groups, x.shape[1] // groups, *window.kernel))
    biases = _biases(layer, 2, outputs)
    layer.set_output(0, layer.emit("Conv", [x, weights, biases], **_conv_attrs(layer, x, window)))


@legacy("Deconvolution")
def deconvolution_legacy(layer: Layer) -> None:
    x, window, outputs, groups = _legacy_head(layer)
    weights = _weights(layer, 1, (groups, x.shape[1] // groups, outputs // groups, *window.kernel))
    biases = _biases(layer, 2, outputs)
    begin, end = window.pads_begin, window.pads_end
    if window.auto_pad:
        # same_*: the output is stride * in; valid: nothing is cut off
        total = [max(e - s, 0) if window.auto_pad != "valid" else 0 for e, s in zip(window.extent(), window.strides, strict=True)]
        begin = tuple((t + 1) // 2 if window.auto_pad == "same_lower" else t // 2 for t in total)
        end = tuple(t - b for t, b in zip(total, begin, strict=True))
    attrs = {"strides": window.strides, "dilations": window.dilations, "pads_begin": begin, "pads_end": end}
    extra = [0] * len(begin)
    if window.auto_pad.startswith("same"):  # a kernel shorter than the stride leaves room after the last element
        extra = [max(s - e, 0) for e, s in zip(window.extent(), window.strides, strict=True)]
    layer.set_output(0, layer.emit("Deconv", [x, weights, biases], **attrs, output_padding=tuple(extra)))


@legacy("DeformableConvolution")
def deformable_convolution_legacy(layer: Layer) -> None:
    x, window, outputs, groups = _legacy_head(layer)
    weights = _weights(layer, 2, (groups, outputs // groups, x.shape[1] // groups, *window.kernel))
    biases = _biases(layer, 3, outputs)
    deformable = layer.int("deformable_group", layer.int("num_deformable_group", 1))
    attrs = _conv_attrs(layer, x, window)
    inputs = [x, layer.float_input(1), weights, None, biases]
    layer.set_output(0, layer.emit("DeformConv", inputs, **attrs, deformable_group=deformable, bilinear_pad=0))


def _binary_conv(layer: Layer, x: Value, weights: Value, window: Window) -> Value:
    """Sign of the input, padding with ``pad_value``, convolution with weights of +1 and -1."""
    if layer.str("mode", "xnor-popcount").lower() != "xnor-popcount":
        raise layer.fail(f"attribute 'mode' is {layer.str('mode')!r}, expected 'xnor-popcount'")
    value = layer.float("pad_value", 0.0)
    attrs = _conv_attrs(layer, x, window)
    signs = layer.emit("Unary", [x], op="binary_sign", alpha=0.0, beta=0.0, gamma=0.0)
    if value != 0:
        begin, end = ((0, 0, *attrs[n]) for n in ("pads_begin", "pads_end"))
        signs = layer.emit("Pad", [signs], pads_begin=begin, pads_end=end, mode="constant", value=1.0 if value > 0 else -1.0)
        attrs["pads_begin"] = attrs["pads_end"] = (0,) * len(window.kernel)
    return layer.emit("Conv", [signs, weights, None], **attrs)


def _plus_minus(layer: Layer, bits: Value) -> Value:
    """Bits as weights: 1 is +1, 0 is -1."""
    return layer.emit("Unary", [layer.convert(bits, "float32")], op="power", alpha=1.0, beta=2.0, gamma=-1.0)


def _weight_bits(layer: Layer, blob: Blob, shape: Shape) -> Value:
    """The bits of a blob from the lowest of each byte on, unlike those of a constant that other layers read."""
    octets = blob.data.view(np.uint8)
    if octets.size * 8 < prod(shape):
        raise layer.fail(f"blob 'weights' has {octets.size * 8} bits, expected {prod(shape)} for shape {list(shape)}")
    return layer.value(np.unpackbits(octets, bitorder="little")[: prod(shape)].reshape(shape), "weights")


@legacy("BinaryConvolution")
def binary_convolution_legacy(layer: Layer) -> None:
    """The blob is packed bits whatever precision the file gives it (before IR v6 it gave that of the layer)."""
    x, window, outputs, groups = _legacy_head(layer)
    shape = (groups, outputs // groups, x.shape[1] // groups, *window.kernel)
    blob = layer.node.blobs.get("weights")
    bits = _weights(layer, 1, shape) if blob is None else _weight_bits(layer, blob, shape)
    layer.set_output(0, _binary_conv(layer, x, _plus_minus(layer, bits), window))


def _opset_operands(layer: Layer, grouped: bool, index: int = 1) -> tuple[Value, Value]:
    """Data and weights [G, ., ., k...] of an operation; plain weights get a group axis of 1."""
    x, w = layer.float_input(0), layer.float_input(index)
    rank = len(x.shape)
    if not 3 <= rank <= 5 or len(w.shape) != rank + grouped:
        raise layer.fail(f"data {list(x.shape)} and weights {list(w.shape)} do not fit, expected rank 3 to 5 and {rank + grouped}")
    return x, w if grouped else layer.reshape(w, (1, *w.shape))


@opset("Convolution", "GroupConvolution")
def convolution_opset(layer: Layer) -> None:
    x, w = _opset_operands(layer, layer.type.lower() == "groupconvolution")
    window = opset_window(layer, w.shape[3:])
    layer.set_output(0, layer.emit("Conv", [x, w, None], **_conv_attrs(layer, x, window)))


@opset("ConvolutionBackpropData", "GroupConvolutionBackpropData")
def deconvolution_opset(layer: Layer) -> None:
    """A constant third input gives the output sizes; the padding follows from them (IR.md 10.3)."""
    x, w = _opset_operands(layer, layer.type.lower() == "groupconvolutionbackpropdata")
    window = opset_window(layer, w.shape[3:])
    rank = len(window.kernel)
    extra = layer.ints("output_padding", ()) or (0,) * rank
    if len(extra) != rank:
        raise layer.fail(f"attribute 'output_padding' has {len(extra)} values, expected {rank}")
    begin, end = window.pads_begin, window.pads_end
    if layer.has_input(2):
        out = layer.const_ints(2)
        if len(out) != rank:
            raise layer.fail(f"output shape {out} has {len(out)} values, expected {rank}")
        full = [s * (n - 1) + e + x_ for s, n, e, x_ in zip(window.strides, x.shape[2:], window.extent(), extra, strict=True)]
        if window.auto_pad.startswith("same"):
            total = [max(f - o, 0) for f, o in zip(full, out, strict=True)]
            begin = tuple(t - t // 2 if window.auto_pad == "same_upper" else t // 2 for t in total)
            end = tuple(t - b for t, b in zip(total, begin, strict=True))
        elif window.auto_pad == "valid":
            begin = end = (0,) * rank
        extra = tuple(x_ + o - (f - b - e) for x_, o, f, b, e in zip(extra, out, full, begin, end, strict=True))
    elif window.auto_pad:
        begin = end = (0,) * rank
    attrs = {"strides": window.strides, "dilations": window.dilations, "pads_begin": begin, "pads_end": end}
    layer.set_output(0, layer.emit("Deconv", [x, w, None], **attrs, output_padding=extra))


@opset("BinaryConvolution")
def binary_convolution_opset(layer: Layer) -> None:
    x, w = _opset_operands(layer, False)
    source = layer.node.sources[1]
    blob = source[0].blobs.get("custom") if source else None
    if blob is not None and blob.precision == "BIN":
        w = _weight_bits(layer, blob, w.shape)
    layer.set_output(0, _binary_conv(layer, x, _plus_minus(layer, w), opset_window(layer, w.shape[3:])))


@opset("DeformableConvolution")
def deformable_convolution_opset(layer: Layer) -> None:
    x, w = _opset_operands(layer, False, 2)
    groups = layer.int("group", 1)
    if groups < 1 or w.shape[1] % groups:
        raise layer.fail(f"attribute 'group' is {groups}, which does not divide {w.shape[1]} output channels")
    w = layer.reshape(w, (groups, w.shape[1] // groups, *w.shape[2:]))
    mask = layer.float_input(3) if layer.has_input(3) else None
    attrs = _conv_attrs(layer, x, opset_window(layer, w.shape[3:]))
    pad = int(layer.bool("bilinear_interpolation_pad", False))
    inputs = [x, layer.float_input(1), w, mask, None]
    layer.set_output(0, layer.emit("DeformConv", inputs, **attrs, deformable_group=layer.int("deformable_group", 1), bilinear_pad=pad))
