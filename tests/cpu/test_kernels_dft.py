# SPDX-License-Identifier: Apache-2.0
"""CPU kernels DFT and AdaptivePool."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_checks import floats, integers, node


@pytest.mark.parametrize("inverse", [0, 1])
def test_transforms_of_any_length(isa: str, inverse: int) -> None:
    rng = np.random.default_rng(1)
    for n in (1, 2, 3, 7, 8, 12, 30, 97, 128, 210):
        node("DFT", [floats(rng, 2, n, 3, 2)], rtol=1e-5, atol=1e-5, axis=1, inverse=inverse)
    node("DFT", [floats(rng, 4, 0, 2)], axis=1, inverse=inverse)


def test_long_transform_on_two_threads(isa: str) -> None:
    node("DFT", [floats(np.random.default_rng(2), 40, 1000, 2)], rtol=1e-5, atol=1e-4, axis=1, inverse=0)
    node("DFT", [floats(np.random.default_rng(3), 64, 50, 2)], rtol=1e-5, atol=1e-5, axis=0, inverse=1)


@pytest.mark.parametrize(("spatial", "sizes"), [((7,), (3,)), ((4, 5), (6, 2)), ((3, 4, 5), (2, 4, 3)), ((40, 50), (7, 7))])
def test_adaptive_pools(isa: str, spatial: tuple[int, ...], sizes: tuple[int, ...]) -> None:
    rng = np.random.default_rng(4)
    node("AdaptivePool", [floats(rng, 2, 19, *spatial)], mode="avg", sizes=sizes)
    for index in ("int32", "int64"):
        ties = integers(rng, "float32", 2, 19, *spatial, low=-2, high=3)
        node("AdaptivePool", [ties], mode="max", sizes=sizes, index_dtype=index)


def test_adaptive_maximum_is_nan_where_there_is_one(isa: str) -> None:
    x = floats(np.random.default_rng(5), 1, 2, 4, 4)
    x[0, 0, 1, 2] = x[0, 0, 0, 0] = np.nan
    x[0, 1] = -np.inf
    node("AdaptivePool", [x], mode="max", sizes=(2, 2), index_dtype="int32")
