# SPDX-License-Identifier: Apache-2.0
"""What a network says of its inputs, outputs and inner tensors: one set of classes for all generations of the API."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ie_ctypes.api.errors import check_layout, check_precision
from ie_ctypes.record import Record

if TYPE_CHECKING:
    from typing import Protocol

    from ie_ctypes.api.blob import TensorDesc
    from ie_ctypes.api.layer import IENetLayer
    from ie_ctypes.api.preprocess import PreProcessInfo
    from ie_ctypes.model.graph import Graph, Node

    class State(Protocol):
        """What the model layer keeps for a tensor; ``shape`` is logical."""

        @property
        def name(self) -> str: ...

        @property
        def shape(self) -> Sequence[int]: ...

        precision: str
        layout: str


class TensorState(Record, frozen=True, kw_only=True):
    """The state of a tensor when its network was loaded."""

    name: str
    precision: str
    shape: tuple[int, ...]
    layout: str


class PortLinks:
    """Where the output port of a layer comes from and goes to."""

    def __init__(self, graph: Graph, node: Node, index: int):
        self._graph, self._node, self._index = graph, node, index

    def creator(self) -> IENetLayer:
        from ie_ctypes.api.layer import IENetLayer

        return IENetLayer(self._graph, self._node)

    def consumers(self) -> list[IENetLayer]:
        from ie_ctypes.api.layer import IENetLayer

        found = self._graph.consumers().get((id(self._node), self._index), [])
        return [IENetLayer(self._graph, n) for n, _ in found if n.type != "Result"]


class _ReadOnly:
    """Base of the views of a loaded network."""

    _state: TensorState

    def __init__(self, state: TensorState):
        object.__setattr__(self, "_state", state)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"attribute '{name}' of '{type(self).__module__}.{type(self).__name__}' objects is not writable")


class CDataPtr(_ReadOnly):
    """Name, precision, shape and layout of a tensor of a loaded network. Read-only."""

    @property
    def name(self) -> str:
        return self._state.name

    @property
    def precision(self) -> str:
        return self._state.precision

    @property
    def shape(self) -> list[int]:
        """Dimensions in logical order, whatever the layout."""
        return list(self._state.shape)

    @property
    def layout(self) -> str:
        return self._state.layout

    @property
    def initialized(self) -> bool:
        """Always true: a tensor without description cannot be had."""
        return True

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} {self.precision} {self.layout} {self.shape}>"


class DataPtr:
    """Name, precision, shape and layout of a tensor of a network. Setting ``precision`` or ``layout`` changes the network.

    The setters take any case and raise :class:`~ie_ctypes.api.errors.InvalidValueError` (``AttributeError`` and ``ValueError``) for an
    unknown value, :class:`~ie_ctypes.errors.ParameterMismatchError` for a layout of another rank.
    """

    def __init__(self, state: State, links: PortLinks | None = None):
        self._state = state
        self._links = links

    @property
    def name(self) -> str:
        return self._state.name

    @property
    def precision(self) -> str:
        return self._state.precision

    @precision.setter
    def precision(self, value: str) -> None:
        self._state.precision = check_precision(value)

    @property
    def shape(self) -> list[int]:
        """Dimensions in logical order, whatever the layout."""
        return list(self._state.shape)

    @property
    def layout(self) -> str:
        return self._state.layout

    @layout.setter
    def layout(self, value: str) -> None:
        self._state.layout = check_layout(value, len(self._state.shape))

    @property
    def initialized(self) -> bool:
        """Always true: a tensor without description cannot be had."""
        return True

    @property
    def creator_layer(self) -> IENetLayer | None:
        """The layer that makes the tensor."""
        return self._links.creator() if self._links is not None else None

    @property
    def input_to(self) -> list[IENetLayer]:
        """The layers that read the tensor."""
        return self._links.consumers() if self._links is not None else []

    def __iter__(self) -> Iterator[int]:
        """The dimensions: ``n, c, h, w = net.inputs[name]`` of the API overview."""
        return iter(self.shape)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} {self.precision} {self.layout} {self.shape}>"


class InputInfo(DataPtr):
    """An input of a network: InputInfo of 2019, DataPtr of 2020."""


class OutputInfo(DataPtr):
    """An output of a network: OutputInfo of 2019, DataPtr of 2020."""


class InputInfoPtr:
    """An input of a network with its pre-processing (``IENetwork.input_info``)."""

    def __init__(self, data: DataPtr, preprocess: PreProcessInfo):
        self._data = data
        self._preprocess = preprocess

    @property
    def name(self) -> str:
        return self._data.name

    @property
    def precision(self) -> str:
        return self._data.precision

    @precision.setter
    def precision(self, value: str) -> None:
        self._data.precision = value

    @property
    def layout(self) -> str:
        return self._data.layout

    @layout.setter
    def layout(self, value: str) -> None:
        self._data.layout = value

    @property
    def shape(self) -> list[int]:
        """Dimensions in logical order, whatever the layout."""
        return self._data.shape

    @property
    def initialized(self) -> bool:
        return True

    @property
    def tensor_desc(self) -> TensorDesc:
        """A copy of precision, dims and layout."""
        from ie_ctypes.api.blob import desc_of

        return desc_of(self.precision, self.shape, self.layout)

    @property
    def input_data(self) -> DataPtr:
        """The tensor. Assigning another one changes what this object shows, never the network."""
        return self._data

    @input_data.setter
    def input_data(self, value: DataPtr) -> None:
        if not isinstance(value, DataPtr):
            raise TypeError(f"Argument 'input_ptr' has incorrect type (expected DataPtr, got {type(value).__name__})")
        self._data = value

    @property
    def preprocess_info(self) -> PreProcessInfo:
        """Live pre-processing of the input."""
        return self._preprocess

    def __repr__(self) -> str:
        return f"<InputInfoPtr {self.name!r} {self.precision} {self.layout} {self.shape}>"


class InputInfoCPtr(_ReadOnly):
    """An input of a loaded network. Read-only."""

    @property
    def name(self) -> str:
        return self._state.name

    @property
    def precision(self) -> str:
        return self._state.precision

    @property
    def input_data(self) -> DataPtr:
        """The tensor; its setters raise ``AttributeError``, as the network is loaded already."""
        return DataPtr(self._state)  # type: ignore[arg-type]

    @property
    def tensor_desc(self) -> TensorDesc:
        from ie_ctypes.api.blob import desc_of

        return desc_of(self._state.precision, self._state.shape, self._state.layout)

    def __repr__(self) -> str:
        return f"<InputInfoCPtr {self.name!r} {self.precision}>"
