# SPDX-License-Identifier: Apache-2.0
"""Kinds CTCGreedyDecoder and CTCGreedyDecoderSeqLen: the best class of each step, repeats and blanks removed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model.ops.attrs import array, integer, tensor, text
from ie_ctypes.model.ops.registry import Attrs, kind, legacy, opset
from ie_ctypes.model.ops.shape import element_type
from ie_ctypes.model.program import TensorType

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer


def _collapse(best: np.ndarray, blank: int, merge: bool) -> list[int]:
    """Classes of one sequence without blanks and, when merging, without repeats."""
    previous, kept = -1, []
    for c in best.tolist():
        if c != blank and not (merge and c == previous):
            kept.append(c)
        previous = c
    return kept


def _decoder_type(attrs: Attrs, types: Sequence[TensorType | None]) -> list[TensorType]:
    data, mask = tensor(types, 0), tensor(types, 1)
    if len(data.shape) != 3 or data.dtype != "float32" or data.shape[2] == 0:
        raise ValueError(f"data is {data.dtype} {list(data.shape)}, expected float32 [T, N, C]")
    if mask.shape != data.shape[:2]:
        raise ValueError(f"the sequence mask has shape {list(mask.shape)}, expected {list(data.shape[:2])}")
    return [TensorType("float32", (data.shape[1], data.shape[0], 1, 1))]


@kind("CTCGreedyDecoder", _decoder_type)
def ctc_greedy_decoder(attrs: Attrs, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """A sequence has its first step and goes on while the mask of the next step is not 0. The blank is the last class."""
    data, mask = array(arrays, 0), array(arrays, 1)
    steps, batch, classes = data.shape
    out = np.full((batch, steps, 1, 1), -1, np.float32)
    best = data.argmax(2)
    for n in range(batch):
        ends = np.flatnonzero(mask[1:, n] == 0)
        length = int(ends[0]) + 1 if ends.size else steps
        kept = _collapse(best[:length, n], classes - 1, bool(integer(attrs, "merge_repeated")))
        out[n, : len(kept), 0, 0] = kept
    return [out]


@legacy("CTCGreedyDecoder")
@opset("CTCGreedyDecoder")
def translate_decoder(layer: Layer) -> None:
    data = layer.input(0)
    mask = layer.convert(layer.input(1), "float32")
    if len(mask.shape) != 2 and mask.type.size == data.shape[0] * data.shape[1]:
        mask = layer.emit("Reshape", [mask], shape=data.shape[:2])
    merge = int(layer.bool("ctc_merge_repeated", True))
    layer.set_output(0, layer.emit("CTCGreedyDecoder", [data, mask], merge_repeated=merge))


def _seq_len_type(attrs: Attrs, types: Sequence[TensorType | None]) -> list[TensorType]:
    data, lengths = tensor(types, 0), tensor(types, 1)
    if len(data.shape) != 3 or data.dtype != "float32" or data.shape[2] == 0:
        raise ValueError(f"data is {data.dtype} {list(data.shape)}, expected float32 [N, T, C]")
    if lengths.shape != data.shape[:1] or lengths.dtype not in ("int32", "int64"):
        raise ValueError(f"the lengths are {lengths.dtype} {list(lengths.shape)}, expected integers of shape {list(data.shape[:1])}")
    return [
        TensorType(text(attrs, "index_dtype", ("int32", "int64")), data.shape[:2]),
        TensorType(text(attrs, "length_dtype", ("int32", "int64")), data.shape[:1]),
    ]


@kind("CTCGreedyDecoderSeqLen", _seq_len_type)
def ctc_greedy_decoder_seq_len(attrs: Attrs, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """Classes, filled up with -1, and how many there are. Lengths are clipped to 0..T."""
    data, lengths = array(arrays, 0), array(arrays, 1)
    batch, steps, classes = data.shape
    blank = int(array(arrays, 2).ravel()[0]) if len(arrays) > 2 and arrays[2] is not None else classes - 1
    out = np.full((batch, steps), -1, text(attrs, "index_dtype"))
    counts = np.zeros(batch, text(attrs, "length_dtype"))
    best = data.argmax(2)
    for n in range(batch):
        kept = _collapse(best[n, : max(int(lengths[n]), 0)], blank, bool(integer(attrs, "merge_repeated")))
        out[n, : len(kept)] = kept
        counts[n] = len(kept)
    return [out, counts]


@opset("CTCGreedyDecoderSeqLen")
def translate_seq_len(layer: Layer) -> None:
    inputs = [layer.input(0), layer.input(1), layer.input(2) if layer.has_input(2) else None]
    outputs = layer.emit_many(
        "CTCGreedyDecoderSeqLen",
        inputs,
        merge_repeated=int(layer.bool("merge_repeated", True)),
        index_dtype=element_type(layer, "classes_index_type", "i32").name,
        length_dtype=element_type(layer, "sequence_length_type", "i32").name,
    )
    for i, value in enumerate(outputs):
        layer.set_output(i, value)
