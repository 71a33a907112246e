# SPDX-License-Identifier: Apache-2.0
"""CPU kernel Convert: all pairs of types, rounding, values out of range."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_checks import node

from ie_ctypes.model.program import DTYPES


def samples(dtype: str) -> np.ndarray:
    if dtype == "bool":
        return np.array([True, False])
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return np.array([0.0, -0.0, 0.5, 1.5, 2.5, -0.5, -1.5, 1.9, -1.9, 127.5, 255.5, 300.0, -200.0, 65504.0, 1e-7], dtype)
    info = np.iinfo(kind)
    return np.array([0, 1, 5, 127, info.max, info.min, info.max // 2], dtype)


@pytest.mark.parametrize("source", DTYPES)
@pytest.mark.parametrize("target", DTYPES)
@pytest.mark.parametrize("rounding", ["truncate", "nearest"])
def test_every_pair_of_types(source: str, target: str, rounding: str) -> None:
    node("Convert", [np.tile(samples(source), 50)], rtol=0, atol=0, dtype=target, round=rounding)


@pytest.mark.parametrize("target", ["int32", "int64", "uint8", "int8", "int16", "uint16"])
@pytest.mark.parametrize("rounding", ["truncate", "nearest"])
def test_floats_out_of_range_are_defined(isa: str, target: str, rounding: str) -> None:
    x = np.array([np.inf, -np.inf, np.nan, 1e30, -1e30, 3e9, -3e9, 2**31, -(2**31), 2**63, -(2.0**63)], np.float32)
    node("Convert", [x], rtol=0, atol=0, dtype=target, round=rounding)


def test_nearest_rounds_half_to_even(isa: str) -> None:
    x = np.array([0.5, 1.5, 2.5, -0.5, -1.5, 300, -7], np.float32)
    assert node("Convert", [x], dtype="uint8", round="nearest")[0].tolist() == [0, 2, 2, 0, 0, 255, 0]


def test_half_precision_survives_both_ways() -> None:
    bits = np.arange(0, 65536, dtype=np.uint16)
    halves = bits.view(np.float16)
    halves = halves[~np.isnan(halves)]
    wide = node("Convert", [halves], rtol=0, atol=0, dtype="float32", round="truncate")[0]
    between = (wide[np.isfinite(wide)] * np.float32(1.0001)).astype(np.float32)
    node("Convert", [between], rtol=0, atol=0, dtype="float16", round="truncate")
