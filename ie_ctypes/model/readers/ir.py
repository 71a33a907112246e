# SPDX-License-Identifier: Apache-2.0
"""Reading a network file pair (.xml, .bin) of any supported IR version, from paths, memory or file objects."""

from __future__ import annotations

import mmap
import os
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ie_ctypes.collector import collector_paused
from ie_ctypes.errors import ModelError
from ie_ctypes.model.graph import Graph
from ie_ctypes.model.readers import xmltree

if TYPE_CHECKING:
    from typing import IO, Any

    from ie_ctypes.model.readers.base import FileReader

LEGACY_VERSIONS = range(2, 8)
OPSET_VERSIONS = range(10, 12)

#: Where a file comes from: a path, its bytes, or an object with ``read()``.
Source: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | IO[Any]"


def read_ir(model: Source, weights: Source | None = None) -> Graph:
    """Read a network.

    ``model`` is the XML, ``weights`` the .bin: a path, bytes-like or a file object. Without weights the .bin beside the model is
    taken when it exists. Weights of a path are mapped copy-on-write: blobs are writable views, the file never changes.

    Raises ModelError for every fault of the files, with file, line, layer and attribute; OSError for paths that cannot be read.
    """
    data, source = _load(model)
    with collector_paused():
        document = xmltree.parse(data, source)
        version = _version(document)
        raw = _weights(model, weights)
        graph = _reader(version)(document, version, raw).read(document.root)
        del document  # before the collector looks at its elements
    graph.owner = raw
    return graph


def sniff_version(model: Source) -> int:
    """The IR version of a network without reading the rest; the same errors as ``read_ir``. A file object keeps its position."""
    position = model.tell() if hasattr(model, "tell") and hasattr(model, "seek") else None
    data, source = _load(model)
    if position is not None:
        model.seek(position)  # type: ignore[union-attr]
    return _version(xmltree.root_of(data, source))


def _reader(version: int) -> type[FileReader]:
    """The reader of a version's dialect; only its module is imported."""
    if version in LEGACY_VERSIONS:
        from ie_ctypes.model.readers.ir_legacy import LegacyReader

        return LegacyReader
    from ie_ctypes.model.readers.ir_opset import OpsetReader

    return OpsetReader


def _version(document: xmltree.Document) -> int:
    net = document.root

    def fail(text: str) -> ModelError:
        return xmltree.error(document.source, document.line(net), text)

    if net.tag != "net":
        raise fail(f"deprecated IR version: 0 (the root element is <{net.tag[:60]}>, expected <net>)")
    text = net.get("version", "0")
    if not text.strip().isdecimal() or len(text) > 9:
        raise fail(f"attribute 'version' of <net> is {text[:60]!r}, expected an IR version 2..7, 10 or 11")
    version = int(text)
    if version < LEGACY_VERSIONS.start:
        raise fail(f"deprecated IR version: {version}")
    if version >= OPSET_VERSIONS.stop:
        raise fail(f"cannot parse future versions: {version}")
    if version not in LEGACY_VERSIONS and version not in OPSET_VERSIONS:
        raise fail(f"IR version {version} is not supported, expected 2..7, 10 or 11")
    return version


def _load(model: Source) -> tuple[bytes, str]:
    """Bytes of the XML, and the name for messages ("" for memory)."""
    if isinstance(model, str | os.PathLike):
        path = os.fspath(model)
        with open(path, "rb") as f:
            size = os.fstat(f.fileno()).st_size
            if size > xmltree.MAX_BYTES:
                raise ModelError(f"{path}: the file has {size} bytes, expected at most {xmltree.MAX_BYTES}")
            return f.read(), path
    return _buffer(model, "model")


def _buffer(given: bytes | bytearray | memoryview | IO[Any], what: str) -> tuple[bytes, str]:
    """Bytes of a bytes-like or file object, and its name if it has one."""
    if isinstance(given, bytes):
        return given, ""
    read = getattr(given, "read", None)
    if read is None:
        try:
            return bytes(memoryview(given)), ""  # type: ignore[arg-type]
        except TypeError:
            raise TypeError(f"{what} must be a path, bytes-like or a binary file object, not {type(given).__name__}") from None
    data = read()
    if isinstance(data, str):
        data = data.encode()
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(f"{what}: read() gave {type(data).__name__}, expected bytes")
    name = getattr(given, "name", "")
    return bytes(data), name if isinstance(name, str) else ""


def _weights(model: Source, weights: Source | None) -> np.ndarray | None:
    """The weights as writable bytes; None when there are none."""
    if weights is None or (isinstance(weights, str) and not weights):
        if not isinstance(model, str | os.PathLike):
            return None
        path = os.path.splitext(os.fspath(model))[0] + ".bin"
        return _mapped(path) if os.path.isfile(path) else None
    if isinstance(weights, str | os.PathLike):
        return _mapped(os.fspath(weights))
    return np.frombuffer(bytearray(_buffer(weights, "weights")[0]), np.uint8)


def _mapped(path: str) -> np.ndarray:
    with open(path, "rb") as f:
        if os.fstat(f.fileno()).st_size == 0:
            return np.empty(0, np.uint8)
        return np.frombuffer(mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_COPY), np.uint8)
