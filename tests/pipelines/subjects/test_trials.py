import csv
from dataclasses import replace

import numpy as np
import pytest

from pipelines.run.params import Concepts
from pipelines.subjects.trials import (
    Bench,
    Trial,
    best_trial,
    choose,
    choose_settings,
    over_photos,
    write_trials,
)
from retrieval.concepts.learning import Settings

BASE = Settings(10, 0.01, 0.35)
NAN = float("nan")


def _trial(l2=0.1, rate=0.01, alone=0.5, scene=0.5, captions=1.0, photos=3):
    return Trial(l2, rate, photos, alone, scene, 0.1, captions)


class FakeBench:
    """Finds best at one lambda and one rate; a small lambda costs captions."""

    lessons = (type("L", (), {"photos": (1, 2, 3)}),)

    def __init__(self):
        self.asked = []

    def try_out(self, settings, photos=None):
        self.asked.append((settings.l2, settings.learning_rate))
        rate = 0.1 if settings.learning_rate == 0.02 else 0.0
        found = 1 - abs(settings.l2 - 0.2) + rate
        return _trial(
            settings.l2, settings.learning_rate, found, found, 1 - 0.05 / settings.l2, photos or 3
        )


def test_a_point_of_captions_counts_as_much_as_one_of_finding():
    keeps, finds = _trial(alone=0.8, scene=0.9), _trial(alone=0.84, scene=0.9, captions=0.97)
    assert best_trial([keeps, finds]) is finds
    forgets = replace(finds, caption_recall=0.95)
    assert best_trial([keeps, forgets]) is keeps


def test_what_hardly_differs_hardly_matters():
    """No cliff: whatever moves by so little, the choice is worse by no more than that."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        table = rng.uniform(0.5, 1.0, (6, 3))
        moved = np.clip(table + rng.uniform(-0.001, 0.001, table.shape), 0, 1)
        before, after = (
            [_trial(l2=number, alone=a, scene=s, captions=c) for number, (a, s, c) in enumerate(t)]
            for t in (table, moved)
        )
        chosen = before[int(best_trial(after).l2)]
        assert best_trial(before).score - chosen.score <= 0.002


def test_the_first_of_equals_is_chosen():
    one, other = _trial(l2=0.5), _trial(l2=0.1)
    assert best_trial([one, other]) is one


@pytest.mark.parametrize(
    ("alone", "scene", "score"), [(0.4, 0.8, 0.7), (NAN, 0.8, 0.85), (0.4, NAN, 0.65)]
)
def test_what_is_not_asked_for_does_not_count(alone, scene, score):
    assert _trial(alone=alone, scene=scene, captions=0.9).score == pytest.approx(score)


def test_lambda_is_chosen_first_and_then_the_rate():
    bench = FakeBench()
    settings, trials = choose(bench, BASE, (0.1, 0.25, 1.0), (0.01, 0.02, 0.05))
    # 0.1 finds nearly as well as 0.25 does, but loses half the captions.
    assert (settings.l2, settings.learning_rate) == (0.25, 0.02)
    assert settings == replace(BASE, l2=0.25, learning_rate=0.02)
    expected = [(0.1, 0.01), (0.25, 0.01), (1.0, 0.01), (0.25, 0.02), (0.25, 0.05)]
    assert bench.asked == expected
    assert [(trial.l2, trial.learning_rate) for trial in trials] == expected


def test_over_photos_takes_one_more_each_time():
    bench, full = FakeBench(), _trial(l2=0.35)
    trials = over_photos(bench, BASE, [_trial(l2=0.1), full])
    assert [trial.photos for trial in trials] == [1, 2, 3]
    assert trials[-1] is full
    assert bench.asked == [(0.35, 0.01)] * 2


def test_without_validation_subjects_the_first_of_each_list_is_taken():
    params = Concepts(
        identifier="sks", steps=7, tolerance=0.0, l2=(0.5, 0.1), learning_rate=(0.02, 0.01),
        rank=2, prompts_per_photo=3, pairs=1,
    )  # fmt: skip
    bench = Bench(None, [], [], None, [], None, 1)
    assert choose_settings(bench, params) == (Settings(7, 0.02, 0.5, 0.0, 2, 3), [], [])


def test_trials_are_written_as_rows(tmp_path):
    write_trials(tmp_path / "t.csv", [_trial(l2=0.25, captions=0.997), _trial(scene=NAN)])
    with (tmp_path / "t.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["l2"], first["photos"], first["caption_recall"]) == ("0.25", "3", "0.997")
    assert second["context_mrr"] == "nan"


def test_without_trials_the_table_has_its_header(tmp_path):
    write_trials(tmp_path / "t.csv", [])
    header = "l2,learning_rate,photos,concept_only_map,context_mrr,multi_mrr,caption_recall"
    assert (tmp_path / "t.csv").read_text().splitlines() == [header]
