# SPDX-License-Identifier: Apache-2.0
"""Train the digits network that ships with the samples, and write it as IR v7 and IR v10.

    pip install scikit-learn
    python samples/models/train_digits.py

Data: scikit-learn's copy of the UCI handwritten digits, 1797 grey images of 8x8 pixels with values 0..16. 20 % of each class is
held out, never seen in training and used once, at the end. Network: two 3x3 convolutions, max-pooling, two fully connected layers,
soft-max; plain numpy, stochastic gradient descent with momentum on randomly shifted images.
"""

from __future__ import annotations

import pathlib

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from ie_ctypes.model.builder import NetworkBuilder
from ie_ctypes.model.graph import Graph
from ie_ctypes.model.writers import write_ir

HERE = pathlib.Path(__file__).parent
SEED = 7
EPOCHS, BATCH, RATE, MOMENTUM, DECAY = 60, 32, 0.03, 0.9, 1e-4
CHANNELS = (16, 32)
HIDDEN = 64

Params = dict[str, np.ndarray]


def columns(x: np.ndarray) -> np.ndarray:
    """[N,C,H,W] -> [N,H,W,C*9]: the 3x3 neighbourhood of every pixel, zeros outside."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    return windows.transpose(0, 2, 3, 1, 4, 5).reshape(*(x.shape[0], *x.shape[2:]), -1)


def conv(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    cols = columns(x)
    return (cols @ w.reshape(len(w), -1).T + b).transpose(0, 3, 1, 2), cols


def conv_gradient(dy: np.ndarray, cols: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of input, weights and bias."""
    flat = dy.transpose(0, 2, 3, 1)
    dw = np.einsum("nhwo,nhwk->ok", flat, cols).reshape(w.shape)
    dx, _ = conv(dy, w[:, :, ::-1, ::-1].transpose(1, 0, 2, 3), np.zeros(w.shape[1], w.dtype))
    return dx, dw, flat.sum((0, 1, 2))


def forward(p: Params, x: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Class scores before the soft-max, and what the gradient needs."""
    s: dict[str, np.ndarray] = {}
    a, s["cols1"] = conv(x, p["conv1_w"], p["conv1_b"])
    s["a1"] = np.maximum(a, 0)
    a, s["cols2"] = conv(s["a1"], p["conv2_w"], p["conv2_b"])
    s["a2"] = np.maximum(a, 0)
    n, c, h, w = s["a2"].shape
    cells = s["a2"].reshape(n, c, h // 2, 2, w // 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(n, c, h // 2, w // 2, 4)
    s["pick"] = cells.argmax(-1)
    s["flat"] = cells.max(-1).reshape(n, -1)
    s["hidden"] = np.maximum(s["flat"] @ p["fc1_w"].T + p["fc1_b"], 0)
    return s["hidden"] @ p["fc2_w"].T + p["fc2_b"], s


def gradient(p: Params, x: np.ndarray, labels: np.ndarray) -> Params:
    """Gradient of the mean cross-entropy."""
    scores, s = forward(p, x)
    prob = np.exp(scores - scores.max(1, keepdims=True))
    prob /= prob.sum(1, keepdims=True)
    prob[np.arange(len(x)), labels] -= 1
    d = prob / len(x)
    g: Params = {"fc2_w": d.T @ s["hidden"], "fc2_b": d.sum(0)}
    d = (d @ p["fc2_w"]) * (s["hidden"] > 0)
    g |= {"fc1_w": d.T @ s["flat"], "fc1_b": d.sum(0)}
    n, c, h, w = s["a2"].shape
    cells = np.zeros((n, c, h // 2, w // 2, 4), np.float32)
    np.put_along_axis(cells, s["pick"][..., None], (d @ p["fc1_w"]).reshape(n, c, h // 2, w // 2, 1), -1)
    d = cells.reshape(n, c, h // 2, w // 2, 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(n, c, h, w) * (s["a2"] > 0)
    d, g["conv2_w"], g["conv2_b"] = conv_gradient(d, s["cols2"], p["conv2_w"])
    _, g["conv1_w"], g["conv1_b"] = conv_gradient(d * (s["a1"] > 0), s["cols1"], p["conv1_w"])
    return g


def train(images: np.ndarray, labels: np.ndarray) -> Params:
    rng = np.random.default_rng(SEED)
    shapes = {
        "conv1_w": (CHANNELS[0], 1, 3, 3),
        "conv2_w": (CHANNELS[1], CHANNELS[0], 3, 3),
        "fc1_w": (HIDDEN, CHANNELS[1] * 16),
        "fc2_w": (10, HIDDEN),
    }
    p: Params = {}
    for name, shape in shapes.items():
        p[name] = (rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))).astype(np.float32)
        p[name.replace("_w", "_b")] = np.zeros(shape[0], np.float32)
    speed = {k: np.zeros_like(v) for k, v in p.items()}
    for epoch in range(EPOCHS):
        rate = RATE * 0.5 * (1 + np.cos(np.pi * epoch / EPOCHS))
        order = rng.permutation(len(images))
        for start in range(0, len(order), BATCH):
            pick = order[start : start + BATCH]
            x = np.roll(images[pick], tuple(rng.integers(-1, 2, 2)), (2, 3)) * rng.uniform(0.7, 1.1)
            for k, g in gradient(p, x.astype(np.float32), labels[pick]).items():
                speed[k] = MOMENTUM * speed[k] - rate * (g + DECAY * p[k])
                p[k] += speed[k]
    return p


def accuracy(p: Params, images: np.ndarray, labels: np.ndarray) -> float:
    return float((forward(p, images)[0].argmax(1) == labels).mean())


def legacy_network(p: Params) -> Graph:
    """The network in the layers of IR v7. Input: grey values 0..255."""
    net = NetworkBuilder.legacy("digits")
    c1, c2 = CHANNELS
    window = {"kernel": "3,3", "strides": "1,1", "pads_begin": "1,1", "pads_end": "1,1", "dilations": "1,1", "group": 1}
    halves = {
        "kernel": "2,2",
        "strides": "2,2",
        "pads_begin": "0,0",
        "pads_end": "0,0",
        "pool-method": "max",
        "exclude-pad": "true",
        "rounding_type": "floor",
    }
    x = net.input("data", (1, 1, 8, 8))
    x = net.layer("Power", "scale", [x], [(1, 1, 8, 8)], params={"power": 1, "scale": 1 / 255, "shift": 0})
    for name, channels in (("conv1", c1), ("conv2", c2)):
        blobs = {"weights": p[f"{name}_w"], "biases": p[f"{name}_b"]}
        x = net.layer("Convolution", name, [x], [(1, channels, 8, 8)], params={**window, "output": channels}, blobs=blobs)
        x = net.layer("ReLU", f"{name}/relu", [x], [(1, channels, 8, 8)])
    x = net.layer("Pooling", "pool", [x], [(1, c2, 4, 4)], params=halves)
    x = net.layer(
        "FullyConnected", "fc1", [x], [(1, HIDDEN)], params={"out-size": HIDDEN}, blobs={"weights": p["fc1_w"], "biases": p["fc1_b"]}
    )
    x = net.layer("ReLU", "fc1/relu", [x], [(1, HIDDEN)])
    x = net.layer("FullyConnected", "fc2", [x], [(1, 10)], params={"out-size": 10}, blobs={"weights": p["fc2_w"], "biases": p["fc2_b"]})
    net.layer("SoftMax", "prob", [x], [(1, 10)], params={"axis": 1})
    return net.graph()


def opset_network(p: Params) -> Graph:
    """The same network in the operations of IR v10."""
    net = NetworkBuilder.opset("digits")
    c1, c2 = CHANNELS
    window = {"strides": "1,1", "pads_begin": "1,1", "pads_end": "1,1", "dilations": "1,1", "auto_pad": "explicit"}
    halves = {"kernel": "2,2", "strides": "2,2", "pads_begin": "0,0", "pads_end": "0,0", "rounding_type": "floor", "auto_pad": "explicit"}
    x = net.input("data", (1, 1, 8, 8))
    x = net.layer("Multiply", "scale", [x, net.constant("scale/value", np.full((1, 1, 1, 1), 1 / 255, np.float32))], [(1, 1, 8, 8)])
    for name, channels in (("conv1", c1), ("conv2", c2)):
        shape = (1, channels, 8, 8)
        x = net.layer("Convolution", name, [x, net.constant(f"{name}/weights", p[f"{name}_w"])], [shape], params=window)
        x = net.layer("Add", f"{name}/add", [x, net.constant(f"{name}/biases", p[f"{name}_b"].reshape(1, -1, 1, 1))], [shape])
        x = net.layer("ReLU", f"{name}/relu", [x], [shape])
    x = net.layer("MaxPool", "pool", [x], [(1, c2, 4, 4)], params=halves)
    flat = net.constant("flat/shape", np.array([0, -1], np.int64))
    x = net.layer("Reshape", "flat", [x, flat], [(1, c2 * 16)], params={"special_zero": True})
    for name, width in (("fc1", HIDDEN), ("fc2", 10)):
        weights = net.constant(f"{name}/weights", p[f"{name}_w"])
        x = net.layer("MatMul", name, [x, weights], [(1, width)], params={"transpose_a": False, "transpose_b": True})
        x = net.layer("Add", f"{name}/add", [x, net.constant(f"{name}/biases", p[f"{name}_b"][None])], [(1, width)])
        if name == "fc1":
            x = net.layer("ReLU", f"{name}/relu", [x], [(1, width)])
    net.result(net.layer("SoftMax", "prob", [x], [(1, 10)], params={"axis": 1}))
    return net.graph()


if __name__ == "__main__":
    data = load_digits()
    pixels = (data.images / 16).astype(np.float32)[:, None]
    seen, held_out, seen_labels, held_out_labels = train_test_split(
        pixels, data.target, test_size=0.2, random_state=SEED, stratify=data.target
    )
    params = train(seen, seen_labels)
    print(f"training accuracy {accuracy(params, seen, seen_labels):.4f} on {len(seen)} images")
    print(f"held-out accuracy {accuracy(params, held_out, held_out_labels):.4f} on {len(held_out)} images")
    write_ir(legacy_network(params), HERE / "digits_v7.xml", HERE / "digits_v7.bin")
    write_ir(opset_network(params), HERE / "digits_v10.xml", HERE / "digits_v10.bin")
