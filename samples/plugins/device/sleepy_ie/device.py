# SPDX-License-Identifier: Apache-2.0
"""A device that computes every layer by its numpy reference and takes a given time for an inference: a bench for MULTI."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np

from ie_ctypes.devices import Device, Executable, Parameter, PerfCount, Request
from ie_ctypes.errors import NotFoundError, ParameterMismatchError
from ie_ctypes.model.evaluate import evaluate
from ie_ctypes.model.ops import KINDS
from ie_ctypes.model.program import Program

_DEFAULTS = {"SLEEPY_MILLISECONDS": "1", "SLEEPY_STREAMS": "2"}


class SleepyRequest(Request):
    """One inference at a time. Asynchronous starts and callbacks come from the base class."""

    def __init__(self, program: Program, seconds: float) -> None:
        self._program = program
        self._seconds = seconds
        self._times: dict[int, tuple[int, int]] = {}

    def infer(self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> None:
        end = time.perf_counter() + self._seconds
        times: dict[int, tuple[int, int]] = {}
        for given, result in zip(outputs, evaluate(self._program, inputs, times), strict=True):
            np.copyto(given, result)
        self._times = times
        time.sleep(max(0.0, end - time.perf_counter()))

    def perf_counts(self) -> list[PerfCount]:
        nodes = self._program.nodes
        return [
            PerfCount(
                layer=nodes[i].layer, layer_type=nodes[i].layer_type, exec_type="sleepy", status="EXECUTED",
                real_time=real // 1000, cpu_time=cpu // 1000, order=i,
            )
            for i, (real, cpu) in self._times.items()
        ]  # fmt: skip


class SleepyExecutable(Executable):
    """A program and its settings."""

    def __init__(self, program: Program, config: Mapping[str, str]) -> None:
        self._program = program
        self._seconds = int(config["SLEEPY_MILLISECONDS"]) / 1000
        self.streams = int(config["SLEEPY_STREAMS"])  # so many requests run at once

    def create_request(self) -> Request:
        return SleepyRequest(self._program, self._seconds)


class SleepyDevice(Device):
    """What the device is called, its metrics and settings, and what it can run."""

    name = "SLEEPY"
    description = "takes its time"

    def __init__(self) -> None:
        self._config = dict(_DEFAULTS)

    def query(self, program: Program) -> list[bool]:
        return [node.custom is not None or node.kind in KINDS for node in program.nodes]

    def compile(self, program: Program, config: Mapping[str, str]) -> Executable:
        return SleepyExecutable(program, self._config | self._checked(config))

    def get_metric(self, name: str) -> Parameter:
        metrics: dict[str, Parameter] = {
            "AVAILABLE_DEVICES": [""],
            "FULL_DEVICE_NAME": "a device that sleeps",
            "SUPPORTED_METRICS": ["AVAILABLE_DEVICES", "FULL_DEVICE_NAME", "SUPPORTED_METRICS", "SUPPORTED_CONFIG_KEYS"],
            "SUPPORTED_CONFIG_KEYS": list(_DEFAULTS),
        }
        if name not in metrics:
            raise NotFoundError(f"Unsupported metric key {name}")
        return metrics[name]

    def get_config(self, name: str) -> Parameter:
        if name not in self._config:
            raise NotFoundError(f"Unsupported config key {name}")
        return self._config[name]

    def set_config(self, config: Mapping[str, str]) -> None:
        self._config |= self._checked(config)

    def _checked(self, config: Mapping[str, str]) -> dict[str, str]:
        for key, value in config.items():
            if key not in _DEFAULTS:
                raise NotFoundError(f"[NOT_FOUND] Unsupported property {key} by {self.name} plugin, known are {', '.join(_DEFAULTS)}")
            if not value.isdecimal() or (key == "SLEEPY_STREAMS" and int(value) < 1):
                raise ParameterMismatchError(f"Wrong value for property key {key}. Expected only positive numbers, got {value!r}")
        return dict(config)
