# SPDX-License-Identifier: Apache-2.0
"""The GPU device over OpenCL: units, metrics, config keys (2019 R3 and what later releases added), texts of errors."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ie_ctypes._version import __version__
from ie_ctypes.devices.base import Device, Executable, Parameter
from ie_ctypes.devices.native import NativeDevice
from ie_ctypes.errors import NotFoundError, ParameterMismatchError
from ie_ctypes.model.program import Program

if TYPE_CHECKING:
    from ie_ctypes.model.custom import CustomLayer

#: key -> default, in the alphabetical order of SUPPORTED_CONFIG_KEYS
DEFAULTS = {
    "CACHE_DIR": "",
    "CLDNN_ENABLE_FP16_FOR_QUANTIZED_MODELS": "YES",
    "CLDNN_GRAPH_DUMPS_DIR": "",
    "CLDNN_INT8_ENABLED": "NO",
    "CLDNN_MEM_POOL": "YES",
    "CLDNN_NV12_TWO_INPUTS": "NO",
    "CLDNN_PLUGIN_PRIORITY": "0",
    "CLDNN_PLUGIN_THROTTLE": "0",
    "CLDNN_SOURCES_DUMPS_DIR": "",
    "CONFIG_FILE": "",
    "DEVICE_ID": "",
    "DUMP_KERNELS": "NO",
    "DYN_BATCH_ENABLED": "NO",
    "DYN_BATCH_LIMIT": "0",
    "EXCLUSIVE_ASYNC_REQUESTS": "NO",
    "GPU_ENABLE_LOOP_UNROLLING": "YES",
    "GPU_MAX_NUM_THREADS": "0",
    "GPU_THROUGHPUT_STREAMS": "1",
    "INFERENCE_PRECISION_HINT": "f32",
    "PERF_COUNT": "NO",
    "TUNING_FILE": "",
    "TUNING_MODE": "TUNING_DISABLED",
}
METRICS = (
    "AVAILABLE_DEVICES",
    "SUPPORTED_METRICS",
    "FULL_DEVICE_NAME",
    "OPTIMIZATION_CAPABILITIES",
    "SUPPORTED_CONFIG_KEYS",
    "RANGE_FOR_ASYNC_INFER_REQUESTS",
    "RANGE_FOR_STREAMS",
    "DEVICE_TYPE",
    "GPU_DEVICE_TOTAL_MEM_SIZE",
    "GPU_EXECUTION_UNITS_COUNT",
)
#: later names of the same keys
_ALIASES = {
    "GPU_NV12_TWO_INPUTS": "CLDNN_NV12_TWO_INPUTS",
    "GPU_PLUGIN_PRIORITY": "CLDNN_PLUGIN_PRIORITY",
    "GPU_PLUGIN_THROTTLE": "CLDNN_PLUGIN_THROTTLE",
}
_SWITCHES = (
    "CLDNN_ENABLE_FP16_FOR_QUANTIZED_MODELS",
    "CLDNN_INT8_ENABLED",
    "CLDNN_MEM_POOL",
    "CLDNN_NV12_TWO_INPUTS",
    "DUMP_KERNELS",
    "DYN_BATCH_ENABLED",
    "EXCLUSIVE_ASYNC_REQUESTS",
    "GPU_ENABLE_LOOP_UNROLLING",
    "PERF_COUNT",
)
_CHOICES = {
    "CLDNN_PLUGIN_PRIORITY": ("0", "1", "2", "3"),
    "CLDNN_PLUGIN_THROTTLE": ("0", "1", "2", "3"),
    "INFERENCE_PRECISION_HINT": ("f32", "f16"),
    "TUNING_MODE": ("TUNING_DISABLED", "TUNING_CREATE", "TUNING_USE_EXISTING", "TUNING_UPDATE", "TUNING_RETUNE"),
}
#: what the C driver is told; the other keys are accepted and have nothing to steer, or are served above it
_DRIVER_KEYS = (
    "CACHE_DIR",
    "CLDNN_MEM_POOL",
    "GPU_ENABLE_LOOP_UNROLLING",
    "GPU_THROUGHPUT_STREAMS",
    "INFERENCE_PRECISION_HINT",
    "PERF_COUNT",
    "TUNING_FILE",
    "TUNING_MODE",
)
#: streams that GPU_THROUGHPUT_AUTO asks for, the upper end of RANGE_FOR_STREAMS
_AUTO_STREAMS = 2
_MOST_STREAMS = 64


def check(key: str, value: str) -> str:
    """The value as ``get_config`` gives it back. NotFoundError for an unknown key, ParameterMismatchError for a bad value."""
    wrong = f"Wrong value for property key {key}. Expected only "
    if key not in DEFAULTS:
        raise NotFoundError(f"[NOT_FOUND] Unsupported property {key} by GPU plugin")
    if key in _SWITCHES and value not in ("YES", "NO"):
        raise ParameterMismatchError(wrong + "YES/NO")
    if key in _CHOICES and value not in _CHOICES[key]:
        raise ParameterMismatchError(wrong + "/".join(_CHOICES[key]))
    if key == "GPU_THROUGHPUT_STREAMS":
        if value == "GPU_THROUGHPUT_AUTO":
            return str(_AUTO_STREAMS)
        if not (value.isascii() and value.isdigit() and 1 <= int(value) <= _MOST_STREAMS):
            raise ParameterMismatchError(wrong + "positive numbers (#streams) or PluginConfigParams::GPU_THROUGHPUT_AUTO")
        return str(int(value))
    if key == "GPU_MAX_NUM_THREADS" and not (value.isascii() and value.isdigit()):
        raise ParameterMismatchError(wrong + f"positive numbers (#threads), got {value!r}")
    if key == "DYN_BATCH_LIMIT" and not value.removeprefix("-").isdigit():
        raise ParameterMismatchError(wrong + f"integer numbers, got {value!r}")
    return value


class GpuDevice(Device):
    """The built-in OpenCL driver, opened at first use: without OpenCL there are no units, and loading says what is missing."""

    def __init__(self) -> None:
        self.name = "GPU"
        self.description = "clDNNPlugin"
        self.build_number = __version__
        self._config = dict(DEFAULTS)
        self._driver: NativeDevice | None = None
        self._lock = threading.Lock()

    def _open(self) -> NativeDevice:
        with self._lock:
            if self._driver is None:
                self._driver = NativeDevice("GPU")
            return self._driver

    def units(self) -> list[dict[str, Any]]:
        """What OpenCL says of each device, GPUs first. NotFoundError without OpenCL or without devices."""
        text = self._open().get_metric("DEVICES")
        assert isinstance(text, str)
        found: list[dict[str, Any]] = json.loads(text)
        return found

    def _unit(self, device_id: str) -> int:
        count = len(self.units())
        if not device_id:
            return 0
        if not (device_id.isascii() and device_id.isdigit() and int(device_id) < count):
            known = ", ".join(str(i) for i in range(count))
            raise NotFoundError(f"[NOT_FOUND] GPU has no device {device_id!r}, there are {known}")
        return int(device_id)

    def query(self, program: Program) -> list[bool]:
        return self._open().query(program)

    def custom_layers(self, config: Mapping[str, str]) -> list[CustomLayer]:
        setting = config.get("CONFIG_FILE", self._config["CONFIG_FILE"])
        if not setting:
            return []
        from ie_ctypes.model.opencl_layers import files, read_opencl_layers

        found = [layer for path in files(setting) for layer in read_opencl_layers(path)]
        return [layer.definition() for layer in reversed(found)]  # the last of a type serves

    def effective_config(self, config: Mapping[str, str]) -> dict[str, Parameter]:
        given = {_ALIASES.get(key, key): value for key, value in config.items()}
        merged: dict[str, Parameter] = {**self._config, **{key: check(key, value) for key, value in given.items()}}
        if merged["EXCLUSIVE_ASYNC_REQUESTS"] == "YES":
            merged["GPU_THROUGHPUT_STREAMS"] = "1"
        return merged

    def compile(self, program: Program, config: Mapping[str, str]) -> Executable:
        merged = self.effective_config(config)
        told = {key: str(merged[key]) for key in _DRIVER_KEYS}
        told["DEVICE_ID"] = str(self._unit(str(merged["DEVICE_ID"])))
        executable = self._open().compile(program, told)
        executable.optimal_requests = 2 * executable.streams
        return executable

    def set_config(self, config: Mapping[str, str]) -> None:
        checked = {_ALIASES.get(key, key): check(_ALIASES.get(key, key), value) for key, value in config.items()}
        if "CONFIG_FILE" in checked:
            self.custom_layers(checked)  # faults are reported here
        self._config.update(checked)

    def get_config(self, name: str) -> Parameter:
        key = _ALIASES.get(name, name)
        if key not in self._config:
            raise NotFoundError(f"Unsupported config key {name}")
        return self._config[key]

    def get_metric(self, name: str) -> Parameter:
        if name == "SUPPORTED_METRICS":
            return list(METRICS)
        if name == "SUPPORTED_CONFIG_KEYS":
            return list(DEFAULTS)
        if name == "RANGE_FOR_ASYNC_INFER_REQUESTS":
            return (1, 2, 1)
        if name == "RANGE_FOR_STREAMS":
            return (1, _AUTO_STREAMS)
        if name not in METRICS:
            raise NotFoundError(f"Unsupported metric key {name}")
        if name == "AVAILABLE_DEVICES":
            try:
                return [str(i) for i in range(len(self.units()))]
            except NotFoundError:
                return []
        unit = self.units()[self._unit(self._config["DEVICE_ID"])]
        if name == "FULL_DEVICE_NAME":
            kind = {"GPU": "iGPU" if unit["unified"] else "dGPU", "CPU": "OpenCL on CPU"}.get(unit["type"], "OpenCL")
            return f"{unit['name']} ({kind})"
        if name == "DEVICE_TYPE":
            return "integrated" if unit["unified"] else "discrete"
        if name == "GPU_DEVICE_TOTAL_MEM_SIZE":
            return int(unit["global_memory"])
        if name == "GPU_EXECUTION_UNITS_COUNT":
            return int(unit["units"])
        return ["FP32", "FP16", "BIN", "INT8"]  # networks of the last two run, in floats
