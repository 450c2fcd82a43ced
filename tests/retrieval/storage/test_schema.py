import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from retrieval.storage import schema
from retrieval.storage.schema import PERSONAS, RANKINGS, read_rows, read_table, write_rows

ROWS = {
    "PRODUCTS": {
        "product_id": "p1",
        "title": "Blue mug",
        "caption": "a blue mug",
        "category": "kitchen",
        "price": 12.5,
        "attributes": {"kind": "mug", "color": "blue"},
        "image": "images/p1.jpg",
        "image_sha256": "ab" * 32,
        "split": "train",
    },
    "PERSONAS": {
        "persona_id": "u1",
        "text": "für eine Mutter 🌱",
        "split": "test",
        "wants": {"kind=mug": 1.5, "color=blue": 0.25},
        "paraphrase": "für jemanden, der Pflanzen zieht",
        "facets": {"interest": "gardening", "relation": "mother"},
    },
    "SUBJECTS": {
        "row_id": "q1",
        "role": "query",
        "concepts": ["mug-00", "vase-01"],
        "noun": "",
        "kind": "multi",
        "text": "* and *",
        "image": "",
        "image_sha256": "",
        "truths": ["g1", "g2"],
    },
    "RANKINGS": {
        "group_id": "c1-00001",
        "persona_id": "u1",
        "presented": ["p1", "p2"],
        "ranking": ["p2", "p1"],
        "teacher": "simulated",
        "request_sha256": "cd" * 32,
    },
    "AUDITS": {
        "audit_id": "c1-00001/order",
        "group_id": "c1-00001",
        "kind": "group",
        "persona_id": "u1",
        "presented": ["p2", "p1"],
        "ranking": ["p2", "p1"],
        "teacher": "simulated",
        "request_sha256": "ef" * 32,
    },
    "TOURNAMENTS": {
        "persona_id": "u1",
        "split": "val",
        "winner": "p1",
        "finalists": ["p1", "p7"],
        "calls": 14,
        "undecided": 0,
        "repeats": 1,
        "confidence": 1.0,
        "teacher": "simulated",
    },
    "QUERIES": {
        "persona_id": "u1",
        "wording": "paraphrased",
        "model": "student",
        "winner": "p1",
        "rank": 1.5,
        "candidates": 100,
        "percentile": 0.99,
        "within_kind_percentile": 0.5,
        "ndcg@10": 0.75,
        "tau": -0.2,
        "slices": {"interest": "gardening", "kinds": "seen"},
        "top": ["p1", "p2", "p3", "p4", "p5"],
    },
    "CONCEPT_QUERIES": {
        "row_id": "mug-00-at-beach",
        "kind": "context",
        "concepts": ["mug-00"],
        "model": "kindred",
        "rank": 1.5,
        "average_precision": 0.6,
        "recall@10": 1.0,
        "subjects_sha256": "ab" * 32,
    },
}
EMPTY = {
    "PRODUCTS": {"attributes": {}},
    "PERSONAS": {"wants": {}, "paraphrase": "", "facets": {}},
    "SUBJECTS": {"concepts": [], "truths": []},
    "RANKINGS": {"ranking": []},
    "AUDITS": {"ranking": []},
    "TOURNAMENTS": {"finalists": []},
    "QUERIES": {"slices": {}, "top": []},
    "CONCEPT_QUERIES": {"concepts": []},
}


@pytest.fixture(params=ROWS)
def table(request):
    """A table and two rows of it, one of them with empty lists and maps."""
    row = ROWS[request.param]
    return getattr(schema, request.param), [row, {**row, **EMPTY[request.param]}]


def _arrow_type(value):
    """What a column is on disk that holds such values."""
    if isinstance(value, list):
        return pa.list_(pa.string())
    if isinstance(value, dict):
        return pa.map_(pa.string(), _arrow_type(next(iter(value.values()))))
    return {str: pa.string(), int: pa.int64(), float: pa.float64()}[type(value)]


@pytest.mark.parametrize("name", ROWS)
def test_the_type_of_a_row_gives_the_columns_on_disk(name):
    declared = getattr(schema, name)
    columns = {field.name: field.type for field in declared.schema}
    assert list(columns) == declared.names == list(ROWS[name])
    assert columns == {key: _arrow_type(value) for key, value in ROWS[name].items()}


def test_every_table_is_tried_here():
    tables = {name for name, value in vars(schema).items() if isinstance(value, schema.Table)}
    assert tables == set(ROWS)


def test_rows_come_back_as_they_were(tmp_path, table):
    declared, rows = table
    write_rows(tmp_path / "t.parquet", rows, declared)
    assert read_rows(tmp_path / "t.parquet", declared) == rows


def test_a_table_without_rows_keeps_its_columns(tmp_path, table):
    declared, _ = table
    write_rows(tmp_path / "t.parquet", [], declared)
    assert read_rows(tmp_path / "t.parquet", declared) == []
    assert read_table(tmp_path / "t.parquet", declared).schema.names == declared.names


def test_an_unknown_price_stays_unknown(tmp_path):
    write_rows(tmp_path / "t", [{**ROWS["PRODUCTS"], "price": math.nan}], schema.PRODUCTS)
    [row] = read_rows(tmp_path / "t", schema.PRODUCTS)
    assert math.isnan(row["price"])


def test_equal_rows_give_equal_bytes(tmp_path, table):
    declared, rows = table
    write_rows(tmp_path / "one.parquet", rows, declared)
    reordered = [dict(reversed(row.items())) for row in rows]
    write_rows(tmp_path / "two.parquet", reordered, declared)
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()


@pytest.mark.parametrize("number", [0, 1])
def test_a_row_with_a_missing_or_another_column_is_refused(tmp_path, table, number):
    declared, rows = table
    name = declared.names[0]
    lacking = [dict(row) for row in rows]
    del lacking[number][name]
    more = [dict(row) for row in rows]
    more[number]["surprise"] = 1
    for wrong in (lacking, more):
        with pytest.raises(ValueError, match=rf"t\.parquet: row {number} has keys .*expected"):
            write_rows(tmp_path / "t.parquet", wrong, declared)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("PRODUCTS", {"price": "cheap"}),
        ("PRODUCTS", {"title": 3}),
        ("PRODUCTS", {"attributes": {"kind": 3}}),
        ("PRODUCTS", {"attributes": "blue"}),
        ("PERSONAS", {"wants": {"kind=mug": "much"}}),
        ("SUBJECTS", {"truths": "g1"}),
        ("RANKINGS", {"ranking": [1, 2]}),
        ("TOURNAMENTS", {"calls": 1.5}),
    ],
)
def test_a_value_of_another_type_is_refused(tmp_path, name, changes):
    with pytest.raises(ValueError, match=r"t\.parquet.*: a value does not fit"):
        write_rows(tmp_path / "t.parquet", [{**ROWS[name], **changes}], getattr(schema, name))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "columns",
    [
        {"persona_id": ["u"], "text": ["t"], "split": ["val"]},
        {"persona_id": ["u"], "text": ["t"], "split": ["val"], "wants": ["blue"]},
        {
            "persona_id": [1],
            "text": ["t"],
            "split": ["val"],
            "wants": [None],
            "paraphrase": [""],
            "facets": [None],
        },
    ],
)
def test_a_file_with_other_columns_is_refused(tmp_path, columns):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table(columns), path)
    with pytest.raises(ValueError, match=r"t\.parquet: got columns .*expected persona_id: string"):
        read_rows(path, PERSONAS)


def test_another_tables_file_is_refused(tmp_path):
    write_rows(tmp_path / "t.parquet", [ROWS["PERSONAS"]], PERSONAS)
    with pytest.raises(ValueError, match="dvc repro"):
        read_rows(tmp_path / "t.parquet", RANKINGS)


def test_a_file_that_is_no_parquet_is_named(tmp_path):
    (tmp_path / "personas.parquet").write_text("persona_id,text")
    with pytest.raises(ValueError, match=r"personas\.parquet is no Parquet table"):
        read_table(tmp_path / "personas.parquet", PERSONAS)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.parquet"):
        read_rows(tmp_path / "none.parquet", PERSONAS)


def test_a_vector_table_holds_rows_of_one_width():
    field = schema.vectors_schema(384).field("vector")
    assert (field.type.list_size, field.type.value_type) == (384, pa.float32())
