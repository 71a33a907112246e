# SPDX-License-Identifier: Apache-2.0
"""The arithmetic of the benchmarks: medians, paired ratios, tables, and rounds that do not count."""

from __future__ import annotations

import json
import math
import pathlib
import sys
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")

from benchmarks.compare import peers, rounds
from benchmarks.compare.__main__ import report, stored
from benchmarks.compare.costs import collect, cost_table
from benchmarks.compare.figures import geometric_mean, paired, relative_error, table, to_better
from benchmarks.compare.rounds import Case, Comparison, Result, Runtime, Worker, WorkerError


def test_ratio_is_the_median_of_the_rounds_not_of_the_times() -> None:
    ratio = paired([1.0, 2.0, 30.0], [2.0, 4.0, 50.0])
    assert (ratio.median, ratio.low, ratio.high) == (0.5, 0.5, 0.55)


def test_ratio_to_the_rival_with_the_smaller_median() -> None:
    times = {"ie_ctypes": [1.0, 1.0], "openvino": [4.0, 4.0], "onnxruntime": [2.0, 2.0], "legacy": [0.5, 0.5]}
    better = to_better(times)
    assert better is not None
    assert (better.against, better.median) == ("onnxruntime", 0.5)


def test_no_ratio_without_a_rival() -> None:
    assert to_better({"ie_ctypes": [1.0], "legacy": [1.0]}) is None
    assert to_better({"openvino": [1.0]}) is None


def test_geometric_mean() -> None:
    assert geometric_mean([0.5, 2.0]) == pytest.approx(1.0)
    assert math.isnan(geometric_mean([]))


def test_table_is_aligned_markdown() -> None:
    assert table(["a", "b"], [["long name", "1"], ["x", "22"]]) == (
        "| a         |  b |\n|-----------|---:|\n| long name |  1 |\n| x         | 22 |"
    )


@pytest.mark.parametrize(
    ("result", "expected", "error"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0.0),
        ([1.0, 2.5], [1.0, 2.0], 0.25),
        ([0.5], [0.0], 0.5),
        ([1.0], [1.0, 2.0], math.inf),
        ([math.nan], [1.0], math.inf),
        ([math.inf], [1.0], math.inf),
    ],
)
def test_relative_error(result: list[float], expected: list[float], error: float) -> None:
    assert relative_error(np.array(result), np.array(expected)) == error


def test_report_groups_by_kind_and_marks_wrong_answers() -> None:
    times = {"ie_ctypes": [0.001] * 3, "openvino": [0.002] * 3}
    good = Result(Case("a"), times, errors={"ie_ctypes": 1e-6})
    wrong = Result(Case("b"), times, errors={"ie_ctypes": 0.5}, dropped=2)
    other = Result(Case("a", threads=2), times)
    text = report([good, wrong, other], ["ie_ctypes", "openvino"])
    assert text.count("###") == 2
    row = {line.split("|")[1].strip(): line for line in text.split("###")[1].splitlines() if line.startswith("|")}
    assert "0.50 (0.50-0.50)" in row["a"]
    assert "!" not in row["a"]
    assert "5e-01 !" in row["b"]
    assert "0.500" in row["geometric mean"]


def test_results_are_stored_and_read() -> None:
    result = Result(Case("a", threads=2), {"ie_ctypes": [0.5]}, {"ie_ctypes": {"load": 1.0}}, errors={"ie_ctypes": 0.0}, dropped=3)
    assert stored(json.loads(json.dumps(asdict(result)))) == result


def test_report_shows_a_runtime_that_failed_as_missing() -> None:
    result = Result(Case("a"), {"openvino": [0.002]}, faults={"ie_ctypes": "no such layer"})
    row = report([result], ["ie_ctypes", "openvino"]).splitlines()[4]
    assert [c.strip() for c in row.split("|")[2:6]] == ["-", "2", "-", "-"]


class FakeMachine:
    """Speeds from a list, then full speed."""

    gate = 0.9

    def __init__(self, *speeds: float):
        self._speeds = list(speeds)

    def speed(self, cores: int) -> float:
        return self._speeds.pop(0) if self._speeds else 1.0


class FakeWorker:
    def __init__(self, *answers: Any):
        self._answers = list(answers)

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return {"times": [answer]}

    def __exit__(self, *exc: object) -> None:
        pass


def run(machine: FakeMachine, **workers: FakeWorker) -> Result:
    result = Result(Case("net"))
    Comparison(machine, {}, rounds=2)._rounds(result, dict(workers))  # type: ignore[arg-type]
    return result


def test_turns_beside_a_busy_neighbour_are_done_again() -> None:
    result = run(FakeMachine(1.0, 0.5), ie_ctypes=FakeWorker(9.0, 1.0), openvino=FakeWorker(2.0))
    assert result.dropped == 1
    assert result.times == {"ie_ctypes": [1.0, 1.0], "openvino": [2.0, 2.0]}


def test_a_machine_that_is_always_busy_gives_no_figures() -> None:
    result = run(FakeMachine(*[0.5] * 1000), ie_ctypes=FakeWorker(1.0))
    assert result.times == {}
    assert "too busy" in result.faults["ie_ctypes"]
    assert result.dropped == 2 * rounds.PATIENCE**2


def test_a_runtime_that_dies_is_reported_and_the_others_go_on() -> None:
    result = run(FakeMachine(), ie_ctypes=FakeWorker(1.0), openvino=FakeWorker(2.0, WorkerError("gone")))
    assert result.faults == {"openvino": "gone"}
    assert result.times == {"ie_ctypes": [1.0, 1.0]}


def test_costs_are_collected_round_by_round() -> None:
    values = iter([9.0, 1.0, 2.0, 3.0, 4.0])
    figures, dropped = collect(FakeMachine(1.0, 0.5), ["a", "b"], 2, 1, print, lambda name: {"row": next(values)})  # type: ignore[arg-type]
    assert figures == {"row": {"a": [1.0, 4.0], "b": [2.0, 3.0]}}
    assert dropped == 1


def test_costs_leave_out_a_runtime_that_fails() -> None:
    said: list[str] = []

    def turn(name: str) -> dict[str, float]:
        if name == "b":
            raise WorkerError("gone")
        return {"row": 1.0}

    figures, _ = collect(FakeMachine(), ["a", "b"], 2, 1, said.append, turn)  # type: ignore[arg-type]
    assert figures == {"row": {"a": [1.0, 1.0]}}
    assert said == ["  b failed: gone"]


def test_cost_table_shows_what_is_missing() -> None:
    figures: dict[str, dict[str, list[float]]] = {"infer": {"ie_ctypes": [1e-6, 3e-6], "legacy": [4e-6, 4e-6]}, "other": {}}
    text = cost_table("call", figures, ["ie_ctypes", "legacy"], 1e6, "us", ("legacy",))
    assert [c.strip() for c in text.splitlines()[2].split("|")[1:-1]] == ["infer", "2", "4", "0.50 (0.38-0.62)", "legacy"]
    assert [c.strip() for c in text.splitlines()[3].split("|")[1:-1]] == ["other", "-", "-", "-", "-"]


def test_worker_reports_what_its_runtime_says(tmp_path: pathlib.Path) -> None:
    np.savez(tmp_path / "inputs.npz", data=np.zeros(1, np.float32))
    with Worker(Runtime("ie_ctypes")) as worker, pytest.raises(WorkerError, match=r"none\.xml"):
        worker.ask(
            "load",
            engine="ie_ctypes",
            model=str(tmp_path / "none.xml"),
            threads=1,
            streams=1,
            inputs=str(tmp_path / "inputs.npz"),
            outputs=None,
        )


def test_worker_that_dies_is_an_error_with_its_last_words() -> None:
    with Worker(Runtime("ie_ctypes", folder=pathlib.Path("/"))) as worker, pytest.raises(WorkerError, match=r"No module named 'benchmarks"):
        worker.ask("memory")


def test_missing_peers_are_said_and_left_out() -> None:
    said: list[str] = []
    assert peers.find(["openvino", "legacy"], {"openvino": "/no/such/python", "legacy": sys.executable}, False, said.append) == {}
    assert said[0] == "openvino is left out: no interpreter /no/such/python"
    assert said[1].startswith("legacy is left out: ")
    assert "No module named 'openvino'" in said[1]
