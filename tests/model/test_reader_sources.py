# SPDX-License-Identifier: Apache-2.0
"""Where networks are read from: paths, memory, file objects; who owns the weights."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from small_nets import legacy_net, opset_net, plain

from ie_ctypes.errors import ModelError
from ie_ctypes.model.graph import Graph
from ie_ctypes.model.readers import read_ir, sniff_version
from ie_ctypes.model.writers import ir_bytes, write_ir

XML, BIN = ir_bytes(legacy_net())


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "net.xml").write_bytes(XML)
    (tmp_path / "net.bin").write_bytes(BIN)
    return tmp_path / "net.xml", tmp_path / "net.bin"


def weights(graph: Graph) -> np.ndarray:
    conv = graph.node("conv")
    assert conv is not None
    return conv.blobs["weights"].data


def test_every_kind_of_source_reads_the_same(files: tuple[Path, Path]) -> None:
    xml, weights_file = files
    expected = plain(read_ir(xml))
    assert expected == plain(legacy_net())
    assert plain(read_ir(str(xml), str(weights_file))) == expected
    assert plain(read_ir(str(xml), "")) == expected
    for kind in (bytes, bytearray, memoryview, io.BytesIO):
        assert plain(read_ir(kind(XML), kind(BIN))) == expected
    with open(xml, "rb") as model, open(weights_file, "rb") as blobs:
        assert plain(read_ir(model, blobs)) == expected
    with open(xml, encoding="utf-8") as text:
        assert plain(read_ir(text, BIN)) == expected


def test_blobs_are_writable_private_views(files: tuple[Path, Path]) -> None:
    first, second = read_ir(files[0]), read_ir(files[0])
    assert np.shares_memory(weights(first), first.owner)
    weights(first)[...] = 7
    assert (weights(first) == 7).all()
    assert not (weights(second) == 7).any()
    assert files[1].read_bytes() == BIN


def test_changes_of_the_callers_buffer_do_not_reach_the_network() -> None:
    given = bytearray(BIN)
    graph = read_ir(XML, given)
    given[:] = bytes(len(given))
    assert plain(graph) == plain(legacy_net())
    given.clear()  # fails while somebody holds the buffer
    weights(graph)[...] = 1


def test_a_network_outlives_its_files(files: tuple[Path, Path]) -> None:
    graph = read_ir(files[0])
    for f in files:
        f.unlink()
    assert plain(graph) == plain(legacy_net())


def test_missing_files_are_os_errors(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_ir(tmp_path / "none.xml")
    (tmp_path / "net.xml").write_bytes(XML)
    with pytest.raises(FileNotFoundError):
        read_ir(tmp_path / "net.xml", tmp_path / "none.bin")
    with pytest.raises(IsADirectoryError):
        read_ir(tmp_path)


@pytest.mark.parametrize("content", [None, b""])
def test_weights_are_needed_only_for_blobs(tmp_path: Path, content: bytes | None) -> None:
    xml, _ = ir_bytes(legacy_net())
    (tmp_path / "net.xml").write_bytes(xml)
    if content is not None:
        (tmp_path / "net.bin").write_bytes(content)
    with pytest.raises(ModelError, match=r"net\.xml: line \d+: layer conv: segment exceeds given buffer limits"):
        read_ir(tmp_path / "net.xml")
    bare = legacy_net()
    bare.nodes = [n for n in bare.nodes if n.name == "data"]
    write_ir(bare, tmp_path / "net.xml")
    assert [n.name for n in read_ir(tmp_path / "net.xml").nodes] == ["data"]


@pytest.mark.parametrize("wrong", [5, 5.0, object(), [1, 2]])
def test_other_objects_are_type_errors(wrong: object) -> None:
    with pytest.raises(TypeError, match=f"model must be .* not {type(wrong).__name__}"):
        read_ir(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=f"weights must be .* not {type(wrong).__name__}"):
        read_ir(XML, wrong)  # type: ignore[arg-type]


def test_version_without_reading_the_network() -> None:
    assert sniff_version(XML) == 7
    file = io.BytesIO(ir_bytes(opset_net())[0])
    assert sniff_version(file) == 10
    assert file.tell() == 0
    assert sniff_version(b'<net version="6"><broken') == 6
    with pytest.raises(ModelError, match="deprecated IR version: 1"):
        sniff_version(b'<net version="1"/>')


def test_blobs_at_odd_offsets_are_read() -> None:
    graph = opset_net()
    xml, blobs = ir_bytes(graph)
    start = next(n for n in read_ir(xml, blobs).nodes if n.name == "kernel").blobs["custom"].data.nbytes
    text = xml.decode()
    assert f'offset="4" size="{start}"' in text  # the int8 constant before it has one byte
    moved = read_ir(text.replace('offset="4"', 'offset="1"').encode(), blobs[:1] + blobs[4:])
    assert plain(moved) == plain(graph)
