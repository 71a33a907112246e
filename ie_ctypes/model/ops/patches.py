# SPDX-License-Identifier: Apache-2.0
"""ExtractImagePatches, made of slices, and Col2Im, which adds patches up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model.ops.registry import legacy, opset
from ie_ctypes.model.ops.scatter import emit_scatter

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer


@legacy("ExtractImagePatches")
@opset("ExtractImagePatches")
def extract_image_patches(layer: Layer) -> None:
    """[N, C, H, W] to [N, kh*kw*C, OH, OW]: channel order kh, kw, c. ``rates`` is the distance inside a patch."""
    x = layer.input(0)
    if len(x.shape) != 4:
        raise layer.fail(f"the input has shape {list(x.shape)}, expected rank 4")
    sizes, strides, rates = (layer.ints(n) for n in ("sizes", "strides", "rates"))
    if any(len(v) != 2 or min(v) < 1 for v in (sizes, strides, rates)):
        raise layer.fail(f"sizes {list(sizes)}, strides {list(strides)} and rates {list(rates)} must be two values >= 1 each")
    auto_pad = layer.str("auto_pad", "valid").lower()
    if auto_pad not in ("valid", "same_upper", "same_lower"):
        raise layer.fail(f"attribute 'auto_pad' is {auto_pad!r}, expected valid, same_upper or same_lower")
    begins, ends, out = [0, 0], [0, 0], [0, 0]
    for i in range(2):
        span = (sizes[i] - 1) * rates[i] + 1
        if auto_pad == "valid":
            out[i] = max(x.shape[2 + i] - span, -1) // strides[i] + 1
            continue
        out[i] = -(-x.shape[2 + i] // strides[i])
        total = max((out[i] - 1) * strides[i] + span - x.shape[2 + i], 0)
        begins[i], ends[i] = (total // 2, total - total // 2) if auto_pad == "same_upper" else (total - total // 2, total // 2)
    x = layer.emit("Pad", [x], pads_begin=(0, 0, *begins), pads_end=(0, 0, *ends), mode="constant", value=0.0)
    parts = []
    for i, j in np.ndindex(*sizes):
        begin = (0, 0, i * rates[0] if out[0] else 0, j * rates[1] if out[1] else 0)
        parts.append(layer.emit("Slice", [x], begins=begin, strides=(1, 1, *strides), lengths=(*x.shape[:2], *out)))
    layer.set_output(0, layer.emit("Concat", parts, axis=1))


@opset("Col2Im")
def col2im(layer: Layer) -> None:
    """[N, C*kh*kw, L] or without N to [N, C, H, W]: overlapping patches are added up, what falls into the padding is dropped."""
    x = layer.input(0)
    sizes, kernel = layer.const_ints(1), layer.const_ints(2)
    strides, dilations = layer.ints("strides", (1, 1)), layer.ints("dilations", (1, 1))
    begins, ends = layer.ints("pads_begin", (0, 0)), layer.ints("pads_end", (0, 0))
    if any(len(v) != 2 for v in (sizes, kernel, strides, dilations, begins, ends)) or min(*sizes, *kernel, *strides, *dilations) < 1:
        given = f"output size {sizes}, kernel {kernel}, strides {list(strides)} and dilations {list(dilations)}"
        raise layer.fail(f"{given} must be two values >= 1 each")
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    windows = [(n + b + e - span) // s + 1 for n, b, e, span, s in zip(sizes, begins, ends, spans, strides, strict=True)]
    taps, blocks = kernel[0] * kernel[1], windows[0] * windows[1]
    if len(x.shape) not in (2, 3) or x.shape[-2] % taps or x.shape[-1] != blocks:
        raise layer.fail(f"the input has shape {list(x.shape)}, expected [N, C*{taps}, {blocks}]")
    places = []
    for k, d, w, s, b in zip(kernel, dilations, windows, strides, begins, strict=True):
        places.append(np.arange(k)[:, None] * d + np.arange(w) * s - b)
    inside = [(p >= 0) & (p < n) for p, n in zip(places, sizes, strict=True)]
    at = places[0][:, None, :, None] * sizes[1] + places[1][:, None, :]
    at = np.where(inside[0][:, None, :, None] & inside[1][:, None, :], at, -1)
    lead = x.shape[:-2]
    planes = x.type.size // (taps * blocks)
    rows = layer.emit("Transpose", [layer.reshape(x, (planes, taps * blocks))], order=(1, 0))
    zero = layer.value(np.zeros((sizes[0] * sizes[1], planes), x.dtype), "zero")
    y = emit_scatter(layer, zero, layer.value(at.ravel(), "places"), rows, "sum")
    layer.set_output(0, layer.reshape(layer.emit("Transpose", [y], order=(1, 0)), (*lead, x.shape[-2] // taps, *sizes)))
