# SPDX-License-Identifier: Apache-2.0
"""TensorDesc and Blob."""

from __future__ import annotations

import copy
import re

import numpy as np
import pytest

from ie_ctypes import Blob, TensorDesc, format_map, layout_int_to_str_map, layout_str_to_enum


def test_tensor_desc_getters_and_setters() -> None:
    desc = TensorDesc("FP32", (1, 127, 127, 3), "NHWC")
    assert (desc.precision, desc.dims, desc.layout) == ("FP32", [1, 127, 127, 3], "NHWC")
    desc.precision, desc.dims, desc.layout = "U8", [1, 2, 3, 4], "NCHW"
    assert desc == TensorDesc("U8", (1, 2, 3, 4), "NCHW")
    assert copy.deepcopy(desc) == desc


@pytest.mark.parametrize("other", [("I8", (1, 2), "NC"), ("FP32", (1, 3), "NC"), ("FP32", (1, 2), "CN")])
def test_tensor_desc_compares_all_fields(other: tuple[str, tuple[int, int], str]) -> None:
    assert TensorDesc("FP32", (1, 2), "NC") == TensorDesc("FP32", [1, 2], "NC")
    assert TensorDesc("FP32", (1, 2), "NC") != TensorDesc(*other)


def test_tensor_desc_refusals() -> None:
    with pytest.raises(ValueError, match="Unsupported precision BLA! List of supported precisions: "):
        TensorDesc("BLA", (1, 2), "NC")
    with pytest.raises(KeyError):
        TensorDesc("FP32", (1, 2), "BLA")
    desc = TensorDesc("FP32", (1, 2), "NC")
    with pytest.raises(ValueError, match="Unsupported precision BLA"):
        desc.precision = "BLA"
    with pytest.raises(ValueError, match="Unsupported layout BLA! List of supported layouts: "):
        desc.layout = "BLA"
    with pytest.raises(RuntimeError, match=re.escape("Size of dims(2) and format(NCHW) are inconsistent.")):
        desc.layout = "NCHW"


def test_every_layout_has_a_name() -> None:
    assert all(layout_int_to_str_map[code] == name for name, code in layout_str_to_enum.items())


@pytest.mark.parametrize("precision", sorted(format_map))
def test_blob_is_writable_in_every_precision(precision: str) -> None:
    desc = TensorDesc(precision, (2, 3), "NC")
    blob = Blob(desc)
    assert blob.tensor_desc == desc
    assert blob.buffer.dtype == np.dtype(format_map[precision])
    blob.buffer[:] = np.ones((2, 3), format_map[precision])
    assert blob.buffer.sum() == 6
    array = np.arange(6).reshape(2, 3).astype(format_map[precision])
    shared = Blob(desc, array)
    shared.buffer[0, 0] = 1
    assert array[0, 0] == 1


def test_scalar_blob_is_one_element() -> None:
    desc = TensorDesc("I64", [], "SCALAR")
    assert Blob(desc).buffer.shape == (1,)
    assert Blob(desc, np.array(7, np.int64)).buffer[0] == 7


def test_blob_keeps_the_shape_of_its_array() -> None:
    array = np.zeros((1, 4, 5, 3), np.uint8)
    assert Blob(TensorDesc("U8", (1, 3, 4, 5), "NHWC"), array).buffer.shape == (1, 4, 5, 3)
    assert Blob(TensorDesc("U8", (1, 3, 4, 5), "NHWC")).buffer.shape == (1, 3, 4, 5)


@pytest.mark.parametrize(
    "array", [np.arange(12.0, dtype=np.float32).reshape(3, 4).T, np.arange(24.0, dtype=np.float32).reshape(4, 6)[:, ::2]]
)
def test_values_of_other_strides_are_kept(array: np.ndarray) -> None:
    np.testing.assert_array_equal(Blob(TensorDesc("FP32", (4, 3), "NC"), array).buffer, array)


def test_blob_refusals() -> None:
    desc = TensorDesc("FP32", (1, 3, 127, 127), "NCHW")
    text = "Number of elements in provided numpy array 24 and required by TensorDesc 48387 are not equal"
    with pytest.raises(AttributeError, match=text):
        Blob(desc, np.zeros(24, np.float32))
    text = "Data type float64 of provided numpy array doesn't match to TensorDesc precision FP32"
    with pytest.raises(ValueError, match=text):
        Blob(desc, np.zeros(48387))
    with pytest.raises(TypeError):
        Blob("FP32")  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="no memory"):
        _ = Blob().buffer


def test_deepcopy_has_its_own_memory() -> None:
    blob = Blob(TensorDesc("FP32", (2, 2), "NC"), np.ones((2, 2), np.float32))
    twin = copy.deepcopy(blob)
    twin.buffer[:] = 5
    assert blob.buffer.sum() == 4


def test_raw_half_floats_are_accepted() -> None:
    raw = np.array([[1.5, -2]], np.float16).view(np.int16)
    assert Blob(TensorDesc("FP16", (1, 2), "NC"), raw).buffer.dtype == np.int16
