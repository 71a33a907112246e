# SPDX-License-Identifier: Apache-2.0
"""The examples of the user's document that mention a plugin or an extension, run as they stand but for its obvious slips.

Examples of devices and affinities are in ``test_overview_affinity.py``. Slips corrected here:

| the document | here |
|---|---|
| closes ``<plugins>`` with ``</plugin>`` | ``</plugins>`` |
| ``name=""`` and ``location=""`` of its plugins.xml | names and locations |
| ``register_plugin(plugin=...)``; its own signature says ``plugin_name`` | ``plugin_name=`` |
| "the method registers a plugin with the default name", which R3 did under the empty one | under the name of the library |
| ``plugin.add_cpu_extenstions(...)`` | ``add_cpu_extension`` |
| "adds an extension by ``add_cpu_extenstion()``" | the same |
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from plugins.custom_networks import SHAPE, chain

from ie_ctypes import IECore, IENetwork, IEPlugin
from ie_ctypes.api import core as core_module

from .conftest import write

ROOT = Path(__file__).parents[2]
DATA = np.arange(6, dtype=np.float32).reshape(SHAPE)


@pytest.fixture
def driver(build_driver: Callable[..., str]) -> str:
    """A driver in C: the null driver."""
    return build_driver(ROOT / "csrc" / "driver_null" / "null.c")


@pytest.fixture
def extension(build_driver: Callable[..., str]) -> str:
    """An extension in C: the layer type CScale among others."""
    return build_driver(ROOT / "tests" / "abi" / "extension.c")


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    """A network with a layer of type CScale."""
    return write(chain("legacy", type="CScale"), tmp_path, "model")


@pytest.fixture
def my_custom_cfg(tmp_path: Path, driver: str, extension: str) -> str:
    """A plugins.xml of the document's structure."""
    path = tmp_path / "my_custom_cfg.xml"
    path.write_text(
        f"""<ie>
        <plugins>
        <plugin name="CPU" location="libMKLDNNPlugin.so" optional="no">
        <extensions>
        <extension location="{extension}"/>
        </extensions>
        <properties>
        <property key="CPU_THROUGHPUT_STREAMS" value="2"/>
        </properties>
        </plugin>
        <plugin name="MINE" location="{driver}" optional="yes"/>
        </plugins>
        </ie>"""
    )
    return str(path)


def test_custom_configuration(my_custom_cfg: str, files: tuple[str, str]) -> None:
    ie = IECore(my_custom_cfg)
    assert ie.available_devices == ["CPU", "MINE"]
    assert ie.get_config("CPU", "CPU_THROUGHPUT_STREAMS") == "2"
    exec_net = ie.load_network(IENetwork(*files), "CPU")
    np.testing.assert_array_equal(exec_net.infer({"data": DATA})["out0"], 3 * DATA)
    assert not ie.load_network(IENetwork(*chain("opset", type="ReLU")), "MINE").infer({"data": DATA})["out0"].any()


def test_register_plugins(my_custom_cfg: str, files: tuple[str, str]) -> None:
    ie = IECore()
    ie.register_plugins(my_custom_cfg)
    assert {"CPU", "MINE"} <= set(ie.available_devices)
    assert ie.query_network(IENetwork(*files), "CPU")["mine"] == "CPU"  # by the extension of the file


def test_register_plugin(driver: str) -> None:
    ie = IECore()
    ie.register_plugin(plugin_name="MKLDNNPlugin", device_name="MY_NEW_PLUGIN")
    assert "MY_NEW_PLUGIN" in ie.available_devices
    ie.register_plugin(plugin_name=driver, device_name="NULL")
    assert ie.get_versions("NULL")["NULL"].description == "answers zeros"
    ie.register_plugin(driver)  # without a name, that of the library
    assert ie.get_versions(Path(driver).stem)[Path(driver).stem].description == "answers zeros"
    ie.unregister_plugin(device_name="MY_NEW_PLUGIN")


def test_add_extension(extension: str, files: tuple[str, str]) -> None:
    ie = IECore()
    net = ie.read_network(*files)
    assert "mine" not in ie.query_network(network=net, device_name="CPU")  # "layers support depends on ... loaded extensions"
    ie.add_extension(extension_path=extension, device_name="CPU")
    assert ie.query_network(network=net, device_name="CPU")["mine"] == "CPU"
    np.testing.assert_array_equal(ie.load_network(net, "CPU").infer({"data": DATA})["out0"], 3 * DATA)


@pytest.mark.parametrize("device", ["CPU", "HETERO:REFERENCE,CPU"])
def test_add_cpu_extension(device: str, extension: str, files: tuple[str, str]) -> None:
    net = IENetwork(*files)
    plugin = IEPlugin(device=device)
    assert "mine" not in plugin.get_supported_layers(net)  # "support of a layer may depend on extension loaded"
    plugin.add_cpu_extension(extension)
    assert plugin.get_supported_layers(net) == set(net.layers)
    exec_net = plugin.load(network=net, num_requests=2)
    np.testing.assert_array_equal(exec_net.infer({"data": DATA})["out0"], 3 * DATA)


def test_retired_cpu_extension() -> None:
    core_module._warn_once_of_retired.cache_clear()
    with pytest.warns(DeprecationWarning, match="CPU has their layers"):
        IECore().add_extension(extension_path="/some_dir/libcpu_extension_avx2.so", device_name="CPU")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for device in ("CPU", "HETERO:REFERENCE,CPU"):
            IEPlugin(device=device).add_cpu_extension("/some_dir/libcpu_extension_avx2.so")
    with pytest.raises(RuntimeError, match="add_cpu_extension method applicable only for CPU or HETERO devices"):
        IEPlugin(device="REFERENCE").add_cpu_extension("/some_dir/libcpu_extension_avx2.so")
