# SPDX-License-Identifier: Apache-2.0
"""ie_ctypes beside OpenVINO and ONNX Runtime: medians, ratios to the better of the two, geometric means.

    python -m benchmarks.compare                                    every network, one thread and two, FP32, batch 1
    python -m benchmarks.compare --quick --networks resnet50        a first impression
    python -m benchmarks.compare --streams 2 --batch 1,8            also throughput, also batches
    python -m benchmarks.compare --sections load,calls,start        what the API costs instead
    python -m benchmarks.compare --base ../other                    also another tree of ie_ctypes (its build/dev/libiec.so)

Compare ratios, not times: all runtimes take turns in every round. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import math
import pathlib
import statistics
import sys
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from benchmarks.compare import models, peers
from benchmarks.compare.chart import draw
from benchmarks.compare.costs import cost_report
from benchmarks.compare.figures import OURS, geometric_mean, paired, table, to_better
from benchmarks.compare.machine import GATE, Machine, description
from benchmarks.compare.networks import NETWORKS
from benchmarks.compare.rounds import Case, Comparison, Result, Runtime

SECTIONS = ("speed", "load", "calls", "start", "none")
QUICK = ("resnet50", "mobilenet_v2", "squeezenet1_1")
#: largest relative difference of outputs that counts as the same answer
AGREEMENT = {"fp32": 1e-3, "int8": 0.1}


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def words(text: str) -> list[str]:
    return [w for w in text.split(",") if w]


def numbers(text: str) -> list[int]:
    return [int(w) for w in words(text)]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("benchmarks.compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sections", type=words, default=["speed"], help=f"of {','.join(SECTIONS)}; default speed; none with --with")
    parser.add_argument("--networks", type=words, default=None, help=f"default: all; {', '.join(NETWORKS)}")
    parser.add_argument("--threads", type=numbers, default=None, help="latency with so many threads; default 1,2")
    parser.add_argument("--streams", type=numbers, default=[], help="throughput with so many streams of one thread each; default none")
    parser.add_argument("--batch", type=numbers, default=[1])
    parser.add_argument("--precision", type=words, default=["fp32"], help="fp32,int8")
    parser.add_argument("--peers", type=words, default=list(peers.PEERS), help=f"default: {','.join(peers.PEERS)}")
    parser.add_argument("--python", action="append", default=[], metavar="PEER=PATH", help="an interpreter that has the peer; repeatable")
    parser.add_argument("--install", action="store_true", help="make environments with the peers that are missing")
    parser.add_argument("--base", type=pathlib.Path, help="another tree of ie_ctypes, built in build/dev")
    parser.add_argument("--rounds", type=int, default=None, help="default 7, quick 5")
    parser.add_argument("--seconds", type=float, default=None, help="length of a turn; default 0.25, quick 0.12")
    parser.add_argument("--pause", type=float, default=0.0, help="seconds between numpy's import, whose threads spin for 0.1, and a load")
    parser.add_argument("--gate", type=float, default=GATE, help=f"part of its best that the multiply-add test must reach; default {GATE}")
    parser.add_argument("--quick", action="store_true", help=f"few short rounds, one thread, {', '.join(QUICK)} unless named")
    parser.add_argument("--chart", type=pathlib.Path, help="draw the ratios there (PNG; extra ie_ctypes[benchmarks])")
    parser.add_argument(
        "--with", dest="earlier", type=pathlib.Path, nargs="+", default=[], help="show results of earlier runs (--json) too"
    )
    parser.add_argument("--json", type=pathlib.Path, help="write all figures there")
    args = parser.parse_args()
    args.named = args.networks or list(QUICK)  # for the sections beside speed
    args.networks = args.networks or list(QUICK if args.quick else NETWORKS)
    args.threads = args.threads if args.threads is not None else ([] if args.streams else [1] if args.quick else [1, 2])
    args.rounds = args.rounds or (5 if args.quick else 7)
    args.seconds = args.seconds or (0.12 if args.quick else 0.25)
    for given, known in (
        (args.networks, NETWORKS),
        (args.precision, models.PRECISIONS),
        (args.peers, peers.PEERS),
        (args.sections, SECTIONS),
    ):
        if unknown := sorted(set(given) - set(known)):
            parser.error(f"unknown: {', '.join(unknown)}; known are {', '.join(known)}")
    return args


def runtimes(args: argparse.Namespace) -> dict[str, Runtime]:
    """Ours, the tree to compare with, and the peers that are there."""
    found = {OURS: Runtime(OURS)}
    if args.base:
        base = args.base.resolve()
        library = base / "build" / "dev" / "libiec.so"
        if not library.exists():
            raise SystemExit(f"--base {args.base}: no {library}")
        found["base"] = Runtime(OURS, environment={"PYTHONPATH": str(base), "IE_CTYPES_LIBRARY": str(library)}, folder=base)
    named = dict(pair.split("=", 1) for pair in args.python)
    for name, python in peers.find(args.peers, named, args.install, say).items():
        found[name] = Runtime(name, python)
    return found


def cases(args: argparse.Namespace) -> list[Case]:
    kinds = [(threads, 1) for threads in args.threads] + [(streams, streams) for streams in args.streams if streams > 1]
    rows = []
    for precision in args.precision:
        known = models.builders(precision)
        for name in args.networks:
            if name in known:
                rows += [Case(name, precision, batch, *kind) for batch in args.batch for kind in kinds]
            else:
                say(f"there is no {precision} network {name}")
    return rows


def title(case: Case) -> str:
    kind = f"{case.streams} streams, time an inference" if case.streams > 1 else f"{case.threads} thread{'s' * (case.threads > 1)}, latency"
    return f"{case.precision.upper()}, batch {case.batch}, {kind}"


def stored(row: dict[str, Any]) -> Result:
    """A result as ``--json`` wrote it."""
    return Result(**{**row, "case": Case(**row["case"])})


def agrees(result: Result) -> bool:
    return not result.faults and all(error <= AGREEMENT[result.case.precision] for error in result.errors.values())


def report(results: Iterable[Result], names: list[str]) -> str:
    """One table for each kind of case."""
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(title(result.case), []).append(result)
    return "\n\n".join(f"### {head}\n\n{_table(group, names)}" for head, group in groups.items())


def _table(group: list[Result], names: list[str]) -> str:
    others = [name for name in names if name not in (OURS, "base")]
    head = ["network", *[f"{name} ms" for name in (OURS, *others)], "to the better", "which"]
    head += ["to base"] * ("base" in names) + ["error", "dropped"]
    ratios: list[float] = []
    bases: list[float] = []
    rows = []
    for result in group:
        medians = {name: statistics.median(times) * 1e3 for name, times in result.times.items()}
        better = to_better(result.times)
        row = [result.case.network, *[f"{medians[n]:.3g}" if n in medians else "-" for n in (OURS, *others)]]
        row += [str(better), better.against] if better else ["-", "-"]
        if better:
            ratios.append(better.median)
        if "base" in names:
            base = paired(result.times[OURS], result.times["base"]) if {OURS, "base"} <= set(medians) else None
            row.append(str(base) if base else "-")
            bases += [base.median] if base else []
        worst = max(result.errors.values(), default=math.nan)
        rows.append([*row, f"{worst:.0e}{'' if agrees(result) else ' !'}", str(result.dropped)])
    last = ["geometric mean", *["" for _ in (OURS, *others)], f"{geometric_mean(ratios):.3f}", f"of {len(ratios)}"]
    last += [f"{geometric_mean(bases):.3f}"] * ("base" in names) + ["", ""]
    return table(head, [*rows, last])


def main() -> int:
    args = arguments()
    machine = Machine(args.gate)
    known = runtimes(args)
    comparison = Comparison(machine, known, args.rounds, args.seconds)
    results = [stored(row) for path in args.earlier for row in json.loads(path.read_text())]
    for case in cases(args) if "speed" in args.sections else ():
        model = models.files(case.network, case.precision, case.batch)
        result = comparison.measure(case, model, models.inputs(case.network, case.precision, case.batch))
        results.append(result)
        figures = ", ".join(f"{name} {statistics.median(times) * 1e3:.3g} ms" for name, times in result.times.items())
        say(f"{case.network} ({title(case)}): {figures}; ratio {to_better(result.times) or '-'}; dropped {result.dropped}")
        for name, fault in result.faults.items():
            say(f"  {name} failed: {fault}")
        if not agrees(result):
            say(f"  outputs differ: {', '.join(f'{n} {e:.1e}' for n, e in result.errors.items())}")
    versions = {n: load["version"] for result in results for n, load in result.loads.items()}
    used = ", ".join(f"{n} {v}" for n, v in versions.items())
    texts = [f"{description()}\n{used}".strip(), report(results, list(known))]
    texts.append(cost_report(machine, known, args.sections, args.named, args.rounds, args.pause, say))
    print("\n\n".join(text for text in texts if text.strip()))
    if args.chart:
        draw(results, args.chart, texts[0])
    if args.json:
        args.json.write_text(json.dumps([asdict(result) for result in results], indent=1))
    return 0 if all(agrees(result) for result in results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
