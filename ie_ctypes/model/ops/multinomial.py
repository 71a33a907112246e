# SPDX-License-Identifier: Apache-2.0
"""Multinomial: classes drawn by their probabilities, from kinds of running sums and comparisons."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model.ops.registry import opset
from ie_ctypes.model.ops.shape import element_type

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer, Value

_WORD = 0xFFFFFFFF
_STATE = 624  # words of a Mersenne twister
MAX_DRAWS = 4096  # without replacement: draws are written out one after the other


def _seeded(seeds: Sequence[int], n: int) -> list[int]:
    """``n`` 32-bit words made of a few, as the seed sequence of the C++ standard does ([rand.util.seedseq])."""
    words, s = [0x8B8B8B8B] * n, len(seeds)
    t = 11 if n >= 623 else 7 if n >= 68 else 5 if n >= 39 else 3 if n >= 7 else (n - 1) // 2
    p, m = (n - t) // 2, max(s + 1, n)
    q = p + t
    for k in range(2 * m):
        a, b, c = k % n, (k + p) % n, (k + q) % n
        if k < m:
            mixed = words[a] ^ words[b] ^ words[(k - 1) % n]
            first = 1664525 * (mixed ^ mixed >> 27) & _WORD
            second = first + (s if k == 0 else k % n + (seeds[k - 1] if k <= s else 0))
            words[b] = words[b] + first & _WORD
            words[c] = words[c] + second & _WORD
        else:
            mixed = words[a] + words[b] + words[(k - 1) % n] & _WORD
            first = 1566083941 * (mixed ^ mixed >> 27) & _WORD
            second = first - k % n & _WORD
            words[b] ^= first
            words[c] ^= second
        words[a] = second & _WORD
    return words


def uniform(seeds: Sequence[int], count: int) -> np.ndarray:
    """``count`` float32 numbers of 0..1 from a Mersenne twister of that seed sequence."""
    generator = np.random.MT19937()
    generator.state = {
        "bit_generator": "MT19937",
        "state": {"key": np.array(_seeded([s & _WORD for s in seeds], _STATE), np.uint32), "pos": _STATE},
    }
    words: np.ndarray = generator.random_raw(count)
    return np.asarray(words.astype(np.float32) / np.float32(_WORD))


def _first(layer: Layer, sums: Value, draw: Value) -> Value:
    """Index of the first running sum that is not below the number, along the last axis."""
    below = layer.convert(layer.emit("Binary", [sums, draw], op="less"), "int32")
    last = len(below.shape) - 1
    index = layer.emit("Reduce", [below], op="sum", axes=(last,), keep_dims=0)
    return layer.emit("Binary", [index, layer.value(np.int32(sums.shape[-1] - 1), "last")], op="min")


@opset("Multinomial")
def multinomial(layer: Layer) -> None:
    """[batch, classes] to [batch, samples] class numbers. Random numbers are drawn once, at load; both seeds 0: others at each load."""
    probs = layer.float_input(0)
    if len(probs.shape) not in (1, 2) or 0 in probs.shape:
        raise layer.fail(f"probabilities have shape {list(probs.shape)}, expected [batch, classes]")
    dtype = element_type(layer, "convert_type", "i64")
    samples = int(layer.scalar_input(1))
    rows, classes = (1, *probs.shape)[-2:]
    replaced = layer.bool("with_replacement")
    if samples < 1 or (not replaced and samples > min(classes, MAX_DRAWS)):
        most = "" if replaced else f", at most {min(classes, MAX_DRAWS)} without replacement"
        raise layer.fail(f"{samples} samples are asked for, expected at least 1{most}")
    seeds = [layer.int(name, 0) for name in ("global_seed", "op_seed")]
    draws = uniform(seeds if any(seeds) else list(os.urandom(16)), rows * samples).reshape(rows, samples)
    x = layer.reshape(probs, (rows, classes))
    if layer.bool("log_probs"):
        x = layer.emit("Unary", [x], op="exp")
    x = layer.emit("Binary", [x, layer.emit("Reduce", [x], op="sum", axes=(1,), keep_dims=1)], op="div")
    if replaced:
        sums = layer.emit("CumSum", [x], axis=1, exclusive=0, reverse=0)
        y = _first(layer, layer.reshape(sums, (rows, 1, classes)), layer.value(draws[:, :, None], "draws"))
    else:
        y = _without_replacement(layer, x, draws)
    layer.set_output(0, layer.convert(layer.reshape(y, (*probs.shape[:-1], samples)), dtype.name))


def _without_replacement(layer: Layer, x: Value, draws: np.ndarray) -> Value:
    """A class that was drawn has probability 0 from then on, and the others are divided by what is left."""
    rows, classes = x.shape
    numbers = layer.value(np.arange(classes, dtype=np.int32), "classes")
    found = []
    for i in range(draws.shape[1]):
        sums = layer.emit("CumSum", [x], axis=1, exclusive=0, reverse=0)
        index = layer.reshape(_first(layer, sums, layer.value(draws[:, i : i + 1], f"draw{i}")), (rows, 1))
        found.append(index)
        taken = layer.emit("Binary", [index, numbers], op="equal")
        x = layer.emit("Select", [taken, layer.scalar(0.0), x])
        x = layer.emit("Binary", [x, layer.emit("Reduce", [x], op="sum", axes=(1,), keep_dims=1)], op="div")
    return layer.emit("Concat", found, axis=1) if len(found) > 1 else found[0]
