# SPDX-License-Identifier: Apache-2.0
"""CPU kernel DetectionOutput."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from detection_problems import CENTER, CORNER, attrs, problem
from kernel_checks import floats, node


@pytest.mark.parametrize("code", [CENTER, CORNER])
@pytest.mark.parametrize(("shared", "encoded", "normalized"), list(itertools.product((0, 1), repeat=3)))
@pytest.mark.parametrize("decrease", [0, 1])
def test_ways_of_writing_boxes(isa: str, code: str, shared: int, encoded: int, normalized: int, decrease: int) -> None:
    inputs = problem(1, 2, 40, 5, shared=shared, encoded=encoded, normalized=normalized)
    options = attrs(
        5, code_type=code, share_location=shared, variance_encoded_in_target=encoded, normalized=normalized, decrease_label_id=decrease
    )
    node("DetectionOutput", inputs, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(("top", "keep"), [(-1, 10), (5, 200), (3, -1), (-1, -1), (1000, 1)])
@pytest.mark.parametrize("background", [0, 2, -1])
def test_limits_of_rows(isa: str, top: int, keep: int, background: int) -> None:
    inputs = problem(2, 3, 30, 4)
    node("DetectionOutput", inputs, **attrs(4, top_k=top, keep_top_k=keep, background_label_id=background, confidence_threshold=0.05))  # type: ignore[arg-type]


def test_clipping(isa: str) -> None:
    for before, after in ((1, 0), (0, 1), (1, 1)):
        node("DetectionOutput", problem(3, 1, 50, 3), **attrs(3, clip_before_nms=before, clip_after_nms=after))  # type: ignore[arg-type]


def test_nothing_found_is_one_end_marker(isa: str) -> None:
    y = node("DetectionOutput", problem(4, 1, 10, 3), **attrs(3, confidence_threshold=2.0))[0]  # type: ignore[arg-type]
    assert y[0, 0, 0, 0] == -1
    assert not y.reshape(-1)[1:].any()


def test_equal_scores_keep_the_order_of_priors(isa: str) -> None:
    locations, scores, priors = problem(5, 1, 60, 3)
    scores = np.round(scores, 1)
    node("DetectionOutput", [locations, scores, priors], **attrs(3, nms_threshold=0.9, confidence_threshold=0.05))  # type: ignore[arg-type]


def test_saturated_scores_are_chosen_as_the_original_sort_does(isa: str) -> None:
    locations, scores, priors = problem(8, 1, 400, 4)
    for keep in (1, 16, 17, 90):
        options = attrs(4, top_k=100, keep_top_k=keep, nms_threshold=0.9)
        node("DetectionOutput", [locations, np.ones_like(scores), priors], **options)  # type: ignore[arg-type]
        node("DetectionOutput", [locations, np.ceil(scores * 4) / 4, priors], **options)  # type: ignore[arg-type]


def test_refinement_with_five_inputs(isa: str) -> None:
    rng = np.random.default_rng(6)
    inputs = [*problem(6, 2, 40, 4), rng.random((2, 80)).astype(np.float32), floats(rng, 2, 160) * np.float32(0.2)]
    node("DetectionOutput", inputs, **attrs(4, objectness_score=0.4))  # type: ignore[arg-type]


def test_many_priors_on_two_threads(isa: str) -> None:
    node("DetectionOutput", problem(7, 1, 3000, 6), rtol=1e-4, atol=1e-5, **attrs(6, top_k=400, keep_top_k=200))  # type: ignore[arg-type]
