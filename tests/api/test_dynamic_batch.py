# SPDX-License-Identifier: Apache-2.0
"""set_batch on networks loaded with DYN_BATCH_ENABLED."""

from __future__ import annotations

import re

import numpy as np
import pytest

from ie_ctypes import IECore, IENetwork, InferRequest
from ie_ctypes.model.builder import NetworkBuilder
from ie_ctypes.model.writers import ir_bytes

from .conftest import opset_network

ON = {"DYN_BATCH_ENABLED": "YES"}


@pytest.fixture
def request4(core: IECore, legacy: IENetwork) -> InferRequest:
    legacy.batch_size = 4
    return core.load_network(legacy, "REFERENCE", ON).requests[0]


def test_only_the_first_rows_are_computed(request4: InferRequest) -> None:
    rng = np.random.default_rng(0)
    old, new = rng.random((2, 4, 3, 8, 8), np.float32)
    request4.infer({"data": new})
    expected = request4.outputs
    request4.infer({"data": old})
    before = request4.outputs
    request4.set_batch(2)
    request4.infer({"data": new})
    for name, value in request4.outputs.items():
        assert value.shape == expected[name].shape
        np.testing.assert_allclose(value[:2], expected[name][:2], rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(value[2:], before[name][2:])
    request4.set_batch(4)
    request4.infer({"data": new})
    np.testing.assert_array_equal(request4.outputs["fc"], expected["fc"])


def test_first_row_of_a_batch_of_ten(core: IECore, image: np.ndarray) -> None:
    net = core.read_network(*opset_network())
    single = core.load_network(net, "REFERENCE").infer({"data": image})["fc_out"]
    net = core.read_network(*opset_network())
    net.layers["28/shape"].weights["custom"][:] = [-1, 5184]
    net.batch_size = 10
    exec_net = core.load_network(net, "REFERENCE", ON)
    exec_net.requests[0].set_batch(1)
    result = exec_net.infer({"data": np.concatenate([image, np.zeros((9, 3, 32, 32), np.float32)])})["fc_out"]
    np.testing.assert_allclose(result[:1], single, rtol=1e-5)
    assert not result[1:].any()


def test_asynchronous_runs_and_other_requests(core: IECore, legacy: IENetwork) -> None:
    legacy.batch_size = 3
    exec_net = core.load_network(legacy, "REFERENCE", ON, num_requests=2)
    exec_net.requests[0].set_batch(1)
    for i in range(2):
        exec_net.start_async(i, {"data": 1})
    assert exec_net.wait() == 0
    first, second = (r.outputs["fc"] for r in exec_net.requests)
    assert not first[1:].any()
    assert second[1:].any()


@pytest.mark.parametrize("size", [0, -1])
def test_size_below_one(request4: InferRequest, size: int) -> None:
    with pytest.raises(ValueError, match=f"Batch size should be positive integer number but {size} specified"):
        request4.set_batch(size)


def test_size_above_the_networks(request4: InferRequest) -> None:
    with pytest.raises(RuntimeError, match=re.escape("Invalid dynamic batch size 5 for this request.")):
        request4.set_batch(5)
    with pytest.raises(TypeError):
        request4.set_batch("2")  # type: ignore[arg-type]


@pytest.mark.parametrize("config", [None, {"DYN_BATCH_LIMIT": "2"}])
def test_not_enabled(core: IECore, legacy: IENetwork, config: dict[str, str] | None) -> None:
    with pytest.raises(RuntimeError, match=re.escape("Dynamic batch is not enabled.")):
        core.load_network(legacy, "REFERENCE", config).requests[0].set_batch(1)


def test_a_batch_that_the_network_cannot_take_leaves_the_request_usable(core: IECore) -> None:
    b = NetworkBuilder.opset("fixed")
    two_rows = b.constant("two_rows", np.ones((2, 1), np.float32))
    b.result(b.layer("Concat", "joined", [b.input("data", (2, 3)), two_rows], [(2, 4)], params={"axis": 1}))
    request = core.load_network(core.read_network(*ir_bytes(b.graph())), "REFERENCE", ON).requests[0]
    with pytest.raises(RuntimeError, match="joined"):
        request.set_batch(1)
    request.infer({"data": 1})
    assert request.outputs["joined"].sum() == 8


def test_rows_of_set_blobs(request4: InferRequest) -> None:
    data = np.random.default_rng(0).random((4, 3, 8, 8), np.float32)
    request4.infer({"data": data})
    expected = request4.outputs["fc"]
    blob = request4.input_blobs["data"]
    request4.set_batch(3)
    request4.set_blob("data", blob)
    request4.infer({"data": data})
    np.testing.assert_allclose(request4.outputs["fc"], expected, rtol=1e-5, atol=1e-6)
