# SPDX-License-Identifier: Apache-2.0
"""Layer by layer: our time, the least time that this machine's multiply-adds and memory allow (the roofline), and their quotient.

    python -m benchmarks.compare.layers resnet50 [NETWORK ...] [--threads 1] [--batch 1] [--all]

Without --all only the summary by primitive is printed. Multiplications are counted as the layer defines them, so Winograd's efficiency may
exceed 100 %. What is fused into a layer counts as that layer's time.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from benchmarks.compare import models
from benchmarks.compare.figures import table
from benchmarks.compare.machine import Machine, description
from benchmarks.compare.networks import NETWORKS
from ie_ctypes import IECore
from ie_ctypes.model.program import Program, ProgramNode

#: working sets, bytes a core, whose bandwidth is measured: a second-level cache, a third, memory
LEVELS = (256 << 10, 8 << 20, 256 << 20)


@dataclass(frozen=True)
class Roofline:
    """What the cores in use can do: operations a second, and bytes a second by size of what is read."""

    operations: float
    bandwidths: tuple[tuple[int, float], ...]

    @classmethod
    def measured(cls, machine: Machine, threads: int) -> Roofline:
        return cls(machine.peak(threads), tuple((size, machine.bandwidth(size, threads)) for size in LEVELS))

    def bandwidth(self, size: int) -> float:
        """Of the smallest level that holds ``size`` bytes."""
        return next((speed for limit, speed in self.bandwidths if size <= limit), self.bandwidths[-1][1])

    def least(self, operations: float, activations: int, constants: int, all_constants: int) -> float:
        """Seconds that a layer takes at least. Its constants come from where those of the whole network fit."""
        memory = activations / self.bandwidth(activations) + constants / self.bandwidth(all_constants)
        return max(operations / self.operations, memory)


def operations(program: Program, node: ProgramNode) -> float:
    """Multiplications and additions of a node; one an output element where nothing better is known."""
    shapes = [program.tensors[i].type.shape if i >= 0 else () for i in node.inputs]
    out = sum(program.tensors[i].type.size for i in node.outputs)
    if node.kind == "Conv":
        return 2.0 * out * prod(shapes[1][2:])
    if node.kind == "MatMul":
        return 2.0 * out * shapes[0][-2 if node.attrs.get("transpose_a") else -1]
    if node.kind == "Recurrent":
        n, t, d = shapes[0]
        directions, gates, size = shapes[5][0], shapes[5][1], shapes[5][2]
        return 2.0 * n * t * directions * gates * (d + size)
    return float(out)


def work(program: Program) -> dict[str, tuple[float, int, int]]:
    """Layer -> operations, bytes of activations in and out, bytes of constants."""
    rows: dict[str, tuple[float, int, int]] = {}
    for node in program.nodes:
        activations = constants = 0
        for i in (*node.inputs, *node.outputs):
            if i >= 0:
                tensor = program.tensors[i]
                size = tensor.type.size * 4
                if tensor.data is None:
                    activations += size
                else:
                    constants += size
        before = rows.get(node.layer, (0.0, 0, 0))
        rows[node.layer] = (before[0] + operations(program, node), before[1] + activations, before[2] + constants)
    return rows


@dataclass(frozen=True)
class Row:
    """A layer that ran: seconds taken, seconds that the roofline allows."""

    layer: str
    primitive: str
    taken: float
    least: float
    operations: float


def measure(name: str, batch: int, threads: int, roofline: Roofline, rounds: int = 15) -> tuple[list[Row], float]:
    """Every layer that ran, slowest first, and the median seconds of an inference."""
    ie = IECore()
    config = {"CPU_THREADS_NUM": str(threads), "PERF_COUNT": "YES"}
    net = ie.load_network(ie.read_network(str(models.files(name, "fp32", batch))), "CPU", config)
    inputs = models.inputs(name, "fp32", batch)
    request = net.requests[0]
    times: dict[str, list[float]] = {}
    primitives: dict[str, str] = {}
    whole = []
    for turn in range(rounds + 2):
        request.infer(inputs)
        if turn < 2:
            continue
        whole.append(request.latency / 1e3)
        counts: Mapping[str, Mapping[str, Any]] = request.get_perf_counts()
        for layer, row in counts.items():
            if row["status"] == "EXECUTED":
                times.setdefault(layer, []).append(row["real_time"] / 1e6)
                primitives[layer] = row["exec_type"]
    program = net._loaded.program
    sizes = work(program)
    all_constants = sum(constants for _, _, constants in sizes.values())
    rows = []
    for layer, values in times.items():
        todo, activations, constants = sizes.get(layer, (0.0, 0, 0))
        least = roofline.least(todo, activations, constants, all_constants)
        rows.append(Row(layer, primitives[layer], statistics.median(values), least, todo))
    return sorted(rows, key=lambda row: -row.taken), statistics.median(whole)


def layer_table(rows: list[Row]) -> str:
    """One line a layer."""
    head = ["layer", "primitive", "us", "GFLOP/s", "roofline us", "efficiency"]
    return table(head, [[r.layer, r.primitive, *_cells(r.taken, r.least, r.operations)] for r in rows])


def summary(rows: list[Row]) -> str:
    """One line a primitive, and the sum."""
    by_primitive: dict[str, list[Row]] = {}
    for row in rows:
        by_primitive.setdefault(row.primitive, []).append(row)
    total = sum(row.taken for row in rows)
    lines = []
    for primitive, group in (*sorted(by_primitive.items(), key=lambda item: -sum(r.taken for r in item[1])), ("all", rows)):
        taken = sum(r.taken for r in group)
        cells = _cells(taken, sum(r.least for r in group), sum(r.operations for r in group))
        lines.append([primitive, str(len(group)), *cells, f"{taken / total:.0%}"])
    return table(["primitive", "layers", "us", "GFLOP/s", "roofline us", "efficiency", "share"], lines)


def _cells(taken: float, least: float, operations: float) -> list[str]:
    taken = max(taken, 1e-7)
    return [f"{taken * 1e6:.0f}", f"{operations / taken / 1e9:.1f}", f"{least * 1e6:.0f}", f"{least / taken:.0%}"]


def main() -> int:
    parser = argparse.ArgumentParser("benchmarks.compare.layers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="+", choices=list(NETWORKS), metavar="NETWORK", help=", ".join(NETWORKS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--all", action="store_true", help="also every layer")
    args = parser.parse_args()
    roofline = Roofline.measured(Machine(), args.threads)
    speeds = ", ".join(f"{speed / 1e9:.0f} GB/s of {size >> 10} KB" for size, speed in roofline.bandwidths)
    print(f"{description()}\n{args.threads} threads: {roofline.operations / 1e9:.0f} GFLOP/s; {speeds}")
    for name in args.networks:
        rows, whole = measure(name, args.batch, args.threads, roofline)
        print(f"\n### {name}, batch {args.batch}: {whole * 1e3:.2f} ms\n\n{summary(rows)}")
        if args.all:
            print(f"\n{layer_table(rows)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
