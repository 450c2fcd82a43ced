"""The report of texts that lose their meaning to MiniLM's tokenizer."""

import csv
from pathlib import Path
from typing import Any

import pytest

from pipelines.ingest.text_report import HEADER, report_texts
from retrieval.text.readable import find_tokenizer

RED_CUP, BLUE_VASE = "แก้วสีแดง", "แจกันสีฟ้า"


@pytest.fixture(scope="module")
def minilm() -> Any:
    return find_tokenizer("minilm-resnet10t", None)


def report(
    path: Path, tokenize: Any, captions: list[str], texts: list[str]
) -> list[dict[str, str]]:
    products: list[Any] = [{"product_id": f"p{n}", "caption": c} for n, c in enumerate(captions)]
    personas: list[Any] = [{"persona_id": f"q{n}", "text": text} for n, text in enumerate(texts)]
    report_texts(path / "texts.csv", tokenize, products, personas)
    with (path / "texts.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_each_loss_is_a_line(tmp_path: Path, minilm: Any, capsys: Any, caplog: Any) -> None:
    captions = [RED_CUP, "a red cup", "", BLUE_VASE, "A red cup", " ".join(["cup"] * 70)]
    lines = report(tmp_path, minilm, captions, ["a gift", f"a gift: {RED_CUP}"])
    assert [(line["table"], line["id"]) for line in lines] == [
        ("products", "p0"),
        ("products", "p3"),
        ("products", "p5"),
        ("personas", "q1"),
    ]
    assert lines[0] == {
        "table": "products",
        "id": "p0",
        "unknown_share": "1.000",
        "unknown_words": RED_CUP,
        "tokens": "3",
        "read_tokens": "3",
        "reads_like": "p3",
    }
    assert (lines[2]["tokens"], lines[2]["read_tokens"], lines[2]["unknown_words"]) == (
        "72",
        "64",
        "",
    )
    assert (lines[3]["unknown_share"], lines[3]["reads_like"]) == ("0.250", "")
    said = capsys.readouterr().out
    assert (
        "products: 3 of 5 texts lose something to the text tower (words that it does not know: 2,"
        " cut off: 1, read like another text: 2)" in said
    )
    assert "products: the text tower does not know the language of many texts" in caplog.text


def test_english_has_a_header_alone_and_no_word_is_said(
    tmp_path: Path, minilm: Any, capsys: Any, caplog: Any
) -> None:
    captions = ["a red cup", "A red  cup", "a café table"]
    assert report(tmp_path, minilm, captions, ["a gift for a mother who loves gardening"]) == []
    assert (tmp_path / "texts.csv").read_text() == ",".join(HEADER) + "\n"
    assert (capsys.readouterr().out, caplog.text) == ("", "")


def test_without_a_tokenizer_nothing_is_told(tmp_path: Path) -> None:
    assert report(tmp_path, None, [RED_CUP], [RED_CUP]) == []
