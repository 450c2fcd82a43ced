import csv
from dataclasses import replace

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


def _trial(l2=0.1, rate=0.01, alone=0.5, scene=0.5, drop=0.0, photos=3):
    return Trial(l2, rate, photos, alone, scene, 0.1, drop)


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
            settings.l2, settings.learning_rate, found, found, 0.05 / settings.l2, photos or 3
        )


def test_the_best_finder_wins_among_those_that_keep_captions():
    greedy, good, weak = _trial(alone=0.9, drop=0.02), _trial(alone=0.8), _trial(alone=0.7)
    assert best_trial([greedy, good, weak], 0.01) is good
    assert best_trial([greedy, good, weak], 0.02) is greedy


def test_where_none_keeps_captions_the_one_that_keeps_most_wins():
    worse, better = _trial(alone=0.9, drop=0.3), _trial(alone=0.1, drop=0.2)
    assert best_trial([worse, better], 0.01) is better


@pytest.mark.parametrize(
    ("alone", "scene", "found"), [(0.4, 0.8, 0.6), (NAN, 0.8, 0.8), (0.4, NAN, 0.4)]
)
def test_what_is_not_asked_for_does_not_count(alone, scene, found):
    assert _trial(alone=alone, scene=scene).found == pytest.approx(found)


def test_lambda_is_chosen_first_and_then_the_rate():
    bench = FakeBench()
    settings, trials = choose(bench, BASE, (0.1, 0.25, 1.0), (0.01, 0.02, 0.05), 0.25)
    # 0.1 finds as well as 0.25 does, but loses half the captions.
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
        max_caption_drop=0.01, rank=2, prompts_per_photo=3, pairs=1,
    )  # fmt: skip
    bench = Bench(None, [], [], None, [], None, 1)
    assert choose_settings(bench, params) == (Settings(7, 0.02, 0.5, 0.0, 2, 3), [], [])


def test_trials_are_written_as_rows(tmp_path):
    write_trials(tmp_path / "t.csv", [_trial(l2=0.25, drop=0.003), _trial(scene=NAN)])
    with (tmp_path / "t.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["l2"], first["photos"], first["caption_drop"]) == ("0.25", "3", "0.003")
    assert second["context_mrr"] == "nan"


def test_without_trials_the_table_has_its_header(tmp_path):
    write_trials(tmp_path / "t.csv", [])
    header = "l2,learning_rate,photos,concept_only_map,context_mrr,multi_mrr,caption_drop"
    assert (tmp_path / "t.csv").read_text().splitlines() == [header]
