# SPDX-License-Identifier: Apache-2.0
"""The REFERENCE device: every runtime kind computed by its numpy reference. Slow, plainly written, the oracle of the tests."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np

from ie_ctypes.devices.base import Device, Executable, Parameter, PerfCount, Request
from ie_ctypes.errors import NotFoundError, ParameterMismatchError
from ie_ctypes.model.ops.registry import KINDS
from ie_ctypes.model.program import Program, ProgramNode

_CONFIG = {"DYN_BATCH_ENABLED": "NO", "DYN_BATCH_LIMIT": "0", "PERF_COUNT": "NO"}
_SWITCHES = ("DYN_BATCH_ENABLED", "PERF_COUNT")


def evaluate(program: Program, inputs: Sequence[np.ndarray], times: dict[int, tuple[int, int]] | None = None) -> list[np.ndarray]:
    """Outputs of a program for one array an input, in program order.

    ``times`` receives, for each node index, real and processor time in nanoseconds. An input of another shape or type, a kind
    without reference and a reference that breaks its own shape rule are errors. An output may share memory with an input.
    """
    if len(inputs) != len(program.inputs):
        raise ParameterMismatchError(f"{program.name}: {len(inputs)} inputs given, expected {len(program.inputs)}")
    values: list[np.ndarray | None] = [t.data for t in program.tensors]
    for index, array in zip(program.inputs, inputs, strict=True):
        tensor = program.tensors[index]
        if array.shape != tensor.type.shape or array.dtype != tensor.type.dtype:
            given, wanted = f"{array.dtype} {list(array.shape)}", f"{tensor.type.dtype} {list(tensor.type.shape)}"
            raise ParameterMismatchError(f"{program.name}: input {tensor.name} is {given}, expected {wanted}")
        values[index] = array
    last_use = {t: i for i, node in enumerate(program.nodes) for t in (*node.inputs, *node.outputs) if t >= 0}
    kept = set(program.outputs)
    for i, node in enumerate(program.nodes):
        start = time.perf_counter_ns(), time.thread_time_ns()
        for t, array in zip(node.outputs, _run_node(program, node, values), strict=True):
            values[t] = array
        if times is not None:
            times[i] = time.perf_counter_ns() - start[0], time.thread_time_ns() - start[1]
        for t in (*node.inputs, *node.outputs):
            if t >= 0 and last_use[t] == i and t not in kept:
                values[t] = None
    results = [values[t] for t in program.outputs]
    missing = [n for n, r in zip(program.output_names, results, strict=True) if r is None]
    if missing:
        raise ParameterMismatchError(f"{program.name}: nothing computes output {missing[0]}")
    return [r for r in results if r is not None]


def _run_node(program: Program, node: ProgramNode, values: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    kind = KINDS.get(node.kind)
    if kind is None:
        raise NotFoundError(f"{program.name}: node {node.name}: unknown kind {node.kind}")
    with np.errstate(all="ignore"):
        arrays = kind.reference(node.attrs, [values[t] if t >= 0 else None for t in node.inputs])
    outputs = []
    for t, array in zip(node.outputs, arrays, strict=True):
        wanted = program.tensors[t].type
        array = np.asarray(array)
        if array.shape != wanted.shape:
            raise ParameterMismatchError(
                f"{program.name}: node {node.name} of kind {node.kind} computed shape {list(array.shape)}, expected {list(wanted.shape)}"
            )
        outputs.append(array.astype(wanted.dtype, copy=False))
    return outputs


class ReferenceRequest(Request):
    """One inference by :func:`evaluate`."""

    def __init__(self, program: Program):
        self._program = program
        self._times: dict[int, tuple[int, int]] = {}

    def infer(self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> None:
        times: dict[int, tuple[int, int]] = {}
        for given, result in zip(outputs, evaluate(self._program, inputs, times), strict=True):
            np.copyto(given, result)
        self._times = times

    def perf_counts(self) -> list[PerfCount]:
        """One row a layer, in execution order; a layer of several nodes has their sum."""
        rows: dict[str, tuple[str, int, int]] = {}
        for i, (real, cpu) in self._times.items():
            node = self._program.nodes[i]
            _, real_before, cpu_before = rows.get(node.layer, ("", 0, 0))
            rows[node.layer] = (node.layer_type, real + real_before, cpu + cpu_before)
        return [
            PerfCount(
                layer=layer,
                layer_type=layer_type,
                exec_type="numpy",
                status="EXECUTED",
                real_time=real // 1000,
                cpu_time=cpu // 1000,
                order=order,
            )
            for order, (layer, (layer_type, real, cpu)) in enumerate(rows.items())
        ]


class ReferenceExecutable(Executable):
    """A program; nothing is prepared."""

    def __init__(self, program: Program):
        self._program = program

    def create_request(self) -> Request:
        return ReferenceRequest(self._program)

    def exec_graph(self) -> list[dict[str, str]]:
        graph = []
        for i, node in enumerate(self._program.nodes):
            types = [self._program.tensors[t].type for t in node.outputs]
            graph.append(
                {
                    "name": node.name,
                    "type": node.kind,
                    "execOrder": str(i),
                    "originalLayersNames": node.layer,
                    "outputPrecisions": ",".join(t.dtype for t in types),
                    "primitiveType": "numpy",
                }
            )
        return graph


class ReferenceDevice(Device):
    """Runs every kind that has a reference, on one thread."""

    name = "REFERENCE"
    description = "numpy reference implementation"

    def __init__(self) -> None:
        self._config = dict(_CONFIG)

    def query(self, program: Program) -> list[bool]:
        return [node.kind in KINDS for node in program.nodes]

    def compile(self, program: Program, config: Mapping[str, str]) -> Executable:
        self._check(config)
        for node, known in zip(program.nodes, self.query(program), strict=True):
            if not known:
                raise NotFoundError(f"Unsupported primitive of type: {node.layer_type} name: {node.layer}")
        return ReferenceExecutable(program)

    def get_metric(self, name: str) -> Parameter:
        metrics: dict[str, Parameter] = {
            "AVAILABLE_DEVICES": [""],
            "FULL_DEVICE_NAME": f"numpy {np.__version__}",
            "OPTIMIZATION_CAPABILITIES": ["FP32"],
            "RANGE_FOR_ASYNC_INFER_REQUESTS": (1, 1, 1),
            "RANGE_FOR_STREAMS": (1, 1),
            "SUPPORTED_CONFIG_KEYS": sorted(_CONFIG),
        }
        metrics["SUPPORTED_METRICS"] = sorted([*metrics, "SUPPORTED_METRICS"])
        if name not in metrics:
            raise NotFoundError(f"Unsupported metric key {name}")
        return metrics[name]

    def get_config(self, name: str) -> Parameter:
        if name not in self._config:
            raise NotFoundError(f"Unsupported config key {name}")
        return self._config[name]

    def set_config(self, config: Mapping[str, str]) -> None:
        self._check(config)
        self._config.update(config)

    def _check(self, config: Mapping[str, str]) -> None:
        for key, value in config.items():
            if key not in _CONFIG:
                raise NotFoundError(f"[NOT_FOUND] Unsupported property {key} by {self.name} plugin")
            if key in _SWITCHES and value not in ("YES", "NO"):
                raise ParameterMismatchError(f"Wrong value for property key {key}. Expected only YES/NO")
            if key == "DYN_BATCH_LIMIT" and not value.lstrip("-").isdigit():
                raise ParameterMismatchError(f"Wrong value for property key {key}. Expected only numbers, got {value!r}")
