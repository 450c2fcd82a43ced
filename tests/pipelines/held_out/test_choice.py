"""How far a student may go: by known wishes, held-out wishes and captions of the validation."""

import numpy as np
import pytest

from pipelines.held_out.choice import Judges, Validation, best_of
from pipelines.run.paths import product_vectors
from retrieval.storage.vectors import read_vectors, write_vectors
from tests.pipelines.distill_project import make_distill_project

GOOD = Validation(known=0.1, held_out=0.02, held_out_high=0.03, caption_drop=0.0)


def _like(**changes):
    return Validation(**{**{n: getattr(GOOD, n) for n in GOOD.__dataclass_fields__}, **changes})


def test_the_score_is_the_mean_of_the_gains_that_are_known():
    assert GOOD.score == pytest.approx(0.06)
    assert _like(held_out=None, held_out_high=None).score == pytest.approx(0.1)
    assert _like(known=None).score == pytest.approx(0.02)
    assert _like(known=None, held_out=None, held_out_high=None).score == 0


@pytest.mark.parametrize(
    ("changes", "harms"),
    [
        ({}, False),
        ({"held_out": -0.02, "held_out_high": 0.01}, False),  # within a standard error
        ({"held_out": -0.02, "held_out_high": -0.001}, True),
        ({"held_out": None, "held_out_high": None}, False),  # nobody can tell
        ({"caption_drop": 0.03}, False),
        ({"caption_drop": 0.031}, True),
        ({"caption_drop": -0.2}, False),
    ],
)
def test_harm_is_a_fall_below_the_base_that_one_error_does_not_explain(changes, harms):
    assert _like(**changes).harms(0.03) == harms


def test_the_best_is_the_highest_score_that_does_no_harm():
    harmful = _like(known=0.9, held_out=-0.1, held_out_high=-0.05)
    better = _like(known=0.2)
    assert best_of([harmful, GOOD, better, better], 0.03) == 2
    assert best_of([harmful], 0.03) is None
    assert best_of([], 0.03) is None


def test_it_is_read_back_as_it_was_written():
    assert Validation.from_json(GOOD.to_json()) == GOOD


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Personas u8 and u9 wish what training knows, u10 and u11 what nobody there does."""
    monkeypatch.chdir(tmp_path)
    make_distill_project(tmp_path)
    return Judges()


def test_the_base_model_is_no_better_than_itself(project):
    base = read_vectors(product_vectors("c0")).rows(project.product_ids)
    assert project.validate(base) == Validation(0, 0, 0, 0)


def test_each_kind_of_wish_has_the_gain_of_its_own_personas(project, monkeypatch):
    base = read_vectors(product_vectors("c0")).rows(project.product_ids)
    before = project.percentiles(base)
    gains = np.array([0.1, 0.3, -0.1, -0.2])
    monkeypatch.setattr(Judges, "percentiles", lambda self, vectors: before + gains)
    found = project.validate(base)
    assert found.known == pytest.approx(0.2)
    assert found.held_out == pytest.approx(-0.15)
    # Both in one group: taken one by one, deviations of 0.05; t(1) of a level of 68.3 % is 1.84.
    assert found.held_out_high == pytest.approx(-0.15 + 1.84 * 0.05, abs=0.001)


def test_a_model_that_mixes_captions_up_drops_them(project):
    base = read_vectors(product_vectors("c0")).rows(project.product_ids)
    captions = read_vectors("data/vectors/texts/captions.parquet").rows(project.product_ids)
    write_vectors(product_vectors("c0"), project.product_ids, captions)  # a perfect base model
    perfect = Judges()
    assert perfect.validate(captions).caption_drop == 0
    assert perfect.validate(np.roll(captions, 1, axis=0)).caption_drop > 0.9
    assert perfect.validate(base).caption_drop > 0
