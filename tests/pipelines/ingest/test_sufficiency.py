"""Small catalogues: what passes the stage, and what stops it with every obstacle at once."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines import catalog
from pipelines.ingest.sufficiency import hold_sufficiency
from pipelines.run.params import load_params
from retrieval.storage.schema import PERSONAS, PRODUCTS, read_rows
from tests.pipelines.ingest.drawings import drawing

ROOT = Path(__file__).parents[3]


def run(**changes: dict[str, Any]) -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["catalog"] |= {"source": "folder", "folder": "mine"}
    params["catalog"]["held_out_wishes"] = {"val": 0.0, "test": 0.0}
    for section, values in changes.items():
        params[section] |= values
    Path("params.yaml").write_text(yaml.safe_dump(params))
    catalog.main()


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write a folder of so many photos and personas, with attributes and wants, or without."""
    monkeypatch.chdir(tmp_path)

    def write(photos: int, personas: int, known: bool = False) -> None:
        (tmp_path / "mine").mkdir()
        rows = []
        for number in range(photos):
            drawing(number).save(tmp_path / "mine" / f"{number}.png")
            row = {"product_id": f"p{number}", "image": f"{number}.png", "caption": f"no {number}"}
            rows.append(row | ({"attr.colour": "red"} if known else {}))
        wants = {"wants": {"colour=red": 1}} if known else {}
        people = [
            {"persona_id": f"q{n}", "text": f"a gift, number {n}", **wants} for n in range(personas)
        ]
        for name, lines in {"products": rows, "personas": people}.items():
            text = "".join(json.dumps(line) + "\n" for line in lines)
            (tmp_path / "mine" / f"{name}.jsonl").write_text(text)

    return write


def splits(path: str, table: Any) -> Counter[str]:
    return Counter(row["split"] for row in read_rows(Path(path), table))


def test_sixty_photos_and_twenty_personas_pass(write: Any) -> None:
    write(60, 20)
    run(teacher={"kind": "openai"})
    assert splits("data/found/products.parquet", PRODUCTS) == {"train": 52, "val": 2, "test": 6}
    assert splits("data/found/personas.parquet", PERSONAS) == {"train": 17, "val": 1, "test": 2}


def test_all_obstacles_are_in_one_message_before_anything_is_written(write: Any) -> None:
    write(5, 2)
    with pytest.raises(SystemExit) as stop:
        run()
    _, *faults = str(stop.value).splitlines()
    assert [fault.partition(", ")[0] for fault in faults] == [
        "  - split train has 3 of 5 products",
        "  - split val has 1 of 5 products",
        "  - split test has 1 of 5 products",
        "  - no product has attributes",
        "  - split val has none of 2 personas",
        "  - split test has none of 2 personas",
        "  - no persona has wants",
    ]
    text = str(stop.value)
    assert "expected 12 at least for a group (label.band_sizes): add photos, lower label" in text
    assert "raise catalog.split.val, or fill the column split" in text
    assert "by which the simulated teacher judges: add columns attr.<name>, or set teacher" in text
    assert not Path("data/catalog").exists()


@pytest.mark.parametrize(
    ("teacher", "sizes", "passes"),
    [("openai", [4, 4, 2, 2], False), ("openai", [2, 1, 1, 1], True), ("file", [4, 4, 2, 2], True)],
)
def test_groups_must_find_their_pictures(
    write: Any, teacher: str, sizes: list[int], passes: bool
) -> None:
    write(9, 5)
    changes = {"teacher": {"kind": teacher}, "label": {"band_sizes": sizes}}
    if passes:
        run(**changes)
        assert splits("data/found/products.parquet", PRODUCTS)["train"] == 5
    else:
        with pytest.raises(SystemExit, match="split train has 5 of 9 products, expected 12"):
            run(**changes)


def test_the_simulated_teacher_can_judge_who_wants_what_there_is(write: Any) -> None:
    write(60, 20, known=True)
    run()
    params = load_params(ROOT / "params.yaml")
    products = read_rows(Path("data/found/products.parquet"), PRODUCTS)
    personas = read_rows(Path("data/found/personas.parquet"), PERSONAS)
    odd = [
        {**row, "wants": {"colour=blue": 1.0}} if n % 2 else row for n, row in enumerate(personas)
    ]
    with pytest.raises(SystemExit, match=r"of 17 personas of split train want nothing") as stop:
        hold_sufficiency(params, products, odd)
    assert "no product has attributes" not in str(stop.value)
    plain = [{**row, "attributes": {}} for row in products]
    with pytest.raises(SystemExit, match="no product has attributes") as stop:
        hold_sufficiency(params, plain, personas)
    assert "want nothing" not in str(stop.value)
