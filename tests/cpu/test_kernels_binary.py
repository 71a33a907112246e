# SPDX-License-Identifier: Apache-2.0
"""CPU kernel Binary: operations, types, broadcasting, layouts."""

from __future__ import annotations

import numpy as np
import pytest
from cpu_programs import Builder, infer, load
from kernel_checks import BLOCKED, blocked, compare, floats, integers, node

from ie_ctypes.model.ops.elementwise import ARITHMETIC, BITWISE, COMPARISON, LOGICAL

SHAPES = [
    ((37,), (37,)),
    ((2, 3, 4, 5), (1, 3, 1, 1)),
    ((2, 3, 4, 5), ()),
    ((2, 1, 4, 1), (3, 1, 5)),
    ((5, 1), (1, 7)),
    ((1, 2, 3, 4, 5, 6), (3, 1, 5, 1)),
    ((3, 9000), (9000,)),
    ((20000,), (1,)),
    ((2, 0, 3), (1, 1, 3)),
]


@pytest.mark.parametrize("op", sorted(ARITHMETIC | COMPARISON))
@pytest.mark.parametrize("dtype", ["float32", "int32", "int64"])
def test_operation_agrees_with_reference(isa: str, op: str, dtype: str) -> None:
    rng = np.random.default_rng(5)
    for a, b in [((3, 1, 19), (4, 19)), ((2, 33), (1,))]:
        if dtype == "float32":
            x, y = floats(rng, *a), floats(rng, *b)
            x, y = (np.abs(x), y) if op == "pow" else (x, np.round(y, 1) + np.float32(0.25))
        else:
            x, y = integers(rng, dtype, *a), integers(rng, dtype, *b, low=0 if op == "pow" else -9)
        node("Binary", [x, y], rtol=3e-6, op=op)
        if op != "pow":
            node("Binary", [y, x], rtol=3e-6, op=op)


@pytest.mark.parametrize("shapes", SHAPES)
def test_broadcasting(isa: str, shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    rng = np.random.default_rng(7)
    x, y = floats(rng, *shapes[0]), floats(rng, *shapes[1])
    node("Binary", [x, y], op="sub")
    node("Binary", [y, x], op="sub", const=(0,))


@pytest.mark.parametrize("op", sorted(BITWISE))
@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_bits(isa: str, op: str, dtype: str) -> None:
    rng = np.random.default_rng(6)
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    for a, b in [((3, 1, 19), (4, 19)), ((2, 33), (1,))]:
        x, y = integers(rng, dtype, *a, low=low, high=high), integers(rng, dtype, *b, low=-70, high=70)
        node("Binary", [x, y], rtol=0, atol=0, op=op)


@pytest.mark.parametrize("op", sorted(LOGICAL))
def test_logic(isa: str, op: str) -> None:
    node("Binary", [np.array([[True], [False]]), np.array([True, False, True])], op=op)


@pytest.mark.parametrize("op", ["max", "min", "equal", "less", "prelu", "pow", "div", "mod", "floor_mod"])
def test_special_values_are_those_of_numpy(isa: str, op: str) -> None:
    values = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 2.0, -2.5], np.float32)
    node("Binary", [values[:, None], values[None]], rtol=2e-6, atol=0, op=op)


@pytest.mark.parametrize("dtype", ["int32", "int64"])
@pytest.mark.parametrize("op", ["div", "floor_div", "mod", "floor_mod"])
def test_integer_division_by_zero_is_zero(isa: str, dtype: str, op: str) -> None:
    low = np.iinfo(dtype).min
    b = Builder()
    y = b.binary(b.input(4, dtype=dtype), b.input(4, dtype=dtype), op)
    program = b.output(y).program
    got = infer(load(program), program, [np.array([7, -7, 0, low], dtype), np.array([0, 0, 0, -1], dtype)])[0]
    assert got[:3].tolist() == [0, 0, 0]
    assert got[3] == (0 if "mod" in op else low)


@pytest.mark.parametrize("channels", [16, 20, 3, 1])
@pytest.mark.parametrize("op", ["mul", "div", "add"])
def test_blocked_per_channel_constant(isa: str, channels: int, op: str) -> None:
    rng = np.random.default_rng(9)
    for shape in ((1, channels, 1, 1), (channels, 1, 1), (1,), (1, 1, 1, 7), (2, channels, 5, 7)):
        b = Builder()
        scale = b.const(np.abs(floats(rng, *shape)) + np.float32(0.5))
        x = blocked(b, b.input(2, channels, 5, 7))
        outputs = [b.binary(x, scale, op), b.binary(scale, x, op)]
        compare(b.output(*outputs), [np.abs(floats(rng, 2, channels, 5, 7)) + np.float32(0.5)])


def test_blocked_operands_stay_blocked(isa: str) -> None:
    rng = np.random.default_rng(11)
    b = Builder()
    x = blocked(b, b.input(2, 20, 5, 7))
    gate = blocked(b, b.input(2, 20, 1, 1))
    compare(b.output(b.binary(x, gate, "div")), [floats(rng, 2, 20, 5, 7), floats(rng, 2, 20, 1, 1) + 3], layout=BLOCKED)


@pytest.mark.parametrize("other", [(2, 1, 5, 7), (5, 7), (2, 1, 1, 1), (20, 5, 7), (2, 20, 1, 7), ()])
def test_blocked_with_operands_of_other_shapes(isa: str, other: tuple[int, ...]) -> None:
    rng = np.random.default_rng(13)
    b = Builder()
    x, y = blocked(b, b.input(2, 20, 5, 7)), b.input(*other)
    compare(b.output(b.binary(x, y, "mul"), b.binary(y, x, "squared_diff")), [floats(rng, 2, 20, 5, 7), floats(rng, *other)])
