"""A teacher whose replies cannot be read: when it is asked no more, and what is said of it."""

from collections import deque

import pytest

from pipelines.labelling.teachers.asking import Asker, Purpose
from pipelines.labelling.teachers.budget import Budget, Prices
from pipelines.labelling.teachers.protocol import Answer, TeacherError
from retrieval.storage.journal import Journal, read_journal
from tests.pipelines.labelling.teachers.scripted_teacher import (
    GOOD,
    HALF,
    Scripted,
    ask,
    rankings,
    requests,
)


@pytest.mark.parametrize("together", [1, 3, 8, 64])
def test_a_teacher_whose_every_reply_is_unreadable_is_asked_no_more(path, together):
    teacher = Scripted(lambda question: "Dear user,\n" + "x" * 999, together, remedy="Do that")
    with pytest.raises(TeacherError) as stop:
        ask(path, teacher, requests(1000))
    assert len(teacher.asked) == 10  # five questions, each twice
    assert len(list(read_journal(path))) == 10
    assert len(str(stop.value)) < 500
    assert str(stop.value).startswith(
        "scripted: none of the first 10 replies could be read; the last of them: the reply has no"
    )
    assert ' ("Dear user, xxx' in str(stop.value)
    assert str(stop.value).endswith(' ..."). Do that; then run again')


def test_faults_stop_it_too_and_over_several_calls(path):
    """A tournament asks two questions at a time."""
    teacher = Scripted(lambda question: Answer("", "HTTP 400: no pictures"), remedy="Do that")
    with Journal(path) as journal:
        asker = Asker(teacher, journal, Purpose("label"), Budget(Prices(0, 0), None, None))
        pairs = [requests(99)[at : at + 2] for at in range(0, 99, 2)]
        with pytest.raises(TeacherError, match=r"HTTP 400: no pictures\. Do that"):
            deque(map(asker.rank, pairs), maxlen=0)
    assert len(teacher.asked) == 10


def test_a_teacher_that_needs_every_complaint_is_not_stopped(path):
    teacher = Scripted(lambda q: GOOD if q.complaint else HALF, together=8, remedy="Do that")
    replies, budget, _ = ask(path, teacher, requests(300))
    assert rankings(replies) == [("c", "a", "b")] * 300
    assert (budget.spent.calls, budget.spent.failures) == (600, 0)


@pytest.mark.parametrize("together", [1, 8, 64])
def test_one_that_breaks_down_on_the_way_is_stopped_later(path, together):
    """Somebody starts the server anew, with another template."""

    def reply(question):
        return GOOD if int(question.request.persona_id[1:]) < 20 else "no"

    teacher = Scripted(reply, together, remedy="Do that")
    with pytest.raises(TeacherError, match=r"none of the last 1\d\d replies .*Do that"):
        ask(path, teacher, requests(1000))
    assert len(teacher.asked) <= 20 + 100 + together


def test_a_few_hard_questions_that_an_earlier_run_left_do_not_stop_it(path):
    def reply(question):
        refused = int(question.request.persona_id[1:]) >= 90
        return Answer("", "HTTP 400: not this") if refused else GOOD

    for _ in range(2):
        replies, _, _ = ask(path, Scripted(reply, remedy="Do that"), requests(100))
        assert rankings(replies).count(None) == 10


def test_a_teacher_that_costs_nothing_is_asked_all_the_same(path):
    replies, _, _ = ask(path, Scripted(lambda question: "no"), requests(30))
    assert rankings(replies) == [None] * 30


def test_no_more_than_the_first_few_are_asked_before_a_reply_is_read(path):
    most = []

    class Watched(Scripted):
        def wait(self):
            most.append(len(self.under_way))
            return super().wait()

    ask(path, Watched(together=32, remedy="Do that"), requests(100))
    assert most[:2] == [5, 32]


@pytest.mark.parametrize(
    ("raw", "read"),
    [(GOOD, True), (f"<think>so</think>{GOOD}", True), (f"Perhaps {GOOD} or", False)],
)
def test_of_a_reply_that_was_cut_only_what_it_begins_with_is_read(path, raw, read):
    """Without its end, thoughts do not look like thoughts, and drafts are in them."""
    cut = Answer(raw, "cut at max_output_tokens: 200", 0, 0)
    for _ in range(2):  # not asked again by the next run: it was answered
        teacher = Scripted(lambda question: cut)
        replies, _, _ = ask(path, teacher, requests(1))
        assert rankings(replies) == [("c", "a", "b") if read else None]
    assert teacher.asked == []


def test_what_went_wrong_is_told_though_it_went_on(path):
    def reply(question):
        number = int(question.request.persona_id[1:])
        busy = ("HTTP 503: busy", "HTTP 200 without a chat completion: ") if number == 1 else ()
        return Answer("no" if number == 2 else GOOD, retried=busy)

    with Journal(path) as journal:
        budget = Budget(Prices(0, 0), None, None)
        asker = Asker(Scripted(reply, remedy="Do that"), journal, Purpose("label"), budget)
        assert asker.troubles() == []
        asker.rank(requests(4))
    assert asker.troubles() == [
        "2 calls were made again after faults of the server; the last: HTTP 200 without a chat"
        " completion: ",
        '2 replies could not be read; the last of them: the reply has no list "ranking" of the'
        ' pictures\' numbers ("no"); without a label: 1. Do that',
    ]
