"""What is read of a reply, and what is not; the forms are those of public bug reports on models."""

import json
import time

import pytest

from pipelines.labelling.teachers.replies import begins_with_answer, read_reply, write_reply

ORDER = (1, 2, 0)  # of 2, 3, 1
SAID = '{"ranking": [2, 3, 1]}'


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
    "raw",
    [
        # Thoughts
        "<think>\nThe first is red: [1, 2].\n</think>\n\n" + SAID,
        "<think>\n\n</think>\n\n" + SAID,
        "The user wants an order. Perhaps [3, 2, 1]?\n</think>\n" + SAID,
        '<think>maybe {"ranking": [1, 2, 3]}</think>' + SAID,
        "<THINK>first</THINK>" + SAID,
        "<thinking>first</thinking>\n[2, 3, 1]",
        "[THINK]first [1][/THINK]" + SAID,
        "◁think▷first◁/think▷" + SAID,
        '<|channel|>analysis<|message|>{"ranking": [1, 2, 3]}?<|end|><|start|>assistant'
        "<|channel|>final<|message|>" + SAID,
        # What stands around it
        "```JSON\n" + SAID + "\n```",
        "```Json " + SAID + "```",
        "Sure! Here is the order:\n\n```json\n" + SAID + "\n```\nIs there anything else?",
        "```json\n" + SAID,
        "```python\n[2, 3, 1]\n```",
        "Here: " + SAID,
        SAID + "\n\nThe second picture suits a gardener [most of all].",
        "\ufeff" + SAID,
        SAID + "<|im_end|>",
        "<|begin_of_box|>" + SAID + "<|end_of_box|>",
        "<answer>[2, 3, 1]</answer>",
        'In the form {"ranking": [best, ..., worst]} that is ' + SAID,
        SAID + SAID,  # said twice, the same
        '{"ranking": [2, 3, 1], "why": "the second is',  # cut behind the list
        # Other forms of the list
        "[2, 3, 1]",
        "```\n[2, 3, 1]\n```",
        "I would say\n```\n[2, 3, 1]\n```",
        '{"ranking": ["2", "3", "1"]}',
        '{"ranking": [2.0, 3.0, 1.0]}',
        '{"ranking": ["Picture 2", "picture_3", "#1"]}',
        '{"ranking": [2, 3, 1,]}',
        "{'ranking': [2, 3, 1]}",
        "ranking: [2, 3, 1]",
        '"{\\"ranking\\": [2, 3, 1]}"',
        '{"ranking": "[2, 3, 1]"}',
        # Another key
        '{"Ranking": [2, 3, 1]}',
        '{"order": [2, 3, 1]}',
        '{"result": {"ranking": [2, 3, 1]}}',
        '{"best_to_worst": [2, 3, 1], "reasons": ["blue", "green", "red"]}',
        '{"ranking": [2, 3, 1], "scores": [1, 9, 5]}',
    ],
)
def test_what_can_mean_one_order_only_is_read(raw):
    assert read_reply(raw, 3) == (ORDER, "")


NONE = 'no list "ranking"'


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        ("", "the reply is empty"),
        (" \n", "the reply is empty"),
        ("<think>\n\n</think>\n", "has thoughts and no answer"),
        ("<think>perhaps " + SAID, "has thoughts and no answer"),
        (SAID + "</think>", "has thoughts and no answer"),
        ("I prefer 2, 3, 1", NONE),
        ("I prefer [2, 3, 1]", NONE),
        ("[2] > [3] > [1]", NONE),
        ('{"ranking": [2, 3', NONE),
        ("[" * 100_000, NONE),
        ('{"ranking": "231"}', NONE),
        ('{"ranking": {"1": 2, "2": 3, "3": 1}}', NONE),
        ('{"ranking": [[1], 2, 3]}', NONE),
        ('{"order": ["a", "b", "c"]}', NONE),
        ('{"worst_to_best": [2, 3, 1]}', "may mean something else"),
        ('{"ranks": [2, 3, 1]}', "may mean something else"),
        ('{"scores": [2, 3, 1]}', "may mean something else"),
        ('{"ranking": [true, 2, 3]}', "other than whole numbers"),
        ('{"ranking": [2.5, 3, 1]}', "other than whole numbers"),
        ('{"ranking": ["two", "three", "one"]}', "other than whole numbers"),
        ('{"ranking": [2, 3, null]}', "other than whole numbers"),
        ('{"ranking": [NaN, 1e999, 3]}', "other than whole numbers"),
        ('{"ranking": [' + "9" * 5000 + ", 2, 3]}", "other than whole numbers"),
        ('{"ranking": [best, ..., worst]}', "other than whole numbers"),
        (SAID + ' or {"ranking": [1, 2, 3]}', "lists that differ"),
        ('{"ranking": [2, 3, 1], "ranking": [1, 2, 3]}', "lists that differ"),
        ('{"order": [2, 3, 1], "result": [1, 2, 3]}', "lists that differ"),
        ("```\n[2, 3, 1]\n```\n```\n[1, 2, 3]\n```", "lists that differ"),
        ('{"ranking": []}', "no permutation of 1 to 3: it lacks 1, 2, 3"),
        ('{"ranking": [2, 3]}', "it lacks 1"),
        ('{"ranking": [2, 3, 3]}', "it lacks 1; it repeats 3"),
        ('{"ranking": ["2", 2.0, 3]}', "it lacks 1; it repeats 2"),
        ('{"ranking": [0, 1, 2]}', "it lacks 3; it names pictures that were not shown: 0"),
        ('{"ranking": [-1, 2, 3]}', "it lacks 1; it names pictures that were not shown: -1"),
        ('{"ranking": [4, 1, 2, 3]}', "it names pictures that were not shown: 4"),
        ("[1, 2]", "it lacks 3"),
    ],
)
def test_anything_else_gets_a_complaint_that_says_what_is_wrong(raw, complaint):
    order, words = read_reply(raw, 3)
    assert order is None
    assert complaint in words


@pytest.mark.parametrize("piece", ["[", "[1,", '"a": [', "```", "<think>", '"', "<|", "[1] "])
def test_a_long_reply_takes_no_time(piece):
    started = time.monotonic()
    read_reply(piece * (200_000 // len(piece)), 3)
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("raw", "bare"),
    [
        (SAID, True),
        ("```json\n" + SAID, True),
        ("</think>\n[2, 3, 1] and so on", True),
        ("Perhaps " + SAID, False),
        ("<think>" + SAID, False),
        ("", False),
    ],
)
def test_an_answer_begins_the_reply_or_follows_its_thoughts(raw, bare):
    assert begins_with_answer(raw) is bare


def test_what_is_written_is_read():
    order = (4, 0, 3, 1, 2)
    assert read_reply(write_reply(order), 5) == (order, "")
    assert json.loads(write_reply(order)) == {"ranking": [5, 1, 4, 2, 3]}
