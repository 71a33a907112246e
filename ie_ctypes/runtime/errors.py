# SPDX-License-Identifier: Apache-2.0
"""From a status and an error record to an exception."""

from __future__ import annotations

import ctypes

from ie_ctypes.errors import BY_CODE, IEError
from ie_ctypes.runtime import failures
from ie_ctypes.runtime.abi import Error

_SIZE = ctypes.sizeof(Error)


def new_error() -> Error:
    """An empty record for a call."""
    return Error(struct_size=_SIZE)


def check(status: int, record: Error) -> None:
    """Raise when a call has failed."""
    if status:
        error = exception(status, record)
        raise error from error.__cause__


def exception(status: int, record: Error | None = None) -> IEError:
    """The exception for a failed call; its text is the record's, with the place in front. A Python function's own is its cause."""
    text = ""
    if record is not None and record.code:
        where, text = record.where.decode("utf-8", "replace"), record.message.decode("utf-8", "replace")
        if where:
            text = f"{where}: {text}"
    cls = BY_CODE.get(status, IEError)
    error = cls(text or f"status {status}")
    if error.code != status:
        error.code = status
    error.__cause__ = failures.take(text)
    return error
