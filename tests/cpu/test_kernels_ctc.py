# SPDX-License-Identifier: Apache-2.0
"""CPU kernels CTCGreedyDecoder and CTCGreedyDecoderSeqLen."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_checks import node


def scores(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(0, 4, shape).astype(np.float32)


@pytest.mark.parametrize("merge", [0, 1])
def test_mask_ends_the_sequence(isa: str, merge: int) -> None:
    mask = np.ones((12, 5), np.float32)
    mask[4:, 1] = 0
    mask[1:, 2] = 0
    mask[:, 3] = 0
    node("CTCGreedyDecoder", [scores(12, 5, 4), mask], merge_repeated=merge)


@pytest.mark.parametrize("merge", [0, 1])
@pytest.mark.parametrize("dtype", ["int32", "int64"])
@pytest.mark.parametrize("blank", [None, 0, 2])
def test_lengths_are_clipped(isa: str, merge: int, dtype: str, blank: int | None) -> None:
    lengths = np.array([12, 5, 0, -3, 99], dtype)
    given = None if blank is None else np.array([blank], dtype)
    inputs = [scores(5, 12, 4), lengths] + ([] if given is None else [given])
    node("CTCGreedyDecoderSeqLen", inputs, merge_repeated=merge, index_dtype=dtype, length_dtype="int32")
