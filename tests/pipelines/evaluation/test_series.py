import math

import numpy as np
import pytest

from pipelines.evaluation.series import (
    SLICE_TITLES,
    Bin,
    Histogram,
    drawn,
    fit_temperature,
    read_calibration,
    read_histograms,
    read_slices,
    thinned,
)
from pipelines.run.paths import CALIBRATION_FILE, CYCLES_FILE, SLICES_FILE


@pytest.fixture(autouse=True)
def _project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    SLICES_FILE.parent.mkdir()


def test_tables_that_are_not_there_are_empty_series():
    assert read_slices() == {}
    assert read_calibration() == {}
    assert read_histograms(CYCLES_FILE) == []


def test_histograms_keep_the_order_of_the_file():
    CYCLES_FILE.write_text(
        "cycle,percentile,share\nbase,0.00,0.25\nbase,0.50,0.75\nc1,0.00,0\nc1,0.50,1\n"
    )
    base, first = read_histograms(CYCLES_FILE)
    assert base == Histogram("base", (0.25, 0.75))
    assert first.name == "c1"
    assert first.top == 1.0


def test_slices_come_in_the_readers_order_and_by_gain():
    SLICES_FILE.write_text(
        "slice,value,n,clusters,base,student,gain,low,high\n"
        "own,x,3,1,,,0.5,,\n"
        "price,low,90,12,0.5,0.4,-0.1,-0.3,-0.1\n"
        "price,high,90,12,0.5,0.8,0.3,0.2,0.4\n"
        "price,nobody,0,0,,,,,\n"
        "interests,unseen,90,12,0.5,0.6,0.1,0.0,0.2\n"
    )
    slices = read_slices()
    assert list(slices) == ["interests", "price", "own"]
    assert "own" not in SLICE_TITLES
    assert [row.value for row in slices["price"]] == ["high", "low"]  # who has no gain is left out
    (own,) = slices["own"]
    assert own.base is None
    assert (own.gain, own.n, own.clusters) == (0.5, 3, 1)
    assert math.isnan(own.low)
    assert [row.is_bad_news for rows in slices.values() for row in rows] == [
        False,
        False,
        True,
        False,
    ]


def test_bins_without_pairs_are_left_out():
    CALIBRATION_FILE.write_text(
        "model,difference,share,n\n"
        "student,0.3,0.9,10\nstudent,0.1,0.6,20\nstudent,0.5,,0\nbase,0.1,0.5,4\n"
    )
    assert read_calibration() == {
        "student": [Bin(0.1, 0.6, 20), Bin(0.3, 0.9, 10)],
        "base": [Bin(0.1, 0.5, 4)],
    }


def test_bins_of_few_pairs_are_drawn_only_where_there_are_no_others():
    small, large = Bin(0.3, 1.0, 2), Bin(0.1, 0.6, 20)
    assert drawn([large, small]) == [large]
    assert drawn([small]) == [small]


@pytest.mark.parametrize(
    ("share", "n", "expected"),
    [
        (0.5, 100, (0.4038, 0.5962)),  # Brown, Cai and DasGupta (2001)
        (0.0, 10, (0.0, 0.2775)),
        (1.0, 10, (0.7225, 1.0)),
    ],
)
def test_wilson_intervals(share, n, expected):
    assert Bin(0.1, share, n).interval() == pytest.approx(expected, abs=1e-4)


def test_the_temperature_that_made_the_shares_is_found():
    bins = [Bin(d, 1 / (1 + math.exp(-12.5 * d)), 100) for d in (0.02, 0.1, 0.2, 0.4)]
    assert fit_temperature(bins) == pytest.approx(12.5, rel=1e-9)


def test_the_temperature_is_the_most_likely_one():
    bins = [Bin(0.1, 0.7, 30), Bin(0.3, 0.8, 10), Bin(0.2, 0.5, 20)]

    def loss(tau):
        p = 1 / (1 + np.exp(-tau * np.array([each.difference for each in bins])))
        share = np.array([each.share for each in bins])
        n = np.array([each.n for each in bins])
        return -(n * (share * np.log(p) + (1 - share) * np.log(1 - p))).sum()

    tau = fit_temperature(bins)
    grid = np.linspace(0.01, 40, 4000)
    assert tau == pytest.approx(grid[np.argmin([loss(each) for each in grid])], abs=0.02)


@pytest.mark.parametrize(
    "bins",
    [
        [],
        [Bin(0.1, 0.5, 10)],
        [Bin(0.1, 0.2, 10), Bin(0.3, 0.6, 10)],
        [Bin(0.1, 1.0, 10), Bin(0.2, 1.0, 3)],
    ],
)
def test_no_temperature_fits_a_coin_a_reversal_or_certainty(bins):
    assert fit_temperature(bins) is None


def test_a_long_sequence_keeps_its_ends():
    cycles = [Histogram(f"c{number}", (1.0,)) for number in range(31)]
    kept = [each.name for each in thinned(cycles)]
    assert kept == ["c0", "c6", "c12", "c18", "c24", "c30"]
    assert thinned(cycles[:3]) == cycles[:3]
