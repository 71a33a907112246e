# SPDX-License-Identifier: Apache-2.0
"""CPU kernel Loop."""

from __future__ import annotations

import numpy as np
import pytest
from cpu_programs import Builder
from kernel_checks import compare, floats

from ie_ctypes.model.program import AttrValue, Program


def accumulate(part: int, size: int) -> Program:
    """state + mean of the slice along axis 1, and the slice doubled."""
    b = Builder("body")
    state, piece, scale = b.input(2, 1, size), b.input(2, part, size), b.input(1)
    total = b.binary(state, b.node("Reduce", piece, op="mean", axes=(1,), keep_dims=1), "add")
    return b.output(b.binary(total, scale, "mul"), b.binary(piece, piece, "add")).program


def rows(prefix: str, **columns: tuple[int, ...]) -> dict[str, AttrValue]:
    return {f"{prefix}_{name}": values for name, values in columns.items()}


@pytest.mark.parametrize(("start", "stride", "part"), [(0, 1, 1), (5, -1, 1), (0, 2, 2), (4, -2, 2)])
def test_slices_state_and_pieces(isa: str, start: int, stride: int, part: int) -> None:
    trips = 6 // abs(stride)
    b = Builder()
    tensors = [b.input(2, 1, 5), b.input(2, 6, 5), b.input(1)]
    outputs = b.nodes(
        "Loop",
        *tensors,
        body=accumulate(part, 5),
        trip_count=trips,
        carried_from=(0, -1, -1),
        **rows("input", kind=(2, 1, 0), axis=(-1, 1, -1), start=(0, start, 0), stride=(1, stride, 1), part=(1, part, 1)),
        **rows("output", **{"from": (0, 1, 0)}, axis=(-1, 1, 1), start=(0, start, 0), stride=(1, stride, 1), part=(1, part, 1)),
    )
    rng = np.random.default_rng(1)
    compare(b.output(*outputs), [floats(rng, 2, 1, 5), floats(rng, 2, 6, 5), np.array([0.7], np.float32)])


@pytest.mark.parametrize(("start", "stride", "trips"), [(0, 2, 3), (5, -2, 3), (1, 1, 5), (3, 1, 1)])
def test_places_that_no_iteration_writes_are_zero(isa: str, start: int, stride: int, trips: int) -> None:
    b = Builder()
    outputs = b.nodes(
        "Loop",
        *(b.input(2, 1, 5), b.input(2, 6, 5), b.input(1)),
        body=accumulate(1, 5),
        trip_count=trips,
        carried_from=(0, -1, -1),
        **rows("input", kind=(2, 1, 0), axis=(-1, 1, -1), start=(0, start, 0), stride=(1, stride, 1), part=(1, 1, 1)),
        **rows("output", **{"from": (1,)}, axis=(1,), start=(start,), stride=(stride,), part=(1,)),
    )
    rng = np.random.default_rng(1)
    compare(b.output(*outputs), [floats(rng, 2, 1, 5), floats(rng, 2, 6, 5), np.array([0.7], np.float32)])


def test_large_body_on_two_threads(isa: str) -> None:
    rng = np.random.default_rng(2)
    body = Builder("body")
    h, x = body.input(64, 256), body.input(64, 1, 256)
    w = body.const(floats(rng, 256, 256) / 16)
    y = body.node("MatMul", h, w, transpose_a=0, transpose_b=0)
    y = body.unary(body.binary(y, body.node("Reshape", x, shape=(64, 256)), "add"), "tanh")
    body.output(y, body.node("Reshape", y, shape=(64, 1, 256)))
    b = Builder()
    tensors = [b.input(64, 256), b.input(64, 7, 256)]
    outputs = b.nodes(
        "Loop",
        *tensors,
        body=body.program,
        trip_count=7,
        carried_from=(0, -1),
        **rows("input", kind=(2, 1), axis=(-1, 1), start=(0, 0), stride=(1, 1), part=(1, 1)),
        **rows("output", **{"from": (0, 1)}, axis=(-1, 1), start=(0, 0), stride=(1, 1), part=(1, 1)),
    )
    compare(b.output(*outputs), [floats(rng, 64, 256), floats(rng, 64, 7, 256)], rtol=1e-4, atol=1e-4)
