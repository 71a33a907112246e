# SPDX-License-Identifier: Apache-2.0
"""What was built for version 1.0 of the C ABI works with the library of today."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from plugins.custom_networks import SHAPE, chain

from ie_ctypes import IECore
from ie_ctypes.errors import NotImplementedIEError
from ie_ctypes.plugins import Kernel
from ie_ctypes.plugins.manager import create_manager

OLD = Path(__file__).parent / "v1_0"
DATA = np.arange(6, dtype=np.float32).reshape(SHAPE)


@pytest.fixture(scope="module", params=["c11", "c17"])
def build(request: pytest.FixtureRequest, compiler: str, tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    """Compile one of the sources against the headers of their time, without a warning."""
    folder = tmp_path_factory.mktemp("v1_0")

    def compile_old(name: str) -> str:
        out = folder / f"lib{name}.so"
        flags = [f"-std={request.param}", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fPIC", "-shared", f"-I{OLD}"]
        subprocess.run([compiler, *flags, str(OLD / f"{name}.c"), "-o", str(out)], check=True)
        return str(out)

    return compile_old


def test_the_headers_are_those_of_1_0() -> None:
    text = (OLD / "iec" / "base.h").read_text()
    assert re.search(r"IEC_ABI_MAJOR 1u", text)
    assert re.search(r"IEC_ABI_MINOR 0u", text)


def test_driver(build) -> None:  # type: ignore[no-untyped-def]
    core = IECore(plugin_manager=create_manager(installed=False))
    core.register_plugin(build("driver"), "OLD")
    assert core.get_versions("OLD")["OLD"].description == "answers zeros"
    net = core.read_network(*chain("opset", type="ReLU"))
    assert set(core.query_network(net, "OLD")) == set(net.layers)
    exec_net = core.load_network(net, "OLD", num_requests=2)
    assert not exec_net.infer({"data": DATA})["out0"].any()
    request = exec_net.start_async(1, {"data": DATA})
    assert request.wait() == 0
    assert request.get_perf_counts()["mine"]["status"] == "NOT_RUN"
    with pytest.raises(NotImplementedIEError, match="does not support extensions"):
        core.add_extension(Kernel(type="MyLayer", function=lambda params, x: x), "OLD")
    core.unregister_plugin("OLD")


def test_extension(build) -> None:  # type: ignore[no-untyped-def]
    core = IECore(plugin_manager=create_manager(installed=False))
    core.add_extension(build("extension"), "CPU")
    core.add_extension(Kernel(type="OldAdd", function=None, shape=lambda params, x: x.shape), "CPU")
    net = core.read_network(*chain("legacy", type="OldAdd", params={"addend": 0.5}))
    net.reshape({"data": (3, 3)})
    exec_net = core.load_network(net, "CPU")
    assert exec_net.infer({"data": np.zeros((3, 3))})["out0"].tolist() == [[0.5] * 3] * 3
    assert exec_net.requests[0].get_perf_counts()["mine"]["exec_type"] == "old_add_FP32"
