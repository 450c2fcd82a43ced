"""OpenAI teachers for tests: three products with pictures, two personas, no key, no proxy."""

import base64
import hashlib
import io
from pathlib import Path

from PIL import Image

from pipelines.labelling.teachers.openai_chat import OpenAITeacher
from pipelines.labelling.teachers.protocol import Question, Request
from pipelines.run.params import Teacher as TeacherParams
from pipelines.run.params import load_params
from tests.pipelines.labelling.teachers.answers import answers_to

TOP = Path(__file__).parents[4]
PAUSE = 0.02
PERSONAS = [
    {"persona_id": "p0", "text": 'likes {braces}, {persona} and {0!r} "quotes"'},
    {"persona_id": "p1", "text": "a gift for a gardener"},
]
COLORS = ("red", "green", "blue")


def teacher_maker(folder, monkeypatch):
    """Makes teachers that ask an address, with changes to their section or the one around it."""
    # Reading the usual authorities takes 0.1 s a client.
    monkeypatch.setenv("SSL_CERT_DIR", str(folder))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in ("SSL_CERT_FILE", "TEACHER_KEY"):
        monkeypatch.delenv(name, raising=False)
    products = [_product(folder, color) for color in COLORS]

    def make(url="http://127.0.0.1:9/v1", around=None, **changes):
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
        return OpenAITeacher(teacher, PERSONAS, products, folder, PAUSE)

    return make


def _product(folder, color):
    path = folder / "images" / f"{color}.png"
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", (600, 300), color).save(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"product_id": color, "image": f"images/{color}.png", "image_sha256": digest}


def decode_picture(url):
    """The picture in a data URL."""
    header, _, data = url.partition(",")
    assert header == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def questions(count, persona="p1"):
    return [Question(Request(persona, COLORS, repeat)) for repeat in range(count)]


def ask(teacher, questions):
    """Answers by which asking it was."""
    pairs = [pair for batch in answers_to(teacher, questions) for pair in batch]
    return {question.request.repeat: answer for question, answer in pairs}


def ask_one(teacher, question=None):
    [answer] = ask(teacher, [question or questions(1)[0]]).values()
    return answer
