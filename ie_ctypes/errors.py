# SPDX-License-Identifier: Apache-2.0
"""Exceptions of the package: every one is a RuntimeError, as the original raised, and the natural builtin besides."""

from __future__ import annotations


class IEError(RuntimeError):
    """Base of all errors raised by ie_ctypes. ``code`` is the Inference Engine status (see ``StatusCode``)."""

    code: int = -1


class NotImplementedIEError(IEError, NotImplementedError):
    """The device or format has no such feature."""

    code = -2


class ParameterMismatchError(IEError, ValueError):
    """A value does not fit: wrong shape, precision, layout or range."""

    code = -4


class NotFoundError(IEError, LookupError):
    """A device, layer, input, output, key or metric of that name does not exist."""

    code = -5


class OutOfBoundsError(IEError, IndexError):
    """An index or port lies outside its range."""

    code = -6


class RequestBusyError(IEError):
    """The infer request is running."""

    code = -8


class NotAllocatedError(IEError):
    """A buffer that the call needs does not exist."""

    code = -10


class InferNotStartedError(IEError):
    """The infer request has not been started."""

    code = -11


class ModelError(IEError, ValueError):
    """A network file is faulty. The text names the file, the layer and the attribute."""

    code = -12


class InferCancelledError(IEError):
    """The infer request was cancelled."""

    code = -13


class OutOfMemoryError(IEError, MemoryError):
    """An allocation failed."""

    code = -100


BY_CODE: dict[int, type[IEError]] = {
    cls.code: cls
    for cls in (
        IEError,
        NotImplementedIEError,
        ParameterMismatchError,
        NotFoundError,
        OutOfBoundsError,
        RequestBusyError,
        NotAllocatedError,
        InferNotStartedError,
        ModelError,
        InferCancelledError,
        OutOfMemoryError,
    )
}
