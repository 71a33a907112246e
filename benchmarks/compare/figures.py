# SPDX-License-Identifier: Apache-2.0
"""Medians, paired ratios and tables: the arithmetic of the benchmarks, without measuring anything."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

#: ours, and the peers that the targets are set against
OURS = "ie_ctypes"
RIVALS = ("openvino", "onnxruntime")


@dataclass(frozen=True)
class Ratio:
    """Ours over another's: the median of the ratios of the rounds, and their quartiles."""

    median: float
    low: float
    high: float
    against: str

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f}-{self.high:.2f})"


def paired(ours: Sequence[float], other: Sequence[float], against: str = "") -> Ratio:
    """Ratio of figures that were measured in the same rounds."""
    ratios = sorted(a / b for a, b in zip(ours, other, strict=True))
    if len(ratios) < 2:
        return Ratio(ratios[0], ratios[0], ratios[0], against)
    low, median, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return Ratio(median, low, high, against)


def to_better(rounds: Mapping[str, Sequence[float]], rivals: Iterable[str] = RIVALS) -> Ratio | None:
    """Ours against the rival of the smaller median; None when there is none, or ours was not measured."""
    there = {name: statistics.median(rounds[name]) for name in rivals if name in rounds}
    if OURS not in rounds or not there:
        return None
    best = min(there, key=lambda name: there[name])
    return paired(rounds[OURS], rounds[best], best)


def geometric_mean(values: Iterable[float]) -> float:
    logs = [math.log(v) for v in values]
    return math.exp(sum(logs) / len(logs)) if logs else math.nan


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are flush right."""
    cells = [list(head), *[list(row) for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]

    def line(row: Sequence[str]) -> str:
        return "| " + " | ".join(c.ljust(w) if not i else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))) + " |"

    rule = "|" + "|".join("-" * (w + 2) if not i else "-" * (w + 1) + ":" for i, w in enumerate(widths)) + "|"
    return "\n".join([line(cells[0]), rule, *[line(row) for row in cells[1:]]])


def relative_error(result: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference over the largest expected magnitude; infinity for other sizes or for what is no number."""
    if result.size != expected.size:
        return math.inf
    worst = float(np.abs(result.reshape(-1).astype(np.float64) - expected.reshape(-1)).max(initial=0))
    scale = float(np.abs(expected).max(initial=0))
    if not math.isfinite(worst) or not math.isfinite(scale):
        return math.inf
    return worst / scale if scale else worst
