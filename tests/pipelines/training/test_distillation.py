"""The loop: one schedule, parts that add up, states that carry over."""

import math

import numpy as np
import pytest
import torch

from pipelines.held_out.choice import Restraint
from pipelines.run.params import Distill, load_params
from pipelines.run.paths import PRODUCTS_FILE, rankings_file
from pipelines.training import cycle as training_cycle
from pipelines.training.distillation import Distillation
from pipelines.training.processes import Team
from pipelines.training.recipe import learning_rate
from pipelines.training.state import Checkpoint
from retrieval.storage.schema import PRODUCTS, RANKINGS, read_rows
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


@pytest.mark.parametrize("texts", [0.0, 2.0])
def test_the_processes_parts_of_a_step_add_up_to_it(project, texts):
    """Without any process: what two of them would do, one after the other."""
    whole = _prepare(project, accumulate=2, retention_texts=texts)
    expected, losses = _gradient(whole), whole._gradient(1)[0]
    alone = _prepare(project, accumulate=2, retention_texts=texts)

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


@pytest.mark.parametrize("train", ["map", "head"])
def test_pictures_stay_found_by_their_captions(project, train):
    """The loss of the last steps, which both runs report the same part of."""
    settings = {"train": train, "epochs": 8, "retention_weight": 1.0}
    with_term, without = (_prepare(project, **settings, retention_texts=w) for w in (1.0, 0.0))
    for training in (with_term, without):
        training.run(None)
    rows = without.preferences.draw_pictures(np.random.default_rng(0))
    shown = torch.zeros(len(rows), dtype=torch.long)

    def loss(training):
        with torch.no_grad():
            images = training.student.images(torch.from_numpy(rows), shown)
            return training.preferences.text_retention(images, rows, 0, 1).item()

    assert loss(with_term) < 0.9 * loss(without)


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
    training_cycle.save(first, "c1", Restraint(1.0, 1.0))
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


def test_the_decaying_schedule_is_constant_within_a_cycle():
    settings = _settings(schedule="decay", learning_rate=1e-6)
    rates = [learning_rate(settings, cycle, 30, share) for cycle in (0, 1, 29) for share in (0, 1)]
    expected = [1e-6, 1e-6, 0.95e-6, 0.95e-6, 1e-6 * 0.95**29, 1e-6 * 0.95**29]
    assert rates == pytest.approx(expected)


@pytest.mark.parametrize(("labels", "first"), [("all", 0), ("own", 60)])
def test_a_cycle_trains_on_all_rankings_so_far_or_on_its_own(project, labels, first):
    training_cycle.save(_prepare(project, "c1", labels=labels), "c1", Restraint(1.0, 1.0))
    preferences = _prepare(project, "c2", labels=labels).preferences
    [batch] = preferences.parts(np.arange(len(preferences)), 1)
    ids = [row["product_id"] for row in read_rows(PRODUCTS_FILE, PRODUCTS)]
    learned = [[ids[row] for row in group] for group in batch.products_U[batch.place_GK].tolist()]
    expected = [row["ranking"] for row in read_rows(rankings_file("c2"), RANKINGS)][first:]
    assert learned == expected


def test_the_first_cycle_has_no_rankings_but_its_own(project):
    both = [_prepare(project, "c1", labels=labels).preferences for labels in ("all", "own")]
    assert [len(preferences) for preferences in both] == [60, 60]


@pytest.mark.parametrize(("mirror", "expected"), [(True, {0, 1}), (False, {0})])
def test_mirrored_pictures_are_shown_only_where_asked_for(project, monkeypatch, mirror, expected):
    training = _prepare(project, train="whole", mirror=mirror)
    shown, show = set(), training.student.pictures.shown

    def spy(self, rows_U, mirrored_U):
        shown.update(mirrored_U.tolist())
        return show(rows_U, mirrored_U)

    monkeypatch.setattr(type(training.student.pictures), "shown", spy)
    training.run(None)
    assert shown == expected


def test_without_mirroring_the_captions_are_drawn_alike(project):
    plain, mirrored = (_prepare(project, mirror=mirror)._draw_views(3) for mirror in (False, True))
    assert torch.equal(plain[1], mirrored[1])
    assert not plain[0].any()
