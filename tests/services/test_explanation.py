from types import SimpleNamespace

import numpy as np
import pytest

from services.search.explanation import MOST_READ, mean_directions, nearest_wishes, shares, variants
from tests.services.conftest import FakeEncoder

MUG = SimpleNamespace(name="my mug", noun="mug")
REX = SimpleNamespace(name="rex", noun="dog")
HALF = 2**-0.5


def encode(*texts):
    return FakeEncoder().encode_texts(list(texts))


def test_each_word_is_left_out_once():
    found = variants("a  red, red mug - please!", [])
    assert [(one.kind, one.name, one.text) for one in found] == [
        ("word", "a", "red, red mug - please!"),
        ("word", "red", "a red mug - please!"),
        ("word", "red", "a red, mug - please!"),
        ("word", "mug", "a red, red - please!"),
        ("word", "please", "a red, red mug -"),
    ]


def test_a_concept_is_no_word_and_its_noun_takes_its_place():
    found = variants("{my mug}, with {rex}", [MUG, REX])
    assert [(one.kind, one.name, one.text, one.concepts) for one in found] == [
        ("word", "with", "{my mug}, {rex}", (MUG, REX)),
        ("concept", "my mug", "mug, with {rex}", (REX,)),
        ("concept", "rex", "{my mug}, with dog", (MUG,)),
    ]


def test_a_single_word_leaves_an_empty_text():
    assert [one.text for one in variants("mug", [])] == [""]


def test_seven_words_are_told_one_by_one_and_neighbours_of_longer_texts_together():
    seven = ["one", "two", "three", "four", "five", "six", "seven"]
    twelve = " ".join([*seven, "eight", "nine", "ten", "eleven", "twelve"])
    assert [one.name for one in variants(" ".join(seven), [])] == seven
    assert [one.name for one in variants(twelve, [])] == [
        "one two three", "four five six", "seven eight nine", "ten eleven twelve"
    ]  # fmt: skip
    assert variants(twelve, [])[1].text == "one two three seven eight nine ten eleven twelve"


def test_words_around_a_concept_are_not_told_together():
    found = variants("one two three four {rex} five six seven eight nine ten eleven", [REX])
    assert [one.name for one in found] == [
        "one two", "three four", "five six seven", "eight nine", "ten eleven", "rex"
    ]  # fmt: skip
    assert found[2].text == "one two three four {rex} eight nine ten eleven"


@pytest.mark.parametrize("count", [1, 2, 7, 10, 11, 23, 40, 60, 300])
def test_however_long_a_text_its_variants_take_as_long_as_a_search(count):
    found = variants(" - ".join(f"w{number}" for number in range(count)), [])
    told = [word for one in found for word in one.name.split(" - ")]
    assert told == [f"w{number}" for number in range(min(count, 40))]
    assert len(found) * (count + 2) <= max(MOST_READ, count + 2)


def test_a_words_share_is_the_score_minus_the_score_without_it():
    """(red + blue) / sqrt 2 has cosine 1 / sqrt 2 with red; red alone 1, blue alone 0."""
    query = "red blue"
    left_out = encode(*(one.text for one in variants(query, [])))
    red, blue, green = np.eye(5, dtype=np.float32)[[0, 2, 1]]
    found = shares(encode(query)[0], left_out, np.stack([red, blue, green]))
    expected = [[HALF - 0, HALF - 1], [HALF - 1, HALF - 0], [0, 0]]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_words_that_say_the_same_twice_have_a_small_share():
    """(2 red + blue) / sqrt 5; without one red (red + blue) / sqrt 2."""
    left_out = encode(*(one.text for one in variants("red red blue", [])))
    found = shares(encode("red red blue")[0], left_out, np.eye(5, dtype=np.float32)[:1])
    two = 2 * 5**-0.5
    np.testing.assert_allclose(found, [[two - HALF, two - HALF, two - 1]], atol=1e-5)


def test_wishes_are_like_the_query_and_chose_what_is_like_the_hit():
    """The query is red; the wishes are red, red + blue, blue, and chose blue, red, red."""
    wishes = encode("red", "red blue", "blue")
    red, blue = np.eye(5, dtype=np.float32)[[0, 2]]
    for_red, for_blue = nearest_wishes(
        encode("red")[0], np.stack([red, blue]), wishes, np.stack([blue, red, red])
    )
    assert [row for row, _ in for_red][:1] == [1]
    assert for_red[0][1] == pytest.approx(HALF, abs=1e-5)  # cos 45 degrees times 1
    assert for_blue[0] == (0, pytest.approx(1, abs=1e-5))  # wished for red, chose blue


def test_opposite_wishes_and_opposite_products_are_no_reason():
    x, y = np.eye(2, dtype=np.float32)
    wishes, chosen = np.stack([-x, x, x]), np.stack([-x, y, -x])
    assert nearest_wishes(x, x[None], wishes, chosen) == [[]]


def test_no_more_than_three_and_equal_ones_in_their_order():
    x = np.ones((1, 1), dtype=np.float32)
    ((*found,),) = nearest_wishes(x[0], x, np.repeat(x, 5, 0), np.repeat(x, 5, 0))
    assert found == [(0, 1.0), (1, 1.0), (2, 1.0)]
    none = np.empty((0, 1), dtype=np.float32)
    assert nearest_wishes(x[0], x, none, none) == [[]]


def test_the_mean_of_what_was_chosen():
    x, y = np.eye(2, dtype=np.float32)
    found = mean_directions([np.stack([x, y]), y[None], np.empty((0, 2), np.float32)], 2)
    np.testing.assert_allclose(found, [[HALF, HALF], [0, 1], [0, 0]], atol=1e-6)
