# SPDX-License-Identifier: Apache-2.0
"""Asynchronous requests on a device that finishes when the test says so."""

from __future__ import annotations

import gc
import sys
import threading
import weakref

import numpy as np
import pytest

from ie_ctypes import ExecutableNetwork, IECore, IENetwork, InferRequest, StatusCode, WaitMode

from .conftest import GateDevice


@pytest.fixture
def held(gate: GateDevice, copy_net: IENetwork) -> ExecutableNetwork:
    """Four requests on the GATE device, which runs two at a time."""
    return IECore().load_network(copy_net, "GATE", num_requests=4)


def until(predicate, seconds: float = 30.0) -> None:  # type: ignore[no-untyped-def]
    """Wait for a state that another thread brings about."""
    done = threading.Event()
    for _ in range(int(seconds * 1000)):
        if predicate():
            return
        done.wait(0.001)
    raise AssertionError("the state was never reached")


def test_start_returns_at_once_and_wait_gives_the_result(held: ExecutableNetwork, gate: GateDevice) -> None:
    request = held.start_async(0, {"data": 4})
    assert request is held.requests[0]
    assert request.wait(0) == request.wait(WaitMode.STATUS_ONLY) == StatusCode.RESULT_NOT_READY
    assert request.wait(1) == StatusCode.RESULT_NOT_READY
    gate.gate.set()
    assert request.wait() == request.wait(0) == request.wait(-1) == request.wait(WaitMode.RESULT_READY) == StatusCode.OK
    assert request.outputs["out"].sum() == 8 * 48
    assert request.latency > 0


def test_wait_before_start(held: ExecutableNetwork) -> None:
    request = held.requests[0]
    for timeout in (None, -1, 0, 5):
        assert request.wait(timeout) == StatusCode.INFER_NOT_STARTED
    request.set_completion_callback(lambda status, data: None)
    assert request.wait() == StatusCode.INFER_NOT_STARTED


def test_wait_refuses_other_timeouts(held: ExecutableNetwork) -> None:
    with pytest.raises(TypeError, match="an integer is required"):
        held.requests[0].wait("a")  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="Timeout can't be less -1 for InferRequest::Wait"):
        held.requests[0].wait(-2)
    assert held.requests[0].wait(0.5) == StatusCode.INFER_NOT_STARTED


def test_everything_else_is_refused_while_running(held: ExecutableNetwork, gate: GateDevice) -> None:
    request = held.start_async(0, {"data": 1})
    calls = [
        request.infer,
        request.async_infer,
        lambda: held.infer({"data": 1}),
        lambda: held.start_async(0),
        lambda: request.inputs,
        lambda: request.outputs,
        lambda: request.input_blobs,
        lambda: request.output_blobs,
        lambda: request.set_batch(1),
        lambda: request.set_completion_callback(None),
    ]
    for call in calls:
        with pytest.raises(RuntimeError, match=r"^\[REQUEST_BUSY\] infer request 0 "):
            call()
    assert request.get_perf_counts() == {}
    assert request.latency == 0
    gate.gate.set()
    assert request.wait() == 0
    assert request.get_perf_counts()["out"]["exec_type"] == "gate"


def test_a_wait_that_timed_out_leaves_the_request_busy(held: ExecutableNetwork) -> None:
    request = held.start_async(0)
    assert request.wait(1) == StatusCode.RESULT_NOT_READY
    with pytest.raises(RuntimeError, match="REQUEST_BUSY"):
        request.async_infer()


def test_callback_runs_once_on_another_thread_before_wait_returns(held: ExecutableNetwork, gate: GateDevice) -> None:
    calls: list[tuple[int, object, int]] = []
    request = held.requests[0]
    request.set_completion_callback(lambda status, data: calls.append((status, data, threading.get_ident())), "mine")
    request.async_infer({"data": 1})
    assert request.wait(0) == request.wait(1) == StatusCode.REQUEST_BUSY
    gate.gate.set()
    assert request.wait() == StatusCode.OK
    assert [c[:2] for c in calls] == [(StatusCode.OK, "mine")]
    assert calls[0][2] != threading.get_ident()
    request.infer()
    assert len(calls) == 1
    request.set_completion_callback(None)
    request.async_infer()
    request.wait()
    assert len(calls) == 1


def test_wait_and_results_inside_the_callback(held: ExecutableNetwork, gate: GateDevice) -> None:
    seen: list[object] = []
    request = held.requests[0]

    def callback(status: int, data: object) -> None:
        seen.extend([request.wait(WaitMode.STATUS_ONLY), request.wait(), float(request.outputs["out"].sum()), held.get_idle_request_id()])

    request.set_completion_callback(callback)
    gate.gate.set()
    request.async_infer({"data": 1})
    assert request.wait() == StatusCode.OK
    assert seen[:3] == [0, 0, 96.0]
    assert seen[3] != -1


def test_callback_may_start_its_own_request_again(held: ExecutableNetwork, gate: GateDevice) -> None:
    finished = threading.Event()
    runs: list[float] = []
    request = held.requests[0]

    def callback(status: int, data: object) -> None:
        runs.append(float(request.outputs["out"][0, 0, 0, 0]))
        if len(runs) < 5:
            request.async_infer({"data": len(runs) + 1})
        else:
            finished.set()

    request.set_completion_callback(callback)
    gate.gate.set()
    request.async_infer({"data": 1})
    assert finished.wait(30)
    assert held.wait() == StatusCode.OK
    assert runs == [2, 4, 6, 8, 10]
    assert held.get_idle_request_id() in range(4)


def test_callback_may_wait_for_other_requests(gate: GateDevice, copy_net: IENetwork) -> None:
    gate.streams = 1
    held = IECore().load_network(copy_net, "GATE", num_requests=3)
    first, second, third = held.requests
    codes: list[int] = []
    first.set_completion_callback(lambda status, data: codes.append(second.wait(20_000)))
    second.set_completion_callback(lambda status, data: codes.append(third.wait(20_000)))
    for request in held.requests:
        request.async_infer({"data": 1})
    gate.gate.set()
    assert first.wait(25_000) == StatusCode.OK
    assert codes == [0, 0]


def test_error_in_a_callback_is_reported_and_the_request_is_done(
    held: ExecutableNetwork, gate: GateDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda report: reports.append((report.exc_type, str(report.exc_value))))
    request = held.requests[0]

    def callback(status: int, data: object) -> None:
        raise ValueError("from the callback")

    request.set_completion_callback(callback)
    gate.gate.set()
    request.async_infer()
    assert request.wait() == StatusCode.OK
    assert reports == [(ValueError, "from the callback")]
    request.async_infer()
    assert request.wait() == StatusCode.OK


def test_callback_must_be_callable(held: ExecutableNetwork) -> None:
    with pytest.raises(TypeError, match="not callable"):
        held.requests[0].set_completion_callback(5)  # type: ignore[arg-type]


def test_failed_run_raises_in_wait_and_reaches_the_callback(held: ExecutableNetwork, gate: GateDevice) -> None:
    statuses: list[int] = []
    request = held.requests[0]
    request.set_completion_callback(lambda status, data: statuses.append(status))
    gate.fail = True
    gate.gate.set()
    request.async_infer()
    for timeout in (None, 0):
        with pytest.raises(RuntimeError, match="the device was told to fail"):
            request.wait(timeout)
    assert statuses == [StatusCode.NOT_FOUND]
    with pytest.raises(RuntimeError, match="told to fail"):
        request.infer()
    with pytest.raises(RuntimeError, match="told to fail"):
        request.wait()
    gate.fail = False
    request.async_infer()
    assert request.wait() == StatusCode.OK


def test_streams_limit_what_runs_at_once(held: ExecutableNetwork, gate: GateDevice) -> None:
    for i in range(4):
        held.start_async(i, {"data": i})
    until(lambda: gate.running == 2)
    gate.gate.set()
    assert held.wait() == StatusCode.OK
    assert gate.most == 2
    assert gate.started == 4
    assert [float(r.outputs["out"].max()) for r in held.requests] == [0, 2, 4, 6]


def test_exclusive_requests_of_two_networks_take_turns(gate: GateDevice, copy_net: IENetwork) -> None:
    core = IECore()
    nets = [core.load_network(copy_net, "GATE", {"EXCLUSIVE_ASYNC_REQUESTS": "YES"}, num_requests=2) for _ in range(2)]
    for net in nets:
        for i in range(2):
            net.start_async(i)
    until(lambda: gate.running == 1)
    gate.gate.set()
    for net in nets:
        assert net.wait() == StatusCode.OK
    assert gate.most == 1
    assert gate.started == 4


def test_idle_ids_and_waiting_for_a_number_of_requests(held: ExecutableNetwork, gate: GateDevice) -> None:
    assert held.get_idle_request_id() == 0
    assert held.wait(timeout=1) == StatusCode.OK
    for expected in range(4):
        assert held.get_idle_request_id() == expected
        held.start_async(expected)
    assert held.get_idle_request_id() == -1
    assert held.wait(num_requests=1, timeout=1) == StatusCode.RESULT_NOT_READY
    gate.gate.set()
    assert held.wait(num_requests=4) == StatusCode.OK
    assert held.get_idle_request_id() in (0, 1)
    with pytest.raises(ValueError, match="num_requests is 5"):
        held.wait(num_requests=5)


def test_loop_of_idle_requests_never_misses_one(held: ExecutableNetwork, gate: GateDevice) -> None:
    gate.gate.set()
    for _ in range(200):
        request_id = held.get_idle_request_id()
        if request_id < 0:
            assert held.wait(num_requests=1, timeout=WaitMode.RESULT_READY) == StatusCode.OK
            request_id = held.get_idle_request_id()
            assert request_id >= 0
        held.start_async(request_id, {"data": 1})
    assert held.wait() == StatusCode.OK
    assert all(r.wait(0) == StatusCode.OK for r in held.requests)


def test_threads_that_share_a_network_take_turns(core: IECore, copy_net: IENetwork) -> None:
    exec_net = core.load_network(copy_net, "REFERENCE", num_requests=3)
    wrong: list[object] = []

    def sync(value: int) -> None:
        for _ in range(50):
            result = exec_net.infer({"data": value})["out"]
            if not (result == value).all():
                wrong.append(result)

    def mine(request: InferRequest, value: int) -> None:
        for _ in range(50):
            request.async_infer({"data": value})
            request.wait()
            if not (request.outputs["out"] == value).all():
                wrong.append(value)

    threads = [threading.Thread(target=sync, args=(i,)) for i in range(4)]
    threads += [threading.Thread(target=mine, args=(exec_net.requests[i], 10 + i)) for i in (1, 2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
        assert not t.is_alive()
    assert not wrong


def test_objects_may_be_dropped_while_a_request_runs(gate: GateDevice, copy_net: IENetwork) -> None:
    held = IECore().load_network(copy_net, "GATE", num_requests=2)
    alive = weakref.ref(held._loaded)
    done = threading.Event()
    held.requests[0].set_completion_callback(lambda status, data: done.set())
    kept = held.start_async(0, {"data": 3})
    held.start_async(1, {"data": 3})
    del held
    gate.gate.set()
    assert kept.wait() == StatusCode.OK
    assert done.is_set()
    assert kept.outputs["out"].max() == 6
    del kept
    until(lambda: gc.collect() is not None and alive() is None)


def test_nothing_is_left_when_the_last_user_goes(gate: GateDevice, copy_net: IENetwork) -> None:
    gate.gate.set()
    gc.collect()
    gc.disable()
    try:
        held = IECore().load_network(copy_net, "GATE", num_requests=2)
        alive = [weakref.ref(held._loaded), weakref.ref(held.requests[0])]
        for i in range(2):
            held.start_async(i)
        assert held.wait() == StatusCode.OK
        held.infer()
        del held
        until(lambda: not any(ref() is not None for ref in alive))
    finally:
        gc.enable()


def test_threads_end_with_their_network(gate: GateDevice, copy_net: IENetwork) -> None:
    before = set(threading.enumerate())  # threads of earlier tests may end meanwhile
    held = IECore().load_network(copy_net, "GATE", num_requests=2)
    gate.gate.set()
    for i in range(2):
        held.start_async(i)
    held.wait()
    workers = set(threading.enumerate()) - before
    assert workers
    del held
    until(lambda: gc.collect() is not None and not any(t.is_alive() for t in workers))


def test_arrays_given_to_start_async_may_change_at_once(held: ExecutableNetwork, gate: GateDevice) -> None:
    array = np.ones((1, 3, 4, 4), np.float32)
    request = held.start_async(0, {"data": array})
    array[:] = 7
    gate.gate.set()
    request.wait()
    assert request.outputs["out"].max() == 2
