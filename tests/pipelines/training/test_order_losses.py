"""The losses on a teacher's order: arithmetic by hand, closed forms, float64 loops, gradients."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch

from pipelines.training.losses import bradley_terry, bradley_terry_sum, plackett_luce

ORDER_LOSSES = [bradley_terry, bradley_terry_sum, plackett_luce]
EVERY = pytest.mark.parametrize("loss", ORDER_LOSSES)


def _reference(loss, row, tau):
    """One group in float64, from the formulas, without torch."""
    count = len(row)
    pairs = list(combinations(range(count), 2))
    softplus = [math.log1p(math.exp(-tau * (row[i] - row[j]))) for i, j in pairs]
    if loss is bradley_terry:
        return sum(softplus) / len(pairs)
    if loss is bradley_terry_sum:
        return sum(softplus)
    return sum(
        math.log(sum(math.exp(tau * later) for later in row[i:])) - tau * row[i]
        for i in range(count)
    )


def test_bradley_terry_worked_by_hand():
    # Pairs of (1.0, 0.5, 0.0) at tau 2 have margins 1, 2, 1.
    # ln(1 + e^-1) = 0.3132617, ln(1 + e^-2) = 0.1269280; mean (2 * 0.3132617 + 0.1269280) / 3
    scores = torch.tensor([[1.0, 0.5, 0.0]])
    assert bradley_terry(scores, 2.0).tolist() == pytest.approx([0.2511505], abs=1e-6)
    assert bradley_terry_sum(scores, 2.0).tolist() == pytest.approx([0.7534514], abs=1e-6)


def test_plackett_luce_worked_by_hand():
    # The first of (ln 3, ln 2, 0) is drawn with 3/6, then the second with 2/3.
    scores = torch.tensor([[math.log(3), math.log(2), 0.0]])
    assert plackett_luce(scores, 1.0).item() == pytest.approx(-math.log(0.5 * 2 / 3), abs=1e-6)


@pytest.mark.parametrize("tau", [0.5, 1.0, 20.0])
@pytest.mark.parametrize("count", [2, 5])
def test_equal_scores_have_the_closed_form(tau, count):
    scores = torch.full((3, count), 0.42)
    pairs = list(combinations(range(count), 2))
    for loss, expected in (
        (bradley_terry, math.log(2)),
        (bradley_terry_sum, len(pairs) * math.log(2)),
        (plackett_luce, math.log(math.factorial(count))),
    ):
        assert loss(scores, tau).tolist() == pytest.approx([expected] * 3, rel=1e-6), loss.__name__


@EVERY
@pytest.mark.parametrize("shape", [(1, 2), (4, 3), (7, 5)])
def test_each_equals_a_float64_loop(loss, shape):
    scores = np.random.default_rng(sum(shape)).uniform(-1, 1, shape)
    found = loss(torch.tensor(scores, dtype=torch.float32), 3.0)
    expected = [_reference(loss, row, 3.0) for row in scores]
    assert found.tolist() == pytest.approx(expected, abs=2e-5)


@EVERY
def test_gradients_equal_finite_differences(loss):
    torch.manual_seed(0)
    scores = torch.rand(3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s: loss(s, 2.5), (scores,))


@EVERY
def test_only_differences_of_scores_count(loss):
    scores = torch.tensor([[0.3, 0.1, 0.2, -0.4]], requires_grad=True)
    moved = loss(scores + 0.25, 4.0)
    torch.testing.assert_close(moved, loss(scores, 4.0))
    moved.sum().backward()
    assert scores.grad.sum().item() == pytest.approx(0, abs=1e-5)


@EVERY
def test_groups_do_not_touch_each_other(loss):
    scores = torch.rand(5, 4, generator=torch.Generator().manual_seed(1))
    together = loss(scores, 6.0)
    alone = torch.cat([loss(row[None], 6.0) for row in scores])
    torch.testing.assert_close(together, alone)


@EVERY
def test_the_teachers_order_is_cheapest(loss):
    right = torch.tensor([[0.5, 0.0, -0.5]])
    values = [
        loss(right[:, list(order)], 2.0).item()
        for order in [(0, 1, 2), (0, 2, 1), (2, 0, 1), (2, 1, 0)]
    ]
    assert values == sorted(values)
    assert values[0] < loss(torch.zeros(1, 3), 2.0).item() < values[-1]


@EVERY
def test_the_best_is_pulled_up_and_the_worst_down(loss):
    scores = torch.tensor([[0.1, 0.2, 0.3]], requires_grad=True)
    loss(scores, 5.0).sum().backward()
    assert scores.grad[0, 0] < 0 < scores.grad[0, 2]


@EVERY
def test_extreme_margins_stay_finite(loss):
    # log(sigmoid(-2000)) is -2000, though sigmoid(-2000) is 0 in floating point.
    assert loss(torch.tensor([[-1.0, 1.0]]), 1000.0).item() == pytest.approx(2000.0)
    assert loss(torch.tensor([[1.0, -1.0]]), 1000.0).item() == 0.0


def test_with_two_candidates_plackett_luce_is_bradley_terry():
    scores = torch.rand(6, 2, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(plackett_luce(scores, 9.0), bradley_terry(scores, 9.0))


@EVERY
@pytest.mark.parametrize("shape", [(3, 1), (3, 0), (4,), (2, 3, 4)])
def test_what_is_no_group_is_refused(loss, shape):
    with pytest.raises(ValueError, match=r"got scores of shape .*expected \(groups, candidates"):
        loss(torch.zeros(shape), 1.0)
