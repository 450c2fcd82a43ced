import asyncio
import json
import time

import pytest

from pipelines.labelling.teachers.openai_endpoint import Endpoint
from pipelines.labelling.teachers.protocol import (
    Answer,
    Question,
    Request,
    TeacherError,
    request_sha256,
)
from pipelines.labelling.teachers.replies import read_reply
from tests.pipelines.labelling.teachers.answers import answers_to
from tests.pipelines.labelling.teachers.chat_server import ChatServer, completion, ranking
from tests.pipelines.labelling.teachers.openai_setup import (
    COLORS,
    PERSONAS,
    ask,
    ask_one,
    decode_picture,
    questions,
    teacher_maker,
)


@pytest.fixture
def make(tmp_path, monkeypatch):
    return teacher_maker(tmp_path, monkeypatch)


# What is sent, and what comes back


def test_a_question_shows_persona_and_numbered_pictures_in_order(make):
    script = lambda *_: ranking(2, 1, 3, prompt_tokens=321, completion_tokens=12)  # noqa: E731
    with ChatServer(script) as server:
        answer = ask_one(make(server.url, temperature=0.5), questions(1, "p0")[0])
    assert read_reply(answer.raw, 3) == ((1, 0, 2), "")
    assert (answer.fault, answer.input_tokens, answer.output_tokens) == ("", 321, 12)
    assert answer.seconds > 0
    assert server.paths == ["/v1/chat/completions"]
    [body] = server.bodies
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("vlm", 0.5, 200)
    [message] = body["messages"]
    prompt, *shown = message["content"]
    assert PERSONAS[0]["text"] in prompt["text"]
    assert '{"ranking": [best, ..., worst]}' in prompt["text"]
    assert [part["text"] for part in shown[::2]] == ["Picture 1:", "Picture 2:", "Picture 3:"]
    pictures = [decode_picture(part["image_url"]["url"]) for part in shown[1::2]]
    assert [picture.size for picture in pictures] == [(336, 168)] * 3
    # The colour of each, from the channel that is brightest ("green" is half as bright).
    brightest = [max(range(3), key=picture.getpixel((9, 9)).__getitem__) for picture in pictures]
    assert brightest == [0, 1, 2]


def test_a_complaint_follows_the_reply_that_it_is_about(make):
    request = Request("p1", COLORS)
    with ChatServer(lambda *_: ranking(1, 2, 3)) as server:
        ask_one(make(server.url), Question(request, '{"ranking": [1]}', "it lacks 2, 3"))
        ask_one(make(server.url), Question(request, "", "the reply is not JSON"))
    said = [[(m["role"], m["content"]) for m in body["messages"][1:]] for body in server.bodies]
    assert said[0][0] == ("assistant", '{"ranking": [1]}')
    role, complaint = said[0][1]
    assert role == "user"
    assert complaint.startswith("Your reply was refused: it lacks 2, 3.")
    assert [role for role, content in said[1] if content] == ["assistant", "user"]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("Sure! I like the first one best.", 'the reply has no list "ranking"'),
        ('{"ranking": [1, 2', 'the reply has no list "ranking"'),
        ('{"ranking": [3, 3, 1]}', "the ranking is no permutation of 1 to 3: it lacks 2;"),
        ("half a surrogate pair: \ud83d", 'the reply has no list "ranking"'),
    ],
)
def test_what_is_no_permutation_comes_back_word_for_word(make, content, complaint):
    with ChatServer(lambda *_: completion(content)) as server:
        answer = ask_one(make(server.url))
    assert answer.fault == ""
    assert answer.raw == content.replace("\ud83d", "\ufffd")
    assert read_reply(answer.raw, 3)[1].startswith(complaint)


def test_parts_of_text_are_joined(make):
    parts = [
        {"type": "thinking", "thinking": [{"text": "hm"}]},
        {"type": "text", "text": '{"ranking": '},
        {"type": "text", "text": "[3, 1, 2]}"},
    ]
    with ChatServer(lambda *_: completion(parts)) as server:
        assert read_reply(ask_one(make(server.url)).raw, 3)[0] == (2, 0, 1)


# Structured output


def test_a_schema_says_which_numbers_are_wanted(make):
    with ChatServer(lambda *_: ranking(1, 2, 3)) as server:
        ask_one(make(server.url))
        ask_one(make(server.url, structured=False))
    asked = server.bodies[0]["response_format"]
    assert asked["type"] == "json_schema"
    ranks = asked["json_schema"]["schema"]["properties"]["ranking"]
    assert ranks["items"]["enum"] == [1, 2, 3]
    assert "response_format" not in server.bodies[1]


def test_a_server_without_schemas_is_asked_without_from_then_on(make):
    def script(_, body):
        return (422, b"no response_format") if "response_format" in body else ranking(1, 2, 3)

    with ChatServer(script) as server:
        teacher = make(server.url, concurrency=1)
        before = json.dumps(teacher.settings)
        answers = ask(teacher, questions(4))
    assert {answer.fault for answer in answers.values()} == {""}
    assert ["response_format" in body for body in server.bodies] == [True] + [False] * 4
    assert json.dumps(teacher.settings) == before


def test_a_refusal_for_another_reason_leaves_the_schema_on(make):
    script = lambda n, _: (400, b"too long") if n < 2 else ranking(1, 2, 3)  # noqa: E731
    with ChatServer(script) as server:
        answers = ask(make(server.url, concurrency=1), questions(2))
    assert answers[0].fault == "HTTP 400: too long"
    assert answers[1].fault == ""
    assert ["response_format" in body for body in server.bodies] == [True, False, True]


def test_a_model_that_takes_the_newer_limit_gets_it(make):
    def script(_, body):
        if "max_tokens" in body:
            return 400, {"error": "Unsupported: 'max_tokens'. Use 'max_completion_tokens'."}
        return ranking(1, 2, 3)

    with ChatServer(script) as server:
        answers = ask(make(server.url, concurrency=1), questions(2))
    assert {answer.fault for answer in answers.values()} == {""}
    assert ["max_completion_tokens" in body for body in server.bodies] == [False, True, True]
    assert all("response_format" in body for body in server.bodies)


# Pace


def test_calls_at_once_are_bounded(make):
    taken, answered, ahead = 0, 0, []

    def counted():
        nonlocal taken
        for question in questions(30):
            taken += 1
            yield question

    with ChatServer(lambda *_: (*ranking(1, 2, 3), {}, 0.03)) as server:
        for batch in answers_to(make(server.url, concurrency=4), counted()):
            ahead.append(taken - answered)
            answered += len(batch)
    assert answered == 30
    assert server.most_at_once == 4
    assert max(ahead) == 4


def test_who_is_not_asked_is_sent_nothing(make):
    with ChatServer(lambda *_: ranking(1, 2, 3)) as server:
        with make(server.url).open():
            time.sleep(0.05)
        assert server.bodies == []


def test_at_the_end_of_the_context_what_is_under_way_is_given_up(make):
    script = lambda number, _: (*ranking(1, 2, 3), {}, 0 if number == 0 else 0.5)  # noqa: E731
    with ChatServer(script) as server:
        with make(server.url, concurrency=3).open() as session:
            for question in questions(3):
                session.ask(question)
            assert len(session.wait()) == 1
            started = time.monotonic()
        assert time.monotonic() - started < 0.3
        time.sleep(0.1)
        assert len(server.bodies) == 3


@pytest.mark.filterwarnings(
    "error::ResourceWarning", "error::pytest.PytestUnraisableExceptionWarning"
)
def test_nothing_leaks_where_the_consumer_fails(make):
    def fail():
        for _ in answers_to(make(server.url), questions(9)):
            raise KeyError

    with ChatServer(lambda *_: ranking(1, 2, 3)) as server, pytest.raises(KeyError):
        fail()


def test_what_came_beside_a_failure_is_kept(make, monkeypatch):
    """Four calls end in one turn of the event loop, one of them badly: three were paid for."""
    turns = iter(range(99))

    async def chat(*_):
        number = next(turns)
        await asyncio.sleep(0)
        if number == 1:
            raise TeacherError("no more")
        return Answer("")

    monkeypatch.setattr(Endpoint, "chat", chat)
    answers = answers_to(make(concurrency=4), questions(20))
    assert len(next(answers)) == 3
    with pytest.raises(TeacherError, match="no more"):
        next(answers)
    assert next(turns) == 4


# Digests and estimates


def test_the_digest_covers_what_a_reply_depends_on_and_no_more(make, tmp_path):
    other = tmp_path / "prompt.txt"
    other.write_text("{persona} {count}")
    request = Request("p1", COLORS)
    digest = request_sha256(make(), request)
    speed = {"concurrency": 1, "timeout": 9.0, "max_retries": 0, "key_variable": "OTHER"}
    assert request_sha256(make("http://elsewhere/v1", **speed), request) == digest
    others = [
        request_sha256(make(**changes), request)
        for changes in (
            {"model": "other"},
            {"temperature": 0.0},
            {"max_output_tokens": 9},
            {"structured": False},
            {"around": {"image_size": 64}},
            {"around": {"prompt": other}},
        )
    ]
    others += [
        request_sha256(make(), changed)
        for changed in (
            Request("p0", COLORS),
            Request("p1", COLORS[::-1]),
            Request("p1", COLORS[:2]),
            Request("p1", COLORS, 1),
        )
    ]
    assert len({digest, *others}) == 1 + len(others)


def test_tokens_are_expected_from_prompt_and_pictures(make, tmp_path):
    prompt = tmp_path / "prompt.txt"
    prompt.write_text("{persona}{count}")
    teacher = make(around={"prompt": prompt, "image_size": 56})
    # 21 characters of persona and one of the count; 2 x 2 tokens and 6 for each of 3 pictures.
    assert teacher.expected_tokens(Request("p1", COLORS)) == (22 / 4 + 3 * (4 + 6), 8 + 3 * 3)
    assert make(max_output_tokens=5).expected_tokens(Request("p1", COLORS))[1] == 5
