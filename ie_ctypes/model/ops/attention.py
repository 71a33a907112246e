# SPDX-License-Identifier: Apache-2.0
"""ScaledDotProductAttention, made of matrix products and a softmax."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model.ops.registry import opset

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer


@opset("ScaledDotProductAttention")
def scaled_dot_product_attention(layer: Layer) -> None:
    """``softmax(q k^T * scale + mask) v``. Inputs: query [.., L, E], key [.., S, E], value [.., S, V], mask, scale (1/sqrt(E)).

    A mask of truth values keeps where it is true, another is added. ``causal``: no mask, position i sees 0..i.
    """
    query, key, value = (layer.float_input(i) for i in range(3))
    if min(len(v.shape) for v in (query, key, value)) < 2:
        raise layer.fail(f"query, key and value have shapes {[list(v.shape) for v in (query, key, value)]}, expected rank >= 2")
    scale = layer.float_input(4) if layer.has_input(4) else layer.scalar(1 / math.sqrt(query.shape[-1]))
    query = layer.emit("Binary", [query, layer.reshape(scale, ())], op="mul")
    scores = layer.emit("MatMul", [query, key, None], transpose_a=0, transpose_b=1)
    rows, columns = scores.shape[-2:]
    if layer.bool("causal", False):
        unseen = np.triu(np.full((rows, columns), -np.inf, np.float32), 1)
        scores = layer.emit("Binary", [scores, layer.value(unseen, "causal")], op="add")
    elif layer.has_input(3):
        mask = layer.input(3)
        if mask.dtype == "bool":
            mask = layer.emit("Select", [mask, layer.scalar(0), layer.scalar(-np.inf)])
        scores = layer.emit("Binary", [scores, layer.convert(mask, "float32")], op="add")
    weights = layer.emit("Softmax", [scores], axis=len(scores.shape) - 1)
    layer.set_output(0, layer.emit("MatMul", [weights, value, None], transpose_a=0, transpose_b=0))
