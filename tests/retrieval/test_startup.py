import gc
import weakref

import pytest

from retrieval.startup import without_garbage_collection


class Node:
    """Refers to itself: only the collector finds out that nobody else does."""

    def __init__(self) -> None:
        self.myself = self


def test_cycles_that_are_left_inside_stay_and_later_ones_go():
    with without_garbage_collection():
        inside = weakref.ref(Node())
        gc.collect()  # what the libraries ask for still happens
        asked = inside()
        kept = weakref.ref(Node())
    after = weakref.ref(Node())
    gc.collect()
    assert asked is None
    assert kept() is not None
    assert after() is None
    assert gc.isenabled()
    gc.unfreeze()


def test_it_is_as_before_after_an_error():
    gc.disable()
    with pytest.raises(RuntimeError), without_garbage_collection():
        raise RuntimeError
    assert not gc.isenabled()
    gc.enable()
