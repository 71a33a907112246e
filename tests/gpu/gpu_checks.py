# SPDX-License-Identifier: Apache-2.0
"""Programs on the GPU device against the numpy references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from cpu_programs import Builder, infer, reference

from ie_ctypes.devices.gpu import GpuDevice
from ie_ctypes.model.program import AttrValue


def compare(
    device: GpuDevice, b: Builder, inputs: Sequence[np.ndarray], rtol: float = 2e-5, atol: float = 2e-6, **config: str
) -> list[dict[str, str]]:
    """Every output of the program on both devices, twice; the executed steps."""
    program = b.program
    want = reference(program, inputs)
    executable = device.compile(program, config)
    for _ in range(2):
        got = infer(executable, program, [np.asarray(x, order="C") for x in inputs])
        for g, w in zip(got, want, strict=True):
            assert (g.shape, g.dtype) == (w.shape, w.dtype)
            np.testing.assert_allclose(g, w, rtol=rtol, atol=atol)
    steps = executable.exec_graph()
    executable.close()
    return steps


def node(
    device: GpuDevice,
    kind: str,
    inputs: Sequence[np.ndarray | None],
    *,
    rtol: float = 2e-5,
    atol: float = 2e-6,
    const: Sequence[int] = (),
    config: Mapping[str, str] | None = None,
    **attrs: AttrValue,
) -> list[dict[str, str]]:
    """Compare one node that the device must support; ``const``: inputs that are constants of the program."""
    b = Builder()
    given, tensors = [], []
    for i, x in enumerate(inputs):
        if x is None:
            tensors.append(-1)
        elif i in const:
            tensors.append(b.const(x))
        else:
            tensors.append(b.input(*x.shape, dtype=x.dtype.name))
            given.append(x)
    b.output(*b.nodes(kind, *tensors, **attrs))
    assert device.query(b.program) == [True]
    return compare(device, b, given, rtol, atol, **(config or {}))


def floats(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def integers(dtype: str, *shape: int, low: int = -9, high: int = 9, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0 if dtype.startswith("u") else low, high, shape).astype(dtype)
