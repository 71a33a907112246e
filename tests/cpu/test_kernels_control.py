# SPDX-License-Identifier: Apache-2.0
"""CPU kernels If and Loop where the data decide."""

from __future__ import annotations

import numpy as np
import pytest
from cpu_programs import Builder, load
from kernel_checks import compare, floats

from ie_ctypes.model.program import AttrValue, Program


def product(size: int, weights: np.ndarray) -> Program:
    """x @ weights, and its relu."""
    b = Builder("then")
    y = b.node("MatMul", b.input(size, 64), b.const(weights), transpose_a=0, transpose_b=0)
    return b.output(y, b.unary(y, "relu")).program


def handed_on(size: int, constant: np.ndarray) -> Program:
    """y itself, and a constant."""
    b = Builder("else")
    return b.output(b.input(size, 64), b.const(constant)).program


@pytest.mark.parametrize("size", [3, 300])
@pytest.mark.parametrize("cond", [True, False])
def test_one_branch_runs(isa: str, size: int, cond: bool) -> None:
    rng = np.random.default_rng(1)
    b = Builder()
    inputs = [b.input(1, dtype="bool"), b.input(size, 64), b.input(size, 64)]
    outputs = b.nodes(
        "If",
        *inputs,
        then_body=product(size, floats(rng, 64, 64)),
        else_body=handed_on(size, floats(rng, size, 64)),
        then_inputs=(1,),
        else_inputs=(2,),
    )
    compare(b.output(*outputs), [np.array([cond]), floats(rng, size, 64), floats(rng, size, 64)], rtol=1e-4, atol=1e-4)


def test_if_inside_if(isa: str) -> None:
    inner = Builder("inner")
    cond, x = inner.input(dtype="bool"), inner.input(4)
    one, two = Builder("one"), Builder("two")
    one.output(one.unary(one.input(4), "neg"))
    two.output(two.unary(two.input(4), "exp"))
    inner.output(*inner.nodes("If", cond, x, then_body=one.program, else_body=two.program, then_inputs=(1,), else_inputs=(1,)))
    last = Builder("last")
    last.output(last.unary(last.input(4), "abs"))
    for first in (True, False):
        for second in (True, False):
            b = Builder()
            tensors = [b.input(dtype="bool"), b.input(dtype="bool"), b.input(4)]
            y = b.nodes("If", *tensors, then_body=inner.program, else_body=last.program, then_inputs=(1, 2), else_inputs=(2,))
            compare(b.output(*y), [np.array(first), np.array(second), floats(np.random.default_rng(2), 4)])


def test_a_branch_that_cannot_run_here_is_refused() -> None:
    b, body = Builder(), Builder("body")
    body.output(body.unary(body.input(4), "neg"))
    y = b.node("If", b.input(dtype="bool"), b.input(4), then_body=body.program, else_body=body.program, then_inputs=(1,), else_inputs=(1,))
    body.program.nodes[0].attrs = {"op": "unheard of", "alpha": 0.0, "beta": 0.0, "gamma": 0.0}
    with pytest.raises(RuntimeError):
        load(b.output(y).program)


def doubling(size: int, limit: float) -> Program:
    """state -> 2 * state, a row of it, and whether its largest element is below the limit."""
    b = Builder("body")
    b.input(dtype="bool")
    x = b.input(size, 5)
    y = b.binary(x, x, "add")
    top = b.node("Reduce", y, op="max", axes=(0, 1), keep_dims=0)
    return b.output(y, b.node("Reshape", y, shape=(1, size, 5)), b.binary(top, b.const(np.float32(limit)), "less")).program


@pytest.mark.parametrize("size", [2, 9000])
@pytest.mark.parametrize(("going", "trips", "limit"), [(True, 9, 50.0), (True, 3, 50.0), (True, 9, 0.0), (False, 9, 50.0), (True, 0, 50.0)])
def test_conditions_end_a_loop(isa: str, size: int, going: bool, trips: int, limit: float) -> None:
    b = Builder()
    attrs: dict[str, AttrValue] = {f"input_{n}": v for n, v in (("kind", (0, 2)), ("axis", (-1, -1)), ("start", (0, 0)))}
    attrs |= {"input_stride": (1, 1), "input_part": (1, 1), "carried_from": (-1, 0), "output_from": (0, 1), "output_axis": (-1, 0)}
    attrs |= {"output_start": (0, 0), "output_stride": (1, 1), "output_part": (1, 1), "condition_input": 0, "condition_output": 2}
    outputs = b.nodes("Loop", b.input(dtype="bool"), b.input(size, 5), body=doubling(size, limit), trip_count=trips, **attrs)
    x = np.random.default_rng(3).uniform(0.5, 1.0, (size, 5)).astype(np.float32)
    x[0, 0] = 1
    compare(b.output(*outputs), [np.array(going), x])
