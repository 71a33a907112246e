# SPDX-License-Identifier: Apache-2.0
"""What sharing costs: chains of equal steps with one thread and with several, in microseconds a step.

    python benchmarks/threads.py [THREADS] [--neighbour CORE]

A step runs on one thread below a certain size, so its time there must not depend on the number of threads; above it the difference
to an even split is the cost of handing the step out. Rounds alternate, medians. --neighbour keeps the given core busy with another
process meanwhile (and leaves out the small steps): then several threads must not be slower than one.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time

import numpy as np

from ie_ctypes.devices.base import Request
from ie_ctypes.devices.cpu import CpuDevice
from ie_ctypes.model import ops  # noqa: F401  registers the kinds
from ie_ctypes.model.program import Program, ProgramNode, Tensor, TensorType

STEPS = 48
ROUNDS = 15
#: channels and size of square maps
MAPS = ((16, 8), (32, 8), (32, 14), (64, 14), (128, 14), (128, 28), (256, 28))


def chain(channels: int, size: int) -> Program:
    """STEPS convolutions of 1x1 one behind the other."""
    rng = np.random.default_rng(0)
    kind = TensorType("float32", (1, channels, size, size))
    tensors, nodes = [Tensor("x0", kind)], []
    attrs = {name: (value, value) for name, value in {"strides": 1, "dilations": 1, "pads_begin": 0, "pads_end": 0}.items()}
    for i in range(STEPS):
        w = (rng.standard_normal((1, channels, channels, 1, 1)) / channels**0.5).astype(np.float32)
        tensors += [Tensor(f"w{i}", TensorType("float32", w.shape), w), Tensor(f"x{i + 1}", kind)]
        nodes.append(ProgramNode("Conv", f"c{i}", f"c{i}", "Convolution", (2 * i, 2 * i + 1), (2 * i + 2,), attrs))
    return Program("chain", tensors, nodes, [0], ["x"], [2 * STEPS], ["y"])


def runner(device: CpuDevice, program: Program, threads: int) -> tuple[Request, list[np.ndarray], list[np.ndarray]]:
    request = device.compile(program, {"CPU_THREADS_NUM": str(threads)}).create_request()
    first, last = program.tensors[0].type, program.tensors[-1].type
    return request, [np.ones(first.shape, np.float32)], [np.empty(last.shape, np.float32)]


def measure(device: CpuDevice, program: Program, counts: tuple[int, ...]) -> list[float]:
    """Microseconds a step for each number of threads."""
    runners = [runner(device, program, n) for n in counts]
    times: list[list[float]] = [[] for _ in counts]
    for request, x, y in runners:
        request.infer(x, y)
    start = time.perf_counter()
    runners[0][0].infer(*runners[0][1:])
    repeats = max(1, int(0.02 / (time.perf_counter() - start)))
    for _ in range(ROUNDS):
        for row, (request, x, y) in zip(times, runners, strict=True):
            start = time.perf_counter()
            for _ in range(repeats):
                request.infer(x, y)
            row.append((time.perf_counter() - start) / repeats / STEPS * 1e6)
    return [statistics.median(row) for row in times]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("threads", type=int, nargs="?", default=2)
    parser.add_argument("--neighbour", type=int, metavar="CORE")
    arguments = parser.parse_args()
    busy = None
    if arguments.neighbour is not None:
        busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        os.sched_setaffinity(busy.pid, {arguments.neighbour})
    try:
        device = CpuDevice()
        for channels, size in MAPS[3 * (busy is not None) :]:
            one, several = measure(device, chain(channels, size), (1, arguments.threads))
            print(
                f"{channels:3d} channels {size:2d}x{size:<2d}  1 thread {one:8.2f} us a step  {arguments.threads} threads {several:8.2f}"
                f"  ratio {several / one:.2f}  over an even split {several - one / arguments.threads:+.2f} us",
                flush=True,
            )
    finally:
        if busy:
            busy.kill()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
