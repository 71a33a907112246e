# SPDX-License-Identifier: Apache-2.0
"""Loading on the CPU device: weights packed by several threads, and what stays of the mapped file."""

from __future__ import annotations

import mmap
import os
import pathlib
import re

import numpy as np
import pytest

from ie_ctypes import IECore, IENetwork
from ie_ctypes.model.builder import NetworkBuilder
from ie_ctypes.model.writers import write_ir

CHANNELS, LAYERS = 512, 6


@pytest.fixture
def model(tmp_path: pathlib.Path) -> pathlib.Path:
    """1x1 convolutions whose weights, 1 MB each, are read from a file."""
    rng = np.random.default_rng(1)
    net = NetworkBuilder.legacy("load")
    shape = (1, CHANNELS, 2, 2)
    x = net.input("data", shape)
    for i in range(LAYERS):
        window = {"kernel": "1,1", "strides": "1,1", "dilations": "1,1", "pads_begin": "0,0", "pads_end": "0,0"}
        weights = (rng.standard_normal((CHANNELS, CHANNELS)) / CHANNELS**0.5).astype(np.float32)
        blobs = {"weights": weights, "biases": np.zeros(CHANNELS, np.float32)}
        x = net.layer("Convolution", f"conv{i}", [x], [shape], params=window | {"output": CHANNELS, "group": 1}, blobs=blobs)
    path = tmp_path / "load.xml"
    write_ir(net.graph(), path, path.with_suffix(".bin"))
    return path


def expected(net: IENetwork, x: np.ndarray) -> np.ndarray:
    y = x.reshape(CHANNELS, 4).astype(np.float64)
    for i in range(LAYERS):
        y = net.layers[f"conv{i}"].blobs["weights"].reshape(CHANNELS, CHANNELS) @ y
    return y


def resident(path: pathlib.Path) -> int:
    """Bytes of the file that are in this process's memory."""
    text = pathlib.Path("/proc/self/smaps").read_text()
    parts = re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", text, flags=re.MULTILINE)
    return sum(int(m[1]) * 1024 for part in parts if str(path) in part and (m := re.search(r"^Rss:\s+(\d+) kB", part, re.MULTILINE)))


@pytest.mark.parametrize("threads", ["1", "2", "4"])
def test_weights_are_packed_by_any_number_of_threads(model: pathlib.Path, threads: str) -> None:
    ie = IECore()
    net = ie.read_network(str(model))
    x = np.random.default_rng(2).standard_normal((1, CHANNELS, 2, 2)).astype(np.float32)
    result = ie.load_network(net, "CPU", {"CPU_THREADS_NUM": threads}).infer({"data": x})
    np.testing.assert_allclose(result[f"conv{LAYERS - 1}"].reshape(CHANNELS, 4), expected(net, x), rtol=0, atol=1e-4)


def test_pages_of_the_weights_file_are_released_after_the_load(model: pathlib.Path) -> None:
    ie = IECore()
    net = ie.read_network(str(model))
    total = sum(float(net.layers[f"conv{i}"].blobs["weights"].sum()) for i in range(LAYERS))
    before = resident(model.with_suffix(".bin"))
    exec_net = ie.load_network(net, "CPU")
    assert resident(model.with_suffix(".bin")) < 0.2 * before
    assert exec_net.requests[0].latency == 0.0
    assert sum(float(net.layers[f"conv{i}"].blobs["weights"].sum()) for i in range(LAYERS)) == total


def test_weights_that_were_changed_stay_changed_after_the_load(model: pathlib.Path) -> None:
    ie = IECore()
    net = ie.read_network(str(model))
    weights = net.layers["conv2"].blobs["weights"].reshape(CHANNELS, CHANNELS)
    weights[100:200] = 0.01
    before = weights.copy()
    exec_net = ie.load_network(net, "CPU")
    np.testing.assert_array_equal(net.layers["conv2"].blobs["weights"].reshape(CHANNELS, CHANNELS), before)
    x = np.ones((1, CHANNELS, 2, 2), np.float32)
    result = exec_net.infer({"data": x})[f"conv{LAYERS - 1}"].reshape(CHANNELS, 4)
    np.testing.assert_allclose(result, expected(net, x), rtol=1e-5, atol=1e-3)


def read_so_far() -> int:
    """Bytes that this process has asked the system to read."""
    return int(re.findall(r"^rchar: (\d+)$", pathlib.Path("/proc/self/io").read_text(), re.MULTILINE)[0])


def open_files() -> int:
    return len(list(pathlib.Path("/proc/self/fd").iterdir()))


def maps_tell_the_file(path: pathlib.Path) -> bool:
    """Do the numbers of a mapping's file in /proc/self/maps find it again? Some stacked file systems show others."""
    about = path.stat()
    numbers = f"{os.major(about.st_dev):02x}:{os.minor(about.st_dev):02x} {about.st_ino} "
    with path.open("rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ):
        return any(numbers in line for line in pathlib.Path("/proc/self/maps").read_text().splitlines())


def test_weights_are_read_from_their_file_piece_by_piece(model: pathlib.Path) -> None:
    if not maps_tell_the_file(model.with_suffix(".bin")):
        pytest.skip("the file system of temporary files shows other numbers of files in /proc/self/maps")
    ie = IECore()
    ie.load_network(ie.read_network(str(model)), "CPU")  # imports what a load needs
    net = ie.read_network(str(model))
    size, files, before = model.with_suffix(".bin").stat().st_size, open_files(), read_so_far()
    exec_net = ie.load_network(net, "CPU")
    assert size <= read_so_far() - before < 1.2 * size
    assert open_files() == files
    assert resident(model.with_suffix(".bin")) < 0.05 * size
    x = np.ones((1, CHANNELS, 2, 2), np.float32)
    result = exec_net.infer({"data": x})[f"conv{LAYERS - 1}"].reshape(CHANNELS, 4)
    np.testing.assert_allclose(result, expected(net, x), rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("gone", [False, True])
def test_a_file_that_was_replaced_after_reading_is_not_packed(model: pathlib.Path, gone: bool) -> None:
    ie = IECore()
    net = ie.read_network(str(model))
    weights = model.with_suffix(".bin")
    if gone:
        weights.unlink()
    else:
        other = weights.with_suffix(".other")
        other.write_bytes(bytes(weights.stat().st_size))
        other.replace(weights)
    exec_net = ie.load_network(net, "CPU")
    x = np.ones((1, CHANNELS, 2, 2), np.float32)
    result = exec_net.infer({"data": x})[f"conv{LAYERS - 1}"].reshape(CHANNELS, 4)
    assert np.abs(result).max() > 0.1
    np.testing.assert_allclose(result, expected(net, x), rtol=1e-5, atol=1e-3)
