import json
import logging
import socket
import threading
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from pipelines.labelling.teachers.protocol import TeacherError
from tests.pipelines.labelling.teachers.answers import answers_to
from tests.pipelines.labelling.teachers.chat_server import ChatServer, ranking
from tests.pipelines.labelling.teachers.openai_setup import (
    ask,
    ask_one,
    questions,
    teacher_maker,
)

KEY = "sk-secret-0123456789"


@pytest.fixture
def make(tmp_path, monkeypatch):
    return teacher_maker(tmp_path, monkeypatch)


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
        assert ask_one(make(server.url)).fault == ""
    first, second = (b - a for a, b in zip(server.times, server.times[1:], strict=False))
    assert first >= 0.3
    assert second >= 0.9


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 529])
def test_what_passes_is_asked_again(make, status):
    script = lambda number, _: (status, b"busy") if number < 3 else ranking(1, 2, 3)  # noqa: E731
    with ChatServer(script) as server:
        assert ask_one(make(server.url)).fault == ""
    assert len(server.bodies) == 4
    # 20, 40, 80 ms, each up to half less.
    assert server.times[-1] - server.times[0] >= 0.07


def test_a_slow_reply_is_asked_for_again(make):
    script = lambda number, _: (*ranking(1, 2, 3), {}, 0.6 if number == 0 else 0)  # noqa: E731
    with ChatServer(script) as server:
        assert ask_one(make(server.url, timeout=0.3)).fault == ""
    assert len(server.bodies) == 2


def test_it_gives_up_and_says_what_it_got(make):
    script = lambda *_: (500, {"error": "out of memory"})  # noqa: E731
    with ChatServer(script) as server, pytest.raises(TeacherError) as fault:
        ask_one(make(server.url, max_retries=1))
    assert len(server.bodies) == 2
    for words in (server.url, "HTTP 500", "out of memory", "2 tries", "nothing is lost"):
        assert words in str(fault.value)


def test_a_server_that_asks_to_wait_for_hours_ends_the_run(make):
    script = lambda *_: (429, b"daily quota", {"Retry-After": "7200"})  # noqa: E731
    words = r"asks to wait 7200 s.*daily quota"
    with ChatServer(script) as server, pytest.raises(TeacherError, match=words):
        ask_one(make(server.url))


def test_an_unreachable_server_is_named(make):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with pytest.raises(TeacherError, match=f"{url}.*2 tries.*ConnectError.*run again"):
        ask_one(make(url, max_retries=1))


@contextmanager
def _bare_server(serve):
    """An address at which `serve(connection)` has each connection to itself."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept():
            with suppress(OSError):  # the listener is shut down
                while True:
                    connection, _ = listener.accept()
                    with connection, suppress(OSError):  # the client has hung up
                        connection.recv(10)
                        serve(connection)

        thread = threading.Thread(target=accept)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_server_that_hangs_up_is_asked_again(make):
    served = []

    def serve(connection):
        served.append(connection)
        connection.sendall(b"garbage\r\n\r\n")

    with (
        _bare_server(serve) as url,
        pytest.raises(TeacherError, match=r"3 tries; last: (Re|Wr)\w+Error"),
    ):
        ask_one(make(url, max_retries=2))
    assert len(served) == 3


def test_a_reply_that_trickles_counts_as_slow(make):
    """Each byte comes in time; the whole would take for ever."""

    def serve(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n")
        for _ in range(50):
            connection.sendall(b" ")
            time.sleep(0.1)

    with _bare_server(serve) as url, pytest.raises(TeacherError, match=r"no answer within 0\.4 s"):
        ask_one(make(url, timeout=0.4, max_retries=0))


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
        ask(make(server.url, concurrency=1), questions(5))
    assert len(server.bodies) == 1


def test_a_refusal_of_one_question_is_its_fault(make):
    script = lambda n, _: (413, {"error": "x" * 999}) if n == 0 else ranking(1, 2, 3)  # noqa: E731
    with ChatServer(script) as server:
        answers = ask(make(server.url, concurrency=1), questions(2))
    assert answers[0].fault.startswith('HTTP 413: {"error": "xxx')
    assert len(answers[0].fault) == len("HTTP 413: ") + 200
    assert answers[1].fault == ""


def test_a_server_that_refuses_question_after_question_ends_the_run(make):
    """It may be the server: one that takes a single picture a call answers 400 to every group."""
    with ChatServer(lambda *_: (400, b"At most 1 image may be provided")) as server:
        teacher = make(server.url, concurrency=1, structured=False)
        answers = answers_to(teacher, questions(99))
        faults = [next(answers)[0][1].fault for _ in range(4)]
        with pytest.raises(TeacherError, match=r"refused the first 5 questions.*At most 1 image"):
            next(answers)
    assert set(faults) == {"HTTP 400: At most 1 image may be provided"}


def test_refusals_among_answers_do_not_end_the_run(make):
    script = lambda n, _: (400, b"no") if n % 4 else ranking(1, 2, 3)  # noqa: E731
    with ChatServer(script) as server:
        answers = ask(make(server.url, concurrency=1, structured=False), questions(20))
    assert sum(answer.fault == "HTTP 400: no" for answer in answers.values()) == 15


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
        answers = answers_to(teacher, questions(3))
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
        ask_one(make(server.url))
    assert "Authorization" not in server.headers[0]


@pytest.mark.parametrize("key", ["sk-secret\nX: y", "sk-secret-ü"])
def test_a_key_that_no_header_takes_is_refused_unseen(make, monkeypatch, key):
    monkeypatch.setenv("TEACHER_KEY", key)
    with pytest.raises(TeacherError, match="TEACHER_KEY") as fault:
        ask_one(make())
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
