import numpy as np
import pytest
from PIL import Image

from retrieval.concepts.pairs import FOOT, SIDE, pair_up, side_by_side

COLORS = ["red", "green", "blue", "white", "black"]


def _photos(count):
    return [Image.new("RGB", (40, 30), color) for color in COLORS[:count]]


def test_each_photo_has_its_half_of_the_picture():
    pixels = np.asarray(side_by_side(*_photos(2)))
    assert pixels.shape == (SIDE, SIDE, 3)
    assert (pixels[:, : SIDE // 2] == (255, 0, 0)).all()
    assert (pixels[:, SIDE // 2 :] == (0, 128, 0)).all()


def test_a_photo_stands_low_and_its_edges_are_drawn_out():
    photo = Image.new("RGB", (128, 128), "blue")
    photo.paste("red", (0, 0, 128, 1))
    photo.paste("white", (0, 127, 128, 128))
    column = np.asarray(side_by_side(photo, photo))[:, 30]
    top = SIDE // 2 - FOOT
    assert (column[: top + 1] == (255, 0, 0)).all()
    assert (column[top + 1 : SIDE - FOOT - 1] == (0, 0, 255)).all()
    assert (column[SIDE - FOOT - 1 :] == 255).all()


def test_of_a_long_photo_the_middle_is_used():
    photo = Image.new("RGB", (300, 100), "blue")
    photo.paste("red", (0, 0, 90, 100))
    photo.paste("red", (210, 0, 300, 100))
    assert (np.asarray(side_by_side(photo, photo)) == (0, 0, 255)).all()


@pytest.mark.parametrize(
    ("photos", "most", "expected"),
    [(5, 9, 2), (5, 1, 1), (4, 2, 2), (1, 3, 0), (0, 3, 0), (4, 0, 0)],
)
def test_photos_are_paired_in_order(photos, most, expected):
    pairs = pair_up(_photos(photos), most)
    assert len(pairs) == expected
    for number, pair in enumerate(pairs):
        assert pair == side_by_side(*_photos(photos)[2 * number : 2 * number + 2])
