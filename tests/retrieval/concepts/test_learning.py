from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.func import functional_call

from retrieval.concepts import learning as concept_learning
from retrieval.concepts.concept import ConceptWarning, new_concept, place
from retrieval.concepts.learning import (
    PROMPTS,
    Settings,
    learn,
    learn_many,
    photo_concerns,
    prompts_for,
)
from retrieval.concepts.objective import concept_fit
from retrieval.concepts.queries import encode_with_concepts, finish_with
from tests.retrieval.concepts.cases import SETTINGS, learned, photos_of

FORMS = {
    "clip": {},
    "siglip-like": {"proj_bias": True, "pool_type": "last", "no_causal_mask": True},
    "coca": {"embed_cls": True},
    "inner-norm": {"scale_attn_inner": True, "scale_heads": True},
}


@pytest.fixture(scope="module", params=["minilm", *FORMS])
def tower(request, make_tower):
    return make_tower(FORMS.get(request.param))


def _reference(tower, start, photos_PD, settings):
    """The paper's method with nothing saved: the whole tower in every step, torch's Adam."""
    model = tower.encoder.model.text
    value = tower.layer.value[0]
    [(name, weight)] = [
        (name, parameter.detach())
        for name, parameter in model.named_parameters()
        if parameter.untyped_storage().data_ptr() == value.untyped_storage().data_ptr()
    ]
    above = torch.zeros(len(weight) - tower.width, tower.width)  # of query and key, where fused
    ids = tower.encoder.tokens(prompts_for(start, len(photos_PD), settings.prompts_per_photo))
    targets = torch.from_numpy(photos_PD).repeat_interleave(settings.prompts_per_photo, dim=0)
    raw_Rd, b_Rd = start.a_Rd.clone().requires_grad_(), start.b_Rd.clone().requires_grad_()
    optimizer = torch.optim.Adam([raw_Rd, b_Rd], lr=settings.learning_rate)
    losses = []
    for _ in range(settings.steps):
        unit_Rd = raw_Rd / raw_Rd.norm(dim=1, keepdim=True)
        changed = weight + torch.cat([above, b_Rd.T @ unit_Rd])
        texts = functional_call(model, {name: changed}, (ids,))
        texts = texts / texts.norm(dim=-1, keepdim=True)
        loss = concept_fit(texts, targets, b_Rd, settings.l2)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(loss.item())
    unit_Rd = (raw_Rd / raw_Rd.norm(dim=1, keepdim=True)).detach()
    return replace(start, a_Rd=unit_Rd, b_Rd=b_Rd.detach()), losses


@pytest.mark.parametrize(
    "changes",
    [{}, {"prompts_per_photo": 3}, {"learning_rate": 0.003, "l2": 2.0}],
    ids=["as-published", "several-prompts", "other-rates"],
)
def test_learning_equals_the_whole_tower_trained_by_hand(tower, changes):
    settings = replace(SETTINGS, steps=40, **changes)
    start = new_concept("my mug", "mug", "sks", tower.width)
    photos = photos_of(tower.encoder)
    got, losses = learn(tower, start, photos, settings)
    expected, expected_losses = _reference(tower, start, photos, settings)
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-5)
    assert losses[-1] < losses[0]
    queries = tower.prefix(["sks mug on a table", "a photo of sks mug"])
    one, other = (finish_with(tower, queries, [concept]) for concept in (got, expected))
    np.testing.assert_allclose(one, other, atol=1e-4)
    assert np.abs(one - finish_with(tower, queries, [])).max() > 1e-3


def test_a_higher_rank_equals_the_whole_tower_trained_by_hand(tower):
    settings = replace(SETTINGS, steps=40, rank=3)
    start = new_concept("my mug", "mug", "sks", tower.width)
    photos = photos_of(tower.encoder)
    got, losses = learn(tower, start, photos, settings)
    wide_Rd = concept_learning.directions("my mug", 3, tower.width)
    assert torch.equal(wide_Rd[:1], start.a_Rd)
    wide = replace(start, a_Rd=wide_Rd, b_Rd=torch.zeros(3, tower.width))
    _, expected_losses = _reference(tower, wide, photos, settings)
    assert got.a_Rd.shape == got.b_Rd.shape == (3, tower.width)
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-5)


def test_a_concept_does_not_depend_on_what_is_learned_beside_it(tower):
    """Other names, other nouns, more and fewer photos: padding everywhere."""
    counts = {"one": 3, "another": 1, "a third": 6, "the last": 2}
    nouns = ["mug", "spotted umbrella", "dog", "mug"]
    starts = [
        new_concept(name, noun, "sks", tower.width)
        for name, noun in zip(counts, nouns, strict=True)
    ]
    photos = [photos_of(tower.encoder, n, seed) for seed, n in enumerate(counts.values())]
    settings = replace(SETTINGS, steps=60)
    with pytest.warns(ConceptWarning, match="another: one photo"):
        together, losses_CS = learn_many(tower, starts, photos, settings)
    for number in (0, 2, 3):
        alone, losses = learn(tower, starts[number], photos[number], settings)
        np.testing.assert_allclose(losses_CS[number], losses, rtol=1e-5)
        prefix = tower.prefix([f"{alone.phrase} on a table"])
        one, other = (finish_with(tower, prefix, [c]) for c in (alone, together[number]))
        np.testing.assert_allclose(one, other, atol=1e-5)
        assert (together[number].name, together[number].noun) == (alone.name, alone.noun)


@pytest.mark.parametrize(("precision", "apart"), [("fp32", 1e-2), ("fp64", 1e-7)])
def test_concepts_learned_alone_and_together_differ_by_rounding_alone(tower, precision, apart):
    """Adam amplifies a last bit; `Settings.precision` says how far."""
    settings = replace(SETTINGS, steps=300, learning_rate=0.01, precision=precision)
    nouns = ["mug", "garden gnome", "very old small box", *["dog"] * 3]
    starts = [new_concept(f"c{n}", noun, "sks", tower.width) for n, noun in enumerate(nouns)]
    photos = [photos_of(tower.encoder, 2 + n % 5, seed=n) for n in range(len(nouns))]
    together, losses_CS = learn_many(tower, starts, photos, settings)
    alone, losses = learn(tower, starts[0], photos[0], settings)
    np.testing.assert_allclose(losses_CS[0], losses, rtol=apart)
    queries = tower.prefix([f"{alone.phrase} on a table", alone.phrase])
    one, other = (finish_with(tower, queries, [concept]) for concept in (together[0], alone))
    np.testing.assert_allclose(one, other, atol=apart)
    assert together[0].a_Rd.dtype == torch.float32
    assert together[0].base == tower.digest
    assert tower.layer.value[0].dtype == torch.float32


def test_learning_in_several_programs_is_the_same(clip_tower, monkeypatch):
    starts = [new_concept(f"c{n}", "mug", "sks", clip_tower.width) for n in range(5)]
    photos = [photos_of(clip_tower.encoder, seed=n) for n in range(5)]
    _, whole_CS = learn_many(clip_tower, starts, photos, SETTINGS)
    monkeypatch.setattr(concept_learning, "TOGETHER", 2)
    parts, parts_CS = learn_many(clip_tower, starts, photos, SETTINGS)
    np.testing.assert_allclose(parts_CS, whole_CS, rtol=1e-5)
    assert [concept.name for concept in parts] == [start.name for start in starts]


def test_a_concept_is_the_same_every_time(tower):
    first, second = (learned(tower)[0] for _ in range(2))
    assert torch.equal(first.a_Rd, second.a_Rd)
    assert torch.equal(first.b_Rd, second.b_Rd)
    other = learned(tower, "other")[0]
    assert not torch.equal(first.a_Rd, other.a_Rd)


def test_nothing_to_learn_is_nothing_learned(clip_tower):
    concepts, losses_CS = learn_many(clip_tower, [], [], SETTINGS)
    assert concepts == []
    assert losses_CS.shape == (0, SETTINGS.steps)


def test_learning_leaves_the_tower_as_it_was(tower):
    model = tower.encoder.model
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    learned(tower)
    learned(tower, precision="bf16")
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[key], before[key]) for key in before)
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_the_first_loss_is_the_towers_as_it_is(tower):
    start = new_concept("my mug", "mug", "sks", tower.width)
    photos = photos_of(tower.encoder)
    _, losses = learn(tower, start, photos, SETTINGS)
    difference = tower.encoder.encode_texts(prompts_for(start, 3, 1)) - photos
    assert losses[0] == pytest.approx(np.mean(difference.astype(np.float64) ** 2), rel=1e-5)


def test_a_learned_concept_is_nearer_to_its_photos(tower):
    concept, losses = learned(tower, steps=30)
    assert losses[-1] < 0.95 * losses[0]
    mean = photos_of(tower.encoder, seed=len("my mug")).mean(axis=0)
    text = "a photo of {my mug}"
    before = tower.encoder.encode_texts([place(text, [concept])])[0]
    after = encode_with_concepts(tower.encoder, text, [concept])
    assert after @ mean > before @ mean + 0.01
    np.testing.assert_allclose(concept.a_Rd.norm(dim=1), 1, atol=1e-6)


def test_lambda_keeps_the_update_small(clip_tower):
    free, _ = learned(clip_tower, steps=60, l2=1e-6)
    held, losses = learned(clip_tower, steps=60, l2=35.0)
    assert held.b_Rd.norm() < 0.5 * free.b_Rd.norm()
    penalty = 35.0 * held.b_Rd.square().mean().item()
    assert losses[-1] > penalty * 0.5  # it is part of what is reported


def test_a_converged_concept_stops_and_changes_no_more(clip_tower):
    starts = [new_concept(name, "mug", "sks", clip_tower.width) for name in ("one", "other")]
    photos = [photos_of(clip_tower.encoder, seed=seed, spread=0.2) for seed in (4, 5)]
    settings = replace(SETTINGS, steps=400, l2=0.01, tolerance=0.005)
    concepts, losses_CS = learn_many(clip_tower, starts, photos, settings)
    ends = [int(np.argmax(losses == losses[-1])) for losses in losses_CS]
    assert ends[0] != ends[1]  # one stops while the other goes on
    assert max(ends) < settings.steps - 1
    for number, (concept, end) in enumerate(zip(concepts, ends, strict=True)):
        assert (losses_CS[number, end:] == losses_CS[number, -1]).all()
        as_long = replace(settings, steps=end + 1, tolerance=0)
        alone, losses = learn(clip_tower, starts[number], photos[number], as_long)
        np.testing.assert_allclose(losses, losses_CS[number, : end + 1], rtol=1e-5, atol=1e-9)
        torch.testing.assert_close(concept.b_Rd, alone.b_Rd, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("precision", "apart"), [("fp32", 1e-4), ("bf16", 2e-2)])
def test_reduced_precision_learns_nearly_the_same(tower, precision, apart):
    _, exact = learned(tower, steps=60, precision="fp64")
    concept, rounded = learned(tower, steps=60, precision=precision)
    assert exact != rounded
    assert rounded[-1] == pytest.approx(exact[-1], rel=apart)
    assert concept.a_Rd.dtype == concept.b_Rd.dtype == torch.float32


def test_prompts_are_drawn_without_replacement():
    concept = new_concept("my mug", "mug", "sks", 8)
    all_of_them = {prompt.format("sks mug") for prompt in PROMPTS}
    assert len(all_of_them) == 13
    assert set(prompts_for(concept, 13, 1)) == all_of_them
    assert prompts_for(concept, 3, 1) == prompts_for(concept, 13, 1)[:3]
    several = prompts_for(concept, 2, 13)
    assert set(several[:13]) == set(several[13:]) == all_of_them
    more = prompts_for(concept, 20, 1)  # more photos than prompts: from the start again
    assert more[13:] == more[:7]
    assert prompts_for(replace(concept, name="other"), 13, 1) != prompts_for(concept, 13, 1)


def _photos(*degrees):
    turns = np.deg2rad(degrees)
    return np.stack([np.cos(turns), np.sin(turns)], axis=1).astype(np.float32)


@pytest.mark.parametrize(
    ("photos", "unrelated", "concern"),
    [
        (_photos(0, 20, 40), 0.0, None),
        (_photos(0, 60), 0.0, None),  # cosine 0.5
        (_photos(0, 60), 0.4, "mean cosine is 0.50, 0.55 or more"),  # 0.4 + 0.25 * 0.6
        (_photos(0, 10, 170), 0.0, "photo 3 resembles the others least"),
        (_photos(180, 10, 0), 0.0, "photo 1 resembles the others least"),
        (_photos(0), 0.0, "one photo only"),
    ],
)
def test_photos_that_cannot_teach_much_are_told(photos, unrelated, concern):
    concerns = photo_concerns(photos, unrelated)
    assert len(concerns) == (concern is not None)
    if concern:
        assert concern in concerns[0]


def test_concerns_are_warned_of_by_name(clip_tower):
    start = new_concept("my mug", "mug", "sks", clip_tower.width)
    photos = np.eye(clip_tower.encoder.width, dtype=np.float32)[:3]
    with pytest.warns(ConceptWarning, match="my mug: the photos show very different things"):
        learn(clip_tower, start, photos, SETTINGS)


def _refused(clip_tower, match, photos=None, noun="mug", start=None, settings=SETTINGS):
    """Nothing is learned of the other concept either."""
    start = start or new_concept("my mug", noun, "sks", clip_tower.width)
    good = photos_of(clip_tower.encoder)
    other = new_concept("other", "mug", "sks", clip_tower.width)
    with pytest.raises(ValueError, match=match):
        learn_many(clip_tower, [other, start], [good, good if photos is None else photos], settings)


def test_photos_that_teach_nothing_are_refused(clip_tower):
    width = clip_tower.encoder.width
    _refused(clip_tower, "my mug: got no photos, expected 1", np.empty((0, width), np.float32))
    _refused(clip_tower, r"shape \(2, 5\), expected finite", np.ones((2, 5), np.float32))
    _refused(clip_tower, "expected finite", np.full((2, width), np.nan, np.float32))
    with pytest.raises(ValueError, match="got 0 concepts and photos of 1"):
        learn_many(clip_tower, [], [photos_of(clip_tower.encoder)], SETTINGS)


def test_words_that_the_context_would_cut_are_refused(clip_tower):
    _refused(clip_tower, "too long for the model's context", noun="a b c d e f g h i j k l m n")


def test_a_start_of_another_form_is_refused(clip_tower):
    _refused(clip_tower, "width 32", start=new_concept("my mug", "mug", "sks", 8))
    wide = new_concept("my mug", "mug", "sks", clip_tower.width)
    wide = replace(wide, a_Rd=wide.a_Rd.repeat(2, 1), b_Rd=wide.b_Rd.repeat(2, 1))
    _refused(clip_tower, "expected rank 1 at most", start=wide)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"l2": 0.0}, r"got lambda \(l2\) 0.0, expected more than 0"),
        ({"l2": -1.0}, "lambda"),
        ({"l2": float("nan")}, "lambda"),
        ({"steps": 0}, "got steps 0, expected at least 1"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"tolerance": 1.0}, "tolerance"),
        ({"rank": 0}, "rank"),
        ({"prompts_per_photo": 14}, "got prompts_per_photo 14, expected 1 to 13"),
        ({"precision": "fp16"}, "expected fp32, fp64 or bf16"),
    ],
)
def test_settings_out_of_range_are_refused(changes, match):
    with pytest.raises(ValueError, match=match):
        Settings(**{"steps": 1, "learning_rate": 0.01, "l2": 0.1, **changes})
