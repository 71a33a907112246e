# SPDX-License-Identifier: Apache-2.0
"""Quantised ONNX networks, in QDQ form or with QLinear operators, run on integers on the CPU device."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx_models import expected, model

from ie_ctypes import IECore

QDQ = """g (float[1,5,6,6] x) => (float[1,7,6,6] y) {
    a = QuantizeLinear(x, s, z)
    b = DequantizeLinear(a, s, z)
    v = DequantizeLinear<axis=0>(w, ws, wz)
    c = Conv<pads=[1,1,1,1]>(b, v)
    d = Relu(c)
    e = QuantizeLinear(d, t, z)
    f = DequantizeLinear(e, t, z)
    y = Conv(f, u)
}"""
QLINEAR = """g (float[1,5,6,6] x) => (float[1,7,6,6] y) {
    a = QuantizeLinear(x, s, z)
    b = QLinearConv<pads=[1,1,1,1]>(a, s, z, w, ws, wz, t, z)
    y = DequantizeLinear(b, t, z)
}"""


def constants(rng: np.random.Generator, zero: np.ndarray) -> dict[str, np.ndarray]:
    """Steps are powers of two, so that the reference's floats are exact."""
    return {
        "s": np.array(0.125, np.float32), "z": zero, "t": np.array(2.0, np.float32),
        "w": rng.integers(-127, 128, (7, 5, 3, 3)).astype(np.int8), "wz": np.zeros(7, np.int8),
        "ws": np.float32(2.0) ** rng.integers(-6, -3, 7).astype(np.float32), "u": np.eye(7, dtype=np.float32).reshape(7, 7, 1, 1),
    }  # fmt: skip


def infer(proto: onnx.ModelProto, x: np.ndarray) -> tuple[np.ndarray, list[str]]:
    core = IECore()
    executable = core.load_network(core.read_network(proto.SerializeToString()), "CPU")
    y = executable.infer({"x": x})["y"]
    return y, [row["exec_type"] for row in executable.requests[0].get_perf_counts().values()]


@pytest.mark.parametrize("text", [QDQ, QLINEAR], ids=["qdq", "qlinear"])
@pytest.mark.parametrize("zero", [np.array(0, np.uint8), np.array(128, np.uint8), np.array(0, np.int8)], ids=["0", "128", "signed"])
def test_convolutions_run_on_integers_and_give_the_numbers_of_the_standard(text: str, zero: np.ndarray) -> None:
    rng = np.random.default_rng(4)
    names = {"s", "z", "t", "w", "wz", "ws"} | ({"u"} if text is QDQ else set())
    proto = model(text, {key: value for key, value in constants(rng, zero).items() if key in names}, opset=19)
    x = (rng.integers(-300, 300, (1, 5, 6, 6)) / 16).astype(np.float32)
    y, kernels = infer(proto, x)
    assert sum(kernel.startswith("int8_conv") for kernel in kernels) == (2 if text is QDQ else 1)
    np.testing.assert_array_equal(y, expected(proto, {"x": x})["y"])


def test_other_constants_on_the_way_back_are_no_grid() -> None:
    rng = np.random.default_rng(5)
    proto = model(
        QDQ.replace("b = DequantizeLinear(a, s, z)", "b = DequantizeLinear(a, t, z)"), constants(rng, np.array(0, np.uint8)), opset=19
    )
    x = (rng.integers(-300, 300, (1, 5, 6, 6)) / 16).astype(np.float32)
    y, _ = infer(proto, x)
    np.testing.assert_allclose(y, expected(proto, {"x": x})["y"], rtol=1e-6)
