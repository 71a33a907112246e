# SPDX-License-Identifier: Apache-2.0
"""CPU kernels GatherTree and CTCLoss."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_checks import floats, node


@pytest.mark.parametrize("dtype", ["int32", "int64", "float32"])
def test_beams_follow_their_parents(isa: str, dtype: str) -> None:
    rng = np.random.default_rng(1)
    steps, parents = rng.integers(0, 6, (7, 4, 3)).astype(dtype), rng.integers(0, 3, (7, 4, 3)).astype(dtype)
    parents[3, 1, 2] = 9
    parents[2, 0, 1] = -4
    node("GatherTree", [steps, parents, np.array([7, 5, 0, 99], dtype), np.array([2], dtype)])


@pytest.mark.parametrize("dtype", ["int32", "int64"])
@pytest.mark.parametrize("collapse", [0, 1])
@pytest.mark.parametrize("merge", [0, 1])
@pytest.mark.parametrize("unique", [0, 1])
@pytest.mark.parametrize("blank", [None, 0])
def test_ctc_loss(isa: str, dtype: str, collapse: int, merge: int, unique: int, blank: int | None) -> None:
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 3, (5, 7)) + (0 if blank is None else 1)
    labels[1, :3], labels[2, 1] = 1, 77
    inputs = [3 * floats(rng, 5, 7, 4), np.array([7, 5, 6, 2, 0], dtype), labels.astype(dtype), np.array([3, 3, 2, 7, 0], dtype)]
    inputs += [] if blank is None else [np.array([blank], dtype)]
    (loss,) = node("CTCLoss", inputs, rtol=1e-4, preprocess_collapse_repeated=collapse, ctc_merge_repeated=merge, unique=unique)
    assert np.isinf(loss[2])
    assert loss[4] == 0
