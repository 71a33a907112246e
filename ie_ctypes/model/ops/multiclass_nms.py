# SPDX-License-Identifier: Apache-2.0
"""Kinds MatrixNms and MulticlassNms: detections of all classes of each image, by falling scores or by suppression. Rules: IR 10.7."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model.ops.attrs import array, integer, number, optional, tensor, text
from ie_ctypes.model.ops.boxes import best_first, overlap
from ie_ctypes.model.ops.registry import Attrs, kind, opset
from ie_ctypes.model.program import AttrValue, TensorType

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer

SORTS = ("none", "score", "classid")
_Row = tuple[int, int, float, int, np.ndarray]  # image, class, score, number of the box, corners
_Select = Callable[[Attrs, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def _shared(attrs: Attrs, types: Sequence[TensorType | None]) -> tuple[int, int, int]:
    """Images, classes and boxes of an image; faults of boxes, scores and counts of regions are a ValueError."""
    boxes, scores = tensor(types, 0), tensor(types, 1)
    text(attrs, "sort", SORTS)
    if boxes.dtype != "float32" or scores.dtype != "float32":
        raise ValueError(f"boxes are {boxes.dtype}, scores are {scores.dtype}, expected float32")
    if len(types) > 2 and types[2] is not None:  # the boxes of a class lie one image after the other
        counts = types[2]
        if len(boxes.shape) != 3 or boxes.shape[2] != 4 or scores.shape != boxes.shape[:2] or len(counts.shape) != 1:
            raise ValueError(
                f"boxes {list(boxes.shape)}, scores {list(scores.shape)}, counts {list(counts.shape)}: expected [C, R, 4], [C, R] and [N]"
            )
        if counts.dtype not in ("int32", "int64"):
            raise ValueError(f"counts of regions are {counts.dtype}, expected int32 or int64")
        return counts.shape[0], boxes.shape[0], boxes.shape[1]
    if len(boxes.shape) != 3 or boxes.shape[2] != 4 or len(scores.shape) != 3 or scores.shape[::2] != boxes.shape[:2]:
        raise ValueError(f"boxes {list(boxes.shape)} and scores {list(scores.shape)}: expected [N, B, 4] and [N, C, B]")
    return boxes.shape[0], scores.shape[1], boxes.shape[1]


def _rows(attrs: Attrs, classes: int, boxes: int) -> int:
    """The most rows that these many classes of an image can have."""
    top, keep = integer(attrs, "nms_top_k"), integer(attrs, "keep_top_k")
    rows = classes * (min(top, boxes) if top >= 0 else boxes)
    return min(keep, rows) if keep >= 0 else rows


def _detections(attrs: Attrs, types: Sequence[TensorType | None]) -> list[TensorType]:
    images, classes, boxes = _shared(attrs, types)
    rows = images * _rows(attrs, classes, boxes)
    index = text(attrs, "index_dtype", ("int32", "int64"))
    return [TensorType("float32", (rows, 6)), TensorType(index, (rows, 1)), TensorType(index, (images,))]


def _best(attrs: Attrs, scores: np.ndarray, passing: np.ndarray) -> np.ndarray:
    """The first ``nms_top_k`` of the boxes whose scores pass the threshold, by falling score."""
    order: np.ndarray = best_first(scores)
    order = order[passing[order]]
    return order[: integer(attrs, "nms_top_k")] if integer(attrs, "nms_top_k") >= 0 else order


def _lowered(attrs: Attrs, boxes: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Boxes of one class and their scores, lowered by the overlap with better boxes; those that stay above the last threshold."""
    order = _best(attrs, scores, scores > np.float32(number(attrs, "score_threshold")))
    gaussian, sigma = text(attrs, "decay_function", ("gaussian", "linear")) == "gaussian", np.float32(number(attrs, "gaussian_sigma"))
    extra, last = 0.0 if integer(attrs, "normalized") else 1.0, np.float32(number(attrs, "post_threshold"))
    worst = np.zeros(len(order), np.float32)  # the largest overlap of each box with a better one
    kept, found = [], []
    for k, i in enumerate(order):
        iou = overlap(boxes[i], boxes[order[:k]], extra)
        worst[k] = iou.max(initial=np.float32(0))
        with np.errstate(all="ignore"):
            decay = np.exp((worst[:k] ** 2 - iou**2) * sigma) if gaussian else (1 - iou) / (1 - worst[:k])
        value = scores[i] * decay.min(initial=np.float32(1))
        if value > last:
            kept.append(i)
            found.append(value)
    return np.array(kept, np.int64), np.array(found, np.float32)


def _adaptive(boxes: np.ndarray, order: np.ndarray, threshold: float, extra: float, eta: float) -> np.ndarray:
    """The boxes of ``order`` that overlap better ones by less than a threshold; above one half it shrinks by ``eta`` with each box kept."""
    kept: list[int] = []
    at = np.float32(threshold)
    for i in order.tolist():
        if kept and (overlap(boxes[i], boxes[kept], extra, near=True) >= at).any():
            continue
        kept.append(i)
        if eta < 1 and at > 0.5:
            at *= np.float32(eta)
    return np.array(kept, np.int64)


def _suppressed(attrs: Attrs, boxes: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Boxes of one class that overlap no better one too much, and their scores."""
    order = _best(attrs, scores, scores >= np.float32(number(attrs, "score_threshold")))
    extra = 0.0 if integer(attrs, "normalized") else 1.0
    kept = _adaptive(boxes, order, number(attrs, "iou_threshold"), extra, number(attrs, "nms_eta"))
    return kept, scores[kept]


def _images(arrays: Sequence[np.ndarray | None]) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Boxes [C, B, 4], scores [C, B] and the numbers [C, B] by which results name the boxes, of each image."""
    boxes, scores, counts = array(arrays, 0), array(arrays, 1), optional(arrays, 2)
    if counts is None:
        shape = scores.shape[1:]
        names = np.arange(boxes.shape[1])
        return [
            (np.broadcast_to(boxes[n], (*shape, 4)), scores[n], np.broadcast_to(n * shape[1] + names, shape)) for n in range(len(boxes))
        ]
    numbers = np.arange(boxes.shape[1] * boxes.shape[0]).reshape(boxes.shape[1], boxes.shape[0]).T
    ends = np.cumsum(np.maximum(counts.astype(np.int64), 0)).clip(0, boxes.shape[1])
    starts = np.concatenate([[0], ends[:-1]])
    return [(boxes[:, a:b], scores[:, a:b], numbers[:, a:b]) for a, b in zip(starts, ends, strict=True)]


def _sorted(found: list[_Row], sort: str) -> list[_Row]:
    """Rows by falling score or by class, equal ones in the order of image, class and box."""
    if sort == "score":
        return sorted(found, key=lambda r: (-r[2], *r[:2], r[3]))
    return sorted(found, key=lambda r: (r[1], r[0], -r[2], r[3])) if sort == "classid" else found


def _run(attrs: Attrs, arrays: Sequence[np.ndarray | None], select: _Select) -> list[np.ndarray]:
    types = [None if a is None else TensorType(a.dtype.name, a.shape) for a in arrays]
    out, index, counts = (np.full(t.shape, -1, t.dtype) for t in _detections(attrs, types))
    keep, sort, across = integer(attrs, "keep_top_k"), text(attrs, "sort"), integer(attrs, "sort_result_across_batch")
    images = _images(arrays)
    everything: list[_Row] = []
    for n, (boxes, scores, numbers) in enumerate(images):
        found: list[_Row] = []
        for c in range(len(scores)):
            if c != integer(attrs, "background_class"):
                kept, values = select(attrs, boxes[c], scores[c])
                found += [(n, c, float(v), int(numbers[c, i]), boxes[c, i]) for i, v in zip(kept, values, strict=True)]
        found = _sorted(found, "score")
        found = found[:keep] if keep >= 0 else found
        counts[n] = len(found)
        everything += found if across else _sorted(found, sort)
    if across:
        everything = _sorted(everything, sort)
    for k, (_, c, score, name, corners) in enumerate(everything):
        out[k], index[k] = [c, score, *corners], name
    return [out, index, counts]


@kind("MatrixNms", _detections)
def matrix_nms(attrs: Attrs, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """Rows [class, score, box], numbers of the boxes, counts of each image; the rows behind those of the last image are -1."""
    return _run(attrs, arrays, _lowered)


@kind("MulticlassNms", _detections)
def multiclass_nms(attrs: Attrs, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """As MatrixNms."""
    return _run(attrs, arrays, _suppressed)


def _sort(layer: Layer) -> str:
    return layer.str("sort_result_type", layer.str("sort_result", "none")).lower()


def _emit(layer: Layer, kind_name: str, sort: str, **attrs: AttrValue) -> None:
    inputs = [layer.float_input(0), layer.float_input(1)]
    if layer.has_input(2):
        counts = layer.input(2)
        inputs.append(counts if counts.dtype in ("int32", "int64") else layer.convert(counts, "int64"))
    outputs = layer.emit_many(
        kind_name,
        inputs,
        sort=sort,
        sort_result_across_batch=int(layer.bool("sort_result_across_batch", False)),
        index_dtype="int32" if layer.str("output_type", "i64") == "i32" else "int64",
        score_threshold=layer.float("score_threshold", 0.0),
        nms_top_k=layer.int("nms_top_k", -1),
        keep_top_k=layer.int("keep_top_k", -1),
        background_class=layer.int("background_class", -1),
        normalized=int(layer.bool("normalized", True)),
        **attrs,
    )
    rows, numbers, counts = outputs
    total = layer.emit("Reduce", [counts], op="sum", axes=(0,), keep_dims=1)
    for i, value in enumerate([layer.cut(rows, 0, total), layer.cut(numbers, 0, total), counts][: len(layer.node.outputs)]):
        layer.set_output(i, value)


@opset("MatrixNms")
def translate_matrix_nms(layer: Layer) -> None:
    """The original sorts by class only across images; the rows of one image are always sorted by score."""
    sort = _sort(layer)
    _emit(
        layer,
        "MatrixNms",
        sort="score" if sort == "classid" and not layer.bool("sort_result_across_batch", False) else sort,
        decay_function=layer.str("decay_function", "linear").lower(),
        gaussian_sigma=layer.float("gaussian_sigma", 2.0),
        post_threshold=layer.float("post_threshold", 0.0),
    )


@opset("MulticlassNms")
def translate_multiclass_nms(layer: Layer) -> None:
    _emit(layer, "MulticlassNms", _sort(layer), iou_threshold=layer.float("iou_threshold", 0.0), nms_eta=layer.float("nms_eta", 1.0))
