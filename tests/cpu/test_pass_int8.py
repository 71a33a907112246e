# SPDX-License-Identifier: Apache-2.0
"""What is computed on integers and what is not."""

from __future__ import annotations

import numpy as np
import pytest
from cpu_programs import Builder, check
from int8_checks import exact, fake_quantize, integer_weights, steps, values


def network(zero: float = 0, step: float = 0.0625, levels: int = 256, noise: float = 0, channels: int = 8, pad: int = 1) -> Builder:
    rng = np.random.default_rng(1)
    b = Builder()
    x = b.input(1, channels, 6, 6)
    w = integer_weights(rng, (1, 5, channels, 3, 3))
    w += noise * rng.standard_normal(w.shape).astype(np.float32)
    return b.output(b.conv(fake_quantize(b, x, zero, step, levels), w, pad=pad))


def test_bytes_reach_the_convolution() -> None:
    assert steps(network()) == ["int8_quantize", "int8_conv"]


def test_fewer_levels_and_steps_that_are_no_powers_of_two_too() -> None:
    b = network(levels=16, step=0.0123)
    assert "int8_conv" in steps(b)
    check(b, rtol=1e-4, atol=1e-4)


def test_the_switch_keeps_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IE_CTYPES_INT8", "NO")
    assert "int8_conv" not in steps(network())


@pytest.mark.parametrize(("levels", "noise", "zero"), [(257, 0.0, 0.0), (256, 0.01, 0.0), (256, 0.0, 0.5)])
def test_what_bytes_cannot_hold_stays_in_float32(levels: int, noise: float, zero: float) -> None:
    b = network(levels=levels, noise=noise, zero=zero)
    assert not any(step.startswith("int8") for step in steps(b))
    check(b, rtol=1e-4, atol=1e-4)


def test_a_zero_between_two_levels_needs_no_padding() -> None:
    b = network(zero=0.5, pad=0)
    assert "int8_conv" in steps(b)
    check(b, rtol=1e-4, atol=1e-4)


def test_bytes_pass_through_pool_split_concat_and_reshape() -> None:
    rng = np.random.default_rng(2)
    b = Builder()
    x = fake_quantize(b, b.unary(b.input(1, 40, 8, 8), "abs"), 0)
    y = b.node("MaxPool", x, kernel=(2, 2), strides=(2, 2), dilations=(1, 1), pads_begin=(0, 0), pads_end=(0, 0), ceil=0)
    first, second = b.nodes("Split", y, axis=1, lengths=(24, 16))
    y = b.node("Reshape", b.node("Concat", second, first, axis=1), shape=(1, 40, 2, 8))
    b.output(b.conv(y, integer_weights(rng, (1, 3, 40, 1, 1))))
    kernels = exact(b, [values(rng, (1, 40, 8, 8))])
    assert kernels.count("int8_conv") == kernels.count("int8_pool") == kernels.count("int8_quantize") == 1
    assert "int8_dequantize" not in kernels


def test_other_readers_get_numbers() -> None:
    rng = np.random.default_rng(3)
    b = Builder()
    x = fake_quantize(b, b.input(2, 20, 5, 5), 128)
    b.output(b.conv(x, integer_weights(rng, (1, 3, 20, 1, 1))), b.unary(x, "sign"), x)
    kernels = exact(b, [values(rng, (2, 20, 5, 5))])
    assert kernels.count("int8_dequantize") == 1


def test_parts_of_different_grids_are_joined_as_numbers() -> None:
    rng = np.random.default_rng(4)
    b = Builder()
    parts = [fake_quantize(b, b.input(1, 16, 4, 4), 0, step) for step in (0.5, 0.25)]
    b.output(b.conv(b.node("Concat", *parts, axis=1), integer_weights(rng, (1, 3, 32, 1, 1))))
    assert not any(step.startswith("int8") for step in steps(b))
    exact(b, [values(rng, (1, 16, 4, 4)), values(rng, (1, 16, 4, 4))])
