# SPDX-License-Identifier: Apache-2.0
"""What both dialects share: typed attributes, ports, edges, bodies, blobs. See IR.md sections 2 and 9 for the format."""

from __future__ import annotations

import abc
import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ie_ctypes.errors import ModelError
from ie_ctypes.model.dtypes import BY_ELEMENT_TYPE, BY_NAME
from ie_ctypes.model.graph import BackEdge, Blob, Body, Graph, MeanChannel, Node, Port, PortMap, PreProcess, Shape
from ie_ctypes.model.readers.xmltree import Document, Element, error, text_of

if TYPE_CHECKING:
    from ie_ctypes.model.readers.packed import PackedType

MAX_ID = 2**31 - 1
MAX_OFFSET = 2**63 - 1
MAX_RANK = 32  # what numpy can hold
MAX_SIZE = 2**40  # elements of one tensor

# Compiled at first use: hardly a file needs them.
_INTEGER = r"[+-]?[0-9]{1,19}"
_RANGE = r"\?|([0-9]{1,19})?\.\.([0-9]{1,19})?"
_UNKNOWN = ("", "UNSPECIFIED", "UNDEFINED", "DYNAMIC")
_TOO_SHORT = "segment exceeds given buffer limits. Please, validate weights file"
_ALIASES = {"U1": "BIN", "BOOLEAN": "BOOL"}


class FileReader(abc.ABC):
    """State of one reading: the file's name for messages, its weights, and the layer being read."""

    legacy: bool

    def __init__(self, document: Document, version: int, weights: np.ndarray | None):
        self.document = document
        self.source = document.source
        self.version = version
        self.weights = weights  # bytes of the .bin, None when there is none
        self.layer = ""  # named in messages
        self._integers: dict[str | None, int | None] = {}  # of their texts: most appear more than once
        self._shapes: dict[str | tuple[str | None, ...], Shape] = {}  # of their text or those of their dimensions, likewise

    @abc.abstractmethod
    def read(self, net: Element) -> Graph:
        """The network of a ``<net>`` element."""

    # -- faults and attributes -------------------------------------------------------------------------------------------
    def fail(self, at: Element, text: str) -> ModelError:
        """The error for a fault at an element: ``raise self.fail(element, "...")``."""
        return error(self.source, self.document.line(at), f"layer {self.layer}: {text}" if self.layer else text)

    def text(self, at: Element, name: str) -> str:
        """A required attribute, never empty."""
        found = at.get(name)
        if not found:
            raise self.fail(at, f"<{at.tag}> has {'no' if found is None else 'an empty'} attribute {name!r}")
        return found

    def integer(self, at: Element, name: str, default: int | None = None, low: int = 0, high: int = MAX_ID) -> int:
        """An integer attribute within limits; required when there is no default."""
        text = at.get(name)
        value = self._integers.get(text)
        if value is None:
            if text is None and default is not None:
                return default
            if text is None or (not text and default is None):
                text = self.text(at, name)
            value = int(text) if _is_plain(text) or re.fullmatch(_INTEGER, text.strip()) else None
            self._integers[text] = value
        if value is None or not low <= value <= high:
            raise self.fail(at, f"attribute {name!r} of <{at.tag}> is {_short(text or '')}, expected an integer in {low}..{high}")
        return value

    def floats(self, at: Element, text: str) -> tuple[float, ...]:
        """Comma separated numbers."""
        try:
            return tuple(float(t) for t in text.split(",") if t.strip())
        except ValueError as e:
            raise self.fail(at, f"<{at.tag}>: {_short(str(e))}") from None

    def precision(self, at: Element, name: str = "precision") -> str:
        """A precision attribute by its legacy name; "" when absent or unspecified, of compressed weights what they are read as."""
        text = at.get(name, "").strip()
        if text in BY_NAME:
            return text
        if text in BY_ELEMENT_TYPE:
            return BY_ELEMENT_TYPE[text].name
        upper = text.upper()
        if upper in _UNKNOWN:
            return ""
        upper = _ALIASES.get(upper, upper)
        if upper not in BY_NAME:
            packed = None if self.legacy else packed_type(text)
            if packed is not None:
                return packed.precision
            raise self.fail(at, f"precision {_short(text)} is not supported (attribute {name!r} of <{at.tag}>)")
        return upper

    def dimension(self, at: Element, text: str) -> int:
        """One dimension: positive in legacy files, else zero or more, or -1 for the dynamic spellings ``-1``, ``?``, ``1..4``."""
        if _is_plain(text) and not self.legacy:
            return int(text)
        text = text.strip()
        if self.legacy:
            if not re.fullmatch(_INTEGER, text) or not 0 < int(text) <= MAX_ID:
                raise self.fail(at, f"dimension ({_short(text)}) in node <{at.tag}> must be a positive integer")
            return int(text)
        if re.fullmatch(_RANGE, text):
            return -1
        if not re.fullmatch(_INTEGER, text) or not -1 <= int(text) <= MAX_ID:
            raise self.fail(at, f"dimension ({_short(text)}) in node <{at.tag}> must be a non-negative integer, -1, ? or a range a..b")
        return int(text)

    def shape(self, at: Element, dims: list[int]) -> Shape:
        """The dimensions as a shape, refused when no memory could hold it."""
        if len(dims) > MAX_RANK:
            raise self.fail(at, f"shape has {len(dims)} dimensions, expected at most {MAX_RANK}")
        if math.prod(dims) > MAX_SIZE or (min(dims, default=1) < 1 and math.prod(max(d, 1) for d in dims) > MAX_SIZE):
            raise self.fail(at, f"shape {dims} has more than {MAX_SIZE} elements")
        return tuple(dims)

    # -- layers, ports, edges --------------------------------------------------------------------------------------------
    def layers(self, parent: Element, read: Callable[[Element, int, str], Node]) -> list[Node]:
        """The nodes of ``<layers>``; ids are unique. ``read`` makes one node from its element, id and name."""
        section = parent.find("layers")
        if section is None or section.find("layer") is None:
            raise self.fail(parent, "Incorrect model! Network doesn't contain layers.")
        nodes: dict[int, Node] = {}
        for element in section.findall("layer"):
            number = self.integer(element, "id")
            name = self.text(element, "name")
            if number in nodes:
                raise self.fail(element, f"layer id {number} is used by layers {nodes[number].name!r} and {name!r}")
            outer, self.layer = self.layer, name
            nodes[number] = read(element, number, name)
            self.layer = outer
        return list(nodes.values())

    def ports(self, layer: Element, side: str, *, need_precision: bool = False) -> list[Port]:
        """The ports of ``<input>`` or ``<output>``, in file order."""
        section = layer.find(side)
        if section is None:
            return []
        found: dict[int, Port] = {}
        for element in section.findall("port"):
            number = self.integer(element, "id")
            if number in found:
                raise self.fail(element, f"{side} port {number} is given twice")
            if need_precision and not element.get("precision"):
                self.text(element, "precision")
            dims = tuple([d.text for d in element.findall("dim")])
            shape = self._shapes.get(dims)
            if shape is None:
                shape = self.shape(element, [self.dimension(d, text_of(d)) for d in element.findall("dim")])
                self._shapes[dims] = shape
            port = Port(number, shape, self.precision(element))
            names = element.get("names")
            if names is not None:
                port.names = _names(names)
            if len(dims) < len(element):
                port.rt_info = self.attributes(element)
            found[number] = port
        return list(found.values())

    def attributes(self, parent: Element) -> dict[str, dict[str, str]]:
        """The runtime attributes of a layer or port: name -> the other XML attributes."""
        section = parent.find("rt_info")
        if section is None:
            return {}
        found: dict[str, dict[str, str]] = {}
        for element in section.findall("attribute"):
            found[self.text(element, "name")] = {k: v for k, v in element.attrib.items() if k != "name"}
        return found

    def edges(self, parent: Element, nodes: list[Node]) -> None:
        """Connect ``sources`` by ``<edges>``."""
        inputs = {(n.id, p.id): (n, i) for n in nodes for i, p in enumerate(n.inputs)}
        outputs = {(n.id, p.id): (n, i) for n in nodes for i, p in enumerate(n.outputs)}
        for n in nodes:
            n.sources = [None] * len(n.inputs)
        section = parent.find("edges")
        for edge in section.findall("edge") if section is not None else ():
            start = self.integer(edge, "from-layer"), self.integer(edge, "from-port")
            end = self.integer(edge, "to-layer"), self.integer(edge, "to-port")
            if start not in outputs or end not in inputs:
                raise self.loose_edge(edge, nodes, start, end)
            source, (consumer, place) = outputs[start], inputs[end]
            if self.legacy:
                self.check_shapes(edge, source, (consumer, place))
            if consumer.sources[place] is not None:
                raise self.fail(edge, f"input port {end[1]} of layer {consumer.name} is connected twice")
            consumer.sources[place] = source

    def loose_edge(self, edge: Element, nodes: list[Node], start: tuple[int, int], end: tuple[int, int]) -> ModelError:
        """The error for an edge of which an end, given as layer and port, is not there."""
        by_id = {n.id: n for n in nodes}
        for number in (start[0], end[0]):
            if number not in by_id:
                return self.fail(edge, f"Layer ID {number} was not found while connecting edge")
        producer, consumer = by_id[start[0]], by_id[end[0]]
        if start[1] not in {p.id for p in producer.outputs}:
            return self.fail(edge, f"in Layer {producer.name}: trying to connect an edge to non existing output port: {start[1]}")
        return self.fail(edge, f"input port {end[1]} does not exist in layer {consumer.name}")

    def check_shapes(self, edge: Element, source: tuple[Node, int], target: tuple[Node, int]) -> None:
        """The ends of an edge have the same shape."""
        output, input = source[0].outputs[source[1]], target[0].inputs[target[1]]
        if output.shape != input.shape:
            raise self.fail(
                edge,
                f"in Layer {target[0].name}: trying to connect an edge to mismatch dimensions of output port: {output.id} of layer"
                f" {source[0].name} dims input: {list(input.shape)} dims output: {list(output.shape)}",
            )

    def unconnected(self, at: Element, node: Node, index: int) -> ModelError:
        """The error for an input without an edge."""
        return self.fail(at, f"Layer {node.name} input port {node.inputs[index].id} is not connected to any data")

    # -- bodies ----------------------------------------------------------------------------------------------------------
    def port_map(self, layer: Element, tag: str, node: Node, body: Graph) -> tuple[list[PortMap], list[PortMap]]:
        """Input and output rows of a port map, with every id checked."""
        section = layer.find(tag)
        if section is None:
            raise self.fail(layer, f"<{tag}> is missing")
        by_id = {n.id: n for n in body.nodes}
        rows: tuple[list[PortMap], list[PortMap]] = ([], [])
        for side, ports, found in (("input", node.inputs, rows[0]), ("output", node.outputs, rows[1])):
            outer = {p.id for p in ports}
            for element in section.findall(side):
                row = PortMap(
                    external_port_id=self.integer(element, "external_port_id", low=-1),
                    internal_layer_id=self.integer(element, "internal_layer_id"),
                    start=self.integer(element, "start", 0, low=-MAX_ID),
                    end=self.integer(element, "end", -1, low=-MAX_ID),
                    stride=self.integer(element, "stride", 1, low=-MAX_ID),
                    part_size=self.integer(element, "part_size", 1, low=-MAX_ID),
                    purpose=element.get("purpose", ""),
                )
                if element.get("axis") is not None:
                    row.axis = self.integer(element, "axis", low=-MAX_RANK, high=MAX_RANK)
                if self.legacy and row.axis == -1:
                    row.axis = None
                inside = node.type == "Loop" and row.external_port_id == -1  # the number of the iteration, the condition
                if row.external_port_id not in outer and not inside:
                    raise self.fail(element, f"external_port_id {row.external_port_id} of <{tag}> is no {side} port of the layer")
                if row.axis is not None and row.stride == 0:
                    raise self.fail(element, f"stride of <{tag}> is 0")
                row.internal_port_id = self.body_port(element, by_id, row.internal_layer_id, side, "internal_port_id")
                found.append(row)
        return rows

    def body_port(self, at: Element, by_id: dict[int, Node], layer_id: int, side: str, name: str) -> int | None:
        """Check one end of a port map or back edge; the port id of legacy bodies, None for Parameter and Result."""
        inner = by_id.get(layer_id)
        if inner is None:
            raise self.fail(at, f"layer id {layer_id} of <{at.tag}> does not exist in the body")
        if not self.legacy:
            wanted = "Parameter" if side == "input" else "Result"
            if inner.type != wanted:
                raise self.fail(at, f"layer {inner.name} of type {inner.type} cannot be a body {side}, expected a {wanted}")
            return None
        port = self.integer(at, name)
        if port not in {p.id for p in (inner.inputs if side == "input" else inner.outputs)}:
            raise self.fail(at, f"layer {inner.name} of the body has no {side} port {port}")
        return port

    def back_edges(self, layer: Element, body: Body) -> None:
        """Read ``<back_edges>`` into the body; each must lead to an input of the port map."""
        section = layer.find("back_edges")
        by_id = {n.id: n for n in body.graph.nodes}
        starts = {(row.internal_layer_id, row.internal_port_id) for row in body.inputs}
        for edge in section.findall("edge") if section is not None else ():
            row = BackEdge(self.integer(edge, "from-layer"), self.integer(edge, "to-layer"))
            row.from_port = self.body_port(edge, by_id, row.from_layer, "output", "from-port")
            row.to_port = self.body_port(edge, by_id, row.to_layer, "input", "to-port")
            if (row.to_layer, row.to_port) not in starts:
                raise self.fail(edge, f"the back edge to layer id {row.to_layer} has no initial value in the port map")
            body.back_edges.append(row)

    # -- weights ---------------------------------------------------------------------------------------------------------
    def segment(self, at: Element, precision: str, text: str = _TOO_SHORT) -> Blob:
        """The blob at ``offset`` of ``size`` bytes: a view of the weights, flat. ``text`` is the fault when they are too short."""
        offset = self.integer(at, "offset", high=MAX_OFFSET)
        size = self.integer(at, "size", high=MAX_OFFSET)
        found = BY_NAME.get(precision)
        if found is None:
            raise self.fail(at, f"precision {precision or 'UNSPECIFIED'} is not supported for blobs (<{at.tag}>)")
        dtype = np.dtype(found.numpy)
        limit = 0 if self.weights is None else self.weights.size
        if offset + size > limit:
            what = "there are no weights" if self.weights is None else f"the weights have {limit} bytes"
            raise self.fail(at, f"{text}: <{at.tag}> takes {size} bytes at offset {offset}, {what}")
        if size % dtype.itemsize:
            unit = f"{dtype.itemsize} ({precision})"
            raise self.fail(at, f"bytes size weights for {self.layer} mismatch, <{at.tag}> has {size} bytes, no multiple of {unit}")
        if self.weights is None:
            return Blob(precision, np.empty(0, dtype))
        data = self.weights[offset : offset + size]
        if precision == "BOOL":
            return Blob(precision, data.view(dtype) if not size or data.max() <= 1 else data != 0)
        return Blob(precision, data.view(dtype))

    def pre_process(self, net: Element, inputs: list[Node]) -> PreProcess | None:
        """The ``<pre-process>`` section (IR.md section 2, and 9.1 for what IR v10 refuses)."""
        section = net.find("pre-process")
        if section is None:
            return None
        name = section.get("reference-layer-name", "")
        if name:
            chosen = next((n for n in inputs if n.name == name), None)
            if chosen is None:
                raise self.fail(section, f"pre-process name ref {_short(name)} refers to un-existing input")
        elif not inputs:
            raise self.fail(section, "network has no input")
        else:
            chosen = next((n for n in inputs if len(n.outputs[0].shape) == 4), inputs[0])
        shape = chosen.outputs[0].shape
        if len(shape) < 3 or min(shape[-3:]) < 1:
            raise self.fail(section, f"network did not define input dimensions properly: {chosen.name} has shape {list(shape)}")
        count, height, width = shape[-3:]
        result = PreProcess(chosen.name, [MeanChannel() for _ in range(count)])
        number = -1
        for element in section.findall("channel"):
            number = self.integer(element, "id", number + 1, low=-MAX_ID)
            if not 0 <= number < count:
                raise self.fail(element, f"Pre-process channel id invalid: {number}, expected 0..{count - 1}")
            self.mean(section, element, result.channels[number], height, width)
        with_value = [i for i, c in enumerate(result.channels) if c.mean is not None]
        with_image = [i for i, c in enumerate(result.channels) if c.image is not None]
        if (with_value or with_image) and count not in (len(with_value), len(with_image)):
            raise self.fail(
                section, f"mean is not provided for all channels: values for channels {with_value}, images for {with_image}, of {count}"
            )
        return result

    def mean(self, section: Element, element: Element, channel: MeanChannel, height: int, width: int) -> None:
        """Read ``<mean>`` and ``<scale>`` of one channel."""
        mean = element.find("mean")
        if mean is not None and mean.get("value") is not None and self.legacy:
            channel.mean = self.number(mean, "value")
        elif mean is not None and mean.get("size") is not None:
            precision = self.precision(section, "mean-precision")
            if not precision:
                raise self.fail(mean, "mean blob defined without specifying precision.")
            blob = self.segment(mean, precision)
            if blob.data.size != height * width:
                raise self.fail(mean, f"mean blob size mismatch expected input, got: {blob.data.size} elements, expected {height * width}")
            channel.image = blob.data.astype(np.float32, copy=False).reshape(height, width)
        elif mean is not None:
            wanted = "at least one of the following attribute: value, size" if self.legacy else "the attribute: size"
            raise self.fail(mean, f"mean should have {wanted}")
        scale = element.find("scale")
        if scale is not None:
            channel.scale = self.number(scale, "value")

    def number(self, at: Element, name: str) -> float:
        """A required float attribute."""
        text = self.text(at, name)
        try:
            return float(text)
        except ValueError:
            raise self.fail(at, f"attribute {name!r} of <{at.tag}> is {_short(text)}, expected a number") from None


def packed_type(text: str) -> PackedType | None:
    """The packed type that an element type names, in any case. The others do not wait for the module of those."""
    if text in BY_ELEMENT_TYPE:
        return None
    from ie_ctypes.model.readers.packed import PACKED

    return PACKED.get(text.upper())


def _is_plain(text: str) -> bool:
    """Is it a number of up to nine plain digits, as nearly every one in a file?"""
    return len(text) < 10 and text.isdigit() and text.isascii()


def _short(text: str) -> str:
    """Text of the file for a message: never longer than a line."""
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _names(text: str) -> tuple[str, ...]:
    """Comma separated tensor names; a literal comma is written ``\\,``."""
    parts = re.split(r"(?<!\\),", text) if "\\" in text else text.split(",")
    return tuple(n.replace("\\,", ",") for n in parts if n)
