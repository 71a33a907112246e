# SPDX-License-Identifier: Apache-2.0
"""CPU kernels Scatter, CumSum, NonZero, Unique, SparseFillEmptyRows."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_checks import floats, integers, node

NUMBERS = ("float32", "int32", "int64")


@pytest.mark.parametrize("reduction", ["none", "sum", "sub", "prod", "min", "max", "mean"])
@pytest.mark.parametrize("dtype", NUMBERS)
def test_scatter_reduces_in_order(isa: str, reduction: str, dtype: str) -> None:
    rng = np.random.default_rng(1)
    for rows, count, inner in ((7, 20, 3), (1, 4, 1), (5, 0, 2), (3, 4, 0)):
        data, updates = integers(rng, dtype, rows, inner), integers(rng, dtype, count, inner)
        for use_init in (0, 1):
            for index in ("int32", "int64"):
                positions = rng.integers(-2, rows + 2, count).astype(index)
                node("Scatter", [data, positions, updates], reduction=reduction, use_init=use_init)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8"])
def test_scatter_writes_every_type(isa: str, dtype: str) -> None:
    rng = np.random.default_rng(2)
    data, updates = (integers(rng, "uint8", n, 5).astype(dtype) for n in (6, 9))
    node("Scatter", [data, rng.integers(0, 6, 9), updates], reduction="none", use_init=1)


def test_large_scatter_is_the_same_on_two_threads(isa: str) -> None:
    rng = np.random.default_rng(3)
    data, updates = floats(rng, 500, 64), floats(rng, 900, 64)
    for reduction in ("none", "sum", "mean"):
        node("Scatter", [data, rng.integers(-9, 520, 900), updates], reduction=reduction, use_init=0)


def test_minimum_and_maximum_keep_nan(isa: str) -> None:
    data, updates = np.array([[np.nan], [1], [2]], np.float32), np.array([[0], [np.nan], [np.inf]], np.float32)
    for reduction in ("min", "max"):
        node("Scatter", [data, np.arange(3), updates], reduction=reduction, use_init=1)


@pytest.mark.parametrize("dtype", NUMBERS)
def test_cumsum(isa: str, dtype: str) -> None:
    rng = np.random.default_rng(4)
    for shape in ((3, 4, 5), (7,), (2, 0, 3), (300, 90)):
        x = integers(rng, dtype, *shape)
        for axis in range(len(shape)):
            for exclusive in (0, 1):
                for reverse in (0, 1):
                    node("CumSum", [x], axis=axis, exclusive=exclusive, reverse=reverse)


def test_integer_sums_wrap(isa: str) -> None:
    node("CumSum", [np.full(4, 2**31 - 1, np.int32)], axis=0, exclusive=0, reverse=0)
    node("CumSum", [np.full(4, 2**63 - 1, np.int64)], axis=0, exclusive=0, reverse=1)


@pytest.mark.parametrize("dtype", [*NUMBERS, "bool", "uint8", "int8"])
def test_nonzero(isa: str, dtype: str) -> None:
    rng = np.random.default_rng(5)
    for shape in ((2, 3, 4), (9,), (), (0, 3)):
        x = rng.integers(0, 2, shape).astype(dtype)
        for index in ("int32", "int64"):
            node("NonZero", [x], index_dtype=index)


@pytest.mark.parametrize("dtype", [*NUMBERS, "uint8", "int8", "bool"])
@pytest.mark.parametrize("rising", [0, 1])
def test_unique(isa: str, dtype: str, rising: int) -> None:
    rng = np.random.default_rng(6)
    for shape in ((20, 1), (33, 2), (1, 3), (0, 2), (4, 0)):
        x = integers(rng, "int8", *shape, low=-1, high=2)
        x = np.abs(x).astype(dtype) if dtype in ("uint8", "bool") else x.astype(dtype)
        for index in ("int32", "int64"):
            node("Unique", [x], sorted=rising, index_dtype=index)


@pytest.mark.parametrize("rising", [0, 1])
def test_unique_sorts_nan_last(isa: str, rising: int) -> None:
    x = np.array([[np.nan, 1], [0, 1], [np.nan, 1], [0, 1], [0, np.nan], [-0.0, 1], [np.inf, 2]], np.float32)
    node("Unique", [x], sorted=rising, index_dtype="int64")


def test_empty_rows_are_filled(isa: str) -> None:
    places = np.array([[2, 1], [0, 3], [7, 0], [2, 0], [-1, 0], [1.5, 0], [np.nan, 1]], np.float32)
    values, default = np.arange(1, 8, dtype=np.float32), np.array([9], np.float32)
    for height in (4, 0, -3, 99, np.inf):
        for size in (0, 2, 5, 12):
            shape = np.array([height, 5], np.float32)
            node("SparseFillEmptyRows", [places, values, shape, default], size=size, rows=5)
