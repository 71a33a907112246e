# SPDX-License-Identifier: Apache-2.0
"""Quantised programs whose steps are powers of two and whose sums stay below 2**24: the float32 references are exact too."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from cpu_programs import Builder, infer, load, reference

STEP = 2.0**-4


def fake_quantize(b: Builder, x: int, zero: float, step: float | np.ndarray = STEP, levels: int = 256) -> int:
    """``levels`` steps, of which number ``zero`` is 0."""
    low = np.asarray(-zero * np.asarray(step), np.float32)
    high = np.asarray((levels - 1 - zero) * np.asarray(step), np.float32)
    return b.node("FakeQuantize", x, b.const(low), b.const(high), b.const(low), b.const(high), levels=levels)


def integer_weights(rng: np.random.Generator, shape: Sequence[int], most: int = 127) -> np.ndarray:
    """[G, O/G, C/G, k...]: whole numbers up to ``most``, each output channel times a power of two of its own."""
    w = rng.integers(-most, most + 1, shape).astype(np.float32)
    return w * np.float32(2.0) ** rng.integers(-6, -3, (*shape[:2], *(1,) * (len(shape) - 2))).astype(np.float32)


def values(rng: np.random.Generator, shape: Sequence[int], zero: int = 128) -> np.ndarray:
    """All of the grid and some more, halves of steps among them."""
    return ((rng.integers(-20, 2 * 276, shape) / 2 - zero) * STEP).astype(np.float32)


def steps(b: Builder) -> list[str]:
    """Names of the kernels that run, without reorders and instruction sets."""
    names = [
        re.sub("_(scalar|avx2|avx2_vnni|avx512|avx512_vnni|neon|neon_dot)_[A-Z0-9]+$", "", step["primitiveType"])
        for step in load(b.program).exec_graph()
    ]
    return [name for name in names if name != "reorder"]


def exact(b: Builder, inputs: Sequence[np.ndarray]) -> list[str]:
    """One and two threads give what the references give, bit for bit. The kernels that ran."""
    want = reference(b.program, inputs)
    for threads in ("1", "2"):
        executable = load(b.program, CPU_THREADS_NUM=threads)
        for _ in range(2):
            for g, w in zip(infer(executable, b.program, list(inputs)), want, strict=True):
                np.testing.assert_array_equal(g, w)
        executable.close()
    return steps(b)
