# SPDX-License-Identifier: Apache-2.0
"""Element types of compressed weights that the Inference Engine never had: constants of them are read as FP32 or U8."""

from __future__ import annotations

import functools

import numpy as np

from ie_ctypes.record import Record


class PackedType(Record, frozen=True):
    """``bits`` of an element, the precision that holds all its values; ``low`` of the bits lie apart from the others."""

    bits: int
    precision: str
    low: int = 0


PACKED = {
    "F8E4M3": PackedType(bits=8, precision="FP32"),
    "F8E5M2": PackedType(bits=8, precision="FP32"),
    "F8E8M0": PackedType(bits=8, precision="FP32"),
    "F4E2M1": PackedType(bits=4, precision="FP32"),
    "NF4": PackedType(bits=4, precision="FP32"),
    "U2": PackedType(bits=2, precision="U8"),
    "U3": PackedType(bits=3, precision="U8", low=2),
    "U6": PackedType(bits=6, precision="U8", low=4),
}

# Dettmers et al., QLoRA: quantiles of the normal distribution, symmetric around an exact 0.
_NF4 = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334, -0.09105003625154495,
    0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
    0.7229568362236023, 1.0,
)  # fmt: skip


def _floats(exponent_bits: int, mantissa_bits: int) -> np.ndarray:
    """The numbers of a floating type with sign and subnormals, by their bits; no infinities."""
    code = np.arange(1 << (1 + exponent_bits + mantissa_bits))
    mantissa = (code & ((1 << mantissa_bits) - 1)) / (1 << mantissa_bits)
    exponent = code >> mantissa_bits & ((1 << exponent_bits) - 1)
    bias = (1 << (exponent_bits - 1)) - 1
    size = np.where(exponent > 0, (1 + mantissa) * np.exp2(exponent - bias), mantissa * np.exp2(1 - bias))
    return np.asarray(np.where(code >> (exponent_bits + mantissa_bits), -size, size), np.float32)


@functools.cache
def _table(name: str) -> np.ndarray:
    """The value of each code."""
    if name == "NF4":
        return np.array(_NF4, np.float32)
    if name == "U2":
        return np.arange(4, dtype=np.uint8)
    if name == "F8E8M0":
        return np.append(np.exp2(np.arange(255, dtype=np.float64) - 127), np.nan).astype(np.float32)
    values = _floats(*{"F8E4M3": (4, 3), "F8E5M2": (5, 2), "F4E2M1": (2, 1)}[name])
    if name == "F8E4M3":
        values[[0x7F, 0xFF]] = np.nan
    if name == "F8E5M2":
        values[[0x7C, 0xFC]] = np.inf, -np.inf
        values[[*range(0x7D, 0x80), *range(0xFD, 0x100)]] = np.nan
    return values


def _codes(octets: np.ndarray, bits: int, *, high_first: bool = False) -> np.ndarray:
    """Codes of ``bits`` bits, which divide 8, along the last axis."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)[:: -1 if high_first else 1]
    return np.asarray(octets[..., None] >> shifts & np.uint8((1 << bits) - 1)).reshape(*octets.shape[:-1], -1)


def unpacked(name: str, octets: np.ndarray, count: int) -> np.ndarray:
    """The first ``count`` elements of type ``name``; several in a byte begin with its lowest bits.

    In three bytes of U3 and U6 the first two hold the low bits of all elements and the third one the high bits, from the highest bits down.
    """
    packed = PACKED[name]
    if packed.low:
        rows = np.append(octets, np.zeros(-octets.size % 3, np.uint8)).reshape(-1, 3)
        high = _codes(rows[:, 2:], packed.bits - packed.low, high_first=True) << np.uint8(packed.low)
        return np.asarray(_codes(rows[:, :2], packed.low, high_first=True) | high).ravel()[:count]
    codes = _codes(octets, packed.bits) if packed.bits < 8 else octets
    return np.asarray(_table(name)[codes[:count]])
