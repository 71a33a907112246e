# SPDX-License-Identifier: Apache-2.0
"""The garbage collector is as it was after a pause."""

import gc
import weakref

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


def test_what_was_made_meanwhile_is_old():
    with collector_paused():
        made = [[i] for i in range(2000)]
        assert any(o is made[-1] for o in gc.get_objects(generation=0))
    assert not any(o is made[-1] for o in gc.get_objects(generation=0))
    assert not gc.get_freeze_count()
    assert gc.is_tracked(made[-1])


def test_what_is_kept_from_the_collector_stays_so():
    gc.collect()
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        with collector_paused():
            pass
        assert gc.get_freeze_count() == frozen
    finally:
        gc.unfreeze()


def test_garbage_made_meanwhile_is_found_by_the_next_full_collection():
    class Node:
        pass

    with collector_paused():
        a, b = Node(), Node()
        a.other, b.other = b, a
        gone = weakref.ref(a)
        del a, b
    gc.collect()
    assert gone() is None
