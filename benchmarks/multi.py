# SPDX-License-Identifier: Apache-2.0
"""Throughput of MULTI over CPU and a device of fixed delay, beside each alone: ``python benchmarks/multi.py``."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Mapping, Sequence

import numpy as np

from ie_ctypes import IECore, IENetwork
from ie_ctypes.devices.base import Device, Executable, Request
from ie_ctypes.model.builder import NetworkBuilder
from ie_ctypes.model.network import Network
from ie_ctypes.model.program import Program
from ie_ctypes.plugins import Device as DeviceRecord
from ie_ctypes.plugins import hookimpl
from ie_ctypes.plugins.manager import create_manager


class Delay(Device, Executable, Request):
    """An accelerator that takes ``seconds`` for an inference, ``streams`` at a time, and leaves the processor alone."""

    name = "DELAY"

    def __init__(self, seconds: float, streams: int):
        self.seconds, self.streams = seconds, streams

    def query(self, program: Program) -> list[bool]:
        return [True for _ in program.nodes]

    def compile(self, program: Program, config: Mapping[str, str]) -> Executable:
        return self

    def create_request(self) -> Request:
        return self

    def infer(self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> None:
        time.sleep(self.seconds)


def network() -> IENetwork:
    """Eight convolutions of 3x3 over 64 channels of 56x56."""
    rng = np.random.default_rng(0)
    b = NetworkBuilder.legacy("convolutions")
    last = b.input("data", (1, 64, 56, 56))
    params = {"kernel": (3, 3), "strides": (1, 1), "pads_begin": (1, 1), "pads_end": (1, 1), "dilations": (1, 1), "output": 64, "group": 1}
    for i in range(8):
        blobs = {"weights": rng.normal(0, 0.04, 64 * 64 * 9).astype(np.float32), "biases": np.zeros(64, np.float32)}
        last = b.layer("Convolution", f"conv{i}", [last], [(1, 64, 56, 56)], params=params, blobs=blobs)
    return IENetwork._of(Network(b.graph()))


def throughput(core: IECore, net: IENetwork, device: str, config: dict[str, str], seconds: float) -> float:
    """Inferences a second with all optimal requests in flight, each started again as soon as it is done."""
    exec_net = core.load_network(net, device, config if "CPU" in device else {}, num_requests=0)
    exec_net.infer()
    for request in exec_net.requests:
        request.async_infer()
    done, begin = 0, time.perf_counter()
    while (now := time.perf_counter()) - begin < seconds:
        exec_net.wait(num_requests=1)
        while (i := exec_net.get_idle_request_id()) >= 0:
            exec_net.start_async(i)
            done += 1
    exec_net.wait()
    return done / (now - begin)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="alternating rounds; medians are printed")
    parser.add_argument("--seconds", type=float, default=1.0, help="of one measurement")
    parser.add_argument("--relative", type=float, default=1.0, help="delay of the device, in inference times of CPU")
    parser.add_argument("--threads", type=int, default=0, help="CPU_THREADS_NUM; one less than cores leaves the driving code a core")
    a = parser.parse_args()
    config = {"CPU_THREADS_NUM": str(a.threads)}
    net, single = network(), []
    exec_net = IECore().load_network(net, "CPU", config)
    for _ in range(20):
        begin = time.perf_counter()
        exec_net.infer()
        single.append(time.perf_counter() - begin)
    delay = Delay(statistics.median(single) * a.relative, 2)

    class Plugin:
        @hookimpl
        def ie_ctypes_devices(self) -> list[DeviceRecord]:
            return [DeviceRecord(name="DELAY", driver=lambda: delay)]

    manager = create_manager(installed=False)
    manager.register(Plugin(), "delay")
    core, devices = IECore(plugin_manager=manager), ("CPU", "DELAY", "MULTI:CPU,DELAY", "MULTI:DELAY,CPU")
    rates: dict[str, list[float]] = {device: [] for device in devices}
    for _ in range(a.rounds):
        for device in devices:
            rates[device].append(throughput(core, net, device, config, a.seconds))
    medians = {device: statistics.median(values) for device, values in rates.items()}
    better = max(medians["CPU"], medians["DELAY"])
    print(f"delay {delay.seconds * 1e3:.1f} ms, two at a time")
    for device, rate in medians.items():
        print(f"{device:16} {rate:8.1f} inferences/s  {rate / better:5.2f} of the better device")


if __name__ == "__main__":
    main()
