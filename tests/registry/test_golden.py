"""Bundles of every format since the fifth open for ever, and find what they found when made."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from registry.bundle import FORMAT_VERSION, open_bundle
from retrieval.concepts.queries import encode_with_concepts
from services.commands.offline import search_bundle
from tests.registry.golden_bundle import COLOURS, GOLDEN, answer

FOLDERS = sorted(GOLDEN.glob("format_*"))


@pytest.fixture(params=FOLDERS, ids=lambda folder: folder.name)
def golden(request, tmp_path) -> Path:
    """A copy: opening must not need to write, and shall not change what is kept."""
    shutil.copytree(request.param, tmp_path / "golden")
    return tmp_path / "golden"


def test_there_is_one_of_format_5():
    assert GOLDEN / "format_5" in FOLDERS


def test_it_finds_what_it_found(golden):
    kept = json.loads((golden / "answer.json").read_text())
    found = answer(golden / "bundle", kept["text"])
    assert found["found"] == kept["found"]
    assert found["digest"] == kept["digest"]
    np.testing.assert_allclose(found["vector"], kept["vector"], atol=1e-4)
    np.testing.assert_allclose(found["scores"], kept["scores"], atol=1e-4)
    assert kept["found"][0] == f"p{COLOURS.index('yellow')}"


def test_everything_in_it_is_read(golden):
    bundle = open_bundle(golden / "bundle")
    encoder = bundle.load_encoder()
    assert {len(bundle.read_vectors(model).ids) for model in ("student", "base")} == {8}
    assert [product.title for product in bundle.read_products(["p1"])] == ["A green mug"]
    assert len(bundle.read_queries()) == 2
    assert [wish.chosen for wish in bundle.read_wishes()] == [("p7", "p1"), ("p7", "p1")]
    assert bundle.read_teaching().identifier == "zzq"
    assert len(bundle.read_concept_queries()) == 60
    assert {name: verdict.passed for name, verdict in bundle.verdicts.items()} == {
        "labels_c1": True,
        "retrieval": True,
    }
    concept = bundle.load_concept("rex", encoder)
    plain, taught = (
        encoder.encode_texts(["a dog"]),
        encode_with_concepts(encoder, "a dog", [concept]),
    )
    assert 0.1 < float(plain[0] @ taught) < 0.9999
    hits, _ = search_bundle(bundle, "a blue mug", [], 1)
    assert [hit.product_id for hit in hits] == ["p2"]


def test_since_format_6_it_reads_pictures_as_the_base_model_does(golden):
    bundle = open_bundle(golden / "bundle")
    if not bundle.has_base_model:
        pytest.skip("it has none")
    encoder, picture = bundle.load_encoder(), Image.new("RGB", (16, 16), "red")
    (before,) = encoder.encode_images([picture])
    bundle.make_base(encoder)
    (after,) = encoder.encode_images([picture])
    assert not np.allclose(before, after, atol=1e-3)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_it_is_small(folder):
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 300_000


def test_no_format_is_newer_than_this_release():
    assert {int(folder.name.removeprefix("format_")) for folder in FOLDERS} <= set(
        range(5, int(FORMAT_VERSION) + 1)
    )
