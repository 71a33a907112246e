# SPDX-License-Identifier: Apache-2.0
"""Does memory grow, does anything hang? Many inferences, many loads, and use after a fork.

    python benchmarks/soak.py [--inferences 1000000] [--loads 10000]

Prints the resident set size (MB) along the way. Growth is measured from a tenth of each run, when caches are warm,
to its end; the exit status is 1 when it is above the limit or a child process did not answer.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import pathlib
import sys
import time

import numpy as np

from ie_ctypes import ExecutableNetwork, IECore, IENetwork

MODEL = pathlib.Path(__file__).parent.parent / "samples" / "models" / "digits_v7.xml"
GROWTH_LIMIT_MB = 4.0
PAGE = os.sysconf("SC_PAGE_SIZE")


def resident_mb() -> float:
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * PAGE / 2**20


class Watch:
    """Resident memory at ten points of a loop of ``total`` turns."""

    def __init__(self, label: str, total: int):
        self.label, self.total, self.start, self.warm = label, total, time.perf_counter(), 0.0

    def at(self, turn: int) -> None:
        step = max(1, self.total // 10)
        if (turn + 1) % step:
            return
        gc.collect()
        now = resident_mb()
        if turn + 1 == step:
            self.warm = now
        print(f"{self.label:10} {turn + 1:>9} of {self.total}: {now:8.2f} MB  {time.perf_counter() - self.start:7.1f} s", flush=True)

    def growth(self) -> float:
        gc.collect()
        return resident_mb() - self.warm


def inferences(exec_net: ExecutableNetwork, name: str, image: np.ndarray, count: int) -> float:
    watch = Watch("infer", count)
    for turn in range(count):
        exec_net.infer({name: image})
        watch.at(turn)
    return watch.growth()


def loads(ie: IECore, name: str, image: np.ndarray, count: int) -> float:
    watch = Watch("load", count)
    for turn in range(count):
        net: IENetwork = ie.read_network(str(MODEL))
        ie.load_network(net, "CPU").infer({name: image})
        watch.at(turn)
    return watch.growth()


def child(exec_net: ExecutableNetwork, ie: IECore, name: str, image: np.ndarray, out: multiprocessing.SimpleQueue[float]) -> None:
    again = ie.load_network(ie.read_network(str(MODEL)), "CPU")
    first = next(iter(exec_net.infer({name: image}).values()))
    second = next(iter(again.infer({name: image}).values()))
    request = again.start_async(0, {name: image})
    request.wait()
    out.put(float(np.abs(first - second).max()))


def fork(exec_net: ExecutableNetwork, ie: IECore, name: str, image: np.ndarray, seconds: float = 60.0) -> bool:
    """True when a forked child infers with the parent's network and with one of its own, and gets the same."""
    context = multiprocessing.get_context("fork")
    queue: multiprocessing.SimpleQueue[float] = context.SimpleQueue()
    process = context.Process(target=child, args=(exec_net, ie, name, image, queue))
    process.start()
    process.join(seconds)
    if process.is_alive():
        process.kill()
        return False
    return process.exitcode == 0 and queue.get() == 0.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inferences", type=int, default=1_000_000)
    parser.add_argument("--loads", type=int, default=10_000)
    args = parser.parse_args()
    ie = IECore()
    net = ie.read_network(str(MODEL))
    name = next(iter(net.inputs))
    image = np.random.default_rng(1).integers(0, 256, net.inputs[name].shape).astype(np.float32)
    exec_net = ie.load_network(net, "CPU")
    results = {
        "growth over inferences, MB": inferences(exec_net, name, image, args.inferences),
        "growth over loads, MB": loads(ie, name, image, args.loads),
    }
    for label, value in results.items():
        print(f"{label}: {value:.2f} (limit {GROWTH_LIMIT_MB})")
    answered = fork(exec_net, ie, name, image)
    print(f"fork after use: {'child answered' if answered else 'NO ANSWER'}")
    return 0 if answered and all(v <= GROWTH_LIMIT_MB for v in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
