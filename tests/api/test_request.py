# SPDX-License-Identifier: Apache-2.0
"""ExecutableNetwork and InferRequest: buffers, filling, synchronous runs, blobs, counters."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ie_ctypes import Blob, CDataPtr, DataPtr, ExecutableNetwork, IECore, IENetwork, InferRequest, InputInfoCPtr, StatusCode, TensorDesc

from .conftest import identity_network


@pytest.fixture
def copier(core: IECore, copy_net: IENetwork) -> ExecutableNetwork:
    """Copies data [1,3,4,4] to out."""
    return core.load_network(copy_net, "REFERENCE")


def load_copy(core: IECore, shape: tuple[int, ...] = (1, 3, 4, 4), precision: str = "FP32", layout: str = "") -> ExecutableNetwork:
    net = core.read_network(*identity_network(shape))
    net.input_info["data"].precision = precision
    if layout:
        net.input_info["data"].layout = layout
    return core.load_network(net, "REFERENCE")


def test_infer_returns_fresh_copies_sorted_by_name(core: IECore, legacy: IENetwork) -> None:
    exec_net = core.load_network(legacy, "REFERENCE")
    data = np.random.default_rng(0).random((1, 3, 8, 8), np.float32)
    first = exec_net.infer({"data": data})
    assert type(first) is dict
    assert list(first) == ["fc", "split.0", "split.1"]
    for value in first.values():
        assert value.dtype == np.float32
        assert value.flags.c_contiguous
        assert value.flags.owndata
        assert value.flags.writeable
    kept = first["fc"].copy()
    exec_net.infer({"data": data * 0})
    np.testing.assert_array_equal(first["fc"], kept)
    assert not np.array_equal(exec_net.infer()["fc"], kept)


def test_inputs_left_out_keep_their_content(copier: ExecutableNetwork) -> None:
    copier.infer({"data": np.full((1, 3, 4, 4), 5)})
    assert copier.infer()["out"].sum() == copier.infer({})["out"].sum() == 5 * 48


def test_inputs_are_live_views_and_outputs_are_copies(copier: ExecutableNetwork) -> None:
    request = copier.requests[0]
    request.inputs["data"][:] = 2
    assert request.inputs["data"].sum() == 96
    assert request.infer() is None
    outputs = request.outputs
    assert outputs["out"].sum() == 96
    outputs["out"][:] = 0
    assert request.outputs["out"].sum() == 96


@pytest.mark.parametrize(
    "value",
    [
        np.ones((1, 3, 4, 4), np.float64),
        np.ones((1, 3, 4, 4), np.float16),
        np.ones((1, 3, 4, 4), bool),
        np.ones((1, 3, 4, 4), np.int64),
        np.asfortranarray(np.ones((1, 3, 4, 4), np.float32)),
        np.ones((3, 4, 4)),
        np.ones((1, 1, 3, 4, 4)),
        np.ones((1, 1, 1, 1)),
        np.ones(4),
        1,
        [[[1, 1, 1, 1]]],
    ],
)
def test_arrays_are_cast_and_broadcast_as_numpy_does(copier: ExecutableNetwork, value: Any) -> None:
    assert copier.infer({"data": value})["out"].tolist() == np.ones((1, 3, 4, 4)).tolist()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.ones((1, 3, 4, 5)), ["data", "[1, 3, 4, 4]", "[1, 3, 4, 5]", "FP32", "float64"]),
        ("abc", ["data", "FP32"]),
        (np.ones((1, 3, 4, 4), np.complex64), ["data", "complex64", "FP32"]),
        (None, ["data", "object", "FP32"]),
        ([[1, 2], [3]], ["data", "list"]),
    ],
)
def test_wrong_data_is_refused_by_name(copier: ExecutableNetwork, value: Any, words: list[str]) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  (the text is checked word by word)
        copier.infer({"data": value})
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_unknown_input_name(copier: ExecutableNetwork) -> None:
    for error in (AssertionError, RuntimeError):
        with pytest.raises(error, match="No input with name _data_ found in network"):
            copier.infer({"_data_": 1})
    with pytest.raises(TypeError, match="dictionary"):
        copier.infer(np.ones((1, 3, 4, 4)))  # type: ignore[arg-type]


@pytest.mark.parametrize(("precision", "dtype"), [("U8", "uint8"), ("I8", "int8"), ("I16", "int16"), ("I32", "int32"), ("FP16", "float16")])
def test_input_precisions(core: IECore, precision: str, dtype: str) -> None:
    exec_net = load_copy(core, precision=precision)
    assert exec_net.requests[0].inputs["data"].dtype == dtype
    assert exec_net.infer({"data": np.full((1, 3, 4, 4), 7.9 if precision != "FP16" else 7)})["out"].sum() == 7 * 48


@pytest.mark.parametrize(("precision", "expected"), [("U8", [0, 2, 2, 255, 0]), ("I8", [0, 2, 2, 127, -5]), ("I32", [0, 2, 2, 300, -5])])
def test_output_precisions_round_half_to_even_and_saturate(core: IECore, precision: str, expected: list[int]) -> None:
    net = core.read_network(*identity_network((1, 5)))
    net.outputs["out"].precision = precision
    result = core.load_network(net, "REFERENCE").infer({"data": [[0.5, 1.5, 2.5, 300, -5]]})["out"]
    assert result.tolist() == [expected]
    assert result.dtype == {"U8": np.uint8, "I8": np.int8, "I32": np.int32}[precision]


def test_nhwc_input_takes_the_logical_shape_as_raw_memory(core: IECore) -> None:
    exec_net = load_copy(core, (1, 3, 4, 5), layout="NHWC")
    pixels = np.arange(60.0, dtype=np.float32).reshape(1, 4, 5, 3)
    assert exec_net.requests[0].inputs["data"].shape == (1, 3, 4, 5)
    for value in (pixels.reshape(1, 3, 4, 5), pixels):
        np.testing.assert_array_equal(exec_net.infer({"data": value})["out"], pixels.transpose(0, 3, 1, 2))


def test_nhwc_output_shows_its_memory_in_the_logical_shape(core: IECore) -> None:
    net = core.read_network(*identity_network((1, 3, 4, 5)))
    net.outputs["out"].layout = "NHWC"
    data = np.arange(60.0, dtype=np.float32).reshape(1, 3, 4, 5)
    result = core.load_network(net, "REFERENCE").infer({"data": data})["out"]
    assert result.shape == (1, 3, 4, 5)
    np.testing.assert_array_equal(result.reshape(1, 4, 5, 3), data.transpose(0, 2, 3, 1))


def test_descriptions_of_a_loaded_network(core: IECore, net: IENetwork) -> None:
    exec_net = core.load_network(net, "REFERENCE", num_requests=5)
    info = exec_net.input_info["data"]
    assert isinstance(info, InputInfoCPtr)
    assert (info.name, info.precision) == ("data", "FP32")
    assert isinstance(info.input_data, DataPtr)
    assert info.tensor_desc == TensorDesc("FP32", (1, 3, 32, 32), "NCHW")
    out = exec_net.outputs["fc_out"]
    assert isinstance(out, CDataPtr)
    assert (out.name, out.precision, out.shape, out.layout, out.initialized) == ("fc_out", "FP32", [1, 10], "NC", True)
    for target, name in ((info, "name"), (info, "precision"), (out, "precision"), (out, "layout")):
        with pytest.raises(AttributeError, match="objects is not writable"):
            setattr(target, name, "I8")
    with pytest.raises(AttributeError):
        info.input_data.precision = "I8"
    assert list(exec_net.inputs) == ["data"]
    assert exec_net.outputs[0] == "fc_out"
    with pytest.raises(KeyError):
        _ = exec_net.outputs["zzz"]
    assert len(exec_net.requests) == 5
    assert all(isinstance(r, InferRequest) for r in exec_net.requests)
    assert exec_net.requests[0] is exec_net.requests[0]


def test_metrics_and_config_of_a_loaded_network(core: IECore, net: IENetwork) -> None:
    exec_net = core.load_network(net, "REFERENCE")
    assert exec_net.get_metric("NETWORK_NAME") == "test_model"
    metrics = ["NETWORK_NAME", "SUPPORTED_METRICS", "SUPPORTED_CONFIG_KEYS", "OPTIMAL_NUMBER_OF_INFER_REQUESTS"]
    assert exec_net.get_metric("SUPPORTED_METRICS") == metrics
    assert exec_net.get_config("PERF_COUNT") == "NO"
    with pytest.raises(RuntimeError, match="Unsupported ExecutableNetwork metric: NOPE"):
        exec_net.get_metric("NOPE")
    with pytest.raises(RuntimeError, match="Unsupported ExecutableNetwork config key: NOPE"):
        exec_net.get_config("NOPE")


def test_exec_graph(core: IECore, legacy: IENetwork, tmp_path: Path) -> None:
    exec_net = core.load_network(legacy, "REFERENCE")
    graph = exec_net.get_exec_graph_info()
    assert isinstance(graph, IENetwork)
    assert graph.name == "small"
    steps = [layer for layer in graph.layers.values() if layer.type != "Input"]
    assert steps
    assert all({"execOrder", "execTimeMcs", "originalLayersNames", "primitiveType"} <= set(layer.params) for layer in steps)
    del exec_net
    graph.serialize(str(tmp_path / "graph.xml"))
    assert "originalLayersNames" in (tmp_path / "graph.xml").read_text()


def test_perf_counts(core: IECore, legacy: IENetwork) -> None:
    request = core.load_network(legacy, "REFERENCE").requests[0]
    before = request.get_perf_counts()
    assert {row["status"] for row in before.values()} == {"NOT_RUN"}
    request.infer({"data": 1})
    counts = request.get_perf_counts()
    assert list(counts) == sorted(counts)
    assert counts["fc"]["status"] == "EXECUTED"
    assert counts["fc"]["layer_type"] == "FullyConnected"
    assert set(counts["fc"]) == {"status", "exec_type", "layer_type", "real_time", "cpu_time", "execution_index"}
    assert isinstance(counts["fc"]["real_time"], int)


def test_latency(copier: ExecutableNetwork) -> None:
    request = copier.requests[0]
    assert request.latency == 0.0
    request.infer()
    assert isinstance(request.latency, float)
    assert request.latency > 0


def test_input_and_output_blobs(core: IECore, net: IENetwork, image: np.ndarray) -> None:
    request = core.load_network(net, "REFERENCE").requests[0]
    assert request.input_blobs["data"].tensor_desc == TensorDesc("FP32", (1, 3, 32, 32), "NCHW")
    assert request.output_blobs["fc_out"].tensor_desc == TensorDesc("FP32", (1, 10), "NC")
    request.input_blobs["data"].buffer[:] = image
    np.testing.assert_array_equal(request.input_blobs["data"].buffer, image)
    request.infer()
    blobs = request.output_blobs
    expected = blobs["fc_out"].buffer.copy()
    np.testing.assert_array_equal(request.outputs["fc_out"], expected)
    blobs["fc_out"].buffer[:] = 0
    np.testing.assert_array_equal(request.output_blobs["fc_out"].buffer, expected)


def test_names_that_test_programs_of_the_original_use(core: IECore, net: IENetwork) -> None:
    request = core.load_network(net, "REFERENCE").requests[0]
    assert request._inputs_list == ["data"]
    assert request._outputs_list == ["fc_out"]
    buffer = request._get_blob_buffer(b"data").to_numpy()
    assert (buffer.shape, buffer.strides, buffer.dtype) == ((1, 3, 32, 32), (12288, 4096, 128, 4), np.float32)
    buffer = request._get_blob_buffer(b"fc_out").to_numpy()
    assert (buffer.shape, buffer.strides) == ((1, 10), (40, 4))


def test_set_blob_is_used_without_a_copy(copier: ExecutableNetwork) -> None:
    request = copier.requests[0]
    array = np.ones((1, 3, 4, 4), np.float32)
    blob = Blob(TensorDesc("FP32", (1, 3, 4, 4), "NCHW"), array)
    out = Blob(TensorDesc("FP32", (1, 3, 4, 4), "NCHW"), np.zeros((1, 3, 4, 4), np.float32))
    request.set_blob("data", blob)
    request.set_blob("out", out)
    assert request.input_blobs["data"] is blob
    assert request.output_blobs["out"] is out
    array[:] = 9
    request.infer()
    assert out.buffer.sum() == 9 * 48
    assert request.outputs["out"].sum() == 9 * 48
    request.infer({"data": 2})
    assert array.sum() == 2 * 48


def test_set_blob_of_another_layout(core: IECore, net: IENetwork, image: np.ndarray) -> None:
    request = core.load_network(net, "REFERENCE").requests[0]
    request.infer({"data": image})
    expected = request.outputs["fc_out"]
    pixels = np.ascontiguousarray(image.transpose(0, 2, 3, 1))
    request.set_blob("data", Blob(TensorDesc("FP32", (1, 3, 32, 32), "NHWC"), pixels))
    request.infer()
    np.testing.assert_allclose(request.outputs["fc_out"], expected, rtol=1e-6)


def _blob(precision: str, dims: tuple[int, ...], layout: str = "NCHW") -> Blob:
    return Blob(TensorDesc(precision, dims, layout))


@pytest.mark.parametrize(
    ("name", "blob", "text"),
    [
        ("", _blob("FP32", (1, 3, 4, 4)), "[NOT_FOUND] Failed to set blob with empty name"),
        ("data", Blob(), "[NOT_ALLOCATED] Failed to set empty blob with name: 'data'"),
        ("zzz", _blob("FP32", (1, 3, 4, 4)), "[NOT_FOUND] Failed to find input or output with name: 'zzz'"),
        (
            "data",
            _blob("U8", (1, 3, 4, 4)),
            "[PARAMETER_MISMATCH] Failed to set Blob with precision not corresponding to user input precision",
        ),
        (
            "out",
            _blob("U8", (1, 3, 4, 4)),
            "[PARAMETER_MISMATCH] Failed to set Blob with precision not corresponding to user output precision",
        ),
        ("data", _blob("FP32", (1, 3, 4, 5)), "Input blob size is not equal network input size (60!=48)."),
        ("out", _blob("FP32", (1, 3, 4, 5)), "Output blob size is not equal network output size (60!=48)."),
        ("data", _blob("FP32", (1, 4, 3, 4)), "[PARAMETER_MISMATCH] Failed to set input Blob. Dimensions mismatch."),
        ("out", _blob("FP32", (1, 4, 3, 4)), "[PARAMETER_MISMATCH] Failed to set output Blob. Dimensions mismatch."),
    ],
)
def test_set_blob_refusals(copier: ExecutableNetwork, name: str, blob: Blob, text: str) -> None:
    with pytest.raises(RuntimeError, match=re.escape(text)):
        copier.requests[0].set_blob(name, blob)
    with pytest.raises(TypeError, match="Argument 'blob' has incorrect type"):
        copier.requests[0].set_blob("data", np.ones(3))  # type: ignore[arg-type]


def test_read_only_blob(copier: ExecutableNetwork) -> None:
    array = np.ones((1, 3, 4, 4), np.float32)
    array.flags.writeable = False
    blob = Blob(TensorDesc("FP32", (1, 3, 4, 4), "NCHW"), array)
    request = copier.requests[0]
    request.set_blob("data", blob)
    request.infer()
    assert request.outputs["out"].sum() == 48
    with pytest.raises(ValueError, match=r"data.*read-only"):
        request.infer({"data": 1})
    with pytest.raises(ValueError, match=r"out.*read-only"):
        request.set_blob("out", blob)


def test_wrong_request_ids(copier: ExecutableNetwork) -> None:
    for number in (5, -1, "a", None):
        with pytest.raises(ValueError, match="Incorrect request_id specified!"):
            copier.start_async(number, {"data": 1})  # type: ignore[arg-type]


def test_status_of_a_synchronous_run(copier: ExecutableNetwork) -> None:
    request = copier.requests[0]
    for timeout in (None, -1, 0, 10):
        assert request.wait(timeout) == StatusCode.INFER_NOT_STARTED
    request.infer({"data": 1})
    assert request.wait() == request.wait(0) == StatusCode.OK == 0


def test_export_and_import(core: IECore, legacy: IENetwork, tmp_path: Path) -> None:
    legacy.batch_size = 2
    legacy.input_info["data"].precision = "U8"
    legacy.add_outputs("relu")
    exec_net = core.load_network(legacy, "REFERENCE", {"PERF_COUNT": "YES"})
    data = np.random.default_rng(0).integers(0, 255, (2, 3, 8, 8)).astype(np.uint8)
    expected = exec_net.infer({"data": data})
    path = tmp_path / "net.blob"
    exec_net.export(str(path))
    for device in ("REFERENCE", ""):
        again = core.import_network(str(path), device, num_requests=2)
        assert len(again.requests) == 2
        assert again.get_config("PERF_COUNT") == "YES"
        assert again.input_info["data"].precision == "U8"
        for name, value in again.infer({"data": data}).items():
            np.testing.assert_array_equal(value, expected[name])
    assert core.import_network(path, "REFERENCE", {"PERF_COUNT": "NO"}).get_config("PERF_COUNT") == "NO"


def test_cpu_exports_packed_weights(core: IECore, legacy: IENetwork, tmp_path: Path) -> None:
    exec_net = core.load_network(legacy, "CPU")
    data = np.random.default_rng(0).random((1, 3, 8, 8)).astype(np.float32)
    expected = exec_net.infer({"data": data})
    path = tmp_path / "net.blob"
    exec_net.export(path)
    again = core.import_network(path, "")
    assert f"{path}\n" in Path("/proc/self/maps").read_text()
    exec_net.export(path)  # over the file that is in use
    for imported in (again, core.import_network(path, "CPU"), core.import_network(path, "REFERENCE")):
        for name, value in imported.infer({"data": data}).items():
            np.testing.assert_allclose(value, expected[name], rtol=1e-4, atol=1e-5)
    assert [file.name for file in tmp_path.iterdir()] == ["net.blob"]


def test_imports_of_packed_weights_that_do_not_fit(
    core: IECore, legacy: IENetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "net.blob"
    core.load_network(legacy, "CPU").export(path)
    good = path.read_bytes()
    own = good.index(b"IECPACKS")
    for position, words in (
        (own + 20, "packed weights of .* bytes"),
        (own + 64, "packed by"),
        (own + 160, "damaged"),
        (own + 4096, "damaged"),
    ):
        bad = bytearray(good)
        bad[position] ^= 1
        path.write_bytes(bad)
        with pytest.raises(RuntimeError, match=words):
            core.import_network(path, "CPU")
    for size in (own - 1, own + 1, own + 159, len(good) - 1):
        path.write_bytes(good[:size])
        with pytest.raises(RuntimeError, match=r"exported network has|cut short|packed weights of .* bytes"):
            core.import_network(path, "CPU")
    path.write_bytes(good)
    monkeypatch.setenv("IE_CTYPES_ISA", "scalar")
    with pytest.raises(RuntimeError, match=r"packed for the instruction set .*, this machine uses scalar"):
        core.import_network(path, "CPU")


def test_import_refusals(core: IECore, legacy: IENetwork, tmp_path: Path) -> None:
    path = tmp_path / "net.blob"
    core.load_network(legacy, "REFERENCE").export(path)
    good = path.read_bytes()
    for data in (
        b"",
        b"no magic",
        good[:100],
        good[:-1],
        good.replace(b'"format": 1', b'"format": 9'),
        good.replace(b'"inputs"', b'"input"'),
    ):
        path.write_bytes(data)
        with pytest.raises(RuntimeError, match=r"exported network|not written by"):
            core.import_network(path, "REFERENCE")
    with pytest.raises(RuntimeError, match="Cannot open file"):
        core.import_network(tmp_path / "missing", "REFERENCE")
    with pytest.raises(RuntimeError, match="MULTI device does not support ImportNetwork"):
        core.import_network(path, "MULTI:CPU")
    with pytest.raises(RuntimeError, match="Cannot open file"):
        core.load_network(legacy, "REFERENCE").export("/nowhere/at/all")
