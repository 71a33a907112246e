# SPDX-License-Identifier: Apache-2.0
"""The recorded networks and cases under ``IE_TEST_DATA``, driven by the checkers that lie beside them."""

from __future__ import annotations

import importlib.util
import os
import pathlib
from types import ModuleType

import pytest

DATA = pathlib.Path(os.environ.get("IE_TEST_DATA", pathlib.Path(__file__).resolve().parents[3] / "shared"))


def listed(name: str) -> list[str]:
    """Lines of a list file, nothing when the data is absent."""
    path = DATA / name
    if not path.exists():
        return []
    return [line.split("\t")[0].strip() for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    lists = (("model", "models/dev.txt", ""), ("calibrated", "models/dev.txt", "INT8stat"), ("case", "corpus/dev_core.txt", ""))
    for fixture, name, part in lists:
        if fixture in metafunc.fixturenames:
            skip = pytest.mark.skip(reason=f"no {name} under {DATA}; set IE_TEST_DATA to the folder with the recorded networks")
            lines = [pytest.param(line, id=line.removesuffix(".xml")) for line in listed(name) if part in line]
            metafunc.parametrize(fixture, lines or [pytest.param("", marks=skip)])


def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DATA / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def check_models() -> ModuleType:
    return tool("check_models")


@pytest.fixture(scope="session")
def check_corpus() -> ModuleType:
    return tool("check_corpus")


@pytest.fixture(scope="session")
def data_folder() -> pathlib.Path:
    return DATA
