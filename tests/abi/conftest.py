# SPDX-License-Identifier: Apache-2.0
"""Drivers for the tests, built with the machine's compiler."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ie_ctypes import runtime

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
INCLUDE = ROOT / "csrc" / "include"


@pytest.fixture(scope="session")
def compiler() -> str:
    """The C compiler."""
    found = shutil.which("cc") or shutil.which("gcc")
    if not found:
        pytest.skip("there is no C compiler")
    return found


@pytest.fixture(scope="session")
def build_driver(compiler: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Compile a driver's source file to a shared library; gives its path."""
    folder = tmp_path_factory.mktemp("drivers")

    def build(source: Path, *flags: str) -> str:
        out = folder / ("_".join([source.stem, *(f.strip("-") for f in flags)]) + ".so")
        if not out.exists():
            command = [compiler, "-std=c11", "-D_POSIX_C_SOURCE=200809L", "-O1", "-fPIC", "-shared", f"-I{INCLUDE}", *flags]
            subprocess.run([*command, str(source), "-o", str(out), "-pthread"], check=True)
        return str(out)

    return build


@pytest.fixture(scope="session")
def gate_path(build_driver: Callable[..., str]) -> str:
    """Path of the test driver."""
    return build_driver(HERE / "gate_driver.c")


@pytest.fixture
def gate(gate_path: str) -> Iterator[runtime.Device]:
    """The test driver, its gate open before and after."""
    device = runtime.Device("GATE", path=gate_path)
    device.set_property("gate", "shut")  # clears its records
    device.set_property("gate", "open")
    yield device
    device.set_property("gate", "open")
    device.close()
