# SPDX-License-Identifier: Apache-2.0
"""Metrics, config keys and errors of the GPU device, with and without OpenCL."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ie_ctypes import IECore, IENetwork
from ie_ctypes.devices import gpu
from ie_ctypes.errors import IEError

MODELS = Path(__file__).parents[2] / "samples" / "models"


def digits(core: IECore) -> IENetwork:
    return core.read_network(str(MODELS / "digits_v7.xml"), str(MODELS / "digits_v7.bin"))


def run(code: str, **environment: str) -> str:
    """What a new process prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_metrics(device: gpu.GpuDevice) -> None:
    for name in gpu.METRICS:
        device.get_metric(name)
    assert device.get_metric("SUPPORTED_METRICS") == list(gpu.METRICS)
    assert device.get_metric("SUPPORTED_CONFIG_KEYS") == sorted(gpu.DEFAULTS)
    assert device.get_metric("AVAILABLE_DEVICES") == [str(i) for i in range(len(device.units()))]
    assert device.get_metric("RANGE_FOR_ASYNC_INFER_REQUESTS") == (1, 2, 1)
    assert device.get_metric("RANGE_FOR_STREAMS") == (1, 2)
    assert device.get_metric("OPTIMIZATION_CAPABILITIES") == ["FP32", "FP16", "BIN", "INT8"]
    assert device.units()[0]["name"] in str(device.get_metric("FULL_DEVICE_NAME"))
    with pytest.raises(IEError, match=r"^Unsupported metric key NOPE$"):
        device.get_metric("NOPE")


@pytest.mark.without_opencl
def test_config() -> None:
    device = gpu.GpuDevice()
    assert {k: device.get_config(k) for k in gpu.DEFAULTS} == gpu.DEFAULTS
    device.set_config(
        {"PERF_COUNT": "YES", "GPU_THROUGHPUT_STREAMS": "GPU_THROUGHPUT_AUTO", "GPU_PLUGIN_PRIORITY": "2", "GPU_NV12_TWO_INPUTS": "YES"}
    )
    assert device.get_config("CLDNN_NV12_TWO_INPUTS") == "YES"
    assert device.get_config("GPU_THROUGHPUT_STREAMS") == "2"
    assert device.get_config("CLDNN_PLUGIN_PRIORITY") == device.get_config("GPU_PLUGIN_PRIORITY") == "2"
    with pytest.raises(IEError, match=r"^Unsupported config key NOPE$"):
        device.get_config("NOPE")


@pytest.mark.without_opencl
@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("NOPE", "1", r"\[NOT_FOUND\] Unsupported property NOPE by GPU plugin"),
        ("PERF_COUNT", "ON", "Wrong value for property key PERF_COUNT. Expected only YES/NO"),
        ("GPU_THROUGHPUT_STREAMS", "0", "positive numbers"),
        ("CLDNN_PLUGIN_PRIORITY", "4", "Expected only 0/1/2/3"),
        ("GPU_MAX_NUM_THREADS", "many", "positive numbers"),
        ("TUNING_MODE", "ON", "TUNING_DISABLED/TUNING_CREATE"),
        ("CONFIG_FILE", "custom.xml", "custom.xml: cannot be read"),
    ],
)
def test_wrong_config(key: str, value: str, text: str) -> None:
    with pytest.raises(IEError, match=text):
        gpu.GpuDevice().set_config({key: value})


def test_the_sample_network_end_to_end() -> None:
    core = IECore()
    assert any(name.split(".")[0] == "GPU" for name in core.available_devices)
    image = np.random.default_rng(1).random((1, 1, 8, 8), np.float32) * 255
    want = core.load_network(digits(core), "CPU").infer({"data": image})["prob"]
    exec_net = core.load_network(digits(core), "GPU.0", {"GPU_THROUGHPUT_STREAMS": "2"}, num_requests=3)
    assert exec_net.get_metric("OPTIMAL_NUMBER_OF_INFER_REQUESTS") == 4
    np.testing.assert_allclose(exec_net.infer({"data": image})["prob"], want, atol=1e-5)
    for request in exec_net.requests:
        request.async_infer({"data": image})
    for request in exec_net.requests:
        assert request.wait() == 0
        np.testing.assert_allclose(request.outputs["prob"], want, atol=1e-5)


def test_a_unit_that_is_not_there() -> None:
    core = IECore()
    with pytest.raises(IEError, match="GPU has no device '77', there are 0"):
        core.load_network(digits(core), "GPU.77")


@pytest.mark.without_opencl
def test_without_opencl_the_device_is_not_listed_and_says_why() -> None:
    code = (
        "from ie_ctypes import IECore\n"
        "core = IECore()\n"
        "assert not [d for d in core.available_devices if d.startswith('GPU')], core.available_devices\n"
        f"net = core.read_network({str(MODELS / 'digits_v7.xml')!r})\n"
        "try:\n    core.load_network(net, 'GPU')\n"
        "except RuntimeError as e:\n    print(e)\n"
        "print(core.query_network(net, 'CPU')['conv1'])\n"
    )
    text = run(code, IE_CTYPES_OPENCL_LIBRARY="/nowhere/libOpenCL.so.1")
    assert "OpenCL is not installed: /nowhere/libOpenCL.so.1: cannot open" in text
    assert text.endswith("CPU\n")
    text = run(code, IE_CTYPES_OPENCL_LIBRARY="libm.so.6")
    assert "libm.so.6 has no clGetPlatformIDs" in text


def test_a_forked_child_is_told(tmp_path: Path) -> None:
    code = (
        "import os, numpy as np\n"
        "from ie_ctypes import IECore\n"
        "core = IECore()\n"
        f"net = core.read_network({str(MODELS / 'digits_v7.xml')!r})\n"
        "exec_net = core.load_network(net, 'GPU')\n"
        "image = np.zeros((1, 1, 8, 8), np.float32)\n"
        "exec_net.infer({'data': image})\n"
        "if os.fork() == 0:\n"
        "    for action in (lambda: exec_net.infer({'data': image}), lambda: core.load_network(net, 'GPU')):\n"
        "        try:\n            action()\n"
        "        except RuntimeError as e:\n            print('forked from' in str(e), flush=True)\n"
        "    del exec_net, action\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "print(exec_net.infer({'data': image})['prob'].shape)\n"
    )
    lines = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=150, check=True).stdout.split("\n")
    assert lines == ["True", "True", "(1, 10)", ""]


def test_threads_may_be_the_first_to_use_opencl_together() -> None:
    """PoCL crashes when two threads set it up."""
    script = """if True:
        import threading
        from ie_ctypes import IECore
        gate, found = threading.Barrier(16), []
        def look():
            core = IECore()
            gate.wait()
            found.append("GPU" in " ".join(core.available_devices))
        threads = [threading.Thread(target=look) for _ in range(16)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        assert found == [True] * 16, found
    """
    subprocess.run([sys.executable, "-c", script], check=True)
