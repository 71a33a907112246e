# SPDX-License-Identifier: Apache-2.0
"""What this machine can do at most, and whether it can do it at the moment: multiply-adds, memory, and the gate built on them."""

from __future__ import annotations

import ctypes
import datetime
import os
import pathlib
import platform
import shutil
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable

#: a turn counts when the multiply-add tests beside it reached this part of the best one of late
GATE = 0.9
#: seconds for which the best is remembered: the clock of a shared machine drifts, and what is slow for minutes is the same for all
MEMORY = 20.0
#: rounds of the multiply-add loop in one test: about 2 ms
FMA_ROUNDS = 1_000_000
SOURCE = pathlib.Path(__file__).with_name("roofline.c")


class Machine:
    """Compiles ``roofline.c`` for this processor (needs a C compiler) and measures with it."""

    def __init__(self, gate: float = GATE) -> None:
        self.gate = gate
        compiler = os.environ.get("CC", "").split() or [shutil.which("cc") or shutil.which("gcc") or ""]
        if not compiler[0]:
            raise SystemExit("benchmarks.compare needs a C compiler (cc) for the test of the machine's speed")
        with tempfile.TemporaryDirectory() as folder:
            library = os.path.join(folder, "roofline.so")
            subprocess.run([*compiler, "-O2", "-march=native", "-shared", "-fPIC", str(SOURCE), "-o", library], check=True)
            self._library = ctypes.CDLL(library)
        for function, arguments in (("fma", 1), ("read", 3)):
            call = getattr(self._library, f"roofline_{function}")
            call.restype = ctypes.c_int64
            call.argtypes = [ctypes.c_void_p, *[ctypes.c_int64] * 2] if arguments == 3 else [ctypes.c_int64]
        self.cores = sorted(os.sched_getaffinity(0))
        self._seen: dict[int, deque[tuple[float, float]]] = {}  # cores in use -> (when, speed) of the last tests
        for _ in range(20):
            self.speed(len(self.cores))

    def _fma(self) -> float:
        start = time.perf_counter()
        operations = self._library.roofline_fma(FMA_ROUNDS)
        return float(operations / (time.perf_counter() - start))

    def _on_cores(self, count: int, work: Callable[[], float]) -> list[float]:
        """``work`` at once on the first ``count`` cores, each by a thread bound to it."""
        results: list[float] = [0.0] * count
        ready = threading.Barrier(count)

        def run(i: int) -> None:
            os.sched_setaffinity(0, {self.cores[i]})
            ready.wait()
            results[i] = work()

        threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results

    def speed(self, cores: int) -> float:
        """The slowest core's present share of the best that was seen on as many cores in the last ``MEMORY`` seconds, 0 to 1."""
        cores = max(1, min(cores, len(self.cores)))
        now, when = min(self._on_cores(cores, self._fma)), time.monotonic()
        seen = self._seen.setdefault(cores, deque())
        seen.append((when, now))
        while seen[0][0] < when - MEMORY:
            seen.popleft()
        return now / max(speed for _, speed in seen)

    def peak(self, cores: int = 1, tries: int = 10) -> float:
        """Best operations a second, all cores together (a multiply-add is two)."""
        return max(sum(self._on_cores(min(cores, len(self.cores)), self._fma)) for _ in range(tries))

    def bandwidth(self, size: int, cores: int = 1, tries: int = 5) -> float:
        """Best bytes a second that ``cores`` cores read out of ``size`` bytes each, all together."""
        import numpy as np

        size -= size % 4096
        rounds = max(1, (64 << 20) // size)
        memories = [np.ones(size + 64, np.uint8) for _ in range(cores)]
        rest = iter(memories * tries)

        def read() -> float:
            memory = next(rest)
            address = memory.ctypes.data + -memory.ctypes.data % 64
            start = time.perf_counter()
            done = self._library.roofline_read(address, size, rounds)
            return float(done / (time.perf_counter() - start))

        return max(sum(self._on_cores(cores, read)) for _ in range(tries))


def description() -> str:
    """Processor, cores, system and day, for the head of a table."""
    brand = platform.processor() or platform.machine()
    isa: list[str] = []
    try:
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                brand = value.strip()
            if key.strip() == "flags":
                isa = [flag for flag in ("avx2", "fma", "avx512f", "avx512_vnni", "amx_tile") if flag in value.split()]
    except OSError:
        pass
    cores = len(os.sched_getaffinity(0))
    today = datetime.date.today().isoformat()
    return f"{brand} ({', '.join(isa) or platform.machine()}), {cores} cores, {platform.system()} {platform.release()}, {today}"
