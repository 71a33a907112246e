# SPDX-License-Identifier: Apache-2.0
"""NV12toRGB, NV12toBGR, I420toRGB, I420toBGR: video frames with halved colour planes to interleaved channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ie_ctypes.model.ops.registry import opset

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer, Value

# (factor of V, factor of U) beside 1.164 * (Y - 16); BT.601, IR.md 10.8
_MIX = {"r": (1.596, 0.0), "g": (-0.813, -0.391), "b": (0.0, 2.018)}


def _doubled(layer: Layer, x: Value) -> Value:
    """[N, H, W, 1] to [N, 2H, 2W, 1], each number four times."""
    n, h, w, _ = x.shape
    x = layer.emit("Reshape", [x], shape=(n, h, 1, w, 1))
    return layer.emit("Reshape", [layer.emit("Broadcast", [x], shape=(n, h, 2, w, 2))], shape=(n, 2 * h, 2 * w, 1))


def _split_rows(layer: Layer, x: Value, lengths: Sequence[int]) -> list[Value]:
    return layer.emit_many("Split", [x], axis=1, lengths=tuple(lengths))


def _planes(layer: Layer, x: Value) -> list[Value]:
    """Y [N, H, W, 1] and U, V [N, H/2, W/2, 1] of a frame of one plane or of separate ones."""
    interleaved = layer.type.lower().startswith("nv12")
    given = [layer.float_input(i) for i in range(len(layer.inputs))]
    if any(len(v.shape) != 4 for v in given) or len(given) not in (1, 2 if interleaved else 3):
        raise layer.fail(f"inputs have shapes {[list(v.shape) for v in given]}, expected one plane or {2 if interleaved else 3}, all NHWC")
    n, rows, w, _ = x.shape
    height = rows * 2 // 3 if len(given) == 1 else rows
    if height % 2 or w % 2 or x.shape[3] != 1 or (len(given) == 1 and rows % 3):
        raise layer.fail(f"the first plane has shape {list(x.shape)}, expected even sizes and one channel")
    h2, w2 = height // 2, w // 2
    if len(given) == 1 and interleaved:
        y, colour = _split_rows(layer, given[0], (height, h2))
        given = [y, layer.emit("Reshape", [colour], shape=(n, h2, w2, 2))]
    elif len(given) == 1:
        y, colour = _split_rows(layer, given[0], (height, h2))
        colour = layer.emit("Reshape", [colour], shape=(n, 2, h2, w2))
        given = [y, *(layer.emit("Reshape", [v], shape=(n, h2, w2, 1)) for v in _split_rows(layer, colour, (1, 1)))]
    if interleaved:
        if given[1].shape != (n, h2, w2, 2):
            raise layer.fail(f"the colour plane has shape {list(given[1].shape)}, expected {[n, h2, w2, 2]}")
        given = [given[0], *layer.emit_many("Split", [given[1]], axis=3, lengths=(1, 1))]
    for v in given[1:]:
        if v.shape != (n, h2, w2, 1):
            raise layer.fail(f"a colour plane has shape {list(v.shape)}, expected {[n, h2, w2, 1]}")
    return given


def _scaled(layer: Layer, x: Value, offset: float, factor: float) -> Value:
    return layer.emit("Unary", [x], op="power", alpha=1.0, beta=factor, gamma=-offset * factor)


@opset("NV12toRGB", "NV12toBGR", "I420toRGB", "I420toBGR")
def to_rgb(layer: Layer) -> None:
    """1.164 (Y - 16) and shares of U - 128 and V - 128, clipped to 0..255; bytes are rounded."""
    x = layer.input(0)
    y, u, v = _planes(layer, x)
    u, v = (_doubled(layer, plane) for plane in (u, v))
    light = _scaled(layer, y, 16, 1.164)
    channels = []
    for name in layer.type.lower()[-3:]:
        channel = light
        for plane, factor in zip((v, u), _MIX[name], strict=True):
            if factor:
                channel = layer.emit("Binary", [channel, _scaled(layer, plane, 128, factor)], op="add")
        channels.append(channel)
    colour = layer.emit("Concat", channels, axis=3)
    colour = layer.emit("Unary", [colour], op="clamp", alpha=0.0, beta=255.0, gamma=0.0)
    layer.set_output(0, colour if x.dtype == "float32" else layer.emit("Convert", [colour], dtype=x.dtype, round="nearest"))
