import math
from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from scipy.stats import chisquare

from pipelines.params import Teacher as TeacherParams
from pipelines.teachers.protocol import Request, as_permutation, request_sha256
from pipelines.teachers.simulated import SimulatedTeacher

DRAWS = 3000
PERSONAS = [
    {"persona_id": "u", "wants": {"kind=mug": 1.0, "color=blue": 0.5}},
    {"persona_id": "v", "wants": {"color=red": 2.0}},
]
PRODUCTS = [
    {"product_id": "blue mug", "attributes": {"kind": "mug", "color": "blue"}},
    {"product_id": "red mug", "attributes": {"kind": "mug", "color": "red"}},
    {"product_id": "blue vase", "attributes": {"kind": "vase", "color": "blue"}},
    {"product_id": "red vase", "attributes": {"kind": "vase", "color": "red"}},
]
UTILITIES = {"blue mug": 1.5, "red mug": 1.0, "blue vase": 0.5, "red vase": 0.0}  # of persona u
IDS = tuple(UTILITIES)


def _teacher(seed=0, personas=PERSONAS, products=PRODUCTS, **changes):
    faults = {"kind": "simulated", "noise": 0.5, "position_bias": 0.0, "malformed_rate": 0.0}
    return SimulatedTeacher(TeacherParams(**{**faults, **changes}), seed, personas, products)


def _rankings(teacher, presented, draws=DRAWS, persona="u"):
    """The replies to one question asked many times: independent draws."""
    requests = [Request(persona, tuple(presented), repeat) for repeat in range(draws)]
    return [reply.ranking for reply in teacher.rank(requests)]


def test_equal_requests_get_equal_replies_in_any_company():
    teacher = _teacher(noise=5.0, malformed_rate=0.3)
    requests = [Request(who, IDS, repeat) for who in "uv" for repeat in range(50)]
    together = teacher.rank(requests)
    alone = [_teacher(noise=5.0, malformed_rate=0.3).rank([r])[0] for r in requests[::-1]][::-1]
    assert together == alone
    assert teacher.rank([]) == []
    assert len({reply.ranking for reply in together}) > 10


def test_other_products_in_the_catalogue_do_not_change_a_reply():
    more = [{"product_id": "x", "attributes": {"color": "blue"}}, *PRODUCTS[::-1]]
    assert _rankings(_teacher(products=more), IDS, 50) == _rankings(_teacher(), IDS, 50)


@pytest.mark.parametrize("noise", [0.25, 1.0])
def test_first_choices_follow_the_softmax_of_utility_over_noise(noise):
    firsts = Counter(ranking[0] for ranking in _rankings(_teacher(noise=noise), IDS))
    worth = np.exp(np.array([UTILITIES[product] for product in IDS]) / noise)
    expected = DRAWS * worth / worth.sum()
    assert chisquare([firsts[product] for product in IDS], expected).pvalue > 1e-3


def test_whole_orders_are_plackett_luce():
    presented = ("red mug", "blue mug", "blue vase")
    worth = {product: math.exp(UTILITIES[product] / 0.5) for product in presented}
    expected = {}
    for order in permutations(presented):
        left, chance = sum(worth.values()), 1.0
        for product in order:
            chance *= worth[product] / left
            left -= worth[product]
        expected[order] = DRAWS * chance
    assert sum(expected.values()) == pytest.approx(DRAWS)
    counts = Counter(_rankings(_teacher(), presented))
    assert set(counts) <= set(expected)
    assert chisquare([counts[o] for o in expected], list(expected.values())).pvalue > 1e-3


def test_little_noise_gives_the_true_order_much_noise_any_order():
    assert set(_rankings(_teacher(noise=0.001), IDS[::-1], 100)) == {IDS}
    assert len(set(_rankings(_teacher(noise=100.0), IDS))) == 24


def test_persona_decides_whose_wants_count():
    [ranking] = _rankings(_teacher(noise=0.001), IDS, 1, persona="v")
    assert set(ranking[:2]) == {"red mug", "red vase"}


@pytest.mark.parametrize("bias", [0.0, 0.2, 0.6])
def test_position_bias_lifts_what_is_presented_first(bias):
    """Two equal products: the first wins with worth exp(bias / noise) against 1."""
    twins = [{"product_id": f"t{n}", "attributes": {"color": "blue"}} for n in range(2)]
    teacher = _teacher(personas=PERSONAS[:1], products=twins, position_bias=bias)
    for presented in (("t0", "t1"), ("t1", "t0")):
        wins = sum(ranking[0] == presented[0] for ranking in _rankings(teacher, presented))
        share = 1 / (1 + math.exp(-bias / 0.5))
        assert abs(wins / DRAWS - share) < 3.5 * math.sqrt(share * (1 - share) / DRAWS)


def test_position_bias_falls_evenly_from_the_first_place_to_the_last():
    five = [{"product_id": str(n), "attributes": {"color": "blue"}} for n in range(5)]
    teacher = _teacher(personas=PERSONAS[:1], products=five, position_bias=1.0, noise=1.0)
    firsts = Counter(ranking[0] for ranking in _rankings(teacher, "01234"))
    worth = np.exp(np.linspace(1, 0, 5))
    expected = DRAWS * worth / worth.sum()
    assert chisquare([firsts[str(n)] for n in range(5)], expected).pvalue > 1e-3


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.5, 1.0])
def test_the_share_of_replies_that_are_no_ranking_is_the_parameter(rate):
    failures = sum(r is None for r in _rankings(_teacher(malformed_rate=rate), IDS))
    assert abs(failures / DRAWS - rate) <= 3.5 * math.sqrt(rate * (1 - rate) / DRAWS)


def test_a_malformed_reply_says_nothing_about_the_products():
    teacher, faulty = _teacher(), _teacher(malformed_rate=0.5)
    whole = [r for r in _rankings(faulty, IDS) if r is not None]
    for rankings in (whole, _rankings(teacher, IDS)):
        share = sum(r[0] == "blue mug" for r in rankings) / len(rankings)
        assert share == pytest.approx(math.e**3 / (math.e**3 + math.e**2 + math.e + 1), abs=0.04)


def test_every_ranking_is_a_permutation_of_what_was_presented():
    for presented in (IDS, IDS[1:], IDS[:1]):
        for ranking in _rankings(_teacher(noise=3.0), presented, 30):
            assert sorted(ranking) == sorted(presented)


def test_another_seed_is_another_teacher_of_the_same_kind():
    first, again, other = (_rankings(_teacher(seed=s), IDS) for s in (1, 1, 2))
    assert first == again != other
    shares = [sum(r[0] == "blue mug" for r in rankings) / DRAWS for rankings in (first, other)]
    assert shares[0] == pytest.approx(shares[1], abs=0.05)


@pytest.mark.parametrize("wants", [{}, {"kind=spade": 1.0}])
def test_personas_that_nothing_pleases_are_refused(wants):
    odd = {"persona_id": "w7", "wants": wants}
    with pytest.raises(SystemExit, match=r"got 1 of 3 personas .*\(w7\); give them wants of the"):
        _teacher(personas=[*PERSONAS, odd])


def test_it_is_called_simulated():
    assert _teacher().name == "simulated"


REQUEST = Request("u", IDS, 0)


@pytest.mark.parametrize(
    "request_",
    [
        Request("v", IDS, 0),
        Request("u", IDS[::-1], 0),
        Request("u", IDS[:3], 0),
        Request("u", IDS, 1),
    ],
)
def test_the_digest_depends_on_every_part_of_the_request(request_):
    digests = [reply.request_sha256 for reply in _teacher().rank([REQUEST, request_])]
    assert digests[0] != digests[1]
    assert all(len(digest) == 64 and int(digest, 16) >= 0 for digest in digests)


@pytest.mark.parametrize(
    "changes",
    [{"seed": 1}, {"noise": 0.51}, {"position_bias": 0.01}, {"malformed_rate": 0.01}],
)
def test_the_digest_depends_on_every_setting(changes):
    one, other = (t.rank([REQUEST])[0].request_sha256 for t in (_teacher(), _teacher(**changes)))
    assert one != other
    assert one == _teacher().rank([REQUEST])[0].request_sha256


def test_the_digest_depends_on_the_teacher():
    assert request_sha256("simulated", "{}", REQUEST) != request_sha256("file", "{}", REQUEST)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (["b", "a", "c"], ("b", "a", "c")),
        (["a", "b"], None),
        (["a", "b", "b"], None),
        (["a", "b", "c", "c"], None),
        (["a", "b", "d"], None),
        ([], None),
    ],
)
def test_only_a_permutation_is_a_ranking(answer, expected):
    assert as_permutation(answer, ("a", "b", "c")) == expected
