# SPDX-License-Identifier: Apache-2.0
"""BitCast, casts to powers of two and TreeEnsemble: numbers at the edges of types, trees of every condition."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_models import check, infer

from ie_ctypes import IECore
from ie_ctypes.errors import ModelError

DEVICES = pytest.mark.parametrize("device", ["CPU", "REFERENCE"])
TYPES = {
    "float32": "FP32",
    "float16": "FP16",
    "int32": "I32",
    "int16": "I16",
    "uint16": "U16",
    "uint32": "U32",
    "int64": "I64",
    "float64": "FP64",
}
NUMBERS = [
    0.0,
    -0.0,
    1.0,
    -2.5,
    0.1,
    1.9999999,
    65504.0,
    -6.1e-5,
    6e-8,
    np.inf,
    -np.inf,
    np.nan,
    3.4028235e38,
    1.1754944e-38,
    0.99999994,
    3e-39,
]


def one_node(op: str, x: np.ndarray, target: np.dtype | int, **attributes: object) -> onnx.ModelProto:
    element = target if isinstance(target, int) else helper.np_dtype_to_tensor_dtype(np.dtype(target))
    node = helper.make_node(op, ["x"], ["y"], to=element, **attributes)
    given = helper.make_tensor_value_info("x", helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
    graph = helper.make_graph([node], "g", [given], [helper.make_tensor_value_info("y", element, x.shape)])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 26 if op == "BitCast" else 25)])


def answer(model: onnx.ModelProto, x: np.ndarray, device: str, out: str) -> np.ndarray:
    core = IECore()
    net = core.read_network(model.SerializeToString())
    net.input_info["x"].precision, net.outputs["y"].precision = TYPES[x.dtype.name], TYPES[out]
    return core.load_network(net, device).infer({"x": x})["y"]


@DEVICES
@pytest.mark.parametrize("pair", ["float32 int32", "float32 uint32", "float16 int16", "float16 uint16"])
def test_bits_of_floats(pair: str, device: str) -> None:
    source, target = pair.split()
    with np.errstate(over="ignore"):
        x = np.array(NUMBERS).astype(source)
    got = answer(one_node("BitCast", x, np.dtype(target)), x, device, target)
    np.testing.assert_array_equal(got, x.view(target))


@DEVICES
@pytest.mark.parametrize("pair", ["int32 float32", "uint32 float32", "int16 float16", "int64 float64"])
def test_floats_of_bits(pair: str, device: str) -> None:
    source, target = pair.split()
    with np.errstate(over="ignore"):
        want = np.array(NUMBERS).astype(np.float32).astype(target)
    x = want.view(source)
    got = answer(one_node("BitCast", x, np.dtype(target)), x, device, "float16" if target == "float16" else "float32")
    np.testing.assert_array_equal(got.astype(target), want)
    np.testing.assert_array_equal(np.signbit(got[:2]), [False, True])


def test_bits_of_double_are_refused() -> None:
    with pytest.raises(ModelError, match="reading DOUBLE as INT64 is not supported"):
        IECore().read_network(one_node("BitCast", np.zeros(1), np.dtype("int64")).SerializeToString())


@DEVICES
@pytest.mark.parametrize("saturate", [0, 1])
@pytest.mark.parametrize("mode", ["up", "down", "nearest"])
def test_casts_to_powers_of_two(mode: str, saturate: int, device: str) -> None:
    values = [*NUMBERS, 1.5, 1.4999999, -3.0, 1e-38, 2e-38, 1.5 * 2.0**-126, 1.7e38, 2.0**127, 1.5 * 2.0**127, 2.0**-127, 1.5 * 2.0**-127]
    x = np.array(values, np.float32)
    model = one_node("Cast", x, TensorProto.FLOAT8E8M0, round_mode=mode, saturate=saturate)
    want = numpy_helper.to_float8e8m0(x, bool(saturate), mode).astype(np.float32)
    np.testing.assert_array_equal(infer(model, {"x": x}, device)["y"], want)


def ensemble(seed: int, trees: int, depth: int, **attributes: object) -> onnx.ModelProto:
    """Random full trees of every condition; each has one leaf higher up."""
    rng = np.random.default_rng(seed)
    nodes: dict[str, list[float]] = {k: [] for k in ("features", "splits", "modes", "true", "false", "trueleaf", "falseleaf", "nan")}
    weights: list[float] = []
    members: list[float] = []
    roots = []

    def leaf() -> int:
        weights.append(float(rng.integers(-8, 9)))
        return len(weights) - 1

    def node(level: int) -> int:
        at = len(nodes["modes"])
        mode = int(rng.integers(0, 7))
        new = (rng.integers(0, 3), rng.integers(0, 4), mode, 0, 0, 0, 0, rng.integers(0, 2))
        for values, value in zip(nodes.values(), new, strict=True):
            values.append(float(value))
        if mode == 6:
            members.extend([*rng.permutation([1.0, 2.0, 3.0])[: rng.integers(1, 3)], np.nan])
        for side in ("true", "false"):
            ends = level == depth or (level == 1 and side == "true")
            nodes[side + "leaf"][at] = ends
            nodes[side][at] = leaf() if ends else node(level + 1)
        return at

    for _ in range(trees):
        roots.append(node(0))
    ints = {k: [int(v) for v in values] for k, values in nodes.items()}
    proto = helper.make_node(
        "TreeEnsemble",
        ["x"],
        ["y"],
        domain="ai.onnx.ml",
        n_targets=3,
        tree_roots=roots,
        nodes_featureids=ints["features"],
        nodes_modes=numpy_helper.from_array(np.array(nodes["modes"], np.uint8)),
        nodes_splits=numpy_helper.from_array(np.array(nodes["splits"], np.float32)),
        nodes_truenodeids=ints["true"],
        nodes_falsenodeids=ints["false"],
        nodes_trueleafs=ints["trueleaf"],
        nodes_falseleafs=ints["falseleaf"],
        nodes_missing_value_tracks_true=ints["nan"],
        leaf_targetids=[int(t) for t in rng.integers(0, 3, len(weights))],
        leaf_weights=numpy_helper.from_array(np.array(weights, np.float32)),
        **({"membership_values": numpy_helper.from_array(np.array(members, np.float32))} if members else {}),
        **attributes,
    )
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", (24, 3)), ("y", (24, 3)))]
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 5)]
    return helper.make_model(helper.make_graph([proto], "g", ends[:1], ends[1:]), opset_imports=opsets)


@DEVICES
@pytest.mark.parametrize("aggregate", range(4))
def test_trees_of_every_condition(aggregate: int, device: str) -> None:
    x = np.random.default_rng(3).integers(-1, 5, (24, 3)).astype(np.float32)
    x[::5, 1] = np.nan
    check(ensemble(7, 5, 3, aggregate_function=aggregate), {"x": x}, device)


def test_a_tree_of_one_leaf() -> None:
    """Both sides name the same leaf; ONNX's reference takes the one with the number of the root instead."""
    model = ensemble(1, 1, 0)
    node = model.graph.node[0]
    for a in node.attribute:
        if a.name in ("nodes_truenodeids", "nodes_falsenodeids"):
            a.ints[:] = [1]
    (weights,) = (numpy_helper.to_array(a.t) for a in node.attribute if a.name == "leaf_weights")
    (targets,) = (list(a.ints) for a in node.attribute if a.name == "leaf_targetids")
    want = np.zeros((24, 3), np.float32)
    want[:, targets[1]] = weights[1]
    np.testing.assert_array_equal(infer(model, {"x": np.zeros((24, 3), np.float32)})["y"], want)


def test_transforms_of_scores() -> None:
    x = np.random.default_rng(3).integers(-1, 5, (24, 3)).astype(np.float32)
    plain = infer(ensemble(7, 5, 3), {"x": x})["y"].astype(np.float64)
    soft = infer(ensemble(7, 5, 3, post_transform=1), {"x": x})["y"]
    np.testing.assert_allclose(soft, np.exp(plain) / np.exp(plain).sum(1, keepdims=True), rtol=1e-5)
    logistic = infer(ensemble(7, 5, 3, post_transform=2), {"x": x})["y"]
    np.testing.assert_allclose(logistic, 1 / (1 + np.exp(-plain)), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("tree_roots", [0, 0], "node 0 is reached twice"),
        ("tree_roots", [99], "node 99 is referred to"),
        ("nodes_featureids", [0], "lists of different lengths"),
        ("leaf_targetids", [3] * 64, "lists of different lengths"),
        ("n_targets", 1, "leaf_targetids has 2, expected 0..0"),
        ("post_transform", 4, "post_transform 4 is not supported"),
    ],
)
def test_broken_trees_are_refused(name: str, value: object, words: str) -> None:
    model = ensemble(7, 5, 3)
    node = model.graph.node[0]
    for a in [a for a in node.attribute if a.name == name]:
        node.attribute.remove(a)
    node.attribute.append(helper.make_attribute(name, value))
    with pytest.raises(ModelError, match=words):
        IECore().read_network(model.SerializeToString())
