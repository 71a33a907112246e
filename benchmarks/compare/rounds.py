# SPDX-License-Identifier: Apache-2.0
"""Alternating rounds: every runtime in a process of its own, one turn each a round, rounds beside a busy neighbour done again."""

from __future__ import annotations

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import numpy as np

from benchmarks.compare.figures import OURS, relative_error
from benchmarks.compare.machine import Machine

ROOT = pathlib.Path(__file__).resolve().parents[2]
#: results are compared with the first of these that is there
ORACLES = ("onnxruntime", "openvino", "legacy", "base")
#: how often a turn is tried, and how many rounds for each that is wanted
PATIENCE = 4

#: seconds that threads of a runtime may go on spinning after its turn, before the cores are tested again
SETTLE = 0.02

T = TypeVar("T")


class WorkerError(Exception):
    """A runtime that could not load or run a network; the text is its own."""


@dataclass(frozen=True)
class Case:
    """What is measured: one row of a table."""

    network: str
    precision: str = "fp32"
    batch: int = 1
    threads: int = 1
    streams: int = 1


@dataclass(frozen=True)
class Runtime:
    """How a worker is started: the engine it uses, its interpreter, what it finds in its environment."""

    engine: str
    python: str = sys.executable
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: pathlib.Path = ROOT


@dataclass
class Result:
    """Figures of one case: by runtime one number a round (seconds), beside it what was said at the load."""

    case: Case
    times: dict[str, list[float]] = field(default_factory=dict)
    loads: dict[str, dict[str, Any]] = field(default_factory=dict)
    memory: dict[str, dict[str, int]] = field(default_factory=dict)
    errors: dict[str, float] = field(default_factory=dict)  # largest relative difference to the oracle's outputs
    faults: dict[str, str] = field(default_factory=dict)  # runtimes that failed
    dropped: int = 0  # turns beside a busy neighbour


class Worker:
    """A running ``worker.py``. Use as a context manager."""

    def __init__(self, runtime: Runtime):
        command = [runtime.python, "-m", "benchmarks.compare.worker"]
        environment = {**os.environ, **runtime.environment}
        self._process = subprocess.Popen(
            command, cwd=runtime.folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """The answer to one request. WorkerError when the runtime failed or the process died."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **request}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            _, said = self._process.communicate()
            last = (said.strip().splitlines() or ["nothing was said"])[-1]
            raise WorkerError(f"the process ended with {self._process.returncode}: {last}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.kill()
        self._process.communicate()


def quietly(machine: Machine, cores: int, turn: Callable[[], T]) -> tuple[T | None, int]:
    """The value of a turn beside which the cores were free, and how many turns before it were not; None when none was."""
    for tries in range(PATIENCE):
        before = machine.speed(cores)
        value = turn()
        time.sleep(SETTLE)
        if before >= machine.gate and machine.speed(cores) >= machine.gate:
            return value, tries
    return None, PATIENCE


class Comparison:
    """Measures cases: ``rounds`` turns of about ``seconds`` for every runtime."""

    def __init__(self, machine: Machine, runtimes: Mapping[str, Runtime], rounds: int = 7, seconds: float = 0.25):
        self.machine, self.runtimes, self.rounds, self.seconds = machine, runtimes, rounds, seconds

    def measure(self, case: Case, model: pathlib.Path, inputs: Mapping[str, np.ndarray]) -> Result:
        """All figures of one case. ``model`` is the .xml; its ONNX twin lies beside it."""
        result = Result(case)
        workers: dict[str, Worker] = {}
        with tempfile.TemporaryDirectory() as folder:
            np.savez(os.path.join(folder, "inputs.npz"), **inputs)
            try:
                for name, runtime in self.runtimes.items():
                    workers[name] = Worker(runtime)
                    self._load(result, name, workers, model, pathlib.Path(folder))
                self._check(result, pathlib.Path(folder))
                self._rounds(result, workers)
            finally:
                for worker in workers.values():
                    worker.__exit__()
        return result

    def _load(self, result: Result, name: str, workers: dict[str, Worker], model: pathlib.Path, folder: pathlib.Path) -> None:
        case, worker = result.case, workers[name]
        try:
            result.loads[name] = worker.ask(
                "load",
                engine=self.runtimes[name].engine,
                model=str(model),
                threads=case.threads,
                streams=case.streams,
                inputs=str(folder / "inputs.npz"),
                outputs=str(folder / f"{name}.npz"),
            )
            result.memory[name] = worker.ask("memory")  # type: ignore[assignment]
        except WorkerError as e:
            result.faults[name] = str(e)
            workers.pop(name).__exit__()

    @staticmethod
    def _check(result: Result, folder: pathlib.Path) -> None:
        """Largest difference of each runtime's outputs to those of the oracle, over the outputs by name."""
        oracle = next((name for name in ORACLES if name in result.loads), None)
        if oracle is None:
            return
        with np.load(folder / f"{oracle}.npz") as expected:
            for name in result.loads:
                if name == oracle:
                    continue
                with np.load(folder / f"{name}.npz") as got:
                    missing = set(expected.files) - set(got.files)
                    if missing:
                        result.faults[name] = f"outputs {sorted(missing)} are missing, there are {sorted(got.files)}"
                        continue
                    result.errors[name] = max(relative_error(got[key], expected[key]) for key in expected.files)

    def _rounds(self, result: Result, workers: dict[str, Worker]) -> None:
        names = list(workers)
        result.times = {name: [] for name in names}
        cores = max(result.case.threads, result.case.streams)
        tries = 0
        while names and tries < PATIENCE * self.rounds and len(result.times[names[0]]) < self.rounds:
            order = names[tries % len(names) :] + names[: tries % len(names)]
            tries += 1
            turn: dict[str, float] = {}
            for name in order:
                try:
                    answer, again = quietly(self.machine, cores, partial(workers[name].ask, "run", seconds=self.seconds))
                except WorkerError as e:
                    result.faults[name] = str(e)
                    names.remove(name)
                    result.times.pop(name)
                    workers.pop(name).__exit__()
                    continue
                result.dropped += again
                if answer is None:
                    break
                turn[name] = statistics.median(answer["times"])
            if len(turn) < len(names):
                continue
            for name, value in turn.items():
                result.times[name].append(value)
        if names and not result.times[names[0]]:  # whoever had a turn has as few
            result.times.clear()
            result.faults[OURS] = f"all {tries} rounds were dropped: the machine is too busy"
