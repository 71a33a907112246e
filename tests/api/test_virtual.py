# SPDX-License-Identifier: Apache-2.0
"""Virtual accelerators: how they are asked for, names and ids, metrics and keys, which layers, what they compute."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from ie_ctypes import IECore, IENetwork
from ie_ctypes.devices.accelerators import FPGA, GNA, MYRIAD
from ie_ctypes.devices.rounding import Half
from ie_ctypes.devices.virtual import Accelerator, Fpga, Gna, Myriad, VirtualDevice
from ie_ctypes.errors import IEError, NotFoundError
from ie_ctypes.model.builder import NetworkBuilder
from ie_ctypes.model.network import Network
from ie_ctypes.plugins import Device as DeviceRecord
from ie_ctypes.plugins import hookimpl
from ie_ctypes.plugins.manager import create_manager

from .conftest import identity_network, legacy_network, opset_network


@pytest.fixture
def virtual(monkeypatch: pytest.MonkeyPatch) -> IECore:
    monkeypatch.setenv("IE_CTYPES_VIRTUAL_DEVICES", "MYRIAD:2, FPGA,GNA")
    return IECore()


@pytest.fixture(params=["opset", "legacy"])
def any_net(request: pytest.FixtureRequest, core: IECore) -> IENetwork:
    return core.read_network(*(opset_network() if request.param == "opset" else legacy_network()))


def feed(net: IENetwork) -> dict[str, np.ndarray]:
    return {name: np.random.default_rng(5).normal(size=data.shape).astype(np.float32) for name, data in net.inputs.items()}


# -- asking for them -------------------------------------------------------------------------------------------------------
def test_nothing_is_there_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IE_CTYPES_VIRTUAL_DEVICES", raising=False)
    core = IECore()
    assert not {"MYRIAD", "FPGA", "GNA"} & set(core._registry.names())
    with pytest.raises(NotFoundError, match='Device with "MYRIAD" name is not registered'):
        core.get_metric("MYRIAD", "FULL_DEVICE_NAME")


def test_names_and_ids(virtual: IECore) -> None:
    assert [n for n in virtual.available_devices if n.partition(".")[0] not in ("CPU", "GPU")] == [
        "FPGA",
        "GNA",
        "MYRIAD.1.1-ma2480",
        "MYRIAD.1.2-ma2480",
    ]
    assert virtual.get_metric("MYRIAD", "AVAILABLE_DEVICES") == ["1.1-ma2480", "1.2-ma2480"]
    assert "virtual" in virtual.get_metric("MYRIAD.1.1-ma2480", "FULL_DEVICE_NAME")
    assert virtual.get_versions("MYRIAD")["MYRIAD"].description == "virtual MYRIAD"


@pytest.mark.parametrize(
    ("text", "unit"),
    [("1.2-ma2480", "1.2-ma2480"), ("1", "1.2-ma2480"), ("0", "1.1-ma2480"), ("1.1", "1.1-ma2480"), ("1.2-", "1.2-ma2480")],
)
def test_units_by_id_number_or_beginning(text: str, unit: str) -> None:
    assert Myriad(2).unit_of(text) == unit


def test_units_that_are_not_there(virtual: IECore, legacy: IENetwork) -> None:
    for name in ("MYRIAD.7", "MYRIAD.1.", "MYRIAD.1.3-ma2480", "FPGA.1"):
        with pytest.raises(NotFoundError, match=re.escape("[NOT_FOUND] ") + r".* has no device .*, there are"):
            virtual.load_network(legacy, name)
    assert Myriad(1).unit_of("1") == "1.1-ma2480"


@pytest.mark.parametrize("text", ["TPU", "MYRIAD:0", "MYRIAD:x", "FPGA:65", "MYRIAD(2)"])
def test_a_wrong_variable_is_a_warning_that_names_it(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("IE_CTYPES_VIRTUAL_DEVICES", text)
    with pytest.warns(RuntimeWarning, match=re.escape(f"IE_CTYPES_VIRTUAL_DEVICES: {text!r}, expected DEVICE or DEVICE:units")):
        core = IECore()
    assert "CPU" in core.available_devices


def test_number_of_units_is_a_setting(virtual: IECore) -> None:
    virtual.set_config({"VIRTUAL_UNITS": "3"}, "FPGA")
    assert [n for n in virtual.available_devices if n.startswith("FPGA")] == ["FPGA.0", "FPGA.1", "FPGA.2"]
    with pytest.raises(ValueError, match="Wrong value for property key VIRTUAL_UNITS"):
        virtual.set_config({"VIRTUAL_UNITS": "0"}, "FPGA")


def test_a_file_of_plugins(tmp_path: Path, legacy: IENetwork) -> None:
    classes = {"MYRIAD": "ie_ctypes.devices.virtual.Myriad", "CPU": "MKLDNNPlugin", "HETERO": "HeteroPlugin", "ODD": "os.path.join"}
    rows = [f'<plugin name="{name}" location="{place}">' for name, place in classes.items()]
    rows[0] += '<properties><property key="VIRTUAL_UNITS" value="2"/><property key="LOG_LEVEL" value="LOG_INFO"/></properties>'
    path = tmp_path / "plugins.xml"
    path.write_text("<ie><plugins>" + "".join(row + "</plugin>" for row in rows) + "</plugins></ie>")
    core = IECore(str(path))
    assert core.get_metric("MYRIAD", "AVAILABLE_DEVICES") == ["1.1-ma2480", "1.2-ma2480"]
    assert core.get_config("MYRIAD", "LOG_LEVEL") == "LOG_INFO"
    assert set(core.query_network(legacy, "HETERO:MYRIAD.1.2-ma2480,CPU").values()) == {"MYRIAD.1.2-ma2480"}
    with pytest.raises(IEError, match=r"Failed to create plugin os.path.join for device ODD\n(.|\n)*os.path.join is not a subclass of"):
        core.get_metric("ODD", "FULL_DEVICE_NAME")


def test_registered_by_code(core: IECore) -> None:
    core.register_plugin("ie_ctypes.devices.virtual.Fpga", "FPGA")
    assert "FPGA" in core.available_devices
    core.register_plugin("ie_ctypes.devices.virtual.Nothing", "NOTHING")
    with pytest.raises(IEError, match=r"Failed to create plugin ie_ctypes.devices.virtual.Nothing for device NOTHING"):
        core.get_metric("NOTHING", "FULL_DEVICE_NAME")
    core.register_plugin("no.such.module.Class", "ABSENT")
    with pytest.raises(IEError, match="No module named 'no'"):
        core.get_metric("ABSENT", "FULL_DEVICE_NAME")


# -- metrics and keys ------------------------------------------------------------------------------------------------------
def test_metrics(virtual: IECore, legacy: IENetwork) -> None:
    assert virtual.get_metric("MYRIAD", "OPTIMIZATION_CAPABILITIES") == ["FP16"]
    assert virtual.get_metric("MYRIAD", "RANGE_FOR_ASYNC_INFER_REQUESTS") == (3, 6, 1)
    virtual.set_config({"VPU_MYRIAD_THROUGHPUT_STREAMS": "3"}, "MYRIAD")
    assert virtual.get_metric("MYRIAD", "RANGE_FOR_ASYNC_INFER_REQUESTS") == (4, 9, 1)
    exec_net = virtual.load_network(legacy, "MYRIAD", num_requests=0)
    assert len(exec_net.requests) == 6
    assert isinstance(exec_net.get_metric("DEVICE_THERMAL"), float)
    assert "DEVICE_THERMAL" in exec_net.get_metric("SUPPORTED_METRICS")
    exec_net = virtual.load_network(legacy, "MYRIAD", {"VPU_MYRIAD_THROUGHPUT_STREAMS": "1"}, num_requests=0)
    assert len(exec_net.requests) == 2
    for name in ("MYRIAD", "FPGA", "GNA"):
        metrics = virtual.get_metric(name, "SUPPORTED_METRICS")
        assert metrics == sorted(metrics)
        for metric in metrics:
            assert virtual.get_metric(name, metric) is not None
        for key in virtual.get_metric(name, "SUPPORTED_CONFIG_KEYS"):
            assert isinstance(virtual.get_config(name, key), str)
        with pytest.raises(NotFoundError, match="Unsupported metric key NOPE"):
            virtual.get_metric(name, "NOPE")


@pytest.mark.parametrize(
    ("device", "key", "value", "text"),
    [
        ("MYRIAD", "NOPE", "1", "[NOT_FOUND] Unsupported property NOPE by MYRIAD plugin"),
        ("MYRIAD", "VPU_HW_STAGES_OPTIMIZATION", "yes", "VPU_HW_STAGES_OPTIMIZATION. Expected only YES/NO"),
        ("MYRIAD", "VPU_COMPUTE_LAYOUT", "NCHW", "Expected only VPU_AUTO/VPU_NCHW/VPU_NHWC/VPU_NCDHW/VPU_NDHWC"),
        ("MYRIAD", "VPU_MYRIAD_THROUGHPUT_STREAMS", "0", "Expected only numbers >= 1, got '0'"),
        ("FPGA", "DLIA_ENABLE_STREAMING", "ON", "DLIA_ENABLE_STREAMING. Expected only YES/NO"),
        ("FPGA", "DLIA", "YES", "[NOT_FOUND] Unsupported property DLIA by FPGA plugin"),
        ("GNA", "GNA_SCALE_FACTOR_0", "-1", "Expected only positive numbers, got '-1'"),
        ("GNA", "GNA_SCALE_FACTOR", "nan", "Expected only positive numbers, got 'nan'"),
        ("GNA", "GNA_LIB_N_THREADS", "128", "Wrong value for property key GNA_LIB_N_THREADS"),
    ],
)
def test_wrong_settings(virtual: IECore, legacy: IENetwork, device: str, key: str, value: str, text: str) -> None:
    with pytest.raises(RuntimeError, match=re.escape(text)):
        virtual.set_config({key: value}, device)
    with pytest.raises(RuntimeError, match=re.escape(text)):
        virtual.load_network(legacy, device, {key: value})


def test_settings_of_a_load(virtual: IECore, legacy: IENetwork) -> None:
    virtual.set_config({"LOG_LEVEL": "LOG_INFO"}, "MYRIAD")
    exec_net = virtual.load_network(legacy, "MYRIAD.1", {"VPU_COMPUTE_LAYOUT": "VPU_NCHW"})
    assert exec_net.get_config("LOG_LEVEL") == "LOG_INFO"
    assert exec_net.get_config("VPU_COMPUTE_LAYOUT") == "VPU_NCHW"
    assert exec_net.get_config("VPU_HW_STAGES_OPTIMIZATION") == "YES"
    assert exec_net.get_config("DEVICE_ID") == "1"


# -- layers ----------------------------------------------------------------------------------------------------------------
def convolution(dilation: int = 1, rank: int = 2) -> IENetwork:
    b = NetworkBuilder.legacy()
    sizes = (6,) * rank
    data = b.input("data", (1, 2, *sizes))
    pads = (dilation,) * rank
    params = {
        "kernel": (3,) * rank,
        "strides": (1,) * rank,
        "pads_begin": pads,
        "pads_end": pads,
        "dilations": pads,
        "output": 2,
        "group": 1,
    }
    blobs = {"weights": np.ones(4 * 3**rank, np.float32), "biases": np.zeros(2, np.float32)}
    b.layer("Convolution", "conv", [data], [(1, 2, *sizes)], params=params, blobs=blobs)
    return IENetwork._of(Network(b.graph()))


def eltwise(operation: str) -> IENetwork:
    b = NetworkBuilder.legacy()
    data = b.input("data", (1, 4))
    left = b.layer("ReLU", "left", [data], [(1, 4)])
    b.layer("Eltwise", "out", [left, data], [(1, 4)], params={"operation": operation})
    return IENetwork._of(Network(b.graph()))


def test_what_the_accelerators_run(virtual: IECore) -> None:
    def runs(device: str, net: IENetwork, layer: str) -> bool:
        return layer in virtual.query_network(net, device)

    assert runs("FPGA", convolution(), "conv")
    assert not runs("FPGA", convolution(dilation=2), "conv")
    assert not runs("FPGA", convolution(rank=3), "conv")
    assert [runs("MYRIAD", convolution(dilation=2), "conv"), runs("MYRIAD", convolution(rank=3), "conv")] == [True, False]
    assert [runs("FPGA", eltwise(op), "out") for op in ("sum", "mul", "max")] == [True, False, False]
    assert [runs("GNA", eltwise(op), "out") for op in ("sum", "mul", "max")] == [True, True, False]
    assert [runs("MYRIAD", eltwise(op), "out") for op in ("sum", "mul", "max")] == [True, True, True]


def test_layers_of_the_opset_network(virtual: IECore, net: IENetwork) -> None:
    assert set(net.layers) - set(virtual.query_network(net, "MYRIAD")) == set()
    assert set(net.layers) - set(virtual.query_network(net, "GNA")) == {"fc_out"}
    assert set(net.layers) - set(virtual.query_network(net, "FPGA")) == {"fc_out", "28/Reshape"}
    with pytest.raises(NotFoundError, match="Unsupported primitive of type: Reshape name: 28/Reshape; also unsupported: fc_out"):
        virtual.load_network(net, "FPGA")


# -- what they compute -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("device", ["MYRIAD", "MYRIAD.1.2-ma2480", "HETERO:FPGA,CPU", "HETERO:MYRIAD.0,CPU", "MULTI:MYRIAD.1,MYRIAD.0"])
def test_halves_are_near_and_not_equal(virtual: IECore, any_net: IENetwork, device: str) -> None:
    inputs = feed(any_net)
    want = virtual.load_network(any_net, "CPU").infer(inputs)
    exec_net = virtual.load_network(any_net, device)
    for name, value in exec_net.infer(inputs).items():
        error = np.abs(value - want[name]).max() / np.abs(want[name]).max()
        assert 1e-6 < error < 5e-3, name
        if device.startswith("MYRIAD"):
            np.testing.assert_array_equal(value, value.astype(np.float16).astype(np.float32))


def test_multi_with_cpu(virtual: IECore, any_net: IENetwork) -> None:
    inputs = feed(any_net)
    want = virtual.load_network(any_net, "CPU").infer(inputs)
    exec_net = virtual.load_network(any_net, "MULTI:MYRIAD.1,CPU", num_requests=0)
    assert len(exec_net.requests) == 5
    for request in exec_net.requests:
        request.async_infer(inputs)
    for request in exec_net.requests:
        assert request.wait() == 0
        for name, value in request.outputs.items():
            np.testing.assert_allclose(value, want[name], rtol=2e-2, atol=5e-3)


def test_integers_of_sixteen_and_of_eight_bits(virtual: IECore, legacy: IENetwork) -> None:
    inputs = feed(legacy)
    want = virtual.load_network(legacy, "CPU").infer(inputs)["fc"]

    def error(**config: str) -> float:
        got = virtual.load_network(legacy, "GNA", config).infer(inputs)["fc"]
        return float(np.abs(got - want).max() / np.abs(want).max())

    assert 1e-6 < error() < 1e-3
    assert error() < error(GNA_PRECISION="I8") < 0.1
    assert error(GNA_DEVICE_MODE="GNA_SW_FP32") == 0
    assert error(GNA_SCALE_FACTOR="2000") < 2e-3 < error(GNA_SCALE_FACTOR_data="2")
    assert error(GNA_SCALE_FACTOR_0="2") == error(GNA_SCALE_FACTOR_data="2")


def test_dynamic_batches_of_a_cut_network(virtual: IECore, legacy: IENetwork) -> None:
    legacy.batch_size = 3
    inputs = feed(legacy)
    exec_net = virtual.load_network(legacy, "HETERO:FPGA,CPU", {"DYN_BATCH_ENABLED": "YES"})
    exec_net.requests[0].set_batch(2)
    exec_net.infer(inputs)
    assert exec_net.requests[0].outputs["fc"][:2].any()
    assert not exec_net.requests[0].outputs["fc"][2:].any()


# -- one's own -------------------------------------------------------------------------------------------------------------
def test_an_accelerator_of_a_few_lines(legacy: IENetwork) -> None:
    mine = Accelerator(
        name="MINE",
        full_name="My accelerator",
        arithmetic=Half(),
        layers=frozenset({"Convolution", "ReLU"}),
        settings={"MINE_TURBO": "NO"},
    )

    class Plugin:
        @hookimpl
        def ie_ctypes_devices(self) -> list[DeviceRecord]:
            return [DeviceRecord(name="MINE", driver=lambda: VirtualDevice(mine))]

    manager = create_manager(installed=False)
    manager.register(Plugin(), "mine")
    core = IECore(plugin_manager=manager)
    assert "MINE" in core.available_devices
    placed = core.query_network(legacy, "HETERO:MINE,CPU")
    assert (placed["conv"], placed["relu"], placed["split"], placed["fc"]) == ("MINE", "MINE", "CPU", "CPU")
    exec_net = core.load_network(legacy, "HETERO:MINE,CPU", {"MINE_TURBO": "YES"})
    assert exec_net.infer(feed(legacy))["fc"].shape == (1, 5)
    with pytest.raises(AttributeError):
        mine.name = "OTHER"  # type: ignore[misc]


def test_without_arithmetic_an_accelerator_gives_the_bits_of_cpu(core: IECore) -> None:
    device = VirtualDevice(Accelerator(name="PLAIN", full_name="plain"))
    net = core.read_network(*identity_network())
    program = net._network.lower()  # type: ignore[union-attr]
    assert all(device.query(program))
    data, out = np.full((1, 3, 4, 4), 1 / 3, np.float32), np.zeros((1, 3, 4, 4), np.float32)
    device.compile(program, {}).create_request().infer([data], [out])
    np.testing.assert_array_equal(out, data)


def test_records_and_classes_agree() -> None:
    for make, record in ((Myriad, MYRIAD), (Fpga, FPGA), (Gna, GNA)):
        assert make().record is record
