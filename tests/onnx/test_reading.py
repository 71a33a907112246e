# SPDX-License-Identifier: Apache-2.0
"""Where ONNX models come from, what their layers are called, and what is wrong with bad ones."""

from __future__ import annotations

import builtins
import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import convert_model_to_external_data
from onnx_models import check, infer, model, run

from ie_ctypes import IECore, IENetwork
from ie_ctypes.errors import IEError, ModelError, NotImplementedIEError

SMALL = "g (float[1,3] x) => (float[1,2] y) { h = MatMul(x, w)  y = Relu(h) }"
W = np.array([[1, -1], [2, -2], [0.5, 1]], np.float32)
X = np.array([[1, 2, 3]], np.float32)


def small() -> onnx.ModelProto:
    return model(SMALL, {"w": W})


def test_a_model_is_read_from_a_path_bytes_and_file_objects(tmp_path: Path) -> None:
    path = tmp_path / "small.onnx"
    onnx.save(small(), path)
    data = path.read_bytes()
    for source in (str(path), path, data, bytearray(data), memoryview(data), io.BytesIO(data)):
        net = IECore().read_network(source)
        np.testing.assert_allclose(run(net, {"x": X})["y"], np.maximum(X @ W, 0))
    with open(path, "rb") as f:
        assert list(IENetwork(model=f).inputs) == ["x"]
    assert list(IENetwork(model=str(path)).outputs) == ["y"]
    IECore().load_network(str(path), "REFERENCE")


def test_the_text_form_is_read(tmp_path: Path) -> None:
    path = tmp_path / "small.prototxt"
    onnx.save(small(), path, format="textproto")
    assert list(IECore().read_network(str(path)).outputs) == ["y"]


def test_constants_may_lie_in_another_file(tmp_path: Path) -> None:
    proto = small()
    convert_model_to_external_data(proto, all_tensors_to_one_file=True, location="weights.data", size_threshold=0)
    path = tmp_path / "small.onnx"
    onnx.save(proto, path)
    assert os.path.exists(tmp_path / "weights.data")
    np.testing.assert_allclose(run(IECore().read_network(str(path)), {"x": X})["y"], np.maximum(X @ W, 0))
    with pytest.raises(ModelError, match="w lies in another file"):
        IECore().read_network(path.read_bytes())
    os.unlink(tmp_path / "weights.data")
    with pytest.raises(ModelError, match=r"small\.onnx: external data cannot be read"):
        IECore().read_network(str(path))


def test_layers_carry_onnx_names() -> None:
    nodes = [
        helper.make_node("Split", ["x"], ["a", "b"], name="cut", axis=1, num_outputs=2),
        helper.make_node("Relu", ["a"], ["c"], name="act"),
        helper.make_node("Neg", ["b"], ["d"]),
        helper.make_node("Add", ["c", "d"], ["sum"], name="total"),
        helper.make_node("Identity", ["b"], ["part"]),
        helper.make_node("Identity", ["x"], ["copy"]),
    ]
    values = {n: helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, s]) for n, s in (("x", 4), ("sum", 2), ("part", 2), ("copy", 4))}
    graph = helper.make_graph(nodes, "names", [values["x"]], [values["sum"], values["part"], values["copy"]])
    net = IECore().read_network(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]).SerializeToString())
    assert {"x", "cut", "act", "d", "sum", "part", "copy"} <= set(net.layers)
    assert list(net.outputs) == ["copy", "part", "sum"]
    assert net.name == "names"
    assert net.get_ov_name_for_tensor("c") == "act"
    x = np.array([[-1, 2, 3, 4]], np.float32)
    out = run(net, {"x": x})
    np.testing.assert_array_equal(out["sum"], [[-3, -2]])
    np.testing.assert_array_equal(out["part"], [[3, 4]])
    np.testing.assert_array_equal(out["copy"], x)


def test_one_tensor_may_have_two_output_names() -> None:
    proto = model("g (float[2] x) => (float[2] y, float[2] z) { y = Relu(x)  z = Identity(y) }")
    check(proto, {"x": np.array([-1, 1], np.float32)})


def test_an_initializer_that_is_also_an_input_is_a_constant() -> None:
    proto = model("g (float[1,3] x, float[3,2] w) => (float[1,2] y) { y = MatMul(x, w) }", {"w": W}, opset=8)
    assert list(IECore().read_network(proto.SerializeToString()).inputs) == ["x"]


def test_inputs_that_nothing_uses_stay() -> None:
    net = IECore().read_network(model("g (float[2] x, float[5] unused) => (float[2] y) { y = Neg(x) }").SerializeToString())
    assert list(net.inputs) == ["unused", "x"]


def test_dynamic_dimensions_become_one_with_a_warning_and_can_be_reshaped() -> None:
    proto = model("g (float[N,3,H,'?'] x) => (float[N,3,H,'?'] y) { y = Relu(x) }".replace("'?'", "W"))
    with pytest.warns(UserWarning, match=r"input x has dynamic dimensions \['N', 3, 'H', 'W'\]: they are set to 1, \[1, 3, 1, 1\]"):
        net = IECore().read_network(proto.SerializeToString())
    assert list(net.inputs["x"].shape) == [1, 3, 1, 1]
    net.reshape({"x": (2, 3, 4, 5)})
    assert list(net.outputs["y"].shape) == [2, 3, 4, 5]


@pytest.mark.filterwarnings("ignore:input x has dynamic dimensions")
def test_a_network_that_cannot_have_dimensions_of_one_is_read_and_then_reshaped() -> None:
    kernel = np.ones((1, 1, 5, 5), np.float32)
    text = "g (float[N,1,H,W] x) => (float[N,K] y) { c = Conv(x, w)  f = Flatten(c)  y = Softmax<axis=1>(f) }"
    proto = model(text, {"w": kernel}, opset=11)
    net = IECore().read_network(proto.SerializeToString())
    assert list(net.inputs["x"].shape) == [1, 1, 1, 1]
    assert list(net.outputs["y"].shape) == [-1, -1]
    with pytest.raises(ModelError, match="layer c"):
        IECore().load_network(net, "REFERENCE")
    x = np.random.default_rng(1).normal(size=(2, 1, 6, 7)).astype(np.float32)
    y = run(net, {"x": x})["y"]
    assert y.shape == (2, 6)
    np.testing.assert_allclose(y.sum(1), 1, rtol=1e-5)


def test_what_was_read_can_be_written_as_ir(tmp_path: Path) -> None:
    net = IECore().read_network(small().SerializeToString())
    net.serialize(str(tmp_path / "n.xml"), str(tmp_path / "n.bin"))
    again = IECore().read_network(str(tmp_path / "n.xml"), str(tmp_path / "n.bin"))
    np.testing.assert_array_equal(run(again, {"x": X})["y"], run(net, {"x": X})["y"])


def test_functions_of_the_model_are_unfolded_with_their_attributes() -> None:
    text = "g (float[3] x) => (float[3] y) { a = my.scaled<by=3.0>(x)  y = my.scaled(a) }"
    body = "{ f = Constant<value_float: float = @by>()  r = Mul(v, f) }"
    function = f'<domain: "my", opset_import: ["" : 18]> scaled<by: float = 2.0>(v) => (r) {body}'
    proto = model(text, others=', "my" : 1', functions=function)
    np.testing.assert_allclose(infer(proto, {"x": np.arange(3, dtype=np.float32)})["y"], [0, 6, 12])


def test_without_the_package_the_error_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['onnx'] = None\n"
        "from ie_ctypes import IECore\n"
        "try:\n    IECore().read_network(b'\\x08\\x07')\n"
        "except NotImplementedError as e:\n    print(e)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "ie_ctypes[onnx]" in done.stdout


def test_importing_the_package_does_not_import_onnx() -> None:
    code = "import sys, ie_ctypes; ie_ctypes.IECore(); import ie_ctypes.model.readers; print('onnx' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("data", [b"\x08", b"\x08\x07\xff\xff", b"\x08\x07"])
def test_bytes_that_are_no_model_are_refused(data: bytes) -> None:
    with pytest.raises(ModelError, match="not an ONNX model"):
        IECore().read_network(data)


def test_truncated_and_altered_models_give_errors_and_nothing_else() -> None:
    data = small().SerializeToString()
    rng = np.random.default_rng(3)
    for _ in range(300):
        broken = bytearray(data[: int(rng.integers(1, len(data) + 1))])
        for _ in range(int(rng.integers(0, 3))):
            broken[int(rng.integers(len(broken)))] = int(rng.integers(256))
        broken[0] = 8
        with contextlib.suppress(IEError):
            IECore().read_network(bytes(broken))


def test_an_unknown_operator_is_named() -> None:
    proto = model("g (float[2] x) => (float[2] y) { y = other.Strange(x) }", others=', "other" : 1')
    with pytest.raises(NotImplementedIEError, match=r"node y of type Strange: the operator other\.Strange is not supported"):
        IECore().read_network(proto.SerializeToString())


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("g (float[2] x) => (float[2] y) { y = Add(x, missing) }", "node y of type Add: tensor 'missing' is used before"),
        ("g (float[2] x) => (float[2] y) { z = Neg(x) }", "tensor 'y' is used before anything computes it"),
        ("g (float[2,3] x) => (float[2] y) { y = MatMul(x, x) }", "node y of type MatMul: .*do not fit"),
        ("g (float[2,3] x) => (float[2] y) { y = Softmax<axis=5>(x) }", "node y of type Softmax: .*axis is 5"),
        ("g (float[2,3] x) => (float[2] y) { y = Transpose<perm=[0,0]>(x) }", "node y of type Transpose"),
        ("g (float[2] x) => (float[2] y) { y = DepthToSpace(x) }", "attribute 'blocksize' is missing"),
        ("g (string[2] x) => (string[2] y) { y = Identity(x) }", "element type STRING, which is not supported"),
        ("g (seq(float[2]) x) => (float[2] y) { y = SequenceAt(x, x) }", "input x is a sequence_type"),
        ("g (float[1,1,4,4] x) => (float[1,1,4,4] y) { y = Conv(x) }", "node y of type Conv: input 1 is missing"),
    ],
)
def test_faults_name_the_node(text: str, fault: str) -> None:
    with pytest.raises(IEError, match=fault):
        IECore().read_network(model(text).SerializeToString())


def test_operator_sets_before_six_are_refused() -> None:
    with pytest.raises(ModelError, match="operator set 5, expected at least 6"):
        IECore().read_network(model("g (float[2] x) => (float[2] y) { y = Neg(x) }", opset=5).SerializeToString())


def test_the_import_of_onnx_is_asked_for_only_then(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def guarded(name: str, *args: object, **kwargs: object) -> object:
        assert name != "onnx", "onnx was imported for an IR"
        return real(name, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", guarded)
    with pytest.raises(ModelError):
        IECore().read_network(b"<net/>")


def test_half_precision_models_keep_their_input_type() -> None:
    proto = model("g (float16[1,2] x) => (float16[1,2] y) { y = Mul(x, w) }", {"w": np.array([2, 3], np.float16)})
    net = IECore().read_network(proto.SerializeToString())
    assert net.inputs["x"].precision == "FP16"
    np.testing.assert_array_equal(run(net, {"x": np.array([[1, 2]], np.float16)})["y"], [[2, 6]])


def test_typed_constants_are_read() -> None:
    for dtype in (np.float16, np.float32, np.float64, np.int8, np.uint8, np.int32, np.int64, np.bool_):
        values = np.array([0, 1, 1], dtype)
        proto = model("g (float[3] x) => (float[3] y) { c = Cast<to=1>(w)  y = Add(x, c) }", {"w": values})
        np.testing.assert_array_equal(infer(proto, {"x": np.ones(3, np.float32)})["y"], [1, 2, 2])
    tensor = helper.make_tensor("w", TensorProto.BFLOAT16, [3], [0.5, -2, 3])
    proto = model("g (float[3] x) => (float[3] y) { c = Cast<to=1>(w)  y = Add(x, c) }")
    proto.graph.initializer.append(tensor)
    np.testing.assert_array_equal(infer(proto, {"x": np.zeros(3, np.float32)})["y"], [0.5, -2, 3])
    assert numpy_helper.to_array(tensor).shape == (3,)
