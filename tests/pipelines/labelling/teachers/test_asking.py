"""Asking a teacher with a memory and a budget, against teachers that are scripted."""

import json
from itertools import permutations

import pytest

from pipelines.labelling.teachers.asking import Asker, Purpose
from pipelines.labelling.teachers.budget import Budget, Prices
from pipelines.labelling.teachers.protocol import Answer, Request, TeacherError
from retrieval.storage.journal import Journal, read_journal
from tests.pipelines.labelling.teachers.scripted_teacher import (
    GOOD,
    HALF,
    Scripted,
    ask,
    rankings,
    requests,
)


def test_replies_come_in_order_in_the_requests_own_ids(path):
    teacher = Scripted()
    replies, budget, forecast = ask(path, teacher, requests(5))
    assert rankings(replies) == [("c", "a", "b")] * 5
    assert len({reply.request_sha256 for reply in replies}) == 5
    assert (budget.spent.calls, budget.spent.input_tokens, budget.spent.output_tokens) == (
        5,
        500,
        50,
    )
    assert budget.spent.cost_usd == pytest.approx(5 * (100 * 10 + 10 * 100) / 1e6)
    assert (forecast.known, forecast.calls, forecast.input_tokens) == (0, 5, 500)
    assert str(forecast) == (
        "5 calls to make (0 are in the journal), about 500 input and 50 output tokens, $0.01"
    )


def test_nothing_is_asked_twice_across_runs_and_cycles(path):
    first, _, _ = ask(path, Scripted(), requests(5))
    before = path.read_bytes()
    teacher = Scripted(lambda question: pytest.fail("asked again"))
    second, budget, forecast = ask(path, teacher, requests(5))
    assert second == first
    assert (teacher.asked, forecast.known, forecast.calls) == ([], 5, 0)
    assert budget.spent.calls == 5  # what this run's labels cost, whoever paid
    assert path.read_bytes() == before


def test_equal_pictures_under_two_ids_are_one_question(path):
    teacher = Scripted()
    twins = [Request("p", ("a", "b", "c")), Request("p", ("a#2", "b", "c#2"))]
    replies, budget, _ = ask(path, teacher, twins)
    assert rankings(replies) == [("c", "a", "b"), ("c#2", "a#2", "b")]
    assert len(teacher.asked) == budget.spent.calls == 1


def test_what_is_no_permutation_is_asked_once_more_with_the_complaint(path):
    teacher = Scripted(lambda question: GOOD if question.complaint else HALF)
    replies, budget, _ = ask(path, teacher, requests(3))
    assert rankings(replies) == [("c", "a", "b")] * 3
    again = [question for question in teacher.asked if question.complaint]
    assert (len(teacher.asked), len(again)) == (6, 3)
    assert {question.previous for question in again} == {HALF}
    assert "it lacks 2" in teacher.asked[-1].complaint
    assert (budget.spent.calls, budget.spent.failures) == (6, 0)


def test_a_second_failure_is_kept_and_never_asked_again(path):
    teacher = Scripted(lambda question: "no")
    replies, budget, _ = ask(path, teacher, requests(3))
    assert rankings(replies) == [None] * 3
    assert all(reply is not None for reply in replies)
    assert (len(teacher.asked), budget.spent.failures) == (6, 3)
    again, budget, _ = ask(path, Scripted(), requests(3))
    assert (rankings(again), budget.spent.calls, budget.spent.failures) == ([None] * 3, 6, 3)


def test_a_fault_is_a_failure_with_its_words_in_the_journal(path):
    teacher = Scripted(lambda question: Answer("", "HTTP 400: too long"))
    replies, _, _ = ask(path, teacher, requests(1))
    assert rankings(replies) == [None]
    assert [record["fault"] for record in read_journal(path)] == ["HTTP 400: too long"] * 2


def test_a_fault_of_an_earlier_run_is_no_reply(path):
    ask(path, Scripted(lambda question: Answer("", "HTTP 400: one image at most")), requests(3))
    mended = Scripted()
    replies, budget, forecast = ask(path, mended, requests(3))
    assert rankings(replies) == [("c", "a", "b")] * 3
    assert (forecast.known, forecast.calls, budget.spent.calls) == (0, 3, 3)
    assert [question.complaint for question in mended.asked] == [""] * 3


def test_an_empty_reply_that_was_paid_for_is_not_asked_again(path):
    paid = Answer("", "the reply has no content", input_tokens=900)
    ask(path, Scripted(lambda question: paid), requests(2))
    again = Scripted()
    replies, budget, _ = ask(path, again, requests(2))
    assert rankings(replies) == [None, None]
    assert (again.asked, budget.spent.calls, budget.spent.input_tokens) == ([], 4, 3600)


def test_a_teacher_that_goes_away_loses_nothing_that_it_said(path):
    teacher = Scripted(fail_after=4)
    with pytest.raises(TeacherError, match="the server is down"):
        ask(path, teacher, requests(9))
    assert len(list(read_journal(path))) == 4
    after = Scripted()
    replies, _, _ = ask(path, after, requests(9))
    assert rankings(replies) == [("c", "a", "b")] * 9
    assert len(after.asked) == 5
    assert {question.request for question in after.asked}.isdisjoint(
        question.request for question in teacher.asked[:4]
    )


def test_a_reply_of_before_a_kill_is_complained_about_without_asking_it_anew(path):
    with pytest.raises(TeacherError):
        ask(path, Scripted(lambda question: HALF, together=4, fail_after=4), requests(4))
    teacher = Scripted()
    replies, _, _ = ask(path, teacher, requests(4))
    assert rankings(replies) == [("c", "a", "b")] * 4
    assert [question.previous for question in teacher.asked] == [HALF] * 4


def test_the_budget_in_calls_is_never_overdrawn_and_keeps_what_it_has(path):
    for limit in (1, 4, 7):
        teacher = Scripted(together=3)
        replies, budget, _ = ask(path.with_name(f"{limit}"), teacher, requests(9), max_calls=limit)
        assert rankings(replies) == [("c", "a", "b")] * limit + [None] * (9 - limit)
        assert (len(teacher.asked), budget.spent.calls, budget.reached) == (limit, limit, True)


def test_a_larger_budget_asks_only_for_the_rest(path):
    ask(path, Scripted(), requests(9), max_calls=4)
    teacher = Scripted()
    replies, budget, _ = ask(path, teacher, requests(9), max_calls=9)
    assert (len(teacher.asked), budget.reached) == (5, False)
    assert rankings(replies) == [("c", "a", "b")] * 9


def test_the_budget_in_money_is_never_overdrawn(path):
    call = (100 * 10 + 10 * 100) / 1e6
    teacher = Scripted(together=4)
    replies, budget, _ = ask(path, teacher, requests(9), max_cost_usd=5.5 * call)
    assert (len(teacher.asked), budget.reached) == (5, True)
    assert budget.spent.cost_usd <= 5.5 * call
    assert rankings(replies).count(None) == 4


def test_where_the_budget_ends_before_the_second_asking_there_is_no_reply_yet(path):
    replies, budget, _ = ask(path, Scripted(lambda q: HALF, together=3), requests(3), max_calls=4)
    assert [reply is None for reply in replies].count(True) == 2
    assert (budget.spent.calls, budget.spent.failures) == (4, 1)


def test_a_budget_goes_to_complaints_before_new_questions(path):
    replies, budget, _ = ask(path, Scripted(lambda q: HALF), requests(3), max_calls=4)
    assert [reply is None for reply in replies] == [False, False, True]
    assert (budget.spent.calls, budget.spent.failures) == (4, 2)


def test_a_teacher_that_leaves_questions_unanswered_is_an_error(path):
    class Forgetful(Scripted):
        def wait(self):
            return super().wait()[:1]

    with pytest.raises(TeacherError, match="scripted left 2 questions unanswered"):
        ask(path, Forgetful(), requests(4))


def test_the_teacher_is_closed_however_it_ends(path):
    teacher = Scripted()
    ask(path, teacher, requests(3))
    interrupted = Scripted(lambda question: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        ask(path, interrupted, requests(9))
    assert [(one.opened, one.closed) for one in (teacher, interrupted)] == [(1, 1)] * 2


def test_a_teacher_without_a_question_for_it_is_not_opened(path):
    ask(path, Scripted(), requests(3))
    teacher = Scripted()
    ask(path, teacher, requests(3))
    assert teacher.opened == 0


def test_a_complaint_does_not_wait_for_the_questions_under_way(path):
    """Whoever has room is asked: the teacher is never idle while something waits."""

    class OneByOne(Scripted):
        def wait(self):
            rooms.append(self.room)
            question = self.under_way.pop(0)
            return [(question, self._answer(question))]

    rooms = []
    first, *_ = wanted = requests(4)
    teacher = OneByOne(lambda q: HALF if q.request == first and not q.complaint else GOOD)
    ask(path, teacher, wanted)
    assert [(q.request.persona_id, bool(q.complaint)) for q in teacher.asked] == [
        ("p0", False), ("p1", False), ("p0", True), ("p2", False), ("p3", False),
    ]  # fmt: skip
    assert rooms == [0, 0, 0, 0, 1]


def test_the_budget_admits_none_beside_one_that_it_refused(path):
    """What comes back cheaper than expected makes no room again: what was asked stays a prefix."""
    call = (100 * 10 + 10 * 100) / 1e6
    teacher = Scripted(lambda question: Answer(GOOD, "", 1, 0))
    replies, budget, _ = ask(path, teacher, requests(9), max_cost_usd=1.5 * call)
    assert (len(teacher.asked), budget.reached) == (1, True)
    assert rankings(replies) == [("c", "a", "b")] + [None] * 8


def test_each_reply_is_on_disk_before_it_counts(path, monkeypatch):
    """A disk that is full: what it did not take is neither counted nor a label."""
    append = Journal.append

    def fill_up(journal, records):
        if len(journal) >= 4:
            raise OSError("no space left")
        append(journal, records)

    monkeypatch.setattr(Journal, "append", fill_up)
    budget = Budget(Prices(10.0, 100.0), None, None)
    with Journal(path) as journal:
        asker = Asker(Scripted(), journal, Purpose("label", "c1"), budget)
        with pytest.raises(OSError, match="no space left"):
            asker.rank(requests(9))
    assert len(list(read_journal(path))) == budget.spent.calls == 4


def test_no_secret_and_no_more_than_needed_is_in_the_journal(path):
    ask(path, Scripted(), requests(1))
    [record] = read_journal(path)
    assert record.keys() == {
        "key", "stage", "cycle", "teacher", "persona_id", "raw", "fault", "input_tokens",
        "output_tokens", "cost_usd", "seconds", "at",
    }  # fmt: skip
    assert (record["stage"], record["cycle"], record["teacher"]) == ("label", "c1", "scripted")
    json.dumps(record)


def test_order_and_repeat_make_another_request(path):
    teacher = Scripted()
    wanted = [Request("p", order, repeat) for order in permutations("abc") for repeat in (0, 1)]
    ask(path, teacher, wanted)
    assert len(teacher.asked) == 12
