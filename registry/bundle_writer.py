"""Put a bundle together from what the stages wrote."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from registry.base_model import BASE_MODEL, write_difference
from registry.bundle import FORMAT_VERSION, PRODUCTS, QUERIES, bundle_digest
from registry.checksums import write_sums
from registry.lineage import Lineage
from registry.model_card import CardFacts, render_card
from registry.model_uses import read_towers
from registry.verdicts import Verdict
from registry.wishes import WISHES, find_wishes
from retrieval.images import jpeg_bytes
from retrieval.storage import schema
from retrieval.storage.files import atomic_folder, read_json, write_json

_JPEG_QUALITY = 85


@dataclass(frozen=True)
class BundleSources:
    """Where everything in a bundle comes from."""

    name: str  # the registered model, for the card
    model: Path  # the student's folder
    base_model: Path  # that of the model that it came from
    student_vectors: Path
    base_vectors: Path
    persona_vectors: Path  # of their texts, by the student's text tower
    caption_vectors: Path  # of the products' captions
    products: Path  # the catalogue's table; pictures lie relative to its folder
    personas: Path  # their texts
    rankings: Path  # what training personas chose: the labels of all cycles
    tournaments: Path  # what they chose
    queries: Path  # how that was evaluated, for its slices
    concept_queries: Path  # how concepts were
    concepts: Path  # a folder per concept; may be missing
    concept_choice: Path  # the stage's metrics, with its `teaching`
    metrics: Path
    verdicts: Mapping[str, Path]  # labels_<cycle>, retrieval
    lineage: Lineage
    thumbnail_side: int  # pixels


def write_bundle(folder: Path, sources: BundleSources) -> str:
    """Write a bundle, whole or not at all, and return its digest.

    Raises:
        FileNotFoundError: A source is missing.
        ValueError: A source is not what its name says, or the vectors are of other products.
    """
    with atomic_folder(folder) as draft:
        rows = schema.read_rows(sources.products, schema.PRODUCTS)
        _copy_files(draft, sources, [row["product_id"] for row in rows])
        products = [_with_thumbnail(row, sources) for row in rows]
        schema.write_rows(draft / "products.parquet", products, PRODUCTS)
        queries = _queries(sources)
        schema.write_rows(draft / "queries.parquet", queries, QUERIES)
        held_out = [row["product_id"] for row in rows if row["split"] == "test"]
        asked = [query["persona_id"] for query in queries]
        _copy_vectors(sources.persona_vectors, draft / "vectors" / "queries.parquet", asked)
        _copy_vectors(sources.caption_vectors, draft / "vectors" / "captions.parquet", held_out)
        _write_wishes(draft, sources)
        write_json(draft / "teaching.json", read_json(sources.concept_choice)["teaching"])
        write_json(draft / "lineage.json", sources.lineage.model_dump(mode="json"))
        card = render_card(_card_facts(draft, sources, rows))
        (draft / "MODEL_CARD.md").write_text(card, encoding="utf-8")
        (draft / "format_version").write_text(f"{FORMAT_VERSION}\n", encoding="utf-8")
        write_sums(draft)
        return bundle_digest(draft)


def _copy_files(draft: Path, sources: BundleSources, product_ids: list[str]) -> None:
    _copy_folder(sources.model, draft / "model")
    write_difference(sources.base_model, sources.model, draft / BASE_MODEL)
    if sources.concepts.is_dir():
        _copy_folder(sources.concepts, draft / "concepts")
    (draft / "vectors").mkdir()
    for name, path in (("student", sources.student_vectors), ("base", sources.base_vectors)):
        _check_ids(path, product_ids)
        shutil.copyfile(path, draft / "vectors" / f"{name}.parquet")
    (draft / "verdicts").mkdir()
    for name, path in sources.verdicts.items():
        Verdict.model_validate(read_json(path))
        shutil.copyfile(path, draft / "verdicts" / f"{name}.json")
    shutil.copyfile(sources.metrics, draft / "metrics.json")
    schema.read_table(sources.concept_queries, schema.CONCEPT_QUERIES)  # it is what it is called
    shutil.copyfile(sources.concept_queries, draft / "concept_queries.parquet")


def _copy_folder(source: Path, target: Path) -> None:
    # Contents only: DVC's cache may hand out read-only files, or links into itself.
    shutil.copytree(source, target, copy_function=shutil.copyfile)


def _check_ids(path: Path, product_ids: list[str]) -> None:
    from retrieval.storage.vectors import read_vectors

    ids = read_vectors(path).ids
    if sorted(ids) != sorted(product_ids):
        strays = sorted(set(ids) ^ set(product_ids))[:5]
        msg = (
            f"{path}: got vectors of {len(ids)} products, expected one for each of the"
            f" {len(product_ids)} in the catalogue (differing: {strays}); run `dvc repro`"
        )
        raise ValueError(msg)


def _copy_vectors(source: Path, target: Path, ids: list[str]) -> None:
    """Copy the vectors of some ids."""
    from retrieval.storage.vectors import read_vectors, write_vectors

    try:
        vectors_ND = read_vectors(source).rows(ids)
    except KeyError as error:
        msg = f"{source}: got no vector of {error}, expected one for each text; run `dvc repro`"
        raise ValueError(msg) from error
    write_vectors(target, ids, vectors_ND)


def _write_wishes(draft: Path, sources: BundleSources) -> None:
    personas = schema.read_rows(sources.personas, schema.PERSONAS)
    wishes = find_wishes(personas, schema.read_rows(sources.rankings, schema.RANKINGS))
    schema.write_rows(draft / "wishes.parquet", wishes, WISHES)
    wished = [wish["persona_id"] for wish in wishes]
    _copy_vectors(sources.persona_vectors, draft / "vectors" / "wishes.parquet", wished)


def _queries(sources: BundleSources) -> list[dict[str, Any]]:
    personas = schema.read_rows(sources.personas, schema.PERSONAS)
    person = {persona["persona_id"]: persona for persona in personas}
    slices = {
        row["persona_id"]: row["slices"]
        for row in schema.read_rows(sources.queries, schema.QUERIES)
        if (row["model"], row["wording"]) == ("student", "original")
    }
    tournaments = schema.read_rows(sources.tournaments, schema.TOURNAMENTS)
    return [
        {
            "persona_id": row["persona_id"],
            "text": person[row["persona_id"]]["text"],
            "winner": row["winner"],
            "wants": person[row["persona_id"]]["wants"],
            "slices": slices.get(row["persona_id"], {}),
        }
        for row in sorted(tournaments, key=lambda row: row["persona_id"])
        if row["split"] == "test"
    ]


def _with_thumbnail(row: schema.ProductRow, sources: BundleSources) -> dict[str, Any]:
    picture = sources.products.parent / row["image"]
    kept = {name: value for name, value in row.items() if name != "image"}
    return {**kept, "thumbnail": thumbnail_of(picture, sources.thumbnail_side)}


def thumbnail_of(picture: Path, side: int) -> bytes:
    """The picture as a JPEG of at most `side` pixels; as it is where it is one already."""
    with Image.open(picture) as image:
        if (image.format, image.mode) == ("JPEG", "RGB") and max(image.size) <= side:
            return picture.read_bytes()
        return jpeg_bytes(image.convert("RGB"), side, _JPEG_QUALITY)


def _card_facts(draft: Path, sources: BundleSources, rows: list[schema.ProductRow]) -> CardFacts:
    splits = [row["split"] for row in rows]
    return CardFacts(
        name=sources.name,
        products={split: splits.count(split) for split in schema.PRODUCT_SPLITS},
        categories=len({row["category"] for row in rows}),
        concepts=sorted(path.name for path in (draft / "concepts").glob("*") if path.is_dir()),
        wishes=schema.read_table(draft / "wishes.parquet", WISHES).num_rows,
        metrics=read_json(sources.metrics),
        verdicts={
            name: Verdict.model_validate(read_json(path)) for name, path in sources.verdicts.items()
        },
        lineage=sources.lineage,
        towers=read_towers(draft / "model" / "open_clip_config.json"),
    )
