# SPDX-License-Identifier: Apache-2.0
"""Ownership of what C created: released once, never while a call uses it."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

_H = TypeVar("_H", bound="Handle")


class _State:
    """What outlives the handle object: the pointer, and how many calls use it."""

    __slots__ = ("closed", "lock", "pointer", "release", "users")

    def __init__(self, pointer: Any, release: Callable[[Any], None]) -> None:
        self.pointer = pointer
        self.release = release
        self.users = 0
        self.closed = False
        self.lock = threading.Lock()

    def close(self) -> None:
        with self.lock:
            if self.closed:
                return
            self.closed = True
            if self.users:
                return  # the last call releases
        self.release(self.pointer)

    def leave(self) -> None:
        with self.lock:
            self.users -= 1
            if not self.closed or self.users:
                return
        self.release(self.pointer)


class Handle:
    """Base of the wrapped C objects. Closes itself when dropped and at interpreter exit; a context manager."""

    def __init__(self, pointer: Any, release: Callable[[Any], None]) -> None:
        self._state = _State(pointer, release)
        self._finalizer = weakref.finalize(self, self._state.close)

    @property
    def closed(self) -> bool:
        """True after ``close``."""
        return self._state.closed

    def close(self) -> None:
        """Release it; a call that runs in another thread ends first. Idempotent."""
        self._finalizer()

    def __enter__(self: _H) -> _H:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """``function(pointer, *arguments)``, with the object alive throughout. RuntimeError when closed."""
        state = self._state
        with state.lock:
            if state.closed:
                raise RuntimeError(f"this {type(self).__name__} is closed")
            state.users += 1
        try:
            return function(state.pointer, *arguments)
        finally:
            state.leave()
