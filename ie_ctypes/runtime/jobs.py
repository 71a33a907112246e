# SPDX-License-Identifier: Apache-2.0
"""Started inferences: kept alive until they end, and brought to an end before the interpreter stops."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ie_ctypes.runtime import abi
from ie_ctypes.runtime.errors import exception

if TYPE_CHECKING:
    from ie_ctypes.runtime.objects import Request

Done = Callable[[BaseException | None], None]

#: seconds that completion callbacks get at interpreter exit, after their inference has ended
EXIT_SECONDS = 5.0

_tokens = itertools.count(1)
_running: dict[int, tuple[Request, Done]] = {}
_ended = threading.Condition()
_exiting = False
_registered = False
_lock = threading.Lock()
_callback: Any = None  # made at the first start: it takes the time of a small module


def add(request: Request, done: Done) -> int:
    """Register a request that is about to start; the token identifies it to the callback."""
    global _registered
    if _exiting:
        raise RuntimeError("the interpreter is shutting down: no inference can be started")
    if not _registered:
        # Now, not at import: what is registered last runs first, and this must precede the finalizers of the handles.
        _registered = True
        atexit.register(_stop)
    token = next(_tokens)
    _running[token] = (request, done)
    return token


def drop(token: int) -> None:
    """Forget a request that could not be started or has ended."""
    _running.pop(token, None)
    if _exiting:
        with _ended:
            _ended.notify_all()


def _done(token: int, record: Any) -> None:
    request, done = _running[token]
    try:
        error = record.contents
        done(exception(error.code, error) if error.code else None)
    except BaseException:
        # Here and not by ctypes, which would report it after the request counts as ended.
        threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))
    finally:
        # The arrays of the request may live no longer than this call needs them.
        del request, done
        drop(token)


def callback() -> Any:
    """One function for all requests, alive as long as the module: a request may vanish while its callback runs."""
    global _callback
    with _lock:
        if _callback is None:
            _callback = abi.DoneFunction(_done)
        return _callback


def _stop() -> None:
    """Cancel what is queued, wait for what runs, give the callbacks a moment."""
    global _exiting
    _exiting = True
    for request, _ in list(_running.values()):
        with contextlib.suppress(RuntimeError):  # closed meanwhile
            request.cancel()
    for request, _ in list(_running.values()):
        with contextlib.suppress(RuntimeError):  # its own failure, which `done` gets too
            request.wait(-1)
    with _ended:
        _ended.wait_for(lambda: not _running, timeout=EXIT_SECONDS)


def _after_fork() -> None:
    global _ended, _lock
    _running.clear()  # the parent's
    _ended, _lock = threading.Condition(), threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
