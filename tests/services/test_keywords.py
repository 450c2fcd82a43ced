"""BM25 on titles and captions, against the formula."""

import math
from itertools import pairwise

import pytest

from registry.bundle import Product
from retrieval.index.collection import Filter
from services.search.keywords import Keywords


def product(product_id, title, caption="", category="", price=1.0):
    return Product(product_id, title, caption, category, price, {}, "", "test", b"")


CATALOGUE = [
    product("b", "Blue mug", "a mug on a table", "kitchen"),
    product("a", "Blue mug", "a mug on a table", "garden"),
    product("c", "Garden spade"),
    product("d", "Reading lamps", "Léa's lamp, 40 W", "study", math.nan),
]


@pytest.fixture(scope="module")
def keywords():
    return Keywords(CATALOGUE)


def ids(found):
    return [id_ for id_, _ in found]


def test_the_score_is_bm25s(keywords):
    """Lucene's: idf = ln(1 + (N - n + 0.5) / (n + 0.5)), k1 = 1.5, b = 0.75."""
    idf = math.log(1 + (4 - 1 + 0.5) / (1 + 0.5))  # "spade" is in one of four
    average = (4 + 4 + 2 + 7) / 4  # blue mug mug tabl; garden spade; read lamp léa s lamp 40 w
    ((id_, score),) = keywords.search("spade", 10, Filter())
    assert id_ == "c"
    assert score == pytest.approx(idf / (1 + 1.5 * (0.25 + 0.75 * 2 / average)), rel=1e-5)


def test_more_words_and_rarer_ones_lead_and_equals_are_in_the_order_of_the_ids(keywords):
    assert ids(keywords.search("a blue spade", 10, Filter())) == ["c", "a", "b"]
    assert ids(keywords.search("a blue spade", 2, Filter())) == ["c", "a"]
    scores = [score for _, score in keywords.search("mug, spade, lamp", 10, Filter())]
    assert all(one >= other for one, other in pairwise(scores))


@pytest.mark.parametrize("text", ["lamp", "LAMPS", "léa", "40 reads", "W"])
def test_case_and_endings_do_not_matter(keywords, text):
    assert ids(keywords.search(text, 10, Filter())) == ["d"]


@pytest.mark.parametrize("text", ["", "the", "umbrella", "☂ !?", "\ud800"])
def test_without_a_word_that_a_product_has_nothing_is_found(keywords, text):
    assert keywords.search(text, 10, Filter()) == []


def test_conditions_hold(keywords):
    assert ids(keywords.search("mug", 1, Filter(categories=("kitchen",)))) == ["b"]
    assert ids(keywords.search("mug", 5, Filter(exclude=("a",)))) == ["b"]
    assert keywords.search("lamp", 5, Filter(price_gte=0)) == []


@pytest.mark.parametrize(
    "catalogue", [[], [product("a", "")], [product("a", "the"), product("b", "")]]
)
def test_a_catalogue_without_words_is_searched_too(catalogue):
    assert Keywords(catalogue).search("a mug", 5, Filter()) == []
