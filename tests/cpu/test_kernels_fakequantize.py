# SPDX-License-Identifier: Apache-2.0
"""CPU kernel FakeQuantize."""

from __future__ import annotations

import numpy as np
import pytest
from cpu_programs import Builder
from kernel_checks import BLOCKED, blocked, compare, floats, node


def limits(rng: np.random.Generator, *shape: int) -> list[np.ndarray]:
    low, high = -np.abs(floats(rng, *shape)) - 1, np.abs(floats(rng, *shape)) + 1
    return [low, high, low * np.float32(1.5), high * np.float32(0.5)]


@pytest.mark.parametrize("levels", [2, 16, 255, 256, 65536])
@pytest.mark.parametrize("shape", [(), (1, 5, 1, 1), (5, 1, 1), (1, 1, 1, 9)])
def test_levels_and_limit_shapes(isa: str, levels: int, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(2)
    x = 2 * floats(rng, 3, 5, 4, 9)
    node("FakeQuantize", [x, *limits(rng, *shape)], const=(1, 2, 3, 4), levels=levels)
    node("FakeQuantize", [x, *limits(rng, *shape)], levels=levels)


def test_halves_round_to_even(isa: str) -> None:
    x = np.arange(0, 5, 0.5, dtype=np.float32)
    ends = [np.array(v, np.float32) for v in (0, 4, 0, 4)]
    assert node("FakeQuantize", [x, *ends], const=(1, 2, 3, 4), levels=5)[0].tolist() == [0, 0, 1, 2, 2, 2, 3, 4, 4, 4]


def test_equal_limits_choose_by_the_threshold(isa: str) -> None:
    ends = [np.array(v, np.float32) for v in (1, 1, -1, 1)]
    x = np.array([0.5, 1.0, 1.5], np.float32)
    assert node("FakeQuantize", [x, *ends], const=(1, 2, 3, 4), levels=2)[0].tolist() == [-1, -1, 1]


@pytest.mark.parametrize("channels", [16, 21])
@pytest.mark.parametrize("per_channel", [True, False])
def test_blocked(isa: str, channels: int, per_channel: bool) -> None:
    rng = np.random.default_rng(4)
    b = Builder()
    ends = [b.const(v) for v in limits(rng, 1, channels if per_channel else 1, 1, 1)]
    y = b.node("FakeQuantize", blocked(b, b.input(2, channels, 5, 3)), *ends, levels=256)
    compare(b.output(y), [floats(rng, 2, channels, 5, 3)], layout=BLOCKED)
