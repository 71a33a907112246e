# SPDX-License-Identifier: Apache-2.0
"""Constants of element types that compressed weights have."""

from __future__ import annotations

import numpy as np
import pytest

from ie_ctypes import IECore
from ie_ctypes.errors import ModelError
from ie_ctypes.model.graph import Graph
from ie_ctypes.model.readers import read_ir
from ie_ctypes.model.writers import ir_bytes

#: type, bytes, the numbers in them
CASES = {
    "nf4": ([0x70, 0xF8, 0x1E], [-1, 0, 0.07958029955625534, 1, 0.7229568362236023, -0.6961928009986877]),
    "f4e2m1": ([0x10, 0x72, 0x9F], [0, 0.5, 1, 6, -6, -0.5]),
    "f8e4m3": ([0x00, 0x38, 0x7E, 0x81, 0xC1, 0x7F], [0, 1, 448, -(2**-9), -2.25, np.nan]),
    "f8e5m2": ([0x3C, 0x7B, 0x7C, 0xFC, 0x01, 0xC2], [1, 57344, np.inf, -np.inf, 2**-16, -3]),
    "f8e8m0": ([0x7F, 0x80, 0x7D, 0x00, 0x8A, 0xFF], [1, 2, 0.25, 2**-127, 2048, np.nan]),
    "u1": ([0b10110001], [1, 0, 1, 1, 0, 0]),
    "u2": ([0b11100100, 0b0001], [0, 1, 2, 3, 1, 0]),
    "u3": ([0b11100100, 0b00011011, 0b10101111], [7, 2, 5, 0, 4, 5]),
    "u4": ([0x21, 0x43, 0xF5], [1, 2, 3, 4, 5, 15]),
    "i4": ([0x21, 0xC3, 0x8F], [1, 2, 3, -4, -1, -8]),
    "u6": ([0b11100100, 0b00011011, 0b10101111, 0x21, 0x43, 0b01110000], [46, 36, 49, 59, 18, 49]),
}


def sum_with(element: str, weights: bytes, kind: str = "Const") -> Graph:
    port = '<port id="{}" precision="{}"><dim>6</dim></port>'
    size = f'element_type="{element}" shape="6" offset="0" size="{len(weights)}"'
    layers = (
        f'<layer id="0" name="x" type="Parameter" version="opset1"><data element_type="f32" shape="6"/>'
        f"<output>{port.format(0, 'FP32')}</output></layer>"
        f'<layer id="1" name="w" type="{kind}" version="opset1"><data {size}/><output>{port.format(0, element.upper())}</output></layer>'
        f'<layer id="2" name="c" type="Convert" version="opset1"><data destination_type="f32"/><input>{port.format(0, element.upper())}'
        f"</input><output>{port.format(1, 'FP32')}</output></layer>"
        f'<layer id="3" name="y" type="Add" version="opset1"><input>{port.format(0, "FP32")}{port.format(1, "FP32")}</input>'
        f"<output>{port.format(2, 'FP32')}</output></layer>"
        f'<layer id="4" name="r" type="Result" version="opset1"><input>{port.format(0, "FP32")}</input></layer>'
    )
    edges = "".join(
        f'<edge from-layer="{a}" from-port="{p}" to-layer="{b}" to-port="{q}"/>'
        for a, p, b, q in ((0, 0, 3, 0), (1, 0, 2, 0), (2, 1, 3, 1), (3, 2, 4, 0))
    )
    return read_ir(f'<net name="n" version="11"><layers>{layers}</layers><edges>{edges}</edges></net>'.encode(), weights)


@pytest.mark.parametrize("element", CASES)
@pytest.mark.parametrize("device", ["CPU", "REFERENCE"])
def test_numbers_of_the_codes(element: str, device: str) -> None:
    octets, want = CASES[element]
    graph = sum_with(element, bytes(octets))
    xml, weights = ir_bytes(graph)
    core = IECore()
    net = core.read_network(xml, weights, init_from_buffer=True)
    got = core.load_network(net, device).infer({"x": np.zeros(6, np.float32)})["y"]
    np.testing.assert_array_equal(got, np.array(want, np.float32))


def test_a_constant_may_have_bytes_to_spare() -> None:
    for element, size in (("nf4", 4), ("u1", 2), ("i32", 28)):
        graph = sum_with(element, bytes(size))
        shape = next(n for n in graph.nodes if n.name == "w").outputs[0].shape
        assert shape == (6,)
        core = IECore()
        net = core.read_network(*ir_bytes(graph), init_from_buffer=True)
        want = -1 if element == "nf4" else 0
        assert core.load_network(net, "CPU").infer({"x": np.zeros(6, np.float32)})["y"].tolist() == [want] * 6


def test_the_last_bytes_of_split_types_may_be_missing() -> None:
    (w,) = (n for n in sum_with("u6", bytes([0xE4, 0x1B, 0xAF, 0x21, 0x40])).nodes if n.name == "w")
    assert w.blobs["custom"].data.tolist() == [46, 36, 49, 59, 2, 1]


def test_sizes_and_places_are_checked() -> None:
    with pytest.raises(ModelError, match=r"size is 2 bytes, expected at least 3 for shape \[6\] of NF4"):
        sum_with("nf4", bytes(2))
    with pytest.raises(ModelError, match="an input of element type nf4 is not supported"):
        sum_with("nf4", b"", "Parameter")
