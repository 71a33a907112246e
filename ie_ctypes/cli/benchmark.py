# SPDX-License-Identifier: Apache-2.0
"""``ie_ctypes benchmark``: latency and throughput of a network on a device, with random inputs."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.plugins.records import Subcommand

if TYPE_CHECKING:
    from ie_ctypes.api.executable import ExecutableNetwork


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    parser.add_argument("model", help="network file")
    parser.add_argument("-w", "--weights", default="", help="weights, when they are not beside the model")
    parser.add_argument("-d", "--device", default="AUTO", help="device (default: AUTO)")
    parser.add_argument("-t", "--seconds", type=float, default=5.0, help="how long each of the two measurements takes (default: 5)")
    parser.add_argument("-n", "--requests", type=int, default=0, help="requests in flight; 0 asks the device (default)")
    parser.add_argument("-c", "--config", action="append", default=[], metavar="KEY=VALUE", help="a setting of the device; repeatable")


def run(arguments: argparse.Namespace) -> int:
    """Load, then measure one inference at a time and as many as there are requests."""
    from ie_ctypes.api.core import IECore
    from ie_ctypes.errors import ParameterMismatchError

    for pair in arguments.config:
        if "=" not in pair:
            raise ParameterMismatchError(f"--config {pair}: expected KEY=VALUE")
    core = IECore(plugin_manager=arguments.manager)
    begin = time.perf_counter()
    net = core.read_network(arguments.model, arguments.weights)
    read = time.perf_counter()
    config = dict(pair.split("=", 1) for pair in arguments.config)
    exec_net = core.load_network(net, arguments.device, config, num_requests=arguments.requests)
    loaded = time.perf_counter()
    rng = np.random.default_rng(0)
    inputs = {name: rng.random(tuple(i.shape)) for name, i in net.inputs.items()}
    exec_net.infer(inputs)
    first = time.perf_counter()
    times = np.sort(latencies(exec_net, arguments.seconds)) * 1000
    count, seconds = throughput(exec_net, inputs, arguments.seconds)
    print(f"device      {exec_net._loaded.device_name}, {len(exec_net.requests)} requests")
    print(f"read        {(read - begin) * 1000:.1f} ms")
    print(f"load        {(loaded - read) * 1000:.1f} ms")
    print(f"first       {(first - loaded) * 1000:.2f} ms")
    print(f"latency     {times[len(times) // 2]:.3f} ms median, {times[0]:.3f} ms least, {times[int(len(times) * 0.95)]:.3f} ms 95 %")
    print(f"throughput  {count / seconds:.1f} inferences a second")
    return 0


def latencies(exec_net: ExecutableNetwork, seconds: float) -> list[float]:
    """Seconds of each inference, one after the other, for some time."""
    request = exec_net.requests[0]
    found: list[float] = []
    end = time.perf_counter() + seconds
    while not found or time.perf_counter() < end:
        start = time.perf_counter()
        request.infer()
        found.append(time.perf_counter() - start)
    return found


def throughput(exec_net: ExecutableNetwork, inputs: dict[str, np.ndarray], seconds: float) -> tuple[int, float]:
    """Number of inferences with all requests in flight, and the time they took."""
    for request in exec_net.requests:
        request.infer(inputs)
    count, begin = 0, time.perf_counter()
    while count == 0 or time.perf_counter() < begin + seconds:
        exec_net.wait(num_requests=1)
        exec_net.requests[exec_net.get_idle_request_id()].async_infer()
        count += 1
    exec_net.wait()
    return count, time.perf_counter() - begin


COMMAND = Subcommand(name="benchmark", help="measure latency and throughput of a network on a device", run=run, configure=configure)
