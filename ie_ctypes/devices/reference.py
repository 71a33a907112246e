# SPDX-License-Identifier: Apache-2.0
"""The REFERENCE device: every runtime kind computed by its numpy reference. Slow, plainly written, the oracle of the tests."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np

from ie_ctypes.devices.base import Device, Executable, Parameter, PerfCount, Request
from ie_ctypes.errors import NotFoundError, ParameterMismatchError
from ie_ctypes.model.evaluate import evaluate
from ie_ctypes.model.ops.registry import KINDS, import_all
from ie_ctypes.model.program import Program

__all__ = ["ReferenceDevice", "ReferenceExecutable", "ReferenceRequest", "evaluate"]

_CONFIG = {"DYN_BATCH_ENABLED": "NO", "DYN_BATCH_LIMIT": "0", "PERF_COUNT": "NO"}
_SWITCHES = ("DYN_BATCH_ENABLED", "PERF_COUNT")


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
        names = dict(zip(self._program.inputs, self._program.input_names, strict=True))  # tensor -> who makes it
        for i, node in enumerate(self._program.nodes):
            names |= dict.fromkeys(node.outputs, node.name)
            types = [self._program.tensors[t].type for t in node.outputs]
            graph.append(
                {
                    "name": node.name,
                    "type": node.kind,
                    "execOrder": str(i),
                    "originalLayersNames": node.layer,
                    "outputPrecisions": ",".join(t.dtype for t in types),
                    "primitiveType": "numpy",
                    "inputs": json.dumps(list(dict.fromkeys(names[t] for t in node.inputs if t in names))),
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
        import_all()
        return [node.custom is not None or node.kind in KINDS for node in program.nodes]

    def compile(self, program: Program, config: Mapping[str, str]) -> Executable:
        self._check(config)
        for node, known in zip(program.nodes, self.query(program), strict=True):
            if not known:
                raise NotFoundError(f"Unsupported primitive of type: {node.layer_type} name: {node.layer}")
        return ReferenceExecutable(program)

    def get_metric(self, name: str) -> Parameter:
        metrics: dict[str, Parameter] = {
            "AVAILABLE_DEVICES": [],  # not listed: nobody wants it in "MULTI:" + ",".join(available_devices)
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
