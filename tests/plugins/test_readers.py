# SPDX-License-Identifier: Apache-2.0
"""Formats that plugins read."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from api.conftest import identity_network

from ie_ctypes import IECore, IEError
from ie_ctypes.errors import ModelError
from ie_ctypes.model.builder import NetworkBuilder
from ie_ctypes.model.graph import Graph
from ie_ctypes.plugins import Reader, hookimpl
from ie_ctypes.plugins.manager import PluginManager, create_manager


def read_toy(model: Any, weights: Any) -> Graph:
    """A network of the name that follows the first four bytes."""
    data = Path(model).read_bytes() if isinstance(model, str) else bytes(model if isinstance(model, bytes) else model.read())
    b = NetworkBuilder.legacy(data[4:].decode())
    x = b.input("data", (1, 2))
    b.layer("ReLU", "out", [x], [(1, 2)])
    return b.graph()


class Toys:
    """Provides the toy format."""

    def __init__(self, *suffixes: str, read: Any = read_toy) -> None:
        self._record = Reader(name="toy", read=read, suffixes=suffixes, begins=(b"TOY:",))

    @hookimpl
    def ie_ctypes_readers(self) -> list[Reader]:
        return [self._record]


def test_reader_of_a_plugin(manager: PluginManager, tmp_path: Path) -> None:
    manager.register(Toys(".toy", ".toy.gz"), "toys")
    core = IECore(plugin_manager=manager)
    path = tmp_path / "a.TOY"
    path.write_bytes(b"TOY:one")
    assert core.read_network(str(path)).name == "one"
    assert core.read_network(b"TOY:two").name == "two"
    assert core.read_network(io.BytesIO(b"TOY:three")).name == "three"
    assert core.read_network(*identity_network()).name == "copy"
    with pytest.raises(ModelError):
        IECore().read_network(b"TOY:two")  # the process does not have the plugin


def test_two_readers_of_a_suffix(manager: PluginManager) -> None:
    manager.register(Toys(".xml"), "toys")
    with pytest.raises(IEError, match=r"the reader of files \.xml is provided by two plugins, builtin\.ir of ie_ctypes .* and toys"):
        IECore(plugin_manager=manager).read_network(*identity_network())


def test_reader_without_a_graph_is_named(manager: PluginManager) -> None:
    manager.register(Toys(".toy", read=lambda model, weights: None), "toys")
    with pytest.raises(IEError, match="reader toy gave NoneType, expected a Graph"):
        IECore(plugin_manager=manager).read_network(b"TOY:")


def test_format_without_reader(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("IE_CTYPES_DISABLE_PLUGINS", "builtin.ir")
    core = IECore(plugin_manager=create_manager(installed=False))
    path = tmp_path / "net.xml"
    path.write_bytes(identity_network()[0])
    with pytest.raises(IEError, match=r"no plugin reads .*net\.xml; formats that are read: \.onnx, \.prototxt"):
        core.read_network(str(path))
