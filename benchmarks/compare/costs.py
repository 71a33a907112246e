# SPDX-License-Identifier: Apache-2.0
"""What the API costs beside the inference: loading, memory, calls, starting, in alternating rounds of fresh processes."""

from __future__ import annotations

import os
import pathlib
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import numpy as np

from benchmarks.compare import models
from benchmarks.compare.figures import OURS, RIVALS, Ratio, paired, table
from benchmarks.compare.machine import Machine
from benchmarks.compare.rounds import PATIENCE, Runtime, Worker, WorkerError, quietly
from benchmarks.compare.stack import Stack

Say = Callable[[str], None]
#: name of a row -> runtime -> one figure a round
Figures = dict[str, dict[str, list[float]]]

#: what each runtime's script of one line is, for the time that it takes to start
STARTS = {
    OURS: "from ie_ctypes import IECore; IECore()",
    "legacy": "import warnings; warnings.simplefilter('ignore'); from openvino.inference_engine import IECore; IECore()",
    "openvino": "import openvino; openvino.Core()",
    "onnxruntime": "import onnxruntime",
}


def collect(
    machine: Machine, names: Iterable[str], rounds: int, cores: int, say: Say, turn: Callable[[str], Mapping[str, float]]
) -> tuple[Figures, int]:
    """Figures of ``rounds`` rounds in which ``turn(runtime)`` gives a figure a row, and how many turns were dropped.

    A runtime that fails is said and left out.
    """
    left, figures, dropped = list(names), Figures(), 0
    for number in range(PATIENCE * rounds):
        if not left or max((len(v) for by_name in figures.values() for v in by_name.values()), default=0) == rounds:
            break
        found: dict[str, Mapping[str, float]] = {}
        first = number % len(left)
        for name in left[first:] + left[:first]:
            try:
                value, again = quietly(machine, cores, partial(turn, name))
            except (WorkerError, subprocess.CalledProcessError) as e:
                say(f"  {name} failed: {e}")
                left.remove(name)
                for by_name in figures.values():
                    by_name.pop(name, None)
                continue
            dropped += again
            if value is None:
                break
            found[name] = value
        if len(found) == len(left):
            for name, rows in found.items():
                for row, figure in rows.items():
                    figures.setdefault(row, {}).setdefault(name, []).append(figure)
    return figures, dropped


def load_and_memory(
    machine: Machine, runtimes: Mapping[str, Runtime], networks: Iterable[str], threads: int, rounds: int, pause: float, say: Say
) -> tuple[Figures, Figures, int]:
    """Seconds from a file to a loaded network, and the peak resident set after two inferences in bytes, both of fresh processes.

    ``pause`` is the time between numpy's import and that of the runtime.
    """
    load: Figures = {}
    memory: Figures = {}
    dropped = 0
    for network in networks:
        model = str(models.files(network, "fp32", 1))
        with tempfile.TemporaryDirectory() as folder:
            inputs = os.path.join(folder, "inputs.npz")
            np.savez(inputs, **models.inputs(network, "fp32", 1))

            def turn(name: str, network: str = network, model: str = model, inputs: str = inputs) -> dict[str, float]:
                with Worker(runtimes[name]) as worker:
                    engine = runtimes[name].engine
                    answer = worker.ask(
                        "load", engine=engine, model=model, threads=threads, streams=1, inputs=inputs, outputs=None, pause=pause
                    )
                    return {"read": answer["read"], "load": answer["load"], "peak": worker.ask("memory")["peak"]}

            figures, again = collect(machine, runtimes, rounds, threads, say, turn)
        load[network], memory[network] = figures.get("load", {}), figures.get("peak", {})
        load[f"{network}, reading alone"] = {name: v for name, v in figures.get("read", {}).items() if any(v)}  # not all read apart
        dropped += again
        say(f"load of {network}: {_medians(load[network], 1e3, 'ms')}; peak {_medians(memory[network], 1e-6, 'MB')}")
    return load, memory, dropped


def calls(machine: Machine, runtimes: Mapping[str, Runtime], rounds: int, say: Say) -> tuple[Figures, int]:
    """Seconds of one call on a network of one ReLU, by kind of call."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        s = Stack("relu")
        x = s.input("x", (1, 3, 8, 8))
        model = models.write(s.graph(s.activation(x, "relu")), folder / "relu.xml")
        inputs = str(folder / "inputs.npz")
        np.savez(inputs, x=np.linspace(-1, 1, 192, dtype=np.float32).reshape(1, 3, 8, 8))

        def turn(name: str) -> dict[str, float]:
            with Worker(runtimes[name]) as worker:
                worker.ask("load", engine=runtimes[name].engine, model=str(model), threads=1, streams=1, inputs=inputs, outputs=None)
                found: dict[str, float] = worker.ask("calls")["calls"]
                return found

        figures, dropped = collect(machine, runtimes, rounds, 1, say, turn)
    for kind, values in figures.items():
        say(f"{kind}: {_medians(values, 1e6, 'us')}")
    return figures, dropped


def start(machine: Machine, runtimes: Mapping[str, Runtime], rounds: int, say: Say) -> tuple[Figures, int]:
    """Seconds of a whole process that makes a core, and of one that only imports numpy, beside it."""

    def turn(name: str) -> dict[str, float]:
        runtime = runtimes[name]
        numpy = _process(runtime, "import numpy")
        both = _process(runtime, f"import numpy; {STARTS[runtime.engine]}")
        return {"whole process": _process(runtime, STARTS[runtime.engine]), "numpy first": both, "beyond numpy": max(both - numpy, 1e-4)}

    for name in runtimes:  # compiled files are written and pages read once
        _process(runtimes[name], f"import numpy; {STARTS[runtimes[name].engine]}")
    figures, dropped = collect(machine, runtimes, rounds, 1, say, turn)
    for kind, values in figures.items():
        say(f"start, {kind}: {_medians(values, 1e3, 'ms')}")
    return figures, dropped


def _process(runtime: Runtime, code: str) -> float:
    environment = {k: v for k, v in {**os.environ, **runtime.environment}.items() if k != "PYTHONDONTWRITEBYTECODE"}
    begin = time.perf_counter()
    subprocess.run([runtime.python, "-c", code], cwd=runtime.folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def _medians(values: Mapping[str, Sequence[float]], scale: float, unit: str) -> str:
    return ", ".join(f"{name} {statistics.median(v) * scale:.3g} {unit}" for name, v in values.items() if v)


def cost_table(head: str, figures: Figures, names: Sequence[str], scale: float, unit: str, against: Sequence[str]) -> str:
    """Medians of every runtime, and our ratio to the better one of ``against``."""
    rows = []
    for row, by_name in figures.items():
        there = {name: statistics.median(v) for name, v in by_name.items() if v}
        cells = [f"{there[name] * scale:.3g}" if name in there else "-" for name in names]
        ratio: Ratio | None = None
        rivals = [name for name in against if name in there]
        if rivals and OURS in there:
            best = min(rivals, key=lambda name: there[name])
            ratio = paired(by_name[OURS], by_name[best], best)
        rows.append([row, *cells, str(ratio or "-"), ratio.against if ratio else "-"])
    return table([head, *[f"{name} {unit}" for name in names], "ratio", "to"], rows)


def cost_report(
    machine: Machine, runtimes: Mapping[str, Runtime], sections: Sequence[str], networks: Sequence[str], rounds: int, pause: float, say: Say
) -> str:
    """The tables of the sections ``load``, ``calls`` and ``start``."""
    names, texts = list(runtimes), []
    if "load" in sections:
        load, memory, dropped = load_and_memory(machine, runtimes, networks, 2, rounds, pause, say)
        texts.append(
            f"### Load: from the file to a loaded network, 2 threads, fresh processes {pause:g} s after numpy's import"
            f" ({dropped} turns dropped)\n\n" + cost_table("network", load, names, 1e3, "ms", ("openvino",))
        )
        texts.append(
            "### Memory: peak resident set after two inferences, 2 threads, python and numpy included\n\n"
            + cost_table("network", memory, names, 1e-6, "MB", RIVALS)
        )
    if "calls" in sections:
        figures, dropped = calls(machine, runtimes, rounds, say)
        texts.append(
            f"### Calls: a network of one ReLU, 1 thread ({dropped} turns dropped)\n\n"
            + cost_table("call", figures, names, 1e6, "us", ("legacy",))
        )
    if "start" in sections:
        figures, dropped = start(machine, runtimes, rounds, say)
        texts.append(
            f"### Start: import and a core ({dropped} turns dropped)\n\n" + cost_table("process", figures, names, 1e3, "ms", ("legacy",))
        )
    return "\n\n".join(texts)
