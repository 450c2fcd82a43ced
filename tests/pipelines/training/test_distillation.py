"""The loop: one schedule, parts that add up, states that carry over."""

import math

import pytest
import torch

from pipelines.run.params import Distill, load_params
from pipelines.training import cycle as training_cycle
from pipelines.training.distillation import Distillation
from pipelines.training.processes import Team
from pipelines.training.recipe import learning_rate, resolve_recipe
from pipelines.training.state import Checkpoint
from tests.pipelines.distill_project import ROOT, make_distill_project, set_distill

ALONE = Team(0, 1, "cpu")


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return make_distill_project(tmp_path)


def _prepare(project, cycle="c1", team=ALONE, **changes) -> Distillation:
    set_distill(project, changes)
    return training_cycle.prepare(load_params(), cycle, team)[0]


def _gradient(training, step=0):
    training._gradient(step)
    return {name: p.grad.clone() for name, p in training.student.trained.items()}


@pytest.mark.parametrize("parts", [2, 3, 16, 100])
@pytest.mark.parametrize("train", ["map", "head", "whole"])
def test_an_accumulated_gradient_is_the_large_batchs(project, parts, train):
    settings = {"train": train, "retention_weight": 0.5}
    whole = _gradient(_prepare(project, **settings))
    summed = _gradient(_prepare(project, **settings, accumulate=parts))
    for name, gradient in whole.items():
        assert (gradient - summed[name]).abs().max() < 1e-6 * max(1, gradient.abs().max()), name


def test_the_processes_parts_of_a_step_add_up_to_it(project):
    """Without any process: what two of them would do, one after the other."""
    whole = _prepare(project, accumulate=2)
    expected, losses = _gradient(whole), whole._gradient(1)[0]
    alone = _prepare(project, accumulate=2)

    class Pretended(Team):
        def add_up(self, tensors):
            """Nobody to add."""

    total, sums = {}, torch.zeros(2)
    for rank in range(2):
        alone.team = Pretended(rank, 2, "cpu")
        for parameter in alone.student.trained.values():
            parameter.grad = None
        for name, gradient in _gradient(alone).items():
            total[name] = total.get(name, 0) + gradient
        sums = sums + alone._gradient(1)[0]
    for name, gradient in expected.items():
        torch.testing.assert_close(total[name], gradient, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(sums, losses)


def test_a_process_with_nothing_to_do_adds_nothing(project):
    training = _prepare(project, batch_groups=1)
    training.team = Team(1, 1, "cpu")  # the second of two, and one group a step
    losses, pictures = training._gradient(0)
    assert losses.tolist() == [0, 0]
    assert pictures == 0


def test_a_resumed_run_ends_as_an_unbroken_one(project):
    settings = {"epochs": 4}
    unbroken = _prepare(project, **settings)
    unbroken.run(None)
    broken = _prepare(project, **settings)
    for step in range(7):
        broken.step(step)
    with Checkpoint("distill@c1", "d" * 64) as checkpoint:
        checkpoint.write(broken.state())
        resumed = _prepare(project, **settings)
        resumed.restore(checkpoint.read())
        resumed.run(checkpoint)
    for name, parameter in unbroken.student.trained.items():
        assert torch.equal(parameter, resumed.student.trained[name])
    for name in ("preference", "retention", "learning_rate", "grad_norm"):
        assert unbroken.curves[name] == resumed.curves[name]
    assert len(unbroken.curves["preference"]) == 4 * 60 // 16


def test_the_optimiser_and_the_schedule_go_on_in_the_next_cycle(project):
    set_distill(project, {"epochs": 2})
    params = load_params()
    first = training_cycle.train(params, "c1", ALONE, None)
    training_cycle.save(first, "c1")
    second, before = training_cycle.prepare(params, "c2", ALONE)
    second.restore(before)
    name = next(iter(second.student.trained))
    assert torch.equal(second.student.trained[name], first.student.trained[name])
    taken = second.state()["optimizer"]["state"][0]["step"].item()
    assert taken == len(first.plan)
    assert second.curves["preference"] == []
    second.run(None)
    rates = first.curves["learning_rate"] + second.curves["learning_rate"]
    peak = rates.index(max(rates))
    assert rates[:peak] == sorted(rates[:peak])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert peak < len(first.plan)


def test_a_loss_that_is_not_finite_stops_the_run(project):
    training = _prepare(project)
    next(iter(training.student.trained.values())).data.fill_(math.nan)
    with pytest.raises(FloatingPointError, match="the loss of step 0 is nan; lower the learning"):
        training.run(None)


def _settings(**changes) -> Distill:
    content = load_params(ROOT / "params.yaml").distill.model_dump()
    return Distill.model_validate({**content, "learning_rate": 1.0, **changes})


def test_the_schedule_by_hand():
    """Two cycles. Progress 0, 0.075 (half way up), 0.15 (the peak), 0.575 (half way down)."""
    settings = _settings(schedule="one-cycle")
    for cycle, share, expected in [(0, 0, 0.04), (0, 0.15, 0.52), (0, 0.3, 1.0), (1, 0.15, 0.5)]:
        assert learning_rate(settings, cycle, 2, share) == pytest.approx(expected)
    assert learning_rate(settings, 1, 2, 1 - 1e-9) == pytest.approx(0, abs=1e-9)


def test_the_schedule_has_no_step_between_cycles():
    settings = _settings(schedule="one-cycle")
    end, start = learning_rate(settings, 1, 4, 1 - 1e-9), learning_rate(settings, 2, 4, 0)
    assert end == pytest.approx(start)


def test_the_published_recipe_is_the_papers():
    published = resolve_recipe(_settings(recipe="published", train="head", temperature=50.0))
    assert published.train == "whole"
    assert (published.loss, published.temperature) == ("bradley-terry-sum", 1.0)
    assert published.retention_weight == 0.0
    assert published.grad_clip == 1.0
    assert (published.epochs, published.blend) == (1, 1.0)
    rates = [learning_rate(published, cycle, 30, share) for cycle in (0, 1, 29) for share in (0, 1)]
    expected = [1e-6, 1e-6, 0.95e-6, 0.95e-6, 1e-6 * 0.95**29, 1e-6 * 0.95**29]
    assert rates == pytest.approx(expected)


def test_the_default_recipe_is_what_the_file_says():
    settings = _settings(temperature=50.0, train="whole")
    assert resolve_recipe(settings) == settings
