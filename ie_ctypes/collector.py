# SPDX-License-Identifier: Apache-2.0
"""Python's garbage collector, while many objects are made of which none is garbage."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Reading and lowering make objects by the ten thousand and drop none: without a pause the collector looks through all of them again
    and again, a tenth of the time from a file to a loaded network of many layers. Only a collector that was on is switched on again.

    Objects that are alive behind it count as old: else the collector would begin with looking through all that were made.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        if not gc.get_freeze_count():  # else somebody keeps objects from the collector, which unfreeze would give back to it
            gc.freeze()
            gc.unfreeze()
        gc.enable()
