# SPDX-License-Identifier: Apache-2.0
"""Forks, interpreter exit, Ctrl-C and missing libraries: each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

PROLOGUE = """
import os, sys, threading, time
import numpy as np
from gate_programs import Bound, compiled
from ie_ctypes import runtime
from ie_ctypes.errors import IEError
device = runtime.Device("GATE", path=sys.argv[1])

def in_child(body):
    child = os.fork()
    if child == 0:
        try:
            body()
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def wait_inside(count):
    while int(device.get_property("inside").split()[0]) != count:
        time.sleep(0.001)

def run_async(bound):
    ended = threading.Event()
    bound.request.start(lambda error: ended.set())
    assert ended.wait(20)
"""


def python(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script; it fails the test by taking longer than a minute."""
    path = os.pathsep.join([str(ROOT), str(HERE), *sys.path])
    return subprocess.run(
        [
            sys.executable,
            "-X",
            "faulthandler",
            "-W",
            "ignore::DeprecationWarning",
            "-c",
            PROLOGUE + code if arguments else code,
            *arguments,
        ],
        env=os.environ | {"PYTHONPATH": path} | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def check(result: subprocess.CompletedProcess[str], output: str = "") -> None:
    assert (result.returncode, result.stderr) == (0, ""), result.stderr
    assert result.stdout == output


def test_a_forked_child_goes_on_with_what_it_inherited(gate_path: str) -> None:
    code = """
bound = Bound(compiled(device, streams="2"), 1.0)
bound.request.infer()
run_async(bound)

def body():
    bound.x[:] = 5
    bound.request.infer()
    assert bound.y[0, 0] == 10
    bound.x[:] = 6
    run_async(bound)
    assert bound.y[0, 0] == 12
    other = Bound(compiled(device), 7.0)
    run_async(other)
    assert other.y[0, 0] == 14
    assert in_child(lambda: run_async(other)) == 0

assert in_child(body) == 0
run_async(bound)
assert bound.y[0, 0] == 2
"""
    check(python(code, gate_path))


def test_a_fork_during_an_inference_gives_the_child_an_error(gate_path: str) -> None:
    code = """
executable = compiled(device)
running, queued, idle = Bound(executable, 1.0), Bound(executable, 2.0), Bound(executable, 3.0)
device.set_property("gate", "shut")
ended = threading.Semaphore(0)
for bound in (running, queued):
    bound.request.start(lambda error: ended.release())
wait_inside(1)

def body():
    for bound in (running, queued):
        assert bound.request.wait(-1) == -11
    for bound in (running, idle):
        try:
            bound.request.infer()
        except IEError as error:
            assert "the process forked while this network was inferring" in str(error), error
        else:
            raise AssertionError("no error")
    for bound in (running, queued, idle):
        bound.request.close()
    executable.close()

assert in_child(body) == 0
device.set_property("gate", "open")
assert ended.acquire(timeout=20) and ended.acquire(timeout=20)
assert (running.y[0, 0], queued.y[0, 0]) == (2, 4)
"""
    check(python(code, gate_path))


@pytest.mark.parametrize("keep", ["requests", "nothing"])
def test_the_interpreter_ends_with_requests_in_flight(gate_path: str, keep: str) -> None:
    code = """
executable = compiled(device)
outcomes = []
requests = [Bound(executable, 1.0) for _ in range(4)]
device.set_property("gate", "shut")
for bound in requests:
    bound.request.start(lambda error: outcomes.append(type(error).__name__))
wait_inside(1)
if sys.argv[2] == "nothing":
    del requests, bound, executable

import atexit
def report():
    print(sorted(outcomes), flush=True)
import ie_ctypes.runtime.jobs as jobs
atexit.unregister(jobs._stop)
atexit.register(report)
atexit.register(jobs._stop)
def open_gate():
    while not jobs._exiting:
        time.sleep(0.001)
    device.set_property("gate", "open")
threading.Thread(target=open_gate, daemon=True).start()
"""
    check(python(code, gate_path, keep), "['InferCancelledError', 'InferCancelledError', 'InferCancelledError', 'NoneType']\n")


def test_the_interpreter_ends_while_done_restarts_for_ever(gate_path: str) -> None:
    code = """
bound = Bound(compiled(device), 1.0)
def done(error):
    bound.request.start(done)
bound.request.start(done)
time.sleep(0.05)
"""
    result = python(code, gate_path)
    assert result.returncode == 0, result.stderr
    assert "the interpreter is shutting down: no inference can be started" in result.stderr


def test_the_interpreter_ends_while_a_daemon_thread_infers(gate_path: str) -> None:
    code = """
executable = compiled(device)
def loop():
    bound = Bound(executable, 1.0)
    while True:
        bound.request.infer()
for _ in range(3):
    threading.Thread(target=loop, daemon=True).start()
time.sleep(0.05)
"""
    result = python(code, gate_path)
    assert result.returncode == 0, result.stderr
    assert "Fatal" not in result.stderr


def test_ctrl_c_ends_a_wait(gate_path: str) -> None:
    code = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a process of the background ignores it
bound = Bound(compiled(device), 1.0)
device.set_property("gate", "shut")
bound.request.start(lambda error: None)
wait_inside(1)
threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
try:
    bound.request.wait(-1)
except KeyboardInterrupt:
    print("interrupted", flush=True)
device.set_property("gate", "open")
"""
    check(python(code, gate_path), "interrupted\n")


def test_an_exception_in_done_is_reported_and_the_request_ends(gate_path: str) -> None:
    code = """
bound = Bound(compiled(device), 1.0)
def done(error):
    raise ValueError("from the callback")
bound.request.start(done)
assert bound.request.wait(-1) == 0
import ie_ctypes.runtime.jobs as jobs
while jobs._running:
    time.sleep(0.001)
bound.request.infer()
"""
    result = python(code, gate_path)
    assert result.returncode == 0
    assert "ValueError: from the callback" in result.stderr


def test_a_missing_library_says_where_it_was_looked_for() -> None:
    code = """
from ie_ctypes import runtime
try:
    runtime.cpu_info()
except ImportError as error:
    print(error)
"""
    result = python(code, IE_CTYPES_LIBRARY="/nowhere/libiec.so")
    assert result.returncode == 0, result.stderr
    assert "cannot be loaded from /nowhere/libiec.so" in result.stdout
    assert "IE_CTYPES_LIBRARY" in result.stdout


def test_another_library_is_refused() -> None:
    code = """
from ie_ctypes import runtime
try:
    runtime.cpu_info()
except ImportError as error:
    print(error)
"""
    result = python(code, IE_CTYPES_LIBRARY="libc.so.6")
    assert "lacks the function iec_abi_version: it is not the library of this version" in result.stdout, result.stderr


def test_the_library_loads_at_first_use_only() -> None:
    code = "import ie_ctypes.runtime, ie_ctypes.devices.native, ie_ctypes.devices.cpu; print('imported')"
    check(python(code, IE_CTYPES_LIBRARY="/nowhere/libiec.so"), "imported\n")
