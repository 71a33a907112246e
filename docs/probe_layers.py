# SPDX-License-Identifier: Apache-2.0
"""Write docs/layers.json: with which numbers the layers of the tests run, by type and device.

    python docs/probe_layers.py

Runs the tests of layers; each network of one layer is also tried with inputs of other types. A type of number counts where the test
passes or, of those tried, where the numpy reference computes the network; for CPU and GPU the device must also say that it takes
every node of the layer. Needs an OpenCL device.
"""

from __future__ import annotations

import json
import pathlib
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable

import numpy as np
import pytest

from ie_ctypes.devices.base import Device
from ie_ctypes.devices.cpu import CpuDevice
from ie_ctypes.devices.gpu import GpuDevice
from ie_ctypes.errors import IEError
from ie_ctypes.model.dtypes import from_numpy
from ie_ctypes.model.network import Network
from ie_ctypes.model.program import Program

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "layers.json"
FOLDERS = ("tests/ops", "tests/onnx", "tests/api/test_states.py")
TRIED = ("float32", "int32", "int64", "uint8", "bool")

Layer = Callable[..., list[np.ndarray]]


class Probe:
    """A pytest plugin that sees every network that the tests translate."""

    def __init__(self) -> None:
        self.devices: dict[str, Device] = {"CPU": CpuDevice(), "GPU": GpuDevice()}
        self.found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        self._lower = Network.lower
        self._seen: set[tuple[str, str]] = set()
        self._lowered: list[Program] = []

    def pytest_configure(self) -> None:
        sys.path.insert(0, str(ROOT / "tests" / "ops"))
        import layers

        self._run: Layer = layers.run_layer
        layers.run_layer = self.run_layer
        probe = self

        def lower(network: Network, *args: object, **options: object) -> Program:
            program = probe._lower(network, *args, **options)  # type: ignore[arg-type]
            probe._lowered.append(program)
            return program

        Network.lower = lower  # type: ignore[method-assign, assignment]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """What a test translated counts when it passes."""
        if report.when == "call" and report.passed:
            self.record(self._lowered)
        if report.when == "call":
            self._lowered = []

    def run_layer(self, type: str, inputs: Iterable[np.ndarray], *args: object, **options: object) -> list[np.ndarray]:
        """The layer as the test runs it; before that with other numbers."""
        inputs, lowered = list(inputs), self._lowered
        for name in TRIED if inputs else ():
            if (type.lower(), name) in self._seen:
                continue
            self._lowered = []
            try:
                with np.errstate(all="ignore"):
                    cast = [a.astype(name) if a.dtype == inputs[0].dtype else a for a in inputs]
                    self._run(type, cast, *args, **{**options, "result": from_numpy(cast[0].dtype).name})
            except (IEError, TypeError, ValueError):  # these numbers are not for this layer
                continue
            self._seen.add((type.lower(), name))
            self.record(self._lowered)
        self._lowered = lowered
        return self._run(type, inputs, *args, **options)

    def record(self, programs: list[Program]) -> None:
        """The layers of the programs with the type of their first input."""
        for program in programs:
            answers = {name: self.ask(device, program) for name, device in self.devices.items()}
            layers: dict[str, list[int]] = defaultdict(list)
            for i, node in enumerate(program.nodes):
                layers[node.layer].append(i)
            for nodes in layers.values():
                first = program.nodes[nodes[0]]
                used = [i for i in first.inputs if i >= 0] or list(first.outputs)
                number = from_numpy(np.dtype(program.tensors[used[0]].type.dtype)).name
                entry = self.found[first.layer_type.lower()]
                for name, answer in answers.items():
                    if all(answer[i] for i in nodes):
                        entry[name].add(number)

    @staticmethod
    def ask(device: Device, program: Program) -> list[bool]:
        try:
            return device.query(program)
        except IEError:  # the device does not take the program at all
            return [False] * len(program.nodes)


def main() -> int:
    probe = Probe()
    if not probe.devices["GPU"].get_metric("AVAILABLE_DEVICES"):
        raise SystemExit("there is no OpenCL device to ask")
    status = pytest.main(["-q", "-n", "0", "-p", "no:cacheprovider", *(str(ROOT / name) for name in FOLDERS)], plugins=[probe])
    if status:
        return int(status)
    lines = []
    for type, entry in sorted(probe.found.items()):
        numbers = {
            device: " ".join(sorted(found, key=lambda name: (not name.startswith("FP"), name))) for device, found in sorted(entry.items())
        }
        lines.append(f"{json.dumps(type)}: {json.dumps(numbers)}")
    PAGE.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
