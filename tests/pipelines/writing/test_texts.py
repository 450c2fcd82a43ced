"""Personas sampled from a file of texts."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.run.params import Personas, load_params
from pipelines.writing.texts import sample_texts
from tests.pipelines.labelling.teachers.openai_setup import TOP

TEXTS = [f"a person who likes the number {number} and walks" for number in range(30)]


def settings(path: Path, **changes: object) -> Personas:
    section = load_params(TOP / "params.yaml").personas
    return section.model_copy(update={"path": path, "kind": "file", "count": 10, **changes})


def write(path: Path, rows: list[dict]) -> Path:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        names = list(rows[0])
        lines = [",".join(str(row[name]) for name in names) for row in rows]
        path.write_text("\n".join([",".join(names), *lines]) + "\n")
    return path


def rows() -> list[dict]:
    return [{"id": f"x{n}", "persona": text, "age": n} for n, text in enumerate(TEXTS)]


@pytest.mark.parametrize("name", ["texts.jsonl", "texts.parquet", "texts.csv"])
def test_the_only_column_of_texts_is_found_and_sampled_by_seed(tmp_path, name):
    path = write(tmp_path / name, rows())
    got, counts = sample_texts(settings(path), 0)
    assert len({row["text"] for row in got} & set(TEXTS)) == 10
    assert counts == {"read": 30}
    assert sample_texts(settings(path), 0)[0] == got
    assert sample_texts(settings(path), 1)[0] != got
    for row in got:  # the id leads back to the row
        assert TEXTS[int(row["persona_id"].removeprefix("row-")) - 1] == row["text"]


def test_what_does_not_fit_is_dropped_and_counted(tmp_path):
    texts = [
        "a person who walks in the woods",
        "A person who walks  in the woods",  # again
        "two words",
        "a person " * 40,
        "eine Frau, die gern im Wald ist",
        None,
        "somebody who is known already",
    ]
    path = write(tmp_path / "texts.jsonl", [{"text": text} for text in texts])
    got, counts = sample_texts(settings(path), 0, ["Somebody who is known already"])
    assert [row["text"] for row in got] == texts[:1]
    assert counts == {
        "read": 7, "repeated": 2, "too short": 1, "too long": 1, "another language": 1, "no text": 1
    }  # fmt: skip


def test_any_language_is_taken_where_none_is_named(tmp_path):
    path = write(tmp_path / "texts.jsonl", [{"text": "eine Frau im Wald"}])
    assert len(sample_texts(settings(path, language=None), 0)[0]) == 1


def test_several_columns_of_texts_want_a_name(tmp_path):
    path = write(
        tmp_path / "texts.jsonl",
        [{"who": TEXTS[0], "what": TEXTS[1], "n": 1}, {"who": TEXTS[2], "what": TEXTS[3], "n": 2}],
    )
    with pytest.raises(SystemExit, match=r"several columns of texts, 'who', 'what'"):
        sample_texts(settings(path), 0)
    got, _ = sample_texts(settings(path, column="what"), 0)
    assert {row["text"] for row in got} == {TEXTS[1], TEXTS[3]}


@pytest.mark.parametrize(
    ("content", "changes", "message"),
    [
        ([{"n": 1}], {}, r"no column of texts among 'n'; set personas\.column"),
        ([{"text": TEXTS[0]}], {"column": "persona"}, r"no column 'persona': got 'text'"),
        ([{"text": "x y"}], {"column": "text"}, r"none of 1 texts .* \(too short: 1\)"),
    ],
)
def test_a_file_without_texts_says_what_to_do(tmp_path, content, changes, message):
    path = write(tmp_path / "texts.jsonl", content)
    with pytest.raises(SystemExit, match=message):
        sample_texts(settings(path, **changes), 0)


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(SystemExit, match=r"expected a name that ends in \.csv"):
        sample_texts(settings(tmp_path / "texts.xlsx"), 0)
