# SPDX-License-Identifier: Apache-2.0
"""The CPU device: its metrics, its config keys and the texts of its errors (2019 R3)."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping

from ie_ctypes import runtime
from ie_ctypes._version import __version__
from ie_ctypes.devices.base import Executable, Parameter
from ie_ctypes.devices.native import NativeDevice, NativeExecutable
from ie_ctypes.errors import NotFoundError, ParameterMismatchError
from ie_ctypes.model.program import Program

#: key -> default, in the alphabetical order of SUPPORTED_CONFIG_KEYS
DEFAULTS = {
    "CPU_BIND_THREAD": "YES",
    "CPU_THREADS_NUM": "0",
    "CPU_THROUGHPUT_STREAMS": "1",
    "DUMP_EXEC_GRAPH_AS_DOT": "",
    "DYN_BATCH_ENABLED": "NO",
    "DYN_BATCH_LIMIT": "0",
    "EXCLUSIVE_ASYNC_REQUESTS": "NO",
    "PERF_COUNT": "NO",
}
#: a key of 2021's core, which its CPU device took without listing it: the folder of packed weights, "" for none
CACHE_DIR = "CACHE_DIR"
METRICS = (
    "AVAILABLE_DEVICES",
    "SUPPORTED_METRICS",
    "FULL_DEVICE_NAME",
    "OPTIMIZATION_CAPABILITIES",
    "SUPPORTED_CONFIG_KEYS",
    "RANGE_FOR_ASYNC_INFER_REQUESTS",
    "RANGE_FOR_STREAMS",
)
_SWITCHES = ("CPU_BIND_THREAD", "DYN_BATCH_ENABLED", "EXCLUSIVE_ASYNC_REQUESTS", "PERF_COUNT")
#: what the C driver is told; the other keys are served above it
_DRIVER_KEYS = (CACHE_DIR, "CPU_BIND_THREAD", "CPU_THREADS_NUM", "CPU_THROUGHPUT_STREAMS", "PERF_COUNT")
#: threads and streams: more is a mistake, not a wish
_LIMIT = 1024


def auto_streams(cores: int) -> int:
    """CPU_THROUGHPUT_AUTO for a number of physical cores (CONFIG.md 4)."""
    for divisor in (4, 5, 3):
        if cores % divisor == 0:
            return max(divisor, cores // divisor)
    return 1


def _number(text: str) -> int:
    """A decimal number of plain digits; -1 for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1


def check(key: str, value: str) -> str:
    """The value as ``get_config`` gives it back. NotFoundError for an unknown key, ParameterMismatchError for a bad value."""
    wrong = f"Wrong value for property key {key}. Expected only "
    if key == CACHE_DIR:
        return os.path.abspath(value) if value else ""
    if key not in DEFAULTS:
        raise NotFoundError(f"[NOT_FOUND] Unsupported property {key} by CPU plugin")
    if key in _SWITCHES and value not in ("YES", "NO") and (key, value) != ("CPU_BIND_THREAD", "NUMA"):
        raise ParameterMismatchError(wrong + "YES/NO")
    if key == "CPU_THREADS_NUM":
        if not 0 <= _number(value) <= _LIMIT:
            raise ParameterMismatchError(wrong + "positive numbers (#threads)")
        return str(_number(value))
    if key == "CPU_THROUGHPUT_STREAMS":
        if value == "CPU_THROUGHPUT_NUMA":
            return str(runtime.cpu_info().sockets)
        if value == "CPU_THROUGHPUT_AUTO":
            return str(auto_streams(runtime.cpu_info().physical))
        if not 1 <= _number(value) <= _LIMIT:
            raise ParameterMismatchError(
                wrong + "positive numbers (#streams) or PluginConfigParams::CPU_THROUGHPUT_NUMA/CPU_THROUGHPUT_AUTO"
            )
        return str(_number(value))
    if key == "DYN_BATCH_LIMIT" and _number(value.removeprefix("-")) < 0:
        raise ParameterMismatchError(wrong + f"integer numbers, got {value!r}")
    return value


class CpuDevice(NativeDevice):
    """The built-in CPU driver."""

    def __init__(self) -> None:
        super().__init__("CPU")
        self.description = "MKLDNNPlugin"
        self.build_number = __version__
        self._config = {**DEFAULTS, CACHE_DIR: ""}

    def effective_config(self, config: Mapping[str, str]) -> dict[str, Parameter]:
        merged: dict[str, Parameter] = {**self._config, **{key: check(key, value) for key, value in config.items()}}
        if merged["EXCLUSIVE_ASYNC_REQUESTS"] == "YES":
            merged["CPU_THROUGHPUT_STREAMS"] = "1"
        return merged

    def set_config(self, config: Mapping[str, str]) -> None:
        self._config.update({key: check(key, value) for key, value in config.items()})

    def get_config(self, name: str) -> Parameter:
        if name not in self._config:
            raise NotFoundError(f"Unsupported config key {name}")
        return self._config[name]

    def driver_config(self, config: Mapping[str, str]) -> dict[str, str]:
        merged = self.effective_config(config)
        return {key: str(merged[key]) for key in _DRIVER_KEYS}

    def export_program(self, program: Program, config: Mapping[str, str]) -> bytes:
        if _has_calls(program):
            return b""
        settings = self.driver_config({**config, CACHE_DIR: ""}) | {"EXPORT": "YES"}
        with runtime.Graph(program) as graph, self._native.compile(graph, settings) as executable:
            return executable.export_blob()

    def import_program(self, program: Program, config: Mapping[str, str], path: str, offset: int) -> Executable:
        with runtime.Graph(program) as graph:
            settings = self.driver_config({**config, CACHE_DIR: ""}) | {"IMPORT": f"{offset}:{path}"}
            return self._loaded(NativeExecutable(self._native.compile(graph, settings)), config)

    def compile(self, program: Program, config: Mapping[str, str]) -> Executable:
        if _has_calls(program):  # numbered anew in every load: no file would fit again
            config = {**config, CACHE_DIR: ""}
        return self._loaded(super().compile(program, config), config)

    def _loaded(self, executable: Executable, config: Mapping[str, str]) -> Executable:
        """``executable``, its graph written where the settings say so."""
        prefix = self.effective_config(config)["DUMP_EXEC_GRAPH_AS_DOT"]
        if prefix:
            from pathlib import Path

            Path(f"{prefix}_init.dot").write_text(_dot(executable.exec_graph()), encoding="utf-8")
        return executable

    def get_metric(self, name: str) -> Parameter:
        if name == "AVAILABLE_DEVICES":
            return [""]
        if name == "SUPPORTED_METRICS":
            return list(METRICS)
        if name == "SUPPORTED_CONFIG_KEYS":
            return list(DEFAULTS)
        if name == "RANGE_FOR_ASYNC_INFER_REQUESTS":
            return (1, 1, 1)
        if name not in METRICS:
            raise NotFoundError(f"Unsupported metric key {name}")
        info = runtime.cpu_info()
        if name == "FULL_DEVICE_NAME":
            return info.brand
        if name == "RANGE_FOR_STREAMS":
            return (1, info.usable)
        return [*(["WINOGRAD"] if "avx512f" in info.isa else []), "FP32", "INT8", "BIN"]


def _has_calls(program: Program) -> bool:
    """Does a node, or one of a body, run a function of Python?"""
    bodies = (value for node in program.nodes for value in node.attrs.values() if isinstance(value, Program))
    return any(node.custom is not None for node in program.nodes) or any(map(_has_calls, bodies))


def _dot(steps: list[dict[str, str]]) -> str:
    """The executed steps in order, in the language of graphviz."""

    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    names = [step["name"] for step in steps]
    lines = [f"  {quoted(s['name'])} [label={quoted(s['name'] + ' / ' + s.get('primitiveType', ''))}];" for s in steps]
    lines += [f"  {quoted(a)} -> {quoted(b)};" for a, b in itertools.pairwise(names)]
    return "\n".join(["digraph exec {", *lines, "}", ""])
