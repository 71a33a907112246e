# SPDX-License-Identifier: Apache-2.0
"""LSTM, GRU and RNN that become a Scan: peepholes, coupled gates, activations of all kinds, against a loop in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from ie_ctypes import IECore
from ie_ctypes.errors import ModelError

RNG = np.random.default_rng(12)
T, N, D, S = 5, 3, 4, 2
SIGMOID, TANH = (lambda v: 1 / (1 + np.exp(-v))), np.tanh


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def recurrent(kind: str, dirs: int, lengths: np.ndarray | None = None, peepholes: np.ndarray | None = None, **attributes: Any):
    """A model of one operator whose weights are constants, its input, and its constants by name."""
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[kind]
    values = {"w": normal(dirs, gates * S, D), "r": normal(dirs, gates * S, S), "b": normal(dirs, 2 * gates * S)}
    values |= {"h": normal(dirs, N, S)} | ({"c": normal(dirs, N, S)} if kind == "LSTM" else {})
    names = ["x", "w", "r", "b", "n" if lengths is not None else "", "h"] + (["c"] if kind == "LSTM" else [])
    if lengths is not None:
        values["n"] = lengths
    if peepholes is not None:
        values["p"], names = peepholes, [*names, "p"]
    outs = ["y", "yh"] + (["yc"] if kind == "LSTM" else [])
    node = helper.make_node(kind, names, outs, hidden_size=S, **attributes)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, (T, N, D))
    results = [helper.make_empty_tensor_value_info(o) for o in outs]
    for o in results:
        o.type.tensor_type.elem_type = TensorProto.FLOAT
    constants = [numpy_helper.from_array(v, k) for k, v in values.items()]
    graph = helper.make_graph([node], "g", [x], results, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8), normal(T, N, D), values


def infer(proto: ModelProto, x: np.ndarray, device: str) -> dict[str, np.ndarray]:
    core = IECore()
    return core.load_network(core.read_network(proto.SerializeToString()), device).infer({"x": x})


def lstm_step(x, h, c, v, d, f, clip, coupled):
    def limited(g):
        return np.clip(g, -clip, clip) if clip else g

    p = v.get("p", np.zeros((d + 1, 3 * S)))[d]
    i, o, g_f, g = np.split(x @ v["w"][d].T + h @ v["r"][d].T + v["b"][d][: 4 * S] + v["b"][d][4 * S :], 4, -1)
    i = f[0](limited(i + p[:S] * c))
    g_f = 1 - i if coupled else f[0](limited(g_f + p[2 * S :] * c))
    c = g_f * c + i * f[1](limited(g))
    return f[0](limited(o + p[S : 2 * S] * c)) * f[2](c), c


def gru_step(x, h, v, d, f, linear):
    w, r, (bw, br) = v["w"][d], v["r"][d], np.split(v["b"][d], 2)
    z, reset = (f[0](x @ w[k].T + h @ r[k].T + bw[k] + br[k]) for k in (slice(0, S), slice(S, 2 * S)))
    k = slice(2 * S, None)
    part = reset * (h @ r[k].T + br[k]) if linear else (reset * h) @ r[k].T + br[k]
    return (1 - z) * f[1](x @ w[k].T + bw[k] + part) + z * h


def steps(kind, x, v, functions, backward, lengths=None, clip=0.0, coupled=False, linear=False):
    """All steps [T, dirs, N, S] and the last states [dirs, N, S]."""
    y = np.zeros((T, len(backward), N, S))
    last_h, last_c = v["h"].astype(float), v.get("c", v["h"]).astype(float)
    for d, back in enumerate(backward):
        for n in range(N):
            h, c = last_h[d, n], last_c[d, n]
            count = T if lengths is None else lengths[n]
            for t in reversed(range(count)) if back else range(count):
                if kind == "LSTM":
                    h, c = lstm_step(x[t, n], h, c, v, d, functions[d], clip, coupled)
                elif kind == "GRU":
                    h = gru_step(x[t, n], h, v, d, functions[d], linear)
                else:
                    bias = v["b"][d][:S] + v["b"][d][S:]
                    h = functions[d][0](x[t, n] @ v["w"][d].T + h @ v["r"][d].T + bias)
                y[t, d, n] = h
            last_h[d, n], last_c[d, n] = h, c
    return [y, last_h] + ([last_c] if kind == "LSTM" else [])


def agree(got: dict[str, np.ndarray], want: list[np.ndarray]) -> None:
    for name, value in zip(("y", "yh", "yc"), want, strict=False):
        np.testing.assert_allclose(got[name], value, rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("device", ["REFERENCE", "CPU"])
@pytest.mark.parametrize("lengths", [None, np.array([5, 2, 3], np.int32)])
def test_peepholes_clip_and_both_directions(device, lengths):
    peepholes = normal(2, 3 * S)
    proto, x, v = recurrent("LSTM", 2, lengths, peepholes, direction="bidirectional", clip=0.7)
    agree(infer(proto, x, device), steps("LSTM", x, v, [(SIGMOID, TANH, TANH)] * 2, [False, True], lengths, clip=0.7))


def test_coupled_gates():
    proto, x, v = recurrent("LSTM", 1, direction="reverse", input_forget=1)
    agree(infer(proto, x, "CPU"), steps("LSTM", x, v, [(SIGMOID, TANH, TANH)], [True], coupled=True))


@pytest.mark.parametrize("linear", [False, True])
def test_activations_differ_between_directions(linear):
    names = ["HardSigmoid", "Softsign", "Sigmoid", "Elu"]
    attributes = {"activation_alpha": [0.25, 0.5], "activation_beta": [0.4], "linear_before_reset": int(linear)}
    proto, x, v = recurrent("GRU", 2, direction="bidirectional", activations=names, **attributes)
    functions = [
        (lambda a: np.clip(0.25 * a + 0.4, 0, 1), lambda a: a / (1 + abs(a))),
        (SIGMOID, lambda a: np.where(a > 0, a, 0.5 * np.expm1(np.minimum(a, 0)))),
    ]
    agree(infer(proto, x, "CPU"), steps("GRU", x, v, functions, [False, True], linear=linear))


@pytest.mark.parametrize(
    ("name", "numbers", "function"),
    [
        ("Affine", {"activation_alpha": [0.5], "activation_beta": [0.25]}, lambda a: 0.5 * a + 0.25),
        ("ScaledTanh", {"activation_alpha": [1.5], "activation_beta": [0.5]}, lambda a: 1.5 * np.tanh(0.5 * a)),
        ("LeakyRelu", {"activation_alpha": [0.125]}, lambda a: np.where(a > 0, a, 0.125 * a)),
        ("LeakyRelu", {}, lambda a: np.where(a > 0, a, 0.01 * a)),
        ("ThresholdedRelu", {"activation_alpha": [0.5]}, lambda a: np.where(a > 0.5, a, 0)),
        ("Softplus", {}, lambda a: np.log1p(np.exp(a))),
    ],
)
def test_activations_with_numbers(name, numbers, function):
    proto, x, v = recurrent("RNN", 1, activations=[name], **numbers)
    agree(infer(proto, x, "CPU"), steps("RNN", x, v, [(function,)], [False]))


def test_another_number_of_steps_after_reshape():
    proto, x, _ = recurrent("LSTM", 1, peepholes=normal(1, 3 * S))
    core = IECore()
    net = core.read_network(proto.SerializeToString())
    net.reshape({"x": (2, N, D)})
    got = core.load_network(net, "CPU").infer({"x": x[:2]})
    full = infer(proto, x, "CPU")
    np.testing.assert_allclose(got["y"], full["y"][:2], rtol=1e-5, atol=1e-6)


def test_unknown_activation_is_refused():
    proto, _, _ = recurrent("RNN", 1, activations=["Swish"])
    with pytest.raises(ModelError, match="activation Swish is unknown"):
        IECore().read_network(proto.SerializeToString())
