"""What servers answer with HTTP 200, as public bug reports have it: replies, halves, and faults."""

import pytest

from pipelines.labelling.teachers.asking import Asker, Purpose
from pipelines.labelling.teachers.budget import Budget, Prices
from pipelines.labelling.teachers.protocol import TeacherError
from pipelines.labelling.teachers.replies import read_reply
from retrieval.storage.journal import Journal
from tests.pipelines.labelling.teachers.chat_server import ChatServer, completion, ranking
from tests.pipelines.labelling.teachers.openai_setup import ask, ask_one, questions, teacher_maker

SAID = '{"ranking": [3, 1, 2]}'
THOUGHTS = 'The wish is for a gardener. Perhaps {"ranking": [1, 2, 3]}? No, the third'


@pytest.fixture
def make(tmp_path, monkeypatch):
    return teacher_maker(tmp_path, monkeypatch)


def reply(finish_reason="stop", **message):
    choice = {"message": {"role": "assistant", **message}, "finish_reason": finish_reason}
    return 200, {"choices": [choice], "usage": {"prompt_tokens": 900, "completion_tokens": 200}}


def ask_through(make, url, path, **changes):
    """Both replies to a question through the stages' way of asking."""
    budget = Budget(Prices(0, 0), None, None)
    with Journal(path) as journal:
        asker = Asker(make(url, **changes), journal, Purpose("label"), budget)
        [reply] = asker.rank([questions(1)[0].request])
        return reply, asker


# Faults of the server

CHUNK = b'data: {"choices": [{"index": 0, "delta": {"content": "Hi"}}]}\n\n'
NO_COMPLETION = {
    "a page": b"<html>Welcome</html>",
    "nothing": b"",
    "not JSON": b"[" * 100_000,
    "a number of 5000 digits": b'{"choices": ' + b"9" * 5000 + b"}",
    "not UTF-8": b"\xff\xfe",
    "a list": [],
    "an empty object": {},
    "an event stream": CHUNK * 3 + b"data: [DONE]\n\n",
    "one chunk of a stream": {"choices": [{"index": 0, "delta": {"content": SAID}}]},
    "an error": {"error": {"message": "Provider returned error", "code": 502}},
    "an error that is a text": {"error": "model is loading"},
    "an error beside no choices": {"choices": None, "error": {"code": 429}, "usage": None},
    "an error beside a reply": {**reply(content=SAID)[1], "error": {"code": 500}},
    "an error in the choice": {
        "choices": [{"error": {"code": 502}, "message": {"content": SAID[:9]}}]
    },
    "a reply that an error ended": reply("error", content=SAID)[1],
    "no choice": {"choices": []},
    "null for choices": {"choices": None},
    "choices that are no list": {"choices": {"message": {"content": SAID}}},
    "no message": {"choices": [{"text": SAID}]},
    "null for a message": {"choices": [{"message": None}]},
    "problem details": {"detail": "Internal error", "status": 500},
}


@pytest.mark.parametrize("body", NO_COMPLETION.values(), ids=NO_COMPLETION)
def test_a_200_without_a_completion_is_tried_again_and_then_ends_the_run(make, tmp_path, body):
    path = tmp_path / "label.jsonl"
    with (
        ChatServer(lambda *_: (200, body)) as server,
        pytest.raises(TeacherError, match=r"2 tries; last: HTTP 200 without a chat comp") as stop,
    ):
        ask_through(make, server.url, path, max_retries=1)
    assert len(server.bodies) == 2
    assert "teacher.openai.base_url" in str(stop.value)
    assert len(str(stop.value)) < 600
    assert path.read_bytes() == b""  # neither a vote nor a label nor a failure


@pytest.mark.parametrize("body", NO_COMPLETION.values(), ids=NO_COMPLETION)
def test_a_200_without_a_completion_may_pass_and_is_counted(make, tmp_path, body):
    script = lambda number, _: (200, body) if number < 2 else completion(SAID)  # noqa: E731
    with ChatServer(script) as server:
        said, asker = ask_through(make, server.url, tmp_path / "label.jsonl")
    assert said.ranking == ("blue", "red", "green")
    assert server.times[-1] - server.times[0] >= 0.03  # pauses of 20 and 40 ms, up to half less
    assert (asker.budget.spent.calls, asker.budget.spent.failures) == (1, 0)
    [words] = asker.troubles()
    assert words.startswith(
        "2 calls were made again after faults of the server; the last: HTTP 200"
    )


def test_an_error_that_is_null_is_none(make):
    status, body = completion(SAID)
    with ChatServer(lambda *_: (status, {**body, "error": None})) as server:
        assert read_reply(ask_one(make(server.url)).raw, 3)[0] == (2, 0, 1)


@pytest.mark.parametrize(
    "value",
    [
        "soon", "-5", "9" * 400, "99999999999", "1764380000", "1e999", "inf", "nan", "30s", "5, 10",
        "Wed, 21 Oct 99999999999 07:28:00 GMT", "Fri, 31 Dec 9999 23:59:59 -2359", "Mon, 99 Foo",
        "Thu, 01 Jan 1970 00:00:00 GMT", "Thu, 01 Jan 1970 00:00:00 +9999999999", ",", "", "²",
    ],
)  # fmt: skip
def test_a_retry_after_that_names_no_pause_is_ignored(make, value):
    headers = {"Retry-After": value.encode("utf-8").decode("latin-1")}
    script = lambda n, _: (429, b"slow down", headers) if n == 0 else ranking(1, 2, 3)  # noqa: E731
    with ChatServer(script) as server:
        assert ask_one(make(server.url)).retried == ("HTTP 429: slow down",)
    assert server.times[1] - server.times[0] < 2


# Thinking models


@pytest.mark.parametrize(
    "message",
    [
        {"content": f"<think>\n{THOUGHTS}\n</think>\n\n{SAID}"},
        {"content": f"<think>\n\n</think>\n\n{SAID}"},
        {"content": f"{THOUGHTS}\n</think>\n\n```JSON\n{SAID}\n```"},
        {"content": f"\n\n{SAID}", "reasoning_content": THOUGHTS},
        {"content": SAID, "reasoning": THOUGHTS, "refusal": None, "tool_calls": []},
        {"content": None, "reasoning_content": SAID},  # vLLM 17349, 50948: put there by its parser
        {"content": "", "reasoning": f"\n```json\n{SAID}\n```"},
        {"content": None, "reasoning_content": f"{THOUGHTS}</think>{SAID}"},
        {"content": [{"type": "reasoning", "text": THOUGHTS}, {"type": "text", "text": SAID}]},
    ],
)
def test_a_thinking_models_answer_is_read(make, tmp_path, message):
    with ChatServer(lambda *_: reply(**message)) as server:
        said, asker = ask_through(make, server.url, tmp_path / "label.jsonl")
    assert said.ranking == ("blue", "red", "green")
    assert (len(server.bodies), asker.troubles()) == (1, [])


@pytest.mark.parametrize(
    "message",
    [
        {"content": None, "reasoning_content": THOUGHTS},
        {"content": "", "reasoning": THOUGHTS},
        {"content": " \n", "reasoning_content": THOUGHTS},
        {"content": f"<think>{THOUGHTS}"},
        {"content": f"<think>{THOUGHTS}</think>"},
        {"content": f"{THOUGHTS}</think>\n"},
    ],
)
def test_thoughts_alone_are_no_answer(make, tmp_path, message):
    """A list in them is a draft."""
    with ChatServer(lambda *_: reply(**message)) as server:
        said, asker = ask_through(make, server.url, tmp_path / "label.jsonl")
    assert said.ranking is None
    assert "the reply has thoughts and no answer" in asker.troubles()[0]
    assert "The wish is for a gardener" in asker.troubles()[0]


@pytest.mark.parametrize("reason", ["length", "max_tokens", "MAX_TOKENS"])
@pytest.mark.parametrize(
    "message",
    [
        {"content": f"<think>{THOUGHTS}"},
        {"content": THOUGHTS},  # the template has opened the thoughts
        {"content": None, "reasoning_content": THOUGHTS},
        {"content": "", "reasoning": SAID},
        {"content": None},
        {"content": '{"ranking": [3, 1'},
    ],
)
def test_a_reply_that_was_cut_says_so_with_the_limit(make, tmp_path, message, reason):
    with ChatServer(lambda *_: reply(reason, **message)) as server:
        said, asker = ask_through(make, server.url, tmp_path / "label.jsonl")
    assert said.ranking is None
    assert "cut at max_output_tokens: 200" in asker.troubles()[0]
    assert len(server.bodies) == 2


@pytest.mark.parametrize("content", [SAID + "\n" * 99, f'```json\n{SAID[:-1]}, "why": "the third'])
def test_a_reply_that_was_cut_behind_its_list_is_read(make, tmp_path, content):
    """Structured output may go on with blank lines for ever."""
    with ChatServer(lambda *_: reply("length", content=content)) as server:
        said, _ = ask_through(make, server.url, tmp_path / "label.jsonl")
    assert said.ranking == ("blue", "red", "green")
    assert len(server.bodies) == 1


def test_a_thinking_model_under_too_low_a_limit_ends_the_run_with_the_remedy(make, tmp_path):
    path, wanted = tmp_path / "label.jsonl", [one.request for one in questions(99)]
    budget = Budget(Prices(0, 0), None, None)
    with ChatServer(lambda *_: reply("length", content=None, reasoning=THOUGHTS)) as server:
        with Journal(path) as journal, pytest.raises(TeacherError) as stop:
            Asker(make(server.url), journal, Purpose("label"), budget).rank(wanted)
        assert len(server.bodies) == 10
        changed = make(server.url, max_output_tokens=4000)
        server.script = lambda *_: reply(content=SAID, reasoning=THOUGHTS)
        with Journal(path) as journal:
            replies = Asker(changed, journal, Purpose("label"), budget).rank(wanted)
    assert all(said.ranking for said in replies)
    assert str(stop.value) == (
        "openai:vlm: none of the first 10 replies could be read; the last of them: cut at"
        " max_output_tokens: 200, before the answer began. Where replies are cut, or a model thinks"
        " before it answers, raise teacher.openai.max_output_tokens (200); otherwise set"
        " teacher.openai.structured (true) the other way, or change teacher.openai.model or"
        " teacher.prompt; then run again"
    )


def test_the_key_is_in_no_fault(make, monkeypatch):
    monkeypatch.setenv("TEACHER_KEY", "sk-secret-0123456789")
    thoughts = "x" * 150 + " I was given the key sk-secret-0123456789 of the user"
    with ChatServer(lambda *_: reply(content=None, reasoning=thoughts)) as server:
        assert "sk-se" not in ask_one(make(server.url)).fault


# Answered, and no reply


@pytest.mark.parametrize(
    "choice",
    [
        {"message": {"content": None}, "finish_reason": "content_filter"},
        {"message": {"content": None, "refusal": "I cannot judge people"}},
        {"message": {"content": ""}},
        {"message": {"content": " \n"}},
        {"message": {"content": [{"type": "text", "text": 7}]}},
        {"message": {"content": ["x"]}},
        {"message": {"content": 7}},
        {"message": {}},
    ],
)
def test_a_completion_without_content_is_a_fault_of_that_answer(make, choice):
    with ChatServer(lambda *_: (200, {"choices": [choice], "usage": 3})) as server:
        answers = ask(make(server.url, concurrency=1), questions(1))
    assert len(server.bodies) == 1
    assert answers[0].raw == ""
    assert answers[0].fault.startswith("the reply has no content: ")
    assert len(answers[0].fault) < 300
