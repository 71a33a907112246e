# SPDX-License-Identifier: Apache-2.0
"""CPU kernel LRN."""

from __future__ import annotations

import numpy as np
import pytest
from cpu_programs import Builder, infer, load
from kernel_checks import BLOCKED, blocked, compare, floats, node


@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize("axes", [(1,), (2, 3), (3,), (1, 2, 3), ()])
@pytest.mark.parametrize("beta", [0.75, 1.0, 0.5, 0.3])
def test_windows(isa: str, size: int, axes: tuple[int, ...], beta: float) -> None:
    x = 3 * floats(np.random.default_rng(1), 2, 9, 5, 21)
    node("LRN", [x], rtol=2e-5, axes=axes, size=size, alpha=0.1, beta=beta, bias=1.5)


def test_many_elements_on_two_threads(isa: str) -> None:
    node("LRN", [floats(np.random.default_rng(2), 1, 64, 30, 31)], axes=(1,), size=5, alpha=1e-4, beta=0.75, bias=1.0)
    node("LRN", [floats(np.random.default_rng(2), 1, 16, 60, 61)], axes=(2, 3), size=5, alpha=1e-4, beta=0.75, bias=1.0)


@pytest.mark.parametrize("size", [1, 3, 5, 17])
@pytest.mark.parametrize("channels", [5, 16, 40])
@pytest.mark.parametrize("beta", [0.75, 0.6])
def test_windows_across_channel_blocks(isa: str, size: int, channels: int, beta: float) -> None:
    x = 3 * floats(np.random.default_rng(size), 2, channels, 7, 11)
    b = Builder()
    y = b.node("LRN", blocked(b, b.input(*x.shape)), axes=(1,), size=size, alpha=0.1, beta=beta, bias=1.5)
    compare(b.output(y), [x], rtol=2e-5, layout=BLOCKED)


def test_wide_windows_stay_plain(isa: str) -> None:
    x = floats(np.random.default_rng(3), 1, 40, 5, 5)
    b = Builder()
    y = b.node("LRN", blocked(b, b.input(*x.shape)), axes=(1,), size=19, alpha=0.1, beta=0.75, bias=1.0)
    compare(b.output(y), [x], rtol=2e-5)


@pytest.mark.parametrize("bias", [1.0, 0.0, 1e-30])
def test_the_usual_power_is_exact_to_units_in_the_last_place(isa: str, bias: float) -> None:
    """Whatever the magnitude; where squares have no float32 results are 0, or NaN of what is infinite."""
    x = np.concatenate([np.geomspace(1e-15, 1e18, 300), [-1.0, 1e30, -1e30, np.inf, np.nan]]).astype(np.float32)
    b = Builder()
    y = b.node("LRN", b.input(1, 1, x.size), axes=(1,), size=1, alpha=0.3, beta=0.75, bias=bias)
    program = b.output(y).program
    got = infer(load(program), program, [x.reshape(1, 1, -1)])[0].ravel()
    wide = x[:-4].astype(np.float64)
    np.testing.assert_allclose(got[:-4], wide / (bias + np.float32(0.3) * wide**2) ** 0.75, rtol=6e-7)
    np.testing.assert_array_equal(got[-4:], [0, -0.0, np.nan, np.nan])
