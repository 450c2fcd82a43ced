import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from pipelines.training.caption_training import Loop, train


def _loop(**changes):
    return Loop(
        **{
            "steps": 60,
            "learning_rate": 0.05,
            "grad_clip": 1.0,
            "precision": "fp32",
            "device": "cpu",
            "label": "toy",
            **changes,
        }
    )


def _regression(seed=0):
    """A line to find: y = 2 x + 1."""
    torch.manual_seed(seed)
    layer = nn.Linear(1, 1)
    x = torch.linspace(-1, 1, 16)[:, None]
    return layer, lambda _: ((layer(x) - (2 * x + 1)) ** 2).mean()


def test_the_loss_goes_down():
    layer, loss_of_step = _regression()
    losses = train(list(layer.parameters()), loss_of_step, _loop(steps=300))
    assert len(losses) == 300
    assert losses[-1] < 0.01 * losses[0]
    assert layer.weight.item() == pytest.approx(2, abs=0.2)


def test_each_step_is_asked_for_once_in_order():
    layer, loss = _regression()
    steps = []
    train(list(layer.parameters()), lambda step: steps.append(step) or loss(step), _loop(steps=7))
    assert steps == list(range(7))


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 20])
def test_short_trainings_work_too(steps):
    layer, loss = _regression()
    assert len(train(list(layer.parameters()), loss, _loop(steps=steps))) == steps


def test_equal_starts_give_equal_losses():
    runs = []
    for _ in range(2):
        layer, loss = _regression()
        runs.append(train(list(layer.parameters()), loss, _loop()))
    assert runs[0] == runs[1]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_before_it_does_harm(value):
    layer, loss = _regression()
    before = []

    def breaks_at_3(step):
        before[:] = [parameter.detach().clone() for parameter in layer.parameters()]
        return loss(step) * value if step == 3 else loss(step)

    with pytest.raises(FloatingPointError) as error:
        train(list(layer.parameters()), breaks_at_3, _loop(learning_rate=0.03))
    message = str(error.value)
    assert f"the loss of step 3 is {value}" in message
    assert "lower the learning rate (now 0.03)" in message
    for parameter, old in zip(layer.parameters(), before, strict=True):
        assert torch.equal(parameter, old)
        assert parameter.isfinite().all()


def test_the_learning_rate_rises_and_falls_and_never_exceeds_its_peak():
    """AdamW moves a parameter by at most about the learning rate when gradients are steady."""
    weight = nn.Parameter(torch.zeros(1))
    places = []

    def slope(_):
        places.append(weight.item())
        return -weight.sum()

    train([weight], slope, _loop(steps=100, learning_rate=0.01))
    moves = [after - before for before, after in pairwise(places)]
    peak = moves.index(max(moves))
    assert 10 <= peak <= 30  # the rate peaks after 15 steps of 100, with momentum a little later
    assert max(moves) == pytest.approx(0.01, rel=0.1)
    assert moves[0] < 0.1 * max(moves)
    assert moves[-1] < 0.1 * max(moves)


def test_a_single_huge_gradient_is_clipped():
    """Clipped to norm 1, a gradient of a million weighs no more than the others do."""
    weight = nn.Parameter(torch.zeros(4))
    seen = []
    weight.register_post_accumulate_grad_hook(lambda p: seen.append(p.grad.norm().item()))
    spikes = {5: 1e6}
    quiet, loud = [], []
    for slopes, places in (({}, quiet), (spikes, loud)):
        weight.data.zero_()
        train(
            [weight],
            lambda step, slopes=slopes, places=places: (
                places.append(weight.detach().clone()) or slopes.get(step, 1.0) * weight.sum() * 0.5
            ),
            _loop(steps=12),
        )
    assert max(seen) == pytest.approx(1e6)  # it was there
    torch.testing.assert_close(torch.stack(loud), torch.stack(quiet), atol=1e-5, rtol=0)


def test_bf16_trains_in_bf16_where_matrices_are_multiplied():
    layer = nn.Linear(4, 4)
    kinds = set()

    def loss_of_step(_):
        out = layer(torch.ones(2, 4))
        kinds.add(out.dtype)
        return out.float().square().mean()

    train(list(layer.parameters()), loss_of_step, _loop(steps=3, precision="bf16"))
    assert kinds == {torch.bfloat16}
    assert layer.weight.dtype == torch.float32
