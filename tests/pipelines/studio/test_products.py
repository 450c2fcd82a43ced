import re
from collections import Counter

import numpy as np
import pytest

from pipelines.studio.products import MOTIF_SHARE, plan_products, plan_sets, title
from pipelines.studio.render import default_accent
from pipelines.studio.vocabulary import COLORS, KINDS, MOTIFS, PATTERNS, SCENES, caption

COUNT = 2400


@pytest.fixture(scope="module")
def plan():
    return plan_products(COUNT, seed=0)


@pytest.mark.parametrize("count", [1, 49, 50, 51, 777, 2400])
def test_kinds_come_up_equally_often_to_within_one(count):
    kinds = Counter(row["attributes"]["kind"] for row, _ in plan_products(count, seed=1))
    numbers = [kinds[kind.noun] for kind in KINDS]
    assert sum(numbers) == count
    assert max(numbers) - min(numbers) <= 1


@pytest.mark.parametrize(
    ("attribute", "words"), [("color", COLORS), ("pattern", PATTERNS), ("scene", SCENES)]
)
def test_every_word_is_used_about_as_often_as_the_others(plan, attribute, words):
    counts = Counter(row["attributes"][attribute] for row, _ in plan)
    share = 1 / len(words)
    spread = 4 * np.sqrt(COUNT * share * (1 - share))
    assert set(counts) == set(words)
    assert all(abs(count - COUNT * share) < spread for count in counts.values())


def test_motifs_are_on_the_share_that_is_stated(plan):
    counts = Counter(row["attributes"]["motif"] for row, _ in plan)
    assert set(counts) == set(MOTIFS)
    assert 1 - counts["none"] / COUNT == pytest.approx(MOTIF_SHARE, abs=0.04)


def test_a_kind_comes_in_many_colors_and_scenes(plan):
    """48 of each kind: nine words of ten, seven of eight, are all but sure to come up."""
    for kind in KINDS:
        own = [row["attributes"] for row, _ in plan if row["attributes"]["kind"] == kind.noun]
        assert len({words["color"] for words in own}) >= len(COLORS) - 1
        assert len({words["scene"] for words in own}) >= len(SCENES) - 1


def test_the_table_says_what_the_picture_shows(plan):
    kinds = {kind.noun: kind for kind in KINDS}
    for row, picture in plan:
        words = row["attributes"]
        [look] = picture.looks
        shown = {"kind": look.kind, "color": look.color, "pattern": look.pattern}
        assert {**shown, "motif": look.motif, "scene": picture.scene} == words
        assert look.accent == default_accent(look.color)
        assert row["caption"] == caption(**words)
        assert row["category"] == kinds[words["kind"]].category


def test_prices_are_near_the_kinds_usual_one(plan):
    usual = {kind.noun: kind.price for kind in KINDS}
    logs = np.array([np.log(row["price"] / usual[row["attributes"]["kind"]]) for row, _ in plan])
    assert logs.mean() == pytest.approx(0, abs=0.02)
    assert logs.std() == pytest.approx(0.25, abs=0.02)
    assert all(row["price"] > 0 and round(row["price"], 2) == row["price"] for row, _ in plan)


def test_ids_are_different_and_pictures_too(plan):
    assert len({row["product_id"] for row, _ in plan}) == COUNT
    assert len({picture for _, picture in plan}) == COUNT


def test_a_catalogue_follows_from_its_seed():
    assert plan_products(60, seed=3) == plan_products(60, seed=3)
    assert plan_products(60, seed=3) != plan_products(60, seed=4)


def test_kinds_do_not_come_in_the_order_of_the_vocabulary(plan):
    first = [row["attributes"]["kind"] for row, _ in plan[: len(KINDS)]]
    assert first != [kind.noun for kind in KINDS]


def test_there_are_no_products_in_an_empty_catalogue():
    assert plan_products(0, seed=0) == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("mug", "blue", "striped", "star"), "Blue striped mug, star"),
        (("mug", "blue", "plain", "star"), "Blue mug, star"),
        (("tote bag", "orange", "plain", "none"), "Orange tote bag"),
        (("t-shirt", "red", "polka-dot", "none"), "Red polka-dot t-shirt"),
    ],
)
def test_titles(words, expected):
    assert title(*words) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("mug", "blue", "striped", "star", "beach"),
         "a blue striped mug with a star on a sandy beach"),
        (("mug", "orange", "plain", "none", "snow"), "an orange mug in the snow"),
        (("vase", "red", "plain", "anchor", "night"),
         "a red vase with an anchor under a starry night sky"),
        (("tent", "white", "zigzag", "none", "studio"), "a white zigzag tent on a plain backdrop"),
    ],
)  # fmt: skip
def test_captions(words, expected):
    assert caption(*words) == expected


def test_every_caption_is_grammatical(plan):
    colors, kinds = "|".join(COLORS), "|".join(kind.noun for kind in KINDS)
    patterns, motifs = "|".join(PATTERNS[1:]), "|".join(MOTIFS[1:])
    form = re.compile(
        rf"(an?) ({colors}) (?:(?:{patterns}) )?(?:{kinds})(?: with (an?) ({motifs}))?"
        rf" (?:{'|'.join(SCENES.values())})"
    )
    for row, _ in plan:
        match = form.fullmatch(row["caption"])
        assert match, row["caption"]
        for article, word in (match.group(1, 2), match.group(3, 4)):
            assert word is None or article == ("an" if word[0] in "aeiou" else "a")


def test_captions_tell_apart_whatever_differs_in_words():
    words = [
        (kind.noun, color, pattern, motif, scene)
        for kind in KINDS[:3]
        for color in COLORS
        for pattern in PATTERNS
        for motif in MOTIFS
        for scene in SCENES
    ]
    assert len({caption(*word) for word in words}) == len(words)


def test_a_set_is_two_things_of_different_kinds_and_its_caption_says_both():
    for row, picture in plan_sets(60, seed=0):
        one, other = picture.looks
        assert one.kind != other.kind
        assert row["split"] == "base"
        assert row["caption"].endswith(SCENES[picture.scene])
        said = row["caption"].removesuffix(SCENES[picture.scene])
        before, _, after = said.partition(" and ")
        for look, said in ((one, before), (other, after)):
            assert f"{look.color} " in said
            assert look.kind in said
            assert (look.pattern in said) == (look.pattern != "plain")
            assert (f" {look.motif}" in said) == (look.motif != "none")


def test_sets_follow_from_their_seed_and_have_ids_of_their_own():
    assert plan_sets(20, seed=3) == plan_sets(20, seed=3)
    assert plan_sets(20, seed=3) != plan_sets(20, seed=4)
    ids = {row["product_id"] for row, _ in (*plan_sets(20, seed=3), *plan_products(20, seed=3))}
    assert len(ids) == 40
