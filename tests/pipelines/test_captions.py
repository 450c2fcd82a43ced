"""Stage `captions`, against a server on loopback."""

import csv
from dataclasses import replace

import pytest

from pipelines import captions
from pipelines.run.paths import CAPTIONS_LEDGER, FOUND_PRODUCTS_FILE, PRODUCTS_FILE
from retrieval.storage.files import read_json
from retrieval.storage.journal import TEACHERS, read_journal
from retrieval.storage.schema import PRODUCTS, read_rows
from tests.pipelines.labelling.teachers.chat_server import ChatServer, completion
from tests.pipelines.labelling.teachers.openai_setup import decode_picture
from tests.pipelines.writing.stages import COLORS, reach_loopback, write_found, write_params

ALL = {color: f"a {color} thing" for color in COLORS}


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    reach_loopback(monkeypatch, tmp_path)


def color_of(body):
    """The name of the colour that the question shows."""
    [picture] = [part for part in body["messages"][0]["content"] if part["type"] == "image_url"]
    shown = decode_picture(picture["image_url"]["url"]).convert("RGB").getpixel((5, 5))
    bright = tuple(channel > 90 for channel in shown)
    return {
        (True, False, False): "red", (False, True, False): "green", (False, False, True): "blue",
        (True, True, True): "white", (False, False, False): "black",
    }[bright]  # fmt: skip


def describe(number, body):
    return completion(f"a plain {color_of(body)} area", prompt_tokens=100, completion_tokens=10)


def products():
    return {row["product_id"]: row for row in read_rows(PRODUCTS_FILE, PRODUCTS)}


def rejects():
    with captions.REJECTS.open(newline="") as file:
        return {row["id"]: row["reason"] for row in csv.DictReader(file)}


def test_given_captions_pass_through_byte_for_byte():
    write_found(ALL, titles=ALL)
    write_params()
    captions.main()
    assert PRODUCTS_FILE.read_bytes() == FOUND_PRODUCTS_FILE.read_bytes()
    assert rejects() == {}


def test_a_missing_caption_stops_and_says_who_could_write_it():
    write_found({**ALL, "red": ""})
    write_params()
    with pytest.raises(SystemExit, match=r"1 of 5 rows rejected.*(?s:.)*set captions\.kind"):
        captions.main()
    assert not PRODUCTS_FILE.exists()


def test_few_missing_captions_cost_their_products_and_are_reported():
    write_found({**ALL, "red": ""})
    write_params(catalog={"max_reject_fraction": 0.2})
    captions.main()
    assert sorted(products()) == sorted({*COLORS} - {"red"})
    assert list(rejects()) == ["red"]


def test_only_what_is_missing_is_asked_for_and_the_caption_becomes_the_title(capsys):
    write_found({"red": "mine", "green": "too"}, titles={"blue": "Sky"})
    with ChatServer(describe) as server:
        write_params(server.url, captions={"kind": "openai"})
        captions.main()
    assert sorted(map(color_of, server.bodies)) == ["black", "blue", "white"]
    assert all("response_format" not in body for body in server.bodies)
    assert {body["max_tokens"] for body in server.bodies} == {120}
    got = {key: (row["title"], row["caption"]) for key, row in products().items()}
    assert got == {
        "red": ("mine", "mine"),
        "green": ("too", "too"),
        "blue": ("Sky", "a plain blue area"),
        "white": ("a plain white area", "a plain white area"),
        "black": ("a plain black area", "a plain black area"),
    }
    ledger = read_json(CAPTIONS_LEDGER)
    assert (ledger["given"], ledger["written"], ledger["calls"]) == (2, 3, 3)
    assert (ledger["input_tokens"], ledger["output_tokens"]) == (300, 30)
    assert "captions: 3 calls to make (0 are in the journal)" in capsys.readouterr().out


def test_nothing_is_paid_for_twice():
    write_found({})
    with ChatServer(describe) as server:
        write_params(server.url, captions={"kind": "openai"})
        captions.main()
        before = PRODUCTS_FILE.read_bytes()
        captions.main()
    assert len(server.bodies) == 5
    assert PRODUCTS_FILE.read_bytes() == before
    assert {record["stage"] for record in read_journal(TEACHERS / "captions.jsonl")} == {"captions"}


def test_a_refusal_is_asked_again_with_the_complaint_and_then_the_product_is_left_out():
    def script(number, body):
        mended = len(body["messages"]) > 1 and color_of(body) == "green"
        if color_of(body) in ("red", "green") and not mended:
            return completion("I'm sorry, I cannot help with that.")
        return describe(number, body)

    write_found({})
    with ChatServer(script) as server:
        write_params(server.url, captions={"kind": "openai"}, catalog={"max_reject_fraction": 0.2})
        captions.main()
    assert len(server.bodies) == 7
    [red, _] = [body for body in server.bodies if len(body["messages"]) > 1]
    assert "the reply says nothing of the picture" in red["messages"][2]["content"]
    assert products()["green"]["caption"] == "a plain green area"
    assert rejects() == {"red": captions.REFUSED}


def test_the_budget_ends_it_and_says_so():
    write_found({})
    with ChatServer(describe) as server:
        write_params(server.url, captions={"kind": "openai"}, teacher={"max_calls": 3})
        with pytest.raises(SystemExit, match=r"2 of 5 rows rejected.*(?s:.)*teacher\.max_calls"):
            captions.main()
        write_params(server.url, captions={"kind": "openai"})
        captions.main()
    assert len(server.bodies) == 5  # the rest alone
    assert len(products()) == 5


@pytest.fixture
def local(tmp_path):
    """Parameters for a local model; its weights are random and its words noise, without an end."""
    from tests.pipelines.labelling.teachers.tiny_vlm import build_tiny_vlm

    write_found({})
    folder = build_tiny_vlm(tmp_path / "tiny")
    write_params(captions={"kind": "transformers", "max_output_tokens": 8})
    params = captions.load_params()
    settings = params.teacher.transformers.model_copy(update={"model": str(folder)})
    teacher = params.teacher.model_copy(update={"transformers": settings})
    return params.model_copy(update={"teacher": teacher})


def test_half_a_sentence_of_a_local_model_is_no_caption(local):
    rows = read_rows(FOUND_PRODUCTS_FILE, PRODUCTS)
    with pytest.raises(SystemExit, match="cut at max_output_tokens: 8"):
        captions.write_captions(local, rows)


def test_a_local_model_captions_too(local, monkeypatch):
    from pipelines.labelling.teachers.local_model import LocalModel

    say = LocalModel.say
    monkeypatch.setattr(
        LocalModel, "say", lambda *asked: [replace(said, cut=False) for said in say(*asked)]
    )
    rows = read_rows(FOUND_PRODUCTS_FILE, PRODUCTS)
    got, ledger = captions.write_captions(local, rows)
    assert sorted(got) == sorted(COLORS)
    assert ledger["writer"] == "transformers:tiny"
    assert ledger["calls"] >= 5
    assert ledger["input_tokens"] > 0
