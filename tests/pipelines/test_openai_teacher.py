import asyncio
import base64
import hashlib
import io
import json
import logging
import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from pipelines.params import Teacher as TeacherParams
from pipelines.params import load_params
from pipelines.teachers.openai_chat import OpenAITeacher
from pipelines.teachers.openai_endpoint import Endpoint
from pipelines.teachers.pictures import Pictures
from pipelines.teachers.prompt import read_prompts
from pipelines.teachers.protocol import Answer, Question, Request, TeacherError, request_sha256
from pipelines.teachers.replies import read_reply
from tests.pipelines.chat_server import ChatServer, completion, ranking

TOP = Path(__file__).parents[2]
KEY = "sk-secret-0123456789"
PAUSE = 0.02
PERSONAS = [
    {"persona_id": "p0", "text": 'likes {braces}, {persona} and {0!r} "quotes"'},
    {"persona_id": "p1", "text": "a gift for a gardener"},
]
COLORS = ("red", "green", "blue")


@pytest.fixture(autouse=True)
def _environment(monkeypatch, tmp_path):
    # Reading the usual authorities takes 0.1 s a client.
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.delenv("TEACHER_KEY", raising=False)


@pytest.fixture
def products(tmp_path):
    """Three products with pictures of 600 x 300 pixels."""
    rows = []
    for color in COLORS:
        path = tmp_path / "images" / f"{color}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (600, 300), color).save(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        image = str(path.relative_to(tmp_path))
        rows.append({"product_id": color, "image": image, "image_sha256": digest})
    return rows


@pytest.fixture
def make(tmp_path, products):
    """A teacher that asks an address, with changes to its section or the one around it."""

    def _make(url="http://127.0.0.1:9/v1", around=None, **changes):
        params = load_params(TOP / "params.yaml").teacher.model_dump()
        params |= {name: TOP / params[name] for name in ("prompt", "complaint")} | (around or {})
        params["openai"] |= {
            "base_url": url,
            "model": "vlm",
            "key_variable": "TEACHER_KEY",
            "timeout": 5.0,
            "max_retries": 3,
            **changes,
        }
        teacher = TeacherParams.model_validate(params)
        return OpenAITeacher(teacher, PERSONAS, products, tmp_path, PAUSE)

    return _make


def _questions(count, persona="p1"):
    return [Question(Request(persona, COLORS, repeat)) for repeat in range(count)]


def _ask(teacher, questions):
    """Answers by which asking it was."""
    pairs = [pair for batch in teacher.answer(questions) for pair in batch]
    return {question.request.repeat: answer for question, answer in pairs}


def _ask_one(teacher, question=None):
    [answer] = _ask(teacher, [question or _questions(1)[0]]).values()
    return answer


def _decode(part):
    header, _, data = part["image_url"]["url"].partition(",")
    assert header == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


# What is sent, and what comes back


def test_a_question_shows_persona_and_numbered_pictures_in_order(make):
    script = lambda *_: ranking(2, 1, 3, prompt_tokens=321, completion_tokens=12)  # noqa: E731
    with ChatServer(script) as server:
        answer = _ask_one(make(server.url, temperature=0.5), _questions(1, "p0")[0])
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
    pictures = [_decode(part) for part in shown[1::2]]
    assert [picture.size for picture in pictures] == [(336, 168)] * 3
    # The colour of each, from the channel that is brightest ("green" is half as bright).
    brightest = [max(range(3), key=picture.getpixel((9, 9)).__getitem__) for picture in pictures]
    assert brightest == [0, 1, 2]


def test_a_complaint_follows_the_reply_that_it_is_about(make):
    request = Request("p1", COLORS)
    with ChatServer(lambda *_: ranking(1, 2, 3)) as server:
        _ask_one(make(server.url), Question(request, '{"ranking": [1]}', "it lacks 2, 3"))
        _ask_one(make(server.url), Question(request, "", "the reply is not JSON"))
    said = [[(m["role"], m["content"]) for m in body["messages"][1:]] for body in server.bodies]
    assert said[0][0] == ("assistant", '{"ranking": [1]}')
    role, complaint = said[0][1]
    assert role == "user"
    assert complaint.startswith("Your reply was refused: it lacks 2, 3.")
    assert [role for role, content in said[1] if content] == ["assistant", "user"]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("Sure! I like the first one best.", "the reply is not JSON"),
        ('{"ranking": [1, 2', "the reply is not JSON"),
        ('{"ranking": [3, 3, 1]}', "the ranking is no permutation of 1 to 3: it lacks 2;"),
        ("half a surrogate pair: \ud83d", "the reply is not JSON"),
    ],
)
def test_what_is_no_permutation_comes_back_word_for_word(make, content, complaint):
    with ChatServer(lambda *_: completion(content)) as server:
        answer = _ask_one(make(server.url))
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
        assert read_reply(_ask_one(make(server.url)).raw, 3)[0] == (2, 0, 1)


@pytest.mark.parametrize(
    "body",
    [
        b"<html>Welcome</html>",
        b"",
        b"[" * 100_000,
        [],
        {},
        {"choices": []},
        {"choices": [{"message": {"content": None}, "finish_reason": "content_filter"}]},
        {"choices": [{"message": {"content": ""}}]},
        {"choices": [{"message": {"content": [{"type": "text", "text": 7}]}}]},
        {"choices": [{"message": {"content": ["x"]}}], "usage": 3},
    ],
)
def test_a_200_without_a_reply_is_a_fault(make, body):
    with ChatServer(lambda *_: (200, body)) as server:
        answer = _ask_one(make(server.url))
    assert answer.raw == ""
    assert "HTTP 200" in answer.fault
    assert len(answer.fault) < 300


# Retries


def test_retry_after_is_honoured_in_seconds_and_as_a_date(make):
    def script(number, _):
        if number == 0:
            return 429, {"error": "slow down"}, {"Retry-After": "0.3"}
        if number == 1:
            # HTTP dates have whole seconds: this one is one to two seconds away.
            date = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
            return 503, b"", {"Retry-After": date}
        return ranking(1, 2, 3)

    with ChatServer(script) as server:
        assert _ask_one(make(server.url)).fault == ""
    first, second = (b - a for a, b in zip(server.times, server.times[1:], strict=False))
    assert first >= 0.3
    assert second >= 0.9


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 529])
def test_what_passes_is_asked_again(make, status):
    script = lambda number, _: (status, b"busy") if number < 3 else ranking(1, 2, 3)  # noqa: E731
    with ChatServer(script) as server:
        assert _ask_one(make(server.url)).fault == ""
    assert len(server.bodies) == 4
    # 20, 40, 80 ms, each up to half less.
    assert server.times[-1] - server.times[0] >= 0.07


def test_a_slow_reply_is_asked_for_again(make):
    script = lambda number, _: (*ranking(1, 2, 3), {}, 0.6 if number == 0 else 0)  # noqa: E731
    with ChatServer(script) as server:
        assert _ask_one(make(server.url, timeout=0.3)).fault == ""
    assert len(server.bodies) == 2


def test_it_gives_up_and_says_what_it_got(make):
    script = lambda *_: (500, {"error": "out of memory"})  # noqa: E731
    with ChatServer(script) as server, pytest.raises(TeacherError) as fault:
        _ask_one(make(server.url, max_retries=1))
    assert len(server.bodies) == 2
    for words in (server.url, "HTTP 500", "out of memory", "2 tries", "nothing is lost"):
        assert words in str(fault.value)


def test_a_server_that_asks_to_wait_for_hours_ends_the_run(make):
    script = lambda *_: (429, b"daily quota", {"Retry-After": "7200"})  # noqa: E731
    words = r"asks to wait 7200 s.*daily quota"
    with ChatServer(script) as server, pytest.raises(TeacherError, match=words):
        _ask_one(make(server.url))


def test_an_unreachable_server_is_named(make):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with pytest.raises(TeacherError, match=f"{url}.*2 tries.*ConnectError.*run again"):
        _ask_one(make(url, max_retries=1))


def test_a_server_that_hangs_up_is_asked_again(make):
    """A status line that is none; the client must not wait for more."""
    sockets, stop = [], threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            while not stop.is_set():
                connection, _ = listener.accept()
                sockets.append(connection.recv(10))
                connection.sendall(b"garbage\r\n\r\n")
                connection.close()

        threading.Thread(target=serve, daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        with pytest.raises(TeacherError, match="3 tries; last: Re"):
            _ask_one(make(url, max_retries=2))
        stop.set()
    assert len(sockets) == 3


# Refusals


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, r"TEACHER_KEY is not set"),
        (403, r"TEACHER_KEY is not set"),
        (402, r"wants to be paid first.*nothing is lost"),
        (
            404,
            r"chat/completions knows no model vlm, or the address is wrong.*teacher.openai.model",
        ),
        (307, r"knows no model vlm, or the address is wrong"),
    ],
)
def test_a_refusal_of_everything_ends_the_run(make, status, words):
    script = lambda *_: (status, {"error": "no"}, {"Location": "/elsewhere"})  # noqa: E731
    with ChatServer(script) as server, pytest.raises(TeacherError, match=words):
        _ask(make(server.url, concurrency=1), _questions(5))
    assert len(server.bodies) == 1


def test_a_refusal_of_one_question_is_its_fault(make):
    script = lambda n, _: (413, {"error": "x" * 999}) if n == 0 else ranking(1, 2, 3)  # noqa: E731
    with ChatServer(script) as server:
        answers = _ask(make(server.url, concurrency=1), _questions(2))
    assert answers[0].fault.startswith('HTTP 413: {"error": "xxx')
    assert len(answers[0].fault) == len("HTTP 413: ") + 200
    assert answers[1].fault == ""


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
    answers = make(concurrency=4).answer(_questions(20))
    assert len(next(answers)) == 3
    with pytest.raises(TeacherError, match="no more"):
        next(answers)
    assert next(turns) == 4


# Structured output


def test_a_schema_says_which_numbers_are_wanted(make):
    with ChatServer(lambda *_: ranking(1, 2, 3)) as server:
        _ask_one(make(server.url))
        _ask_one(make(server.url, structured=False))
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
        answers = _ask(teacher, _questions(4))
    assert {answer.fault for answer in answers.values()} == {""}
    assert ["response_format" in body for body in server.bodies] == [True] + [False] * 4
    assert json.dumps(teacher.settings) == before


def test_a_refusal_for_another_reason_leaves_the_schema_on(make):
    script = lambda n, _: (400, b"too long") if n < 2 else ranking(1, 2, 3)  # noqa: E731
    with ChatServer(script) as server:
        answers = _ask(make(server.url, concurrency=1), _questions(2))
    assert answers[0].fault == "HTTP 400: too long"
    assert answers[1].fault == ""
    assert ["response_format" in body for body in server.bodies] == [True, False, True]


def test_a_model_that_takes_the_newer_limit_gets_it(make):
    def script(_, body):
        if "max_tokens" in body:
            return 400, {"error": "Unsupported: 'max_tokens'. Use 'max_completion_tokens'."}
        return ranking(1, 2, 3)

    with ChatServer(script) as server:
        answers = _ask(make(server.url, concurrency=1), _questions(2))
    assert {answer.fault for answer in answers.values()} == {""}
    assert ["max_completion_tokens" in body for body in server.bodies] == [False, True, True]
    assert all("response_format" in body for body in server.bodies)


# Pace


def test_calls_at_once_are_bounded_and_questions_taken_late(make):
    taken, answered, ahead = 0, 0, []

    def questions():
        nonlocal taken
        for question in _questions(30):
            taken += 1
            yield question

    with ChatServer(lambda *_: (*ranking(1, 2, 3), {}, 0.03)) as server:
        for batch in make(server.url, concurrency=4).answer(questions()):
            ahead.append(taken - answered)
            answered += len(batch)
    assert answered == 30
    assert server.most_at_once == 4
    assert max(ahead) == 4


def test_questions_that_answers_bring_are_asked_too(make):
    """An iterable that was dry while calls were under way, as a queue of complaints is."""
    queue = _questions(1)

    class Queue:
        def __iter__(self):
            return self

        def __next__(self):
            if not queue:
                raise StopIteration
            return queue.pop()

    with ChatServer(lambda *_: ranking(1, 2, 3)) as server:
        for number, batch in enumerate(make(server.url).answer(Queue())):
            assert len(batch) == 1
            if number < 2:
                queue.append(Question(Request("p1", COLORS, number + 1)))
    assert len(server.bodies) == 3


def test_nothing_is_sent_before_the_first_answer_is_wanted(make):
    with ChatServer(lambda *_: ranking(1, 2, 3)) as server:
        answers = make(server.url).answer(_questions(1))
        time.sleep(0.05)
        assert server.bodies == []
        assert list(make(server.url).answer([])) == []
        answers.close()
    assert server.bodies == []


def test_closing_gives_up_what_is_under_way(make):
    script = lambda number, _: (*ranking(1, 2, 3), {}, 0 if number == 0 else 0.5)  # noqa: E731
    with ChatServer(script) as server:
        answers = make(server.url, concurrency=3).answer(_questions(9))
        next(answers)
        started = time.monotonic()
        answers.close()
        assert time.monotonic() - started < 0.3
        assert list(answers) == []
        time.sleep(0.1)
        assert len(server.bodies) <= 4


@pytest.mark.filterwarnings(
    "error::ResourceWarning", "error::pytest.PytestUnraisableExceptionWarning"
)
def test_nothing_leaks_where_the_consumer_fails(make):
    def fail():
        for _ in make(server.url).answer(_questions(9)):
            raise KeyError

    with ChatServer(lambda *_: ranking(1, 2, 3)) as server, pytest.raises(KeyError):
        fail()


# The key


def test_the_key_is_sent_and_shown_nowhere(make, monkeypatch, caplog):
    """The server repeats it in an error's body, as some do."""
    monkeypatch.setenv("TEACHER_KEY", KEY + "\n")
    caplog.set_level(logging.DEBUG)

    def script(number, _):
        status = (400, 413, 401)[number]
        return status, {"error": f"key {KEY} " * 20}

    with ChatServer(script) as server:
        teacher = make(server.url, concurrency=1, structured=False)
        answers = teacher.answer(_questions(3))
        shown = [repr(next(answers)), repr(next(answers))]
        with pytest.raises(TeacherError, match="TEACHER_KEY holds no valid key") as fault:
            next(answers)
    assert [headers["Authorization"] for headers in server.headers] == [f"Bearer {KEY}"] * 3
    shown += [str(fault.value), repr(fault.value.__context__), caplog.text, repr(vars(teacher))]
    shown += [json.dumps([teacher.name, teacher.settings])]
    assert "[key]" in shown[0]
    assert not any(KEY in text or "sk-secret" in text for text in shown)


def test_without_a_key_none_is_sent(make):
    with ChatServer(lambda *_: ranking(1, 2, 3)) as server:
        _ask_one(make(server.url))
    assert "Authorization" not in server.headers[0]


@pytest.mark.parametrize("key", ["sk-secret\nX: y", "sk-secret-ü"])
def test_a_key_that_no_header_takes_is_refused_unseen(make, monkeypatch, key):
    monkeypatch.setenv("TEACHER_KEY", key)
    with pytest.raises(TeacherError, match="TEACHER_KEY") as fault:
        _ask_one(make())
    assert "sk-secret" not in repr(fault.value)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("127.0.0.1:8000/v1", "base_url"),
        ("", "base_url is ''"),
        ("ftp://host/v1", "expected http://host:port/v1"),
        ("http://user:sk-secret@host/v1", "TEACHER|key_variable"),
        ("http://host/v1?api_key=sk-secret", "key_variable"),
    ],
)
def test_an_address_that_is_none_or_holds_a_secret_is_refused(make, url, words):
    with pytest.raises(SystemExit, match=words) as stop:
        make(url)
    assert "sk-secret" not in str(stop.value)


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


# Pictures


def test_a_picture_is_upright_small_and_bare(tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Artist] = "somebody"
    Image.new("RGB", (100, 50), "red").save(tmp_path / "a.jpg", exif=exif, comment=b"a place")
    row = {"product_id": "a", "image": "a.jpg", "image_sha256": ""}
    url = Pictures(tmp_path, 336, [row]).data_url("a")
    picture = _decode({"image_url": {"url": url}})
    assert picture.size == (50, 100)  # not enlarged
    assert not picture.getexif()
    assert "comment" not in picture.info


@pytest.mark.parametrize("content", [None, b"not a picture", b""])
def test_a_picture_that_cannot_be_shown_is_named(make, tmp_path, content):
    path = tmp_path / "images" / "green.png"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TeacherError, match=r"images/green\.png.*dvc repro catalog"):
        _ask_one(make())


# Prompts


def test_prompts_are_the_ones_in_the_repository(make):
    params = load_params(TOP / "params.yaml").teacher
    prompts = read_prompts(TOP / params.prompt, TOP / params.complaint)
    assert "{}{persona}" in prompts.ask("{}{persona}", 5)
    assert "from 1 to 5" in prompts.ask("", 5)
    assert "it {lacks} 2" in prompts.complain("it {lacks} 2", 3)
    assert len(set(prompts.digests.values())) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b"{persona}", r"fields than \{count\} \{persona\}: got \{persona\}"),
        (b"no fields", "got none"),
        (b"{persona} {count} {name}", r"\{name\}"),
        (b"{persona.text} {count}", r"\{persona.text\}"),
        (b"{persona} {count} {}", r"\{\}"),
        (b"{persona!r} {count}", "with a format"),
        (b'{persona} {count} {"ranking": [1]}', r"write braces that are no field twice: \{\{ \}\}"),
        (b"{persona} {count} {", r"write braces"),
    ],
)
def test_a_prompt_that_cannot_be_filled_in_is_refused(make, tmp_path, text, words):
    path = tmp_path / "prompt.txt"
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(SystemExit, match=words) as stop:
        make(around={"prompt": path})
    assert str(path) in str(stop.value)
