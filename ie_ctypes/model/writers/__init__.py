# SPDX-License-Identifier: Apache-2.0
"""Writers of network files: legacy networks as IR v7, operation sets as IR v10."""

from __future__ import annotations

import io
import os
from threading import get_ident
from typing import IO

from ie_ctypes.errors import ModelError
from ie_ctypes.model.graph import Graph
from ie_ctypes.model.writers.ir_legacy import write_legacy
from ie_ctypes.model.writers.ir_opset import write_opset
from ie_ctypes.model.writers.xmlwriter import Weights

__all__ = ["ir_bytes", "write_ir"]

Path = str | os.PathLike[str]


def ir_bytes(graph: Graph) -> tuple[bytes, bytes]:
    """The .xml and .bin of a network in memory."""
    stream = io.BytesIO()
    text = (write_legacy if graph.legacy else write_opset)(graph, Weights(stream))
    return text.encode(), stream.getvalue()


def write_ir(graph: Graph, xml: Path | IO[bytes], weights: Path | IO[bytes] | None = None) -> None:
    """Write a network to paths or binary file objects.

    Without ``weights`` the .bin beside an ``xml`` path is written. Files are replaced when both are complete, so that a network can be
    written over the files it is mapped from. Raises OSError for paths that cannot be written, ModelError for what a file cannot hold.
    """
    text, blobs = ir_bytes(graph)
    if not weights:
        weights = os.path.splitext(os.fspath(xml))[0] + ".bin" if isinstance(xml, str | os.PathLike) else None
    if weights is None and blobs:
        raise ModelError(f"the network has {len(blobs)} bytes of weights and no place to write them")
    finished: list[tuple[str, str]] = []
    try:
        for target, data in ((weights, blobs), (xml, text)):
            if isinstance(target, str | os.PathLike):
                path = os.path.realpath(target)
                # A device or pipe is written, not replaced; a folder fails here as it should.
                temporary = path if os.path.exists(path) and not os.path.isfile(path) else f"{path}.{os.getpid()}-{get_ident()}"
                with open(temporary, "wb") as f:
                    if temporary != path:
                        finished.append((temporary, path))
                    f.write(data)
            elif target is not None:
                target.write(data)
        while finished:
            os.replace(*finished[0])
            finished.pop(0)
    finally:
        for temporary, _ in finished:
            os.unlink(temporary)
