# SPDX-License-Identifier: Apache-2.0
"""No test run without the C runtime: what would be skipped is what matters. Libraries that tests build with the machine's compiler."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

# Workers of pytest-xdist are one a core; more threads of numpy's products would wait for each other, spinning: up to 30 times slower.
# Whatever imports numpy comes after this.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

INCLUDE = Path(__file__).parents[1] / "csrc" / "include"


def pytest_configure(config: pytest.Config) -> None:
    from ie_ctypes.runtime.library import library

    try:
        library()
    except ImportError as error:
        raise pytest.UsageError(str(error)) from None


@pytest.fixture(scope="session")
def compiler() -> str:
    """The C compiler."""
    found = shutil.which("cc") or shutil.which("gcc")
    if not found:
        pytest.skip("there is no C compiler")
    return found


@pytest.fixture(scope="session")
def build_driver(compiler: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Compile the source file of a driver or an extension to a shared library; gives its path."""
    folder = tmp_path_factory.mktemp("drivers")

    def build(source: Path, *flags: str) -> str:
        out = folder / ("_".join([source.stem, *(f.strip("-") for f in flags)]) + ".so")
        if not out.exists():
            command = [compiler, "-std=c11", "-D_POSIX_C_SOURCE=200809L", "-O1", "-fPIC", "-shared", f"-I{INCLUDE}", *flags]
            subprocess.run([*command, str(source), "-o", str(out), "-pthread"], check=True)
        return str(out)

    return build
