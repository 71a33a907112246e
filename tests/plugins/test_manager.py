# SPDX-License-Identifier: Apache-2.0
"""Finding plugins, switching them off, those that do not work, and two of one name."""

from __future__ import annotations

import inspect
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from api.conftest import GateDevice, identity_network

from ie_ctypes import ExecutableNetwork, IECore, IEError
from ie_ctypes.plugins import Device, Reader, Subcommand, hookimpl, hookspecs
from ie_ctypes.plugins.manager import PluginManager, create_manager

from .conftest import Install

ACME = """
    from ie_ctypes.plugins import Device, hookimpl

    def never():
        raise AssertionError("nothing may be opened before it is used")

    @hookimpl
    def ie_ctypes_devices():
        yield Device(name="ACME", library=never)
"""


class Gates:
    """Provides a device of that name."""

    def __init__(self, name: str = "GATE") -> None:
        self._name = name

    @hookimpl
    def ie_ctypes_devices(self) -> list[Device]:
        return [Device(name=self._name, driver=GateDevice)]


def open_gate(core: IECore, name: str) -> None:
    """Let the inferences of a gate device through."""
    device = core._registry.device(core._registry.entry(name))
    assert isinstance(device, GateDevice)
    device.gate.set()


def test_installed_plugin_is_found_and_not_opened(install: Install) -> None:
    install("acme", "acme-ie", ACME)
    manager = create_manager()
    assert {"ACME", "CPU", "REFERENCE"} <= set(manager.devices())
    assert manager.origin("acme").distribution == "acme-ie 1.0"
    assert "ACME" in IECore(plugin_manager=manager)._registry.names()
    assert not manager.failed


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("import does_not_exist", "cannot be loaded: ModuleNotFoundError: No module named 'does_not_exist'"),
        ("raise SyntaxError('no')", "cannot be loaded: SyntaxError: no"),
        (ACME.replace("ie_ctypes_devices", "ie_ctypes_devises"), "unknown hook 'ie_ctypes_devises'"),
        (ACME.replace("ie_ctypes_devices()", "ie_ctypes_devices(core)"), "Argument(s) {'core'}"),
        (ACME.replace('Device(name="ACME"', 'Device(name="acme"'), "fails in ie_ctypes_devices: ValueError: device name 'acme'"),
        (ACME.replace('yield Device(name="ACME", library=never)', "yield 5"), "a record of type int, expected Device"),
    ],
)
def test_broken_plugin_is_a_warning_and_the_rest_works(install: Install, code: str, text: str) -> None:
    install("broken", "broken-ie", code)
    install("acme", "acme-ie", ACME)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        manager = create_manager()
        core = IECore(plugin_manager=manager)
    (warning,) = caught
    assert warning.category is RuntimeWarning
    assert str(warning.message).startswith("plugin broken of broken-ie 1.0 ")
    assert text in str(warning.message)
    assert {"ACME", "CPU"} <= set(core._registry.names())
    (failure,) = manager.failed
    assert failure.origin.distribution == "broken-ie 1.0"
    assert text in failure.error
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # told once
        IECore(plugin_manager=manager)


def test_hook_that_the_plugin_calls_optional_may_be_unknown(install: Install) -> None:
    install("acme", "acme-ie", ACME + "\n    @hookimpl(optionalhook=True)\n    def ie_ctypes_of_next_year(): pass\n")
    assert "ACME" in create_manager().devices()


def test_two_providers_of_a_device_are_named_with_their_distributions(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("acme", "acme-ie", ACME)
    install("acme2", "fork-of-acme", ACME)
    with pytest.raises(IEError, match=r"device ACME is provided by two plugins, .*acme of acme-ie 1\.0") as error:
        IECore(plugin_manager=create_manager())
    assert "acme2 of fork-of-acme 1.0" in str(error.value)
    monkeypatch.setenv("IE_CTYPES_DISABLE_PLUGINS", " acme2 , other")
    manager = create_manager()
    assert "ACME" in IECore(plugin_manager=manager)._registry.names()
    assert [o.name for o in manager.left_out] == ["acme2"]


def test_two_plugins_of_one_name_leave_the_first(install: Install) -> None:
    install("acme", "acme-ie", ACME)
    install("acme", "fork-of-acme", ACME)
    with pytest.warns(RuntimeWarning, match=r"plugin acme of .*its name is also that of acme of"):
        manager = create_manager()
    assert "ACME" in manager.devices()


def test_only_some_installed_plugins(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("acme", "acme-ie", ACME)
    install("broken", "broken-ie", "import does_not_exist")
    monkeypatch.setenv("IE_CTYPES_PLUGINS_ONLY", "acme")
    manager = create_manager()  # the broken one is not even imported
    assert {"ACME", "CPU"} <= set(manager.devices())
    assert not manager.failed


def test_built_in_devices_have_no_privilege(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IE_CTYPES_DISABLE_PLUGINS", "builtin.cpu")
    manager = create_manager(installed=False)
    manager.register(Gates("CPU"), "mine")
    core = IECore(plugin_manager=manager)
    assert core.get_versions("CPU")["CPU"].description == "test device"
    monkeypatch.delenv("IE_CTYPES_DISABLE_PLUGINS")
    manager = create_manager(installed=False)
    manager.register(Gates("CPU"), "mine")
    with pytest.raises(IEError, match=r"device CPU is provided by two plugins, builtin\.cpu of ie_ctypes .* and mine"):
        IECore(plugin_manager=manager)


def test_cores_with_managers_of_their_own_do_not_see_each_other(manager: PluginManager) -> None:
    manager.register(Gates(), "gates")
    assert "GATE" in IECore(plugin_manager=manager)._registry.names()
    assert "GATE" not in IECore()._registry.names()


def test_records_are_frozen_and_keyword_only() -> None:
    def no(*_: object) -> int:
        return 0

    for record in (
        Device(name="X", driver=GateDevice),
        Reader(name="x", read=no, suffixes=(".x",)),  # type: ignore[arg-type]
        Subcommand(name="x", help="", run=no),
    ):
        with pytest.raises(AttributeError, match="cannot assign to field"):
            record.name = "Y"  # type: ignore[misc]
        with pytest.raises(TypeError, match="positional"):
            type(record)("Y")  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="exactly one of driver and library"):
        Device(name="X")
    with pytest.raises(ValueError, match=r"suffixes \('X',\)"):
        Reader(name="x", read=no, suffixes=("X",))  # type: ignore[arg-type]


class Chooser:
    """Prefers a device, and remembers what it was offered."""

    def __init__(self, answer: str | None) -> None:
        self.answer = answer
        self.offered: list[tuple[str, ...]] = []

    @hookimpl
    def ie_ctypes_default_device(self, available: tuple[str, ...]) -> str | None:
        self.offered.append(available)
        return self.answer


def test_default_device(manager: PluginManager) -> None:
    core = IECore(plugin_manager=manager)
    net = core.read_network(*identity_network())
    assert core.load_network(net, "AUTO")._loaded.device_name == "CPU"
    assert set(core.query_network(net, "AUTO").values()) == {"CPU"}
    assert core.load_network(net, "AUTO:REFERENCE")._loaded.device_name == "REFERENCE"
    chooser = Chooser("REFERENCE")
    manager.register(chooser, "chooser")
    assert core.load_network(net, "AUTO:CPU,REFERENCE")._loaded.device_name == "REFERENCE"
    assert chooser.offered == [("CPU", "REFERENCE")]
    with pytest.raises(IEError, match="a plugin chose REFERENCE for AUTO:CPU, expected one of CPU"):
        core.load_network(net, "AUTO:CPU")
    chooser.answer = None
    assert core.load_network(net, "AUTO")._loaded.device_name == "CPU"
    with pytest.raises(IEError, match='Device with "" name is not registered'):
        core.load_network(net, "")


def test_observers_are_told_and_cannot_harm(manager: PluginManager) -> None:
    seen: list[ExecutableNetwork] = []

    class Observer:
        @hookimpl
        def ie_ctypes_network_compiled(self, exec_network: ExecutableNetwork) -> None:
            seen.append(exec_network)

    class Faulty:
        @hookimpl
        def ie_ctypes_network_compiled(self) -> None:
            raise OSError("disk full")

    manager.register(Observer(), "observer")
    manager.register(Faulty(), "faulty")
    core = IECore(plugin_manager=manager)
    with pytest.warns(RuntimeWarning, match="plugin faulty fails in ie_ctypes_network_compiled: OSError: disk full"):
        exec_net = core.load_network(core.read_network(*identity_network()), "REFERENCE")
    assert seen == [exec_net]
    core.load_network(core.read_network(*identity_network()), "REFERENCE")
    assert len(seen) == 2


def test_no_hook_is_called_by_an_inference(manager: PluginManager) -> None:
    core = IECore(plugin_manager=manager)
    exec_net = core.load_network(core.read_network(*identity_network()), "CPU")
    calls: list[str] = []
    undo = manager.add_hookcall_monitoring(lambda name, *_: calls.append(name), lambda *_: None)
    exec_net.infer({"data": 1.0})
    exec_net.start_async(0).wait()
    undo()
    assert not calls


def test_import_loads_no_plugins_and_no_command_line() -> None:
    code = "import sys, ie_ctypes; print([m for m in ('pluggy', 'argparse', 'importlib.metadata', 'ie_ctypes.cli') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True, check=True)
    assert "pluggy" not in done.stdout
    assert "ie_ctypes.cli" not in done.stdout


def test_every_hook_is_documented_with_its_arguments() -> None:
    page = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text()
    hooks = {name: function for name, function in vars(hookspecs).items() if name.startswith("ie_ctypes_")}
    assert len(hooks) == 7
    for name, function in hooks.items():
        assert f"| `{name}({', '.join(inspect.signature(function).parameters)})` |" in page
