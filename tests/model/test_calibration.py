# SPDX-License-Identifier: Apache-2.0
"""Legacy networks with statistics: what is quantised, and what that gives."""

from __future__ import annotations

import numpy as np
import pytest

from ie_ctypes.model.builder import NetworkBuilder
from ie_ctypes.model.graph import Graph
from ie_ctypes.model.network import Network


@pytest.fixture(autouse=True)
def asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IE_CTYPES_INT8", "YES")


def network(level: str = "I8", low: float = -2.0, statistics: bool = True) -> Graph:
    rng = np.random.default_rng(1)
    net = NetworkBuilder.legacy(version=6)
    x = net.input("data", (1, 3, 4, 4))
    w = rng.standard_normal(2 * 3).astype(np.float32)
    params = {"output": 2, "kernel": "1,1", "strides": "1,1", "pads_begin": "0,0", "pads_end": "0,0", "dilations": "1,1", "group": 1}
    for name in ("first", "second"):  # both read the same data
        net.layer(
            "Convolution", name, [x], [(1, 2, 4, 4)], params={**params, "quantization_level": level}, blobs={"weights": w, "biases": w[:2]}
        )
    graph = net.graph()
    if statistics:
        graph.statistics = {"data": ((low, 0.0, low / 2), (1.0, 1.5, 0.5))}
    return graph


def kinds(graph: Graph) -> list[str]:
    return [node.kind for node in Network(graph).lower().nodes]


def test_data_with_statistics_are_quantised_once_for_all_readers() -> None:
    assert kinds(network()) == ["FakeQuantize", "Conv", "Conv"]


@pytest.mark.parametrize(("low", "limits", "levels"), [(-2.0, (-2.0, 2.0), 255), (0.0, (0.0, 1.5), 256)])
def test_range_and_levels(low: float, limits: tuple[float, float], levels: int) -> None:
    program = Network(network(low=low)).lower()
    quantize = program.nodes[0]
    assert quantize.attrs["levels"] == levels
    given = [program.tensors[i].data for i in quantize.inputs[1:]]
    assert [float(v) for v in given if v is not None] == [*limits, *limits]


def test_weights_are_whole_multiples_of_a_step_for_each_output_channel() -> None:
    program = Network(network()).lower()
    weights = program.tensors[program.nodes[1].inputs[1]].data
    assert weights is not None
    plain = Network(network(statistics=False)).lower()
    exact = plain.tensors[plain.nodes[0].inputs[1]].data
    assert exact is not None
    for row, original in zip(weights.reshape(2, 3), exact.reshape(2, 3), strict=True):
        step = np.abs(original).max() / 127
        np.testing.assert_allclose(row / step, np.rint(original / step), atol=1e-4)


@pytest.mark.parametrize("graph", [network(level="FP32"), network(statistics=False)], ids=["level", "no statistics"])
def test_what_is_not_calibrated_stays(graph: Graph) -> None:
    assert kinds(graph) == ["Conv", "Conv"]


@pytest.mark.parametrize("value", [None, "NO"])
def test_fp32_unless_asked_for(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.delenv("IE_CTYPES_INT8")
    if value:
        monkeypatch.setenv("IE_CTYPES_INT8", value)
    assert kinds(network()) == ["Conv", "Conv"]
