# SPDX-License-Identifier: Apache-2.0
"""Spellings that only some versions of the format have."""

from __future__ import annotations

import numpy as np
import pytest
from small_nets import opset_net

from ie_ctypes.model.graph import Graph, Node
from ie_ctypes.model.readers import read_ir
from ie_ctypes.model.writers import ir_bytes

PORT = '<port id="{}"><dim>1</dim><dim>3</dim><dim>4</dim><dim>4</dim></port>'
WEIGHTS = np.arange(16, dtype=np.float32)


def legacy(layer: str, version: int = 2, rest: str = "", net: str = "", input_attrs: str = 'precision="FP32"') -> Graph:
    """A network of one input and one layer; ``layer`` is the attributes of the layer, a ``|``, and its children."""
    attrs, _, children = layer.partition("|")
    xml = (
        f'<net name="n" version="{version}" {net}><layers>'
        f'<layer id="0" name="x" type="Input" {input_attrs}><output>{PORT.format(0)}</output></layer>'
        f'<layer id="1" name="y" {attrs}><input>{PORT.format(0)}</input><output>{PORT.format(1)}</output>{children}</layer>'
        f'</layers><edges><edge from-layer="0" from-port="0" to-layer="1" to-port="0"/></edges>{rest}</net>'
    )
    return read_ir(xml.encode(), WEIGHTS.tobytes())


def params(layer: str) -> dict[str, str]:
    return legacy(layer).nodes[1].params


@pytest.mark.parametrize(
    ("layer_type", "tag"),
    [
        ("Pooling", "data"),
        ("Pooling", "pooling"),
        ("Pooling", "pooling_data"),
        ("FullyConnected", "fc"),
        ("FullyConnected", "fc_data"),
        ("InnerProduct", "fc"),
        ("Norm", "lrn"),
        ("Norm", "norm_data"),
        ("LRN", "norm"),
        ("Crop", "crop-data"),
        ("BatchNormalization", "batch_norm_data"),
        ("Eltwise", "elementwise"),
        ("Activation", "activation_data"),
    ],
)
def test_names_of_the_data_element(layer_type: str, tag: str) -> None:
    assert params(f'type="{layer_type}"|<{tag} a="1" b-c="x"/>') == {"a": "1", "b-c": "x"}


def test_crop_of_v2_has_a_child_for_each_axis() -> None:
    children = '<crop axis="2" offset="1" dim="4"/><crop axis="3" offset="0" dim="5"/>'
    for tag in ("crop", "crop-data"):
        assert params(f'type="Crop"|<{tag}>{children}</{tag}>') == {"axis": "2,3", "offset": "1,0", "dim": "4,5"}


@pytest.mark.parametrize(
    ("name", "layer_type"),
    [
        ("relu", "ReLU"),
        ("ReLU6", "ReLU6"),
        ("prelu", "PReLU"),
        ("clamp", "Clamp"),
        ("elu", "ELU"),
        ("sigmoid", "Sigmoid"),
        ("tanh", "TanH"),
    ],
)
def test_activation_becomes_the_layer_it_names(name: str, layer_type: str) -> None:
    node = legacy(f'type="Activation"|<data type="{name}" alpha="2"/>').nodes[1]
    assert (node.type, node.params) == (layer_type, {"alpha": "2"})


def test_other_activations_stay() -> None:
    node = legacy('type="Activation"|<data type="exp"/>').nodes[1]
    assert (node.type, node.params) == ("Activation", {"type": "exp"})


def test_weights_of_the_oldest_files_stand_below_the_layer() -> None:
    old = legacy('type="ScaleShift" precision="FP32"|<weights offset="0" size="12"/><biases offset="12" size="12"/>').nodes[1]
    new = legacy('type="ScaleShift" precision="FP32"|<blobs><weights offset="0" size="12"/><biases offset="12" size="12"/></blobs>').nodes[
        1
    ]
    for node in (old, new):
        assert [(k, b.data.tolist()) for k, b in node.blobs.items()] == [("weights", [0, 1, 2]), ("biases", [3, 4, 5])]


def test_empty_blobs_are_ignored_and_names_are_free() -> None:
    node = legacy('type="X"|<blobs><weights offset="0" size="0"/><H-1 offset="0" size="4" precision="U8"/></blobs>').nodes[1]
    assert {k: (b.precision, b.data.tolist()) for k, b in node.blobs.items()} == {"H-1": ("U8", [0, 0, 0, 0])}


def test_precisions_have_defaults() -> None:
    graph = legacy('type="ReLU"|<blobs><w offset="0" size="4"/></blobs>', net='precision="FP16"', input_attrs="")
    assert [n.precision for n in graph.nodes] == ["FP16", "FP16"]
    assert graph.nodes[1].blobs["w"].data.dtype == np.float16
    assert graph.precision == "FP16"
    assert legacy('type="ReLU" precision="I32"').precision == "MIXED"
    assert legacy('type="ReLU"', input_attrs="").precision == "UNSPECIFIED"


def test_mean_values_images_and_scale() -> None:
    values = "".join(f'<channel><mean value="{i}.5"/><scale value="2"/></channel>' for i in range(3))
    section = legacy('type="ReLU"', rest=f"<pre-process>{values}</pre-process>").preprocess
    assert section is not None
    assert section.reference == "x"
    assert [(c.mean, c.scale) for c in section.channels] == [(0.5, 2), (1.5, 2), (2.5, 2)]
    images = "".join(f'<channel id="{i}"><mean offset="0" size="64"/></channel>' for i in (2, 0, 1))
    section = legacy('type="ReLU"', rest=f'<pre-process mean-precision="FP32">{images}</pre-process>').preprocess
    assert section is not None
    for channel in section.channels:
        np.testing.assert_array_equal(channel.image, WEIGHTS.reshape(4, 4))


def find(graph: Graph, name: str) -> Node:
    node = graph.node(name)
    assert node is not None
    return node


def test_what_no_result_needs_is_dropped_but_for_inputs() -> None:
    xml, weights = ir_bytes(opset_net())
    spare = '<layer id="70" name="spare" type="Relu" version="opset1"><input><port id="0"/></input></layer>'
    unused = (
        '<layer id="71" name="unused" type="Parameter" version="opset1"><data shape="1" element_type="f32"/>'
        '<output><port id="0" precision="FP32"><dim>1</dim></port></output></layer>'
    )
    graph = read_ir(xml.decode().replace("</layers>", spare + unused + "</layers>").encode(), weights)
    names = {n.name for n in graph.nodes}
    assert "spare" not in names
    assert names >= {"unused", "data", "relu"}


@pytest.mark.parametrize("text", ["?,3,8,8", "-1,3,8,8", "1..4,3,8,8", "..4,3,8,8", "1..,3,8,8"])
def test_dynamic_dimensions(text: str) -> None:
    xml, weights = ir_bytes(opset_net())
    graph = read_ir(xml.decode().replace('version="10"', 'version="11"').replace('shape="1,3,8,8"', f'shape="{text}"').encode(), weights)
    assert find(graph, "data").outputs[0].shape == (-1, 3, 8, 8)
    assert find(graph, "data").params["shape"] == text
    again = read_ir(*ir_bytes(graph))
    assert find(again, "data").params["shape"] == text


def test_tensor_names_and_runtime_attributes() -> None:
    graph = read_ir(*ir_bytes(opset_net()))
    conv = find(graph, "conv")
    assert conv.outputs[0].names == ("conv:0", "with,comma")
    assert conv.rt_info == {"fused_names": {"version": "0", "value": "a & b"}}


@pytest.mark.parametrize("precision", ["BF16", "U1", "u4", "I4"])
def test_containers_of_types_that_numpy_lacks(precision: str) -> None:
    name = {"U1": "u1", "I4": "i4", "BF16": "bf16"}.get(precision, precision)
    port = f'<port id="0" precision="{precision}"><dim>5</dim></port>'
    size = {"bf16": 10, "u1": 1, "u4": 3, "i4": 3}[name]
    xml = (
        '<net name="n" version="11"><layers><layer id="0" name="c" type="Const" version="opset1">'
        f'<data element_type="{name}" shape="5" offset="0" size="{size}"/><output>{port}</output>'
        '</layer><layer id="1" name="r" type="Result" version="opset1"><input><port id="0"><dim>5</dim></port></input></layer></layers>'
        '<edges><edge from-layer="0" from-port="0" to-layer="1" to-port="0"/></edges></net>'
    )
    blob = find(read_ir(xml.encode(), bytes(range(size))), "c").blobs["custom"]
    assert blob.data.tobytes() == bytes(range(size))
    assert blob.data.dtype == (np.uint16 if name == "bf16" else np.uint8)
