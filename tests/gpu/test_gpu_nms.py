# SPDX-License-Identifier: Apache-2.0
"""NonMaxSuppression on the GPU device."""

from __future__ import annotations

import numpy as np
import pytest
from gpu_checks import node
from nms_scenes import number, scene

from ie_ctypes.devices.gpu import GpuDevice
from ie_ctypes.model.program import AttrValue

LIMITS = (2, 3, 4, 5)


def check(device: GpuDevice, inputs: list[np.ndarray | None], kernel: str = "nms", **attrs: AttrValue) -> None:
    const = [i for i in LIMITS if i < len(inputs) and inputs[i] is not None]
    (step,) = node(device, "NonMaxSuppression", inputs, const=const, rtol=1e-4, **attrs)
    assert step["primitiveType"] == kernel


@pytest.mark.parametrize("sort", [0, 1])
@pytest.mark.parametrize("dtype", ["int32", "int64"])
@pytest.mark.parametrize(("most", "rows"), [(3, 24), (50, 24), (3, 5), (0, 4), (-1, 2)])
def test_non_max_suppression(device: GpuDevice, sort: int, dtype: str, most: int, rows: int) -> None:
    inputs = [*scene(1, 2, 4, 12), number(most, dtype), number(0.3), number(0.1), number(0.0)]
    for center in (0, 1):
        check(device, inputs, center=center, sort=sort, rows=rows, equal=1, index_dtype=dtype)


@pytest.mark.parametrize("equal", [0, 1])
def test_overlap_equal_to_the_threshold(device: GpuDevice, equal: int) -> None:
    boxes = np.array([[[0, 0, 1, 2], [0, 0, 1, 1], [5, 5, 6, 6]]], np.float32)
    scores = np.array([[[0.9, 0.8, 0.7]]], np.float32)
    check(device, [boxes, scores, None, number(0.5), number(0.0)], center=0, sort=1, rows=3, equal=equal, index_dtype="int32")


def test_without_limits(device: GpuDevice) -> None:
    check(device, scene(3, 1, 2, 40), center=0, sort=1, rows=80, equal=0, index_dtype="int32")


@pytest.mark.parametrize("center", [0, 1])
def test_equal_scores_and_turned_corners(device: GpuDevice, center: int) -> None:
    boxes, scores = scene(2, 2, 3, 20)
    boxes[:, ::2] = boxes[:, ::2, [2, 1, 0, 3]]
    inputs = [boxes, np.round(scores * 4) / 4, None, number(0.6), number(-1.0)]
    check(device, inputs, center=center, sort=1, rows=120, equal=0, index_dtype="int32")


def test_scores_and_boxes_that_are_no_numbers(device: GpuDevice) -> None:
    boxes, scores = scene(2, 1, 2, 20)
    scores[0, 0, 3:7] = [np.nan, np.inf, -np.inf, -0.0]
    boxes[0, 8] = np.nan
    boxes[0, 9, 2] = np.inf
    check(device, [boxes, scores, None, number(0.4), number(-1.0)], center=0, sort=1, rows=40, equal=0, index_dtype="int32")


def test_many_boxes(device: GpuDevice) -> None:
    boxes, scores = scene(6, 2, 3, 2000, span=0.3)
    boxes += np.random.default_rng(1).uniform(0, 2, (2, 2000, 1)).astype(np.float32)
    for sort in (0, 1):
        check(
            device,
            [boxes, scores, number(100, "int64"), number(0.5), number(0.2)],
            center=0,
            sort=sort,
            rows=600,
            equal=0,
            index_dtype="int64",
        )


@pytest.mark.parametrize("const", [(3, 4), (3, 4, 5)])
def test_falling_scores_and_limits_that_are_inputs_run_on_the_host(device: GpuDevice, const: tuple[int, ...]) -> None:
    inputs = [*scene(1, 2, 4, 12), None, number(0.3), number(0.1), number(0.5 if 5 in const else 0.0)]
    attrs = {"center": 0, "sort": 1, "rows": 24, "equal": 0, "index_dtype": "int32"}
    (step,) = node(device, "NonMaxSuppression", inputs, const=const, rtol=1e-4, **attrs)
    assert step["primitiveType"] == "host"


def test_with_halves(device: GpuDevice) -> None:
    corner = np.arange(32, dtype=np.float32).reshape(1, 32, 1) / 8
    boxes = np.concatenate([corner, corner, corner + 0.5, corner + 0.5], 2)
    scores = np.random.default_rng(1).permutation(64).reshape(1, 2, 32).astype(np.float32) / 64
    attrs = {"center": 0, "sort": 1, "rows": 64, "equal": 0, "index_dtype": "int32"}
    (step,) = node(
        device, "NonMaxSuppression", [boxes, scores, None, number(0.3)], const=(3,), config={"INFERENCE_PRECISION_HINT": "f16"}, **attrs
    )
    assert step["primitiveType"] == "nms"


@pytest.mark.parametrize("sort", [0, 1])
def test_a_class_without_boxes_comes_first(device: GpuDevice, sort: int) -> None:
    boxes, scores = scene(4, 2, 3, 10)
    scores[0, 0] = 0
    check(device, [boxes, scores, None, number(0.5), number(0.1)], center=0, sort=sort, rows=60, equal=0, index_dtype="int32")
    check(device, [boxes, 0 * scores], center=0, sort=sort, rows=60, equal=0, index_dtype="int32")
