# SPDX-License-Identifier: Apache-2.0
"""Devices registered by hand: libraries by name and path, classes in Python, plugins.xml; and taken back."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ie_ctypes import IECore, IEError
from ie_ctypes.plugins.manager import PluginManager
from ie_ctypes.runtime import library as library_module
from ie_ctypes.runtime.library import library

from .custom_networks import SHAPE, chain

ROOT = Path(__file__).parents[2]
DATA = np.arange(6, dtype=np.float32).reshape(SHAPE)


@pytest.fixture
def core(manager: PluginManager) -> IECore:
    return IECore(plugin_manager=manager)


@pytest.fixture
def driver(build_driver: Callable[..., str]) -> str:
    return build_driver(ROOT / "csrc" / "driver_null" / "null.c")


def describe(core: IECore, device: str) -> str:
    """Opens the device."""
    text: str = core.get_versions(device)[device].description
    return text


def test_library_by_path(core: IECore, driver: str) -> None:
    core.register_plugin(driver, "MINE")
    assert describe(core, "MINE") == "answers zeros"


@pytest.mark.skipif(sys.platform != "linux", reason="the prefix and suffix are those of Linux")
def test_library_by_name_lies_beside_libiec(core: IECore, driver: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library()  # loaded from where it is
    shutil.copy(driver, tmp_path / "libacme_test_driver.so")
    monkeypatch.setenv(library_module.OVERRIDE, str(tmp_path / "libiec.so"))
    core.register_plugin("acme_test_driver", "MINE")
    assert describe(core, "MINE") == "answers zeros"
    xml = tmp_path / "plugins.xml"
    xml.write_text('<ie><plugins><plugin name="MINE" location="libacme_test_driver.so"/></plugins></ie>')
    assert describe(IECore(str(xml)), "MINE") == "answers zeros"


def test_library_that_nobody_finds(core: IECore, tmp_path: Path, driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(driver, tmp_path / "libonly_here.so")
    monkeypatch.chdir(tmp_path)  # the current directory is not searched
    core.register_plugin("only_here", "MINE")  # nothing is opened yet
    with pytest.raises(IEError) as error:
        describe(core, "MINE")
    lines = str(error.value).splitlines()
    assert lines[:2] == ["Failed to create plugin libonly_here.so for device MINE", "Please, check your environment"]
    assert "libonly_here.so: cannot open shared object file: No such file or directory" in lines[2]
    with pytest.warns(RuntimeWarning, match="device MINE is not available"):
        assert "MINE" not in core.available_devices


@pytest.mark.parametrize("name", ["plugins.a_device:Outer.Inner", "ie_ctypes.devices.reference.ReferenceDevice"])
def test_class_in_python(core: IECore, name: str) -> None:
    core.register_plugin(name, "MINE")
    assert describe(core, "MINE") == ("inner" if "Inner" in name else "numpy reference implementation")
    exec_net = core.load_network(core.read_network(*chain("legacy", type="ReLU")), "MINE")
    np.testing.assert_array_equal(exec_net.infer({"data": DATA})["out0"], DATA)


def test_class_in_a_plugins_xml(tmp_path: Path) -> None:
    path = tmp_path / "plugins.xml"
    properties = '<properties><property key="PERF_COUNT" value="YES"/></properties>'
    path.write_text(f'<ie><plugins><plugin name="MINE" location="plugins.a_device:Outer.Inner">{properties}</plugin></plugins></ie>')
    core = IECore(str(path))
    assert describe(core, "MINE") == "inner"
    assert core.get_config("MINE", "PERF_COUNT") == "YES"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("plugins.a_device:Nobody", "module 'plugins.a_device' has no attribute 'Nobody'"),
        ("no_such_package.module:Class", "No module named 'no_such_package'"),
        ("plugins.a_device:NoDevice", r"plugins\.a_device\.NoDevice is not a subclass of ie_ctypes\.devices\.Device"),
        ("plugins.a_device:Fails", "no power"),
    ],
)
def test_class_that_is_none(core: IECore, name: str, text: str) -> None:
    core.register_plugin(name, "MINE")
    with pytest.raises(IEError, match=f"Failed to create plugin {name} for device MINE\nPlease, check your environment\n.*{text}"):
        describe(core, "MINE")


def test_names_that_are_refused(core: IECore) -> None:
    with pytest.raises(IEError, match=r'^Device with "CPU"  is already registered in the InferenceEngine$'):
        core.register_plugin("x", "CPU")
    with pytest.raises(IEError, match=r"^Device name must not contain dot '\.' symbol$"):
        core.register_plugin("x", "CPU.1")
    core.register_plugin("x", "X")
    with pytest.raises(IEError, match='Device with "X"  is already'):
        core.register_plugin("y", "X")


def test_unregistering(core: IECore, driver: str) -> None:
    for name in ("BLA", "CPU"):  # unknown, never created
        with pytest.raises(IEError, match=f'^Device with "{name}" name is not registered in the InferenceEngine$'):
            core.unregister_plugin(name)
    core.register_plugin(driver, "MINE")
    exec_net = core.load_network(core.read_network(*chain("legacy", type="ReLU")), "MINE")
    core.set_config({"CPU_THREADS_NUM": "1"}, "CPU")
    core.unregister_plugin("CPU")
    core.unregister_plugin("MINE")
    assert not exec_net.infer({"data": DATA})["out0"].any()  # what is loaded lives on
    assert core.get_config("CPU", "CPU_THREADS_NUM") == "0"  # a new instance, at its next use
    assert describe(core, "MINE") == "answers zeros"


def test_extensions_of_a_plugins_xml(tmp_path: Path, build_driver: Callable[..., str]) -> None:
    good = build_driver(ROOT / "tests" / "abi" / "extension.c")
    path = tmp_path / "plugins.xml"
    for location, works in ((good, True), ("/nowhere/libext.so", False)):
        extensions = f'<extensions><extension location="{location}"/></extensions>'
        path.write_text(f'<ie><plugins><plugin name="CPU" location="MKLDNNPlugin">{extensions}</plugin></plugins></ie>')
        core = IECore(str(path))
        net = core.read_network(*chain("legacy", type="CScale"))
        if works:
            np.testing.assert_array_equal(core.load_network(net, "CPU").infer({"data": DATA})["out0"], 3 * DATA)
            continue
        with pytest.raises(IEError, match=r"Failed to create plugin MKLDNNPlugin for device CPU\n.*\nCannot load library '/nowhere/libext"):
            core.load_network(net, "CPU")
