# SPDX-License-Identifier: Apache-2.0
"""Models in ONNX's text form, and what this package and ONNX's own reference make of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import numpy_helper, parser
from onnx.reference import ReferenceEvaluator

from ie_ctypes import IECore, IENetwork


def model(
    text: str, initializers: Mapping[str, np.ndarray] | None = None, opset: int = 18, others: str = "", functions: str = ""
) -> onnx.ModelProto:
    """A model of one graph in text form, with constants of these values."""
    header = f'<ir_version: 8, opset_import: ["" : {opset}{others}]>'
    proto = parser.parse_model(f"{header}\n{text}\n{functions}")
    for name, array in (initializers or {}).items():
        proto.graph.initializer.append(numpy_helper.from_array(array, name))
    return proto


def infer(proto: onnx.ModelProto, feed: Mapping[str, np.ndarray], device: str = "REFERENCE") -> dict[str, np.ndarray]:
    """Outputs by IECore; shapes of the inputs are those of ``feed``."""
    core = IECore()
    net = core.read_network(proto.SerializeToString())
    return run(net, feed, device)


def run(net: IENetwork, feed: Mapping[str, np.ndarray], device: str = "REFERENCE") -> dict[str, np.ndarray]:
    """Outputs of a network that was read."""
    shapes = {name: a.shape for name, a in feed.items()}
    if any(tuple(net.inputs[n].shape) != s for n, s in shapes.items()):
        net.reshape(shapes)
    return dict(IECore().load_network(net, device).infer(dict(feed)))


def expected(proto: onnx.ModelProto, feed: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Outputs by ONNX's reference."""
    results = ReferenceEvaluator(proto).run(None, dict(feed))
    return dict(zip([o.name for o in proto.graph.output], results, strict=True))


def check(proto: onnx.ModelProto, feed: Mapping[str, np.ndarray], device: str = "REFERENCE") -> None:
    """Both agree, names and all."""
    got, want = infer(proto, feed, device), expected(proto, feed)
    assert set(got) == set(want)
    for name, value in want.items():
        assert got[name].shape == value.shape
        np.testing.assert_allclose(got[name], value, rtol=1e-4, atol=1e-5, err_msg=name)
