"""The tables that the stages pass on: one declared Parquet schema each, read and written here."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from retrieval.storage.files import atomic_file

SPLITS = ("train", "val", "test")
# What only the base model trains on: products of kinds that are held out of distillation.
BASE_SPLIT = "base"
PRODUCT_SPLITS = (*SPLITS, BASE_SPLIT)

PRODUCTS = pa.schema(
    [
        ("product_id", pa.string()),
        ("title", pa.string()),
        ("caption", pa.string()),  # what the picture shows, read literally
        ("category", pa.string()),
        ("price", pa.float64()),  # in the catalogue's own currency; NaN where unknown
        ("attributes", pa.map_(pa.string(), pa.string())),
        ("image", pa.string()),  # path relative to the folder of the table
        ("image_sha256", pa.string()),
        ("split", pa.string()),  # of PRODUCT_SPLITS
    ]
)
PERSONAS = pa.schema(
    [
        ("persona_id", pa.string()),
        ("text", pa.string()),
        ("split", pa.string()),
        ("wants", pa.map_(pa.string(), pa.float64())),  # "attribute=value" -> weight
        # The text with its interests in words of no training persona; "" where there is none.
        ("paraphrase", pa.string()),
        # What evaluation groups by: interest, relation, second interest, or a user's own.
        ("facets", pa.map_(pa.string(), pa.string())),
    ]
)
SUBJECTS = pa.schema(
    [
        ("row_id", pa.string()),
        ("role", pa.string()),  # reference | gallery | query
        ("concepts", pa.list_(pa.string())),  # in the picture, or named by the query
        ("noun", pa.string()),  # reference: the subject's class noun
        ("kind", pa.string()),  # query: concept_only | context | multi
        ("text", pa.string()),  # query: one * per concept
        ("image", pa.string()),
        ("image_sha256", pa.string()),
        ("truths", pa.list_(pa.string())),  # query: row_ids of the gallery
    ]
)
RANKINGS = pa.schema(
    [
        ("group_id", pa.string()),
        ("persona_id", pa.string()),
        ("presented", pa.list_(pa.string())),
        ("ranking", pa.list_(pa.string())),  # best first; empty: the teacher gave no label
        ("teacher", pa.string()),
        ("request_sha256", pa.string()),
    ]
)
AUDITS = pa.schema(  # what a cycle asked again, for the gate; no training sees it
    [
        ("audit_id", pa.string()),
        ("group_id", pa.string()),  # the group whose pictures are asked about
        ("kind", pa.string()),  # group: the same in another order | pair: two of it, in both orders
        ("persona_id", pa.string()),
        ("presented", pa.list_(pa.string())),
        ("ranking", pa.list_(pa.string())),  # best first; empty: the teacher gave no label
        ("teacher", pa.string()),
        ("request_sha256", pa.string()),
    ]
)
TOURNAMENTS = pa.schema(
    [
        ("persona_id", pa.string()),
        ("split", pa.string()),
        ("winner", pa.string()),
        # By how late they lost, best first, the winner first; the last two rounds at least.
        ("finalists", pa.list_(pa.string())),
        ("calls", pa.int64()),
        ("undecided", pa.int64()),  # matches that a seeded coin decided
        ("repeats", pa.int64()),  # tournaments held
        ("confidence", pa.float64()),  # share of them that the winner won; NaN after a single one
        ("teacher", pa.string()),
    ]
)
QUERIES = pa.schema(
    [
        ("persona_id", pa.string()),
        ("wording", pa.string()),  # original | paraphrased
        ("model", pa.string()),  # random | base | text | student | ceiling | published
        ("winner", pa.string()),
        ("rank", pa.float64()),  # 1 = first; mid-rank on ties
        ("candidates", pa.int64()),
        ("percentile", pa.float64()),  # (N - rank) / (N - 1), in [0, 1]
        ("within_kind_percentile", pa.float64()),  # NaN: fewer than two admitted candidates
        ("ndcg@10", pa.float64()),  # against the finalists' order; NaN: there are none
        ("tau", pa.float64()),  # Kendall's, on held-out groups; NaN: no such group
        ("slices", pa.map_(pa.string(), pa.string())),  # slice -> value; docs/evaluation.md
        ("top", pa.list_(pa.string())),  # the first five products
    ]
)


def vectors_schema(width: int) -> pa.Schema:
    """The schema of a table of unit vectors: id, vector of `width` float32."""
    return pa.schema([("id", pa.string()), ("vector", pa.list_(pa.float32(), width))])


def read_parquet(path: Path) -> pa.Table:
    """Read a Parquet file, whatever its columns.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not Parquet.
    """
    try:
        # Not `pq.read_table`: it reads folders too, and imports pandas for that, 0.3 seconds.
        with pq.ParquetFile(path) as file:
            return file.read()
    except pa.ArrowInvalid as error:
        msg = f"{path} is no Parquet table: {error}; run `dvc repro` to write it again"
        raise ValueError(msg) from error


def read_table(path: Path, schema: pa.Schema) -> pa.Table:
    """Read a Parquet table and hold it to its schema.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A column is missing, unexpected or of another type.
    """
    table = read_parquet(path)
    if not table.schema.equals(schema, check_metadata=False):
        msg = (
            f"{path}: got columns {describe(table.schema)}, expected {describe(schema)};"
            " run `dvc repro` to write it again"
        )
        raise ValueError(msg)
    return table


def read_rows(path: Path, schema: pa.Schema) -> list[dict[str, Any]]:
    """Read a table as one dictionary a row, maps as dictionaries. Raises as `read_table`."""
    rows: list[dict[str, Any]] = read_table(path, schema).to_pylist(maps_as_pydicts="strict")
    return rows


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> None:
    """Write rows as Parquet under `schema`, atomically.

    Raises:
        ValueError: A row lacks a column of the schema, has another one, or a value of another type.
    """
    for number, row in enumerate(rows):
        if row.keys() != set(schema.names):
            msg = f"{path}: row {number} has keys {sorted(row)}, expected {sorted(schema.names)}"
            raise ValueError(msg)
        for field in schema:
            _refuse_what_arrow_would_bend(f"{path}, row {number}", row[field.name], field)
    try:
        table = pa.Table.from_pylist([dict(row) for row in rows], schema=schema)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        msg = f"{path}: a value does not fit {describe(schema)}: {error}"
        raise ValueError(msg) from error
    write_table(path, table)


def write_table(path: Path, table: pa.Table) -> None:
    """Write a table as Parquet, atomically; equal tables give equal bytes."""
    with atomic_file(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def describe(schema: pa.Schema) -> str:
    """The columns and their types in one line."""
    return ", ".join(f"{field.name}: {field.type}" for field in schema)


def _refuse_what_arrow_would_bend(place: str, value: Any, field: pa.Field) -> None:
    """Arrow takes a string for a list of letters, and cuts a fraction off for an integer."""
    letters = pa.types.is_list(field.type) and isinstance(value, str)
    fraction = pa.types.is_integer(field.type) and isinstance(value, float)
    if letters or fraction:
        msg = f"{place}: a value does not fit: {field.name} is {value!r}, expected {field.type}"
        raise ValueError(msg)
