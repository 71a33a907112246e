# SPDX-License-Identifier: Apache-2.0
"""The examples of the user's document that mention a device, HETERO or an affinity, run as they stand but for its obvious slips.

Slips of the document, corrected here:

| the document | here |
|---|---|
| closes ``<plugins>`` with ``</plugin>`` | ``</plugins>`` |
| ``plugin.load_network(...)``, ``plugin.query_network(...)`` where only ``ie`` exists | the methods of ``ie`` |
| ``num_requsts`` | ``num_requests`` |
| ``register_plugin(plugin=...)``; its own signature says ``plugin_name`` | ``plugin_name=`` |
| ``register_plugin`` of an ``IEPlugin`` object | the name of its library |
| registers ``MY_NEW_GPU`` and unregisters ``GPU`` | unregisters ``MY_NEW_GPU``, after it was used |
| ``set_config({"TARGET_FALLBACK": "HETERO:FPGA,CPU"})`` | accepted as it stands |
| ``plugin.set_default_affinity(net)`` | ``plugin.set_initial_affinity(net)``, the name that the document defines |
| ``get_config`` of what is loaded is shown as ``get_metric("DEVICE_ID")``; CPU has no id | ``get_config`` of a key of CPU |
| ``get_config(device_name, metric_name)`` | accepted as it stands, and as ``config_name`` |
| ``plugin.load`` "returns None" | returns the executable network that its example uses |
| ``requests`` "a tuple" in the text, a list in R3 | a tuple |

FPGA and GPU are virtual devices here.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ie_ctypes import ExecutableNetwork, IECore, IENetwork, IEPlugin

from .conftest import legacy_network, write


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    return write(legacy_network(), tmp_path, "model")


@pytest.fixture(autouse=True)
def accelerators(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IE_CTYPES_VIRTUAL_DEVICES", "FPGA:2,MYRIAD")


IMAGE = np.random.default_rng(0).random((1, 3, 8, 8), np.float32)


def with_gpu() -> IECore:
    """An IECore that has a GPU; where no plugin provides one, FPGA stands in."""
    ie = IECore()
    if "GPU" not in ie._registry.names():
        ie.register_plugin("ie_ctypes.devices.virtual.Fpga", "GPU")
    return ie


# -- IECore ----------------------------------------------------------------------------------------------------------------
def test_custom_configuration(tmp_path: Path) -> None:
    path = tmp_path / "my_custom_cfg.xml"
    path.write_text(
        """<ie>
        <plugins>
        <plugin name="CPU" location="libMKLDNNPlugin.so" optional="yes">
        <extensions>
        </extensions>
        <properties>
        <property key="PERF_COUNT" value="YES"/>
        </properties>
        </plugin>
        </plugins>
        </ie>"""
    )
    ie = IECore(str(path))
    assert ie.available_devices == ["CPU"]
    assert ie.get_config("CPU", "PERF_COUNT") == "YES"
    other = IECore()
    other.register_plugins(str(path))
    assert other.get_config("CPU", "PERF_COUNT") == "YES"


def test_available_devices() -> None:
    assert [name for name in IECore().available_devices if not name.startswith("GPU")] == ["CPU", "FPGA.0", "FPGA.1", "MYRIAD"]


def test_get_versions() -> None:
    ie = IECore()
    ver = ie.get_versions("CPU")["CPU"]
    text = f"{ver.description}: {ver.major}.{ver.minor}.{ver.build_number}"
    assert text.startswith("MKLDNNPlugin: 2.1.")


def test_load_network(files: tuple[str, str]) -> None:
    path_to_xml_file, path_to_bin_file = files
    net = IENetwork(model=path_to_xml_file, weights=path_to_bin_file)
    ie = IECore()
    exec_net = ie.load_network(network=net, device_name="CPU", num_requests=2)
    assert isinstance(exec_net, ExecutableNetwork)
    assert len(exec_net.requests) == 2


def test_query_network(files: tuple[str, str]) -> None:
    path_to_xml_file, path_to_bin_file = files
    net = IENetwork(model=path_to_xml_file, weights=path_to_bin_file)
    ie = with_gpu()
    layers = ie.query_network(network=net, device_name="HETERO:GPU,CPU")
    assert set(layers) == set(net.layers)
    assert set(layers.values()) <= {"GPU", "CPU"}
    assert layers["conv"] == "GPU"


def test_register_and_unregister_plugin() -> None:
    ie = IECore()
    ie.register_plugin(plugin_name="MKLDNNPlugin", device_name="MY_NEW_PLUGIN")
    assert "MY_NEW_PLUGIN" in ie.available_devices
    ie.unregister_plugin(device_name="MY_NEW_PLUGIN")
    assert ie.get_metric("MY_NEW_PLUGIN", "FULL_DEVICE_NAME") == ie.get_metric("CPU", "FULL_DEVICE_NAME")


def test_get_metric_and_get_config() -> None:
    ie = IECore()
    assert "FULL_DEVICE_NAME" in ie.get_metric(metric_name="SUPPORTED_METRICS", device_name="CPU")
    assert ie.get_config(metric_name="CPU_BIND_THREAD", device_name="CPU") == "YES"
    assert ie.get_config(config_name="CPU_BIND_THREAD", device_name="CPU") == "YES"


# -- affinity --------------------------------------------------------------------------------------------------------------
def test_affinity(files: tuple[str, str]) -> None:
    path_to_xml_file, path_to_bin_file = files
    net = IENetwork(model=path_to_xml_file, weights=path_to_bin_file)
    plugin = IEPlugin(device="HETERO:FPGA,CPU")
    plugin.set_config({"TARGET_FALLBACK": "HETERO:FPGA,CPU"})
    plugin.set_initial_affinity(net)
    for l in net.layers.values():  # noqa: E741
        if l.type == "Convolution":
            l.affinity = "CPU"
    assert {name: layer.affinity for name, layer in net.layers.items()} == {
        "conv": "CPU", "data": "FPGA", "fc": "FPGA", "relu": "FPGA", "split": "FPGA",
    }  # fmt: skip
    exec_net = plugin.load(network=net)
    steps = exec_net.get_exec_graph_info().layers.values()
    devices = {step.params["originalLayersNames"]: step.params["device"] for step in steps if step.params.get("originalLayersNames")}
    assert (devices["conv"], devices["fc"]) == ("CPU", "FPGA")
    want = IECore().load_network(net, "CPU").infer({"data": IMAGE})["fc"]
    np.testing.assert_allclose(exec_net.infer({"data": IMAGE})["fc"], want, atol=2e-3)


def test_how_default_and_other_affinities_are_set(files: tuple[str, str]) -> None:
    net = IENetwork(*files)
    assert all(layer.affinity == "" for layer in net.layers.values())
    plugin = IEPlugin(device="HETERO:FPGA,GPU") if "GPU" in IECore()._registry.names() else IEPlugin(device="HETERO:FPGA,CPU")
    plugin.set_initial_affinity(net)
    assert {layer.affinity for layer in net.layers.values()} == {"FPGA"}
    net.layers["conv"].affinity = "CPU"
    assert {name for name, layer in net.layers.items() if layer.affinity == "CPU"} == {"conv"}


# -- IEPlugin --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("device", ["CPU", "FPGA", "MYRIAD", "HETERO"])
def test_devices_of_the_old_plugin(device: str) -> None:
    plugin = IEPlugin(device=device)
    assert plugin.device == device
    assert plugin.version.startswith("2.1.")


def test_load_of_the_old_plugin(files: tuple[str, str]) -> None:
    path_to_xml_file, path_to_bin_file = files
    net = IENetwork(model=path_to_xml_file, weights=path_to_bin_file)
    plugin = IEPlugin(device="CPU")
    exec_net = plugin.load(network=net, num_requests=3)
    assert isinstance(exec_net.requests, tuple)
    assert len(exec_net.requests) == 3
    assert exec_net.infer({"data": IMAGE})["fc"].shape == (1, 5)
    assert isinstance(exec_net.get_exec_graph_info(), IENetwork)


def test_supported_layers(files: tuple[str, str]) -> None:
    net = IENetwork(*files)
    assert IEPlugin(device="CPU").get_supported_layers(net) == set(net.layers)
    assert IEPlugin(device="HETERO:FPGA,CPU").get_supported_layers(net) == set(net.layers)


def test_dynamic_batch(files: tuple[str, str]) -> None:
    net = IENetwork(*files)
    net.batch_size = 2
    plugin = IEPlugin(device="CPU")
    plugin.set_config({"DYN_BATCH_ENABLED": "YES"})
    exec_net = plugin.load(network=net)
    exec_net.requests[0].set_batch(1)
    exec_net.infer({"data": IMAGE})
    assert exec_net.requests[0].outputs["fc"][0].any()
    assert not exec_net.requests[0].outputs["fc"][1].any()


# -- ExecutableNetwork, InferRequest ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("device", ["CPU", "HETERO:FPGA,CPU", "MULTI:CPU,FPGA.1"])
def test_metrics_and_settings_of_what_is_loaded(files: tuple[str, str], device: str) -> None:
    ie = IECore()
    net = IENetwork(model=files[0], weights=files[1])
    exec_net = ie.load_network(net, device)
    assert exec_net.get_metric("NETWORK_NAME") == "small"
    key = {"CPU": "CPU_BIND_THREAD", "HETERO": "TARGET_FALLBACK", "MULTI": "MULTI_DEVICE_PRIORITIES"}[device.partition(":")[0]]
    assert exec_net.get_config(key) == (device.partition(":")[2] or "YES")


@pytest.mark.parametrize("device", ["CPU", "HETERO:FPGA,CPU", "MULTI:CPU,FPGA.1"])
def test_callbacks(files: tuple[str, str], device: str, capsys: pytest.CaptureFixture[str]) -> None:
    callback = lambda status, py_data: print(f"Request with id {py_data} finished with status {status}")  # noqa: E731
    net = IENetwork(*files)
    ie = IECore()
    exec_net = ie.load_network(net, device, num_requests=4)
    for id, req in enumerate(exec_net.requests):
        req.set_completion_callback(py_callback=callback, py_data=id)
    for req in exec_net.requests:
        req.async_infer({"data": IMAGE})
    for req in exec_net.requests:
        req.wait()
    assert sorted(capsys.readouterr().out.split("\n"))[1:] == [f"Request with id {i} finished with status 0" for i in range(4)]
