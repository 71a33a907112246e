# SPDX-License-Identifier: Apache-2.0
"""Exceptions of Python functions that C called, on their way through C to whoever called C."""

from __future__ import annotations

import threading
from typing import Any

from ie_ctypes.errors import IEError

#: thread -> (text in the error record, exception). A thread of C has no thread-local storage that outlives one call of Python.
_pending: dict[int, tuple[str, BaseException]] = {}
_ROOM = 967  # bytes of a message


def report(err: Any, error: BaseException) -> int:
    """Write an exception into an error record, and keep it for the exception that will be raised from the record. Gives the status."""
    text = str(error) if isinstance(error, IEError) else f"{type(error).__name__}: {error}"
    status = error.code if isinstance(error, IEError) else -1
    data = text.encode("utf-8", "replace").replace(b"\0", b" ")[:_ROOM]
    if err:
        err.contents.code = status
        err.contents.message = data
    _pending[threading.get_ident()] = (data.decode("utf-8", "replace"), error)
    return status


def take(message: str) -> BaseException | None:
    """The exception behind a message that C gives on this thread, None when there is none."""
    text, error = _pending.pop(threading.get_ident(), ("", None))
    # The device puts the layer in front and may cut the end.
    return error if error is not None and text[:200] in message else None
