# SPDX-License-Identifier: Apache-2.0
"""Kinds MaxPool and AvgPool, and the pooling layers of both dialects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model.dtypes import BY_ELEMENT_TYPE
from ie_ctypes.model.ops.attrs import FLOAT, NUMBERS, Attrs, array, expect_dtype, expect_rank, integer, integers, tensor, text
from ie_ctypes.model.ops.registry import kind, legacy, opset
from ie_ctypes.model.ops.windows import Window, checked_window, legacy_window, opset_window, output_sizes, padded, resolve, same_begin, taps
from ie_ctypes.model.program import Shape, TensorType
from ie_ctypes.record import replace

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer, Value

_LISTS = ("kernel", "strides", "dilations", "pads_begin", "pads_end")


def _infer(attrs: Attrs, x: TensorType) -> TensorType:
    rank = expect_rank(x, 3, 5) - 2
    lists = [integers(attrs, n) if n in attrs else (1,) * rank for n in _LISTS]
    ceil = bool(integer(attrs, "ceil"))
    for name, values in zip(_LISTS, lists, strict=True):
        if len(values) != rank or (name[:4] != "pads" and min(values) < 1):
            raise ValueError(f"{name} is {list(values)}, expected {rank} values" + ("" if name[:4] == "pads" else " >= 1"))
    return TensorType(x.dtype, (*x.shape[:2], *output_sizes(x.shape[2:], lists[0], lists[1], lists[2], lists[3], lists[4], ceil)))


def infer_max_pool(attrs: Attrs, inputs: Sequence[TensorType | None]) -> list[TensorType]:
    """[N, C, out...], and the indices of the same shape when ``index_dtype`` is given."""
    expect_dtype(inputs, NUMBERS)
    out = _infer(attrs, tensor(inputs, 0))
    if "index_dtype" not in attrs:
        return [out]
    if text(attrs, "index_dtype") not in ("int32", "int64"):
        raise ValueError(f"index_dtype is {attrs['index_dtype']!r}, expected int32 or int64")
    return [out, TensorType(text(attrs, "index_dtype"), out.shape)]


def _needed(out: Shape, strides: Shape, kernel: Shape, dilations: Shape) -> Shape:
    return tuple((o - 1) * s + (k - 1) * d + 1 for o, s, k, d in zip(out, strides, kernel, dilations, strict=True))


@kind("MaxPool", infer_max_pool)
def max_pool(attrs: Attrs, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """The largest element of each window, the first of equals; indices are flat from axis ``index_axis`` on."""
    x = array(inputs, 0)
    types = infer_max_pool(attrs, [TensorType(x.dtype.name, x.shape)])
    out = types[0].shape[2:]
    kernel, strides, begin = (integers(attrs, n) for n in ("kernel", "strides", "pads_begin"))
    dilations = integers(attrs, "dilations") if "dilations" in attrs else (1,) * len(kernel)
    lowest = np.finfo(x.dtype).min if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    needed = _needed(out, strides, kernel, dilations)
    best = np.full(types[0].shape, lowest, x.dtype)
    if len(types) == 1:
        for _, samples in taps(padded(x, begin, needed, lowest), kernel, strides, dilations, out):
            np.maximum(best, samples, out=best)
        return [best]
    axis = integer(attrs, "index_axis")
    flat = np.broadcast_to(np.arange(int(np.prod(x.shape[axis:]))).reshape(x.shape[axis:]), x.shape)
    at = np.full(best.shape, -1, np.int64)
    sources = padded(x, begin, needed, lowest), padded(flat, begin, needed, -1)
    for (_, samples), (_, places) in zip(*(taps(s, kernel, strides, dilations, out) for s in sources), strict=True):
        wins = (places >= 0) & ((samples > best) | (at < 0))
        best[wins], at[wins] = samples[wins], places[wins]
    return [best, np.maximum(at, 0).astype(types[1].dtype)]


def infer_avg_pool(attrs: Attrs, inputs: Sequence[TensorType | None]) -> list[TensorType]:
    """[N, C, out...]."""
    expect_dtype(inputs, FLOAT)
    if text(attrs, "divisor") not in ("valid", "kernel", "legacy"):
        raise ValueError(f"divisor is {attrs['divisor']!r}, expected valid, kernel or legacy")
    return [_infer(attrs, tensor(inputs, 0))]


def _divisor(mode: str, sizes: Shape, out: Shape, kernel: Shape, strides: Shape, begin: Shape) -> np.ndarray:
    """Divisor of every window [out...]; see docs/kinds.md."""
    total = np.ones((), np.float64)
    for size, o, k, s, b in zip(sizes, out, kernel, strides, begin, strict=True):
        start = np.arange(o) * s - b
        if mode == "kernel":
            count = np.full(o, k)
        elif mode == "legacy":
            count = np.minimum(start + k, size + b) - start
        else:
            count = np.maximum(np.minimum(start + k, size) - np.maximum(start, 0), 0)
        total = np.multiply.outer(total, count)
    return total


@kind("AvgPool", infer_avg_pool)
def avg_pool(attrs: Attrs, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """Sum of each window's real elements over its divisor; the mean of none is NaN, as in the original."""
    x = array(inputs, 0)
    shape = infer_avg_pool(attrs, [TensorType(x.dtype.name, x.shape)])[0].shape
    out = shape[2:]
    kernel, strides, begin = (integers(attrs, n) for n in ("kernel", "strides", "pads_begin"))
    ones = (1,) * len(kernel)
    y = np.zeros(shape, np.float32)
    for _, samples in taps(padded(x, begin, _needed(out, strides, kernel, ones)), kernel, strides, ones, out):
        y += samples
    divisor = _divisor(text(attrs, "divisor"), x.shape[2:], out, kernel, strides, begin)
    used = divisor > 0 if text(attrs, "divisor") == "legacy" else True
    with np.errstate(invalid="ignore"):
        return [np.divide(y, divisor, out=np.zeros_like(y), where=used, casting="same_kind")]


# -- translators -------------------------------------------------------------------------------------------------------------


def _data(layer: Layer) -> Value:
    x = layer.float_input(0)
    if not 3 <= len(x.shape) <= 5:
        raise layer.fail(f"input has shape {list(x.shape)}, expected rank 3 to 5")
    return x


def _explicit(layer: Layer, w: Window, sizes: Shape, ceil: bool) -> Shape:
    if w.auto_pad:
        return ()
    try:
        return output_sizes(sizes, w.kernel, w.strides, w.dilations, w.pads_begin, w.pads_end, ceil)
    except ValueError as e:
        raise layer.fail(str(e)) from None


def _drop_outside(out: Shape, w: Window, sizes: Shape) -> Shape:
    """Output sizes without a last window that starts beyond the input and the padding before it."""
    axes = zip(out, w.strides, sizes, w.pads_begin, strict=True) if out else ()
    return tuple(o - 1 if (o - 1) * s >= size + b else o for o, s, size, b in axes)


def _caffe_window(layer: Layer, rank: int) -> Window:
    """The spellings of a Caffe prototxt, two spatial axes."""

    def pair(one: str, stem: str, default: int) -> tuple[int, ...]:
        both = layer.int(one, default)
        return (layer.int(f"{stem}_h", both), layer.int(f"{stem}_w", both))

    kernel, strides, pads = pair("kernel_size", "kernel", 0), pair("stride", "stride", 1), pair("pad", "pad", 0)
    return checked_window(layer, rank, kernel, strides, (), pads, pads)


@legacy("Pooling")
def pooling(layer: Layer) -> None:
    """Rounds up unless told to round down; a last window that starts beyond input and padding is dropped (IR.md 4.4)."""
    x = _data(layer)
    rank = len(x.shape) - 2
    caffe = not layer.has("kernel", "kernel-x") and layer.has("kernel_size", "kernel_h", "kernel_w")
    window = _caffe_window(layer, rank) if caffe else legacy_window(layer, rank)
    rounding = layer.str("rounding-type", layer.str("rounding_type", "ceil")).lower()
    if rounding not in ("ceil", "floor"):
        raise layer.fail(f"attribute 'rounding-type' is {rounding!r}, expected 'ceil' or 'floor'")
    method = layer.str("pool-method", layer.str("pool", "max")).lower()
    method = {"caffe.poolingparameter.max": "max", "caffe.poolingparameter.ave": "avg"}.get(method, method)
    if method not in ("max", "avg"):
        raise layer.fail(f"attribute 'pool-method' is {method!r}, expected 'max' or 'avg'")
    sizes = x.shape[2:]
    explicit = _drop_outside(_explicit(layer, window, sizes, rounding == "ceil"), window, sizes)
    _, begin, end = resolve(layer, window, sizes, explicit)
    attrs = {"kernel": window.kernel, "strides": window.strides, "pads_begin": begin, "pads_end": end}
    if method == "max":
        layer.set_output(0, layer.emit("MaxPool", [x], **attrs, dilations=(1,) * rank, ceil=0))
        return
    valid = layer.bool("exclude-pad", False) or not any(begin)
    layer.set_output(0, layer.emit("AvgPool", [x], **attrs, ceil=0, divisor="valid" if valid else "legacy"))


def _padded_window(w: Window, sizes: Shape) -> Window:
    """The window with the padding that its ``auto_pad`` stands for, given explicitly."""
    begin, end = [], []
    for size, extent, stride in zip(sizes, w.extent(), w.strides, strict=True):
        total = max(extent - (size % stride or stride), 0) if w.auto_pad != "valid" else 0
        begin.append(same_begin(size, extent, stride, w.auto_pad == "same_lower") if total else 0)
        end.append(total - begin[-1])
    return replace(w, pads_begin=tuple(begin), pads_end=tuple(end), auto_pad="")


def _opset_attrs(layer: Layer, x: Value) -> tuple[dict[str, Shape], Shape]:
    """Window attributes of a pooling operation with padding worked out, and the dilations."""
    window = opset_window(layer, layer.ints("kernel"))
    sizes = x.shape[2:]
    if len(window.kernel) != len(sizes):
        raise layer.fail(f"attribute 'kernel' has {len(window.kernel)} values, expected {len(sizes)}")
    if window.auto_pad:  # decides the padding only: the rounding still counts
        window = _padded_window(window, sizes)
    rounding = layer.str("rounding_type", "floor").lower()
    if rounding not in ("floor", "ceil", "ceil_torch"):
        raise layer.fail(f"attribute 'rounding_type' is {rounding!r}, expected floor, ceil or ceil_torch")
    explicit = _explicit(layer, window, sizes, rounding != "floor")
    if rounding == "ceil_torch":  # no window may start in the padding after the axis
        explicit = _drop_outside(explicit, window, sizes)
    _, begin, end = resolve(layer, window, sizes, explicit)
    return {"kernel": window.kernel, "strides": window.strides, "pads_begin": begin, "pads_end": end}, window.dilations


@opset("MaxPool")
def max_pool_opset(layer: Layer) -> None:
    """Version 8 and later have a second output: where each maximum was."""
    x = layer.input(0) if layer.input(0).dtype in NUMBERS else layer.convert(layer.input(0), "int32")
    attrs, dilations = _opset_attrs(layer, x)
    if len(layer.node.outputs) < 2:
        y = layer.emit("MaxPool", [x], **attrs, dilations=dilations, ceil=0)
    else:
        element = layer.str("index_element_type", "i64").lower()
        if element not in ("i32", "i64"):
            raise layer.fail(f"attribute 'index_element_type' is {element!r}, expected i32 or i64")
        axis = layer.axis(layer.int("axis", 0), len(x.shape))
        dtype = BY_ELEMENT_TYPE[element].numpy
        y, indices = layer.emit_many("MaxPool", [x], **attrs, dilations=dilations, ceil=0, index_axis=axis, index_dtype=dtype)
        layer.set_output(1, indices)
    layer.set_output(0, layer.convert(y, layer.input(0).dtype))


@opset("AvgPool")
def avg_pool_opset(layer: Layer) -> None:
    x = _data(layer)
    attrs, dilations = _opset_attrs(layer, x)
    if any(d != 1 for d in dilations):
        raise layer.fail(f"attribute 'dilations' is {list(dilations)}, expected ones")
    padding = any(attrs["pads_begin"]) or any(layer.ints("pads_end", ())) or layer.str("auto_pad", "").lower().startswith("same")
    valid = layer.bool("exclude-pad", False) or not padding
    layer.set_output(0, layer.emit("AvgPool", [x], **attrs, ceil=0, divisor="valid" if valid else "kernel"))
