# SPDX-License-Identifier: Apache-2.0
"""What CACHE_DIR saves: loading a network with its packed weights in a file against packing them, in whole processes that take turns.

python benchmarks/cache.py MODEL.xml ... [--rounds N]      prints medians of load_network in ms, their ratio, and private memory in MB
"""

from __future__ import annotations

import argparse
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
CODE = """
import sys, time
from ie_ctypes import IECore
core = IECore()
net = core.read_network(sys.argv[1])
start = time.perf_counter()
executable = core.load_network(net, "CPU", {"CACHE_DIR": sys.argv[2]})
print((time.perf_counter() - start) * 1e3)
executable.infer()
print(next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon")) / 1024)
"""


def load(model: pathlib.Path, folder: str) -> tuple[float, float]:
    """Milliseconds of a load in a new process, and its private memory in MB after an inference."""
    done = subprocess.run([sys.executable, "-c", CODE, str(model), folder], cwd=ROOT, check=True, capture_output=True, text=True)
    ms, mb = map(float, done.stdout.split())
    return ms, mb


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    print("| network | packing ms | first load with CACHE_DIR ms | later ones ms | later / packing | private MB packing | later |")
    print("|---|---|---|---|---|---|---|")
    for model in args.models:
        with tempfile.TemporaryDirectory() as folder:
            first, _ = load(model, folder)
            turns = [(load(model, ""), load(model, folder)) for _ in range(args.rounds)]
        packing, later = (statistics.median(turn[i][0] for turn in turns) for i in (0, 1))
        ratio = statistics.median(b[0] / a[0] for a, b in turns)
        memory = [statistics.median(turn[i][1] for turn in turns) for i in (0, 1)]
        print(f"| {model.stem} | {packing:.0f} | {first:.0f} | {later:.0f} | {ratio:.2f} | {memory[0]:.0f} | {memory[1]:.0f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
