# SPDX-License-Identifier: Apache-2.0
"""CPU kernel Reduce."""

from __future__ import annotations

import numpy as np
import pytest
from cpu_programs import Builder
from kernel_checks import BLOCKED, blocked, compare, floats, integers, node

OPS = ["sum", "mean", "max", "min", "prod", "l1", "l2", "log_sum", "log_sum_exp", "sum_square"]
AXES = [(2, 3), (1,), (0,), (3,), (0, 2), (1, 3), (0, 1, 2, 3)]


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("axes", AXES)
def test_float(isa: str, op: str, axes: tuple[int, ...]) -> None:
    x = floats(np.random.default_rng(1), 3, 4, 5, 37)
    if op == "log_sum":
        x = np.abs(x)
    if op == "prod":
        x = np.exp(x / 20)
    for keep in (0, 1):
        node("Reduce", [x], rtol=2e-5, atol=2e-5, op=op, axes=axes, keep_dims=keep)


@pytest.mark.parametrize("op", ["sum", "mean", "max", "min", "prod", "l1", "sum_square"])
@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_integers(isa: str, op: str, dtype: str) -> None:
    x = integers(np.random.default_rng(2), dtype, 3, 4, 5)
    for axes in ((0,), (1, 2), (0, 1, 2)):
        node("Reduce", [x], rtol=0, atol=0, op=op, axes=axes, keep_dims=0)


@pytest.mark.parametrize("op", ["and", "or"])
def test_truth(isa: str, op: str) -> None:
    x = np.random.default_rng(3).random((4, 3, 5)) > 0.4
    for axes in ((0,), (1,), (0, 2)):
        node("Reduce", [x], op=op, axes=axes, keep_dims=1)


def test_sum_of_a_million_terms_is_precise(isa: str) -> None:
    x = np.full((1, 2, 1000, 1001), 0.1, np.float32)
    got = node("Reduce", [x], rtol=1e-5, op="sum", axes=(2, 3), keep_dims=1)[0]
    np.testing.assert_allclose(got.ravel(), 1000 * 1001 * np.float64(np.float32(0.1)), rtol=1e-6)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("channels", [16, 20])
def test_blocked_feature_maps(isa: str, op: str, channels: int) -> None:
    x = np.abs(floats(np.random.default_rng(1), 2, channels, 9, 5))
    for axes in ((2, 3), (3,), (0, 2)):
        b = Builder()
        y = b.node("Reduce", blocked(b, b.input(*x.shape)), op=op, axes=axes, keep_dims=1)
        compare(b.output(y), [x], rtol=2e-5, layout=BLOCKED)
