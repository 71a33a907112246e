# SPDX-License-Identifier: Apache-2.0
"""Layer types that others define: their shapes, and what they compute if that is known in Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from ie_ctypes.errors import IEError, ParameterMismatchError
from ie_ctypes.model.definitions import REPLACES
from ie_ctypes.model.program import AttrValue, Shape, TensorType
from ie_ctypes.record import Record, field, replace

# Params has methods named after builtin types; in annotations behind them these stand for the types.
_Int: TypeAlias = int
_Float: TypeAlias = float


class Params(Mapping[str, str]):
    """The attributes of a layer as the file gives them, text, and ways to read them; a default serves for an absent one."""

    def __init__(self, texts: Mapping[str, str]):
        self._texts = dict(texts)

    def __getitem__(self, name: str) -> str:
        return self._texts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)

    def __repr__(self) -> str:
        return f"Params({self._texts})"

    def _read(self, name: str, default: object, kind: Callable[[str], object], what: str) -> object:
        if name not in self._texts and default is not None:
            return default
        text = self._texts.get(name)
        try:
            if text is None:
                raise ValueError
            return kind(text)
        except ValueError:
            found = "missing" if text is None else repr(text)
            raise ParameterMismatchError(f"attribute {name} is {found}, expected {what}") from None

    def int(self, name: str, default: int | None = None) -> int:
        """An integer."""
        return self._read(name, default, int, "an integer")  # type: ignore[return-value]

    def float(self, name: str, default: float | None = None) -> float:
        """A number."""
        return self._read(name, default, float, "a number")  # type: ignore[return-value]

    def bool(self, name: str, default: bool | None = None) -> bool:
        """``true``, ``false``, or an integer."""

        def read(text: str) -> object:
            word = text.strip().lower()
            return word == "true" if word in ("true", "false") else int(word) != 0

        return self._read(name, default, read, "true or false")  # type: ignore[return-value]

    def ints(self, name: str, default: Sequence[_Int] | None = None) -> tuple[_Int, ...]:
        """Integers separated by commas."""
        return self._read(name, default, lambda t: tuple(int(p) for p in t.split(",") if p.strip()), "integers")  # type: ignore[return-value]

    def floats(self, name: str, default: Sequence[_Float] | None = None) -> tuple[_Float, ...]:
        """Numbers separated by commas."""
        return self._read(name, default, lambda t: tuple(float(p) for p in t.split(",") if p.strip()), "numbers")  # type: ignore[return-value]


class Input(Record, frozen=True, kw_only=True):
    """What is known of an input before anything runs. ``data`` is set for constants."""

    shape: Shape
    dtype: str
    data: np.ndarray | None = None


class LayerView(Record, frozen=True, kw_only=True):
    """What a shape rule sees of a layer. ``outputs`` are the types that the file gives, which a reshape may have made stale."""

    name: str
    params: Params
    inputs: Sequence[Input | None]
    blobs: Mapping[str, np.ndarray]
    outputs: Sequence[TensorType]
    stale: bool  # the inputs have other shapes than in the file


def as_in_file(layer: LayerView) -> Sequence[TensorType]:
    """The ``infer`` of layer types without a shape function. ParameterMismatchError for inputs that were reshaped."""
    if layer.stale:
        raise ParameterMismatchError("it has none, so the layer cannot take inputs of other shapes than in its file")
    return layer.outputs


class CustomLayer(Record, frozen=True, kw_only=True, eq=False):
    """A layer type. ``infer`` gives the types of all outputs; ``compute`` takes attributes, inputs and blobs and gives the outputs.

    ``attributes`` adds to those of the layer what a driver must know of a node, given the types of its outputs.
    """

    type: str
    infer: Callable[[LayerView], Sequence[TensorType]]
    compute: Callable[[Params, Sequence[np.ndarray | None], Mapping[str, np.ndarray]], Sequence[np.ndarray]] | None = None
    attributes: Callable[[LayerView, Sequence[TensorType]], Mapping[str, AttrValue]] | None = None
    opset: str = ""  # "" in every dialect
    priority: int = REPLACES

    def beside_built_in(self) -> CustomLayer:
        """The same without replacing a built-in type."""
        return replace(self, priority=min(self.priority, REPLACES - 1))


#: Serves layers that nobody knows where only shapes matter.
UNKNOWN = CustomLayer(type="", infer=as_in_file)


class CustomCall(Record, eq=False):
    """One layer of such a type in a program: calling it computes the outputs, of exactly their types.

    ``constants`` are those of its inputs that are; the runtime inputs behind the layer's own ones, its blobs, are not looked at.
    """

    definition: CustomLayer
    layer: str
    layer_type: str
    params: Params
    blobs: Mapping[str, np.ndarray]
    input_count: int
    types: Sequence[TensorType]
    constants: Mapping[int, np.ndarray] = field(default_factory=dict)

    def __call__(self, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
        """Errors of the function pass; a result of another number, shape or type is a ParameterMismatchError."""
        assert self.definition.compute is not None
        given = [self.constants.get(i, array) for i, array in enumerate(inputs[: self.input_count])]
        results = self.definition.compute(self.params, given, self.blobs)
        if len(results) != len(self.types):
            raise ParameterMismatchError(f"the kernel gave {len(results)} outputs, expected {len(self.types)}")
        arrays = []
        for i, (result, wanted) in enumerate(zip(results, self.types, strict=True)):
            array = np.asarray(result)
            if array.shape != wanted.shape:
                raise ParameterMismatchError(f"output {i} of the kernel has shape {list(array.shape)}, expected {list(wanted.shape)}")
            if not np.can_cast(array.dtype, wanted.dtype, "same_kind"):
                raise ParameterMismatchError(f"output {i} of the kernel is of {array.dtype}, expected {wanted.dtype}")
            arrays.append(array.astype(wanted.dtype, copy=False))
        return arrays

    def evaluate(self, inputs: Sequence[np.ndarray | None]) -> list[np.ndarray]:
        """As calling it; every error becomes an IEError that names the layer and has the original one as its cause."""
        try:
            return self(inputs)
        except Exception as e:
            raise IEError(f"layer {self.layer} of type {self.layer_type}: {error_text(e)}") from e


def error_text(error: BaseException) -> str:
    """What an error says, with its type in front unless it is one of the package."""
    return str(error) if isinstance(error, IEError) else f"{type(error).__name__}: {error}"
