# SPDX-License-Identifier: Apache-2.0
"""Damaged files and damaged descriptions, run to the end: an answer or a worded error, never a crash, a hang or another exception.

    python tests/fuzz/fuzz.py [--seconds 3600] [--first SEED] [--kind file|layer|graph]

A case is made of its seed alone. ``file``: the XML and weights of a small network, damaged, read, loaded on CPU and run. ``layer``: the
same with the one-layer networks of the conformance corpus, where IE_TEST_DATA has it. ``graph``: words of the flat description of a
random program changed, checked by C, loaded and run. Cases run in child processes; one that dies, hangs or raises what it must not is
printed with its seed, and the exit status is 1. ``--case file:17`` repeats one here. Set IE_CTYPES_LIBRARY and LD_PRELOAD as .ci/run does
to run them under AddressSanitizer (with quarantine_size_mb=1: now and then a child runs its cases three times, and fails when the third
time takes memory that the second did not). Seeds that once failed are in tests/fuzz/test_fuzz.py.
``tests/fuzz/libfuzzer`` is the other fuzzer: descriptions of all kinds, led by what of the C code they reach.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import faulthandler
import functools
import gc
import os
import random
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "model"), str(HERE.parent / "cpu")]

from small_nets import DATA  # noqa: E402
from test_random_programs import RandomProgram  # noqa: E402
from test_reader_fuzz import FILES, change  # noqa: E402

from ie_ctypes import IECore, runtime  # noqa: E402
from ie_ctypes.errors import IEError  # noqa: E402
from ie_ctypes.runtime import abi, flat  # noqa: E402
from ie_ctypes.runtime.errors import check, new_error  # noqa: E402
from ie_ctypes.runtime.library import library  # noqa: E402
from ie_ctypes.runtime.objects import DTYPES  # noqa: E402

LAYERS = DATA / "corpus"
MOST = 1 << 22  # elements of a tensor that is run: damage makes sizes that no machine has
BATCH, SECONDS = 40, 120  # cases of a child, and what they may take
EVERY, GROWTH = 8, 16 << 20  # every so many batches a child looks for leaks; bytes that it may grow by
WORDS = (0, 1, -1, 2, 3, 7, 16, 255, 1 << 15, (1 << 31) - 1, 1 << 31, -(1 << 31), 1 << 40, (1 << 63) - 1, -(1 << 63))
NUMBERS = (0.0, -1.0, 1e-30, 1e30, float("inf"), float("nan"))


def run_file(seed: int) -> str:
    """Read, load and run a damaged file; what became of it."""
    rng = random.Random(seed)
    return _run_damaged(rng, *FILES[rng.choice(sorted(FILES))])


def run_layer(seed: int) -> str:
    """The same with a network of the conformance corpus."""
    rng = random.Random(seed)
    xml = rng.choice(_layers())
    weights = xml.with_suffix(".bin")
    return _run_damaged(rng, xml.read_bytes(), weights.read_bytes() if weights.exists() else b"")


@functools.cache
def _layers() -> list[Path]:
    lines = (LAYERS / "dev.txt").read_text().splitlines()
    return sorted({LAYERS / line.split("\t")[0].strip() for line in lines if line.strip() and not line.startswith("#")})


def _run_damaged(rng: random.Random, xml: bytes, weights: bytes) -> str:
    text = xml.decode()
    for _ in range(rng.randint(1, 3)):
        text = change(rng, text) or text
    if rng.random() < 0.2:
        weights = weights[: rng.randrange(len(weights) + 1)]
    core = IECore()
    try:
        net = core.read_network(text.encode("utf-8", "surrogatepass"), weights)
        if any(np.prod([float(d) for d in info.tensor_desc.dims]) > MOST for info in net.input_info.values()):
            return "large"
        exec_net = core.load_network(net, "CPU")
        exec_net.infer()
    except (IEError, MemoryError) as e:
        return type(e).__name__
    return "ran"


def _damage(rng: random.Random, description: flat.Description) -> None:
    """Change one word; the addresses of constants stay."""
    name = rng.choice(("ints", "ints", "ports", "tensors", "nodes", "attrs", "graphs", "doubles"))
    words = getattr(description, name)
    if not words:
        return
    place = rng.randrange(len(words))
    if name == "tensors" and place % abi.TENSOR_WORDS == 3:
        place += 1
    old = words[place]
    if name == "doubles":
        words[place] = rng.choice((*NUMBERS, old * 2))
    else:
        words[place] = rng.choice((*WORDS, *(old + d for d in (-2, -1, 1, 2) if abs(old) < 1 << 62)))


def run_graph(seed: int) -> str:
    """Check, load and run a damaged description; what became of it."""
    rng = random.Random(seed)
    program = RandomProgram(seed)
    for _ in range(8):
        program.grow()
    program = program.finish().program
    description = flat.Description(program)
    for _ in range(rng.randint(1, 3)):
        _damage(rng, description)
    pointer, err = ctypes.POINTER(abi.GraphHandle)(), new_error()
    try:
        check(library().iec_graph_create(description.fill(), pointer, err), err)
    except IEError as e:
        return type(e).__name__
    graph = runtime.Graph.__new__(runtime.Graph)
    runtime.Graph.__mro__[1].__init__(graph, pointer, library().iec_graph_release)
    graph.node_count = description.graphs[2]
    with graph, runtime.Device("CPU") as device:
        types = _types(description)
        if any(np.prod([float(d) for d in shape]) > MOST for _, shape in types):
            return "large"
        try:
            device.query(graph)
            with device.compile(graph, {"CPU_THREADS_NUM": "2"}) as executable, executable.create_request() as request:
                inputs, outputs = description.graphs[3:5]
                visible = [types[i] for i in description.ports[: inputs + outputs]]
                if any(dtype not in DTYPES for dtype, _ in visible):
                    return "bfloat16"  # C hands it on, numpy has no such type
                arrays = [np.zeros(shape, DTYPES[dtype]) for dtype, shape in visible]
                request.bind(arrays[:inputs], arrays[inputs:])
                request.infer()
        except (IEError, MemoryError) as e:
            return type(e).__name__
    return "ran"


def _types(description: flat.Description) -> list[tuple[int, tuple[int, ...]]]:
    """Element type and shape of every tensor of the outer graph."""
    found, at = [], 0
    for k in range(description.graphs[1]):
        _, dtype, ndim, _, _ = description.tensors[k * abi.TENSOR_WORDS : (k + 1) * abi.TENSOR_WORDS]
        found.append((dtype, tuple(description.ints[at : at + ndim])))
        at += ndim
    return found


CASES = {"file": run_file, "graph": run_graph} | ({"layer": run_layer} if LAYERS.is_dir() else {})


def _resident() -> int:
    """Bytes of this process in memory, what nobody refers to any more taken off."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def child(kind: str, first: int, count: int, times: int) -> None:
    """Run some cases; each is announced before it runs. Three times and more: the memory in use must settle."""
    faulthandler.enable()
    warnings.simplefilter("ignore")
    sizes = []
    for _ in range(times):
        for seed in range(first, first + count):
            print(f"{kind}:{seed}", flush=True)
            CASES[kind](seed)
        sizes.append(_resident())
    if times > 2 and sizes[-1] - sizes[-2] > GROWTH:
        sys.exit(f"the same cases once more take {sizes[-1] - sizes[-2]} bytes more: {sizes}")
    print("done", flush=True)


def batch(kind: str, first: int, count: int, times: int = 1) -> str:
    """Run cases in a child; "" or the case that failed and how."""
    command = [sys.executable, __file__, "--child", f"{kind}:{first}:{count}:{times}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        out, errors = process.communicate(timeout=SECONDS * times)
        how = f"exit status {process.returncode}"
    except subprocess.TimeoutExpired:
        process.kill()
        out, errors = process.communicate()
        how = f"not done after {SECONDS * times} s"
    lines = out.split() or ["nothing"]
    return "" if lines[-1] == "done" and process.returncode == 0 else f"{lines[-1]}: {how}\n{errors[-3000:]}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--kind", choices=sorted(CASES), action="append")
    parser.add_argument("--case", help="run one case here: kind:seed")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        kind, *numbers = options.child.split(":")
        child(kind, *map(int, numbers))
        return 0
    if options.case:
        kind, seed = options.case.split(":")
        print(CASES[kind](int(seed)))
        return 0
    kinds, end, seed, failures, cases = options.kind or sorted(CASES), time.monotonic() + options.seconds, options.first, 0, 0
    with contextlib.suppress(KeyboardInterrupt):
        while time.monotonic() < end:
            for kind in kinds:
                failed = batch(kind, seed, BATCH, 1 if seed // BATCH % EVERY else 3)
                cases += BATCH
                if failed:
                    failures += 1
                    print(failed, flush=True)
            seed += BATCH
    print(f"{cases} cases from seed {options.first} to {seed - 1}, {failures} batches failed")
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
