# SPDX-License-Identifier: Apache-2.0
"""A short run of the fuzzer, and the cases that once failed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import fuzz
import numpy as np
import pytest
import seeds
from cpu_programs import Builder, infer, load
from test_random_programs import RandomProgram

from ie_ctypes.errors import IEError
from ie_ctypes.runtime.library import library

HERE = Path(__file__).parent

FILES = (1634, 4094, 4375, 4487, 4708, 4807, 4840, 4960, 5104, 5137)  # output ports of other shapes than their layers give
LOST = (9012976, 9017070)  # a body's input that no port of the layer feeds, a Result that somebody reads
GRAPHS = (4018, 4759, 5019)  # orders of Transpose that are no permutations
TYPES = (12003273,)  # an input whose type numpy does not have


@pytest.mark.parametrize("case", [*(f"file:{s}" for s in FILES + LOST), *(f"graph:{s}" for s in GRAPHS + TYPES)])
def test_cases_that_once_failed(case):
    kind, seed = case.split(":")
    assert fuzz.CASES[kind](int(seed))


@pytest.mark.parametrize("kind", fuzz.CASES)
def test_a_batch_of_damage(kind):
    outcomes = [fuzz.CASES[kind](seed) for seed in range(60)]
    assert {"ran", "ParameterMismatchError" if kind == "graph" else "ModelError"} <= set(outcomes)


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


def test_a_unary_result_of_another_shape_is_refused():
    b = Builder()
    program = b.output(b.unary(b.input(1, 16, 3, 3), "relu")).program
    program.tensors[1].type = program.tensors[1].type.__class__("float32", (1, 1, 16, 3, 3))
    with pytest.raises(IEError, match="unary"):
        load(program)


def test_a_tensor_greater_than_the_memory_is_refused_before_anything_is_made_for_it():
    b = Builder()
    program = b.output(b.node("Pad", b.input(2, 3), pads_begin=(0, 0), pads_end=(0, 1 << 39), mode="constant", value=0.0)).program
    with pytest.raises(IEError, match=r"pad0.*a tensor of \d+ bytes, this machine has \d+"):
        load(program)


def test_rows_without_columns_take_no_time_however_many_there_are():
    rows = 1 << 28
    b = Builder()
    y = b.node("MatMul", b.input(rows, 0), b.input(0, 0), transpose_a=0, transpose_b=0)
    executable = load(b.output(y).program)
    (result,) = infer(executable, b.program, [np.empty((rows, 0), np.float32), np.empty((0, 0), np.float32)])
    assert result.shape == (rows, 0)


def test_a_batch_in_a_child_names_the_case_that_dies(monkeypatch):
    monkeypatch.setattr(fuzz, "SECONDS", 60)
    assert fuzz.batch("graph", 0, 3) == ""
    assert fuzz.batch("nothing", 0, 3).startswith("nothing:0: exit status 1")


@pytest.fixture(scope="module")
def replay(compiler, tmp_path_factory):
    """Run the cases of folders through the graph fuzzer's target, in a process of its own; what became of each, by file name."""
    program = tmp_path_factory.mktemp("fuzz") / "replay"
    include, lib = HERE.parents[1] / "csrc" / "include", library()._name
    flags = ["-std=c11", "-D_GNU_SOURCE", "-O1", "-DREPLAY", f"-I{include}", "-Wl,--allow-shlib-undefined"]
    subprocess.run([compiler, *flags, HERE / "graph_target.c", lib, f"-Wl,-rpath,{Path(lib).parent}", "-o", program], check=True)

    def run(*folders):
        result = subprocess.run([program, *folders], capture_output=True, text=True, timeout=120, check=False)
        assert result.returncode == 0, f"{result.stdout[-300:]}\n{result.stderr[-3000:]}"
        return {Path(path).name: outcome for path, _, outcome in (line.rpartition(" ") for line in result.stdout.splitlines())}

    return run


def test_cases_that_the_graph_fuzzer_found(replay):
    assert set(replay(HERE / "corpus")) == {path.name for path in (HERE / "corpus").iterdir()}


def test_programs_become_cases_that_run(replay, tmp_path):
    for seed in range(20):
        random = RandomProgram(seed)
        for _ in range(4):
            random.grow()
        (tmp_path / str(seed)).write_bytes(seeds.case(random.finish().program, flags=seed))
    assert set(replay(tmp_path).values()) <= {"ran", "large"}
    assert list(replay(tmp_path).values()).count("ran") > 10
