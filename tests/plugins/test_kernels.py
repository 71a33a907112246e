# SPDX-License-Identifier: Apache-2.0
"""Layers that are computed by Python functions, on every device that can."""

from __future__ import annotations

import copy
import gc
import threading
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ie_ctypes import IECore, IEError, IENetwork
from ie_ctypes.errors import NotFoundError
from ie_ctypes.plugins import Extension, Kernel, hookimpl, kernel
from ie_ctypes.plugins.kernels import forget
from ie_ctypes.plugins.manager import PluginManager

from .custom_networks import SHAPE, chain, loop

DATA = np.arange(6, dtype=np.float32).reshape(SHAPE)


def times(params: Any, x: np.ndarray) -> np.ndarray:
    """factor * x."""
    return x * params.float("factor", 2.0)


def same_shape(params: Any, x: Any) -> tuple[int, ...]:
    """That of the input."""
    return x.shape  # type: ignore[no-any-return]


TIMES = Kernel(type="MyLayer", function=times, shape=same_shape)


class Provides:
    """A plugin with kernels."""

    def __init__(self, *kernels: Kernel) -> None:
        self._kernels = kernels

    @hookimpl
    def ie_ctypes_kernels(self, device: str) -> Sequence[Kernel]:
        return self._kernels


@pytest.fixture
def core(manager: PluginManager) -> IECore:
    """A core whose plugins provide MyLayer."""
    manager.register(Provides(TIMES), "provides")
    return IECore(plugin_manager=manager)


def only(results: dict[str, np.ndarray]) -> np.ndarray:
    (array,) = results.values()
    return array


@pytest.mark.parametrize("device", ["CPU", "REFERENCE", "HETERO:CPU", "HETERO:REFERENCE,CPU", "MULTI:CPU,REFERENCE"])
@pytest.mark.parametrize("dialect", ["legacy", "opset"])
def test_runs_on_every_device(core: IECore, dialect: str, device: str) -> None:
    net = core.read_network(*chain(dialect))
    assert net.layers["mine"].params == {"factor": "3"}
    if not device.startswith("MULTI"):
        assert set(core.query_network(net, device)) == set(net.layers)
    exec_net = core.load_network(net, device)
    np.testing.assert_array_equal(only(exec_net.infer({"data": DATA})), 3 * DATA)
    request = exec_net.start_async(0, {"data": DATA + 1})
    assert request.wait() == 0
    np.testing.assert_array_equal(only(request.outputs), 3 * (DATA + 1))


def test_cut_in_two_by_affinity(core: IECore) -> None:
    net = core.read_network(*chain("legacy"))
    for name, layer in net.layers.items():
        layer.affinity = "CPU" if name == "mine" else "REFERENCE"
    exec_net = core.load_network(net, "HETERO:CPU,REFERENCE")
    np.testing.assert_array_equal(only(exec_net.infer({"data": DATA})), 3 * DATA)


def test_exported_network(core: IECore, tmp_path: Path) -> None:
    net = core.read_network(*chain("legacy"))
    core.load_network(net, "CPU").export(tmp_path / "net.blob")
    imported = core.import_network(tmp_path / "net.blob", "CPU")
    np.testing.assert_array_equal(only(imported.infer({"data": DATA})), 3 * DATA)


def test_copies_of_a_network(declared: Kernel) -> None:
    twin = copy.deepcopy(IENetwork(*chain("opset")))
    np.testing.assert_array_equal(only(IECore().load_network(twin, "CPU").infer({"data": DATA})), 10 * DATA)


@pytest.mark.parametrize("device", ["CPU", "REFERENCE"])
def test_dynamic_batch(core: IECore, device: str) -> None:
    exec_net = core.load_network(core.read_network(*chain("legacy")), device, {"DYN_BATCH_ENABLED": "YES"})
    request = exec_net.requests[0]
    request.set_batch(1)
    request.infer({"data": DATA})
    np.testing.assert_array_equal(only(request.outputs)[0], 3 * DATA[0])


def test_performance_counters_name_it(core: IECore) -> None:
    exec_net = core.load_network(core.read_network(*chain("legacy")), "CPU", {"PERF_COUNT": "YES"})
    exec_net.infer({"data": DATA})
    row = exec_net.requests[0].get_perf_counts()["mine"]
    assert (row["status"], row["layer_type"]) == ("EXECUTED", "MyLayer")
    assert row["exec_type"].startswith("python")


@pytest.mark.parametrize("device", ["CPU", "REFERENCE"])
def test_reshape_and_batch(core: IECore, device: str) -> None:
    net = core.read_network(*chain("opset"))
    net.reshape({"data": (4, 5)})
    assert net.layers["mine"].shape == [4, 5]
    assert core.load_network(net, device).infer({"data": np.ones((4, 5))})["out0"].shape == (4, 5)
    net.batch_size = 2
    assert net.outputs["out0"].shape == [2, 5]


def test_reshape_without_a_shape_function(manager: PluginManager) -> None:
    manager.register(Provides(Kernel(type="MyLayer", function=times)), "provides")
    core = IECore(plugin_manager=manager)
    net = core.read_network(*chain("legacy"))
    np.testing.assert_array_equal(only(core.load_network(net, "CPU").infer({"data": DATA})), 3 * DATA)
    with pytest.raises(IEError, match="layer mine of type MyLayer: its shape function fails: it has none, so the layer cannot"):
        net.reshape({"data": (4, 5)})


@pytest.mark.parametrize("device", ["CPU", "REFERENCE"])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_error_names_the_layer_and_has_its_cause(manager: PluginManager, device: str, asynchronous: bool) -> None:
    def fails(params: Any, x: np.ndarray) -> np.ndarray:
        raise ZeroDivisionError("by " + "\u2205" * 400)

    manager.register(Provides(Kernel(type="MyLayer", function=fails, shape=same_shape)), "provides")
    core = IECore(plugin_manager=manager)
    exec_net = core.load_network(core.read_network(*chain("legacy")), device, num_requests=2)
    request = exec_net.requests[1]
    start, finish = (request.async_infer, request.wait) if asynchronous else (lambda _: None, lambda: request.infer({"data": DATA}))
    start({"data": DATA})
    with pytest.raises(IEError, match="layer mine of type MyLayer: ZeroDivisionError: by \u2205") as error:
        finish()
    assert isinstance(error.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("device", ["CPU", "REFERENCE"])
def test_a_network_works_after_a_failure(manager: PluginManager, device: str) -> None:
    def sometimes(params: Any, x: np.ndarray) -> np.ndarray:
        if x.max() > 100:
            raise OverflowError("too much")
        return x

    manager.register(Provides(Kernel(type="MyLayer", function=sometimes, shape=same_shape)), "provides")
    core = IECore(plugin_manager=manager)
    exec_net = core.load_network(core.read_network(*chain("opset")), device)
    for _ in range(3):
        with pytest.raises(IEError, match="too much"):
            exec_net.infer({"data": DATA + 1000})
        np.testing.assert_array_equal(only(exec_net.infer({"data": DATA})), DATA)


@pytest.mark.parametrize("device", ["CPU", "REFERENCE"])
@pytest.mark.parametrize(
    ("result", "text"),
    [
        (np.zeros((3, 2)), r"output 0 of the kernel has shape \[3, 2\], expected \[2, 3\]"),
        ([DATA, DATA], "the kernel gave 2 outputs, expected 1"),
        (DATA + 1j, "output 0 of the kernel is of complex64, expected float32"),
        ("text", r"output 0 of the kernel has shape \[\], expected \[2, 3\]"),
    ],
)
def test_wrong_results(manager: PluginManager, device: str, result: Any, text: str) -> None:
    manager.register(Provides(Kernel(type="MyLayer", function=lambda params, x: result, shape=same_shape)), "provides")
    core = IECore(plugin_manager=manager)
    exec_net = core.load_network(core.read_network(*chain("legacy")), device)
    with pytest.raises(IEError, match=f"layer mine of type MyLayer: {text}"):
        exec_net.infer({"data": DATA})


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        (lambda params, x: (2, -3), "is negative"),
        (lambda params, x: 5, "it gave 5, expected a shape or a list of shapes"),
        (lambda params, x: [(2, 3), (2, 3)], "it gave 2 shapes, the layer has 1 outputs"),
        (lambda params, x: [("a",)], r"it gave \('a',\), expected a shape of integers"),
        (lambda params, x: (params.int("axis"),), "attribute axis is missing, expected an integer"),
        (lambda params, x: (params.ints("factor")[4],), "its shape function fails: IndexError"),
        (lambda params, x: (1 << 50,), "has 1125899906842624 elements"),
    ],
)
def test_wrong_shapes(manager: PluginManager, shape: Any, text: str) -> None:
    manager.register(Provides(Kernel(type="MyLayer", function=times, shape=shape)), "provides")
    core = IECore(plugin_manager=manager)
    with pytest.raises(IEError, match=f"layer mine of type MyLayer: .*{text}"):
        core.load_network(core.read_network(*chain("legacy")), "CPU")


@pytest.mark.parametrize("device", ["CPU", "REFERENCE", "HETERO:CPU,REFERENCE"])
def test_several_outputs_of_declared_types_and_blobs(manager: PluginManager, device: str) -> None:
    def shapes(params: Any, x: Any, *, weights: Any) -> list[tuple[int, ...]]:
        assert weights.data.tolist() == [1.0, 2.0, 3.0]
        return [x.shape, (x.shape[0],)]

    def function(params: Any, x: np.ndarray, *, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return x * weights, x.argmax(1)

    made = Kernel(type="MyLayer", function=function, shape=shapes, dtypes=("float32", "int32"))
    manager.register(Provides(made), "provides")
    core = IECore(plugin_manager=manager)
    files = chain("legacy", outputs=[SHAPE, (2,)], blobs={"weights": np.array([1, 2, 3], np.float32)})
    net = core.read_network(*files)
    net.add_outputs([("mine", 0), ("mine", 1)])
    net.outputs["mine.1"].precision = "I32"
    found = core.load_network(net, device).infer({"data": DATA})
    np.testing.assert_array_equal(found["mine.0"], DATA * [1, 2, 3])
    np.testing.assert_array_equal(found["mine.1"], [2, 2])
    assert found["mine.1"].dtype == np.int32


@pytest.mark.parametrize("device", ["CPU", "REFERENCE"])
def test_in_the_body_of_a_loop(core: IECore, device: str) -> None:
    data = np.arange(12, dtype=np.float32).reshape(4, 3)
    exec_net = core.load_network(core.read_network(*loop()), device)
    np.testing.assert_array_equal(only(exec_net.infer({"data": data})), 3 * data)


def test_a_failure_in_the_body_of_a_loop(manager: PluginManager) -> None:
    def third(params: Any, x: np.ndarray) -> np.ndarray:
        if x[0, 0] == 6:
            raise ValueError("row 2")
        return x

    manager.register(Provides(Kernel(type="MyLayer", function=third, shape=same_shape)), "provides")
    core = IECore(plugin_manager=manager)
    exec_net = core.load_network(core.read_network(*loop()), "CPU", {"CPU_THREADS_NUM": "2"})
    with pytest.raises(IEError, match="layer mine of type MyLayer: ValueError: row 2"):
        exec_net.infer({"data": np.arange(12, dtype=np.float32).reshape(4, 3)})
    exec_net.infer({"data": np.zeros((4, 3))})


@pytest.mark.parametrize("device", ["CPU", "REFERENCE"])
@pytest.mark.parametrize(("priority", "factor"), [(99, 1), (100, -1)])
def test_a_built_in_type_is_replaced_from_priority_100_on(manager: PluginManager, device: str, priority: int, factor: int) -> None:
    negate = Kernel(type="ReLU", function=lambda params, x: -x, shape=same_shape, priority=priority)
    manager.register(Provides(negate, TIMES), "provides")
    core = IECore(plugin_manager=manager)
    found = only(core.load_network(core.read_network(*chain("legacy")), device).infer({"data": DATA}))
    np.testing.assert_array_equal(found, 3 * DATA)  # twice negated, or not at all
    net = core.read_network(*chain("legacy"))
    net.add_outputs("before")
    np.testing.assert_array_equal(core.load_network(net, device).infer({"data": DATA})["before"], factor * DATA)


@pytest.mark.parametrize("device", ["CPU", "REFERENCE"])
def test_a_type_called_like_a_kind_of_the_runtime(manager: PluginManager, device: str) -> None:
    manager.register(Provides(Kernel(type="Unary", function=times, shape=same_shape)), "provides")
    core = IECore(plugin_manager=manager)
    net = core.read_network(*chain("legacy", type="Unary"))
    np.testing.assert_array_equal(only(core.load_network(net, device).infer({"data": DATA})), 3 * DATA)


def test_only_operations_of_that_set(manager: PluginManager) -> None:
    made = Kernel(type="MyLayer", function=times, shape=same_shape, opset="extension")
    manager.register(Provides(made), "provides")
    core = IECore(plugin_manager=manager)
    core.load_network(core.read_network(*chain("opset")), "CPU")
    with pytest.raises(NotFoundError, match="Unsupported primitive of type: MyLayer name: mine"):
        core.load_network(core.read_network(*chain("legacy")), "CPU")


@pytest.fixture
def declared() -> Iterator[Kernel]:
    """MyLayer made by the decorator."""

    @kernel("MyLayer", device="CPU", shape=same_shape)
    def ten_times(params: Any, x: np.ndarray) -> np.ndarray:
        return 10 * x

    yield ten_times
    forget(ten_times)


def test_the_decorator(declared: Kernel) -> None:
    np.testing.assert_array_equal(declared({}, DATA), 10 * DATA)  # still a function
    core = IECore()
    for device in ("CPU", "REFERENCE"):
        exec_net = core.load_network(core.read_network(*chain("legacy")), device)
        np.testing.assert_array_equal(only(exec_net.infer({"data": DATA})), 10 * DATA)
    net = IENetwork(*chain("opset"))
    net.reshape({"data": (1, 1)})  # a network that no core has read
    assert net.layers["mine"].shape == [1, 1]


def test_defined_again() -> None:
    core = IECore()
    loaded = []
    for factor in (1.0, 2.0):

        @kernel("MyLayer", shape=same_shape)
        def again(params: Any, x: np.ndarray, factor: float = factor) -> np.ndarray:
            return factor * x

        loaded.append(core.load_network(core.read_network(*chain("legacy")), "CPU"))
    try:
        for factor, exec_net in zip((1.0, 2.0), loaded, strict=True):
            np.testing.assert_array_equal(only(exec_net.infer({"data": DATA})), factor * DATA)
    finally:
        forget(again)
    with pytest.raises(NotFoundError, match="MyLayer"):
        core.load_network(core.read_network(*chain("legacy")), "CPU")
    np.testing.assert_array_equal(only(loaded[1].infer({"data": DATA})), 2 * DATA)


def test_two_plugins_with_a_kernel_for_one_type(manager: PluginManager) -> None:
    manager.register(Provides(TIMES), "one")
    manager.register(Provides(Kernel(type="MyLayer", function=times)), "two")
    core = IECore(plugin_manager=manager)
    with pytest.raises(IEError, match="the CPU kernel of layer type MyLayer is provided by two plugins, one and two"):
        core.load_network(core.read_network(*chain("legacy")), "CPU")


def test_extension_of_a_plugin(manager: PluginManager) -> None:
    class Plugin:
        @hookimpl
        def ie_ctypes_extensions(self) -> list[Extension]:
            return [Extension(name="mine", kernels=(TIMES,))]

    manager.register(Plugin(), "plugin")
    core = IECore(plugin_manager=manager)
    np.testing.assert_array_equal(only(core.load_network(core.read_network(*chain("opset")), "CPU").infer({"data": DATA})), 3 * DATA)
    with pytest.raises(ValueError, match="exactly one of library and kernels"):
        Extension(name="empty")


def test_added_by_hand_to_one_device_of_one_core(manager: PluginManager) -> None:
    core, other = IECore(plugin_manager=manager), IECore(plugin_manager=manager)
    core.add_extension(TIMES, "CPU")
    core.add_extension([TIMES], "CPU")
    net = core.read_network(*chain("legacy"))
    np.testing.assert_array_equal(only(core.load_network(net, "CPU").infer({"data": DATA})), 3 * DATA)
    for one, device in ((core, "REFERENCE"), (other, "CPU")):
        with pytest.raises(NotFoundError, match="MyLayer"):
            one.load_network(net, device)
    core.unregister_plugin("CPU")
    with pytest.raises(NotFoundError, match="MyLayer"):
        core.load_network(net, "CPU")
    with pytest.raises(TypeError, match="Argument 'extension_path' has incorrect type"):
        core.add_extension([times], "CPU")  # type: ignore[list-item]


def test_the_device_under_another_name(core: IECore) -> None:
    core.register_plugin("MKLDNNPlugin", "BLA")
    net = core.read_network(*chain("legacy"))
    np.testing.assert_array_equal(only(core.load_network(net, "BLA").infer({"data": DATA})), 3 * DATA)


def test_many_threads(core: IECore) -> None:
    exec_net = core.load_network(core.read_network(*chain("legacy")), "CPU", {"CPU_THROUGHPUT_STREAMS": "2"}, num_requests=8)
    wrong: list[object] = []

    def work(i: int) -> None:
        for n in range(25):
            found = exec_net.requests[i].infer({"data": DATA + n})
            if not np.array_equal(only(found or exec_net.requests[i].outputs), 3 * (DATA + n)):
                wrong.append((i, n))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_a_function_may_keep_its_inputs(manager: PluginManager) -> None:
    kept: list[np.ndarray] = []

    def keeps(params: Any, x: np.ndarray) -> np.ndarray:
        kept.append(x)
        return x

    manager.register(Provides(Kernel(type="MyLayer", function=keeps, shape=same_shape)), "provides")
    core = IECore(plugin_manager=manager)
    exec_net = core.load_network(core.read_network(*chain("legacy")), "CPU")
    for n in range(3):
        exec_net.infer({"data": DATA + n})
    del exec_net, core
    gc.collect()
    np.testing.assert_array_equal(kept, [DATA, DATA + 1, DATA + 2])


def test_nothing_stays_behind(manager: PluginManager) -> None:
    class Big:
        pass

    big = Big()

    def holds(params: Any, x: np.ndarray, big: Big = big) -> np.ndarray:
        return x

    made = Kernel(type="MyLayer", function=holds, shape=same_shape)
    alive = weakref.ref(big)
    core = IECore(plugin_manager=manager)
    core.add_extension(made, "CPU")
    exec_net = core.load_network(core.read_network(*chain("legacy")), "CPU")
    exec_net.infer({"data": DATA})
    del holds, made, big, core, exec_net
    gc.collect()
    assert alive() is None


def test_params() -> None:
    from ie_ctypes.model.custom import Params

    params = Params({"a": "1,2", "b": "true", "c": "0.5", "d": "x"})
    assert (params.ints("a"), params.floats("a"), params.bool("b"), params.float("c")) == ((1, 2), (1.0, 2.0), True, 0.5)
    assert (params.int("z", 7), params.bool("z", False), params.ints("z", (1,)), len(params), dict(params)["d"]) == (7, False, (1,), 4, "x")
    for read, text in (
        (lambda: params.int("c"), "attribute c is '0.5', expected an integer"),
        (lambda: params.bool("d"), "attribute d is 'x', expected true or false"),
        (lambda: params.floats("z"), "attribute z is missing, expected numbers"),
    ):
        with pytest.raises(ValueError, match=text):
            read()
