#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Classify images with asynchronous requests and completion callbacks, each image in a request of its own."""

from __future__ import annotations

import logging as log
import sys
import threading

import numpy as np
from classification_sample import HERE, parse_arguments, read_image

from ie_ctypes import IECore


def main() -> int:
    log.basicConfig(format="[ %(levelname)s ] %(message)s", level=log.INFO, stream=sys.stdout)
    args = parse_arguments()
    images = args.input or sorted(str(p) for p in (HERE / "images").glob("*.png"))

    ie = IECore()
    net = ie.read_network(model=args.model)
    input_name = next(iter(net.inputs))
    output_name = next(iter(net.outputs))
    _, c, h, w = net.inputs[input_name].shape
    exec_net = ie.load_network(network=net, device_name=args.device, num_requests=2)

    best: dict[int, np.ndarray] = {}
    lock = threading.Lock()

    def finished(status: int, data: tuple[int, int]) -> None:
        request_id, image_id = data
        if status != 0:
            log.error("Image %d failed with status %d", image_id, status)
            return
        with lock:
            best[image_id] = exec_net.requests[request_id].outputs[output_name].reshape(-1)

    log.info("Starting inference in asynchronous mode")
    for image_id, path in enumerate(images):
        exec_net.wait(num_requests=1)
        request_id = exec_net.get_idle_request_id()
        exec_net.requests[request_id].set_completion_callback(finished, (request_id, image_id))
        exec_net.start_async(request_id, {input_name: read_image(path, c, h, w)[None]})
    exec_net.wait()

    for image_id, path in enumerate(images):
        top = int(best[image_id].argmax())
        print(f"{path}: class {top}, probability {best[image_id][top]:.7f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
