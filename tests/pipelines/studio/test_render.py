import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from pipelines.studio import render as module
from pipelines.studio.render import Look, compose, default_accent, render
from pipelines.studio.vocabulary import COLORS, KINDS, MOTIFS, PATTERNS, SCENES

NOUNS = [kind.noun for kind in KINDS]
ARTWORK = Path(module.__file__).parent / "artwork"
SMALL = 64  # the side of a thumbnail: what cannot be seen there does not count


def look(kind="mug", color="blue", pattern="plain", motif="none", accent="white"):
    return Look(kind, color, pattern, motif, accent)


@cache
def pixels(looks: Sequence[Look], scene="studio", seed=5, side=SMALL) -> npt.NDArray[np.float64]:
    image = Image.open(io.BytesIO(render(looks, scene, seed, side)))
    return np.asarray(image, dtype=np.float64)


def changed(one, other, threshold=24):
    """Share of the pixels where two pictures differ clearly."""
    return float((np.abs(one - other).max(axis=2) > threshold).mean())


def stems(folder):
    return {path.stem for path in (ARTWORK / folder).iterdir()}


def test_equal_arguments_give_equal_bytes():
    looks = [look(pattern="zigzag", motif="cat")]
    assert render(looks, "beach", 7) == render(looks, "beach", 7)


def test_another_seed_gives_another_picture():
    assert len({render([look()], "meadow", seed) for seed in range(6)}) == 6


def test_every_word_has_its_artwork_and_no_file_is_left_over():
    assert stems("kinds") == {noun.replace(" ", "-") for noun in NOUNS}
    assert stems("motifs") == set(MOTIFS) - {"none"}
    assert stems("scenes") == set(SCENES)


@pytest.mark.parametrize("kind", NOUNS)
def test_every_kind_is_drawn_as_a_jpeg(kind):
    at = NOUNS.index(kind)
    words = (list(COLORS)[at % 10], PATTERNS[at % 5], MOTIFS[at % 9])
    image = Image.open(io.BytesIO(render([look(kind, *words)], list(SCENES)[at % 8], at)))
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (160, 160))


@pytest.mark.parametrize("kind", NOUNS)
def test_colour_covers_enough_of_every_kind(kind):
    red, blue = pixels((look(kind, "red"),)), pixels((look(kind, "blue"),))
    assert changed(red, blue) > 0.04
    shift = (red - blue).mean(axis=(0, 1))
    assert shift[0] > 2
    assert shift[2] < -2


@pytest.mark.parametrize("kind", NOUNS)
def test_motif_is_visible_on_every_kind(kind):
    assert changed(pixels((look(kind),)), pixels((look(kind, motif="star"),))) > 0.01


@pytest.mark.parametrize("kind", NOUNS)
def test_pattern_is_visible_on_every_kind(kind):
    assert changed(pixels((look(kind),)), pixels((look(kind, pattern="polka-dot"),))) > 0.008


@pytest.mark.parametrize("words", [PATTERNS, MOTIFS], ids=["patterns", "motifs"])
def test_no_two_patterns_or_motifs_look_alike(words):
    field = "pattern" if words is PATTERNS else "motif"
    drawn = [pixels((look("t-shirt", **{field: word}),)) for word in words]
    for at, one in enumerate(drawn):
        for other in drawn[:at]:
            assert changed(one, other) > 0.01


def test_no_two_scenes_look_alike():
    drawn = [pixels((look(),), scene) for scene in SCENES]
    for at, one in enumerate(drawn):
        for other in drawn[:at]:
            assert changed(one, other) > 0.25


@pytest.mark.parametrize("color", COLORS)
def test_drawn_colour_stays_nearest_to_its_own_name(color):
    names = list(COLORS)
    words = np.array([[int(COLORS[n][i : i + 2], 16) for i in (1, 3, 5)] for n in names])
    for seed in range(4):
        shirt = pixels((look("t-shirt", color),), seed=seed, side=256)
        middle = np.median(shirt[120:190, 100:156].reshape(-1, 3), axis=0)
        assert names[int(((words - middle) ** 2).sum(axis=1).argmin())] == color


@pytest.mark.parametrize("color", COLORS)
def test_products_stand_out_from_snow_and_night(color):
    for scene in ("snow", "night"):
        there = pixels((look("mug", color, accent="red"),), scene)
        elsewhere = pixels((look("kite", color, accent="red"),), scene)
        assert changed(there, elsewhere) > 0.05


def test_two_looks_stand_side_by_side():
    pair = pixels((look("mug", "red"), look("teapot", "green")), side=256)
    left, right = pair[:, :128].mean(axis=(0, 1)), pair[:, 128:].mean(axis=(0, 1))
    assert left[0] - left[1] > right[0] - right[1] + 10
    one_changed = pixels((look("mug", "blue"), look("teapot", "green")), side=256)
    assert changed(pair[:, :120], one_changed[:, :120]) > 0.08
    assert changed(pair[:, 140:], one_changed[:, 140:]) == 0


def test_the_second_look_may_be_the_same_kind_in_other_clothes():
    drawing = compose([look("mug", "red", "striped"), look("mug", "blue", "checked")], "table", 1)
    assert drawing.count('id="a-fabric"') == drawing.count('id="b-fabric"') == 1
    assert 'id="motif"' not in drawing


@pytest.mark.parametrize("color", COLORS)
def test_default_accent_is_another_colour_of_the_vocabulary(color):
    assert default_accent(color) in set(COLORS) - {color}


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"kind": "boat"}, "got kind 'boat', expected one of: mug, "),
        ({"color": "teal"}, "got color 'teal', expected one of: red, "),
        ({"pattern": "tartan"}, "got pattern 'tartan', expected one of: plain, "),
        ({"motif": "dog"}, "got motif 'dog', expected one of: none, "),
        ({"accent": "gold"}, "got accent 'gold', expected one of: red, "),
    ],
)
def test_an_unknown_word_is_refused(bad, message):
    with pytest.raises(ValueError, match=message):
        compose([look(**bad)], "studio", 1)


def test_an_unknown_scene_or_colour_is_refused():
    with pytest.raises(ValueError, match="got scene 'moon base', expected one of: studio, "):
        compose([look()], "moon base", 1)
    with pytest.raises(ValueError, match="got color 'teal'"):
        default_accent("teal")


@pytest.mark.parametrize("count", [0, 3])
def test_a_picture_holds_one_or_two_products(count):
    with pytest.raises(ValueError, match=f"got {count} looks, expected 1 or 2"):
        compose([look()] * count, "studio", 1)
