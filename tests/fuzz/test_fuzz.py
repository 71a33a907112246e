# SPDX-License-Identifier: Apache-2.0
"""A short run of the fuzzer, and the cases that once failed."""

from __future__ import annotations

import fuzz
import pytest
from cpu_programs import Builder, load

from ie_ctypes.errors import IEError

FILES = (1634, 4094, 4375, 4487, 4708, 4807, 4840, 4960, 5104, 5137)  # output ports of other shapes than their layers give
GRAPHS = (4018, 4759, 5019)  # orders of Transpose that are no permutations


@pytest.mark.parametrize("case", [*(f"file:{s}" for s in FILES), *(f"graph:{s}" for s in GRAPHS)])
def test_cases_that_once_failed(case):
    kind, seed = case.split(":")
    assert fuzz.CASES[kind](int(seed))


@pytest.mark.parametrize("kind", fuzz.CASES)
def test_a_batch_of_damage(kind):
    outcomes = [fuzz.CASES[kind](seed) for seed in range(60)]
    assert {"ran", "ModelError" if kind == "file" else "ParameterMismatchError"} <= set(outcomes)


@pytest.mark.parametrize("order", [(0, 9), (1, 1), (-1, 0)])
def test_orders_that_are_no_permutations_are_refused(order):
    b = Builder()
    y = b.node("Transpose", b.input(2, 3), order=(1, 0))
    program = b.output(b.node("Transpose", y, order=(1, 0))).program
    for node in program.nodes:
        node.attrs = {"order": order}
    with pytest.raises(IEError, match="transpose"):
        load(program)


def test_an_alias_of_another_size_is_refused():
    b = Builder()
    program = b.output(b.node("Reshape", b.input(2, 3), shape=(6,))).program
    program.tensors[1].type = program.tensors[1].type.__class__("float32", (60,))
    with pytest.raises(IEError, match="reshape"):
        load(program)


def test_a_batch_in_a_child_names_the_case_that_dies(monkeypatch):
    monkeypatch.setattr(fuzz, "SECONDS", 60)
    assert fuzz.batch("graph", 0, 3) == ""
    assert fuzz.batch("nothing", 0, 3).startswith("nothing:0: exit status 1")
