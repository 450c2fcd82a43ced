"""Which texts name a product by its title."""

import pytest

from retrieval.titles import Titles

TITLES = Titles(["Red Mug", "Tea", "XL", "", "Crème brûlée"])


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("I want a red mug!", "red mug"),
        ("RED\nMUG", "red mug"),
        ("a mug that is red", ""),
        ("somebody who loves tea", "tea"),
        ("a team of teachers", ""),
        ("my size is XL", ""),
        ("crème brûlée, please", "crème brûlée"),
        ("", ""),
    ],
)
def test_a_title_is_named_by_its_whole_words(text, named):
    assert TITLES.named_in(text) == named
