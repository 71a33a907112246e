# SPDX-License-Identifier: Apache-2.0
"""The HETERO device: every layer on the device that the user or the order of devices chose for it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ie_ctypes.devices.affinity import Verdicts, by_order, completed, layer_nodes, require_all
from ie_ctypes.devices.base import CompositeDevice, Executable, Parameter, PerfCount, Request, refuse_layers, unsupported_layers
from ie_ctypes.devices.composite import Parts, config_keys
from ie_ctypes.devices.dot import write_dots
from ie_ctypes.devices.partition import Part, cut, producers
from ie_ctypes.errors import IEError, InferCancelledError, NotFoundError, NotImplementedIEError, ParameterMismatchError
from ie_ctypes.model.program import Program
from ie_ctypes.record import replace

FALLBACK, DUMP, EXCLUSIVE, DLA = "TARGET_FALLBACK", "HETERO_DUMP_GRAPH_DOT", "EXCLUSIVE_ASYNC_REQUESTS", "HETERO_DUMP_DLA_MESSAGES"
_SWITCHES = (DUMP, EXCLUSIVE, DLA)
#: tells a device that lists it whether its part reads network inputs
_WITH_INPUTS = "SUBNETWORK_WITH_NETWORK_INPUTS"
_NO_ORDER = "Cannot set affinity according to fallback policy because the order of devices was not initialized"


class HeteroRequest(Request):
    """One request a part. What one part gives and another takes lies in one array that both are bound to."""

    def __init__(self, program: Program, parts: Sequence[Part], executables: Sequence[Executable]):
        self._parts = parts
        self._program = program
        self._requests = [e.create_request() for e in executables]
        self._border = {
            t: np.empty(program.tensors[t].type.shape, program.tensors[t].type.dtype)
            for part in parts
            for t in part.outputs
            if t not in program.outputs
        }
        self._cancelled = False

    def infer(self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> None:
        arrays = (
            self._border | dict(zip(self._program.inputs, inputs, strict=True)) | dict(zip(self._program.outputs, outputs, strict=True))
        )
        self._cancelled = False
        for part, request in zip(self._parts, self._requests, strict=True):
            if self._cancelled:
                raise InferCancelledError("the infer request was cancelled")
            request.infer([arrays[t] for t in part.inputs], [arrays[t] for t in part.outputs])

    def cancel(self) -> None:
        """As for any request; here an inference also ends between two parts."""
        self._cancelled = True
        for request in self._requests:
            request.cancel()

    def perf_counts(self) -> list[PerfCount]:
        """The rows of all parts in running order, layer ``subgraph0: conv1`` for conv1 of the first part."""
        rows: list[PerfCount] = []
        for i, (part, request) in enumerate(zip(self._parts, self._requests, strict=True)):
            own = request.perf_counts() or list(_not_run(part.program))
            first = len(rows)
            rows += [replace(row, layer=f"subgraph{i}: {row.layer}", order=row.order + first) for row in own]
        return rows

    def close(self) -> None:
        for request in self._requests:
            request.close()


def _not_run(program: Program) -> Iterable[PerfCount]:
    for i, n in enumerate(program.nodes):
        yield PerfCount(layer=n.layer, layer_type=n.layer_type, exec_type="undef", status="NOT_RUN", real_time=0, cpu_time=0, order=i)


class HeteroExecutable(Executable):
    """The parts of a program, each compiled on its device."""

    def __init__(self, program: Program, parts: Sequence[Part], executables: Sequence[Executable]):
        self._program = program
        self._parts = parts
        self._executables = executables
        streams: dict[str, int] = {}
        for part, executable in zip(parts, executables, strict=True):
            streams[part.device] = max(executable.streams, streams.get(part.device, 1))
        # as many as keep every device at work: while one request is in a part, another is in the part of another device
        self.streams = sum(streams.values())
        self.optimal_requests = max(e.optimal_requests or e.streams for e in executables)

    def create_request(self) -> Request:
        return HeteroRequest(self._program, self._parts, self._executables)

    def exec_graph(self) -> list[dict[str, str]]:
        """The steps of all parts in running order, named ``subgraph0: step``, with their device; empty when a part has no graph."""
        makers = producers(self._program)
        steps: list[dict[str, str]] = []
        gives: dict[str, str] = {}  # layer -> the last step that made something of it
        for i, (part, executable) in enumerate(zip(self._parts, self._executables, strict=True)):
            own = executable.exec_graph()
            if not own and part.nodes:
                return []
            renamed = {step["name"]: f"subgraph{i}: {step['name']}" for step in own}
            for name, t in zip(part.program.input_names, part.inputs, strict=True):
                if t in makers:
                    renamed.setdefault(name, gives.get(self._program.nodes[makers[t]].layer, name))
            for step in own:
                new = step | {"name": renamed[step["name"]], "execOrder": str(len(steps)), "device": part.device}
                if "inputs" in step:
                    new["inputs"] = json.dumps([renamed.get(name, name) for name in json.loads(step["inputs"])])
                steps.append(new)
                gives |= dict.fromkeys(step.get("originalLayersNames", "").split(","), new["name"])
        return steps

    def close(self) -> None:
        for executable in self._executables:
            executable.close()


class HeteroDevice(CompositeDevice):
    """Cuts a network among devices."""

    name = "HETERO"
    build_number = "heteroPlugin"
    description = "heteroPlugin"

    def __init__(self) -> None:
        self._config: dict[str, str] = {}  # what the user set

    # -- configuration ---------------------------------------------------------------------------------------------------
    def _merged(self, config: Mapping[str, str]) -> dict[str, str]:
        """The user's settings with ``config`` over them; wrong values of own keys raise."""
        for key, value in config.items():
            if key in _SWITCHES and value not in ("YES", "NO"):
                raise ParameterMismatchError(f"Wrong value for property key {key}. Expected only YES/NO")
        return self._config | dict(config)

    def set_config(self, config: Mapping[str, str]) -> None:
        """Own keys, and any others: those go to the devices that know them."""
        self._config = self._merged(config)

    def get_config(self, name: str) -> Parameter:
        if name != DUMP:
            raise NotFoundError(f"Unsupported config key: {name}")
        return self._config.get(DUMP) == "YES"

    def effective_config(self, config: Mapping[str, str]) -> dict[str, Parameter]:
        merged = self._merged(config)
        return {
            FALLBACK: merged.get(FALLBACK, ""),
            DUMP: merged.get(DUMP) == "YES",
            EXCLUSIVE: merged.get(EXCLUSIVE, "YES") == "YES",  # the original's default; parts hear of it only when somebody sets it
        }

    def get_metric(self, name: str) -> Parameter:
        if name == "SUPPORTED_METRICS":
            return ["SUPPORTED_METRICS", "SUPPORTED_CONFIG_KEYS"]
        if name == "SUPPORTED_CONFIG_KEYS":
            return [DUMP, FALLBACK, EXCLUSIVE]
        raise NotFoundError(f"Unsupported Plugin metric: {name}")

    def _order(self, config: Mapping[str, str]) -> list[str]:
        """The devices in the order of their priority; documents of the old API wrote ``HETERO:`` before them here too."""
        return [name.strip() for name in config.get(FALLBACK, "").removeprefix("HETERO:").split(",") if name.strip()]

    def part_names(self, config: Mapping[str, str]) -> list[str]:
        return self._order(self._merged(config))

    def _parts(self, config: Mapping[str, str], names: Iterable[str]) -> Parts:
        own = (FALLBACK, DUMP, DLA)
        return Parts(self.find, names, {k: v for k, v in config.items() if k not in own}, (EXCLUSIVE,))

    # -- loading ---------------------------------------------------------------------------------------------------------
    def query(self, program: Program) -> list[bool]:
        """With the devices that ``set_config`` named."""
        placed = self.placement(program, list(dict.fromkeys(node.layer for node in program.nodes)), {})
        return [node.layer in placed for node in program.nodes]

    def placement(self, program: Program, layers: Sequence[str], config: Mapping[str, str]) -> dict[str, str]:
        config = self._merged(config)
        order = self._order(config)
        if not order:
            raise IEError(_NO_ORDER)
        verdicts = Verdicts(program, self._parts(config, order))
        chosen = by_order(verdicts, order)
        return {name: chosen.get(name, order[0]) for name in layers if name in chosen or name not in verdicts.layers}

    def compile(self, program: Program, config: Mapping[str, str]) -> Executable:
        config = self._merged(config)
        order = self._order(config)
        own = layer_nodes(program)
        wanted = {layer: device for layer, device in program.affinities.items() if layer in own}
        if not order and not wanted:
            raise IEError(_NO_ORDER)
        devices = self._parts(config, dict.fromkeys([*order, *wanted.values()]))
        verdicts = Verdicts(program, devices)
        chosen = completed(verdicts, wanted, order) if wanted else by_order(verdicts, order)
        require_all(verdicts, chosen, bool(wanted))
        parts = cut(program, chosen, next(iter(chosen.values()), "") or order[0])
        if config.get(DUMP) == "YES":
            write_dots(program, chosen, parts)
        return HeteroExecutable(program, parts, [_load(part, program, devices) for part in parts])


def _load(part: Part, program: Program, devices: Parts) -> Executable:
    device, config = devices.device(part.device), devices.config(part.device)
    if _WITH_INPUTS in config_keys(device):
        config = config | {_WITH_INPUTS: "YES" if set(part.inputs) & set(program.inputs) else "NO"}
    try:
        return device.compile(part.program, config)
    except NotImplementedIEError:
        refuse_layers(unsupported_layers(device, part.program))
        raise
