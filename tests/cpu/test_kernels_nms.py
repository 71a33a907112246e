# SPDX-License-Identifier: Apache-2.0
"""CPU kernels NonMaxSuppression, MatrixNms and MulticlassNms."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_checks import node
from nms_scenes import number, scene


@pytest.mark.parametrize("sigma", [0.0, 0.5])
@pytest.mark.parametrize("sort", [0, 1])
@pytest.mark.parametrize(("most", "rows"), [(3, 24), (50, 24), (3, 5), (0, 4)])
def test_non_max_suppression(isa: str, sigma: float, sort: int, most: int, rows: int) -> None:
    inputs = [*scene(1, 2, 4, 12), number(most, "int64"), number(0.3), number(0.1), number(sigma)]
    attrs = {"center": 0, "sort": sort, "rows": rows, "equal": 1, "index_dtype": "int64"}
    index, _, count = node("NonMaxSuppression", inputs, rtol=1e-4, **attrs)
    assert (index[int(count[0]) :] == -1).all()
    node("NonMaxSuppression", inputs, rtol=1e-4, const=(2, 3, 4, 5), **attrs)


@pytest.mark.parametrize("equal", [0, 1])
def test_overlap_equal_to_the_threshold(isa: str, equal: int) -> None:
    boxes = np.array([[[0, 0, 1, 2], [0, 0, 1, 1], [5, 5, 6, 6]]], np.float32)
    scores = np.array([[[0.9, 0.8, 0.7]]], np.float32)
    attrs = {"center": 0, "sort": 1, "rows": 3, "equal": equal, "index_dtype": "int32"}
    count = node("NonMaxSuppression", [boxes, scores, None, number(0.5), number(0.0)], **attrs)[2]
    assert count[0] == 3 - equal


def test_equal_scores_keep_the_order_of_boxes(isa: str) -> None:
    boxes, scores = scene(2, 2, 3, 20)
    scores = np.round(scores * 4) / 4
    attrs = {"center": 1, "sort": 1, "rows": 120, "equal": 0, "index_dtype": "int32"}
    node("NonMaxSuppression", [boxes, scores, None, number(0.6), number(-1.0)], **attrs)


@pytest.mark.parametrize("kind", ["MatrixNms", "MulticlassNms"])
@pytest.mark.parametrize("sort", ["none", "score", "classid"])
@pytest.mark.parametrize("across", [0, 1])
@pytest.mark.parametrize(("top", "keep", "background"), [(-1, -1, -1), (5, 6, 0), (3, -1, 1)])
def test_detections_of_all_classes(isa: str, kind: str, sort: str, across: int, top: int, keep: int, background: int) -> None:
    attrs = {
        "sort": sort, "sort_result_across_batch": across, "index_dtype": "int64", "score_threshold": 0.2, "nms_top_k": top,
        "keep_top_k": keep, "background_class": background, "normalized": int(top != 3),
    }  # fmt: skip
    if kind == "MatrixNms":
        gaussian = "gaussian" if across else "linear"
        attrs |= {"decay_function": gaussian, "gaussian_sigma": 2.0, "post_threshold": 0.1}
    else:
        attrs |= {"iou_threshold": 0.6, "nms_eta": 0.8}
    node(kind, scene(3, 2, 3, 10, span=9.0), rtol=1e-4, **attrs)


@pytest.mark.parametrize("kind", ["MatrixNms", "MulticlassNms"])
def test_score_at_the_threshold(isa: str, kind: str) -> None:
    boxes, scores = scene(5, 1, 2, 6)
    attrs = {
        "sort": "score", "sort_result_across_batch": 0, "index_dtype": "int32", "score_threshold": float(np.sort(scores.ravel())[5]),
        "nms_top_k": -1, "keep_top_k": -1, "background_class": -1, "normalized": 1,
    }  # fmt: skip
    kinds = {"MatrixNms": {"decay_function": "linear", "gaussian_sigma": 2.0, "post_threshold": 0.0}}
    node(kind, [boxes, scores], rtol=1e-4, **attrs, **kinds.get(kind, {"iou_threshold": 0.9, "nms_eta": 1.0}))


@pytest.mark.parametrize("counts", [[8], [3, 5], [0, 2, 4], [-1, 99, 3]])
def test_regions_are_counted_by_image(isa: str, counts: list[int]) -> None:
    boxes, scores = scene(4, 3, 1, 8)
    attrs = {
        "sort": "score", "sort_result_across_batch": 0, "index_dtype": "int32", "score_threshold": 0.2, "nms_top_k": -1, "keep_top_k": 5,
        "background_class": -1, "normalized": 1, "iou_threshold": 0.5, "nms_eta": 1.0,
    }  # fmt: skip
    node("MulticlassNms", [boxes, scores[:, 0], np.array(counts, np.int32)], **attrs)


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("iou", [0.05, 0.3])
def test_turned_boxes(isa: str, direction: int, iou: float) -> None:
    rng = np.random.default_rng(9)
    sides = [rng.uniform(0, 12, (2, 20, 2)), rng.uniform(-1, 9, (2, 20, 2)), rng.uniform(-4, 4, (2, 20, 1))]
    boxes, (_, scores) = np.concatenate(sides, -1).astype(np.float32), scene(9, 2, 3, 20)
    attrs = {"center": 0, "rotated": direction, "sort": 1, "rows": 120, "equal": 1, "index_dtype": "int64"}
    count = node("NonMaxSuppression", [boxes, scores, None, number(iou), number(0.1)], **attrs)[2]
    assert 6 < count[0] < 110
