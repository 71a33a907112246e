# SPDX-License-Identifier: Apache-2.0
"""Extension libraries: layer types and kernels in C."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from plugins.custom_networks import SHAPE, chain

from ie_ctypes import IECore, IEError, IENetwork, IEPlugin
from ie_ctypes.api import core as core_module
from ie_ctypes.errors import NotFoundError, NotImplementedIEError
from ie_ctypes.model.builder import NetworkBuilder
from ie_ctypes.model.writers import ir_bytes
from ie_ctypes.plugins import Extension, Kernel, hookimpl
from ie_ctypes.plugins.manager import PluginManager, create_manager

SOURCE = Path(__file__).parent / "extension.c"
DATA = np.arange(6, dtype=np.float32).reshape(SHAPE)


@pytest.fixture(scope="module")
def library(build_driver: Callable[..., str]) -> str:
    """Path of the test extension."""
    return build_driver(SOURCE)


@pytest.fixture
def manager() -> PluginManager:
    return create_manager(installed=False)


@pytest.fixture
def core(manager: PluginManager, library: str) -> IECore:
    """A core whose CPU has the extension."""
    core = IECore(plugin_manager=manager)
    core.add_extension(extension_path=library, device_name="CPU")
    return core


@pytest.mark.parametrize("dialect", ["legacy", "opset"])
@pytest.mark.parametrize("device", ["CPU", "HETERO:CPU", "HETERO:REFERENCE,CPU"])
def test_a_layer_in_c(core: IECore, dialect: str, device: str) -> None:
    net = core.read_network(*chain(dialect, type="CScale"))
    answer = core.query_network(net, device)
    assert answer["mine"] == "CPU"
    assert set(answer) == set(net.layers)
    exec_net = core.load_network(net, device)
    np.testing.assert_array_equal(exec_net.infer({"data": DATA})["out0"], 3 * DATA)
    if device == "CPU":
        assert exec_net.requests[0].get_perf_counts()["mine"]["exec_type"] == "c_scale_FP32"


def test_its_shapes_take_part_in_reshape(core: IECore) -> None:
    for net in (core.read_network(*chain("legacy", type="CScale")), IENetwork(*chain("opset", type="CScale"))):
        net.reshape({"data": (4, 5)})
        assert net.layers["mine"].shape == [4, 5]
        assert core.load_network(net, "CPU").infer({"data": np.ones((4, 5))})["out0"].tolist() == [[3] * 5] * 4


def test_several_outputs_without_state(core: IECore) -> None:
    net = core.read_network(*chain("legacy", type="CSplit", outputs=[(2,), (2,)]))
    net.add_outputs([("mine", 1)])
    net.outputs["mine.1"].precision = "I32"
    found = core.load_network(net, "CPU").infer({"data": DATA})
    assert found["out0"].tolist() == [0, 3]
    assert found["mine.1"].tolist() == [2, 5]
    with pytest.raises(IEError, match=r"mine.*CSplit.*expected 2 outputs, got 1"):
        core.load_network(core.read_network(*chain("legacy", type="CSplit")), "CPU")


def test_attributes_answer_in_every_type_and_blobs_are_inputs(core: IECore) -> None:
    params, blobs = {"one": 7, "list": "1,2.5"}, {"weights": np.array([4, 6], np.float32)}
    net = core.read_network(*chain("legacy", type="CRead", params=params, blobs=blobs, outputs=[(8,)]))
    found = core.load_network(net, "CPU").infer({"data": DATA})["out0"]
    assert found.tolist() == [7, 7, 1, 5.5, 0, 5, 1, 6]


def test_errors_name_the_layer(core: IECore) -> None:
    for params, text in (({}, "factor is missing"), ({"factor": -2}, "factor, expected at least 0, is -2")):
        with pytest.raises(IEError, match=f"layer mine of type CScale: kernel c_scale: {text}"):
            core.load_network(core.read_network(*chain("legacy", type="CScale", params=params)), "CPU")
    exec_net = core.load_network(core.read_network(*chain("legacy", type="CScale")), "CPU")
    for _ in range(2):
        with pytest.raises(IndexError, match="layer mine of type CScale: an element is 2000"):
            exec_net.infer({"data": np.full(SHAPE, 2000)})
        np.testing.assert_array_equal(exec_net.infer({"data": DATA})["out0"], 3 * DATA)


@pytest.mark.parametrize("threads", ["1", "2"])
def test_of_several_layers_that_cannot_be_prepared_the_first_is_told(core: IECore, threads: str) -> None:
    b = NetworkBuilder.legacy("faults")
    x = b.input("data", SHAPE)
    for i, size in enumerate((0, 4, 1, 400_000)):  # those with large constants are prepared first
        blobs = {"weights": np.ones(size, np.float32)} if size else {}
        x = b.layer("CScale", f"layer{i}", [x], [SHAPE], params={"factor": -i}, blobs=blobs)
    net = core.read_network(*ir_bytes(b.graph()))
    with pytest.raises(IEError, match="layer layer1 of type CScale: kernel c_scale: factor, expected at least 0, is -1"):
        core.load_network(net, "CPU", {"CPU_THREADS_NUM": threads})


def test_the_device_decides_by_types_too(core: IECore) -> None:
    b = NetworkBuilder.legacy("integers")
    data = b.input("data", SHAPE, precision="I32")
    b.layer("CScale", "mine", [data], [SHAPE], params={"factor": 1}, precision="I32")
    net = core.read_network(*ir_bytes(b.graph()))
    assert "mine" not in core.query_network(net, "CPU")  # its kernel is for floats
    with pytest.raises(NotFoundError, match="Unsupported primitive of type: CScale name: mine"):
        core.load_network(net, "CPU")


def softmax(core: IECore) -> np.ndarray:
    b = NetworkBuilder.legacy("softmax")
    data = b.input("data", SHAPE)
    b.layer("SoftMax", "prob", [data], [SHAPE], params={"axis": 1})
    return core.load_network(core.read_network(*ir_bytes(b.graph())), "CPU").infer({"data": DATA})["prob"]


def test_a_kernel_of_higher_priority_replaces_a_built_in_one(
    core: IECore, manager: PluginManager, build_driver: Callable[..., str]
) -> None:
    assert softmax(core).sum() == 0
    modest = IECore(plugin_manager=manager)
    modest.add_extension(build_driver(SOURCE, "-DPRIORITY=1"), "CPU")
    np.testing.assert_allclose(softmax(modest).sum(1), 1, rtol=1e-6)
    core.unregister_plugin("CPU")
    np.testing.assert_allclose(softmax(core).sum(1), 1, rtol=1e-6)


def test_no_pass_takes_a_layer_from_the_extension_that_wants_it(manager: PluginManager, build_driver: Callable[..., str]) -> None:
    b = NetworkBuilder.opset("products")
    x = b.input("x", (2, 5, 3))
    turned = b.layer("Transpose", "turned", [x, b.constant("order", np.array([1, 0, 2]))], [(5, 2, 3)])
    b.result(b.layer("MatMul", "product", [turned, b.constant("w", np.ones((3, 4), np.float32))], [(5, 2, 4)]))
    core = IECore(plugin_manager=manager)
    net = core.read_network(*ir_bytes(b.graph()))
    feed = {"x": np.ones((2, 5, 3), np.float32)}
    assert (core.load_network(net, "CPU").infer(feed)["product"] == 3).all()
    core.add_extension(build_driver(SOURCE, '-DREPLACED="Transpose"'), "CPU")
    assert (core.load_network(net, "CPU").infer(feed)["product"] == 0).all()


def test_c_runs_what_python_describes(core: IECore, manager: PluginManager) -> None:
    slow = Kernel(type="CScale", function=lambda params, x: x * 3, shape=lambda params, x: x.shape, priority=50)
    core.add_extension(slow, "CPU")
    exec_net = core.load_network(core.read_network(*chain("legacy", type="CScale")), "CPU")
    exec_net.infer({"data": DATA})
    assert exec_net.requests[0].get_perf_counts()["mine"]["exec_type"] == "c_scale_FP32"


@pytest.mark.parametrize(
    ("flag", "text"),
    [
        ("-DMAJOR=7", r"the extension was built for ABI 7\.\d+, this library has 1\.\d+"),
        ("-DNO_NAME", "the extension has no name"),
        ("-DNO_RUN", "kernel zeros: supports or run is missing"),
        ("-DPRIORITY=0", "kernel zeros: priority 0, expected at least 1"),
        ("-DSHORT_TABLE", "table has 16 bytes, expected at least 40"),
    ],
)
def test_faulty_libraries(manager: PluginManager, build_driver: Callable[..., str], flag: str, text: str) -> None:
    core = IECore(plugin_manager=manager)
    with pytest.raises(IEError, match=text):
        core.add_extension(build_driver(SOURCE, flag), "CPU")
    np.testing.assert_allclose(softmax(core).sum(1), 1, rtol=1e-6)


def test_a_shape_function_that_answers_nonsense(manager: PluginManager, build_driver: Callable[..., str]) -> None:
    core = IECore(plugin_manager=manager)
    core.add_extension(build_driver(SOURCE, "-DBAD_SHAPE"), "CPU")
    with pytest.raises(IEError, match="layer mine of type CScale: its shape function fails: CScale: output 0: dimension 0 is -4"):
        core.load_network(core.read_network(*chain("legacy", type="CScale")), "CPU")


def test_what_cannot_be_loaded(manager: PluginManager, build_driver: Callable[..., str], tmp_path: Path) -> None:
    core = IECore(plugin_manager=manager)
    with pytest.raises(IEError, match=r"Cannot load library '/x\.so': /x\.so: cannot open shared object file: No such file or directory"):
        core.add_extension("/x.so", "CPU")
    with pytest.raises(IEError, match="exports no iec_extension_query"):
        core.add_extension(build_driver(Path(__file__).parent / "empty_driver.c"), "CPU")
    with pytest.raises(IEError, match="HETERO device does not support extensions"):
        core.add_extension("/x.so", "HETERO:CPU")
    with pytest.raises(IEError, match="MULTI device does not support extensions"):
        core.add_extension("/x.so", "MULTI")
    with pytest.raises(IEError, match='Device with "BLA" name is not registered'):
        core.add_extension("/x.so", "BLA")


def test_devices_without_extensions(manager: PluginManager, library: str, build_driver: Callable[..., str]) -> None:
    core = IECore(plugin_manager=manager)
    core.register_plugin(build_driver(Path(__file__).parents[2] / "csrc" / "driver_null" / "null.c"), "NULL")
    for device in ("REFERENCE", "NULL"):
        with pytest.raises(NotImplementedIEError, match=rf"\[NOT_IMPLEMENTED\] {device} device does not support extension"):
            core.add_extension(library, device)


def test_library_of_a_plugin(manager: PluginManager, library: str) -> None:
    class Plugin:
        @hookimpl
        def ie_ctypes_extensions(self) -> list[Extension]:
            return [Extension(name="mine", library=lambda: library), Extension(name="gone", library=lambda: "/gone.so")]

    manager.register(Plugin(), "plugin")
    core = IECore(plugin_manager=manager)
    with pytest.warns(RuntimeWarning, match=r"plugin plugin has extension gone, which cannot be loaded: .*/gone\.so"):
        exec_net = core.load_network(core.read_network(*chain("legacy", type="CScale")), "CPU")
    np.testing.assert_array_equal(exec_net.infer({"data": DATA})["out0"], 3 * DATA)


def test_what_is_loaded_outlives_the_extension(core: IECore) -> None:
    exec_net = core.load_network(core.read_network(*chain("legacy", type="CScale")), "CPU")
    core.unregister_plugin("CPU")
    del core
    np.testing.assert_array_equal(exec_net.infer({"data": DATA})["out0"], 3 * DATA)


RETIRED = ["libcpu_extension.so", "libcpu_extension_avx2.so", "libcpu_extension_sse4.so", "libcpu_extension_avx512.so"]


def test_retired_libraries_are_accepted_with_one_warning() -> None:
    core_module._warn_once_of_retired.cache_clear()
    core, plugin = IECore(), IEPlugin("CPU")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for name in [*RETIRED, "libcpu_extension.dylib", "cpu_extension.dll"]:
            core.add_extension(f"/some_dir/{name}", "CPU")
            plugin.add_cpu_extension(name)
    (warning,) = caught
    assert "CPU has their layers" in str(warning.message)
    assert warning.category is DeprecationWarning
    with pytest.raises(IEError, match="Cannot load library"):
        core.add_extension("/some_dir/libmy_cpu_extension.so", "CPU")  # somebody's own
