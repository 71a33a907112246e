# SPDX-License-Identifier: Apache-2.0
"""The ONNX twin computes what the IR computes: ONNX's own reference against our device, layer type by layer type."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("onnx")

from onnx.reference import ReferenceEvaluator

from benchmarks.compare.networks import CONVOLUTIONAL, NETWORKS
from benchmarks.compare.stack import Stack, Tensor, shape
from benchmarks.compare.twin import TRANSLATORS, twin
from ie_ctypes import IECore, IENetwork
from ie_ctypes.model.graph import Graph
from ie_ctypes.model.network import Network

IMAGE = (2, 4, 9, 11)


def infer(net: IENetwork, feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return dict(IECore().load_network(net, "CPU").infer(feed))


def check(graph: Graph) -> None:
    """IR on our device, its twin in ONNX's reference, and the twin read by our reader: the same numbers under the same names."""
    rng = np.random.default_rng(3)
    feed = {n.name: rng.standard_normal(n.outputs[0].shape).astype(np.float32) for n in graph.nodes if n.type == "Parameter"}
    model = twin(graph)
    names = [output.name for output in model.graph.output]
    expected = dict(zip(names, ReferenceEvaluator(model).run(None, feed), strict=True))
    ours = infer(IENetwork._of(Network(graph)), feed)
    read = infer(IECore().read_network(model.SerializeToString()), feed)
    assert set(ours) == set(expected) == set(read)
    for name, value in expected.items():
        for result in (ours[name], read[name]):
            assert result.shape == value.shape
            np.testing.assert_allclose(result, value, rtol=1e-4, atol=1e-5, err_msg=name)


def one(dims: tuple[int, ...], build: Callable[[Stack, Tensor], Tensor]) -> Graph:
    s = Stack("one")
    return s.graph(build(s, s.input("data", dims)))


LAYERS: dict[str, tuple[tuple[int, ...], Callable[[Stack, Tensor], Tensor]]] = {
    "convolution": (IMAGE, lambda s, x: s.conv(x, 6, 3, 2)),
    "convolution, asymmetric size, clamp": (IMAGE, lambda s, x: s.conv(x, 6, 5, 1, pad=1, act="relu6")),
    "depthwise": (IMAGE, lambda s, x: s.conv(x, 4, 3, groups=4, act="leaky")),
    "residual": (IMAGE, lambda s, x: s.add(s.conv(x, 4, 1, act=""), x, "relu")),
    "maximum pool, rounded up": (IMAGE, lambda s, x: s.pool(x, 3, 2, ceil=True)),
    "average pool": (IMAGE, lambda s, x: s.pool(x, 3, 2, pad=1, average=True)),
    "global mean": (IMAGE, lambda s, x: s.mean(x, (2, 3))),
    "mean of another axis": (IMAGE, lambda s, x: s.mean(x, (1,), keep=False)),
    "scale and shift": (IMAGE, lambda s, x: s.affine(x)),
    "concat and transpose": (IMAGE, lambda s, x: s.transpose(s.concat([x, s.unary("Sigmoid", x)]), 0, 2, 3, 1)),
    "resize": (IMAGE, lambda s, x: s.resize2(x)),
    "fully connected": ((2, 12), lambda s, x: s.softmax(s.dense(x, 7, "relu"), 1)),
    "matrix product of rank 3": ((2, 5, 12), lambda s, x: s.layer_norm(s.dense(x, 8, "gelu"))),
    "product of activations": ((2, 5, 6), lambda s, x: s.matmul(x, s.transpose(x, 0, 2, 1))),
    "product with a number": ((2, 5), lambda s, x: s.binary("Multiply", x, s.const(np.full((1, 1), 0.5, np.float32)))),
    "recurrent": ((2, 5, 12), lambda s, x: s.lstm(x, 8)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_twin_of_a_layer(name: str) -> None:
    check(one(LAYERS[name][0], LAYERS[name][1]))


def test_twin_reports_a_type_it_does_not_know() -> None:
    graph = one((2, 3), lambda s, x: s.unary("Erf", x))
    with pytest.raises(NotImplementedError, match=r"erf_1: no ONNX operator is known for Erf"):
        twin(graph)


#: ONNX's reference takes padding at the end only for another padding, and leaves out the last channel of a window
NOT_BY_REFERENCE: dict[str, Callable[[Stack, Tensor], Tensor]] = {
    "maximum pool, end": lambda s, x: s.pool(x, 2, 1, end=1),
    "across channels": lambda s, x: s._layer("LRN", [x, s.ints(1)], shape(x), alpha=0.1, beta=0.75, bias=1.0, size=5),
}


@pytest.mark.parametrize("name", NOT_BY_REFERENCE)
def test_twin_of_a_layer_by_our_two_readers(name: str) -> None:
    graph = one(IMAGE, NOT_BY_REFERENCE[name])
    feed = {"data": np.random.default_rng(3).standard_normal(IMAGE).astype(np.float32)}
    ours, read = infer(IENetwork._of(Network(graph)), feed), infer(IECore().read_network(twin(graph).SerializeToString()), feed)
    (output,) = ours
    assert ours[output].shape == IMAGE
    np.testing.assert_allclose(ours[output], read[output], rtol=1e-6)


def test_twin_of_two_inputs_keeps_a_shared_product_apart() -> None:
    """A scale with two readers is no batch normalisation."""
    s = Stack("shared")
    x = s.input("data", (1, 3, 2, 2))
    y = s.binary("Multiply", x, s.const(np.full((1, 3, 1, 1), 2, np.float32)))
    check(s.graph(s.binary("Add", y, s.const(np.ones((1, 3, 1, 1), np.float32))), s.unary("Sigmoid", y)))


def test_twin_of_a_whole_network() -> None:
    """Recurrent: the only whole network that takes ONNX's reference no time."""
    check(NETWORKS["lstm256"](1))


def test_networks_use_translated_types_only() -> None:
    """The convolutional networks in their own sizes are too slow for ONNX's reference, but nothing in them may lack a translator."""
    for build in (f for f in CONVOLUTIONAL if f.__name__ != "vgg16"):
        assert {n.type for n in build(1).nodes} - {"Parameter", "Const", "Result"} <= set(TRANSLATORS)
