# SPDX-License-Identifier: Apache-2.0
"""HETERO: which device runs a layer, that the parts compute what one device computes, settings, reports, errors."""

from __future__ import annotations

import copy
import re
import threading
from pathlib import Path

import numpy as np
import pytest

from ie_ctypes import ExecutableNetwork, IECore, IENetwork, IEPlugin, MeanVariant
from ie_ctypes.devices.base import CompositeDevice
from ie_ctypes.errors import NotFoundError
from ie_ctypes.model.builder import NetworkBuilder
from ie_ctypes.model.graph import Body, PortMap
from ie_ctypes.model.network import Network

from .conftest import GateDevice, legacy_network, opset_network


def alternate(net: IENetwork, devices: tuple[str, ...] = ("CPU", "REFERENCE")) -> None:
    """Every second layer on another device."""
    for i, layer in enumerate(net.layers.values()):
        layer.affinity = devices[i % len(devices)]


def same(got: dict[str, np.ndarray], want: dict[str, np.ndarray]) -> None:
    assert list(got) == list(want)
    for name, value in want.items():
        np.testing.assert_allclose(got[name], value, rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.fixture(params=["opset", "legacy"])
def any_net(request: pytest.FixtureRequest, core: IECore) -> IENetwork:
    return core.read_network(*(opset_network() if request.param == "opset" else legacy_network()))


def feed(net: IENetwork, seed: int = 5) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=data.shape).astype(np.float32) for name, data in net.inputs.items()}


# -- which device ----------------------------------------------------------------------------------------------------------
def test_one_device_gives_its_own_bits(core: IECore, any_net: IENetwork) -> None:
    inputs = feed(any_net)
    want = core.load_network(any_net, "CPU").infer(inputs)
    for load in (
        lambda: core.load_network(any_net, "HETERO:CPU"),
        lambda: core.load_network(any_net, "HETERO", {"TARGET_FALLBACK": "CPU"}),
    ):
        for name, value in load().infer(inputs).items():
            np.testing.assert_array_equal(value, want[name])


def test_query_names_the_first_device_that_runs_each_layer(gate: GateDevice, core: IECore, any_net: IENetwork) -> None:
    placed = core.query_network(any_net, "HETERO:GATE,CPU")
    assert set(placed) == set(any_net.layers)
    assert {placed[name] for name, layer in any_net.layers.items() if layer.type == "ReLU"} == {"CPU"}
    assert {placed[name] for name, layer in any_net.layers.items() if layer.type != "ReLU"} == {"GATE"}
    assert set(core.query_network(any_net, "HETERO", {"TARGET_FALLBACK": "REFERENCE,CPU"}).values()) == {"REFERENCE"}
    relus = {name for name, layer in any_net.layers.items() if layer.type == "ReLU"}
    assert set(core.query_network(any_net, "HETERO:GATE")) == set(any_net.layers) - relus
    assert not any(layer.affinity for layer in any_net.layers.values())


def groups(exec_net: ExecutableNetwork) -> list[tuple[str, set[str]]]:
    """Device and layers of every part."""
    return [(part.device, {node.layer for node in part.program.nodes}) for part in exec_net._loaded.executable._parts]  # type: ignore[attr-defined]


def test_a_device_takes_what_it_runs_and_the_next_the_rest(gate: GateDevice, core: IECore, legacy: IENetwork) -> None:
    exec_net = core.load_network(legacy, "HETERO:GATE,CPU")
    assert groups(exec_net) == [("GATE", {"conv"}), ("CPU", {"relu"}), ("GATE", {"split", "fc"})]


def test_every_second_layer_elsewhere(core: IECore, any_net: IENetwork) -> None:
    inputs = feed(any_net)
    want = core.load_network(any_net, "CPU").infer(inputs)
    alternate(any_net)
    same(core.load_network(any_net, "HETERO").infer(inputs), want)
    same(core.load_network(any_net, "HETERO:CPU").infer(inputs), want)


def devices_of(core: IECore, net: IENetwork, device: str) -> dict[str, str]:
    """Layer -> device, as loaded."""
    steps = core.load_network(net, device).get_exec_graph_info().layers.values()
    found = {}
    for step in steps:
        for layer in step.params.get("originalLayersNames", "").split(","):
            found[layer] = step.params.get("device", "")
    return found


def test_layers_without_affinity_go_with_their_neighbours(core: IECore, legacy: IENetwork) -> None:
    legacy.layers["relu"].affinity = "REFERENCE"
    placed = devices_of(core, legacy, "HETERO:CPU")
    assert {placed[name] for name in ("conv", "relu", "split", "fc")} == {"REFERENCE"}
    legacy.layers["conv"].affinity = "CPU"
    placed = devices_of(core, legacy, "HETERO")
    assert (placed["conv"], placed["relu"], placed["fc"]) == ("CPU", "REFERENCE", "REFERENCE")


def test_a_neighbour_that_cannot_run_the_layer_does_not_get_it(gate: GateDevice, core: IECore, legacy: IENetwork) -> None:
    legacy.layers["conv"].affinity = "GATE"
    legacy.layers["fc"].affinity = "GATE"
    parts = groups(core.load_network(legacy, "HETERO:CPU"))
    assert parts == [("GATE", {"conv"}), ("CPU", {"relu", "split"}), ("GATE", {"fc"})]


def test_affinity_of_layers_that_are_folded_or_inputs_decides_nothing(core: IECore, net: IENetwork) -> None:
    net.layers["data"].affinity = net.layers["19/w"].affinity = "REFERENCE"
    with pytest.raises(RuntimeError, match="the order of devices was not initialized"):
        core.load_network(net, "HETERO")
    assert set(devices_of(core, net, "HETERO:CPU").values()) <= {"CPU", ""}


def test_affinities_survive_copies_and_export(core: IECore, legacy: IENetwork, tmp_path: Path) -> None:
    alternate(legacy)
    wanted = {name: layer.affinity for name, layer in legacy.layers.items()}
    assert {name: layer.affinity for name, layer in copy.deepcopy(legacy).layers.items()} == wanted
    inputs = feed(legacy)
    exec_net = core.load_network(legacy, "HETERO:CPU,REFERENCE")
    exec_net.export(tmp_path / "net.blob")
    again = core.import_network(tmp_path / "net.blob", "")
    assert again.requests[0].get_perf_counts().keys() == exec_net.requests[0].get_perf_counts().keys()
    same(again.infer(inputs), exec_net.infer(inputs))


# -- what the parts compute ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_preprocessed_bytes_read_by_several_parts(core: IECore, layout: str) -> None:
    b = NetworkBuilder.legacy("shared")
    data = b.input("data", (1, 3, 4, 4))
    shape = (1, 3, 4, 4)
    left = b.layer("ReLU", "left", [data], [shape])
    right = b.layer("Power", "right", [data], [shape], params={"power": 2, "scale": 0.1, "shift": 0})
    total = b.layer("Eltwise", "sum", [left, right], [shape], params={"operation": "sum"})
    b.layer("Eltwise", "all", [total, data], [shape], params={"operation": "max"})
    net = IENetwork._of(Network(b.graph()))
    info = net.input_info["data"]
    info.precision, info.layout = "U8", layout
    info.preprocess_info.init(3)
    for i in range(3):
        info.preprocess_info[i].mean_value = 100 + i
    info.preprocess_info.mean_variant = MeanVariant.MEAN_VALUE
    image = np.random.default_rng(2).integers(0, 256, shape).astype(np.uint8)
    want = core.load_network(net, "CPU").infer({"data": image})
    for name, device in (("left", "CPU"), ("right", "REFERENCE"), ("sum", "CPU"), ("all", "REFERENCE")):
        net.layers[name].affinity = device
    same(core.load_network(net, "HETERO").infer({"data": image}), want)


def test_an_output_that_others_read_and_constants_on_both_sides(core: IECore) -> None:
    b = NetworkBuilder.opset("outputs")
    x, c = b.input("x", (2, 3)), b.constant("c", np.arange(6, dtype=np.float32).reshape(2, 3))
    first = b.layer("Add", "first", [x, c], [(2, 3)], params={"auto_broadcast": "numpy"})
    second = b.layer("Multiply", "second", [first, c], [(2, 3)], params={"auto_broadcast": "numpy"})
    for node in (first, second, x, c):
        b.result(node)
    net = IENetwork._of(Network(b.graph()))
    net.layers["first"].affinity, net.layers["second"].affinity = "CPU", "REFERENCE"
    exec_net = core.load_network(net, "HETERO")
    given = np.full((2, 3), 2, np.float32)
    want = {"c": np.arange(6).reshape(2, 3), "first": 2 + np.arange(6).reshape(2, 3), "x": given}
    want["second"] = want["first"] * want["c"]
    for _ in range(2):
        same(exec_net.infer({"x": given}), dict(sorted(want.items())))


def test_border_values_are_not_copied(core: IECore, legacy: IENetwork) -> None:
    alternate(legacy)
    request = core.load_network(legacy, "HETERO").requests[0]
    seen: list[tuple[list[np.ndarray], list[np.ndarray]]] = []
    for part in request._request._requests:  # type: ignore[attr-defined]
        run = part.infer
        part.infer = lambda i, o, run=run: (seen.append((list(i), list(o))), run(i, o))
    request.infer(feed(legacy))
    assert len(seen) > 2
    given = {id(a) for _, outputs in seen for a in outputs}
    taken = {id(a) for inputs, _ in seen for a in inputs}
    mine = {id(s.memory) for s in (*request._inputs.values(), *request._outputs.values())}
    assert taken <= given | mine  # the very arrays
    assert mine <= given | taken


def test_batch_reshape_and_dynamic_batch(core: IECore, legacy: IENetwork) -> None:
    alternate(legacy)
    legacy.batch_size = 4
    inputs = feed(legacy)
    want = core.load_network(legacy, "CPU").infer(inputs)
    exec_net = core.load_network(legacy, "HETERO", {"DYN_BATCH_ENABLED": "YES"})
    same(exec_net.infer(inputs), want)
    request = exec_net.requests[0]
    request.set_batch(2)
    request.infer({k: v * 0 for k, v in inputs.items()})
    np.testing.assert_allclose(request.outputs["fc"][2:], want["fc"][2:], rtol=1e-4, atol=1e-5)
    assert not np.allclose(request.outputs["fc"][:2], want["fc"][:2])
    with pytest.raises(RuntimeError, match="Dynamic batch is not enabled"):
        core.load_network(legacy, "HETERO").requests[0].set_batch(2)


def test_states_stay_with_their_request(core: IECore) -> None:
    b = NetworkBuilder.opset("sum")
    x = b.input("x", (1, 3))
    start = b.constant("start", np.zeros((1, 3), np.float32))
    read = b.layer("ReadValue", "read", [start], [(1, 3)], params={"variable_id": "total"}, version="opset3")
    total = b.layer("Add", "sum", [read, x], [(1, 3)])
    b.layer("Assign", "keep", [total], [(1, 3)], params={"variable_id": "total"}, version="opset3")
    b.result(b.layer("ReLU", "out", [total], [(1, 3)]))
    net = IENetwork._of(Network(b.graph()))
    net.layers["sum"].affinity, net.layers["out"].affinity = "CPU", "REFERENCE"
    one, two = core.load_network(net, "HETERO", num_requests=2).requests
    for i in range(1, 4):
        one.infer({"x": np.ones((1, 3))})
        np.testing.assert_array_equal(one.outputs["out"], np.full((1, 3), i, np.float32))
    two.infer({"x": np.ones((1, 3))})
    assert two.outputs["out"].max() == 1
    one.query_state()[0].reset()
    one.infer()
    assert one.outputs["out"].max() == 1


def branch(op: str) -> Body:
    inner = NetworkBuilder.opset("body")
    value = inner.input("v", (2, 3))
    result = inner.result(inner.layer(op, "y", [value], [(2, 3)]))
    return Body(inner.graph(), [PortMap(1, value.id)], [PortMap(2, result.id)])


def test_bodies_run_where_their_layer_runs(core: IECore) -> None:
    b = NetworkBuilder.opset("choice")
    x = b.input("x", (2, 3))
    cond = b.input("cond", (1,), "BOOL")
    doubled = b.layer("Add", "doubled", [x, x], [(2, 3)])
    chosen = b.layer("If", "if", [cond, doubled], [(2, 3)], version="opset8", bodies={"then": branch("Abs"), "else": branch("Negative")})
    b.result(b.layer("ReLU", "out", [chosen], [(2, 3)]))
    net = IENetwork._of(Network(b.graph()))
    for name, device in (("doubled", "CPU"), ("if", "REFERENCE"), ("out", "CPU")):
        net.layers[name].affinity = device
    exec_net = core.load_network(net, "HETERO")
    given = np.array([[-1, 2, -3], [4, -5, 6]], np.float32)
    np.testing.assert_array_equal(exec_net.infer({"x": given, "cond": [1]})["out"], 2 * abs(given))
    np.testing.assert_array_equal(exec_net.infer({"x": given, "cond": [0]})["out"], np.maximum(-2 * given, 0))


def test_many_started_requests(core: IECore, legacy: IENetwork) -> None:
    alternate(legacy)
    exec_net = core.load_network(legacy, "HETERO", num_requests=6)
    inputs = [feed(legacy, seed) for seed in range(24)]
    want = [core.load_network(legacy, "CPU").infer(i) for i in inputs]
    done: list[int] = []
    for request in exec_net.requests:
        request.set_completion_callback(lambda status, _: done.append(int(status)))
    for begin in range(0, 24, 6):
        for k, request in enumerate(exec_net.requests):
            request.async_infer(inputs[begin + k])
        for k, request in enumerate(exec_net.requests):
            assert request.wait() == 0
            same(request.outputs, want[begin + k])
    assert done == [0] * 24


def test_a_part_that_fails_fails_the_request(gate: GateDevice, core: IECore, legacy: IENetwork) -> None:
    gate.fail = True
    gate.gate.set()
    exec_net = core.load_network(legacy, "HETERO:GATE,CPU")
    with pytest.raises(NotFoundError, match="the device was told to fail"):
        exec_net.infer(feed(legacy))
    statuses: list[int] = []
    exec_net.requests[0].set_completion_callback(lambda status, _: statuses.append(int(status)))
    exec_net.start_async(0)
    with pytest.raises(NotFoundError, match="the device was told to fail"):
        exec_net.requests[0].wait()
    assert statuses == [-5]


def test_requests_of_one_network_are_in_different_parts_at_once(gate: GateDevice, core: IECore, legacy: IENetwork) -> None:
    exec_net = core.load_network(legacy, "HETERO:GATE,CPU", num_requests=2)
    for request in exec_net.requests:
        request.async_infer(feed(legacy))
    limit = threading.Event()
    while gate.running < 2 and not limit.wait(0.01):
        pass
    gate.gate.set()
    # the stub gives shapes of its own; that both were inside is what counts
    assert gate.most == 2
    for request in exec_net.requests:
        with pytest.raises(RuntimeError):
            request.wait()


# -- settings and reports --------------------------------------------------------------------------------------------------
def test_metrics_and_config(core: IECore, legacy: IENetwork) -> None:
    assert core.get_metric("HETERO", "SUPPORTED_METRICS") == ["SUPPORTED_METRICS", "SUPPORTED_CONFIG_KEYS"]
    assert set(core.get_metric("HETERO", "SUPPORTED_CONFIG_KEYS")) == {
        "HETERO_DUMP_GRAPH_DOT",
        "TARGET_FALLBACK",
        "EXCLUSIVE_ASYNC_REQUESTS",
    }
    assert core.get_config("HETERO", "HETERO_DUMP_GRAPH_DOT") is False
    with pytest.raises(NotFoundError, match="Unsupported config key: TARGET_FALLBACK"):
        core.get_config("HETERO", "TARGET_FALLBACK")
    with pytest.raises(NotFoundError, match="Unsupported Plugin metric: FULL_DEVICE_NAME"):
        core.get_metric("HETERO", "FULL_DEVICE_NAME")
    exec_net = core.load_network(legacy, "HETERO:CPU,REFERENCE", {"CPU_THROUGHPUT_STREAMS": "3"}, num_requests=0)
    assert len(exec_net.requests) == exec_net.get_metric("OPTIMAL_NUMBER_OF_INFER_REQUESTS") == 3
    assert exec_net.get_metric("NETWORK_NAME") == "small"
    assert exec_net.get_metric("SUPPORTED_CONFIG_KEYS") == ["TARGET_FALLBACK", "HETERO_DUMP_GRAPH_DOT", "EXCLUSIVE_ASYNC_REQUESTS"]
    assert exec_net.get_config("TARGET_FALLBACK") == "CPU,REFERENCE"
    assert exec_net.get_config("HETERO_DUMP_GRAPH_DOT") is False
    assert exec_net.get_config("EXCLUSIVE_ASYNC_REQUESTS") is True
    versions = core.get_versions("HETERO:CPU,REFERENCE")
    assert set(versions) == {"CPU", "HETERO", "REFERENCE"}
    assert versions["HETERO"].description == versions["HETERO"].build_number == "heteroPlugin"
    assert "HETERO" not in core.available_devices


def test_keys_go_to_the_parts_that_know_them(core: IECore, legacy: IENetwork) -> None:
    with pytest.raises(ValueError, match="Wrong value for property key CPU_THREADS_NUM"):
        core.load_network(legacy, "HETERO:CPU,REFERENCE", {"CPU_THREADS_NUM": "-1"})
    with pytest.warns(RuntimeWarning, match="NOPE is left out: none of the devices CPU, REFERENCE knows it"):
        core.load_network(legacy, "HETERO:CPU,REFERENCE", {"NOPE": "1"})
    with pytest.raises(ValueError, match=r"Wrong value for property key HETERO_DUMP_GRAPH_DOT\. Expected only YES/NO"):
        core.load_network(legacy, "HETERO:CPU", {"HETERO_DUMP_GRAPH_DOT": "yes"})
    core.set_config({"HETERO_DUMP_GRAPH_DOT": "YES"}, "HETERO")
    assert core.get_config("HETERO", "HETERO_DUMP_GRAPH_DOT") is True


def test_ids_of_devices(gate: GateDevice, core: IECore, legacy: IENetwork) -> None:
    seen: list[dict[str, str]] = []
    run = gate.compile
    gate.compile = lambda program, config: (seen.append(dict(config)), run(program, config))[1]  # type: ignore[method-assign]
    placed = core.query_network(legacy, "HETERO:GATE.B,CPU")
    assert placed["conv"] == "GATE.B"
    assert placed["relu"] == "CPU"
    core.load_network(legacy, "HETERO:GATE.B,CPU")
    assert seen == [{"DEVICE_ID": "B"}, {"DEVICE_ID": "B"}]
    with pytest.raises(RuntimeError, match=re.escape("[NOT_FOUND] Unsupported property DEVICE_ID by CPU plugin")):
        core.load_network(legacy, "HETERO:CPU.0")


def test_counters_have_the_names_of_parts(core: IECore, legacy: IENetwork) -> None:
    for name, device in (("conv", "CPU"), ("relu", "REFERENCE"), ("split", "REFERENCE"), ("fc", "CPU")):
        legacy.layers[name].affinity = device
    request = core.load_network(legacy, "HETERO", {"PERF_COUNT": "YES"}).requests[0]
    before = request.get_perf_counts()
    assert {"subgraph0: conv", "subgraph1: relu", "subgraph1: split", "subgraph2: fc"} == set(before)
    assert not {row["status"] for row in before.values()} & {"EXECUTED"}
    request.infer(feed(legacy))
    after = request.get_perf_counts()
    assert set(before) <= set(after)
    assert after["subgraph1: relu"]["exec_type"] == "numpy"
    order = [after[f"subgraph{i}: {n}"]["execution_index"] for i, n in enumerate(("conv", "relu", "fc"))]
    assert order == sorted(set(order))


def test_graph_of_what_runs(core: IECore, legacy: IENetwork) -> None:
    for name, device in (("conv", "CPU"), ("relu", "REFERENCE"), ("split", "REFERENCE"), ("fc", "CPU")):
        legacy.layers[name].affinity = device
    layers = core.load_network(legacy, "HETERO").get_exec_graph_info().layers
    relu = next(layer for layer in layers.values() if layer.params.get("originalLayersNames") == "relu")
    assert relu.name == "subgraph1: relu"
    assert relu.params["device"] == "REFERENCE"
    assert [layers[p].params["device"] for p in relu.parents] == ["CPU"]
    assert relu.children
    order = [int(layer.params["execOrder"]) for layer in layers.values() if layer.type != "Input"]
    assert sorted(order) == list(range(len(order)))


def test_dot_files(core: IECore, legacy: IENetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    alternate(legacy)
    core.load_network(legacy, "HETERO", {"HETERO_DUMP_GRAPH_DOT": "YES"})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["hetero_affinity_small.dot", "hetero_subgraphs_small.dot"]
    affinity = (tmp_path / "hetero_affinity_small.dot").read_text()
    assert '"conv" -> "relu";' in affinity
    found = dict(re.findall(r'"(\w+)" \[label="\w+\\nType: \w+\\n(\w+)"', affinity))
    assert found == {name: legacy.layers[name].affinity for name in ("conv", "relu", "split", "fc")}
    assert 'label="conv\\nType: Convolution\\n' in (tmp_path / "hetero_subgraphs_small.dot").read_text()


# -- errors ----------------------------------------------------------------------------------------------------------------
def test_no_devices(core: IECore, legacy: IENetwork) -> None:
    text = "Cannot set affinity according to fallback policy because the order of devices was not initialized"
    with pytest.raises(RuntimeError, match=text):
        core.load_network(legacy, "HETERO")
    with pytest.raises(RuntimeError, match=text):
        core.query_network(legacy, "HETERO")
    with pytest.raises(RuntimeError, match='Device with "XPU" name is not registered in the InferenceEngine'):
        core.load_network(legacy, "HETERO:XPU,CPU")
    legacy.layers["relu"].affinity = "XPU"
    with pytest.raises(RuntimeError, match='Device with "XPU" name is not registered in the InferenceEngine'):
        core.load_network(legacy, "HETERO:CPU")
    with pytest.raises(RuntimeError, match="HETERO cannot be a part of another device"):
        core.load_network(legacy, "HETERO:CPU,HETERO")


def test_layers_that_no_device_runs(gate: GateDevice, core: IECore, legacy: IENetwork) -> None:
    with pytest.raises(NotFoundError, match="Hetero plugin used default fallback policy, but some layers eg: ") as fault:
        core.load_network(legacy, "HETERO:GATE")
    assert "(Name:relu, Type: ReLU) were not able to be assigned on any pointed device." in str(fault.value)
    legacy.layers["conv"].affinity = "GATE"
    with pytest.raises(NotFoundError, match="Network passed to LoadNetwork has affinity assigned, but some layers eg: \n") as fault:
        core.load_network(legacy, "HETERO:GATE")
    assert "(Name:relu, Type: ReLU) were not assigned to any device.\n" in str(fault.value)
    legacy.layers["relu"].affinity = "GATE"
    with pytest.raises(NotFoundError, match="Unsupported primitive of type: ReLU name: relu"):
        core.load_network(legacy, "HETERO:GATE")


def test_a_device_that_cannot_answer(gate: GateDevice, core: IECore, legacy: IENetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(program: object) -> list[bool]:
        raise RuntimeError("lost")

    monkeypatch.setattr(gate, "query", broken)
    with pytest.raises(RuntimeError, match="Failed to call QueryNetwork for GATE device, error: lost"):
        core.load_network(legacy, "HETERO:GATE,CPU")


# -- the old way -----------------------------------------------------------------------------------------------------------
def test_initial_affinity_of_the_old_plugin(legacy: IENetwork, gate: GateDevice) -> None:
    plugin = IEPlugin("HETERO:CPU")
    assert plugin.version == "2.1.heteroPlugin"
    plugin.set_config({"TARGET_FALLBACK": "HETERO:GATE,CPU"})  # the spelling of the document
    plugin.set_initial_affinity(legacy)
    wanted = {name: "CPU" if layer.type == "ReLU" else "GATE" for name, layer in legacy.layers.items()}
    assert {name: layer.affinity for name, layer in legacy.layers.items()} == wanted
    assert plugin.get_supported_layers(legacy) == set(legacy.layers)
    gate.gate.set()
    assert "subgraph1: relu" in plugin.load(legacy).requests[0].get_perf_counts()
    bare = IEPlugin("HETERO")
    bare.set_config({"TARGET_FALLBACK": "CPU"})
    bare.set_initial_affinity(legacy)
    assert {layer.affinity for layer in legacy.layers.values()} == {"CPU"}


def test_composite_devices_are_ordinary_ones(core: IECore) -> None:
    entry = core._registry.entry("HETERO")
    assert isinstance(core._registry.device(entry), CompositeDevice)
    core.unregister_plugin("HETERO")
    assert core.get_config("HETERO", "HETERO_DUMP_GRAPH_DOT") is False
