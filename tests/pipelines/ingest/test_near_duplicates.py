"""Near-duplicates: which pictures a perceptual hash finds, and which not."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from pipelines.ingest import near_duplicates
from pipelines.ingest.near_duplicates import MAX_DISTANCE, Near, find_near, hash_pictures
from tests.pipelines.ingest.drawings import as_jpeg, drawing

Change = Callable[[Image.Image], Image.Image]


def near(folder: Path, *pictures: Image.Image) -> list[tuple[int, int]]:
    paths = [folder / f"{number}.png" for number in range(len(pictures))]
    for path, picture in zip(paths, pictures, strict=True):
        picture.save(path)
    return [(pair.first, pair.second) for pair in find_near(hash_pictures(paths))]


@pytest.mark.parametrize(
    "change",
    [
        lambda picture: as_jpeg(picture, 95),
        lambda picture: as_jpeg(picture, 50),
        lambda picture: as_jpeg(picture.resize((80, 60)), 75),
        lambda picture: picture.resize((512, 384)),
        lambda picture: ImageEnhance.Brightness(picture).enhance(1.1),
        lambda picture: picture.convert("L"),
    ],
    ids=["jpeg95", "jpeg50", "half", "larger", "brighter", "grey"],
)
def test_a_picture_saved_again_is_found_and_others_are_not(tmp_path: Path, change: Change) -> None:
    pictures = [drawing(seed) for seed in range(12)]
    changed = [change(picture) for picture in pictures]
    assert near(tmp_path, *pictures, *changed) == [(number, number + 12) for number in range(12)]


@pytest.mark.parametrize(
    "change",
    [
        ImageOps.mirror,
        ImageOps.flip,
        ImageOps.invert,
        lambda picture: picture.crop((16, 12, 144, 108)),
    ],
    ids=["mirrored", "upside down", "negative", "cropped"],
)
def test_what_the_hash_does_not_find(tmp_path: Path, change: Change) -> None:
    assert near(tmp_path, drawing(1), change(drawing(1))) == []


def test_pictures_without_structure_are_near_to_nothing(tmp_path: Path) -> None:
    blanks = [Image.new("RGB", (60, 40), color) for color in ("white", "black", "red", "#fffffe")]
    ramp = Image.fromarray(np.tile(np.linspace(0, 255, 60).astype(np.uint8), (40, 1)))
    halves = [Image.new("L", (60, 40)) for _ in range(2)]
    halves[0].paste(255, (0, 0, 30, 40))
    halves[1].paste(255, (0, 0, 60, 20))
    pictures = [*blanks, ramp, *halves]
    assert near(tmp_path, *pictures, *(as_jpeg(each.convert("RGB"), 92) for each in pictures)) == []


def _hashes(count: int, *changes: tuple[int, int, int]) -> np.ndarray:
    """Random hashes, half of the bits set; a change (from, to, bits) puts `to` near `from`."""
    random = np.random.default_rng(0)
    bits = random.permuted(np.tile(np.arange(256) % 2 == 0, (count, 1)), axis=1)
    for source, target, distance in changes:
        bits[target] = bits[source]
        for value in (True, False):
            bits[target, np.flatnonzero(bits[source] == value)[: distance // 2]] ^= True
    return np.packbits(bits, axis=1).view(np.uint64)


@pytest.mark.parametrize("block", [1, 7, 40, 512])
def test_every_pair_is_found_once_in_blocks_of_any_size(
    monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(near_duplicates, "_BLOCK", block)
    hashes = _hashes(40, (3, 4, 0), (5, 39, MAX_DISTANCE), (30, 6, 10), (8, 9, MAX_DISTANCE + 2))
    assert find_near(hashes) == [Near(3, 4, 0), Near(5, 39, MAX_DISTANCE), Near(6, 30, 10)]


def test_opposite_hashes_are_as_far_apart_as_can_be() -> None:
    hashes = _hashes(1)
    assert find_near(np.concatenate([hashes, ~hashes]), max_distance=255) == []
    assert find_near(np.concatenate([hashes, ~hashes]), max_distance=256) == [Near(0, 1, 256)]


def test_no_pictures() -> None:
    assert find_near(hash_pictures([])) == []
