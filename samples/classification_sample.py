#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Classify images: the classification_sample of the time, on the network and the images that ship with the samples by default."""

from __future__ import annotations

import logging as log
import pathlib
import sys
from argparse import ArgumentParser, Namespace

import numpy as np
from PIL import Image

from ie_ctypes import IECore

HERE = pathlib.Path(__file__).parent


def parse_arguments() -> Namespace:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("-m", "--model", default=str(HERE / "models" / "digits_v7.xml"), help="path to an .xml file with a trained network")
    parser.add_argument("-i", "--input", nargs="+", help="paths to image files (default: the ten sample digits)")
    parser.add_argument("-l", "--cpu_extension", help="path to a shared library with custom layers")
    parser.add_argument("-d", "--device", default="CPU", help="device to infer on (default: CPU)")
    parser.add_argument("--labels", help="path to a file with one class name a line")
    parser.add_argument("-nt", "--number_top", type=int, default=10, help="number of top results (default: 10)")
    return parser.parse_args()


def read_image(path: str, channels: int, height: int, width: int) -> np.ndarray:
    """An image file as [C,H,W] uint8, channels in BGR order as OpenCV reads them, shrunk by averaging."""
    with Image.open(path) as image:
        image = image.convert("L" if channels == 1 else "RGB")
        if image.size != (width, height):
            log.warning("Image %s is resized from %s to %s", path, image.size[::-1], (height, width))
            image = image.resize((width, height), Image.Resampling.BOX)
        pixels = np.asarray(image)
    return pixels[None] if channels == 1 else pixels[:, :, ::-1].transpose(2, 0, 1)


def main() -> int:
    log.basicConfig(format="[ %(levelname)s ] %(message)s", level=log.INFO, stream=sys.stdout)
    args = parse_arguments()
    images = args.input or sorted(str(p) for p in (HERE / "images").glob("*.png"))

    log.info("Creating Inference Engine")
    ie = IECore()
    if args.cpu_extension and "CPU" in args.device:
        ie.add_extension(args.cpu_extension, "CPU")

    log.info("Loading network files:\n\t%s\n\t%s", args.model, pathlib.Path(args.model).with_suffix(".bin"))
    net = ie.read_network(model=args.model, weights=str(pathlib.Path(args.model).with_suffix(".bin")))
    if "CPU" in args.device:
        supported = ie.query_network(net, args.device)
        missing = [name for name in net.layers if name not in supported]
        if missing:
            log.error("These layers are not supported by the device %s:\n %s", args.device, ", ".join(missing))
            return 1

    log.info("Preparing input blobs")
    input_name = next(iter(net.inputs))
    output_name = next(iter(net.outputs))
    net.batch_size = len(images)
    n, c, h, w = net.inputs[input_name].shape
    batch = np.stack([read_image(path, c, h, w) for path in images])
    log.info("Batch size is %d", n)

    log.info("Loading model to the plugin")
    exec_net = ie.load_network(network=net, device_name=args.device)

    log.info("Starting inference in synchronous mode")
    result = exec_net.infer(inputs={input_name: batch})[output_name]

    log.info("Processing output blob")
    labels = pathlib.Path(args.labels).read_text().splitlines() if args.labels else None
    print(f"Top {args.number_top} results:")
    for path, scores in zip(images, result, strict=True):
        scores = scores.reshape(-1)
        print(f"Image {path}\n\nclassid probability\n------- -----------")
        for index in np.argsort(scores)[::-1][: args.number_top]:
            name = labels[index] if labels else str(index)
            print(f"{name:<7} {scores[index]:.7f}")
        print()
    log.info("This sample is an API example, for any performance measurements please use a benchmark")
    return 0


if __name__ == "__main__":
    sys.exit(main())
