# SPDX-License-Identifier: Apache-2.0
"""Finding and loading libiec, once, when it is first needed."""

from __future__ import annotations

import ctypes
import os
import threading

from ie_ctypes.runtime import abi

NAME = "libiec.so"
#: environment variable: path of the library to load instead of the package's own
OVERRIDE = "IE_CTYPES_LIBRARY"

_lock = threading.Lock()
_loaded: ctypes.CDLL | None = None


def path() -> str:
    """Where the library is looked for: ``IE_CTYPES_LIBRARY`` when set, else beside the package.

    A source tree has none beside it (Python prefers the tree to the installed package when it is started there): the installed one serves.
    """
    override = os.environ.get(OVERRIDE)
    if override:
        return override
    beside = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), NAME)
    return beside if os.path.exists(beside) else _installed() or beside


def _installed() -> str | None:
    """The library of the installed distribution, None when there is none."""
    import importlib.metadata

    try:
        files = importlib.metadata.files("ie_ctypes") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    found = [str(f.locate()) for f in files if f.name == NAME]
    return found[0] if found and os.path.exists(found[0]) else None


def library() -> ctypes.CDLL:
    """The loaded library with all prototypes set. ImportError when it is missing, damaged or of another version."""
    global _loaded
    if _loaded is None:
        with _lock:
            if _loaded is None:
                _loaded = _load(path())
    return _loaded


def _load(where: str) -> ctypes.CDLL:
    try:
        lib = ctypes.CDLL(where)
    except OSError as error:
        raise ImportError(
            f"the C runtime of ie_ctypes cannot be loaded from {where}: {error}; "
            f"install the package, or set {OVERRIDE} to the path of {NAME}"
        ) from None
    for name, (result, arguments) in abi.PROTOTYPES.items():
        try:
            function = getattr(lib, name)
        except AttributeError:
            raise ImportError(f"{where} lacks the function {name}: it is not the library of this version of ie_ctypes") from None
        function.restype = result
        function.argtypes = arguments
    version = lib.iec_abi_version()
    if (version >> 16, version & 0xFFFF) != (abi.ABI_MAJOR, abi.ABI_MINOR):
        raise ImportError(
            f"{where} has ABI {version >> 16}.{version & 0xFFFF}, this version of ie_ctypes needs {abi.ABI_MAJOR}.{abi.ABI_MINOR}"
        )
    return lib
