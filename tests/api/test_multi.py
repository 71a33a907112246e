# SPDX-License-Identifier: Apache-2.0
"""MULTI: requests shared among devices by priority, settings, devices that fail, cancelling."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pytest

from ie_ctypes import ExecutableNetwork, IECore, IENetwork
from ie_ctypes.devices.base import Device, Executable, Parameter, PerfCount, Request
from ie_ctypes.devices.multi import priorities
from ie_ctypes.errors import IEError, InferCancelledError, NotFoundError, NotImplementedIEError
from ie_ctypes.model.program import Program
from ie_ctypes.plugins import Device as DeviceRecord
from ie_ctypes.plugins import hookimpl
from ie_ctypes.plugins.manager import create_manager


class Stub(Device):
    """Writes its number into the output. Held back while ``gate`` is not set; can fail to load or to run."""

    def __init__(self, name: str, number: int):
        self.name, self.number = name, number
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)
        self.load_error: Exception | None = None
        self.run_error: Exception | None = None
        self.configs: list[dict[str, str]] = []
        self.cancels = 0
        self.streams = 1

    def query(self, program: Program) -> list[bool]:
        return [True for _ in program.nodes]

    def compile(self, program: Program, config: Mapping[str, str]) -> Executable:
        self.configs.append(dict(config))
        if self.load_error is not None:
            raise self.load_error
        return StubExecutable(self)

    def get_metric(self, name: str) -> Parameter:
        if name == "SUPPORTED_CONFIG_KEYS":
            return ["PERF_COUNT", f"{self.name}_KEY"]
        raise NotFoundError(name)

    def get_config(self, name: str) -> Parameter:
        return "NO"


class StubExecutable(Executable):
    def __init__(self, device: Stub):
        self._device = device
        self.streams = device.streams

    def create_request(self) -> Request:
        return StubRequest(self._device)


class StubRequest(Request):
    def __init__(self, device: Stub):
        self._device = device

    def infer(self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> None:
        self._device.entered.release()
        assert self._device.gate.wait(30)
        if self._device.run_error is not None:
            raise self._device.run_error
        outputs[0][...] = self._device.number

    def cancel(self) -> None:
        self._device.cancels += 1

    def perf_counts(self) -> list[PerfCount]:
        name = self._device.name
        return [PerfCount(layer="out", layer_type="Power", exec_type=name, status="EXECUTED", real_time=1, cpu_time=1, order=0)]


@pytest.fixture
def one() -> Iterator[Stub]:
    stub = Stub("ONE", 1)
    yield stub
    stub.gate.set()


@pytest.fixture
def two() -> Iterator[Stub]:
    stub = Stub("TWO", 2)
    yield stub
    stub.gate.set()


@pytest.fixture
def core(one: Stub, two: Stub) -> IECore:
    class Plugin:
        @hookimpl
        def ie_ctypes_devices(self) -> list[DeviceRecord]:
            return [DeviceRecord(name="ONE", driver=lambda: one), DeviceRecord(name="TWO", driver=lambda: two)]

    manager = create_manager(installed=False)
    manager.register(Plugin(), "stubs")
    return IECore(plugin_manager=manager)


def result(request: object) -> int:
    return int(request.outputs["out"].ravel()[0])  # type: ignore[attr-defined]


# -- sharing ---------------------------------------------------------------------------------------------------------------
def test_results_are_those_of_a_device(core: IECore, legacy: IENetwork) -> None:
    data = {"data": np.random.default_rng(0).normal(size=(1, 3, 8, 8)).astype(np.float32)}
    want = core.load_network(legacy, "CPU").infer(data)
    exec_net = core.load_network(legacy, "MULTI:CPU,REFERENCE", num_requests=4)
    for name, value in exec_net.infer(data).items():
        np.testing.assert_allclose(value, want[name], rtol=1e-4, atol=1e-5)
    for request in exec_net.requests:
        request.async_infer(data)
    for request in exec_net.requests:
        assert request.wait() == 0
        np.testing.assert_allclose(request.outputs["fc"], want["fc"], rtol=1e-4, atol=1e-5)


def test_the_first_idle_device_in_order_runs_a_request(core: IECore, copy_net: IENetwork, one: Stub, two: Stub) -> None:
    exec_net = core.load_network(copy_net, "MULTI:ONE(2),TWO(1)", num_requests=4)
    one.gate.clear()
    two.gate.clear()
    for i, stub in enumerate((one, one, two)):
        exec_net.start_async(i)
        assert stub.entered.acquire(timeout=30)
    exec_net.start_async(3)  # waits: nothing is idle
    assert exec_net.requests[3].wait(0) == -9
    two.gate.set()
    assert exec_net.requests[3].wait() == 0
    one.gate.set()
    assert exec_net.wait() == 0
    assert [result(r) for r in exec_net.requests] == [1, 1, 2, 2]


def test_idle_devices_leave_all_to_the_first(core: IECore, copy_net: IENetwork) -> None:
    exec_net = core.load_network(copy_net, "MULTI:TWO,ONE")
    for _ in range(5):
        assert int(exec_net.infer()["out"].ravel()[0]) == 2


def test_synchronous_calls_take_what_is_idle(core: IECore, copy_net: IENetwork, one: Stub) -> None:
    exec_net = core.load_network(copy_net, "MULTI:ONE,TWO", num_requests=2)
    one.gate.clear()
    exec_net.start_async(0)
    assert one.entered.acquire(timeout=30)
    exec_net.requests[1].infer()
    assert result(exec_net.requests[1]) == 2
    one.gate.set()
    assert exec_net.requests[0].wait() == 0


def test_callbacks_come_once_for_every_start(core: IECore, copy_net: IENetwork) -> None:
    exec_net = core.load_network(copy_net, "MULTI:ONE(2),TWO(2)", num_requests=4)
    seen: list[tuple[int, int]] = []
    for i, request in enumerate(exec_net.requests):
        request.set_completion_callback(lambda status, data: seen.append((int(status), data)), i)
    for _ in range(50):
        for request in exec_net.requests:
            request.async_infer()
        assert exec_net.wait() == 0
    assert sorted(seen) == sorted([(0, i) for i in range(4)] * 50)


def test_more_requests_than_workers_all_end(core: IECore, copy_net: IENetwork) -> None:
    exec_net = core.load_network(copy_net, "MULTI:ONE(1),TWO(1)", num_requests=16)
    threads = [threading.Thread(target=exec_net.requests[k].infer) for k in range(8)]
    for thread in threads:
        thread.start()
    for request in exec_net.requests[8:]:
        request.async_infer()
    for thread in threads:
        thread.join(30)
    assert exec_net.wait(timeout=30000) == 0
    assert {result(r) for r in exec_net.requests} <= {1, 2}


# -- settings --------------------------------------------------------------------------------------------------------------
def test_numbers_of_requests(core: IECore, copy_net: IENetwork, two: Stub) -> None:
    two.streams = 3
    exec_net = core.load_network(copy_net, "MULTI:ONE(4),TWO", num_requests=0)
    assert len(exec_net.requests) == exec_net.get_metric("OPTIMAL_NUMBER_OF_INFER_REQUESTS") == 7
    assert exec_net.get_config("MULTI_DEVICE_PRIORITIES") == "ONE(4),TWO"
    assert exec_net.get_metric("SUPPORTED_CONFIG_KEYS") == ["MULTI_DEVICE_PRIORITIES"]
    assert exec_net.get_metric("NETWORK_NAME") == "copy"
    with pytest.raises(NotFoundError, match="Unsupported Network metric: NOPE"):
        exec_net.get_metric("NOPE")
    with pytest.raises(NotFoundError, match=re.escape("[NOT_FOUND] NOPE not found in the ExecutableNetwork config")):
        exec_net.get_config("NOPE")
    by_key = core.load_network(copy_net, "MULTI", {"MULTI_DEVICE_PRIORITIES": "TWO"}, num_requests=0)
    assert len(by_key.requests) == 3


def test_metrics_of_the_device(core: IECore) -> None:
    assert core.get_metric("MULTI", "FULL_DEVICE_NAME") == "MULTI"
    assert core.get_metric("MULTI", "SUPPORTED_CONFIG_KEYS") == ["MULTI_DEVICE_PRIORITIES"]
    assert set(core.get_metric("MULTI", "SUPPORTED_METRICS")) == {"SUPPORTED_METRICS", "FULL_DEVICE_NAME", "SUPPORTED_CONFIG_KEYS"}
    assert "MULTI" not in core.available_devices
    with pytest.raises(NotFoundError, match="Unsupported metric key AVAILABLE_DEVICES"):
        core.get_metric("MULTI", "AVAILABLE_DEVICES")


def test_lists_of_devices() -> None:
    assert priorities("GPU.1(3), MYRIAD.1.2-ma2480 ,CPU( 2 )") == {"GPU.1": 3, "MYRIAD.1.2-ma2480": 0, "CPU": 2}
    for text, message in (
        ("CPU(0)", "Priority value for 'CPU' must be > 0, while 0 is passed"),
        ("CPU(-2),GPU", "Priority value for 'CPU' must be > 0, while -2 is passed"),
        ("CPU(x)", "MULTI_DEVICE_PRIORITIES: 'CPU(x)', expected DEVICE or DEVICE(number of requests)"),
        ("CPU,CPU(2)", "CPU is named twice"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            priorities(text)


def test_errors_of_lists(core: IECore, copy_net: IENetwork) -> None:
    for device in ("MULTI", "MULTI:", "MULTI: ,"):
        with pytest.raises(IEError, match="KEY_MULTI_DEVICE_PRIORITIES key is not set for MULTI device"):
            core.load_network(copy_net, device)
    with pytest.raises(IEError, match='Device with "XPU" name is not registered'):
        core.load_network(copy_net, "MULTI:ONE,XPU")
    with pytest.raises(IEError, match="HETERO cannot be a part of another device"):
        core.load_network(copy_net, "MULTI:ONE,HETERO")


def test_keys_go_to_the_devices_that_know_them(core: IECore, copy_net: IENetwork, one: Stub, two: Stub) -> None:
    core.load_network(copy_net, "MULTI:ONE,TWO", {"PERF_COUNT": "YES", "TWO_KEY": "5"})
    assert one.configs == [{"PERF_COUNT": "YES"}]
    assert two.configs == [{"PERF_COUNT": "YES", "TWO_KEY": "5"}]
    with pytest.warns(RuntimeWarning, match="NOPE is left out: none of the devices ONE, TWO knows it"):
        core.load_network(copy_net, "MULTI:ONE,TWO", {"NOPE": "5"})


def test_counters_only_when_asked_for(core: IECore, copy_net: IENetwork) -> None:
    exec_net = core.load_network(copy_net, "MULTI:ONE,TWO")
    exec_net.infer()
    assert exec_net.requests[0].get_perf_counts() == {}
    exec_net = core.load_network(copy_net, "MULTI:ONE,TWO", {"PERF_COUNT": "YES"})
    exec_net.infer()
    assert exec_net.requests[0].get_perf_counts()["out"]["exec_type"] == "ONE"


def test_priorities_change_while_requests_run(core: IECore, copy_net: IENetwork) -> None:
    exec_net = core.load_network(copy_net, "MULTI:ONE(2),TWO(2)", num_requests=4)

    def runs_on() -> int:
        return int(exec_net.infer()["out"].ravel()[0])

    assert runs_on() == 1
    exec_net.set_config({"MULTI_DEVICE_PRIORITIES": "TWO,ONE"})
    assert runs_on() == 2
    assert exec_net.get_config("MULTI_DEVICE_PRIORITIES") == "TWO,ONE"
    exec_net.set_config({"MULTI_DEVICE_PRIORITIES": "ONE(2)"})
    for request in exec_net.requests:
        request.async_infer()
    assert exec_net.wait() == 0
    assert {result(r) for r in exec_net.requests} == {1}
    exec_net.set_config({"MULTI_DEVICE_PRIORITIES": "TWO"})
    assert runs_on() == 2


@pytest.mark.parametrize(
    ("config", "error", "text"),
    [
        ({}, ValueError, "The list of configuration values is empty"),
        ({"PERF_COUNT": "YES"}, NotImplementedIEError, "The only config supported for the Network's SetConfig is"),
        ({"MULTI_DEVICE_PRIORITIES": "ONE,CPU"}, NotFoundError, "You can only change device priorities but not add new devices with"),
        ({"MULTI_DEVICE_PRIORITIES": "ONE(3)"}, NotImplementedIEError, "You can only change device priorities but not number of requests"),
        ({"MULTI_DEVICE_PRIORITIES": ""}, ValueError, "MULTI_DEVICE_PRIORITIES is empty, the network is loaded on ONE, TWO"),
    ],
)
def test_what_cannot_be_changed(core: IECore, copy_net: IENetwork, config: dict[str, str], error: type[Exception], text: str) -> None:
    exec_net = core.load_network(copy_net, "MULTI:ONE(2),TWO")
    with pytest.raises(error, match=text):
        exec_net.set_config(config)
    assert exec_net.get_config("MULTI_DEVICE_PRIORITIES") == "ONE(2),TWO"
    with pytest.raises(NotImplementedIEError, match="The following config value cannot be changed dynamically for ExecutableNetwork: K"):
        core.load_network(copy_net, "CPU").set_config({"K": "1"})


# -- what fails ------------------------------------------------------------------------------------------------------------
def test_a_device_that_cannot_load_is_left_out(core: IECore, copy_net: IENetwork, one: Stub, two: Stub) -> None:
    one.load_error = IEError("no bitstream")
    with pytest.warns(RuntimeWarning, match="MULTI goes on without devices that could not load the network: ONE: no bitstream"):
        exec_net = core.load_network(copy_net, "MULTI:ONE,TWO")
    assert int(exec_net.infer()["out"].ravel()[0]) == 2
    two.load_error = ValueError("broken")
    with pytest.raises(NotFoundError, match=re.escape("[NOT_FOUND] Failed to load Executable network to any device")) as fault:
        core.load_network(copy_net, "MULTI:ONE,TWO")
    assert str(fault.value).endswith("ONE: no bitstream; TWO: broken")


def started(exec_net: ExecutableNetwork, count: int) -> list[int]:
    """Statuses of the callbacks of ``count`` starts of all requests."""
    statuses: list[int] = []
    for request in exec_net.requests:
        request.set_completion_callback(lambda status, _: statuses.append(int(status)))
    for _ in range(count):
        for request in exec_net.requests:
            request.async_infer()
        exec_net.wait()
    return statuses


def test_a_device_that_fails_is_reported_and_the_others_go_on(
    core: IECore, copy_net: IENetwork, one: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    exec_net = core.load_network(copy_net, "MULTI:ONE(2),TWO(2)", num_requests=4)
    assert started(exec_net, 3) == [0] * 12
    one.run_error = RuntimeError("unplugged")
    reports: list[str] = []
    monkeypatch.setattr("warnings.warn", lambda text, *_, **__: reports.append(str(text)))
    assert started(exec_net, 5) == [0] * 20
    assert reports == ["MULTI: device ONE failed and gets no more requests, TWO go on: unplugged"]
    assert {result(r) for r in exec_net.requests} == {2}
    one.run_error = None
    exec_net.set_config({"MULTI_DEVICE_PRIORITIES": "ONE,TWO"})
    assert int(exec_net.infer()["out"].ravel()[0]) == 1


def test_what_fails_everywhere_is_the_fault_of_the_request(core: IECore, copy_net: IENetwork, one: Stub, two: Stub) -> None:
    exec_net = core.load_network(copy_net, "MULTI:ONE,TWO")
    one.run_error = two.run_error = NotFoundError("no such row")
    with pytest.raises(NotFoundError, match="no such row"):
        exec_net.infer()
    assert started(exec_net, 2) == [-5, -5]
    one.run_error = two.run_error = None
    assert int(exec_net.infer()["out"].ravel()[0]) == 1


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_uses_what_was_idle(core: IECore, copy_net: IENetwork, one: Stub) -> None:
    both = core.load_network(copy_net, "MULTI:ONE(1),TWO(1)", num_requests=2)
    alone = core.load_network(copy_net, "MULTI:ONE(1)", num_requests=2)
    one.gate.clear()
    for exec_net in (both, alone):
        exec_net.start_async(0)
        assert one.entered.acquire(timeout=30)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            both.requests[1].infer()
            assert result(both.requests[1]) == 2
            try:
                alone.requests[1].infer()
            except IEError as e:
                code = 0 if "when this one was forked" in str(e) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    one.gate.set()
    for exec_net in (both, alone):
        assert exec_net.requests[0].wait() == 0


# -- cancelling ------------------------------------------------------------------------------------------------------------
def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        threading.Event().wait(0.002)


@pytest.mark.parametrize("device", ["MULTI:ONE(1)", "HETERO:ONE", "ONE"])
def test_a_request_that_waits_its_turn_can_be_cancelled(core: IECore, copy_net: IENetwork, one: Stub, device: str) -> None:
    exec_net = core.load_network(copy_net, device, num_requests=2)
    first, second = exec_net.requests
    statuses: list[int] = []
    second.set_completion_callback(lambda status, _: statuses.append(int(status)))
    first.cancel()  # nothing runs: nothing happens
    one.gate.clear()
    first.async_infer()
    assert one.entered.acquire(timeout=30)
    second.async_infer()
    second.cancel()
    one.gate.set()
    with pytest.raises(InferCancelledError, match="cancelled"):
        second.wait()
    assert first.wait() == 0
    assert statuses == [-13]
    second.async_infer()
    assert second.wait() == 0
    second.cancel()
    assert second.wait() == 0


def test_cancelling_a_running_request_reaches_the_device(core: IECore, copy_net: IENetwork, one: Stub) -> None:
    for device in ("MULTI:ONE", "HETERO:ONE", "ONE"):
        request = core.load_network(copy_net, device).requests[0]
        one.gate.clear()
        one.cancels = 0
        request.async_infer()
        assert one.entered.acquire(timeout=30)
        request.cancel()
        until(lambda: one.cancels == 1)
        one.gate.set()
        assert request.wait() == 0  # this device does not stop


def test_a_synchronous_call_that_waits_for_a_device_can_be_cancelled(core: IECore, copy_net: IENetwork, one: Stub) -> None:
    exec_net = core.load_network(copy_net, "MULTI:ONE(1)", num_requests=2)
    one.gate.clear()
    exec_net.start_async(0)
    assert one.entered.acquire(timeout=30)
    inner = exec_net.requests[1]._request
    errors: list[BaseException] = []

    def run() -> None:
        try:
            exec_net.requests[1].infer()
        except InferCancelledError as e:
            errors.append(e)

    thread = threading.Thread(target=run)
    thread.start()
    while thread.is_alive():  # before it begins to wait a cancel has nothing to end
        inner.cancel()
        thread.join(0.01)
    assert len(errors) == 1
    one.gate.set()
    assert exec_net.requests[0].wait() == 0
