# SPDX-License-Identifier: Apache-2.0
"""Kinds Softmax, LogSoftmax, LRN, NormalizeL2 and MVN, and the normalisation layers of both dialects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ie_ctypes.model.ops.activation import channel_shape
from ie_ctypes.model.ops.attrs import FLOAT, Attrs, array, expect_axes, expect_dtype, integer, integers, number, tensor, text
from ie_ctypes.model.ops.registry import kind, legacy, opset
from ie_ctypes.model.program import TensorType

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer, Value


def _same(inputs: Sequence[TensorType | None], axes: Sequence[int]) -> list[TensorType]:
    x = tensor(inputs, 0)
    expect_dtype(inputs, FLOAT)
    expect_axes(axes, len(x.shape))
    return [x]


def infer_one_axis(attrs: Attrs, inputs: Sequence[TensorType | None]) -> list[TensorType]:
    """The input's shape; ``axis`` lies within it."""
    return _same(inputs, [integer(attrs, "axis")])


def infer_axes(attrs: Attrs, inputs: Sequence[TensorType | None]) -> list[TensorType]:
    """The input's shape; ``axes`` lie within it."""
    return _same(inputs, integers(attrs, "axes"))


def infer_normalize(attrs: Attrs, inputs: Sequence[TensorType | None]) -> list[TensorType]:
    """The input's shape."""
    if text(attrs, "eps_mode") not in ("add", "max"):
        raise ValueError(f"eps_mode is {attrs['eps_mode']!r}, expected add or max")
    return infer_axes(attrs, inputs)


def infer_mvn(attrs: Attrs, inputs: Sequence[TensorType | None]) -> list[TensorType]:
    """The input's shape."""
    if text(attrs, "eps_mode") not in ("inside", "outside"):
        raise ValueError(f"eps_mode is {attrs['eps_mode']!r}, expected inside or outside")
    return infer_axes(attrs, inputs)


def infer_lrn(attrs: Attrs, inputs: Sequence[TensorType | None]) -> list[TensorType]:
    """The input's shape."""
    if integer(attrs, "size") < 1 or integer(attrs, "size") % 2 == 0:
        raise ValueError(f"size is {attrs['size']}, expected an odd number >= 1")
    return infer_axes(attrs, inputs)


@kind("Softmax", infer_one_axis)
def softmax(attrs: Attrs, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """``exp(x - max) / sum`` along the axis."""
    x, axis = array(inputs, 0), integer(attrs, "axis")
    y = np.exp(x - np.max(x, axis=axis, keepdims=True)) if x.size else x
    return [y / np.sum(y, axis=axis, keepdims=True)]


@kind("LogSoftmax", infer_one_axis)
def log_softmax(attrs: Attrs, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """``x - max - log(sum(exp(x - max)))`` along the axis."""
    x, axis = array(inputs, 0), integer(attrs, "axis")
    y = x - np.max(x, axis=axis, keepdims=True) if x.size else x
    return [y - np.log(np.sum(np.exp(y), axis=axis, keepdims=True))]


@kind("LRN", infer_lrn)
def lrn(attrs: Attrs, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """``x / (bias + alpha / size^n * sum)^beta``; the sum of squares runs over a clipped window on each of the n axes."""
    x, axes, size = array(inputs, 0), integers(attrs, "axes"), integer(attrs, "size")
    total = np.square(x, dtype=np.float64)
    for axis in axes:
        half = min(size // 2, x.shape[axis])
        padding = [(half, half) if a == axis else (0, 0) for a in range(x.ndim)]
        total = sliding_window_view(np.pad(total, padding), 2 * half + 1, axis).sum(-1)
    scale = number(attrs, "bias") + number(attrs, "alpha") / size ** len(axes) * total
    return [(x / scale ** number(attrs, "beta")).astype(np.float32)]


@kind("NormalizeL2", infer_normalize)
def normalize_l2(attrs: Attrs, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """``x / sqrt(sum(x^2) + eps)``, or with the larger of sum and eps; no axes: each element alone."""
    x, eps = array(inputs, 0), np.float32(number(attrs, "eps"))
    total = np.sum(np.square(x), axis=integers(attrs, "axes"), keepdims=True)
    total = total + eps if text(attrs, "eps_mode") == "add" else np.maximum(total, eps)
    with np.errstate(all="ignore"):
        return [x / np.sqrt(total)]


@kind("MVN", infer_mvn)
def mvn(attrs: Attrs, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """``x - mean``, and over the deviation when ``normalize_variance``; eps is added inside or outside the root."""
    x, axes, eps = array(inputs, 0), integers(attrs, "axes"), np.float32(number(attrs, "eps"))
    y = x - np.mean(x, axis=axes, keepdims=True)
    if not integer(attrs, "normalize_variance"):
        return [y]
    variance = np.mean(np.square(y), axis=axes, keepdims=True)
    with np.errstate(all="ignore"):
        return [y / (np.sqrt(variance + eps) if text(attrs, "eps_mode") == "inside" else np.sqrt(variance) + eps)]


# -- translators -------------------------------------------------------------------------------------------------------------


@legacy("SoftMax")
@opset("SoftMax")
def softmax_layer(layer: Layer) -> None:
    x = layer.float_input(0)
    axis = layer.int("axis", 1)
    if layer.legacy and axis < 0:
        raise layer.fail("The value of SoftMax layer axis parameter is invalid")
    layer.set_output(0, layer.emit("Softmax", [x], axis=layer.axis(axis, len(x.shape))))


@legacy("LogSoftmax")
@opset("LogSoftmax")
def log_softmax_layer(layer: Layer) -> None:
    x = layer.float_input(0)
    axis = layer.axis(layer.int("axis", -1 if layer.legacy else 1), len(x.shape))
    layer.set_output(0, layer.emit("LogSoftmax", [x], axis=axis))


@legacy("Norm", "LRN")
def norm(layer: Layer) -> None:
    """Region ``across``: a window of channels; anything else: a square window of the spatial axes. ``k`` is an integer."""
    x = layer.float_input(0)
    if len(x.shape) < 2:
        raise layer.fail(f"input has shape {list(x.shape)}, expected rank >= 2")
    size = layer.int("local-size") if layer.has("local-size") else layer.int("local_size")
    axes = (1,) if layer.str("region").lower() == "across" else tuple(range(2, len(x.shape)))
    _emit_lrn(layer, x, axes, size, float(int(layer.float("k", 1.0))))


def _emit_lrn(layer: Layer, x: Value, axes: tuple[int, ...], size: int, bias: float) -> None:
    """An even size reaches as far as the odd one below it, but still divides alpha."""
    if size < 1:
        raise layer.fail(f"the window size is {size}, expected >= 1")
    odd = size - 1 + size % 2
    alpha = layer.float("alpha") * (odd / size) ** len(axes)
    layer.set_output(0, layer.emit("LRN", [x], axes=axes, size=odd, alpha=alpha, beta=layer.float("beta"), bias=bias))


@opset("LRN")
def lrn_opset(layer: Layer) -> None:
    x = layer.float_input(0)
    _emit_lrn(layer, x, _axes_input(layer, x), layer.int("size"), layer.float("bias", 1.0))


def _axes_input(layer: Layer, x: Value) -> tuple[int, ...]:
    return tuple(sorted({layer.axis(a, len(x.shape)) for a in layer.const_ints(1)}))


@legacy("Normalize")
def normalize(layer: Layer) -> None:
    """L2 norm over channels, or over all but the batch, then one scale or a scale for each channel."""
    x = layer.float_input(0)
    weights = layer.blob("weights")
    if weights is None:
        raise layer.fail("blob 'weights' is missing")
    axes = tuple(range(1, len(x.shape))) if layer.bool("across_spatial", False) else (1,)
    y = layer.emit("NormalizeL2", [x], axes=axes, eps=layer.float("eps"), eps_mode="add")
    layer.set_output(0, layer.emit("Binary", [y, channel_shape(layer, layer.convert(weights, "float32"), y)], op="mul"))


@opset("NormalizeL2")
def normalize_opset(layer: Layer) -> None:
    x = layer.float_input(0)
    mode = layer.str("eps_mode", "add").lower()
    layer.set_output(0, layer.emit("NormalizeL2", [x], axes=_axes_input(layer, x), eps=layer.float("eps"), eps_mode=mode))


@legacy("MVN")
@opset("MVN", versions=(1, 2, 3, 4, 5))
def mvn_layer(layer: Layer) -> None:
    """Mean over the spatial axes, and over channels too with ``across_channels``."""
    x = layer.float_input(0)
    axes = tuple(range(1 if layer.bool("across_channels", False) else 2, len(x.shape)))
    if len(x.shape) < 2:
        raise layer.fail(f"input has shape {list(x.shape)}, expected rank >= 2")
    if not axes:  # each number is its own mean
        layer.set_output(0, layer.emit("Binary", [x, x], op="sub"))
        return
    variance = layer.bool("normalize_variance", not layer.legacy)
    y = layer.emit("MVN", [x], axes=axes, normalize_variance=int(variance), eps=layer.float("eps"), eps_mode="inside")
    layer.set_output(0, y)


@opset("MVN")
def mvn_opset6(layer: Layer) -> None:
    x = layer.float_input(0)
    mode = layer.str("eps_mode", "inside_sqrt").lower()
    if mode not in ("inside_sqrt", "outside_sqrt"):
        raise layer.fail(f"attribute 'eps_mode' is {mode!r}, expected inside_sqrt or outside_sqrt")
    variance, eps = int(layer.bool("normalize_variance", True)), layer.float("eps")
    mode = mode.split("_")[0]
    layer.set_output(0, layer.emit("MVN", [x], axes=_axes_input(layer, x), normalize_variance=variance, eps=eps, eps_mode=mode))


@opset("GroupNormalization")
def group_normalization(layer: Layer) -> None:
    """Groups of channels to mean 0 and variance 1, then ``* scale + bias`` for each channel. Inputs: data, scale [C], bias [C]."""
    x, groups = layer.float_input(0), layer.int("num_groups")
    if len(x.shape) < 2 or groups < 1 or x.shape[1] % groups:
        raise layer.fail(f"num_groups is {groups}, the input has shape {list(x.shape)}")
    split = layer.emit("Reshape", [x], shape=(x.shape[0], groups, x.type.size // max(x.shape[0] * groups, 1)))
    y = layer.emit("MVN", [split], axes=(2,), normalize_variance=1, eps=layer.float("epsilon"), eps_mode="inside")
    y = layer.emit("Reshape", [y], shape=x.shape)
    for op, index in (("mul", 1), ("add", 2)):
        y = layer.emit("Binary", [y, channel_shape(layer, layer.float_input(index), y)], op=op)
    layer.set_output(0, y)


@legacy("GRN")
@opset("GRN")
def grn(layer: Layer) -> None:
    """``x / sqrt(sum over channels of x^2 + bias)``."""
    x = layer.float_input(0)
    layer.set_output(0, layer.emit("NormalizeL2", [x], axes=(1,), eps=layer.float("bias"), eps_mode="add"))


def _scale_shift(layer: Layer, x: Value, scale: np.ndarray, shift: np.ndarray) -> Value:
    """``x * scale[c] + shift[c]`` with constants worked out here."""
    y = x
    for op, values in (("mul", scale), ("add", shift)):
        y = layer.emit("Binary", [y, channel_shape(layer, layer.value(values.astype(np.float32)), x)], op=op)
    return y


@legacy("BatchNormalization")
def batch_normalization(layer: Layer) -> None:
    """``(x - biases[c]) / sqrt(weights[c] + epsilon)``: the weights are the variance, the biases the mean."""
    x = layer.float_input(0)
    variance, mean = layer.blob("weights"), layer.blob("biases")
    if variance is None or mean is None:
        raise layer.fail("blobs 'weights' (variance) and 'biases' (mean) are needed")
    if variance.shape != mean.shape:
        raise layer.fail(f"blob 'weights' has {variance.type.size} values, 'biases' has {mean.type.size}")
    scale = 1 / np.sqrt(variance.data.astype(np.float64) + layer.float("epsilon"))
    layer.set_output(0, _scale_shift(layer, x, scale, -mean.data * scale))


@opset("BatchNormInference")
def batch_norm_inference(layer: Layer) -> None:
    """``gamma * (x - mean) / sqrt(variance + epsilon) + beta`` on axis 1; before opset5 gamma and beta come first."""
    early = layer.node.version in ("opset1", "opset2", "opset3", "opset4")
    order = (2, 0, 1, 3, 4) if early else (0, 1, 2, 3, 4)
    x = layer.float_input(order[0])
    gamma, beta, mean, variance = (layer.const(i).astype(np.float64).ravel() for i in order[1:])
    if not gamma.size == beta.size == mean.size == variance.size:
        raise layer.fail(f"inputs have {gamma.size}, {beta.size}, {mean.size} and {variance.size} values, expected as many")
    eps = layer.float("epsilon") if layer.has("epsilon") else layer.float("eps")
    scale = gamma / np.sqrt(variance + eps)
    layer.set_output(0, _scale_shift(layer, x, scale, beta - mean * scale))
