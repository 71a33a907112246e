# SPDX-License-Identifier: Apache-2.0
"""CPU kernel TopK."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_checks import floats, integers, node


@pytest.mark.parametrize("mode", ["max", "min"])
@pytest.mark.parametrize("sort", ["value", "index", "none"])
@pytest.mark.parametrize("dtype", ["float32", "int32", "int64", "uint8", "int8"])
def test_ties_go_to_the_lower_index(isa: str, mode: str, sort: str, dtype: str) -> None:
    rng = np.random.default_rng(1)
    x = integers(rng, dtype, 3, 20, 4, low=-4, high=5)
    for axis in range(3):
        for k in (0, 1, 3, x.shape[axis]):
            node("TopK", [x], rtol=0, atol=0, axis=axis, k=k, mode=mode, sort=sort, index_dtype="int32")


@pytest.mark.parametrize("k", [1, 5, 700])
def test_long_axis_and_wide_indices(isa: str, k: int) -> None:
    x = floats(np.random.default_rng(2), 2, 1000)
    node("TopK", [x], rtol=0, atol=0, axis=1, k=k, mode="max", sort="value", index_dtype="int64")


@pytest.mark.parametrize("mode", ["max", "min"])
def test_nan_counts_as_the_largest(isa: str, mode: str) -> None:
    x = np.array([1, np.nan, -2, np.inf, np.nan, -np.inf], np.float32)
    node("TopK", [x], axis=0, k=4, mode=mode, sort="value", index_dtype="int32")
