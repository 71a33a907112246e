# SPDX-License-Identifier: Apache-2.0
"""GatherTree and CTCLoss: beams followed by hand, losses against the sum over all paths."""

from __future__ import annotations

import itertools
import math

import corpus
import numpy as np
import pytest
from layers import random, run_kind, run_one


@pytest.mark.parametrize("dtype", ["int32", "int64", "float32"])
def test_beams_are_followed_from_the_end(dtype):
    steps = np.array([[[1, 2, 3]], [[4, 5, 6]], [[7, 8, 9]], [[1, 2, 3]]], dtype)
    parents = np.array([[[0, 0, 0]], [[0, 1, 1]], [[2, 1, 2]], [[0, 0, 0]]], dtype)
    (out,) = run_kind("GatherTree", [steps, parents, np.array([3], dtype), np.array([10], dtype)])
    assert out[:, 0].T.tolist() == [[2, 6, 7, 10], [2, 5, 8, 10], [2, 6, 9, 10]]


def test_everything_after_an_end_token_is_an_end_token():
    steps = np.array([[[1]], [[5]], [[3]]], np.int32)
    out = run_one(
        "GatherTree", [steps, np.zeros_like(steps), np.array([3], np.int32), np.array([5], np.int32)], precision="I32", result="I32"
    )
    assert out.ravel().tolist() == [1, 5, 5]


def test_parents_that_do_not_exist_end_a_beam():
    steps, parents = np.array([[[1, 2]], [[3, 4]]], np.int32), np.array([[[0, 0]], [[7, 1]]], np.int32)
    (out,) = run_kind("GatherTree", [steps, parents, np.array([2], np.int32), np.array(9, np.int32)])
    assert out[:, 0].T.tolist() == [[9, 9], [2, 4]]


def every_path(logits, target, blank, merge):
    """Minus the logarithm of the summed probability of the paths that read as the target."""
    p = np.exp(logits.astype(np.float64))
    p /= p.sum(1, keepdims=True)
    total = 0.0
    for path in itertools.product(range(logits.shape[1]), repeat=len(logits)):
        read = [c for c, _ in itertools.groupby(path)] if merge else list(path)
        if [c for c in read if c != blank] == target:
            total += math.prod(p[t, c] for t, c in enumerate(path))
    return -math.log(total) if total else math.inf


LOSS = {"preprocess_collapse_repeated": 0, "ctc_merge_repeated": 1, "unique": 0}


@pytest.mark.parametrize("merge", [0, 1])
@pytest.mark.parametrize("blank", [None, 0])
@pytest.mark.parametrize("target", [[], [1], [1, 1], [1, 2, 1], [2, 2, 1, 1], [1, 1, 1, 1, 1]])
def test_loss_is_the_sum_over_all_paths(merge, blank, target):
    logits = random(1, 5, 4)
    labels = np.zeros((1, 5), np.int32)
    labels[0, : len(target)] = target
    inputs = [logits, np.array([5], np.int32), labels, np.array([len(target)], np.int32)]
    inputs += [] if blank is None else [np.array(blank, np.int32)]
    (out,) = run_kind("CTCLoss", inputs, **LOSS | {"ctc_merge_repeated": merge})
    want = every_path(logits[0], target, 3 if blank is None else blank, merge)
    np.testing.assert_allclose(out, [want], rtol=1e-5)


@pytest.mark.parametrize(
    ("attrs", "same"),
    [({"preprocess_collapse_repeated": "true"}, [1, 2, 1]), ({"unique": "true"}, [1, 2]), ({"ctc_merge_repeated": "false"}, [1, 1, 2, 1])],
)
def test_labels_are_prepared(attrs, same):
    logits, labels = random(1, 6, 4), np.array([[1, 1, 2, 1, 0, 0]], np.int32)
    inputs = [logits, np.array([6], np.int32), labels, np.array([4], np.int32)]
    out = run_one("CTCLoss", inputs, attrs, version="opset4")
    assert out[0] == pytest.approx(every_path(logits[0], same, 3, attrs.get("ctc_merge_repeated") != "false"), rel=1e-5)


def test_only_the_given_steps_count():
    logits, labels = random(2, 6, 3), np.zeros((2, 6), np.int64)
    inputs = [logits, np.array([3, 0], np.int64), labels, np.array([1, 0], np.int64)]
    (out,) = run_kind("CTCLoss", inputs, **LOSS)
    np.testing.assert_allclose(out, [every_path(logits[0, :3], [0], 2, True), 0], rtol=1e-5)


def test_labels_that_are_no_class_have_no_path():
    inputs = [random(1, 4, 3), np.array([4], np.int32), np.full((1, 4), 3, np.int32), np.array([1], np.int32)]
    assert run_kind("CTCLoss", inputs, **LOSS)[0].tolist() == [math.inf]


@pytest.mark.parametrize(
    ("kind", "inputs", "message"),
    [
        ("GatherTree", [np.zeros((2, 1, 3), np.int32)] * 3 + [np.zeros(1, np.int32)], "expected \\[T, B, W\\] twice"),
        ("GatherTree", [np.zeros((2, 1, 3), np.int32)] * 2 + [np.zeros(1, np.float32)] * 2, "different element types"),
        ("CTCLoss", [np.zeros((1, 4, 3), np.float32), *[np.zeros(1, np.int32)] * 3], "expected \\[1\\], \\[1, 4\\], \\[1\\]"),
    ],
)
def test_faults(kind, inputs, message):
    with pytest.raises(ValueError, match=message):
        run_kind(kind, inputs, **LOSS)


@pytest.mark.parametrize("path", corpus.cases("legacy/GatherTree", "opset/GatherTree", "opset/CTCLoss"))
def test_recorded(path):
    corpus.check(path)
