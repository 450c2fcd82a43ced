import math

import numpy as np
import pytest

from pipelines.evaluation.slices import (
    chosen_kinds,
    price_band,
    price_edges,
    slice_metrics,
    slice_personas,
)
from pipelines.evaluation.statistics import Resampling
from pipelines.held_out.winners import HeldOut
from retrieval.slices import is_headline, unit_of

RESAMPLING = Resampling(300, 100, 0)
NAN = float("nan")


def _product(number, split="test", price=NAN, category="", **attributes):
    return {"product_id": f"p{number}", "split": split, "price": price, "category": category,
            "attributes": attributes}  # fmt: skip


def _persona(split="test", wants=None, **facets):
    named = {name.replace("_", " "): value for name, value in facets.items()}
    return {"persona_id": "u", "split": split, "wants": wants or {}, "facets": named, "text": "?"}


TRAINING = [
    _persona("train", interest="tea"),
    _persona("train", interest="yoga", second_interest="chess"),
    _persona("val", interest="opera"),
]
PRODUCTS = [
    _product(0, price=10, category="kitchen", kind="mug", color="blue"),
    _product(1, price=20, category="kitchen", kind="kite", color="red"),
    _product(2, price=30, kind="mug", color="gold"),
    _product(3, "train", kind="mug", color="red"),
    _product(4, "base", kind="kite", color="blue"),
    _product(5, "val", kind="kite", color="gold"),
]


@pytest.fixture(autouse=True)
def _vectors(monkeypatch):
    monkeypatch.setattr(HeldOut, "persona_vectors", lambda self: np.eye(len(self.personas), 4))


def _slices(persona, winner=0, products=PRODUCTS, training=TRAINING):
    held = [product for product in products if product["split"] == "test"]
    held_out = HeldOut([persona], held, np.array([winner]))
    [found] = slice_personas(held_out, [*training, persona], products)
    return found


def test_a_persona_with_everything():
    persona = _persona(
        wants={"kind=mug": 1.0, "kind=kite": 0.5, "color=blue": 0.2},
        interest="tea", relation="mother", second_interest="chess", age="70",
    )  # fmt: skip
    assert _slices(persona) == {
        "interest": "tea",
        "relation": "mother",
        "age": "70",
        "category": "kitchen",
        "price": "low (below 17)",
        "wants": "combined",
        "kinds": "seen",
        "interests": "seen",
    }


def test_a_persona_without_facets_or_wants_has_what_its_choice_tells():
    assert _slices(_persona()) == {"category": "kitchen", "price": "low (below 17)"}
    bare = [_product(0), _product(1)]
    assert _slices(_persona(), products=bare) == {}


@pytest.mark.parametrize(
    ("facets", "interest"),
    [
        ({"interest": "opera", "relation": "boss"}, "opera"),  # validation is no training
        ({"interest": "stars", "second_interest": "opera"}, "stars"),
    ],
)
def test_whoever_has_unseen_interests_stands_in_no_other_slice(facets, interest):
    found = _slices(_persona(wants={"kind=mug": 1.0}, **facets))
    assert found == {"interests": "unseen", "interest": interest}
    assert not is_headline(found)


@pytest.mark.parametrize(
    "facets",
    [
        {"interest": "tea", "second_interest": "opera"},
        {"interest": "opera", "second_interest": "yoga"},
    ],
)
def test_an_unseen_interest_with_a_seen_one_is_neither_unseen_nor_in_the_headline(facets):
    found = _slices(_persona(**facets))
    assert found == {"interests": "partly unseen", "unseen interest, with a seen one": "opera"}
    assert not is_headline(found)
    assert unit_of(found)


def test_a_situation_stands_for_an_interest_where_there_is_none():
    training = [_persona("train", situation="picnic")]
    seen = _slices(_persona(situation="picnic"), training=training)
    assert (seen["interests"], unit_of(seen)) == ("seen", "situation=picnic")
    unseen = _slices(_persona(situation="wedding", age="70"), training=training)
    assert unseen == {"interests": "unseen", "situation": "wedding"}


def test_an_interest_that_came_second_in_training_is_seen():
    assert _slices(_persona(interest="chess"))["interests"] == "seen"


def test_without_interests_in_training_nothing_is_unseen():
    """A user who gives facets to test personas alone says nothing of what was trained on."""
    found = _slices(_persona(interest="tea"), training=[_persona("train", age="7")])
    assert found["interest"] == "tea"
    assert "interests" not in found
    assert is_headline(found)


@pytest.mark.parametrize(
    ("wants", "winner", "expected"),
    [
        ({"kind=kite": 1.0}, 1, "unseen"),  # base alone trains on kites
        ({"kind=mug": 1.0, "color=gold": 0.5}, 2, "seen"),  # the kind matters most
        ({"kind=mug": 0.1, "color=gold": 0.5}, 2, "unseen"),  # the colour does
        ({"kind=mug": 1.0}, 1, "unseen"),  # what was chosen counts, not what was wanted
        ({"taste=sweet": 1.0}, 1, None),  # no product has it
        ({}, 1, None),
    ],
)
def test_kinds_are_seen_where_training_products_have_the_winners(wants, winner, expected):
    assert _slices(_persona(wants=wants), winner).get("kinds") == expected


@pytest.mark.parametrize(
    ("wants", "expected"),
    [
        ({"kind=mug": 1.0, "kind=cup": 0.4}, "single"),
        ({"kind=mug": 1.0, "color=red": 0.4}, "combined"),
        ({}, None),
    ],
)
def test_wants_of_several_attributes_are_combined(wants, expected):
    assert _slices(_persona(wants=wants)).get("wants") == expected


@pytest.mark.parametrize(
    ("prices", "edges"),
    [
        (np.arange(100.0), [33, 66]),
        ([5.11, 20.3, 31.8, 77.4, 730.6, NAN], [24, 62]),
        ([1, 2], [1.3, 1.7]),
        ([1, 1, 1, 1, 1, 9], []),  # nearly all alike: the terciles are the lowest price
        ([1, 5, 5, 5, 5, 9], [5]),
        ([4, 4, 4], []),
        ([NAN, NAN], []),
        ([], []),
    ],
)
def test_price_edges_are_rounded_terciles(prices, edges):
    assert price_edges(prices) == edges


def test_bands_read_and_sort_from_low_to_top():
    edges = [24.0, 62.0]
    bands = [price_band(price, edges) for price in (0, 23.99, 24, 61, 62, 1000)]
    low, middle, top = "low (below 24)", "middle (24 to below 62)", "top (62 and more)"
    assert bands == [low, low, middle, middle, top, top]
    assert sorted({low, middle, top}) == [low, middle, top]
    assert price_band(5, [5.0]) == "top (5 and more)"
    assert price_band(4, [5.0]) == "low (below 5)"
    assert price_band(NAN, edges) == price_band(5, []) == ""


def test_edges_part_the_prices_and_each_is_in_its_band():
    rng = np.random.default_rng(0)
    for _ in range(50):
        prices = np.round(rng.lognormal(3, 1.5, rng.integers(2, 40)), 2)
        edges = price_edges(prices)
        bands = [price_band(price, edges) for price in prices]
        assert len(set(bands)) >= 2 or not edges
        for price, band in zip(prices, bands, strict=True):
            assert band.startswith("low") == bool(edges and price < edges[0])
            assert band.startswith("top") == bool(edges and price >= edges[-1])


def _row(percentile, number=0, **slices):
    return {"persona_id": f"u{number}", "percentile": percentile, "slices": slices}


def test_slice_metrics_by_hand():
    base = [_row(0.5, 0, interest="tea", kinds="seen"), _row(0.7, 1, interest="tea"), _row(0.2, 2)]
    base += [_row(0.1, 3 + number, kinds="seen") for number in range(12)]
    student = [{**row, "percentile": row["percentile"] + 0.1} for row in base]
    student[1]["percentile"] = 0.4
    found = slice_metrics(base, student, [""] * len(base), RESAMPLING)
    assert set(found) == {"interest", "kinds"}
    tea = found["interest"]["tea"]
    assert tea.pop("ci95") is None  # of two
    assert tea == pytest.approx({"n": 2, "clusters": 2, "base": 0.6, "student": 0.5, "gain": -0.1})
    seen = found["kinds"]["seen"]
    assert (seen["n"], seen["clusters"]) == (13, 13)
    assert seen["ci95"] == pytest.approx([0.1, 0.1])  # every gain is 0.1


def test_slices_resample_interests_kinds_and_of_one_interest_its_personas():
    rng = np.random.default_rng(0)
    interests = [f"i{number % 12}" for number in range(120)]
    kinds = [f"k{number % 9}" for number in range(120)]
    base = [
        _row(0.5, number, interest=interest, price="low", kinds="unseen")
        for number, interest in enumerate(interests)
    ]
    student = [{**row, "percentile": 0.5 + rng.normal(0, 0.1)} for row in base]
    found = slice_metrics(base, student, kinds, RESAMPLING)
    assert found["price"]["low"]["clusters"] == 12
    assert found["price"]["low"]["ci95"] is not None
    assert found["kinds"]["unseen"]["clusters"] == 9
    assert found["kinds"]["unseen"]["ci95"] is None  # fewer than ten kinds
    assert found["interest"]["i3"]["clusters"] == found["interest"]["i3"]["n"] == 10
    assert found["interest"]["i3"]["ci95"] is not None


def test_the_kind_that_was_chosen_is_that_of_the_attribute_that_matters_most():
    personas = [_persona(wants={"kind=mug": 1.0}), _persona(wants={"color=red": 1.0}), _persona()]
    held = [product for product in PRODUCTS if product["split"] == "test"]
    assert chosen_kinds(HeldOut(personas, held, np.array([1, 1, 1]))) == ["kite", "red", ""]


def test_slices_of_nobody():
    assert slice_metrics([], [], [], RESAMPLING) == {}


def test_an_unknown_percentile_is_reported_as_null():
    found = slice_metrics([_row(math.nan, a="x")], [_row(0.5, a="x")], [""], RESAMPLING)
    assert found["a"]["x"] == {
        "n": 1, "clusters": 0, "base": None, "student": 0.5, "gain": None, "ci95": None
    }  # fmt: skip
