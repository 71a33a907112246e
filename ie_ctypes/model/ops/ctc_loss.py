# SPDX-License-Identifier: Apache-2.0
"""Kind CTCLoss: minus the logarithm of the probability of all paths that read as the labels. Rule: IR 10.7."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model.ops.attrs import array, integer, optional, tensor
from ie_ctypes.model.ops.registry import Attrs, kind, opset
from ie_ctypes.model.program import TensorType

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer


def _infer(attrs: Attrs, types: Sequence[TensorType | None]) -> list[TensorType]:
    logits, lengths, labels, counts = (tensor(types, i) for i in range(4))
    if len(logits.shape) != 3 or logits.dtype != "float32" or logits.shape[2] == 0:
        raise ValueError(f"logits are {logits.dtype} {list(logits.shape)}, expected float32 [N, T, C]")
    n, t, _ = logits.shape
    if lengths.shape != (n,) or labels.shape != (n, t) or counts.shape != (n,):
        raise ValueError(
            f"lengths {list(lengths.shape)}, labels {list(labels.shape)}, label lengths {list(counts.shape)}: "
            f"expected {[n]}, {[n, t]}, {[n]}"
        )
    blank = types[4] if len(types) > 4 else None
    integers = [lengths, labels, counts] + ([] if blank is None else [blank])
    if any(v.dtype not in ("int32", "int64") or v.dtype != lengths.dtype for v in integers) or (blank is not None and blank.size != 1):
        raise ValueError(f"lengths, labels and the blank are {', '.join(v.dtype for v in integers)}, expected int32 or int64 for all")
    return [TensorType("float32", (n,))]


def _target(attrs: Attrs, labels: list[int]) -> list[int]:
    """The labels without repeats, or each value once, as the attributes say."""
    if integer(attrs, "preprocess_collapse_repeated"):
        labels = [v for i, v in enumerate(labels) if i == 0 or v != labels[i - 1]]
    if integer(attrs, "unique"):
        labels = list(dict.fromkeys(labels))
    return labels


def _loss(steps: np.ndarray, target: list[int], blank: int, merge: bool) -> float:
    """Forward recursion over blank, label, blank, ... of log probabilities [T, C]; without merging a label takes one step only."""
    path = [blank]
    for label in target:
        path += [label, blank]
    alpha = np.full(len(path), -np.inf)
    alpha[0] = 0.0  # before the first step: at the blank in front, which has not been read
    for step in steps:
        before, alpha = alpha, np.full(len(path), -np.inf)
        for s, symbol in enumerate(path):
            ways = [before[s]] if s % 2 == 0 or merge else []
            if s > 0:
                ways.append(before[s - 1])
            if s > 1 and s % 2 and not (merge and symbol == path[s - 2]):
                ways.append(before[s - 2])
            alpha[s] = np.logaddexp.reduce(ways) + step[symbol]
    return -float(np.logaddexp(alpha[-1], alpha[-2]) if len(path) > 1 else alpha[-1])


@kind("CTCLoss", _infer)
def ctc_loss(attrs: Attrs, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """Logits are normalised by softmax first. Labels that no path can read, and labels that are no class, give infinity."""
    logits, lengths, labels, counts = (array(arrays, i) for i in range(4))
    n, time, classes = logits.shape
    given = optional(arrays, 4)
    blank = classes - 1 if given is None else int(given.ravel()[0])
    out = np.full(n, np.inf, np.float32)
    for i in range(n):
        steps = logits[i, : min(max(int(lengths[i]), 0), time)].astype(np.float64)
        peak = steps.max(1, keepdims=True)
        steps = steps - peak - np.log(np.exp(steps - peak).sum(1, keepdims=True))
        target = _target(attrs, labels[i, : min(max(int(counts[i]), 0), time)].tolist())
        if all(0 <= v < classes for v in [*target, blank]):
            out[i] = _loss(steps, target, blank, bool(integer(attrs, "ctc_merge_repeated")))
    return [out]


@opset("CTCLoss")
def translate(layer: Layer) -> None:
    lengths = [layer.input(i) for i in range(1, 5 if layer.has_input(4) else 4)]
    dtype = "int32" if all(v.dtype == "int32" for v in lengths) else "int64"
    out = layer.emit(
        "CTCLoss",
        [layer.float_input(0), *(layer.convert(v, dtype) for v in lengths)],
        preprocess_collapse_repeated=int(layer.bool("preprocess_collapse_repeated", False)),
        ctc_merge_repeated=int(layer.bool("ctc_merge_repeated", True)),
        unique=int(layer.bool("unique", False)),
    )
    layer.set_output(0, out)
