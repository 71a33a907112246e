# SPDX-License-Identifier: Apache-2.0
"""CPU kernels Softmax and LogSoftmax."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_checks import floats, node


@pytest.mark.parametrize("kind", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize(
    ("shape", "axis"), [((1, 1000), 1), ((3, 5), 1), ((2, 21, 9, 11), 1), ((2, 3, 200), 1), ((4, 7), 0), ((2, 3, 1, 17), 2), ((5,), 0)]
)
def test_every_axis(isa: str, kind: str, shape: tuple[int, ...], axis: int) -> None:
    node(kind, [20 * floats(np.random.default_rng(1), *shape)], rtol=2e-6, atol=2e-6, axis=axis)


@pytest.mark.parametrize("kind", ["Softmax", "LogSoftmax"])
def test_large_values_do_not_overflow(isa: str, kind: str) -> None:
    y = node(kind, [np.array([[1e30, 0.0, -1e30], [800, 801, 802]], np.float32)], axis=1)[0]
    assert np.isfinite(y).all()


def test_nan_spreads_over_its_row_only(isa: str) -> None:
    x = np.zeros((2, 40), np.float32)
    x[0, 3] = np.nan
    node("Softmax", [x], axis=1)
