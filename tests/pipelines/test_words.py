"""A folder of photos is enough: captions and personas come from a server on loopback."""

import json
from pathlib import Path

import pytest

from pipelines import captions, catalog, check_personas, personas
from pipelines.run.paths import PERSONAS_FILE, PERSONAS_VERDICT, PRODUCTS_FILE
from retrieval.storage.files import read_json
from retrieval.storage.schema import PERSONAS, PRODUCTS, read_rows
from tests.pipelines.ingest.drawings import drawing
from tests.pipelines.labelling.teachers.chat_server import ChatServer, completion
from tests.pipelines.test_personas import OPENAI, write_words
from tests.pipelines.writing.stages import reach_loopback, write_params


def answer(number, body):
    if isinstance(body["messages"][0]["content"], list):  # a picture is shown
        return completion(f"a drawing with the number {number}")
    return write_words(number, body)


def test_from_photos_alone_to_complete_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    reach_loopback(monkeypatch, tmp_path)
    Path("mine").mkdir()
    for number in range(9):
        drawing(number).save(f"mine/{number}.png")
    rows = [json.dumps({"product_id": f"p{n}", "image": f"{n}.png"}) for n in range(9)]
    Path("mine/products.jsonl").write_text("\n".join(rows))
    with ChatServer(answer) as server:
        write_params(
            server.url,
            catalog={
                "source": "folder",
                "folder": "mine",
                "split": {"train": 0.6, "val": 0.2, "test": 0.2},
            },
            label={"band_sizes": [1, 1, 1, 1]},  # of five training photos
            captions={"kind": "openai"},
            personas=OPENAI,
        )
        for stage in (catalog, captions, personas, check_personas):
            stage.main()
    products = read_rows(PRODUCTS_FILE, PRODUCTS)
    assert len({row["caption"] for row in products}) == 9
    assert all(row["title"] == row["caption"] for row in products)
    assert {row["split"] for row in products} == {"train", "val", "test"}
    assert all((PRODUCTS_FILE.parent / row["image"]).is_file() for row in products)
    assert {row["split"] for row in read_rows(PERSONAS_FILE, PERSONAS)} == {"train", "val", "test"}
    assert read_json(PERSONAS_VERDICT)["passed"]
