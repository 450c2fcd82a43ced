"""What people said of what they were shown is kept word for word, in order."""

import pytest

from services.store.feedback import Feedback, FeedbackStore

BUNDLE = "d" * 64


@pytest.fixture
def feedback(database):
    return FeedbackStore(database)


def test_what_is_stored_is_what_is_read_oldest_first(feedback):
    given = [
        Feedback("a gift \u202efor ☂ and 'ann'; --", ("p2", "ü/1", '"p"'), "ü/1", ()),
        Feedback("x" * 5_000, ("p1",), None, ("p1",)),
        Feedback("a mug", ("p1", "p2"), "p1", ("p2",)),
    ]
    for tenant, one in zip(("bob", "ann", "bob"), given, strict=True):
        feedback.add(tenant, one, BUNDLE)
    assert feedback.read_all() == given


def test_the_same_twice_is_kept_twice(feedback):
    one = Feedback("a mug", ("p1",), "p1", ())
    for _ in range(2):
        feedback.add("ann", one, BUNDLE)
    assert feedback.read_all() == [one, one]
