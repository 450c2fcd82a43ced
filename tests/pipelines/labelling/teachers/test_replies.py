import json

import pytest

from pipelines.labelling.teachers.replies import read_reply, write_reply


@pytest.mark.parametrize(
    ("raw", "order"),
    [
        ('{"ranking": [2, 3, 1]}', (1, 2, 0)),
        ('  {"ranking":[1,2,3]}\n', (0, 1, 2)),
        ('```json\n{"ranking": [3, 2, 1]}\n```', (2, 1, 0)),
        ('```\n{"ranking": [3, 1, 2], "why": "blue"}\n```', (2, 0, 1)),
    ],
)
def test_a_permutation_is_read(raw, order):
    assert read_reply(raw, 3) == (order, "")


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        ("", "the reply is not JSON"),
        ("I prefer 2, 3, 1", "the reply is not JSON"),
        ('Here: {"ranking": [2, 3, 1]}', "the reply is not JSON"),
        ('{"ranking": [2, 3', "the reply is not JSON"),
        ("[" * 100_000, "the reply is not JSON"),
        ("[2, 3, 1]", "no JSON object"),
        ('{"order": [2, 3, 1]}', "no JSON object"),
        ('{"ranking": "231"}', "no JSON object"),
        ('{"ranking": ["2", "3", "1"]}', "other than whole numbers"),
        ('{"ranking": [2.0, 3.0, 1.0]}', "other than whole numbers"),
        ('{"ranking": [true, 2, 3]}', "other than whole numbers"),
        ('{"ranking": [[1], 2, 3]}', "other than whole numbers"),
        ('{"ranking": []}', "no permutation of 1 to 3: it lacks 1, 2, 3"),
        ('{"ranking": [2, 3]}', "it lacks 1"),
        ('{"ranking": [2, 3, 3]}', "it lacks 1; it repeats 3"),
        ('{"ranking": [0, 1, 2]}', "it lacks 3; it names pictures that were not shown: 0"),
        ('{"ranking": [4, 1, 2, 3]}', "it names pictures that were not shown: 4"),
    ],
)
def test_anything_else_gets_a_complaint_that_says_what_is_wrong(raw, complaint):
    order, words = read_reply(raw, 3)
    assert order is None
    assert complaint in words


def test_what_is_written_is_read():
    order = (4, 0, 3, 1, 2)
    assert read_reply(write_reply(order), 5) == (order, "")
    assert json.loads(write_reply(order)) == {"ranking": [5, 1, 4, 2, 3]}
