# SPDX-License-Identifier: Apache-2.0
"""``python -m ie_ctypes``."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ie_ctypes.cli import main
from ie_ctypes.plugins import Subcommand, hookimpl
from ie_ctypes.plugins.manager import PluginManager, create_manager

from .conftest import Install
from .test_manager import ACME, Gates

MODEL = str(Path(__file__).parents[2] / "samples" / "models" / "digits_v7.xml")


def test_plugins_shows_all_sorts(install: Install, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    install("acme", "acme-ie", ACME)
    install("broken", "broken-ie", "import does_not_exist")
    install("other", "other-ie", ACME)
    monkeypatch.setenv("IE_CTYPES_DISABLE_PLUGINS", "other")
    with pytest.warns(RuntimeWarning, match="broken"):
        manager = create_manager()
    assert main(["plugins"], manager) == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert rows["acme"].split(maxsplit=3)[1:] == ["acme-ie", "1.0", "device ACME"]
    assert "FAILED: cannot be loaded: ModuleNotFoundError: No module named 'does_not_exist'" in rows["broken"]
    assert "left out" in rows["other"]
    assert "device CPU" in rows["builtin.cpu"]


def test_plugins_lists_those_that_exclude_each_other(manager: PluginManager, capsys: pytest.CaptureFixture[str]) -> None:
    manager.register(Gates(), "one")
    manager.register(Gates(), "two")
    assert main(["query", "CPU"], manager) == 1
    assert "device GATE is provided by two plugins, one and two" in capsys.readouterr().err
    assert main(["plugins"], manager) == 0
    assert capsys.readouterr().out.count("device GATE") == 2


def test_the_module_runs() -> None:
    done = subprocess.run([sys.executable, "-m", "ie_ctypes", "plugins"], capture_output=True, text=True, check=True)
    assert "command benchmark" in done.stdout
    done = subprocess.run([sys.executable, "-m", "ie_ctypes"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "COMMAND" in done.stderr


def test_query(manager: PluginManager, capsys: pytest.CaptureFixture[str]) -> None:
    manager.register(Gates(), "gates")
    assert main(["query", "CPU", "GATE"], manager) == 0
    out = capsys.readouterr().out
    assert "metric FULL_DEVICE_NAME" in out
    assert "setting CPU_THROUGHPUT_STREAMS" in out
    assert "setting EXCLUSIVE_ASYNC_REQUESTS" in out.partition("GATE")[2]
    assert main(["query", "BLA"], manager) == 1
    assert capsys.readouterr().err == 'error: Device with "BLA" name is not registered in the InferenceEngine\n'


def test_query_of_devices_that_are_made_of_others(manager: PluginManager, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["query", "HETERO", "MULTI"], manager) == 0
    out = capsys.readouterr().out
    assert re.search(r"setting HETERO_DUMP_GRAPH_DOT +False\n", out)
    assert re.search(r"setting MULTI_DEVICE_PRIORITIES +-\n", out)


def test_show(manager: PluginManager, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", MODEL, "-d", "CPU", "-p"], manager) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "digits: 11 layers, batch 1, precision FP32"
    (conv,) = (line for line in lines if line.split()[1] == "conv1")
    assert "1x16x8x8" in conv
    assert "CPU" in conv
    assert "kernel=3,3" in conv


def test_benchmark(manager: PluginManager, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", MODEL, "-t", "0.05", "-c", "CPU_THROUGHPUT_STREAMS=2"], manager) == 0
    out = capsys.readouterr().out
    assert "CPU, 2 requests" in out
    assert float(out.partition("throughput")[2].split()[0]) > 0
    assert main(["benchmark", MODEL, "-c", "NOPE"], manager) == 1
    assert "expected KEY=VALUE" in capsys.readouterr().err


def test_subcommand_of_a_plugin(manager: PluginManager, capsys: pytest.CaptureFixture[str]) -> None:
    def run(arguments: argparse.Namespace) -> int:
        print(f"hello {arguments.who}")
        return 3

    class Hello:
        @hookimpl
        def ie_ctypes_subcommands(self) -> list[Subcommand]:
            return [Subcommand(name="hello", help="greets", run=run, configure=lambda parser: parser.add_argument("who"))]

    manager.register(Hello(), "hello")
    assert main(["hello", "you"], manager) == 3
    assert capsys.readouterr().out == "hello you\n"
    manager.register(Hello(), "hello2")
    assert main(["hello", "you"], manager) == 1
    assert "subcommand hello is provided by two plugins, hello and hello2" in capsys.readouterr().err
