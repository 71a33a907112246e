# SPDX-License-Identifier: Apache-2.0
"""What ie_ctypes is told of this package: a layer type in C, whose library is opened when CPU is first used, and one in Python."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import numpy as np

from ie_ctypes.plugins import Extension, Kernel, hookimpl


def _mirror(params: Any, x: np.ndarray) -> np.ndarray:
    """The input backwards along an axis."""
    return np.flip(x, params.int("axis", -1))


MIRROR = Kernel(type="Mirror", function=_mirror, shape=lambda params, x: x.shape)


@hookimpl
def ie_ctypes_extensions() -> Iterator[Extension]:
    """Thermometer."""
    yield Extension(name="thermometer", device="CPU", library=lambda: str(files("thermometer_ie") / "libiec_thermometer.so"))


@hookimpl
def ie_ctypes_kernels(device: str) -> Iterator[Kernel]:
    """Mirror, on whichever device asks for kernels."""
    if device == MIRROR.device:
        yield MIRROR
