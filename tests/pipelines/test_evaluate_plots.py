import csv

import numpy as np
import pytest
from PIL import Image

from pipelines.evaluate_plots import (
    BINS,
    CALIBRATION,
    CYCLES,
    PERCENTILES,
    PICTURES,
    SLICES,
    draw_plots,
    write_percentiles,
)
from pipelines.evaluate_series import PERCENTILES_TABLE
from pipelines.paths import CALIBRATION_FILE, CYCLES_FILE, SLICES_FILE

WINNERS = {
    "student": [1.0, 1.0, 0.99, 0.2],
    "base": [0.9, 0.97, 1.0, 0.7],
    "random": [0.0, 0.5, 1.0, 0.25],
}
BLUE, GREEN, BLACK = (0x5B, 0x8D, 0xB8), (0x1B, 0x7F, 0x5C), (0x3D, 0x3D, 0x3D)


@pytest.fixture(autouse=True)
def _project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def _pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def _area(path, color):
    return int((_pixels(path) == color).all(axis=-1).sum())


def test_the_table_of_percentiles_holds_shares():
    write_percentiles(WINNERS)
    rows = list(csv.DictReader(PERCENTILES_TABLE.open(newline="")))
    assert len(rows) == len(WINNERS) * BINS
    assert list(dict.fromkeys(row["model"] for row in rows)) == ["random", "base", "student"]
    for model in WINNERS:
        shares = [float(row["share"]) for row in rows if row["model"] == model]
        assert sum(shares) == pytest.approx(1)
    top = {row["model"]: float(row["share"]) for row in rows if row["percentile"] == "0.95"}
    assert top == {"random": 0.25, "base": 0.5, "student": 0.75}  # the last bin holds 1


def test_a_model_without_personas_has_no_rows():
    write_percentiles({"base": [], "student": [0.5]})
    assert {row["model"] for row in csv.DictReader(PERCENTILES_TABLE.open(newline=""))} == {
        "student"
    }


def test_the_picture_of_percentiles_has_bars_of_the_models_that_are_there():
    write_percentiles(WINNERS)
    draw_plots()
    assert _area(PERCENTILES, BLUE) > 500
    assert _area(PERCENTILES, GREEN) > 500
    assert _area(PERCENTILES, BLACK) == 0  # the ceiling


def test_a_higher_share_is_a_taller_bar():
    write_percentiles({"base": [0.99] * 9 + [0.1], "student": [0.99] * 5 + [0.1] * 5})
    draw_plots()
    assert _area(PERCENTILES, BLUE) > 0
    tall, short = (
        max((_pixels(PERCENTILES) == color).all(axis=-1).sum(axis=0)) for color in (BLUE, GREEN)
    )
    assert tall / short == pytest.approx(9 / 5, rel=0.1)


def test_the_same_numbers_give_the_same_picture():
    write_percentiles(WINNERS)
    draw_plots()
    first = PERCENTILES.read_bytes()
    write_percentiles(dict(reversed(WINNERS.items())))
    draw_plots()
    assert PERCENTILES.read_bytes() == first


def test_a_plot_without_data_says_so_and_replaces_an_earlier_one():
    """DVC fails a stage whose plot is not there."""
    write_percentiles(WINNERS)
    draw_plots()
    full = _pixels(PERCENTILES).shape
    write_percentiles({})
    draw_plots()
    for path in PICTURES:
        assert _pixels(path).shape[0] < full[0]
        assert _area(path, (255, 255, 255)) < _pixels(path)[..., 0].size  # some words
        assert _area(path, BLUE) == _area(path, GREEN) == 0


def test_a_picture_a_table():
    CYCLES_FILE.parent.mkdir(parents=True, exist_ok=True)
    CYCLES_FILE.write_text("cycle,percentile,share\nbase,0,0.5\nbase,0.5,0.5\nc1,0,0.1\nc1,0.5,0.9")
    SLICES_FILE.write_text(
        "slice,value,n,base,student,gain,low,high\nprice,low,9,0.5,0.6,0.1,-0.1,0.3\n"
        "price,high,1,0.5,0.6,0.1,,\n"
    )
    CALIBRATION_FILE.write_text(
        "model,difference,share,n\nbase,0.1,0.5,40\nstudent,0.1,0.6,40\nstudent,0.2,0.9,20\n"
    )
    draw_plots()
    assert _area(CYCLES, BLUE) > 500
    assert _area(CYCLES, GREEN) > 500
    assert _area(SLICES, GREEN) > 20
    assert _area(CALIBRATION, GREEN) > 20
    assert _area(CALIBRATION, BLUE) > 0  # rings, not discs
