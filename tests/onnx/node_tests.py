# SPDX-License-Identifier: Apache-2.0
"""The node tests of the package onnx, run through IECore: ``python tests/onnx/node_tests.py [--device CPU] [--only TEXT] [-v]``.

Prints the counts that docs/onnx.md records: passed, not static, and for the others why.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import os
import re
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

PASSED, FIXED, NOT_STATIC = "passed", "passed with constant shape inputs", "not static"
EXCLUDED, UNSUPPORTED, WRONG = "no case of ours", "unsupported", "wrong"

_STATIC_TEXTS = ("only known while running", "must be a constant", "must be constant", "is not a constant", "an unknown number")
_PRECISIONS = {
    "float32": "FP32", "float16": "FP16", "float64": "FP32", "int8": "I8", "uint8": "U8", "int16": "I16", "uint16": "U16",
    "int32": "I32", "int64": "I64", "uint64": "U64", "uint32": "U32", "bool": "BOOL",
}  # fmt: skip


#: Cases whose answer we do not give, and why.
KNOWN_DIFFERENCES = {
    "test_resize_downsample_scales_linear_align_corners": "the layer takes the whole size for the scaled one, ONNX the exact product",
    "test_resize_downsample_scales_cubic_align_corners": "as above",
    "test_roialign_mode_max": "ONNX takes the largest of four weighted neighbours, the layer the largest interpolated value",
    "test_dft_inverse": "ours is 0 where the case holds the rounding of its own computation",
    "test_dft_inverse_opset19": "as above",
}


def cases() -> list[Any]:
    """All node tests, quietly."""
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings(), contextlib.redirect_stderr(open(os.devnull, "w")):
        warnings.simplefilter("ignore")
        return list(load_model_tests(kind="node"))


def excluded(model: onnx.ModelProto) -> str:
    """Why a case is none of an inference engine: strings, training; "" otherwise."""
    for node in _nodes(model.graph):
        if node.domain == "ai.onnx.preview.training":
            return "training"
        if any(a.name == "training_mode" and a.i for a in node.attribute) or (node.op_type == "Dropout" and len(node.input) > 2):
            return "training"
        if node.op_type.startswith("Random") or node.op_type == "Bernoulli":
            return "random numbers"
        if node.op_type == "ImageDecoder" or node.op_type.startswith(("String", "Regex", "TfIdf")):
            return "strings and encoded images"
    if any(o.version < 6 for o in model.opset_import if o.domain in ("", "ai.onnx")):
        return "operator sets before 6"
    for info in (*model.graph.input, *model.graph.output):
        if info.type.tensor_type.elem_type == TensorProto.STRING:
            return "strings and encoded images"
    return ""


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _nodes(attribute.g)


def plain(array: Any) -> np.ndarray:
    """A value of a case as numpy knows it; small types as the numbers that they hold."""
    if isinstance(array, TensorProto):
        array = numpy_helper.to_array(array)
    array = np.asarray(array)
    if array.dtype.kind == "V" or array.dtype.name not in _PRECISIONS:
        return array.astype(np.int8 if "int" in array.dtype.name else np.float32)
    return array


def run(case: Any, core: Any, device: str) -> tuple[str, str]:
    """Outcome of one case, and the reason when it did not pass."""
    why = excluded(case.model)
    if why:
        return EXCLUDED, why
    outcome, reason = _attempt(case, core, device, 0)
    if outcome == NOT_STATIC and len(case.model.graph.input) > 1:
        # axes, sizes and the like come as inputs of the model there; files have them as constants
        second, fault = _attempt(case, core, device, 1)
        if second == PASSED:
            return FIXED, reason
        if second != NOT_STATIC:
            return second, f"(with constant shape inputs) {fault}"
    return outcome, reason


def _attempt(case: Any, core: Any, device: str, variable: int) -> tuple[str, str]:
    try:
        for inputs, outputs in case.data_sets:
            fault = _compare(case, core, device, inputs, outputs, variable)
            if fault:
                return WRONG, fault
    except RuntimeError as e:
        text = re.sub(r"^.*?(of type \w+: )", r"\1", str(e).split("\n")[0])
        if any(t in text for t in _STATIC_TEXTS):
            return NOT_STATIC, text
        return UNSUPPORTED, text
    except Exception as e:
        return WRONG, f"{type(e).__name__}: {e}"
    return PASSED, ""


def _compare(case: Any, core: Any, device: str, inputs: list[Any], outputs: list[Any], variable: int) -> str:
    """The first difference; only the first ``variable`` inputs are inputs (0: all), the others become constants."""
    model = case.model
    given = dict(zip((v.name for v in case.model.graph.input), inputs, strict=False))
    if any(isinstance(v, list) or v is None for v in given.values()):
        raise RuntimeError("a sequence or an absent optional is given as input")
    if variable:
        model = onnx.ModelProto()
        model.CopyFrom(case.model)
        for name, v in list(given.items())[variable:]:
            tensor = v if isinstance(v, TensorProto) else numpy_helper.from_array(np.asarray(v), name)
            tensor.name = name
            model.graph.initializer.append(tensor)
            del given[name]
    arrays = {name: plain(v) for name, v in given.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = core.read_network(model.SerializeToString())
    shapes = {name: a.shape for name, a in arrays.items()}
    if any(tuple(net.input_info[n].input_data.shape) != s for n, s in shapes.items()):
        net.reshape(shapes)
    for name, a in arrays.items():
        net.input_info[name].precision = _PRECISIONS[a.dtype.name]
    wanted = dict(zip((v.name for v in case.model.graph.output), outputs, strict=False))
    for name, value in wanted.items():
        if isinstance(value, list) or value is None:
            raise RuntimeError("an output is a sequence")
        if name and plain(value).dtype.kind in "iub":
            net.outputs[name].precision = _PRECISIONS[plain(value).dtype.name]
    results = core.load_network(net, device).infer(arrays)
    for name, value in wanted.items():
        fault = difference(np.asarray(results[name]), plain(value), case) if name else ""
        if fault:
            return f"{name}: {fault}"
    return ""


def difference(got: np.ndarray, want: np.ndarray, case: Any) -> str:
    """What differs beyond the tolerances of the case; "" when nothing does. Half precision has steps of its own."""
    if got.shape != want.shape:
        return f"shape {got.shape}, expected {want.shape}"
    rtol, atol = case.rtol, case.atol
    if want.dtype == np.float16:
        rtol, atol = max(rtol, 2**-10), max(atol, 2**-14)
    if any(o.type.tensor_type.elem_type == TensorProto.BFLOAT16 for o in case.model.graph.output):
        rtol, atol = max(rtol, 2**-7), max(atol, 2**-7)  # one step of the type, which the engine computes in single precision
    with np.errstate(all="ignore"):
        close = np.isclose(got.astype(np.float64), want.astype(np.float64), rtol=rtol, atol=atol, equal_nan=True)
    if close.all():
        return ""
    at = np.unravel_index(int(np.argmin(close)), close.shape) if close.shape else ()
    return f"{(~close).sum()} of {close.size} differ, at {tuple(int(i) for i in at)} {got[at]} instead of {want[at]}"


def main() -> int:
    """Run the cases and print counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="REFERENCE")
    parser.add_argument("--only", default="")
    parser.add_argument("-v", action="store_true", help="name each case that did not pass")
    options = parser.parse_args()
    from ie_ctypes import IECore

    core = IECore()
    counts: collections.Counter[str] = collections.Counter()
    reasons: dict[tuple[str, str], list[str]] = collections.defaultdict(list)
    for case in cases():
        if options.only in case.name:
            outcome, reason = run(case, core, options.device)
            counts[outcome] += 1
            if outcome != PASSED:
                reasons[outcome, reason].append(case.name)
    for (outcome, reason), names in sorted(reasons.items()):
        print(f"{outcome:12} {len(names):4}  {reason[:150]}")
        if options.v:
            print("                  " + " ".join(n.removeprefix("test_") for n in names))
    good = counts[PASSED] + counts[FIXED]
    relevant = good + counts[UNSUPPORTED] + counts[WRONG]
    print(", ".join(f"{counts[k]} {k}" for k in (PASSED, FIXED, NOT_STATIC, EXCLUDED, UNSUPPORTED, WRONG)))
    print(f"{good / max(relevant, 1):.1%} of the {relevant} static, non-training, non-string cases passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
