# SPDX-License-Identifier: Apache-2.0
"""The benchmark networks: exact architectures, random weights (speed does not depend on them), batch-normalisation folded as files have it.

python -m benchmarks.compare.networks FOLDER [NAME ...]      write them as IR v10
"""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Callable

import numpy as np

from benchmarks.compare.stack import Stack, Tensor, shape
from ie_ctypes.model.graph import Graph
from ie_ctypes.model.writers import write_ir


def resnet50(batch: int = 1) -> Graph:
    s = Stack("resnet50")
    x = s.conv(s.input("data", (batch, 3, 224, 224)), 64, 7, 2)
    x = s.pool(x, 3, 2, pad=1)
    for stage, (width, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            y = s.conv(x, width, 1)
            y = s.conv(y, width, 3, stride)
            y = s.conv(y, 4 * width, 1, act="", gain=0.2)  # small, or the sums grow until the softmax knows one class only
            x = s.add(y, s.conv(x, 4 * width, 1, stride, act="", gain=1.0) if not block else x, "relu")
    x = s.reshape(s.mean(x, (2, 3)), batch, 2048)
    return s.graph(s.softmax(s.dense(x, 1000), 1))


MOBILENET_V1 = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *(((512, 1),) * 5), (1024, 2), (1024, 1))


def separable(s: Stack, x: Tensor, channels: int, stride: int) -> Tensor:
    c = shape(x)[1]
    return s.conv(s.conv(x, c, 3, stride, groups=c, act="relu6"), channels, 1, act="relu6")


def mobilenet_v1(batch: int = 1) -> Graph:
    s = Stack("mobilenet_v1")
    x = s.conv(s.input("data", (batch, 3, 224, 224)), 32, 3, 2, act="relu6")
    for channels, stride in MOBILENET_V1:
        x = separable(s, x, channels, stride)
    return s.graph(s.softmax(s.dense(s.reshape(s.mean(x, (2, 3)), batch, 1024), 1000), 1))


def mobilenet_v2(batch: int = 1) -> Graph:
    s = Stack("mobilenet_v2")
    x = s.conv(s.input("data", (batch, 3, 224, 224)), 32, 3, 2, act="relu6")
    for expand, channels, blocks, first in (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ):
        for block in range(blocks):
            stride = first if not block else 1
            c = shape(x)[1]
            y = s.conv(x, c * expand, 1, act="relu6") if expand > 1 else x
            y = s.conv(y, c * expand, 3, stride, groups=c * expand, act="relu6")
            y = s.conv(y, channels, 1, act="")
            x = s.add(x, y) if block else y
    x = s.conv(x, 1280, 1, act="relu6")
    return s.graph(s.softmax(s.dense(s.reshape(s.mean(x, (2, 3)), batch, 1280), 1000), 1))


def squeezenet1_1(batch: int = 1) -> Graph:
    s = Stack("squeezenet1_1")

    def fire(x: Tensor, squeeze: int, expand: int) -> Tensor:
        x = s.conv(x, squeeze, 1)
        return s.concat([s.conv(x, expand, 1), s.conv(x, expand, 3)])

    x = s.pool(s.conv(s.input("data", (batch, 3, 224, 224)), 64, 3, 2, pad=0), 3, 2, ceil=True)
    x = s.pool(fire(fire(x, 16, 64), 16, 64), 3, 2, ceil=True)
    x = s.pool(fire(fire(x, 32, 128), 32, 128), 3, 2, ceil=True)
    x = fire(fire(fire(fire(x, 48, 192), 48, 192), 64, 256), 64, 256)
    x = s.mean(s.conv(x, 1000, 1), (2, 3))
    return s.graph(s.softmax(s.reshape(x, batch, 1000), 1))


def googlenet(batch: int = 1) -> Graph:
    s = Stack("googlenet")

    def inception(x: Tensor, c1: int, r3: int, c3: int, r5: int, c5: int, cp: int) -> Tensor:
        return s.concat(
            [s.conv(x, c1, 1), s.conv(s.conv(x, r3, 1), c3, 3), s.conv(s.conv(x, r5, 1), c5, 5), s.conv(s.pool(x, 3, 1, pad=1), cp, 1)]
        )

    def lrn(x: Tensor) -> Tensor:
        return s._layer("LRN", [x, s.ints(1)], shape(x), alpha=1e-4, beta=0.75, bias=1.0, size=5)

    x = lrn(s.pool(s.conv(s.input("data", (batch, 3, 224, 224)), 64, 7, 2), 3, 2, ceil=True))
    x = s.pool(lrn(s.conv(s.conv(x, 64, 1), 192, 3)), 3, 2, ceil=True)
    x = inception(inception(x, 64, 96, 128, 16, 32, 32), 128, 128, 192, 32, 96, 64)
    x = inception(s.pool(x, 3, 2, ceil=True), 192, 96, 208, 16, 48, 64)
    for row in ((160, 112, 224, 24, 64, 64), (128, 128, 256, 24, 64, 64), (112, 144, 288, 32, 64, 64), (256, 160, 320, 32, 128, 128)):
        x = inception(x, *row)
    x = inception(inception(s.pool(x, 3, 2, ceil=True), 256, 160, 320, 32, 128, 128), 384, 192, 384, 48, 128, 128)
    return s.graph(s.softmax(s.dense(s.reshape(s.mean(x, (2, 3)), batch, 1024), 1000), 1))


def vgg16(batch: int = 1) -> Graph:
    s = Stack("vgg16")
    x = s.input("data", (batch, 3, 224, 224))
    for channels, layers in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(layers):
            x = s.conv(x, channels, 3)
        x = s.pool(x, 2, 2)
    x = s.dense(s.dense(s.reshape(x, batch, 512 * 7 * 7), 4096, "relu"), 4096, "relu")
    return s.graph(s.softmax(s.dense(x, 1000), 1))


def ssd_mobilenet_v1(batch: int = 1) -> Graph:
    """Backbone and heads of the 300x300 detector, 91 classes; box decoding is the application's in the twin formats, so it is left out."""
    s = Stack("ssd_mobilenet_v1")
    x = s.conv(s.input("data", (batch, 3, 300, 300)), 32, 3, 2, act="relu6")
    maps: list[Tensor] = []
    for i, (channels, stride) in enumerate(MOBILENET_V1):
        x = separable(s, x, channels, stride)
        if i == 10:
            maps.append(x)
    maps.append(x)
    for squeeze, channels in ((256, 512), (128, 256), (128, 256), (64, 128)):
        x = s.conv(s.conv(x, squeeze, 1, act="relu6"), channels, 3, 2, act="relu6")
        maps.append(x)
    boxes, scores = [], []
    for i, x in enumerate(maps):
        anchors = 3 if i == 0 else 6
        for parts, width in ((boxes, 4), (scores, 91)):
            y = s.transpose(s.conv(x, anchors * width, 1, act=""), 0, 2, 3, 1)
            parts.append(s.reshape(y, batch, int(np.prod(shape(y)[1:])) // width, width))
    return s.graph(s.concat(boxes), s.unary("Sigmoid", s.concat(scores)))


def yolov3_tiny(batch: int = 1) -> Graph:
    s = Stack("yolov3_tiny")
    x = s.input("data", (batch, 3, 416, 416))
    for channels in (16, 32, 64, 128):
        x = s.pool(s.conv(x, channels, act="leaky"), 2, 2)
    x = route = s.conv(x, 256, act="leaky")
    x = s.conv(s.pool(x, 2, 2), 512, act="leaky")
    x = s.conv(s.pool(x, 2, 1, end=1), 1024, act="leaky")
    x = neck = s.conv(x, 256, 1, act="leaky")
    coarse = s.conv(s.conv(x, 512, act="leaky"), 255, 1, act="")
    x = s.concat([s.resize2(s.conv(neck, 128, 1, act="leaky")), route])
    return s.graph(coarse, s.conv(s.conv(x, 256, act="leaky"), 255, 1, act=""))


def densenet121(batch: int = 1) -> Graph:
    s = Stack("densenet121")
    x = s.pool(s.conv(s.input("data", (batch, 3, 224, 224)), 64, 7, 2), 3, 2, pad=1)
    for block, layers in enumerate((6, 12, 24, 16)):
        for _ in range(layers):
            y = s.conv(s.affine(x), 128, 1)
            x = s.concat([x, s.conv(y, 32, 3, act="")])
        if block < 3:
            x = s.pool(s.conv(s.affine(x), shape(x)[1] // 2, 1, act=""), 2, 2, average=True)
    x = s.mean(s.affine(x), (2, 3))
    return s.graph(s.softmax(s.dense(s.reshape(x, batch, 1024), 1000), 1))


def minilm_l6(batch: int = 1, length: int = 128, width: int = 384, heads: int = 12, layers: int = 6) -> Graph:
    """The encoder of MiniLM-L6 behind its embeddings: attention and feed-forward blocks over [batch, length, width]."""
    s = Stack("minilm_l6")
    x = s.input("embeddings", (batch, length, width))
    size = width // heads

    def split(y: Tensor, *order: int) -> Tensor:
        return s.transpose(s.reshape(y, batch, length, heads, size), *order)

    for _ in range(layers):
        q, k, v = split(s.dense(x, width), 0, 2, 1, 3), split(s.dense(x, width), 0, 2, 3, 1), split(s.dense(x, width), 0, 2, 1, 3)
        score = s.binary("Multiply", s.matmul(q, k), s.const(np.full((1, 1, 1, 1), size**-0.5, np.float32)))
        y = s.transpose(s.matmul(s.softmax(score, 3), v), 0, 2, 1, 3)
        x = s.layer_norm(s.add(x, s.dense(s.reshape(y, batch, length, width), width)))
        x = s.layer_norm(s.add(x, s.dense(s.dense(x, 4 * width, "gelu"), width)))
    return s.graph(x)


def lstm256(batch: int = 1, length: int = 64) -> Graph:
    s = Stack("lstm256")
    x = s.input("data", (batch, length, 256))
    for _ in range(2):
        x = s.lstm(x, 256)
    return s.graph(s.dense(x, 64))


CONVOLUTIONAL = (resnet50, mobilenet_v1, mobilenet_v2, squeezenet1_1, googlenet, vgg16, ssd_mobilenet_v1, yolov3_tiny, densenet121)
NETWORKS: dict[str, Callable[[int], Graph]] = {f.__name__: f for f in (*CONVOLUTIONAL, minilm_l6, lstm256)}


def write(name: str, folder: pathlib.Path, batch: int = 1) -> pathlib.Path:
    """Write a network as IR v10 and return the path of its .xml."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}_b{batch}.xml"
    write_ir(NETWORKS[name](batch), path, path.with_suffix(".bin"))
    return path


if __name__ == "__main__":
    for wanted in sys.argv[2:] or NETWORKS:
        print(write(wanted, pathlib.Path(sys.argv[1])))
