# SPDX-License-Identifier: Apache-2.0
"""Greedy CTC decoding: blanks, repeats, sequence ends."""

from __future__ import annotations

import corpus
import numpy as np
import pytest
from layers import run_kind, run_layer, run_one

from ie_ctypes.errors import ModelError


def scores(rows, classes):
    """[N, T, C] whose best classes are ``rows``."""
    return np.eye(classes, dtype=np.float32)[np.array(rows)]


BEST = [[1, 1, 0, 3, 0, 0], [3, 2, 2, 3, 2, 1]]  # class 3 is the blank


@pytest.mark.parametrize(("merge", "expected"), [(1, [[1, 0, 0], [2, 2, 1]]), (0, [[1, 1, 0, 0, 0], [2, 2, 2, 1]])])
def test_repeats_merge_unless_a_blank_is_between(merge, expected):
    data = scores(BEST, 4).transpose(1, 0, 2)
    (out,) = run_kind("CTCGreedyDecoder", [data, np.ones((6, 2), np.float32)], merge_repeated=merge)
    classes, lengths = run_kind(
        "CTCGreedyDecoderSeqLen",
        [scores(BEST, 4), np.array([6, 6])],
        merge_repeated=merge,
        index_dtype="int64",
        length_dtype="int32",
    )
    for n, row in enumerate(expected):
        padded = row + [-1] * (6 - len(row))
        assert out[n, :, 0, 0].tolist() == padded
        assert classes[n].tolist() == padded
        assert lengths[n] == len(row)


def test_mask_ends_a_sequence_but_its_first_step_counts():
    data = scores([[0, 1, 2, 0]], 4).transpose(1, 0, 2)
    for mask, expected in (([0, 1, 1, 0], [0, 1, 2, -1]), ([1, 0, 1, 1], [0, -1, -1, -1]), ([1, 1, 1, 1], [0, 1, 2, 0])):
        out = run_one("CTCGreedyDecoder", [data, np.array(mask, np.float32)[:, None]], version="opset1")
        assert out[0, :, 0, 0].tolist() == expected


def test_lengths_cut_and_the_blank_may_be_given():
    classes, lengths = run_layer(
        "CTCGreedyDecoderSeqLen",
        [scores(BEST, 4), np.array([2, 9], np.int32), np.array([2], np.int32)],
        {"merge_repeated": "true"},
        version="opset6",
        constants=[2],
        outputs=2,
    )
    assert classes.tolist() == [[1, -1, -1, -1, -1, -1], [3, 3, 1, -1, -1, -1]]
    assert lengths.tolist() == [1, 3]


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ModelError, match="sequence mask has shape"):
        run_one("CTCGreedyDecoder", [np.zeros((4, 2, 3), np.float32), np.zeros((3, 2), np.float32)])
    with pytest.raises(ModelError, match=r"expected float32 \[T, N, C\]"):
        run_one("CTCGreedyDecoder", [np.zeros((4, 2), np.float32), np.zeros((4, 2), np.float32)])


@pytest.mark.parametrize("path", corpus.cases("legacy/CTCGreedyDecoder", "opset/CTCGreedyDecoder", "opset/CTCGreedyDecoderSeqLen"))
def test_corpus(path):
    corpus.check(path)
