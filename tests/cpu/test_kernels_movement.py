# SPDX-License-Identifier: Apache-2.0
"""CPU kernels that move data: Concat, Split, Slice, Transpose, Tile, Broadcast, Pad, Gather, Reshape."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from cpu_programs import Builder, check, kinds_run
from kernel_checks import BLOCKED, blocked, compare, floats, integers, node

DTYPES = ["float32", "int64", "uint8", "int16", "bool"]


def values(dtype: str, *shape: int) -> np.ndarray:
    rng = np.random.default_rng(sum(shape))
    return rng.random(shape) > 0.5 if dtype == "bool" else integers(rng, dtype, *shape, low=-100, high=100)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_concat_and_split(isa: str, dtype: str, axis: int) -> None:
    shapes = [[2, 3, 5], [2, 3, 5], [2, 3, 5]]
    for i, n in enumerate((1, 4, 0)):
        shapes[i][axis] = n
    node("Concat", [values(dtype, *s) for s in shapes], axis=axis)
    shape = [2, 3, 5]
    shape[axis] = 7
    node("Split", [values(dtype, *shape)], axis=axis, lengths=(4, 0, 3))


@pytest.mark.parametrize("channels", [(16, 32), (16, 20), (20, 16), (3, 5)])
def test_concat_blocked(isa: str, channels: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    b = Builder()
    parts = [blocked(b, b.input(2, c, 5, 6)) for c in channels]
    y = b.node("Concat", *parts, axis=1)
    compare(b.output(y), [floats(rng, 2, c, 5, 6) for c in channels], layout=BLOCKED if channels[0] % 16 == 0 else "")
    b = Builder()
    parts = [blocked(b, b.input(2, 20, h, 6)) for h in (3, 4)]
    compare(b.output(b.node("Concat", *parts, axis=2)), [floats(rng, 2, 20, h, 6) for h in (3, 4)], layout=BLOCKED)


def test_concat_of_blocked_and_constant(isa: str) -> None:
    rng = np.random.default_rng(1)
    b = Builder()
    y = b.node("Concat", blocked(b, b.input(1, 32, 4, 4)), b.const(floats(rng, 1, 16, 4, 4)), axis=1)
    compare(b.output(y), [floats(rng, 1, 32, 4, 4)])


@pytest.mark.parametrize("lengths", [(16, 32), (32, 7), (20, 19)])
def test_split_blocked(isa: str, lengths: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    b = Builder()
    x = blocked(b, b.input(2, sum(lengths), 5, 6))
    compare(b.output(*b.nodes("Split", x, axis=1, lengths=lengths)), [floats(rng, 2, sum(lengths), 5, 6)])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("begins", "strides", "lengths"),
    [
        ((0, 0, 0), (1, 1, 1), (3, 4, 5)),
        ((1, 1, 1), (1, 2, 3), (2, 2, 2)),
        ((2, 3, 4), (-1, -3, -2), (3, 2, 3)),
        ((0, 2, 0), (1, 1, 1), (3, 0, 5)),
    ],
)
def test_slice(isa: str, dtype: str, begins: tuple[int, ...], strides: tuple[int, ...], lengths: tuple[int, ...]) -> None:
    node("Slice", [values(dtype, 3, 4, 5)], begins=begins, strides=strides, lengths=lengths)


@pytest.mark.parametrize(("begin", "length"), [(0, 20), (16, 4), (0, 16), (3, 9), (0, 7)])
def test_slice_blocked(isa: str, begin: int, length: int) -> None:
    b = Builder()
    x = blocked(b, b.input(2, 20, 6, 5))
    y = b.node("Slice", x, begins=(1, begin, 1, 4), strides=(1, 1, 2, -1), lengths=(1, length, 3, 4))
    whole = begin % 16 == 0 and (length % 16 == 0 or begin + length == 20)
    compare(b.output(y), [floats(np.random.default_rng(1), 2, 20, 6, 5)], layout=BLOCKED if whole else "")


@pytest.mark.parametrize("dtype", DTYPES)
def test_transpose_every_order(isa: str, dtype: str) -> None:
    for order in itertools.permutations(range(4)):
        node("Transpose", [values(dtype, 2, 5, 3, 7)], order=order)


@pytest.mark.parametrize(
    ("shape", "order"),
    [((1, 70, 33, 41), (0, 2, 3, 1)), ((1, 33, 41, 70), (0, 3, 1, 2)), ((129, 67), (1, 0)), ((3, 2, 40, 50, 6), (0, 3, 4, 2, 1))],
)
def test_transpose_of_larger_tensors(isa: str, shape: tuple[int, ...], order: tuple[int, ...]) -> None:
    node("Transpose", [floats(np.random.default_rng(1), *shape)], rtol=0, atol=0, order=order)


@pytest.mark.parametrize("channels", [5, 16, 39])
@pytest.mark.parametrize(("size", "order"), [((9,), (0, 2, 1)), ((7, 6), (0, 2, 3, 1)), ((3, 4, 5), (0, 2, 3, 4, 1))])
def test_channels_move_last_straight_out_of_their_blocks(isa: str, channels: int, size: tuple[int, ...], order: tuple[int, ...]) -> None:
    rng = np.random.default_rng(channels)
    b = Builder()
    window = {"strides": 1, "dilations": 1, "pads_begin": 0, "pads_end": 0}
    y = b.node("Conv", b.input(2, 20, *size), b.const(floats(rng, 1, channels, 20, *(1,) * len(size))),
               **{name: (value,) * len(size) for name, value in window.items()})  # fmt: skip
    executable = check(b.output(b.node("Transpose", y, order=order)), rtol=1e-5, atol=1e-5)
    assert [kind for kind in kinds_run(executable) if kind != "Reorder"] == ["Conv", "Transpose"]
    assert kinds_run(executable).count("Reorder") <= 1  # in front of the convolution


@pytest.mark.parametrize("order", [(0, 3, 2, 1), (1, 2, 3, 0), (0, 2, 1, 3)])
def test_other_orders_of_blocked_tensors(isa: str, order: tuple[int, ...]) -> None:
    b = Builder()
    y = b.node("Transpose", blocked(b, b.input(2, 20, 4, 5)), order=order)
    compare(b.output(y), [floats(np.random.default_rng(1), 2, 20, 4, 5)])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("repeats", [(1, 1, 1), (2, 1, 3), (1, 4, 1), (3, 2, 2), (1, 0, 1)])
def test_tile(isa: str, dtype: str, repeats: tuple[int, ...]) -> None:
    node("Tile", [values(dtype, 2, 3, 5)], repeats=repeats)


def test_tile_of_rank_eight(isa: str) -> None:
    node("Tile", [values("int32", 2, 1, 3, 1, 2, 2, 1, 3)], repeats=(1, 2, 2, 3, 1, 2, 2, 2))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "target"), [((3, 1, 5), (2, 3, 4, 5)), ((1,), (7, 9)), ((), (3,)), ((4, 1), (4, 1)), ((2, 3), (2, 3))])
def test_broadcast(isa: str, dtype: str, shape: tuple[int, ...], target: tuple[int, ...]) -> None:
    node("Broadcast", [values(dtype, *shape)], shape=target)


@pytest.mark.parametrize("dtype", ["float32", "int32", "int64", "uint8"])
@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric"])
@pytest.mark.parametrize(
    ("begins", "ends"), [((0, 1, 2), (1, 0, 3)), ((1, -1, 0), (0, -1, 2)), ((0, 0, -2), (0, 0, -2)), ((0, 0, 4), (0, 2, 4))]
)
def test_pad(isa: str, dtype: str, mode: str, begins: tuple[int, ...], ends: tuple[int, ...]) -> None:
    node("Pad", [values(dtype, 2, 4, 5)], pads_begin=begins, pads_end=ends, mode=mode, value=3.0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("wide", ["int32", "int64"])
@pytest.mark.parametrize(("axis", "batch"), [(0, 0), (1, 0), (2, 0), (1, 1), (2, 1)])
@pytest.mark.parametrize("wrap", [0, 1])
def test_gather_out_of_range_gives_zero(isa: str, dtype: str, wide: str, axis: int, batch: int, wrap: int) -> None:
    data = values(dtype, 2, 4, 5)
    indices = np.array([[0, 3, -1], [100, 1, -9]], wide)
    node("Gather", [data, indices], axis=axis, batch_dims=batch, wrap=wrap)


def test_gather_of_a_scalar_index(isa: str) -> None:
    node("Gather", [values("float32", 3, 4), np.array(2, np.int64)], axis=1, batch_dims=0, wrap=0)


def test_reshape_between_inputs_and_outputs(isa: str) -> None:
    node("Reshape", [values("float32", 2, 6, 5)], shape=(3, 20))


@pytest.mark.parametrize("dtype", DTYPES)
def test_select(isa: str, dtype: str) -> None:
    cond = np.random.default_rng(1).random((3, 1, 7)) > 0.5
    node("Select", [cond, values(dtype, 4, 1), values(dtype, 2, 3, 4, 7)])
    node("Select", [np.array(True), values(dtype, 5), values(dtype, 3, 1)])
