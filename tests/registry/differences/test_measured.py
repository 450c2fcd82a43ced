"""What is said of questions that are not as fair to one version as to the other."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from registry.bundle import Bundle, HeldOutQuery, open_bundle
from registry.comparison import Candidate, HeldOutProduct
from registry.differences.measured import measure
from registry.versions import Version

FIRST = Version("kindred", 1, "d" * 64, "run", datetime(2026, 1, 2, tzinfo=UTC), (), {}, {})
EYE = np.eye(2, 8, dtype=np.float32)


@pytest.fixture
def bundle(bundle_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    opened = open_bundle(bundle_folder)
    monkeypatch.setattr("registry.comparison.fetch_bundle", lambda version: opened)
    return opened


@pytest.fixture
def asked(bundle: Bundle) -> Candidate:
    """Two held-out personas about two products that the bundle held out too (p2 and p5)."""
    products = {product.product_id: product for product in bundle.read_products()}
    return Candidate(
        queries=[HeldOutQuery(f"q{id_}", f"for aunt {id_}", id_) for id_ in ("p2", "p5")],
        products=[
            HeldOutProduct(id_, products[id_].caption, {}, products[id_].image_sha256)
            for id_ in ("p2", "p5")
        ],
        queries_QD=EYE,
        captions_PD=EYE,
        images_PD=EYE,
        model=bundle.folder / "model",
        picture=lambda id_: b"",
    )


def notes(bundle: Bundle, asked: Candidate) -> str:
    said = measure(FIRST, bundle, bundle, asked).notes
    return " ".join(note for note in said if not note.startswith("concepts"))


def test_nothing_is_said_of_fair_questions(bundle: Bundle, asked: Candidate) -> None:
    assert notes(bundle, asked) == ""


def test_a_product_that_the_first_was_trained_on(bundle: Bundle, asked: Candidate) -> None:
    trained = replace(asked.products[0], product_id="p0")
    query = replace(asked.queries[0], winner="p0")
    leaked = replace(asked, products=[trained, asked.products[1]], queries=[query])
    leaked = replace(leaked, queries_QD=EYE[:1])
    assert notes(bundle, leaked).startswith("1 of 2 held-out products are among those that")


def test_a_wish_that_the_first_was_trained_on(bundle: Bundle, asked: Candidate) -> None:
    wish = bundle.read_wishes()[0]
    leaked = replace(asked, queries=[replace(asked.queries[0], text=wish.text), asked.queries[1]])
    assert notes(bundle, leaked).startswith("1 of 2 held-out queries are among the wishes that")


def test_what_prevents_a_comparison_is_told(bundle: Bundle, asked: Candidate) -> None:
    stray = replace(asked, queries=[replace(asked.queries[0], winner="gone")])
    assert "metrics and slices: " in notes(bundle, stray)
    assert "gone" in notes(bundle, stray)
