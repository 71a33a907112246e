# SPDX-License-Identifier: Apache-2.0
"""CPU kernel Interpolate."""

from __future__ import annotations

import numpy as np
import pytest
from cpu_programs import Builder
from kernel_checks import BLOCKED, blocked, compare, floats, node

from ie_ctypes.model.ops.interpolate import COORDINATES, MODES, NEAREST

FILTERS = [m for m in MODES if m != "nearest"]
SIZES = [((5, 7), (11, 9)), ((6, 8), (3, 5)), ((4, 5), (8, 10)), ((3, 4), (1, 1)), ((1, 1), (3, 4)), ((5, 6), (5, 6))]


def attrs(sizes: tuple[int, ...], scales: tuple[float, ...], **more: object) -> dict[str, object]:
    base: dict[str, object] = {
        "axes": (2, 3),
        "sizes": sizes,
        "scales": scales,
        "coordinates": "half_pixel",
        "nearest": "round_prefer_floor",
        "antialias": 0,
        "cube_coeff": -0.75,
    }
    return base | more


@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize("mode", FILTERS)
@pytest.mark.parametrize(("size", "target"), SIZES)
def test_filters(isa: str, mode: str, coordinates: str, size: tuple[int, int], target: tuple[int, int]) -> None:
    scales = tuple(t / s for s, t in zip(size, target, strict=True))
    x = floats(np.random.default_rng(1), 2, 3, *size)
    for antialias in (0, 1):
        node("Interpolate", [x], mode=mode, **attrs(target, scales, coordinates=coordinates, antialias=antialias))  # type: ignore[arg-type]


@pytest.mark.parametrize("nearest", NEAREST)
@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize("dtype", ["float32", "uint8", "int64"])
def test_nearest(isa: str, nearest: str, coordinates: str, dtype: str) -> None:
    for size, target in SIZES:
        scales = tuple(t / s for s, t in zip(size, target, strict=True))
        x = np.arange(2 * 3 * size[0] * size[1]).reshape(2, 3, *size).astype(dtype)
        node("Interpolate", [x], rtol=0, atol=0, mode="nearest", **attrs(target, scales, coordinates=coordinates, nearest=nearest))  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", MODES)
def test_given_scales_and_other_axes(isa: str, mode: str) -> None:
    x = floats(np.random.default_rng(1), 2, 3, 6, 7)
    node("Interpolate", [x], mode=mode, **attrs((9, 4), (1.6, 1.3), axes=(2, 1)))  # type: ignore[arg-type]
    node("Interpolate", [x], mode=mode, **attrs((2, 5, 9, 7), (1.0, 1.7, 1.5, 1.0), axes=(0, 1, 2, 3)))  # type: ignore[arg-type]
    node("Interpolate", [floats(np.random.default_rng(2), 1, 2, 3, 4, 5)], mode=mode, **attrs((6, 2, 9), (2.0, 0.5, 1.8), axes=(2, 3, 4)))  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("channels", [16, 19])
def test_blocked(isa: str, mode: str, channels: int) -> None:
    for target in ((10, 14), (3, 4)):
        b = Builder()
        scales = (target[0] / 5, target[1] / 7)
        y = b.node("Interpolate", blocked(b, b.input(2, channels, 5, 7)), mode=mode, **attrs(target, scales))  # type: ignore[arg-type]
        compare(b.output(y), [floats(np.random.default_rng(1), 2, channels, 5, 7)], layout=BLOCKED)
