# SPDX-License-Identifier: Apache-2.0
"""Operators against ONNX's own reference: bodies, quantised forms, recurrent ones, and those that changed between operator sets."""

from __future__ import annotations

import numpy as np
import pytest
from onnx_models import check, infer, model, run

from ie_ctypes import IECore
from ie_ctypes.errors import ModelError

DEVICES = ("REFERENCE", "CPU")
RNG = np.random.default_rng(11)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("device", DEVICES)
def test_a_branch_is_chosen_by_shapes(device: str) -> None:
    text = """g (float[2,3] x) => (float[2,3] y) {
      s = Shape(x)  n = Gather(s, index)  c = Equal(n, three)
      y = If (c) <then_branch = t () => (float[2,3] a) { a = Mul(x, two) }, else_branch = e () => (float[2,3] b) { b = Neg(x) }>
    }"""
    constants = {"index": np.array(1), "three": np.array(3), "two": np.array(2, np.float32)}
    check(model(text, constants), {"x": normal(2, 3)}, device)


@pytest.mark.parametrize("device", DEVICES)
def test_a_branch_is_chosen_by_data(device: str) -> None:
    text = """g (float[2] x, bool c) => (float[2] y) {
      y = If (c) <then_branch = t () => (float[2] a) { a = Mul(x, two) }, else_branch = e () => (float[2] b) { b = Neg(x) }>
    }"""
    proto = model(text, {"two": np.array(2, np.float32)})
    x = normal(2)
    for truth in (True, False):
        got = infer(proto, {"x": x, "c": np.array(truth)}, device)["y"]
        np.testing.assert_allclose(got, x * 2 if truth else -x, rtol=1e-6)


@pytest.mark.parametrize("device", DEVICES)
def test_a_loop_carries_values_and_collects_them(device: str) -> None:
    text = """g (float[2] x) => (float[2] last, float[4,2] all) {
      last, all = Loop (trips, go, x) <body = b (int64 i, bool c, float[2] v) => (bool again, float[2] next, float[2] seen) {
        again = Identity(c)  f = Cast<to=1>(i)  next = Add(v, f)  seen = Mul(next, v)
      }>
    }"""
    check(model(text, {"trips": np.array(4), "go": np.array(True)}), {"x": normal(2)}, device)


def test_a_loop_ends_by_a_condition_that_constants_decide() -> None:
    text = """g (float[2] x) => (float[2] last) {
      last = Loop (trips, go, x) <body = b (int64 i, bool c, float[2] v) => (bool again, float[2] next) {
        again = Less(i, limit)  next = Add(v, v)
      }>
    }"""
    x = normal(2)
    got = infer(model(text, {"trips": np.array(100), "go": np.array(True), "limit": np.array(2)}), {"x": x})["last"]
    np.testing.assert_allclose(got, x * 8, rtol=1e-6)


@pytest.mark.parametrize("device", DEVICES)
def test_scan_runs_over_chosen_axes_and_backwards(device: str) -> None:
    text = """g (float[2] s, float[2,5] x) => (float[2] final, float[2,5] y) {
      final, y = Scan <num_scan_inputs = 1, scan_input_axes = [1], scan_input_directions = [1], scan_output_axes = [1],
        body = b (float[2] state, float[2] step) => (float[2] next, float[2] out) { next = Add(state, step)  out = Mul(next, step) }> (s, x)
    }"""
    proto = model(text)
    s, x = normal(2), normal(2, 5)
    total = s[:, None] + np.cumsum(x[:, ::-1], 1)
    got = infer(proto, {"s": s, "x": x}, device)
    np.testing.assert_allclose(got["final"], total[:, -1], rtol=1e-5)
    np.testing.assert_allclose(got["y"], total * x[:, ::-1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_recurrent_layers_over_several_steps(kind: str, direction: str) -> None:
    gates, dirs, n, t, d, s = {"LSTM": 4, "GRU": 3, "RNN": 1}[kind], 1 + (direction == "bidirectional"), 2, 4, 3, 5
    x, w, r, b = normal(t, n, d), normal(dirs, gates * s, d), normal(dirs, gates * s, s), normal(dirs, 2 * gates * s)
    h, c = normal(dirs, n, s), normal(dirs, n, s)
    outs = "y, yh, yc" if kind == "LSTM" else "y, yh"
    values = "float[t,d,n,s] y, float[d,n,s] yh" + (", float[d,n,s] yc" if kind == "LSTM" else "")
    cell = ", c" if kind == "LSTM" else ""
    text = (
        f'g (float[{t},{n},{d}] x) => ({values}) {{ {outs} = {kind}<hidden_size={s}, direction="{direction}">(x, w, r, b, "", h{cell}) }}'
    )
    constants = {"w": w, "r": r, "b": b, "h": h} | ({"c": c} if kind == "LSTM" else {})
    got = infer(model(text, constants, opset=14), {"x": x})
    steps, last_h, last_c = _recurrent(kind, direction, x, w, r, b, h, c)
    np.testing.assert_allclose(got["y"], steps, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(got["yh"], last_h, rtol=1e-4, atol=1e-5)
    if kind == "LSTM":
        np.testing.assert_allclose(got["yc"], last_c, rtol=1e-4, atol=1e-5)


def _recurrent(kind, direction, x, w, r, b, h0, c0):  # type: ignore[no-untyped-def]
    """The formulas of the ONNX standard, step by step, in float64."""

    def sigmoid(v: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-v))

    size = r.shape[2]
    y = np.zeros((x.shape[0], w.shape[0], x.shape[1], size))
    last_h, last_c = np.zeros(h0.shape), np.zeros(c0.shape)
    for k in range(w.shape[0]):
        wb, rb = np.split(b[k].astype(np.float64), 2)
        h, c = h0[k].astype(np.float64), c0[k].astype(np.float64)
        backward = direction == "reverse" or k == 1
        for t in range(x.shape[0])[:: -1 if backward else 1]:
            a, e = x[t] @ w[k].T + wb, h @ r[k].T + rb
            if kind == "RNN":
                h = np.tanh(a + e)
            elif kind == "LSTM":
                i, o, f, g = np.split(a + e, 4, 1)
                c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
                h = sigmoid(o) * np.tanh(c)
            else:
                z, reset = (sigmoid(a[:, j * size : (j + 1) * size] + e[:, j * size : (j + 1) * size]) for j in (0, 1))
                n = np.tanh(a[:, 2 * size :] + (reset * h) @ r[k][2 * size :].T + rb[2 * size :])
                h = (1 - z) * n + z * h
            y[t, k] = h
        last_h[k], last_c[k] = h, c
    return y, last_h, last_c


@pytest.mark.parametrize("device", DEVICES)
def test_quantise_and_dequantise_follow_the_standard_to_the_bit(device: str) -> None:
    text = "g (float[2,3] x) => (uint8[2,3] q, float[2,3] y) { q = QuantizeLinear<axis=1>(x, s, z)  y = DequantizeLinear<axis=1>(q, s, z) }"
    scale, zero = np.array([0.5, 0.1, 2], np.float32), np.array([0, 128, 250], np.uint8)
    x = np.array([[0.25, -3.21, 40], [0.75, 100, -1]], np.float32)
    got = infer(model(text, {"s": scale, "z": zero}), {"x": x}, device)
    want = np.clip(np.rint(x / scale) + zero, 0, 255)
    np.testing.assert_array_equal(got["q"], want)
    np.testing.assert_allclose(got["y"], (want - zero) * scale, rtol=1e-6)


@pytest.mark.parametrize("device", DEVICES)
def test_a_quantised_convolution_equals_integer_arithmetic(device: str) -> None:
    text = "g (uint8[1,2,5,5] x) => (uint8[1,3,3,3] y) { y = QLinearConv(x, xs, xz, w, ws, wz, ys, yz, b) }"
    x = RNG.integers(0, 256, (1, 2, 5, 5)).astype(np.uint8)
    w = RNG.integers(-128, 128, (3, 2, 3, 3)).astype(np.int8)
    constants = {
        "xs": np.array(0.02, np.float32), "xz": np.array(120, np.uint8), "w": w, "ws": np.array([0.01, 0.02, 0.03], np.float32),
        "wz": np.zeros(3, np.int8), "ys": np.array(0.4, np.float32), "yz": np.array(100, np.uint8),
        "b": np.array([5, -100, 300], np.int32),
    }  # fmt: skip
    windows = np.lib.stride_tricks.sliding_window_view(x[0].astype(np.int64) - 120, (3, 3), (1, 2))
    sums = np.einsum("cijkl,ockl->oij", windows, w.astype(np.int64)) + constants["b"][:, None, None]
    scale = (constants["xs"] * constants["ws"] / constants["ys"]).astype(np.float64)[:, None, None]
    want = np.clip(np.rint(sums * scale) + 100, 0, 255)
    got = infer(model(text, constants), {"x": x}, device)["y"][0]
    assert np.abs(got - want).max() <= 1  # a product on the edge between two integers may fall to either side
    assert (got != want).mean() < 0.1


@pytest.mark.parametrize(
    ("opset", "text"),
    [
        (7, "y = Slice<axes=[1], starts=[1], ends=[-1]>(x)"),
        (6, "y = Clip<min=-0.5, max=0.5>(x)"),
        (13, "y = Softmax<axis=1>(x)"),
        (11, "y = Squeeze(u) u = Unsqueeze<axes=[0]>(x)"),
        (11, "y = ReduceSum<axes=[1], keepdims=0>(x)"),
        (9, "y = Flatten<axis=2>(x)"),
        (12, "y = LogSoftmax<axis=-1>(x)"),
        (18, "y = ReduceLogSumExp(x, a)"),
        (18, "y = Pad(x, p)"),
        (19, 'y = Pad<mode="wrap">(x, p)'),
        (18, 'y = Resize<mode="nearest">(x, , s)'),
        (18, "y, i = TopK<axis=1>(x, k)"),
        (18, "y = Trilu(x)"),
        (18, "y = CumSum(x, axis)"),
        (18, 'y = Einsum<equation="nij,nkj->nik">(x, x)'),
        (18, "y = ScatterElements<axis=1>(x, j, u)"),
        (18, "y = GatherElements<axis=1>(x, j)"),
        (20, "y = Gelu(x)"),
        (18, "y = LayerNormalization(x, g)"),
    ],
)
@pytest.mark.parametrize("device", DEVICES)
def test_operators_of_all_ages(opset: int, text: str, device: str) -> None:
    constants = {
        "a": np.array([0, 2]), "p": np.array([0, 1, 1, 0, 1, 1]), "s": np.array([1, 2, 2], np.float32), "k": np.array([2]),
        "axis": np.array(1), "j": np.array([[[2, 0, 1, 0]], [[1, 1, 0, 2]]]), "u": normal(2, 1, 4), "g": normal(4),
    }  # fmt: skip
    used = {n: v for n, v in constants.items() if f" {n}" in text.replace("(", " ").replace(",", " ").replace(")", " ")}
    statements = text.split(" u = ")
    body = "  ".join(([f"u = {statements[1]}"] if len(statements) > 1 else []) + [statements[0]])
    if len(statements) > 1:
        used.pop("u", None)
    check(model(f"g (float[2,3,4] x) => (float[a,b,c] y) {{ {body} }}", used, opset), {"x": normal(2, 3, 4)}, device)


@pytest.mark.parametrize("name", ["Softmax", "LogSoftmax", "Hardmax"])
def test_before_operator_set_13_all_axes_from_axis_on_count_as_one(name: str) -> None:
    x = normal(2, 3, 4)
    flat = x.reshape(2, 12)
    want = np.exp(flat) / np.exp(flat).sum(1, keepdims=True)
    if name == "LogSoftmax":
        want = np.log(want)
    elif name == "Hardmax":
        want = (flat == flat.max(1, keepdims=True)).astype(np.float32)
    got = infer(model(f"g (float[2,3,4] x) => (float[2,3,4] y) {{ y = {name}<axis=1>(x) }}", opset=11), {"x": x})["y"]
    np.testing.assert_allclose(got, want.reshape(2, 3, 4), rtol=1e-5)


def test_sequences_are_taken_apart() -> None:
    text = """g (float[4,2] x) => (float[2,2] y, int64 n) {
      parts = SplitToSequence<axis=0>(x, two)  y = SequenceAt(parts, one)  n = SequenceLength(parts)
    }"""
    x = normal(4, 2)
    got = infer(model(text, {"two": np.array(2), "one": np.array(1)}), {"x": x})
    np.testing.assert_array_equal(got["y"], x[2:])
    assert got["n"] == 2


def test_sizes_that_data_decide_are_an_error_with_the_layer() -> None:
    proto = model("g (float[3] x, int64[1] s) => (float[a] y) { y = Expand(x, s) }")
    with pytest.raises(ModelError, match=r"node y of type Expand: .*must be a constant"):
        IECore().read_network(proto.SerializeToString())


def test_shapes_worked_out_from_shapes_follow_a_reshape() -> None:
    text = """g (float[2,3,4] x) => (float[a,b] y) {
      s = Shape(x)  n = Gather(s, zero)  m = Unsqueeze(n, axes)  t = Concat<axis=0>(m, minus)  y = Reshape(x, t)
    }"""
    proto = model(text, {"zero": np.array(0), "axes": np.array([0]), "minus": np.array([-1])}, opset=13)
    net = IECore().read_network(proto.SerializeToString())
    assert list(net.outputs["y"].shape) == [2, 12]
    x = normal(5, 2, 2)
    np.testing.assert_array_equal(run(net, {"x": x})["y"], x.reshape(5, 4))


@pytest.mark.parametrize("device", DEVICES)
def test_scan_of_batches_of_sequences(device: str) -> None:
    text = """g (float[2,3] start, float[2,4,3] x) => (float[2,3] last, float[2,4,3] all) {
      last, all = Scan <num_scan_inputs = 1, directions = [1], body = b (float[3] v, float[3] e) => (float[3] next, float[3] seen) {
        twice = Mul(e, two)  next = Add(v, twice)  seen = Identity(next)
      }> ("", start, x)
    }"""
    proto = model(text, {"two": np.array(2, np.float32)})
    proto.opset_import[0].version = 8
    start, x = normal(2, 3), normal(2, 4, 3)
    got = infer(proto, {"start": start, "x": x}, device)
    want = start[:, None] + np.cumsum(2 * x[:, ::-1], 1)
    np.testing.assert_allclose(got["all"], want, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(got["last"], want[:, -1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (2, 3, 5, 5)])
def test_determinants(device: str, shape: tuple[int, ...]) -> None:
    dims = ",".join(map(str, shape))
    x = np.round(normal(*shape) * 4)
    x[..., 0, 0] = 0  # the first pivot is another row's
    proto = model(f"g (float[{dims}] x) => (float[{','.join(map(str, shape[:-2]))}] y) {{ y = Det(x) }}", {})
    np.testing.assert_allclose(infer(proto, {"x": x}, device)["y"], np.linalg.det(x.astype(np.float64)), rtol=1e-4, atol=1e-3)


def test_determinant_of_a_singular_matrix() -> None:
    proto = model("g (float[3,3] x) => (float y) { y = Det(x) }", {})
    assert infer(proto, {"x": np.ones((3, 3), np.float32)})["y"].ravel().tolist() == [0]


@pytest.mark.parametrize("device", DEVICES)
def test_unique_has_the_size_of_what_it_found(device: str) -> None:
    proto = model(
        "g (float[6] x) => (float[k] y, int64[k] first, int64[6] inverse, int64[k] counts) { y, first, inverse, counts = Unique(x) }", {}
    )
    for x in ([3, 1, 3, 3, 2, 1], [5, 5, 5, 5, 5, 5]):
        got = infer(proto, {"x": np.array(x, np.float32)}, device)
        values, first, inverse, counts = np.unique(x, return_index=True, return_inverse=True, return_counts=True)
        for name, want in (("y", values), ("first", first), ("inverse", inverse), ("counts", counts)):
            np.testing.assert_array_equal(got[name], want, err_msg=name)
