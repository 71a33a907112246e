# SPDX-License-Identifier: Apache-2.0
"""The networks as files: IR v10 and the ONNX twin, made at first use and kept as long as what makes them stays the same."""

from __future__ import annotations

import hashlib
import importlib
import pathlib
import shutil
from collections.abc import Callable

import numpy as np

from benchmarks.compare.networks import NETWORKS
from benchmarks.compare.peers import cache_folder
from benchmarks.compare.twin import twin
from ie_ctypes.model import writers
from ie_ctypes.model.graph import Graph
from ie_ctypes.model.writers import write_ir

HERE = pathlib.Path(__file__).parent
PRECISIONS = ("fp32", "int8")


def builders(precision: str) -> dict[str, Callable[[int], Graph]]:
    """Builders of the networks of a precision, by name; empty when there are none."""
    if precision == "fp32":
        return NETWORKS
    if not (HERE / "quantised.py").exists():
        return {}
    found: dict[str, Callable[[int], Graph]] = importlib.import_module("benchmarks.compare.quantised").NETWORKS
    return found


def folder() -> pathlib.Path:
    """Where the files of the present sources lie."""
    sources = [HERE / f"{name}.py" for name in ("networks", "stack", "twin", "quantised")]
    sources += sorted(pathlib.Path(writers.__file__).parent.glob("*.py"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources if path.exists())).hexdigest()[:12]
    return cache_folder() / f"networks-{digest}"


def files(name: str, precision: str, batch: int) -> pathlib.Path:
    """Path of the .xml, with .bin and .onnx beside it."""
    path = folder() / f"{name}_{precision}_b{batch}.xml"
    if not path.exists():
        _drop_older(path.parent)
        path.parent.mkdir(parents=True, exist_ok=True)
        write(builders(precision)[name](batch), path)
    return path


def write(graph: Graph, path: pathlib.Path) -> pathlib.Path:
    """Write a network and its twin beside ``path``, the .xml; it is there when all is written."""
    path.with_suffix(".onnx").write_bytes(twin(graph).SerializeToString())
    unfinished = path.with_name(f"unfinished_{path.name}")
    write_ir(graph, unfinished, path.with_suffix(".bin"))
    return unfinished.replace(path)


def _drop_older(present: pathlib.Path) -> None:
    """Networks of other sources are large; the three newest stay, for work on several trees at once."""
    others = sorted(present.parent.glob("networks-*"), key=lambda p: p.stat().st_mtime, reverse=True)
    for old in [p for p in others if p != present][3:]:
        shutil.rmtree(old, ignore_errors=True)


def inputs(name: str, precision: str, batch: int) -> dict[str, np.ndarray]:
    """Values for every input of a network, always the same."""
    rng = np.random.default_rng(7)
    graph = builders(precision)[name](batch)
    return {n.name: rng.standard_normal(n.outputs[0].shape).astype(np.float32) for n in graph.nodes if n.type == "Parameter"}
