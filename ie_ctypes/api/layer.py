# SPDX-License-Identifier: Apache-2.0
"""Layers of a network as the API shows them, and the calibration statistics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from ie_ctypes.api.data import DataPtr, PortLinks
from ie_ctypes.api.errors import InvalidValueError
from ie_ctypes.model.dtypes import BY_NAME
from ie_ctypes.model.graph import Graph, Node, Port, Shape
from ie_ctypes.model.layouts import default_layout
from ie_ctypes.record import Record


class _PortState:
    """State of an inner tensor: the output port of a layer, under its data name."""

    def __init__(self, node: Node, index: int):
        self._port: Port = node.outputs[index]
        self._node = node
        self.name = node.output_name(index)
        self.layout = default_layout(len(self._port.shape))

    @property
    def precision(self) -> str:
        return self._port.precision or self._node.precision

    @precision.setter
    def precision(self, value: str) -> None:
        self._port.precision = value

    @property
    def shape(self) -> Shape:
        return self._port.shape


class IENetLayer:
    """A layer of a network. Setters change the network, and with it what is loaded afterwards."""

    def __init__(self, graph: Graph, node: Node, consumers: Mapping[tuple[int, int], list[tuple[Node, int]]] | None = None):
        self._graph = graph
        self._node = node
        self._consumers = consumers

    @property
    def name(self) -> str:
        return self._node.name

    @property
    def type(self) -> str:
        """The layer type as the file spells it."""
        return self._node.type

    @property
    def precision(self) -> str:
        """Precision of the layer, ``FP32`` for one without any."""
        return self._node.precision or (self._node.outputs[0].precision if self._node.outputs else "") or "FP32"

    @precision.setter
    def precision(self, value: str) -> None:
        if not isinstance(value, str) or value.upper() not in BY_NAME:
            raise InvalidValueError(f"Unsupported precision {value}! List of supported precisions: {list(BY_NAME)}")
        self._node.precision = value.upper()

    @property
    def layout(self) -> str:
        """Layout of the first output; "" for a layer without outputs."""
        return default_layout(len(self._node.outputs[0].shape)) if self._node.outputs else ""

    @property
    def shape(self) -> list[int]:
        """Shape of the first output; empty for a layer without outputs."""
        return list(self._node.outputs[0].shape) if self._node.outputs else []

    @property
    def parents(self) -> list[str]:
        """Names of the tensors read, in input order: the producer's name, or ``name.port`` when it has several outputs."""
        return [src[0].output_name(src[1]) for src in self._node.sources if src is not None]

    @property
    def children(self) -> list[str]:
        """Names of the layers that read the outputs, sorted for each output."""
        if self._consumers is None:
            self._consumers = self._graph.consumers()
        names: list[str] = []
        for index in range(len(self._node.outputs)):
            users = {n.name for n, _ in self._consumers.get((id(self._node), index), []) if n.type != "Result"}
            names += sorted(users - set(names), key=str.encode)
        return names

    @property
    def affinity(self) -> str:
        """Device that HETERO is to run the layer on; "" when nobody chose."""
        return self._node.affinity

    @affinity.setter
    def affinity(self, value: str) -> None:
        if not isinstance(value, str):
            raise TypeError(f"Argument 'affinity' has incorrect type (expected str, got {type(value).__name__})")
        self._node.affinity = value

    @property
    def params(self) -> dict[str, str]:
        """A copy of the layer's attributes; assigning a dictionary replaces them all."""
        return dict(self._node.params)

    @params.setter
    def params(self, value: dict[str, str]) -> None:
        if not isinstance(value, dict) or not all(type(k) is str and type(v) is str for k, v in value.items()):
            raise TypeError("Only string keys and values are allowed!")
        self._node.params = dict(value)

    @property
    def weights(self) -> dict[str, np.ndarray]:
        """Flat arrays by name (``weights``, ``biases``, custom). Writing into them changes the network."""
        return {name: blob.data for name, blob in sorted(self._node.blobs.items(), key=lambda item: item[0].encode())}

    @property
    def blobs(self) -> dict[str, np.ndarray]:
        """The same as :attr:`weights`."""
        return self.weights

    @property
    def out_data(self) -> list[DataPtr]:
        """The tensors the layer makes."""
        return [DataPtr(_PortState(self._node, i), PortLinks(self._graph, self._node, i)) for i in range(len(self._node.outputs))]

    @property
    def in_data(self) -> list[DataPtr]:
        """The tensors the layer reads."""
        return [DataPtr(_PortState(*src), PortLinks(self._graph, *src)) for src in self._node.sources if src is not None]

    def __repr__(self) -> str:
        return f"<IENetLayer {self.name!r} of type {self.type}>"


class LayerStats(Record, frozen=True):
    """Smallest and largest activations of a layer, one a channel."""

    min: tuple[float, ...]
    max: tuple[float, ...]

    def __init__(self, min: Iterable[float] = (), max: Iterable[float] = ()):
        object.__setattr__(self, "min", tuple(min))
        object.__setattr__(self, "max", tuple(max))


class LayersStatsMap(dict[str, LayerStats]):
    """Calibration statistics by layer name. ``update`` writes the whole map to the network, item assignment does not."""

    def __init__(self, items: Mapping[str, LayerStats], write: Callable[[dict[str, LayerStats]], None]):
        super().__init__(items)
        self._write = write

    def update(self, *args: Any, **kwargs: Any) -> None:
        """As ``dict.update`` with :class:`LayerStats` values; then the network has exactly these statistics."""
        new = dict(*args, **kwargs)
        for name, value in new.items():
            if not isinstance(value, LayerStats):
                raise TypeError(f"statistics of layer {name} are of type {type(value).__name__}, expected LayerStats")
        super().update(new)
        self._write(self)
