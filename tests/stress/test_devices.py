# SPDX-License-Identifier: Apache-2.0
"""64 threads on one IECore: random loads, inferences, cancels, changes of priorities and unregistering, on devices of every kind, with
layers of an extension library and of Python among the networks' own.

``IE_CTYPES_STRESS_SECONDS`` says how long (6), ``IE_CTYPES_STRESS_SEED`` chooses other actions. docs/hetero-multi.md has the commands
for builds with sanitizers.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import threading
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ie_ctypes import ExecutableNetwork, IECore, IENetwork, InferRequest
from ie_ctypes.errors import InferCancelledError, NotFoundError, RequestBusyError
from ie_ctypes.model.builder import NetworkBuilder
from ie_ctypes.model.network import Network
from ie_ctypes.plugins import Extension, Kernel, hookimpl
from ie_ctypes.plugins.manager import create_manager

SECONDS = float(os.environ.get("IE_CTYPES_STRESS_SECONDS", "6"))
SEED = int(os.environ.get("IE_CTYPES_STRESS_SEED", "0"))
THREADS = 64
ROOT = Path(__file__).parents[2]
DEVICES = [
    "CPU", "REFERENCE", "FPGA", "NULL", "HETERO:FPGA,CPU", "HETERO:REFERENCE,CPU", "HETERO", "MULTI:CPU(2),REFERENCE,FPGA(2)",
    "MULTI:NULL(2)", "MULTI:FPGA,CPU",
]  # fmt: skip


#: those that run layers of the extension
EXTENDED = ["CPU", "HETERO:REFERENCE,CPU", "HETERO:FPGA,CPU", "MULTI:CPU(2)"]


class Extensions:
    """A plugin: CScale in C, PyHalf in Python."""

    def __init__(self, library: str):
        self.library = library

    @hookimpl
    def ie_ctypes_extensions(self) -> Iterator[Extension]:
        yield Extension(name="scale", device="CPU", library=lambda: self.library)

    @hookimpl
    def ie_ctypes_kernels(self, device: str) -> Iterator[Kernel]:
        def half(params: Any, x: np.ndarray) -> np.ndarray:
            return x / 2

        yield Kernel(type="PyHalf", function=half, shape=lambda params, x: x.shape)


def network(seed: int, extended: bool = False) -> IENetwork:
    """Convolution, ReLU, a second branch, a sum and a fully connected layer; ``extended``: twice the sum by C, half of that by Python."""
    rng = np.random.default_rng(seed)
    b = NetworkBuilder.legacy(f"stress{seed}")
    shape = (1, 4, 8, 8)
    data = b.input("data", (1, 3, 8, 8))
    params = {"kernel": (3, 3), "strides": (1, 1), "pads_begin": (1, 1), "pads_end": (1, 1), "dilations": (1, 1), "output": 4, "group": 1}
    blobs = {"weights": rng.normal(0, 0.2, 4 * 27).astype(np.float32), "biases": rng.normal(0, 0.1, 4).astype(np.float32)}
    conv = b.layer("Convolution", "conv", [data], [shape], params=params, blobs=blobs)
    relu = b.layer("ReLU", "relu", [conv], [shape])
    power = b.layer("Power", "power", [conv], [shape], params={"power": 1, "scale": 0.5, "shift": 0.1})
    total = b.layer("Eltwise", "sum", [relu, power], [shape], params={"operation": "sum"})
    if extended:
        total = b.layer("CScale", "twice", [total], [shape], params={"factor": 2})
        total = b.layer("PyHalf", "half", [total], [shape])
    blobs = {"weights": rng.normal(0, 0.1, 5 * 256).astype(np.float32), "biases": np.zeros(5, np.float32)}
    b.layer("FullyConnected", "fc", [total], [(1, 5)], params={"out-size": 5}, blobs=blobs)
    return IENetwork._of(Network(b.graph()))


class Slot:
    """A loaded network. Requests of even numbers belong to whoever holds their lock, the others to everybody at once."""

    def __init__(self, exec_net: ExecutableNetwork, number: int, device: str):
        self.exec_net, self.number, self.device = exec_net, number, device
        self.locks = [threading.Lock() for _ in exec_net.requests]


class Stress:
    """What the threads share."""

    def __init__(self, core: IECore, devices: list[str], extension: str):
        self.core, self.devices, self.extension = core, devices, extension
        self.nets = [network(i) for i in range(4)]
        for i, layer in enumerate(self.nets[3].layers.values()):
            layer.affinity = ("CPU", "FPGA", "REFERENCE")[i % 3]
        self.feeds = [np.random.default_rng(i).normal(size=(1, 3, 8, 8)).astype(np.float32) for i in range(3)]
        if extension:
            self.nets.append(network(4, extended=True))
        plain = [network(i) for i in range(len(self.nets))]
        self.want = [[core.load_network(net, "CPU").infer({"data": x})["fc"] for x in self.feeds] for net in plain]
        self.slots: list[Slot | None] = [None] * 12
        self.done: Counter[str] = Counter()
        self.faults: list[str] = []
        self.end = time.monotonic() + SECONDS

    def run(self, seed: int) -> None:
        rng = random.Random(seed)
        actions = [
            self.load,
            self.infer,
            self.infer,
            self.start,
            self.start,
            self.wild,
            self.wild,
            self.ask,
            self.forget,
            self.reorder,
            self.drop,
        ]
        while time.monotonic() < self.end and not self.faults:
            action = rng.choice(actions)
            try:
                action(rng)
                self.done[action.__name__] += 1
            except Exception:
                self.faults.append(f"{action.__name__}, seed {seed}:\n{traceback.format_exc()}")

    # -- actions -----------------------------------------------------------------------------------------------------------
    def load(self, rng: random.Random) -> None:
        number, device = rng.randrange(len(self.nets)), rng.choice(self.devices)
        if number == 4:
            device = rng.choice(EXTENDED)
        elif device == "HETERO":
            number = 3
        exec_net = self.core.load_network(self.nets[number], device, num_requests=rng.randint(2, 5))
        self.slots[rng.randrange(len(self.slots))] = Slot(exec_net, number, device)

    def pick(self, rng: random.Random) -> tuple[Slot, int] | None:
        slot = rng.choice(self.slots)
        return None if slot is None else (slot, rng.randrange(len(slot.exec_net.requests)))

    def check(self, slot: Slot, request: InferRequest, k: int) -> None:
        got = request.outputs["fc"]
        want = self.want[slot.number][k] * (0 if "NULL" in slot.device else 1)
        assert np.abs(got - want).max() < 2e-2, (slot.device, slot.number, got, want)

    def infer(self, rng: random.Random) -> None:
        picked = self.pick(rng)
        if picked is not None and picked[1] % 2 == 0 and picked[0].locks[picked[1]].acquire(blocking=False):
            slot, i = picked
            try:
                k = rng.randrange(3)
                slot.exec_net.requests[i].infer({"data": self.feeds[k]})
                self.check(slot, slot.exec_net.requests[i], k)
            finally:
                slot.locks[i].release()

    def start(self, rng: random.Random) -> None:
        picked = self.pick(rng)
        if picked is None or picked[1] % 2 or not picked[0].locks[picked[1]].acquire(blocking=False):
            return
        slot, i = picked
        request, k, ended = slot.exec_net.requests[i], rng.randrange(3), threading.Event()
        try:
            request.set_completion_callback(lambda *_: ended.set())
            request.async_infer({"data": self.feeds[k]})
            cancelled = rng.random() < 0.3
            if cancelled:
                request.cancel()
            try:
                assert request.wait() == 0
                self.check(slot, request, k)
            except InferCancelledError:
                assert cancelled
            assert ended.wait(60)
            request.set_completion_callback(None)
        finally:
            slot.locks[i].release()

    def wild(self, rng: random.Random) -> None:
        """Anything, on requests that others use at the same moment."""
        picked = self.pick(rng)
        if picked is None or picked[1] % 2 == 0:
            return
        request = picked[0].exec_net.requests[picked[1]]
        with contextlib.suppress(RequestBusyError, InferCancelledError):
            rng.choice(
                [
                    lambda: request.async_infer({"data": self.feeds[0]}),
                    lambda: request.async_infer({"data": self.feeds[1]}),
                    lambda: request.infer({"data": self.feeds[2]}),
                    request.cancel,
                    lambda: request.wait(rng.choice([0, 1, 50])),
                    request.get_perf_counts,
                    lambda: request.outputs,
                    lambda: picked[0].exec_net.get_idle_request_id(),
                ]
            )()

    def ask(self, rng: random.Random) -> None:
        slot = rng.choice(self.slots)
        rng.choice(
            [
                lambda: self.core.query_network(self.nets[rng.randrange(3)], rng.choice(["CPU", "FPGA", "HETERO:FPGA,CPU"])),
                lambda: self.core.available_devices,
                lambda: self.extension and self.core.query_network(self.nets[4], "CPU"),
                lambda: self.extension and self.core.add_extension(self.extension, "CPU"),
                lambda: self.core.get_versions("HETERO:FPGA,CPU"),
                lambda: self.core.get_metric("FPGA", "SUPPORTED_CONFIG_KEYS"),
                lambda: slot and slot.exec_net.get_metric("OPTIMAL_NUMBER_OF_INFER_REQUESTS"),
                lambda: slot and "HETERO" in slot.device and slot.exec_net.get_exec_graph_info(),
            ]
        )()

    def forget(self, rng: random.Random) -> None:
        with contextlib.suppress(NotFoundError):  # when nobody has used it since
            self.core.unregister_plugin(rng.choice(["CPU", "REFERENCE", "FPGA", "NULL", "HETERO", "MULTI"]))

    def reorder(self, rng: random.Random) -> None:
        slot = rng.choice(self.slots)
        if slot is not None and slot.device == "MULTI:FPGA,CPU":
            slot.exec_net.set_config({"MULTI_DEVICE_PRIORITIES": rng.choice(["CPU,FPGA", "FPGA,CPU", "CPU", "FPGA"])})

    def drop(self, rng: random.Random) -> None:
        self.slots[rng.randrange(len(self.slots))] = None


def build(source: Path, folder: Path) -> str:
    """The shared library of a C file; empty where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        return ""
    library, include = folder / f"lib{source.stem}.so", ROOT / "csrc" / "include"
    environment = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}  # of a sanitizer: the compiler does without
    command = [compiler, "-std=c11", "-O1", "-fPIC", "-shared", f"-I{include}", str(source), "-o", str(library)]
    subprocess.run(command, check=True, env=environment)
    return str(library)


@pytest.fixture
def stress(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stress:
    monkeypatch.setenv("IE_CTYPES_VIRTUAL_DEVICES", "FPGA")
    manager = create_manager(installed=False)
    extension = build(ROOT / "tests" / "abi" / "extension.c", tmp_path)
    if extension:
        manager.register(Extensions(extension), "extensions")
    core = IECore(plugin_manager=manager)
    driver = build(ROOT / "csrc" / "driver_null" / "null.c", tmp_path)
    if driver:
        core.register_plugin(driver, "NULL")
    return Stress(core, [d for d in DEVICES if driver or "NULL" not in d], extension)


@pytest.mark.timeout(SECONDS * 10 + 180)
def test_many_threads_load_infer_cancel_and_unregister(stress: Stress) -> None:
    threads = [threading.Thread(target=stress.run, args=(SEED * 1000 + i,), name=f"stress {i}", daemon=True) for i in range(THREADS)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SECONDS * 5 + 120)
    assert not stress.faults, stress.faults[0]
    assert not [thread.name for thread in threads if thread.is_alive()]
    print(dict(stress.done))
    assert min(stress.done[name] for name in ("load", "infer", "start", "wild", "ask", "forget", "reorder", "drop")) > 0
