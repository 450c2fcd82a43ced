import math

import numpy as np
import pytest

from pipelines.evaluation import groups as evaluate_groups
from pipelines.evaluation.groups import BINS, calibrate, read_groups, taus
from pipelines.held_out.winners import HeldOut
from retrieval.storage.schema import RANKINGS, write_rows


def _order(*columns):
    return np.array(columns, dtype=np.intp)


def test_groups_are_read_as_columns_in_the_teachers_order(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate_groups, "HELD_OUT_GROUPS_FILE", tmp_path / "g.parquet")
    orders = [("b", "z x y"), ("a", ""), ("b", "y z"), ("stranger", "x y")]
    rows = [
        dict.fromkeys(RANKINGS.names, "")
        | {"persona_id": persona, "presented": ["x", "y", "z"], "ranking": order.split()}
        for persona, order in orders
    ]
    write_rows(tmp_path / "g.parquet", rows, RANKINGS)
    people = [{"persona_id": "a"}, {"persona_id": "b"}]
    products = [{"product_id": product} for product in "xyz"]
    of_a, of_b = read_groups(HeldOut(people, products, _order(0, 0)))
    assert of_a == []  # the teacher gave no label
    assert [group.tolist() for group in of_b] == [[2, 0, 1], [1, 2]]


def test_tau_is_a_mean_over_a_persona_s_groups():
    scores_QC = np.array([[0.9, 0.5, 0.1], [0.9, 0.5, 0.1], [0.5, 0.5, 0.5], [0, 0, 0]])
    groups_Q = [
        [_order(0, 1, 2), _order(2, 1)],  # 1 and -1
        [_order(1, 0, 2)],  # two of three pairs right
        [_order(0, 1, 2)],  # all equal: no order to compare
        [],
    ]
    np.testing.assert_allclose(taus(groups_Q, scores_QC), [0, 1 / 3, math.nan, math.nan])
    assert np.isnan(taus((), scores_QC)).all()


def test_a_group_of_equal_scores_does_not_count_against_the_others():
    scores_QC = np.array([[0.5, 0.5, 0.1]])
    assert taus([[_order(0, 1), _order(0, 2)]], scores_QC).tolist() == [1.0]


def test_calibration_by_hand():
    # Preferred minus other: 0.4, 0.8, 0.4; -0.4; and none, which is left out.
    scores_QC = np.array([[0.9, 0.5, 0.1], [0.1, 0.5, 0.5]])
    groups_Q = [[_order(0, 1, 2)], [_order(0, 1), _order(1, 2)]]
    rows = calibrate(groups_Q, {"student": scores_QC})
    assert [row["model"] for row in rows] == ["student"] * 4
    assert [row["difference"] for row in rows] == pytest.approx([0.4, 0.4, 0.4, 0.8])
    assert sorted(row["share"] for row in rows[:3]) == [0, 1, 1]
    assert rows[3]["share"] == 1
    assert sum(row["n"] for row in rows) == 4


def test_a_teacher_that_follows_the_scores_is_found_calibrated():
    """P(a before b) = sigma(5 (s_a - s_b)): the share in each bin is that of its difference."""
    rng = np.random.default_rng(0)
    scores_QC = rng.normal(0, 0.3, (6000, 2))
    sure_Q = 1 / (1 + np.exp(-5 * (scores_QC[:, 0] - scores_QC[:, 1])))
    first_Q = rng.random(6000) < sure_Q
    groups_Q = [[_order(0, 1) if first else _order(1, 0)] for first in first_Q]
    rows = calibrate(groups_Q, {"m": scores_QC})
    assert len(rows) == BINS
    assert {row["n"] for row in rows} == {600}
    for row in rows:
        expected = 1 / (1 + math.exp(-5 * row["difference"]))
        assert row["share"] == pytest.approx(expected, abs=0.08)  # a share of 600 spreads by 0.02
    differences = [row["difference"] for row in rows]
    assert differences == sorted(differences)


def test_without_groups_there_is_nothing_to_calibrate():
    assert calibrate((), {"m": np.zeros((2, 3))}) == []
    assert calibrate([[], []], {"m": np.zeros((2, 3))}) == []
    assert calibrate([[_order(0, 1)]], {"m": np.zeros((1, 3))}) == []
