# SPDX-License-Identifier: Apache-2.0
"""The roofline of a layer, and what the chart shows."""

from __future__ import annotations

import pathlib

import pytest

pytest.importorskip("onnx")

from benchmarks.compare.chart import bars, draw
from benchmarks.compare.layers import Roofline, Row, layer_table, operations, summary, work
from benchmarks.compare.rounds import Case, Result
from benchmarks.compare.stack import Stack
from ie_ctypes.model.graph import Graph
from ie_ctypes.model.network import Network

ROOFLINE = Roofline(1e11, ((1 << 20, 1e11), (1 << 24, 1e10)))


def graph() -> Graph:
    s = Stack("net")
    x = s.conv(s.input("data", (2, 4, 8, 8)), 6, 3, 2, groups=2)
    return s.graph(s.dense(s.reshape(x, 2, 96), 5), s.lstm(s.input("steps", (1, 7, 12)), 8))


def test_operations_by_kind() -> None:
    program = Network(graph()).lower()
    found = {node.kind: operations(program, node) for node in program.nodes if node.kind in ("Conv", "MatMul", "Recurrent")}
    assert found == {
        "Conv": 2 * (2 * 6 * 4 * 4) * 2 * 9,  # outputs, channels of a group, taps
        "MatMul": 2 * (2 * 5) * 96,
        "Recurrent": 2 * 7 * 4 * 8 * (12 + 8),  # steps, gates, units, input and state
    }


def test_work_counts_bytes_of_activations_and_constants() -> None:
    convolution = next(row for layer, row in work(Network(graph()).lower()).items() if layer.startswith("groupconvolution"))
    assert convolution[1:] == (4 * (2 * 4 * 8 * 8 + 2 * 6 * 4 * 4), 4 * (6 * 2 * 9))


def test_roofline_is_the_slower_of_arithmetic_and_memory() -> None:
    assert ROOFLINE.least(1e9, 0, 0, 0) == pytest.approx(1e-2)
    assert ROOFLINE.least(0, 1 << 20, 0, 0) == pytest.approx((1 << 20) / 1e11)
    assert ROOFLINE.least(0, 0, 1 << 20, 1 << 24) == pytest.approx((1 << 20) / 1e10)
    assert ROOFLINE.bandwidth(1 << 40) == 1e10


def test_tables_of_layers() -> None:
    rows = [Row("a", "direct", 2e-4, 1e-4, 2e7), Row("b", "direct", 1e-4, 5e-5, 1e7), Row("c", "copy", 1e-4, 1e-5, 0)]
    lines = [[c.strip() for c in line.split("|")[1:-1]] for line in summary(rows).splitlines()[2:]]
    assert lines == [
        ["direct", "2", "300", "100.0", "150", "50%", "75%"],
        ["copy", "1", "100", "0.0", "10", "10%", "25%"],
        ["all", "3", "400", "75.0", "160", "40%", "100%"],
    ]
    assert layer_table(rows).splitlines()[2].split("|")[1].strip() == "a"


def results() -> list[Result]:
    return [
        Result(Case("a"), {"ie_ctypes": [1.0, 1.0], "openvino": [2.0, 2.0]}),
        Result(Case("b"), {"ie_ctypes": [2.0, 2.0], "openvino": [1.0, 1.0]}),
        Result(Case("c"), {"ie_ctypes": [1.0]}),
    ]


def test_bars_end_with_the_geometric_mean() -> None:
    assert bars(results()) == {"FP32, batch 1, 1 thread": {"a": (0.5, 0.5, 0.5), "b": (2.0, 2.0, 2.0), "geometric mean": (1.0, 1.0, 1.0)}}


def test_chart_is_drawn(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("matplotlib")
    draw(results(), tmp_path / "chart.png", "caption")
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")
