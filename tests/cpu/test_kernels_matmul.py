# SPDX-License-Identifier: Apache-2.0
"""Matrix products of every shape, constant and computed operands, against numpy."""

from __future__ import annotations

import numpy as np
import pytest
from cpu_programs import Builder, check, kinds_run
from kernel_checks import close_to_exact, compare, floats, integers, node

BATCHES = [((), ()), ((2,), ()), ((), (3,)), ((3, 2), (2,)), ((1, 2), (3, 1)), ((2, 1, 2), (3, 1))]


def operands(
    rng: np.random.Generator, m: int, k: int, n: int, ta: int, tb: int, batches: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
) -> tuple[np.ndarray, np.ndarray]:
    a, b = batches
    return floats(rng, *a, *((k, m) if ta else (m, k))), floats(rng, *b, *((n, k) if tb else (k, n)))


@pytest.mark.parametrize("constant", [(), (1, 2)])
@pytest.mark.parametrize(("ta", "tb"), [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize(("m", "k", "n"), [(1, 70, 130), (1, 1, 1), (3, 16, 16), (40, 33, 65), (7, 100, 15), (230, 5, 34)])
def test_products_of_any_size(isa: str, m: int, k: int, n: int, ta: int, tb: int, constant: tuple[int, ...]) -> None:
    rng = np.random.default_rng(m * k * n)
    a, b = operands(rng, m, k, n, ta, tb)
    bias = floats(rng, n) if m % 2 else None
    node("MatMul", [a, b, bias], rtol=1e-4, atol=1e-4, const=constant, transpose_a=ta, transpose_b=tb)


@pytest.mark.parametrize("constant", [(), (1,)])
@pytest.mark.parametrize("batches", BATCHES)
def test_batches_broadcast(isa: str, batches: tuple[tuple[int, ...], tuple[int, ...]], constant: tuple[int, ...]) -> None:
    rng = np.random.default_rng(len(batches[0]))
    for ta, tb in ((0, 0), (1, 1)):
        a, b = operands(rng, 5, 19, 21, ta, tb, batches)
        node("MatMul", [a, b, None], rtol=1e-4, atol=1e-4, const=constant, transpose_a=ta, transpose_b=tb)


@pytest.mark.parametrize(("a", "b"), [((20,), (20,)), ((20,), (20, 7)), ((7, 20), (20,)), ((3, 7, 20), (20,)), ((20,), (3, 20, 7))])
def test_vectors_lose_the_axis_they_gain(isa: str, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    for constant in ((), (1,)):
        node("MatMul", [floats(rng, *a), floats(rng, *b)], rtol=1e-4, atol=1e-4, const=constant, transpose_a=0, transpose_b=0)


def test_long_inner_axes_are_summed_in_slabs(isa: str) -> None:
    rng = np.random.default_rng(2)
    a, b = operands(rng, 9, 2500, 70, 0, 1)
    node("MatMul", [a, b, floats(rng, 70)], rtol=1e-4, atol=1e-3, const=(1, 2), transpose_a=0, transpose_b=1)


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_integers_are_exact(isa: str, dtype: str) -> None:
    rng = np.random.default_rng(4)
    a, b = integers(rng, dtype, 2, 5, 6, low=-1000, high=1000), integers(rng, dtype, 6, 4, low=-1000, high=1000)
    node("MatMul", [a, b], rtol=0, atol=0, transpose_a=0, transpose_b=0)


@pytest.mark.parametrize("transpose_b", [0, 1])
@pytest.mark.parametrize(("shape", "n"), [((96, 256), 256), ((2, 101, 320), 288), ((390, 2112), 256)])
def test_strassens_method_is_close_to_the_exact_sum(isa: str, shape: tuple[int, ...], n: int, transpose_b: int) -> None:
    rng = np.random.default_rng(n)
    a, w, bias = floats(rng, *shape), floats(rng, shape[-1], n), floats(rng, n)
    expected = a.astype(np.float64) @ w.astype(np.float64) + bias
    bound = 2**-21 * (np.abs(a) @ np.abs(w)).max()
    b = Builder()
    weights = b.const(np.ascontiguousarray(w.T) if transpose_b else w)
    y = b.node("MatMul", b.input(*shape), weights, b.const(bias), transpose_a=0, transpose_b=transpose_b)
    program = b.output(y).program
    close_to_exact(program, a, expected, bound, "matmul_strassen")


def test_strassens_method_steps_over_rows_in_the_order_of_transposes(isa: str) -> None:
    rng = np.random.default_rng(0)
    b = Builder()
    x = b.node("Transpose", b.input(2, 98, 3, 256), order=(0, 2, 1, 3))
    y = b.node("MatMul", x, b.const(floats(rng, 256, 256) * np.float32(0.1)), transpose_a=0, transpose_b=0)
    y = b.node("Transpose", y, order=(2, 0, 1, 3))
    y = b.unary(b.binary(y, b.const(floats(rng, 256)), "add"), "tanh")
    executable = check(b.output(y), rtol=1e-4, atol=1e-4)
    assert kinds_run(executable) == ["MatMul"]
    assert "matmul_strassen" in str(executable.exec_graph())


@pytest.mark.parametrize("rows", [98, 113])
@pytest.mark.parametrize("steps", ["add", "add clamp gelu", "gelu add", "clamp mul add"])
def test_strassens_method_adds_the_residual_and_goes_on(isa: str, rows: int, steps: str) -> None:
    rng = np.random.default_rng(rows)
    b = Builder()
    x, other = b.input(rows, 256), b.input(rows, 288)
    y = b.node("MatMul", x, b.const(floats(rng, 256, 288) * np.float32(0.1)), b.const(floats(rng, 288)), transpose_a=0, transpose_b=0)
    for step in steps.split():
        if step == "add":
            y = b.binary(y, other, "add")
        elif step == "mul":
            y = b.binary(y, b.const(floats(rng, 288)), "mul")
        else:
            y = b.unary(y, step, *((-0.5, 0.75) if step == "clamp" else ()))
    executable = check(b.output(y), rtol=1e-4, atol=1e-4)
    assert kinds_run(executable) == ["MatMul"]
    assert "matmul_strassen" in str(executable.exec_graph())


@pytest.mark.parametrize("n", [7, 16, 70])
def test_fused_operations_follow_in_order(isa: str, n: int) -> None:
    rng = np.random.default_rng(n)
    b = Builder()
    x, other = b.input(3, 5, 24), b.input(3, 5, n)
    y = b.node("MatMul", x, b.const(floats(rng, n, 24)), b.const(floats(rng, n)), transpose_a=0, transpose_b=1)
    y = b.binary(y, b.const(floats(rng, n)), "mul")
    y = b.binary(y, other, "add")
    y = b.unary(y, "tanh")
    compare(b.output(y), [floats(rng, 3, 5, 24), floats(rng, 3, 5, n)], rtol=1e-4, atol=1e-4)


ORDERS = {  # what lies around the product: order before a, before b, behind y; transpose_b; whether every transpose goes
    "heads": ((0, 2, 1, 3), (0, 2, 1, 3), (0, 2, 1, 3), 1, True),
    "values": ((0, 1, 2, 3), (0, 2, 1, 3), (0, 2, 1, 3), 0, True),
    "columns of b": ((0, 1, 2, 3), (0, 1, 3, 2), (0, 1, 2, 3), 0, True),
    "batches": ((1, 0, 2, 3), (1, 0, 2, 3), (2, 0, 1, 3), 1, True),
    "columns of a and y": ((0, 1, 3, 2), (0, 1, 2, 3), (0, 1, 3, 2), 1, False),
    "a batch axis innermost": ((0, 3, 1, 2), (3, 0, 1, 2), (1, 0, 2, 3), 0, False),
}


@pytest.mark.parametrize("case", ORDERS)
@pytest.mark.parametrize("post", [False, True])
def test_transposes_around_a_product_move_into_it(case: str, post: bool) -> None:
    before_a, before_b, behind, transpose_b, all_go = ORDERS[case]
    size_a, size_b = (2, 3, 20, 24), (2, 3, 37, 24) if transpose_b else (2, 3, 24, 37)

    def transposed(b: Builder, shape: tuple[int, ...], order: tuple[int, ...]) -> int:
        inverse = tuple(order.index(i) for i in range(4))
        x = b.input(*(shape[i] for i in inverse))
        return b.node("Transpose", x, order=order)

    b = Builder()
    y = b.node("MatMul", transposed(b, size_a, before_a), transposed(b, size_b, before_b), transpose_a=0, transpose_b=transpose_b)
    y = b.node("Transpose", y, order=behind)
    if post:
        y = b.unary(b.binary(y, b.input(*np.transpose(np.empty((2, 3, 20, 37)), behind).shape), "add"), "relu")
    executable = check(b.output(y), rtol=1e-4, atol=1e-4)
    if all_go:
        assert kinds_run(executable) == ["MatMul"]


def test_a_transpose_that_others_read_stays() -> None:
    b = Builder()
    x = b.node("Transpose", b.input(2, 20, 3, 24), order=(0, 2, 1, 3))
    y = b.node("MatMul", x, b.input(2, 3, 24, 8), transpose_a=0, transpose_b=0)
    z = b.node("Transpose", y, order=(0, 2, 1, 3))
    executable = check(b.output(x, y, z), rtol=1e-4, atol=1e-4)
    assert sorted(kinds_run(executable)) == ["MatMul", "Transpose", "Transpose"]
