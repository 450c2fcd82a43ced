"""What is trained, and what becomes of the model at the end."""

import pytest
import torch

from pipelines.held_out.choice import NOTHING_LEARNED, Judges, Restraint
from pipelines.run.params import load_params
from pipelines.run.paths import PRODUCTS_FILE, cycle_model, product_vectors
from pipelines.training import cycle as training_cycle
from pipelines.training.features import frozen_features, read_pixels
from pipelines.training.image_tower import split_tower
from pipelines.training.processes import Team
from retrieval.encoder import load_encoder
from retrieval.storage.schema import PRODUCTS, read_rows
from retrieval.storage.vectors import read_vectors
from tests.pipelines.distill_project import make_distill_project, set_distill

ALONE = Team(0, 1, "cpu")
MODES = ["map", "head", "whole"]
FREE = Restraint(1.0, 1.0)


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return make_distill_project(tmp_path)


def _train(project, cycle="c1", cycles=2, restraint=FREE, **changes):
    set_distill(project, changes, cycles)
    training = training_cycle.train(load_params(), cycle, ALONE, None)
    training_cycle.save(training, cycle, restraint)
    return training


def _tensors(folder):
    return load_encoder(folder).model.state_dict()


@pytest.mark.parametrize("train", MODES)
def test_only_the_part_that_is_named_changes_and_it_learns(project, train):
    training = _train(project, train=train, epochs=12, rank=4, retention_weight=0.0)
    losses = training.curves["preference"]
    assert losses[-1] < 0.9 * losses[0]
    old, new = _tensors(project / "models/cycles/c0/model"), _tensors(cycle_model("c1"))
    assert new.keys() == old.keys()
    changed = {name for name in new if not torch.equal(new[name], old[name])}
    if train in ("map", "head"):
        assert changed == {"visual.proj"}
    else:
        assert changed == {name for name in new if name.startswith("visual.")}


@pytest.mark.parametrize("train", MODES)
def test_the_vectors_on_disk_are_those_of_the_model_on_disk(project, train):
    _train(project, cycles=1, train=train, restraint=Restraint(1.0, 0.7))
    encoder = load_encoder(cycle_model("c1"))
    products = sorted((project / "data/catalog/images").iterdir())
    vectors = encoder.encode_pixels(encoder.read_pixels(products))
    known = read_vectors(product_vectors("c1")).rows([path.stem for path in products])
    assert abs(vectors - known).max() < 1e-5
    base = load_encoder(project / "models/cycles/c0/model")
    assert abs(base.encode_pixels(base.read_pixels(products)) - known).max() > 1e-3


@pytest.mark.parametrize("train", MODES)
def test_the_next_cycle_goes_on_from_the_trained_weights(project, train):
    first = _train(project, train=train, rank=2)
    trained = {name: p.detach().clone() for name, p in first.student.trained.items()}
    rows = torch.arange(5)
    seen = first.student.images(rows, torch.zeros_like(rows)).detach()
    second, before = training_cycle.prepare(load_params(), "c2", ALONE)
    second.restore(before)
    for name, parameter in second.student.trained.items():
        torch.testing.assert_close(parameter.detach(), trained[name], msg=name)
    again = second.student.images(rows, torch.zeros_like(rows)).detach()
    torch.testing.assert_close(again, seen, atol=1e-5, rtol=0)


def test_blending_is_linear_in_the_weights(project):
    _train(project, cycles=1, train="whole")
    trained = _tensors(cycle_model("c1"))
    _train(project, cycles=1, train="whole", restraint=Restraint(1.0, 0.25))
    base, blended = _tensors(project / "models/cycles/c0/model"), _tensors(cycle_model("c1"))
    for name, tensor in blended.items():
        expected = base[name] + 0.25 * (trained[name] - base[name])
        torch.testing.assert_close(tensor, expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("train", MODES)
def test_a_student_that_learned_nothing_is_the_base_model(project, train):
    _train(project, cycles=1, train=train, restraint=NOTHING_LEARNED)
    base, blended = _tensors(project / "models/cycles/c0/model"), _tensors(cycle_model("c1"))
    assert all(torch.equal(tensor, base[name]) for name, tensor in blended.items())


def test_frozen_features_are_computed_once_for_all_cycles(project, monkeypatch):
    _train(project, train="head")
    read = []
    monkeypatch.setattr("pipelines.training.student.read_pixels", lambda *a: read.append(a))
    _train(project, cycle="c2", train="head")
    _train(project, train="map", rank=2)
    assert not read
    assert len(list((project / "var/features").iterdir())) == 1


@pytest.mark.parametrize(("part", "files"), [("proj", 1), ("conv1.weight", 2)])
def test_features_are_those_of_the_trunk(project, part, files):
    _train(project, train="head")
    encoder = load_encoder(cycle_model("c1"))
    encoder.model.visual.get_parameter(part).data.mul_(2)
    products = read_rows(PRODUCTS_FILE, PRODUCTS)
    tower = split_tower(encoder.model.visual)
    frozen_features(encoder, tower, products, lambda part: read_pixels(encoder, products[part]))
    assert len(list((project / "var/features").iterdir())) == files


@pytest.mark.parametrize("train", MODES)
def test_the_next_cycle_does_not_know_how_the_last_was_held_back(project, train):
    """A cycle's student is held back; training goes on from what was learned."""
    free = _train(project, train=train, rank=2)
    trained = {name: p.detach().clone() for name, p in free.student.trained.items()}
    _train(project, train=train, rank=2, restraint=Restraint(0.5, 0.3))
    again, before = training_cycle.prepare(load_params(), "c2", ALONE)
    again.restore(before)
    for name, parameter in again.student.trained.items():
        torch.testing.assert_close(parameter.detach(), trained[name], msg=name)


@pytest.mark.parametrize("train", MODES)
def test_held_back_it_is_what_is_then_saved_and_afterwards_free_again(project, train):
    training = _train(project, cycles=1, train=train, rank=2, restraint=Restraint(0.6, 0.5))
    saved = read_vectors(product_vectors("c1")).vectors
    training = training_cycle.train(load_params(), "c1", ALONE, None)
    free = training.student.vectors()
    with training.student.held_back(Restraint(0.6, 0.5)):
        held_back = training.student.vectors(range(48))
    assert abs(held_back - saved).max() < 1e-6
    assert abs(held_back - free).max() > 1e-4
    assert abs(training.student.vectors() - free).max() == 0


def test_the_best_pair_of_span_and_blend_is_chosen(project):
    set_distill(project, {"spans": [1.0, 0.5], "blends": [1.0, 0.5], "rank": 2}, cycles=1)
    training = training_cycle.train(load_params(), "c1", ALONE, None)
    judges = Judges()
    restraint, found = training_cycle.hold_back(training, judges)
    everything = {}
    for span in (1.0, 0.5):
        for blend in (1.0, 0.5):
            with training.student.held_back(Restraint(span, blend)):
                everything[span, blend] = judges.validate(training.student.vectors(range(36, 48)))
    assert found.known is not None
    assert found.held_out is not None
    assert found == everything[restraint.span, restraint.blend]
    assert found.score == max(one.score for one in everything.values())


def test_where_everything_harms_the_student_stays_the_base_model(project):
    set_distill(project, {"rank": 2, "retention_weight": 0.0, "epochs": 12}, cycles=1)
    training = training_cycle.train(load_params(), "c1", ALONE, None)
    training.settings = training.settings.model_copy(update={"max_caption_drop": 0.0})
    judges = Judges()
    judges._base_recalls = (2.0, 2.0)  # nothing reaches it
    assert training_cycle.hold_back(training, judges)[0] == NOTHING_LEARNED
