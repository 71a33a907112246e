# SPDX-License-Identifier: Apache-2.0
"""The API on the CPU device gives what it gives on REFERENCE."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from ie_ctypes import IECore, IENetwork, MeanVariant
from ie_ctypes.errors import IEError
from ie_ctypes.model.builder import NetworkBuilder
from ie_ctypes.model.writers import ir_bytes

from .conftest import legacy_network, opset_network


@pytest.mark.parametrize("files", [opset_network(), legacy_network()], ids=["opset", "legacy"])
@pytest.mark.parametrize("batch", [1, 3])
def test_float_networks(core: IECore, files: tuple[bytes, bytes], batch: int) -> None:
    net = core.read_network(*files)
    if batch > 1 and "28/shape" in net.layers:
        net.layers["28/shape"].weights["custom"][:] = [-1, 5184]
    net.batch_size = batch
    net.add_outputs([name for name in net.layers if name in ("relu", "26", "conv")])
    data = np.random.default_rng(5).normal(size=net.inputs["data"].shape).astype(np.float32)
    expected = core.load_network(net, "REFERENCE").infer({"data": data})
    result = core.load_network(net, "CPU").infer({"data": data})
    assert list(result) == list(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(result[name], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_bytes_with_mean_and_scale(core: IECore, legacy: IENetwork, layout: str) -> None:
    info = legacy.input_info["data"]
    info.precision, info.layout = "U8", layout
    info.preprocess_info.init(3)
    for i in range(3):
        info.preprocess_info[i].mean_value, info.preprocess_info[i].std_scale = 100 + i, 50 + i
    info.preprocess_info.mean_variant = MeanVariant.MEAN_VALUE
    legacy.outputs["split.0"].layout = layout
    data = np.random.default_rng(5).integers(0, 256, (1, 3, 8, 8)).astype(np.uint8)
    expected = core.load_network(legacy, "REFERENCE").infer({"data": data})
    for name, value in core.load_network(legacy, "CPU").infer({"data": data}).items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-4, atol=1e-5)


def test_dynamic_batch(core: IECore, legacy: IENetwork) -> None:
    legacy.batch_size = 4
    data = np.random.default_rng(5).normal(size=(4, 3, 8, 8)).astype(np.float32)
    results = []
    for device in ("REFERENCE", "CPU"):
        exec_net = core.load_network(legacy, device, {"DYN_BATCH_ENABLED": "YES"})
        exec_net.requests[0].set_batch(3)
        results.append(exec_net.infer({"data": data}))
        assert exec_net.get_config("DYN_BATCH_ENABLED") == "YES"
    for name, value in results[0].items():
        np.testing.assert_allclose(results[1][name], value, rtol=1e-4, atol=1e-5)
        assert not results[1][name][3:].any()


@pytest.mark.parametrize("streams", ["1", "2", "CPU_THROUGHPUT_AUTO"])
def test_many_threads_and_requests(core: IECore, legacy: IENetwork, streams: str) -> None:
    exec_net = core.load_network(legacy, "CPU", {"CPU_THROUGHPUT_STREAMS": streams}, num_requests=4)
    assert str(exec_net.get_config("CPU_THROUGHPUT_STREAMS")).isdigit()
    images = np.random.default_rng(5).normal(size=(8, 1, 3, 8, 8)).astype(np.float32)
    expected = [core.load_network(legacy, "REFERENCE").infer({"data": x})["fc"] for x in images]
    wrong: list[int] = []

    def sync(start: int) -> None:
        for i in range(start, start + 40):
            if not np.allclose(exec_net.infer({"data": images[i % 8]})["fc"], expected[i % 8], rtol=1e-4, atol=1e-5):
                wrong.append(i)

    def started(number: int) -> None:
        request = exec_net.requests[number]
        for i in range(number, number + 40):
            request.async_infer({"data": images[i % 8]})
            request.wait()
            if not np.allclose(request.outputs["fc"], expected[i % 8], rtol=1e-4, atol=1e-5):
                wrong.append(i)

    threads = [threading.Thread(target=sync, args=(i,)) for i in range(3)] + [
        threading.Thread(target=started, args=(i,)) for i in (1, 2, 3)
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
        assert not t.is_alive()
    assert not wrong


def test_counters_and_graph_name_every_layer(core: IECore, net: IENetwork, image: np.ndarray) -> None:
    exec_net = core.load_network(net, "CPU")
    exec_net.infer({"data": image})
    counts = exec_net.requests[0].get_perf_counts()
    assert counts["29/WithoutBiases"]["status"] == "EXECUTED"
    assert counts["21"]["status"] in ("NOT_RUN", "EXECUTED")
    graph = exec_net.get_exec_graph_info()
    computed = {name for layer in graph.layers.values() for name in layer.params.get("originalLayersNames", "").split(",")}
    assert {"19/WithoutBiases", "21", "fc_out"} <= computed


@pytest.mark.parametrize("device", ["CPU", "REFERENCE", "HETERO:REFERENCE,CPU", "MULTI:CPU,REFERENCE"])
def test_a_network_without_inputs_gives_its_constants(core: IECore, device: str) -> None:
    b = NetworkBuilder.opset()
    b.result(b.layer("Exp", "y", [b.constant("c", np.array([[0, 1]], np.float32))], [(1, 2)]))
    net = core.read_network(*ir_bytes(b.graph()), init_from_buffer=True)
    assert net.input_info == {}
    exec_net = core.load_network(net, device)
    np.testing.assert_allclose(exec_net.infer({})["y"], [[1, np.e]], rtol=1e-6)
    request = exec_net.requests[0]
    request.async_infer()
    assert request.wait() == 0
    np.testing.assert_allclose(request.output_blobs["y"].buffer, [[1, np.e]], rtol=1e-6)


def test_a_network_without_outputs_is_refused(core: IECore) -> None:
    b = NetworkBuilder.opset()
    kept = b.layer("ReadValue", "kept", [b.input("x", (1, 2))], [(1, 2)], version="opset3", params={"variable_id": "v"})
    b.layer("Assign", "store", [kept], [(1, 2)], version="opset3", params={"variable_id": "v"})
    net = core.read_network(*ir_bytes(b.graph()), init_from_buffer=True)
    with pytest.raises(IEError, match="The network doesn't have inputs/outputs"):
        core.load_network(net, "CPU")
