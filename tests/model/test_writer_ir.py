# SPDX-License-Identifier: Apache-2.0
"""What is written reads back equal."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from small_nets import NETS, legacy_net, opset_net, plain

from ie_ctypes.errors import ModelError
from ie_ctypes.model.builder import NetworkBuilder
from ie_ctypes.model.graph import Graph, MeanChannel, PreProcess
from ie_ctypes.model.readers import read_ir
from ie_ctypes.model.writers import ir_bytes, write_ir


@pytest.mark.parametrize("make", NETS.values(), ids=NETS)
def test_networks_read_back_equal(make: Callable[[], Graph], tmp_path: Path) -> None:
    graph = make()
    write_ir(graph, tmp_path / "a.xml", tmp_path / "a.bin")
    assert plain(read_ir(tmp_path / "a.xml")) == plain(graph)
    xml, weights = io.BytesIO(), io.BytesIO()
    write_ir(graph, xml, weights)
    assert (xml.getvalue(), weights.getvalue()) == ir_bytes(graph)
    assert sorted(f.name for f in tmp_path.iterdir()) == ["a.bin", "a.xml"]


def test_versions_are_the_last_of_each_dialect() -> None:
    for version in range(2, 8):
        graph = legacy_net()
        graph.version = version
        assert b'version="7"' in ir_bytes(graph)[0]
    graph = opset_net()
    graph.version = 11
    assert b'<net name="small" version="10">' in ir_bytes(graph)[0]


def test_pre_processing_reads_back_equal() -> None:
    graph = legacy_net()
    image = np.arange(64, dtype=np.float32).reshape(8, 8)
    for channels in (
        [MeanChannel(mean=0.1, scale=1 / 3), MeanChannel(mean=-1.5), MeanChannel(mean=1e-7)],
        [MeanChannel(image=image + i) for i in range(3)],
    ):
        graph.preprocess = PreProcess("data", channels)
        assert plain(read_ir(*ir_bytes(graph))) == plain(graph)


def test_awkward_names_survive() -> None:
    net = NetworkBuilder.legacy('a<b>&"c"')
    x = net.input("tab\there\nnew \u00e9\u4e2d", (1, 2))
    net.layer("ReLU", " spaces ", [x], [(1, 2)], params={"note": "<&>\"'"})
    assert plain(read_ir(*ir_bytes(net.graph()))) == plain(net.graph())


@pytest.mark.parametrize("name", ["nul\x00", "bell\x07", "half \ud800"])
def test_names_that_xml_cannot_hold_are_refused(name: str) -> None:
    net = NetworkBuilder.legacy()
    net.input(name, (1,))
    with pytest.raises(ModelError, match="has a character that XML cannot hold"):
        ir_bytes(net.graph())


def test_parameter_names_that_xml_cannot_hold_are_refused() -> None:
    net = NetworkBuilder.legacy()
    net.layer("X", "x", [net.input("a", (1,))], [(1,)], params={"two words": 1})
    with pytest.raises(ModelError, match="'two words' cannot be written"):
        ir_bytes(net.graph())


def test_blobs_are_aligned_to_their_type() -> None:
    xml, _ = ir_bytes(opset_net())
    offsets = re.findall(r'element_type="(\w+)" shape="[^"]*" offset="(\d+)"', xml.decode())
    assert offsets == [("i8", "0"), ("f32", "4")]


def test_rt_info_of_the_model_is_nested_again() -> None:
    graph = opset_net()
    graph.rt_info = {"MO_version": "2022.3", "framework/name": "onnx", "framework/two words/deep": "<1>"}
    assert plain(read_ir(*ir_bytes(graph))) == plain(graph)


def test_a_network_can_be_written_over_its_own_files(tmp_path: Path) -> None:
    write_ir(legacy_net(), tmp_path / "a.xml")
    graph = read_ir(tmp_path / "a.xml")
    for n in graph.nodes:
        for blob in n.blobs.values():
            blob.data *= 2
    expected = plain(graph)
    write_ir(graph, tmp_path / "a.xml")
    assert plain(read_ir(tmp_path / "a.xml")) == expected
    assert plain(graph) == expected


def test_a_failed_write_leaves_the_old_files(tmp_path: Path) -> None:
    write_ir(opset_net(), tmp_path / "a.xml")
    before = {f.name: f.read_bytes() for f in tmp_path.iterdir()}
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        write_ir(legacy_net(), tmp_path / "folder", tmp_path / "a.bin")
    with pytest.raises(FileNotFoundError):
        write_ir(legacy_net(), tmp_path / "none" / "a.xml", tmp_path / "a.bin")
    assert {f.name: f.read_bytes() for f in tmp_path.iterdir() if f.is_file()} == before


def test_weights_need_a_place() -> None:
    with pytest.raises(ModelError, match="bytes of weights and no place to write them"):
        write_ir(legacy_net(), io.BytesIO())


def test_constants_without_data_are_refused() -> None:
    graph = opset_net()
    next(n for n in graph.nodes if n.name == "kernel").blobs.clear()
    with pytest.raises(ModelError, match="layer kernel of type Const has no data"):
        ir_bytes(graph)


def test_a_changed_input_shape_is_written(tmp_path: Path) -> None:
    graph = opset_net()
    graph.nodes[0].outputs[0].shape = (4, 3, 8, 8)
    data = read_ir(*ir_bytes(graph)).nodes[0]
    assert (data.outputs[0].shape, data.params["shape"]) == ((4, 3, 8, 8), "4,3,8,8")


def test_the_builder_refuses_a_name_twice() -> None:
    net = NetworkBuilder.legacy()
    net.input("a", (1,))
    with pytest.raises(ModelError, match="layer name 'a' is used twice"):
        net.input("a", (1,))
