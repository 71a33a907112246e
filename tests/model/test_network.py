# SPDX-License-Identifier: Apache-2.0
"""Network state: inputs and outputs, reshape, batch, added outputs, and the program for the user's blobs."""

from __future__ import annotations

import numpy as np
import pytest

from ie_ctypes.devices.reference import evaluate
from ie_ctypes.errors import IEError, NotFoundError, OutOfBoundsError, ParameterMismatchError
from ie_ctypes.model.builder import NetworkBuilder
from ie_ctypes.model.graph import MeanChannel, PreProcess
from ie_ctypes.model.network import Network


def noise(*shape, seed=0):
    return np.random.default_rng(seed).uniform(-2, 2, shape).astype(np.float32)


def classifier(precision="FP32"):
    """data [1,2,4,4] -> conv -> split -> relu, and an unused second part of the split."""
    b = NetworkBuilder.legacy()
    data = b.input("data", (1, 2, 4, 4), precision)
    weights = {"weights": noise(4, 2, 3, 3)}
    conv = b.layer("Convolution", "conv", [data], [(1, 4, 2, 2)], params={"kernel": "3,3", "output": 4}, blobs=weights, precision=precision)
    split = b.layer("Split", "split", [conv], [(1, 2, 2, 2)] * 2, params={"axis": 1}, precision=precision)
    b.layer("ReLU", "a_relu", [split], [(1, 2, 2, 2)], precision=precision)
    return b.graph()


def identity(shape, precision="FP32", params=None):
    """data -> Power, which adds 0 by default."""
    b = NetworkBuilder.legacy()
    data = b.input("data", shape, precision)
    b.layer("Power", "out", [data], [shape], params=params or {"power": 1, "scale": 1, "shift": 0}, precision=precision)
    return Network(b.graph())


def run(net, **inputs):
    program = net.lower()
    arrays = []
    for name, i in zip(program.input_names, program.inputs, strict=True):
        t = program.tensors[i].type
        assert inputs[name].dtype == t.dtype
        arrays.append(inputs[name].reshape(t.shape))
    return dict(zip(program.output_names, evaluate(program, arrays), strict=True))


def test_inputs_and_outputs_are_sorted_and_shown_as_the_original_did():
    net = Network(classifier("FP16"))
    assert {k: (s.shape, s.precision, s.layout) for k, s in net.inputs.items()} == {"data": ((1, 2, 4, 4), "FP32", "NCHW")}
    assert list(net.outputs) == ["a_relu", "split.1"]
    assert net.outputs["split.1"].precision == "FP32"
    assert (net.outputs["split.1"].node.name, net.outputs["split.1"].port) == ("split", 1)


def test_opset_types_are_shown_as_the_legacy_api_knew_them():
    b = NetworkBuilder.opset()
    x = b.input("x", (2, 3), "I64")
    y = b.input("y", (2, 3), "FP16")
    b.result(b.layer("Add", "sum", [x, x], [(2, 3)], precision="I64"))
    b.result(b.layer("Greater", "more", [y, y], [(2, 3)], precision="BOOL"))
    b.result(b.layer("ReLU", "relu", [y], [(2, 3)], precision="FP16"))
    net = Network(b.graph())
    assert {k: s.precision for k, s in net.inputs.items()} == {"x": "I32", "y": "FP32"}
    assert {k: s.precision for k, s in net.outputs.items()} == {"more": "U8", "relu": "FP32", "sum": "I32"}
    out = run(net, x=np.full((2, 3), 7, np.int32), y=noise(2, 3))
    assert {k: v.dtype.name for k, v in out.items()} == {"more": "uint8", "relu": "float32", "sum": "int32"}
    assert (out["sum"] == 14).all()


def test_reshape_updates_every_port():
    graph = classifier()
    net = Network(graph)
    net.reshape({"data": (3, 2, 6, 5)})
    assert net.inputs["data"].shape == (3, 2, 6, 5)
    assert {k: s.shape for k, s in net.outputs.items()} == {"a_relu": (3, 2, 4, 3), "split.1": (3, 2, 4, 3)}
    assert graph.node("conv").inputs[0].shape == (3, 2, 6, 5)
    assert run(net, data=noise(3, 2, 6, 5))["a_relu"].shape == (3, 2, 4, 3)


@pytest.mark.parametrize(
    ("shapes", "error", "words"),
    [
        ({"data": (1, 3, 4, 4)}, IEError, "conv"),
        ({"data": (1, 2, 1, 1)}, IEError, "exceeds padded input"),
        ({"data": (1, 2, 4)}, ParameterMismatchError, "Dims and format are inconsistent"),
        ({"data": (1, 2, 0, 4)}, ParameterMismatchError, "dimension below 1"),
        ({"date": (1, 2, 4, 4)}, NotFoundError, "'date' is not in the network, inputs are data"),
    ],
)
def test_failed_reshape_changes_nothing(shapes, error, words):
    net = Network(classifier())
    with pytest.raises(error, match=words):
        net.reshape(shapes)
    assert net.inputs["data"].shape == (1, 2, 4, 4)
    assert net.outputs["a_relu"].shape == (1, 2, 2, 2)


def test_batch_scales_inputs_and_can_go_back():
    net = Network(classifier())
    assert net.batch_size == 1
    net.set_batch(3)
    assert (net.batch_size, net.outputs["a_relu"].shape) == (3, (3, 2, 2, 2))
    net.set_batch(1)
    assert net.outputs["a_relu"].shape == (1, 2, 2, 2)


def test_batch_of_rank_three_input_is_refused():
    net = identity((1, 3, 4))
    assert net.batch_size == 1
    with pytest.raises(ParameterMismatchError, match="Cannot set batch for 1D/3D input"):
        net.set_batch(2)
    with pytest.raises(ParameterMismatchError, match="Invalid batch size 0"):
        net.set_batch(0)


def test_batch_of_a_sequence_mask_lies_in_dimension_one():
    b = NetworkBuilder.legacy()
    data, mask = b.input("data", (1, 5, 6, 1)), b.input("mask", (6, 1))
    turned = b.layer("Permute", "turned", [data], [(6, 1, 5, 1)], params={"order": "2,0,1,3"})
    flat = b.layer("Reshape", "flat", [turned], [(6, 1, 5)], params={"dim": "6,-1,5"})
    b.layer("CTCGreedyDecoder", "out", [flat, mask], [(1, 6, 1, 1)], params={"ctc_merge_repeated": 1})
    net = Network(b.graph())
    for size in (2, 4, 1):
        net.set_batch(size)
        assert (net.inputs["mask"].shape, net.outputs["out"].shape) == ((6, size), (size, 6, 1, 1))


def test_fixed_batch_of_a_reshape_follows():
    b = NetworkBuilder.legacy()
    data = b.input("data", (2, 6))
    b.layer("Reshape", "out", [data], [(2, 3, 2)], params={"dim": "2,3,2"})
    net = Network(b.graph())
    net.set_batch(4)
    assert net.outputs["out"].shape == (4, 3, 2)
    assert run(net, data=noise(4, 6))["out"].shape == (4, 3, 2)


def test_added_outputs_come_in_order_and_once():
    net = Network(classifier())
    net.add_output("split", 0)
    net.add_output("conv")
    net.add_output("conv")
    assert list(net.outputs) == ["a_relu", "conv", "split.0", "split.1"]
    x = noise(1, 2, 4, 4)
    out = run(net, data=x)
    np.testing.assert_array_equal(out["conv"][:, :2], out["split.0"])
    np.testing.assert_array_equal(np.maximum(out["split.0"], 0), out["a_relu"])
    with pytest.raises(NotFoundError, match="Layer zzz not found in network"):
        net.add_output("zzz")
    with pytest.raises(OutOfBoundsError, match="port index 5 exceeds layer's outputs which is 1"):
        net.add_output("conv", 5)


def test_input_can_be_an_output_too():
    net = identity((1, 3))
    net.add_output("data")
    x = noise(1, 3)
    out = run(net, data=x)
    np.testing.assert_array_equal(out["data"], x)
    program = net.lower()
    assert not set(program.inputs) & set(program.outputs)


def test_opset_output_of_a_constant_is_computed_by_a_node():
    b = NetworkBuilder.opset()
    x = b.input("x", (2,))
    c = b.constant("c", np.array([1, 2], np.float32))
    b.result(b.layer("ReLU", "relu", [x], [(2,)]))
    b.result(b.layer("Exp", "fixed", [c], [(2,)]))
    net = Network(b.graph())
    program = net.lower()
    made = {t for n in program.nodes for t in n.outputs}
    assert set(program.outputs) <= made
    np.testing.assert_allclose(run(net, x=noise(2))["fixed"], np.exp([1, 2]), rtol=1e-6)


@pytest.mark.parametrize(("precision", "dtype"), [("U8", np.uint8), ("I16", np.int16), ("I32", np.int32), ("FP16", np.float16)])
def test_input_precision_is_that_of_the_user(precision, dtype):
    net = identity((1, 4))
    net.inputs["data"].precision = precision
    np.testing.assert_array_equal(run(net, data=np.array([[0, 3, 100, 7]], dtype))["out"], [[0, 3, 100, 7]])


def test_output_precision_rounds_half_to_even_and_saturates():
    net = identity((1, 4))
    net.outputs["out"].precision = "U8"
    assert run(net, data=np.array([[0.5, 1.5, 300, -3]], np.float32))["out"].tolist() == [[0, 2, 255, 0]]
    net.outputs["out"].precision = "FP16"  # answered with single precision by the original
    assert run(net, data=noise(1, 4))["out"].dtype == np.float32
    net.outputs["out"].precision = "Q78"
    with pytest.raises(ParameterMismatchError, match="does not support Q78"):
        net.lower()


def test_channels_last_blobs_are_memory_in_that_order():
    net = identity((2, 3, 4, 5))
    net.inputs["data"].layout = "NHWC"
    x = noise(2, 3, 4, 5)
    np.testing.assert_array_equal(run(net, data=np.ascontiguousarray(x.transpose(0, 2, 3, 1)))["out"], x)
    net.outputs["out"].layout = "NHWC"
    assert run(net, data=x)["out"].shape == (2, 4, 5, 3)
    np.testing.assert_array_equal(run(net, data=x)["out"].ravel(), x.ravel())


def test_mean_is_subtracted_and_scale_ignored():
    net = identity((2, 2, 1, 3))
    net.inputs["data"].preprocess = PreProcess("", [MeanChannel(mean=1.5, scale=3), MeanChannel(image=np.array([[1, 2, 3]], np.float32))])
    x = noise(2, 2, 1, 3)
    expected = x - np.array([[[1.5] * 3], [[1, 2, 3]]], np.float32)
    np.testing.assert_array_equal(run(net, data=x)["out"], expected)
    net.inputs["data"].preprocess.channels.pop()
    with pytest.raises(IEError, match="pre-processing has 1 channels, the input has 2"):
        net.lower()


def test_graph_preprocess_belongs_to_the_named_or_the_first_rank_four_input():
    b = NetworkBuilder.legacy()
    small, image = b.input("a", (1, 3)), b.input("b", (1, 1, 2, 2))
    b.layer("Power", "p", [small], [(1, 3)])
    b.layer("Power", "q", [image], [(1, 1, 2, 2)])
    graph = b.graph()
    graph.preprocess = PreProcess("", [MeanChannel(mean=1)])
    assert [k for k, s in Network(graph).inputs.items() if s.preprocess] == ["b"]
    graph.preprocess.reference = "c"
    with pytest.raises(NotFoundError, match="pre-process name ref 'c'"):
        Network(graph)


def test_dynamic_shape_needs_a_reshape():
    b = NetworkBuilder.opset(version=11)
    b.result(b.layer("ReLU", "relu", [b.input("x", (-1, 3))], [(-1, 3)]))
    net = Network(b.graph())
    assert net.inputs["x"].shape == (-1, 3)
    with pytest.raises(ParameterMismatchError, match=r"input x has the dynamic shape \[-1, 3\].*reshape"):
        net.lower()
    net.reshape({"x": (5, 3)})
    assert net.outputs["relu"].shape == (5, 3)


def test_axis_order_of_the_legacy_api_is_restored():
    b = NetworkBuilder.opset(version=11)
    x = b.input("x", (1, 4, 5, 3))
    x.rt_info = {"old_api_map_order": {"version": "0", "value": "0,2,3,1"}}
    result = b.result(b.layer("ReLU", "relu", [x], [(1, 4, 5, 3)]))
    result.rt_info = {"old_api_map_order": {"version": "0", "value": "0,3,1,2"}}
    net = Network(b.graph())
    assert net.inputs["x"].shape == net.outputs["relu"].shape == (1, 3, 4, 5)
    data = noise(1, 3, 4, 5)
    np.testing.assert_array_equal(run(net, x=data)["relu"], np.maximum(data, 0))
    net.reshape({"x": (2, 3, 6, 5)})
    assert net.outputs["relu"].shape == (2, 3, 6, 5)


def test_clone_is_independent_and_shares_constants():
    net = Network(classifier())
    twin = net.clone()
    twin.set_batch(2)
    twin.inputs["data"].precision = "U8"
    assert (net.batch_size, net.inputs["data"].precision) == (1, "FP32")
    assert twin.graph.node("conv").blobs["weights"] is net.graph.node("conv").blobs["weights"]
    net.add_output("conv")
    assert list(net.clone().outputs) == list(net.outputs)


def test_unsupported_layer_is_named():
    b = NetworkBuilder.legacy()
    b.layer("FooBar", "foo", [b.input("data", (1, 3))], [(1, 3)])
    with pytest.raises(IEError, match="unsupported primitive of type: FooBar name: foo"):
        Network(b.graph()).lower()
