"""Candidate against champion: both answer what held-out personas want, from the same pictures.

The stage `check_retrieval` compares a model that is no version yet, promotion compares versions;
both by `compare`. What a version has a vector of is not computed again, and the candidate's vectors
of texts do for both where both read texts alike, so that a model is loaded only for what is new.

Q queries, P products, D width.
"""

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from registry.bundle import Bundle, HeldOutQuery
from registry.errors import RegistryError
from registry.store import fetch_bundle, fetch_trained
from registry.versions import Version
from retrieval.captions import caption_ranks
from retrieval.metrics import percentile, rank_of, rank_within
from retrieval.storage.files import sha256_file
from retrieval.storage.schema import ConceptQueryRow
from retrieval.wants import admitted
from validation.retrieval_champion import CONCEPTS, Answers, Comparison, OnConcepts, Uncompared

if TYPE_CHECKING:
    from retrieval.encoder import Encoder

Vectors = NDArray[np.float32]

_FAULTS = (ValueError, KeyError, OSError, RuntimeError, RegistryError)


@dataclass(frozen=True)
class HeldOutProduct:
    """A product as queries find it, whether a bundle or the catalogue has it."""

    product_id: str
    caption: str
    attributes: Mapping[str, str]
    image_sha256: str  # tells whether the champion has a vector of this very picture


@dataclass(frozen=True)
class Candidate:
    """The queries that both answer, and the candidate's vectors for them."""

    queries: Sequence[HeldOutQuery]
    products: Sequence[HeldOutProduct]
    queries_QD: Vectors
    captions_PD: Vectors  # of the products' captions
    images_PD: Vectors
    model: Path  # its folder: whether the champion reads texts as it does
    picture: Callable[[str], bytes]  # a product's picture, for a champion that does not know it
    concepts: Sequence[ConceptQueryRow] = ()  # how it found the evaluation's subjects


def compare_with(champion: Version, candidate: Callable[[], Candidate]) -> Comparison | Uncompared:
    """Compare with a registered champion; what prevents it is returned, not raised."""
    try:
        return compare(
            candidate(), fetch_bundle(champion), champion.number, fetch_trained(champion)
        )
    except _FAULTS as error:
        fault = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        return Uncompared(champion.number, champion.digest, fault)


def compare(
    candidate: Candidate, champion: Bundle, version: int, trained: Bundle | None = None
) -> Comparison:
    """Both on the candidate's queries and held-out products.

    Args:
        candidate: Queries, and the candidate's vectors.
        champion: A bundle.
        version: Its number.
        trained: The bundle that the champion revises: of the same models, and has vectors of what
            was removed from it since.

    Raises:
        ValueError: The candidate brings no queries, a winner is none of its held-out products, or
            vectors are missing or damaged.
    """
    if not candidate.queries or len(candidate.products) < 2:
        msg = (
            f"got {len(candidate.queries)} queries over {len(candidate.products)} held-out"
            " products, expected some and 2 at least; run `make repro` again"
        )
        raise ValueError(msg)
    ours = (candidate.queries_QD, candidate.captions_PD, candidate.images_PD)
    with _blamed("the candidate"):
        candidate_answers = answer(candidate, *ours)
    with _blamed(f"version {version}"):
        champion_answers = answer(candidate, *_Champion(champion, trained).vectors(candidate))
    return Comparison(
        version=version,
        champion=champion.digest,
        slices_Q=[query.slices for query in candidate.queries],
        candidate=candidate_answers,
        reference=champion_answers,
        concepts=compare_concepts(candidate.concepts, champion.read_concept_queries()),
    )


def compare_concepts(
    ours: Sequence[ConceptQueryRow], theirs: Sequence[ConceptQueryRow]
) -> list[OnConcepts]:
    """Both versions' recorded answers to the same queries; none where the subjects are others.

    A concept is learned from photos that no bundle carries, so a champion is not asked anew.
    """
    asked = {row["subjects_sha256"] for row in (*ours, *theirs)}
    if len(asked) != 1:
        return []
    known = {row["row_id"]: row for row in theirs if row["model"] == "kindred"}
    pairs = [
        (row, known[row["row_id"]])
        for row in ours
        if row["model"] == "kindred" and row["row_id"] in known
    ]
    found = []
    for kind, what in CONCEPTS.items():
        both = [pair for pair in pairs if pair[0]["kind"] == kind]
        if len(both) > 1:
            values = np.array([[_concept_value(row) for row in pair] for pair in both])
            subjects = [row["concepts"][0] for row, _ in both]
            found.append(OnConcepts(what, values[:, 0], values[:, 1], subjects))
    return found


def _concept_value(row: ConceptQueryRow) -> float:
    """The number of a row that counts, by its kind."""
    if row["kind"] == "captions":
        return row["recall@10"]
    return row["average_precision"] if row["kind"] == "concept_only" else 1 / row["rank"]


def answer(
    asked: Candidate, queries_QD: Vectors, captions_PD: Vectors, images_PD: Vectors
) -> Answers:
    """What a model makes of the queries, from its vectors.

    Raises:
        ValueError: A winner is no held-out product, or a score is NaN.
    """
    column = {product.product_id: at for at, product in enumerate(asked.products)}
    strays = sorted({query.winner for query in asked.queries} - column.keys())
    if strays:
        msg = f"got winners {strays[:5]} that are no held-out products; run `dvc repro evaluate`"
        raise ValueError(msg)
    target_Q = np.array([column[query.winner] for query in asked.queries])
    scores_QP = queries_QD @ images_PD.T
    attributes = [product.attributes for product in asked.products]
    admitted_QP = np.stack([admitted(query.wants, attributes) for query in asked.queries])
    rank_Q = rank_of(scores_QP, target_Q)
    captions = [product.caption for product in asked.products]
    rank_P = caption_ranks(captions_PD, images_PD, captions)
    return Answers(
        personas={
            "percentile": percentile(rank_Q, len(asked.products)),
            "within_kind_percentile": percentile(*rank_within(scores_QP, target_Q, admitted_QP)),
            "recall@10": (rank_Q <= 10).astype(np.float64),
        },
        captions={f"recall@{k}": (rank_P <= k).astype(np.float64) for k in (1, 10)},
    )


def query_vectors(version: Bundle, asked: Candidate) -> Vectors:
    """The candidate's queries as a version reads them, (Q, D)."""
    if _text_side(asked.model) == _text_side(version.folder / "model"):
        return asked.queries_QD
    return version.load_encoder().encode_texts([query.text for query in asked.queries])


def from_bundle(bundle: Bundle) -> Candidate:
    """A registered version as the candidate."""
    products = [product for product in bundle.read_products() if product.split == "test"]
    thumbnails = {product.product_id: product.thumbnail for product in products}
    held_out = [
        HeldOutProduct(p.product_id, p.caption, p.attributes, p.image_sha256) for p in products
    ]
    queries = bundle.read_queries()
    with _blamed("the candidate"):
        queries_QD, captions_PD = _text_vectors(bundle, queries, held_out)
        images_PD = bundle.read_vectors("student").rows([p.product_id for p in held_out])
    return Candidate(
        queries=queries,
        products=held_out,
        queries_QD=queries_QD,
        captions_PD=captions_PD,
        images_PD=images_PD,
        model=bundle.folder / "model",
        picture=thumbnails.__getitem__,
        concepts=bundle.read_concept_queries(),
    )


def _text_vectors(
    bundle: Bundle, queries: Sequence[HeldOutQuery], products: Sequence[HeldOutProduct]
) -> tuple[Vectors, Vectors]:
    """Vectors (Q, D) of the queries, (P, D) of the captions: as stored, or as the model reads."""
    asked, captions = bundle.read_text_vectors("queries"), bundle.read_text_vectors("captions")
    if asked is None or captions is None:
        return _read_texts(bundle.load_encoder(), queries, products)
    return (
        asked.rows([query.persona_id for query in queries]),
        captions.rows([product.product_id for product in products]),
    )


def _read_texts(
    encoder: "Encoder", queries: Sequence[HeldOutQuery], products: Sequence[HeldOutProduct]
) -> tuple[Vectors, Vectors]:
    return (
        encoder.encode_texts([query.text for query in queries]),
        encoder.encode_texts([product.caption for product in products]),
    )


class _Champion:
    """A version's model, loaded at the first thing that its stored vectors do not answer."""

    def __init__(self, bundle: Bundle, trained: Bundle | None) -> None:
        self._bundle = bundle
        self._with_vectors = [trained, bundle] if trained else [bundle]

    @cached_property
    def _encoder(self) -> "Encoder":
        return self._bundle.load_encoder()

    def vectors(self, asked: Candidate) -> tuple[Vectors, Vectors, Vectors]:
        """Vectors (Q, D) of the queries, (P, D) of the captions, (P, D) of the pictures."""
        images_PD = self._picture_vectors(asked)
        if _text_side(asked.model) == _text_side(self._bundle.folder / "model"):
            return asked.queries_QD, asked.captions_PD, images_PD
        return *_read_texts(self._encoder, asked.queries, asked.products), images_PD

    def _picture_vectors(self, asked: Candidate) -> Vectors:
        """The version's own vectors, or of the pictures of products that it does not know."""
        rows: dict[str, NDArray[np.float32]] = {}
        for bundle in self._with_vectors:
            known = {p.product_id: p.image_sha256 for p in bundle.read_products()}
            stored = bundle.read_vectors("student")
            seen = dict(zip(stored.ids, stored.vectors, strict=True))
            rows |= {
                p.product_id: seen[p.product_id]
                for p in asked.products
                if known.get(p.product_id) == p.image_sha256
            }
        missing = [p for p in asked.products if p.product_id not in rows]
        with tempfile.TemporaryDirectory(prefix="kindred.") as folder:
            paths = [Path(folder) / str(number) for number in range(len(missing))]
            for path, product in zip(paths, missing, strict=True):
                path.write_bytes(asked.picture(product.product_id))
            if missing:
                seen_MD = self._encoder.encode_files(paths)
                rows |= {p.product_id: row_D for p, row_D in zip(missing, seen_MD, strict=True)}
        return np.stack([rows[product.product_id] for product in asked.products])


@contextmanager
def _blamed(whom: str) -> Iterator[None]:
    """Say in a ValueError whose fault it is; a vector that is missing is one too."""
    try:
        yield
    except KeyError as error:
        msg = f"{whom} has no vector of {error}"
        raise ValueError(msg) from error
    except ValueError as error:
        msg = f"{whom}: {error}"
        raise ValueError(msg) from error


def _text_side(model: Path) -> dict[str, str]:
    """Digests of what reads a text: every file but the weights, and the text tower's tensors.

    Distillation leaves the text tower as it is, so that versions of one base read texts alike.
    """
    digests = {p.name: sha256_file(p) for p in model.iterdir() if p.suffix != ".safetensors"}
    for weights in model.glob("*.safetensors"):
        with safe_open(weights, framework="numpy") as tensors:
            for name in tensors.keys():  # noqa: SIM118 -- it is no mapping
                if not name.startswith("visual."):
                    digests[name] = hashlib.sha256(tensors.get_tensor(name).tobytes()).hexdigest()
    return digests
