# SPDX-License-Identifier: Apache-2.0
"""Element-wise operations fused behind element-wise kernels, convolutions and matrix products."""

from __future__ import annotations

import numpy as np
import pytest
from cpu_programs import Builder, load
from kernel_checks import blocked, compare

FEATURES = [(2, 24, 5, 7), (1, 16, 9, 9), (1, 3, 33, 31), (2, 5, 40), (1, 17, 2, 3, 5)]


def values(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def per_channel(shape: tuple[int, ...], seed: int) -> np.ndarray:
    return values(1, shape[1], *(1,) * (len(shape) - 2), seed=seed)


def quantize(b: Builder, x: int, low: np.ndarray, width: np.ndarray, levels: int = 256) -> int:
    """Output limits differ from the input's, so that a mix-up shows."""
    limits = [low, low + width, 2 * low + 1, 2 * low + 1 + 3 * width]
    return b.node("FakeQuantize", x, *[b.const(limit.astype(np.float32)) for limit in limits], levels=levels)


def kinds(b: Builder) -> list[str]:
    return [step["type"] for step in load(b.program).exec_graph()]


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("shape", FEATURES, ids=str)
@pytest.mark.parametrize("in_blocks", [False, True])
def test_a_chain_of_scale_shift_sum_and_activation_is_one_pass(shape: tuple[int, ...], in_blocks: bool) -> None:
    b = Builder()
    x, other = b.input(*shape), b.input(*shape)
    y = blocked(b, x) if in_blocks else x
    y = b.binary(y, b.const(per_channel(shape, 1)), "mul")
    y = b.binary(y, b.const(per_channel(shape, 2)), "add")
    y = b.binary(y, other, "add")
    y = b.unary(y, "sigmoid")
    y = b.unary(y, "power", alpha=2.0, beta=0.5, gamma=-1.0)
    b.output(y)
    compare(b, [values(*shape, seed=3), values(*shape, seed=4)], atol=1e-5)
    assert kinds(b).count("Binary") == 1 or np.prod(shape[2:]) < 16
    assert "Unary" not in kinds(b)


# Orders of scale, shift and limits: one pass does a scale, a shift and limits behind each other, and no other order.
CHAINS = ["mul add relu", "mul add clamp", "add mul relu", "mul relu", "add clamp", "mul clamp add relu", "mul mul add add clamp relu"]


def chain(b: Builder, x: int, shape: tuple[int, ...], steps: str) -> int:
    for i, step in enumerate(steps.split()):
        if step == "relu":
            x = b.unary(x, "relu", alpha=0.0)
        elif step == "clamp":
            x = b.unary(x, "clamp", alpha=0.25, beta=1.5)
        else:
            x = b.binary(x, b.const(per_channel(shape, i)), step)
    return x


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("steps", CHAINS)
@pytest.mark.parametrize("shape", [*FEATURES, (3, 24, 1, 1), (2, 16, 1, 1), (2, 16, 4, 4)], ids=str)
@pytest.mark.parametrize("in_blocks", [False, True])
@pytest.mark.parametrize("swapped", [False, True])
def test_scales_shifts_and_limits_in_any_order(steps: str, shape: tuple[int, ...], in_blocks: bool, swapped: bool) -> None:
    b = Builder()
    x = b.input(*shape)
    y = blocked(b, x) if in_blocks else x
    if swapped:
        y = b.binary(b.const(per_channel(shape, 9)), y, "mul")
    y = chain(b, y, shape, steps)
    b.output(b.node("Reduce", y, op="sum", axes=(1,), keep_dims=1), y)
    given = values(*shape, seed=3)
    given.flat[0] = np.nan
    compare(b, [given], atol=1e-4)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("steps", CHAINS)
def test_scales_shifts_and_limits_behind_convolutions_and_matrix_products(steps: str) -> None:
    b = Builder()
    x = b.input(2, 20, 9, 9)
    y = b.unary(b.conv(x, values(1, 21, 20, 1, 1, seed=5)), "relu", alpha=0.0)
    b.output(chain(b, y, (2, 21, 9, 9), steps))
    compare(b, [values(2, 20, 9, 9, seed=6)], rtol=1e-4, atol=1e-4)
    b = Builder()
    x = b.input(5, 20)
    y = b.unary(b.node("MatMul", x, b.const(values(20, 37)), transpose_a=0, transpose_b=0), "relu", alpha=0.0)
    b.output(chain(b, y, (5, 37), steps))
    compare(b, [values(5, 20, seed=2)], rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("shape", FEATURES, ids=str)
@pytest.mark.parametrize("each_channel", [False, True])
def test_quantization_with_constant_limits_is_fused_behind_a_convolution(shape: tuple[int, ...], each_channel: bool) -> None:
    b = Builder()
    x = b.input(*shape)
    channels, rank = shape[1], len(shape) - 2
    y = b.conv(x, values(1, 19, channels, *(1,) * rank, seed=5) * 0.1)
    low = -0.5 - np.abs(per_channel((1, 19, *shape[2:]), 6)) if each_channel else np.full((1,) * len(shape), -0.7, np.float32)
    y = quantize(b, y, low, np.full_like(low, 1.3), levels=16)
    b.output(b.unary(y, "relu"))
    program = b.program
    assert kinds(b).count("Conv") == 1
    assert "FakeQuantize" not in kinds(b)
    # A value in the middle between two levels may go either way: whole numbers stay away from it.
    step = 1.3 / 15
    weights = next(t for t in program.tensors if t.data is not None and t.data.ndim == rank + 3)
    weights.data = np.round(np.asarray(weights.data) * 20).astype(np.float32) * np.float32(step * 0.8)
    compare(b, [np.round(values(*shape, seed=7)).astype(np.float32)], atol=1e-4)


@pytest.mark.usefixtures("isa")
def test_quantization_is_fused_behind_a_matrix_product_along_its_columns() -> None:
    b = Builder()
    x = b.input(3, 20)
    y = b.node("MatMul", x, b.const(np.round(values(20, 37)) * np.float32(0.07)), transpose_a=0, transpose_b=0)
    y = quantize(b, y, -0.5 - np.abs(values(37, seed=1)), np.full(37, 1.5, np.float32), levels=11)
    b.output(y)
    assert "FakeQuantize" not in kinds(b)
    compare(b, [np.round(values(3, 20, seed=2)).astype(np.float32)], atol=1e-4)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize(("low", "width", "levels"), [(0.5, -1.0, 256), (0.5, 0.0, 256), (-1.0, 2.0, 65536)])
def test_quantization_stays_where_factors_do_not_fit(low: float, width: float, levels: int) -> None:
    b = Builder()
    shape = (1, 16, 6, 6)
    x = b.input(*shape)
    y = b.conv(x, np.eye(16, dtype=np.float32).reshape(1, 16, 16, 1, 1))
    one = np.full((1, 1, 1, 1), 1.0, np.float32)
    b.output(quantize(b, y, low * one, width * one, levels))
    assert kinds(b).count("FakeQuantize") == 1
    compare(b, [values(*shape)], atol=1e-3 if levels > 256 else 1e-5)


@pytest.mark.usefixtures("isa")
def test_an_addend_that_is_the_first_operand_too_is_not_overwritten() -> None:
    b = Builder()
    shape = (1, 8, 20, 20)
    x = b.unary(b.input(*shape), "abs")
    y = b.binary(b.binary(x, b.const(per_channel(shape, 1)), "mul"), x, "add")
    b.output(b.unary(y, "tanh"))
    compare(b, [values(*shape, seed=2)])


# Channels in and out, size, kernel, stride, groups: 1x1, many channels in several passes, Winograd, depthwise, first layer.
CONVOLUTIONS = [(20, 23, 9, 1, 1, 1), (160, 70, 11, 3, 2, 1), (40, 37, 18, 3, 1, 1), (21, 21, 13, 3, 1, 21), (3, 19, 20, 3, 2, 1)]


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("case", CONVOLUTIONS, ids=str)
@pytest.mark.parametrize("limit", ["relu", "clamp", "leaky", "none"])
def test_sum_and_limits_of_a_convolution(case: tuple[int, ...], limit: str) -> None:
    c, o, size, kernel, stride, groups = case
    b = Builder()
    x = b.input(2, c, size, size)
    w = values(groups, o // groups, c // groups, kernel, kernel, seed=1) * np.float32(c**-0.5)
    pads = (kernel // 2,) * 2
    y = b.node("Conv", x, b.const(w), b.const(values(o, seed=2)), strides=(stride,) * 2, dilations=(1, 1), pads_begin=pads, pads_end=pads)
    other = b.input(*b.program.tensors[y].type.shape)
    y = b.binary(other, y, "add")
    if limit == "clamp":
        y = b.unary(y, "clamp", alpha=0.25, beta=1.5)
    elif limit != "none":
        y = b.unary(y, "relu", alpha=0.5 if limit == "leaky" else 0.0)
    y = b.binary(y, b.const(values(1, o, 1, 1, seed=3)), "mul")
    b.output(b.node("Reduce", y, op="sum", axes=(1,), keep_dims=1), y)
    inputs = [values(2, c, size, size, seed=4), values(*b.program.tensors[other].type.shape, seed=5)]
    compare(b, inputs, rtol=1e-4, atol=1e-4)
