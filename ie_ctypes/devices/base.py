# SPDX-License-Identifier: Apache-2.0
"""What a device is to the rest of the package. Built-in and third-party devices implement the same three classes."""

from __future__ import annotations

import abc
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.errors import NotFoundError, NotImplementedIEError
from ie_ctypes.model.program import Program
from ie_ctypes.record import Record

if TYPE_CHECKING:
    from ie_ctypes.devices.extension import LoadedExtension
    from ie_ctypes.model.custom import CustomLayer
    from ie_ctypes.plugins.records import Kernel

#: A metric or config value as the API returns it.
Parameter = str | int | float | bool | list[str] | list[int] | tuple[int, ...] | dict[str, str]


class PerfCount(Record, frozen=True, kw_only=True):
    """One row of the performance counters of the last inference. Times are in microseconds."""

    layer: str
    layer_type: str
    exec_type: str
    status: str  # EXECUTED, NOT_RUN (fused into another), OPTIMIZED_OUT
    real_time: int
    cpu_time: int
    order: int


class Request(abc.ABC):
    """One inference at a time over the buffers it is given. Used by one thread at a time."""

    @abc.abstractmethod
    def infer(self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> None:
        """Run. Arrays are C-contiguous, in program order, of exactly the program's types; outputs are written in place."""

    def start(self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray], done: Callable[[BaseException | None], None]) -> None:
        """Begin an inference and return; ``done(error)`` is called once, from another thread, when it has ended.

        Arrays as in ``infer``; the request keeps them alive until then. Requests started on one executable run in the order of their
        start, ``Executable.streams`` at a time. ``done`` may start the request again and must not raise. Here: a thread a start.
        """

        def run() -> None:
            error: BaseException | None = None
            try:
                self.infer(inputs, outputs)
            except BaseException as caught:
                error = caught
            done(error)

        threading.Thread(target=run, name="ie_ctypes request").start()

    def cancel(self) -> None:
        """End a started inference that has not begun to run: ``done`` gets an ``InferCancelledError``. Otherwise nothing."""

    def perf_counts(self) -> list[PerfCount]:
        """Counters of the last ``infer``; empty before it."""
        return []

    def close(self) -> None:
        """Release what it holds. Idempotent."""


class Executable(abc.ABC):
    """A program loaded on a device. Requests of one executable may run on many threads at once."""

    #: how many inferences run at the same time when started asynchronously
    streams: int = 1
    #: OPTIMAL_NUMBER_OF_INFER_REQUESTS; 0 stands for ``streams``
    optimal_requests: int = 0
    #: False: the counters of its requests are empty, rather than those of layers that have not run
    counts: bool = True
    #: texts of errors, with the name that was asked for
    unknown_metric: str = "Unsupported ExecutableNetwork metric: {}"
    unknown_config: str = "Unsupported ExecutableNetwork config key: {}"

    @abc.abstractmethod
    def create_request(self) -> Request: ...

    def exec_graph(self) -> list[dict[str, str]]:
        """Executed steps in order: name, type, and the params of ``get_exec_graph_info`` (PLUGINS.md 1.4).

        ``inputs``, when given, is a JSON list of the names of steps and network inputs that the step reads.
        """
        return []

    def metrics(self) -> dict[str, Parameter]:
        """Metrics of the loaded network beside those that every one has."""
        return {}

    def set_config(self, config: Mapping[str, str]) -> dict[str, Parameter]:
        """Change settings while loaded; gives them as ``get_config`` shows them from now on. Most devices cannot."""
        key = next(iter(config))
        raise NotImplementedIEError(f"The following config value cannot be changed dynamically for ExecutableNetwork: {key}")

    def close(self) -> None:
        """Release what it holds. Idempotent."""


class Device(abc.ABC):
    """A device. ``config`` values are text; unknown keys and bad values raise with the original's texts (CONFIG.md 4.1)."""

    name: str
    version: tuple[int, int] = (2, 1)
    build_number: str = ""
    description: str = ""

    @abc.abstractmethod
    def query(self, program: Program) -> list[bool]:
        """For every node of the program: can it run here?"""

    @abc.abstractmethod
    def compile(self, program: Program, config: Mapping[str, str]) -> Executable: ...

    def export_program(self, program: Program, config: Mapping[str, str]) -> bytes:
        """What ``import_program`` of an equal program need not make again. Here: nothing."""
        return b""

    def import_program(self, program: Program, config: Mapping[str, str], path: str, offset: int) -> Executable:
        """As ``compile``, with what ``export_program`` gave, ``offset`` bytes (whole pages of 4096) into the file ``path``.

        IEError when it does not fit.
        """
        return self.compile(program, config)

    def set_extensions(self, libraries: Sequence[LoadedExtension], kernels: Sequence[Kernel]) -> None:
        """The extension libraries, and the kernels in Python, that later queries and loads may use, in place of those given before.

        A device in Python that runs nodes of ``Program`` finds what a layer of a Python kernel computes in its ``custom``. Here: a
        library cannot be used.
        """
        if libraries:
            raise NotImplementedIEError(f"[NOT_IMPLEMENTED] {self.name} device does not support extension libraries")

    def custom_layers(self, config: Mapping[str, str]) -> Sequence[CustomLayer]:
        """Layer types that the settings of a load define, those of ``config`` over the device's own; keys of other devices may be there."""
        return ()

    def get_metric(self, name: str) -> Parameter:
        raise RuntimeError(f"Unsupported metric key {name}")

    def effective_config(self, config: Mapping[str, str]) -> dict[str, Parameter]:
        """Every setting of a load with ``config``: the device's own ones with those over them, as ``get_config`` shows them."""
        try:
            keys = self.get_metric("SUPPORTED_CONFIG_KEYS")
        except RuntimeError:
            keys = []
        own = {str(key): self.get_config(str(key)) for key in keys} if isinstance(keys, list) else {}
        return own | dict(config)

    def get_config(self, name: str) -> Parameter:
        raise RuntimeError(f"Unsupported config key {name}")

    def set_config(self, config: Mapping[str, str]) -> None:
        """Check and keep defaults for later loads."""
        for key in config:
            raise RuntimeError(f"[NOT_FOUND] Unsupported property {key} by {self.name} plugin")


#: From the name of a device, with or without an id, to the device and the configuration that the id stands for.
DeviceSource = Callable[[str], tuple[Device, dict[str, str]]]


class CompositeDevice(Device):
    """A device made of others. ``find`` is set by who creates it, before anything else is called."""

    find: DeviceSource

    def part_names(self, config: Mapping[str, str]) -> Sequence[str]:
        """The devices that a load with ``config`` is made of, as far as the settings say."""
        return ()

    @abc.abstractmethod
    def placement(self, program: Program, layers: Sequence[str], config: Mapping[str, str]) -> dict[str, str]:
        """For each of ``layers`` the name of the device that would run it. Layers that none can run are absent."""


def unsupported_layers(device: Device, program: Program) -> list[tuple[str, str]]:
    """Type and name of every layer of which ``device`` refuses a node."""
    verdicts = zip(program.nodes, device.query(program), strict=True)
    return list(dict.fromkeys((node.layer_type, node.layer) for node, runs in verdicts if not runs))


def refuse_layers(layers: Sequence[tuple[str, str]]) -> None:
    """Raise NotFoundError that lists layers, given by type and name; nothing without any."""
    if layers:
        (type, name), rest = layers[0], layers[1:]
        more = f"; also unsupported: {', '.join(f'{n} ({t})' for t, n in rest)}" if rest else ""
        raise NotFoundError(f"Unsupported primitive of type: {type} name: {name}{more}")
