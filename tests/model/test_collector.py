# SPDX-License-Identifier: Apache-2.0
"""The garbage collector is as it was after a pause."""

import gc

import pytest

from ie_ctypes.collector import collector_paused


def test_pause_ends_with_the_block_and_with_an_error():
    assert gc.isenabled()
    with collector_paused():
        assert not gc.isenabled()
        with collector_paused():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ValueError, match="x"), collector_paused():
        raise ValueError("x")
    assert gc.isenabled()


def test_a_collector_that_is_off_stays_so():
    gc.disable()
    try:
        with collector_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
