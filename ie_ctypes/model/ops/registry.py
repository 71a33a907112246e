# SPDX-License-Identifier: Apache-2.0
"""Two tables: runtime kinds (shape rule + numpy reference) and layer translators (file layer -> runtime kinds)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from ie_ctypes.model.program import AttrValue, TensorType
from ie_ctypes.record import Record

if TYPE_CHECKING:
    from ie_ctypes.model.lowering import Layer

Attrs = Mapping[str, AttrValue]
InferRule = Callable[[Attrs, Sequence[TensorType | None]], list[TensorType]]
Reference = Callable[[Attrs, Sequence[np.ndarray | None]], list[np.ndarray]]
Translator = Callable[["Layer"], None]


class Kind(Record, frozen=True, kw_only=True):
    """A runtime node kind: what it is called, the types of its outputs, and what it computes, in numpy."""

    name: str
    infer: InferRule
    reference: Reference


#: Module -> layer types (lower case) and kinds that many networks have: only that module is imported for them. Whatever is not here is
#: found by importing all modules, so a new family needs no entry.
_USUAL = {
    "activation": "relu clamp sigmoid tanh prelu elu gelu hswish swish mish Unary",
    "convert": "const convert Convert",
    "convolution": "convolution groupconvolution deconvolution convolutionbackpropdata Conv Deconv",
    "elementwise": "add multiply subtract divide eltwise scaleshift Binary",
    "gather": "gather",
    "interpolate": "Interpolate",
    "matmul": "matmul fullyconnected innerproduct gemm MatMul",
    "movement": "Concat Split Slice Reshape Transpose Tile Broadcast Pad Gather",
    "normalization": "batchnormalization batchnorminference softmax mvn lrn norm Softmax LRN MVN",
    "pooling": "maxpool avgpool pooling MaxPool AvgPool",
    "quantize": "fakequantize FakeQuantize",
    "recurrent": "lstmsequence Recurrent",
    "reduce": "reducemean Reduce",
    "resize": "interpolate resample interp",
    "shape": "reshape flatten squeeze unsqueeze transpose permute shapeof",
    "slicing": "concat split slice stridedslice variadicsplit pad",
}
_HOMES = {name: module for module, names in _USUAL.items() for name in names.split()}
_PACKAGE = __name__.rpartition(".")[0]


class _Kinds(dict[str, Kind]):
    """Kinds by name; one that is not there yet is imported by ``KINDS[name]``."""

    def __missing__(self, name: str) -> Kind:
        for _ in _imports(name):
            if name in self:
                return self[name]
        raise KeyError(name)


KINDS = _Kinds()
LEGACY: dict[str, Translator] = {}  # lower-case layer type -> translator
OPSET: dict[tuple[str, str], Translator] = {}  # (lower-case type, "opsetN" or "" for every version) -> translator

_R = TypeVar("_R", bound=Reference)
_T = TypeVar("_T", bound=Translator)


def kind(name: str, infer: InferRule) -> Callable[[_R], _R]:
    """Register a runtime kind; decorates its numpy reference. ``infer`` gives the output types.

    Both receive the attributes and one entry for each input (None: absent optional input). Errors of use are ValueError
    with a text that does not repeat the layer name; the caller adds it.
    """

    def register(reference: _R) -> _R:
        if name in KINDS:
            raise ValueError(f"kind {name} is registered twice")
        KINDS[name] = Kind(name=name, infer=infer, reference=reference)
        return reference

    return register


def legacy(*types: str) -> Callable[[_T], _T]:
    """Register a translator for layer types of IR v2 to v7 (case-insensitive)."""

    def register(function: _T) -> _T:
        for t in types:
            if t.lower() in LEGACY:
                raise ValueError(f"legacy layer type {t} is registered twice")
            LEGACY[t.lower()] = function
        return function

    return register


def opset(*types: str, versions: Sequence[int] = ()) -> Callable[[_T], _T]:
    """Register a translator for operation types of IR v10/v11; ``versions`` limits it to those operation sets."""

    def register(function: _T) -> _T:
        for t in types:
            for v in [f"opset{n}" for n in versions] or [""]:
                if (t.lower(), v) in OPSET:
                    raise ValueError(f"operation {t} {v} is registered twice")
                OPSET[t.lower(), v] = function
        return function

    return register


def find_translator(node_type: str, version: str, is_legacy: bool) -> Translator | None:
    """The translator of a layer, or None."""
    name = node_type.lower()
    found = _translator(name, version, is_legacy)
    if found is None:
        for _ in _imports(name):
            found = _translator(name, version, is_legacy)
            if found is not None:
                break
    return found


def _translator(name: str, version: str, is_legacy: bool) -> Translator | None:
    if is_legacy:
        return LEGACY.get(name)
    return OPSET.get((name, version)) or OPSET.get((name, ""))


def _imports(name: str) -> Iterator[None]:
    """Import the module where ``name`` usually is, then, when that was not enough, all."""
    if name in _HOMES:
        import_module(f"{_PACKAGE}.{_HOMES[name]}")
        yield
    import_all()
    yield


@functools.cache
def import_all() -> None:
    """Fill the tables: import the modules of all families."""
    from pkgutil import iter_modules

    for module in iter_modules(import_module(_PACKAGE).__path__):
        import_module(f"{_PACKAGE}.{module.name}")


def custom_kind(layer_type: str) -> str:
    """The node kind of a layer type that others define: its name, unless a built-in kind is called so."""
    import_all()
    return f"layer.{layer_type}" if layer_type in KINDS else layer_type
