# SPDX-License-Identifier: Apache-2.0
"""IEPlugin."""

from __future__ import annotations

import re

import numpy as np
import pytest

from ie_ctypes import ExecutableNetwork, IENetwork, IEPlugin


def test_device_and_version(recwarn: pytest.WarningsRecorder) -> None:
    plugin = IEPlugin("REFERENCE", plugin_dirs=["/opt/plugins"])
    assert plugin.device == "REFERENCE"
    assert re.fullmatch(r"2\.1\..+", plugin.version)
    assert not recwarn.list


def test_unknown_and_absent_devices() -> None:
    with pytest.raises(ValueError, match="Unknown plugin: BLA, expected one of: CPU,GPU,FPGA,MYRIAD,HETERO,HDDL,MULTI"):
        IEPlugin("BLA")
    with pytest.raises(RuntimeError, match=r"Cannot find plugin to use :.*HDDL"):
        IEPlugin("HDDL")
    with pytest.raises(TypeError, match="Argument 'device' has incorrect type"):
        IEPlugin(5)  # type: ignore[arg-type]


def test_load(legacy: IENetwork) -> None:
    plugin = IEPlugin("REFERENCE")
    exec_net = plugin.load(network=legacy, num_requests=5)
    assert isinstance(exec_net, ExecutableNetwork)
    assert len(exec_net.requests) == 5
    assert len(plugin.load(legacy, num_requests=0).requests) == 1
    with pytest.raises(ValueError, match="Incorrect number of requests specified: -1"):
        plugin.load(legacy, num_requests=-1)
    with pytest.raises(RuntimeError, match=re.escape("[NOT_FOUND] Unsupported property NOPE by REFERENCE plugin")):
        plugin.load(legacy, config={"NOPE": "1"})
    del plugin
    assert exec_net.infer({"data": np.ones((1, 3, 8, 8))})["fc"].shape == (1, 5)


def test_supported_layers(legacy: IENetwork) -> None:
    found = IEPlugin("REFERENCE").get_supported_layers(legacy)
    assert isinstance(found, set)
    assert found == set(legacy.layers)


def test_set_config(legacy: IENetwork) -> None:
    plugin = IEPlugin("REFERENCE")
    plugin.set_config({"PERF_COUNT": "YES"})
    assert plugin.load(legacy).get_config("PERF_COUNT") == "YES"
    with pytest.raises(RuntimeError, match="Unsupported property NOPE"):
        plugin.set_config({"NOPE": "1"})
    with pytest.raises(TypeError, match="Only string keys and values are allowed!"):
        plugin.set_config({"PERF_COUNT": 1})  # type: ignore[dict-item]


def test_what_only_some_devices_have(legacy: IENetwork) -> None:
    plugin = IEPlugin("REFERENCE")
    with pytest.raises(RuntimeError, match="set_initial_affinity method applicable only for HETERO device"):
        plugin.set_initial_affinity(legacy)
    with pytest.raises(RuntimeError, match="add_cpu_extension method applicable only for CPU or HETERO devices"):
        plugin.add_cpu_extension("/x.so")
