# SPDX-License-Identifier: Apache-2.0
"""Processes: interpreter exit, interrupts and forks with requests in flight, on every built-in device that is there."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from .conftest import legacy_network, opset_network, write

PRELUDE = """
import os, signal, sys, threading, time
import numpy as np
from ie_ctypes import IECore
core = IECore()
device, xml = sys.argv[1:]
net = core.read_network(xml)
data = {"data": np.ones(net.inputs["data"].shape, np.float32)}
"""


@pytest.fixture(params=["REFERENCE", "CPU", "HETERO:REFERENCE,CPU", "MULTI:CPU,REFERENCE"])
def device(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def run(body: str, device: str, folder: Path, big: bool = False) -> subprocess.CompletedProcess[str]:
    xml, _ = write(opset_network() if big else legacy_network(), folder, "net")
    env = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = [sys.executable, "-W", "ignore:This process:DeprecationWarning", "-c", PRELUDE + textwrap.dedent(body), device, xml]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=env, check=False)


def test_exit_with_requests_in_flight(device: str, tmp_path: Path) -> None:
    done = run(
        """
        exec_net = core.load_network(net, device, num_requests=8)
        for _ in range(3):
            for i in range(8):
                exec_net.requests[i].wait()
                exec_net.start_async(i, data)
        print("end")
        """,
        device,
        tmp_path,
        big=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")


def test_exit_while_a_callback_never_ends(device: str, tmp_path: Path) -> None:
    done = run(
        """
        exec_net = core.load_network(net, device)
        entered = threading.Event()
        exec_net.requests[0].set_completion_callback(lambda status, data: (entered.set(), threading.Event().wait()))
        exec_net.start_async(0, data)
        assert entered.wait(30)
        """,
        device,
        tmp_path,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_objects_dropped_in_any_order_at_exit(device: str, tmp_path: Path) -> None:
    done = run(
        """
        for order in range(6):
            core = IECore()
            exec_net = core.load_network(net, device, num_requests=2)
            request, blob = exec_net.requests[0], exec_net.requests[1].input_blobs["data"]
            request.async_infer(data)
            things = [core, exec_net, request]
            del core, exec_net, request
            for i in (order % 3, order % 2, 0):
                del things[i]
        print("end")
        """,
        device,
        tmp_path,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")


def test_interrupt_ends_wait(device: str, tmp_path: Path) -> None:
    done = run(
        """
        exec_net = core.load_network(net, device)
        gate = threading.Event()
        exec_net.requests[0].set_completion_callback(lambda status, data: gate.wait())
        exec_net.start_async(0, data)
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            exec_net.requests[0].wait()
        except KeyboardInterrupt:
            print("interrupted")
        gate.set()
        print(exec_net.requests[0].wait())
        """,
        device,
        tmp_path,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\n0\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="os.fork does not exist here")
def test_forked_child_can_infer(device: str, tmp_path: Path) -> None:
    done = run(
        """
        exec_net = core.load_network(net, device, num_requests=2)
        expected = exec_net.infer(data)["fc"]
        exec_net.start_async(1, data)
        exec_net.wait()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                assert np.allclose(exec_net.infer(data)["fc"], expected)
                exec_net.start_async(1, data)
                assert exec_net.wait(timeout=20000) == 0
                assert np.allclose(exec_net.requests[1].outputs["fc"], expected)
                other = core.load_network(net, device)
                assert np.allclose(other.infer(data)["fc"], expected)
                code = 0
            finally:
                sys.stderr.flush()
                os._exit(code)
        assert np.allclose(exec_net.infer(data)["fc"], expected)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """,
        device,
        tmp_path,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="os.fork does not exist here")
def test_request_that_ran_at_the_fork_has_failed_in_the_child(device: str, tmp_path: Path) -> None:
    done = run(
        """
        exec_net = core.load_network(net, device)
        gate = threading.Event()
        entered = threading.Event()
        request = exec_net.requests[0]
        request.set_completion_callback(lambda status, data: (entered.set(), gate.wait()))
        request.async_infer(data)
        assert entered.wait(30)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                try:
                    request.wait(20000)
                except RuntimeError as e:
                    assert "forked" in str(e), e
                    request.set_completion_callback(None)
                    request.async_infer(data)
                    assert request.wait(20000) == 0
                    code = 0
            finally:
                sys.stderr.flush()
                os._exit(code)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        gate.set()
        print(request.wait())
        """,
        device,
        tmp_path,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n0\n", "")


def test_import_needs_no_environment(tmp_path: Path) -> None:
    paths = [p for p in sys.path if p]
    code = f"import sys; sys.path[:0] = {paths!r}; import ie_ctypes; print(list(ie_ctypes.IECore().get_versions('REFERENCE')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env={}, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout) == (0, "['REFERENCE']\n"), done.stderr


@pytest.mark.parametrize(
    ("statement", "names"),
    [
        ("import ie_ctypes", {"numpy", "pluggy", "ctypes", "importlib.metadata", "ie_ctypes.runtime", "ie_ctypes.model.ops"}),
        ("from ie_ctypes import IECore; IECore()", {"numpy", "ctypes", "ie_ctypes.api.codes", "ie_ctypes.model.graph"}),
        (
            "from ie_ctypes import IECore; core = IECore(); core.load_network(core.read_network('net.xml'), 'CPU')",
            {"ie_ctypes.api.blob", "ie_ctypes.api.codes", "ie_ctypes.api.layer", "ie_ctypes.devices.stateful", "ie_ctypes.model.custom"},
        ),
    ],
)
def test_what_is_not_imported_before_it_is_needed(tmp_path: Path, statement: str, names: set[str]) -> None:
    write(opset_network(), tmp_path, "net")
    code = f"import sys; before = set(sys.modules); {statement}; print(sorted({names!r} & (set(sys.modules) - before)))"
    env = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=env, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
