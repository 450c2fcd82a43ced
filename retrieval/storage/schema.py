"""The tables that the stages pass on: each declared once, as the type of its rows.

A row is a dictionary; its `TypedDict` names the columns, and the Parquet schema follows from it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypedDict, TypeVar, get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq

from retrieval.storage.files import atomic_file

SPLITS = ("train", "val", "test")
# What only the base model trains on: products of kinds that are held out of distillation.
BASE_SPLIT = "base"
PRODUCT_SPLITS = (*SPLITS, BASE_SPLIT)

COLUMN_TYPES: dict[Any, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    list[str]: pa.list_(pa.string()),
    dict[str, str]: pa.map_(pa.string(), pa.string()),
    dict[str, float]: pa.map_(pa.string(), pa.float64()),
}

RowT = TypeVar("RowT", bound=Mapping[str, object])


class Table(Generic[RowT]):
    """A table on disk, whose rows are of type `RowT`."""

    def __init__(self, schema: pa.Schema) -> None:
        """Wrap a schema."""
        self.schema = schema

    @property
    def names(self) -> list[str]:
        """The columns, in order."""
        return list(self.schema.names)


def table_of(row: type[RowT]) -> Table[RowT]:
    """The table whose rows are of a `TypedDict`: a column a key, in its order."""
    return Table(
        pa.schema([(key, COLUMN_TYPES[hint]) for key, hint in get_type_hints(row).items()])
    )


class ProductRow(TypedDict):
    """A product of the catalogue."""

    product_id: str
    title: str
    caption: str  # what the picture shows, read literally
    category: str
    price: float  # in the catalogue's own currency; NaN where unknown
    attributes: dict[str, str]
    image: str  # path relative to the folder of the table
    image_sha256: str
    split: str  # of PRODUCT_SPLITS


class PersonaRow(TypedDict):
    """Someone who looks for products."""

    persona_id: str
    text: str
    split: str
    wants: dict[str, float]  # "attribute=value" -> weight
    # The text with its interests in words of no training persona; "" where there is none.
    paraphrase: str
    # What evaluation groups by: interest, relation, second interest, or a user's own.
    facets: dict[str, str]


class SubjectRow(TypedDict):
    """A picture of a personal concept, or a query for some."""

    row_id: str
    role: str  # reference | gallery | query
    concepts: list[str]  # in the picture, or named by the query
    noun: str  # reference: the subject's class noun
    kind: str  # query: concept_only | context | multi
    text: str  # query: one * per concept
    image: str
    image_sha256: str
    truths: list[str]  # query: row_ids of the gallery


class RankingRow(TypedDict):
    """A group as the teacher put it in order."""

    group_id: str
    persona_id: str
    presented: list[str]
    ranking: list[str]  # best first; empty: the teacher gave no label
    teacher: str
    request_sha256: str


class AuditRow(TypedDict):
    """What a cycle asked again, for the gate; no training sees it."""

    audit_id: str
    group_id: str  # the group whose pictures are asked about
    kind: str  # group: the same in another order | pair: two of it, in both orders
    persona_id: str
    presented: list[str]
    ranking: list[str]  # best first; empty: the teacher gave no label
    teacher: str
    request_sha256: str


class TournamentRow(TypedDict):
    """Whom a held-out persona's teacher chose among all products of a split."""

    persona_id: str
    split: str
    winner: str
    # By how late they lost, best first, the winner first; the last two rounds at least.
    finalists: list[str]
    calls: int
    undecided: int  # matches that a seeded coin decided
    repeats: int  # tournaments held
    confidence: float  # share of them that the winner won; NaN after a single one
    teacher: str


QueryRow = TypedDict(  # how one model answered a held-out persona
    "QueryRow",
    {
        "persona_id": str,
        "wording": str,  # original | paraphrased
        "model": str,  # random | base | text | student | ceiling | published
        "winner": str,
        "rank": float,  # 1 = first; mid-rank on ties
        "candidates": int,
        "percentile": float,  # (N - rank) / (N - 1), in [0, 1]
        "within_kind_percentile": float,  # NaN: fewer than two admitted candidates
        "ndcg@10": float,  # against the finalists' order; NaN: there are none
        "tau": float,  # Kendall's, on held-out groups; NaN: no such group
        "slices": dict[str, str],  # slice -> value; docs/evaluation.md
        "top": list[str],  # the first five products
    },
)

ConceptQueryRow = TypedDict(  # how one model answered a query about concepts
    "ConceptQueryRow",
    {
        "row_id": str,  # of the subjects' table; of `captions` the concept
        "kind": str,  # concept_only | context | multi | captions (with the concept switched on)
        "concepts": list[str],
        "model": str,  # text_only | kindred
        "rank": float,  # of the best truth; NaN for captions
        "average_precision": float,  # likewise
        "recall@10": float,  # share of the captions for captions; else 0 or 1
        "subjects_sha256": str,  # of the subjects' table: equal where the same was asked
    },
)

PRODUCTS = table_of(ProductRow)
PERSONAS = table_of(PersonaRow)
SUBJECTS = table_of(SubjectRow)
RANKINGS = table_of(RankingRow)
AUDITS = table_of(AuditRow)
TOURNAMENTS = table_of(TournamentRow)
QUERIES = table_of(QueryRow)
CONCEPT_QUERIES = table_of(ConceptQueryRow)


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


def read_table(path: Path, table: Table[Any]) -> pa.Table:
    """Read a Parquet table and hold it to its schema.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A column is missing, unexpected or of another type.
    """
    found = read_parquet(path)
    if not found.schema.equals(table.schema, check_metadata=False):
        msg = (
            f"{path}: got columns {describe(found.schema)}, expected {describe(table.schema)};"
            " run `dvc repro` to write it again"
        )
        raise ValueError(msg)
    return found


def read_rows(path: Path, table: Table[RowT]) -> list[RowT]:
    """Read a table as one dictionary a row, maps as dictionaries. Raises as `read_table`."""
    rows: list[RowT] = read_table(path, table).to_pylist(maps_as_pydicts="strict")
    return rows


def write_rows(path: Path, rows: Sequence[RowT], table: Table[RowT]) -> None:
    """Write rows as Parquet, atomically.

    Raises:
        ValueError: A row lacks a column of the table, has another one, or a value of another type.
    """
    schema = table.schema
    for number, row in enumerate(rows):
        if row.keys() != set(schema.names):
            msg = f"{path}: row {number} has keys {sorted(row)}, expected {sorted(schema.names)}"
            raise ValueError(msg)
        for field in schema:
            _refuse_what_arrow_would_bend(f"{path}, row {number}", row[field.name], field)
    try:
        content = pa.Table.from_pylist([dict(row) for row in rows], schema=schema)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        msg = f"{path}: a value does not fit {describe(schema)}: {error}"
        raise ValueError(msg) from error
    write_table(path, content)


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
