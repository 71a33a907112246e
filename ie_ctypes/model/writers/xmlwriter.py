# SPDX-License-Identifier: Apache-2.0
"""Indented XML text and the packed weights beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO

import numpy as np

from ie_ctypes.errors import ModelError
from ie_ctypes.model.graph import BackEdge, Body, Graph, Node, Port, PortMap

_NAME = re.compile(r"[^\W\d][\w.:\-]*")
#: What XML 1.0 cannot hold at all, not even escaped.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})


class Weights:
    """Appends blobs to the .bin, each aligned to its element size."""

    def __init__(self, stream: IO[bytes]):
        self.stream = stream
        self.size = 0

    def add(self, data: np.ndarray) -> tuple[int, int]:
        """Write an array; its offset and size in bytes."""
        data = np.ascontiguousarray(data)
        padding = -self.size % data.itemsize
        self.stream.write(bytes(padding) + data.tobytes())
        offset = self.size + padding
        self.size = offset + data.nbytes
        return offset, data.nbytes


class XmlWriter:
    """Collects the lines of a document."""

    def __init__(self) -> None:
        self.lines = ['<?xml version="1.0" encoding="UTF-8"?>']
        self.depth = 0

    def leaf(self, tag: str, attrs: Mapping[str, object] | None = None, text: str = "") -> None:
        """An element without children."""
        body = f">{_escape(text)}</{tag}>" if text else "/>"
        self.lines.append("\t" * self.depth + _opening(tag, attrs or {}) + body)

    @contextmanager
    def element(self, tag: str, attrs: Mapping[str, object] | None = None) -> Iterator[None]:
        """An element; what is written inside the ``with`` are its children."""
        self.lines.append("\t" * self.depth + _opening(tag, attrs or {}) + ">")
        self.depth += 1
        yield
        self.depth -= 1
        self.lines.append("\t" * self.depth + f"</{tag}>")

    def text(self) -> str:
        """The document."""
        return "\n".join([*self.lines, ""])

    # -- parts that both dialects share ----------------------------------------------------------------------------------
    def ports(self, tag: str, ports: list[Port]) -> None:
        """``<input>`` or ``<output>``; nothing when there are no ports."""
        if not ports:
            return
        with self.element(tag):
            for port in ports:
                attrs: dict[str, object] = {"id": port.id}
                if port.precision:
                    attrs["precision"] = port.precision
                if port.names:
                    attrs["names"] = ",".join(n.replace(",", "\\,") for n in port.names)
                with self.element("port", attrs):
                    for d in port.shape:
                        self.leaf("dim", text=str(d))
                    self.attributes(port.rt_info)

    def attributes(self, rt_info: Mapping[str, Mapping[str, str]]) -> None:
        """``<rt_info>`` of a layer or port."""
        if rt_info:
            with self.element("rt_info"):
                for name, rest in rt_info.items():
                    self.leaf("attribute", {"name": name, **rest})

    def edges(self, graph: Graph) -> None:
        """``<edges>``, by consumer."""
        with self.element("edges"):
            for node in graph.nodes:
                for port, source in zip(node.inputs, node.sources, strict=True):
                    if source is not None:
                        producer, index = source
                        ids = (producer.id, producer.outputs[index].id, node.id, port.id)
                        self.leaf("edge", dict(zip(("from-layer", "from-port", "to-layer", "to-port"), ids, strict=True)))

    def port_map(self, tag: str, body: Body) -> None:
        """The port map of a body."""
        with self.element(tag):
            for side, rows in (("input", body.inputs), ("output", body.outputs)):
                for row in rows:
                    self.leaf(side, _row(row))

    def back_edges(self, edges: list[BackEdge]) -> None:
        """``<back_edges>``; nothing when there are none."""
        if not edges:
            return
        with self.element("back_edges"):
            for e in edges:
                ids = {"from-layer": e.from_layer, "from-port": e.from_port, "to-layer": e.to_layer, "to-port": e.to_port}
                self.leaf("edge", {k: v for k, v in ids.items() if v is not None})


def _row(row: PortMap) -> dict[str, object]:
    found: dict[str, object] = {"external_port_id": row.external_port_id, "internal_layer_id": row.internal_layer_id}
    if row.internal_port_id is not None:
        found["internal_port_id"] = row.internal_port_id
    if row.axis is not None:
        found.update(axis=row.axis, start=row.start, end=row.end, stride=row.stride, part_size=row.part_size)
    if row.purpose:
        found["purpose"] = row.purpose
    return found


def _opening(tag: str, attrs: Mapping[str, object]) -> str:
    for name in (tag, *attrs):
        if not is_name(name):
            raise ModelError(f"{name!r} cannot be written as the name of an XML element or attribute")
    return "<" + tag + "".join(f' {k}="{_escape(str(v))}"' for k, v in attrs.items())


def is_name(text: str) -> bool:
    """Whether the text can name an XML element or attribute."""
    return _NAME.fullmatch(text) is not None


def _escape(text: str) -> str:
    if _FORBIDDEN.search(text):
        raise ModelError(f"text {text[:60]!r} has a character that XML cannot hold")
    return text.translate(_ESCAPES)


def layer_attrs(node: Node, key: str, value: str) -> dict[str, object]:
    """Attributes of ``<layer>``; ``key`` is the one in which the dialects differ."""
    found: dict[str, object] = {"id": node.id, "name": node.name, "type": node.type}
    if value:
        found[key] = value
    if node.affinity:
        found["affinity"] = node.affinity
    return found
