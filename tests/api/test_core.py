# SPDX-License-Identifier: Apache-2.0
"""IECore: devices, their registry, settings, reading and loading networks."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pytest

import ie_ctypes
from ie_ctypes import ExecutableNetwork, IECore, IEError, IENetwork

from .conftest import GateDevice, opset_network, write

UNKNOWN = re.escape('Device with "BLA" name is not registered in the InferenceEngine')


def test_version_is_major_minor_build() -> None:
    assert re.fullmatch(r"2\.1\..+", ie_ctypes.get_version())
    assert ie_ctypes.__version__ == ie_ctypes.get_version()


def test_versions_have_attributes(core: IECore) -> None:
    versions = core.get_versions("REFERENCE")
    assert list(versions) == ["REFERENCE"]
    found = versions["REFERENCE"]
    assert found.major == 2
    assert found.minor == 1
    assert isinstance(found.build_number, str)
    assert found.description


def test_versions_of_unknown_device(core: IECore) -> None:
    with pytest.raises(RuntimeError, match=UNKNOWN):
        core.get_versions("BLA")


def test_cpu_is_registered_and_reference_is_loadable(core: IECore, net: IENetwork) -> None:
    assert {"CPU", "REFERENCE"} <= set(core._registry.names())
    assert isinstance(core.load_network(net, "REFERENCE"), ExecutableNetwork)
    assert isinstance(core.load_network(network=net, device_name="reference"), ExecutableNetwork)


def test_load_from_path(core: IECore, tmp_path: Path) -> None:
    xml, _ = write(opset_network(), tmp_path, "net")
    assert isinstance(core.load_network(xml, "REFERENCE"), ExecutableNetwork)


@pytest.mark.parametrize("name", ["BLA", "", "MULTI:BLA", "BLA.1"])
def test_load_on_unknown_device(core: IECore, net: IENetwork, name: str) -> None:
    with pytest.raises(RuntimeError, match="name is not registered in the InferenceEngine"):
        core.load_network(net, name)


def test_load_refuses_wrong_arguments(core: IECore, net: IENetwork) -> None:
    with pytest.raises(TypeError, match="Argument 'network' has incorrect type"):
        core.load_network(5, "REFERENCE")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="Argument 'device_name' has incorrect type"):
        core.load_network(net, 5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="Only string keys and values are allowed!"):
        core.load_network(net, "REFERENCE", {"PERF_COUNT": 1})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match=r"Incorrect number of requests specified: -1. Expected positive integer number or zero"):
        core.load_network(net, "REFERENCE", num_requests=-1)
    with pytest.raises(IEError, match="empty"):
        core.load_network(IENetwork(), "REFERENCE")


def test_load_refuses_unknown_key_and_bad_value(core: IECore, net: IENetwork) -> None:
    with pytest.raises(RuntimeError, match=re.escape("[NOT_FOUND] Unsupported property NOPE by REFERENCE plugin")):
        core.load_network(net, "REFERENCE", {"NOPE": "1"})
    with pytest.raises(RuntimeError, match=re.escape("[NOT_FOUND] Unsupported property DEVICE_ID by REFERENCE plugin")):
        core.load_network(net, "REFERENCE.0")
    with pytest.raises(RuntimeError, match=r"Wrong value for property key PERF_COUNT. Expected only YES/NO"):
        core.load_network(net, "REFERENCE", {"PERF_COUNT": "yes"})


def test_zero_requests_asks_the_device(core: IECore, gate: GateDevice, copy_net: IENetwork) -> None:
    gate.streams = 3
    exec_net = IECore().load_network(copy_net, "GATE", num_requests=0)
    assert len(exec_net.requests) == 3
    assert exec_net.get_metric("OPTIMAL_NUMBER_OF_INFER_REQUESTS") == 3


def test_unsupported_layers_are_all_named(core: IECore) -> None:
    xml, weights = opset_network()
    xml = xml.replace(b'type="MaxPool"', b'type="FooPool"')
    net = core.read_network(xml, weights)
    with pytest.raises(RuntimeError, match=r"Unsupported primitive of type: FooPool name: 22.*27 \(FooPool\)"):
        core.load_network(net, "REFERENCE")
    answer = core.query_network(net, "REFERENCE")
    assert set(net.layers) - set(answer) == {"22", "27"}


def test_query_network_answers_for_every_layer(core: IECore, net: IENetwork, legacy: IENetwork) -> None:
    for network in (net, legacy):
        answer = core.query_network(network, "REFERENCE")
        assert set(answer) == set(network.layers)
        assert list(answer) == sorted(answer)
        assert set(answer.values()) == {"REFERENCE"}


def test_query_network_leaves_out_what_the_device_refuses(gate: GateDevice, legacy: IENetwork) -> None:
    assert set(IECore().query_network(legacy, "GATE")) == {"data", "conv", "split", "fc"}


def test_load_names_what_the_device_refuses(gate: GateDevice, legacy: IENetwork) -> None:
    with pytest.raises(RuntimeError, match="Unsupported primitive of type: ReLU name: relu"):
        IECore().load_network(legacy, "GATE")


def test_query_of_multi_is_refused(core: IECore, net: IENetwork) -> None:
    with pytest.raises(RuntimeError, match="MULTI device does not support QueryNetwork"):
        core.query_network(net, "MULTI:CPU")


def test_available_devices_lists_units(gate: GateDevice) -> None:
    core = IECore()
    core.register_plugin("GATE", "TWIN")
    found = [name for name in _quietly(core) if name.startswith(("GATE", "TWIN"))]
    assert found == ["GATE.A", "GATE.B", "TWIN.A", "TWIN.B"]


def _quietly(core: IECore) -> list[str]:
    """Available devices, whether or not libiec is built."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return core.available_devices


def test_metrics_and_config(core: IECore) -> None:
    assert isinstance(core.get_metric("REFERENCE", "FULL_DEVICE_NAME"), str)
    assert core.get_config("REFERENCE", "PERF_COUNT") == "NO"
    assert core.get_config("REFERENCE", config_name="PERF_COUNT") == core.get_config(device_name="REFERENCE", metric_name="PERF_COUNT")
    with pytest.raises(RuntimeError, match="Unsupported metric key NOPE"):
        core.get_metric("REFERENCE", "NOPE")
    with pytest.raises(RuntimeError, match="Unsupported config key NOPE"):
        core.get_config("REFERENCE", "NOPE")
    with pytest.raises(RuntimeError, match="You can get specific metrics with the GetMetric only for the HETERO itself"):
        core.get_metric("HETERO:CPU", "SUPPORTED_METRICS")


def test_set_config_changes_later_loads_of_this_core_only(core: IECore, net: IENetwork) -> None:
    assert core.set_config({"PERF_COUNT": "YES"}, "REFERENCE") is None
    assert core.get_config("REFERENCE", "PERF_COUNT") == "YES"
    assert core.load_network(net, "REFERENCE").get_config("PERF_COUNT") == "YES"
    assert core.load_network(net, "REFERENCE", {"PERF_COUNT": "NO"}).get_config("PERF_COUNT") == "NO"
    assert IECore().get_config("REFERENCE", "PERF_COUNT") == "NO"


def test_set_config_refusals(core: IECore) -> None:
    with pytest.raises(RuntimeError, match=re.escape("[NOT_FOUND] Unsupported property KEY_PERF_COUNT by REFERENCE plugin")):
        core.set_config({"KEY_PERF_COUNT": "YES"}, "REFERENCE")
    with pytest.raises(TypeError, match="Only string keys and values are allowed!"):
        core.set_config({"PERF_COUNT": True}, "REFERENCE")  # type: ignore[dict-item]
    with pytest.raises(RuntimeError, match=UNKNOWN):
        core.set_config({"PERF_COUNT": "YES"}, "BLA")
    with pytest.raises(RuntimeError, match="Please, specify TARGET_FALLBACK to the LoadNetwork directly"):
        core.set_config({"TARGET_FALLBACK": "CPU"}, "HETERO")
    with pytest.raises(RuntimeError, match="SetConfig is supported only for HETERO itself"):
        core.set_config({"PERF_COUNT": "YES"}, "HETERO:CPU")


def test_register_plugin_under_another_name(core: IECore, net: IENetwork) -> None:
    assert core.register_plugin("REFERENCE", "BLA") is None
    assert isinstance(core.load_network(net, "BLA"), ExecutableNetwork)
    core.set_config({"PERF_COUNT": "YES"}, "BLA")
    assert core.get_config("REFERENCE", "PERF_COUNT") == "NO"


def test_register_plugin_refusals(core: IECore, net: IENetwork) -> None:
    with pytest.raises(RuntimeError, match=re.escape('Device with "CPU"  is already registered in the InferenceEngine')):
        core.register_plugin("MKLDNNPlugin", "CPU")
    with pytest.raises(RuntimeError, match=re.escape("Device name must not contain dot '.' symbol")):
        core.register_plugin("MKLDNNPlugin", "A.B")
    core.register_plugin("nope", "XPU")
    with pytest.warns(RuntimeWarning, match="device XPU is not available: Failed to create plugin"):
        assert "XPU" not in core.available_devices
    with pytest.raises(RuntimeError, match=r"Failed to create plugin libnope.so for device XPU\nPlease, check your environment\n"):
        core.load_network(net, "XPU")


def test_unregister_drops_the_instance_not_the_registration(core: IECore, net: IENetwork) -> None:
    with pytest.raises(RuntimeError, match='Device with "REFERENCE" name is not registered in the InferenceEngine'):
        core.unregister_plugin("REFERENCE")
    core.set_config({"PERF_COUNT": "YES"}, "REFERENCE")
    assert core.unregister_plugin("REFERENCE") is None
    assert core.get_config("REFERENCE", "PERF_COUNT") == "NO"
    with pytest.raises(RuntimeError, match=UNKNOWN):
        core.unregister_plugin("BLA")


def _plugins(path: Path, body: str) -> str:
    path.write_text(f"<ie><plugins>{body}</plugins></ie>")
    return str(path)


def test_plugins_xml(net: IENetwork, tmp_path: Path) -> None:
    entry = '<plugin name="CUSTOM" location="REFERENCE"><properties><property key="PERF_COUNT" value="YES"/></properties></plugin>'
    path = _plugins(tmp_path / "plugins.xml", entry)
    core = IECore(path)
    assert core._registry.names() == ["CUSTOM"]
    assert core.load_network(net, "CUSTOM").get_config("PERF_COUNT") == "YES"
    other = IECore()
    other.register_plugins(path)
    assert isinstance(other.load_network(net, "CUSTOM"), ExecutableNetwork)


def test_plugins_xml_knows_the_original_library_of_cpu(tmp_path: Path) -> None:
    core = IECore(_plugins(tmp_path / "p.xml", '<plugin name="CPU" location="libMKLDNNPlugin.so"/>'))
    record = core._registry.entry("CPU").record
    assert record is not None
    assert record.name == "CPU"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ('<plugin name="A"/>', "missing mandatory attribute: location"),
        ('<plugin location="x"/>', "missing mandatory attribute: name"),
        ('<plugin name="A.B" location="x"/>', "must not contain dot"),
        ("<plugin", "Error loading xmlfile: "),
    ],
)
def test_faulty_plugins_xml(tmp_path: Path, body: str, text: str) -> None:
    with pytest.raises(RuntimeError, match=text):
        IECore(_plugins(tmp_path / "p.xml", body))


def test_missing_plugins_xml() -> None:
    with pytest.raises(RuntimeError, match=r"Error loading xmlfile: /missing.xml, File was not found at line: 1 pos: 0"):
        IECore("/missing.xml")
    with pytest.raises(TypeError, match=re.escape("Argument 'xml_config_file' has incorrect type (expected str, got int)")):
        IECore(5)  # type: ignore[arg-type]


def test_reference_is_registered_and_not_listed(tmp_path: Path) -> None:
    core = IECore(_plugins(tmp_path / "p.xml", '<plugin name="REF" location="REFERENCE"/>'))
    assert core.available_devices == []
    assert core.get_metric("REF", "AVAILABLE_DEVICES") == []


def test_plugins_xml_without_plugins(tmp_path: Path) -> None:
    assert IECore(_plugins(tmp_path / "p.xml", "")).available_devices == []


def test_two_providers_of_one_device_are_both_named(gate: GateDevice) -> None:
    from ie_ctypes.plugins import Device, hookimpl
    from ie_ctypes.plugins.manager import default_manager

    class Twin:
        @hookimpl
        def ie_ctypes_devices(self) -> list[Device]:
            return [Device(name="GATE", driver=GateDevice)]

    twin = Twin()
    default_manager().register(twin, "twin")
    try:
        with pytest.raises(IEError, match=r"GATE.*(gate.*twin|twin.*gate)"):
            IECore()
    finally:
        default_manager().unregister(twin)


def test_read_network_from_paths(core: IECore, tmp_path: Path) -> None:
    xml, weights = write(opset_network(), tmp_path, "net")
    for arguments in ((xml, weights), (xml,), (Path(xml), Path(weights)), (xml, Path(weights)), (Path(xml), weights), (Path(xml),)):
        net = core.read_network(*arguments)
        assert isinstance(net, IENetwork)
        assert net.name == "test_model"


def test_read_network_from_memory(core: IECore, tmp_path: Path) -> None:
    xml, weights = opset_network()
    path = write((xml, weights), tmp_path, "net")
    files = core.read_network(*path)
    image = np.random.default_rng(0).random((1, 3, 32, 32), np.float32)
    expected = core.load_network(files, "REFERENCE").infer({"data": image})["fc_out"]
    with open(path[0], "rb") as f, open(path[1], "rb") as g:
        nets = [
            core.read_network(model=xml, weights=weights, init_from_buffer=True),
            core.read_network(bytearray(xml), memoryview(weights)),
            core.read_network(f, g),
        ]
    for net in nets:
        assert (net.name, net.batch_size, list(net.inputs), list(net.outputs)) == ("test_model", 1, ["data"], ["fc_out"])
        np.testing.assert_array_equal(core.load_network(net, "REFERENCE").infer({"data": image})["fc_out"], expected)


def test_read_network_of_missing_files(core: IECore, tmp_path: Path) -> None:
    xml, _ = write(opset_network(), tmp_path, "net")
    for model, weights, text in (
        ("./model.xml", "", "Path to the model ./model.xml doesn't exist or it's a directory"),
        (str(tmp_path), "", f"Path to the model {tmp_path} doesn't exist or it's a directory"),
        (xml, "./model.bin", "Path to the weights ./model.bin doesn't exist or it's a directory"),
    ):
        with pytest.raises(FileNotFoundError) as caught:
            core.read_network(model, weights)
        assert str(caught.value) == text
        assert isinstance(caught.value, RuntimeError)


def test_results_outlive_core_and_network(core: IECore, net: IENetwork, image: np.ndarray) -> None:
    exec_net = core.load_network(net, "REFERENCE")
    info, request = exec_net.input_info["data"], exec_net.requests[0]
    del core, net, exec_net
    request.infer({"data": image})
    assert request.outputs["fc_out"].sum() == pytest.approx(1)
    assert info.name == "data"
