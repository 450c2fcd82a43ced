"""Stage `catalog`: from a folder to tables, splits and reports."""

import csv
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines import catalog
from pipelines.run.paths import FOUND_PERSONAS_FILE, FOUND_PRODUCTS_FILE
from retrieval.storage.schema import PERSONAS, PRODUCTS, read_rows
from tests.pipelines.ingest.drawings import as_jpeg, drawing

PARAMS = Path(__file__).parents[2] / "params.yaml"
HEADER = "table,distance,first_id,first_image,first_split,second_id,second_image,second_split"


def run(**settings: Any) -> dict[str, str]:
    """Run the stage here; the split of each product."""
    params = yaml.safe_load(PARAMS.read_text())
    params["catalog"] |= {"split": {"train": 0.5, "val": 0.2, "test": 0.3}} | settings
    Path("params.yaml").write_text(yaml.safe_dump(params))
    catalog.main()
    rows = read_rows(FOUND_PRODUCTS_FILE, PRODUCTS)
    return {row["product_id"]: row["split"] for row in rows}


def report() -> list[dict[str, str]]:
    with catalog.NEAR_DUPLICATES.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with nine different drawings in mine/."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "personas.jsonl").write_text('{"persona_id": "p1", "text": "a gift"}\n')
    for number in range(9):
        drawing(number).save(folder / f"{number}.png")
    return folder


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine pictures and one persona are no catalogue, which ingest/test_sufficiency.py is about."""
    monkeypatch.setattr(catalog, "hold_sufficiency", lambda *_: None)


def write_products(folder: Path, *rows: str) -> None:
    lines = [f"{row.split(',')[0]},{row},a thing,a thing" for row in rows]
    text = "\n".join(["product_id,image,split,group,title,caption", *lines])
    (folder / "products.csv").write_text(text + "\n")


@pytest.mark.parametrize("seed", range(3))
def test_one_picture_in_three_forms_lands_in_one_split_and_in_the_report(
    mine: Path, capsys: pytest.CaptureFixture[str], seed: int
) -> None:
    drawing(seed).save(mine / "a.jpg", quality=60)
    as_jpeg(drawing(seed).resize((80, 60)), 90).save(mine / "b.png")
    others = [f"{number}.png,," for number in range(9)]
    write_products(mine, *others, "a.jpg,,", "b.png,,")
    got = run(source="folder", folder="mine")
    one, split = f"{seed}.png", got[f"{seed}.png"]
    assert (got["a.jpg"], got["b.png"]) == (split, split)
    assert len(set(got.values())) > 1
    pairs = [(line["first_image"], line["second_image"]) for line in report()]
    assert pairs == [(one, "a.jpg"), (one, "b.png"), ("a.jpg", "b.png")]
    assert {(line["table"], line["first_split"], line["second_split"]) for line in report()} == {
        ("products", split, split)
    }
    assert (
        "near-duplicate pairs: 3, listed in reports/catalog_near_duplicates.csv"
        in capsys.readouterr().out
    )


def test_different_pictures_are_reported_nowhere(mine: Path) -> None:
    write_products(mine, *(f"{number}.png,," for number in range(9)))
    run(source="folder", folder="mine")
    assert catalog.NEAR_DUPLICATES.read_text() == HEADER + "\n"


def test_a_group_stays_together(mine: Path) -> None:
    write_products(mine, *(f"{number}.png,,{'shoe' if number < 5 else ''}" for number in range(9)))
    got = run(source="folder", folder="mine")
    assert len({got[f"{number}.png"] for number in range(5)}) == 1
    assert len(set(got.values())) > 1


def test_near_duplicates_that_the_table_parts_stay_apart_with_a_warning(
    mine: Path, caplog: pytest.LogCaptureFixture
) -> None:
    drawing(0).save(mine / "a.jpg", quality=60)
    write_products(mine, "0.png,train,", "a.jpg,test,", "1.png,,")
    got = run(source="folder", folder="mine")
    assert (got["0.png"], got["a.jpg"]) == ("train", "test")
    (line,) = report()
    assert (line["first_split"], line["second_split"]) == ("train", "test")
    assert "1 of 1 pairs of near-duplicate products lie in two splits" in caplog.text


def test_a_reference_that_lies_in_the_gallery_too_is_reported(
    mine: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, number in {"a.jpg": 0, "b.jpg": 1}.items():
        drawing(number).save(mine / name, quality=60)
    write_products(mine, "8.png,,")
    rows = [
        '"r1", "role": "reference", "concepts": ["mug"], "noun": "mug", "image": "0.png"',
        '"r2", "role": "reference", "concepts": ["mug"], "noun": "mug", "image": "1.png"',
        '"r3", "role": "reference", "concepts": ["mug"], "noun": "mug", "image": "b.jpg"',
        '"g1", "role": "gallery", "concepts": ["mug"], "image": "a.jpg"',
        '"q1", "role": "query", "concepts": ["mug"], "kind": "context", "text": "*",'
        ' "truths": ["g1"]',
    ]
    (mine / "subjects.jsonl").write_text("".join(f'{{"row_id": {row}}}\n' for row in rows))
    run(source="folder", folder="mine")
    (line,) = report()
    assert (line["table"], line["first_image"], line["second_image"]) == (
        "subjects",
        "0.png",
        "a.jpg",
    )
    assert (line["first_split"], line["second_split"]) == ("reference", "gallery")
    assert "near-duplicate pairs of a reference and a gallery picture: 1;" in caplog.text


def test_the_studio_is_not_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(catalog, "make_studio", lambda params, folder: ([], [], []))
    run(source="studio")
    assert catalog.NEAR_DUPLICATES.read_text() == HEADER + "\n"
    assert catalog.REJECTS.is_file()


def test_a_model_may_bring_the_captions_and_the_personas(mine: Path) -> None:
    (mine / "products.csv").write_text("product_id,image\na,0.png\nb,1.png\n")
    (mine / "personas.jsonl").unlink()
    params = yaml.safe_load(PARAMS.read_text())
    params["catalog"] |= {"source": "folder", "folder": "mine"}
    params["personas"]["kind"] = "openai"
    Path("params.yaml").write_text(yaml.safe_dump(params))
    catalog.main()
    rows = read_rows(FOUND_PRODUCTS_FILE, PRODUCTS)
    assert [(row["product_id"], row["title"], row["caption"]) for row in rows] == [
        ("a", "", ""), ("b", "", "")
    ]  # fmt: skip
    assert read_rows(FOUND_PERSONAS_FILE, PERSONAS) == []


def test_without_personas_and_without_anybody_to_bring_them_nothing_begins(mine: Path) -> None:
    write_products(mine, "0.png,,")
    (mine / "personas.jsonl").unlink()
    with pytest.raises(SystemExit, match=r"or set personas\.kind: file"):
        run(source="folder", folder="mine")
