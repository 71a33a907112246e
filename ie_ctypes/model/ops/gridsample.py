# SPDX-License-Identifier: Apache-2.0
"""GridSample: the input at given places, made of gathers and elementwise nodes."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model.ops.registry import opset

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer, Value

_CUBIC = -0.75


class _Sampler:
    """Arithmetic on float32 values of one layer."""

    def __init__(self, layer: Layer):
        self.layer = layer

    def binary(self, op: str, a: Value, b: Value | float) -> Value:
        other = self.layer.scalar(b) if isinstance(b, int | float) else b
        return self.layer.emit("Binary", [a, other], op=op)

    def affine(self, x: Value, scale: float, shift: float) -> Value:
        return self.layer.emit("Unary", [x], op="power", alpha=1.0, beta=scale, gamma=shift)

    def unary(self, op: str, x: Value, alpha: float = 0.0, beta: float = 0.0) -> Value:
        return self.layer.emit("Unary", [x], op=op, alpha=alpha, beta=beta, gamma=0.0)

    def inside(self, x: Value, size: int) -> Value:
        """1 where a whole-numbered place lies in the input, else 0."""
        low = self.layer.emit("Binary", [x, self.layer.scalar(-0.5)], op="greater")
        high = self.layer.emit("Binary", [x, self.layer.scalar(size - 0.5)], op="less")
        return self.layer.convert(self.layer.emit("Binary", [low, high], op="logical_and"), "float32")

    def reflected(self, x: Value, size: int, align: bool) -> Value:
        """Places mirrored at the borders: the outer pixels with ``align``, their outer edges without."""
        low, span = (0.0, float(size - 1)) if align else (-0.5, float(size))
        if span <= 0:
            return self.affine(x, 0.0, 0.0)
        away = self.unary("abs", self.affine(x, 1.0, -low))
        extra = self.binary("mod", away, span)
        odd = self.binary("mod", self.unary("floor", self.affine(away, 1 / span, 0.0)), 2.0)
        mirrored = self.binary("add", extra, self.binary("mul", odd, self.affine(extra, -2.0, span)))
        return self.unary("clamp", self.affine(mirrored, 1.0, low), 0.0, float(size - 1))

    def padded(self, x: Value, size: int, padding: str, align: bool) -> Value:
        if padding == "border":
            return self.unary("clamp", x, 0.0, float(size - 1))
        return self.reflected(x, size, align) if padding == "reflection" else x

    def cubic_weights(self, t: Value) -> list[Value]:
        """Weights of the four neighbours at distances 1 + t, t, 1 - t, 2 - t."""
        a = _CUBIC

        def near(d: Value) -> Value:
            square = self.binary("mul", d, d)
            return self.affine(self.binary("mul", square, self.affine(d, a + 2, -(a + 3))), 1.0, 1.0)

        def far(d: Value) -> Value:
            inner = self.affine(self.binary("mul", d, self.affine(d, a, -5 * a)), 1.0, 8 * a)
            return self.affine(self.binary("mul", d, inner), 1.0, -4 * a)

        return [far(self.affine(t, 1.0, 1.0)), near(t), near(self.affine(t, -1.0, 1.0)), far(self.affine(t, -1.0, 2.0))]


@opset("GridSample")
def grid_sample(layer: Layer) -> None:
    """[N, C, s...] at places grid [N, o..., rank of s] in -1..1, x first; three spatial axes work like two."""
    x, grid = layer.float_input(0), layer.float_input(1)
    rank = len(x.shape) - 2
    if rank not in (2, 3) or len(grid.shape) != rank + 2 or grid.shape[-1] != rank or grid.shape[0] != x.shape[0]:
        raise layer.fail(f"data of shape {list(x.shape)} and a grid of shape {list(grid.shape)} do not fit")
    mode, padding = layer.str("mode", "bilinear").lower(), layer.str("padding_mode", "zeros").lower()
    align = layer.bool("align_corners", False)
    if mode not in ("bilinear", "nearest", "bicubic") or padding not in ("zeros", "border", "reflection"):
        raise layer.fail(f"mode {mode!r} or padding_mode {padding!r} is unknown")
    s = _Sampler(layer)
    n, places = x.shape[0], math.prod(grid.shape[1:-1])
    coordinates = layer.emit_many("Split", [layer.reshape(grid, (n, places, rank))], axis=2, lengths=(1,) * rank)
    taps: list[list[tuple[Value, Value | None]]] = []  # for each axis: (whole-numbered place, weight)
    for size, coordinate in zip(x.shape[2:], reversed(coordinates), strict=True):
        c = layer.reshape(coordinate, (n, places))
        at = s.affine(c, (size - 1) / 2, (size - 1) / 2) if align else s.affine(c, size / 2, (size - 1) / 2)
        if mode != "bicubic":
            at = s.padded(at, size, padding, align)
        if mode == "nearest":
            taps.append([(s.unary("round_even", at), None)])
            continue
        low = s.unary("floor", at)
        t = s.binary("sub", at, low)
        if mode == "bilinear":
            taps.append([(low, s.affine(t, -1.0, 1.0)), (s.affine(low, 1.0, 1.0), t)])
        else:
            found = [s.padded(s.affine(low, 1.0, float(k)), size, padding, align) for k in (-1, 0, 1, 2)]
            taps.append(list(zip(found, s.cubic_weights(t), strict=True)))
    flat = layer.reshape(x, (*x.shape[:2], math.prod(x.shape[2:])))
    total: Value | None = None
    for corner in itertools.product(*taps):
        index: Value | None = None
        weight: Value | None = None
        for size, stride, (place, w) in zip(x.shape[2:], _strides(x.shape[2:]), corner, strict=True):
            clipped = layer.convert(s.unary("clamp", place, 0.0, float(size - 1)), "int64")
            part = layer.emit("Binary", [clipped, layer.value(np.int64(stride))], op="mul")
            index = part if index is None else layer.emit("Binary", [index, part], op="add")
            for factor in (w, s.inside(place, size) if padding == "zeros" else None):
                if factor is not None:
                    weight = factor if weight is None else s.binary("mul", weight, factor)
        assert index is not None
        value = layer.emit("Gather", [flat, index], axis=2, batch_dims=1, wrap=0)
        if weight is not None:
            value = s.binary("mul", value, layer.reshape(weight, (n, 1, places)))
        total = value if total is None else s.binary("add", total, value)
    assert total is not None
    layer.set_output(0, layer.reshape(total, (*x.shape[:2], *grid.shape[1:-1])))


def _strides(shape: tuple[int, ...]) -> list[int]:
    return [math.prod(shape[i + 1 :]) for i in range(len(shape))]
