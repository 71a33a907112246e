# SPDX-License-Identifier: Apache-2.0
"""IENetwork, its inputs, outputs, layers and statistics."""

from __future__ import annotations

import copy
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

from ie_ctypes import (
    DataPtr,
    IECore,
    IENetLayer,
    IENetwork,
    InputInfo,
    InputInfoPtr,
    LayersStatsMap,
    LayerStats,
    OutputInfo,
    PreProcessInfo,
    TensorDesc,
)
from ie_ctypes.model.builder import NetworkBuilder
from ie_ctypes.model.writers import ir_bytes

from .conftest import identity_network, legacy_network, opset_network, write


def test_constructor_variants(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    files = legacy_network()
    xml, weights = write(files, tmp_path, "net")
    for net in (
        IENetwork(model=xml, weights=weights),
        IENetwork(xml, weights),
        IENetwork(Path(xml), Path(weights)),
        IENetwork(model=files[0], weights=files[1], init_from_buffer=True),
        IENetwork(files[0], files[1]),
        IENetwork.from_ir(xml, weights),
        IENetwork(xml),
        IENetwork(xml, weights, False, False),
    ):
        assert net.name == "small"
        assert list(net.inputs) == ["data"]
    assert not recwarn.list


def test_constructor_refusals(tmp_path: Path) -> None:
    xml, _ = write(legacy_network(), tmp_path, "net")
    with pytest.raises(Exception, match=r"Path to the model /x.xml doesn't exists or it's a directory"):
        IENetwork("/x.xml", "/x.bin")
    with pytest.raises(Exception, match=r"Path to the weights /x.bin doesn't exists or it's a directory"):
        IENetwork(xml, "/x.bin")
    with pytest.raises(TypeError, match="expected bytes, str found"):
        IENetwork(xml, "", init_from_buffer=True)
    with pytest.raises(TypeError, match="NoneType"):
        IENetwork(None, None)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="weights were given without a model"):
        IENetwork(weights=b"abc")
    with pytest.raises(RuntimeError, match=r"Error loading xmlfile|line 1"):
        IENetwork(b"garbage")


def test_empty_network() -> None:
    net = IENetwork()
    assert (net.name, net.batch_size, net.inputs, net.outputs, net.layers) == ("", 0, {}, {}, {})
    with pytest.raises(RuntimeError, match="empty"):
        net.reshape({"data": (1, 1)})


def test_inputs_serve_both_generations(net: IENetwork) -> None:
    info = net.inputs["data"]
    assert isinstance(info, InputInfo)
    assert isinstance(info, DataPtr)
    assert (info.precision, info.layout, info.shape) == ("FP32", "NCHW", [1, 3, 32, 32])
    assert (info.name, info.initialized) == ("data", True)
    n, c, h, w = net.inputs["data"]
    assert (n, c, h, w) == (1, 3, 32, 32)
    assert [layer.name for layer in info.input_to] == ["19/WithoutBiases"]


def test_input_info(net: IENetwork) -> None:
    info = net.input_info["data"]
    assert isinstance(info, InputInfoPtr)
    assert (info.name, info.precision, info.layout) == ("data", "FP32", "NCHW")
    assert isinstance(info.input_data, DataPtr)
    assert isinstance(info.preprocess_info, PreProcessInfo)
    assert info.tensor_desc == TensorDesc("FP32", (1, 3, 32, 32), "NCHW")


def test_input_data_takes_another_tensor(net: IENetwork) -> None:
    info = net.input_info["data"]
    info.input_data = net.outputs["fc_out"]
    assert info.name == "fc_out"
    assert list(net.inputs) == ["data"]
    with pytest.raises(TypeError, match="Argument 'input_ptr' has incorrect type"):
        info.input_data = "data"  # type: ignore[assignment]


def test_outputs(net: IENetwork) -> None:
    out = net.outputs["fc_out"]
    assert isinstance(out, OutputInfo)
    assert isinstance(out, DataPtr)
    assert (out.precision, out.layout, out.shape) == ("FP32", "NC", [1, 10])
    assert out.creator_layer is not None
    assert out.creator_layer.type == "SoftMax"
    out.precision = "I8"
    assert net.outputs["fc_out"].precision == "I8"
    with pytest.raises(ValueError, match="Unsupported precision BLA! List of supported precisions: "):
        out.precision = "BLA"


def test_dictionaries_are_fresh_and_sorted(legacy: IENetwork) -> None:
    assert legacy.inputs is not legacy.inputs
    assert list(legacy.outputs) == ["fc", "split.0", "split.1"]
    legacy.inputs.clear()
    assert list(legacy.inputs) == ["data"]


@pytest.mark.parametrize("view", ["inputs", "input_info"])
def test_setters_reach_new_lookups(net: IENetwork, view: str) -> None:
    getattr(net, view)["data"].layout = "NHWC"
    getattr(net, view)["data"].precision = "u8"
    assert (net.input_info["data"].layout, net.input_info["data"].precision) == ("NHWC", "U8")
    assert net.inputs["data"].shape == [1, 3, 32, 32]


@pytest.mark.parametrize("error", [ValueError, AttributeError, RuntimeError])
def test_wrong_precision_and_layout(net: IENetwork, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^Unsupported precision zz! List of supported precisions: "):
        net.inputs["data"].precision = "zz"
    with pytest.raises(error, match=r"^Unsupported layout zz! List of supported layouts: "):
        net.inputs["data"].layout = "zz"


def test_layout_of_another_rank(net: IENetwork) -> None:
    with pytest.raises(RuntimeError, match=re.escape("Size of dims(4) and format(CHW) are inconsistent.")):
        net.inputs["data"].layout = "CHW"
    assert net.inputs["data"].layout == "NCHW"


def test_batch_size(net: IENetwork) -> None:
    assert net.batch_size == 1
    net.batch_size = 4
    assert net.batch_size == 4
    assert net.inputs["data"].shape == [4, 3, 32, 32]
    net.reshape({"data": (8, 3, 32, 32)})
    assert net.batch_size == 8
    for value in (0, -1, 1.5):
        with pytest.raises(AttributeError, match=f"Invalid batch size {value}! Batch size should be positive integer value"):
            net.batch_size = value  # type: ignore[assignment]
    with pytest.raises(TypeError):
        net.batch_size = "2"  # type: ignore[assignment]
    net.batch_size = 2.0  # type: ignore[assignment]
    assert net.batch_size == 2


def test_reshape(legacy: IENetwork) -> None:
    legacy.reshape({})
    with pytest.raises(AttributeError, match=re.escape("Specified 'zzz' layer not in network inputs '{'data'}'! ")):
        legacy.reshape({"zzz": (1, 3, 8, 8)})
    with pytest.raises(RuntimeError, match=r"Dims and format are inconsistent."):
        legacy.reshape({"data": (1, 3, 8)})
    with pytest.raises(TypeError):
        legacy.reshape([("data", (1, 3, 8, 8))])  # type: ignore[arg-type]
    with pytest.raises(RuntimeError):
        legacy.reshape({"data": (1, 3, -8, 8)})
    with pytest.raises(RuntimeError, match="fc"):
        legacy.reshape({"data": (1, 3, 10, 10)})
    assert legacy.inputs["data"].shape == [1, 3, 8, 8]
    assert legacy.layers["conv"].shape == [1, 4, 8, 8]


def test_precision_of_the_network(net: IENetwork) -> None:
    assert net.precision in ("FP32", "MIXED")
    assert IENetwork(*legacy_network()).precision == "FP32"


@pytest.mark.parametrize(
    "wanted", ["29/WithoutBiases", ["28/Reshape", "29/WithoutBiases"], ("28/Reshape", 0), [("28/Reshape", 0), "29/WithoutBiases"]]
)
def test_add_outputs(core: IECore, net: IENetwork, image: np.ndarray, wanted: object) -> None:
    assert net.add_outputs(wanted) is None  # type: ignore[arg-type]
    net.add_outputs("28/Reshape")
    net.add_outputs(["29/WithoutBiases", "fc_out"])
    assert list(net.outputs) == ["28/Reshape", "29/WithoutBiases", "fc_out"]
    assert net.outputs["28/Reshape"].shape == [1, 5184]
    result = core.load_network(net, "REFERENCE").infer({"data": image})
    assert {name: value.shape for name, value in result.items()} == {
        "28/Reshape": (1, 5184),
        "29/WithoutBiases": (1, 10),
        "fc_out": (1, 10),
    }


def test_add_outputs_of_a_port(legacy: IENetwork) -> None:
    legacy.add_outputs("relu")
    legacy.add_outputs(("split", 1))
    assert list(legacy.outputs) == ["fc", "relu", "split.0", "split.1"]


def test_add_outputs_refusals(legacy: IENetwork) -> None:
    with pytest.raises(RuntimeError, match="Layer zzz not found in network"):
        legacy.add_outputs("zzz")
    with pytest.raises(RuntimeError, match="port index 5 exceeds layer's outputs which is 1"):
        legacy.add_outputs(("relu", 5))
    text = re.escape("Incorrect type <class 'int'> for layer to add at index 0. Expected string with layer name or tuple with two elements")
    with pytest.raises(TypeError, match=text):
        legacy.add_outputs(5)  # type: ignore[arg-type]
    assert list(legacy.outputs) == ["fc", "split.0", "split.1"]


def test_layers_are_in_topological_order(net: IENetwork, legacy: IENetwork) -> None:
    for network in (net, legacy):
        layers = network.layers
        assert all(isinstance(layer, IENetLayer) for layer in layers.values())
        seen: set[str] = set()
        for name, layer in layers.items():
            assert {p.rpartition(".")[0] if p not in layers else p for p in layer.parents} <= seen
            seen.add(name)
    assert set(legacy.layers) == {"data", "conv", "relu", "split", "fc"}
    assert "fc_out/result" not in net.layers


def test_layer_fields(legacy: IENetwork) -> None:
    conv = legacy.layers["conv"]
    assert (conv.name, conv.type, conv.precision, conv.layout, conv.shape) == ("conv", "Convolution", "FP32", "NCHW", [1, 4, 8, 8])
    assert conv.parents == ["data"]
    assert conv.children == ["relu"]
    assert legacy.layers["relu"].children == ["fc", "split"]
    assert conv.params["kernel"] == "3,3"
    assert conv.affinity == ""
    assert conv.out_data[0].shape == [1, 4, 8, 8]
    assert conv.in_data[0].name == "data"
    assert {name: array.shape for name, array in conv.weights.items()} == {"biases": (4,), "weights": (108,)}
    assert list(conv.blobs) == list(conv.weights)
    assert legacy.layers["split"].out_data[1].name == "split.1"


def test_layer_setters_reach_the_network(legacy: IENetwork) -> None:
    layer = legacy.layers["conv"]
    layer.affinity = "CPU"
    layer.params = {**layer.params, "PrimitivesPriority": "cpu:ref_any"}
    layer.precision = "i8"
    again = legacy.layers["conv"]
    assert (again.affinity, again.params["PrimitivesPriority"], again.precision) == ("CPU", "cpu:ref_any", "I8")
    with pytest.raises(TypeError, match="Only string keys and values are allowed!"):
        layer.params = {"a": 1}  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="Unsupported precision ZZ"):
        layer.precision = "ZZ"


def test_weights_written_before_loading_count(core: IECore, legacy: IENetwork) -> None:
    data = np.ones((1, 3, 8, 8), np.float32)
    before = core.load_network(legacy, "REFERENCE").infer({"data": data})["fc"]
    legacy.layers["fc"].weights["biases"][:] += 3
    after = core.load_network(legacy, "REFERENCE").infer({"data": data})["fc"]
    np.testing.assert_allclose(after, before + 3, rtol=1e-5)


def test_changes_after_loading_do_not_reach_what_is_loaded(core: IECore, legacy: IENetwork) -> None:
    exec_net = core.load_network(legacy, "REFERENCE")
    legacy.batch_size = 2
    legacy.inputs["data"].precision = "U8"
    legacy.add_outputs("relu")
    result = exec_net.infer({"data": np.zeros((1, 3, 8, 8))})
    assert {k: v.shape for k, v in result.items()} == {"fc": (1, 5), "split.0": (1, 1, 8, 8), "split.1": (1, 3, 8, 8)}
    assert exec_net.input_info["data"].precision == "FP32"


def test_stats(legacy: IENetwork) -> None:
    assert isinstance(legacy.stats, LayersStatsMap)
    assert legacy.stats == {}
    legacy.stats.update({"conv": LayerStats(min=(-1, 0), max=(1, 2))})
    assert legacy.stats["conv"].min == (-1, 0)
    assert legacy.stats["conv"].max == (1, 2)
    legacy.stats["conv"] = LayerStats()
    assert legacy.stats["conv"].max == (1, 2)
    with pytest.raises(AttributeError):
        legacy.stats["conv"].min = ()  # type: ignore[misc]
    with pytest.raises(TypeError, match="conv"):
        legacy.stats.update({"conv": (1, 2)})


@pytest.mark.parametrize("files", [opset_network(), legacy_network()], ids=["opset", "legacy"])
def test_serialize_reads_back(core: IECore, tmp_path: Path, files: tuple[bytes, bytes]) -> None:
    net = core.read_network(*files)
    net.serialize(str(tmp_path / "a.xml"), str(tmp_path / "a.bin"))
    again = core.read_network(str(tmp_path / "a.xml"), str(tmp_path / "a.bin"))
    assert list(again.layers) == list(net.layers)
    data = np.random.default_rng(0).random(net.inputs["data"].shape, np.float32)
    results = [core.load_network(n, "REFERENCE").infer({"data": data}) for n in (net, again)]
    for name, value in results[0].items():
        np.testing.assert_array_equal(results[1][name], value)


def test_serialize_places(net: IENetwork, tmp_path: Path) -> None:
    net.serialize(tmp_path / "only.xml")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["only.xml"]
    with pytest.raises(RuntimeError, match="cannot write"):
        net.serialize("/nowhere/at/all.xml", "/nowhere/at/all.bin")


def test_names_of_framework_tensors(core: IECore) -> None:
    b = NetworkBuilder.opset("named")
    data = b.input("in1", (1, 3))
    relu = b.layer("ReLU", "activation", [data], [(1, 3)])
    relu.outputs[0].names = ("relu_t", "identity_t")
    data.outputs[0].names = ("input",)
    b.result(relu)
    net = core.read_network(ir_bytes(b.graph())[0], b"")
    for name, ours in (("relu_t", "activation"), (" identity_t", "activation"), ("input", "in1"), ("in1", "in1")):
        assert net.get_ov_name_for_tensor(name) == ours
    with pytest.raises(RuntimeError, match="other"):
        net.get_ov_name_for_tensor("other")


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda n: pickle.loads(pickle.dumps(n))], ids=["deepcopy", "pickle"])
def test_copies_keep_all_settings(core: IECore, legacy: IENetwork, twin) -> None:  # type: ignore[no-untyped-def]
    legacy.batch_size = 2
    legacy.add_outputs("relu")
    legacy.input_info["data"].precision = "U8"
    info = legacy.input_info["data"].preprocess_info
    info.init(3)
    info[1].mean_value, info[1].std_scale = 5, 2
    info.mean_variant = 1  # type: ignore[assignment]
    other = twin(legacy)
    data = np.random.default_rng(0).integers(0, 255, (2, 3, 8, 8)).astype(np.uint8)
    results = [core.load_network(n, "REFERENCE").infer({"data": data}) for n in (legacy, other)]
    assert list(results[0]) == list(results[1]) == ["fc", "relu", "split.0", "split.1"]
    for name, value in results[0].items():
        np.testing.assert_array_equal(results[1][name], value)
    other.batch_size = 1
    assert legacy.batch_size == 2
    assert twin(IENetwork()).name == ""


def test_get_function_is_refused(net: IENetwork) -> None:
    with pytest.raises(NotImplementedError):
        net.get_function()


def test_input_without_batch() -> None:
    net = IENetwork(*identity_network((5,)))
    assert net.batch_size == 1
    with pytest.raises(RuntimeError, match="Cannot set batch for 1D/3D input"):
        net.batch_size = 2
