# SPDX-License-Identifier: Apache-2.0
"""The ONNX twin of a benchmark network: the same weights, spelled as exporters spell them (one operator where ONNX has one)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ie_ctypes.model.graph import Graph, Node

OPSET = 20
#: The version that operator set 20 needs; newer ones are refused by older runtimes.
IR_VERSION = 9

Source = tuple[Node, int]
Translator = Callable[["Twin", Node], None]


class Twin:
    """Translates layer by layer. Layers that an operator takes along (a bias, a scale) are skipped when their turn comes."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self._users = graph.consumers()
        self._taken: set[int] = set()

    def model(self) -> onnx.ModelProto:
        inputs, outputs = [], []
        for node in self.graph.nodes:
            if id(node) in self._taken or node.type == "Const" or is_weights(node):
                continue
            if node.type == "Parameter":
                inputs.append(_value(node.name, node.outputs[0].shape))
            elif node.type == "Result":
                producer, index = _source(node, 0)
                outputs.append(_value(producer.output_name(index), producer.outputs[index].shape))
            elif node.type in TRANSLATORS:
                TRANSLATORS[node.type](self, node)
            else:
                raise NotImplementedError(f"{node.name}: no ONNX operator is known for {node.type}")
        body = helper.make_graph(self.nodes, self.graph.name, inputs, outputs, list(self.initializers.values()))
        model = helper.make_model(body, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        onnx.checker.check_model(model)
        return model

    # -- what translators use ----------------------------------------------------------------------------------------------
    def emit(self, op: str, node: Node, inputs: Sequence[str], last: Node | None = None, **attributes: Any) -> None:
        """An operator that computes ``node``, or everything from it to ``last``."""
        self.nodes.append(helper.make_node(op, inputs, [(last or node).output_name(0)], name=node.name, **attributes))

    def weights(self, node: Node, shape: Sequence[int], transpose: bool = False) -> str:
        """Constant input 1 in ONNX's shape; behind a FakeQuantize as integers, output channels first, and DequantizeLinear."""
        producer, _ = _source(node, 1)
        if producer.type == "Const":
            value = array(producer).reshape(shape)
            return self.constant(producer.name, value.T if transpose else value)
        scale = weight_scale(node)
        whole = np.rint(array(_source(producer, 0)[0]).reshape(scale.size, -1) / scale[:, None]).astype(np.int8).reshape(shape)
        return self.dequantised(producer.name, whole.T if transpose else whole, scale, axis=1 if transpose else 0)

    def bias(self, node: Node, value: np.ndarray) -> str:
        """A bias behind quantised weights and input has the step of their products."""
        name = f"{node.name}/bias"
        producer, _ = _source(node, 0)
        while producer.type in ("MaxPool", "Concat", "Reshape", "ReduceMean"):
            producer, _ = _source(producer, 0)
        if _source(node, 1)[0].type == "Const" or producer.type != "FakeQuantize":
            return self.constant(name, value)
        scale = weight_scale(node) * activation_grid(producer)[0]
        return self.dequantised(name, np.rint(value / scale).astype(np.int32), scale, axis=0)

    def dequantised(self, name: str, value: np.ndarray, scale: np.ndarray, axis: int) -> str:
        parts = [self.constant(f"{name}/whole", value), self.constant(f"{name}/scale", scale)]
        parts.append(self.constant(f"{name}/zero", np.zeros(scale.shape, value.dtype)))
        self.nodes.append(helper.make_node("DequantizeLinear", parts, [f"{name}/number"], name=name, axis=axis))
        return f"{name}/number"

    def input(self, node: Node, index: int = 0) -> str:
        producer, output = _source(node, index)
        if producer.type == "Const":
            return self.constant(producer.name, array(producer))
        return producer.output_name(output)

    def constant(self, name: str, value: np.ndarray) -> str:
        if name not in self.initializers:
            self.initializers[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def next_constant(self, node: Node, kind: str) -> tuple[Node, np.ndarray] | None:
        """The only reader of ``node`` and its constant, when it is of that type."""
        users = self._users.get((id(node), 0), [])
        if len(users) != 1 or users[0][0].type != kind or users[0][1] != 0:
            return None
        value = constant_input(users[0][0], 1)
        return None if value is None else (users[0][0], value)

    def take(self, node: Node) -> Node:
        self._taken.add(id(node))
        return node


def twin(graph: Graph) -> onnx.ModelProto:
    """The ONNX model that computes what ``graph`` (IR v10, made by Stack) computes. Outputs have the names of the IR's producers."""
    return Twin(graph).model()


def array(node: Node) -> np.ndarray:
    return node.blobs["custom"].data.reshape(node.outputs[0].shape)


def constant_input(node: Node, index: int) -> np.ndarray | None:
    producer, _ = _source(node, index)
    return array(producer) if producer.type == "Const" else None


def is_weights(node: Node) -> bool:
    return node.type == "FakeQuantize" and _source(node, 0)[0].type == "Const"


def weight_scale(node: Node) -> np.ndarray:
    """Steps of a layer's quantised weights, one each output channel."""
    fake, _ = _source(node, 1)
    limits = [constant_input(fake, i) for i in (3, 4)]
    if limits[0] is None or limits[1] is None:
        raise NotImplementedError(f"{fake.name}: the limits are not constant")
    return ((limits[1] - limits[0]) / np.float32(int(fake.params["levels"]) - 1)).astype(np.float32).reshape(-1)


def activation_grid(fake: Node) -> tuple[np.ndarray, np.ndarray]:
    """Step and zero of a FakeQuantize of 256 levels, as QuantizeLinear has them."""
    limits = [constant_input(fake, i) for i in (3, 4)]
    if limits[0] is None or limits[1] is None or limits[0].size != 1 or int(fake.params["levels"]) != 256:
        raise NotImplementedError(f"{fake.name}: only 256 levels between two constants are translated")
    step = (limits[1] - limits[0]) / np.float32(255)
    return np.float32(step.reshape(())), np.rint(-limits[0] / step).astype(np.uint8).reshape(())


def _source(node: Node, index: int) -> Source:
    source = node.sources[index]
    if source is None:
        raise ValueError(f"{node.name}: input {index} is not connected")
    return source


def _value(name: str, shape: Sequence[int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))


def _ints(node: Node, key: str) -> list[int]:
    return [int(v) for v in node.params[key].split(",")]


def _window(node: Node) -> dict[str, list[int]]:
    return {"strides": _ints(node, "strides"), "pads": _ints(node, "pads_begin") + _ints(node, "pads_end")}


# -- translators ---------------------------------------------------------------------------------------------------------------
def convolution(t: Twin, node: Node) -> None:
    shape = _source(node, 1)[0].outputs[0].shape
    grouped = node.type == "GroupConvolution"
    inputs, last = [t.input(node), t.weights(node, (-1, *shape[2:]) if grouped else shape)], node
    if bias := t.next_constant(node, "Add"):
        last = t.take(bias[0])
        inputs.append(t.bias(node, bias[1].reshape(-1)))
    t.emit("Conv", node, inputs, last, group=shape[0] if grouped else 1, dilations=_ints(node, "dilations"), **_window(node))


def fake_quantize(t: Twin, node: Node) -> None:
    step, zero = activation_grid(node)
    grid = [t.constant(f"{node.name}/step", step), t.constant(f"{node.name}/zero", zero)]
    whole = f"{node.name}/whole"
    t.nodes.append(helper.make_node("QuantizeLinear", [t.input(node), *grid], [whole], name=whole))
    t.emit("DequantizeLinear", node, [whole, *grid])


def binary(t: Twin, node: Node) -> None:
    scale = constant_input(node, 1) if node.type == "Multiply" else None
    shift = t.next_constant(node, "Add") if scale is not None else None
    if scale is None or shift is None or scale.shape != shift[1].shape or scale.shape != (1, scale.size, 1, 1):
        t.emit({"Add": "Add", "Multiply": "Mul"}[node.type], node, [t.input(node), t.input(node, 1)])
        return
    ones = np.ones(scale.size, np.float32)
    values = {"scale": scale.reshape(-1), "shift": shift[1].reshape(-1), "mean": 0 * ones, "variance": ones}
    names = [t.constant(f"{node.name}/{key}", value) for key, value in values.items()]
    t.emit("BatchNormalization", node, [t.input(node), *names], t.take(shift[0]), epsilon=0.0)


def simple(op: str) -> Translator:
    return lambda t, node: t.emit(op, node, [t.input(node)])


def clamp(t: Twin, node: Node) -> None:
    limits = [t.constant(f"limit_{node.params[key]}", np.array(node.params[key], np.float32)) for key in ("min", "max")]
    t.emit("Clip", node, [t.input(node), *limits])


def prelu(t: Twin, node: Node) -> None:
    slope = constant_input(node, 1)
    if slope is None or slope.size != 1:
        raise NotImplementedError(f"{node.name}: only one slope for all channels is translated")
    t.emit("LeakyRelu", node, [t.input(node)], alpha=float(slope.flat[0]))


def pool(t: Twin, node: Node) -> None:
    extra = {"count_include_pad": 0} if node.type == "AvgPool" else {}
    ceil = int(node.params["rounding_type"] == "ceil")
    op = "AveragePool" if node.type == "AvgPool" else "MaxPool"
    t.emit(op, node, [t.input(node)], kernel_shape=_ints(node, "kernel"), ceil_mode=ceil, **extra, **_window(node))


def mean(t: Twin, node: Node) -> None:
    axes = constant_input(node, 1)
    keep = node.params["keep_dims"] == "true"
    if axes is not None and axes.tolist() == [2, 3] and keep and len(node.outputs[0].shape) == 4:
        t.emit("GlobalAveragePool", node, [t.input(node)])
    else:
        t.emit("ReduceMean", node, [t.input(node), t.input(node, 1)], keepdims=int(keep))


def concat(t: Twin, node: Node) -> None:
    t.emit("Concat", node, [t.input(node, i) for i in range(len(node.sources))], axis=int(node.params["axis"]))


def reshape(t: Twin, node: Node) -> None:
    t.emit("Reshape", node, [t.input(node), t.input(node, 1)])


def transpose(t: Twin, node: Node) -> None:
    order = constant_input(node, 1)
    if order is None:
        raise NotImplementedError(f"{node.name}: the order is not constant")
    t.emit("Transpose", node, [t.input(node)], perm=order.tolist())


def matmul(t: Twin, node: Node) -> None:
    """Gemm for constant weights behind rank 2, else MatMul, whose weights lie the other way round."""
    weights, _ = _source(node, 1)
    flip = node.params["transpose_b"] == "true"
    if weights.type != "Const" and not is_weights(weights):
        if flip:
            raise NotImplementedError(f"{node.name}: only constants are transposed")
        t.emit("MatMul", node, [t.input(node), t.input(node, 1)])
        return
    bias, shape = t.next_constant(node, "Add"), weights.outputs[0].shape
    if bias and len(node.outputs[0].shape) == 2:
        inputs = [t.input(node), t.weights(node, shape), t.bias(node, bias[1].reshape(-1))]
        t.emit("Gemm", node, inputs, t.take(bias[0]), transB=int(flip))
    else:
        t.emit("MatMul", node, [t.input(node), t.weights(node, shape, transpose=flip)])


def softmax(t: Twin, node: Node) -> None:
    t.emit("Softmax", node, [t.input(node)], axis=int(node.params["axis"]))


def layer_norm(t: Twin, node: Node) -> None:
    """MVN over the last axis with the scale and shift behind it."""
    scale = t.next_constant(node, "Multiply")
    shift = t.next_constant(scale[0], "Add") if scale else None
    axes = constant_input(node, 1)
    if scale is None or shift is None or axes is None or axes.tolist() != [len(node.outputs[0].shape) - 1]:
        raise NotImplementedError(f"{node.name}: only a normalisation of the last axis with scale and shift is translated")
    names = [t.constant(f"{node.name}/{key}", value.reshape(-1)) for key, (_, value) in {"scale": scale, "shift": shift}.items()]
    t.take(scale[0])
    t.emit("LayerNormalization", node, [t.input(node), *names], t.take(shift[0]), axis=-1, epsilon=float(node.params["eps"]))


def resize(t: Twin, node: Node) -> None:
    scale = constant_input(node, 2)
    if scale is None:
        raise NotImplementedError(f"{node.name}: the scales are not constant")
    scales = t.constant(f"{node.name}/scales", np.array([1, 1, *scale], np.float32))
    mode = {"coordinate_transformation_mode": node.params["coordinate_transformation_mode"], "nearest_mode": node.params["nearest_mode"]}
    t.emit("Resize", node, [t.input(node), "", scales], mode="nearest", **mode)


def lrn(t: Twin, node: Node) -> None:
    numbers = {key: float(node.params[key]) for key in ("alpha", "beta", "bias")}
    t.emit("LRN", node, [t.input(node)], size=int(node.params["size"]), **numbers)


def lstm(t: Twin, node: Node) -> None:
    """Batch first becomes time first, gates f i c o become i o f c; states of zeros and full lengths are ONNX's defaults."""
    arrays = [constant_input(node, i) for i in range(1, 7)]
    hidden_state, cell, lengths, w, r, b = arrays
    length, hidden = node.inputs[0].shape[1], int(node.params["hidden_size"])
    if any(a is None for a in arrays) or np.any(hidden_state) or np.any(cell) or np.any(lengths != length):
        raise NotImplementedError(f"{node.name}: only constant weights, initial states of zeros and full lengths are translated")

    def gates(a: Any) -> np.ndarray:
        f, i, c, o = np.split(a, 4, axis=1)
        return np.concatenate([i, o, f, c], axis=1)

    weights = {"w": gates(w), "r": gates(r), "b": np.concatenate([gates(b), 0 * b], axis=1)}  # type: ignore[operator]
    first, out = f"{node.name}/time_first", f"{node.name}/time_first_out"
    t.nodes.append(helper.make_node("Transpose", [t.input(node)], [first], perm=[1, 0, 2]))
    names = [t.constant(f"{node.name}/{key}", value) for key, value in weights.items()]
    t.nodes.append(helper.make_node("LSTM", [first, *names], [out], name=node.name, hidden_size=hidden))
    t.nodes.append(helper.make_node("Transpose", [out], [node.output_name(0)], perm=[2, 1, 0, 3]))


TRANSLATORS: dict[str, Translator] = {
    "Convolution": convolution,
    "GroupConvolution": convolution,
    "Add": binary,
    "Multiply": binary,
    "FakeQuantize": fake_quantize,
    "ReLU": simple("Relu"),
    "Gelu": simple("Gelu"),
    "Sigmoid": simple("Sigmoid"),
    "Clamp": clamp,
    "PReLU": prelu,
    "MaxPool": pool,
    "AvgPool": pool,
    "ReduceMean": mean,
    "Concat": concat,
    "Reshape": reshape,
    "Transpose": transpose,
    "MatMul": matmul,
    "SoftMax": softmax,
    "MVN": layer_norm,
    "Interpolate": resize,
    "LRN": lrn,
    "LSTMSequence": lstm,
}
