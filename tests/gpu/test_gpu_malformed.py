# SPDX-License-Identifier: Apache-2.0
"""Nodes whose sizes or attributes do not fit each other are refused by the GPU device."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cpu_programs import Builder

from ie_ctypes.devices.gpu import GpuDevice
from ie_ctypes.model.program import AttrValue, TensorType

POOL: dict[str, AttrValue] = {"kernel": (2, 2), "strides": (1, 1), "pads_begin": (0, 0), "pads_end": (0, 0), "ceil": 0}


def refused(device: GpuDevice, b: Builder, y: int, shape: tuple[int, ...] | None = None, **attrs: AttrValue) -> None:
    """The node that makes ``y`` runs as it is, and not with a result of that shape or with these attributes."""
    device.compile(b.output(y).program, {}).close()
    if shape:
        tensor = b.program.tensors[y]
        b.program.tensors[y] = replace(tensor, type=TensorType(tensor.type.dtype, shape))
    node = b.program.nodes[0]
    b.program.nodes[0] = replace(node, attrs={**node.attrs, **attrs})
    with pytest.raises(RuntimeError, match=node.kind):
        device.compile(b.program, {})


def test_a_product_of_another_shape(device: GpuDevice) -> None:
    b = Builder()
    refused(device, b, b.node("MatMul", b.input(2, 3), b.input(3, 8), transpose_a=0, transpose_b=0), (1, 16))


def test_repeats_that_overflow(device: GpuDevice) -> None:
    b = Builder()
    refused(device, b, b.node("Tile", b.input(4, 3), repeats=(1, 1)), repeats=((1 << 62) + 1, 1))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("kernel", (0, 2)),
        ("kernel", (1 << 32, 2)),
        ("strides", (0, 1)),
        ("strides", (1 << 31, 1)),
        ("dilations", (1, 0)),
        ("dilations", (1 << 40, 1)),
        ("pads_begin", (1 << 33, 0)),
    ],
)
@pytest.mark.parametrize("kind", ["MaxPool", "AvgPool"])
def test_windows_beyond_32_bits(device: GpuDevice, kind: str, name: str, values: tuple[int, ...]) -> None:
    b = Builder()
    attrs: dict[str, AttrValue] = {**POOL, "dilations": (1, 1), "divisor": "valid"}
    refused(device, b, b.node(kind, b.input(1, 2, 5, 5), **attrs), **{name: values})
