from collections import Counter

import numpy as np
import pytest

from pipelines.labelling.sampling import sample_group

EDGES, SIZES = (0.7, 0.9, 0.95), (1, 1, 1, 2)
SCORES = np.arange(101.0)  # the bands are 0..69, 70..89, 90..94, 95..100


def _draw(scores=SCORES, edges=EDGES, sizes=SIZES, seed=0):
    return sample_group(np.asarray(scores), edges, sizes, np.random.default_rng(seed)).tolist()


def _bands(items):
    return [
        sum(low <= item < high for item in items)
        for low, high in ((0, 70), (70, 90), (90, 95), (95, 101))
    ]


@pytest.mark.parametrize("seed", range(20))
def test_the_published_bands_give_one_one_one_two(seed):
    assert _bands(_draw(seed=seed)) == [1, 1, 1, 2]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ((70, 0, 0, 0), range(70)),
        ((0, 20, 0, 0), range(70, 90)),
        ((0, 0, 5, 0), range(90, 95)),
        ((0, 0, 0, 6), range(95, 101)),
    ],
)
def test_a_band_holds_its_lower_edge_and_the_last_one_the_best(sizes, expected):
    assert sorted(_draw(sizes=sizes)) == list(expected)


def test_bands_are_shares_of_the_score_range_not_of_the_items():
    scores = np.concatenate([np.zeros(1000), [0.8, 0.92, 0.99, 1.0]])
    assert sorted(_draw(scores))[1:] == [1000, 1001, 1002, 1003]


@pytest.mark.parametrize(("scale", "shift"), [(0.001, 0.2), (-0.001 * -50, -3.0)])
def test_scale_and_shift_of_the_scores_do_not_matter(scale, shift):
    inside = [3, 40, 75, 80, 92, 93, 97, 99]  # away from the edges: rounding moves nobody
    scores = np.concatenate([[0.0], SCORES[inside], [100.0]])
    for seed in range(10):
        assert _draw(scores * scale + shift, seed=seed) == _draw(scores, seed=seed)


def test_single_precision_scores_are_cut_alike():
    scores = (np.random.default_rng(0).standard_normal(500) * 0.1).astype(np.float32)
    low, high = float(scores.min()), float(scores.max())
    for seed in range(10):
        place = (scores[_draw(scores, seed=seed)].astype(float) - low) / (high - low)
        counts = np.histogram(place, [-1e-9, 0.7, 0.9, 0.95, 1 + 1e-6])[0]
        assert counts.tolist() == [1, 1, 1, 2]


@pytest.mark.parametrize(
    "scores",
    [
        np.zeros(20),  # no range at all: every picture is in the last band
        np.concatenate([np.zeros(19), [1.0]]),  # two bands are empty, one has a single item
        np.arange(5.0),  # as many as the group needs
    ],
)
def test_a_short_band_is_made_up_for_from_anywhere(scores):
    for seed in range(20):
        drawn = _draw(scores, seed=seed)
        assert len(drawn) == len(set(drawn)) == 5
        assert set(drawn) <= set(range(len(scores)))
    if scores[-1] > scores[0]:
        assert len(scores) - 1 in drawn  # the best is drawn all the same


def test_what_makes_up_for_a_short_band_comes_from_everywhere():
    scores = np.concatenate([np.linspace(0, 0.6, 10), [1.0]])
    drawn = Counter(item for seed in range(300) for item in _draw(scores, seed=seed))
    assert drawn[10] == 300
    others = [drawn[item] for item in range(10)]
    assert min(others) > 0.7 * np.mean(others)
    assert max(others) < 1.3 * np.mean(others)


def test_within_a_band_everybody_is_drawn_equally_often():
    drawn = Counter(item for seed in range(600) for item in _draw(seed=seed))
    best = [drawn[item] for item in range(95, 101)]
    assert sum(best) == 1200
    assert all(150 < count < 250 for count in best)


def test_the_best_picture_is_presented_in_every_place():
    places = Counter(int(np.argmax(SCORES[_draw(seed=seed)])) for seed in range(1000))
    assert set(places) == set(range(5))
    assert all(abs(count - 200) < 4 * np.sqrt(1000 * 0.2 * 0.8) for count in places.values())


def test_the_generator_decides():
    assert _draw(seed=1) == _draw(seed=1) != _draw(seed=2)


def test_too_few_items_are_refused():
    with pytest.raises(ValueError, match="got 4 items for groups of 5; label needs a larger"):
        _draw(np.arange(4.0))
