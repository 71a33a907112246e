# SPDX-License-Identifier: Apache-2.0
"""Networks and devices for the tests of the API. Nothing here needs files from outside."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from ie_ctypes import IECore, IENetwork
from ie_ctypes.devices.base import Device, Executable, Parameter, PerfCount, Request
from ie_ctypes.errors import NotFoundError, NotImplementedIEError
from ie_ctypes.model.builder import NetworkBuilder
from ie_ctypes.model.program import Program
from ie_ctypes.model.writers import ir_bytes
from ie_ctypes.plugins import Device as DeviceRecord
from ie_ctypes.plugins import hookimpl
from ie_ctypes.plugins.manager import default_manager

Files = tuple[bytes, bytes]


def opset_network() -> Files:
    """IR v10 of the shape of the network that the original's own tests used: input data [1,3,32,32], output fc_out [1,10]."""
    rng = np.random.default_rng(7)
    b = NetworkBuilder.opset("test_model")
    last = b.input("data", (1, 3, 32, 32))

    def convolution(name: str, source, channels: int, kernel: int, pad: int):  # type: ignore[no-untyped-def]
        _, c, h, w = source.outputs[0].shape
        size = (1, channels, h + 2 * pad - kernel + 1, w + 2 * pad - kernel + 1)
        weights = b.constant(f"{name}/w", rng.normal(0, (c * kernel * kernel) ** -0.5, (channels, c, kernel, kernel)).astype(np.float32))
        params = {"strides": (1, 1), "dilations": (1, 1), "pads_begin": (pad, pad), "pads_end": (pad, pad), "auto_pad": "explicit"}
        conv = b.layer("Convolution", f"{name}/WithoutBiases", [source, weights], [size], params=params)
        bias = b.constant(f"{name}/b", rng.normal(0, 0.1, (1, channels, 1, 1)).astype(np.float32))
        return b.layer("Add", name, [conv, bias], [size], params={"auto_broadcast": "numpy"})

    def pool(name: str, source):  # type: ignore[no-untyped-def]
        n, c, h, w = source.outputs[0].shape
        zero = {"strides": (2, 2), "kernel": (2, 2), "pads_begin": (0, 0), "pads_end": (0, 0), "rounding_type": "floor"}
        return b.layer("MaxPool", name, [source], [(n, c, h // 2, w // 2)], params=zero)

    last = convolution("19", last, 16, 5, 2)
    last = b.layer("ReLU", "21", [last], [last.outputs[0].shape])
    last = pool("22", last)
    last = convolution("23", last, 32, 5, 2)
    last = convolution("24", last, 64, 3, 2)
    last = b.layer("ReLU", "26", [last], [last.outputs[0].shape])
    last = pool("27", last)
    pattern = b.constant("28/shape", np.array([0, -1], np.int64))
    last = b.layer("Reshape", "28/Reshape", [last, pattern], [(1, 5184)], params={"special_zero": "true"})
    weights = b.constant("29/w", rng.normal(0, 5184**-0.5, (10, 5184)).astype(np.float32))
    last = b.layer("MatMul", "29/WithoutBiases", [last, weights], [(1, 10)], params={"transpose_a": "false", "transpose_b": "true"})
    bias = b.constant("29/b", rng.normal(0, 0.1, (1, 10)).astype(np.float32))
    last = b.layer("Add", "29", [last, bias], [(1, 10)], params={"auto_broadcast": "numpy"})
    last = b.layer("SoftMax", "fc_out", [last], [(1, 10)], params={"axis": 1})
    b.result(last)
    return ir_bytes(b.graph())


def legacy_network(batch: int = 1) -> Files:
    """IR v7: data [batch,3,8,8] -> conv -> relu -> split; outputs split.0, split.1 and fc."""
    rng = np.random.default_rng(3)
    b = NetworkBuilder.legacy("small")
    data = b.input("data", (batch, 3, 8, 8))
    params = {"kernel": (3, 3), "strides": (1, 1), "pads_begin": (1, 1), "pads_end": (1, 1), "dilations": (1, 1), "output": 4, "group": 1}
    blobs = {"weights": rng.normal(0, 0.2, 4 * 27).astype(np.float32), "biases": rng.normal(0, 0.1, 4).astype(np.float32)}
    conv = b.layer("Convolution", "conv", [data], [(batch, 4, 8, 8)], params=params, blobs=blobs)
    relu = b.layer("ReLU", "relu", [conv], [(batch, 4, 8, 8)])
    b.layer("Split", "split", [relu], [(batch, 1, 8, 8), (batch, 3, 8, 8)], params={"axis": 1})
    blobs = {"weights": rng.normal(0, 0.1, 5 * 256).astype(np.float32), "biases": np.zeros(5, np.float32)}
    b.layer("FullyConnected", "fc", [relu], [(batch, 5)], params={"out-size": 5}, blobs=blobs)
    return ir_bytes(b.graph())


def identity_network(shape: Sequence[int] = (1, 3, 4, 4), version: int = 7) -> Files:
    """IR v7 with one Power layer that copies data to out."""
    b = NetworkBuilder.legacy("copy", version)
    data = b.input("data", shape)
    b.layer("Power", "out", [data], [shape], params={"power": 1, "scale": 1, "shift": 0})
    return ir_bytes(b.graph())


def write(files: Files, folder: Path, name: str) -> tuple[str, str]:
    """Paths of the .xml and .bin."""
    paths = folder / f"{name}.xml", folder / f"{name}.bin"
    for path, data in zip(paths, files, strict=True):
        path.write_bytes(data)
    return str(paths[0]), str(paths[1])


class GateRequest(Request):
    """Doubles its input once the device's gate is open; the output is input * 2."""

    def __init__(self, device: GateDevice):
        self._device = device

    def infer(self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> None:
        with self._device.lock:
            self._device.running += 1
            self._device.most = max(self._device.most, self._device.running)
            self._device.started += 1
        try:
            assert self._device.gate.wait(30), "the test never opened the gate"
            if self._device.fail:
                raise NotFoundError("the device was told to fail")
            outputs[0][...] = inputs[0] * 2
        finally:
            with self._device.lock:
                self._device.running -= 1

    def perf_counts(self) -> list[PerfCount]:
        return [PerfCount(layer="out", layer_type="Power", exec_type="gate", status="EXECUTED", real_time=3, cpu_time=2, order=0)]


class GateExecutable(Executable):
    def __init__(self, device: GateDevice):
        self._device = device
        self.streams = device.streams

    def create_request(self) -> Request:
        return GateRequest(self._device)


class GateDevice(Device):
    """Holds every inference back until ``gate`` is set; counts how many run at once."""

    name = "GATE"
    description = "test device"

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.lock = threading.Lock()
        self.fail = False
        self.streams = 2
        self.running = self.most = self.started = 0
        self.config = {"EXCLUSIVE_ASYNC_REQUESTS": "NO"}

    def query(self, program: Program) -> list[bool]:
        return [n.layer_type != "ReLU" for n in program.nodes]

    def compile(self, program: Program, config: Mapping[str, str]) -> Executable:
        if not all(self.query(program)):
            raise NotImplementedIEError("the driver's own text")
        return GateExecutable(self)

    def get_metric(self, name: str) -> Parameter:
        metrics: dict[str, Parameter] = {"AVAILABLE_DEVICES": ["A", "B"], "SUPPORTED_CONFIG_KEYS": list(self.config)}
        if name not in metrics:
            raise NotFoundError(f"Unsupported metric key {name}")
        return metrics[name]

    def get_config(self, name: str) -> Parameter:
        return self.config[name]


@pytest.fixture
def gate() -> Iterator[GateDevice]:
    """A GATE device that a plugin provides to every IECore of the test."""
    device = GateDevice()

    class Plugin:
        @hookimpl
        def ie_ctypes_devices(self) -> list[DeviceRecord]:
            return [DeviceRecord(name="GATE", driver=lambda: device)]

    plugin = Plugin()
    default_manager().register(plugin, "gate")
    yield device
    device.gate.set()
    default_manager().unregister(plugin)


@pytest.fixture
def core() -> IECore:
    return IECore()


@pytest.fixture
def net(core: IECore) -> IENetwork:
    return core.read_network(*opset_network())


@pytest.fixture
def legacy(core: IECore) -> IENetwork:
    return core.read_network(*legacy_network())


@pytest.fixture
def copy_net(core: IECore) -> IENetwork:
    return core.read_network(*identity_network())


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(1).random((1, 3, 32, 32), np.float32)
