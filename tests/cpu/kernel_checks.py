# SPDX-License-Identifier: Apache-2.0
"""One node on the CPU device against its numpy reference, for every instruction set, one and two threads, plain and blocked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from cpu_programs import ISAS, Builder, has_isa, infer, load, reference

from ie_ctypes.model.program import AttrValue, Program

BLOCKED = "nChw16c"


@pytest.fixture(params=ISAS)
def isa(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each instruction set of this machine in turn, chosen for the test."""
    name: str = request.param
    if not has_isa(name):
        pytest.skip(f"this machine has no {name}")
    monkeypatch.setenv("IE_CTYPES_ISA", name)
    return name


def blocked(b: Builder, x: int) -> int:
    """The same values (times 1), computed by a convolution that leaves them in channel blocks.

    They are also an output of the program, so that nothing behind is fused into the convolution.
    """
    channels = b.program.tensors[x].type.shape[1]
    rank = len(b.program.tensors[x].type.shape) - 2
    y = b.conv(x, np.eye(channels, dtype=np.float32).reshape(1, channels, channels, *(1,) * rank))
    b.output(y)
    return y


def compare(
    b: Builder,
    inputs: Sequence[np.ndarray],
    rtol: float = 1e-5,
    atol: float = 1e-6,
    layout: str = "",
) -> list[np.ndarray]:
    """CPU with one and with two threads against the references; the outputs. ``layout``: what the last kernel must run in."""
    program = b.program
    want = reference(program, inputs)
    got: list[np.ndarray] = []
    for threads in ("1", "2"):
        executable = load(program, CPU_THREADS_NUM=threads)
        for _ in range(2):
            got = infer(executable, program, [np.asarray(x, order="C") for x in inputs])
            for g, w in zip(got, want, strict=True):
                assert (g.shape, g.dtype) == (w.shape, w.dtype)
                np.testing.assert_allclose(g, w, rtol=rtol, atol=atol)
        if layout:
            steps = [s for s in executable.exec_graph() if s["type"] == program.nodes[-1].kind]
            assert layout in steps[-1]["outputLayouts"]
        executable.close()
    return got


def node(
    kind: str, inputs: Sequence[np.ndarray | None], *, rtol: float = 1e-5, atol: float = 1e-6, const: Sequence[int] = (), **attrs: AttrValue
) -> list[np.ndarray]:
    """Compare one node of plain tensors; ``const``: inputs that are constants of the program."""
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
    return compare(b.output(*b.nodes(kind, *tensors, **attrs)), given, rtol, atol)


def floats(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


def integers(rng: np.random.Generator, dtype: str, *shape: int, low: int = -9, high: int = 9) -> np.ndarray:
    return rng.integers(0 if dtype in ("uint8", "uint16") else low, high, shape).astype(dtype)


def close_to_exact(program: Program, x: np.ndarray, exact: np.ndarray, bound: float, primitive: str) -> None:
    """The one output lies within *bound* of *exact*, computed by *primitive*, whatever the number of threads."""
    for threads in ("1", "2", "3"):
        executable = load(program, CPU_THREADS_NUM=threads)
        assert primitive in str(executable.exec_graph())
        np.testing.assert_allclose(infer(executable, program, [x])[0], exact, rtol=0, atol=bound)
        executable.close()
