# SPDX-License-Identifier: Apache-2.0
"""The comparison as a picture: how much of the better rival's time ours takes. Needs the extra ``ie_ctypes[benchmarks]``."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from benchmarks.compare.figures import geometric_mean, to_better
from benchmarks.compare.rounds import Case, Result


def bars(results: Sequence[Result]) -> dict[str, dict[str, tuple[float, float, float]]]:
    """Kind of case -> network -> median ratio and its quartiles, of the results that have one; last the geometric mean."""
    groups: dict[str, dict[str, tuple[float, float, float]]] = {}
    for result in results:
        ratio = to_better(result.times)
        if ratio is not None:
            groups.setdefault(kind(result.case), {})[result.case.network] = (ratio.median, ratio.low, ratio.high)
    for group in groups.values():
        mean = geometric_mean(median for median, _, _ in group.values())
        group["geometric mean"] = (mean, mean, mean)
    return groups


def kind(case: Case) -> str:
    """Short words for what a case has in common with others of its table."""
    how = f"{case.streams} streams" if case.streams > 1 else f"{case.threads} thread{'s' * (case.threads > 1)}"
    return f"{case.precision.upper()}, batch {case.batch}, {how}"


def draw(results: Sequence[Result], path: pathlib.Path, caption: str) -> None:
    """Write the picture, PNG or what else the suffix says."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    groups = bars(results)
    names = [*dict.fromkeys(name for group in groups.values() for name in group if name != "geometric mean"), "geometric mean"]
    figure, axes = pyplot.subplots(figsize=(10, 1.5 + 0.22 * len(names) * max(1, len(groups))))
    height = 0.8 / max(1, len(groups))
    for i, (label, group) in enumerate(groups.items()):
        there = [(n, group[name]) for n, name in enumerate(names) if name in group]
        places = [n + (i - (len(groups) - 1) / 2) * height for n, _ in there]
        spread = [[max(0.0, m - low) for _, (m, low, _) in there], [max(0.0, high - m) for _, (m, _, high) in there]]
        drawn = axes.barh(places, [m for _, (m, _, _) in there], height * 0.9, xerr=spread, label=label)
        axes.bar_label(drawn, [f"{m:.2f}" for _, (m, _, _) in there], padding=3, fontsize=8)
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.15 * max([1.0, *(high for group in groups.values() for _, _, high in group.values())]))
    axes.set_xlabel("time of ie_ctypes / time of the faster of OpenVINO and ONNX Runtime; shorter is faster")
    axes.legend(loc="lower right", fontsize=8)
    figure.suptitle(caption, fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
