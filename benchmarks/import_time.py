# SPDX-License-Identifier: Apache-2.0
"""What importing the package costs beyond importing numpy: whole processes, alternating, medians.

python benchmarks/import_time.py [--rounds 21]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

CASES = {
    "python": "pass",
    "numpy": "import numpy",
    "ie_ctypes": "import numpy, ie_ctypes",
    "IECore()": "import numpy, ie_ctypes; ie_ctypes.IECore().available_devices",
}


def milliseconds(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return (time.perf_counter() - start) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=21)
    rounds = parser.parse_args().rounds
    times: dict[str, list[float]] = {name: [] for name in CASES}
    for _ in range(rounds):
        for name, code in CASES.items():
            times[name].append(milliseconds(code))
    for name, values in times.items():
        print(f"{name:10} median {statistics.median(values):7.1f} ms   min {min(values):7.1f}   max {max(values):7.1f}")
    extra = [b - a for a, b in zip(times["numpy"], times["ie_ctypes"], strict=True)]
    print(f"importing ie_ctypes after numpy: median {statistics.median(extra):.1f} ms over {rounds} rounds")


if __name__ == "__main__":
    main()
