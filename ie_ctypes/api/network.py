# SPDX-License-Identifier: Apache-2.0
"""IENetwork: a network that was read, before it is loaded on a device."""

from __future__ import annotations

import contextlib
import io
import os
import weakref
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from ie_ctypes.api.data import InputInfo, InputInfoPtr, OutputInfo, PortLinks
from ie_ctypes.api.errors import InvalidValueError, MissingFileError, UnknownNameError
from ie_ctypes.api.preprocess import PreProcessInfo
from ie_ctypes.errors import IEError, NotFoundError, NotImplementedIEError
from ie_ctypes.model.definitions import NONE
from ie_ctypes.model.graph import Graph, Node, Port
from ie_ctypes.model.network import Network

if TYPE_CHECKING:
    from typing import IO

    from ie_ctypes.api.layer import IENetLayer, LayersStatsMap, LayerStats
    from ie_ctypes.api.loaded import Loaded
    from ie_ctypes.api.registry import Registry
    from ie_ctypes.plugins.manager import PluginManager

Source: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes]"


class IENetwork:
    """A network read from IR, legacy (v2 to v7) or opset (v10, v11), or from ONNX (extra ``ie_ctypes[onnx]``).

    ``model`` and ``weights`` are paths, or with ``init_from_buffer=True`` bytes; bytes-like and file objects are recognised without the
    flag. Without any the object is empty. Raises :class:`~ie_ctypes.api.errors.MissingFileError` for a missing file and
    :class:`~ie_ctypes.errors.ModelError` for a faulty one.
    """

    def __init__(self, model: Source = "", weights: Source = "", init_from_buffer: bool = False, ngraph_compatibility: bool = False):
        if init_from_buffer:
            for value in (model, weights):
                if not isinstance(value, (bytes, bytearray, memoryview)) and value != "":
                    raise TypeError(f"expected bytes, {type(value).__name__} found")
        self._adopt(_read(model, weights, "exists") if _given(model) or _given(weights) else None)

    @classmethod
    def _of(cls, network: Network | None, registry: Registry | None = None) -> IENetwork:
        net = cls.__new__(cls)
        net._adopt(network, registry)
        return net

    def _adopt(self, network: Network | None, registry: Registry | None = None) -> None:
        self._network = network
        # Of the core that read it: its devices know layers that others define. A network does not keep devices open.
        self._registry = weakref.ref(registry) if registry is not None else None
        states = network.inputs.items() if network is not None else ()
        self._preprocess = {name: PreProcessInfo._from_model(state.preprocess) for name, state in states}
        if network is not None and network.open_shapes:
            with contextlib.suppress(IEError):  # what is wrong is said when the network is reshaped or loaded
                self._defined().complete_shapes()

    @classmethod
    def from_ir(cls, model: Source, weights: Source) -> IENetwork:
        """The network in two IR files; the same as the constructor."""
        return cls(model=model, weights=weights)

    # -- what it is ------------------------------------------------------------------------------------------------------
    @property
    def name(self) -> str:
        """Name in the file; "" for an empty network."""
        return self._network.graph.name if self._network is not None else ""

    @property
    def inputs(self) -> dict[str, InputInfo]:
        """Inputs by name, sorted: a new dictionary of live objects."""
        graph = self._need().graph if self._network is not None else None
        states = self._network.inputs if self._network is not None else {}
        return {name: InputInfo(state, _links(graph, name, 0)) for name, state in states.items()}

    @property
    def input_info(self) -> dict[str, InputInfoPtr]:
        """Inputs with their pre-processing by name, sorted: a new dictionary of live objects."""
        return {name: InputInfoPtr(data, self._preprocess[name]) for name, data in self.inputs.items()}

    @property
    def outputs(self) -> dict[str, OutputInfo]:
        """Outputs by name, sorted: a new dictionary of live objects."""
        if self._network is None:
            return {}
        graph = self._network.graph
        return {name: OutputInfo(state, PortLinks(graph, state.node, state.port)) for name, state in self._network.outputs.items()}

    @property
    def batch_size(self) -> int:
        """First dimension of the first input; 1 when that has one or three dimensions, 0 for an empty network.

        Setting it scales the first dimension of every input and infers all shapes anew. ``AttributeError`` for a number below 1.
        """
        return self._network.batch_size if self._network is not None else 0

    @batch_size.setter
    def batch_size(self, batch: int) -> None:
        if isinstance(batch, (str, bytes)) or not hasattr(batch, "__int__"):
            raise TypeError(f"an integer is required for batch_size, got {type(batch).__name__}")
        if int(batch) != batch or batch <= 0:
            raise InvalidValueError(f"Invalid batch size {batch}! Batch size should be positive integer value")
        self._defined().set_batch(int(batch))

    @property
    def precision(self) -> str:
        """The one precision of all layers, or ``MIXED``; ``UNSPECIFIED`` when no layer has one."""
        if self._network is None:
            return "UNSPECIFIED"
        found = {n.precision or next((p.precision for p in n.outputs), "") for n in self._network.graph.nodes if n.type != "Result"} - {""}
        return "UNSPECIFIED" if not found else found.pop() if len(found) == 1 else "MIXED"

    @property
    def layers(self) -> OrderedDict[str, IENetLayer]:
        """Layers by name in topological order. The Result nodes of IR v10/v11 are not layers."""
        if self._network is None:
            return OrderedDict()
        from ie_ctypes.api.layer import IENetLayer

        graph = self._network.graph
        users = graph.consumers()
        return OrderedDict((n.name, IENetLayer(graph, n, users)) for n in graph.order() if n.type != "Result")

    @property
    def stats(self) -> LayersStatsMap:
        """Calibration statistics of the ``<statistics>`` section; ``stats.update(...)`` changes them."""
        from ie_ctypes.api.layer import LayersStatsMap, LayerStats

        rows = self._network.graph.statistics if self._network is not None else {}
        return LayersStatsMap({name: LayerStats(low, high) for name, (low, high) in rows.items()}, self._write_stats)

    def _write_stats(self, stats: dict[str, LayerStats]) -> None:
        self._need().graph.statistics = {name: (s.min, s.max) for name, s in stats.items()}

    # -- changing it -----------------------------------------------------------------------------------------------------
    def add_outputs(self, outputs: str | tuple[str, int] | list[str | tuple[str, int]]) -> None:
        """Make tensors outputs: a layer name, a (layer name, output port) tuple, or a list of both.

        Outputs that exist already stay. ``TypeError`` for anything else, :class:`~ie_ctypes.errors.NotFoundError` for an unknown layer,
        :class:`~ie_ctypes.errors.OutOfBoundsError` for a port that the layer lacks.
        """
        wanted: list[tuple[str, int]] = []
        for i, item in enumerate(outputs if isinstance(outputs, list) else [outputs]):
            if isinstance(item, str):
                wanted.append((item, 0))
            elif isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str) and isinstance(item[1], int):
                wanted.append(item)
            else:
                raise TypeError(
                    f"Incorrect type {type(item)} for layer to add at index {i}. Expected string with layer name or "
                    "tuple with two elements: layer name as first element and port id as second"
                )
        network = self._need()
        for name, port in wanted:
            network.add_output(name, port)

    def reshape(self, input_shapes: Mapping[str, Iterable[int]]) -> None:
        """Set shapes of inputs and infer all others anew; inputs left out keep theirs, a failure leaves the network as it was.

        ``AttributeError`` for an unknown input, :class:`~ie_ctypes.errors.ModelError` when a layer cannot take the shapes.
        """
        if not isinstance(input_shapes, Mapping):
            raise TypeError(f"Argument 'input_shapes' has incorrect type (expected dict, got {type(input_shapes).__name__})")
        network = self._defined()
        for name in input_shapes:
            if name not in network.inputs:
                raise UnknownNameError(f"Specified '{name}' layer not in network inputs '{set(network.inputs)}'! ")
        network.reshape({name: tuple(int(d) for d in shape) for name, shape in input_shapes.items()})

    # -- writing it ------------------------------------------------------------------------------------------------------
    def serialize(self, path_to_xml: str | os.PathLike[str], path_to_bin: str | os.PathLike[str] = "") -> None:
        """Write IR v7 (legacy networks) or v10. Without ``path_to_bin`` only the .xml is written."""
        from ie_ctypes.model.writers import write_ir

        weights: Any = path_to_bin if os.fspath(path_to_bin) else io.BytesIO()
        try:
            write_ir(self._need().graph, path_to_xml, weights)
        except OSError as e:
            raise IEError(f"cannot write the network: {e}") from None

    def __reduce__(self) -> tuple[Any, ...]:
        from ie_ctypes.api.portable import pack, unpack_network

        return unpack_network, (pack(self._network, self._preprocess, "", {}) if self._network is not None else b"",)

    def __deepcopy__(self, memo: dict[int, Any]) -> IENetwork:
        rebuild, arguments = self.__reduce__()
        return rebuild(*arguments)  # type: ignore[no-any-return]

    # -- names -----------------------------------------------------------------------------------------------------------
    def get_ov_name_for_tensor(self, orig_name: str) -> str:
        """Name here of a framework's tensor (``names`` of IR v10/v11 ports); :class:`~ie_ctypes.errors.NotFoundError` for an unknown one.

        In other IR versions, and for tensors without names, a name that is already one of ours is returned as it is.
        """
        wanted = orig_name.strip()
        ours: set[str] = set()
        for node in self._need().graph.nodes:
            for i, port in enumerate(node.outputs):
                ours.add(node.output_name(i))
                if wanted in (n.strip() for n in port.names):
                    return node.output_name(i)
        if wanted in ours:
            return wanted
        raise NotFoundError(f'Framework tensor with name "{orig_name}" was not mapped to OpenVINO data!')

    def get_function(self) -> Any:
        """Not available: there are no nGraph functions here."""
        raise NotImplementedIEError("[NOT_IMPLEMENTED] get_function: networks are not nGraph functions here")

    def _need(self) -> Network:
        if self._network is None:
            raise IEError("the network is empty: it was made without a model")
        return self._network

    def _defined(self) -> Network:
        """The network with the layer types that others define, if it has any."""
        from ie_ctypes.api.query import unknown_layers

        network = self._need()
        network.definitions = NONE
        if unknown_layers(network):
            from ie_ctypes.plugins.layers import known_layers
            from ie_ctypes.plugins.manager import default_manager

            registry = self._registry() if self._registry is not None else None
            network.definitions = known_layers(default_manager()) if registry is None else registry.known_layers()
        return network

    def __repr__(self) -> str:
        return f"<IENetwork {self.name!r}>"


def _given(source: Source) -> bool:
    return not (isinstance(source, (str, bytes)) and len(source) == 0)


def _links(graph: Graph | None, name: str, port: int) -> PortLinks | None:
    node = graph.node(name) if graph is not None else None
    return PortLinks(graph, node, port) if graph is not None and node is not None else None


def _read(model: Source, weights: Source, verb: str, manager: PluginManager | None = None) -> Network:
    """Read a network by the readers of a manager's plugins, None: this process'.

    ``verb`` is how the generation spelt its error: "exists" (2019) or "exist".
    """
    from ie_ctypes.plugins.manager import default_manager
    from ie_ctypes.plugins.reading import read_graph

    if not _given(model):
        raise IEError("weights were given without a model")
    for source, what in ((model, "model"), (weights, "weights")):
        if isinstance(source, (str, os.PathLike)) and os.fspath(source) and not os.path.isfile(source):
            raise MissingFileError(f"Path to the {what} {os.fspath(source)} doesn't {verb} or it's a directory")
        if source is None or isinstance(source, (int, float)):
            raise TypeError(f"{what} of type {type(source).__name__}, expected a path, bytes or a file object")
    return Network(read_graph(manager or default_manager(), model, weights))


def exec_graph(loaded: Loaded) -> IENetwork:
    """The executed steps of a loaded network as an IENetwork: layers with the params that the device gives."""
    import json

    steps = loaded.executable.exec_graph()
    if not steps:
        raise NotImplementedIEError("[NOT_IMPLEMENTED] this device has no executable graph")
    graph = Graph(name=loaded.name, version=7, precision="FP32")
    known: dict[str, Node] = {}
    labels: set[str] = set()

    def add(name: str, type: str, shape: Iterable[int], params: dict[str, str]) -> Node:
        label = name
        while label in labels:  # a reorder may have the name of what it reorders
            label += "_copy"
        labels.add(label)
        node = Node(id=len(graph.nodes), name=label, type=type, precision="FP32", params=params, outputs=[Port(1, tuple(shape))])
        graph.nodes.append(node)
        known[name] = node
        return node

    for name, state, _ in loaded.input_types():
        add(name, "Input", state.shape, {})
    for step in steps:
        params = {"execTimeMcs": "not_executed"} | {k: v for k, v in step.items() if k not in ("name", "type", "inputs")}
        shape = step.get("outputShapes", "").partition(",")[0]
        node = add(step["name"], step["type"], (int(d) for d in shape.split("x") if d), params)
        for i, name in enumerate(json.loads(step.get("inputs", "[]"))):
            if name in known and known[name] is not node:
                node.sources.append((known[name], 0))
                node.inputs.append(Port(i + 2, known[name].outputs[0].shape))
    return IENetwork._of(Network(graph))
