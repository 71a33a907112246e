# SPDX-License-Identifier: Apache-2.0
"""Layer types in Python: the decorator that makes kernels, and the plugin that provides them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ie_ctypes.plugins.hookspecs import hookimpl
from ie_ctypes.plugins.records import Kernel

#: kernels of this process by module and name of their function: running a definition again replaces the kernel
_declared: dict[tuple[str, str], Kernel] = {}


def kernel(
    type: str,
    *,
    device: str = "CPU",
    shape: Callable[..., Any] | None = None,
    dtypes: Sequence[str] = (),
    opset: str = "",
    priority: int = 100,
) -> Callable[[Callable[..., Any]], Kernel]:
    """Decorate the function that computes layers of ``type``: see :class:`~ie_ctypes.plugins.Kernel` for the arguments.

    Every IECore of the process has the kernel from then on::

        @kernel("Scale2", shape=lambda params, x: x.shape)
        def scale2(params, x):
            return x * params.float("factor", 2.0)
    """

    def declare(function: Callable[..., Any]) -> Kernel:
        made = Kernel(type=type, function=function, shape=shape, device=device, dtypes=tuple(dtypes), opset=opset, priority=priority)
        _declared[function.__module__, function.__qualname__] = made
        return made

    return declare


def forget(made: Kernel) -> None:
    """Take back what the decorator did; networks that are loaded keep the kernel."""
    for name in [n for n, k in _declared.items() if k is made]:
        del _declared[name]


class Declared:
    """The plugin that provides what the decorator made."""

    @hookimpl
    def ie_ctypes_kernels(self, device: str) -> Sequence[Kernel]:
        return [k for k in _declared.values() if k.device == device]
