# SPDX-License-Identifier: Apache-2.0
"""The memory of one input or output of a request: what the user sees and what the device gets."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ie_ctypes.api.data import TensorState
from ie_ctypes.api.preprocess import PreProcessInfo
from ie_ctypes.errors import ParameterMismatchError
from ie_ctypes.model.layouts import logical_view, memory_shape
from ie_ctypes.model.program import TensorType

if TYPE_CHECKING:
    from ie_ctypes.api.blob import Blob


class InputSlot:
    """An input. ``memory`` goes to the device; ``view`` is what the user writes, mostly the same memory.

    The two differ when the pre-processing changes the colour order or the size, or the blob given has another layout: then ``staged`` is
    true and ``stage`` makes ``memory`` from ``view`` before every inference.
    """

    def __init__(self, state: TensorState, type: TensorType, preprocess: PreProcessInfo):
        self.state = state
        self.type = type
        self.preprocess = preprocess
        self.blob: Blob | None = None
        self.memory = np.zeros(type.shape, type.dtype)
        self.staged = False
        self._layout = state.layout
        self._default_view()

    def _default_view(self) -> None:
        if not self.preprocess._recolors:
            self._show(self.memory, self.state.shape, self.state.layout)
        else:
            from ie_ctypes.api.image import source_shape

            shape = source_shape(self.preprocess.color_format, self.state.shape)
            self._show(np.zeros(shape, self.type.dtype), shape, self.state.layout)
            self.staged = True

    def _show(self, memory: np.ndarray, shape: tuple[int, ...], layout: str) -> None:
        """Let the user write ``memory``, shown as ``shape``.

        ``_native`` shows it in the shape of its layout, ``_logical`` with the axes N, C, H, W.
        """
        self._layout = layout
        self.view = memory.reshape(shape)
        self._logical = logical_view(memory, shape, layout)
        self._native = memory.reshape(memory_shape(shape, layout))

    def fill(self, value: Any) -> None:
        """Copy an array-like in. The shape of the network, or that of its layout (1, H, W, C), or what broadcasts to the first."""
        if type(value) is not np.ndarray:
            value = self._array(value)
        if value.dtype.kind not in "fiub":
            raise ParameterMismatchError(
                f"input {self.state.name}: data of type {value.dtype} cannot be converted to {self.state.precision}"
            )
        view = self.view
        if value.shape != view.shape and value.shape == self._native.shape:
            view = self._native
        try:
            view[...] = value
        except ValueError as e:
            raise self._refused(value, e) from None

    def _array(self, value: Any) -> np.ndarray:
        from ie_ctypes.api.blob import Blob

        if isinstance(value, Blob):
            return value.buffer
        try:
            return np.asarray(value)
        except (ValueError, TypeError) as e:
            raise ParameterMismatchError(f"input {self.state.name}: {type(value).__name__} cannot be converted to an array: {e}") from None

    def _refused(self, value: np.ndarray, error: ValueError) -> ParameterMismatchError:
        if not self.view.flags.writeable:
            return ParameterMismatchError(f"input {self.state.name}: the blob given to set_blob is read-only")
        expected = f"{list(self.view.shape)} {self.state.precision} {self.state.layout}"
        return ParameterMismatchError(
            f"input {self.state.name}: could not broadcast input array from shape {value.shape} into shape {self.view.shape}; "
            f"expected {expected}, given {list(value.shape)} {value.dtype}"
        )

    def as_blob(self) -> Blob:
        """The blob that was set, or one over the live memory."""
        from ie_ctypes.api.blob import Blob, desc_of

        if self.blob is not None:
            return self.blob
        return Blob._over(
            desc_of(self.state.precision, self.view.shape, self._layout), self.view if self.view.ndim else self.view.reshape(1)
        )

    def set_blob(self, blob: Blob, preprocess: PreProcessInfo | None) -> None:
        """Take the memory of ``blob``; see ``InferRequest.set_blob``."""
        desc, name = blob.tensor_desc, self.state.name
        if desc.precision != self.state.precision:
            raise ParameterMismatchError(
                f"[PARAMETER_MISMATCH] Failed to set Blob with precision not corresponding to user input precision "
                f"(input {name}: blob {desc.precision}, network {self.state.precision})"
            )
        from ie_ctypes.api.image import source_channels, source_shape

        info = self.preprocess if preprocess is None else preprocess._constant()
        dims = tuple(desc.dims)
        expected = source_shape(info.color_format, self.state.shape)
        resizing = info._resize is not None
        if resizing and (len(expected) != 4 or len(dims) != 4 or dims[:2] != expected[:2] or 0 in dims):
            raise ParameterMismatchError(
                f"[PARAMETER_MISMATCH] Failed to set input Blob. Dimensions mismatch. {self._dims(dims, expected)} and any H, W"
            )
        if resizing and source_channels(info.color_format) == 1 and (dims[2] % 3 or dims[3] % 2):
            raise ParameterMismatchError(
                f"input {name}: {info.color_format.name} blob has dims {list(dims)}, expected 3/2 of an even height, and an even width"
            )
        if not resizing and math.prod(dims) != math.prod(expected):
            raise ParameterMismatchError(
                f"Input blob size is not equal network input size ({math.prod(dims)}!={math.prod(expected)}). {self._dims(dims, expected)}"
            )
        if not resizing and dims != expected:
            raise ParameterMismatchError(
                f"[PARAMETER_MISMATCH] Failed to set input Blob. Dimensions mismatch. {self._dims(dims, expected)}"
            )
        self.blob, self.preprocess = blob, info
        source = blob.buffer.view(self.type.dtype)
        same = dims == self.state.shape and desc.layout == self.state.layout and not info._recolors
        if same:
            self.memory = source.reshape(self.type.shape)
        else:
            self.memory = np.zeros(self.type.shape, self.type.dtype)
        self.staged = not same
        self._show(self.memory if same else source, dims, desc.layout)

    def _dims(self, given: tuple[int, ...], expected: tuple[int, ...]) -> str:
        return f"Input {self.state.name}: blob dims {list(given)}, expected {list(expected)}"

    def stage(self) -> None:
        """Make ``memory`` from what the user wrote."""
        from ie_ctypes.api.image import resize, to_bgr

        image = to_bgr(self._logical, self.preprocess.color_format)
        if self.preprocess._resize is not None:
            image = resize(image, self.state.shape[2], self.state.shape[3], self.preprocess.resize_algorithm)
        logical_view(self.memory, self.state.shape, self.state.layout)[...] = image


class OutputSlot:
    """An output. ``memory`` goes to the device, ``view`` is the same memory in the network's shape, or what is real of it."""

    def __init__(self, state: TensorState, type: TensorType):
        self.state = state
        self.type = type
        self.blob: Blob | None = None
        self.memory = np.zeros(type.shape, type.dtype)
        self.view = self.memory.reshape(state.shape)

    def as_blob(self) -> Blob:
        """A copy of the output, or the blob that was set."""
        from ie_ctypes.api.blob import Blob, desc_of

        if self.blob is not None:
            return self.blob
        return Blob._over(
            desc_of(self.state.precision, self.view.shape, self.state.layout),
            self.view.copy() if self.view.ndim else self.view.reshape(1).copy(),
        )

    def cut(self, counts: Mapping[int, int]) -> None:
        """Show only so many places of each axis, the first ones: what the last inference found."""
        full: np.ndarray = self.memory.reshape(self.state.shape)
        parts: list[slice] = [slice(0, max(counts.get(axis, size), 0)) for axis, size in enumerate(self.state.shape)]
        self.view = full[tuple(parts)]

    def set_blob(self, blob: Blob) -> None:
        """Take the memory of ``blob``: later outputs are written into it."""
        desc, state = blob.tensor_desc, self.state
        if desc.precision != state.precision:
            raise ParameterMismatchError(
                f"[PARAMETER_MISMATCH] Failed to set Blob with precision not corresponding to user output precision "
                f"(output {state.name}: blob {desc.precision}, network {state.precision})"
            )
        dims = tuple(desc.dims)
        where = f"Output {state.name}: blob {list(dims)} {desc.layout}, expected {list(state.shape)} {state.layout}"
        if math.prod(dims) != math.prod(state.shape):
            raise ParameterMismatchError(
                f"Output blob size is not equal network output size ({math.prod(dims)}!={math.prod(state.shape)}). {where}"
            )
        if dims != state.shape or desc.layout != state.layout:
            raise ParameterMismatchError(f"[PARAMETER_MISMATCH] Failed to set output Blob. Dimensions mismatch. {where}")
        if not blob.buffer.flags.writeable:
            raise ParameterMismatchError(f"output {state.name}: the blob is read-only")
        self.blob = blob
        self.memory = blob.buffer.view(self.type.dtype).reshape(self.type.shape)
        self.view = self.memory.reshape(state.shape)
