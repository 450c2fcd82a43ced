import numpy as np
import pytest

from retrieval.wants import admitted, main_attribute, utilities

PRODUCTS = [
    {"kind": "mug", "color": "blue"},
    {"kind": "mug", "color": "red"},
    {"kind": "vase", "color": "blue"},
    {"color": "blue"},
    {},
]
WANTS = {"kind=mug": 1.5, "kind=spade": 0.5, "color=blue": 0.25}


def test_utility_is_the_sum_of_the_wants_that_a_product_meets():
    assert utilities(WANTS, PRODUCTS).tolist() == [1.75, 1.5, 0.25, 0.25, 0.0]


@pytest.mark.parametrize("wants", [{}, {"colour=blue": 1.0}, {"kind=Mug": 1.0}])
def test_wants_that_nothing_meets_have_no_utility(wants):
    assert utilities(wants, PRODUCTS).tolist() == [0.0] * 5


def test_a_value_may_hold_an_equals_sign():
    assert utilities({"size=a=b": 2.0}, [{"size": "a=b"}]).tolist() == [2.0]
    assert admitted({"size=a=b": 2.0}, [{"size": "a=b"}, {"size": "a"}]).tolist() == [True, False]


def test_utilities_are_additive_in_the_wants():
    rng = np.random.default_rng(0)
    one, other = {"kind=mug": float(rng.random())}, {"color=blue": float(rng.random())}
    both = utilities({**one, **other}, PRODUCTS)
    np.testing.assert_allclose(both, utilities(one, PRODUCTS) + utilities(other, PRODUCTS))


def test_the_main_interest_admits_the_values_that_are_wanted():
    # kind weighs 2.0, color 0.25: mugs and spades are admitted, whatever their colour.
    assert admitted(WANTS, PRODUCTS).tolist() == [True, True, False, False, False]


def test_the_main_interest_is_the_heaviest_attribute_in_sum_not_in_one_value():
    wants = {"kind=mug": 1.0, "color=blue": 0.7, "color=red": 0.7}
    assert admitted(wants, PRODUCTS).tolist() == [True, True, True, True, False]


@pytest.mark.parametrize(
    ("wants", "main"),
    [
        ({}, None),
        (WANTS, "kind"),
        ({"kind=mug": 1.0, "color=blue": 0.7, "color=red": 0.7}, "color"),
    ],
)
def test_the_main_attribute(wants, main):
    assert main_attribute(wants) == main


def test_who_wants_nothing_admits_nothing():
    got = admitted({}, PRODUCTS)
    assert got.dtype == np.bool_
    assert got.tolist() == [False] * 5


def test_no_products():
    assert utilities(WANTS, []).shape == admitted(WANTS, []).shape == (0,)
