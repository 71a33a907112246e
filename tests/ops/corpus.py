# SPDX-License-Identifier: Apache-2.0
"""Cases of the conformance corpus (``corpus`` under ``IE_TEST_DATA``): reading, running with the numpy references, comparing."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ie_ctypes.devices.reference import evaluate
from ie_ctypes.model.network import MEMORY_ORDER, Network
from ie_ctypes.model.program import Program
from ie_ctypes.model.readers.ir import read_ir

ROOT = Path(os.environ.get("IE_TEST_DATA", Path(__file__).resolve().parents[2].parent / "shared")) / "corpus"


@dataclass
class Case:
    """One case: what goes in, what must come out, and how near. Elements where a mask is False are not compared."""

    xml: Path
    inputs: dict[str, np.ndarray]
    golden: dict[str, np.ndarray]
    masks: dict[str, np.ndarray]
    rtol: float = 1e-4
    atol: float = 1e-5
    opts: dict[str, Any] = field(default_factory=dict)


def cases(*types: str, lists: tuple[str, ...] = ("dev.txt",)) -> list[Any]:
    """Parameters for pytest: the listed cases of these types (``legacy/Clamp``); one that skips when the corpus is absent."""
    if not ROOT.is_dir():
        reason = f"the conformance corpus is not at {ROOT}; set IE_TEST_DATA to the folder that holds it"
        return [pytest.param("", marks=pytest.mark.skip(reason=reason))]
    found: dict[str, None] = {}
    for name in lists:
        for line in (ROOT / name).read_text().splitlines():
            path = line.split("\t")[0].strip()
            if path and not path.startswith("#") and path.rpartition("/")[0] in types:
                found[path] = None
    return list(found)


def load(path: str) -> Case:
    """The case of a path of the lists."""
    xml = ROOT / path
    with np.load(xml.with_suffix(".npz")) as z:
        data = {k: z[k] for k in z.files}
    meta = json.loads(str(data.pop("__meta__"))) if "__meta__" in data else {}

    def part(prefix: str) -> dict[str, np.ndarray]:
        return {k[len(prefix) :]: v for k, v in data.items() if k.startswith(prefix)}

    options = {k: meta[k] for k in ("rtol", "atol") if k in meta}
    return Case(xml, part("in:"), part("out:"), part("mask:"), opts=meta.get("opts") or {}, **options)


def network(case: Case) -> Network:
    """The case's network with its options applied, in the order of the original calls."""
    weights = case.xml.with_suffix(".bin")
    net = Network(read_ir(case.xml, weights if weights.exists() else None))
    opts = case.opts
    if opts.get("batch"):
        net.set_batch(opts["batch"])
    if opts.get("reshape"):
        net.reshape({k: tuple(v) for k, v in opts["reshape"].items()})
    for k, v in (opts.get("in_precision") or {}).items():
        net.inputs[k].precision = v
    for k, v in (opts.get("in_layout") or {}).items():
        net.inputs[k].layout = v
    for out in opts.get("add_outputs") or []:
        net.add_output(*(out if isinstance(out, list) else [out]))
    for k, v in (opts.get("out_precision") or {}).items():
        net.outputs[k].precision = v
    for k, v in (opts.get("out_layout") or {}).items():
        net.outputs[k].layout = v
    return net


def feed(case: Case, program: Program) -> list[np.ndarray]:
    """The case's inputs as the program takes them: the array's memory is the blob's memory."""
    arrays = []
    for name, index in zip(program.input_names, program.inputs, strict=True):
        wanted = program.tensors[index].type
        with np.errstate(all="ignore"):
            arrays.append(np.array(case.inputs[name]).astype(wanted.dtype).reshape(wanted.shape))
    return arrays


def run(case: Case) -> dict[str, np.ndarray]:
    """Outputs of the case by the references, in logical shape."""
    net = network(case)
    program = net.lower()
    arrays = evaluate(program, feed(case, program))
    results = {}
    for name, a in list(zip(program.output_names, arrays, strict=True))[: len(net.outputs)]:
        assert net.outputs[name].layout not in MEMORY_ORDER or "out_layout" in case.opts
        results[name] = a.reshape(net.outputs[name].shape) if a.size == np.prod(net.outputs[name].shape) else a
    return results


def faults(case: Case, got: dict[str, np.ndarray]) -> list[str]:
    """What differs from the golden outputs beyond ``atol + rtol * |golden|``; empty when nothing does."""
    if sorted(got) != sorted(case.golden):
        return [f"outputs are {sorted(got)}, expected {sorted(case.golden)}"]
    found = []
    for name, golden in case.golden.items():
        result = got[name]
        if result.shape != golden.shape and not result.size == golden.size == 1:
            found.append(f"{name}: shape {result.shape}, expected {golden.shape}")
            continue
        mask = case.masks.get(name, np.ones(golden.shape, bool))
        a, b = result.astype(np.float64).reshape(golden.shape)[mask], golden.astype(np.float64)[mask]
        with np.errstate(all="ignore"):
            near = (np.abs(a - b) <= case.atol + case.rtol * np.abs(b)) | (a == b) | (np.isnan(a) & np.isnan(b))
        if not near.all():
            i = int(np.argmin(near))
            found.append(f"{name}: {int((~near).sum())} of {near.size} differ, e.g. {a[i]:g}, expected {b[i]:g}")
    return found


def check(path: str) -> None:
    """Fail unless the case's outputs are the golden ones."""
    case = load(path)
    differences = faults(case, run(case))
    assert not differences, f"{path}: {'; '.join(differences)}"
