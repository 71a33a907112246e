# SPDX-License-Identifier: Apache-2.0
"""What an ExecutableNetwork and its requests share: the compiled programs, the state of the network when it was loaded, the threads."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping

from ie_ctypes.api.data import TensorState
from ie_ctypes.api.preprocess import PreProcessInfo
from ie_ctypes.api.query import prepared, require_supported
from ie_ctypes.api.workers import WorkerPool
from ie_ctypes.collector import collector_paused
from ie_ctypes.devices.base import Device, Executable, Parameter, PerfCount, refuse_layers, unsupported_layers
from ie_ctypes.errors import IEError, ModelError, NotFoundError, NotImplementedIEError, ParameterMismatchError
from ie_ctypes.model.definitions import CustomLayers
from ie_ctypes.model.dtypes import from_numpy
from ie_ctypes.model.network import Network
from ie_ctypes.model.program import Program, TensorType

_METRICS = ["NETWORK_NAME", "SUPPORTED_METRICS", "SUPPORTED_CONFIG_KEYS", "OPTIMAL_NUMBER_OF_INFER_REQUESTS"]


class Loaded:
    """A network on a device. Requests hold it, so that objects may be dropped in any order."""

    def __init__(
        self,
        network: Network,
        preprocess: Mapping[str, PreProcessInfo],
        device_name: str,
        device: Device,
        config: Mapping[str, str],
        exclusive: WorkerPool,
        definitions: CustomLayers,
        compiled: tuple[str, int] | None = None,
    ):
        """Lower and compile ``network``; ``definitions`` are the layer types that others define and the device can run.

        ``exclusive`` is the device's own pool, used with ``EXCLUSIVE_ASYNC_REQUESTS=YES``; ``compiled`` the file and the offset of what
        the device exported.
        """
        self.device_name = device_name
        self.device = device
        self.config = dict(config)
        self.preprocess = {name: info._constant() for name, info in preprocess.items()}
        with collector_paused():
            self.network = prepared(network, preprocess, definitions)
            require_supported(self.network)
            self.network.complete_shapes()
            full = self.network.lower()
        program = _visible(full)
        if not program.outputs:
            raise IEError("The network doesn't have inputs/outputs.")
        self.name = network.graph.name
        self.batch = network.batch_size
        self.inputs = {name: _freeze(name, s.precision, s.shape, s.layout) for name, s in network.inputs.items()}
        self.outputs = {}
        for name, index in zip(program.output_names, program.outputs, strict=True):
            type, state = program.tensors[index].type, network.outputs[name]
            if math.prod(state.shape) != type.size:
                raise ModelError(f"output {name}: the network says shape {list(state.shape)}, its layers give {list(type.shape)}")
            self.outputs[name] = _freeze(name, from_numpy(type.dtype).name, state.shape, state.layout)
        self._variants: dict[int, tuple[Executable, Program]] = {self.batch: (self._compile(full, compiled), program)}
        self._settings = device.effective_config(config)
        self.dynamic_batch = {**self._settings, **self.config}.get("DYN_BATCH_ENABLED") == "YES"
        self._smaller: Network | None = None  # the copy of the network that is reshaped for smaller batches
        self._lock = threading.Lock()
        self.pool = exclusive if self._settings.get("EXCLUSIVE_ASYNC_REQUESTS") == "YES" else WorkerPool(self.executable.streams)
        self.idle: dict[int, None] = {}  # ids of idle requests, longest idle first

    @property
    def executable(self) -> Executable:
        return self._variants[self.batch][0]

    @property
    def program(self) -> Program:
        return self._variants[self.batch][1]

    @property
    def changed(self) -> threading.Condition:
        """Guards ``idle`` and the asynchronous runs; notified when a run has ended."""
        return self.pool.changed

    def _compile(self, program: Program, compiled: tuple[str, int] | None = None) -> Executable:
        try:
            if compiled:
                executable = self.device.import_program(program, self.config, *compiled)
            else:
                executable = self.device.compile(program, self.config)
        except NotImplementedIEError:
            refuse_layers(unsupported_layers(self.device, program))
            raise
        if not program.has_hidden:
            return executable
        from ie_ctypes.devices.stateful import StatefulExecutable

        return StatefulExecutable(executable, program)

    def export(self) -> bytes:
        """The network with its settings, and what the device need not make again when it is imported."""
        from ie_ctypes.api.portable import append, pack, unpack

        data = pack(self.network, self.preprocess, self.device_name, self.config)
        # What the device exports must be of the program that an import gives it.
        _, net, _, _ = unpack(data, definitions=self.network.definitions)
        program = prepared(net._need(), net._preprocess, self.network.definitions).lower()
        return append(data, self.device.export_program(program, self.config))

    def variant(self, batch: int) -> tuple[Executable, Program]:
        """The network compiled for a smaller batch, made at its first use."""
        found = self._variants.get(batch)
        if found is not None:
            return found
        with self._lock:
            if batch not in self._variants:
                if self._smaller is None:
                    self._smaller = self.network.clone()
                self._smaller.set_batch(batch)
                program = self._smaller.lower()
                self._variants[batch] = (self._compile(program), _visible(program))
            return self._variants[batch]

    def input_types(self) -> Iterator[tuple[str, TensorState, TensorType]]:
        """Name, state and runtime type of every input, in the order of the API's dictionaries."""
        for name, index in zip(self.program.input_names, self.program.inputs, strict=True):
            yield name, self.inputs[name], self.program.tensors[index].type

    def output_types(self) -> Iterator[tuple[str, TensorState, TensorType]]:
        """Name, state and runtime type of every output."""
        for name, index in zip(self.program.output_names, self.program.outputs, strict=True):
            yield name, self.outputs[name], self.program.tensors[index].type

    def perf_rows(self) -> list[PerfCount]:
        """Counters before the first inference: every layer NOT_RUN."""
        return [
            PerfCount(layer=n.layer, layer_type=n.layer_type, exec_type="undef", status="NOT_RUN", real_time=0, cpu_time=0, order=i)
            for i, n in enumerate(self.program.nodes)
        ]

    def get_metric(self, name: str) -> Parameter:
        """A metric of the loaded network."""
        if name == "NETWORK_NAME":
            return self.name
        if name == "SUPPORTED_METRICS":
            return [*_METRICS, *self.executable.metrics()]
        if name == "SUPPORTED_CONFIG_KEYS":
            return list(self._settings)
        if name == "OPTIMAL_NUMBER_OF_INFER_REQUESTS":
            return self.executable.optimal_requests or self.executable.streams
        extra = self.executable.metrics()
        if name not in extra:
            raise NotFoundError(self.executable.unknown_metric.format(name))
        return extra[name]

    def get_config(self, name: str) -> Parameter:
        """The value of a key that the network was loaded with."""
        if name not in self._settings:
            raise NotFoundError(self.executable.unknown_config.format(name))
        return self._settings[name]

    def set_config(self, config: Mapping[str, str]) -> None:
        """Change settings of what is loaded, as far as the device can."""
        if not config:
            raise ParameterMismatchError("The list of configuration values is empty")
        with self._lock:
            for executable, _ in self._variants.values():
                self._settings |= executable.set_config(config)
            self.config |= config  # for the batches that are compiled later


def _visible(program: Program) -> Program:
    """The program with only those inputs and outputs that a user sees."""
    if not program.has_hidden:
        return program
    from ie_ctypes.devices.stateful import without_states

    return without_states(program)


def _freeze(name: str, precision: str, shape: tuple[int, ...], layout: str) -> TensorState:
    return TensorState(name=name, precision=precision, shape=tuple(shape), layout=layout)
