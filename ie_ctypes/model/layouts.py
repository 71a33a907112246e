# SPDX-License-Identifier: Apache-2.0
"""Layouts: the default of every rank, and the order of axes in memory."""

from __future__ import annotations

import numpy as np

from ie_ctypes.model.graph import Shape

#: Layout that a tensor has by its rank.
DEFAULT_LAYOUT = ("SCALAR", "C", "NC", "CHW", "NCHW", "NCDHW")
#: Layouts in which memory order differs from the logical N, C, ... order: position i in memory holds logical axis order[i].
MEMORY_ORDER: dict[str, tuple[int, ...]] = {"NHWC": (0, 2, 3, 1), "NDHWC": (0, 2, 3, 4, 1), "CN": (1, 0), "HWC": (1, 2, 0)}


def default_layout(rank: int) -> str:
    """``NCHW`` for rank 4 and so on; ``BLOCKED`` above rank 5."""
    return DEFAULT_LAYOUT[rank] if rank < len(DEFAULT_LAYOUT) else "BLOCKED"


def memory_shape(shape: Shape, layout: str) -> Shape:
    """Shape of a tensor in memory: that of a program's input or output for a blob of this logical shape and layout."""
    order = MEMORY_ORDER.get(layout, ())
    return tuple(shape[i] for i in order) if len(order) == len(shape) else shape


def logical_view(memory: np.ndarray, dims: Shape, layout: str) -> np.ndarray:
    """View of contiguous ``memory`` with axes in logical order: an NHWC tensor seen as N, C, H, W."""
    order = MEMORY_ORDER.get(layout)
    shaped = memory.reshape(memory_shape(dims, layout))
    return shaped if order is None else shaped.transpose(np.argsort(order))
