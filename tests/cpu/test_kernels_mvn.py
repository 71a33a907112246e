# SPDX-License-Identifier: Apache-2.0
"""CPU kernels MVN and NormalizeL2."""

from __future__ import annotations

import numpy as np
import pytest
from cpu_programs import Builder, load
from kernel_checks import BLOCKED, blocked, compare, floats, node

AXES = [(2, 3), (1, 2, 3), (1,), (3,), (0, 2), (0, 1, 2, 3)]


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("variance", [0, 1])
@pytest.mark.parametrize("mode", ["inside", "outside"])
def test_mvn(isa: str, axes: tuple[int, ...], variance: int, mode: str) -> None:
    x = 2 * floats(np.random.default_rng(1), 3, 20, 6, 37) + 1
    node("MVN", [x], rtol=2e-5, atol=2e-6, axes=axes, normalize_variance=variance, eps=1e-3, eps_mode=mode)


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("mode", ["add", "max"])
def test_normalize_l2(isa: str, axes: tuple[int, ...], mode: str) -> None:
    node("NormalizeL2", [floats(np.random.default_rng(1), 3, 20, 6, 37)], axes=axes, eps=1e-2, eps_mode=mode)


@pytest.mark.parametrize("channels", [16, 20])
@pytest.mark.parametrize("axes", [(2, 3), (1, 2, 3), (1,)])
def test_blocked(isa: str, channels: int, axes: tuple[int, ...]) -> None:
    x = floats(np.random.default_rng(1), 2, channels, 9, 5)
    whole = channels == 16 or 1 not in axes
    b = Builder()
    y = b.node("MVN", blocked(b, b.input(*x.shape)), axes=axes, normalize_variance=1, eps=0.0, eps_mode="inside")
    compare(b.output(y), [x], rtol=2e-5, atol=2e-6, layout=BLOCKED if whole else "")
    b = Builder()
    y = b.node("NormalizeL2", blocked(b, b.input(*x.shape)), axes=axes, eps=0.0, eps_mode="max")
    compare(b.output(y), [x], layout=BLOCKED)


@pytest.mark.parametrize("shape", [(3, 5, 24), (2, 37), (2, 3, 4, 130), (4, 6, 1)])
def test_layer_normalisation_is_one_step(isa: str, shape: tuple[int, ...]) -> None:
    """Scale and shift along the normalised axis are fused; other scales are not taken for them."""
    rng = np.random.default_rng(shape[-1])
    axis = len(shape) - 1
    b = Builder()
    y = b.node("MVN", b.input(*shape), axes=(axis,), normalize_variance=1, eps=1e-5, eps_mode="inside")
    y = b.binary(y, b.const(floats(rng, *(1,) * axis, shape[-1])), "mul")
    y = b.binary(y, b.const(floats(rng, shape[-1])), "add")
    compare(b.output(y), [floats(rng, *shape)], rtol=1e-4, atol=1e-5)
    steps = [s["type"] for s in load(b.program).exec_graph()]
    assert steps.count("Binary") == (0 if shape[-1] > 1 else 2)
    if axis < 2:
        return
    b = Builder()
    y = b.node("MVN", b.input(*shape), axes=(axis,), normalize_variance=1, eps=1e-5, eps_mode="inside")
    y = b.binary(y, b.const(floats(rng, 1, shape[1], *(1,) * (axis - 1))), "mul")
    compare(b.output(y), [floats(rng, *shape)], rtol=1e-4, atol=1e-5)
