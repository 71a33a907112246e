# SPDX-License-Identifier: Apache-2.0
"""The CPU device's metrics and config keys, with the texts of 2019 R3."""

from __future__ import annotations

import ctypes
import os

import pytest

from ie_ctypes import runtime
from ie_ctypes.devices import cpu
from ie_ctypes.errors import IEError, OutOfBoundsError
from ie_ctypes.model.program import Program, ProgramNode, Tensor, TensorType
from ie_ctypes.runtime import abi
from ie_ctypes.runtime.library import library


@pytest.fixture
def device() -> cpu.CpuDevice:
    return cpu.CpuDevice()


def test_metrics(device: cpu.CpuDevice) -> None:
    assert device.get_metric("SUPPORTED_METRICS") == [
        "AVAILABLE_DEVICES",
        "SUPPORTED_METRICS",
        "FULL_DEVICE_NAME",
        "OPTIMIZATION_CAPABILITIES",
        "SUPPORTED_CONFIG_KEYS",
        "RANGE_FOR_ASYNC_INFER_REQUESTS",
        "RANGE_FOR_STREAMS",
    ]
    for name in cpu.METRICS:
        device.get_metric(name)
    assert device.get_metric("AVAILABLE_DEVICES") == [""]
    assert device.get_metric("RANGE_FOR_ASYNC_INFER_REQUESTS") == (1, 1, 1)
    assert device.get_metric("RANGE_FOR_STREAMS") == (1, len(os.sched_getaffinity(0)))
    assert device.get_metric("SUPPORTED_CONFIG_KEYS") == sorted(cpu.DEFAULTS)
    name = device.get_metric("FULL_DEVICE_NAME")
    assert isinstance(name, str)
    assert name.strip()
    capabilities = device.get_metric("OPTIMIZATION_CAPABILITIES")
    assert capabilities in (["WINOGRAD", "FP32", "INT8", "BIN"], ["FP32", "INT8", "BIN"])
    with pytest.raises(IEError, match=r"^Unsupported metric key NOPE$"):
        device.get_metric("NOPE")


def test_config_defaults_and_changes(device: cpu.CpuDevice) -> None:
    assert {k: device.get_config(k) for k in cpu.DEFAULTS} == cpu.DEFAULTS
    device.set_config({"PERF_COUNT": "YES", "CPU_THREADS_NUM": "1"})
    assert device.get_config("PERF_COUNT") == "YES"
    assert device.get_config("CPU_THREADS_NUM") == "1"
    with pytest.raises(IEError, match=r"^Unsupported config key NOPE$"):
        device.get_config("NOPE")


STREAMS = (
    "Wrong value for property key CPU_THROUGHPUT_STREAMS. Expected only positive numbers (#streams) "
    "or PluginConfigParams::CPU_THROUGHPUT_NUMA/CPU_THROUGHPUT_AUTO"
)
THREADS = "Wrong value for property key CPU_THREADS_NUM. Expected only positive numbers (#threads)"


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("NOPE", "1", "[NOT_FOUND] Unsupported property NOPE by CPU plugin"),
        ("KEY_PERF_COUNT", "YES", "[NOT_FOUND] Unsupported property KEY_PERF_COUNT by CPU plugin"),
        ("PERF_COUNT", "yes", "Wrong value for property key PERF_COUNT. Expected only YES/NO"),
        ("CPU_BIND_THREAD", "yes", "Wrong value for property key CPU_BIND_THREAD. Expected only YES/NO"),
        ("CPU_THREADS_NUM", "abc", THREADS),
        ("CPU_THREADS_NUM", "-1", THREADS),
        ("CPU_THREADS_NUM", "1000000", THREADS),
        ("CPU_THROUGHPUT_STREAMS", "x", STREAMS),
        ("CPU_THROUGHPUT_STREAMS", "0", STREAMS),
        ("DYN_BATCH_LIMIT", "a", "Wrong value for property key DYN_BATCH_LIMIT. Expected only integer numbers, got 'a'"),
    ],
)
def test_bad_settings_are_refused_and_change_nothing(device: cpu.CpuDevice, key: str, value: str, text: str) -> None:
    for call in (device.set_config, device.driver_config):
        with pytest.raises(IEError) as caught:
            call({"DYN_BATCH_LIMIT": "2", key: value})
        assert str(caught.value) == text
    assert {k: device.get_config(k) for k in cpu.DEFAULTS} == cpu.DEFAULTS


@pytest.mark.parametrize(("cores", "streams"), [(1, 1), (2, 1), (3, 3), (4, 4), (5, 5), (6, 3), (8, 4), (10, 5), (16, 4), (48, 12), (7, 1)])
def test_automatic_streams(cores: int, streams: int) -> None:
    assert cpu.auto_streams(cores) == streams


def test_streams_by_name_become_numbers(device: cpu.CpuDevice) -> None:
    device.set_config({"CPU_THROUGHPUT_STREAMS": "CPU_THROUGHPUT_AUTO"})
    assert device.get_config("CPU_THROUGHPUT_STREAMS") == str(cpu.auto_streams(runtime.cpu_info().physical))
    device.set_config({"CPU_THROUGHPUT_STREAMS": "CPU_THROUGHPUT_NUMA"})
    assert device.get_config("CPU_THROUGHPUT_STREAMS") == str(runtime.cpu_info().sockets)


def test_a_load_s_settings_do_not_stay(device: cpu.CpuDevice) -> None:
    device.set_config({"CPU_THREADS_NUM": "1"})
    assert device.driver_config({"PERF_COUNT": "YES"})["PERF_COUNT"] == "YES"
    assert device.driver_config({}) == {
        "CACHE_DIR": "",
        "CPU_BIND_THREAD": "YES",
        "CPU_THREADS_NUM": "1",
        "CPU_THROUGHPUT_STREAMS": "1",
        "PERF_COUNT": "NO",
    }


def test_exclusive_requests_mean_one_stream(device: cpu.CpuDevice) -> None:
    config = {"EXCLUSIVE_ASYNC_REQUESTS": "YES", "CPU_THROUGHPUT_STREAMS": "4"}
    assert device.driver_config(config)["CPU_THROUGHPUT_STREAMS"] == "1"


def test_cpu_info_is_plausible() -> None:
    info = runtime.cpu_info()
    assert info.usable == len(os.sched_getaffinity(0))
    assert 1 <= info.sockets <= info.physical <= info.usable <= info.logical
    assert runtime.version()


def test_a_text_that_outgrew_its_room_says_what_it_takes(device: cpu.CpuDevice) -> None:
    """The executable graph has times in it, whose digits grow while other threads infer."""
    kind = TensorType("float32", (2,))
    program = Program("net", [Tensor("x", kind), Tensor("y", kind)], [ProgramNode("Unary", "n", "n", "ReLU", (0,), (1,), {"op": "relu"})])
    program.inputs, program.input_names, program.outputs, program.output_names = [0], ["x"], [1], ["y"]
    executable = device.compile(program, {})._native  # type: ignore[attr-defined]
    whole = len(executable.get_property("EXEC_GRAPH")) + 1
    size, error, room = ctypes.c_size_t(10), abi.Error(struct_size=ctypes.sizeof(abi.Error)), ctypes.create_string_buffer(10)
    status = executable._call(library().iec_executable_get_property, b"EXEC_GRAPH", room, size, error)
    assert (status, size.value) == (OutOfBoundsError.code, whole)
