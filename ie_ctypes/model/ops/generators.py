# SPDX-License-Identifier: Apache-2.0
"""Layers that make numbers: Eye and RandomUniform. Both become constants."""

from __future__ import annotations

import math
import os
import struct
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.model.ops.registry import opset
from ie_ctypes.model.ops.shape import element_type

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer


@opset("Eye")
def eye(layer: Layer) -> None:
    """Ones on a diagonal. Inputs, all constants: rows, columns (as many without), diagonal (0), batch shape (none)."""
    rows = int(layer.scalar_input(0))
    columns = int(layer.scalar_input(1)) if layer.has_input(1) else rows
    diagonal = int(layer.scalar_input(2)) if layer.has_input(2) else 0
    batch = layer.const_ints(3) if layer.has_input(3) else []
    if min([rows, columns, *batch]) < 0:
        raise layer.fail(f"shape {[*batch, rows, columns]} is negative")
    plane = np.eye(rows, columns, diagonal, dtype=element_type(layer, "output_type", "f32"))
    layer.set_output(0, layer.value(np.broadcast_to(plane, (*batch, rows, columns))))


# Philox 4x32-10 (Salmon et al., Parallel random numbers: as easy as 1, 2, 3): multipliers and key increments.
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_LOW = np.uint64(0xFFFFFFFF)


def philox(key: int, counter: int, blocks: int) -> np.ndarray:
    """``blocks`` times four random 32-bit words, uint32: block i has the 128-bit counter ``counter * 2^64 + i``."""
    index = np.arange(blocks, dtype=np.uint64)
    high = np.full(blocks, counter & (2**64 - 1), np.uint64)
    words = [index & _LOW, index >> np.uint64(32), high & _LOW, high >> np.uint64(32)]
    keys = [key & 0xFFFFFFFF, key >> 32 & 0xFFFFFFFF]
    for _ in range(_ROUNDS):
        a, b = words[0] * np.uint64(_MULTIPLIERS[0]), words[2] * np.uint64(_MULTIPLIERS[1])
        shift = np.uint64(32)
        words = [
            (b >> shift) ^ words[1] ^ np.uint64(keys[0]),
            b & _LOW,
            (a >> shift) ^ words[3] ^ np.uint64(keys[1]),
            a & _LOW,
        ]
        keys = [(k + s) & 0xFFFFFFFF for k, s in zip(keys, _KEY_STEPS, strict=True)]
    return np.stack(words, -1).astype(np.uint32).ravel()


@opset("RandomUniform")
def random_uniform(layer: Layer) -> None:
    """Numbers in [minimum, maximum), drawn once at load: every inference sees the same ones. Both seeds 0: new ones at each load.

    Inputs, all constants: shape, minimum, maximum. The words are those of Philox with the global seed as key and the
    operation's as counter. A float takes the low 23 bits of a word as its mantissa, an integer the remainder of a word, or of
    two where the limits are 2^32 and more apart. 16-bit floats and 64-bit integers get what the original's CPU device gave them.
    """
    shape = tuple(layer.const_ints(0))
    if min(shape, default=0) < 0:
        raise layer.fail(f"shape {list(shape)} is negative")
    dtype = element_type(layer, "output_type", "f32")
    seeds = [layer.int(name, 0) for name in ("global_seed", "op_seed")]
    key, counter = seeds if any(seeds) else struct.unpack("2Q", os.urandom(16))
    count = math.prod(shape)
    low, high = layer.const(1).ravel()[0], layer.const(2).ravel()[0]
    if not low < high:
        raise layer.fail(f"minimum is {low} and maximum {high}, expected minimum < maximum")
    if dtype.kind == "f":
        unit = (philox(key, counter, -(-count // 4))[:count] & np.uint32(2**23 - 1)).astype(np.float32) / np.float32(2**23)
        numbers = unit * np.float32(high - low) + np.float32(low)
    else:
        span = int(high) - int(low)
        words = philox(key, counter, -(-count * (1 if span < 2**32 else 2) // 4)).astype(np.uint64)
        wide = words if span < 2**32 else (words[1::2] << np.uint64(32)) + words[::2]
        numbers = (wide[:count] % np.uint64(span)).astype(np.int64) + int(low)
    layer.set_output(0, layer.value(numbers.astype(dtype).reshape(shape)))
