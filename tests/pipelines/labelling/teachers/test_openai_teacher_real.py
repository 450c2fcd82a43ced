"""Against a real OpenAI-compatible server, `transformers serve`, with a model of random weights."""

import hashlib
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from PIL import Image

from pipelines.labelling.teachers.openai_chat import OpenAITeacher
from pipelines.labelling.teachers.protocol import Question, Request
from pipelines.labelling.teachers.replies import read_reply
from pipelines.run.params import Teacher as TeacherParams
from pipelines.run.params import load_params
from tests.pipelines.labelling.teachers.answers import answers_to
from tests.pipelines.labelling.teachers.tiny_vlm import IMAGE_TOKENS, build_tiny_vlm

pytestmark = pytest.mark.slow

TOP = Path(__file__).parents[4]
READY_SECONDS = 180
PERSONAS = [{"persona_id": "p", "text": "likes red"}]
COLORS = ("red", "green", "blue", "white")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The server's address and the model's folder."""
    folder = tmp_path_factory.mktemp("vlm")
    model = build_tiny_vlm(folder / "model")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [Path(sys.executable).with_name("transformers"), "serve", model]
    command += ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hub")}
    environment |= {"OMP_NUM_THREADS": "1"}  # threads that fight for a busy core: ten times slower
    log = folder / "log.txt"
    with log.open("w") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        _wait(process, f"http://127.0.0.1:{port}/health", log)
        yield f"http://127.0.0.1:{port}/v1", model
    finally:
        process.terminate()
        process.wait(30)


def _wait(process, url, log):
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            httpx.get(url, trust_env=False).raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.5)
        else:
            return
    pytest.fail(f"transformers serve is not ready:\n{log.read_text()[-3000:]}")


def _teacher(server, folder, **changes):
    url, model = server
    products = []
    for color in COLORS:
        path = folder / f"{color}.png"
        Image.new("RGB", (80, 60), color).save(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        products.append({"product_id": color, "image": path.name, "image_sha256": digest})
    params = load_params(TOP / "params.yaml").teacher.model_dump()
    params |= {name: TOP / params[name] for name in ("prompt", "complaint")}
    params["openai"] |= {
        "base_url": url,
        "model": str(model),
        "temperature": 0.0,
        "max_output_tokens": 12,
        "concurrency": 2,
        "max_retries": 1,
        **changes,
    }
    return OpenAITeacher(TeacherParams.model_validate(params), PERSONAS, products, folder, 0.1)


def _no_proxy(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def _ask(teacher, questions):
    return dict(pair for batch in answers_to(teacher, questions) for pair in batch)


def test_replies_come_with_tokens_counted_and_are_no_rankings(server, tmp_path, monkeypatch):
    _no_proxy(monkeypatch)
    two, four = Request("p", COLORS[:2]), Request("p", COLORS)
    complained = Question(two, '{"ranking": [1]}', "it lacks 2")
    questions = [Question(two), Question(four), complained, Question(Request("p", COLORS[1::-1]))]
    answers = _ask(_teacher(server, tmp_path), questions)
    assert len(answers) == len(questions)
    for question, answer in answers.items():
        assert answer.fault == "cut at max_output_tokens: 12"
        assert answer.raw
        assert 0 < answer.output_tokens <= 12
        ranking, complaint = read_reply(answer.raw, len(question.request.presented))
        assert ranking is None
        assert complaint
    # Two pictures more are at least their tokens more; a complaint is more to read.
    short, long = answers[Question(two)], answers[Question(four)]
    assert long.input_tokens >= short.input_tokens + 2 * IMAGE_TOKENS
    assert answers[complained].input_tokens > short.input_tokens


def test_the_server_sees_the_pictures(server, tmp_path, monkeypatch):
    """Greedy replies of one persona over other pictures differ, over the same ones they do not."""
    _no_proxy(monkeypatch)
    teacher = _teacher(server, tmp_path)
    questions = [Question(Request("p", (color, color))) for color in COLORS]
    first, second = ([_ask(teacher, questions)[q].raw for q in questions] for _ in range(2))
    assert first == second
    assert len(set(first)) > 1


def test_a_model_that_the_server_lacks_is_named(server, tmp_path, monkeypatch):
    """This server answers 400 where others answer 404."""
    _no_proxy(monkeypatch)
    question = Question(Request("p", COLORS))
    [answer] = _ask(_teacher(server, tmp_path, model="other"), [question]).values()
    assert answer.fault.startswith("HTTP 400")
    assert "other" in answer.fault
