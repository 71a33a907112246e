# SPDX-License-Identifier: Apache-2.0
"""Devices, executables and requests: life, order, failure, threads."""

from __future__ import annotations

import gc
import itertools
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gate_programs import Bound, compiled, doubling_program

from ie_ctypes import runtime
from ie_ctypes.devices.native import NativeDevice, load_driver
from ie_ctypes.errors import (
    IEError,
    InferCancelledError,
    NotAllocatedError,
    NotFoundError,
    NotImplementedIEError,
    ParameterMismatchError,
    RequestBusyError,
)
from ie_ctypes.runtime import abi

HERE = Path(__file__).parent


class Done:
    """Collects the outcome of started inferences; ``wait`` waits for them."""

    def __init__(self) -> None:
        self.errors: list[BaseException | None] = []
        self.ended = threading.Semaphore(0)

    def __call__(self, error: BaseException | None) -> None:
        self.errors.append(error)
        self.ended.release()

    def wait(self, count: int = 1) -> list[BaseException | None]:
        for _ in range(count):
            assert self.ended.acquire(timeout=30)
        return self.errors


def wait_inside(gate: runtime.Device, count: int) -> None:
    """Until that many inferences are inside the driver."""
    tick = threading.Event()
    for _ in range(3000):
        if int(gate.get_property("inside").split()[0]) == count:
            return
        tick.wait(0.01)
    raise AssertionError(f"inside: {gate.get_property('inside')}, expected {count}")


def test_null_driver_answers_zeros(build_driver: Callable[..., str]) -> None:
    source = HERE.parents[1] / "csrc" / "driver_null" / "null.c"
    device = runtime.Device("NULL", path=build_driver(source, "-Wall", "-Wextra", "-Wpedantic", "-Werror"))
    assert (device.name, device.version, device.description) == ("NULL", "1.0", "answers zeros")
    executable = compiled(device)
    bound = Bound(executable, 3.0)
    bound.y[:] = 9
    bound.request.infer()
    assert bound.y.tolist() == [[0, 0, 0, 0]]
    assert executable.streams == 1
    with pytest.raises(NotImplementedIEError, match="perf_counts: the driver does not implement it"):
        bound.request.perf_counts()
    with pytest.raises(NotImplementedIEError):
        executable.export_blob()
    with pytest.raises(NotImplementedIEError):
        device.import_blob(b"x", {})
    with pytest.raises(NotImplementedIEError):
        device.get_property("x")


def test_a_request_infers_with_bound_arrays(gate: runtime.Device) -> None:
    bound = Bound(compiled(gate), 1.5)
    bound.request.infer()
    assert bound.y.tolist() == [[3, 3, 3, 3]]
    bound.x[:] = 2
    bound.request.infer()
    assert bound.y.tolist() == [[4, 4, 4, 4]]


def test_infer_before_bind_is_an_error(gate: runtime.Device) -> None:
    with pytest.raises(NotAllocatedError, match="no tensors are bound"):
        compiled(gate).create_request().infer()
    with pytest.raises(NotAllocatedError, match="no tensors are bound"):
        compiled(gate).create_request().start(Done())


@pytest.mark.parametrize(
    ("x", "y", "text"),
    [
        (np.zeros((1, 4), np.int32), np.zeros((1, 4), np.float32), "input 0: element type 70, expected 10"),
        (np.zeros((1, 4, 1), np.float32), np.zeros((1, 4), np.float32), "input 0: rank 3, expected 2"),
        (np.zeros((1, 4), np.float32), np.zeros((4, 1), np.float32), "output 0: dimension 0 is 4, expected 1"),
        (np.zeros((1, 8), np.float32)[:, ::2], np.zeros((1, 4), np.float32), "input 0: the array is not contiguous"),
        (np.zeros((1, 4), ">f4"), np.zeros((1, 4), np.float32), "input 0: arrays of >f4 are not supported"),
        (np.zeros((1, 4), "c8"), np.zeros((1, 4), np.float32), "input 0: arrays of complex64 are not supported"),
        (np.frombuffer(bytes(17), "u1")[1:].view("f4").reshape(1, 4), np.zeros((1, 4), "f4"), "not aligned to its 4 byte elements"),
        (np.zeros((1, 4), np.float32), np.frombuffer(bytes(16), np.float32).reshape(1, 4), "output 0: the array is read-only"),
    ],
)
def test_bind_refuses_other_arrays(gate: runtime.Device, x: np.ndarray, y: np.ndarray, text: str) -> None:
    request = compiled(gate).create_request()
    with pytest.raises(ParameterMismatchError, match=text):
        request.bind([x], [y])


def test_bind_refuses_another_count(gate: runtime.Device) -> None:
    request = compiled(gate).create_request()
    with pytest.raises(ParameterMismatchError, match="2 inputs and 0 outputs, the network has 1 and 1"):
        request.bind([np.zeros((1, 4), np.float32)] * 2, [])


def test_a_failed_bind_keeps_the_former(gate: runtime.Device) -> None:
    bound = Bound(compiled(gate), 1.0)
    with pytest.raises(ParameterMismatchError):
        bound.request.bind([], [])
    bound.request.infer()
    assert bound.y.tolist() == [[2, 2, 2, 2]]


def test_the_driver_s_failure_is_raised(gate: runtime.Device) -> None:
    bound = Bound(compiled(gate), -1.0)
    with pytest.raises(IEError, match="gate: a negative input"):
        bound.request.infer()
    with pytest.raises(IEError, match="gate: a negative input"):
        bound.request.wait(0)
    bound.x[:] = 1
    bound.request.infer()
    assert bound.request.wait(0) == abi.OK


def test_refusals_of_the_driver_carry_its_words(gate: runtime.Device, gate_path: str) -> None:
    with pytest.raises(IEError, match="gate: not today"):
        runtime.Device("GATE", path=gate_path, options={"refuse": "not today"})
    with pytest.raises(ParameterMismatchError, match="gate: no way"):
        compiled(gate, refuse="no way")
    with pytest.raises(NotFoundError, match="gate: no such property"):
        gate.get_property("nothing")
    with pytest.raises(NotFoundError, match="gate: no such property"):
        gate.set_property("nothing", "1")


def test_properties_of_any_length(gate: runtime.Device) -> None:
    bound = Bound(compiled(gate), 1.0)
    for _ in range(300):
        bound.request.infer()
    assert gate.get_property("order") == "1 " * 300


def test_missing_and_wrong_libraries(build_driver: Callable[..., str]) -> None:
    with pytest.raises(NotFoundError, match=r"Cannot load library '/nowhere/libx.so': .*No such file"):
        runtime.Device("X", path="/nowhere/libx.so")
    with pytest.raises(NotFoundError, match="no built-in driver is called XPU"):
        runtime.Device("XPU")
    with pytest.raises(NotFoundError, match="exports no iec_driver_query"):
        runtime.Device("X", path=build_driver(HERE / "empty_driver.c"))
    with pytest.raises(IEError, match=r"built for ABI 7\.0, this library has 1\.\d+"):
        runtime.Device("X", path=build_driver(HERE / "gate_driver.c", "-DOTHER_MAJOR"))
    with pytest.raises(IEError, match="lacks its name or a required function"):
        runtime.Device("X", path=build_driver(HERE / "gate_driver.c", "-DSHORT_TABLE"))
    with pytest.raises(NotFoundError, match=r"Failed to create plugin /nowhere/libx.so for device X\n.*\n.*Cannot load library"):
        load_driver("/nowhere/libx.so", "X")


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_objects_go_in_any_order(gate_path: str, gate: runtime.Device, order: tuple[int, ...]) -> None:
    gc.collect()
    before = gate.get_property("live")
    device = runtime.Device("GATE", path=gate_path)
    executable = compiled(device)
    bound = Bound(executable, 1.0)
    handles = [device, executable, bound.request]
    for i in order:
        if not bound.request.closed:
            bound.request.infer()
        handles[i].close()
        handles[i].close()
    assert gate.get_property("live") == before


def test_a_request_outlives_its_makers(gate_path: str, gate: runtime.Device) -> None:
    gc.collect()
    before = gate.get_property("live")
    bound = Bound(compiled(runtime.Device("GATE", path=gate_path)), 1.0)
    gc.collect()
    bound.request.infer()
    assert bound.y.tolist() == [[2, 2, 2, 2]]
    del bound
    gc.collect()
    assert gate.get_property("live") == before


def test_closed_objects_say_so(gate: runtime.Device) -> None:
    executable = compiled(gate)
    bound = Bound(executable)
    for handle in (bound.request, executable):
        with handle:
            pass
        assert handle.closed
    with pytest.raises(RuntimeError, match="this Request is closed"):
        bound.request.infer()
    with pytest.raises(RuntimeError, match="this Executable is closed"):
        executable.create_request()
    graph = runtime.Graph(doubling_program())
    graph.close()
    with pytest.raises(RuntimeError, match="this Graph is closed"):
        gate.compile(graph, {})


def test_wait_codes(gate: runtime.Device) -> None:
    bound, done = Bound(compiled(gate), 1.0), Done()
    assert bound.request.wait(0) == abi.INFER_NOT_STARTED
    assert bound.request.wait(-1) == abi.INFER_NOT_STARTED
    gate.set_property("gate", "shut")
    bound.request.start(done)
    assert bound.request.wait(0) == abi.RESULT_NOT_READY
    assert bound.request.wait(20) == abi.RESULT_NOT_READY
    gate.set_property("gate", "open")
    assert bound.request.wait(-1) == abi.OK
    assert bound.request.wait(0) == abi.OK
    assert done.wait() == [None]
    assert bound.y.tolist() == [[2, 2, 2, 2]]


def test_a_busy_request_refuses(gate: runtime.Device) -> None:
    bound, done = Bound(compiled(gate), 1.0), Done()
    gate.set_property("gate", "shut")
    bound.request.start(done)
    wait_inside(gate, 1)
    for call in (bound.request.infer, lambda: bound.request.start(done), lambda: bound.request.bind([bound.x], [bound.y])):
        with pytest.raises(RequestBusyError, match="still running"):
            call()
    with pytest.raises(RequestBusyError):
        bound.request.perf_counts()
    gate.set_property("gate", "open")
    assert done.wait() == [None]
    bound.request.infer()


@pytest.mark.parametrize("streams", [1, 3])
def test_started_requests_begin_in_order_and_share_the_streams(gate: runtime.Device, streams: int) -> None:
    executable, done = compiled(gate, streams=str(streams)), Done()
    assert executable.streams == streams
    requests = [Bound(executable, float(i)) for i in range(10)]
    gate.set_property("gate", "shut")
    for bound in requests:
        bound.request.start(done)
    wait_inside(gate, streams)
    gate.set_property("gate", "open")
    assert done.wait(10) == [None] * 10
    assert [b.y[0, 0] for b in requests] == [2 * i for i in range(10)]
    order = [int(v) for v in gate.get_property("order").split()]
    assert sorted(order) == list(range(10))
    if streams == 1:
        assert order == list(range(10))
    assert int(gate.get_property("inside").split()[1]) == streams


def test_a_queued_request_can_be_cancelled(gate: runtime.Device) -> None:
    executable, first, second = compiled(gate), Done(), Done()
    running, queued = Bound(executable, 1.0), Bound(executable, 2.0)
    gate.set_property("gate", "shut")
    running.request.start(first)
    queued.request.start(second)
    wait_inside(gate, 1)
    queued.request.cancel()
    running.request.cancel()  # this driver cannot
    gate.set_property("gate", "open")
    assert first.wait() == [None]
    assert isinstance(second.wait()[0], InferCancelledError)
    with pytest.raises(InferCancelledError):
        queued.request.wait(-1)
    assert gate.get_property("order") == "1 "
    queued.request.start(second)
    assert second.wait()[1] is None


def test_a_failure_reaches_done_and_wait(gate: runtime.Device) -> None:
    bound, done = Bound(compiled(gate), -3.0), Done()
    bound.request.start(done)
    assert "a negative input" in str(done.wait()[0])
    with pytest.raises(IEError, match="a negative input"):
        bound.request.wait(-1)


def test_done_may_start_again(gate: runtime.Device) -> None:
    bound, finished, count = Bound(compiled(gate), 1.0), threading.Event(), itertools.count(1)

    def done(error: BaseException | None) -> None:
        if error is None and next(count) < 50:
            bound.request.start(done)
        else:
            finished.set()

    bound.request.start(done)
    assert finished.wait(30)
    assert gate.get_property("order") == "1 " * 50


def test_done_may_drop_the_request(gate_path: str, gate: runtime.Device) -> None:
    gc.collect()
    before = gate.get_property("live")
    finished = threading.Event()
    held = [Bound(compiled(runtime.Device("GATE", path=gate_path)), 1.0)]

    def done(error: BaseException | None) -> None:
        held.pop().request.close()
        finished.set()

    held[0].request.start(done)
    assert finished.wait(30)
    tick = threading.Event()
    for _ in range(500):
        if gate.get_property("live") == before:
            break
        tick.wait(0.01)
    assert gate.get_property("live") == before


def test_dropped_requests_in_flight_finish(gate: runtime.Device) -> None:
    executable, done = compiled(gate), Done()
    gate.set_property("gate", "shut")
    outputs = []
    for i in range(5):
        bound = Bound(executable, float(i))
        outputs.append(bound.y)
        bound.request.start(done)
        del bound
    executable.close()
    del executable
    gc.collect()
    gate.set_property("gate", "open")
    assert done.wait(5) == [None] * 5
    assert [y[0, 0] for y in outputs] == [0, 2, 4, 6, 8]


def test_close_waits_for_the_running_inference(gate: runtime.Device) -> None:
    bound, done = Bound(compiled(gate), 1.0), Done()
    gate.set_property("gate", "shut")
    bound.request.start(done)
    wait_inside(gate, 1)
    closer = threading.Thread(target=bound.request.close)
    closer.start()
    closer.join(0.05)
    assert closer.is_alive()
    gate.set_property("gate", "open")
    closer.join(30)
    assert not closer.is_alive()
    assert bound.y.tolist() == [[2, 2, 2, 2]]


def test_many_threads_share_an_executable(gate: runtime.Device) -> None:
    executable = compiled(gate, streams="2")
    wrong = []

    def work(value: int) -> None:
        bound = Bound(executable, float(value))
        for i in range(200):
            bound.x[:] = value + i
            bound.request.infer()
            if bound.y[0, 3] != 2 * (value + i):
                wrong.append((value, i))

    threads = [threading.Thread(target=work, args=(1000 * t,)) for t in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_one_request_from_many_threads_is_busy_never_wrong(gate: runtime.Device) -> None:
    bound = Bound(compiled(gate), 1.0)
    outcomes: list[str] = []

    def work() -> None:
        for _ in range(200):
            try:
                bound.request.infer()
                outcomes.append("ok")
            except RequestBusyError:
                outcomes.append("busy")

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 1200
    assert "ok" in outcomes


def test_native_device_over_a_third_party_driver(gate_path: str, gate: runtime.Device) -> None:
    device = load_driver(gate_path, "MYDEV")
    assert isinstance(device, NativeDevice)
    assert (device.name, device.description, device.build_number) == ("MYDEV", "a driver for tests", "1.2.3")
    program = doubling_program()
    assert device.query(program) == [True]
    executable = device.compile(program, {"streams": "2"})
    assert executable.streams == 2
    assert executable.exec_graph() == []
    request = executable.create_request()
    x, y = np.ones((1, 4), np.float32), np.zeros((1, 4), np.float32)
    request.infer([x], [y])
    assert y[0, 0] == 2
    other = np.zeros((1, 4), np.float32)
    request.infer([x], [other])
    assert other[0, 0] == 2
    done = Done()
    request.start([other], [y], done)
    assert done.wait() == [None]
    assert y[0, 0] == 4
    assert [(c.layer, c.real_time, c.cpu_time, c.status) for c in request.perf_counts()] == [("a", 3, 2, "EXECUTED")]
    assert device.get_metric("AVAILABLE_DEVICES") == [""]
    assert device.get_metric("inside") == "0 1"
    for call, text in (
        (lambda: device.get_metric("NOPE"), "Unsupported metric key NOPE"),
        (lambda: device.get_config("NOPE"), "Unsupported config key NOPE"),
        (lambda: device.set_config({"NOPE": "1"}), r"\[NOT_FOUND\] Unsupported property NOPE by MYDEV plugin"),
    ):
        with pytest.raises(NotFoundError, match=text):
            call()
