"""Candidate against champion with real small bundles: vectors that are the whole model."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from registry import comparison
from registry.bundle import Bundle, HeldOutQuery, open_bundle
from registry.bundle_writer import BundleSources, write_bundle
from registry.checksums import write_sums
from registry.comparison import Candidate, HeldOutProduct, compare, compare_with, from_bundle
from registry.store import CACHE
from registry.versions import Version
from retrieval.storage.schema import PRODUCTS, read_rows, write_rows
from retrieval.storage.vectors import write_vectors
from tests.registry.conftest import concept_rows
from validation.limits import RegressionLimits
from validation.retrieval_champion import Uncompared, find_regression

LIMITS = RegressionLimits()
PRODUCTS_HELD_OUT = 300
WIDTH = 16
RELATIONS = ("uncle", "aunt", "boss")


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def around(vectors: np.ndarray, noise: float, seed: int) -> np.ndarray:
    """Vectors whose cosine with those given is about 1 / sqrt(1 + noise²)."""
    drawn = np.random.default_rng(seed).normal(size=vectors.shape) / np.sqrt(vectors.shape[1])
    return unit(vectors + noise * drawn)


TRUTH = unit(np.random.default_rng(0).normal(size=(PRODUCTS_HELD_OUT, WIDTH)))
IMAGES = around(TRUTH, 0.5, seed=1)  # the champion's


@pytest.fixture(scope="module")
def champion(
    tmp_path_factory: pytest.TempPathFactory, make_sources: Callable[[Path], BundleSources]
) -> Bundle:
    """A bundle of 300 held-out products, whose vectors are `IMAGES`."""
    root = tmp_path_factory.mktemp("champion")
    sources = make_sources(root / "made")
    first = read_rows(sources.products, PRODUCTS)[0]
    ids = [f"p{number}" for number in range(PRODUCTS_HELD_OUT)]
    rows = [first | {"product_id": i, "caption": f"thing {i}", "split": "test"} for i in ids]
    write_rows(sources.products, rows, PRODUCTS)
    write_vectors(sources.student_vectors, ids, IMAGES)
    write_vectors(sources.base_vectors, ids, IMAGES)
    write_vectors(sources.caption_vectors, ids, TRUTH)
    asked = np.eye(6, WIDTH, dtype=np.float32)
    write_vectors(sources.persona_vectors, [f"u{number}" for number in range(4, 10)], asked)
    write_bundle(root / "bundle", sources)
    return open_bundle(root / "bundle")


def candidate_of(champion: Bundle, images: np.ndarray, **changes: Any) -> Candidate:
    """Everybody wants one product, of three relations in turn; captions find as personas do."""
    queries = [
        HeldOutQuery(f"u{at}", "a wish", f"p{at}", {"kind=mug": 1.0}, {"relation": relation})
        for at, relation in enumerate(RELATIONS * (PRODUCTS_HELD_OUT // 3))
    ]
    products = [
        HeldOutProduct(f"p{at}", f"thing p{at}", {"kind": ("mug", "hat")[at % 2]}, "0" * 64)
        for at in range(PRODUCTS_HELD_OUT)
    ]
    made = Candidate(
        queries=queries,
        products=products,
        queries_QD=around(TRUTH, 2.0, seed=2),
        captions_PD=around(TRUTH, 1.0, seed=3),
        images_PD=images,
        model=champion.folder / "model",
        picture=lambda _: pytest.fail("the champion knows every picture"),
    )
    return replace(made, **changes)


def worse(champion: Bundle, images: np.ndarray) -> list[str]:
    found = find_regression(compare(candidate_of(champion, images), champion, 3), LIMITS)
    assert len(found.slices) == 3
    return [drop.what for drop in found.worse]


def test_a_candidate_equal_to_the_champion_is_not_worse(champion: Bundle) -> None:
    found = compare(candidate_of(champion, IMAGES), champion, 3)
    assert (found.version, found.champion) == (3, champion.digest)
    percentiles = found.candidate.personas["percentile"]
    assert 0.7 < percentiles.mean() < 0.99  # there is something to lose and to gain
    assert np.array_equal(percentiles, found.reference.personas["percentile"])
    assert find_regression(found, LIMITS).worse == []


def test_a_shuffled_image_tower_is_worse_everywhere(champion: Bundle) -> None:
    shuffled = np.random.default_rng(0).permutation(IMAGES)
    assert set(worse(champion, shuffled)) == {
        "mean percentile",
        "percentile within the kind",
        "recall@10",
        "caption recall@1",
        "caption recall@10",
        *(f"relation={relation}" for relation in RELATIONS),
    }


def test_a_candidate_that_finds_subjects_worse_in_scenes_is_named(champion: Bundle) -> None:
    def found(**rows: Any) -> list[Any]:
        candidate = candidate_of(champion, IMAGES, concepts=concept_rows(**rows))
        regression = find_regression(compare(candidate, champion, 3), LIMITS)
        return [drop for drop in regression.overall if "conce" in drop.what or "mRR" in drop.what]

    alike = found()
    assert [(drop.what, drop.queries, drop.clusters) for drop in alike] == [
        ("concept-only mAP", 12, 12),
        ("context mRR", 24, 12),  # two scenes a subject
        ("caption recall@10 with a concept on", 12, 12),
    ]
    assert [drop.difference for drop in alike] == [0.0, 0.0, 0.0]
    assert (alike[0].candidate, alike[2].candidate) == pytest.approx((0.9, 0.99))
    assert [drop.what for drop in found(scene=2.0) if drop.is_worse] == ["context mRR"]


def test_concepts_of_other_subjects_are_not_compared(champion: Bundle) -> None:
    for concepts in (concept_rows(scene=9.0, asked="d2"), []):
        candidate = candidate_of(champion, IMAGES, concepts=concepts)
        assert compare(candidate, champion, 3).concepts == []


def test_noise_passes_in_nearly_all_trials(champion: Bundle) -> None:
    """The champion with its vectors nudged: a cosine of 0.995 with what they were."""
    blocked = sum(bool(worse(champion, around(IMAGES, 0.1, seed))) for seed in range(100, 140))
    assert blocked <= 2


def test_a_real_loss_of_a_few_points_fails(champion: Bundle) -> None:
    less = around(IMAGES, 0.7, seed=5)
    found = find_regression(compare(candidate_of(champion, less), champion, 3), LIMITS)
    (drop,) = (drop for drop in found.overall if drop.what == "mean percentile")
    assert -0.08 < drop.difference < -0.02
    assert drop.is_worse


def test_who_gains_on_average_and_loses_a_slice_is_worse_in_that_slice(champion: Bundle) -> None:
    images = TRUTH.copy()
    aunts = np.arange(PRODUCTS_HELD_OUT) % 3 == 1
    images[aunts] = around(IMAGES[aunts], 2.0, seed=6)
    found = compare(candidate_of(champion, images), champion, 3)
    regression = find_regression(found, RegressionLimits(max_caption_drop=1.0))
    (mean,) = (drop for drop in regression.overall if drop.what == "mean percentile")
    assert [drop.what for drop in regression.worse if "relation" in drop.what] == ["relation=aunt"]
    gains = found.candidate.personas["percentile"] - found.reference.personas["percentile"]
    assert gains[~aunts].mean() > 0
    assert mean.difference == pytest.approx(gains.mean(), abs=1e-9)


def test_ranks_by_hand(champion: Bundle) -> None:
    """Two products: the persona's winner is nearer by the candidate, farther by the champion."""
    ours = np.array([[1, 0], [0, 1]], dtype=np.float32)
    asked = replace(
        candidate_of(champion, ours),
        queries=[HeldOutQuery("u", "a wish", "a", {"kind": 1.0}, {})],
        products=[HeldOutProduct(name, name, {}, "") for name in "ab"],
    )
    found = comparison.answer(asked, ours[:1], ours, ours)
    assert found.personas["percentile"].tolist() == [1.0]
    assert np.isnan(found.personas["within_kind_percentile"]).all()
    turned = comparison.answer(asked, ours[:1], ours, ours[::-1])
    assert turned.personas["percentile"].tolist() == [0.0]
    assert turned.personas["recall@10"].tolist() == [1.0]
    assert turned.captions["recall@1"].tolist() == [0.0, 0.0]


def version_of(bundle: Bundle, digest: str | None = None) -> Version:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return Version("kindred", 3, digest or bundle.digest, "run", now, ("champion",), {}, {})


def fault(champion: Bundle, candidate: Candidate, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(comparison, "fetch_bundle", lambda _: champion)
    found = compare_with(version_of(champion), lambda: candidate)
    assert isinstance(found, Uncompared)
    assert (found.version, found.champion) == (3, champion.digest)
    return found.fault


def test_faults_of_the_candidate_are_called_its_own(
    champion: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = IMAGES.copy()
    broken[7] = np.nan
    asked = candidate_of(champion, broken)
    assert "the candidate: got NaN among the scores" in fault(champion, asked, monkeypatch)
    asked = candidate_of(champion, IMAGES, queries=[])
    assert "got 0 queries over 300" in fault(champion, asked, monkeypatch)
    asked = candidate_of(champion, IMAGES, queries=[HeldOutQuery("u", "", "elsewhere")])
    assert "got winners ['elsewhere']" in fault(champion, asked, monkeypatch)


def damaged(bundle: Bundle, folder: Path, vectors: np.ndarray) -> Bundle:
    """The champion with other vectors: too few, or of another width."""
    ids = [f"p{number}" for number in range(len(vectors))]
    (folder / "vectors").mkdir(parents=True)
    write_vectors(folder / "vectors" / "student.parquet", ids, vectors)
    for name in ("model", "products.parquet"):
        (folder / name).symlink_to(bundle.folder / name)
    return replace(bundle, folder=folder)


def test_faults_of_the_champion_are_called_its_own(
    champion: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = candidate_of(champion, IMAGES)
    few = damaged(champion, tmp_path / "few", IMAGES[:-1])
    assert fault(few, asked, monkeypatch) == "version 3 has no vector of 'p299'"
    narrow = damaged(champion, tmp_path / "narrow", unit(IMAGES[:, :8]))
    assert "version 3: matmul" in fault(narrow, asked, monkeypatch)


def test_a_champion_whose_model_does_not_load_is_told(
    champion: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another text tower, so that it must read the texts itself; its model is no model."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_text("another text tower")
    asked = candidate_of(champion, IMAGES, model=tmp_path / "model")
    assert "expected open_clip's form" in fault(champion, asked, monkeypatch)


def test_a_champion_with_a_changed_file_is_told(champion: Bundle, mlflow_home: Path) -> None:
    """Damaged in the cache, and not there to be fetched again."""
    digest = "d" * 64
    found = compare_with(version_of(champion, digest), lambda: candidate_of(champion, IMAGES))
    assert isinstance(found, Uncompared)
    assert "download version 3 of kindred" in found.fault
    assert not (CACHE / digest).exists()


def test_another_text_tower_reads_the_texts_itself(
    champion: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A champion of another base is no fault: it finds by its own reading."""
    read = []

    class Reader:
        def encode_texts(self, texts: list[str]) -> np.ndarray:
            read.append(texts[0])
            return np.roll(around(TRUTH, 2.0, seed=2), 1, axis=0)

    monkeypatch.setattr(Bundle, "load_encoder", lambda self, device="cpu": Reader())
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_text("another text tower")
    asked = candidate_of(champion, IMAGES, model=tmp_path / "model")
    found = compare(asked, champion, 3)
    assert read == ["a wish", "thing p0"]
    assert found.reference.personas["percentile"].mean() < 0.6


def test_a_version_as_candidate_brings_its_vectors_of_texts(
    champion: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bundle, "load_encoder", lambda *_: pytest.fail("no text is new"))
    candidate = from_bundle(champion)
    assert [query.persona_id for query in candidate.queries] == ["u4", "u7"]
    np.testing.assert_array_equal(candidate.queries_QD, np.eye(6, WIDTH)[[0, 3]])
    np.testing.assert_array_equal(candidate.captions_PD, TRUTH)
    found = compare(candidate, champion, 3)
    assert find_regression(found, LIMITS).worse == []


def test_a_version_of_format_3_reads_the_texts_anew(
    champion: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = tmp_path / "older"
    shutil.copytree(champion.folder, older)
    for name in ("queries", "captions"):
        (older / "vectors" / f"{name}.parquet").unlink()
    (older / "format_version").write_text("3\n")
    write_sums(older)

    class Reader:
        def encode_texts(self, texts: list[str]) -> np.ndarray:
            return TRUTH[: len(texts)]

    monkeypatch.setattr(Bundle, "load_encoder", lambda self, device="cpu": Reader())
    candidate = from_bundle(open_bundle(older))
    np.testing.assert_array_equal(candidate.queries_QD, TRUTH[:2])
    np.testing.assert_array_equal(candidate.captions_PD, TRUTH)
