# SPDX-License-Identifier: Apache-2.0
"""Devices whose driver is C: a table of functions behind libiec."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes import runtime
from ie_ctypes.devices.base import Device, Executable, Parameter, PerfCount, Request
from ie_ctypes.errors import IEError, NotFoundError, NotImplementedIEError
from ie_ctypes.model.ops import custom_kind
from ie_ctypes.model.program import Program

if TYPE_CHECKING:
    from ie_ctypes.devices.extension import LoadedExtension
    from ie_ctypes.plugins.records import Kernel

#: properties that drivers answer, see csrc/include/iec/driver.h
EXEC_GRAPH = "EXEC_GRAPH"


class NativeRequest(Request):
    """One foreign call an inference, as long as it is given the same arrays."""

    def __init__(self, native: runtime.Request) -> None:
        self._native = native
        self._inputs: tuple[np.ndarray, ...] = ()
        self._outputs: tuple[np.ndarray, ...] = ()
        self._bound = False

    def _bind(self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> None:
        if (
            self._bound
            and len(inputs) == len(self._inputs)
            and len(outputs) == len(self._outputs)
            and all(map(operator.is_, inputs, self._inputs))
            and all(map(operator.is_, outputs, self._outputs))
        ):
            return
        self._native.bind(inputs, outputs)
        self._inputs, self._outputs, self._bound = tuple(inputs), tuple(outputs), True

    def infer(self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> None:
        self._bind(inputs, outputs)
        self._native.infer()

    def start(self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray], done: Callable[[BaseException | None], None]) -> None:
        self._bind(inputs, outputs)
        self._native.start(done)

    def cancel(self) -> None:
        self._native.cancel()

    def perf_counts(self) -> list[PerfCount]:
        import json

        try:
            text = self._native.perf_counts()
        except NotImplementedIEError:
            return []
        return [
            PerfCount(
                layer=row["layer"],
                layer_type=row["layer_type"],
                exec_type=row["exec_type"],
                status=row["status"],
                real_time=int(row["real_time_us"]),
                cpu_time=int(row["cpu_time_us"]),
                order=int(row["order"]),
            )
            for row in json.loads(text)
        ]

    def close(self) -> None:
        self._native.close()


class NativeExecutable(Executable):
    """A program that a C driver has compiled."""

    def __init__(self, native: runtime.Executable) -> None:
        self._native = native
        self.streams = native.streams

    def create_request(self) -> Request:
        return NativeRequest(self._native.create_request())

    def exec_graph(self) -> list[dict[str, str]]:
        import json

        try:
            text = self._native.get_property(EXEC_GRAPH)
        except (NotImplementedIEError, NotFoundError):
            return []
        return [{k: v if isinstance(v, str) else json.dumps(v) for k, v in step.items()} for step in json.loads(text)]

    def close(self) -> None:
        self._native.close()


class NativeDevice(Device):
    """Any C driver. Metrics and config keys are the driver's properties, as text; subclasses know better."""

    def __init__(self, name: str, *, path: str | None = None) -> None:
        """Open the built-in driver ``name``, or that of the shared library ``path``. NotFoundError when there is none."""
        self.name = name
        self._native = runtime.Device(name, path=path)
        self.build_number = self._native.version
        self.description = self._native.description

    def query(self, program: Program) -> list[bool]:
        with runtime.Graph(program) as graph:
            return self._native.query(graph)

    def compile(self, program: Program, config: Mapping[str, str]) -> Executable:
        with runtime.Graph(program) as graph:
            return NativeExecutable(self._native.compile(graph, self.driver_config(config)))

    def set_extensions(self, libraries: Sequence[LoadedExtension], kernels: Sequence[Kernel]) -> None:
        from ie_ctypes.runtime.extension import python_kernels, set_extensions

        found = [library.native for library in libraries]
        kernels = [k for k in kernels if k.function is not None]
        if kernels:
            # A node's function comes with the node: what the driver is told are the kinds.
            found.append(python_kernels([(k.device, custom_kind(k.type), k.priority) for k in kernels]))
        try:
            set_extensions(self._native, found)
        except NotImplementedIEError:
            if found:
                raise NotImplementedIEError(f"[NOT_IMPLEMENTED] {self.name} device does not support extensions") from None

    def driver_config(self, config: Mapping[str, str]) -> dict[str, str]:
        """What of a load's settings the driver is told: here all."""
        return dict(config)

    def get_metric(self, name: str) -> Parameter:
        try:
            return self._native.get_property(name)
        except (NotImplementedIEError, NotFoundError):
            if name == "AVAILABLE_DEVICES":
                return [""]
            raise NotFoundError(f"Unsupported metric key {name}") from None

    def get_config(self, name: str) -> Parameter:
        try:
            return self._native.get_property(name)
        except (NotImplementedIEError, NotFoundError):
            raise NotFoundError(f"Unsupported config key {name}") from None

    def set_config(self, config: Mapping[str, str]) -> None:
        for key, value in config.items():
            try:
                self._native.set_property(key, value)
            except (NotImplementedIEError, NotFoundError):
                raise NotFoundError(f"[NOT_FOUND] Unsupported property {key} by {self.name} plugin") from None


def load_driver(path: str, name: str) -> Device:
    """The device ``name`` over the C driver that the shared library ``path`` exports.

    IEError with the loader's text when it cannot be loaded.
    """
    try:
        return NativeDevice(name, path=path)
    except IEError as error:
        raise type(error)(f"Failed to create plugin {path} for device {name}\nPlease, check your environment\n{error}\n") from None
