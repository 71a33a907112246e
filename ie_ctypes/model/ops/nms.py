# SPDX-License-Identifier: Apache-2.0
"""Kind NonMaxSuppression: the best boxes of each class of each image, hard or with scores that fall by overlap. Rules: IR 6.9, 10.7."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model.ops.attrs import array, integer, optional, tensor, text
from ie_ctypes.model.ops.boxes import best_first, overlap, rotated_overlap
from ie_ctypes.model.ops.registry import Attrs, kind, legacy, opset
from ie_ctypes.model.program import TensorType

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer, Value


def _nms_type(attrs: Attrs, types: Sequence[TensorType | None]) -> list[TensorType]:
    boxes, scores = tensor(types, 0), tensor(types, 1)
    numbers = 5 if integer(attrs, "rotated", 0) else 4
    if len(boxes.shape) != 3 or boxes.shape[2] != numbers or len(scores.shape) != 3:
        raise ValueError(f"boxes {list(boxes.shape)} and scores {list(scores.shape)}: expected [B, N, {numbers}] and [B, C, N]")
    if scores.shape[0] != boxes.shape[0] or scores.shape[2] != boxes.shape[1] or boxes.dtype != "float32" or scores.dtype != "float32":
        raise ValueError(
            f"scores are {scores.dtype} {list(scores.shape)}, boxes {boxes.dtype} {list(boxes.shape)}: "
            f"expected float32 {[boxes.shape[0], 'C', boxes.shape[1]]} for scores"
        )
    for i, dtypes in ((2, ("int32", "int64")), (3, ("float32",)), (4, ("float32",)), (5, ("float32",))):
        t = types[i] if i < len(types) else None
        if t is not None and (t.size != 1 or t.dtype not in dtypes):
            raise ValueError(f"input {i} is {t.dtype} {list(t.shape)}, expected one {dtypes[0]}")
    rows = integer(attrs, "rows")
    index = TensorType(text(attrs, "index_dtype", ("int32", "int64")), (rows, 3))
    return [index, TensorType("float32", (rows, 3)), TensorType(index.dtype, (1,))]


def _corners(boxes: np.ndarray, center: bool) -> np.ndarray:
    """Boxes [N, 4] with sorted corners; the order of the two axes does not matter to overlaps."""
    if center:
        half = boxes[:, 2:] / np.float32(2)
        return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], 1)
    return np.concatenate([np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])], 1)


def _select(
    overlap_of: Callable[[int, int], np.float32],
    scores: np.ndarray,
    most: int,
    iou: np.float32,
    least: np.float32,
    sigma: np.float32,
    equal: bool,
) -> list[tuple[float, int]]:
    """(score, box) of one class of one image, best first. A score changed by overlaps queues again; ``equal``: see the kind."""
    queue = [(-float(scores[i]), int(i), 0) for i in best_first(scores) if scores[i] > least]
    kept: list[tuple[float, int]] = []
    fall = np.float32(-0.5) / sigma if sigma > 0 else np.float32(0)
    while queue and len(kept) < most:
        score, i, first = heapq.heappop(queue)
        score = np.float32(-score)
        before, dropped = score, False
        for _, other in reversed(kept[first:]):
            value = overlap_of(i, other)
            if sigma > 0:
                score = score * np.float32(math.exp(fall * value * value))
            else:
                dropped = bool(value >= iou if equal else value > iou)
            if dropped or score <= least:
                break
        if dropped:
            continue
        if score == before:
            kept.append((float(score), i))
        elif score > least:
            heapq.heappush(queue, (-float(score), i, len(kept)))
    return kept


def _overlaps(attrs: Attrs, boxes: np.ndarray) -> Callable[[int, int], np.float32]:
    """The overlap of two boxes of an image by their numbers."""
    direction = integer(attrs, "rotated", 0)
    if direction:
        return lambda a, b: rotated_overlap(boxes[a], boxes[b], direction)
    corners = _corners(boxes, bool(integer(attrs, "center")))
    return lambda a, b: np.float32(overlap(corners[a], corners[b][None])[0])


@kind("NonMaxSuppression", _nms_type)
def non_max_suppression(attrs: Attrs, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """Rows [image, class, box], rows [image, class, score], how many of them are real; the others are -1."""
    boxes, scores = array(arrays, 0), array(arrays, 1)
    values = [optional(arrays, i) for i in range(2, 6)]
    most = boxes.shape[1] if values[0] is None else int(values[0].ravel()[0])
    iou, least, sigma = (np.float32(0 if v is None else v.ravel()[0]) for v in values[1:])
    found = []
    for n in range(boxes.shape[0]):
        overlap_of = _overlaps(attrs, boxes[n])
        for c in range(scores.shape[1]):
            kept = _select(overlap_of, scores[n, c], most, iou, least, sigma, bool(integer(attrs, "equal")))
            found += [(n, c, i, score) for score, i in kept]
    if integer(attrs, "sort"):
        found.sort(key=lambda row: -row[3])
    rows = integer(attrs, "rows")
    found = found[:rows]
    index, kept_scores = np.full((rows, 3), -1, text(attrs, "index_dtype")), np.full((rows, 3), -1, np.float32)
    if found:
        table = np.array(found, np.float64)
        index[: len(found)], kept_scores[: len(found)] = table[:, :3], table[:, [0, 1, 3]]
    return [index, kept_scores, np.array([len(found)], index.dtype)]


def _numbers(layer: Layer, defaults: Sequence[float | None]) -> list[Value | None]:
    """Inputs 2 to 5 as one number each: the most boxes of a class as integer, the others as float32; defaults where they are absent."""
    found: list[Value | None] = []
    for i, default in enumerate(defaults, 2):
        if layer.has_input(i):
            v = layer.input(i)
            found.append(layer.convert(v, "int64") if i == 2 and v.dtype != "int32" else v if i == 2 else layer.convert(v, "float32"))
        elif default is None:
            found.append(None)
        else:
            found.append(layer.value(np.int64(default) if i == 2 else np.float32(default), f"default_{i}"))
    return found


def _most(layer: Layer, value: Value | None, boxes: int) -> int:
    """Upper bound of the boxes of a class: the constant, else all boxes."""
    if value is None or not value.is_const:
        return boxes
    return min(max(int(value.data.ravel()[0]) if value.data.size else 0, 0), boxes)


@legacy("NonMaxSuppression")
def legacy_nms(layer: Layer) -> None:
    """The file gives the number of rows; without a shape it is that of all images and classes. The best box of a class always counts."""
    boxes, scores = layer.float_input(0), layer.float_input(1)
    if len(boxes.shape) != 3 or len(scores.shape) != 3:
        raise layer.fail(f"boxes {list(boxes.shape)} and scores {list(scores.shape)}: expected [B, N, 4] and [B, C, N]")
    values = _numbers(layer, (None, 1.0, 0.0))
    if values[0] is not None and values[0].is_const and values[0].data.size == 1:
        values[0] = layer.value(np.maximum(values[0].data, 1), "most")
    given = layer.file_type().shape
    count = boxes.shape[0] * scores.shape[1] * _most(layer, values[0], boxes.shape[1])
    dtype = "int64" if layer.node.outputs[0].precision == "I64" else "int32"
    out = layer.emit_many(
        "NonMaxSuppression",
        [boxes, scores, *values],
        center=int(layer.bool("center_point_box", False)),
        sort=int(layer.bool("sort_result_descending", True)),
        rows=given[0] if len(given) == 2 and given[1] == 3 else count,
        equal=0,
        index_dtype=dtype,
    )
    layer.set_output(0, out[0])


@opset("NMSRotated")
def nms_rotated(layer: Layer) -> None:
    """Boxes are x and y of the centre, width, height and an angle; otherwise as NonMaxSuppression."""
    boxes, scores = layer.float_input(0), layer.float_input(1)
    if len(boxes.shape) != 3 or len(scores.shape) != 3:
        raise layer.fail(f"boxes {list(boxes.shape)} and scores {list(scores.shape)}: expected [B, N, 5] and [B, C, N]")
    values = _numbers(layer, (0, 0.0, 0.0))
    out = layer.emit_many(
        "NonMaxSuppression",
        [boxes, scores, *values],
        center=0,
        rotated=1 if layer.bool("clockwise", True) else -1,
        sort=int(layer.bool("sort_result_descending", True)),
        rows=_most(layer, values[0], boxes.shape[1]) * boxes.shape[0] * scores.shape[1],
        equal=1,
        index_dtype="int32" if layer.str("output_type", "i64") == "i32" else "int64",
    )
    cut = [layer.cut(v, 0, out[2]) for v in out[:2]]
    for i, value in enumerate([*cut, out[2]][: len(layer.node.outputs)]):
        layer.set_output(i, value)


@opset("NonMaxSuppression")
def opset_nms(layer: Layer) -> None:
    version = int(layer.node.version[5:] or 9) if layer.node.version.startswith("opset") else 9
    boxes, scores = layer.float_input(0), layer.float_input(1)
    if len(boxes.shape) != 3 or len(scores.shape) != 3:
        raise layer.fail(f"boxes {list(boxes.shape)} and scores {list(scores.shape)}: expected [B, N, 4] and [B, C, N]")
    encoding = layer.str("box_encoding", "corner").lower()
    if encoding not in ("corner", "center"):
        raise layer.fail(f"box_encoding is {encoding!r}, expected corner or center")
    values = _numbers(layer, (0, 0.0, 0.0, 0.0) if version >= 5 else (0, 0.0, 0.0))
    count, classes = boxes.shape[1], scores.shape[1]
    most = _most(layer, values[0], count)
    known = values[0] is not None and values[0].is_const
    asked = max(int(values[0].data.ravel()[0]), 0) if values[0] is not None and known and values[0].data.size else count
    rows = min(count, asked * classes) if version < 4 else most * boxes.shape[0] * classes
    out = layer.emit_many(
        "NonMaxSuppression",
        [boxes, scores, *values],
        center=int(encoding == "center"),
        sort=int(layer.bool("sort_result_descending", True)),
        rows=rows,
        equal=1,
        index_dtype="int32" if layer.str("output_type", "i64") == "i32" else "int64",
    )
    cut = [layer.cut(v, 0, out[2]) for v in out[:2]]
    for i, value in enumerate([*cut, out[2]][: len(layer.node.outputs)]):
        layer.set_output(i, value)
