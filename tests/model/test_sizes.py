# SPDX-License-Identifier: Apache-2.0
"""Outputs whose size depends on the data: the upper bound in the description, the true size in the results."""

from __future__ import annotations

import numpy as np
import pytest

from ie_ctypes import IECore
from ie_ctypes.api.network import IENetwork
from ie_ctypes.model.builder import NetworkBuilder
from ie_ctypes.model.network import Network

DEVICES = pytest.mark.parametrize("device", ["CPU", "REFERENCE"])


def load(builder, device):
    core = IECore()
    return core.load_network(IENetwork._of(Network(builder.graph())), device)


def positions(behind=None, shape=(3, 4)):
    """A network of NonZero, and of what ``behind`` puts on it."""
    b = NetworkBuilder.opset()
    y = b.layer("NonZero", "places", [b.input("x", shape)], [(len(shape), int(np.prod(shape)))], version="opset3", precisions=["I64"])
    b.result(behind(b, y) if behind else y)
    return b


@DEVICES
def test_results_have_the_true_size(device):
    net = load(positions(), device)
    assert list(net.outputs["places"].shape) == [2, 12]
    for x in (np.eye(3, 4), np.zeros((3, 4)), np.ones((3, 4))):
        np.testing.assert_array_equal(net.infer({"x": x})["places"], np.nonzero(x))
        request = net.requests[0]
        assert request.output_blobs["places"].buffer.shape == request.outputs["places"].shape == (2, np.count_nonzero(x))


@DEVICES
def test_asynchronous_requests_have_their_own_sizes(device):
    core = IECore()
    net = core.load_network(IENetwork._of(Network(positions().graph())), device, num_requests=2)
    arrays = [np.eye(3, 4), np.ones((3, 4))]
    for request, x in zip(net.requests, arrays, strict=True):
        request.async_infer({"x": x})
    for request, x in zip(net.requests, arrays, strict=True):
        request.wait()
        np.testing.assert_array_equal(request.outputs["places"], np.nonzero(x))


BEHIND = {
    "convert": (lambda b, y: b.layer("Convert", "y", [y], [(2, 12)], params={"destination_type": "f32"}), lambda p: p),
    "transpose": (lambda b, y: b.layer("Transpose", "y", [y, b.constant("o", np.array([1, 0]))], [(12, 2)]), lambda p: p.T),
    "split": (
        lambda b, y: (b.layer("Split", "y", [y, b.constant("a", np.array(0))], [(1, 12)] * 2, params={"num_splits": 2}), 1),
        lambda p: p[1:],
    ),
    "squeeze": (
        lambda b, y: b.layer(
            "Squeeze", "y", [(b.layer("Split", "s", [y, b.constant("a", np.array(0))], [(1, 12)] * 2, params={"num_splits": 2}), 0),
                             b.constant("q", np.array([0]))], [(12,)]),
        lambda p: p[0],
    ),
    "rows": (
        lambda b, y: b.layer(
            "Gather", "y", [b.constant("table", np.arange(24.0, dtype=np.float32).reshape(12, 2)), y, b.constant("a", np.array(0))],
            [(2, 12, 2)], version="opset8"),
        lambda p: np.arange(24.0).reshape(12, 2)[p],
    ),
    "sum over the other axis": (
        lambda b, y: b.layer("ReduceSum", "y", [y, b.constant("a", np.array([0]))], [(12,)], params={"keep_dims": "false"}),
        lambda p: p.sum(0),
    ),
}  # fmt: skip


@DEVICES
@pytest.mark.parametrize("name", BEHIND)
def test_layers_that_keep_the_axis_keep_the_size(device, name):
    behind, want = BEHIND[name]
    net = load(positions(behind), device)
    x = np.array([[0, 1, 0, 2], [0, 0, 0, 0], [3, 0, 0, 1]])
    (result,) = net.infer({"x": x}).values()
    np.testing.assert_array_equal(result, want(np.stack(np.nonzero(x))))


@DEVICES
def test_what_mixes_the_axis_has_the_upper_bound(device):
    net = load(
        positions(lambda b, y: b.layer("ReduceMax", "y", [y, b.constant("a", np.array([1]))], [(2,)], params={"keep_dims": False})), device
    )
    (result,) = net.infer({"x": np.eye(3, 4)}).values()
    assert result.tolist() == [2, 2]
    flat = load(positions(lambda b, y: b.layer("Reshape", "y", [y, b.constant("s", np.array([24]))], [(24,)])), device)
    (result,) = flat.infer({"x": np.eye(3, 4)}).values()
    assert result.shape == (24,)


@DEVICES
def test_images_of_detections_follow_each_other(device):
    b = NetworkBuilder.opset()
    boxes, scores = b.input("boxes", (2, 3, 4)), b.input("scores", (2, 1, 3))
    params = {"iou_threshold": 0.5, "score_threshold": 0.3, "sort_result_type": "score", "output_type": "i32"}
    node = b.layer(
        "MulticlassNms", "y", [boxes, scores], [(6, 6), (6, 1), (2,)], params=params, version="opset8", precisions=["FP32", "I32", "I32"]
    )
    for i in range(3):
        b.result((node, i))
    far = np.arange(3)[:, None] * 10 + np.array([0, 0, 1, 1])
    feed = {"boxes": np.stack([far, far + 100]), "scores": np.array([[[0.1, 0.9, 0.2]], [[0.8, 0.5, 0.1]]])}
    out = load(b, device).infer(feed)
    assert out["y.2"].tolist() == [1, 2]
    assert out["y.1"].ravel().tolist() == [1, 3, 4]
    np.testing.assert_allclose(out["y.0"][:, 1], [0.9, 0.8, 0.5])


@DEVICES
def test_file_that_leaves_such_sizes_open_is_loaded_as_it_is(device):
    graph = positions(lambda b, y: b.layer("Convert", "out", [y], [(2, 12)], params={"destination_type": "i32"})).graph()
    for node in graph.nodes:
        if node.type in ("NonZero", "Convert"):
            node.outputs[0].shape = (2, -1)
    net = IENetwork._of(Network(graph))
    assert net.outputs["out"].shape == net.layers["places"].out_data[0].shape == [2, 12]
    x = np.eye(3, 4)
    np.testing.assert_array_equal(IECore().load_network(net, device).infer({"x": x})["out"], np.nonzero(x))


def test_open_sizes_stay_open_until_the_inputs_are_known():
    graph = positions().graph()
    for node in graph.nodes:
        for port in node.outputs:
            port.shape = (-1, *port.shape[1:])
    net = IENetwork._of(Network(graph))
    assert net.outputs["places"].shape == [-1, 12]
    net.reshape({"x": (2, 5)})
    assert net.outputs["places"].shape == [2, 10]
