# SPDX-License-Identifier: Apache-2.0
"""PriorBox and PriorBoxClustered: anchor boxes that depend on shapes alone, so they are constants. Formulas: IR 6.1, 6.2."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model.ops.registry import legacy, opset
from ie_ctypes.record import Record

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer

_DEFAULT_VARIANCE = 0.1


class _Box(Record, frozen=True, kw_only=True):
    """One prior of a cell, in pixels relative to the cell's centre."""

    dx: float = 0.0
    dy: float = 0.0
    width: float
    height: float
    clipped: bool = False  # the original clips boxes of fixed size on one side


def _variances(layer: Layer, count: int) -> np.ndarray:
    """The second row: four values a box, or one value for all."""
    given = layer.floats("variance", ())
    if len(given) not in (0, 1, 4) or min(given, default=0.0) < 0:
        raise layer.fail(f"attribute 'variance' is {list(given)}, expected none, one or four values >= 0")
    values = given * 4 if len(given) == 1 else given or (_DEFAULT_VARIANCE,) * 4
    return np.tile(np.array(values, np.float32), count)


def _ratios(layer: Layer) -> list[float]:
    """1, then every other aspect ratio once, each followed by its inverse when ``flip`` is set."""
    ratios = [1.0]
    for ratio in layer.floats("aspect_ratio", ()):
        if ratio <= 0:
            raise layer.fail(f"aspect ratio is {ratio}, expected > 0")
        if all(abs(ratio - r) >= 1e-6 for r in ratios):
            ratios.append(ratio)
            if layer.bool("flip", False):
                ratios.append(1 / ratio)
    return ratios


def _grid(size: float, density: int, ratio: float, shift: int, half: float) -> list[_Box]:
    """``density`` squared boxes spread over the fixed size."""
    first = shift / 2 - half
    width, height = size * math.sqrt(ratio), size / math.sqrt(ratio)
    return [
        _Box(dx=first + c * shift, dy=first + r * shift, width=width, height=height, clipped=True)
        for r in range(density)
        for c in range(density)
    ]


def _fixed_boxes(layer: Layer, ratios: Sequence[float]) -> list[_Box]:
    densities, fixed_ratios = layer.floats("density", ()), layer.floats("fixed_ratio", ())
    boxes = []
    for i, size in enumerate(layer.floats("fixed_size", ())):
        density = int(densities[i]) if i < len(densities) else 1
        if density < 1 or size <= 0:
            raise layer.fail(f"density {density} and fixed size {size} must be positive")
        shift, half = int(size / density), float(int(size) // 2)
        for ratio in fixed_ratios or ratios:
            boxes += _grid(size, density, ratio, shift, half)
    return boxes


def _sized_boxes(layer: Layer, ratios: Sequence[float], scale: float) -> list[_Box]:
    """Squares of the minimum sizes, each with the square between it and its maximum and with the other ratios."""
    minimums = [m * scale for m in layer.floats("min_size", ())]
    maximums = layer.floats("max_size", ())
    scale_all = layer.bool("scale_all_sizes", True)
    boxes = []
    for i, size in enumerate(minimums):
        between, ratio_boxes = [], []
        if i < len(maximums):
            side = math.sqrt(size * maximums[i])
            between.append(_Box(width=side, height=side))
        if scale_all or i == len(minimums) - 1:
            base = size if scale_all else minimums[0]
            ratio_boxes = [_Box(width=base * math.sqrt(r), height=base / math.sqrt(r)) for r in ratios[1:]]
        first, second = (between, ratio_boxes) if layer.bool("min_max_aspect_ratios_order", True) else (ratio_boxes, between)
        boxes += [_Box(width=size, height=size), *first, *second]
    return boxes


def _declared_count(layer: Layer, ratios: Sequence[float], is_legacy: bool) -> int:
    """Priors a cell that the shape rule promises; the boxes made may be fewer, the rest of the row is 0."""
    minimums, maximums, fixed = (len(layer.floats(n, ())) for n in ("min_size", "max_size", "fixed_size"))
    scale_all = layer.bool("scale_all_sizes", True)
    count = len(ratios) * minimums if scale_all else len(ratios) + minimums - 1
    if not is_legacy and scale_all:
        count += maximums
    if fixed:
        count = len(ratios) * fixed
    spread = len(layer.floats("fixed_ratio", ())) or len(ratios)
    count += sum(spread * (int(d) ** 2 - 1) for d in layer.floats("density", ()))
    return count + maximums if is_legacy else count


def _prior_box(layer: Layer, feature: Sequence[int], image: Sequence[int]) -> np.ndarray:
    """[2, 4 * H * W * P]: corners in the order of cells, over variances."""
    (rows, columns), (image_h, image_w) = feature, image
    if min(*feature, *image) < 1:
        raise layer.fail(f"feature map {list(feature)} and image {list(image)} must not be empty")
    ratios = _ratios(layer)
    step, scale = layer.float("step", 0.0), 1.0
    if not layer.legacy and not layer.bool("scale_all_sizes", True):
        scale = float(image_h)  # sizes and step are relative there
        step = image_h / rows if step == -1 else step * image_h
    boxes = _fixed_boxes(layer, ratios) + _sized_boxes(layer, ratios, scale)
    if step == 0:
        xs = (np.arange(columns) + 0.5) * (image_w / columns)
        ys = (np.arange(rows) + 0.5) * (image_h / rows)
    else:
        xs, ys = ((np.arange(n) + layer.float("offset")) * step for n in (columns, rows))
    coordinates = np.empty((rows, columns, len(boxes), 4))
    for i, box in enumerate(boxes):
        x, y = (xs + box.dx)[None, :], (ys + box.dy)[:, None]
        corners = [x - box.width / 2, y - box.height / 2, x + box.width / 2, y + box.height / 2]
        for k, corner in enumerate(corners):
            value = corner / (image_h if k % 2 else image_w)
            coordinates[:, :, i, k] = (np.maximum(value, 0) if k < 2 else np.minimum(value, 1)) if box.clipped else value
    if layer.bool("clip", False):
        coordinates = coordinates.clip(0, 1)
    count = max(_declared_count(layer, ratios, layer.legacy), len(boxes)) * rows * columns
    out = np.zeros((2, 4 * count), np.float32)
    out[0, : coordinates.size] = coordinates.ravel()
    out[1] = _variances(layer, count)
    return out


def _prior_box_clustered(layer: Layer, feature: Sequence[int], image: Sequence[int]) -> np.ndarray:
    """[2, 4 * H * W * P]: boxes of the listed sizes around each cell."""
    widths, heights = np.array(layer.floats("width")), np.array(layer.floats("height"))
    if len(widths) != len(heights):
        raise layer.fail(f"there are {len(widths)} widths and {len(heights)} heights")
    rows, columns = feature
    image_h, image_w = (layer.float(n, 0.0) or size for n, size in zip(("img_h", "img_w"), image, strict=True))
    if min(rows, columns, image_h, image_w) < 1:
        raise layer.fail(f"feature map {list(feature)} and image {list(image)} must not be empty")
    step = layer.float("step", 0.0)
    step_h, step_w = (layer.float(n, 0.0) or step for n in ("step_h", "step_w"))
    if step_h == 0 and step_w == 0:
        step_h, step_w = image_h / rows, image_w / columns
    x = ((np.arange(columns) + layer.float("offset")) * step_w)[None, :, None]
    y = ((np.arange(rows) + layer.float("offset")) * step_h)[:, None, None]
    corners = [(x - widths / 2) / image_w, (y - heights / 2) / image_h, (x + widths / 2) / image_w, (y + heights / 2) / image_h]
    coordinates = np.stack(np.broadcast_arrays(*corners), axis=-1)
    if layer.bool("clip", False):
        coordinates = coordinates.clip(0, 1)
    return np.stack([coordinates.ravel().astype(np.float32), _variances(layer, coordinates.size // 4)])


def _legacy_sizes(layer: Layer) -> tuple[Sequence[int], Sequence[int]]:
    sizes = [layer.input(i).shape[2:] for i in range(2)]
    if any(len(s) != 2 for s in sizes):
        raise layer.fail(f"inputs have shapes {[list(layer.input(i).shape) for i in range(2)]}, expected four axes each")
    return sizes[0], sizes[1]


def _opset_sizes(layer: Layer) -> tuple[Sequence[int], Sequence[int]]:
    sizes = [layer.const_ints(i) for i in range(2)]
    if any(len(s) != 2 for s in sizes):
        raise layer.fail(f"output size and image size are {sizes}, expected two values each")
    return sizes[0], sizes[1]


@legacy("PriorBox")
def legacy_prior_box(layer: Layer) -> None:
    layer.set_output(0, layer.value(_prior_box(layer, *_legacy_sizes(layer))[None]))


@legacy("PriorBoxClustered")
def legacy_prior_box_clustered(layer: Layer) -> None:
    layer.set_output(0, layer.value(_prior_box_clustered(layer, *_legacy_sizes(layer))[None]))


@opset("PriorBox")
def opset_prior_box(layer: Layer) -> None:
    layer.set_output(0, layer.value(_prior_box(layer, *_opset_sizes(layer))))


@opset("PriorBoxClustered")
def opset_prior_box_clustered(layer: Layer) -> None:
    layer.set_output(0, layer.value(_prior_box_clustered(layer, *_opset_sizes(layer))))
