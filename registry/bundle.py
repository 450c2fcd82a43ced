"""A model version: one folder with everything that serving and judging it takes, opened here.

model/                      the student: open_clip config, weights, tokenizer, text tower
base/differs.safetensors    what of the base model differs from it; not in older bundles
vectors/{student,base}.parquet     of the catalogue's pictures
vectors/{queries,captions}.parquet of the queries' texts and the held-out products' captions
products.parquet            the catalogue, with thumbnails
queries.parquet             what held-out personas want: the truth that versions are compared by
concept_queries.parquet     how the evaluation's concepts were found; not in older bundles
concepts/<name>/            the evaluation's concepts; no tenant sees them
teaching.json               how concepts are taught; not in older bundles
wishes.parquet, vectors/wishes.parquet    what it was trained on; not in older bundles
verdicts/labels_<cycle>.json, verdicts/retrieval.json
metrics.json  lineage.json  MODEL_CARD.md  format_version  SHA256SUMS
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from registry.base_model import BASE_MODEL, lay_over
from registry.checksums import file_digests, verify_sums
from registry.lineage import Lineage
from registry.verdicts import Verdict
from registry.wishes import WISHES, Wish
from retrieval.storage import schema
from retrieval.storage.files import read_json

if TYPE_CHECKING:
    from retrieval.concepts.concept import Concept
    from retrieval.concepts.teaching import Teaching
    from retrieval.encoder import Encoder
    from retrieval.storage.vectors import Vectors

FORMAT_VERSION = "6"
# 5 has no base model; 4 neither, no wishes, and does not say how concepts are taught; 3 has no
# vectors of texts either; 2 neither, and queries without wants and slices.
_READABLE = ("2", "3", "4", "5", FORMAT_VERSION)
PRODUCTS: schema.Table[dict[str, Any]] = schema.Table(
    pa.schema(
        [
            *[field for field in schema.PRODUCTS.schema if field.name != "image"],
            pa.field("thumbnail", pa.binary()),  # JPEG
        ]
    )
)
QUERIES: schema.Table[dict[str, Any]] = schema.Table(
    pa.schema(
        [
            ("persona_id", pa.string()),
            ("text", pa.string()),
            ("winner", pa.string()),  # the teacher's choice among the products of split `test`
            ("wants", pa.map_(pa.string(), pa.float64())),  # "attribute=value" -> weight
            ("slices", pa.map_(pa.string(), pa.string())),  # what the gate compares apart
        ]
    )
)
_QUERIES_2: schema.Table[dict[str, Any]] = schema.Table(
    pa.schema([QUERIES.schema.field(name) for name in ("persona_id", "text", "winner")])
)
# Derived from the rest, or naming commits and run ids: these do not make another version.
_NOT_CONTENT = frozenset({"lineage.json", "MODEL_CARD.md"})


@dataclass(frozen=True)
class Product:
    """A row of the bundle's product table."""

    product_id: str
    title: str
    caption: str
    category: str
    price: float  # NaN where unknown
    attributes: dict[str, str]
    image_sha256: str
    split: str
    thumbnail: bytes  # JPEG


@dataclass(frozen=True)
class HeldOutQuery:
    """A persona that no training saw, and the product that the teacher chose for it."""

    persona_id: str
    text: str
    winner: str
    wants: dict[str, float] = field(default_factory=dict)
    slices: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files were found complete and unchanged."""

    folder: Path
    digest: str
    metrics: dict[str, Any]
    verdicts: dict[str, Verdict]  # labels_<cycle>, retrieval
    lineage: Lineage
    concept_names: tuple[str, ...]
    held: object = field(default=None, repr=False, compare=False)  # keeps `prune` away (`in_use`)

    def load_encoder(self, device: str = "cpu") -> "Encoder":
        """Load the student model; seconds, so the caller keeps it."""
        from retrieval.encoder import load_encoder

        return load_encoder(self.folder / "model", device)

    @property
    def has_base_model(self) -> bool:
        """Whether new pictures can be read as the base model reads them; not before format 6."""
        return (self.folder / BASE_MODEL).is_file()

    def make_base(self, student: "Encoder") -> None:
        """Turn the student that `load_encoder` gave, in place, into the base that it came from.

        Raises:
            ValueError: The bundle does not bring the base model, or a damaged one.
        """
        if not self.has_base_model:
            msg = f"{self.folder} has no base model: register again, `dvc repro`"
            raise ValueError(msg)
        lay_over(student, self.folder / BASE_MODEL)

    def load_concept(self, name: str, encoder: "Encoder") -> "Concept":
        """Load one of the evaluation's concepts.

        Raises:
            ValueError: The bundle has no concept of that name.
        """
        if name not in self.concept_names:
            known = ", ".join(self.concept_names) or "none"
            msg = f"got concept {name!r}, expected one of this version's: {known}"
            raise ValueError(msg)
        from retrieval.concepts.adapter import load_concept

        return load_concept(self.folder / "concepts" / name, encoder)

    def read_vectors(self, model: Literal["student", "base"]) -> "Vectors":
        """The catalogue's vectors by the student, or by the base model that it came from."""
        from retrieval.storage.vectors import read_vectors

        return read_vectors(self.folder / "vectors" / f"{model}.parquet")

    def read_text_vectors(
        self, texts: Literal["queries", "captions", "wishes"]
    ) -> "Vectors | None":
        """Vectors of held-out queries or wishes by persona, or of held-out products' captions.

        None in bundles before format 4 (of wishes, 5): their model must read the texts.
        """
        from retrieval.storage.vectors import read_vectors

        path = self.folder / "vectors" / f"{texts}.parquet"
        return read_vectors(path) if path.exists() else None

    def read_products(self, ids: Collection[str] | None = None) -> list[Product]:
        """The products, in the table's order; only those in `ids` where given."""
        table = schema.read_table(self.folder / "products.parquet", PRODUCTS)
        if ids is not None:
            wanted = pa.array(list(ids), pa.string())
            table = table.filter(pc.is_in(table["product_id"], value_set=wanted))
        rows = table.to_pylist(maps_as_pydicts="strict")
        return [Product(**row) for row in rows]

    def read_queries(self) -> list[HeldOutQuery]:
        """What held-out personas want, ordered by persona."""
        columns = _QUERIES_2 if _read_format(self.folder) == "2" else QUERIES
        rows = schema.read_rows(self.folder / "queries.parquet", columns)
        return [HeldOutQuery(**row) for row in rows]

    def read_wishes(self) -> list[Wish]:
        """What the version was trained on, ordered by persona; [] in bundles before format 5."""
        path = self.folder / "wishes.parquet"
        rows = schema.read_rows(path, WISHES) if path.exists() else []
        return [Wish(row["persona_id"], row["text"], tuple(row["chosen"])) for row in rows]

    def read_teaching(self) -> "Teaching":
        """How this version's concepts are taught; the usual way where the bundle does not say."""
        from retrieval.concepts.teaching import Teaching, read_teaching

        path = self.folder / "teaching.json"
        return read_teaching(path) if path.exists() else Teaching()

    def read_concept_queries(self) -> list[schema.ConceptQueryRow]:
        """How queries about concepts were answered; [] where the bundle does not say."""
        path = self.folder / "concept_queries.parquet"
        return schema.read_rows(path, schema.CONCEPT_QUERIES) if path.exists() else []


def bundle_digest(folder: Path) -> str:
    """The digest that names a version: equal for equal content, whenever and however often made.

    Run ids, commits, times and the day's champion are left out (`Lineage.content`).

    Raises:
        FileNotFoundError: There is no lineage.json.
        ValueError: lineage.json is not a lineage.
    """
    return _digest(file_digests(folder), _read_lineage(folder / "lineage.json"))


def open_bundle(folder: Path) -> Bundle:
    """Open a bundle after checking its format and every file's digest.

    Raises:
        ValueError: The folder is no bundle, of another format, or a file is missing, unexpected,
            changed or unreadable; the message names it.
    """
    _check_format(folder)
    digests = verify_sums(folder)
    lineage = _read_lineage(folder / "lineage.json")
    return Bundle(
        folder=folder,
        digest=_digest(digests, lineage),
        metrics=read_json(folder / "metrics.json"),
        verdicts={
            path.stem: _read_verdict(path) for path in sorted(folder.glob("verdicts/*.json"))
        },
        lineage=lineage,
        concept_names=_concept_names(digests),
    )


def _concept_names(files: Iterable[str]) -> tuple[str, ...]:
    """Folders of `concepts/` that hold a file: an empty one has no digest to go by."""
    parts = (name.split("/") for name in files)
    return tuple(sorted({part[1] for part in parts if part[0] == "concepts" and len(part) > 2}))


def _digest(digests: Mapping[str, str], lineage: Lineage) -> str:
    files = {name: digest for name, digest in digests.items() if name not in _NOT_CONTENT}
    content = json.dumps({"files": files, "lineage": lineage.content()}, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _check_format(folder: Path) -> None:
    found = _read_format(folder)
    if found in _READABLE:
        return
    newer = found.isdecimal() and int(found) > int(FORMAT_VERSION)
    remedy = (
        "a newer release wrote it: use that one"
        if newer
        else "this release cannot read it: use the release that wrote it"
    )
    msg = (
        f"{folder / 'format_version'}: got {found}, expected format {FORMAT_VERSION}; {remedy}, or"
        " register again"
    )
    raise ValueError(msg)


def _read_format(folder: Path) -> str:
    path = folder / "format_version"
    if not path.is_file():
        return "no such file"
    return path.read_bytes().decode("utf-8", errors="replace").strip()


def _read_lineage(path: Path) -> Lineage:
    try:
        return Lineage.model_validate(read_json(path))
    except ValidationError as error:
        msg = f"{path} is no lineage of format {FORMAT_VERSION}: {error}; register again"
        raise ValueError(msg) from error


def _read_verdict(path: Path) -> Verdict:
    try:
        return Verdict.model_validate(read_json(path))
    except ValidationError as error:
        msg = f"{path} is no verdict (gate, passed, reasons): {error}; run `dvc repro` again"
        raise ValueError(msg) from error
