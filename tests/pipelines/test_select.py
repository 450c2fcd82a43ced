import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from pipelines import select
from pipelines.held_out.choice import Validation
from pipelines.run.paths import (
    STUDENT_MODEL,
    cycle_metrics,
    cycle_model,
    product_vectors,
    stage_metrics,
)
from pipelines.select import best_cycle
from retrieval.storage.files import read_json, write_json
from retrieval.storage.vectors import read_vectors, write_vectors

FILE = Path(__file__).parents[2] / "params.yaml"


def _validation(score):
    return Validation(known=score, held_out=None, held_out_high=None, caption_drop=0.0)


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ({"c1": 0.5}, "c1"),
        ({"c1": 0.5, "c2": 0.7, "c3": 0.6}, "c2"),
        ({"c1": 0.7, "c2": 0.7}, "c1"),  # the earliest among equals
        ({"c1": 0.6, "c2": 0.7, "c3": 0.7}, "c2"),
        ({"c10": 0.1, "c9": 0.1}, "c10"),  # in the order of training, not of the alphabet
    ],
)
def test_the_best_cycle_is_the_one_that_validates_best(scores, best):
    assert best_cycle({cycle: _validation(score) for cycle, score in scores.items()}, 1.0) == best


def test_a_cycle_that_harms_is_not_chosen_and_where_all_do_the_first_is():
    good, forgetful = _validation(0.1), replace(_validation(0.9), caption_drop=0.05)
    assert best_cycle({"c1": forgetful, "c2": good}, 0.03) == "c2"
    assert best_cycle({"c1": forgetful, "c2": forgetful}, 0.03) == "c1"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Three trained cycles, c2 the best."""
    monkeypatch.chdir(tmp_path)
    content = yaml.safe_load(FILE.read_text())
    content["cycles"] = {f"c{number}": f"c{number - 1}" for number in (1, 2, 3)}
    Path("params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    for number, score in enumerate((0.6, 0.9, 0.8), start=1):
        cycle = f"c{number}"
        write_json(
            cycle_metrics(cycle),
            {"validation": _validation(score).to_json(), "history": [], "stopped": False},
        )
        cycle_model(cycle).mkdir(parents=True)
        (cycle_model(cycle) / "weights").write_text(cycle)
        write_vectors(product_vectors(cycle), ["p"], np.eye(3, dtype=np.float32)[number - 1 :][:1])
    return tmp_path


def test_the_best_cycles_model_and_vectors_become_the_student(project):
    STUDENT_MODEL.mkdir()
    (STUDENT_MODEL / "old").write_text("of the last run")
    select.main()
    assert {path.name: path.read_text() for path in STUDENT_MODEL.iterdir()} == {"weights": "c2"}
    assert read_vectors(product_vectors("student")).vectors.tolist() == [[0, 1, 0]]
    assert read_json(stage_metrics("select")) == {
        "cycle": "c2",
        "validation_gain": {"c1": 0.6, "c2": 0.9, "c3": 0.8},
    }
    assert cycle_model("c2").is_dir()  # copied, not moved


def test_a_cycle_that_is_not_trained_is_named(project):
    cycle_metrics("c3").unlink()
    with pytest.raises(FileNotFoundError, match=r"c3\.json"):
        select.main()
    assert not STUDENT_MODEL.exists()


def test_another_winner_replaces_the_student(project):
    select.main()
    write_json(cycle_metrics("c3"), {"validation": _validation(0.95).to_json()})
    select.main()
    assert (STUDENT_MODEL / "weights").read_text() == "c3"
    shutil.rmtree(cycle_model("c3"))
    assert (STUDENT_MODEL / "weights").read_text() == "c3"
