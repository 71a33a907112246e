# SPDX-License-Identifier: Apache-2.0
"""Maximum and average pools of every shape against the numpy reference."""

from __future__ import annotations

import numpy as np
import pytest
from cpu_programs import Builder
from kernel_checks import compare, floats, integers, node

from ie_ctypes.model.program import AttrValue

DIVISORS = pytest.mark.parametrize("divisor", ["valid", "kernel", "legacy"])


def random_window(rng: np.random.Generator, dilated: bool) -> tuple[tuple[int, ...], dict[str, AttrValue]]:
    """Spatial sizes and attributes of a pool of random rank; padding stays below the kernel."""
    rank = int(rng.choice([1, 2, 2, 3]))
    kernel, strides = (rng.integers(1, n, rank) for n in (5, 4))
    dilations = rng.integers(1, 3, rank) if dilated else np.ones(rank, int)
    begin, end = rng.integers(0, kernel), rng.integers(0, kernel)
    sizes = np.maximum(rng.integers(1, {1: 40, 2: 15, 3: 6}[rank], rank), (kernel - 1) * dilations + 1)
    lists = {"kernel": kernel, "strides": strides, "pads_begin": begin, "pads_end": end}
    if dilated:
        lists["dilations"] = dilations
    attrs: dict[str, AttrValue] = {name: tuple(int(v) for v in values) for name, values in lists.items()}
    return tuple(int(s) for s in sizes), {**attrs, "ceil": int(rng.integers(0, 2))}


@pytest.mark.parametrize("seed", range(10))
def test_maximum_pools_of_any_shape(isa: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes, attrs = random_window(rng, dilated=bool(seed % 2))
    node("MaxPool", [floats(rng, 2, int(rng.integers(1, 40)), *sizes)], **attrs)


@DIVISORS
@pytest.mark.parametrize("seed", range(5))
def test_average_pools_of_any_shape(isa: str, seed: int, divisor: str) -> None:
    rng = np.random.default_rng(seed)
    sizes, attrs = random_window(rng, dilated=False)
    node("AvgPool", [floats(rng, 2, int(rng.integers(1, 40)), *sizes)], divisor=divisor, **attrs)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("index_dtype", ["int32", "int64"])
def test_maximum_pools_tell_where_the_first_of_equals_is(isa: str, axis: int, index_dtype: str) -> None:
    rng = np.random.default_rng(axis)
    x = integers(rng, "int32", 2, 3, 7, 9, high=3).astype(np.float32)
    window: dict[str, AttrValue] = {"kernel": (3, 2), "strides": (2, 1), "pads_begin": (1, 0), "pads_end": (1, 1), "dilations": (1, 2)}
    node("MaxPool", [x], ceil=0, index_axis=axis, index_dtype=index_dtype, **window)


@pytest.mark.parametrize("axis", range(5))
def test_places_of_maxima_in_volumes(isa: str, axis: int) -> None:
    x = integers(np.random.default_rng(axis), "int32", 2, 3, 4, 5, 6, high=5).astype(np.float32)
    window: dict[str, AttrValue] = {"kernel": (2, 2, 1), "strides": (2, 1, 1), "pads_begin": (0, 1, 0), "pads_end": (0, 0, 0)}
    node("MaxPool", [x], ceil=0, index_axis=axis, index_dtype="int64", dilations=(1, 2, 2), **window)


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_maximum_pools_of_integers_are_exact(isa: str, dtype: str) -> None:
    rng = np.random.default_rng(1)
    x = integers(rng, dtype, 1, 4, 9, 8, low=-(2**30), high=2**30) * (2**20 if dtype == "int64" else 1)
    x[0, 0, 0, 0] = np.iinfo(dtype).min
    window: dict[str, AttrValue] = {"kernel": (2, 2), "strides": (2, 2), "pads_begin": (1, 0), "pads_end": (0, 0)}
    node("MaxPool", [x], rtol=0, atol=0, ceil=0, **window)


def test_not_a_number_wins_a_maximum(isa: str) -> None:
    x = np.zeros((1, 5, 6, 6), np.float32)
    x[0, 2, 2, 2] = np.nan
    x[0, 3] = -np.inf
    window: dict[str, AttrValue] = {"kernel": (3, 3), "strides": (1, 1), "pads_begin": (0, 0), "pads_end": (0, 0)}
    node("MaxPool", [x], ceil=0, **window)


@pytest.mark.parametrize("ceil", [0, 1])
@pytest.mark.parametrize("begin", [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (1, 3), (3, 2), (4, 1)])
def test_maximum_pools_of_three_by_three(isa: str, strides: tuple[int, int], begin: tuple[int, int], ceil: int) -> None:
    rng = np.random.default_rng(strides[0])
    for height, width in ((3, 3), (4, 9), (8, 5), (13, 18)):
        x = floats(rng, 2, 20, height, width)
        x[rng.random(x.shape) < 0.05] = np.nan
        x[:, 3] = -np.inf
        x[:, 4, :, 0] = np.inf
        for end in ((0, 0), (1, 1), (2, 1)):
            node("MaxPool", [x], rtol=0, atol=0, kernel=(3, 3), strides=strides, pads_begin=begin, pads_end=end, ceil=ceil)


def test_pools_follow_convolutions_in_blocks(isa: str) -> None:
    rng = np.random.default_rng(2)
    b = Builder()
    x = b.conv(b.input(1, 20, 12, 13), floats(rng, 1, 22, 20, 1, 1))
    window: dict[str, AttrValue] = {"kernel": (3, 3), "strides": (2, 2), "pads_begin": (1, 1), "pads_end": (0, 0)}
    x = b.node("MaxPool", x, ceil=1, **window)
    x = b.node("AvgPool", x, ceil=1, divisor="valid", **window)
    compare(b.output(x), [floats(rng, 1, 20, 12, 13)], rtol=1e-4, atol=1e-4, layout="nChw16c")


@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5, 7])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kind", ["MaxPool", "AvgPool"])
def test_windows_share_the_columns_of_a_row(isa: str, kind: str, kernel: int, stride: int) -> None:
    """Whole windows, and windows that padding cuts on every side."""
    rng = np.random.default_rng(kernel)
    attrs: dict[str, AttrValue] = {"kernel": (kernel,) * 2, "strides": (stride,) * 2, "pads_begin": (kernel // 2,) * 2}
    attrs |= {"pads_end": ((kernel - 1) // 2,) * 2, "ceil": 1} | ({"divisor": "valid"} if kind == "AvgPool" else {})
    node(kind, [floats(rng, 1, 18, 9, 13)], **attrs)


@DIVISORS
def test_windows_without_a_real_element(isa: str, divisor: str) -> None:
    rng = np.random.default_rng(4)
    window: dict[str, AttrValue] = {"kernel": (2, 2), "strides": (1, 2), "pads_begin": (3, 0), "pads_end": (0, 3)}
    node("AvgPool", [floats(rng, 1, 5, 4, 5)], ceil=0, divisor=divisor, **window)
    b = Builder()
    x = b.conv(b.input(1, 20, 4, 5), floats(rng, 1, 22, 20, 1, 1))
    x = b.node("AvgPool", x, ceil=0, divisor=divisor, **window)
    lanes_that_are_no_channels = b.conv(b.node("Unary", x, op="sign"), floats(rng, 1, 4, 22, 1, 1))
    compare(b.output(x, lanes_that_are_no_channels), [floats(rng, 1, 20, 4, 5)], rtol=1e-4, atol=1e-4)
