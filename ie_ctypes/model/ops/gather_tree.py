# SPDX-License-Identifier: Apache-2.0
"""Kind GatherTree: the steps of a beam search followed back from its last one. Rule: IR 4.10."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model.ops.attrs import NUMBERS, array, expect_dtype, tensor
from ie_ctypes.model.ops.registry import Attrs, kind, legacy, opset
from ie_ctypes.model.program import TensorType

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer


def _infer(attrs: Attrs, types: Sequence[TensorType | None]) -> list[TensorType]:
    expect_dtype(types, NUMBERS)
    steps, parents, lengths, end = (tensor(types, i) for i in range(4))
    if len(steps.shape) != 3 or parents.shape != steps.shape or lengths.shape != steps.shape[1:2] or end.size != 1:
        raise ValueError(
            f"steps {list(steps.shape)}, parents {list(parents.shape)}, lengths {list(lengths.shape)}, end token {list(end.shape)}: "
            "expected [T, B, W] twice, [B] and one number"
        )
    return [steps]


@kind("GatherTree", _infer)
def gather_tree(attrs: Attrs, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """Beam w of the last step and its parents; from the first end token on, and from a parent that does not exist back, end tokens."""
    steps, parents, lengths, end = (array(arrays, i) for i in range(4))
    time, batch, width = steps.shape
    out = np.full_like(steps, end.ravel()[0])
    for b in range(batch):
        for w in range(width):
            parent = w
            for t in range(min(time, int(lengths[b])) - 1, -1, -1):
                if not 0 <= parent < width:
                    break
                out[t, b, w] = steps[t, b, parent]
                parent = int(parents[t, b, parent])
            ends = np.flatnonzero(out[:, b, w] == end.ravel()[0])
            if ends.size:
                out[ends[0] :, b, w] = end.ravel()[0]
    return [out]


@legacy("GatherTree")
@opset("GatherTree")
def translate(layer: Layer) -> None:
    steps = layer.input(0)
    layer.set_output(0, layer.emit("GatherTree", [steps, *(layer.convert(layer.input(i), steps.dtype) for i in range(1, 4))]))
