# SPDX-License-Identifier: Apache-2.0
"""Sliding windows: the spatial attributes of both dialects, automatic padding, and the windows themselves for the references."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model.program import Shape
from ie_ctypes.record import Record

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer

_AXES = ("z", "y", "x")  # order of the lists; the -x/-y names of IR v2 know the last two


class Window(Record, frozen=True, kw_only=True):
    """Spatial attributes, one entry an axis. ``auto_pad`` is "", "valid", "same_upper" or "same_lower"."""

    kernel: Shape
    strides: Shape
    dilations: Shape
    pads_begin: Shape
    pads_end: Shape
    auto_pad: str

    def __init__(self, *, kernel: Shape, strides: Shape, dilations: Shape, pads_begin: Shape, pads_end: Shape, auto_pad: str):
        assign = object.__setattr__
        assign(self, "kernel", kernel)
        assign(self, "strides", strides)
        assign(self, "dilations", dilations)
        assign(self, "pads_begin", pads_begin)
        assign(self, "pads_end", pads_end)
        assign(self, "auto_pad", auto_pad)

    def extent(self) -> Shape:
        """Elements that a window spans: ``(kernel - 1) * dilation + 1``."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True))


def _auto_pad(layer: Layer) -> str:
    mode = layer.str("auto_pad", "").lower()
    if mode not in ("", "explicit", "notset", "valid", "same_upper", "same_lower"):
        raise layer.fail(f"attribute 'auto_pad' is {mode!r}, expected explicit, valid, same_upper or same_lower")
    return "" if mode in ("explicit", "notset") else mode


def legacy_window(layer: Layer, rank: int) -> Window:
    """Attributes of IR v2 to v7 (IR.md 4.1): lists, or the ``-x``/``-y`` names when there is no ``kernel``."""
    names = _AXES[-rank:]

    def old(pattern: str, default: int | None) -> tuple[int, ...]:
        return tuple(layer.int(pattern.format(a), default) for a in names)

    if layer.has("kernel"):
        kernel = layer.ints("kernel")
        strides = layer.ints("strides", layer.ints("stride", ()))
        begin = layer.ints("pads_begin", ())
        end = layer.ints("pads_end", begin)
        dilations = layer.ints("dilations", ())
    else:
        kernel = old("kernel-{}", None)
        strides = tuple(s or 1 for s in old("stride-{}", 1))
        begin = old("pad-{}", 0)
        end = tuple(layer.int(f"pad-{after}", b) for after, b in zip(("back", "b", "r")[-rank:], begin, strict=True))
        dilations = old("dilation-{}", 1)
    return checked_window(layer, rank, kernel, strides, dilations, begin, end)


def opset_window(layer: Layer, kernel: Shape) -> Window:
    """Attributes of IR v10/v11; the kernel is the attribute of pooling or the weights' shape."""
    begin, end = layer.ints("pads_begin", ()), layer.ints("pads_end", ())
    return checked_window(layer, len(kernel), kernel, layer.ints("strides", ()), layer.ints("dilations", ()), begin, end)


def checked_window(layer: Layer, rank: int, kernel: Shape, strides: Shape, dilations: Shape, begin: Shape, end: Shape) -> Window:
    """A :class:`Window` with defaults for empty lists; lengths and ranges are checked."""
    lists = {
        "kernel": kernel,
        "strides": strides or (1,) * rank,
        "dilations": dilations or (1,) * rank,
        "pads_begin": begin or (0,) * rank,
        "pads_end": end or (0,) * rank,
    }
    for name, values in lists.items():
        if len(values) != rank or not values:
            raise layer.fail(f"attribute {name!r} has {len(values)} values, expected {max(rank, 1)}")
        if name[:4] != "pads" and min(values) < 1:
            raise layer.fail(f"attribute {name!r} is {list(values)}, expected values >= 1")
    return Window(**lists, auto_pad=_auto_pad(layer))


def same_begin(size: int, extent: int, stride: int, lower: bool) -> int:
    """Padding before an axis under ``same_upper``/``same_lower``: half of the total, the odd one goes before for ``lower``."""
    total = max(extent - (size % stride or stride), 0)
    return (total + 1) // 2 if lower else total // 2


def resolve(layer: Layer, w: Window, sizes: Shape, explicit_out: Shape) -> tuple[Shape, Shape, Shape]:
    """Output sizes and the padding before and after that give them; the padding after fits the windows exactly.

    ``explicit_out``: output sizes under explicit padding. ``same_lower`` of legacy files rounds down.
    """
    extents = w.extent()
    if w.auto_pad == "":
        out, begin = list(explicit_out), list(w.pads_begin)
    elif w.auto_pad == "valid":
        out = [-(-(size - extent + 1) // stride) for size, extent, stride in zip(sizes, extents, w.strides, strict=True)]
        begin = [0] * len(out)
    else:
        lower = w.auto_pad == "same_lower"
        out = [size // stride if lower and layer.legacy else -(-size // stride) for size, stride in zip(sizes, w.strides, strict=True)]
        begin = [same_begin(size, extent, stride, lower) for size, extent, stride in zip(sizes, extents, w.strides, strict=True)]
    out = _file_sizes(layer, sizes, out)
    if min(out, default=1) < 1:
        raise layer.fail(f"window {list(extents)} with strides {list(w.strides)} makes output sizes {out} of input sizes {list(sizes)}")
    end = [(o - 1) * s + e - size - b for o, s, e, size, b in zip(out, w.strides, extents, sizes, begin, strict=True)]
    return tuple(out), tuple(begin), tuple(end)


def _file_sizes(layer: Layer, sizes: Shape, out: list[int]) -> list[int]:
    """Output sizes of a legacy file: as long as the input is the file's, its rounding is the truth, whatever the attributes say."""
    if not layer.legacy or layer.node.inputs[0].shape[2:] != sizes:
        return out
    given = list(layer.node.outputs[0].shape[2:])
    if len(given) != len(out) or any(abs(a - b) > 1 for a, b in zip(given, out, strict=True)):
        raise layer.fail(f"output sizes are {given}, the attributes give {out} for input sizes {list(sizes)}")
    return given


def output_sizes(sizes: Shape, kernel: Shape, strides: Shape, dilations: Shape, begin: Shape, end: Shape, ceil: bool = False) -> Shape:
    """``(in + begin + end - extent) / stride + 1``, rounded down or up."""
    out = []
    for size, k, s, d, b, e in zip(sizes, kernel, strides, dilations, begin, end, strict=True):
        room = size + b + e - ((k - 1) * d + 1)
        if room < 0:
            raise ValueError(f"kernel {list(kernel)} exceeds padded input sizes {list(sizes)}")
        out.append((-(-room // s) if ceil else room // s) + 1)
    return tuple(out)


def padded(x: np.ndarray, begin: Shape, needed: Shape, value: float = 0.0) -> np.ndarray:
    """``x`` with its last axes padded (or cropped) to start ``begin`` before and to span ``needed`` elements."""
    lead = x.ndim - len(begin)
    inner = x[(slice(None),) * lead + tuple(slice(max(-b, 0), None) for b in begin)]
    inner = inner[(slice(None),) * lead + tuple(slice(0, max(n - max(b, 0), 0)) for n, b in zip(needed, begin, strict=True))]
    pads = [(0, 0)] * lead
    for size, b, n in zip(inner.shape[lead:], begin, needed, strict=True):
        before = min(max(b, 0), n)
        pads.append((before, n - size - before))
    return np.pad(inner, pads, constant_values=value)


def taps(x: np.ndarray, kernel: Shape, strides: Shape, dilations: Shape, out: Shape) -> Iterator[tuple[Shape, np.ndarray]]:
    """For every kernel position: its index, and the view of the padded input that it reads, one element an output."""
    lead = (slice(None),) * (x.ndim - len(kernel))
    for index in product(*map(range, kernel)):
        cut = tuple(slice(i * d, i * d + (o - 1) * s + 1, s) for i, d, s, o in zip(index, dilations, strides, out, strict=True))
        yield index, x[lead + cut]
