# SPDX-License-Identifier: Apache-2.0
"""DetectionOutput on the GPU device: the answers of the reference, which are the CPU's."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from detection_problems import CENTER, CORNER, attrs, problem
from gpu_checks import node

from ie_ctypes.devices.gpu import GpuDevice
from ie_ctypes.model.ops import introsort


def check(device: GpuDevice, inputs: Sequence[np.ndarray], **options: object) -> None:
    """The node with priors that are an input, and that are constant."""
    for const in ((), (2,)):
        (step,) = node(device, "DetectionOutput", inputs, const=const, rtol=1e-4, atol=1e-5, **options)  # type: ignore[arg-type]
        assert step["primitiveType"] == "detection_output"


@pytest.mark.parametrize("code", [CENTER, CORNER])
@pytest.mark.parametrize(("shared", "encoded", "normalized"), list(itertools.product((0, 1), repeat=3)))
@pytest.mark.parametrize("decrease", [0, 1])
def test_ways_of_writing_boxes(device: GpuDevice, code: str, shared: int, encoded: int, normalized: int, decrease: int) -> None:
    inputs = problem(1, 2, 40, 5, shared=shared, encoded=encoded, normalized=normalized)
    more = {"share_location": shared, "variance_encoded_in_target": encoded, "normalized": normalized, "decrease_label_id": decrease}
    check(device, inputs, **attrs(5, code_type=code, **more))


@pytest.mark.parametrize(("top", "keep"), [(-1, 10), (5, 200), (3, -1), (-1, -1), (1000, 1), (7, 0)])
@pytest.mark.parametrize("background", [0, 2, -1])
def test_limits_of_rows(device: GpuDevice, top: int, keep: int, background: int) -> None:
    inputs = problem(2, 3, 30, 4)
    check(device, inputs, **attrs(4, top_k=top, keep_top_k=keep, background_label_id=background, confidence_threshold=0.05))


def test_priors_of_each_image(device: GpuDevice) -> None:
    first, second = problem(2, 2, 30, 4, normalized=0), problem(3, 2, 30, 4, normalized=0)
    second[2][0, 0, 100] = -1
    check(device, [first[0], first[1], np.concatenate([first[2], second[2]])], **attrs(4, normalized=0))


@pytest.mark.parametrize(("before", "after"), [(1, 0), (0, 1), (1, 1)])
def test_clipping(device: GpuDevice, before: int, after: int) -> None:
    check(device, problem(3, 1, 50, 3), **attrs(3, clip_before_nms=before, clip_after_nms=after))


def test_nothing_found_is_one_end_marker(device: GpuDevice) -> None:
    check(device, problem(4, 2, 10, 3), **attrs(3, confidence_threshold=2.0))


@pytest.mark.parametrize("decrease", [0, 1])
def test_scores_of_any_sign_and_those_that_are_no_numbers(device: GpuDevice, decrease: int) -> None:
    locations, scores, priors = problem(4, 1, 50, 3)
    scores -= np.float32(0.5)
    scores.reshape(50, 3)[3:6, 1:] = [[0.2, np.inf], [-np.inf, -0.0], [0.0, -np.inf]]
    if not decrease:
        scores.reshape(50, 3)[7:9, 1:] = [[np.nan, 0.1], [0.2, np.nan]]
    options = attrs(3, confidence_threshold=-0.3, nms_threshold=0.9, top_k=60, keep_top_k=-1, decrease_label_id=decrease)
    check(device, [locations, scores, priors], **options)


def test_equal_scores_keep_the_order_of_priors(device: GpuDevice) -> None:
    locations, scores, priors = problem(5, 1, 60, 3)
    check(device, [locations, np.round(scores, 1), priors], **attrs(3, nms_threshold=0.9, confidence_threshold=0.05))


@pytest.mark.parametrize("keep", [1, 16, 17, 90])
@pytest.mark.parametrize("classes", [4, 40])  # the lists of 40 do not fit local memory
def test_saturated_scores_are_chosen_as_the_original_sort_does(device: GpuDevice, keep: int, classes: int) -> None:
    locations, scores, priors = problem(8, 1, 400, classes)
    options = attrs(classes, top_k=100, keep_top_k=keep, nms_threshold=0.9, confidence_threshold=0.01)
    check(device, [locations, np.ones_like(scores), priors], **options)
    check(device, [locations, np.ceil(scores * 4) / 4, priors], **options)


class Opponent:
    """A score that decides when it is compared, so that the sort goes as deep as it can (McIlroy, 1999)."""

    solid = 0
    candidate: Opponent | None = None

    def __init__(self) -> None:
        self.value: int | None = None  # None: greater than all that have decided

    def decide(self) -> None:
        self.value = Opponent.solid
        Opponent.solid += 1

    def __gt__(self, other: Opponent) -> bool:
        if self.value is None and other.value is None:
            (self if self is Opponent.candidate else other).decide()
        if self.value is None:
            Opponent.candidate = self
        elif other.value is None:
            Opponent.candidate = other
        mine, others = (np.inf if s.value is None else s.value for s in (self, other))
        return mine < others  # the sort is a falling one

    def __neg__(self) -> float:
        return float(np.inf if self.value is None else -self.value)


def test_the_sort_gives_up_where_the_original_does(device: GpuDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    classes, found = 400, []
    opponents = [Opponent() for _ in range(classes - 1)]
    introsort._introsort(opponents)  # type: ignore[arg-type]
    places = np.array([classes if o.value is None else o.value for o in opponents])
    scores = np.empty((1, classes), np.float32)
    scores[0, 0] = 0
    scores[0, 1:] = 1 - np.argsort(np.argsort(places, kind="stable")) // 2 / np.float32(classes)  # each twice
    spy = lambda items, key: found.append(len(items)) or sorted(items, key=key)  # noqa: E731
    monkeypatch.setattr(introsort, "sorted", spy, raising=False)
    locations, _, priors = problem(5, 1, 1, classes)
    check(device, [locations, scores, priors], **attrs(classes, keep_top_k=150, confidence_threshold=0.01))
    assert found


def test_refinement_with_five_inputs(device: GpuDevice) -> None:
    rng = np.random.default_rng(6)
    arm = [rng.random((2, 80)).astype(np.float32), rng.standard_normal((2, 160)).astype(np.float32) * np.float32(0.2)]
    for decrease in (0, 1):
        check(device, [*problem(6, 2, 40, 4), *arm], **attrs(4, objectness_score=0.4, decrease_label_id=decrease))


def test_many_priors(device: GpuDevice) -> None:
    check(device, problem(7, 1, 3000, 6), **attrs(6, top_k=400, keep_top_k=200))


@pytest.mark.parametrize("limits", ["items=8", "local=4000"])
def test_small_work_groups_and_local_memory(limits: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IE_CTYPES_OPENCL_LIMITS", limits)
    locations, scores, priors = problem(8, 2, 300, 4)
    check(GpuDevice(), [locations, np.round(scores, 1), priors], **attrs(4, top_k=100, keep_top_k=30, nms_threshold=0.9))


def test_with_halves(device: GpuDevice) -> None:
    """Scores and distances that halves hold: the same boxes, as exact as halves are."""
    rng = np.random.default_rng(3)
    corner = np.stack(np.meshgrid(np.arange(16), np.arange(16)), -1).reshape(-1, 2) / 16
    priors = np.concatenate([corner, corner + 1 / 16], 1).astype(np.float32)
    scores = rng.permutation(512).astype(np.float32).reshape(1, 512) / 512
    inputs = [np.zeros((1, 1024), np.float32), scores, priors.reshape(1, 1, -1)]
    half = {"INFERENCE_PRECISION_HINT": "f16"}
    options = attrs(2, variance_encoded_in_target=1, top_k=100, keep_top_k=50)
    (step,) = node(device, "DetectionOutput", inputs, const=(2,), rtol=1e-3, atol=1e-3, config=half, **options)  # type: ignore[arg-type]
    assert step["outputPrecisions"] == "FP16"
