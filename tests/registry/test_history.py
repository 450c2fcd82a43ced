"""Which champions came before, from the record of promotions and rollbacks."""

import pytest

from registry.history import Change, champions

NAME = "kindred"


def change(action, before, after, outcome="done"):
    return Change("r", action, NAME, before, after, "d", outcome, "", "", "", None)


@pytest.mark.parametrize(
    ("history", "champion", "stack"),
    [
        ([], None, []),
        ([], 4, [4]),
        ([change("promote", None, 1), change("promote", 1, 2)], 2, [1, 2]),
        ([change("promote", None, 1), change("promote", 1, 2, "abandoned")], 1, [1]),
        ([change("promote", None, 1), change("promote", 1, 2, "unfinished")], 1, [1]),
        ([change("promote", None, 1), change("promote", 1, 2, "unfinished")], 2, [1, 2]),
        (
            [change("promote", None, 1), change("promote", 1, 2), change("rollback", 2, 1)],
            1,
            [1],
        ),
        (
            [
                change("promote", None, 1),
                change("promote", 1, 2),
                change("rollback", 2, 1),
                change("promote", 1, 3),
            ],
            3,
            [1, 3],
        ),
        (
            [change("promote", None, 1), change("promote", 1, 2), change("promote", 2, 1)],
            1,
            [1, 2, 1],
        ),
    ],
)
def test_the_stack_follows_from_the_history(history, champion, stack):
    assert champions(history, champion) == stack
